// @ts-check
/**
 * The lines of a log that is being followed, as many as a page can bear.
 *
 * Text comes in pieces that end anywhere. Lines are numbered from the first that ever came, so that
 * a view knows where it is when the oldest lines go. Bounded three ways: lines, characters of all of
 * them, and characters of one. What is let go is counted, and what never came has a line that says
 * so: a log with a hole that nobody sees is a lie.
 */

import { AnsiParser, PLAIN, withoutAnsi } from "./ansi.js";

/** @typedef {import("./ansi.js").Style} Style */

/**
 * `kind`: what the program said; a hole where bytes are missing; or something that we note between
 * its lines. `style` is the one in which the line begins. `cut`: characters that were too many, or
 * bytes that are missing; `text` of a hole is why. `at`: in Unix seconds, it was not written
 * before then; 0 where that is not known. `rows` is
 * how many rows of a view all lines up to this one take, since the first; `width`
 * how many characters are seen, -1 before anybody had to know.
 * @typedef {{
 *   kind: "said" | "hole" | "note", text: string, style: Style, cut: number, at: number,
 *   rows: number, width: number,
 * }} Line
 */

/** Why bytes are missing: these words follow "they", or how many they are. */
export const TOO_FAST = "came too fast";
export const STOOD_STILL = "went by while this log stood still";
export const NOT_CONNECTED = "went by while there was no connection";

const MOST_LINES = 20_000;
const MOST_CHARACTERS = 16_000_000;
const LONGEST_LINE = 16_384;

export class LogModel {
  /** @type {(Line | undefined)[]} */
  #lines = [];
  #head = 0; // of #lines: those before it are gone, and cut off now and then
  #characters = 0;
  #isOpen = false; // the last line has no newline yet
  #parser = new AnsiParser();
  #columns = 0;

  /** @param {{lines?: number, characters?: number, longest?: number}} [limits] */
  constructor({
    lines = MOST_LINES,
    characters = MOST_CHARACTERS,
    longest = LONGEST_LINE,
  } = {}) {
    this.limits = { lines, characters, longest };
    this.first = 0; // number of the oldest line that is still here
    /** @type {Map<string, number>} */
    this.missing = new Map(); // bytes that never came, by why
    this.version = 0; // differs after every change
  }

  /** How many lines are here. */
  get length() {
    return this.#lines.length - this.#head;
  }

  /** The number that the next line will get. */
  get end() {
    return this.first + this.length;
  }

  get characters() {
    return this.#characters;
  }

  /** The number after the last line that is finished. */
  get closedEnd() {
    return this.#isOpen ? this.end - 1 : this.end;
  }

  /** Whether one more line makes the oldest go. */
  get isFull() {
    return this.length >= this.limits.lines || this.#characters >= this.limits.characters;
  }

  /**
   * The line of this number; undefined once it is gone, and before it came.
   * @param {number} number
   * @returns {Line | undefined}
   */
  at(number) {
    return number < this.first ? undefined : this.#lines[this.#head + number - this.first];
  }

  /**
   * Take a piece of the log.
   * @param {string} text
   * @param {number} [at] it was not written before; 0 where that is not known
   */
  append(text, at = 0) {
    if (text === "") {
      return;
    }
    let begin = 0;
    while (begin < text.length) {
      const newline = text.indexOf("\n", begin);
      const end = newline === -1 ? text.length : newline;
      this.#extend(text.slice(begin, end), at);
      if (newline === -1) {
        break;
      }
      this.#close();
      begin = newline + 1;
    }
    this.#letGo();
    this.version += 1;
  }

  /**
   * Note that so many bytes never came.
   * @param {number} bytes
   * @param {number} [at]
   * @param {string} [why]
   */
  gap(bytes, at = 0, why = TOO_FAST) {
    if (this.#isOpen) {
      this.#close();
    }
    this.missing.set(why, (this.missing.get(why) ?? 0) + bytes);
    const last = this.at(this.end - 1);
    if (last?.kind === "hole" && last.text === why) {
      last.cut += bytes; // one hole after another is one hole
      last.at = at;
    } else {
      this.#push({ kind: "hole", text: why, style: { ...PLAIN }, cut: bytes, at, rows: 0, width: -1 });
      this.#characters += why.length;
    }
    this.#parser = new AnsiParser(); // what the lost bytes did to the colours is not known
    this.#letGo();
    this.version += 1;
  }

  /**
   * Note something that the program did not say.
   * @param {string} text
   * @param {number} at
   */
  note(text, at) {
    if (this.#isOpen) {
      this.#close();
    }
    this.#push({ kind: "note", text, style: { ...PLAIN }, cut: 0, at, rows: 0, width: -1 });
    this.#characters += text.length;
    this.#letGo();
    this.version += 1;
  }

  /** Forget everything; numbers go on from where they were. */
  clear() {
    this.first = this.end;
    this.#lines = [];
    this.#head = 0;
    this.#characters = 0;
    this.#isOpen = false;
    this.#parser = new AnsiParser();
    this.missing.clear();
    this.version += 1;
  }

