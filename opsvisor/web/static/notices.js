// @ts-check
/**
 * What became of something that was asked for, in a corner of the page until somebody has seen it.
 * A success goes by itself; a failure stays.
 */

import { h, replace } from "./dom.js";

/** @typedef {import("./api.js").Problem} Problem */

const STAYS = 8;
const MOST = 5;

/** @type {HTMLElement | null} */
let place = null;

/**
 * Put the place for notices into the document.
 *
 * @param {HTMLElement} parent
 */
export function mountNotices(parent) {
  place = h("section", { class: "notices", "aria-label": "Results" });
  parent.append(place);
}

/**
 * @typedef {object} Notice
 * @property {(title: string, tone: "good" | "bad" | "busy", ...details: (Node | string)[]) => void}
 *   say say something else instead
 * @property {() => void} close
 */

/**
 * Say something. What is busy says so until it is told otherwise.
 *
 * @param {string} title
 * @param {"good" | "bad" | "busy"} tone
 * @param {...(Node | string)} details
 * @returns {Notice}
 */
export function notice(title, tone, ...details) {
  const node = h("div", {});
  /** @type {number | undefined} */
  let going;
  const close = () => {
    clearTimeout(going);
    node.remove();
  };
  /** @type {Notice["say"]} */
  const say = (title, tone, ...details) => {
    clearTimeout(going);
    node.className = `notice ${tone}`;
    // A failure interrupts a screen reader, a success waits for its turn.
    node.setAttribute("role", tone === "bad" ? "alert" : "status");
    replace(
      node,
      h("div", { class: "notice-head" },
        h("strong", {}, title),
        h("button", { type: "button", class: "quiet", "aria-label": "Dismiss", onclick: close }, "×")),
      details,
    );
    if (tone === "good") {
      going = setTimeout(close, STAYS * 1000);
    }
  };
  say(title, tone, ...details);
  place?.append(node);
  while (place && place.childElementCount > MOST) {
    place.firstElementChild?.remove();
  }
  return { say, close };
}

/**
 * What a Problem says: what, the hint, and each thing wrong in a configuration, with its place.
 *
 * @param {Problem} problem
 * @returns {HTMLElement}
 */
export function problemText(problem) {
  return h(
    "div",
    { class: "problem" },
    h("p", {}, problem.detail),
    problem.problems.length > 0 && problemList(problem.problems),
    problem.hint && h("p", { class: "hint" }, `Hint: ${problem.hint}`),
  );
}

/**
 * Things wrong in configuration files, each with its place and hint.
 *
 * @param {import("../wire").ConfigProblem[]} problems
 * @returns {HTMLElement}
 */
export function problemList(problems) {
  return h(
    "ul",
    { class: "config-problems" },
    problems.map(({ file, line, what, hint }) =>
      h("li", {},
        h("code", {}, line ? `${file}:${line}` : file), ` ${what}`,
        hint && h("p", { class: "hint" }, `Hint: ${hint}`)),
    ),
  );
}

/**
 * Show a Problem where it belongs: in the part of the page that could not do its work.
 *
 * @param {Problem} problem
 * @param {{title: string, retry?: () => void}} shown
 * @returns {HTMLElement}
 */
export function problemPanel(problem, { title, retry }) {
  return h(
    "div",
    { class: "panel problem-panel", role: "alert" },
    h("h2", {}, title),
    problemText(problem),
    retry && h("button", { type: "button", onclick: retry }, "Try again"),
  );
}
