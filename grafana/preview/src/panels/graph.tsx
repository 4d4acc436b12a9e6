/** Time series, drawn by Grafana's TimeSeries (uPlot), with annotations as it marks them. */
import { useLayoutEffect } from 'react';
import { DataFrame, FieldType } from '@grafana/data';
import { LegendDisplayMode, VizLegendOptions } from '@grafana/schema';
import { TimeSeries, UPlotConfigBuilder } from '@grafana/ui';
import type { Mark, PanelProps } from './props';

const LEGEND: VizLegendOptions = {
  calcs: [],
  displayMode: LegendDisplayMode.List,
  placement: 'bottom',
  showLegend: true,
};

export function Graph({ frames, options, width, height, timeRange, marks }: PanelProps) {
  const drawn = frames.filter((frame) => frame.fields.some((field) => field.type === FieldType.number)).map(withGaps);
  return (
    <TimeSeries
      frames={drawn}
      structureRev={1}
      width={width}
      height={height}
      timeRange={timeRange}
      timeZone="utc"
      legend={{ ...LEGEND, ...(options.legend as Partial<VizLegendOptions> | undefined) }}
      options={options}
    >
      {(builder: UPlotConfigBuilder) => <Marks builder={builder} marks={marks} />}
    </TimeSeries>
  );
}

/**
 * Nulls where samples are missing or no number (a quantile of nothing), so that no line is drawn
 * there. Grafana's panel does the same to each series before it hands them to the widget.
 */
function withGaps(frame: DataFrame): DataFrame {
  const times: number[] = frame.fields[0]?.values ?? [];
  const step = frame.fields[0]?.config.interval ?? 0;
  // Each sample by its index, and a null after it if the next one is missing.
  const rows = times.flatMap((time, at) => {
    const next = times[at + 1];
    return next !== undefined && step > 0 && next - time > 1.5 * step ? [at, null] : [at];
  });
  const fields = frame.fields.map((field, column) => ({
    ...field,
    values: rows.map((at, row) => {
      const value = at === null ? null : field.values[at];
      if (column === 0) {
        return value ?? (times[rows[row - 1] ?? 0] ?? 0) + step;
      }
      return Number.isFinite(value) ? value : null;
    }),
  }));
  return { ...frame, length: rows.length, fields };
}

/** A dashed line and a triangle under it for each mark. Grafana's own plugin isn't published. */
function Marks({ builder, marks }: { builder: UPlotConfigBuilder; marks: Mark[] }) {
  // Before the plot is made, and so in a layout effect: the builder hands its hooks over once.
  useLayoutEffect(() => {
    builder.addHook('draw', (plot) => {
      const { left, top, width, height } = plot.bbox;
      const size = 5 * devicePixelRatio;
      const { ctx } = plot;
      ctx.save();
      for (const { time, color } of marks) {
        const x = Math.round(plot.valToPos(time, 'x', true));
        if (x < left || x > left + width) {
          continue;
        }
        ctx.strokeStyle = ctx.fillStyle = color;
        ctx.lineWidth = devicePixelRatio;
        ctx.setLineDash([4 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(x, top);
        ctx.lineTo(x, top + height);
        ctx.stroke();
        ctx.beginPath();
        ctx.moveTo(x, top + height);
        ctx.lineTo(x - size, top + height + size);
        ctx.lineTo(x + size, top + height + size);
        ctx.fill();
      }
      ctx.restore();
    });
  }, [builder, marks]);
  return null;
}
