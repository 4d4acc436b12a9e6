import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import {
  curlOf,
  exampleOf,
  fieldsOf,
  isMeant,
  kindOf,
  namesIn,
  operationsOf,
  valuesOf,
} from "../../../opsvisor/web/static/contractmodel.js";

// What each daemon serves: the page has to cope with all that is in it.
const place = new URL("../../../docs/reference/openapi.json", import.meta.url);
const contract = JSON.parse(readFileSync(place, "utf8"));
const operations = operationsOf(contract);
const nobody = { origin: "http://host:9001", proof: "none", name: "" };

function operation(id) {
  const found = operations.find((one) => one.id === id);
  assert.ok(found, id);
  return found;
}

function curl(id, asking = {}) {
  return curlOf(contract, operation(id), { ...nobody, ...asking });
}

test("every operation is there, with all that a reader looks for", () => {
  assert.ok(operations.length > 30);
  for (const one of operations) {
    assert.ok(one.summary, one.id);
    assert.ok(one.media.length, one.id);
    assert.ok(contract.tags.some(({ name }) => name === one.tag), one.id);
    assert.ok(one.problems.every(({ codes }) => codes.length > 0), one.id);
    assert.ok(["GET", "POST", "DELETE"].includes(one.method), one.id);
  }
});

test("parameters of the path and of the query string are told together", () => {
  const names = operation("read_process_log").parameters.map(({ name }) => name);
  assert.deepEqual(names.slice(0, 2), ["name", "stream"]);
  assert.ok(names.includes("lines"));
});

test("a stream tells its events by their types", () => {
  const events = operation("follow_process_log").events;
  assert.deepEqual(events.map(({ name }) => name), ["log", "gap", "upgrade"]);
  assert.deepEqual(namesIn(events[0].schema), ["LogPiece"]);
});

test("what can be refused is told by code and meaning", () => {
  const problems = operation("write_stdin").problems;
  const conflict = problems.find(({ status }) => status === 409);
  assert.deepEqual(conflict.codes.map(({ code }) => code), ["stdin_full", "stdin_unavailable"]);
  assert.match(conflict.codes[0].meaning, /nothing was written/);
});

test("a line for curl says all that is needed, and nothing else", () => {
  assert.equal(curl("healthz"), "curl http://host:9001/healthz");
  assert.equal(
    curl("act"),
    `curl --json '{"action":"start","names":["web"]}' http://host:9001/api/v1/actions`,
  );
  assert.equal(
    curl("read_process_log"),
    "curl http://host:9001/api/v1/processes/web/logs/stdout",
  );
  assert.equal(curl("follow_events"), "curl --no-buffer http://host:9001/api/v1/events");
  assert.equal(
    curl("log_out"),
    "curl -X DELETE --json '{}' http://host:9001/api/v1/session",
  );
});

test("credentials are asked for where they are needed", () => {
  const token = { proof: "token" };
  const password = { proof: "password", name: "o'brien" };
  assert.match(curl("show_daemon", token), / --header "Authorization: Bearer \$OPSVISOR_TOKEN" /);
  assert.match(curl("show_daemon", password), / --user 'o'\\''brien' /);
  assert.equal(curl("healthz", token), curl("healthz"));
});

test("a search finds what has all of its words, wherever they are", () => {
  const found = (text) => operations.filter((one) => isMeant(one, text)).map(({ id }) => id);
  assert.equal(found("").length, operations.length);
  assert.deepEqual(found("POST stdin"), ["write_stdin"]);
  assert.ok(found("ProcessStatus").length === 0 || found("ProcessList").includes("list_processes"));
  assert.ok(found("ProcessList").includes("list_processes"));
  assert.deepEqual(found("no such words at all"), []);
});

test("a type is told in few words", () => {
  const { ActionRequest, EventGap, GroupStatus, ProcessList } = contract.components.schemas;
  const kinds = (schema) => Object.fromEntries(
    fieldsOf(schema).map(({ name, schema: one }) => [name, kindOf(one)]),
  );
  assert.equal(kinds(ActionRequest).names, "list of string");
  assert.equal(kinds(ActionRequest).signal, "string or number from 1 to 64 or null");
  assert.equal(kinds(EventGap).lost, "[integer, integer]");
  assert.equal(kinds(GroupStatus).states, "object of integer");
  assert.equal(kinds(ProcessList).processes, "list of ProcessStatus");
});

test("what a text may be is told, and whether there may be more", () => {
  const { ActionRequest, ActionResult } = contract.components.schemas;
  assert.deepEqual(valuesOf(ActionRequest.properties.action), {
    values: ["start", "stop", "restart", "signal"], isOpen: false,
  });
  assert.ok(valuesOf(ActionResult.properties.result).isOpen);
  assert.deepEqual(valuesOf({ type: "string" }), { values: [], isOpen: false });
});

test("an example has what must be there, also where one of several must", () => {
  const { LoginRequest, ApplyRequest } = contract.components.schemas;
  assert.deepEqual(exampleOf(contract, LoginRequest), { token: "…" });
  assert.deepEqual(exampleOf(contract, ApplyRequest), {});
});
