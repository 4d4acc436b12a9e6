// @ts-check
/**
 * The lines of a log on the screen: as many nodes as fit into it, however long the log is.
 *
 * A line is a node of its natural height in the normal flow, so nothing ever overlaps; how high
 * all the others would be is counted in rows. The view either follows the end, or stays at the
 * line where somebody reads, whatever comes and goes around it.
 */

import { AnsiParser, appearance, legible, textOn } from "./ansi.js";
import { h, replace } from "./dom.js";
import { bytes, clock, counted, exactly } from "./format.js";

/** @typedef {import("./logmodel.js").LogModel} LogModel */
/** @typedef {import("./logmodel.js").Line} Line */
/** @typedef {import("./logsearch.js").LogSearch} LogSearch */
/** @typedef {Map<number, {node: HTMLElement, key: string}>} Drawn */

const AROUND = 12; // rows above and below what is seen
const MOST_NODES = 400;
const NARROWEST = 20; // columns

export class LogView {
  isFollowing = true;
  /** Lines are wrapped. */
  isWrapped = false;
  hasTimes = false;
  /** Only lines that match the search are shown. */
  isFiltered = false;
  /** @type {number | null} the line that the search stands at */
  current = null;

  #rowHeight = 18;
  #characterWidth = 8;
  #isDue = false;
  #isClosed = false;
  /** @type {Drawn} */
  #nodes = new Map();
  #key = ""; // of everything that has all nodes made anew
  #firstRow = 0;
  #topLine = 0;
  #topRest = 0; // pixels of the top line that are above the edge
  #seenEnd = 0;
  #observer;

