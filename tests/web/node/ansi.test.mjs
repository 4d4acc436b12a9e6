import assert from "node:assert/strict";
import { test } from "node:test";

import {
  AnsiParser,
  PLAIN,
  appearance,
  legible,
  textOn,
  withoutAnsi,
} from "../../../opsvisor/web/static/ansi.js";

const runs = (line) => new AnsiParser().feed(line);
const style = (codes) => runs(`\x1b[${codes}mx`)[0].style;

test("text without sequences is one plain run", () => {
  assert.deepEqual(runs("GET / 200"), [{ text: "GET / 200", style: { ...PLAIN } }]);
  assert.deepEqual(runs(""), []);
});

test("the sixteen colours are numbers of the theme's palette", () => {
  assert.equal(style("31").fg, 1);
  assert.equal(style("97").fg, 15);
  assert.equal(style("44").bg, 4);
  assert.equal(style("100").bg, 8);
  assert.equal(style("31;39").fg, null);
  assert.equal(style("44;49").bg, null);
});

test("256 colours: the palette, the cube and the greys", () => {
  assert.equal(style("38;5;9").fg, 9);
  assert.equal(style("38;5;16").fg, "#000000");
  assert.equal(style("38;5;196").fg, "#ff0000");
  assert.equal(style("48;5;231").bg, "#ffffff");
  assert.equal(style("38;5;232").fg, "#080808");
  assert.equal(style("38;5;255").fg, "#eeeeee");
});

test("true colours, with semicolons and with colons", () => {
  assert.equal(style("38;2;1;2;255").fg, "#0102ff");
  assert.equal(style("38:2:1:2:255").fg, "#0102ff");
  assert.equal(style("38:2::1:2:255").fg, "#0102ff");
  assert.equal(style("48;2;0;0;0;1").bold, true);
});

test("a colour that can't be is none, and what follows it is not taken for something else", () => {
  assert.equal(style("38;5;256").fg, null);
  assert.equal(style("38;2;1;2").fg, null);
  assert.equal(style("38;2;999;0;0").fg, null);
  assert.equal(style("38;9;31").fg, null);
  assert.equal(style("38").fg, null);
});

test("weights go on and off", () => {
  assert.deepEqual(style("1;3;4;9"), {
    ...PLAIN,
    bold: true,
    italic: true,
    underline: true,
    strike: true,
  });
  assert.equal(style("1;22").bold, false);
  assert.equal(style("4:0").underline, false);
  assert.equal(style("4:3").underline, true);
  assert.deepEqual(style("1;31;7;0"), { ...PLAIN });
  assert.deepEqual(style("1;31;").bold, false); // an empty parameter is 0
});

test("a line is cut where the style changes, and nowhere else", () => {
  const found = runs("a\x1b[31mb\x1b[31mc\x1b[md");
  assert.deepEqual(
    found.map((run) => [run.text, run.style.fg]),
    [
      ["a", null],
      ["bc", 1],
      ["d", null],
    ],
  );
});

test("colours last into the next line, as on a terminal", () => {
  const parser = new AnsiParser();
  parser.feed("\x1b[33mfirst");
  assert.equal(parser.feed("second")[0].style.fg, 3);
});

for (const [what, sequence] of [
  ["title (OSC 0, BEL)", "\x1b]0;owned\x07"],
  ["title (OSC 0, ST)", "\x1b]0;owned\x1b\\"],
  ["link (OSC 8)", "\x1b]8;;javascript:alert(1)\x1b\\"],
  ["clipboard (OSC 52)", "\x1b]52;c;cm0gLXJmIC8=\x07"],
  ["cursor", "\x1b[2;1H"],
  ["erase", "\x1b[2J\x1b[K"],
  ["private mode", "\x1b[?1049h"],
  ["device control", "\x1bP+q544e\x1b\\"],
  ["application command", "\x1b_Gf=100;AAAA\x1b\\"],
  ["character set", "\x1b(0"],
  ["reset", "\x1bc"],
  ["8-bit CSI", "\x9b31m"],
  ["8-bit OSC", "\x9d0;owned\x9c"],
]) {
  test(`${what} leaves nothing behind`, () => {
    assert.equal(withoutAnsi(`a${sequence}b`), "ab");
  });
}

test("a string that its line does not end hides nothing", () => {
  assert.equal(withoutAnsi("a\x1b]0;all of this is text"), "a0;all of this is text");
  assert.equal(withoutAnsi("a\x1bPtext"), "atext");
  assert.equal(withoutAnsi(`a\x1b]0;${"x".repeat(5000)}\x07`).length, 5004);
});

test("a sequence that is broken off ends where the text goes on", () => {
  assert.equal(withoutAnsi("a\x1b[31"), "a");
  assert.equal(withoutAnsi("a\x1b"), "a");
  assert.equal(withoutAnsi("a\x1b[31\u00e4b"), "a\u00e4b");
});

test("what would not be seen, or would deceive, is shown", () => {
  assert.equal(withoutAnsi("a\x00b\x08\x7f"), "a\u2400b\u2408\u2421");
  assert.equal(withoutAnsi("a\u202eb\u200bc"), "a<U+202E>b<U+200B>c");
  assert.equal(withoutAnsi("a\tb"), "a\tb");
});

test("hostile input costs no more than its length", () => {
  for (const piece of ["\x1b[", "\x1b]", "\x1bP", "\x1b[38;5;", "\x1b[1;", "\x9d", "\x1b(", ";"]) {
    const line = piece.repeat(100_000);
    const began = process.cpuUsage();
    const found = runs(`\x1b[${line}m`);
    assert.ok(process.cpuUsage(began).user < 2e6, JSON.stringify(piece));
    assert.ok(found.length <= 400);
  }
});

test("a line with thousands of changes is shown with few elements, and all of its text", () => {
  const line = "\x1b[31ma\x1b[32mb".repeat(5000);
  const found = runs(line);
  assert.ok(found.length <= 400);
  assert.equal(found.map((run) => run.text).join("").length, 10_000);
});

test("markup is text like any other", () => {
  const [run] = runs("<img src=x onerror=alert(1)>");
  assert.equal(run.text, "<img src=x onerror=alert(1)>");
});

test("a style is classes, and colours only where no class has them", () => {
  assert.deepEqual(appearance({ ...PLAIN }), { classes: [], color: "", background: "" });
  assert.deepEqual(appearance({ ...PLAIN, fg: 1, bold: true }).classes, [
    "ansi-fg-9",
    "ansi-bold",
  ]);
  assert.equal(appearance({ ...PLAIN, fg: "#010203" }).color, "#010203");
  assert.deepEqual(appearance({ ...PLAIN, inverse: true }).classes, [
    "ansi-fg-inverse",
    "ansi-bg-inverse",
  ]);
  assert.equal(appearance({ ...PLAIN, bg: "#ffffff", inverse: true }).color, "#ffffff");
});

test("every colour of a program can be read in both themes", () => {
  assert.equal(legible("#ffffff", "dark"), "#ffffff");
  assert.equal(legible("#000000", "light"), "#000000");
  assert.notEqual(legible("#ffff00", "light"), "#ffff00");
  assert.notEqual(legible("#00008b", "dark"), "#00008b");
  assert.match(legible("#00008b", "dark"), /^#[0-9a-f]{6}$/);
});

test("text on a colour of a program is black or white", () => {
  assert.equal(textOn("#ffff00"), "#000000");
  assert.equal(textOn("#00008b"), "#ffffff");
});
