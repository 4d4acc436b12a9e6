// @ts-check
/** The options of a process as they are in use, and where each came from. */

import { ask, asProblem } from "./api.js";
import { h, replace, setText } from "./dom.js";
import { counted } from "./format.js";
import { problemPanel } from "./notices.js";

/** @typedef {import("../wire").ConfigValue} ConfigValue */
/** @typedef {import("../wire").ProcessConfig} ProcessConfig */

const HOW = {
  "": "",
  defaults: "for all programs",
  env_file: "from an env_file",
  template: "a template, filled in",
};

/**
 * Which options to show.
 * @param {ConfigValue[]} options
 * @param {{text: string, isOwnOnly: boolean}} wanted
 * @returns {ConfigValue[]}
 */
export function chosen(options, { text, isOwnOnly }) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return options.filter((option) => {
    const whole = `${option.name} ${option.value} ${option.origin}`.toLowerCase();
    return !(isOwnOnly && option.is_default) && words.every((word) => whole.includes(word));
  });
}

export class Settings {
  /** @type {ConfigValue[] | null} */
  #options = null;
  #isAsking = false;

  /**
   * @param {string} name
   * @param {() => void} onLoad they are known, or known anew
   */
  constructor(name, onLoad) {
    this.name = name;
    this.onLoad = onLoad;
    this.filter = h("input", {
      type: "search", "aria-label": "Filter options", placeholder: "Filter options",
      autocomplete: "off", spellcheck: "false", oninput: () => this.#show(),
    });
    this.own = h("input", { type: "checkbox", checked: true, onchange: () => this.#show() });
    this.count = h("span", { class: "muted", role: "status" });
    this.body = h("tbody", {});
    this.place = h("div", { class: "table-place" });
    this.node = h("div", { class: "settings" },
      h("div", { class: "tab-bar" }, this.filter,
        h("label", { class: "check" }, this.own, " Only what is set"), this.count),
      this.place);
    this.table = h("table", { class: "settings-table" },
      h("caption", { class: "unseen" }, `Options of ${name}`),
      h("thead", {}, h("tr", {},
        ["Option", "Value", "Set where"].map((title) => h("th", { scope: "col" }, title)))),
      this.body);
  }

  /**
   * The value of an option as TOML has it; undefined while that is not known.
   * @param {string} name
   */
  valueOf(name) {
    return this.#options?.find((option) => option.name === name)?.value;
  }

  /** Ask what they are now. */
  async load() {
    if (this.#isAsking) {
      return;
    }
    this.#isAsking = true;
    try {
      /** @type {ProcessConfig} */
      const told = await ask(`/api/v1/processes/${encodeURIComponent(this.name)}/config`);
      this.#options = told.options;
      if (this.table.parentElement !== this.place) {
        replace(this.place, this.table);
      }
      this.#show();
      this.onLoad();
    } catch (error) {
      replace(this.place, problemPanel(asProblem(error), {
        title: "The configuration can't be shown", retry: () => void this.load(),
      }));
    } finally {
      this.#isAsking = false;
    }
  }

  #show() {
    const all = this.#options;
    if (all === null) {
      return;
    }
    const shown = chosen(all, { text: this.filter.value, isOwnOnly: this.own.checked });
    setText(this.count, `${shown.length} of ${counted(all.length, "option")}`);
    replace(this.body, shown.map(row));
    if (shown.length === 0) {
      replace(this.body, h("tr", {}, h("td", { colspan: 3, class: "muted" },
        this.own.checked ? "Nothing of this is set; untick the box to see the defaults."
          : "No option has this in its name, value or place.")));
    }
  }
}

/**
 * @param {ConfigValue} option
 * @returns {HTMLElement}
 */
function row(option) {
  const how = HOW[option.how];
  return h("tr", { class: option.is_default ? "is-default" : null },
    h("th", { scope: "row" }, h("code", {}, option.name)),
    h("td", {}, option.secret && option.value === ""
      ? h("span", { class: "muted" }, "hidden: needs the access 'admin'")
      : option.value === "" ? h("span", { class: "muted" }, "not set")
        : h("code", {}, option.value)),
    h("td", {}, option.origin === "default" ? h("span", { class: "muted" }, "default")
      : h("code", {}, option.origin), how && h("span", { class: "muted" }, ` ${how}`)));
}
