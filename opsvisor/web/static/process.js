// @ts-check
/**
 * The page of one process. From above: how it is and why, what happens next and what can be done;
 * what it used in the last minutes; what it says, how its runs ended, what it was told to be.
 */

import { SIGNALS, act } from "./actions.js";
import { ask, asProblem, post } from "./api.js";
import { timeChart, withHoles } from "./charts.js";
import { open as openDialog } from "./dialogs.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import {
  UNKNOWN, bytes, clock, cores, countdown, counted, duration, exactly, isKnown, shortDuration,
} from "./format.js";
import { Happened } from "./happened.js";
import { LogPanel } from "./logpanel.js";
import { stateMark, troubleMarks } from "./marks.js";
import { notice, problemPanel, problemText } from "./notices.js";
import { processLink } from "./router.js";
import { RunList, endsKnownFrom, lastWords, sentence, strip } from "./runs.js";
import { Settings } from "./settings.js";
import { sensible, signalName } from "./states.js";
import { Tree } from "./tree.js";

/** @typedef {import("./main.js").Context} Context */
/** @typedef {import("./main.js").Mounted} Mounted */
/** @typedef {import("./router.js").Route} Route */
/** @typedef {import("./logpanel.js").StreamName} StreamName */
/** @typedef {import("./charts.js").Mark} Mark */
/** @typedef {import("../wire").ProcessStatus} ProcessStatus */
/** @typedef {import("../wire").ProbeStatus} ProbeStatus */
/** @typedef {import("../wire").ProcessDetail} ProcessDetail */
/** @typedef {import("../wire").History} History */
/** @typedef {import("../wire").StdinResponse} StdinResponse */
/** @typedef {"log" | "runs" | "timeline" | "config" | "tree"} TabName */

const WINDOW = 600; // seconds of the charts
const UNMEASURED = 7; // seconds without a sample, after which a line has a hole
const SHOWN_WORDS = 8; // last lines of a crash that are shown at once
const ASK_AFTER = 150; // milliseconds, in which several changes are one
/** @type {TabName[]} */
const TABS = ["log", "runs", "timeline", "config", "tree"];
/** @type {Record<TabName, string>} */
const TITLES = {
  log: "Log", runs: "Runs", timeline: "Timeline", config: "Configuration", tree: "Process tree",
};

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @param {Route} route
 * @returns {Mounted}
 */
export function mount(container, context, route) {
  const page = new ProcessPage(container, context, route);
  return { unmount: () => page.unmount(), update: (next) => page.goTo(next) };
}

class ProcessPage {
  /** @type {History | null} */
  #history = null;
  /** @type {ProcessDetail | null} */
  #detail = null;
  /** @type {ProcessStatus | null} */
  #before = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #asking;
  #askedAt = "";
  #isGone = false;
  #isAskingTree = false;
  #generation = -1;
  /** @type {TabName} */
  #tab = "log";
  #endings;

