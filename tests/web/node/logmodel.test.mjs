import assert from "node:assert/strict";
import { test } from "node:test";

import { LogModel, STOOD_STILL, TOO_FAST, lastDrawn } from "../../../opsvisor/web/static/logmodel.js";

/** @param {LogModel} model */
function texts(model) {
  const found = [];
  for (let number = model.first; number < model.end; number += 1) found.push(model.at(number).text);
  return found;
}

test("pieces end anywhere, lines do not", () => {
  const model = new LogModel();
  for (const piece of ["on", "e\ntw", "o\n", "\n", "th", "ree"]) model.append(piece);
  assert.deepEqual(texts(model), ["one", "two", "", "three"]);
});

test("every way to cut a text gives the same lines", () => {
  const text = "a\r\nb\n\x1b[31mred\ncontinues\x1b[0m\n10%\r20%\rdone\n\ntail";
  const whole = new LogModel();
  whole.append(text);
  for (let cut = 1; cut < text.length; cut += 1) {
    const model = new LogModel();
    model.append(text.slice(0, cut));
    model.append(text.slice(cut));
    assert.deepEqual(texts(model), texts(whole), `cut at ${cut}`);
    assert.deepEqual(model.at(3).style, whole.at(3).style, `cut at ${cut}`);
  }
  assert.deepEqual(texts(whole), [
    "a",
    "b",
    "\x1b[31mred",
    "continues\x1b[0m",
    "done",
    "",
    "tail",
  ]);
  assert.equal(whole.at(3).style.fg, 1);
});

test("a carriage return begins the line anew", () => {
  assert.equal(lastDrawn("10%\r20%\r"), "20%");
  assert.equal(lastDrawn("\r\r"), "");
  assert.equal(lastDrawn("text\r"), "text");
});

test("the oldest lines go first, and the numbers stay", () => {
  const model = new LogModel({ lines: 3 });
  model.append("0\n1\n2\n3\n4\n");
  assert.deepEqual(texts(model), ["2", "3", "4"]);
  assert.equal(model.first, 2);
  assert.equal(model.end, 5);
  assert.equal(model.at(1), undefined);
  assert.equal(model.at(5), undefined);
  assert.equal(model.isFull, true);
});

test("as many characters as allowed, however few lines they make", () => {
  const model = new LogModel({ characters: 100, longest: 60 });
  for (let index = 0; index < 10; index += 1) model.append(`${"x".repeat(50)}\n`);
  assert.equal(model.length, 2);
  assert.equal(model.characters, 100);
});

test("a line that is too long is cut, and says by how much", () => {
  const model = new LogModel({ longest: 10 });
  model.append("x".repeat(8));
  model.append("y".repeat(8));
  model.append("z".repeat(100));
  model.append("\nshort\n");
  assert.deepEqual(texts(model), [`${"x".repeat(8)}yy`, "short"]);
  assert.equal(model.at(0).cut, 106);
  assert.equal(model.at(1).cut, 0);
});

test("a million characters without a newline stay one short line", () => {
  const model = new LogModel();
  for (let index = 0; index < 1000; index += 1) model.append("x".repeat(1000));
  assert.equal(model.length, 1);
  assert.equal(model.at(0).text.length, model.limits.longest);
  assert.equal(model.at(0).cut, 1_000_000 - model.limits.longest);
});

test("what never came has a line of its own", () => {
  const model = new LogModel();
  model.append("half a li");
  model.gap(1000);
  model.gap(24);
  model.gap(7, 0, STOOD_STILL);
  model.append("ne\nwhole\n");
  assert.deepEqual(
    [0, 1, 2, 3, 4].map((number) => [model.at(number).text, model.at(number).kind]),
    [
      ["half a li", "said"],
      [TOO_FAST, "hole"],
      [STOOD_STILL, "hole"],
      ["ne", "said"],
      ["whole", "said"],
    ],
  );
  assert.equal(model.at(1).cut, 1024);
  assert.deepEqual([...model.missing], [[TOO_FAST, 1024], [STOOD_STILL, 7]]);
  assert.equal(model.text(), "half a li\nne\nwhole");
});

