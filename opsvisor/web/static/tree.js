// @ts-check
/** Who runs for a process: its tree, and what each member uses. */

import { h, replace } from "./dom.js";
import { bytes, cores, counted } from "./format.js";

/** @typedef {import("../wire").TreeMember} TreeMember */
/** @typedef {{member: TreeMember, depth: number}} Place */

const DEEPEST = 12; // levels that are indented

/**
 * All members, each after its parent and with its depth. A parent that is none of them, or that
 * is its own descendant (pids are used again while we look), makes a member stand at the top.
 * @param {TreeMember[]} members
 * @returns {Place[]}
 */
export function ordered(members) {
  const known = new Set(members.map(({ pid }) => pid));
  /** @type {Map<number, TreeMember[]>} */
  const children = new Map();
  const tops = [];
  for (const member of members) {
    if (known.has(member.parent) && member.parent !== member.pid) {
      children.set(member.parent, [...(children.get(member.parent) ?? []), member]);
    } else {
      tops.push(member);
    }
  }
  /** @type {Place[]} */
  const found = [];
  const seen = new Set();
  const walk = (/** @type {TreeMember[]} */ begin) => {
    const stack = begin.map((member) => ({ member, depth: 0 })).reverse();
    for (let place = stack.pop(); place; place = stack.pop()) {
      if (seen.has(place.member.pid)) {
        continue;
      }
      seen.add(place.member.pid);
      found.push(place);
      const below = children.get(place.member.pid) ?? [];
      for (const member of [...below].reverse()) {
        stack.push({ member, depth: place.depth + 1 });
      }
    }
  };
  walk(tops);
  walk(members); // what hangs in a circle
  return found;
}

export class Tree {
  /** @type {Map<number, number>} CPU seconds at the last look */
  #before = new Map();
  #at = 0;

  constructor() {
    this.body = h("tbody", {});
    this.summary = h("p", { class: "muted", role: "status" });
    this.node = h("div", { class: "tree" },
      h("div", { class: "tab-bar" }, this.summary),
      h("div", { class: "table-place" },
        h("table", {},
          h("caption", { class: "unseen" }, "Process tree"),
          h("thead", {}, h("tr", {},
            h("th", { scope: "col" }, "PID"), h("th", { scope: "col" }, "Command"),
            h("th", { scope: "col", class: "number" }, "CPU"),
            h("th", { scope: "col", class: "number" }, "CPU time"),
            h("th", { scope: "col", class: "number" }, "Memory"))),
          this.body)));
  }

  /**
   * @param {TreeMember[]} members
   * @param {number} at when it was looked, in seconds
   */
  update(members, at) {
    const since = at - this.#at;
    const before = this.#before;
    this.#before = new Map(members.map(({ pid, cpu_seconds }) => [pid, cpu_seconds]));
    this.#at = at;
    this.summary.textContent = members.length === 0
      ? "Nothing runs for it." : `${counted(members.length, "process", "processes")}, `
        + `${bytes(members.reduce((sum, one) => sum + one.rss_bytes, 0))} in memory`;
    replace(this.body, ordered(members).map(({ member, depth }) => {
      const earlier = before.get(member.pid);
      const used = earlier === undefined || since <= 0
        ? null : Math.max(0, member.cpu_seconds - earlier) / since;
      const command = h("td", {},
        depth > 0 && h("span", { class: "tree-branch", "aria-hidden": "true" }, "└ "),
        h("code", {}, member.command || "(no command line)"));
      command.style.paddingLeft = `${10 + 16 * Math.min(Math.max(0, depth - 1), DEEPEST)}px`;
      return h("tr", {},
        h("td", {}, member.pid), command,
        h("td", { class: "number" }, cores(used)),
        h("td", { class: "number" }, `${member.cpu_seconds.toFixed(1)} s`),
        h("td", { class: "number" }, bytes(member.rss_bytes)));
    }));
  }
}
