/** From a dashboard and a Prometheus to panels that are ready to be drawn. */
import {
  DataFrame,
  dateTime,
  FieldType,
  GrafanaTheme2,
  InterpolateFunction,
  rangeUtil,
  ScopedVars,
  TimeRange,
} from '@grafana/data';
import { configured, transformed } from './fields';
import type { Annotation, Dashboard, GridPos, Panel } from './model';
import { KINDS } from './panels/kinds';
import type { Mark } from './panels/props';
import { framesOf, Prometheus, Span } from './prometheus';
import { builtIns, chooseValues, interpolate, query, Values } from './variables';

/** What the address of the page says. */
export interface Request {
  prometheus: Prometheus;
  span: Span;
  /** Of the scrapes, in seconds: the data source's setting in Grafana. */
  scrapeInterval: number;
  variables: Map<string, string[]>;
  width: number;
  theme: GrafanaTheme2;
}

export interface Drawable {
  panel: Panel;
  frames: DataFrame[];
  error?: string;
  replace: InterpolateFunction;
}

export interface Loaded {
  dashboard: Dashboard;
  values: Values;
  panels: Drawable[];
  marks: Mark[];
  timeRange: TimeRange;
}

/** Grafana's, in pixels; the page has twice the gap at its sides. */
export const GRID = { columns: 24, row: 30, gap: 8, side: 16 };

/** Where a panel is on a page of this width. */
export function placeOf({ x, y, w, h }: GridPos, pageWidth: number) {
  const column = (pageWidth - 2 * GRID.side + GRID.gap) / GRID.columns;
  return {
    left: Math.round(x * column),
    top: y * (GRID.row + GRID.gap),
    width: Math.round(w * column - GRID.gap),
    height: h * (GRID.row + GRID.gap) - GRID.gap,
  };
}

export async function load(dashboard: Dashboard, request: Request): Promise<Loaded> {
  const { prometheus, span, theme } = request;
  const values = await chooseValues(dashboard.templating?.list ?? [], request.variables, prometheus, span);
  const from = dateTime(span.start * 1000);
  const to = dateTime(span.end * 1000);
  const [panels, marks] = await Promise.all([
    Promise.all(unfolded(dashboard.panels).map((panel) => drawable(panel, values, request))),
    Promise.all((dashboard.annotations?.list ?? []).map((one) => marksOf(one, values, request, theme))),
  ]);
  return { dashboard, values, panels, marks: marks.flat(), timeRange: { from, to, raw: { from, to } } };
}

/** Collapsed rows are opened, and push down what is below them, as a click on them does. */
export function unfolded(panels: Panel[]): Panel[] {
  let pushed = 0;
  return [...panels]
    .sort((a, b) => a.gridPos.y - b.gridPos.y || a.gridPos.x - b.gridPos.x)
    .flatMap((panel) => {
      const moved = (one: Panel, by: number): Panel => ({ ...one, gridPos: { ...one.gridPos, y: one.gridPos.y + by } });
      const here = moved(panel, pushed);
      const inside = panel.type === 'row' ? (panel.panels ?? []) : [];
      if (inside.length === 0) {
        return [here];
      }
      const top = Math.min(...inside.map(({ gridPos }) => gridPos.y));
      const bottom = Math.max(...inside.map(({ gridPos }) => gridPos.y + gridPos.h));
      const opened = inside.map((one) => moved(one, here.gridPos.y + 1 - top));
      pushed += bottom - top;
      return [here, ...opened];
    });
}

async function drawable(panel: Panel, values: Values, request: Request): Promise<Drawable> {
  const { span, prometheus, scrapeInterval, theme } = request;
  const { width } = placeOf(panel.gridPos, request.width);
  const least = panel.interval ? rangeUtil.intervalToSeconds(panel.interval) : scrapeInterval;
  const points = panel.maxDataPoints ?? width;
  const step = Math.max(rangeUtil.roundInterval(((span.end - span.start) / points) * 1000) / 1000, least);
  const builtIn = builtIns(span, step, scrapeInterval);
  const replace: InterpolateFunction = (text, scoped?: ScopedVars) => interpolate(text, values, builtIn, 'text', scoped);
  try {
    if (panel.type !== 'row' && !KINDS.has(panel.type)) {
      throw new Error(`a panel of type ${panel.type} can't be drawn here`);
    }
    const targets = (panel.targets ?? []).filter(({ hide }) => !hide);
    const answers = await Promise.all(
      targets.map((target) => {
        const expr = query(target.expr, values, builtIn);
        const legendFormat = target.legendFormat && interpolate(target.legendFormat, values, builtIn);
        return framesOf(prometheus, { ...target, expr, legendFormat }, { span, step, several: targets.length > 1 });
      }),
    );
    const frames = await transformed(panel, answers.flat(), replace);
    return { panel, frames: configured(panel, frames, theme, replace), replace };
  } catch (error) {
    return { panel, frames: [], error: String(error), replace };
  }
}

/** Moments at which the query has a value, or with `useValueForTime` the moments the values name. */
async function marksOf(annotation: Annotation, values: Values, request: Request, theme: GrafanaTheme2): Promise<Mark[]> {
  const asked = annotation.expr ?? annotation.target?.expr;
  if (!annotation.enable || annotation.builtIn || !asked) {
    return [];
  }
  const { span, scrapeInterval, prometheus } = request;
  const expr = query(asked, values, builtIns(span, scrapeInterval, scrapeInterval));
  const found = await prometheus.range(expr, span, scrapeInterval);
  const times = found.flatMap(({ values: points = [] }) =>
    annotation.useValueForTime
      ? points.map(([, value]) => Number(value))
      : points
          .filter(([time], at) => time - (points[at - 1]?.[0] ?? -Infinity) > 1.5 * scrapeInterval)
          .map(([time]) => time * 1000),
  );
  const color = theme.visualization.getColorByName(annotation.iconColor);
  return [...new Set(times)]
    .filter((time) => time >= span.start * 1000 && time <= span.end * 1000)
    .map((time) => ({ time, color, name: annotation.name }));
}

export function isEmpty(frames: DataFrame[]): boolean {
  return !frames.some((frame) =>
    frame.fields.some(
      ({ type, values }) => type !== FieldType.time && values.some((one) => one !== null && !Number.isNaN(one)),
    ),
  );
}
