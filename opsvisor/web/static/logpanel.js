// @ts-check
/** The log of a process as it grows: one stream at a time, searched, paused, kept as a file. */

import { asProblem, post } from "./api.js";
import { confirm } from "./dialogs.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import { bytes, counted } from "./format.js";
import { icon } from "./icons.js";
import { LogModel } from "./logmodel.js";
import { LogSearch } from "./logsearch.js";
import { LogStream } from "./logstream.js";
import { LogView } from "./logview.js";
import { notice, problemPanel, problemText } from "./notices.js";
import { patientFinder } from "./patience.js";
import { keep, recall } from "./theme.js";

/** @typedef {"stdout" | "stderr"} StreamName */
/** @typedef {import("../wire").ActionResponse} ActionResponse */

const WRAP = "opsvisor.log.wrap";
const TIMES = "opsvisor.log.times";
const TYPING = 150; // milliseconds after the last key, until it is looked for

export class LogPanel {
  isPaused = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #typing;
  #ticking;
  #shown; // the stream that is shown, and everything that is about it
  #problemShown = "";

  /**
   * @param {{
   *   name: string, stream: StreamName, now: () => number, refusal: () => string,
   *   onStream: (stream: StreamName) => void,
   * }} around `refusal`: why nothing may be changed, "" if it may; `onStream`: another was chosen
   */
  constructor({ name, stream, now, refusal, onStream }) {
    this.name = name;
    this.stream = stream;
    this.now = now;
    this.refusal = refusal;
    this.onStream = onStream;
    this.streams = /** @type {StreamName[]} */ (["stdout", "stderr"]).map((one) => ({
      one,
      node: h("button", { type: "button", onclick: () => this.choose(one) }, one),
    }));
    this.input = h("input", {
      type: "search",
      "aria-label": "Search in the log",
      placeholder: "Search  /",
      maxlength: 1000,
      spellcheck: "false",
      autocomplete: "off",
      oninput: () => this.#onTyping(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onSearchKey(event),
    });
    this.exact = toggle("Aa", "Match case", () => this.#look());
    this.expression = toggle(".*", "Regular expression", () => this.#look());
    this.only = toggle("Only matches", "Only matches", () => this.#filter());
    this.found = h("span", { class: "log-found", role: "status" });
    this.previous = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": "Previous match",
        title: "Previous match (Shift+Enter)",
        onclick: () => this.#go(-1),
      },
      icon("up"),
    );
    this.next = h(
      "button",
      {
        type: "button",
        class: "icon-button",
        "aria-label": "Next match",
        title: "Next match (Enter)",
        onclick: () => this.#go(1),
      },
      icon("down"),
    );
    this.wrap = toggle("Wrap", "Wrap long lines", () => this.#show(), recall(WRAP) !== "no");
    this.times = toggle("Times", "Times of lines", () => this.#show(), recall(TIMES) === "yes");
    this.pause = h("button", { type: "button", onclick: () => this.#pauseOrGoOn() }, "Pause");
    this.download = h("a", { class: "button", download: "" }, "Download");
    this.clear = h("button", { type: "button", onclick: () => void this.#clear() }, "Clear…");
    this.status = h("span", { role: "status" });
    this.missing = h("span", { class: "log-missing" });
    this.toEnd = h("button", {
      type: "button", class: "log-to-end primary", hidden: true, onclick: () => this.#toEnd(),
    });
    this.empty = h("p", { class: "log-empty", hidden: true }, "");
    this.place = h("div", { class: "log-place" });
    this.problem = h("div", { class: "log-problem", hidden: true });
    this.node = h(
      "section",
      { class: "log-panel", "aria-label": "Log" },
      h(
        "div",
        { class: "log-bar" },
        h("div", { class: "segments", role: "group", "aria-label": "Stream" },
          this.streams.map(({ node }) => node)),
        h("div", { class: "log-search", role: "search" },
          this.input, this.exact, this.expression, this.previous, this.next, this.only, this.found),
        h("div", { class: "log-tools" },
          this.wrap, this.times, this.pause, this.download, this.clear),
      ),
      this.problem,
      this.place,
      h("div", { class: "log-foot" }, this.status, this.missing),
    );
    this.#shown = this.#make();
    this.#open();
    this.#ticking = setInterval(() => this.#tell(), 500);
  }

  /**
   * Show the other stream.
   * @param {StreamName} stream
   */
  choose(stream) {
    if (stream !== this.stream) {
      this.stream = stream;
      this.#close();
      this.#shown = this.#make();
      this.#open();
      this.onStream(stream);
    }
  }

  /**
   * Note in the log what happened to the process.
   * @param {string} text
   */
  note(text) {
    if (this.#shown.line.state.kind === "live") {
      this.#shown.model.note(text, this.now());
      this.#onLines();
    }
  }

  /** There is a process again whose log was refused. */
  tryAgain() {
    if (this.#shown.line.state.kind === "refused") {
      this.#shown.line.resume();
    }
  }

  focusSearch() {
    this.input.focus();
    this.input.select();
  }

  /** Who may do what has changed. */
  refresh() {
    const refusal = this.refusal();
    this.clear.disabled = refusal !== "";
    setAttribute(this.clear, "title", refusal || "Empty stdout and stderr of this process");
  }

  close() {
    clearInterval(this.#ticking);
    this.#close();
  }

  #make() {
    const { name, stream } = this;
    const model = new LogModel();
    const search = new LogSearch(model, {
      onChange: () => this.#onFound(),
      finderOf: patientFinder,
    });
    const view = new LogView({
      model,
      search,
      label: `${stream} of ${name}`,
      onChange: () => this.#tell(),
    });
    const line = new LogStream({
      name, stream, model, now: this.now, onChange: () => this.#onLines(),
    });
    return { model, search, view, line };
  }

  #open() {
    const { stream } = this;
    const { view, line } = this.#shown;
    for (const { one, node } of this.streams) {
      setAttribute(node, "aria-pressed", String(one === stream));
    }
    this.download.href = `${line.path}/download`;
    this.download.setAttribute("aria-label", `Download all of ${stream}`);
    replace(this.place, view.node, this.empty, this.toEnd);
    this.isPaused = false;
    this.#problemShown = "";
    this.#show();
    this.#filter();
    this.refresh();
    this.#look();
    line.start();
  }

  #close() {
    clearTimeout(this.#typing);
    this.#shown.line.close();
    this.#shown.search.close();
    this.#shown.view.close();
  }

  // -- lines ------------------------------------------------------------------------------------

  #onLines() {
    this.#shown.search.update();
    // Somebody reads: what is read must not be pushed out by what comes.
    if (!this.#shown.view.isFollowing && this.#shown.model.isFull && this.#shown.line.state.kind === "live") {
      this.#shown.line.hold();
    }
    this.#shown.view.draw();
    this.#tell();
  }

  #pauseOrGoOn() {
    this.isPaused = !this.isPaused;
    if (this.isPaused) {
      this.#shown.line.hold();
    } else {
      this.#shown.line.resume();
      this.#shown.view.follow();
    }
    this.#tell();
  }

  #toEnd() {
    this.isPaused = false;
    this.#shown.view.follow();
    this.#goOn();
    this.#shown.view.node.focus({ preventScroll: true });
  }

  #goOn() {
    if (this.#shown.line.state.kind === "held" && !this.isPaused) {
      this.#shown.line.resume();
    }
  }

  async #clear() {
    const agreed = await confirm({
      title: `Clear the logs of ${this.name}?`,
      body: [h("p", {}, "Stdout and stderr are emptied, in memory and on disk.")],
      confirm: "Clear",
      danger: true,
    });
    if (!agreed) {
      return;
    }
    try {
      /** @type {ActionResponse} */
      const { results } = await post("/api/v1/logs/clear", { names: [this.name] });
      const failed = results.find(({ result }) => result !== "ok");
      if (failed) {
        notice("The logs were not cleared", "bad", h("p", {}, failed.reason));
        return;
      }
      this.#shown.model.clear();
      this.#look();
      this.#shown.view.follow();
      this.#onLines();
      notice("Cleared the logs", "good");
    } catch (error) {
      notice("The logs were not cleared", "bad", problemText(asProblem(error)));
    }
  }

  #show() {
    const isWrapped = isOn(this.wrap);
    const hasTimes = isOn(this.times);
    keep(WRAP, isWrapped ? "yes" : "no");
    keep(TIMES, hasTimes ? "yes" : "no");
    this.#shown.view.set({ isWrapped, hasTimes });
  }

