// @ts-check
/**
 * A log as it grows, taken in no faster than a page can bear.
 *
 * What is not read stays with the daemon, and what the daemon can't keep for us it counts as lost:
 * so a program that writes 50 MB/s costs this page (and the daemon) no more than one that writes 2.
 */

import { ask, asProblem, open } from "./api.js";
import { NOT_CONNECTED, STOOD_STILL, TOO_FAST } from "./logmodel.js";
import { messagesOf } from "./sse.js";

/** @typedef {import("./api.js").Problem} Problem */
/** @typedef {import("./logmodel.js").LogModel} LogModel */
/** @typedef {import("../wire").LogSaid} LogSaid */

/**
 * @typedef {{kind: "connecting"} | {kind: "live"} | {kind: "held"}
 *   | {kind: "lost", retryAt: number, problem: Problem} | {kind: "refused", problem: Problem}
 * } State
 */

const BACKLOG = 2000; // lines of what was there before, to begin with
const FIRST_DELAY = 1; // seconds
const LONGEST_DELAY = 15;
const PER_SECOND = 4_000_000; // characters
const AT_ONCE = 2_000_000;
const UNSEEN = 60_000; // milliseconds in a hidden tab: browsers have six connections for all tabs

export class LogStream {
  /** @type {State} */
  state = { kind: "connecting" };
  /** @type {AbortController | null} */
  #line = null;
  #since = 0; // microseconds: all that was written before then has come. It is what we come back with
  #offset = -Infinity; // in the log, up to where we have it
  #lost = 0; // bytes, by the daemon's count, since what came last
  #away = ""; // why nothing came, until something does
  #life = ""; // of the daemon: offsets begin anew with it
  #failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #allowance = AT_ONCE;
  #allowedAt = performance.now();
  #onVisibility = () => this.#look();

  /**
   * @param {{
   *   name: string, stream: "stdout" | "stderr", model: LogModel, now: () => number,
   *   onChange: () => void,
   * }} around `onChange` is told of new lines and of another state
   */
  constructor({ name, stream, model, now, onChange }) {
    this.path = `/api/v1/processes/${encodeURIComponent(name)}/logs/${stream}`;
    const query = new URLSearchParams({ name, stream, lines: String(BACKLOG), follow: "1" });
    this.following = `/api/v1/logs?${query}`;
    this.model = model;
    this.now = now;
    this.onChange = onChange;
  }

  start() {
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.resume();
  }

  /** Stop taking in. What comes meanwhile is not lost as long as the daemon has it. */
  hold() {
    this.#stop();
    this.#away = STOOD_STILL;
    this.#become({ kind: "held" });
  }

  /** Go on from where we were. */
  resume() {
    this.#stop();
    this.#become({ kind: "connecting" });
    void this.#run();
  }

  close() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#stop();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#line?.abort();
    this.#line = null;
  }

  /** @param {State} state */
  #become(state) {
    this.state = state;
    this.onChange();
  }

  #look() {
    if (document.visibilityState === "visible") {
      if (this.#line === null && this.state.kind === "connecting") {
        this.resume();
      } else if (this.#line !== null) {
        clearTimeout(this.#timer);
      }
    } else if (this.#line !== null) {
      this.#timer = setTimeout(() => {
        this.#stop();
        this.#become({ kind: "connecting" });
      }, UNSEEN);
    }
  }

  async #run() {
    const line = new AbortController();
    this.#line = line;
    try {
      await this.#follow(line);
      if (line === this.#line) {
        this.#again(0); // the daemon makes way for another version of itself, or ends
      }
    } catch (error) {
      if (line === this.#line) {
        this.#broken(asProblem(error));
      }
    }
  }

  /** @param {AbortController} line */
  async #follow(line) {
    const { signal } = line;
    this.#lost = 0;
    if (this.#since === 0) {
      await ask(`${this.path}?bytes=0`, { signal }); // which says why, if there is none
    } else {
      this.#away ||= NOT_CONNECTED;
    }
    await this.#recognise(signal);
    /** @type {Record<string, string>} */
    const headers = this.#since === 0 ? {} : { "Last-Event-ID": String(this.#since) };
    const response = await open(this.following, { signal, headers });
    this.#become({ kind: "live" });
    for await (const message of messagesOf(response)) {
      if (line !== this.#line) {
        return;
      }
      this.#failures = 0;
      await this.#take(message.event, message.data);
      this.#since = Math.max(this.#since, Number(message.id) || 0);
    }
  }

  /**
   * See whether it is still the daemon whose offsets we know.
   * @param {AbortSignal} signal
   */
  async #recognise(signal) {
    /** @type {{started_at: number}} */
    const { started_at } = await ask("/api/v1/daemon", { signal });
    const life = String(started_at);
    if (this.#life !== "" && this.#life !== life) {
      this.#offset = -Infinity;
      this.model.note("opsvisord began anew", this.now());
    }
    this.#life = life;
  }

  /**
   * @param {string} event
   * @param {string} data
   */
  async #take(event, data) {
    const told = JSON.parse(data);
    if (event === "log") {
      const { begin, offset, at } = /** @type {LogSaid} */ (told);
      if (told.anew) {
        this.#offset = -Infinity;
      }
      // The daemon counts from a little before the last that we have: that comes twice, or is lost.
      const missing = Math.min(this.#lost, begin - this.#offset);
      if (missing > 0) {
        this.model.gap(missing, this.now(), this.#away || TOO_FAST);
      }
      this.#lost = 0;
      this.#away = "";
      const text = after(told.text, begin, this.#offset);
      this.#offset = Math.max(this.#offset, offset);
      // Ids are of what is whole in all logs of a stream, and this one has only one.
      this.#since = Math.max(this.#since, Math.floor(at * 1_000_000));
      this.model.append(text, at);
      this.onChange();
      await this.#breathe(text.length);
    } else if (event === "gap") {
      this.#lost += told.lost_bytes; // shown with what comes after it, which says where it begins
    } else if (event === "remark") {
      this.model.note(told.text, this.now());
      this.onChange();
    }
  }

  /**
   * Wait until so many characters more may be taken in, and let the page draw.
   * @param {number} characters
   */
  async #breathe(characters) {
    const now = performance.now();
    const earned = ((now - this.#allowedAt) / 1000) * PER_SECOND;
    this.#allowedAt = now;
    this.#allowance = Math.min(AT_ONCE, this.#allowance + earned) - characters;
    if (this.#allowance < 0) {
      const wait = (-this.#allowance / PER_SECOND) * 1000;
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }

  /** @param {Problem} problem */
  #broken(problem) {
    this.#line = null;
    if (problem.status >= 400 && problem.status < 500 && problem.status !== 429) {
      this.#become({ kind: "refused", problem });
      return;
    }
    const delay = Math.max(
      problem.retryAfter,
      Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures),
    );
    this.#failures += 1;
    this.#become({ kind: "lost", retryAt: Date.now() / 1000 + delay, problem });
    this.#again(delay);
  }

  /** @param {number} delay in seconds */
  #again(delay) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#run(), Math.max(delay, 0.2) * 1000);
  }
}

/**
 * What of a text lies at or after an offset of its log: after an interruption a second of it comes
 * twice. Offsets count bytes, and lie between characters.
 * @param {string} text
 * @param {number} begin its own offset
 * @param {number} offset
 * @returns {string}
 */
export function after(text, begin, offset) {
  if (begin >= offset) {
    return text;
  }
  const bytes = new TextEncoder().encode(text);
  return new TextDecoder().decode(bytes.subarray(offset - begin));
}