  /**
   * All lines, as a file would have them: with their escape sequences, without those that are gone.
   * @returns {string}
   */
  text() {
    const texts = [];
    for (let number = this.first; number < this.end; number += 1) {
      const line = this.at(number);
      if (line?.kind === "said") {
        texts.push(line.text);
      }
    }
    return texts.join("\n");
  }

  // -- rows: what a view needs to know how long the log is on the screen ------------------------

  /**
   * Have lines wrapped at so many columns, 0 for not at all.
   * @param {number} columns
   */
  wrapAt(columns) {
    if (columns === this.#columns) {
      return;
    }
    this.#columns = columns;
    let rows = 0;
    for (let number = this.first; number < this.end; number += 1) {
      const line = this.#mine(number);
      rows += this.#rowsOf(line);
      line.rows = rows;
    }
    this.version += 1;
  }

  /** Rows before the oldest line that is here. */
  get firstRow() {
    const line = this.at(this.first);
    return line === undefined ? 0 : line.rows - this.#rowsOf(line);
  }

  /** Rows up to the end of the newest line. */
  get endRow() {
    return this.at(this.end - 1)?.rows ?? 0;
  }

  /**
   * The row in which a line begins.
   * @param {number} number
   */
  rowOf(number) {
    const line = this.at(Math.min(Math.max(number, this.first), this.end - 1));
    return line === undefined ? 0 : line.rows - this.#rowsOf(line);
  }

  /**
   * The number of the line that a row belongs to, or of the nearest that is here.
   * @param {number} row
   */
  lineOfRow(row) {
    let low = this.first;
    let high = Math.max(this.first, this.end - 1);
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.#mine(middle).rows > row) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  // -- building lines ---------------------------------------------------------------------------

  /**
   * @param {string} text
   * @param {number} at
   */
  #extend(text, at) {
    if (!this.#isOpen) {
      const style = { ...this.#parser.style };
      this.#push({ kind: "said", text: "", style, cut: 0, at, rows: 0, width: -1 });
      this.#isOpen = true;
    }
    const line = this.#mine(this.end - 1);
    const before = line.text.length;
    const room = this.limits.longest - before;
    if (text.length <= room) {
      line.text += text;
    } else {
      line.text += ownCopy(text.slice(0, room));
      line.cut += text.length - room;
    }
    this.#characters += line.text.length - before;
    line.width = -1;
    this.#count(line);
  }

  #close() {
    this.#isOpen = false;
    const line = this.#mine(this.end - 1);
    const before = line.text.length;
    line.text = lastDrawn(line.text);
    line.width = -1;
    this.#characters += line.text.length - before;
    this.#count(line);
    if (line.text.includes("\x1b") || line.text.includes("\x9b")) {
      this.#parser.style = { ...line.style };
      this.#parser.feed(line.text);
    }
  }

  /** @param {Line} line */
  #push(line) {
    line.rows = this.endRow + 1;
    this.#lines.push(line);
  }

  /** @param {Line} line always the last one */
  #count(line) {
    line.rows = (this.at(this.end - 2)?.rows ?? line.rows - this.#rowsOf(line)) + this.#rowsOf(line);
  }

  /** @param {Line} line */
  #rowsOf(line) {
    if (this.#columns === 0 || line.text.length <= this.#columns) {
      return 1;
    }
    if (line.width < 0) {
      line.width = withoutAnsi(line.text).length;
    }
    return Math.max(1, Math.ceil(line.width / this.#columns));
  }

  #letGo() {
    const { lines, characters } = this.limits;
    while (this.length > lines || (this.#characters > characters && this.length > 1)) {
      this.#characters -= this.#lines[this.#head]?.text.length ?? 0;
      this.#lines[this.#head] = undefined;
      this.#head += 1;
      this.first += 1;
    }
    if (this.#head > 4096 && this.#head > this.#lines.length / 2) {
      this.#lines = this.#lines.slice(this.#head);
      this.#head = 0;
    }
  }

  /**
   * @param {number} number
   * @returns {Line}
   */
  #mine(number) {
    const line = this.at(number);
    if (line === undefined) {
      throw new Error(`no line ${number} of ${this.first}..${this.end}`);
    }
    return line;
  }
}

/**
 * What a terminal shows of a line: a carriage return begins it anew, as progress bars do.
 * @param {string} text
 * @returns {string}
 */
export function lastDrawn(text) {
  if (!text.includes("\r")) {
    return text;
  }
  const parts = text.split("\r");
  for (let index = parts.length - 1; index >= 0; index -= 1) {
    const part = parts[index];
    if (part) {
      return part;
    }
  }
  return "";
}

/**
 * A string that does not keep alive the larger one that it was cut from, as slices do in browsers.
 * @param {string} text
 * @returns {string}
 */
function ownCopy(text) {
  return JSON.parse(JSON.stringify(text));
}
