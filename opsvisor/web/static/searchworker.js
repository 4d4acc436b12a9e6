// @ts-check
/** Looks for one expression in lines, where nobody has to wait for it: see logsearch.js. */

import { findIn } from "./logsearch.js";

/** @type {RegExp | null} */
let expression = null;

/** @param {MessageEvent} event */
function onMessage({ data }) {
  if (data.source !== undefined) {
    expression = new RegExp(data.source, data.flags);
  } else if (expression !== null) {
    postMessage(findIn(expression, data.batch));
  }
}

addEventListener("message", onMessage);
