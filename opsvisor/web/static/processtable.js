// @ts-check
/**
 * The table of the overview: heads of columns to sort by, heads of groups, and of the processes
 * those rows that are in sight.
 */

import { h, replace, setAttribute, setText } from "./dom.js";
import { icon } from "./icons.js";
import { shapeOf, toneOf } from "./marks.js";
import { ProcessRow } from "./processrow.js";
import { SINGLE, TROUBLE } from "./rows.js";
import { STATES } from "./states.js";
import { offsetsOf, rowsBetween } from "./window.js";

/** @typedef {import("./rows.js").Row} Row */
/** @typedef {import("./rows.js").Order} Order */
/** @typedef {import("./rows.js").SortKey} SortKey */
/** @typedef {import("./store.js").Store} Store */

/** Pixels above and below the sight for which rows are made already. */
const MARGIN = 400;

/** @type {[SortKey, string, boolean][]} what each head sorts by, its text, whether largest first */
const COLUMNS = [
  ["name", "Process", false],
  ["state", "State", false],
  ["since", "Since", true],
  ["restarts", "Restarts", true],
  ["cpu", "CPU", true],
  ["memory", "Memory", true],
];

/**
 * @typedef {object} TableHandlers
 * @property {import("./processrow.js").RowHandlers["onPick"]} onPick
 * @property {import("./processrow.js").RowHandlers["onAction"]} onAction
 * @property {(isPicked: boolean) => void} onPickAll
 * @property {(names: string[], isPicked: boolean) => void} onPickGroup
 * @property {(name: string) => void} onFold
 * @property {(order: Order | null) => void} onOrder null: as it comes
 */

export class ProcessTable {
  /** @type {Row[]} */
  #rows = [];
  #offsets = offsetsOf([]);
  /** @type {Map<string, ProcessRow | GroupRow>} */
  #made = new Map();
  #above = spacer();
  #below = spacer();
  /** @type {Map<SortKey, {head: HTMLElement, sign: HTMLElement, text: string}>} */
  #heads = new Map();
  #isScheduled = false;
  #isHeld = false;
  #isLate = false;
  /** @type {Set<string>} */
  picked = new Set();
  /** The process that the keyboard is at; "" if at none. */
  at = "";
  #refusal = "";

