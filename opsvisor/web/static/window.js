// @ts-check
/**
 * Which rows of a long table are made at all: those in sight, and a few beside them. A thousand
 * rows of ten cells would cost a browser a second to lay out, each time.
 */

/**
 * Where each row begins, and in the end where the last one ends, in pixels.
 *
 * @param {number[]} heights
 * @returns {Float64Array}
 */
export function offsetsOf(heights) {
  const offsets = new Float64Array(heights.length + 1);
  heights.forEach((height, index) => {
    offsets[index + 1] = (offsets[index] ?? 0) + height;
  });
  return offsets;
}

/**
 * The rows that lie between two heights: from the first to before the last.
 *
 * @param {Float64Array} offsets
 * @param {number} top
 * @param {number} bottom
 * @returns {{first: number, last: number}}
 */
export function rowsBetween(offsets, top, bottom) {
  const count = offsets.length - 1;
  const first = Math.max(0, Math.min(count, rowAt(offsets, top)));
  const last = Math.max(first, Math.min(count, rowAt(offsets, bottom) + 1));
  return { first, last };
}

/**
 * The row at a height: the last one that begins there, or before.
 *
 * @param {Float64Array} offsets
 * @param {number} height
 */
export function rowAt(offsets, height) {
  let low = 0;
  let high = offsets.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((offsets[middle] ?? 0) <= height) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low;
}
