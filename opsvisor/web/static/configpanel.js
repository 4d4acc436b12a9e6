// @ts-check
/**
 * The configuration: whether the last reading of it went well, what would change by applying it,
 * and applying it after a look at that.
 */

import { ask, asProblem, post } from "./api.js";
import { confirm } from "./dialogs.js";
import { h, replace } from "./dom.js";
import { ago, counted, exactly } from "./format.js";
import { notice, problemList, problemText } from "./notices.js";
import { outcomes } from "./actions.js";

/** @typedef {import("../wire").ConfigDiff} ConfigDiff */
/** @typedef {import("../wire").ConfigChange} ConfigChange */
/** @typedef {import("../wire").ApplyResponse} ApplyResponse */

export class ConfigPanel {
  /** @type {ConfigDiff | null} */
  #diff = null;

  /**
   * @param {import("./store.js").Store} store
   * @param {import("./session.js").Session} session
   */
  constructor(store, session) {
    this.store = store;
    this.session = session;
    this.state = h("div", { class: "config-state" });
    this.preview = h("div", { class: "config-preview", "aria-live": "polite" });
    this.look = h("button", { type: "button", onclick: () => void this.#look() }, "Look for changes");
    this.apply = h("button", { type: "button", class: "primary", hidden: true, onclick: () => void this.#apply() }, "Apply…");
    this.node = h("section", { class: "panel config", "aria-label": "Configuration" },
      h("div", { class: "panel-head" }, h("h2", {}, "Configuration"), this.look, this.apply),
      this.state, this.preview);
    const ends = [
      store.subscribe((changes) => {
        if (changes.all || changes.daemon) {
          this.#showState();
        }
      }),
      session.subscribe(() => this.#showAccess()),
    ];
    this.unmount = () => ends.forEach((end) => end());
    this.#showState();
    this.#showAccess();
  }

  #showState() {
    const { daemon } = this.store;
    if (!daemon) {
      return;
    }
    const when = h("span", { title: exactly(daemon.last_reload_at) }, ago(daemon.last_reload_at, this.store.now()));
    if (daemon.last_reload_ok) {
      replace(this.state, h("p", { class: "muted" }, `Generation ${daemon.generation} is in use. The files were read `, when, " without a problem."));
    } else {
      const problems = daemon.last_reload_problems;
      replace(this.state,
        h("div", { class: "config-wrong", role: "alert" },
          h("p", {}, h("strong", { class: "bad" }, `The files can't be used: ${counted(problems.length, "problem")}.`),
            " They were read ", when, `; generation ${daemon.generation} stays in use.`),
          problemList(problems)));
    }
  }

  #showAccess() {
    const refusal = this.session.refusal("admin");
    this.look.disabled = this.apply.disabled = refusal !== "";
    this.look.title = this.apply.title = refusal;
  }

  async #look() {
    this.look.disabled = true;
    try {
      this.#show(await post("/api/v1/config/reread"));
    } catch (error) {
      this.#diff = null;
      this.apply.hidden = true;
      const problem = asProblem(error);
      // What is wrong in the files is a state of the daemon, and shown as that.
      const isState = problem.code === "bad_config";
      replace(this.preview, !isState && h("div", { role: "alert" }, problemText(problem)));
    } finally {
      this.#showAccess();
      await this.#askState();
    }
  }

  /** Reading files is no event, so nobody tells how it went. */
  async #askState() {
    try {
      this.store.setDaemon(await ask("/api/v1/daemon"));
    } catch {
      // It will be told when the daemon is back.
    }
  }

  /** @param {ConfigDiff} diff */
  #show(diff) {
    this.#diff = diff;
    const isAny = diff.added.length + diff.changed.length + diff.removed.length
      + diff.groups_added.length + diff.groups_changed.length + diff.groups_removed.length > 0;
    this.apply.hidden = !isAny;
    replace(this.preview,
      !isAny && h("p", {}, "Nothing would change."),
      isAny && h("p", {}, h("strong", {}, "Applying this would change:")),
      h("ul", { class: "changes" },
        diff.removed.map((name) => change("removed", "bad", name, "It is stopped, and taken away.")),
        diff.changed.map((one) => changed(one)),
        diff.added.map((name) => change("added", "good", name, "It is started, unless it is not to be.")),
        lonely(diff).map(([word, name]) => change(word, "busy", name, "A group."))),
      diff.daemon_changed.length > 0 && h("p", { class: "hint" },
        "Hint: settings of the daemon itself take a reload: ", h("code", {}, diff.daemon_changed.join(", "))),
      diff.warnings.length > 0 && h("div", {}, h("h3", {}, "Warnings"), problemList(diff.warnings)));
  }

