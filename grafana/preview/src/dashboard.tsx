/** The page: a plain header, the variables, and the panels where gridPos puts them. */
import { Component, ReactNode } from 'react';
import { css } from '@emotion/css';
import { GrafanaTheme2 } from '@grafana/data';
import { Icon, PanelChrome } from '@grafana/ui';
import { configOf } from './fields';
import { Drawable, GRID, isEmpty, Loaded, placeOf } from './load';
import type { Dashboard } from './model';
import { KINDS } from './panels/kinds';

export const LABEL = "Preview rendered with Grafana's component library";

interface PageProps {
  loaded: Loaded;
  /** For the links by tag. */
  others: Dashboard[];
  width: number;
  theme: GrafanaTheme2;
  onError: (panel: string, error: unknown) => void;
}

export function Page({ loaded, others, width, theme, onError }: PageProps) {
  const styles = stylesOf(theme);
  const bottom = Math.max(0, ...loaded.panels.map(({ panel: { gridPos } }) => gridPos.y + gridPos.h));
  return (
    <div className={styles.page} style={{ width }}>
      <Header loaded={loaded} others={others} theme={theme} />
      <div className={styles.grid} style={{ height: bottom * (GRID.row + GRID.gap) }}>
        {loaded.panels.map((drawable) => {
          const { panel } = drawable;
          const place = placeOf(panel.gridPos, width);
          return (
            <div key={panel.id} className={styles.item} style={place} data-panel={`${panel.id} ${panel.title}`}>
              {panel.type === 'row' ? (
                <div className={styles.row}>
                  <Icon name="angle-down" /> {panel.title}
                </div>
              ) : (
                <PanelFrame drawable={drawable} loaded={loaded} place={place} theme={theme} onError={onError} />
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Header({ loaded, others, theme }: Pick<PageProps, 'loaded' | 'others' | 'theme'>) {
  const styles = stylesOf(theme);
  const { dashboard, values, timeRange } = loaded;
  const tags = (dashboard.links ?? []).filter(({ type }) => type === 'dashboards').flatMap((link) => link.tags ?? []);
  const linked = others.filter(({ tags: own = [] }) => own.some((tag) => tags.includes(tag)));
  return (
    <header>
      <div className={styles.line}>
        <span className={styles.title}>{dashboard.title}</span>
        <span className={styles.note}>{LABEL}</span>
        <span className={styles.spacer} />
        <span className={styles.button}>
          <Icon name="clock-nine" /> {timeRange.from.utc().format('YYYY-MM-DD HH:mm:ss')} to{' '}
          {timeRange.to.utc().format('HH:mm:ss')} UTC
        </span>
      </div>
      <div className={styles.line}>
        {[...values.values()]
          .filter(({ variable }) => variable.hide !== 2)
          .map(({ variable, value, isAll }) => (
            <span key={variable.name} className={styles.variable}>
              <span className={styles.label}>{variable.label || variable.name}</span>
              <span className={styles.value}>
                {isAll ? 'All' : Array.isArray(value) ? value.join(' + ') : value} <Icon name="angle-down" />
              </span>
            </span>
          ))}
        <span className={styles.spacer} />
        {linked.map(({ uid, title }) => (
          <span key={uid} className={styles.button}>
            <Icon name="apps" /> {title}
          </span>
        ))}
      </div>
    </header>
  );
}

interface FrameProps extends Pick<PageProps, 'loaded' | 'theme' | 'onError'> {
  drawable: Drawable;
  place: { width: number; height: number };
}

function PanelFrame({ drawable, loaded, place, theme, onError }: FrameProps) {
  const { panel, frames, error, replace } = drawable;
  const Kind = KINDS.get(panel.type);
  const text = error ?? (isEmpty(frames) ? emptyText(drawable) : undefined);
  return (
    <PanelChrome
      title={replace(panel.title)}
      description={panel.description}
      displayMode={panel.transparent ? 'transparent' : 'default'}
      width={place.width}
      height={place.height}
    >
      {(width, height) =>
        text !== undefined || !Kind ? (
          <div className={stylesOf(theme).empty} style={{ width, height }}>
            {text}
          </div>
        ) : (
          <Guard onError={(reason) => onError(`${panel.id} ${panel.title}`, reason)}>
            <Kind
              frames={frames}
              fieldConfig={configOf(panel)}
              options={panel.options ?? {}}
              width={width}
              height={height}
              timeRange={loaded.timeRange}
              theme={theme}
              replaceVariables={replace}
              marks={loaded.marks}
            />
          </Guard>
        )
      }
    </PanelChrome>
  );
}

/** One panel that fails must not take the page with it. */
class Guard extends Component<{ children: ReactNode; onError: (error: unknown) => void }, { error?: unknown }> {
  override state: { error?: unknown } = {};

  static getDerivedStateFromError(error: unknown) {
    return { error };
  }

  override componentDidCatch(error: unknown) {
    this.props.onError(error);
  }

  override render() {
    return this.state.error ? String(this.state.error) : this.props.children;
  }
}

function emptyText({ panel }: Drawable): string {
  return panel.fieldConfig?.defaults.noValue ?? 'No data';
}

function stylesOf(theme: GrafanaTheme2) {
  const box = css({
    display: 'inline-flex',
    alignItems: 'center',
    gap: 6,
    height: 32,
    padding: '0 10px',
    border: `1px solid ${theme.colors.border.medium}`,
    borderRadius: theme.shape.radius.default,
    background: theme.colors.background.primary,
    whiteSpace: 'nowrap',
  });
  return {
    page: css({ padding: `0 ${GRID.side}px ${GRID.gap}px`, background: theme.colors.background.canvas }),
    grid: css({ position: 'relative' }),
    item: css({ position: 'absolute' }),
    row: css({ ...theme.typography.h5, display: 'flex', alignItems: 'center', gap: 6, height: GRID.row }),
    line: css({ display: 'flex', alignItems: 'center', gap: 8, height: 48 }),
    spacer: css({ flex: 1 }),
    title: css({ ...theme.typography.h3, margin: 0, whiteSpace: 'nowrap' }),
    note: css({
      marginLeft: 12,
      padding: '2px 10px',
      borderRadius: 12,
      color: theme.colors.text.secondary,
      border: `1px solid ${theme.colors.border.weak}`,
      fontSize: 12,
    }),
    button: box,
    variable: css({ display: 'inline-flex' }),
    label: css({
      display: 'inline-flex',
      alignItems: 'center',
      height: 32,
      padding: '0 8px',
      fontSize: 12,
      fontWeight: 500,
      border: `1px solid ${theme.colors.border.weak}`,
      background: theme.colors.background.secondary,
    }),
    value: box,
    empty: css({
      display: 'flex',
      alignItems: 'center',
      justifyContent: 'center',
      color: theme.colors.text.secondary,
      fontSize: 16,
      textAlign: 'center',
      overflow: 'hidden',
    }),
  };
}
