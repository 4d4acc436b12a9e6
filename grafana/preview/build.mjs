// Bundles the page into dist/: page.js, index.html and the icons Grafana's widgets load by path.
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = process.argv[2] ?? join(here, 'dist');
const { overrides } = JSON.parse(readFileSync(join(here, 'package.json'), 'utf8'));

// What package.json overrides is for widgets this page never draws (code editors, maps, date
// pickers: four fifths of the 653 MB). Modules of those widgets are still read and loaded; to draw
// with one would be a mistake of ours, and fails with its name.
const unused = {
  name: 'unused',
  setup(bundler) {
    const names = new Set(Object.keys(overrides));
    const packageOf = (path) => path.split('/').slice(0, path.startsWith('@') ? 2 : 1).join('/');
    bundler.onResolve({ filter: /^[@a-z]/ }, ({ path, kind }) =>
      kind !== 'entry-point' && names.has(packageOf(path)) ? { path, namespace: 'unused' } : undefined,
    );
    bundler.onLoad({ filter: /.*/, namespace: 'unused' }, ({ path }) => ({
      contents: `
        const nothing = function () {
          if (globalThis.isDrawing) throw new Error(${JSON.stringify(`${path} is overridden in package.json`)});
        };
        module.exports = new Proxy(nothing, {
          get: (target, name) => (name === '__esModule' ? false : name in target ? target[name] : nothing),
        });`,
      loader: 'js',
    }));
  },
};

// A .mjs file that imports the default of a CommonJS package gets all its exports, as in Node; the
// bundler Grafana is made for gives it `exports.default`. Table asks for this one.
const scrollbars = {
  name: 'scrollbars',
  setup(bundler) {
    const name = 'react-custom-scrollbars-2';
    bundler.onResolve({ filter: new RegExp(`^${name}$`) }, ({ namespace }) =>
      namespace === 'scrollbars' ? undefined : { path: name, namespace: 'scrollbars' },
    );
    bundler.onLoad({ filter: /.*/, namespace: 'scrollbars' }, () => ({
      contents: `export { Scrollbars as default, Scrollbars } from '${name}';`,
      resolveDir: here,
    }));
  },
};

rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });
await build({
  entryPoints: [join(here, 'src/page.tsx')],
  outfile: join(out, 'page.js'),
  bundle: true,
  minify: true,
  define: { 'process.env.NODE_ENV': '"production"' },
  logLevel: 'warning',
  plugins: [unused, scrollbars],
});
cpSync(join(here, 'src/index.html'), join(out, 'index.html'));
cpSync(join(here, 'node_modules/@grafana/ui/dist/public'), join(out, 'public'), { recursive: true });