test("colours do not leak over a gap", () => {
  const model = new LogModel();
  model.append("\x1b[31mred\n");
  model.gap(10);
  model.append("plain\n");
  assert.equal(model.at(2).style.fg, null);
});

test("a note stands between lines, and is no part of the log", () => {
  const model = new LogModel();
  model.append("before\nhalf");
  model.note("started with pid 7", 3);
  model.append("after\n");
  assert.deepEqual(texts(model), ["before", "half", "started with pid 7", "after"]);
  assert.deepEqual([model.at(2).kind, model.at(2).at], ["note", 3]);
  assert.equal(model.text(), "before\nhalf\nafter");
});

test("what is finished is told apart from what is not", () => {
  const model = new LogModel();
  assert.equal(model.closedEnd, 0);
  model.append("a\nb");
  assert.equal(model.closedEnd, 1);
  model.append("\n");
  assert.equal(model.closedEnd, 2);
});

test("the time is that of a line's beginning", () => {
  const model = new LogModel();
  model.append("old\n");
  model.append("be", 5);
  model.append("gun\nnext\n", 6);
  assert.deepEqual(
    [0, 1, 2].map((number) => model.at(number).at),
    [0, 5, 6],
  );
});

test("after clear the numbers go on", () => {
  const model = new LogModel();
  model.append("a\nb");
  model.clear();
  assert.equal(model.length, 0);
  assert.equal(model.first, 2);
  model.append("c\n");
  assert.equal(model.at(2).text, "c");
});

test("rows: one for each line, or as many as it is wrapped into", () => {
  const model = new LogModel();
  model.append(`short\n${"x".repeat(25)}\n\n`);
  assert.equal(model.endRow, 3);
  model.wrapAt(10);
  assert.equal(model.endRow, 5);
  assert.deepEqual([0, 1, 2].map((number) => model.rowOf(number)), [0, 1, 4]);
  assert.deepEqual([0, 1, 2, 3, 4, 99].map((row) => model.lineOfRow(row)), [0, 1, 1, 1, 2, 2]);
  model.append("y".repeat(11));
  assert.equal(model.endRow, 7);
  model.append("y".repeat(10));
  assert.equal(model.endRow, 8);
  model.wrapAt(0);
  assert.equal(model.endRow, 4);
});

test("rows are of what is seen, not of what makes its colours", () => {
  const model = new LogModel();
  model.wrapAt(10);
  model.append(`${"\x1b[31mx\x1b[0m".repeat(5)}\n`);
  assert.equal(model.endRow, 1);
  model.append(`${"\x1b[31mx\x1b[0m".repeat(11)}`);
  assert.equal(model.endRow, 3);
  model.append("\x1b[0m\r5\n");
  assert.equal(model.endRow, 2);
});

test("rows stay where they are when the oldest lines go", () => {
  const model = new LogModel({ lines: 2 });
  model.append("0\n1\n2\n3\n");
  assert.equal(model.firstRow, 2);
  assert.equal(model.endRow, 4);
  assert.equal(model.lineOfRow(0), 2);
  assert.equal(model.rowOf(3), 3);
});

test("an empty model answers as well", () => {
  const model = new LogModel();
  assert.equal(model.firstRow, 0);
  assert.equal(model.endRow, 0);
  assert.equal(model.lineOfRow(5), 0);
  assert.equal(model.rowOf(5), 0);
  assert.equal(model.text(), "");
});

test("a flood is taken at more than 50 MB/s", () => {
  const model = new LogModel();
  const piece = `${"x".repeat(99)}\n`.repeat(2500); // as much as one event of the stream has
  const began = process.cpuUsage(); // its own time: the machine may have other things to do
  for (let index = 0; index < 200; index += 1) model.append(piece);
  const seconds = process.cpuUsage(began).user / 1e6;
  assert.equal(model.length, model.limits.lines);
  assert.ok(seconds < 1, `${seconds.toFixed(2)} s for 50 MB`);
});
