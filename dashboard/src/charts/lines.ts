// What a chart draws of some series. Pure.

import type { Series } from "../api/client.ts";
import type { ChartData, Line } from "./Chart.tsx";
import { gapMs, isNear, sampled, stack, table, type Column } from "./columns.ts";

export interface Wish {
  metrics: readonly string[];
  isStacked: boolean;
  below: readonly string[];
  /** What a line of this series is called. */
  label: (series: Series) => string;
  intervalMs: number;
  /** These are drawn only when the others come near them; the legend has them always. */
  whenNear?: readonly string[] | undefined;
  /** The past, how far it is moved to where it is compared, and what it is called. */
  past?: { series: readonly Series[]; shiftMs: number; label: string } | undefined;
}

/** More lines than these say nothing. */
export const LINES_MAX = 12;
/** Bands of least and greatest values beside more lines hide them. */
const BANDS_MAX = 3;

export function chartData(all: readonly Series[], wish: Wish): ChartData {
  const series = chosen(all, wish.metrics);
  // the present has its own times and keeps its lines whole, whatever resolution the past has
  const past = wish.past && moved(wish.past.series[0], wish.past.shiftMs);
  const width = Math.max(0, ...series.map((one) => one.resolution_ms));
  const gap = gapMs(width, wish.intervalMs);
  const { t, columns: own } = table(series, gap, past?.t);
  const colors = colorsOf(series);
  const none: Column = t.map(() => null);
  const greatest = Math.max(...series.flatMap((one) => (wish.whenNear?.includes(one.metric) ? [] : one.max)));
  const stacked = wish.isStacked ? stack(own.map((column) => column.avg)) : null;
  const hasBands = !wish.isStacked && series.length <= BANDS_MAX && width > 1.5 * wish.intervalMs;
  const lines = series.map((one, index): Line => {
    const column = own[index] as (typeof own)[number];
    const isBelow = wish.below.includes(one.metric);
    const isFar = wish.whenNear?.includes(one.metric) && !isNear(Math.max(...one.avg), greatest);
    const side = (values: Column) => (isFar ? none : isBelow ? values.map((value) => (value === null ? null : -value)) : values);
    const bounds = hasBands ? { min: side(isBelow ? column.max : column.min), max: side(isBelow ? column.min : column.max) } : {};
    return {
      label: wish.label(one),
      color: colors[index] ?? 0,
      values: stacked?.[index] ?? side(column.avg),
      filled: wish.isStacked || series.length === 1,
      ...bounds,
      ...((stacked || isFar) && { shown: column.avg }),
    };
  });
  // what is on top of a stack is drawn last, and the past is one more line
  const before: Line[] = wish.past ? [{ label: wish.past.label, color: 0, values: past ? sampled(past, t, gapMs(Math.max(width, past.resolution_ms), wish.intervalMs)) : none, faint: true }] : [];
  return { t, lines: [...lines, ...before], isStacked: wish.isStacked, gap };
}

function moved(series: Series | undefined, shiftMs: number): Series | undefined {
  return series && { ...series, t: series.t.map((at) => at + shiftMs) };
}

/** By metric in the order of the wish, then by device; of too many those with the greatest values. */
function chosen(all: readonly Series[], metrics: readonly string[]): Series[] {
  const wanted = all.filter((one) => metrics.includes(one.metric));
  const order = (one: Series) => metrics.indexOf(one.metric);
  const compare = (one: Series, other: Series) => order(one) - order(other) || (one.device ?? "").localeCompare(other.device ?? "");
  if (wanted.length <= LINES_MAX) return wanted.sort(compare);
  const mean = (one: Series) => one.avg.reduce((sum, value) => sum + value, 0) / Math.max(1, one.avg.length);
  const greatest = wanted.map((one) => ({ one, mean: mean(one) })).sort((one, other) => other.mean - one.mean);
  return greatest.slice(0, LINES_MAX).map(({ one }) => one).sort(compare);
}

/** A device has one colour in all its metrics; without devices each metric has its own. */
function colorsOf(series: readonly Series[]): number[] {
  const devices = [...new Set(series.map((one) => one.device ?? ""))];
  const metrics = [...new Set(series.map((one) => one.metric))];
  const hasDevices = devices.length > 1;
  return series.map((one) => (hasDevices ? devices.indexOf(one.device ?? "") : metrics.indexOf(one.metric)));
}
