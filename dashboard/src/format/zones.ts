// Clocks on walls: what a field for date and time holds, and the instant that is. Pure.

const formats = new Map<string, Intl.DateTimeFormat>();

/** What a clock in the zone shows, as `datetime-local` fields hold it: `2026-11-21T09:30`. */
export function wallTime(at: number, zone: string): string {
  const made = formats.get(zone) ?? new Intl.DateTimeFormat("sv", { timeZone: zone, dateStyle: "short", timeStyle: "medium" });
  formats.set(zone, made);
  return made.format(at).replace(" ", "T").slice(0, 16);
}

/**
 * The instant at which that clock shows the time; `null` of what is no time. Where clocks are moved, a time that comes twice is the first of
 * both, and one that is skipped is as much later as the clock was moved.
 */
export function instantOf(wall: string, zone: string): number | null {
  const asUtc = Date.parse(`${wall}Z`);
  if (Number.isNaN(asUtc)) return null;
  const ahead = (at: number) => Date.parse(`${wallTime(at, zone)}Z`) - Math.floor(at / 60_000) * 60_000;
  // zones change once in a day at most, so that the offsets a day before and after are all that can be
  const before = asUtc - ahead(asUtc - 86_400_000);
  const after = asUtc - ahead(asUtc + 86_400_000);
  const found = [before, after].filter((at) => wallTime(at, zone) === wallTime(asUtc, "UTC"));
  return found.length > 0 ? Math.min(...found) : before;
}
