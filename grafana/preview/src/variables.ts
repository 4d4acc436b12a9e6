/** Variables of a dashboard: their values, and what a query or a text makes of them. */
import { rangeUtil, ScopedVars } from '@grafana/data';
import type { Variable } from './model';
import type { Prometheus, Span } from './prometheus';

export interface Chosen {
  variable: Variable;
  /** What is on offer, for the bar and for "All" without a value of its own. */
  offered: string[];
  value: string | string[];
  isAll: boolean;
}

export type Values = Map<string, Chosen>;

const ALL = '$__all';
const PATTERN = /\$(\w+)|\$\{([^:}]+?)(?::([^}]+))?\}|\[\[(\w+?)(?::(\w+))?\]\]/g;

/** In the order of the list, since a variable may use those before it. */
export async function chooseValues(
  variables: Variable[],
  wanted: Map<string, string[]>,
  prometheus: Prometheus,
  span: Span,
): Promise<Values> {
  const chosen: Values = new Map();
  for (const variable of variables) {
    const offered = await offers(variable, chosen, prometheus, span);
    chosen.set(variable.name, choose(variable, offered, wanted.get(variable.name)));
  }
  return chosen;
}

function choose(variable: Variable, offered: string[], wanted: string[] | undefined): Chosen {
  const list = (value: string | string[] | undefined): string[] =>
    (Array.isArray(value) ? value : [value ?? '']).filter((one) => one !== '');
  let values = wanted ?? list(variable.current?.value);
  const known = values.filter((one) => one === ALL || offered.includes(one));
  if (variable.type === 'query' && known.length === 0) {
    // Grafana, too, falls back on "All" where there is such a choice, else on the first value.
    values = variable.includeAll ? [ALL] : offered.slice(0, 1);
  }
  if (values.length === 0) {
    values = offered.slice(0, 1);
  }
  const isAll = values.includes(ALL);
  return { variable, offered, isAll, value: isAll ? ALL : variable.multi ? values : (values[0] ?? '') };
}

async function offers(variable: Variable, chosen: Values, prometheus: Prometheus, span: Span): Promise<string[]> {
  const definition = typeof variable.query === 'string' ? variable.query : (variable.query?.query ?? '');
  switch (variable.type) {
    case 'datasource':
      return ['Prometheus'];
    case 'custom':
    case 'interval':
    case 'constant':
    case 'textbox':
      return definition.split(',').map((one) => one.trim());
    case 'query': {
      const parts = /^label_values\((?:(.*),)?\s*(\w+)\s*\)$/s.exec(interpolate(definition, chosen, {}, 'promql'));
      if (!parts?.[2]) {
        throw new Error(`variable ${variable.name}: only label_values(...) is known, not ${definition}`);
      }
      const found = await prometheus.labelValues(parts[2], parts[1]?.trim(), span);
      const filter = variable.regex ? new RegExp(variable.regex.replace(/^\/|\/$/g, '')) : undefined;
      const kept = found.flatMap((value) => {
        const match = filter ? filter.exec(value) : [value, value];
        return match ? [match[1] ?? match[0] ?? value] : [];
      });
      return [...new Set(kept)].sort();
    }
    default:
      throw new Error(`variable ${variable.name}: type ${variable.type} is unknown here`);
  }
}

/** Grafana's own times and intervals, by name without the dollar sign. */
export function builtIns(span: Span, step: number, scrapeInterval: number): Record<string, string> {
  const length = Math.round(span.end - span.start);
  // https://grafana.com/docs/grafana/latest/datasources/prometheus/template-variables/
  const rate = Math.max(step + scrapeInterval, 4 * scrapeInterval);
  return {
    __range: `${length}s`,
    __range_s: `${length}`,
    __range_ms: `${length * 1000}`,
    __interval: rangeUtil.secondsToHms(step) || `${step}s`,
    __interval_ms: `${step * 1000}`,
    __rate_interval: `${rate}s`,
    __rate_interval_ms: `${rate * 1000}`,
    __from: `${Math.round(span.start * 1000)}`,
    __to: `${Math.round(span.end * 1000)}`,
    __url_time_range: `from=${Math.round(span.start * 1000)}&to=${Math.round(span.end * 1000)}`,
  };
}

