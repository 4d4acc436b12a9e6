// @ts-check
/**
 * Which rows the overview has, in which order. Pure: processes in, rows out.
 */

import { rankOf } from "./states.js";

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {import("./store.js").Series} Series */
/** @typedef {"worst" | "name" | "state" | "since" | "restarts" | "cpu" | "memory"} SortKey */
/** @typedef {{key: SortKey, descending: boolean}} Order */

/**
 * A row: the head of a group, or a process.
 *
 * @typedef {{kind: "group", key: string, name: string, members: ProcessStatus[], isOpen: boolean,
 *     isTrouble: boolean}
 *   | {kind: "process", key: string, process: ProcessStatus}} Row
 */

/** The group at the top, of all that is wrong. No group of a configuration has such a name. */
export const TROUBLE = "\0trouble";
/** The group of those that have none: they are alone in a group of their own name. */
export const SINGLE = "\0single";

/** @typedef {(process: ProcessStatus) => {cpu: number | null, rss: number | null}} UsageOf */

/** @type {Record<SortKey, (process: ProcessStatus, usageOf: UsageOf) => number | string>} */
const VALUES = {
  worst: rankOf,
  name: (process) => process.name,
  state: (process) => process.state,
  since: (process) => process.since,
  restarts: (process) => process.restarts,
  cpu: (process, usageOf) => usageOf(process).cpu ?? -1,
  memory: (process, usageOf) => usageOf(process).rss ?? -1,
};

/** Names as people count: web_10 comes after web_9. */
export const byName = new Intl.Collator("en", { numeric: true });

/**
 * @param {Order} order
 * @param {UsageOf} usageOf
 * @returns {(a: ProcessStatus, b: ProcessStatus) => number}
 */
function comparison({ key, descending }, usageOf) {
  const value = VALUES[key];
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const [one, other] = [value(a, usageOf), value(b, usageOf)];
    const difference = typeof one === "number" && typeof other === "number"
      ? one - other
      : byName.compare(String(one), String(other));
    return sign * difference || byName.compare(a.name, b.name);
  };
}

/**
 * The rows: what is wrong first, then group by group; or in the order of a column, one list.
 *
 * @param {ProcessStatus[]} processes those that the filter lets through
 * @param {{order: Order, closed: Set<string>, usageOf: UsageOf}} view
 * @returns {Row[]}
 */
export function rowsOf(processes, { order, closed, usageOf }) {
  const compare = comparison(order, usageOf);
  if (order.key !== "worst") {
    return [...processes].sort(compare).map(processRow);
  }
  const wrong = processes.filter((process) => rankOf(process) > 0).sort(compare);
  /** @type {Map<string, ProcessStatus[]>} */
  const groups = new Map();
  for (const process of processes) {
    if (rankOf(process) === 0) {
      const group = process.name === process.group ? SINGLE : process.group;
      const members = groups.get(group);
      if (members) {
        members.push(process);
      } else {
        groups.set(group, [process]);
      }
    }
  }
  const single = groups.get(SINGLE);
  if (single && groups.size === 1 && wrong.length === 0) {
    return single.sort(compare).map(processRow); // one list needs no head
  }
  groups.delete(SINGLE);
  const rows = wrong.length > 0 ? groupRows(TROUBLE, wrong, closed) : [];
  for (const name of [...groups.keys()].sort(byName.compare)) {
    rows.push(...groupRows(name, (groups.get(name) ?? []).sort(compare), closed));
  }
  return single ? [...rows, ...groupRows(SINGLE, single.sort(compare), closed)] : rows;
}

/**
 * @param {string} name
 * @param {ProcessStatus[]} members
 * @param {Set<string>} closed
 * @returns {Row[]}
 */
function groupRows(name, members, closed) {
  const isOpen = !closed.has(name);
  /** @type {Row} */
  const head = { kind: "group", key: `group ${name}`, name, members, isOpen, isTrouble: name === TROUBLE };
  return isOpen ? [head, ...members.map(processRow)] : [head];
}

/**
 * @param {ProcessStatus} process
 * @returns {Row}
 */
function processRow(process) {
  return { kind: "process", key: `process ${process.name}`, process };
}
