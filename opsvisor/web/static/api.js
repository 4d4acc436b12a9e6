// @ts-check
/**
 * Asking the API. What goes wrong is a Problem, with the hint that the daemon gives, or one of our
 * own where no daemon answered.
 */

/** @typedef {import("../wire").Problem} WireProblem */
/** @typedef {import("../wire").ConfigProblem} ConfigProblem */

/** What went wrong at the API. `status` is 0 where nobody answered. */
export class Problem extends Error {
  /**
   * @param {{status: number, code: string, detail: string, hint: string,
   *   problems?: ConfigProblem[], retryAfter?: number}} told
   */
  constructor(told) {
    super(told.detail);
    this.name = "Problem";
    this.status = told.status;
    this.code = told.code;
    this.detail = told.detail;
    this.hint = told.hint;
    this.problems = told.problems ?? [];
    this.retryAfter = told.retryAfter ?? 0;
  }
}

/**
 * @typedef {object} Asking
 * @property {string} [method]
 * @property {unknown} [body] sent as JSON
 * @property {AbortSignal} [signal]
 * @property {Record<string, string>} [headers] further ones
 */

/**
 * The JSON that the API answers.
 *
 * @template T
 * @param {string} path
 * @param {Asking} [asking]
 * @returns {Promise<T>}
 */
export async function ask(path, asking = {}) {
  const response = await open(path, asking);
  const text = await response.text();
  return JSON.parse(text || "null");
}

/**
 * Ask for a change.
 *
 * @template T
 * @param {string} path
 * @param {unknown} [body]
 * @param {Asking} [asking]
 * @returns {Promise<T>}
 */
export function post(path, body = {}, asking = {}) {
  return ask(path, { method: "POST", body, ...asking });
}

/**
 * A response that is as it should be, with its body still to be read. Throws Problem otherwise,
 * and the DOMException "AbortError" if `signal` says so.
 *
 * @param {string} path
 * @param {Asking} [asking]
 * @returns {Promise<Response>}
 */
export async function open(path, { method = "GET", body, signal, headers: more } = {}) {
  /** @type {Record<string, string>} */
  const headers = { ...more };
  if (method !== "GET") {
    headers["Content-Type"] = "application/json";
  }
  const content = method === "GET" ? null : JSON.stringify(body ?? {});
  let response;
  try {
    response = await fetch(path, {
      method, headers, body: content, signal: signal ?? null, cache: "no-store",
    });
  } catch (error) {
    if (error instanceof DOMException) {
      throw error;
    }
    throw unreachable();
  }
  if (!response.ok) {
    throw await problemOf(response);
  }
  return response;
}

/**
 * What to show of anything that was thrown.
 *
 * @param {unknown} error
 * @returns {Problem}
 */
export function asProblem(error) {
  if (error instanceof Problem) {
    return error;
  }
  if (error instanceof TypeError && /network|fetch/i.test(error.message)) {
    return unreachable(); // the connection was lost while the body came
  }
  return new Problem({
    status: 0,
    code: "page",
    detail: error instanceof Error ? error.message : String(error),
    hint: "this is a bug of the page; reload it, and tell the project how it came about",
  });
}

function unreachable() {
  return new Problem({
    status: 0,
    code: "unreachable",
    detail: "the daemon does not answer",
    hint: "it may be restarting, or the network is down; on its machine, see whether opsvisord runs",
  });
}

/**
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
async function problemOf(response) {
  const retryAfter = Number(response.headers.get("Retry-After")) || 0;
  const text = await response.text().catch(() => "");
  try {
    /** @type {WireProblem} */
    const told = JSON.parse(text);
    if (typeof told.detail === "string" && typeof told.code === "string") {
      return new Problem({ ...told, status: response.status, retryAfter });
    }
  } catch {
    // No opsvisord: something between it and us has answered.
  }
  return new Problem({
    status: response.status,
    code: "foreign_answer",
    detail: `the answer is ${response.status} ${response.statusText}, and not opsvisord's`,
    hint: "a proxy may be in between; its log has more",
    retryAfter,
  });
}