  /**
   * @param {HTMLElement} container
   * @param {Context} context
   * @param {Route} route
   */
  constructor(container, { store, session, setTitle }, route) {
    const { name } = route;
    this.container = container;
    this.store = store;
    this.session = session;
    this.name = name;
    store.closely = name;
    this.#generation = store.daemon?.generation ?? -1;
    setTitle(name);

    this.heading = h("h1", {}, name);
    this.marks = h("div", { class: "process-marks", role: "status" });
    this.facts = new Facts();
    this.why = h("div", { class: "why" });
    this.problem = h("div", {});
    this.cpu = timeChart({ label: "CPU", format: cores, floor: 0.05 });
    this.memory = timeChart({ label: "Memory", format: bytes, kind: "bytes", floor: 1024 * 1024 });
    this.probes = h("section", { class: "panel probes", "aria-labelledby": "probes-title", hidden: true });
    this.strip = h("div", { class: "strip-place" });
    this.runs = new RunList();
    this.happened = new Happened();
    this.settings = new Settings(name, () => this.#showAccess());
    this.tree = new Tree();
    this.buttons = this.#makeButtons();
    this.#tab = tabOf(route);
    this.log = this.#makeLog(streamOf(route));
    this.tabs = new Map(TABS.map((tab) => [tab, this.#makeTab(tab)]));
    this.body = h("div", { class: "process-body" },
      h("section", { class: "panel process-head", "aria-label": "State" },
        h("div", { class: "process-top" },
          h("div", { class: "process-name" }, this.heading, this.marks),
          h("div", { class: "process-actions", role: "group", "aria-label": "Actions" },
            Object.values(this.buttons))),
        this.facts.node, this.why),
      h("div", { class: "process-charts" },
        h("section", { class: "panel", "aria-label": "CPU" }, this.cpu.node),
        h("section", { class: "panel", "aria-label": "Memory" }, this.memory.node),
        this.probes),
      this.strip,
      h("div", { class: "tabs", role: "tablist", "aria-label": "About this process",
        onkeydown: (/** @type {KeyboardEvent} */ event) => this.#onTabKey(event) },
      [...this.tabs.values()].map(({ button }) => button)),
      [...this.tabs.values()].map(({ panel }) => panel));
    replace(container,
      h("nav", { class: "crumbs", "aria-label": "Where you are" },
        h("a", { href: "#/" }, "Processes"), h("span", { "aria-hidden": "true" }, " › "), name),
      this.problem, this.body);

    this.#showTab();
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.#onKey(event);
    document.addEventListener("keydown", this.onKey);
    this.#endings = [
      store.subscribe((changes) => this.#onChanges(changes)),
      session.subscribe(() => this.#showAccess()),
    ];
    this.ticking = setInterval(() => this.#tick(), 1000);
    this.#showAccess();
    this.#show();
    this.#askSoon(0);
    void this.#askSamples();
  }

  unmount() {
    this.store.closely = "";
    clearInterval(this.ticking);
    clearTimeout(this.#asking);
    document.removeEventListener("keydown", this.onKey);
    for (const end of this.#endings) {
      end();
    }
    this.log.close();
  }

  /** @param {Route} route */
  goTo(route) {
    this.#tab = tabOf(route);
    this.#showTab();
    this.log.choose(streamOf(route));
  }

  // -- what has changed -------------------------------------------------------------------------

  /** As it is, or was said to be before the store knew of any; null once it is gone. */
  get #status() {
    const known = this.store.processes.get(this.name);
    return known ?? (this.#isGone ? null : this.#history?.status ?? null);
  }

  /** @param {import("./store.js").Changes} changes */
  #onChanges(changes) {
    if (changes.all || changes.processes.has(this.name) || changes.removed.has(this.name)) {
      if (this.#history !== null && !this.store.processes.has(this.name)) {
        this.#leave();
      }
      this.#show();
      this.#askSoon(ASK_AFTER);
    }
    if (changes.samples || changes.all) {
      this.#showCharts();
      if (this.#tab === "tree") {
        void this.#askTree();
      }
    }
    if (changes.all) {
      void this.#askSamples();
    }
    const generation = this.store.daemon?.generation ?? -1;
    if (changes.daemon && generation !== this.#generation) {
      this.#generation = generation;
      void this.settings.load();
    }
  }

  /** @param {number} delay in milliseconds */
  #askSoon(delay) {
    clearTimeout(this.#asking);
    this.#asking = setTimeout(() => void this.#ask(), delay);
  }

  async #ask() {
    const path = `/api/v1/processes/${encodeURIComponent(this.name)}`;
    try {
      /** @type {[History, ProcessDetail]} */
      const [history, detail] = await Promise.all([ask(`${path}/history`), ask(path)]);
      if (this.#detail === null || this.#isGone) {
        void this.settings.load();
      }
      this.#history = history;
      this.#detail = detail;
      if (this.#isGone) {
        this.#isGone = false;
        this.log.tryAgain();
      }
      replace(this.problem);
      this.body.hidden = false;
      this.tree.update(detail.tree, this.store.now());
      this.#show();
      this.#showCharts();
    } catch (error) {
      const problem = asProblem(error);
      // A daemon that does not answer is told of at the top of the page.
      if (problem.status === 404) {
        this.#leave();
      } else if (problem.status !== 0 && !this.#isGone) {
        replace(this.problem, problemPanel(problem, {
          title: "Not all of this process can be shown", retry: () => this.#askSoon(0),
        }));
      }
    }
  }

  /** There is no such process, or no longer: what was shown of it says nothing of now. */
  #leave() {
    if (this.#isGone) {
      return; // it is told already
    }
    const wasThere = this.#history !== null;
    this.#isGone = true;
    this.#before = null;
    this.body.hidden = true;
    replace(this.problem, h("div", { class: "panel problem-panel", role: "alert" },
      h("h2", {}, wasThere ? "This process was removed" : "There is no such process"),
      h("p", {}, wasThere
        ? `${this.name} is no longer in the configuration that opsvisord works by.`
        : `opsvisord has no process ${this.name}, or your access does not reach to it.`),
      h("p", {}, "If it comes back, so does this page. ", h("a", { href: "#/" }, "All processes"))));
  }

  /** Have every measurement that is remembered; the overview makes do with fewer. */
  async #askSamples() {
    try {
      this.store.rememberedOf(
        await ask(`/api/v1/processes/${encodeURIComponent(this.name)}/samples`),
      );
    } catch {
      // The lines begin now, then.
    }
  }

  async #askTree() {
    if (this.#isAskingTree) {
      return;
    }
    this.#isAskingTree = true;
    try {
      /** @type {ProcessDetail} */
      const detail = await ask(`/api/v1/processes/${encodeURIComponent(this.name)}`);
      this.tree.update(detail.tree, this.store.now());
    } catch {
      // Shown where the page asks for everything.
    } finally {
      this.#isAskingTree = false;
    }
  }

  // -- showing it -------------------------------------------------------------------------------

  #show() {
    const status = this.#status;
    if (status === null) {
      return;
    }
    this.#noteInLog(status);
    const key = [status.state, status.ready, status.healthy, status.flapping, status.expected_running,
      status.log_problem, status.limits_problem].join();
    if (this.#askedAt !== key) {
      this.#askedAt = key;
      replace(this.marks, stateMark(status.state), troubleMarks(status), goodMarks(status));
    }
    this.#showWhy(status);
    this.#showProbes(status.probes);
    this.#showRuns(status);
    this.#showAccess();
    this.#tick();
  }

  /**
   * What happened to the process stands between the lines it wrote.
   * @param {ProcessStatus} status
   */
  #noteInLog(status) {
    const before = this.#before;
    this.#before = status;
    if (before === null || before.pid === status.pid) {
      return;
    }
    if (before.pid !== 0) {
      this.log.note(`pid ${before.pid} has ended${endWords(status)}`);
    }
    if (status.pid !== 0) {
      this.log.note(`started with pid ${status.pid}`);
    }
  }

  /** @param {ProcessStatus} status */
  #showWhy(status) {
    const history = this.#history;
    const run = history?.runs[0];
    const isDown = ["BACKOFF", "FATAL", "UNKNOWN", "EXITED"].includes(status.state);
    // One that crashes again and again is up now and then, which says nothing.
    const isWrong = (isDown || status.flapping) && run !== undefined && !run.expected;
    const words = isWrong && run ? run.stderr_tail.concat(run.stderr_tail.length ? [] : run.stdout_tail) : [];
    const key = JSON.stringify([status.state, status.reason, history?.what_next, history?.hints,
      run, history?.policy, status.flapping]);
    if (this.why.dataset.key === key) {
      return;
    }
    this.why.dataset.key = key;
    this.next = h("dd", {});
    this.ended = h("dd", {});
    const title = run?.stderr_tail.length ? "Last lines of stderr before it ended"
      : "Last lines of stdout before it ended";
    replace(this.why,
      h("dl", { class: "why-list" },
        h("div", {}, h("dt", {}, "Why"), h("dd", {}, status.reason || "–")),
        h("div", {}, h("dt", {}, "Next"), this.next),
        run && h("div", {}, h("dt", {}, "Last end"), this.ended)),
      words.length > 0 && h("div", { class: "why-words" },
        lastWords(title, words.slice(-SHOWN_WORDS))),
      history && history.hints.length > 0 && h("div", { class: "why-hints" },
        h("h2", {}, "What to do"),
        h("ul", {}, history.hints.map((hint) => h("li", {}, hint)))),
      history && h("details", { class: "why-policy" },
        h("summary", {}, "Its restart and stop policy"),
        h("ul", {}, history.policy.map((line) => h("li", {}, line)))));
  }

