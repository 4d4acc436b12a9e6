// @ts-check
/**
 * Lines that come as things happen: looked through as one types, held while one reads. What is
 * kept is bounded, however much comes.
 */

import { asProblem, open } from "./api.js";
import { h, replace, setText } from "./dom.js";
import { counted } from "./format.js";
import { problemText } from "./notices.js";
import { messagesOf } from "./sse.js";

/** @typedef {import("./sse.js").Message} Message */
/** @typedef {{node: HTMLElement, text: string}} Line what is shown, and what is searched */

const MOST = 500;
const FIRST_DELAY = 1000;
const LONGEST_DELAY = 15000;
/** Pixels from the end within which somebody is at the end. */
const NEAR = 24;

export class Feed {
  /** @type {(Line & {isNew: boolean})[]} */
  #lines = [];
  #isPaused = false;
  #since = 0;
  #line = new AbortController();
  #lastId = "";
  #failures = 0;
  /** @type {number | undefined} */
  #again;

  /**
   * @param {object} told
   * @param {string} told.label
   * @param {string} told.path
   * @param {(message: Message) => Line[]} told.linesOf
   * @param {string} told.empty what is said as long as there is nothing
   */
  constructor({ label, path, linesOf, empty }) {
    this.path = path;
    this.linesOf = linesOf;
    this.list = h("ol", { class: "feed-lines", tabindex: "0", "aria-label": label });
    this.filter = h("input", {
      type: "search", "aria-label": `Filter ${label.toLowerCase()}`, placeholder: "Filter",
      autocomplete: "off", spellcheck: "false", oninput: () => this.#sift(),
    });
    this.pause = h("button", { type: "button", onclick: () => this.#pauseOrGoOn() }, "Pause");
    this.state = h("div", { class: "feed-state", role: "status" });
    this.empty = h("p", { class: "feed-empty muted" }, empty);
    this.node = h("section", { class: "panel feed", "aria-label": label },
      h("div", { class: "panel-head" }, h("h2", {}, label), this.filter, this.pause),
      this.state, this.empty, this.list);
    void this.#follow();
  }

  unmount() {
    clearTimeout(this.#again);
    this.#line.abort();
  }

  /** Ask again at once: who we are may have changed, or the daemon is back. */
  tryNow() {
    if (this.#failures > 0) {
      clearTimeout(this.#again);
      void this.#follow();
    }
  }

  async #follow() {
    this.#line.abort();
    const line = new AbortController();
    this.#line = line;
    try {
      /** @type {Record<string, string>} */
      const headers = this.#lastId ? { "Last-Event-ID": this.#lastId } : {};
      const response = await open(this.path, { signal: line.signal, headers });
      this.#failures = 0;
      replace(this.state);
      this.list.hidden = false;
      this.empty.hidden = this.#lines.length > 0;
      for await (const message of messagesOf(response)) {
        this.#lastId = message.id ?? this.#lastId;
        this.#add(this.linesOf(message));
      }
      this.#retry(line, null);
    } catch (error) {
      this.#retry(line, asProblem(error));
    }
  }

  /**
   * @param {AbortController} line
   * @param {import("./api.js").Problem | null} problem
   */
  #retry(line, problem) {
    if (line !== this.#line || line.signal.aborted) {
      return;
    }
    if (problem && problem.status !== 0) {
      replace(this.state, problemText(problem));
      if (problem.status < 500 && problem.status !== 429) {
        this.list.hidden = this.empty.hidden = true;
        return; // it will be no other answer
      }
    }
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures);
    this.#failures += 1;
    this.#again = setTimeout(() => void this.#follow(), delay);
  }

  /** @param {Line[]} lines */
  #add(lines) {
    if (lines.length === 0) {
      return;
    }
    this.empty.hidden = true;
    const { list } = this;
    const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < NEAR;
    for (const line of lines) {
      this.#lines.push({ ...line, isNew: this.#isPaused });
      line.node.hidden = !this.#isWanted(line.text);
    }
    if (this.#isPaused) {
      this.#since += lines.length;
      setText(this.pause, `Continue (${counted(this.#since, "line")} more)`);
    } else {
      list.append(...lines.map(({ node }) => node));
    }
    while (this.#lines.length > MOST) {
      this.#lines.shift()?.node.remove();
    }
    if (isAtEnd && !this.#isPaused) {
      list.scrollTop = list.scrollHeight;
    }
  }

  #pauseOrGoOn() {
    this.#isPaused = !this.#isPaused;
    this.#since = 0;
    setText(this.pause, this.#isPaused ? "Continue" : "Pause");
    if (!this.#isPaused) {
      for (const line of this.#lines) {
        if (line.isNew) {
          line.isNew = false;
          this.list.append(line.node);
        }
      }
      this.list.scrollTop = this.list.scrollHeight;
    }
  }

  #sift() {
    for (const { node, text } of this.#lines) {
      node.hidden = !this.#isWanted(text);
    }
    this.list.scrollTop = this.list.scrollHeight;
  }

  /** @param {string} text */
  #isWanted(text) {
    const wanted = this.filter.value.toLowerCase().split(/\s+/);
    const where = text.toLowerCase();
    return wanted.every((word) => where.includes(word));
  }
}
