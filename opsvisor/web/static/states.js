// @ts-check
/**
 * What is wrong with a process, if anything, and how bad that is. Pure: the one place where it is
 * decided what comes first at three in the morning.
 */

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */

/**
 * A thing that is wrong. Higher `rank` is worse; `word` is for people, `key` for the filter.
 *
 * @typedef {{key: string, word: string, rank: number}} Trouble
 */

/** In the order in which counts are shown: the worst first. */
export const STATES = [
  "FATAL", "UNKNOWN", "BACKOFF", "STARTING", "STOPPING", "RUNNING", "EXITED", "STOPPED",
];

/**
 * Everything that is wrong with a process now, the worst first. opsvisorctl judges by the same
 * table, in ctl/troubles.py: two people who look at one process must not differ over it.
 *
 * @param {ProcessStatus} process
 * @returns {Trouble[]}
 */
export function troublesOf(process) {
  const { state } = process;
  const isGone = process.expected_running && ["EXITED", "STOPPED"].includes(state);
  /** @type {[boolean, Trouble][]} */
  const judged = [
    [state === "FATAL", { key: "fatal", word: "given up", rank: 9 }],
    [state === "UNKNOWN", { key: "unknown", word: "state unknown", rank: 9 }],
    [state === "BACKOFF", { key: "backoff", word: "failing to start", rank: 8 }],
    [isGone, { key: "down", word: "should run", rank: 7 }],
    [process.healthy === false, { key: "unhealthy", word: "unhealthy", rank: 6 }],
    [process.kills_survived > 0, { key: "outlives", word: "outlives SIGKILL", rank: 6 }],
    [state === "RUNNING" && !process.ready, { key: "unready", word: "not ready", rank: 5 }],
    [process.flapping, { key: "flapping", word: "flapping", rank: 4 }],
    [process.log_problem !== "", { key: "log", word: "log problem", rank: 2 }],
    [process.limits_problem !== "", { key: "limits", word: "limits not set", rank: 2 }],
  ];
  return judged.filter(([isSo]) => isSo).map(([, trouble]) => trouble);
}

/**
 * How bad it is: 0 if all is well.
 *
 * @param {ProcessStatus} process
 */
export function rankOf(process) {
  return troublesOf(process)[0]?.rank ?? 0;
}

/**
 * Which actions make sense for a process as it is.
 *
 * @param {ProcessStatus} process
 * @returns {{start: boolean, stop: boolean, restart: boolean, signal: boolean}}
 */
export function sensible(process) {
  const isAlive = process.pid !== 0;
  const isIdle = ["STOPPED", "EXITED", "FATAL", "BACKOFF", "UNKNOWN"].includes(process.state);
  return {
    start: isIdle,
    stop: isAlive || process.state === "BACKOFF",
    restart: process.state !== "STOPPING",
    signal: isAlive,
  };
}

/**
 * What happens next by itself, and why a process is as it is: the words of its row. `retryAt` is 0
 * where nothing is due; `why` is "" where there is nothing to tell.
 *
 * @param {ProcessStatus} process
 * @returns {{retryAt: number, why: string}}
 */
export function explanationOf(process) {
  const retryAt = process.retry_at;
  if (process.log_problem && rankOf(process) <= 2) {
    return { retryAt, why: process.log_problem };
  }
  if (process.limits_problem && rankOf(process) <= 2) {
    return { retryAt, why: process.limits_problem };
  }
  if (process.state === "RUNNING") {
    const failing = process.probes.find(({ passing }) => passing === false);
    if (failing) {
      return { retryAt, why: `${failing.probe} probe: ${failing.detail}` };
    }
    return { retryAt, why: process.restarts > 0 ? lastExit(process) : "" };
  }
  return { retryAt, why: process.reason };
}

/**
 * How the last run ended, in a few words.
 *
 * @param {ProcessStatus} process
 */
function lastExit(process) {
  if (process.exit_signal !== null) {
    return `last ended by ${signalName(process.exit_signal)}`;
  }
  return process.exit_code === null ? "" : `last ended with exit status ${process.exit_code}`;
}

// Those that end processes, by the numbers that Linux gives them on most machines.
const SIGNAL_NAMES = /** @type {Record<number, string>} */ ({
  1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL",
  10: "USR1", 11: "SEGV", 12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 24: "XCPU", 25: "XFSZ",
  31: "SYS",
});

/**
 * A signal as people call it.
 *
 * @param {number} number
 */
export function signalName(number) {
  return number in SIGNAL_NAMES ? `SIG${SIGNAL_NAMES[number]}` : `signal ${number}`;
}
