// @ts-check
/**
 * The frame around every page: who the daemon is, where to go, how the line is, and who looks.
 * It decides which page is shown, and shows the form to come in by where that is needed.
 */

import { asProblem } from "./api.js";
import { h, replace, setAttribute, setText } from "./dom.js";
import { Live } from "./live.js";
import { mountNotices, notice, problemPanel, problemText } from "./notices.js";
import { mount as mountOverview } from "./overview.js";
import { parse } from "./router.js";
import { Session, loginForm } from "./session.js";
import { rankOf } from "./states.js";
import { Store } from "./store.js";
import { applyTheme, setTheme, theme } from "./theme.js";

/** @typedef {import("./router.js").Route} Route */

/**
 * What every page is given.
 *
 * @typedef {object} Context
 * @property {Store} store
 * @property {Session} session
 * @property {Live} live
 * @property {(title: string) => void} setTitle what this page is about, for the tab
 */

/**
 * A page that is shown. `update` is told of another query for the same page; without it the page
 * is made anew. `at` is what the keyboard is at, "" if nothing; `comeBack` has it there again.
 *
 * @typedef {{
 *   unmount: () => void, update?: (route: Route) => void,
 *   at?: () => string, comeBack?: (at: string) => void,
 * }} Mounted
 */

/** @typedef {(container: HTMLElement, context: Context, route: Route) => Mounted | Promise<Mounted>} Mount */

// What the other pages are made of comes when it is asked for, or when there is time for it.
const LATER = {
  daemon: () => import("./daemon.js"),
  process: () => import("./process.js"),
  api: () => import("./contract.js"),
};

/** @type {Record<Route["page"], Mount>} */
const PAGES = {
  overview: mountOverview,
  daemon: async (container, context) => (await LATER.daemon()).mount(container, context),
  process: async (...all) => (await LATER.process()).mount(...all),
  api: async (...all) => (await LATER.api()).mount(...all),
  unknown: mountUnknown,
};

const LINKS = /** @type {const} */ ([
  ["overview", "#/", "Processes"],
  ["daemon", "#/daemon", "Daemon"],
  ["api", "#/api", "API"],
]);

applyTheme();
const store = new Store();
const session = new Session();
const live = new Live(store);

const identifier = h("span", { class: "identifier" });
const version = h("span", { class: "version" });
const line = h("div", { class: "line", role: "status" });
const banner = h("div", { class: "banner", role: "alert", hidden: true });
const who = h("div", { class: "who" });
const links = LINKS.map(([page, href, text]) => ({ page, node: h("a", { href }, text) }));
const content = h("main", { id: "content", tabindex: "-1" });

document.body.append(
  h("a", { class: "skip", href: "#content", onclick: skip }, "Skip to the content"),
  h("header", { class: "top" },
    h("a", { class: "brand", href: "#/", "aria-label": "opsvisor: all processes" }, brandMark(), "opsvisor"),
    h("div", { class: "what" }, identifier, version),
    h("nav", { "aria-label": "Pages" }, links.map(({ node }) => node)),
    line, themeSwitch(), who),
  banner,
  content,
);
mountNotices(document.body);

/** @type {Context} */
const context = { store, session, live, setTitle };
let title = "";
/** Where somebody was, by the entries of the browser's history. */
/** @type {Map<string, {top: number, at: string}>} */
const places = new Map();
let entry = "";
/** What is shown; null while it is being fetched, or while somebody has to log in. */
/** @type {{page: Route["page"], name: string, mounted: Mounted} | null} */
let shown = null;
let turn = 0;
/** Whether somebody has to log in before anything is shown. */
let isLocked = false;
/** @type {string | null} */
let firstVersion = null;

