/** Asks Prometheus as Grafana's data source does, and makes data frames of the answers. */
import { createDataFrame, DataFrame, FieldType, Labels } from '@grafana/data';
import type { Target } from './model';

export interface Span {
  /** Unix seconds. */
  start: number;
  end: number;
}

interface Series {
  metric: Labels;
  values?: [number, string][];
  value?: [number, string];
}

export class Prometheus {
  constructor(private readonly url: string) {}

  async range(expr: string, span: Span, step: number): Promise<Series[]> {
    // Grafana aligns the range to the step, so that two reloads show the same points.
    const start = Math.floor(span.start / step) * step;
    const end = Math.ceil(span.end / step) * step;
    return this.series('query_range', { query: expr, start, end, step });
  }

  async instant(expr: string, time: number): Promise<Series[]> {
    return this.series('query', { query: expr, time });
  }

  async labelValues(label: string, selector: string | undefined, span: Span): Promise<string[]> {
    const match: Record<string, string> = selector ? { 'match[]': selector } : {};
    return this.get<string[]>(`label/${label}/values`, { start: span.start, end: span.end, ...match });
  }

  private async series(path: string, query: Record<string, string | number>): Promise<Series[]> {
    const answer = await this.get<{ resultType: string; result: Series[] }>(path, query);
    if (answer.resultType === 'scalar') {
      return [{ metric: {}, value: answer.result as unknown as [number, string] }];
    }
    return answer.result;
  }

  private async get<T>(path: string, query: Record<string, string | number>): Promise<T> {
    const text = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value)]));
    const response = await fetch(`${this.url}/api/v1/${path}?${text}`);
    const body = await response.json();
    if (body.status !== 'success') {
      throw new Error(`${body.error ?? response.statusText} in ${query.query ?? query['match[]'] ?? path}`);
    }
    return body.data;
  }
}

/** Frames of one target: a frame per series, or one table. `several`: the panel has more targets. */
export async function framesOf(
  prometheus: Prometheus,
  target: Target & { expr: string },
  { span, step, several }: { span: Span; step: number; several: boolean },
): Promise<DataFrame[]> {
  if (target.instant) {
    const found = await prometheus.instant(target.expr, span.end);
    return target.format === 'table' ? [table(target, found, several)] : found.map((one) => frame(target, one, step));
  }
  const found = await prometheus.range(target.expr, span, step);
  switch (target.format) {
    case 'table':
      return [table(target, found, several)];
    case 'heatmap':
      return buckets(found.map((one) => frame(target, one, step)));
    default:
      return found.map((one) => frame(target, one, step));
  }
}

function frame(target: Target, series: Series, step: number): DataFrame {
  const points = series.values ?? (series.value ? [series.value] : []);
  return createDataFrame({
    refId: target.refId,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        config: { interval: step * 1000 },
        values: points.map(([time]) => time * 1000),
      },
      {
        name: 'Value',
        type: FieldType.number,
        labels: nameless(series.metric),
        config: { displayNameFromDS: legend(target, series.metric) },
        values: points.map(([, value]) => number(value)),
      },
    ],
  });
}

/** Columns are the labels of all series in order of name, as the data source gives them. */
function table(target: Target, found: Series[], several: boolean): DataFrame {
  const rows = found.flatMap((one) => (one.values ?? (one.value ? [one.value] : [])).map((point) => ({ one, point })));
  const labels = [...new Set(found.flatMap((one) => Object.keys(one.metric)))].sort();
  return createDataFrame({
    refId: target.refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: rows.map(({ point }) => point[0] * 1000) },
      ...labels.map((label) => ({
        name: label,
        type: FieldType.string,
        config: { filterable: true },
        values: rows.map(({ one }) => one.metric[label] ?? ''),
      })),
      {
        name: several ? `Value #${target.refId}` : 'Value',
        type: FieldType.number,
        values: rows.map(({ point }) => number(point[1])),
      },
    ],
  });
}

/** Cumulative buckets in order of `le`, each made to hold only its own observations. */
function buckets(frames: DataFrame[]): DataFrame[] {
  const bound = (one: DataFrame): number => number(one.fields[1]?.labels?.le ?? 'NaN');
  const sorted = [...frames].sort((a, b) => bound(a) - bound(b));
  return sorted.map((one, index) => {
    const below = new Map<number, number>();
    const lower = sorted[index - 1];
    lower?.fields[0]?.values.forEach((time: number, at: number) => below.set(time, lower.fields[1]?.values[at]));
    const fields = one.fields.map((field, at) =>
      at === 0
        ? field
        : {
            ...field,
            config: { ...field.config, displayNameFromDS: field.labels?.le },
            values: field.values.map((value: number, row: number) =>
              Math.max(0, value - (below.get(one.fields[0]?.values[row]) ?? 0)),
            ),
          },
    );
    return { ...one, fields };
  });
}

function legend(target: Target, metric: Labels): string {
  const format = target.legendFormat;
  if (format && format !== '__auto') {
    return format.replace(/\{\{\s*([^}\s]+)\s*\}\}/g, (_, label: string) => metric[label] ?? '');
  }
  const labels = Object.entries(nameless(metric));
  if (format === '__auto' && labels.length === 1) {
    return labels[0]?.[1] ?? '';
  }
  const inside = labels.map(([label, value]) => `${label}="${value}"`).join(', ');
  return inside ? `${metric.__name__ ?? ''}{${inside}}` : (metric.__name__ ?? target.expr);
}

function nameless(metric: Labels): Labels {
  const { __name__, ...labels } = metric;
  return labels;
}

function number(text: string): number {
  return text === '+Inf' ? Infinity : text === '-Inf' ? -Infinity : Number(text);
}