  /** Everything that goes on by itself. */
  #tick() {
    const status = this.#status;
    if (status === null) {
      return;
    }
    const now = this.store.now();
    this.facts.update({ ...status, ...this.#usage(status) }, now, this.#detail);
    if (this.next) {
      setText(this.next, nextWords(status, this.#history?.what_next ?? "", now));
    }
    const present = this.strip.querySelector(".run-now .run-block");
    if (present && status.pid) {
      setText(present, shortDuration(now - status.started_at));
    }
    const run = this.#history?.runs[0];
    if (run && this.ended) {
      // What was decided then is what comes next only until that has come.
      const isStarted = status.started_at >= run.ended_at;
      const decision = isStarted ? "" : `; ${run.decision.split(": ")[0]}`;
      setText(this.ended, `${sentence(run, now)}${decision}`);
    }
    if (this.#history && this.#tab === "runs") {
      this.runs.update(this.#history.runs, now);
    } else if (this.#history && this.#tab === "timeline") {
      this.happened.update(this.#history.timeline, now);
    }
  }

  /**
   * As measured last: what a status says of it is of the moment of its last change.
   * @param {ProcessStatus} status
   */
  #usage(status) {
    const { cpu, rss } = this.store.usageOf(status);
    return { cpu_usage: cpu, rss_bytes: rss };
  }

  #showCharts() {
    const series = this.store.samples.get(this.name) ?? { at: [], cpu: [], rss: [] };
    const to = this.store.now();
    const first = series.at[0] ?? to - 60;
    const from = Math.max(to - WINDOW, Math.min(first, to - 60));
    const used = withHoles(series.at, series.cpu, UNMEASURED, to);
    const held = withHoles(series.at, series.rss, UNMEASURED, to);
    const markedFrom = endsKnownFrom(this.#status, this.#history?.runs ?? []);
    const notes = [
      markedFrom > from && `ends before ${clock(markedFrom)} are not kept`,
      used.ends.some((end) => end > from) && "gaps: not measured",
    ];
    const note = notes.filter(Boolean).join(" · ");
    const window = { from, to, marks: this.#endMarks(), markedFrom, note };
    this.cpu.update(used.at, used.values, window);
    this.memory.update(held.at, held.values, window);
  }

  /** @returns {Mark[]} */
  #endMarks() {
    /** @type {Mark[]} */
    const marks = (this.#history?.runs ?? []).map((run) => ({
      at: run.ended_at, label: `${clock(run.ended_at)} ${run.outcome}`, kind: "end",
    }));
    const started = this.#status?.started_at ?? 0;
    if (started) {
      marks.push({ at: started, label: `${clock(started)} started`, kind: "start" });
    }
    return marks;
  }

  /** @param {ProbeStatus[]} probes */
  #showProbes(probes) {
    this.probes.hidden = probes.length === 0;
    const key = JSON.stringify(probes);
    if (this.probes.dataset.key !== key) {
      this.probes.dataset.key = key;
      replace(this.probes, h("h2", { id: "probes-title" }, "Probes"),
        h("ul", { class: "probe-list" }, probes.map(probeNode)));
    }
  }

  /** @param {ProcessStatus} status */
  #showRuns(status) {
    const runs = this.#history?.runs ?? [];
    const now = this.store.now();
    const key = JSON.stringify([runs.map((run) => run.ended_at), status.pid]);
    if (this.strip.dataset.key !== key) {
      this.strip.dataset.key = key;
      replace(this.strip, runs.length > 0 && strip(runs, status, now, (run) => {
        this.#choose("runs");
        this.runs.open(run);
      }));
      const list = this.strip.querySelector("ol");
      if (list) {
        list.scrollLeft = list.scrollWidth; // where there is no room for all: to the newest
      }
    }
    this.runs.update(runs, now);
    const tab = this.tabs.get("runs");
    if (tab) {
      setText(tab.button, runs.length > 0 ? `Runs (${runs.length})` : "Runs");
    }
  }

