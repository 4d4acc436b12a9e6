// @ts-check
/**
 * What the page knows of the daemon, kept up to date by live.js. Whoever shows it subscribes, and
 * is told at most once a frame what has changed.
 */

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {import("../wire").DaemonInfo} DaemonInfo */
/** @typedef {{at: number[], cpu: (number | null)[], rss: (number | null)[]}} Series */

/**
 * How the connection to the daemon is.
 *
 * @typedef {{kind: "connecting"} | {kind: "live"} | {kind: "paused"}
 *   | {kind: "lost", retryAt: number, problem: import("./api.js").Problem}
 *   | {kind: "refused", problem: import("./api.js").Problem}} Connection
 */

/**
 * What has changed since a subscriber was last told. `all`: anything may have.
 *
 * @typedef {object} Changes
 * @property {boolean} all
 * @property {Set<string>} processes
 * @property {Set<string>} removed
 * @property {boolean} daemon
 * @property {boolean} samples
 * @property {boolean} connection
 */

/** Seconds that the line in a row of the overview covers. */
export const RECENTLY = 300;

// Ten minutes at the usual interval.
export const MOST_SAMPLES = 300;

export class Store {
  /** @type {Map<string, ProcessStatus>} */
  processes = new Map();
  /** @type {Map<string, Series>} */
  samples = new Map();
  /** @type {DaemonInfo | null} */
  daemon = null;
  /** @type {Connection} */
  connection = { kind: "connecting" };
  /** The process of which every measurement is wanted; "" if that is none. */
  closely = "";
  /** Seconds that the daemon's clock is ahead of this browser's. */
  ahead = 0;

  /** @type {Set<(changes: Changes) => void>} */
  #subscribers = new Set();
  #changes = nothing();
  #schedule;
  #isScheduled = false;

  /** @param {(tell: () => void) => void} [schedule] by the next frame, or in a test at once */
  constructor(schedule = (tell) => void requestAnimationFrame(tell)) {
    this.#schedule = schedule;
  }

  /** The daemon's present time, in Unix seconds. */
  now() {
    return Date.now() / 1000 + this.ahead;
  }

  /**
   * What a process uses, by its last measurement.
   *
   * @param {ProcessStatus} process
   * @returns {{cpu: number | null, rss: number | null}}
   */
  usageOf = (process) => {
    const series = process.pid ? this.samples.get(process.name) : undefined;
    return {
      cpu: series?.cpu.at(-1) ?? process.cpu_usage ?? null,
      rss: series?.rss.at(-1) ?? process.rss_bytes,
    };
  };

  /**
   * Be told of changes; gives the way to end that.
   *
   * @param {(changes: Changes) => void} subscriber
   * @returns {() => void}
   */
  subscribe(subscriber) {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /**
   * Everything, as it is now.
   *
   * @param {ProcessStatus[]} processes
   * @param {DaemonInfo | null} daemon null where the daemon does not tell of itself
   */
  snapshot(processes, daemon) {
    this.processes = new Map(processes.map((one) => [one.name, one]));
    for (const name of this.samples.keys()) {
      if (!this.processes.has(name)) {
        this.samples.delete(name);
      }
    }
    if (daemon) {
      this.#setDaemon(daemon);
    }
    this.#changes.all = true;
    this.#touch();
  }

  /** @param {ProcessStatus[]} processes */
  changed(processes) {
    for (const one of processes) {
      this.processes.set(one.name, one);
      this.#changes.processes.add(one.name);
      this.#changes.removed.delete(one.name);
    }
    this.#touch();
  }

  /** @param {string[]} names */
  removed(names) {
    for (const name of names) {
      this.processes.delete(name);
      this.samples.delete(name);
      this.#changes.removed.add(name);
      this.#changes.processes.delete(name);
    }
    this.#touch();
  }

  /** @param {DaemonInfo} daemon */
  setDaemon(daemon) {
    this.#setDaemon(daemon);
    this.#touch();
  }

  /** @param {DaemonInfo} daemon */
  #setDaemon(daemon) {
    this.daemon = daemon;
    this.ahead = daemon.started_at + daemon.uptime - Date.now() / 1000;
    this.#changes.daemon = true;
  }

  /**
   * What was measured before we came, in as many points as a row of the overview shows.
   *
   * @param {import("../wire").SampleList} remembered
   */
  remembered({ at, processes }) {
    for (const [name, { cpu, rss }] of Object.entries(processes)) {
      if (this.processes.has(name) && name !== this.closely) {
        this.samples.set(name, { at: at.slice(), cpu, rss });
      }
    }
    this.#changes.samples = true;
    this.#touch();
  }

  /**
   * Everything that was measured of one process before we came.
   *
   * @param {import("../wire").ProcessSamples} remembered
   */
  rememberedOf({ name, at, cpu, rss }) {
    if (this.processes.has(name)) {
      this.samples.set(name, { at, cpu, rss });
    }
    this.#changes.samples = true;
    this.#touch();
  }

  /**
   * One more measurement. Who is not named does not run.
   *
   * @param {import("../wire").WatchSamples} measured
   */
  sampled({ at, samples }) {
    for (const name of this.processes.keys()) {
      const used = samples[name];
      let series = this.samples.get(name);
      if (!series) {
        if (!used) {
          continue;
        }
        series = { at: [], cpu: [], rss: [] };
        this.samples.set(name, series);
      }
      const last = series.at.at(-1);
      if (last !== undefined && at <= last) {
        continue; // it came with what was remembered
      }
      series.at.push(at);
      series.cpu.push(used?.cpu ?? null);
      series.rss.push(used?.rss ?? null);
      if (series.at.length > MOST_SAMPLES) {
        series.at.shift();
        series.cpu.shift();
        series.rss.shift();
      }
    }
    this.#changes.samples = true;
    this.#touch();
  }

  /** @param {Connection} connection */
  setConnection(connection) {
    this.connection = connection;
    this.#changes.connection = true;
    this.#touch();
  }

  #touch() {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      this.#schedule(() => this.#tell());
    }
  }

  #tell() {
    const changes = this.#changes;
    this.#changes = nothing();
    this.#isScheduled = false;
    for (const subscriber of [...this.#subscribers]) {
      subscriber(changes);
    }
  }
}

/** @returns {Changes} */
function nothing() {
  return {
    all: false,
    processes: new Set(),
    removed: new Set(),
    daemon: false,
    samples: false,
    connection: false,
  };
}
