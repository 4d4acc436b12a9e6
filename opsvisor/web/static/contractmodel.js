// @ts-check
/**
 * The API's description, /openapi.json, as what the page about it shows: operations, types, and
 * how to ask for each. Nothing here knows of the document, or touches it.
 */

/**
 * A schema of OpenAPI 3.1, as far as ours use it.
 *
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string | string[]} [type]
 * @property {string} [description]
 * @property {Record<string, Schema>} [properties]
 * @property {string[]} [required]
 * @property {Schema | boolean} [additionalProperties]
 * @property {Schema | false} [items]
 * @property {Schema[]} [prefixItems]
 * @property {Schema[]} [anyOf]
 * @property {Schema[]} [oneOf]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {unknown[]} [examples]
 * @property {string[]} [x-extensible-enum]
 * @property {unknown} [default]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {number} [multipleOf]
 * @property {Schema} [contentSchema]
 */

/**
 * @typedef {{name: string, in: "path" | "query" | "header", required?: boolean,
 *   description?: string, schema: Schema}} Parameter
 * @typedef {{schema?: Schema}} Content
 * @typedef {{$ref?: string, description?: string, content?: Record<string, Content>}} Answer
 * @typedef {{operationId: string, tags: string[], summary: string, description?: string,
 *   "x-access": import("./session.js").Access | null, parameters?: Parameter[],
 *   requestBody?: {content: Record<string, Content>}, responses: Record<string, Answer>}} Described
 * @typedef {{info: {description: string, version: string},
 *   tags: {name: string, description: string}[],
 *   paths: Record<string, Record<string, Described | Parameter[]>>,
 *   components: {schemas: Record<string, Schema>, responses: Record<string, Answer>}}} Contract
 */

/**
 * One operation, as it is shown.
 *
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method
 * @property {string} path
 * @property {string} tag
 * @property {string} summary
 * @property {string} description
 * @property {import("./session.js").Access | null} access
 * @property {Parameter[]} parameters
 * @property {Schema | null} body
 * @property {number} status of success
 * @property {string[]} media
 * @property {Schema | null} answer its JSON
 * @property {{name: string, schema: Schema}[]} events of a stream
 * @property {{status: number, title: string, codes: {code: string, meaning: string}[]}[]} problems
 */

/**
 * @typedef {object} Field
 * @property {string} name
 * @property {Schema} schema
 * @property {boolean} isRequired
 */

const EVENT_STREAM = "text/event-stream";

/**
 * Every operation, in the order of the document.
 *
 * @param {Contract} contract
 * @returns {Operation[]}
 */
export function operationsOf(contract) {
  const found = [];
  for (const [path, item] of Object.entries(contract.paths)) {
    const shared = Array.isArray(item["parameters"]) ? item["parameters"] : [];
    for (const [method, described] of Object.entries(item)) {
      if (!Array.isArray(described)) {
        found.push(operationOf(contract, method.toUpperCase(), path, shared, described));
      }
    }
  }
  return found;
}

/**
 * @param {Contract} contract
 * @param {string} method
 * @param {string} path
 * @param {Parameter[]} shared
 * @param {Described} described
 * @returns {Operation}
 */
function operationOf(contract, method, path, shared, described) {
  const answers = Object.entries(described.responses);
  const [status, answer] = answers.find(([code]) => code < "300") ?? ["200", {}];
  const content = answer.content ?? {};
  const stream = content[EVENT_STREAM]?.schema;
  const json = content["application/json"]?.schema ?? null;
  return {
    id: described.operationId,
    method,
    path,
    tag: described.tags[0] ?? "",
    summary: described.summary,
    description: described.description ?? "",
    access: described["x-access"],
    parameters: [...shared, ...(described.parameters ?? [])],
    body: described.requestBody?.content["application/json"]?.schema ?? null,
    status: Number(status),
    media: Object.keys(content),
    answer: json,
    events: (stream?.oneOf ?? []).map((one) => ({
      name: String(one.properties?.["event"]?.const),
      schema: one.properties?.["data"]?.contentSchema ?? {},
    })),
    problems: answers
      .filter(([code]) => code >= "400")
      .map(([code, refused]) => problemsOf(contract, Number(code), refused)),
  };
}

/**
 * @param {Contract} contract
 * @param {number} status
 * @param {Answer} answer
 */
function problemsOf(contract, status, answer) {
  const told = answer.$ref ? contract.components.responses[last(answer.$ref)] : answer;
  const [title = "", ...lines] = (told?.description ?? "").split("\n");
  const codes = lines.flatMap((line) => {
    const [, code, meaning] = /^- `(\w+)`: (.*)$/.exec(line) ?? [];
    return code && meaning ? [{ code, meaning }] : [];
  });
  return { status, title, codes };
}

/**
 * Whether all words of a search are found in an operation.
 *
 * @param {Operation} operation
 * @param {string} search
 */
export function isMeant(operation, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const whole = [
    operation.method, operation.path, operation.id, operation.summary, operation.description,
    operation.tag, operation.access ?? "", ...operation.parameters.map(({ name }) => name),
    ...[operation.body, operation.answer].map((schema) => (schema ? typeName(schema) : "")),
    ...operation.events.map(({ schema }) => typeName(schema)),
  ].join(" ").toLowerCase();
  return words.every((word) => whole.includes(word));
}

/**
 * A type in few words.
 *
 * @param {Schema} schema
 * @returns {string}
 */
