import assert from "node:assert/strict";
import { test } from "node:test";

import { Problem, asProblem } from "../../../opsvisor/web/static/api.js";
import { boundOf, samplesOf, sumOf } from "../../../opsvisor/web/static/metrics.js";
import { overviewLink, parse, processLink } from "../../../opsvisor/web/static/router.js";
import { Session } from "../../../opsvisor/web/static/session.js";
import { Messages } from "../../../opsvisor/web/static/sse.js";
import { Store } from "../../../opsvisor/web/static/store.js";
import { aProcess } from "./helpers.mjs";

const daemon = { started_at: 1000, uptime: 50, identifier: "here" };

test("a fragment is a page, and what cannot be read is none", () => {
  assert.equal(parse("").page, "overview");
  assert.equal(parse("#/").page, "overview");
  assert.equal(parse("#/?q=state%3Afatal+web").query.get("q"), "state:fatal web");
  assert.equal(parse("#/daemon").page, "daemon");
  assert.equal(parse("#/process/shop%3Aweb?tab=runs").name, "shop:web");
  assert.equal(parse("#/process/%E0%A4%A").name, "%E0%A4%A");
  for (const fragment of ["#/process", "#/process/", "#/daemon/x", "#/nothing", "#content"]) {
    assert.equal(parse(fragment).page, "unknown", fragment);
  }
});

test("a link leads back to what it was made of", () => {
  for (const name of ["web", "a:b", "50%", "a/b?c#d", "é", "<b>", "a b"]) {
    const route = parse(processLink(name, { tab: "runs" }));
    assert.deepEqual([route.page, route.name, route.query.get("tab")], ["process", name, "runs"]);
  }
  assert.equal(overviewLink({ q: "", sort: "" }), "#/");
  assert.equal(parse(overviewLink({ q: "a&b=c", sort: "-cpu" })).query.get("q"), "a&b=c");
});

test("the process that is looked at closely keeps every measurement", () => {
  const store = new Store((tell) => tell());
  store.snapshot([aProcess({ name: "a" }), aProcess({ name: "b" })], /** @type {any} */ (daemon));
  store.closely = "a";
  store.rememberedOf({ name: "a", at: [1, 2, 3], cpu: [1, 1, 1], rss: [5, 5, 5] });
  const used = { cpu: [1], rss: [5] };
  store.remembered({ at: [2], processes: { a: used, b: used } });
  assert.deepEqual(store.samples.get("a")?.at, [1, 2, 3]);
  assert.deepEqual(store.samples.get("b")?.at, [2]);
});

test("messages are the same however their text is cut", () => {
  const text = ": hello\r\nevent: log\r\ndata: one\r\ndata:two\r\nid: 7\r\n\r\n\ndata\n\n: ping\n\nevent: x\n\ndata: {}\n\n";
  const whole = new Messages().take(text);
  assert.deepEqual(whole, [
    { event: "log", data: "one\ntwo", id: "7" },
    { event: "message", data: "", id: "7" },
    { event: "message", data: "{}", id: "7" },
  ]);
  for (let size = 1; size < 9; size += 1) {
    const messages = new Messages();
    const found = [];
    for (let at = 0; at < text.length; at += size) {
      found.push(...messages.take(text.slice(at, at + size)));
    }
    assert.deepEqual(found, whole, `in pieces of ${size}`);
  }
});

test("half a message is none", () => {
  const messages = new Messages();
  assert.deepEqual(messages.take("data: {\"a\":"), []);
  assert.deepEqual(messages.take("1}\n"), []);
  assert.deepEqual(messages.take("\n"), [{ event: "message", data: "{\"a\":1}", id: null }]);
});

