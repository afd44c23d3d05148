// Series as columns for a chart: side by side over one time axis, with gaps, stacked, and going on with what comes live. Pure.

import type { Series } from "../api/client.ts";

export type Column = (number | null)[];

/** Columns over one rising time axis, Unix ms. */
export interface Table {
  t: number[];
  columns: { avg: Column; min: Column; max: Column }[];
}

/** A host is called down after so long, and at least after three intervals: a chart breaks its lines there. */
const SILENCE_MS = 10_000;

export function gapMs(resolutionMs: number, intervalMs: number): number {
  return Math.max(2.5 * resolutionMs, 3 * intervalMs, SILENCE_MS);
}

function times(series: readonly Series[]): number[] {
  const [first, ...others] = series;
  if (!first) return [];
  const isSame = (other: Series) => other.t.length === first.t.length && other.t[0] === first.t[0] && other.t.at(-1) === first.t.at(-1);
  if (others.every(isSame)) return first.t;
  return [...new Set(series.flatMap((one) => one.t))].sort((one, other) => one - other);
}

/**
 * Side by side. Where nothing was measured for longer than `gap`, a point without values breaks the lines; there and at both ends
 * the axis has `others`, rising times at which something else is drawn.
 */
export function table(series: readonly Series[], gap: number, others: readonly number[] = []): Table {
  const all = times(series);
  const t: number[] = [];
  const from: number[] = [];
  let other = 0;
  const fill = (after: number, until: number) => {
    for (; other < others.length && (others[other] as number) < until; other += 1) {
      if ((others[other] as number) <= after) continue;
      t.push(others[other] as number);
      from.push(-1);
    }
  };
  fill(-Infinity, all[0] ?? Infinity);
  for (const [index, at] of all.entries()) {
    const before = all[index - 1];
    if (before !== undefined && at - before > gap) {
      t.push(before + 1);
      from.push(-1);
      fill(before + 1, at);
    }
    t.push(at);
    from.push(index);
  }
  fill(all.at(-1) ?? Infinity, Infinity);
  const columns = series.map((one) => {
    const isWhole = one.t.length === all.length;
    const place = isWhole ? null : new Map(one.t.map((at, index) => [at, index]));
    const pick = (values: readonly number[]) =>
      from.map((index) => {
        if (index < 0) return null;
        const own = place ? place.get(all[index] as number) : index;
        return own === undefined ? null : (values[own] ?? null);
      });
    const avg = pick(one.avg);
    const isOne = one.min === one.avg || one.resolution_ms === 0;
    return { avg, min: isOne ? avg : pick(one.min), max: isOne ? avg : pick(one.max) };
  });
  return { t, columns };
}

/** What a series was at rising times that are not its own: between two points what lies between them, but nothing where it has a gap. */
export function sampled(series: Series, times: readonly number[], gap: number): Column {
  let next = 0;
  return times.map((at) => {
    while ((series.t[next] ?? Infinity) < at) next += 1;
    const [before, after] = [series.t[next - 1] ?? -Infinity, series.t[next] ?? Infinity];
    const [low, high] = [series.avg[next - 1] ?? null, series.avg[next] ?? null];
    if (after === at) return high;
    if (after - before <= gap && low !== null && high !== null) return low + ((high - low) * (at - before)) / (after - before);
    if (Math.min(at - before, after - at) > gap / 2) return null;
    return at - before <= after - at ? low : high;
  });
}

/** What is not much higher than the values is worth its place beside them: they stay readable. */
export function isNear(value: number, greatest: number): boolean {
  return value <= greatest * 2.5;
}

/** Each column on top of those before it; nothing stands on what is not there. */
export function stack(columns: readonly Column[]): Column[] {
  const sums: Column[] = [];
  for (const column of columns) {
    const below = sums.at(-1);
    sums.push(column.map((value, index) => (value === null ? null : value + (below?.[index] ?? 0))));
  }
  return sums;
}

/** A sample that came live: a new point, or one more value in the newest one. */
export function append(series: Series, at: number, value: number, intervalMs: number): void {
  const last = series.t.length - 1;
  const newest = series.t[last];
  const width = series.resolution_ms;
  if (newest !== undefined && at <= newest) return;
  if (width > intervalMs) {
    const start = Math.floor(at / width) * width;
    if (newest !== undefined && start <= newest) {
      const count = Math.floor((at - newest) / intervalMs) + 1;
      const mean = series.avg[last] ?? value;
      series.avg[last] = mean + (value - mean) / count;
      series.min[last] = Math.min(series.min[last] ?? value, value);
      series.max[last] = Math.max(series.max[last] ?? value, value);
      return;
    }
    at = start;
  }
  series.t.push(at);
  series.avg.push(value);
  if (series.min !== series.avg) series.min.push(value);
  if (series.max !== series.avg && series.max !== series.min) series.max.push(value);
}

/** Drops what is older, once that is much. */
export function trim(series: Series, from: number): void {
  const keep = series.t.findIndex((at) => at >= from);
  if (keep < 200) return;
  for (const column of new Set([series.t, series.min, series.avg, series.max])) column.splice(0, keep);
}

/** The axis' end for values up to `greatest`: the next number that reads well, in tens or in powers of two. */
export function ceiling(greatest: number, isBinary = false): number {
  if (!(greatest > 0)) return 1;
  if (isBinary) {
    const power = 2 ** Math.floor(Math.log2(greatest));
    return [1, 1.25, 1.5, 2].map((step) => step * power).find((end) => end >= greatest) ?? 2 * power;
  }
  const power = 10 ** Math.floor(Math.log10(greatest));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((end) => end >= greatest * 0.9999) ?? 10 * power;
}
