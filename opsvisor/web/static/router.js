// @ts-check
/**
 * Where in the page somebody is: the fragment of the address, so that a link or a bookmark leads
 * to the same view, and "back" goes back.
 */

/**
 * @typedef {object} Route
 * @property {"overview" | "process" | "daemon" | "api" | "unknown"} page
 * @property {string} name of the process, "" elsewhere
 * @property {URLSearchParams} query
 */

/**
 * @param {string} fragment `#/process/web%3Aweb-0?tab=logs`
 * @returns {Route}
 */
export function parse(fragment) {
  const [path = "", query = ""] = split(fragment.replace(/^#/, ""), "?");
  const [page = "", name = ""] = split(path.replace(/^\//, ""), "/");
  const route = { name: "", query: new URLSearchParams(query) };
  if (page === "") {
    return { ...route, page: "overview" };
  }
  if (page === "process" && name) {
    return { ...route, page: "process", name: decoded(name) };
  }
  if ((page === "daemon" || page === "api") && !name) {
    return { ...route, page };
  }
  return { ...route, page: "unknown" };
}

/**
 * The link to the page of a process.
 *
 * @param {string} name
 * @param {Record<string, string>} [query]
 */
export function processLink(name, query = {}) {
  return `#/process/${encodeURIComponent(name)}${queryText(query)}`;
}

/**
 * The link to the overview.
 *
 * @param {Record<string, string>} [query] empty values are left out
 */
export function overviewLink(query = {}) {
  return `#/${queryText(query)}`;
}

/** @param {Record<string, string>} query */
function queryText(query) {
  const text = new URLSearchParams(
    Object.entries(query).filter(([, value]) => value !== ""),
  ).toString();
  return text && `?${text}`;
}

/**
 * @param {string} text
 * @param {string} separator
 * @returns {string[]}
 */
function split(text, separator) {
  const at = text.indexOf(separator);
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
