// @ts-check
/**
 * Searching the lines of a log while more of them come.
 *
 * A plain text is looked for here, a few milliseconds at a time. An expression can take for ever
 * over a line that was made for it, so it works elsewhere (searchworker.js) and is ended when it
 * takes too long: neither the person nor the program can make the page stand still.
 */

import { withoutAnsi } from "./ansi.js";

/** @typedef {import("./logmodel.js").LogModel} LogModel */
/** @typedef {{text: string, isExpression: boolean, isExact: boolean}} Query */
/** @typedef {[number: number, text: string][]} Batch */
/** @typedef {[number: number, spans: number[]][]} Found */

/**
 * Looks at a batch of lines, in its own time.
 * @typedef {{find: (batch: Batch) => Promise<Found>, close: () => void}} Finder
 */

const LONGEST_QUERY = 1000;
const MOST_SPANS = 50; // marked in one line
const AT_ONCE = 6; // milliseconds
const BATCH_LINES = 2000;
const BATCH_CHARACTERS = 500_000;

/**
 * The expression that a query is. Throws SyntaxError, with words for people.
 * @param {Query} query
 * @returns {RegExp}
 */
export function expressionOf({ text, isExpression, isExact }) {
  const source = isExpression ? text : text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
  return new RegExp(source, isExact ? "g" : "gi");
}

/**
 * Where it matches: begin and end of each span, one after the other.
 * @param {RegExp} expression with the flag g
 * @param {string} text
 * @returns {number[]}
 */
export function spansOf(expression, text) {
  const spans = [];
  expression.lastIndex = 0;
  while (spans.length < 2 * MOST_SPANS) {
    const match = expression.exec(text);
    if (match === null) {
      break;
    }
    const end = match.index + match[0].length;
    if (end === match.index) {
      // Nothing was matched (`x*`): a line counts, but there is nothing to mark.
      expression.lastIndex += 1;
      if (expression.lastIndex > text.length) {
        break;
      }
      continue;
    }
    spans.push(match.index, end);
  }
  return spans;
}

/**
 * @param {RegExp} expression
 * @param {Batch} batch
 * @returns {Found}
 */
export function findIn(expression, batch) {
  /** @type {Found} */
  const found = [];
  for (const [number, text] of batch) {
    const spans = spansOf(expression, text);
    if (spans.length > 0) {
      found.push([number, spans]);
    }
  }
  return found;
}

export class LogSearch {
  /** @type {number[]} */
  #numbers = []; // of lines that match, in order
  #head = 0; // of #numbers: those before it are gone
  /** @type {Map<number, number[]>} */
  #spans = new Map();
  #next = 0; // the first line that was not looked at
  #turn = 0;
  #isAtWork = false;
  /** @type {RegExp | null} */
  #expression = null;
  /** @type {Finder | null} */
  #finder = null;

  /**
   * @param {LogModel} model
   * @param {{
   *   onChange: () => void, finderOf: (expression: RegExp) => Finder,
   *   pause?: () => Promise<void>, now?: () => number,
   * }} around `finderOf` makes what looks for an expression, `pause` lets others have their turn
   */
  constructor(model, { onChange, finderOf, pause = aMoment, now = () => performance.now() }) {
    this.model = model;
    this.onChange = onChange;
    this.finderOf = finderOf;
    this.pause = pause;
    this.now = now;
    /** Why this can't be looked for; "" if it can. */
    this.problem = "";
  }

  get isOn() {
    return this.#expression !== null || this.problem !== "";
  }

  /** Whether lines are left to be looked at. */
  get isBusy() {
    return this.#isAtWork;
  }

  get count() {
    return this.#numbers.length - this.#head;
  }

  /**
   * The number of the n-th line that matches.
   * @param {number} index
   */
  numberAt(index) {
    return this.#numbers[this.#head + index];
  }

  /**
   * What to mark in a line.
   * @param {number} number
   * @returns {number[]}
   */
  spans(number) {
    return this.#spans.get(number) ?? [];
  }

