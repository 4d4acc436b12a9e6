/**
 * State timeline: one row per series, a bar for as long as a value stays.
 *
 * @grafana/ui doesn't publish Grafana's own, so this is a stand-in: same options, same colours and
 * texts (by the field's display processor), same place for names, axis and legend.
 */
import { DataFrame, Field, FieldType, formattedValueToString, getFieldDisplayName } from '@grafana/data';
import { LegendDisplayMode, VizLegendOptions } from '@grafana/schema';
import { measureText, VizLegend } from '@grafana/ui';
import { AXIS_HEIGHT, position, TimeAxis, TimeScale } from './axis';
import type { PanelProps } from './props';

interface TimelineOptions {
  showValue: 'auto' | 'always' | 'never';
  rowHeight: number;
  mergeValues: boolean;
  legend: Partial<VizLegendOptions>;
}

interface Bar {
  from: number;
  to: number;
  text: string;
  color: string;
}

const LEGEND_HEIGHT = 30;
const FONT_SIZE = 12;

export function Timeline({ frames, options: given, width, height, timeRange, theme }: PanelProps) {
  const options: TimelineOptions = { showValue: 'auto', rowHeight: 0.9, mergeValues: true, legend: {}, ...given };
  const rows = frames.flatMap((frame) =>
    frame.fields
      .filter((field) => field.type !== FieldType.time)
      .map((field) => ({ name: getFieldDisplayName(field, frame, frames), bars: barsOf(frame, field, options) })),
  );
  const hasLegend = options.legend.showLegend !== false && options.legend.displayMode !== LegendDisplayMode.Hidden;
  const below = AXIS_HEIGHT + (hasLegend ? LEGEND_HEIGHT : 0);
  const pitch = (height - below) / Math.max(rows.length, 1);
  const names = Math.max(0, ...rows.map(({ name }) => measureText(name, FONT_SIZE).width)) + 12;
  const scale: TimeScale = {
    from: timeRange.from.valueOf(),
    to: timeRange.to.valueOf(),
    left: names,
    width: width - names - 4,
  };
  const seen = new Map(rows.flatMap(({ bars }) => bars.map(({ text, color }) => [text, color] as const)));
  if (rows.length * FONT_SIZE > height - below) {
    throw new Error(`${rows.length} rows on ${height} pixels: their names lie upon each other`);
  }
  return (
    <div>
      <svg width={width} height={height - (hasLegend ? LEGEND_HEIGHT : 0)} style={{ display: 'block' }}>
        <TimeAxis scale={scale} y={pitch * rows.length} theme={theme} />
        {rows.map(({ name, bars }, row) => (
          <g key={`${name}-${row}`} fontSize={FONT_SIZE}>
            <text
              x={names - 8}
              y={pitch * (row + 0.5)}
              textAnchor="end"
              dominantBaseline="central"
              fill={theme.colors.text.primary}
            >
              {name}
            </text>
            {bars.map((bar) => (
              <BarShape key={bar.from} bar={bar} scale={scale} y={pitch * row} pitch={pitch} options={options} />
            ))}
          </g>
        ))}
      </svg>
      {hasLegend && (
        <VizLegend
          displayMode={LegendDisplayMode.List}
          placement="bottom"
          items={[...seen].map(([label, color]) => ({ label, color, yAxis: 1 }))}
        />
      )}
    </div>
  );
}

function BarShape(props: { bar: Bar; scale: TimeScale; y: number; pitch: number; options: TimelineOptions }) {
  const { bar, scale, y, pitch, options } = props;
  const left = Math.max(position(bar.from, scale), scale.left);
  const right = Math.min(position(bar.to, scale), scale.left + scale.width);
  const size = pitch * options.rowHeight;
  const fits = measureText(bar.text, FONT_SIZE).width + 8 < right - left && size > FONT_SIZE;
  return right <= left ? null : (
    <g>
      <rect
        x={left}
        y={y + (pitch - size) / 2}
        width={Math.max(right - left, 1)}
        height={size}
        fill={bar.color}
        fillOpacity={0.85}
      />
      {options.showValue !== 'never' && (fits || options.showValue === 'always') && (
        <text x={left + 4} y={y + pitch / 2} dominantBaseline="central" fill="#111">
          {bar.text}
        </text>
      )}
    </g>
  );
}

/** Equal neighbours are one bar. It ends at the next sample, and is cut where samples are missing. */
function barsOf(frame: DataFrame, field: Field, options: TimelineOptions): Bar[] {
  const times = frame.fields.find(({ type }) => type === FieldType.time)?.values ?? [];
  const step = Number(frame.fields.find(({ type }) => type === FieldType.time)?.config.interval ?? 0);
  const bars: Bar[] = [];
  field.values.forEach((value: number | null, at: number) => {
    const from: number = times[at];
    if (value === null || value === undefined || !field.display) {
      return;
    }
    const next: number | undefined = times[at + 1];
    const to = next !== undefined && next - from <= 1.5 * step ? next : from + step;
    const shown = field.display(value);
    const text = formattedValueToString(shown);
    const before = bars.at(-1);
    if (options.mergeValues && before && before.text === text && before.to === from) {
      before.to = to;
    } else {
      bars.push({ from, to, text, color: shown.color ?? '#888' });
    }
  });
  return bars;
}
