// Samples around an opening and around a closing, which may be days apart: each has a chart of its own. Pure.

export interface Samples {
  t: readonly number[];
  value: readonly (number | null)[];
}

/** Gaps shorter than this are gaps within one chart. */
const GAP_MS = 120_000;

/** Cut at the longest gap where it would be most of a chart. */
export function clusters(samples: Samples): Samples[] {
  const { t, value } = samples;
  if (t.length < 2) return t.length === 0 ? [] : [samples];
  const at = (index: number) => t[index] as number;
  let cut = 1;
  for (let index = 2; index < t.length; index++) if (at(index) - at(index - 1) > at(cut) - at(cut - 1)) cut = index;
  const gap = at(cut) - at(cut - 1);
  if (gap < GAP_MS || gap * 2 < at(t.length - 1) - at(0)) return [samples];
  return [
    { t: t.slice(0, cut), value: value.slice(0, cut) },
    { t: t.slice(cut), value: value.slice(cut) },
  ];
}

/** The usual time between two samples, for telling gaps. */
export function intervalMs(t: readonly number[]): number {
  const steps = t.slice(1).map((at, index) => at - (t[index] as number)).sort((one, other) => one - other);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}
