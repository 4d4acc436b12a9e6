// @ts-check
/**
 * The filter of the overview: words that all have to match, a few of which mean something.
 *
 *     web            the name, the program or the description has it
 *     state:fatal    also several: state:fatal,backoff
 *     group:jobs     the group is called so; a * stands for anything
 *     is:wrong       also is:ready, is:unready, is:unhealthy, is:flapping, is:down, is:up
 *     label:team=shop, or label:team
 *     -web           what does not match
 */

import { troublesOf } from "./states.js";

/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {(process: ProcessStatus) => boolean} Claim */

/** What `is:` knows. */
const FACTS = /** @type {Record<string, Claim>} */ ({
  wrong: (process) => troublesOf(process).length > 0,
  up: (process) => process.pid !== 0,
  down: (process) => process.pid === 0,
  ready: (process) => process.ready,
  unready: (process) => process.pid !== 0 && !process.ready,
  healthy: (process) => process.healthy === true,
  unhealthy: (process) => process.healthy === false,
  flapping: (process) => process.flapping,
});

const FACT_NAMES = Object.keys(FACTS);

/**
 * Whether a process matches all words of a filter. Words that mean nothing match nothing, so that
 * a slip shows.
 *
 * @param {string} text
 * @returns {Claim}
 */
export function filterOf(text) {
  const claims = wordsOf(text).map(claimOf);
  return (process) => claims.every((claim) => claim(process));
}

/** @param {string} text */
export function wordsOf(text) {
  return text.split(/\s+/).filter((word) => word !== "" && word !== "-");
}

/**
 * The states that a filter asks for, in capitals.
 *
 * @param {string} text
 * @returns {Set<string>}
 */
export function statesIn(text) {
  const found = wordsOf(text).filter((word) => /^state:/i.test(word));
  return new Set(found.flatMap((word) => listOf(word.slice(6)).map((state) => state.toUpperCase())));
}

/**
 * The filter with this state asked for as well, or not any more.
 *
 * @param {string} text
 * @param {string} state
 */
export function withState(text, state) {
  const states = statesIn(text);
  if (!states.delete(state)) {
    states.add(state);
  }
  const others = wordsOf(text).filter((word) => !/^state:/i.test(word));
  const wanted = [...states].map((one) => one.toLowerCase()).join(",");
  return [...others, ...(wanted ? [`state:${wanted}`] : [])].join(" ");
}

/**
 * The filter with this word, or without it if it is there.
 *
 * @param {string} text
 * @param {string} word
 */
export function withWord(text, word) {
  const words = wordsOf(text);
  return (words.includes(word) ? words.filter((one) => one !== word) : [...words, word]).join(" ");
}

/**
 * @param {string} word
 * @returns {Claim}
 */
function claimOf(word) {
  if (word.startsWith("-")) {
    const claim = claimOf(word.slice(1));
    return (process) => !claim(process);
  }
  const [, key = "", value = ""] = /^(state|group|is|label):(.*)$/i.exec(word) ?? [];
  switch (key.toLowerCase()) {
    case "state": {
      const states = listOf(value).map((state) => state.toUpperCase());
      return (process) => states.length === 0 || states.some((state) => process.state.startsWith(state));
    }
    case "group": {
      const groups = listOf(value).map(patternOf);
      return (process) => groups.length === 0 || groups.some((group) => group.test(process.group));
    }
    case "is": {
      const facts = listOf(value);
      return (process) => facts.every((fact) => FACTS[fact.toLowerCase()]?.(process) ?? isBegun(fact));
    }
    case "label": {
      const [name = "", wanted] = value.split("=");
      return (process) => (wanted ? process.labels[name] === wanted : name === "" || name in process.labels);
    }
    default: {
      const wanted = word.toLowerCase();
      return (process) => textOf(process).includes(wanted);
    }
  }
}

/** @param {ProcessStatus} process */
function textOf(process) {
  return `${process.name}\n${process.program}`.toLowerCase();
}

/**
 * Whether this is the beginning of a fact, which is still being typed: nothing is hidden for it.
 *
 * @param {string} fact
 */
function isBegun(fact) {
  return FACT_NAMES.some((name) => name.startsWith(fact.toLowerCase()));
}

/** @param {string} text */
function listOf(text) {
  return text.split(",").filter((one) => one !== "");
}

/** @param {string} glob */
function patternOf(glob) {
  const parts = glob.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${parts.join(".*")}$`, "i");
}
