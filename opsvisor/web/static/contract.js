// @ts-check
/** The page about the API: each operation, what it takes and answers, and how to ask for it. */

import { ask } from "./api.js";
import {
  curlOf, fieldsOf, isMeant, kindOf, namesIn, operationsOf, valuesOf,
} from "./contractmodel.js";
import { h, replace, setText } from "./dom.js";
import { counted } from "./format.js";

/** @typedef {import("./contractmodel.js").Contract} Contract */
/** @typedef {import("./contractmodel.js").Operation} Operation */
/** @typedef {import("./contractmodel.js").Schema} Schema */

const COPIED_FOR = 2000; // milliseconds

/** @type {import("./main.js").Mount} */
export async function mount(container, context, route) {
  context.setTitle("API");
  /** @type {Contract} */
  const contract = await ask("/openapi.json");
  const page = new ContractPage(contract, context);
  replace(container, page.node);
  page.show(route.query);
  return { unmount: () => {}, update: (next) => page.show(next.query) };
}

class ContractPage {
  /**
   * @param {Contract} contract
   * @param {import("./main.js").Context} context
   */
  constructor(contract, context) {
    this.contract = contract;
    this.session = context.session;
    this.search = h("input", {
      type: "search", "aria-label": "Search operations", autocomplete: "off", spellcheck: "false",
      placeholder: "Search operations: a path, a word, a type", oninput: () => this.#filter(),
    });
    const name = this.session.me?.name ?? "";
    this.proof = h("select", { id: "proof", onchange: () => this.#showCurls() },
      h("option", { value: "none" }, "no credentials"),
      h("option", { value: "password", selected: name !== "" }, "a password"),
      h("option", { value: "token" }, "a token"));
    this.count = h("span", { class: "muted", role: "status" });
    /** @type {Entry[]} */
    this.entries = operationsOf(contract).map((operation) => new Entry(this, operation));
    this.sections = contract.tags.map(({ name: tag, description }) => {
      const entries = this.entries.filter(({ operation }) => operation.tag === tag);
      const node = h("section", { class: "operations" },
        h("h2", {}, tag[0]?.toUpperCase() + tag.slice(1)),
        h("p", { class: "muted" }, description),
        h("div", { class: "panel" }, entries.map((entry) => entry.node)));
      return { node, entries };
    });
    this.nothing = h("p", { class: "nothing", hidden: true }, "No operation has all of these words.");
    this.node = h("div", { class: "contract" },
      h("h1", {}, "The API"),
      h("details", { class: "about" },
        h("summary", {}, `Version ${contract.info.version}: what holds for all operations`),
        paragraphs(contract.info.description)),
      h("div", { class: "contract-bar" }, this.search, this.count,
        h("label", { class: "proof", for: "proof" }, "curl with"), this.proof,
        h("a", { href: "/openapi.json" }, "openapi.json")),
      this.nothing,
      this.sections.map(({ node }) => node));
  }

  /**
   * Show what a link asks for: `?operation=act`, or `?search=logs`.
   *
   * @param {URLSearchParams} query
   */
  show(query) {
    this.search.value = query.get("search") ?? "";
    this.#filter();
    const asked = this.entries.find(({ operation }) => operation.id === query.get("operation"));
    if (asked) {
      asked.node.open = true;
      asked.node.scrollIntoView({ block: "start" });
    }
  }

  #filter() {
    let shown = 0;
    for (const { node, entries } of this.sections) {
      let here = 0;
      for (const entry of entries) {
        const isShown = isMeant(entry.operation, this.search.value);
        entry.node.hidden = !isShown;
        here += Number(isShown);
      }
      node.hidden = here === 0;
      shown += here;
    }
    this.nothing.hidden = shown > 0;
    setText(this.count, counted(shown, "operation"));
  }

  #showCurls() {
    for (const entry of this.entries) {
      entry.showCurl();
    }
  }

  /** @param {Operation} operation */
  commandFor(operation) {
    return curlOf(this.contract, operation, {
      origin: location.origin,
      proof: /** @type {"none" | "password" | "token"} */ (this.proof.value),
      name: this.session.me?.name ?? "",
    });
  }
}

/** One operation: a line, and everything about it once that is opened. */
class Entry {
  #isFilled = false;

