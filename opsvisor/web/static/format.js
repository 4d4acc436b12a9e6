// @ts-check
/**
 * Instants, lengths and sizes in words. Instants are Unix seconds, lengths seconds, sizes bytes,
 * as the API has them. What is not known is a dash, never a zero: a zero is a claim.
 */

export const UNKNOWN = "–";

const MINUTE = 60;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const SIZES = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];

/** @typedef {number | null | undefined} Maybe */

/**
 * Whether there is a number to show.
 * @param {Maybe} value
 * @returns {value is number}
 */
export function isKnown(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/**
 * A length with its two largest units: "850 ms", "4.2 s", "3 min 20 s", "2 h 5 min", "12 d 3 h".
 * @param {Maybe} seconds
 * @returns {string}
 */
export function duration(seconds) {
  if (!isKnown(seconds)) {
    return UNKNOWN;
  }
  const length = Math.max(0, seconds);
  if (length < 1) {
    return length === 0 ? "0 s" : `${Math.max(1, Math.round(length * 1000))} ms`;
  }
  if (length < 10) {
    return `${trimmed(length, 1)} s`;
  }
  const whole = Math.round(length);
  if (whole < MINUTE) {
    return `${whole} s`;
  }
  if (whole < HOUR) {
    return pair(whole, MINUTE, "min", 1, "s");
  }
  if (whole < DAY) {
    return pair(whole, HOUR, "h", MINUTE, "min");
  }
  return pair(whole, DAY, "d", HOUR, "h");
}

/**
 * A length for a narrow column that ticks: "4s", "3m 20s", "2h 05m", "12d 3h". Always whole
 * seconds, so that it does not flicker.
 * @param {Maybe} seconds
 * @returns {string}
 */
export function shortDuration(seconds) {
  if (!isKnown(seconds)) {
    return UNKNOWN;
  }
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < MINUTE) {
    return `${whole}s`;
  }
  if (whole < HOUR) {
    return `${Math.floor(whole / MINUTE)}m ${padded(whole % MINUTE)}s`;
  }
  if (whole < DAY) {
    return `${Math.floor(whole / HOUR)}h ${padded(Math.floor((whole % HOUR) / MINUTE))}m`;
  }
  return `${Math.floor(whole / DAY)}d ${Math.floor((whole % DAY) / HOUR)}h`;
}

/**
 * How long ago an instant was. 0 is the API's "never".
 * @param {Maybe} at
 * @param {number} now
 * @returns {string}
 */
export function ago(at, now) {
  if (!isKnown(at) || at === 0) {
    return "never";
  }
  const length = now - at;
  return length < 1 ? "just now" : `${duration(Math.floor(length))} ago`;
}

/**
 * How soon an instant will be: "in 4 s", "now" once it is there.
 * @param {Maybe} at
 * @param {number} now
 * @returns {string}
 */
export function countdown(at, now) {
  if (!isKnown(at) || at === 0) {
    return UNKNOWN;
  }
  const left = Math.ceil(at - now);
  return left <= 0 ? "now" : `in ${duration(left)}`;
}

/**
 * The time of day, local: "05:02:47".
 * @param {Maybe} at
 * @returns {string}
 */
export function clock(at) {
  if (!isKnown(at) || at === 0) {
    return UNKNOWN;
  }
  const date = new Date(at * 1000);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(padded).join(":");
}

/**
 * An instant, local, with its date unless that is today's: "05:02:47", "2026-03-01 05:02:47".
 * @param {Maybe} at
 * @param {number} now
 * @returns {string}
 */
export function moment(at, now) {
  if (!isKnown(at) || at === 0) {
    return UNKNOWN;
  }
  const today = day(now);
  return day(at) === today ? clock(at) : `${day(at)} ${clock(at)}`;
}

/**
 * An instant as machines and tooltips have it: with date and offset of the zone.
 * @param {Maybe} at
 * @returns {string}
 */
export function exactly(at) {
  if (!isKnown(at) || at === 0) {
    return UNKNOWN;
  }
  const minutes = -new Date(at * 1000).getTimezoneOffset();
  const sign = minutes < 0 ? "-" : "+";
  const offset = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60].map(padded).join(":");
  return `${day(at)} ${clock(at)} ${sign}${offset}`;
}

/**
 * A size: "512 B", "12.3 MiB".
 * @param {Maybe} size
 * @returns {string}
 */
export function bytes(size) {
  if (!isKnown(size)) {
    return UNKNOWN;
  }
  let value = Math.max(0, size);
  let unit = 0;
  // 1023.95 would be rounded to "1024.0 KiB".
  while (unit < SIZES.length - 1 && value >= (unit === 0 ? 1024 : 1023.95)) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? Math.round(value) : trimmed(value, value < 100 ? 1 : 0)} ${SIZES[unit]}`;
}

/**
 * CPU time per time as people read it, one core being 100 %: "0 %", "0.4 %", "250 %".
 * @param {Maybe} used
 * @returns {string}
 */
export function cores(used) {
  if (!isKnown(used)) {
    return UNKNOWN;
  }
  const percent = Math.max(0, used) * 100;
  return `${trimmed(percent, percent < 10 ? 1 : 0)} %`;
}

/**
 * A count with its noun: "1 line", "1,204 lines".
 * @param {number} count
 * @param {string} one
 * @param {string} [many]
 * @returns {string}
 */
export function counted(count, one, many = `${one}s`) {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

/**
 * @param {number} whole
 * @param {number} large
 * @param {string} largeName
 * @param {number} small
 * @param {string} smallName
 */
function pair(whole, large, largeName, small, smallName) {
  const rest = Math.floor((whole % large) / small);
  const first = `${Math.floor(whole / large)} ${largeName}`;
  return rest === 0 ? first : `${first} ${rest} ${smallName}`;
}

/** @param {number} at */
function day(at) {
  const date = new Date(at * 1000);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()].map(padded).join("-");
}

/** @param {number} value */
function padded(value) {
  return String(value).padStart(2, "0");
}

/**
 * @param {number} value
 * @param {number} digits
 */
function trimmed(value, digits) {
  return value.toFixed(digits).replace(/\.0+$/, "");
}
