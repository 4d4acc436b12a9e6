import assert from "node:assert/strict";
import { test } from "node:test";

import { endOf, keyOf, sentence, weight } from "../../../opsvisor/web/static/runs.js";

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