  /**
   * How many matching lines come before this one.
   * @param {number} number
   */
  indexOf(number) {
    let low = this.#head;
    let high = this.#numbers.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#numbers[middle] ?? 0) < number) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low - this.#head;
  }

  /**
   * Look for something else from now on; for nothing if the text is empty.
   * @param {Query} query
   */
  set(query) {
    this.close();
    this.problem = "";
    if (query.text !== "") {
      try {
        if (query.text.length > LONGEST_QUERY) {
          throw new SyntaxError(`longer than ${LONGEST_QUERY} characters`);
        }
        this.#expression = expressionOf(query);
        this.#finder = query.isExpression ? this.finderOf(this.#expression) : null;
      } catch (error) {
        this.problem = problemOf(error);
      }
    }
    this.#next = this.model.first;
    this.onChange();
    this.update();
  }

  /** Look at the lines that have come, and forget those that are gone. */
  update() {
    while (this.#head < this.#numbers.length) {
      const number = this.#numbers[this.#head] ?? 0;
      if (number >= this.model.first) {
        break;
      }
      this.#spans.delete(number);
      this.#head += 1;
    }
    if (this.#head > 4096) {
      this.#numbers = this.#numbers.slice(this.#head);
      this.#head = 0;
    }
    if (this.#expression !== null && !this.#isAtWork && this.#next < this.model.closedEnd) {
      void this.#work(this.#expression, this.#turn);
    }
  }

  /** Stop, and forget everything. */
  close() {
    this.#turn += 1;
    this.#finder?.close();
    this.#finder = null;
    this.#expression = null;
    this.#isAtWork = false;
    this.#numbers = [];
    this.#head = 0;
    this.#spans.clear();
  }

  /**
   * @param {RegExp} expression
   * @param {number} turn
   */
  async #work(expression, turn) {
    this.#isAtWork = true;
    while (turn === this.#turn && this.#next < this.model.closedEnd) {
      const finder = this.#finder;
      if (finder === null) {
        this.#lookFor(AT_ONCE, expression);
      } else {
        await this.#ask(finder, turn);
      }
      if (turn !== this.#turn) {
        return;
      }
      this.onChange();
      await this.pause();
    }
    if (turn === this.#turn) {
      this.#isAtWork = false;
      this.onChange();
    }
  }

  /**
   * @param {number} milliseconds
   * @param {RegExp} expression
   */
  #lookFor(milliseconds, expression) {
    const until = this.now() + milliseconds;
    while (this.#next < this.model.closedEnd && this.now() < until) {
      this.#keep(findIn(expression, this.#batch(100)));
    }
  }

  /**
   * @param {Finder} finder
   * @param {number} turn
   */
  async #ask(finder, turn) {
    try {
      const found = await finder.find(this.#batch(BATCH_LINES));
      if (turn === this.#turn) {
        this.#keep(found);
      }
    } catch (error) {
      if (turn === this.#turn) {
        this.close();
        this.problem = problemOf(error);
        this.onChange();
      }
    }
  }

  /**
   * The next lines to look at.
   * @param {number} most
   * @returns {Batch}
   */
  #batch(most) {
    /** @type {Batch} */
    const batch = [];
    let characters = 0;
    let number = Math.max(this.#next, this.model.first);
    for (; number < this.model.closedEnd && batch.length < most; number += 1) {
      const line = this.model.at(number);
      if (line?.kind === "said") {
        const text = withoutAnsi(line.text);
        batch.push([number, text]);
        characters += text.length;
      }
      if (characters > BATCH_CHARACTERS) {
        number += 1;
        break;
      }
    }
    this.#next = number;
    return batch;
  }

  /** @param {Found} found */
  #keep(found) {
    for (const [number, spans] of found) {
      if (number >= this.model.first) {
        this.#numbers.push(number);
        this.#spans.set(number, spans);
      }
    }
  }
}

/** @param {unknown} error */
function problemOf(error) {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/^Invalid regular expression: (\/.*\/[a-z]*: )?/, "");
}

/** @returns {Promise<void>} */
function aMoment() {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