  /**
   * @param {{
   *   model: LogModel, search: LogSearch, label: string, onChange: () => void,
   * }} around `onChange`: it follows or no longer does, or has drawn
   */
  constructor({ model, search, label, onChange }) {
    this.model = model;
    this.search = search;
    this.onChange = onChange;
    this.ruler = h("span", { class: "log-ruler", "aria-hidden": "true" }, "0".repeat(50));
    this.window = h("div", { class: "log-window" });
    this.space = h("div", { class: "log-space" }, this.ruler, this.window);
    // No live region: a screen reader that has to read 200 lines a second can't say anything else.
    this.node = h(
      "div",
      {
        class: "log-view",
        role: "log",
        "aria-live": "off",
        "aria-label": label,
        tabindex: "0",
        onscroll: () => this.#onScroll(),
        onwheel: (/** @type {WheelEvent} */ event) => event.deltaY < 0 && this.#leaveEnd(),
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onKey(event),
      },
      this.space,
    );
    this.#observer = new ResizeObserver(() => {
      this.#measure();
      this.draw();
    });
    this.#observer.observe(this.node);
  }

  close() {
    this.#isClosed = true;
    this.#observer.disconnect();
  }

  /** The number of the line at the upper edge. */
  get topLine() {
    return this.#topLine;
  }

  /** New lines since somebody left the end. */
  get unseen() {
    return this.isFollowing ? 0 : Math.max(0, this.model.end - this.#seenEnd);
  }

  /** Draw with the next frame. */
  draw() {
    if (!this.#isDue && !this.#isClosed) {
      this.#isDue = true;
      requestAnimationFrame(() => {
        this.#isDue = false;
        if (!this.#isClosed) {
          this.#draw();
        }
      });
    }
  }

  /** Go to the end, and stay there. */
  follow() {
    this.isFollowing = true;
    this.onChange();
    this.draw();
  }

  /** Stay where we are. */
  stay() {
    if (this.isFollowing) {
      this.isFollowing = false;
      this.#seenEnd = this.model.end;
      this.onChange();
    }
  }

  /**
   * Show this line, in the middle if it is not seen yet.
   * @param {number} number
   */
  show(number) {
    this.stay();
    this.current = number;
    const top = (this.#rowOf(number) - this.#firstRow) * this.#rowHeight;
    const height = this.node.clientHeight;
    if (top < this.node.scrollTop || top > this.node.scrollTop + height - 2 * this.#rowHeight) {
      this.node.scrollTop = Math.max(0, top - height / 2);
      this.#remember();
    }
    this.draw();
  }

  /**
   * Change how lines are shown, and keep the line that is at the top there.
   * @param {{isWrapped?: boolean, hasTimes?: boolean, isFiltered?: boolean}} how
   */
  set(how) {
    Object.assign(this, how);
    this.node.classList.toggle("is-wrapped", this.isWrapped);
    this.node.classList.toggle("has-times", this.hasTimes);
    this.#measure();
    this.#goBack();
    this.draw();
  }

  // -- rows -------------------------------------------------------------------------------------

  get #isListed() {
    return this.isFiltered && this.search.isOn;
  }

  get #endRow() {
    return this.#isListed ? this.search.count : this.model.endRow;
  }

  /** @param {number} row */
  #numberAt(row) {
    if (!this.#isListed) {
      return this.model.lineOfRow(row);
    }
    return this.search.numberAt(Math.min(row, this.search.count - 1));
  }

  /** @param {number} number */
  #rowOf(number) {
    return this.#isListed ? this.search.indexOf(number) : this.model.rowOf(number);
  }

  #measure() {
    const box = this.ruler.getBoundingClientRect();
    if (box.height === 0) {
      return; // not on the screen
    }
    this.#rowHeight = box.height;
    this.#characterWidth = box.width / 50;
    const room = this.node.clientWidth / this.#characterWidth;
    const columns = Math.floor(room) - 2 - (this.hasTimes ? 10 : 0);
    this.model.wrapAt(this.isWrapped ? Math.max(NARROWEST, columns) : 0);
  }

  // -- where we are -----------------------------------------------------------------------------

  #onScroll() {
    const { scrollTop, scrollHeight, clientHeight } = this.node;
    const isAtEnd = scrollTop + clientHeight >= scrollHeight - this.#rowHeight / 2;
    if (isAtEnd && !this.isFollowing && scrollHeight > clientHeight) {
      this.follow();
    } else if (!isAtEnd && this.isFollowing && !this.#isDue) {
      this.stay();
    }
    this.#remember();
    this.draw();
  }

  #leaveEnd() {
    if (this.node.scrollTop > 0) {
      this.stay();
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) {
      return;
    }
    if (["PageUp", "ArrowUp", "Home"].includes(event.key)) {
      this.#leaveEnd();
    } else if (event.key === "End") {
      this.follow();
    }
  }

  /** Keep in mind which line is at the top. */
  #remember() {
    const row = Math.floor(this.node.scrollTop / this.#rowHeight);
    this.#topLine = this.#numberAt(this.#firstRow + row) ?? 0;
    this.#topRest =
      this.node.scrollTop - (this.#rowOf(this.#topLine) - this.#firstRow) * this.#rowHeight;
  }

  /** Have that line at the top again. */
  #goBack() {
    if (!this.isFollowing) {
      this.#firstRow = this.#isListed ? 0 : this.model.firstRow;
      const row = this.#rowOf(this.#topLine) - this.#firstRow;
      const isGone = this.#topLine < this.model.first;
      this.#setHeight();
      this.node.scrollTop = isGone ? 0 : row * this.#rowHeight + this.#topRest;
    }
  }

  /** Whether somebody has marked text here, which must not run away. */
  #isSelected() {
    const selection = document.getSelection();
    return (
      selection !== null && !selection.isCollapsed && this.window.contains(selection.anchorNode)
    );
  }

  // -- drawing ----------------------------------------------------------------------------------

  #setHeight() {
    const rows = this.#endRow - this.#firstRow;
    const height = `${rows * this.#rowHeight}px`;
    if (this.space.style.height !== height) {
      this.space.style.height = height;
    }
  }

  #draw() {
    if (this.isFollowing && this.#isSelected()) {
      this.stay();
    }
    const before = this.#firstRow;
    this.#firstRow = this.#isListed ? 0 : this.model.firstRow;
    this.#setHeight();
    const { node } = this;
    if (this.isFollowing) {
      node.scrollTop = node.scrollHeight;
    } else if (this.#firstRow !== before) {
      this.#goBack();
    }
    const seen = Math.ceil(node.clientHeight / this.#rowHeight);
    const top = Math.floor(node.scrollTop / this.#rowHeight);
    const first = Math.max(0, top - AROUND) + this.#firstRow;
    this.#drawRows(first, first + seen + 2 * AROUND);
    if (this.isFollowing) {
      this.#seenEnd = this.model.end;
      node.scrollTop = node.scrollHeight;
    }
    this.onChange();
  }

  /**
   * @param {number} first
   * @param {number} end
   */
  #drawRows(first, end) {
    const key = `${this.hasTimes}`;
    if (key !== this.#key) {
      this.#nodes.clear();
      this.#key = key;
    }
    const numbers = this.#numbersOf(first, end);
    const begin = numbers[0];
    /** @type {Drawn} */
    const kept = new Map();
    const nodes = [];
    for (const number of numbers) {
      const line = this.model.at(number);
      if (line === undefined) {
        continue;
      }
      const known = this.#nodes.get(number);
      const key = this.#keyOf(number, line);
      const one = known?.key === key ? known : { key, node: this.#lineNode(number, line) };
      kept.set(number, one);
      nodes.push(one.node);
    }
    this.#nodes = kept;
    const { children } = this.window;
    const isSame =
      children.length === nodes.length && nodes.every((node, index) => node === children[index]);
    if (!isSame) {
      replace(this.window, nodes);
    }
    const row = begin === undefined ? 0 : this.#rowOf(begin) - this.#firstRow;
    let top = row * this.#rowHeight;
    if (this.isFollowing && row > 0) {
      // Rows are counted, and characters may be wider than counted: what is last ends at the end.
      top = this.space.offsetHeight - this.window.offsetHeight;
    }
    this.window.style.transform = `translateY(${Math.max(0, top)}px)`;
  }

  /**
   * The lines of which something is in these rows.
   * @param {number} first
   * @param {number} end
   * @returns {number[]}
   */
  #numbersOf(first, end) {
    const numbers = [];
    const last = Math.min(end, this.#endRow);
    if (this.#isListed) {
      for (let row = first; row < last; row += 1) {
        const number = this.search.numberAt(row);
        if (number !== undefined) {
          numbers.push(number);
        }
      }
      return numbers;
    }
    for (let number = this.model.lineOfRow(first); number < this.model.end; number += 1) {
      if (this.model.rowOf(number) >= last || numbers.length >= MOST_NODES) {
        break;
      }
      numbers.push(number);
    }
    return numbers;
  }

  /**
   * What a node was made of: if it is the same, so is the node.
   * @param {number} number
   * @param {Line} line
   */
  #keyOf(number, line) {
    const spans = this.search.spans(number);
    return `${line.text.length} ${line.cut} ${spans.join()} ${number === this.current}`;
  }

  /**
   * @param {number} number
   * @param {Line} line
   * @returns {HTMLElement}
   */
  #lineNode(number, line) {
    const isCurrent = number === this.current;
    const node = h("div", {
      class: `log-line is-${line.kind}${isCurrent ? " is-current" : ""}`,
    });
    if (this.hasTimes) {
      const time = line.at ? clock(line.at) : "";
      node.append(h("time", { title: line.at ? `not written before ${exactly(line.at)}` : null }, time));
    }
    if (line.kind === "hole") {
      node.append(h("span", {}, `${bytes(line.cut)} not shown: they ${line.text}`));
    } else if (line.kind === "note") {
      node.append(h("span", {}, line.text));
    } else {
      node.append(saidNode(line, this.search.spans(number)));
    }
    return node;
  }
}

