// @ts-check
/** The runs of a process: a strip of how long each lasted, and a post-mortem of each. */

import { h, replace } from "./dom.js";
import { ago, bytes, duration, exactly, moment, shortDuration } from "./format.js";

/** @typedef {import("../wire").Run} Run */
/** @typedef {import("../wire").ProcessStatus} ProcessStatus */

/**
 * Widths of runs, beside each other: a day must not make a second invisible.
 * @param {number} uptime in seconds
 * @returns {number}
 */
export function weight(uptime) {
  return 1 + Math.log2(1 + Math.max(0, uptime));
}

/**
 * What a run is known by, for as long as it is kept.
 * @param {Run} run
 */
export function keyOf(run) {
  return `${run.started_at} ${run.ended_at} ${run.pid}`;
}

/**
 * How a run ended, in a few words.
 * @param {Run} run
 */
export function endOf(run) {
  return run.outcome || "never started";
}

/**
 * What somebody reads of a post-mortem first, as a sentence.
 * @param {Run} run
 * @param {number} now
 */
export function sentence(run, now) {
  const ran = run.pid === 0 ? "" : ` after ${duration(run.uptime)}`;
  return `${endOf(run)}${ran}, ${ago(run.ended_at, now)}`;
}

/**
 * Since when every end is among these runs; 0 if it always is. There were more where more starts
 * are counted.
 * @param {ProcessStatus | null} status
 * @param {Run[]} runs newest first
 */
export function endsKnownFrom(status, runs) {
  const oldest = runs.at(-1);
  if (status === null || oldest === undefined) {
    return 0;
  }
  const known = runs.filter(({ pid }) => pid !== 0).length;
  const ended = status.starts - (status.pid === 0 ? 0 : 1);
  const isWhole = ended <= known && status.failed_starts <= runs.length;
  return isWhole ? 0 : oldest.started_at || oldest.ended_at;
}

/**
 * The strip: the oldest run first, the present one last.
 * @param {Run[]} runs newest first
 * @param {ProcessStatus} status
 * @param {number} now
 * @param {(run: Run) => void} onPick
 * @returns {HTMLElement}
 */
export function strip(runs, status, now, onPick) {
  const blocks = [...runs].reverse().map((run) => {
    const began = moment(run.started_at, now);
    const length = run.pid === 0 ? "not started" : `ran ${duration(run.uptime)}`;
    const node = h(
      "button",
      {
        type: "button",
        class: `run-block ${run.expected ? "idle" : "bad"}`,
        title: `${began}: ${length}, ${endOf(run)}`,
        onclick: () => onPick(run),
      },
      run.pid === 0 ? "✕" : shortDuration(run.uptime),
      h("span", { class: "unseen" }, `, began ${began}, ${endOf(run)}`),
    );
    node.style.flexGrow = String(weight(run.uptime));
    return h("li", {}, node);
  });
  blocks.forEach((node, index) => {
    const run = runs[runs.length - 1 - index];
    node.style.flexGrow = String(weight(run?.uptime ?? 0));
  });
  if (status.pid !== 0) {
    const uptime = now - status.started_at;
    const text = h("span", { class: "run-block good" }, shortDuration(uptime));
    const node = h("li", { class: "run-now" }, text, h("span", { class: "unseen" }, " now"));
    node.style.flexGrow = String(weight(uptime));
    blocks.push(node);
  }
  return h("div", { class: "run-history" }, h("span", { class: "muted" }, "Last runs"),
    h("ol", { class: "run-strip", "aria-label": "Runs, the oldest first" }, blocks));
}

/** The list of runs. What somebody has opened stays open when another run comes. */
export class RunList {
  /** @type {Map<string, HTMLDetailsElement>} */
  #nodes = new Map();

  constructor() {
    this.list = h("div", { class: "run-list" });
    this.node = h("div", {}, this.list);
  }

  /**
   * @param {Run[]} runs newest first
   * @param {number} now
   */
  update(runs, now) {
    /** @type {Map<string, HTMLDetailsElement>} */
    const kept = new Map();
    for (const run of runs) {
      const key = keyOf(run);
      kept.set(key, this.#nodes.get(key) ?? runNode(run, now));
    }
    this.#nodes = kept;
    if (runs.length === 0) {
      replace(this.list, h("p", { class: "nothing" },
        "No run has ended since opsvisord knows this process."));
      return;
    }
    const nodes = [...kept.values()];
    const { children } = this.list;
    if (nodes.length !== children.length || nodes.some((one, at) => one !== children[at])) {
      replace(this.list, nodes);
    }
    runs.forEach((run) => {
      const when = kept.get(keyOf(run))?.querySelector("[data-when]");
      if (when) {
        when.textContent = ago(run.ended_at, now);
      }
    });
  }

  /**
   * Open a post-mortem and bring it into view.
   * @param {Run} run
   */
  open(run) {
    const node = this.#nodes.get(keyOf(run));
    if (node) {
      node.open = true;
      node.scrollIntoView({ block: "nearest" });
      node.querySelector("summary")?.focus({ preventScroll: true });
    }
  }
}

/**
 * @param {Run} run
 * @param {number} now
 * @returns {HTMLDetailsElement}
 */
function runNode(run, now) {
  const tone = run.expected ? "idle" : "bad";
  return h(
    "details",
    { class: "run" },
    h("summary", {},
      h("span", { class: `run-end ${tone}` }, endOf(run)),
      h("span", { class: "run-when", title: exactly(run.ended_at) },
        h("span", {}, moment(run.ended_at, now)),
        h("span", { class: "muted", "data-when": true }, ago(run.ended_at, now))),
      h("span", {}, run.pid === 0 ? "" : `ran ${duration(run.uptime)}`),
      h("span", { class: "run-decision" }, run.decision)),
    h("div", { class: "post-mortem" },
      facts([
        ["How it ended", `${endOf(run)}${run.core_dumped ? " (core dumped)" : ""}`],
        ["Cause", causeWords(run.cause)],
        ["Expected", run.expected ? "yes" : "no"],
        ["What followed", run.decision],
        ["Began", run.pid === 0 ? "never" : exactly(run.started_at)],
        ["Ended", exactly(run.ended_at)],
        ["PID", run.pid === 0 ? "none" : String(run.pid)],
        ["CPU", `${duration(run.user_seconds)} in the program, `
          + `${duration(run.system_seconds)} in the kernel`],
        ["Most memory", run.max_rss_bytes ? bytes(run.max_rss_bytes) : "not known"],
      ]),
      lastWords("Last lines of stderr", run.stderr_tail),
      lastWords("Last lines of stdout", run.stdout_tail),
      run.stderr_tail.length + run.stdout_tail.length === 0
        && h("p", { class: "muted" }, run.expected
          ? "Its last lines are kept only of ends that were not expected; the log has them."
          : "It said nothing in this run.")),
  );
}

/**
 * @param {string} title
 * @param {string[]} lines
 */
export function lastWords(title, lines) {
  return lines.length > 0 && h("div", { class: "last-words" },
    h("h3", {}, title),
    h("pre", { tabindex: "0", "aria-label": title }, lines.join("\n")));
}

/**
 * @param {[string, string][]} pairs
 */
function facts(pairs) {
  return h("dl", { class: "facts" },
    pairs.filter(([, value]) => value !== "").map(([name, value]) =>
      h("div", {}, h("dt", {}, name), h("dd", {}, value))));
}

/** @param {string} cause */
function causeWords(cause) {
  return cause.replaceAll("_", " ");
}
