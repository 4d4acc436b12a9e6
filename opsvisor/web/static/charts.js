// @ts-check
/**
 * Small charts as SVG: one path for the line, so that a thousand of them are cheap. Colours come
 * from CSS (`currentColor` and the classes), and a screen reader is told the figures.
 */

import { svg } from "./dom.js";
import { clock, duration, isKnown } from "./format.js";

/** @typedef {(number | null)[]} Values */
/** @typedef {(value: number | null | undefined) => string} Format */
/** @typedef {{at: number, label: string, kind?: "start" | "end"}} Mark */

/**
 * What a row of figures says in words.
 * @param {string} label
 * @param {Values} values
 * @param {Format} format
 * @returns {string}
 */
export function inWords(label, values, format) {
  const known = values.filter(isKnown);
  const last = known[known.length - 1];
  if (last === undefined) {
    return `${label}: no figures yet`;
  }
  const lowest = known.reduce((a, b) => Math.min(a, b));
  const highest = known.reduce((a, b) => Math.max(a, b));
  return `${label}: now ${format(last)}, lowest ${format(lowest)}, highest ${format(highest)}`;
}

/**
 * The path of a line through the values, with a hole where one is not known. y grows downwards.
 * @param {Values} values
 * @param {{width: number, height: number, top: number, xs?: number[] | undefined}} place
 *   `top` is the value at the upper edge; `xs` has the positions, else they are spread evenly
 * @returns {string}
 */
export function linePath(values, { width, height, top, xs }) {
  const step = values.length > 1 ? width / (values.length - 1) : 0;
  const scale = top > 0 ? height / top : 0;
  let path = "";
  let isDown = false;
  values.forEach((value, index) => {
    if (!isKnown(value)) {
      isDown = false;
      return;
    }
    const x = short(xs?.[index] ?? index * step);
    const y = short(height - Math.min(value, top) * scale);
    path += `${isDown ? "L" : "M"}${x} ${y}`;
    // A single point has no length, and would not be seen.
    if (!isDown && !isKnown(values[index + 1])) {
      path += "h.01";
    }
    isDown = true;
  });
  return path;
}

/**
 * The same figures with a hole wherever nobody measured for longer than this: a line through it
 * would be a claim.
 * @param {number[]} at
 * @param {Values} values
 * @param {number} longest in seconds
 * @param {number} now
 * @returns {{at: number[], values: Values, ends: number[]}} `ends`: of the holes between measurements
 */
export function withHoles(at, values, longest, now) {
  /** @type {{at: number[], values: Values, ends: number[]}} */
  const found = { at: [], values: [], ends: [] };
  at.forEach((instant, index) => {
    found.at.push(instant);
    found.values.push(values[index] ?? null);
    const next = at[index + 1];
    if ((next ?? now) - instant > longest) {
      found.at.push(instant + longest / 2);
      found.values.push(null);
      if (next !== undefined) {
        found.ends.push(next);
      }
    }
  });
  return found;
}

/**
 * A round number at or above the highest value, for the upper edge of a chart.
 * @param {number} highest
 * @param {"bytes" | "number"} [kind] powers of two for bytes
 * @returns {number}
 */
export function niceTop(highest, kind = "number") {
  if (!(highest > 0) || !Number.isFinite(highest)) {
    return 1;
  }
  if (kind === "bytes") {
    const unit = 1024 ** Math.floor(Math.log(highest) / Math.log(1024));
    return niceTop(highest / unit) * unit;
  }
  const power = 10 ** Math.floor(Math.log10(highest));
  const steps = [1, 1.5, 2, 3, 4, 5, 6, 8, 10];
  const step = steps.find((one) => one * power >= highest * 0.999_999) ?? 10;
  return Number((step * power).toPrecision(6)); // 0.15, not 0.15000000000000002
}

/**
 * A line without axes that fits into a row of a table. `update` takes the newest values, last one
 * newest; it costs one attribute and can be called for every row at each sample.
 * @param {{label: string, format: Format, width?: number, height?: number, floor?: number}} options
 *   `floor`: the chart's upper edge is at least this, so that noise near zero stays flat
 */
