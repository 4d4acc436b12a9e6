// @ts-check
/** The overview: all processes, what is wrong first, and what can be done about it. */

import { SIGNALS, act } from "./actions.js";
import { open as openDialog } from "./dialogs.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import { filterOf, statesIn, withState, withWord, wordsOf } from "./filter.js";
import { counted } from "./format.js";
import { icon } from "./icons.js";
import { shapeOf, toneOf } from "./marks.js";
import { notice } from "./notices.js";
import { ProcessTable } from "./processtable.js";
import { overviewLink, processLink } from "./router.js";
import { rowsOf } from "./rows.js";
import { STATES, rankOf } from "./states.js";
import { keep, recall } from "./theme.js";

/** @typedef {import("./main.js").Context} Context */
/** @typedef {import("./main.js").Mounted} Mounted */
/** @typedef {import("./router.js").Route} Route */
/** @typedef {import("./rows.js").Order} Order */
/** @typedef {import("./rows.js").SortKey} SortKey */
/** @typedef {import("./actions.js").Action} Action */

/** @type {Order} */
const AS_IT_COMES = { key: "worst", descending: true };
/** @type {SortKey[]} */
const SORT_KEYS = ["name", "state", "since", "restarts", "cpu", "memory"];
const KEYS_ARE_OFF = "opsvisor.keys-off";

/** @type {[string, string][]} */
const KEYS = [
  ["j or ↓", "next process"],
  ["k or ↑", "the one before"],
  ["Enter", "open it"],
  ["x", "select it"],
  ["a", "select all that are shown, or none"],
  ["s", "start what is selected, or this one"],
  ["r", "restart"],
  ["t", "stop (terminate)"],
  ["/", "to the filter"],
  ["Esc", "clear the filter, then the selection"],
  ["?", "these keys"],
];

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @param {Route} route
 * @returns {Mounted}
 */
export function mount(container, context, route) {
  const overview = new Overview(container, context, route);
  return {
    unmount: () => overview.unmount(),
    update: (next) => overview.goTo(next),
    at: () => overview.table.at,
    comeBack: (at) => overview.table.comeBack(at),
  };
}

class Overview {
  #closed = new Set(JSON.parse(recall("opsvisor.closed") ?? "[]"));
  #text = "";
  #order = AS_IT_COMES;
  /** Names that the filter lets through, in their order, folded groups included. */
  /** @type {string[]} */
  #matching = [];
  #anchor = "";
  /** @type {import("./notices.js").Notice | null} */
  #refused = null;
  /** @type {Map<string, {node: HTMLButtonElement, count: HTMLElement}>} */
  #chips = new Map();

