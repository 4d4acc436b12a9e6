import assert from "node:assert/strict";
import { test } from "node:test";

import { endOf, endsKnownFrom, keyOf, sentence, weight } from "../../../opsvisor/web/static/runs.js";
import { aProcess } from "./helpers.mjs";

const run = {
  pid: 7,
  started_at: 100,
  ended_at: 200,
  uptime: 100,
  outcome: "exit status 3",
};

test("a run in one sentence", () => {
  assert.equal(sentence(run, 260), "exit status 3 after 1 min 40 s, 1 min ago");
  const never = { ...run, pid: 0, outcome: "can't find command 'x'" };
  assert.equal(sentence(never, 260), "can't find command 'x', 1 min ago");
  assert.equal(endOf({ ...run, outcome: "" }), "never started");
});

test("a day does not hide a second", () => {
  assert.ok(weight(86_400) > weight(60));
  assert.ok(weight(86_400) < 12 * weight(1));
  assert.equal(weight(-5), 1);
});

test("two runs are told apart", () => {
  assert.notEqual(keyOf(run), keyOf({ ...run, started_at: 101 }));
});

test("the ends before the oldest run are known only if no more starts are counted", () => {
  const runs = [{ ...run, started_at: 300 }, run];
  assert.equal(endsKnownFrom(aProcess({ starts: 3 }), runs), 0);
  assert.equal(endsKnownFrom(aProcess({ starts: 2, pid: 0 }), runs), 0);
  assert.equal(endsKnownFrom(aProcess({ starts: 4 }), runs), 100);
  assert.equal(endsKnownFrom(aProcess({ starts: 1 }), []), 0);
  const never = { ...run, pid: 0, started_at: 0 };
  assert.equal(endsKnownFrom(aProcess({ starts: 0, pid: 0, failed_starts: 1 }), [never]), 0);
  assert.equal(endsKnownFrom(aProcess({ starts: 0, pid: 0, failed_starts: 2 }), [never]), 200);
});