  // -- tabs -------------------------------------------------------------------------------------

  /** @param {TabName} tab */
  #makeTab(tab) {
    const content = {
      log: this.log.node, runs: this.runs.node, timeline: this.happened.node,
      config: this.settings.node, tree: this.tree.node,
    }[tab];
    const button = h("button", {
      type: "button", role: "tab", id: `tab-${tab}`, "aria-controls": `panel-${tab}`,
      onclick: () => this.#choose(tab),
    }, TITLES[tab]);
    const panel = h("div", {
      class: `tab-panel panel-${tab}`, role: "tabpanel", id: `panel-${tab}`,
      "aria-labelledby": `tab-${tab}`,
    }, content);
    return { button, panel };
  }

  /** @param {TabName} tab */
  #choose(tab) {
    this.#tab = tab;
    this.#showTab();
    this.#keepAddress();
  }

  #keepAddress() {
    const query = {
      tab: this.#tab === "log" ? "" : this.#tab,
      stream: this.log.stream === "stdout" ? "" : this.log.stream,
    };
    history.replaceState(history.state, "", processLink(this.name, query));
  }

  #showTab() {
    for (const [tab, { button, panel }] of this.tabs) {
      const isShown = tab === this.#tab;
      setAttribute(button, "aria-selected", String(isShown));
      setAttribute(button, "tabindex", isShown ? "0" : "-1");
      panel.hidden = !isShown;
    }
    if (this.#tab === "config") {
      void this.settings.load();
    } else if (this.#tab === "tree") {
      void this.#askTree();
    } else if (this.#tab === "timeline") {
      this.#askSoon(0);
    }
  }

  /** @param {KeyboardEvent} event */
  #onTabKey(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const at = TABS.indexOf(this.#tab);
    const tab = event.key === "Home" ? TABS[0] : event.key === "End" ? TABS.at(-1)
      : step === undefined ? undefined : TABS[(at + step + TABS.length) % TABS.length];
    if (tab) {
      event.preventDefault();
      this.#choose(tab);
      this.tabs.get(tab)?.button.focus();
    }
  }

  /** @param {KeyboardEvent} event */
  #onKey(event) {
    const isTyping = event.target instanceof HTMLElement
      && event.target.closest("input, textarea, select, dialog");
    if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
      event.preventDefault();
      this.#choose("log");
      this.log.focusSearch();
    }
  }

  /** @param {StreamName} stream */
  #makeLog(stream) {
    return new LogPanel({
      name: this.name,
      stream,
      now: () => this.store.now(),
      refusal: () => this.session.refusal("operate"),
      onStream: () => this.#keepAddress(),
    });
  }

  // -- actions ----------------------------------------------------------------------------------

  #makeButtons() {
    const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) =>
      h("button", { type: "button", onclick }, text);
    return {
      start: button("Start", () => void act("start", [this.name])),
      restart: button("Restart…", () => void act("restart", [this.name])),
      stop: button("Stop…", () => void act("stop", [this.name])),
      signal: button("Signal…", () => this.#askSignal()),
      stdin: button("Send input…", () => this.#askInput()),
    };
  }

  #showAccess() {
    const refusal = this.session.refusal("operate");
    const status = this.#status;
    const can = status ? sensible(status) : null;
    const isDeaf = this.settings.valueOf("stdin") === '"null"';
    const { start, restart, stop, signal, stdin } = this.buttons;
    /** @type {[HTMLButtonElement, boolean, string][]} */
    const all = [
      [start, can?.start ?? false, "it is started already"],
      [restart, can?.restart ?? false, "it is being stopped"],
      [stop, can?.stop ?? false, "it does not run"],
      [signal, can?.signal ?? false, "it does not run"],
      [stdin, (can?.signal ?? false) && !isDeaf,
        isDeaf ? 'it has no standard input: set stdin = "pipe" for it' : "it does not run"],
    ];
    for (const [button, isSensible, otherwise] of all) {
      button.disabled = refusal !== "" || !isSensible;
      setAttribute(button, "title", refusal || (isSensible ? null : otherwise));
    }
    this.log.refresh();
  }

  #askSignal() {
    const choice = h("select", { "aria-label": "Signal", id: "signal", autofocus: true },
      SIGNALS.map((signal) => h("option", { value: signal }, `SIG${signal}`)));
    const dialog = openDialog({
      title: `Send a signal to ${this.name}`,
      body: [h("label", { class: "field" }, h("span", {}, "Signal"), choice)],
      buttons: [
        h("button", { type: "submit", value: "" }, "Cancel"),
        h("button", { type: "submit", value: "yes", class: "primary" }, "Choose"),
      ],
    });
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") {
        void act("signal", [this.name], { signal: choice.value });
      }
    });
  }

  #askInput() {
    const text = h("textarea", { rows: 4, spellcheck: "false", autofocus: true });
    const newline = h("input", { type: "checkbox", checked: true });
    const dialog = openDialog({
      title: `Send to the standard input of ${this.name}`,
      body: [
        h("label", { class: "field" }, h("span", {}, "Text"), text),
        h("label", { class: "check" }, newline, " End it with a newline"),
      ],
      buttons: [
        h("button", { type: "submit", value: "" }, "Cancel"),
        h("button", { type: "submit", value: "yes", class: "primary" }, "Send"),
      ],
    });
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") {
        void this.#send(text.value + (newline.checked ? "\n" : ""));
      }
    });
  }

  /** @param {string} text */
  async #send(text) {
    if (text === "") {
      return;
    }
    const shown = notice(`Sending to ${this.name}`, "busy");
    try {
      /** @type {StdinResponse} */
      const { written } = await post(
        `/api/v1/processes/${encodeURIComponent(this.name)}/stdin`, { text },
      );
      const whole = new TextEncoder().encode(text).length;
      if (written < whole) {
        shown.say(`Sent only ${bytes(written)} of ${bytes(whole)}`, "bad",
          h("p", {}, "Its pipe is full: it has to read before it takes the rest."));
      } else {
        shown.say(`Sent ${bytes(whole)} to ${this.name}`, "good");
      }
    } catch (error) {
      shown.say(`Send input to ${this.name}: not done`, "bad", problemText(asProblem(error)));
    }
  }
}