export function sparkline({ label, format, width = 80, height = 20, floor = 0 }) {
  const line = svg("path", { class: "spark-line", fill: "none" });
  const area = svg("path", { class: "spark-area" });
  const node = svg(
    "svg",
    {
      class: "spark",
      role: "img",
      "aria-label": `${label}: no figures yet`,
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
      width,
      height,
    },
    area,
    line,
  );
  return {
    node,
    /** @param {Values} values */
    update(values) {
      const known = values.filter(isKnown);
      const highest = known.reduce((a, b) => Math.max(a, b), 0);
      const top = Math.max(floor, highest) * 1.05;
      const inner = { width, height: height - 2, top };
      const path = linePath(values, inner);
      line.setAttribute("d", path);
      line.setAttribute("transform", "translate(0 1)");
      area.setAttribute("d", areaPath(values, inner));
      area.setAttribute("transform", "translate(0 1)");
      node.setAttribute("aria-label", inWords(label, values, format));
    },
  };
}

/**
 * The last `span` seconds of measurements, in pieces of `slot` seconds: the mean of each, so that
 * a line tells the same however densely it was measured. A piece without a measurement is bridged
 * where both of its neighbours have one; otherwise there is a hole. The pieces begin at full
 * multiples of `slot`: what was drawn once stays as it is.
 * @param {number[]} at ascending
 * @param {Values} values
 * @param {{slot: number, span: number}} how
 * @returns {(number | null)[]}
 */
export function inSlots(at, values, { slot, span }) {
  const count = Math.round(span / slot);
  /** @type {(number | null)[]} */
  const means = Array(count).fill(null);
  const isMeasured = Array(count).fill(false);
  const first = Math.floor((at.at(-1) ?? 0) / slot) - count + 1;
  let known = 0;
  for (let index = at.length - 1; index >= 0; index -= 1) {
    const place = Math.floor((at[index] ?? 0) / slot) - first;
    if (place < 0) {
      break;
    }
    known = isMeasured[place] && means[place] !== null ? known : 0;
    isMeasured[place] = true;
    const value = values[index];
    if (isKnown(value)) {
      means[place] = ((means[place] ?? 0) * known + value) / (known + 1);
      known += 1;
    }
  }
  return means.map((mean, place) => {
    const before = means[place - 1];
    const after = means[place + 1];
    return isMeasured[place] || !isKnown(before) || !isKnown(after) ? mean : (before + after) / 2;
  });
}

/**
 * A chart with axes, restarts as marks, and a reading under the pointer or (by arrow keys) at a
 * chosen sample. Times are Unix seconds.
 * @param {{label: string, format: Format, kind?: "bytes" | "number", floor?: number}} options
 */