  // -- searching --------------------------------------------------------------------------------

  #onTyping() {
    clearTimeout(this.#typing);
    this.#typing = setTimeout(() => this.#look(), TYPING);
  }

  #look() {
    this.#shown.view.current = null;
    this.#shown.search.set({
      text: this.input.value,
      isExpression: isOn(this.expression),
      isExact: isOn(this.exact),
    });
    this.#filter();
  }

  #filter() {
    this.#shown.view.set({ isFiltered: isOn(this.only) });
    if (this.#shown.view.isFollowing) {
      this.#shown.view.follow();
    }
  }

  #onFound() {
    this.#shown.view.draw();
    this.#tellFound();
  }

  /** @param {KeyboardEvent} event */
  #onSearchKey(event) {
    if (event.key === "Enter") {
      event.preventDefault();
      this.#go(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape" && this.input.value !== "") {
      event.preventDefault();
      event.stopPropagation();
      this.input.value = "";
      this.#look();
    }
  }

  /** @param {1 | -1} step */
  #go(step) {
    const { count } = this.#shown.search;
    if (count === 0) {
      return;
    }
    const { current, isFollowing } = this.#shown.view;
    let index;
    if (current === null) {
      // Whoever looks at the end looks for what was last.
      index = isFollowing ? count - 1 : this.#shown.search.indexOf(this.#shown.view.topLine);
    } else {
      const at = this.#shown.search.indexOf(current);
      const isThere = this.#shown.search.numberAt(at) === current;
      index = step === 1 && !isThere ? at : at + step;
    }
    const number = this.#shown.search.numberAt((index + count) % count);
    if (number !== undefined) {
      this.#shown.view.show(number);
      this.#tellFound();
    }
  }

  // -- telling ----------------------------------------------------------------------------------

  #tellFound() {
    const search = this.#shown.search;
    const { count } = search;
    this.previous.disabled = this.next.disabled = count === 0;
    this.found.classList.toggle("bad", search.problem !== "");
    if (!search.isOn) {
      setText(this.found, "");
    } else if (search.problem) {
      setText(this.found, search.problem);
    } else if (count === 0) {
      setText(this.found, search.isBusy ? "searching…" : "no matches");
    } else {
      const { current } = this.#shown.view;
      const at = current === null ? -1 : search.indexOf(current);
      const isThere = at >= 0 && search.numberAt(at) === current;
      const lines = counted(count, "line");
      setText(this.found, isThere ? `${(at + 1).toLocaleString("en")} of ${lines}` : lines);
    }
  }

  #tell() {
    const { state } = this.#shown.line;
    const view = this.#shown.view;
    if (view.isFollowing) {
      this.#goOn();
    }
    setText(this.pause, this.isPaused ? "Resume" : "Pause");
    setAttribute(this.pause, "class", this.isPaused ? "primary" : null);
    this.node.dataset.state = this.isPaused ? "paused" : state.kind;
    setText(this.status, this.#words());
    setText(this.missing, this.#missingWords());
    const isBehind = !view.isFollowing;
    this.toEnd.hidden = !isBehind || this.isPaused;
    if (isBehind) {
      const isHeld = state.kind === "held";
      const unseen = view.unseen;
      const words = unseen > 0 ? counted(unseen, "new line") : "To the end";
      setText(this.toEnd, `↓ ${words}${isHeld ? ", and more waits" : ""}`);
    }
    this.#showEmpty();
    this.#showProblem();
  }

  #showEmpty() {
    const { line, model, search } = this.#shown;
    const isOut = isOn(this.only) && search.isOn && search.count === 0 && !search.isBusy;
    this.empty.hidden = line.state.kind !== "live" || !(model.length === 0 || isOut);
    setText(this.empty, model.length === 0 ? `Nothing on ${this.stream} yet.` : "No line matches.");
  }

  #words() {
    const { state } = this.#shown.line;
    const lines = counted(this.#shown.model.length, "line");
    if (this.isPaused) {
      return `Paused · ${lines}`;
    }
    switch (state.kind) {
      case "connecting":
        return "Connecting…";
      case "held":
        return `Held, so that what you read stays · ${lines}`;
      case "live":
        return `${this.#shown.view.isFollowing ? "Following" : "Not following"} · ${lines}`;
      case "lost": {
        const left = Math.max(0, Math.ceil(state.retryAt - Date.now() / 1000));
        return `Connection lost, trying again ${left > 0 ? `in ${left} s` : "now"} · ${lines}`;
      }
      case "refused":
        return "";
    }
  }

  #missingWords() {
    const { first, missing } = this.#shown.model;
    const words = [];
    for (const [why, count] of missing) {
      words.push(`${bytes(count)} ${why} and are not shown`);
    }
    if (first > 0) {
      words.push(`${counted(first, "older line")} let go`);
    }
    return words.join(" · ");
  }

  #showProblem() {
    const { state } = this.#shown.line;
    const problem = state.kind === "refused" ? state.problem : null;
    const key = problem?.detail ?? "";
    if (key !== this.#problemShown) {
      this.#problemShown = key;
      this.problem.hidden = problem === null;
      this.place.hidden = problem !== null;
      if (problem === null) {
        replace(this.problem);
      } else if (problem.code === "no_log") {
        replace(this.problem, h("div", { class: "nothing" }, h("p", {}, problem.detail),
          h("p", {}, problem.hint)));
      } else {
        replace(this.problem, problemPanel(problem, {
          title: "The log can't be shown", retry: () => this.#shown.line.resume(),
        }));
      }
    }
  }
}

/**
 * @param {string} text
 * @param {string} label its name, which has to have the text in it if that is words
 * @param {() => void} onChange
 * @param {boolean} [pressed]
 * @returns {HTMLButtonElement}
 */
function toggle(text, label, onChange, pressed = false) {
  const node = h(
    "button",
    {
      type: "button",
      class: "toggle",
      "aria-pressed": String(pressed),
      "aria-label": label,
      title: label,
      onclick: () => {
        node.setAttribute("aria-pressed", String(!isOn(node)));
        onChange();
      },
    },
    text,
  );
  return node;
}

/** @param {HTMLButtonElement} node */
function isOn(node) {
  return node.getAttribute("aria-pressed") === "true";
}
