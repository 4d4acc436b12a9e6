/** Which component draws a panel of which type. */
import type { ComponentType } from 'react';
import { Graph } from './graph';
import { Heatmap } from './heatmap';
import type { PanelProps } from './props';
import { Rows } from './table';
import { Timeline } from './timeline';
import { Bars, Stat } from './values';

export const KINDS = new Map<string, ComponentType<PanelProps>>([
  ['stat', Stat],
  ['bargauge', Bars],
  ['timeseries', Graph],
  ['table', Rows],
  ['state-timeline', Timeline],
  ['heatmap', Heatmap],
]);