export function timeChart({ label, format, kind = "number", floor = 0 }) {
  const width = 600;
  const height = 120;
  const area = svg("path", { class: "chart-area" });
  const line = svg("path", { class: "chart-line", fill: "none" });
  const unknown = svg("path", { class: "chart-unknown" });
  const grid = svg("g", { class: "chart-grid" });
  const marks = svg("g", { class: "chart-marks" });
  const cursor = svg("path", { class: "chart-cursor" });
  const picture = svg(
    "svg",
    {
      class: "chart-picture",
      role: "img",
      "aria-label": `${label}: no figures yet`,
      viewBox: `0 0 ${width} ${height}`,
      preserveAspectRatio: "none",
    },
    unknown,
    grid,
    area,
    line,
    marks,
    cursor,
  );
  const highest = textOf("chart-top");
  const lowest = textOf("chart-zero");
  const from = textOf("chart-from");
  const to = textOf("chart-to");
  const note = textOf("chart-note");
  const reading = textOf("chart-reading");
  const title = textOf("chart-title");
  title.textContent = label;
  const plot = document.createElement("div");
  plot.className = "chart-plot";
  plot.append(picture, highest, lowest);
  const head = document.createElement("div");
  head.className = "chart-head";
  head.append(title, reading);
  const feet = document.createElement("div");
  feet.className = "chart-feet";
  feet.append(from, note, to);
  const node = document.createElement("div");
  node.className = "chart";
  node.append(head, plot, feet);

  /** @type {number[]} */
  let times = [];
  /** @type {Values} */
  let shown = [];
  /** @type {Mark[]} */
  let events = [];
  let begin = 0;
  let end = 1;
  let pointed = -1;

  const read = () => {
    const index = pointed >= 0 ? pointed : shown.length - 1;
    const value = shown[index];
    const at = times[index];
    const near = pointed >= 0 && at !== undefined ? nearest(events, at, (end - begin) / 60) : null;
    const when = pointed >= 0 ? ` at ${clock(at)}` : "";
    reading.textContent = `${format(value)}${when}${near === null ? "" : ` · ${near.label}`}`;
    const x = pointed >= 0 && at !== undefined ? short(((at - begin) / (end - begin)) * width) : 0;
    cursor.setAttribute("d", pointed >= 0 ? `M${x} 0V${height}` : "");
  };
  plot.addEventListener("pointermove", (event) => {
    const box = plot.getBoundingClientRect();
    const at = begin + ((event.clientX - box.left) / box.width) * (end - begin);
    pointed = nearestIndex(times, at);
    read();
  });
  plot.addEventListener("pointerleave", () => {
    pointed = -1;
    read();
  });

  return {
    node,
    /**
     * @param {number[]} at
     * @param {Values} values
     * @param {{from: number, to: number, marks: Mark[], markedFrom?: number, note?: string}} window
     *   `markedFrom`: what was before has no marks, as it is not known
     */
    update(at, values, window) {
      times = at;
      shown = values;
      events = window.marks.filter((mark) => mark.at >= window.from && mark.at <= window.to);
      begin = window.from;
      end = Math.max(window.to, window.from + 1);
      const known = values.filter(isKnown);
      const top = niceTop(Math.max(floor, ...known.slice(-5000)), kind);
      const xs = at.map((instant) => ((instant - begin) / (end - begin)) * width);
      const place = { width, height, top, xs };
      line.setAttribute("d", linePath(values, place));
      area.setAttribute("d", areaPath(values, place));
      grid.replaceChildren(
        ...[0.25, 0.5, 0.75].map((part) => svg("path", { d: `M0 ${height * part}H${width}` })),
      );
      marks.replaceChildren(
        ...events.map((mark) => {
          const x = short(((mark.at - begin) / (end - begin)) * width);
          const stroke = svg("path", { d: `M${x} 0V${height}`, class: `mark-${mark.kind ?? "end"}` });
          stroke.append(svg("title", {}, mark.label));
          return stroke;
        }),
      );
      const bare = Math.max(0, Math.min(1, ((window.markedFrom ?? begin) - begin) / (end - begin)));
      unknown.setAttribute("d", bare > 0 ? `M0 0H${short(bare * width)}V${height}H0Z` : "");
      note.textContent = window.note ?? "";
      highest.textContent = format(top);
      lowest.textContent = format(0);
      from.textContent = `${duration(Math.round(end - begin))} ago`;
      to.textContent = "now";
      const restarts = events.length === 0 ? "" : `; marked: ${events.map((m) => m.label).join("; ")}`;
      picture.setAttribute("aria-label", inWords(label, values, format) + restarts);
      if (pointed >= times.length) {
        pointed = -1;
      }
      read();
    },
  };
}

/**
 * The area between a line and the bottom, closed wherever the line has a hole.
 * @param {Values} values
 * @param {{width: number, height: number, top: number, xs?: number[]}} place
 */
function areaPath(values, place) {
  const step = values.length > 1 ? place.width / (values.length - 1) : 0;
  let path = "";
  let begin = 0;
  while (begin < values.length) {
    if (!isKnown(values[begin])) {
      begin += 1;
      continue;
    }
    let end = begin;
    while (end + 1 < values.length && isKnown(values[end + 1])) {
      end += 1;
    }
    const xs = [];
    for (let at = begin; at <= end; at += 1) {
      xs.push(place.xs?.[at] ?? at * step);
    }
    const line = linePath(values.slice(begin, end + 1), { ...place, xs });
    const left = short(xs[0] ?? 0);
    const right = short(xs[xs.length - 1] ?? 0);
    path += `${line}L${right} ${place.height}L${left} ${place.height}Z`;
    begin = end + 1;
  }
  return path;
}

/** @param {string} className */
function textOf(className) {
  const node = document.createElement("span");
  node.className = className;
  return node;
}

/**
 * @param {number[]} times in order
 * @param {number} at
 */
export function nearestIndex(times, at) {
  let best = -1;
  times.forEach((time, index) => {
    if (best < 0 || Math.abs(time - at) < Math.abs((times[best] ?? 0) - at)) {
      best = index;
    }
  });
  return best;
}

/**
 * @param {Mark[]} marks
 * @param {number} at
 * @param {number} within
 * @returns {Mark | null}
 */
function nearest(marks, at, within) {
  const index = nearestIndex(
    marks.map((mark) => mark.at),
    at,
  );
  const mark = marks[index];
  return mark !== undefined && Math.abs(mark.at - at) <= within ? mark : null;
}

/** @param {number} value */
function short(value) {
  return Math.round(value * 10) / 10;
}
