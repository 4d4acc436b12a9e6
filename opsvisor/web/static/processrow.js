// @ts-check
/** One process as a row of the overview: made once, and then only touched where it differs. */

import { inSlots, sparkline } from "./charts.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import { bytes, cores, countdown, counted, exactly, shortDuration } from "./format.js";
import { icon } from "./icons.js";
import { stateMark, troubleMarks } from "./marks.js";
import { processLink } from "./router.js";
import { explanationOf, rankOf, sensible, troublesOf } from "./states.js";
import { RECENTLY } from "./store.js";

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {import("./store.js").Series} Series */
/** @typedef {import("./actions.js").Action} Action */

/** Seconds that one point of a row's lines stands for. */
const SLOT = 5;

/**
 * What a row can be asked for.
 *
 * @typedef {object} RowHandlers
 * @property {(name: string, isRange: boolean) => void} onPick
 * @property {(action: Action, name: string) => void} onAction
 */

export class ProcessRow {
  /** @type {ProcessStatus} */
  #process;
  #marks = "";
  /** @type {Series | undefined} */
  #series;
  #last = NaN;

  /**
   * @param {ProcessStatus} process
   * @param {RowHandlers} handlers
   */
  constructor(process, { onPick, onAction }) {
    const { name } = process;
    this.#process = process;
    this.pick = h("input", { type: "checkbox", "aria-label": `Select ${name}` });
    this.pick.addEventListener("click", (event) => onPick(name, event.shiftKey));
    this.link = h("a", { href: processLink(name), title: name, dir: "auto" }, name);
    this.marks = h("span", { class: "marks" });
    this.state = h("td", { role: "cell", class: "state-cell" });
    this.since = h("td", { role: "cell", class: "since" });
    this.restarts = h("td", { role: "cell", class: "restarts number" });
    this.cpu = new Measure("CPU", cores, "cpu");
    this.memory = new Measure("Memory", bytes, "memory");
    this.next = h("strong", { class: "next" });
    this.why = h("span", { class: "reason" });
    /** @type {Record<"start" | "stop" | "restart", HTMLButtonElement>} */
    this.buttons = {
      start: actionButton("start", "Start", name, onAction),
      stop: actionButton("stop", "Stop", name, onAction),
      restart: actionButton("restart", "Restart", name, onAction),
    };
    this.node = h(
      "tr",
      { role: "row", class: "process" },
      h("td", { role: "cell", class: "pick" }, h("label", { class: "hit" }, this.pick)),
      h("th", { role: "rowheader", scope: "row", class: "name" },
        h("div", { class: "name-line" }, this.link, this.marks)),
      this.state, this.since, this.restarts, this.cpu.node, this.memory.node,
      h("td", { role: "cell", class: "outlook" }, this.next, this.why),
      h("td", { role: "cell", class: "do" }, Object.values(this.buttons)),
    );
  }

  /**
   * Show how the process is now.
   *
   * @param {ProcessStatus} process
   * @param {{cpu: number | null, rss: number | null}} usage
   * @param {Series | undefined} series
   */
  update(process, usage, series) {
    this.#process = process;
    const marks = troublesOf(process).map(({ key }) => key).join(" ");
    const look = `${process.state} ${marks}`;
    if (look !== this.#marks) {
      this.#marks = look;
      replace(this.state, stateMark(process.state));
      replace(this.marks, troubleMarks(process));
      const rank = rankOf(process);
      this.node.dataset.tone = rank >= 6 ? "bad" : rank > 0 ? "warn" : "";
    }
    setText(this.restarts, String(process.restarts));
    setAttribute(this.restarts, "title", counted(process.restarts, "restart", "restarts"));
    setAttribute(this.restarts, "class", `restarts number${process.restarts ? "" : " zero"}`);
    const { why } = explanationOf(process);
    setText(this.why, why);
    setAttribute(this.why, "title", why);
    this.cpu.say(process.pid ? usage.cpu : null);
    this.memory.say(process.pid ? usage.rss : null);
    const last = series?.at.at(-1) ?? NaN;
    if (series !== this.#series || !Object.is(last, this.#last)) {
      this.#series = series;
      this.#last = last;
      const { at = [], cpu = [], rss = [] } = series ?? {};
      this.cpu.draw(inSlots(at, cpu, { slot: SLOT, span: RECENTLY }));
      this.memory.draw(inSlots(at, rss, { slot: SLOT, span: RECENTLY }));
    }
    const may = sensible(process);
    for (const [action, button] of Object.entries(this.buttons)) {
      button.classList.toggle("useless", !may[/** @type {"start"} */ (action)]);
    }
  }

  /**
   * What changes by itself with the time.
   *
   * @param {number} now
   */
  tick(now) {
    const { since } = this.#process;
    setText(this.since, since ? shortDuration(now - since) : "–");
    setAttribute(this.since, "title", since ? exactly(since) : null);
    const { retryAt } = explanationOf(this.#process);
    setText(this.next, retryAt ? `retry ${countdown(retryAt, now)}` : "");
  }

  /** @param {boolean} isPicked */
  setPicked(isPicked) {
    this.pick.checked = isPicked;
    setAttribute(this.node, "aria-selected", isPicked ? "true" : null);
  }

  /** @param {string} refusal why the caller may not act; "" if it may */
  setRefusal(refusal) {
    for (const button of Object.values(this.buttons)) {
      button.disabled = refusal !== "";
      button.title = refusal || button.dataset.title || "";
    }
  }
}

/** A figure with the line of its last minutes. */
class Measure {
  #figure = h("span", { class: "figure" });
  #line;
  #format;

  /**
   * @param {string} label
   * @param {import("./charts.js").Format} format
   * @param {string} kind
   */
  constructor(label, format, kind) {
    this.#format = format;
    this.#line = sparkline({ label, format, width: 60, height: 20 });
    this.node = h("td", { role: "cell", class: `measure ${kind}` }, this.#line.node, this.#figure);
  }

  /** @param {number | null} value */
  say(value) {
    setText(this.#figure, this.#format(value));
    this.#figure.classList.toggle("zero", !value);
  }

  /** @param {(number | null)[]} values */
  draw(values) {
    this.#line.update(values);
  }
}

/**
 * @param {"start" | "stop" | "restart"} action
 * @param {string} word
 * @param {string} name
 * @param {RowHandlers["onAction"]} onAction
 */
function actionButton(action, word, name, onAction) {
  return h("button", {
    type: "button", class: "icon-button", "aria-label": `${word} ${name}`, title: word,
    "data-title": word, onclick: () => onAction(action, name),
  }, icon(action));
}
