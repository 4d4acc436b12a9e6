/** The part of Grafana's classic dashboard model that our dashboards use. */
import type { DataTransformerConfig, FieldConfigSource } from '@grafana/data';

export interface GridPos {
  x: number;
  y: number;
  w: number;
  h: number;
}

export interface Target {
  refId: string;
  expr: string;
  legendFormat?: string;
  format?: 'time_series' | 'table' | 'heatmap';
  instant?: boolean;
  range?: boolean;
  hide?: boolean;
  interval?: string;
}

export interface Panel {
  id: number;
  type: string;
  title: string;
  description?: string;
  gridPos: GridPos;
  targets?: Target[];
  transformations?: DataTransformerConfig[];
  fieldConfig?: FieldConfigSource;
  options?: Record<string, unknown>;
  interval?: string;
  transparent?: boolean;
  maxDataPoints?: number;
  /** Of rows only. */
  collapsed?: boolean;
  panels?: Panel[];
}

export interface Variable {
  type: string;
  name: string;
  label?: string;
  hide?: number;
  query?: string | { query: string };
  regex?: string;
  multi?: boolean;
  includeAll?: boolean;
  allValue?: string | null;
  current?: { value?: string | string[] };
  options?: { value: string | string[]; selected?: boolean }[];
}

export interface Annotation {
  name: string;
  enable: boolean;
  hide?: boolean;
  iconColor: string;
  expr?: string;
  target?: { expr?: string };
  useValueForTime?: boolean | string;
  builtIn?: number;
}

export interface DashboardLink {
  type: string;
  title: string;
  tags?: string[];
  asDropdown?: boolean;
}

export interface Dashboard {
  uid: string;
  title: string;
  tags?: string[];
  time?: { from: string; to: string };
  templating?: { list: Variable[] };
  annotations?: { list: Annotation[] };
  links?: DashboardLink[];
  panels: Panel[];
}
