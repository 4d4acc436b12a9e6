// Derives strict JSON Schemas from the TypeScript types that one generation of Grafana published.
//
//   node schemas.mjs GENERATION OUT.json
//
// GENERATION is the N of a dependency grafana-schema-N. OUT.json gets an object: `dashboard`, and
// for each kind of panel that the dashboards use its `Options` and `FieldConfig`, and `query`, which
// is null where Grafana's Prometheus plugin is a package of its own. Every object of them refuses
// properties that the types do not have. The result is not committed: it follows from
// package-lock.json.

import { readdirSync, readFileSync, writeFileSync, mkdtempSync, rmSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { createGenerator } from "ts-json-schema-generator";

const HERE = dirname(fileURLToPath(import.meta.url));
// Grafana's name of a kind of panel, and that of the folder its types are in.
const PANELS = {
  bargauge: "bargauge",
  heatmap: "heatmap",
  stat: "stat",
  "state-timeline": "statetimeline",
  table: "table",
  timeseries: "timeseries",
};

const [generation, out] = process.argv.slice(2);
if (!generation || !out) {
  console.error("usage: node schemas.mjs GENERATION OUT.json");
  process.exit(2);
}

const root = join(HERE, "node_modules", `grafana-schema-${generation}`);
const files = readdirSync(join(root, "dist"), { recursive: true })
  .filter((name) => name.endsWith(".gen.d.ts"))
  .sort((one, other) => one.length - other.length);

// Generations 10 and 11 have their types beside the code, 12 and 13 in a folder of their own.
function findTypes(folder) {
  const found = files.find((name) => name.includes(`/raw/${folder}/x/`));
  return found && join(root, "dist", found);
}

function typesOf(folder) {
  const found = findTypes(folder);
  if (!found) {
    throw new Error(`Grafana ${generation} publishes no types in raw/${folder}`);
  }
  return found;
}

const work = mkdtempSync(join(HERE, `.types-${generation}-`));
try {
  const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  const lines = [];
  const declare = (name, file, type) => {
    const path = relative(work, file).replace(/\.d\.ts$/, "");
    lines.push(`import { ${type} as ${name}_ } from "${path}";`, `export type ${name} = ${name}_;`);
  };
  declare("TheDashboard", typesOf("dashboard"), "Dashboard");
  const query = findTypes("composable/prometheus/dataquery");
  if (query) {
    declare("TheQuery", query, "PrometheusDataQuery");
  }
  const names = {};
  for (const [kind, folder] of Object.entries(PANELS)) {
    const file = typesOf(`composable/${folder}/panelcfg`);
    names[kind] = {};
    for (const type of ["Options", "FieldConfig"]) {
      // A kind of panel without settings for its fields publishes no such type.
      if (!new RegExp(`export (interface|type) ${type}\\b`).test(readFileSync(file, "utf8"))) {
        continue;
      }
      names[kind][type] = `${folder}_${type}`;
      declare(names[kind][type], file, type);
    }
  }
  const entry = join(work, "entry.ts");
  writeFileSync(entry, lines.join("\n") + "\n");
  const tsconfig = join(work, "tsconfig.json");
  writeFileSync(
    tsconfig,
    JSON.stringify({
      compilerOptions: {
        module: "esnext",
        moduleResolution: "bundler",
        noEmit: true,
        skipLibCheck: true,
        strict: true,
        target: "esnext",
        types: [],
        // Their own modules name the package by the name that it is published under.
        paths: { "@grafana/schema": [join(root, manifest.types)] },
      },
      files: [entry],
    }),
  );
  const generator = createGenerator({
    path: entry,
    tsconfig,
    additionalProperties: false,
    expose: "export",
    skipTypeCheck: true,
    topRef: true,
  });
  const schemas = { version: manifest.version, dashboard: generator.createSchema("TheDashboard") };
  schemas.query = query ? generator.createSchema("TheQuery") : null;
  schemas.panels = Object.fromEntries(
    Object.entries(names).map(([kind, types]) => [
      kind,
      Object.fromEntries(
        Object.entries(types).map(([type, name]) => [type, generator.createSchema(name)]),
      ),
    ]),
  );
  writeFileSync(out, JSON.stringify(schemas, null, 1));
} finally {
  rmSync(work, { recursive: true });
}
