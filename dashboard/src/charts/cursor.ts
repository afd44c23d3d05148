// What is read under the cursor: when that was, and each line's value then. Past React: the cursor moves faster.

import type uPlot from "uplot";

import { byUnit } from "../format/numbers.ts";
import { dateAndTime, minute } from "../format/times.ts";
import type { ChartData } from "./Chart.tsx";

/** Over longer ranges seconds say nothing. */
const SECONDS_MS = 6 * 3_600_000;

interface Shown {
  data: ChartData;
  from: number;
  to: number;
  unit: string;
}

/** When and at which point of the data the cursor is; there is no point where nothing was measured. */
export function placeOf(t: readonly number[], gap: number, at: number, nearest: number | null): { at: number; index: number | null } {
  const point = nearest === null ? undefined : t[nearest];
  return point === undefined || Math.abs(point - at) > gap ? { at, index: null } : { at: point, index: nearest };
}

/** The values under the cursor, else the newest ones. */
export function showValues(chart: uPlot, shown: Shown, legend: HTMLElement | null, clock: HTMLElement): void {
  const { data, unit } = shown;
  const left = chart.cursor.left ?? -1;
  const place = left < 0 ? null : placeOf(data.t, data.gap, chart.posToVal(left, "x"), chart.cursor.idx ?? null);
  for (const element of legend?.querySelectorAll<HTMLElement>("[data-line]") ?? []) {
    const line = data.lines[Number(element.dataset.line)];
    const values = line?.shown ?? line?.values ?? [];
    const value = place ? values[place.index ?? -1] : newest(data.t, values, line?.faint ? shown.to : Infinity);
    element.textContent = value === null || value === undefined ? "–" : byUnit(unit, Math.abs(value));
  }
  clock.hidden = !place;
  if (!place) return;
  clock.textContent = (shown.to - shown.from > SECONDS_MS ? minute : dateAndTime)(place.at);
  const half = clock.offsetWidth / 2;
  clock.style.left = `${Math.min(Math.max(left, half), chart.over.clientWidth - half)}px`;
}

/** The past that is compared with goes on after now. */
export function newest(t: readonly number[], values: readonly (number | null)[], until: number): number | null {
  return values.findLast((value, index) => value !== null && (t[index] as number) <= until) ?? null;
}