  /**
   * @param {Store} store
   * @param {TableHandlers} handlers
   */
  constructor(store, handlers) {
    this.store = store;
    this.handlers = handlers;
    this.pickAll = h("input", { type: "checkbox", "aria-label": "Select all shown" });
    this.pickAll.addEventListener("change", () => handlers.onPickAll(this.pickAll.checked));
    this.body = h("tbody", { role: "rowgroup" }, this.#above, this.#below);
    this.node = h(
      "table",
      { class: "processes", role: "table", "aria-label": "Processes" },
      h("thead", { role: "rowgroup" },
        h("tr", { role: "row" },
          h("th", { role: "columnheader", scope: "col", class: "pick" }, h("label", { class: "hit" }, this.pickAll)),
          COLUMNS.map(([key, text, isLargestFirst]) => this.#head(key, text, isLargestFirst)),
          h("th", { role: "columnheader", scope: "col", class: "outlook" }, "Next, and why"),
          h("th", { role: "columnheader", scope: "col", class: "do" }, h("span", { class: "unseen" }, "Actions")))),
      this.body,
    );
    const onScroll = () => this.#schedule();
    const onResize = () => this.layOut();
    const onDown = () => {
      this.#isHeld = true;
    };
    // After the click that this ends: a row must not move away between press and release.
    const onUp = () => setTimeout(() => this.#letGo(), 0);
    this.body.addEventListener("pointerdown", onDown);
    window.addEventListener("pointerup", onUp);
    window.addEventListener("pointercancel", onUp);
    window.addEventListener("scroll", onScroll, { passive: true });
    window.addEventListener("resize", onResize);
    this.#ticking = setInterval(() => this.tick(), 1000);
    this.unmount = () => {
      clearInterval(this.#ticking);
      window.removeEventListener("pointerup", onUp);
      window.removeEventListener("pointercancel", onUp);
      window.removeEventListener("scroll", onScroll);
      window.removeEventListener("resize", onResize);
    };
  }

  #ticking;

  /** The names of all processes in the rows, in their order. */
  get names() {
    return this.#rows.flatMap((row) => (row.kind === "process" ? [row.process.name] : []));
  }

  /**
   * Show these rows.
   *
   * @param {Row[]} rows
   */
  show(rows) {
    this.#rows = rows;
    this.layOut();
  }

  /** @param {string} refusal why the caller may not act, "" if it may */
  setRefusal(refusal) {
    this.#refusal = refusal;
    for (const made of this.#made.values()) {
      if (made instanceof ProcessRow) {
        made.setRefusal(refusal);
      }
    }
  }

  /** @param {Order} order */
  setOrder(order) {
    for (const [key, { head, sign }] of this.#heads) {
      const isThis = key === order.key;
      setAttribute(head, "aria-sort", isThis ? (order.descending ? "descending" : "ascending") : "none");
      replace(sign, isThis ? icon(order.descending ? "down" : "up") : "");
    }
    this.#order = order;
  }

  /** @type {Order} */
  #order = { key: "worst", descending: true };

  /** Find out anew how high rows are, and draw. */
  layOut() {
    const style = getComputedStyle(this.node);
    const high = parseFloat(style.getPropertyValue("--row")) || 34;
    const highGroup = parseFloat(style.getPropertyValue("--group-row")) || 36;
    this.#offsets = offsetsOf(this.#rows.map((row) => (row.kind === "group" ? highGroup : high)));
    setAttribute(this.node, "aria-rowcount", this.#rows.length + 1);
    this.draw();
  }

  /**
   * Bring the keyboard to a process, and it into sight.
   *
   * @param {string} name
   */
  goTo(name) {
    this.at = name;
    const index = this.#rows.findIndex((row) => row.kind === "process" && row.process.name === name);
    if (index < 0) {
      this.draw();
      return;
    }
    const top = this.body.getBoundingClientRect().top + window.scrollY;
    const begin = top + (this.#offsets[index] ?? 0);
    const end = top + (this.#offsets[index + 1] ?? 0);
    const head = 120;
    if (begin < window.scrollY + head) {
      window.scrollTo(0, begin - head);
    } else if (end > window.scrollY + window.innerHeight - 60) {
      window.scrollTo(0, end - window.innerHeight + 60);
    }
    this.draw();
    this.#focus(name);
  }

  /**
   * Have the keyboard where it was, without moving what is in sight.
   *
   * @param {string} name "" if it was at none
   */
  comeBack(name) {
    this.at = name;
    this.draw();
    this.#focus(name);
  }

  /** @param {string} name */
  #focus(name) {
    const made = this.#made.get(`process ${name}`);
    if (made instanceof ProcessRow) {
      made.link.focus({ preventScroll: true });
    }
  }

  /** Once a second: what changes with the time alone. */
  tick() {
    const now = this.store.now();
    for (const made of this.#made.values()) {
      if (made instanceof ProcessRow) {
        made.tick(now);
      }
    }
  }

  #schedule() {
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      requestAnimationFrame(() => {
        this.#isScheduled = false;
        this.draw();
      });
    }
  }

  #letGo() {
    this.#isHeld = false;
    if (this.#isLate) {
      this.draw();
    }
  }

  /** Make the rows that are in sight as they are now, and take away the others. */
  draw() {
    if (this.#isHeld) {
      this.#isLate = true;
      return;
    }
    this.#isLate = false;
    const top = -this.body.getBoundingClientRect().top;
    const { first, last } = rowsBetween(this.#offsets, top - MARGIN, top + window.innerHeight + MARGIN);
    const total = this.#offsets[this.#rows.length] ?? 0;
    setHeight(this.#above, this.#offsets[first] ?? 0);
    setHeight(this.#below, total - (this.#offsets[last] ?? 0));
    const focused = document.activeElement;
    const wanted = new Set(this.#rows.slice(first, last).map((row) => row.key));
    for (const [key, made] of this.#made) {
      if (!wanted.has(key)) {
        made.node.remove();
        this.#made.delete(key);
      }
    }
    let place = this.#above.nextSibling;
    for (let index = first; index < last; index += 1) {
      const { node } = this.#drawn(/** @type {Row} */ (this.#rows[index]), index);
      if (node === place) {
        place = place.nextSibling;
      } else {
        this.body.insertBefore(node, place);
      }
    }
    // A node that is moved loses the focus.
    if (focused instanceof HTMLElement && focused !== document.activeElement && focused.isConnected) {
      focused.focus({ preventScroll: true });
    }
    this.tick();
  }

  /**
   * @param {Row} row
   * @param {number} index
   */
  #drawn(row, index) {
    let made = this.#made.get(row.key);
    if (row.kind === "group") {
      if (!(made instanceof GroupRow)) {
        made = new GroupRow(row.name, this.handlers);
        this.#made.set(row.key, made);
      }
      made.update(row, this.picked);
    } else {
      const { process } = row;
      if (!(made instanceof ProcessRow)) {
        made = new ProcessRow(process, this.handlers);
        made.setRefusal(this.#refusal);
        this.#made.set(row.key, made);
      }
      made.update(process, this.store.usageOf(process), this.store.samples.get(process.name));
      made.setPicked(this.picked.has(process.name));
      made.node.classList.toggle("at", process.name === this.at);
    }
    setAttribute(made.node, "aria-rowindex", index + 2);
    return made;
  }

  /**
   * @param {SortKey} key
   * @param {string} text
   * @param {boolean} isLargestFirst
   */
  #head(key, text, isLargestFirst) {
    const sign = h("span", { class: "sign" });
    const onclick = () => {
      const { key: present, descending } = this.#order;
      if (present !== key) {
        this.handlers.onOrder({ key, descending: isLargestFirst });
      } else if (descending === isLargestFirst) {
        this.handlers.onOrder({ key, descending: !isLargestFirst });
      } else {
        this.handlers.onOrder(null);
      }
    };
    const head = h("th", { role: "columnheader", scope: "col", class: key === "state" ? "state-head" : key, "aria-sort": "none" },
      h("button", { type: "button", class: "sort", onclick }, text, sign));
    this.#heads.set(key, { head, sign, text });
    return head;
  }
}

/** The head of a group. */
class GroupRow {
  #counts = h("span", { class: "counts" });
  #sign = h("span", { class: "sign" });
  #count = h("span", { class: "count" });
  #look = "";
  /** @type {string[]} */
  #names = [];

  /**
   * @param {string} name
   * @param {TableHandlers} handlers
   */
  constructor(name, { onFold, onPickGroup }) {
    const isTrouble = name === TROUBLE;
    const text = isTrouble ? "Needs attention" : name === SINGLE ? "Not in a group" : name;
    this.pick = h("input", { type: "checkbox", "aria-label": `Select all of ${text}` });
    this.pick.addEventListener("change", () => onPickGroup(this.#names, this.pick.checked));
    this.button = h("button", { type: "button", class: "fold", onclick: () => onFold(name) }, this.#sign, text);
    this.node = h(
      "tr",
      { role: "row", class: `group${isTrouble ? " trouble" : ""}` },
      h("td", { role: "cell", class: "pick" }, h("label", { class: "hit" }, this.pick)),
      h("th", { role: "rowheader", scope: "rowgroup", colspan: 8 },
        h("div", { class: "group-head" }, this.button, this.#count, this.#counts)),
    );
  }

  /**
   * @param {Extract<Row, {kind: "group"}>} row
   * @param {Set<string>} picked
   */
  update({ members, isOpen }, picked) {
    setAttribute(this.button, "aria-expanded", String(isOpen));
    if (this.#sign.dataset.open !== String(isOpen)) {
      this.#sign.dataset.open = String(isOpen);
      replace(this.#sign, icon(isOpen ? "open" : "closed"));
    }
    this.#names = members.map(({ name }) => name);
    const count = this.#names.filter((name) => picked.has(name)).length;
    this.pick.checked = count > 0 && count === members.length;
    this.pick.indeterminate = count > 0 && count < members.length;
    const counts = STATES
      .map((state) => ({ state, count: members.filter((one) => one.state === state).length }))
      .filter(({ count }) => count > 0);
    setText(this.#count, String(members.length));
    const look = counts.map(({ state, count }) => `${state} ${count}`).join(" ");
    if (look !== this.#look) {
      this.#look = look;
      replace(this.#counts, counts.map(({ state, count }) =>
        h("span", { class: `state ${toneOf(state)}` }, shapeOf(state), `${count} ${state.toLowerCase()}`)));
    }
  }
}

function spacer() {
  return h("tr", { class: "spacer", "aria-hidden": "true" }, h("td", { colspan: 9 }));
}

/**
 * @param {HTMLTableRowElement} row
 * @param {number} height
 */
function setHeight(row, height) {
  const cell = /** @type {HTMLElement} */ (row.firstElementChild);
  cell.style.height = `${height}px`;
  row.hidden = height === 0;
}
