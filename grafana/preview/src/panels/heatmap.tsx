/**
 * Heatmap of histogram buckets: a column per step, a row per bucket, darker for few and brighter for
 * many. A stand-in, as @grafana/ui doesn't publish Grafana's own.
 */
import { DataFrame, formattedValueToString, getValueFormat } from '@grafana/data';
import { measureText } from '@grafana/ui';
import { AXIS_HEIGHT, position, TimeAxis, TimeScale } from './axis';
import type { PanelProps } from './props';

interface HeatmapOptions {
  color?: { scheme?: string };
  yAxis?: { unit?: string };
}

// Ends and middles of the schemes by their names in Grafana, from few to many on a dark ground.
const SCHEMES: Record<string, string[]> = {
  Oranges: ['#2b1604', '#7f2704', '#d94801', '#fd8d3c', '#fdd0a2'],
  Blues: ['#08162b', '#08306b', '#2171b5', '#6baed6', '#c6dbef'],
  Greens: ['#00210e', '#00441b', '#238b45', '#74c476', '#c7e9c0'],
  Spectral: ['#5e4fa2', '#66c2a5', '#ffffbf', '#fdae61', '#9e0142'],
  Turbo: ['#30123b', '#28bceb', '#a4fc3c', '#fb7e21', '#7a0403'],
};
const FONT_SIZE = 12;

export function Heatmap({ frames, options: given, fieldConfig, width, height, timeRange, theme }: PanelProps) {
  const options = given as HeatmapOptions;
  const unit = options.yAxis?.unit ?? fieldConfig.defaults.unit ?? 'short';
  const labels = frames.map((frame) => bound(frame, unit));
  const left = Math.max(...labels.map((label) => measureText(label, FONT_SIZE).width)) + 14;
  const plot = height - AXIS_HEIGHT;
  const pitch = plot / frames.length;
  const scale: TimeScale = {
    from: timeRange.from.valueOf(),
    to: timeRange.to.valueOf(),
    left,
    width: width - left - 4,
  };
  const most = Math.max(...frames.flatMap((frame) => frame.fields[1]?.values ?? []).filter(Number.isFinite));
  const scheme = SCHEMES[options.color?.scheme ?? 'Oranges'] ?? SCHEMES.Oranges!;
  return (
    <svg width={width} height={height} style={{ display: 'block' }}>
      <TimeAxis scale={scale} y={plot} theme={theme} />
      {frames.map((frame, row) => (
        <g key={labels[row]}>
          {cells(frame).map(({ time, count, step }) => {
            const x = position(time, scale);
            const right = Math.min(position(time + step, scale), scale.left + scale.width);
            return x < scale.left || count < 1e-9 ? null : (
              <rect
                key={time}
                x={x}
                y={plot - pitch * (row + 1) + 0.5}
                width={Math.max(right - x - 1, 1)}
                height={Math.max(pitch - 1, 1)}
                fill={shade(scheme, count / most)}
              />
            );
          })}
          <text
            x={left - 8}
            y={plot - pitch * (row + 0.5)}
            textAnchor="end"
            dominantBaseline="central"
            fontSize={FONT_SIZE}
            fill={theme.colors.text.primary}
          >
            {labels[row]}
          </text>
        </g>
      ))}
    </svg>
  );
}

function bound(frame: DataFrame, unit: string): string {
  const le = frame.fields[1]?.labels?.le ?? '';
  return le === '+Inf' ? '+Inf' : formattedValueToString(getValueFormat(unit)(Number(le)));
}

function cells(frame: DataFrame): { time: number; count: number; step: number }[] {
  const step = Number(frame.fields[0]?.config.interval ?? 0);
  return (frame.fields[0]?.values ?? []).map((time: number, at: number) => ({
    time: time - step, // a bucket counts what came since the step before
    count: Number(frame.fields[1]?.values[at] ?? 0),
    step,
  }));
}

/** Square root, so that a few among many are still seen. */
function shade(scheme: string[], share: number): string {
  const at = Math.sqrt(Math.min(1, Math.max(0, share))) * (scheme.length - 1);
  const lower = Math.min(Math.floor(at), scheme.length - 2);
  return `color-mix(in srgb, ${scheme[lower + 1]} ${Math.round((at - lower) * 100)}%, ${scheme[lower]})`;
}