/** Replaces $name, ${name} and ${name:format}; what is unknown stays as it is, and is found so. */
export function interpolate(
  text: string,
  values: Values,
  builtIn: Record<string, string>,
  style: 'promql' | 'text' = 'text',
  scoped?: ScopedVars,
): string {
  return text.replace(PATTERN, (whole, plain, braced, format, squared, squaredFormat) => {
    const name: string = plain ?? braced ?? squared;
    const own = builtIn[name];
    if (own !== undefined) {
      return own;
    }
    const chosen = values.get(name);
    if (chosen) {
      return formatted(chosen, format ?? squaredFormat ?? (style === 'promql' ? 'promql' : 'glob'));
    }
    return fromContext(name, scoped) ?? whole;
  });
}

/** A query with all its variables replaced. An error, where Grafana would ask for "$something". */
export function query(text: string, values: Values, builtIn: Record<string, string>): string {
  const replaced = interpolate(text, values, builtIn, 'promql');
  const unknown = /\$\{?[A-Za-z_]\w*/.exec(replaced); // "$1" is label_replace's
  if (unknown) {
    throw new Error(`there is no variable ${unknown[0]} in ${text}`);
  }
  return replaced;
}

/** ${__field.labels.x}, ${__data.fields.x}, ... of the cell or series at hand. */
function fromContext(name: string, scoped: ScopedVars | undefined): string | undefined {
  const context = scoped?.__dataContext?.value;
  if (!context) {
    return undefined;
  }
  const { field, frame, rowIndex } = context;
  const [scope, kind, ...rest] = name.split('.');
  const key = rest.join('.').replace(/^\["?|"?\]$/g, '');
  if (scope === '__field') {
    return kind === 'labels' ? (field.labels?.[key] ?? '') : kind === 'name' ? field.name : undefined;
  }
  if (scope === '__data' && kind === 'fields') {
    const found = frame.fields.find(
      (one: { name: string; config: { displayName?: string } }) => one.name === key || one.config.displayName === key,
    );
    return found && rowIndex !== undefined ? String(found.values[rowIndex]) : undefined;
  }
  return scope === '__value' ? '' : undefined;
}

function formatted({ variable, value, isAll, offered }: Chosen, format: string): string {
  if (isAll && variable.allValue) {
    return variable.allValue;
  }
  const values = isAll ? offered : Array.isArray(value) ? value : [value];
  const isList = isAll || Array.isArray(value);
  switch (format) {
    case 'promql': {
      // As the Prometheus data source: only values of a choice among several are regular expressions.
      if (!variable.multi && !variable.includeAll) {
        return (values[0] ?? '').replace(/[\\']/g, '\\$&');
      }
      const escaped = values.map((one) => one.replace(/[\\^$*+?.()|[\]{}']/g, '\\\\$&'));
      return escaped.length === 1 ? (escaped[0] ?? '') : `(${escaped.join('|')})`;
    }
    case 'regex': {
      const escaped = values.map((one) => one.replace(/[\\^$*+?.()|[\]{}/]/g, '\\$&'));
      return escaped.length === 1 ? (escaped[0] ?? '') : `(${escaped.join('|')})`;
    }
    case 'pipe':
      return values.join('|');
    case 'csv':
    case 'raw':
      return values.join(',');
    case 'text':
      return isAll ? 'All' : values.join(' + ');
    case 'queryparam':
      return (isAll ? [ALL] : values).map((one) => `var-${variable.name}=${encodeURIComponent(one)}`).join('&');
    default:
      return isList && values.length > 1 ? `{${values.join(',')}}` : (values[0] ?? '');
  }
}
