import assert from "node:assert/strict";
import { test } from "node:test";

import {
  ago,
  bytes,
  clock,
  cores,
  countdown,
  counted,
  duration,
  exactly,
  moment,
  shortDuration,
} from "../../../opsvisor/web/static/format.js";

const at = (...parts) => new Date(2026, 2, 1, ...parts).getTime() / 1000;

test("lengths have their two largest units", () => {
  const expected = {
    0: "0 s",
    0.0004: "1 ms",
    0.85: "850 ms",
    4.24: "4.2 s",
    5: "5 s",
    59.6: "1 min",
    200: "3 min 20 s",
    7500: "2 h 5 min",
    86_400: "1 d",
    1_047_600: "12 d 3 h",
  };
  for (const [seconds, words] of Object.entries(expected)) {
    assert.equal(duration(Number(seconds)), words);
  }
  assert.equal(duration(-3), "0 s");
});

test("short lengths are whole and of a steady width", () => {
  const expected = {
    0.9: "0s",
    59.9: "59s",
    200: "3m 20s",
    3661: "1h 01m",
    90_000: "1d 1h",
  };
  for (const [seconds, words] of Object.entries(expected)) {
    assert.equal(shortDuration(Number(seconds)), words);
  }
});

test("what is not known is a dash", () => {
  for (const format of [duration, shortDuration, bytes, cores, clock, exactly]) {
    assert.equal(format(null), "–");
    assert.equal(format(undefined), "–");
    assert.equal(format(NaN), "–");
  }
  assert.equal(countdown(0, 10), "–");
  assert.equal(ago(0, 10), "never");
});

test("before and after now", () => {
  assert.equal(ago(100, 100.4), "just now");
  assert.equal(ago(100, 163), "1 min 3 s ago");
  assert.equal(ago(100, 90), "just now"); // clocks differ
  assert.equal(countdown(104.2, 100), "in 5 s");
  assert.equal(countdown(99, 100), "now");
});

test("times of today have no date, others do", () => {
  assert.equal(clock(at(5, 2, 7)), "05:02:07");
  assert.equal(moment(at(5, 2, 7), at(23)), "05:02:07");
  assert.equal(moment(at(5, 2, 7), at(25)), "2026-03-01 05:02:07");
  assert.match(exactly(at(5, 2, 7)), /^2026-03-01 05:02:07 [+-]\d\d:\d\d$/);
});

test("sizes", () => {
  const expected = {
    0: "0 B",
    1023: "1023 B",
    1024: "1 KiB",
    1536: "1.5 KiB",
    1_048_575: "1 MiB",
    130_023_424: "124 MiB",
    12_897_484: "12.3 MiB",
  };
  for (const [size, words] of Object.entries(expected)) {
    assert.equal(bytes(Number(size)), words);
  }
});

test("cores are percent of one", () => {
  assert.equal(cores(0), "0 %");
  assert.equal(cores(0.004), "0.4 %");
  assert.equal(cores(0.123), "12 %");
  assert.equal(cores(2.5), "250 %");
});

test("counts agree with their noun", () => {
  assert.equal(counted(1, "line"), "1 line");
  assert.equal(counted(1204, "line"), "1,204 lines");
  assert.equal(counted(0, "match", "matches"), "0 matches");
});
