// Which stretch of time the history of violations is of: one that ends now, days of a calendar (both ends within), or between two moments. Pure.

import { RANGES, type RangeName } from "../range.ts";

export type Period = { type: "quick"; name: RangeName; ms: number } | { type: "days"; from: string; to: string } | { type: "moments"; from: number; to: number };

export const DEFAULT: RangeName = "7d";
/** Days that the backend counts at once. */
export const DAYS_MAX = 400;
/** So many days are drawn at least: one bar alone says nothing. */
export const DAYS_SHOWN = 30;
const DAY_MS = 86_400_000;

/** A day that is in the calendar. */
export function isDay(text: string | null): text is string {
  if (text === null || !/^\d{4}-\d{2}-\d{2}$/.test(text)) return false;
  const at = Date.parse(`${text}T00:00:00Z`);
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(text);
}

export function addDays(day: string, days: number): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + days * DAY_MS).toISOString().slice(0, 10);
}

/** Days from the one to the other, both included. */
export function daysFrom(from: string, to: string): number {
  return Math.round((Date.parse(`${to}T00:00:00Z`) - Date.parse(`${from}T00:00:00Z`)) / DAY_MS) + 1;
}

/** What the query says, `null` where it speaks of now; nonsense is the default. */
export function periodOf(query: URLSearchParams): Period | null {
  const [from, to, range] = [query.get("from"), query.get("to"), query.get("range")];
  if (from === null && to === null && range === null) return null;
  if (isDay(from) && isDay(to) && from <= to) return { type: "days", from, to };
  const [start, end] = [Date.parse(from ?? ""), Date.parse(to ?? "")];
  if (!isDay(from) && !isDay(to) && start < end) return { type: "moments", from: start, to: end };
  const name = (Object.keys(RANGES) as RangeName[]).find((other) => other === range) ?? DEFAULT;
  return { type: "quick", name, ms: RANGES[name] };
}

/** As the API is asked: its range ends before `to`, and a stretch that ends now has no end, since hosts' clocks may be ahead. */
export function asked(period: Period, now: number, tz: string): { from: string; to?: string; tz: string } {
  const iso = (at: number) => new Date(at).toISOString();
  switch (period.type) {
    case "quick":
      return { from: iso(now - period.ms), tz };
    case "days":
      return { from: period.from, to: addDays(period.to, 1), tz };
    case "moments":
      return { from: iso(period.from), to: iso(period.to), tz };
  }
}

export interface Days {
  from: string;
  to: string;
}

/** The days of a period, by what day a moment is of. */
export function daysOf(period: Period, now: number, day: (at: number) => string): Days {
  if (period.type === "days") return period;
  const [from, to] = period.type === "quick" ? [now - period.ms, now] : [period.from, period.to - 1];
  return { from: day(from), to: day(to) };
}

/** The days whose bars are drawn: those of the period, and so many around it that there is something to compare with; none of the future. */
export function daysShown(days: Days, today: string): Days {
  const length = daysFrom(days.from, days.to);
  if (length >= DAYS_MAX) return { from: addDays(days.to, 1 - DAYS_MAX), to: days.to };
  const more = Math.max(0, DAYS_SHOWN - length);
  const behind = Math.min(Math.floor(more / 2), Math.max(0, daysFrom(days.to, today) - 1));
  const to = addDays(days.to, behind);
  return { from: addDays(to, 1 - length - more), to };
}

/** Whether the bars that are drawn are still good for a period: a day that is chosen among them moves none. */
export function covers(shown: Days, period: Period, days: Days, today: string): boolean {
  const wanted = daysShown(days, today);
  if (shown.from === wanted.from && shown.to === wanted.to) return true;
  return period.type !== "quick" && shown.from <= days.from && days.to <= shown.to;
}
