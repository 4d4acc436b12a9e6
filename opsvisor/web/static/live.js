// @ts-check
/**
 * The line to the daemon: everything once, and then what changes. A line that breaks is taken up
 * again, and the page says so meanwhile, since what it shows may be wrong by then.
 */

import { Problem, ask, asProblem, open } from "./api.js";
import { messagesOf } from "./sse.js";
import { RECENTLY } from "./store.js";

/** @typedef {import("./store.js").Store} Store */

const FIRST_DELAY = 1;
const AFTER_UPGRADE = 0.5;
const LONGEST_DELAY = 15;
// Of what was measured before we came, for each process.
const POINTS = 60;
// Seconds without a sign of life, which the daemon gives every two.
const SILENCE = 20;
// Seconds until a page that nobody looks at lets go of the line: the daemon measures all
// processes only for somebody who watches.
const UNSEEN = 60;

export class Live {
  /** @type {Store} */
  #store;
  /** @type {AbortController | null} */
  #line = null;
  #failures = 0;
  /** Whether the daemon has said that another one answers in a moment. */
  #isUpgrading = false;
  /** @type {number | undefined} */
  #again;
  /** @type {number | undefined} */
  #lettingGo;

  /** @param {Store} store */
  constructor(store) {
    this.#store = store;
  }

  /** Begin, and go on until the page is closed. */
  start() {
    document.addEventListener("visibilitychange", () => this.#onVisibility());
    window.addEventListener("online", () => this.tryNow());
    this.tryNow();
  }

  /** Take up the line at once: somebody has logged in, or doesn't want to wait. */
  tryNow() {
    if (this.#store.connection.kind !== "live") {
      void this.#connect();
    }
  }

  /** Take it up anew although it is there: who we are has changed. */
  restart() {
    void this.#connect();
  }

  async #connect() {
    clearTimeout(this.#again);
    this.#line?.abort();
    const line = new AbortController();
    this.#line = line;
    if (this.#store.connection.kind !== "lost") {
      this.#store.setConnection({ kind: "connecting" });
    }
    try {
      await this.#follow(line);
      throw new Problem({
        status: 0, code: "ended", detail: "the daemon has ended the connection",
        hint: "it is being restarted, or upgraded",
      });
    } catch (error) {
      if (line === this.#line && this.#store.connection.kind !== "paused") {
        this.#broken(asProblem(error));
      }
    }
  }

  /** @param {AbortController} line */
  async #follow(line) {
    /** @type {number | undefined} */
    let patience;
    const onSign = () => {
      clearTimeout(patience);
      patience = setTimeout(() => line.abort(SILENT), SILENCE * 1000);
    };
    onSign();
    try {
      const response = await open("/api/v1/watch", { signal: line.signal });
      for await (const message of messagesOf(response, onSign)) {
        if (line !== this.#line) {
          return;
        }
        this.#take(message.event, JSON.parse(message.data));
      }
    } catch (error) {
      throw line.signal.reason === SILENT ? SILENT : error;
    } finally {
      clearTimeout(patience);
    }
  }

  /**
   * @param {string} event
   * @param {any} told
   */
  #take(event, told) {
    const store = this.#store;
    switch (event) {
      case "snapshot":
        this.#failures = 0;
        this.#isUpgrading = false;
        store.snapshot(told.processes, told.daemon);
        store.setConnection({ kind: "live" });
        void this.#remember();
        break;
      case "changed":
        store.changed(told.processes);
        break;
      case "removed":
        store.removed(told.names);
        break;
      case "daemon":
        store.setDaemon(told);
        break;
      case "samples":
        store.sampled(told);
        break;
      case "upgrade":
        this.#isUpgrading = true;
        break;
      default: // of a newer daemon
    }
  }

  /** Have the lines of the last minutes, where the daemon has them. */
  async #remember() {
    try {
      // All that was measured would be megabytes for a thousand processes; a row has no room for it.
      const since = Math.floor(this.#store.now() - RECENTLY);
      const told = await ask(`/api/v1/samples?since=${since}&points=${POINTS}`);
      this.#store.remembered(told);
    } catch {
      // They begin now, then.
    }
  }

  /** @param {Problem} problem */
  #broken(problem) {
    if (problem.status === 401 || problem.status === 403 || problem.status === 421) {
      this.#store.setConnection({ kind: "refused", problem });
      return;
    }
    if (this.#isUpgrading) {
      this.#isUpgrading = false;
      this.#store.setConnection({ kind: "connecting" });
      this.#again = setTimeout(() => void this.#connect(), AFTER_UPGRADE * 1000);
      return;
    }
    const delay = Math.max(
      problem.retryAfter, Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures),
    );
    this.#failures += 1;
    this.#store.setConnection({ kind: "lost", retryAt: Date.now() / 1000 + delay, problem });
    clearTimeout(this.#again);
    this.#again = setTimeout(() => void this.#connect(), delay * 1000);
  }

  #onVisibility() {
    clearTimeout(this.#lettingGo);
    if (document.visibilityState === "visible") {
      this.tryNow();
    } else {
      this.#lettingGo = setTimeout(() => this.#letGo(), UNSEEN * 1000);
    }
  }

  #letGo() {
    clearTimeout(this.#again);
    this.#store.setConnection({ kind: "paused" });
    this.#line?.abort();
  }
}

const SILENT = new Problem({
  status: 0,
  code: "silent",
  detail: `nothing has come from the daemon for ${SILENCE} s`,
  hint: "the network may be down, or the machine too busy to answer",
});
