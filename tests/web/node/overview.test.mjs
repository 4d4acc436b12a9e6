import assert from "node:assert/strict";
import { test } from "node:test";

import { filterOf, statesIn, withState, withWord } from "../../../opsvisor/web/static/filter.js";
import { SINGLE, TROUBLE, rowsOf } from "../../../opsvisor/web/static/rows.js";
import {
  explanationOf, rankOf, sensible, signalName, troublesOf,
} from "../../../opsvisor/web/static/states.js";
import { offsetsOf, rowAt, rowsBetween } from "../../../opsvisor/web/static/window.js";
import { aProcess } from "./helpers.mjs";

const usageOf = (process) => ({ cpu: process.cpu_usage, rss: process.rss_bytes });
const worst = { key: "worst", descending: true };
const view = (more = {}) => ({ order: worst, closed: new Set(), usageOf, ...more });
const shown = (rows) => rows.map((row) => (row.kind === "group" ? `[${row.name}]` : row.process.name));
const keys = (more) => troublesOf(aProcess(more)).map(({ key }) => key);

test("a process that is well has no troubles", () => {
  assert.deepEqual(keys(), []);
  assert.deepEqual(keys({ state: "STOPPED", pid: 0, ready: false, expected_running: false }), []);
  assert.deepEqual(keys({ state: "EXITED", pid: 0, ready: false, expected_running: false }), []);
});

test("each thing that is wrong has its word, and the worst is first", () => {
  assert.deepEqual(keys({ state: "FATAL", pid: 0, ready: false, flapping: true }), ["fatal", "flapping"]);
  assert.deepEqual(keys({ state: "BACKOFF", pid: 0, ready: false }), ["backoff"]);
  assert.deepEqual(keys({ state: "EXITED", pid: 0, ready: false }), ["down"]);
  assert.deepEqual(keys({ healthy: false }), ["unhealthy"]);
  assert.deepEqual(keys({ ready: false, log_problem: "full" }), ["unready", "log"]);
  assert.deepEqual(keys({ limits_problem: "no" }), ["limits"]);
  // Not ready yet is no trouble of a process that is about to be.
  assert.deepEqual(keys({ state: "STARTING", ready: false }), []);
  assert.ok(rankOf(aProcess({ state: "FATAL" })) > rankOf(aProcess({ state: "BACKOFF" })));
});

test("what is due and why is told of what is in the way", () => {
  const backoff = aProcess({ state: "BACKOFF", pid: 0, retry_at: 105, reason: "exit status 1" });
  assert.deepEqual(explanationOf(backoff), { retryAt: 105, why: "exit status 1" });
  const probes = [{ probe: "readiness", passing: false, detail: "connection refused" }];
  assert.equal(explanationOf(aProcess({ ready: false, probes })).why, "readiness probe: connection refused");
  assert.equal(explanationOf(aProcess({ log_problem: "disk full" })).why, "disk full");
  assert.equal(explanationOf(aProcess({ restarts: 1, exit_signal: 11 })).why, "last ended by SIGSEGV");
  assert.equal(explanationOf(aProcess({ restarts: 1, exit_code: 3 })).why, "last ended with exit status 3");
  assert.equal(explanationOf(aProcess()).why, "");
  assert.equal(signalName(35), "signal 35");
});

test("only what makes sense is offered", () => {
  assert.deepEqual(sensible(aProcess()), { start: false, stop: true, restart: true, signal: true });
  const stopped = aProcess({ state: "STOPPED", pid: 0 });
  assert.deepEqual(sensible(stopped), { start: true, stop: false, restart: true, signal: false });
  const waiting = aProcess({ state: "BACKOFF", pid: 0 });
  assert.deepEqual(sensible(waiting), { start: true, stop: true, restart: true, signal: false });
  assert.equal(sensible(aProcess({ state: "STOPPING" })).restart, false);
});

