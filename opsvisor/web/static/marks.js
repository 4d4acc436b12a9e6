// @ts-check
/**
 * Marks of states: a shape, a word and a colour, so that nothing is told by colour alone.
 */

import { h, svg } from "./dom.js";
import { troublesOf } from "./states.js";

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {"good" | "bad" | "warn" | "busy" | "idle"} Tone */

/** @type {Record<string, {tone: Tone, path: string}>} */
const LOOKS = {
  FATAL: { tone: "bad", path: "M2 2l8 8M10 2l-8 8" },
  BACKOFF: { tone: "warn", path: "M6 1.5L11 10.5H1z" },
  UNKNOWN: { tone: "warn", path: "M3.5 4.2a2.5 2.5 0 1 1 3.6 2.2c-.8.4-1.1.8-1.1 1.6M6 10.2v.6" },
  STARTING: { tone: "busy", path: "M3 2l7 4-7 4z" },
  STOPPING: { tone: "busy", path: "M2.5 2.5h7v7h-7z" },
  RUNNING: { tone: "good", path: "M1.5 6.5l3 3 6-7" },
  EXITED: { tone: "idle", path: "M2.5 2v8h3M6 6h5M9 4l2 2-2 2" },
  STOPPED: { tone: "idle", path: "M2.5 2.5h7v7h-7z" },
};
const OTHER = { tone: /** @type {Tone} */ ("idle"), path: "M2 6h8" };

/**
 * The tone in which a state is told.
 *
 * @param {string} state
 * @returns {Tone}
 */
export function toneOf(state) {
  return (LOOKS[state] ?? OTHER).tone;
}

/**
 * A shape for a state. It says nothing to a screen reader: the word beside it does.
 *
 * @param {string} state
 * @returns {SVGElement}
 */
export function shapeOf(state) {
  return svg(
    "svg",
    { viewBox: "0 0 12 12", class: "shape", "aria-hidden": "true" },
    svg("path", { d: (LOOKS[state] ?? OTHER).path }),
  );
}

/**
 * Shape and word of a state.
 *
 * @param {string} state
 * @returns {HTMLElement}
 */
export function stateMark(state) {
  return h("span", { class: `state ${toneOf(state)}` }, shapeOf(state), h("span", {}, state));
}

/**
 * Everything that is wrong with a process beside its state, as words in frames.
 *
 * @param {ProcessStatus} process
 * @returns {HTMLElement[]}
 */
export function troubleMarks(process) {
  return troublesOf(process)
    .filter(({ key }) => !["fatal", "backoff", "unknown"].includes(key))
    .map(({ word, rank }) => h("span", { class: `mark ${rank >= 6 ? "bad" : "warn"}` }, word));
}