/**
 * @param {Line} line
 * @param {number[]} spans
 * @returns {HTMLElement}
 */
function saidNode(line, spans) {
  const parser = new AnsiParser();
  parser.style = { ...line.style };
  const text = h("span", {});
  let begin = 0;
  for (const run of parser.feed(line.text)) {
    const styled = styledSpan(run.style);
    appendMarked(styled ?? text, run.text, begin, spans);
    if (styled !== null) {
      text.append(styled);
    }
    begin += run.text.length;
  }
  if (line.cut > 0) {
    const more = counted(line.cut, "more character");
    text.append(h("span", { class: "log-cut" }, ` … ${more}: download the log to see them`));
  }
  return text;
}

/**
 * What shows a style; null where it needs nothing. Colours that no class has are set by the script:
 * the rules of the page forbid styles in markup.
 * @param {import("./ansi.js").Style} style
 * @returns {HTMLElement | null}
 */
function styledSpan(style) {
  const { classes, color, background } = appearance(style);
  if (classes.length === 0 && color === "" && background === "") {
    return null;
  }
  const node = h("span", {});
  if (background !== "") {
    node.style.backgroundColor = background;
    node.style.color = color || textOn(background);
  } else if (color !== "") {
    classes.push("ansi-own");
    node.style.setProperty("--on-light", legible(color, "light"));
    node.style.setProperty("--on-dark", legible(color, "dark"));
  }
  node.className = classes.join(" ");
  return node;
}

/**
 * @param {HTMLElement} parent
 * @param {string} text
 * @param {number} begin where it begins in its line
 * @param {number[]} spans what to mark in the line
 */
function appendMarked(parent, text, begin, spans) {
  let at = 0;
  for (let index = 0; index < spans.length; index += 2) {
    const first = Math.max(0, (spans[index] ?? 0) - begin);
    const end = Math.min(text.length, (spans[index + 1] ?? 0) - begin);
    if (first < end && end > at) {
      parent.append(text.slice(at, first), h("mark", {}, text.slice(first, end)));
      at = end;
    }
  }
  parent.append(text.slice(at));
}