test("words of the filter all have to match", () => {
  const process = aProcess({
    name: "shop:web_1", group: "shop", program: "Web", flapping: true, labels: { team: "a" },
  });
  for (const text of [
    "", "  ", "web", "WEB_1", "shop web", "state:running", "state:RUN", "state:fatal,running",
    "group:shop", "group:s*p", "group:x,shop", "is:flapping", "is:wrong", "is:up", "is:fla",
    "label:team", "label:team=a", "-state:fatal", "-db", "state:", "is:", "-",
  ]) {
    assert.ok(filterOf(text)(process), text);
  }
  for (const text of [
    "db", "shop db", "state:fatal", "group:sho", "group:s.*p", "is:down", "is:nonsense",
    "is:unhealthy", "label:tier", "label:team=b", "-web", "-is:wrong",
  ]) {
    assert.ok(!filterOf(text)(process), text);
  }
});

test("a state is asked for by a word, which can be put in and taken out", () => {
  assert.equal(withState("", "FATAL"), "state:fatal");
  assert.equal(withState("web state:fatal", "BACKOFF"), "web state:fatal,backoff");
  assert.equal(withState("state:fatal,backoff web", "FATAL"), "web state:backoff");
  assert.equal(withState("web state:fatal", "FATAL"), "web");
  assert.deepEqual([...statesIn("a state:fatal STATE:exited")], ["FATAL", "EXITED"]);
  assert.equal(withWord("web", "is:wrong"), "web is:wrong");
  assert.equal(withWord("is:wrong web", "is:wrong"), "web");
});

const fleet = [
  aProcess({ name: "web:web_10", group: "web" }),
  aProcess({ name: "web:web_2", group: "web", state: "FATAL" }),
  aProcess({ name: "db", group: "db", cpu_usage: 0.5, rss_bytes: 10 }),
  aProcess({ name: "api:a", group: "api", flapping: true, cpu_usage: 1.5, restarts: 4 }),
  aProcess({ name: "api:b", group: "api", cpu_usage: 0.1 }),
];

test("what is wrong comes first, then groups, then what has none", () => {
  assert.deepEqual(shown(rowsOf(fleet, view())), [
    `[${TROUBLE}]`, "web:web_2", "api:a", "[api]", "api:b", "[web]", "web:web_10", `[${SINGLE}]`, "db",
  ]);
});

test("a folded group is its head", () => {
  const rows = rowsOf(fleet, view({ closed: new Set(["web", SINGLE, TROUBLE]) }));
  assert.deepEqual(shown(rows), [`[${TROUBLE}]`, "[api]", "api:b", "[web]", `[${SINGLE}]`]);
});

test("where all is well and nothing has a group, it is one list", () => {
  const rows = rowsOf([aProcess({ name: "b", group: "b" }), aProcess({ name: "a", group: "a" })], view());
  assert.deepEqual(shown(rows), ["a", "b"]);
  assert.deepEqual(rowsOf([], view()), []);
});

test("the order of a column is one list; equals go by name, numbers in names by their value", () => {
  const by = (key, descending) => shown(rowsOf(fleet, view({ order: { key, descending } })));
  assert.deepEqual(by("name", false), ["api:a", "api:b", "db", "web:web_2", "web:web_10"]);
  assert.deepEqual(by("cpu", true), ["api:a", "db", "api:b", "web:web_2", "web:web_10"]);
  assert.equal(by("restarts", true)[0], "api:a");
  assert.equal(by("memory", true)[0], "db");
  assert.equal(by("state", false)[0], "web:web_2");
});

test("of many rows only those in sight are made", () => {
  const offsets = offsetsOf(Array(1000).fill(30));
  assert.equal(offsets[1000], 30_000);
  assert.deepEqual(rowsBetween(offsets, 0, 600), { first: 0, last: 21 });
  assert.deepEqual(rowsBetween(offsets, 15_000, 15_090), { first: 500, last: 504 });
  assert.deepEqual(rowsBetween(offsets, -500, -10), { first: 0, last: 1 });
  assert.deepEqual(rowsBetween(offsets, 29_990, 99_999), { first: 999, last: 1000 });
  assert.deepEqual(rowsBetween(offsetsOf([]), 0, 100), { first: 0, last: 0 });
  assert.equal(rowAt(offsetsOf([40, 30, 30]), 39.9), 0);
  assert.equal(rowAt(offsetsOf([40, 30, 30]), 40), 1);
});