  async #apply() {
    const diff = this.#diff;
    if (!diff) {
      return;
    }
    const restarts = diff.changed.filter(({ restart }) => restart).map(({ name }) => name);
    const agreed = await confirm({
      title: "Apply the configuration?",
      body: [
        list(diff.removed, "is stopped and removed", "are stopped and removed"),
        list(restarts, "is restarted", "are restarted"),
        list(diff.added, "is added", "are added"),
        h("p", { class: "muted" }, "The files are taken as they were read for this preview."),
      ].filter((one) => one !== null),
      confirm: "Apply",
      danger: diff.removed.length + restarts.length > 0,
    });
    if (!agreed) {
      return;
    }
    const shown = notice("Applying the configuration", "busy");
    try {
      /** @type {ApplyResponse} */
      const done = await post("/api/v1/config/apply", { reread: false });
      const failed = done.results.filter(({ result }) => result !== "ok");
      const title = failed.length
        ? `Generation ${done.generation} is in use, but ${counted(failed.length, "process is", "processes are")} not as wanted`
        : `Generation ${done.generation} is in use`;
      shown.say(title, failed.length ? "bad" : "good", ...(done.results.length ? [outcomes(done.results)] : []));
      this.#diff = null;
      this.apply.hidden = true;
      replace(this.preview);
    } catch (error) {
      shown.say("Not applied", "bad", problemText(asProblem(error)));
    }
  }
}

/**
 * Groups that differ without any of their processes: [what, name].
 *
 * @param {ConfigDiff} diff
 * @returns {[string, string][]}
 */
function lonely(diff) {
  const named = new Set([...diff.added, ...diff.removed, ...diff.changed.map(({ name }) => name)].map((name) => name.split(":")[0]));
  /** @type {[string, string[]][]} */
  const kinds = [["added", diff.groups_added], ["changed", diff.groups_changed], ["removed", diff.groups_removed]];
  return kinds.flatMap(([word, groups]) =>
    groups.filter((group) => !named.has(group)).map((group) => /** @type {[string, string]} */ ([word, group])));
}

/**
 * @param {string[]} names
 * @param {string} one
 * @param {string} many
 */
function list(names, one, many) {
  return names.length === 0 ? null : h("p", {}, h("strong", {}, names.join(", ")), ` ${names.length === 1 ? one : many}.`);
}

/**
 * @param {string} word
 * @param {string} tone
 * @param {string} name
 * @param {string} text
 */
function change(word, tone, name, text) {
  return h("li", {}, h("span", { class: `mark ${tone}` }, word), h("strong", {}, name), h("span", { class: "muted" }, text));
}

/** @param {ConfigChange} one */
function changed({ name, fields, restart, values }) {
  const text = restart ? "It is restarted for that." : "It runs on.";
  const rows = values.length
    ? values.map(({ name: option, old, new: next, secret }) =>
      h("tr", {}, h("th", { scope: "row" }, option), value(old, secret), value(next, secret)))
    : fields.map((option) => h("tr", {}, h("th", { scope: "row" }, option), h("td", {}, ""), h("td", {}, "")));
  return h("li", { class: "changed" },
    h("span", { class: `mark ${restart ? "warn" : "busy"}` }, restart ? "restart" : "changed"),
    h("strong", {}, name), h("span", { class: "muted" }, text),
    h("table", { class: "values" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Option"), h("th", { scope: "col" }, "Now"), h("th", { scope: "col" }, "Then"))),
      h("tbody", {}, rows)));
}

/**
 * @param {string} text
 * @param {boolean} secret
 */
function value(text, secret) {
  if (text) {
    return h("td", {}, h("code", {}, text));
  }
  return h("td", { class: "muted" }, secret ? "secret" : "not set");
}
