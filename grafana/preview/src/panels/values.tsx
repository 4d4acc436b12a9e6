/** Stat and bar gauge: numbers reduced from series, drawn by Grafana's BigValue and BarGauge. */
import {
  FieldDisplay,
  getDisplayValueAlignmentFactors,
  getFieldDisplayValues,
  ReduceDataOptions,
  VizOrientation,
} from '@grafana/data';
import {
  BarGaugeDisplayMode,
  BarGaugeNamePlacement,
  BarGaugeValueMode,
  BigValueColorMode,
  BigValueGraphMode,
  BigValueJustifyMode,
  BigValueTextMode,
  VizTextDisplayOptions,
} from '@grafana/schema';
import { BarGauge, BigValue, VizRepeater } from '@grafana/ui';
import type { PanelProps } from './props';

interface Reduced {
  reduceOptions: ReduceDataOptions;
  orientation: VizOrientation;
  text?: VizTextDisplayOptions;
}

interface StatOptions extends Reduced {
  colorMode: BigValueColorMode;
  graphMode: BigValueGraphMode;
  justifyMode: BigValueJustifyMode;
  textMode: BigValueTextMode;
  wideLayout: boolean;
}

interface BarGaugeOptions extends Reduced {
  displayMode: BarGaugeDisplayMode;
  valueMode: BarGaugeValueMode;
  namePlacement: BarGaugeNamePlacement;
  showUnfilled: boolean;
  minVizHeight: number;
  minVizWidth: number;
  maxVizHeight: number;
}

const REDUCED: Reduced = {
  reduceOptions: { calcs: ['lastNotNull'], values: false },
  orientation: VizOrientation.Auto,
};

export function Stat(props: PanelProps) {
  const options: StatOptions = {
    ...REDUCED,
    colorMode: BigValueColorMode.Value,
    graphMode: BigValueGraphMode.Area,
    justifyMode: BigValueJustifyMode.Auto,
    textMode: BigValueTextMode.Auto,
    wideLayout: true,
    ...props.options,
  };
  return (
    <VizRepeater
      source={props.frames}
      getValues={() => reduced(props, options, options.graphMode !== BigValueGraphMode.None)}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, width, height, count }) => (
        <BigValue
          value={value.display}
          sparkline={value.sparkline}
          count={count}
          colorMode={options.colorMode}
          graphMode={options.graphMode}
          justifyMode={options.justifyMode}
          textMode={options.textMode}
          text={options.text}
          alignmentFactors={alignmentFactors}
          disableWideLayout={!options.wideLayout}
          width={width}
          height={height}
          theme={props.theme}
        />
      )}
      itemSpacing={3}
      renderCounter={0}
      autoGrid
      orientation={options.orientation}
      width={props.width}
      height={props.height}
    />
  );
}

export function Bars(props: PanelProps) {
  const options: BarGaugeOptions = {
    ...REDUCED,
    displayMode: BarGaugeDisplayMode.Gradient,
    valueMode: BarGaugeValueMode.Color,
    namePlacement: BarGaugeNamePlacement.Auto,
    showUnfilled: true,
    minVizHeight: 16,
    minVizWidth: 8,
    maxVizHeight: 300,
    ...props.options,
  };
  const values = reduced(props, options, false);
  return (
    <VizRepeater
      source={props.frames}
      getValues={() => values}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      renderValue={({ value, alignmentFactors, orientation, width, height }) => (
        <BarGauge
          value={value.display}
          field={value.field}
          display={value.view?.getFieldDisplayProcessor(value.colIndex ?? 0)}
          orientation={orientation}
          text={options.text}
          displayMode={options.displayMode}
          valueDisplayMode={options.valueMode}
          namePlacement={options.namePlacement}
          showUnfilled={options.showUnfilled}
          alignmentFactors={alignmentFactors}
          itemSpacing={10}
          lcdCellWidth={12}
          isOverflow={false}
          width={width}
          height={height}
          theme={props.theme}
        />
      )}
      itemSpacing={10}
      renderCounter={0}
      orientation={options.orientation}
      minVizHeight={options.minVizHeight}
      minVizWidth={options.minVizWidth}
      maxVizHeight={options.maxVizHeight}
      width={props.width}
      height={props.height}
    />
  );
}

function reduced(props: PanelProps, options: Reduced, sparkline: boolean): FieldDisplay[] {
  return getFieldDisplayValues({
    fieldConfig: props.fieldConfig,
    reduceOptions: { ...REDUCED.reduceOptions, ...options.reduceOptions },
    replaceVariables: props.replaceVariables,
    theme: props.theme,
    data: props.frames,
    sparkline,
    timeZone: 'utc',
  });
}
