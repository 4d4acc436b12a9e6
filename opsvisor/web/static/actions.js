// @ts-check
/** Start, stop, restart, signal: asked, where that destroys something, and told what became of it. */

import { asProblem, post } from "./api.js";
import { confirm } from "./dialogs.js";
import { h } from "./dom.js";
import { counted } from "./format.js";
import { notice, problemText } from "./notices.js";
import { byName } from "./rows.js";

/** @typedef {import("../wire").ActionResult} ActionResult */
/** @typedef {import("../wire").ActionResponse} ActionResponse */
/** @typedef {"start" | "stop" | "restart" | "signal"} Action */

/** @type {Record<Action, {verb: string, doing: string, done: string}>} */
const WORDS = {
  start: { verb: "Start", doing: "Starting", done: "Started" },
  stop: { verb: "Stop", doing: "Stopping", done: "Stopped" },
  restart: { verb: "Restart", doing: "Restarting", done: "Restarted" },
  signal: { verb: "Signal", doing: "Signalling", done: "Signalled" },
};

/** The signals that people send by hand. */
export const SIGNALS = ["HUP", "USR1", "USR2", "INT", "QUIT", "TERM", "KILL", "STOP", "CONT", "WINCH"];

const MOST_NAMED = 12;

/**
 * Do something to processes, and show what becomes of it. All but `start` is confirmed first.
 *
 * @param {Action} action
 * @param {string[]} names
 * @param {{signal?: string}} [more]
 * @returns {Promise<ActionResult[] | null>} null if it was not done
 */
export async function act(action, names, { signal } = {}) {
  const { verb, doing } = WORDS[action];
  const what = names.length === 1 ? names[0] ?? "" : counted(names.length, "process", "processes");
  const title = signal ? `Send SIG${signal} to ${what}` : `${verb} ${what}`;
  const why = h("input", { name: "reason", maxlength: 200, autocomplete: "off" });
  if (action !== "start") {
    const agreed = await confirm({
      title: `${title}?`,
      body: [
        explanation(action, signal, names.length),
        ...(names.length > 1 ? [nameList([...names].sort(byName.compare))] : []),
        h("label", { class: "field" }, h("span", {}, "Reason, for the audit log (optional)"), why),
      ],
      confirm: names.length === 1 ? verb : `${verb} ${counted(names.length, "process", "processes")}`,
      danger: true,
    });
    if (!agreed) {
      return null;
    }
  }
  const shown = notice(`${doing} ${what}`, "busy");
  try {
    /** @type {ActionResponse} */
    const { results } = await post(
      "/api/v1/actions", { action, names, signal: signal ?? null }, { headers: because(why.value) },
    );
    tell(shown, action, what, results);
    return results;
  } catch (error) {
    shown.say(`${title}: not done`, "bad", problemText(asProblem(error)));
    return null;
  }
}

/**
 * @param {import("./notices.js").Notice} shown
 * @param {Action} action
 * @param {string} what
 * @param {ActionResult[]} results
 */
function tell(shown, action, what, results) {
  const { verb, done } = WORDS[action];
  const failed = results.filter(({ result }) => result !== "ok");
  if (failed.length === 0) {
    shown.say(`${done} ${what}`, "good", ...(results.length > 1 ? [outcomes(results)] : []));
  } else if (results.length === 1) {
    shown.say(`${verb} ${what}: ${words(failed[0])}`, "bad", reason(failed[0]));
  } else {
    const good = results.length - failed.length;
    const title = `${verb}: ${good} of ${results.length} done, ${failed.length} not`;
    shown.say(title, "bad", outcomes(results));
  }
}

/** @param {ActionResult | undefined} result */
function words(result) {
  return (result?.result ?? "").replaceAll("_", " ");
}

/** @param {ActionResult | undefined} result */
function reason(result) {
  return h("p", {}, result?.reason ?? "");
}

/**
 * What became of each, failures first.
 *
 * @param {ActionResult[]} results
 */
export function outcomes(results) {
  const sorted = [...results].sort((a, b) =>
    Number(a.result === "ok") - Number(b.result === "ok") || byName.compare(a.name, b.name));
  const hasFailures = sorted[0]?.result !== "ok";
  return h(
    "details",
    { open: hasFailures },
    h("summary", {}, "What became of each"),
    h("ul", { class: "outcomes" },
      sorted.map((one) =>
        h("li", { class: one.result === "ok" ? "good" : "bad" },
          h("strong", {}, one.name), ` ${words(one)}`,
          one.reason && one.result !== "ok" ? `: ${one.reason}` : ""))),
  );
}

/**
 * The header by which the audit log is told why.
 *
 * @param {string} reason
 * @returns {Record<string, string>}
 */
function because(reason) {
  const text = reason.trim();
  return text ? { "Opsvisor-Reason": encodeURIComponent(text) } : {};
}

/** @param {string[]} names */
function nameList(names) {
  const more = names.length - MOST_NAMED;
  return h("ul", { class: "names" },
    names.slice(0, MOST_NAMED).map((name) => h("li", {}, name)),
    more > 0 && h("li", { class: "muted" }, `and ${more} more`));
}

/**
 * @param {Action} action
 * @param {string | undefined} signal
 * @param {number} count
 */
function explanation(action, signal, count) {
  const each = count === 1 ? "It" : "Each";
  const text = {
    start: "",
    stop: `${each} is ended with its whole process tree, and stays stopped until somebody starts it.`,
    restart: `${each} is stopped with its whole process tree, and started again.`,
    signal: signal === "KILL"
      ? `${each} gets no chance to clean up. Its restart policy decides what happens then.`
      : `What ${each.toLowerCase()} does then is up to the program.`,
  }[action];
  return h("p", {}, text);
}