/** The line of figures below the name. */
class Facts {
  constructor() {
    /** @type {Map<string, {term: HTMLElement, value: HTMLElement, node: HTMLElement}>} */
    this.entries = new Map();
    this.node = h("dl", { class: "process-facts" });
  }

  /**
   * @param {ProcessStatus} status
   * @param {number} now
   * @param {ProcessDetail | null} detail
   */
  update(status, now, detail) {
    this.#set(`${status.state} for`, shortDuration(now - status.since), exactly(status.since), "since");
    this.#set("PID", status.pid ? String(status.pid) : "none");
    this.#set("Starts", String(status.starts));
    this.#set("Restarts", `${status.restarts}`, "automatic ones, since opsvisord knows it");
    if (status.failed_starts > 0) {
      this.#set("Failed starts", String(status.failed_starts), "in a row");
    } else {
      this.#drop("Failed starts");
    }
    this.#set("CPU", status.pid ? cores(status.cpu_usage) : UNKNOWN, "100 % is one core");
    this.#set("Memory", status.pid ? bytes(status.rss_bytes) : UNKNOWN, "resident, of the whole tree");
    this.#set("Open files", isKnown(status.open_fds) && status.pid ? String(status.open_fds) : UNKNOWN);
    if (detail) {
      this.#set("User", detail.user || "as opsvisord");
      this.#set("Directory", detail.working_dir || "as opsvisord", detail.working_dir);
      this.#set("Command", detail.command, detail.command);
    }
  }

