import assert from "node:assert/strict";
import { test } from "node:test";

import { ordered } from "../../../opsvisor/web/static/tree.js";

const member = (pid, parent) => ({ pid, parent, command: "", cpu_seconds: 0, rss_bytes: 0 });
const shape = (members) => ordered(members).map(({ member: one, depth }) => [one.pid, depth]);

test("each stands below its parent, in the order they came", () => {
  const members = [member(1, 0), member(2, 1), member(3, 1), member(4, 2), member(5, 0)];
  assert.deepEqual(shape(members), [
    [1, 0],
    [2, 1],
    [4, 2],
    [3, 1],
    [5, 0],
  ]);
});

test("whose parent is not there stands at the top", () => {
  assert.deepEqual(shape([member(7, 1), member(8, 7)]), [
    [7, 0],
    [8, 1],
  ]);
});

test("a circle, or its own parent, loses nobody and ends", () => {
  assert.deepEqual(shape([member(1, 2), member(2, 1), member(3, 3)]).length, 3);
});

test("a chain of thousands is no recursion", () => {
  const chain = Array.from({ length: 20_000 }, (_, index) => member(index + 1, index));
  assert.equal(ordered(chain).at(-1)?.depth, 19_999);
});
