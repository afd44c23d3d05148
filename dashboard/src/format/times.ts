// Times in the chosen zone.

import { getPreferences, languageOf } from "../state/preferences.ts";

/** IANA name of the zone in which times are shown. */
export function zone(): string {
  return getPreferences().zone || Intl.DateTimeFormat().resolvedOptions().timeZone;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const language = languageOf(getPreferences().language);
  const key = JSON.stringify([language, zone(), options]);
  const found = formats.get(key) ?? new Intl.DateTimeFormat(language === "ko" ? "ko" : "en-GB", { timeZone: zone(), hourCycle: "h23", ...options });
  formats.set(key, found);
  return found;
}

type At = number | string | null | undefined;

function shown(at: At, options: Intl.DateTimeFormatOptions): string {
  return at === null || at === undefined ? "–" : format(options).format(new Date(at));
}

const yearOf = (at: number | string) => shown(at, { year: "numeric" });

/** With the year where it is another one than this. */
function near(at: At, options: Intl.DateTimeFormatOptions): string {
  const isOther = at !== null && at !== undefined && yearOf(at) !== yearOf(Date.now());
  return shown(at, isOther ? { year: "numeric", ...options } : options);
}

export const dateAndTime = (at: At) =>
  near(at, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit" });
export const minute = (at: At) => near(at, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
/** The time of the day alone. */
export const hour = (at: At) => shown(at, { hour: "2-digit", minute: "2-digit" });
export const day = (at: At) => shown(at, { year: "numeric", month: "short", day: "numeric" });

/** A day of a calendar, `2026-11-21`, as people write it; it is the same in every zone. */
export function calendarDay(day: string, width: "long" | "short" = "long"): string {
  const options: Intl.DateTimeFormatOptions = { month: "short", day: "numeric", ...(width === "long" && { weekday: "short", year: "numeric" }) };
  return new Intl.DateTimeFormat(languageOf(getPreferences().language) === "ko" ? "ko" : "en-GB", { ...options, timeZone: "UTC" }).format(new Date(`${day}T00:00:00Z`));
}

/** `2026-11-21` in the zone, as a date field wants it. */
export function isoDay(at: number): string {
  const parts = new Intl.DateTimeFormat("sv", { timeZone: zone() }).format(new Date(at));
  return parts.slice(0, 10);
}
