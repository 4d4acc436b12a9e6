// @ts-check
/** The page of the daemon itself: how it is, its configuration, and what happens. */

import { asProblem, open, post } from "./api.js";
import { ConfigPanel } from "./configpanel.js";
import { confirm } from "./dialogs.js";
import { h, replace, setText } from "./dom.js";
import { Feed } from "./feed.js";
import { bytes, clock, counted, duration, exactly } from "./format.js";
import { boundOf, samplesOf, sumOf } from "./metrics.js";
import { notice, problemText } from "./notices.js";
import { processLink } from "./router.js";

/** @typedef {import("./main.js").Context} Context */
/** @typedef {import("./main.js").Mounted} Mounted */
/** @typedef {import("../wire").DaemonInfo} DaemonInfo */
/** @typedef {import("./feed.js").Line} Line */

// Seconds. Nothing tells these figures by itself; a look now and then is what a scraper has too.
const LOOK_EVERY = 15;
const LATE = 0.1;

/**
 * @param {HTMLElement} container
 * @param {Context} context
 * @returns {Mounted}
 */
export function mount(container, context) {
  const page = new DaemonPage(container, context);
  return { unmount: () => page.unmount() };
}

class DaemonPage {
  /**
   * @param {HTMLElement} container
   * @param {Context} context
   */
  constructor(container, { store, session, setTitle }) {
    this.store = store;
    this.session = session;
    this.facts = h("dl", { class: "daemon-facts" });
    this.health = h("dl", { class: "figures" });
    this.healthState = h("div", {});
    this.actions = h("div", { class: "daemon-actions" });
    this.config = new ConfigPanel(store, session);
    this.events = new Feed({
      label: "Events", path: "/api/v1/events?replay=200", linesOf: eventLines,
      empty: "Nothing has happened yet.",
    });
    this.log = new Feed({
      label: "Daemon log", path: "/api/v1/daemon/log/follow?bytes=16384", linesOf: new LogLines().of,
      empty: "Nothing was written to it yet.",
    });
    container.append(
      h("h1", { class: "unseen" }, "Daemon"),
      h("div", { class: "daemon-grid" },
        h("section", { class: "panel", "aria-label": "Daemon" },
          h("div", { class: "panel-head" }, h("h2", {}, "Daemon"), this.actions), this.facts),
        h("section", { class: "panel", "aria-label": "Health" },
          h("div", { class: "panel-head" }, h("h2", {}, "Health")), this.health, this.healthState),
        this.config.node, this.events.node, this.log.node),
    );
    setTitle("Daemon");
    const looking = setInterval(() => this.#look(), LOOK_EVERY * 1000);
    const ticking = setInterval(() => this.#tick(), 1000);
    const ends = [
      store.subscribe((changes) => this.#onChanges(changes)),
      session.subscribe(() => this.#showActions()),
      () => clearInterval(looking),
      () => clearInterval(ticking),
      () => this.events.unmount(),
      () => this.log.unmount(),
      () => this.config.unmount(),
    ];
    this.unmount = () => ends.forEach((end) => end());
    this.up = h("span", {});
    this.#showFacts();
    this.#showActions();
    void this.#look();
  }

  /** @param {import("./store.js").Changes} changes */
  #onChanges(changes) {
    if (changes.all || changes.daemon) {
      this.#showFacts();
    }
    if (changes.connection && this.store.connection.kind === "live") {
      this.events.tryNow();
      this.log.tryNow();
      void this.#look();
    }
  }

  #tick() {
    const { daemon } = this.store;
    if (daemon) {
      setText(this.up, duration(Math.floor(this.store.now() - daemon.started_at)));
    }
  }

  #showFacts() {
    const { daemon } = this.store;
    if (!daemon) {
      return;
    }
    const { last_upgrade: last } = daemon;
    const upgraded = last
      ? `${counted(daemon.upgrades, "time")}; from ${last.from_version} at ${clock(last.at)}, requests waited ${duration(last.silence)}`
      : "never";
    this.#tick();
    replace(this.facts,
      fact("Identifier", daemon.identifier),
      fact("State", daemon.state),
      fact("Version", `${daemon.version} (Python ${daemon.python})`),
      fact("Up for", this.up, h("span", { class: "muted", title: exactly(daemon.started_at) }, ` since ${exactly(daemon.started_at)}`)),
      fact("Process", `pid ${daemon.pid}, user ${daemon.user}`),
      fact("Processes", String(daemon.processes)),
      fact("Contained by", daemon.containment || "–"),
      fact("Upgraded", upgraded),
      // Who is there for some groups only is not told of files.
      daemon.config_files.length > 0 &&
        fact("Files", ...daemon.config_files.map((file) => h("code", { class: "file" }, file))),
      daemon.log_file !== "" && fact("Log", h("code", { class: "file" }, daemon.log_file)));
  }

  #showActions() {
    const refusal = this.session.refusal("admin");
    /**
     * @param {string} text
     * @param {() => void} onclick
     */
    const button = (text, onclick) =>
      h("button", { type: "button", onclick, disabled: refusal !== "", title: refusal }, text);
    replace(this.actions,
      button("Upgrade", () => void this.#do("upgrade")),
      button("Reload", () => void this.#do("reload")),
      button("Shut down", () => void this.#do("shutdown")));
  }

  /** @param {"upgrade" | "reload" | "shutdown"} what */
  async #do(what) {
    const { title, text, done } = DOINGS[what];
    const agreed = await confirm({
      title: `${title}?`, body: [h("p", {}, text)], confirm: title, danger: what !== "upgrade",
    });
    if (!agreed) {
      return;
    }
    const shown = notice(`${title}: asked`, "busy");
    try {
      await post(`/api/v1/daemon/${what}`);
      shown.say(done, "good");
    } catch (error) {
      shown.say(`${title}: not done`, "bad", problemText(asProblem(error)));
    }
  }

  async #look() {
    if (document.visibilityState === "hidden") {
      return;
    }
    try {
      const response = await open("/metrics?collect=engine&collect=http&collect=events");
      const samples = samplesOf(await response.text());
      replace(this.healthState);
      replace(this.health, figures(samples));
    } catch (error) {
      const problem = asProblem(error);
      if (problem.status !== 0) { // else the banner says so already
        replace(this.health);
        replace(this.healthState, problemText(problem));
      }
    }
  }
}

const DOINGS = {
  upgrade: {
    title: "Upgrade",
    text: "The daemon is replaced by the version that is installed now. It tries it out first; programs run on, and requests wait for a moment.",
    done: "The upgrade begins",
  },
  reload: {
    title: "Reload",
    text: "All programs are stopped, the files are read anew, and programs are started again.",
    done: "The reload begins",
  },
  shutdown: {
    title: "Shut down",
    text: "All programs are stopped, and then the daemon ends. This page can't start it again.",
    done: "The shutdown begins",
  },
};

/**
 * @param {string} name
 * @param {...(Node | string)} values
 */
function fact(name, ...values) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, values));
}