  /**
   * @param {HTMLElement} container
   * @param {Context} context
   * @param {Route} route
   */
  constructor(container, { store, session, setTitle }, route) {
    this.store = store;
    this.session = session;
    this.table = new ProcessTable(store, {
      onPick: (name, isRange) => this.#pick(name, isRange),
      onPickAll: (isPicked) => this.#pickAll(isPicked),
      onPickGroup: (names, isPicked) => this.#pickThese(names, isPicked),
      onAction: (action, name) => void this.#act(action, [name]),
      onFold: (name) => this.#fold(name),
      onOrder: (order) => this.#setOrder(order ?? AS_IT_COMES),
    });
    this.filter = h("input", {
      type: "search", id: "filter", "aria-label": "Filter", autocomplete: "off", spellcheck: "false",
      placeholder: "Filter: a name, state:fatal, group:web, is:flapping",
      oninput: () => this.#setFilter(this.filter.value),
    });
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Filter by state" });
    this.sort = h("select", { class: "sort-choice", "aria-label": "Sort by", onchange: () => this.#sortBy() },
      h("option", { value: "worst" }, "What is wrong first"),
      SORT_KEYS.map((key) => h("option", { value: key }, `By ${key}`)));
    this.summary = h("p", { class: "summary", role: "status" });
    this.selection = h("div", { class: "selection", role: "toolbar", "aria-label": "Selected processes", hidden: true });
    this.nothing = h("div", { class: "nothing" });
    this.#makeSelection();
    container.append(
      h("h1", { class: "unseen" }, "Processes"),
      h("div", { class: "toolbar" },
        h("div", { class: "search" }, this.filter, h("kbd", { "aria-hidden": "true" }, "/")),
        this.chips,
        this.sort,
        h("button", { type: "button", class: "icon-button help", "aria-label": "Keys", title: "Keys (?)",
          onclick: () => showKeys() }, icon("help"))),
      this.summary,
      this.selection,
      this.table.node,
      this.nothing,
    );
    setTitle("Processes");
    const onKey = (/** @type {KeyboardEvent} */ event) => this.#onKey(event);
    document.addEventListener("keydown", onKey);
    const ends = [
      store.subscribe((changes) => this.#onChanges(changes)),
      session.subscribe(() => this.#showAccess()),
      () => document.removeEventListener("keydown", onKey),
      () => this.table.unmount(),
    ];
    this.unmount = () => ends.forEach((end) => end());
    this.#showAccess();
    this.goTo(route);
  }

  /** @param {Route} route */
  goTo({ query }) {
    this.#text = query.get("q") ?? "";
    this.filter.value = this.#text;
    const sort = query.get("sort") ?? "";
    const key = SORT_KEYS.find((one) => one === sort.replace(/^-/, ""));
    this.#order = key ? { key, descending: sort.startsWith("-") } : AS_IT_COMES;
    this.#show();
  }

  // -- showing ----------------------------------------------------------------------------------

  /** @param {import("./store.js").Changes} changes */
  #onChanges(changes) {
    if (changes.all || changes.removed.size > 0) {
      for (const name of this.table.picked) {
        if (!this.store.processes.has(name)) {
          this.table.picked.delete(name);
        }
      }
    }
    const isSortedByUse = this.#order.key === "cpu" || this.#order.key === "memory";
    if (changes.all || changes.processes.size || changes.removed.size || (changes.samples && isSortedByUse)) {
      this.#show();
    } else if (changes.samples) {
      this.table.draw();
    } else if (changes.connection) {
      this.#showNothing();
    }
  }

  #show() {
    const all = [...this.store.processes.values()];
    const matching = all.filter(filterOf(this.#text));
    const view = { order: this.#order, closed: this.#closed, usageOf: this.store.usageOf };
    this.#matching = matching.map(({ name }) => name);
    this.table.setOrder(this.#order);
    this.table.show(rowsOf(matching, view));
    this.sort.value = this.#order.key;
    this.#showCounts(all, matching.length);
    this.#showSelection();
    this.#showNothing();
  }

  /**
   * @param {import("../wire").ProcessStatus[]} all
   * @param {number} shown
   */
  #showCounts(all, shown) {
    /** @type {Map<string, number>} */
    const counts = new Map();
    let wrong = 0;
    for (const process of all) {
      counts.set(process.state, (counts.get(process.state) ?? 0) + 1);
      wrong += rankOf(process) > 0 ? 1 : 0;
    }
    const asked = statesIn(this.#text);
    const isWrongAsked = wordsOf(this.#text).includes("is:wrong");
    this.#chip("is:wrong", "Needs attention", wrong, isWrongAsked);
    for (const state of STATES) {
      this.#chip(state, state, counts.get(state) ?? 0, asked.has(state));
    }
    const what = counted(all.length, "process", "processes");
    const which = shown === all.length ? what : `${shown} of ${what} shown`;
    setText(this.summary, all.length === 0 ? "" : `${which}${wrong ? `, ${wrong} need${wrong === 1 ? "s" : ""} attention` : ", all is well"}`);
  }

  /**
   * @param {string} key
   * @param {string} text
   * @param {number} count
   * @param {boolean} isPressed
   */
  #chip(key, text, count, isPressed) {
    let chip = this.#chips.get(key);
    if (!chip) {
      const isState = key !== "is:wrong";
      const number = h("span", { class: "count" });
      const toggle = () =>
        this.#setFilter(isState ? withState(this.#text, key) : withWord(this.#text, key));
      const node = h("button", {
        type: "button", class: `chip ${isState ? toneOf(key) : "attention"}`, onclick: toggle,
      }, isState && shapeOf(key), h("span", {}, text), number);
      chip = { node, count: number };
      this.#chips.set(key, chip);
      this.chips.append(node);
    }
    setText(chip.count, String(count));
    setAttribute(chip.node, "aria-pressed", String(isPressed));
    chip.node.classList.toggle("none", count === 0);
    chip.node.hidden = count === 0 && !isPressed;
  }

  #showNothing() {
    const { store } = this;
    const isEmpty = this.#matching.length === 0;
    this.table.node.hidden = isEmpty;
    this.nothing.hidden = !isEmpty;
    if (!isEmpty) {
      return;
    }
    if (store.processes.size > 0) {
      replace(this.nothing, h("p", {}, "No process matches this filter."),
        h("button", { type: "button", onclick: () => this.#setFilter("") }, "Clear the filter"));
    } else if (store.daemon) {
      const [file] = store.daemon.config_files;
      replace(this.nothing, h("p", {}, "No programs are configured yet."),
        h("p", { class: "hint" }, "Hint: add a [program.NAME] to ", h("code", {}, file ?? "its configuration"),
          ", then see ", h("a", { href: "#/daemon" }, "what would change"), "."));
    } else {
      replace(this.nothing, h("p", {}, "Waiting for the daemon."));
    }
  }

  #showAccess() {
    const refusal = this.session.refusal("operate");
    this.table.setRefusal(refusal);
    for (const button of this.selection.querySelectorAll("[data-acts]")) {
      /** @type {HTMLButtonElement} */ (button).disabled = refusal !== "";
    }
    setText(this.refusal, refusal ? `Acting ${refusal}.` : "");
  }

  // -- filter and order -------------------------------------------------------------------------

  /** @param {string} text */
  #setFilter(text) {
    this.#text = text;
    if (this.filter.value !== text) {
      this.filter.value = text;
    }
    this.#remember();
    this.#show();
  }

  /** @param {Order} order */
  #setOrder(order) {
    this.#order = order;
    this.#remember();
    this.#show();
  }

  #sortBy() {
    const key = SORT_KEYS.find((one) => one === this.sort.value);
    this.#setOrder(key ? { key, descending: !["name", "state"].includes(key) } : AS_IT_COMES);
  }

  /** In the address: it can be sent to somebody, and "back" comes back to it. */
  #remember() {
    const { key, descending } = this.#order;
    const sort = key === "worst" ? "" : `${descending ? "-" : ""}${key}`;
    history.replaceState(history.state, "", overviewLink({ q: this.#text, sort }));
  }

  /** @param {string} name */
  #fold(name) {
    if (!this.#closed.delete(name)) {
      this.#closed.add(name);
    }
    keep("opsvisor.closed", JSON.stringify([...this.#closed]));
    this.#show();
  }

  // -- selecting and acting ---------------------------------------------------------------------

  #makeSelection() {
    this.count = h("strong", {});
    this.refusal = h("span", { class: "muted" });
    this.signal = h("select", { "aria-label": "Signal", "data-acts": true },
      SIGNALS.map((name) => h("option", { value: name }, `SIG${name}`)));
    /**
     * @param {string} text
     * @param {Action} action
     */
    const button = (text, action) =>
      h("button", { type: "button", "data-acts": true, onclick: () => void this.#act(action, [...this.table.picked]) }, text);
    replace(
      this.selection,
      this.count,
      button("Start", "start"), button("Stop", "stop"), button("Restart", "restart"),
      h("span", { class: "joined" }, this.signal, button("Send", "signal")),
      h("button", { type: "button", class: "quiet", onclick: () => this.#pickThese([...this.table.picked], false) }, "Clear selection"),
      this.refusal,
    );
  }

  /** @type {HTMLElement} */
  count = h("strong", {});
  /** @type {HTMLElement} */
  refusal = h("span", {});
  /** @type {HTMLSelectElement} */
  signal = h("select", {});

  #showSelection() {
    const { picked } = this.table;
    const matching = new Set(this.#matching);
    const shown = [...picked].filter((name) => matching.has(name)).length;
    const all = this.table.pickAll;
    all.checked = shown > 0 && shown === matching.size;
    all.indeterminate = shown > 0 && shown < matching.size;
    const hidden = picked.size - shown;
    setText(this.count, `${picked.size.toLocaleString("en")} selected${hidden ? ` (${hidden.toLocaleString("en")} not shown)` : ""}`);
    this.selection.hidden = picked.size === 0;
  }

  /**
   * @param {string} name
   * @param {boolean} isRange
   */
  #pick(name, isRange) {
    const { picked, names } = this.table;
    const isPicked = !picked.has(name);
    const from = isRange ? names.indexOf(this.#anchor) : -1;
    const to = names.indexOf(name);
    const range = from < 0 ? [name] : names.slice(Math.min(from, to), Math.max(from, to) + 1);
    this.#anchor = name;
    this.#pickThese(range, isPicked);
  }

  /** @param {boolean} isPicked */
  #pickAll(isPicked) {
    this.#pickThese(this.#matching, isPicked);
  }

  /**
   * @param {string[]} names
   * @param {boolean} isPicked
   */
  #pickThese(names, isPicked) {
    for (const name of names) {
      if (isPicked) {
        this.table.picked.add(name);
      } else {
        this.table.picked.delete(name);
      }
    }
    this.#showSelection();
    this.table.draw();
  }

  /**
   * @param {Action} action
   * @param {string[]} names
   */
  async #act(action, names) {
    const refusal = this.session.refusal("operate");
    if (refusal) {
      this.#refused?.close(); // of a key that is held down, one is enough
      this.#refused = notice(`Acting ${refusal}`, "bad");
    } else if (names.length > 0) {
      await act(action, names, action === "signal" ? { signal: this.signal.value } : {});
    }
  }

  // -- keys -------------------------------------------------------------------------------------

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const { target } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) {
      return;
    }
    if (event.key === "Escape") {
      this.#escape(target);
      return;
    }
    const isTyping = target instanceof HTMLElement && target.matches("input:not([type=checkbox]), select, textarea");
    if (isTyping || (recall(KEYS_ARE_OFF) && event.key !== "?")) {
      return;
    }
    if (this.#onCommand(event.key)) {
      event.preventDefault();
    }
  }

  /**
   * @param {string} key
   * @returns {boolean} whether it means something
   */
  #onCommand(key) {
    const { table } = this;
    const these = table.picked.size > 0 ? [...table.picked] : table.at ? [table.at] : [];
    switch (key) {
      case "j":
      case "ArrowDown":
        this.#move(1);
        break;
      case "k":
      case "ArrowUp":
        this.#move(-1);
        break;
      case "Enter":
        // On a button or a link it is that which is meant.
        if (!table.at || document.activeElement !== document.body) {
          return false;
        }
        location.hash = processLink(table.at);
        break;
      case "x":
        if (table.at) {
          this.#pick(table.at, false);
        }
        break;
      case "a":
        this.#pickAll(table.picked.size === 0);
        break;
      case "s":
        void this.#act("start", these);
        break;
      case "r":
        void this.#act("restart", these);
        break;
      case "t":
        void this.#act("stop", these);
        break;
      case "/":
        this.filter.focus();
        this.filter.select();
        break;
      case "?":
        showKeys();
        break;
      default:
        return false;
    }
    return true;
  }

  /** @param {number} step */
  #move(step) {
    const { names, at } = this.table;
    const present = names.indexOf(at);
    const next = present < 0 ? (step > 0 ? 0 : names.length - 1) : present + step;
    const name = names[Math.max(0, Math.min(names.length - 1, next))];
    if (name !== undefined) {
      this.table.goTo(name);
    }
  }

  /** @param {EventTarget | null} target */
  #escape(target) {
    if (this.#text !== "") {
      this.#setFilter("");
    } else if (this.table.picked.size > 0) {
      this.#pickThese([...this.table.picked], false);
    }
    if (target === this.filter) {
      this.filter.blur();
    }
  }
}

function showKeys() {
  const off = h("input", { type: "checkbox", checked: !recall(KEYS_ARE_OFF) });
  off.addEventListener("change", () => keep(KEYS_ARE_OFF, off.checked ? "" : "off"));
  openDialog({
    title: "Keys",
    body: [
      h("dl", { class: "keys" }, KEYS.flatMap(([key, meaning]) => [h("dt", {}, key), h("dd", {}, meaning)])),
      h("label", {}, off, " Single keys do something on this page"),
    ],
    buttons: [h("button", { type: "submit", class: "primary" }, "Close")],
  });
}
