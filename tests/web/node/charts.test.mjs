import assert from "node:assert/strict";
import { test } from "node:test";

import {
  inSlots,
  inWords,
  linePath,
  nearestIndex,
  niceTop,
  withHoles,
} from "../../../opsvisor/web/static/charts.js";
import { bytes, cores } from "../../../opsvisor/web/static/format.js";

test("a line is one path from left to right, high values up", () => {
  assert.equal(
    linePath([0, 1, 2], { width: 10, height: 20, top: 2 }),
    "M0 20L5 10L10 0",
  );
});

test("a line has a hole where nothing is known, and shows a lonely point", () => {
  assert.equal(
    linePath([1, null, 1, 2], { width: 30, height: 10, top: 2 }),
    "M0 5h.01M20 5L30 0",
  );
});

test("no values, no line; nothing above the edge", () => {
  assert.equal(linePath([], { width: 10, height: 10, top: 1 }), "");
  assert.equal(linePath([null, null], { width: 10, height: 10, top: 1 }), "");
  assert.equal(linePath([5], { width: 10, height: 10, top: 1 }), "M0 0h.01");
  assert.equal(linePath([0], { width: 10, height: 10, top: 0 }), "M0 10h.01");
});

test("a line in slots tells the same however densely it was measured", () => {
  const dense = Array.from({ length: 10 }, (_, index) => 100 + 2 * index);
  assert.deepEqual(inSlots(dense, dense.map(() => 3), { slot: 5, span: 20 }), [3, 3, 3, 3]);
  assert.deepEqual(inSlots([100, 105, 110, 118], [3, 3, 3, 3], { slot: 5, span: 20 }), [3, 3, 3, 3]);
  assert.deepEqual(inSlots([100, 101, 102], [1, null, 4], { slot: 5, span: 10 }), [null, 2.5]);
});

test("a slot between two measured ones is bridged, a longer hole and a known absence are not", () => {
  assert.deepEqual(inSlots([100, 110], [1, 3], { slot: 5, span: 15 }), [1, 2, 3]);
  assert.deepEqual(inSlots([100, 115], [1, 3], { slot: 5, span: 20 }), [1, null, null, 3]);
  assert.deepEqual(inSlots([100, 105, 110], [1, null, 3], { slot: 5, span: 15 }), [1, null, 3]);
  assert.deepEqual(inSlots([], [], { slot: 5, span: 10 }), [null, null]);
});

test("the upper edge is a round number that covers everything", () => {
  assert.equal(niceTop(0), 1);
  assert.equal(niceTop(NaN), 1);
  assert.equal(niceTop(0.13), 0.15);
  assert.equal(niceTop(7), 8);
  assert.equal(niceTop(10), 10);
  assert.equal(niceTop(12.3 * 1024 ** 2, "bytes"), 15 * 1024 ** 2);
  for (let value = 0.001; value < 1e6; value *= 1.7) {
    assert.ok(niceTop(value) >= value * 0.999_999, String(value));
    assert.ok(niceTop(value) <= value * 2, String(value));
  }
});

test("a screen reader is told the figures", () => {
  assert.equal(
    inWords("CPU of web", [0.1, null, 0.5, 0.2], cores),
    "CPU of web: now 20 %, lowest 10 %, highest 50 %",
  );
  assert.equal(inWords("Memory", [null], bytes), "Memory: no figures yet");
});

test("the nearest sample", () => {
  assert.equal(nearestIndex([], 5), -1);
  assert.equal(nearestIndex([1, 4, 9], 6), 1);
  assert.equal(nearestIndex([1, 4, 9], 100), 2);
});

test("where nobody measured there is a hole, and none where somebody did", () => {
  assert.deepEqual(withHoles([0, 2, 20, 22], [1, 2, 3, 4], 6, 23), {
    at: [0, 2, 5, 20, 22],
    values: [1, 2, null, 3, 4],
    ends: [20],
  });
  assert.deepEqual(withHoles([0, 2], [1, 2], 6, 30), {
    at: [0, 2, 5],
    values: [1, 2, null],
    ends: [],
  });
});
