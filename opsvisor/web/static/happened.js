// @ts-check
/** What happened to a process lately, and who asked for it. */

import { h, replace } from "./dom.js";
import { ago, exactly, moment } from "./format.js";
import { toneOf } from "./marks.js";

/** @typedef {import("../wire").Event} Happening */

/**
 * What an event says on the page of its process, where the name need not be repeated.
 * @param {Happening} event
 * @returns {string}
 */
export function words({ process, text }) {
  return text.startsWith(`${process}: `) ? text.slice(process.length + 2) : text;
}

export class Happened {
  #key = "";

  constructor() {
    this.list = h("ol", { class: "happenings", "aria-label": "What happened, newest first" });
    this.node = h("div", {}, this.list);
  }

  /**
   * @param {Happening[]} events newest first
   * @param {number} now
   */
  update(events, now) {
    const key = `${events[0]?.id} ${events.length}`;
    if (key !== this.#key) {
      this.#key = key;
      replace(this.list, events.length > 0 ? events.map((event) => node(event, now))
        : h("li", { class: "nothing" }, "The daemon remembers nothing of it."));
    }
    events.forEach((event, index) => {
      const when = this.list.children[index]?.querySelector(".happened-ago");
      if (when) {
        when.textContent = ago(event.at, now);
      }
    });
  }
}

/**
 * @param {Happening} event
 * @param {number} now
 */
function node(event, now) {
  const state = event.kind === "state_changed" ? String(event.detail.new) : "";
  const tone = event.kind === "control_action" ? "action" : state ? toneOf(state) : "";
  return h("li", { class: `happened ${tone}` },
    h("span", { title: exactly(event.at) }, moment(event.at, now)),
    h("span", { class: "happened-ago muted" }, ago(event.at, now)),
    h("span", { class: "happened-text" }, words(event)));
}