  /**
   * @param {ContractPage} page
   * @param {Operation} operation
   */
  constructor(page, operation) {
    this.page = page;
    this.operation = operation;
    this.line = h("code", {});
    const refusal = operation.access ? page.session.refusal(operation.access) : "";
    this.node = h("details", { class: "operation", ontoggle: () => this.#toggled() },
      h("summary", {},
        h("span", { class: `method ${operation.method.toLowerCase()}` }, operation.method),
        h("code", { class: "path" }, operation.path),
        h("span", { class: "about-it" }, inline(operation.summary)),
        h("span", { class: `access mark ${refusal ? "warn" : "idle"}`, title: refusal || null },
          operation.access ?? "everybody")));
  }

  showCurl() {
    setText(this.line, this.page.commandFor(this.operation));
  }

  #toggled() {
    if (!this.node.open) {
      return;
    }
    // Not by assigning location.hash: nothing new is to be gone back to.
    history.replaceState(history.state, "", `#/api?operation=${encodeURIComponent(this.operation.id)}`);
    if (!this.#isFilled) {
      this.#isFilled = true;
      this.showCurl();
      this.node.append(this.#body());
    }
  }

  #body() {
    const { operation, page } = this;
    const refusal = operation.access ? page.session.refusal(operation.access) : "";
    return h("div", { class: "operation-body" },
      operation.description && paragraphs(operation.description),
      refusal && h("p", { class: "warn" }, `You can't ask for this: it ${refusal}.`),
      h("div", { class: "curl" },
        h("pre", { tabindex: "0", role: "region", "aria-label": `curl for ${operation.id}` }, this.line),
        copyButton(() => this.line)),
      operation.parameters.length > 0 && this.#parameters(),
      operation.body && part("Takes", shape(page.contract, operation.body)),
      part(`Answers ${operation.status}`, this.#answer()),
      part("Problems", this.#problems()));
  }

  #parameters() {
    const rows = this.operation.parameters.map((one) => h("tr", {},
      h("th", { scope: "row" }, h("code", {}, one.name)),
      h("td", {}, one.in, one.required ? ", required" : ""),
      h("td", {}, kindOf(one.schema)),
      h("td", {}, inline(one.description ?? ""), values(one.schema), preset(one.schema))));
    return part("Parameters", table(["Name", "Where", "Type", "Meaning"], rows,
      `Parameters of ${this.operation.id}`));
  }

  #answer() {
    const { operation, page } = this;
    if (operation.events.length) {
      return h("div", {},
        h("p", { class: "muted" }, "A stream of server-sent events, until one side ends it."),
        operation.events.map(({ name, schema }) => h("div", { class: "event" },
          h("code", { class: "event-name" }, name), shape(page.contract, schema))));
    }
    if (operation.answer) {
      return shape(page.contract, operation.answer);
    }
    return h("p", {}, operation.media.map((type, index) => [index ? ", " : "", h("code", {}, type)]).flat());
  }

  #problems() {
    const rows = this.operation.problems.flatMap(({ status, codes }) => codes.map(
      ({ code, meaning }) => h("tr", {},
        h("th", { scope: "row" }, h("code", {}, code)), h("td", {}, status),
        h("td", {}, inline(meaning)))));
    return h("details", { class: "type" },
      h("summary", {}, counted(rows.length, "code")),
      table(["Code", "Status", "When"], rows, `Problems of ${this.operation.id}`));
  }
}

/**
 * @param {string} title
 * @param {Node} content
 */
function part(title, content) {
  return h("div", { class: "part" }, h("h3", {}, title), content);
}

/**
 * What JSON looks like: its type, whose fields are shown once that is opened.
 *
 * @param {Contract} contract
 * @param {Schema} schema
 * @returns {HTMLElement}
 */
function shape(contract, schema) {
  const [name, ...others] = namesIn(schema);
  const type = name && others.length === 0 ? contract.components.schemas[name] : undefined;
  if (!type) {
    return h("span", {}, kindOf(schema));
  }
  const node = h("details", { class: "type", ontoggle: () => fill() }, h("summary", {}, kindOf(schema)));
  let isFilled = false;
  // A type may hold others, and these itself: each is made when it is looked at.
  const fill = () => {
    if (node.open && !isFilled) {
      isFilled = true;
      node.append(h("div", { class: "type-body" },
        type.description ? paragraphs(type.description) : null, fields(contract, name ?? "", type)));
    }
  };
  return node;
}

/**
 * @param {Contract} contract
 * @param {string} name
 * @param {Schema} type
 */
function fields(contract, name, type) {
  const isAsked = type.additionalProperties === false;
  const rows = fieldsOf(type).map(({ name: field, schema, isRequired }) => h("tr", {},
    h("th", { scope: "row" }, h("code", {}, field)),
    h("td", {}, shape(contract, schema)),
    h("td", {}, isAsked && isRequired ? "Required. " : "", inline(schema.description ?? ""),
      values(schema), isAsked ? preset(schema) : null)));
  return rows.length
    ? table(["Field", "Type", "Meaning"], rows, `Fields of ${name}`)
    : h("p", { class: "muted" }, "It has no fields.");
}

/**
 * @param {string[]} heads
 * @param {HTMLElement[]} rows
 * @param {string} caption
 */
function table(heads, rows, caption) {
  return h("div", { class: "contract-place" }, h("table", { class: "contract-table" },
    h("caption", { class: "unseen" }, caption),
    h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col" }, head)))),
    h("tbody", {}, rows)));
}

/** @param {Schema} schema */
function values(schema) {
  const { values: told, isOpen } = valuesOf(schema);
  if (!told.length) {
    return null;
  }
  return h("div", { class: "values" }, isOpen ? "Today one of " : "One of ",
    told.flatMap((value, index) => [index ? ", " : "", h("code", {}, value)]));
}

/** @param {Schema} schema */
function preset(schema) {
  return schema.default === undefined ? null
    : h("div", { class: "values" }, "Default: ", h("code", {}, JSON.stringify(schema.default)));
}

/**
 * @param {string} text
 * @returns {HTMLElement}
 */
function paragraphs(text) {
  return h("div", { class: "paragraphs" },
    text.trim().split(/\n\n+/).map((paragraph) => h("p", {}, inline(paragraph))));
}

/**
 * What stands between backticks as code.
 *
 * @param {string} text
 * @returns {(Node | string)[]}
 */
function inline(text) {
  return text.split(/`([^`]+)`/).map((piece, index) => (index % 2 ? h("code", {}, piece) : piece));
}

/** @param {() => HTMLElement} of whose text is copied */
function copyButton(of) {
  const button = h("button", { type: "button", onclick: () => void copy() }, "Copy");
  const copy = async () => {
    const isDone = await copied(of());
    setText(button, isDone ? "Copied" : "Press Ctrl+C");
    setTimeout(() => setText(button, "Copy"), COPIED_FOR);
  };
  return button;
}

/**
 * Without TLS a browser has no clipboard for pages, and the old way has to do.
 *
 * @param {HTMLElement} node
 */
async function copied(node) {
  try {
    await navigator.clipboard.writeText(node.textContent ?? "");
    return true;
  } catch {
    getSelection()?.selectAllChildren(node);
    return document.execCommand("copy");
  }
}