store.subscribe((changes) => {
  if (changes.all || changes.daemon) {
    showDaemon();
  }
  if (changes.all || changes.processes.size || changes.removed.size) {
    showTitle();
  }
  if (changes.connection) {
    showConnection();
  }
});
session.subscribe(showWho);
// What is restored by the browser comes before the rows that it is about.
history.scrollRestoration = "manual";
window.addEventListener("hashchange", () => void showPage());
setInterval(() => {
  if (store.connection.kind === "lost") {
    showLine();
  }
}, 250);
live.start();
void begin();

async function begin() {
  replace(content, h("p", { class: "nothing waiting" }, "Waiting for the daemon."));
  try {
    await session.refresh();
  } catch (error) {
    const problem = asProblem(error);
    if (problem.status === 401) {
      showLogin(problem);
      return;
    }
  }
  await showPage();
}

async function showPage() {
  if (isLocked) {
    return; // it is shown to who has logged in
  }
  const place = changePlace();
  const route = parse(location.hash);
  for (const { page, node } of links) {
    setAttribute(node, "aria-current", page === route.page && "page");
  }
  if (shown && shown.page === route.page && shown.name === route.name && shown.mounted.update) {
    shown.mounted.update(route);
    return;
  }
  const mine = ++turn;
  const isFirst = shown === null;
  shown?.mounted.unmount();
  shown = null;
  // A node of its own: a page that comes late must not write into the one that came after it.
  const container = h("div", { class: `page ${route.page}` });
  replace(content, container);
  window.scrollTo(0, 0);
  try {
    const mounted = await PAGES[route.page](container, context, route);
    if (mine === turn) {
      shown = { page: route.page, name: route.name, mounted };
      if (!isFirst) {
        content.focus({ preventScroll: true });
      }
      if (place) {
        window.scrollTo(0, place.top);
        mounted.comeBack?.(place.at);
      }
    } else {
      mounted.unmount();
    }
  } catch (error) {
    const problem = asProblem(error);
    replace(container, problemPanel(problem, { title: "This page can't be shown", retry: () => void showPage() }));
  }
}

/** Note where somebody was, and find where they were when they were last where they are now. */
function changePlace() {
  if (shown) {
    places.set(entry, { top: window.scrollY, at: shown.mounted.at?.() ?? "" });
  }
  const known = history.state?.entry;
  entry = known ?? `${performance.timeOrigin + performance.now()}`;
  if (known === undefined) {
    history.replaceState({ entry }, "");
  }
  return places.get(entry);
}

/** @type {Mount} */
function mountUnknown(container) {
  setTitle("Not found");
  replace(container, h("div", { class: "panel" },
    h("h1", {}, "There is no such page"), h("p", {}, h("a", { href: "#/" }, "All processes"))));
  return { unmount: () => {} };
}

/** @param {import("./api.js").Problem} problem */
function showLogin(problem) {
  if (content.querySelector("form.login")) {
    return;
  }
  isLocked = true;
  turn += 1;
  shown?.mounted.unmount();
  shown = null;
  setTitle("Log in");
  replace(content, loginForm(session, { problem, onIn: () => {
    isLocked = false;
    live.restart();
    void showPage();
  } }));
  const first = content.querySelector("input[autofocus]");
  if (first instanceof HTMLElement) {
    first.focus();
  }
}

function showConnection() {
  const { connection } = store;
  showLine();
  document.body.classList.toggle("stale", connection.kind === "lost" || connection.kind === "refused");
  if (connection.kind === "refused") {
    showLogin(connection.problem);
  } else if (connection.kind === "live") {
    if (!session.me) {
      // It was away when we asked, or somebody else is here now.
      session.refresh().catch(() => {});
    }
    requestIdleCallback(() => void fetchAll(), { timeout: 2000 });
  }
}

/** Have all of the page here, so that it works while there is no daemon to ask for the rest. */
async function fetchAll() {
  for (const one of Object.values(LATER)) {
    await one().catch(() => {}); // it is asked for again when it is needed
  }
}

