import assert from "node:assert/strict";
import { test } from "node:test";

import { LogModel } from "../../../opsvisor/web/static/logmodel.js";
import {
  LogSearch,
  expressionOf,
  findIn,
  spansOf,
} from "../../../opsvisor/web/static/logsearch.js";

const plain = (text) => ({ text, isExpression: false, isExact: false });
const expression = (text) => ({ text, isExpression: true, isExact: false });
const inProcess = (wanted) => ({ find: async (batch) => findIn(wanted, batch), close: () => {} });

function searching(text, limits) {
  const model = new LogModel(limits);
  model.append(text);
  const search = new LogSearch(model, { onChange: () => {}, finderOf: inProcess });
  return { model, search };
}

async function done(search) {
  while (search.isBusy) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function found(search) {
  return Array.from({ length: search.count }, (_, index) => search.numberAt(index));
}

test("a text means itself, whatever it would mean in an expression", () => {
  for (const text of ["a.b", "[x]", "(1+1)*2?", "a|b", "^$", "\\d", "{3}", "a-b/c"]) {
    assert.deepEqual(spansOf(expressionOf(plain(text)), `<${text}>`), [1, 1 + text.length]);
  }
  assert.deepEqual(spansOf(expressionOf(plain("a.b")), "axb"), []);
});

test("case counts only if it shall", () => {
  assert.deepEqual(spansOf(expressionOf(plain("error")), "ERROR"), [0, 5]);
  assert.deepEqual(spansOf(expressionOf({ ...plain("error"), isExact: true }), "ERROR"), []);
});

test("every span of a line, up to a bound; what matches nothing ends", () => {
  assert.deepEqual(spansOf(/a/g, "banana"), [1, 2, 3, 4, 5, 6]);
  assert.equal(spansOf(/a/g, "a".repeat(1000)).length, 100);
  assert.deepEqual(spansOf(/x*/g, "aaxa"), [2, 3]);
  assert.deepEqual(spansOf(/^/g, "abc"), []);
});

test("lines are found as they come", async () => {
  const { model, search } = searching("one\ntwo error\nthree\n");
  search.set(plain("error"));
  await done(search);
  assert.deepEqual(found(search), [1]);
  assert.deepEqual(search.spans(1), [4, 9]);
  model.append("four\nfive ERROR");
  search.update();
  await done(search);
  assert.deepEqual(found(search), [1]); // not finished yet
  model.append("\n");
  search.update();
  await done(search);
  assert.deepEqual(found(search), [1, 4]);
});

test("lines that are gone are forgotten", async () => {
  const { model, search } = searching("x0\nx1\nx2\n", { lines: 3 });
  search.set(plain("x"));
  await done(search);
  model.append("x3\ny4\n");
  search.update();
  await done(search);
  assert.deepEqual(found(search), [2, 3]);
  assert.deepEqual(search.spans(0), []);
  assert.equal(search.indexOf(3), 1);
  assert.equal(search.indexOf(99), 2);
});

test("what is looked at is what is seen", async () => {
  const { search } = searching("\x1b[31mer\x1b[1mror\x1b[0m\n");
  search.set(plain("error"));
  await done(search);
  assert.deepEqual(search.spans(0), [0, 5]);
  search.set(plain("[31m"));
  await done(search);
  assert.equal(search.count, 0);
});

test("holes and notes are not what the program said", async () => {
  const { model, search } = searching("pid\n");
  model.note("started with pid 7", 1);
  model.gap(10);
  search.set(plain("pid"));
  await done(search);
  assert.deepEqual(found(search), [0]);
});

test("an expression is looked for by the finder", async () => {
  const { search } = searching("GET /a 200\nGET /b 500\n");
  search.set(expression(" 5\\d\\d$"));
  await done(search);
  assert.deepEqual(found(search), [1]);
});

test("an expression that is none says what is wrong with it", () => {
  const { search } = searching("a\n");
  search.set(expression("(a"));
  assert.equal(search.problem, "Unterminated group");
  assert.equal(search.isOn, true);
  assert.equal(search.count, 0);
  search.set(plain(""));
  assert.equal(search.problem, "");
  assert.equal(search.isOn, false);
});

test("an expression that takes too long is given up, and that is said", async () => {
  const model = new LogModel();
  model.append("a\n");
  const search = new LogSearch(model, {
    onChange: () => {},
    finderOf: () => ({
      find: () => Promise.reject(new Error("it takes too long on these lines")),
      close: () => {},
    }),
  });
  search.set(expression("(a+)+$"));
  await done(search);
  assert.equal(search.problem, "it takes too long on these lines");
});

test("a query that was replaced finds nothing any more", async () => {
  const { search } = searching("a\nb\n");
  search.set(expression("a"));
  search.set(expression("b"));
  await done(search);
  assert.deepEqual(found(search), [1]);
});

test("a query that is too long is refused", () => {
  const { search } = searching("a\n");
  search.set(plain("x".repeat(1001)));
  assert.equal(search.problem, "longer than 1000 characters");
});
