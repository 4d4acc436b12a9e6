/** The time axis of the two stand-ins, ticking where uPlot would. */
import type { GrafanaTheme2 } from '@grafana/data';

const STEPS = [10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];

/** Of "22:55:30"; what would reach out at the end is left away. */
const LABEL_WIDTH = 54;

export const AXIS_HEIGHT = 22;

export interface TimeScale {
  from: number;
  to: number;
  left: number;
  width: number;
}

export function position(time: number, { from, to, left, width }: TimeScale): number {
  return left + ((time - from) / (to - from)) * width;
}

export function TimeAxis({ scale, y, theme }: { scale: TimeScale; y: number; theme: GrafanaTheme2 }) {
  const seconds = (scale.to - scale.from) / 1000;
  const step = STEPS.find((one) => seconds / one <= scale.width / 90) ?? 86400;
  const first = Math.ceil(scale.from / 1000 / step) * step;
  const ticks = Array.from({ length: Math.floor((scale.to / 1000 - first) / step) + 1 }, (_, at) => first + at * step);
  return (
    <g fill={theme.colors.text.primary} fontSize={12}>
      {ticks.map((tick) => {
        const x = position(tick * 1000, scale);
        return (
          <g key={tick}>
            <line x1={x} x2={x} y1={0} y2={y} stroke={theme.colors.border.weak} />
            {x + LABEL_WIDTH / 2 < scale.left + scale.width && (
              <text x={x} y={y + 16} textAnchor="middle">
                {new Date(tick * 1000).toISOString().slice(11, step % 60 ? 19 : 16)}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}