test("subscribers are told once a frame what has changed since", () => {
  const frames = [];
  const store = new Store((tell) => frames.push(tell));
  const told = [];
  const end = store.subscribe((changes) => told.push(changes));
  store.snapshot([aProcess(), aProcess({ name: "db" })], daemon);
  store.changed([aProcess({ state: "FATAL" })]);
  store.changed([aProcess({ state: "STOPPED" })]);
  store.removed(["db"]);
  assert.equal(frames.length, 1);
  frames.pop()();
  assert.equal(told.length, 1);
  assert.deepEqual([told[0].all, [...told[0].processes], [...told[0].removed]], [true, ["web"], ["db"]]);
  assert.equal(store.processes.get("web").state, "STOPPED");
  assert.deepEqual([...store.processes.keys()], ["web"]);
  end();
  store.removed(["web"]);
  frames.pop()();
  assert.equal(told.length, 1);
});

test("the daemon's clock is what counts", () => {
  const store = new Store(() => {});
  store.snapshot([], daemon);
  assert.ok(Math.abs(store.now() - 1050) < 1);
});

test("samples join those that were remembered, and are bounded", () => {
  const store = new Store(() => {});
  const one = aProcess({ cpu_usage: 0.9, rss_bytes: 5 });
  store.snapshot([one, aProcess({ name: "idle", pid: 0 })], daemon);
  assert.deepEqual(store.usageOf(one), { cpu: 0.9, rss: 5 });
  store.remembered({ at: [1, 2], processes: { web: { cpu: [null, 0.1], rss: [10, 11] }, gone: { cpu: [], rss: [] } } });
  store.sampled({ at: 2, samples: { web: { cpu: 0.7, rss: 99 } } });
  store.sampled({ at: 4, samples: { web: { cpu: 0.2, rss: 12 } } });
  assert.deepEqual(store.samples.get("web"), { at: [1, 2, 4], cpu: [null, 0.1, 0.2], rss: [10, 11, 12] });
  assert.deepEqual([...store.samples.keys()], ["web"]);
  assert.deepEqual(store.usageOf(one), { cpu: 0.2, rss: 12 });
  store.sampled({ at: 6, samples: {} });
  assert.deepEqual(store.samples.get("web").rss, [10, 11, 12, null]);
  for (let at = 7; at < 700; at += 1) {
    store.sampled({ at, samples: { web: { cpu: 0, rss: at } } });
  }
  assert.equal(store.samples.get("web").rss.length, 300);
  assert.equal(store.samples.get("web").rss.at(-1), 699);
  store.snapshot([], daemon);
  assert.equal(store.samples.size, 0);
});

test("metrics are read as far as the page needs them", () => {
  const samples = samplesOf([
    "# TYPE lag histogram", 'lag_bucket{le="0.01"} 90', 'lag_bucket{le="0.1"} 99',
    'lag_bucket{le="+Inf"} 100', "lag_count 100", 'errors_total{component="a\\"b\\\\c,d"} 2',
    'errors_total{component="e"} 1', "nan NaN",
  ].join("\n"));
  assert.equal(boundOf(samples, "lag", 0.5), 0.01);
  assert.equal(boundOf(samples, "lag", 0.99), 0.1);
  assert.equal(boundOf(samples, "lag", 1), Infinity);
  assert.equal(boundOf(samples, "none", 0.5), null);
  assert.equal(sumOf(samples, "errors_total"), 3);
  assert.equal(sumOf(samples, "missing"), null);
  assert.equal(samples.find(({ name }) => name === "errors_total").labels.component, 'a"b\\c,d');
});

test("who may do what is told with the reason", () => {
  const session = new Session();
  assert.equal(session.refusal("admin"), ""); // nobody has said otherwise yet: the API decides
  session.me = { name: "x", access: "read" };
  assert.equal(session.refusal("read"), "");
  assert.match(session.refusal("operate"), /needs the access 'operate', and you have 'read'/);
});

test("whatever is thrown can be shown", () => {
  const problem = new Problem({ status: 404, code: "a", detail: "b", hint: "c" });
  assert.equal(asProblem(problem), problem);
  assert.equal(asProblem(new TypeError("network error")).code, "unreachable");
  assert.equal(asProblem(new Error("slip")).code, "page");
  assert.match(asProblem("odd").hint, /bug of the page/);
});
