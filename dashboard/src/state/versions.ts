// Rules and silences that somebody changed, on this page or elsewhere: the stream tells their versions, at its begin and with each change.

import { on } from "../live/live.ts";

/** The body of the stream's event `rules`. */
type Versions = Record<Changing, number>;
type Changing = "thresholds" | "silences";
/** The first version that is heard of `isFirst`, and may be news, too: what was read before it may be older. */
type Listener = (isFirst: boolean) => void;

const listeners: Record<Changing, Set<Listener>> = { thresholds: new Set(), silences: new Set() };
let known: Versions | null = null;

export function start(): void {
  on<Versions>("rules", (versions) => {
    const before = known;
    known = versions;
    for (const what of ["thresholds", "silences"] as const) {
      if (versions[what] !== before?.[what]) listeners[what].forEach((listener) => listener(before === null));
    }
  });
}

const onChange = (what: Changing) => (listener: Listener) => {
  listeners[what].add(listener);
  return () => void listeners[what].delete(listener);
};

export const onThresholds = onChange("thresholds");
export const onSilences = onChange("silences");
