import type { DataFrame, FieldConfigSource, GrafanaTheme2, InterpolateFunction, TimeRange } from '@grafana/data';

/** What every kind of panel is drawn from. Frames have been transformed and configured. */
export interface PanelProps {
  frames: DataFrame[];
  fieldConfig: FieldConfigSource;
  options: Record<string, unknown>;
  width: number;
  height: number;
  timeRange: TimeRange;
  theme: GrafanaTheme2;
  replaceVariables: InterpolateFunction;
  marks: Mark[];
}

/** An annotation: one moment, and the colour it is drawn in. */
export interface Mark {
  time: number;
  color: string;
  name: string;
}
