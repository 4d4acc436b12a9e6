// @ts-check
/** Light or dark: as the system has it, until somebody says otherwise in this browser. */

/** @typedef {"system" | "light" | "dark"} Theme */

const KEY = "opsvisor.theme";
/** @type {Theme[]} */
const THEMES = ["system", "light", "dark"];

/** @returns {Theme} */
export function theme() {
  const kept = recall(KEY);
  return THEMES.find((one) => one === kept) ?? "system";
}

/** @param {Theme} chosen */
export function setTheme(chosen) {
  keep(KEY, chosen);
  applyTheme();
}

/** Have the document look as was chosen. */
export function applyTheme() {
  const chosen = theme();
  if (chosen === "system") {
    delete document.documentElement.dataset.theme;
  } else {
    document.documentElement.dataset.theme = chosen;
  }
}

/**
 * What this browser remembers; null too where it is told to remember nothing.
 *
 * @param {string} key
 */
export function recall(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {string} value
 */
export function keep(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // It is forgotten with the page, then.
  }
}