/**
 * What matters of the daemon's own metrics, with what is not as it should be marked.
 *
 * @param {import("./metrics.js").Sample[]} samples
 */
function figures(samples) {
  const lag = boundOf(samples, "opsvisor_event_loop_lag_seconds", 0.99);
  const errors = sumOf(samples, "opsvisor_internal_errors_total");
  const connections = sumOf(samples, "opsvisor_http_connections");
  const refused = sumOf(samples, "opsvisor_http_connections_refused_total");
  const failures = sumOf(samples, "opsvisor_http_auth_failures_total");
  const dropped = sumOf(samples, "opsvisor_events_dropped_total");
  const files = sumOf(samples, "process_open_fds");
  const mostFiles = sumOf(samples, "process_max_fds");
  return [
    figure("Loop lag, 99 %", lag === null ? null : lag === Infinity ? "> 1 s" : `≤ ${duration(lag)}`, (lag ?? 0) > LATE),
    figure("Memory", bytes(sumOf(samples, "process_resident_memory_bytes")), false),
    figure("CPU time", duration(sumOf(samples, "process_cpu_seconds_total")), false),
    figure("Open files", files === null ? null : `${files} of ${mostFiles}`, files !== null && files > 0.8 * (mostFiles ?? Infinity)),
    figure("Internal errors", errors, (errors ?? 0) > 0),
    figure("Connections", connections, false),
    figure("Connections refused", refused, (refused ?? 0) > 0),
    figure("Failed logins", failures, (failures ?? 0) > 0),
    figure("Events dropped", dropped, (dropped ?? 0) > 0),
  ];
}

/**
 * @param {string} name
 * @param {string | number | null} value null: nothing is known, and nothing is shown
 * @param {boolean} isWrong
 */
function figure(name, value, isWrong) {
  return value !== null && h("div", { class: isWrong ? "warn" : "" },
    h("dt", {}, name), h("dd", {}, String(value), isWrong && h("span", { class: "mark" }, "high")));
}

/**
 * @param {import("./sse.js").Message} message
 * @returns {Line[]}
 */
function eventLines(message) {
  const told = JSON.parse(message.data);
  if (message.event === "gap") {
    return [line(h("span", { class: "muted" }, "Events were lost here: this page was too slow."), "lost")];
  }
  if (message.event !== "message") {
    return [];
  }
  /** @type {import("../wire").Event} */
  const event = told;
  const kind = event.kind.replaceAll("_", " ");
  return [line(
    [
      h("time", { title: exactly(event.at) }, clock(event.at)),
      h("span", { class: "kind" }, kind),
      event.process ? h("a", { class: "about", href: processLink(event.process) }, event.process) : h("span", { class: "about muted" }, "daemon"),
      h("span", { class: "told" }, event.text),
    ],
    `${event.kind} ${kind} ${event.process} ${event.text}`,
  )];
}

/** Lines of a log, out of pieces that end anywhere. */
class LogLines {
  #rest = "";

  /**
   * @param {import("./sse.js").Message} message
   * @returns {Line[]}
   */
  of = (message) => {
    const told = JSON.parse(message.data);
    if (message.event === "gap") {
      return [line(h("span", { class: "muted" }, `${bytes(told.lost_bytes)} were lost here.`), "lost")];
    }
    if (message.event !== "log") {
      return [];
    }
    const lines = (this.#rest + told.text).split("\n");
    this.#rest = (lines.pop() ?? "").slice(-MOST_UNFINISHED);
    return lines.map((text) => {
      const shown = line(h("span", { class: "told" }, text), text);
      const level = / (CRIT|ERRO|WARN) /.exec(text.slice(0, 40))?.[1];
      shown.node.classList.add(level === "WARN" ? "warn" : level ? "bad" : "plain");
      return shown;
    });
  };
}

const MOST_UNFINISHED = 65536;

/**
 * @param {Node | Node[]} content
 * @param {string} text
 * @returns {Line}
 */
function line(content, text) {
  return { node: h("li", {}, content), text };
}