export function kindOf(schema) {
  if (schema.$ref) {
    return last(schema.$ref);
  }
  if (schema.anyOf) {
    return [...new Set(schema.anyOf.map(kindOf))].join(" or ");
  }
  if (schema.prefixItems) {
    return `[${schema.prefixItems.map(kindOf).join(", ")}]`;
  }
  if (schema.type === "array") {
    return schema.items ? `list of ${kindOf(schema.items)}` : "list";
  }
  if (schema.type === "object" && typeof schema.additionalProperties === "object") {
    return `object of ${kindOf(schema.additionalProperties)}`;
  }
  if (typeof schema.type === "string") {
    return schema.type + range(schema);
  }
  return schema.enum ? "text" : "anything";
}

/** @param {Schema} schema */
function range({ minimum, maximum }) {
  if (minimum !== undefined && maximum !== undefined) {
    return ` from ${minimum} to ${maximum}`;
  }
  return minimum === undefined ? "" : ` ≥ ${minimum}`;
}

/**
 * What a value may be, where that is a list; `isOpen` if later versions may add to it.
 *
 * @param {Schema} schema
 * @returns {{values: string[], isOpen: boolean}}
 */
export function valuesOf(schema) {
  for (const one of [schema, ...(schema.anyOf ?? []), ...(schema.items ? [schema.items] : [])]) {
    const values = one.enum ?? one["x-extensible-enum"];
    if (values) {
      return { values: values.map(String), isOpen: !one.enum };
    }
  }
  return { values: [], isOpen: false };
}

/**
 * The described types that a type is made of, itself or in a list: what can be looked at further.
 *
 * @param {Schema} schema
 * @returns {string[]}
 */
export function namesIn(schema) {
  if (schema.$ref) {
    return [last(schema.$ref)];
  }
  const parts = [...(schema.anyOf ?? []), ...(schema.prefixItems ?? [])];
  if (schema.items) {
    parts.push(schema.items);
  }
  if (typeof schema.additionalProperties === "object") {
    parts.push(schema.additionalProperties);
  }
  return [...new Set(parts.flatMap(namesIn))];
}

/**
 * @param {Schema} schema an object
 * @returns {Field[]}
 */
export function fieldsOf(schema) {
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, one]) => ({
    name, schema: one, isRequired: required.has(name),
  }));
}

/**
 * A value that a schema allows, for people to change: what must be there, and no more.
 *
 * @param {Contract} contract
 * @param {Schema} schema
 * @returns {unknown}
 */
export function exampleOf(contract, schema) {
  const whole = schema.$ref ? contract.components.schemas[last(schema.$ref)] ?? {} : schema;
  if (whole.examples?.length) {
    return whole.examples[0];
  }
  if (whole.enum?.length) {
    return whole.enum[0];
  }
  if (whole.anyOf?.[0]) {
    return exampleOf(contract, whole.anyOf[0]);
  }
  switch (whole.type) {
    case "object": {
      const needed = new Set([...(whole.required ?? []), ...(whole.oneOf?.[0]?.required ?? [])]);
      const entries = fieldsOf(whole).filter(({ name }) => needed.has(name));
      return Object.fromEntries(
        entries.map(({ name, schema: one }) => [name, exampleOf(contract, one)]),
      );
    }
    case "array":
      return whole.items ? [exampleOf(contract, whole.items)] : [];
    case "integer":
    case "number":
      return whole.minimum ?? 0;
    case "boolean":
      return true;
    default:
      return "…";
  }
}

/**
 * What to type into a terminal to ask for an operation.
 *
 * @param {Contract} contract
 * @param {Operation} operation
 * @param {{origin: string, proof: "none" | "password" | "token", name: string}} asking
 * @returns {string}
 */
export function curlOf(contract, operation, { origin, proof, name }) {
  const parts = ["curl"];
  if (operation.method !== "GET" && !operation.body) {
    parts.push("-X", operation.method);
  }
  if (operation.events.length) {
    parts.push("--no-buffer");
  }
  if (operation.access && proof === "password") {
    parts.push("--user", quoted(name || "NAME"));
  }
  if (operation.access && proof === "token") {
    parts.push("--header", '"Authorization: Bearer $OPSVISOR_TOKEN"');
  }
  if (operation.body) {
    if (operation.method !== "POST") {
      parts.push("-X", operation.method);
    }
    parts.push("--json", quoted(JSON.stringify(exampleOf(contract, operation.body))));
  } else if (operation.method !== "GET") {
    parts.push("--header", quoted("Content-Type: application/json"));
  }
  parts.push(quoted(origin + pathOf(contract, operation)));
  return parts.join(" ");
}

/**
 * @param {Contract} contract
 * @param {Operation} operation
 */
function pathOf(contract, { path, parameters }) {
  return path.replace(/\{(\w+)\}/g, (whole, name) => {
    const parameter = parameters.find((one) => one.in === "path" && one.name === name);
    return parameter ? encodeURIComponent(String(exampleOf(contract, parameter.schema))) : whole;
  });
}

/**
 * A word for a shell, in quotes only where it needs them.
 *
 * @param {string} word
 */
function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** @param {Schema} schema */
function typeName(schema) {
  return namesIn(schema).join(" ");
}

/** @param {string} ref */
function last(ref) {
  return ref.slice(ref.lastIndexOf("/") + 1);
}
