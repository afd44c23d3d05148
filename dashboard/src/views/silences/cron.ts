// Days of the week and a time of the day as five fields of cron, and back. Pure.

/** Sunday is 0, as in cron. */
const NAMES = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const ALL = [0, 1, 2, 3, 4, 5, 6];

export interface Weekly {
  days: number[];
  /** `02:30`. */
  time: string;
}

export function cronOf(days: readonly number[], time: string): string {
  const [hour, minute] = time.split(":").map(Number);
  const chosen = ALL.filter((day) => days.includes(day));
  return `${minute ?? 0} ${hour ?? 0} * * ${chosen.length === 7 ? "*" : chosen.map((day) => NAMES[day]).join(",")}`;
}

/** `null` of what says more than days of the week and one time. */
export function readCron(text: string): Weekly | null {
  const [minute = "", hour = "", date, month, week = "", ...more] = text.trim().split(/\s+/);
  if (date !== "*" || month !== "*" || more.length > 0 || !isWithin(minute, 59) || !isWithin(hour, 23)) return null;
  const days = readDays(week);
  return days && { days, time: `${hour.padStart(2, "0")}:${minute.padStart(2, "0")}` };
}

const isWithin = (text: string, most: number) => /^\d{1,2}$/.test(text) && Number(text) <= most;

function readDays(text: string): number[] | null {
  if (text === "*") return ALL;
  const found = new Set<number>();
  for (const part of text.toUpperCase().split(",")) {
    const [first = -1, last = first, ...more] = part.split("-").map((name) => (/^[0-7]$/.test(name) ? Number(name) : NAMES.indexOf(name)));
    if (first < 0 || last < first || more.length > 0) return null;
    // Sunday is 7, too
    for (let day = first; day <= last; day++) found.add(day % 7);
  }
  return [...found].sort((one, other) => one - other);
}
