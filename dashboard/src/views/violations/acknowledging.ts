// Acknowledges violations, or takes that back: one or many. What fails is told; the rest is done.

import type { Violation } from "../../api/client.ts";

/** As many as are changed by one click. */
export const TOGETHER_MAX = 500;
/** Requests under way: the backend writes one at a time anyhow. */
const AT_ONCE = 4;

export interface Outcome {
  done: number;
  failed: { id: string; reason: string }[];
}

export async function changeEach(ids: readonly string[], change: (id: string) => Promise<Violation>, changed: (violation: Violation) => void): Promise<Outcome> {
  const outcome: Outcome = { done: 0, failed: [] };
  const waiting = ids.slice(0, TOGETHER_MAX);
  const work = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift()) {
      try {
        changed(await change(id));
        outcome.done += 1;
      } catch (error) {
        outcome.failed.push({ id, reason: error instanceof Error ? error.message : String(error) });
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return outcome;
}
