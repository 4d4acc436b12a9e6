// @ts-check
/** Who looks at this page, how far that goes, and the form to come in by. */

import { Problem, ask, asProblem, post } from "./api.js";
import { h, replace } from "./dom.js";
import { problemText } from "./notices.js";

/** @typedef {import("../wire").Me} Me */
/** @typedef {Me["access"]} Access */

/** @type {Access[]} */
const LEVELS = ["metrics", "read", "operate", "admin"];

export class Session {
  /** @type {Me | null} */
  me = null;
  /** @type {Set<() => void>} */
  #subscribers = new Set();

  /**
   * Be told when somebody else is here, or nobody any more.
   *
   * @param {() => void} subscriber
   * @returns {() => void}
   */
  subscribe(subscriber) {
    this.#subscribers.add(subscriber);
    return () => this.#subscribers.delete(subscriber);
  }

  /** Ask who we are. Throws the Problem, if that is nobody. */
  async refresh() {
    try {
      this.#become(await ask("/api/v1/me"));
    } catch (error) {
      this.#become(null);
      throw error;
    }
  }

  /** @param {{username: string, password: string} | {token: string}} proof */
  async logIn(proof) {
    this.#become(await post("/api/v1/session", proof));
  }

  async logOut() {
    await ask("/api/v1/session", { method: "DELETE" });
    this.#become(null);
  }

  /**
   * Why the caller may not do what needs this access; "" if it may.
   *
   * @param {Access} needed
   * @returns {string}
   */
  refusal(needed) {
    if (!this.me || LEVELS.indexOf(this.me.access) >= LEVELS.indexOf(needed)) {
      return "";
    }
    return `needs the access '${needed}', and you have '${this.me.access}'`;
  }

  /** @param {Me | null} me */
  #become(me) {
    this.me = me;
    for (const subscriber of [...this.#subscribers]) {
      subscriber();
    }
  }
}

/**
 * The form by which somebody comes in: with a name and a password, or with a token.
 *
 * @param {Session} session
 * @param {{problem: Problem, onIn: () => void}} around why it is shown, and what comes next
 * @returns {HTMLElement}
 */
export function loginForm(session, { problem, onIn }) {
  const isWrongPlace = problem.status === 421;
  if (isWrongPlace) {
    return h("div", { class: "login panel" }, h("h1", {}, "Not from here"), problemText(problem));
  }
  const failure = h("div", { role: "alert" });
  if (problem.status === 403) {
    replace(failure, problemText(problem));
  }
  const name = field("User name", { name: "username", autocomplete: "username", autofocus: true });
  const password = field("Password", {
    name: "password", type: "password", autocomplete: "current-password",
  });
  const token = field("Token", { name: "token", type: "password", autocomplete: "off" });
  const button = h("button", { type: "submit", class: "primary" }, "Log in");
  const byToken = h("fieldset", { class: "ways" },
    h("legend", {}, "Come in with"),
    way("password", "Name and password", true), way("token", "Token", false));
  const form = h("form", { class: "login panel", "aria-label": "Log in", onsubmit: submit },
    h("h1", {}, "Log in"), byToken, name.node, password.node, token.node, failure, button);
  show();
  return form;

  /**
   * @param {string} value
   * @param {string} label
   * @param {boolean} checked
   */
  function way(value, label, checked) {
    return h("label", {},
      h("input", { type: "radio", name: "way", value, checked, onchange: show }), ` ${label}`);
  }

  function isByToken() {
    const chosen = form.querySelector("input[name=way]:checked");
    return chosen instanceof HTMLInputElement && chosen.value === "token";
  }

  function show() {
    name.node.hidden = password.node.hidden = isByToken();
    token.node.hidden = !isByToken();
    name.input.required = !isByToken();
    token.input.required = isByToken();
  }

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault();
    button.disabled = true;
    replace(failure);
    const proof = isByToken()
      ? { token: token.input.value }
      : { username: name.input.value, password: password.input.value };
    try {
      await session.logIn(proof);
      onIn();
    } catch (error) {
      replace(failure, problemText(wrongProof(asProblem(error), isByToken())));
      (isByToken() ? token : password).input.select();
    } finally {
      button.disabled = false;
    }
  }
}

/**
 * What is said of a refusal to somebody with a form: the API's words are for who has none.
 *
 * @param {Problem} problem
 * @param {boolean} isByToken
 * @returns {Problem}
 */
function wrongProof(problem, isByToken) {
  if (problem.status !== 401) {
    return problem;
  }
  return new Problem({
    status: problem.status,
    code: problem.code,
    detail: isByToken ? "this token is not known here" : "this user name and password are not known here",
    hint: "who may come in stands in opsvisord's configuration, under [identity.NAME]",
  });
}

/**
 * @param {string} label
 * @param {Record<string, import("./dom.js").Value>} attributes
 */
function field(label, attributes) {
  const input = h("input", attributes);
  return { input, node: h("label", { class: "field" }, h("span", {}, label), input) };
}
