// Which stretch of time a view shows: one that ends now and moves on, or a fixed one. Pure.

export const RANGES = { "15m": 900_000, "1h": 3_600_000, "6h": 21_600_000, "24h": 86_400_000, "7d": 604_800_000, "30d": 2_592_000_000, "90d": 7_776_000_000, "400d": 34_560_000_000 } as const;
export type RangeName = keyof typeof RANGES;
export const DEFAULT: RangeName = "1h";

export const COMPARE = { "1d": 86_400_000, "7d": 604_800_000 } as const;
export type CompareName = keyof typeof COMPARE;

export type Range = { type: "live"; name: RangeName; ms: number } | { type: "fixed"; from: number; to: number };

/** Shortest stretch that can be zoomed to. */
const SHORTEST_MS = 10_000;

/** What the query says; nonsense is the default. A fixed stretch has the range beside it that was live before. */
export function rangeOf(query: URLSearchParams): Range {
  const from = Date.parse(query.get("from") ?? "");
  const to = Date.parse(query.get("to") ?? "");
  if (from < to) return { type: "fixed", from, to };
  const name = query.get("range") ?? DEFAULT;
  const known = (Object.keys(RANGES) as RangeName[]).find((other) => other === name) ?? DEFAULT;
  return { type: "live", name: known, ms: RANGES[known] };
}

export function compareOf(query: URLSearchParams): CompareName | null {
  return (Object.keys(COMPARE) as CompareName[]).find((name) => name === query.get("compare")) ?? null;
}

export function ends(range: Range, now: number): { from: number; to: number } {
  return range.type === "fixed" ? range : { from: now - range.ms, to: now };
}

/** The smallest stretch up to now that has a time in it. */
export function liveSince(at: number, now: number): RangeName {
  return (Object.keys(RANGES) as RangeName[]).find((name) => now - at <= RANGES[name]) ?? "400d";
}

/** The query of a fixed stretch. */
export function fixed(from: number, to: number): { from: string; to: string } {
  const middle = (from + to) / 2;
  const half = Math.max(SHORTEST_MS, to - from) / 2;
  const iso = (at: number) => new Date(Math.round(at)).toISOString();
  return { from: iso(middle - half), to: iso(middle + half) };
}

/** Back from a fixed stretch to the range that was live before. */
export const LIVE = { from: null, to: null } as const;

/** The stretch before or behind, by half of its length. */
export function moved(range: Range, now: number, direction: -1 | 1): { from: string; to: string } {
  const { from, to } = ends(range, now);
  const step = (direction * (to - from)) / 2;
  return fixed(from + step, to + step);
}

export function key(range: Range): string {
  return range.type === "fixed" ? `${range.from}-${range.to}` : range.name;
}
