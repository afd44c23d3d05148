// Where a chart's axes end, and what is written at them. Pure.

import { zone } from "../format/times.ts";
import type { Rule } from "./Chart.tsx";
import { ceiling, isNear } from "./columns.ts";

interface Wish {
  unit: string;
  top?: number | undefined;
  limit?: number | undefined;
  rules?: readonly Rule[];
}

/** What is drawn below the axis has its own height there. */
export function heights(wish: Wish, least: number | null, greatest: number | null): [number, number] {
  const reach = (value: number, isBelow: boolean) => {
    // a threshold that is not far away is worth its place
    for (const rule of wish.rules ?? []) if ((rule.isBelow ?? false) === isBelow && rule.value > value && isNear(rule.value, value)) value = rule.value * 1.02;
    return value > 0 ? ceiling(value, isBinary(wish)) : 0;
  };
  const bottom = reach(Math.max(0, -(least ?? 0)), true);
  const top = reach(Math.max(0, greatest ?? 0, wish.top ?? 0), false) || (bottom > 0 ? 0 : 1);
  return [bottom > 0 ? -bottom : 0, Math.min(top, wish.limit ?? Infinity)];
}

/** Steps of an axis of bytes. */
export const BINARY = Array.from({ length: 50 }, (_, power) => 2 ** power);
export const isBinary = ({ unit }: { unit: string }) => unit.startsWith("By");

const DAY_MS = 86_400_000;

export function timeLabels(splits: number[]): string[] {
  const step = (splits[1] ?? 0) - (splits[0] ?? 0);
  const language = document.documentElement.lang === "ko" ? "ko" : "en-GB";
  const timeZone = zone();
  const clock: Intl.DateTimeFormatOptions = { timeZone, hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(step < 60_000 && { second: "2-digit" }) };
  const date: Intl.DateTimeFormatOptions = { timeZone, day: "numeric", month: "short" };
  const times = new Intl.DateTimeFormat(language, step >= DAY_MS ? date : clock);
  const dates = new Intl.DateTimeFormat(language, date);
  let before = "";
  return splits.map((at) => {
    const day = dates.format(at);
    // a day is named where it begins
    const isNew = step < DAY_MS && before !== "" && day !== before;
    before = day;
    return isNew ? day : times.format(at);
  });
}
