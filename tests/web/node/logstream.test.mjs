import assert from "node:assert/strict";
import { test } from "node:test";

import { after } from "../../../opsvisor/web/static/logstream.js";

test("what was there before an interruption is not shown twice", () => {
  assert.equal(after("hello", 10, -Infinity), "hello");
  assert.equal(after("hello", 10, 10), "hello");
  assert.equal(after("hello", 10, 12), "llo");
  assert.equal(after("hello", 10, 15), "");
  assert.equal(after("hello", 10, 99), "");
});

test("offsets are of bytes, not of characters", () => {
  assert.equal(after("zwei €uro", 0, 8), "uro");
  assert.equal(after("😀x", -5, -1), "x");
});
