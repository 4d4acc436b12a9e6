// @ts-check
/** The few signs on buttons. Each has a name in words beside it, or as its label. */

import { svg } from "./dom.js";

const PATHS = {
  start: "M4.5 3l8 5-8 5z",
  stop: "M4 4h8v8H4z",
  restart: "M12.5 5.5A5 5 0 1 0 13 8M13 2.5v3.2H9.8",
  open: "M4.5 6.5L8 10l3.5-3.5",
  closed: "M6.5 4.5L10 8l-3.5 3.5",
  up: "M8 12.5v-9M4.5 7L8 3.5 11.5 7",
  down: "M8 3.5v9M4.5 9L8 12.5 11.5 9",
  help: "M5.8 6a2.2 2.2 0 1 1 3.2 2c-.7.4-1 .8-1 1.6M8 11.9v.5",
};

/**
 * @param {keyof typeof PATHS} name
 * @returns {SVGElement}
 */
export function icon(name) {
  return svg("svg", { viewBox: "0 0 16 16", class: `icon ${name}`, "aria-hidden": "true" },
    svg("path", { d: PATHS[name] }));
}
