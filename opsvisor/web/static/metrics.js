// @ts-check
/** Figures of /metrics, as much of its text as the page needs to understand. */

/** @typedef {{name: string, labels: Record<string, string>, value: number}} Sample */

/**
 * The samples of an exposition in Prometheus's text format.
 *
 * @param {string} text
 * @returns {Sample[]}
 */
export function samplesOf(text) {
  const found = [];
  for (const line of text.split("\n")) {
    const match = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match) {
      const [, name = "", labels = "", value = ""] = match;
      found.push({ name, labels: labelsOf(labels), value: numberOf(value) });
    }
  }
  return found;
}

/**
 * The sum of a family over all its labels; null if there is no such thing.
 *
 * @param {Sample[]} samples
 * @param {string} name
 * @returns {number | null}
 */
export function sumOf(samples, name) {
  const values = samples.filter((sample) => sample.name === name).map(({ value }) => value);
  return values.length ? values.reduce((a, b) => a + b, 0) : null;
}

/**
 * The bound below which this share of a histogram's observations lies; null without any.
 *
 * @param {Sample[]} samples
 * @param {string} name without `_bucket`
 * @param {number} share 0.99
 * @returns {number | null}
 */
export function boundOf(samples, name, share) {
  const buckets = samples
    .filter((sample) => sample.name === `${name}_bucket`)
    .map(({ labels, value }) => ({ bound: numberOf(labels.le ?? ""), count: value }))
    .sort((a, b) => a.bound - b.bound);
  const total = buckets.at(-1)?.count ?? 0;
  return total ? buckets.find(({ count }) => count >= share * total)?.bound ?? null : null;
}

/** @param {string} text */
function numberOf(text) {
  return text === "+Inf" ? Infinity : Number(text);
}

/**
 * @param {string} text
 * @returns {Record<string, string>}
 */
function labelsOf(text) {
  /** @type {Record<string, string>} */
  const labels = {};
  for (const [, name = "", value = ""] of text.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)) {
    labels[name] = value.replace(/\\(.)/g, (_, sign) => (sign === "n" ? "\n" : sign));
  }
  return labels;
}
