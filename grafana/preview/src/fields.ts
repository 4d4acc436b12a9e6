/** Field configuration: what a panel says of units, colours and names, put on its frames. */
import {
  applyFieldOverrides,
  DataFrame,
  displayNameOverrideProcessor,
  FieldColorModeId,
  FieldConfigOptionsRegistry,
  FieldConfigPropertyItem,
  FieldConfigSource,
  GrafanaTheme2,
  identityOverrideProcessor,
  InterpolateFunction,
  standardTransformers,
  standardTransformersRegistry,
  ThresholdsConfig,
  ThresholdsMode,
  transformDataFrame,
} from '@grafana/data';
import { lastValueFrom } from 'rxjs';
import type { Panel } from './model';

standardTransformersRegistry.setInit(() => {
  // Some are listed twice, under an older name as well.
  const byId = new Map(Object.values(standardTransformers).map((one) => [one.id, one]));
  return [...byId.values()].map((transformation) => ({
    id: transformation.id,
    name: transformation.name,
    transformation,
    editor: () => null,
  }));
});

const STANDARD = [
  'unit',
  'min',
  'max',
  'decimals',
  'displayName',
  'color',
  'thresholds',
  'mappings',
  'links',
  'noValue',
  'filterable',
  'description',
  'fieldMinMax',
];

/** What Grafana's panels assume where the JSON is silent. */
const CUSTOM: Record<string, Record<string, unknown>> = {
  timeseries: {
    drawStyle: 'line',
    lineInterpolation: 'linear',
    lineWidth: 1,
    fillOpacity: 0,
    gradientMode: 'none',
    barAlignment: 0,
    pointSize: 5,
    showPoints: 'auto',
    spanNulls: false,
    insertNulls: false,
    stacking: { mode: 'none', group: 'A' },
    axisPlacement: 'auto',
    axisColorMode: 'text',
    axisLabel: '',
    axisGridShow: true,
    axisCenteredZero: false,
    axisBorderShow: false,
    scaleDistribution: { type: 'linear' },
    thresholdsStyle: { mode: 'off' },
    hideFrom: { legend: false, tooltip: false, viz: false },
  },
  table: { align: 'auto', cellOptions: { type: 'auto' }, inspect: false },
  'state-timeline': { lineWidth: 0, fillOpacity: 70 },
};

const COLOR: Record<string, FieldColorModeId> = {
  timeseries: FieldColorModeId.PaletteClassic,
};

export async function transformed(
  panel: Panel,
  frames: DataFrame[],
  replace: InterpolateFunction,
): Promise<DataFrame[]> {
  const known = panel.transformations ?? [];
  for (const { id } of known) {
    if (!standardTransformersRegistry.getIfExists(id)) {
      throw new Error(`transformation ${id} is unknown here`);
    }
  }
  return lastValueFrom(transformDataFrame(known, frames, { interpolate: (text: string) => replace(text) }));
}

export function configured(
  panel: Panel,
  frames: DataFrame[],
  theme: GrafanaTheme2,
  replaceVariables: InterpolateFunction,
): DataFrame[] {
  const fieldConfig = configOf(panel);
  return applyFieldOverrides({
    data: frames,
    fieldConfig,
    theme,
    replaceVariables,
    timeZone: 'utc',
    fieldConfigRegistry: registryOf(fieldConfig),
  });
}

export function configOf(panel: Panel): FieldConfigSource {
  const { defaults = {}, overrides = [] } = panel.fieldConfig ?? {};
  return {
    defaults: {
      ...defaults,
      color: defaults.color ?? { mode: COLOR[panel.type] ?? FieldColorModeId.Thresholds },
      thresholds: grounded(defaults.thresholds),
      custom: { ...CUSTOM[panel.type], ...defaults.custom },
    },
    overrides: overrides.map((rule) => ({
      ...rule,
      properties: rule.properties.map((one) =>
        one.id === 'thresholds' ? { ...one, value: grounded(one.value) } : one,
      ),
    })),
  };
}

/** JSON has no -Infinity, so the lowest step is written as null. */
function grounded(thresholds: ThresholdsConfig | undefined): ThresholdsConfig {
  const { mode, steps } = thresholds ?? { mode: ThresholdsMode.Absolute, steps: [{ value: -Infinity, color: 'green' }] };
  return { mode, steps: steps.map((step) => ({ ...step, value: step.value ?? -Infinity })) };
}

/** Grafana's registry names every option with its editor. This one knows those the panel names. */
function registryOf({ defaults, overrides }: FieldConfigSource): FieldConfigOptionsRegistry {
  const named = overrides.flatMap((rule) => rule.properties.map(({ id }) => id));
  const custom = new Set([
    ...Object.keys(defaults.custom ?? {}),
    ...named.filter((id) => id.startsWith('custom.')).map((id) => id.slice('custom.'.length)),
  ]);
  const item = (id: string, path: string, isCustom: boolean): FieldConfigPropertyItem => ({
    id,
    path,
    name: id,
    isCustom,
    settings: { expandTemplateVars: true },
    editor: () => null,
    override: () => null,
    process: id === 'displayName' ? displayNameOverrideProcessor : identityOverrideProcessor,
    shouldApply: () => true,
  });
  for (const id of named) {
    if (!id.startsWith('custom.') && !STANDARD.includes(id)) {
      throw new Error(`override of ${id} is unknown here`);
    }
  }
  return new FieldConfigOptionsRegistry(() => [
    ...STANDARD.map((id) => item(id, id, false)),
    ...[...custom].map((path) => item(`custom.${path}`, path, true)),
  ]);
}
