/** Tables, drawn by Grafana's Table. */
import { getFieldDisplayName } from '@grafana/data';
import { TableCellHeight, TableSortByFieldState } from '@grafana/schema';
import { Table } from '@grafana/ui';
import type { PanelProps } from './props';

interface TableOptions {
  showHeader: boolean;
  cellHeight: TableCellHeight;
  sortBy: TableSortByFieldState[];
  frameIndex: number;
}

export function Rows({ frames, options: given, fieldConfig, width, height, timeRange, replaceVariables }: PanelProps) {
  const options: TableOptions = {
    showHeader: true,
    cellHeight: TableCellHeight.Sm,
    sortBy: [],
    frameIndex: 0,
    ...given,
  };
  if (frames.length > 1) {
    // Grafana shows one of them and hides the others behind a menu: a transformation was forgotten.
    throw new Error(`the table has ${frames.length} frames, of which only one would be seen`);
  }
  const frame = frames[options.frameIndex];
  if (!frame) {
    return null;
  }
  const names = frame.fields.map((field) => getFieldDisplayName(field, frame, frames));
  for (const { displayName } of options.sortBy) {
    if (!names.includes(displayName)) {
      throw new Error(`sorted by ${displayName}, which is none of ${names.join(', ')}`);
    }
  }
  return (
    <Table
      data={frame}
      width={width}
      height={height}
      noHeader={!options.showHeader}
      showTypeIcons={false}
      resizable
      initialSortBy={options.sortBy}
      cellHeight={options.cellHeight}
      fieldConfig={fieldConfig}
      timeRange={timeRange}
      replaceVariables={replaceVariables}
    />
  );
}