  /**
   * @param {string} term
   * @param {string} value
   * @param {string} [title]
   * @param {string} [key]
   */
  #set(term, value, title = "", key = term) {
    let entry = this.entries.get(key);
    if (entry === undefined) {
      const parts = { term: h("dt", {}), value: h("dd", {}) };
      entry = { ...parts, node: h("div", { class: `fact-${key.toLowerCase().replaceAll(" ", "-")}` }, parts.term, parts.value) };
      this.entries.set(key, entry);
      this.node.append(entry.node);
    }
    setText(entry.term, term);
    setText(entry.value, value);
    setAttribute(entry.node, "title", title || null);
  }

  /** @param {string} key */
  #drop(key) {
    this.entries.get(key)?.node.remove();
    this.entries.delete(key);
  }
}

/**
 * What is well, in words: silence is no good news.
 * @param {ProcessStatus} status
 * @returns {HTMLElement[]}
 */
function goodMarks(status) {
  const found = [];
  if (status.state === "RUNNING" && status.ready) {
    found.push(h("span", { class: "mark good" }, "ready"));
  }
  if (status.healthy === true) {
    found.push(h("span", { class: "mark good" }, "healthy"));
  }
  return found;
}

/**
 * @param {ProcessStatus} status
 * @param {string} told
 * @param {number} now
 */