function showLine() {
  const { connection } = store;
  switch (connection.kind) {
    case "live":
      setLine("good", "Live");
      break;
    case "connecting":
      setLine("busy", "Connecting");
      break;
    case "paused":
      setLine("busy", "Paused");
      break;
    case "refused":
      setLine("idle", session.me ? "No access" : "Not logged in");
      break;
    case "lost": {
      const left = Math.max(0, Math.ceil(connection.retryAt - Date.now() / 1000));
      setLine("bad", "Connection lost");
      showBanner(connection.problem, left);
      return;
    }
  }
  banner.hidden = true;
}

/**
 * @param {string} tone
 * @param {string} text
 */
function setLine(tone, text) {
  if (line.dataset.tone !== tone || line.textContent !== text) {
    line.dataset.tone = tone;
    replace(line, h("span", { class: "dot", "aria-hidden": "true" }), text);
  }
}

const countdown = h("span", {});
const bannerText = h("div", { class: "banner-text" });
replace(banner, bannerText, h("div", { class: "banner-again" }, countdown,
  h("button", { type: "button", onclick: () => live.tryNow() }, "Try now")));
// What ticks every second is not for reading aloud.
countdown.setAttribute("aria-live", "off");
/** @type {import("./api.js").Problem | null} */
let bannerProblem = null;

/**
 * @param {import("./api.js").Problem} problem
 * @param {number} left
 */
function showBanner(problem, left) {
  if (bannerProblem?.detail !== problem.detail) {
    bannerProblem = problem;
    replace(bannerText, h("strong", {}, "Connection lost. What is shown may be out of date."), " ", problemText(problem));
  }
  setText(countdown, left > 0 ? `Trying again in ${left} s` : "Trying now");
  banner.hidden = false;
}

function showDaemon() {
  const { daemon } = store;
  if (!daemon) {
    return;
  }
  setText(identifier, daemon.identifier);
  setText(version, `${daemon.version}${daemon.state === "running" ? "" : ` · ${daemon.state}`}`);
  if (firstVersion !== null && firstVersion !== daemon.version) {
    notice(`opsvisord is ${daemon.version} now`, "busy",
      h("p", {}, "This page is still the one of ", firstVersion, "."),
      h("button", { type: "button", onclick: () => location.reload() }, "Reload the page"));
  }
  firstVersion = daemon.version;
  showTitle();
}

/** @param {string} text */
function setTitle(text) {
  title = text;
  showTitle();
}

function showTitle() {
  let wrong = 0;
  for (const process of store.processes.values()) {
    wrong += rankOf(process) > 0 ? 1 : 0;
  }
  const where = [title, store.daemon?.identifier, "opsvisor"].filter((one, at, all) => one && all.indexOf(one) === at);
  document.title = `${wrong ? `(${wrong}) ` : ""}${where.join(" · ")}`;
}

function showWho() {
  const { me } = session;
  if (!me) {
    replace(who);
    return;
  }
  const scope = me.groups ? ` in ${me.groups.join(", ")}` : "";
  replace(who,
    h("span", { class: "me", title: `access '${me.access}'${scope}` },
      me.name && h("span", { class: "name" }, me.name),
      h("span", { class: "access" }, `${me.name ? "" : "access: "}${me.access}${scope}`)),
    me.logged_in && h("button", { type: "button", class: "quiet", onclick: logOut }, "Log out"));
}

async function logOut() {
  try {
    await session.logOut();
    location.reload();
  } catch (error) {
    notice("Log out: not done", "bad", problemText(asProblem(error)));
  }
}

function themeSwitch() {
  const choice = h("select", { id: "theme", "aria-label": "Theme", onchange: () => setTheme(/** @type {any} */ (choice.value)) },
    h("option", { value: "system" }, "Auto"), h("option", { value: "light" }, "Light"), h("option", { value: "dark" }, "Dark"));
  choice.value = theme();
  return choice;
}

function brandMark() {
  return h("img", { src: "/static/icon.svg", alt: "", width: 18, height: 18 });
}

/** @param {Event} event */
function skip(event) {
  event.preventDefault(); // the fragment says which page is shown
  content.focus();
}
