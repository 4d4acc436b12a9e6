// @ts-check
/** A finder for expressions that is ended when it takes too long. */

/** @typedef {import("./logsearch.js").Finder} Finder */

const PATIENCE = 1500; // milliseconds for a batch of lines, the start of the worker included

/**
 * @param {RegExp} expression
 * @returns {Finder}
 */
export function patientFinder(expression) {
  const worker = new Worker("/static/searchworker.js", { type: "module" });
  worker.postMessage({ source: expression.source, flags: expression.flags });
  return {
    find(batch) {
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => {
          worker.terminate();
          reject(new Error("it takes too long on these lines; try a simpler expression"));
        }, PATIENCE);
        worker.onmessage = ({ data }) => {
          clearTimeout(timer);
          resolve(data);
        };
        worker.onerror = (event) => {
          clearTimeout(timer);
          reject(new Error(event.message || "the search could not be started"));
        };
        worker.postMessage({ batch });
      });
    },
    close() {
      worker.terminate();
    },
  };
}