function nextWords(status, told, now) {
  if (status.retry_at > 0 && ["BACKOFF", "FATAL"].includes(status.state)) {
    return `the next attempt ${countdown(status.retry_at, now)}, at ${clock(status.retry_at)}`;
  }
  return told || "…";
}

/** @param {ProcessStatus} status */
function endWords(status) {
  if (status.exit_signal !== null) {
    return `: terminated by ${signalName(status.exit_signal)}`;
  }
  return status.exit_code === null ? "" : `: exit status ${status.exit_code}`;
}

/**
 * @param {ProbeStatus} probe
 * @returns {HTMLElement}
 */
function probeNode(probe) {
  const [tone, word] = probe.passing === null ? ["idle", "no answer yet"]
    : probe.passing ? ["good", "passing"] : ["bad", "failing"];
  const wrong = probe.wrong_in_a_row > 0 ? `, ${probe.wrong_in_a_row} wrong in a row` : "";
  return h("li", { class: "probe" },
    h("div", { class: "probe-head" },
      h("strong", {}, probe.probe), h("span", { class: `mark ${tone}` }, word),
      !probe.asked && h("span", { class: "muted" }, "not being asked now")),
    h("code", { class: "probe-question" }, probe.question),
    (probe.detail || isKnown(probe.duration)) && h("p", {},
      probe.detail || "answered", isKnown(probe.duration) && h("span", { class: "muted" },
        ` in ${duration(probe.duration)}`)),
    h("p", { class: "muted" },
      `${counted(probe.attempts, "attempt")}, ${counted(probe.failures, "failure")}${wrong}`));
}

/**
 * @param {Route} route
 * @returns {TabName}
 */
function tabOf(route) {
  const wanted = route.query.get("tab");
  return TABS.find((tab) => tab === wanted) ?? "log";
}

/**
 * @param {Route} route
 * @returns {StreamName}
 */
function streamOf(route) {
  return route.query.get("stream") === "stderr" ? "stderr" : "stdout";
}
