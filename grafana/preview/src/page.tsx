/**
 * Draws one dashboard. The address says which, and how:
 *
 *   ?dashboard=opsvisor-overview.json&others=a.json,b.json  files below dashboards/
 *   &prometheus=http://127.0.0.1:9090&from=..&to=..          Unix seconds
 *   &scrape=15&theme=dark&width=1920&var-group=web
 *
 * `window.drawn` is a promise of a Report.
 */
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createTheme, ThemeContext } from '@grafana/data';
import { GlobalStyles } from '@grafana/ui';
import { Page } from './dashboard';
import { isEmpty, load } from './load';
import type { Dashboard } from './model';
import { Prometheus } from './prometheus';
import { overflowsOf, Report, settled } from './report';

declare global {
  interface Window {
    drawn?: Promise<Report>;
    /** From now on a call of an overridden package is an error (build.mjs). */
    isDrawing?: boolean;
  }
}

const QUIET_MS = 400;

async function draw(): Promise<Report> {
  const asked = new URLSearchParams(location.search);
  const errors: string[] = [];
  addEventListener('error', ({ message }) => errors.push(message));
  addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)));

  const theme = createTheme({ colors: { mode: asked.get('theme') === 'light' ? 'light' : 'dark' } });
  const width = Number(asked.get('width') ?? innerWidth);
  const [dashboard, ...others] = await Promise.all(
    [required(asked, 'dashboard'), ...(asked.get('others') ?? '').split(',').filter(Boolean)].map(fetchDashboard),
  );
  const loaded = await load(dashboard!, {
    prometheus: new Prometheus(required(asked, 'prometheus')),
    span: { start: Number(required(asked, 'from')), end: Number(required(asked, 'to')) },
    scrapeInterval: Number(asked.get('scrape') ?? 15),
    variables: new Map(
      [...new Set(asked.keys())]
        .filter((key) => key.startsWith('var-'))
        .map((key) => [key.slice('var-'.length), asked.getAll(key)]),
    ),
    width,
    theme,
  });
  for (const { panel, error } of loaded.panels) {
    if (error) {
      errors.push(`panel ${panel.id} ${panel.title}: ${error}`);
    }
  }

  // Text is measured when it is drawn: with the font it will have.
  await Promise.all([document.fonts.load('400 14px Inter'), document.fonts.load('500 14px Inter')]);
  const root = document.getElementById('page')!;
  window.isDrawing = true;
  createRoot(root).render(
    <StrictMode>
      <ThemeContext.Provider value={theme}>
        <GlobalStyles />
        <Page
          loaded={loaded}
          others={others}
          width={width}
          theme={theme}
          onError={(panel, error) => errors.push(`panel ${panel}: ${error}`)}
        />
      </ThemeContext.Provider>
    </StrictMode>,
  );
  await settled(root, QUIET_MS);
  const drawable = loaded.panels.filter(({ panel }) => panel.type !== 'row');
  return {
    height: Math.ceil(root.getBoundingClientRect().height),
    errors: [...new Set(errors)],
    overflows: overflowsOf(root),
    empty: drawable
      .filter(({ frames, error }) => !error && isEmpty(frames))
      .map(({ panel }) => `panel ${panel.id} ${panel.title}`),
    panels: drawable.length,
  };
}

async function fetchDashboard(name: string): Promise<Dashboard> {
  const response = await fetch(`dashboards/${name}`);
  if (!response.ok) {
    throw new Error(`dashboards/${name}: ${response.status} ${response.statusText}`);
  }
  return response.json();
}

function required(asked: URLSearchParams, name: string): string {
  const value = asked.get(name);
  if (!value) {
    throw new Error(`?${name}= is missing in the address`);
  }
  return value;
}

window.drawn = draw();
