// What opened just now, for a notice that goes by itself. What comes again and again is told once in a while.

import type { Violation } from "../api/client.ts";
import { on } from "../live/live.ts";
import { Store } from "./store.ts";

/** How long the same is not told again. */
export const QUIET_MS = 10 * 60_000;

/** What is being told, the newest last. */
export const told = new Store<readonly Violation[]>([]);

const seriesOf = ({ threshold_id, machine_id, device }: Violation) => JSON.stringify([threshold_id, machine_id, device]);

/** What was told already, and whole rules of which nobody wants to hear for now. */
export class Quiet {
  /** Until when, Unix ms; the first to end stands first. */
  private untils = new Map<string, number>();

  /** Whether it is to be told; if so, its series is quiet from now on. */
  tells(violation: Violation, now: number): boolean {
    for (const [key, until] of this.untils) {
      if (until > now) break;
      this.untils.delete(key);
    }
    if (violation.silenced || this.untils.has(seriesOf(violation)) || this.untils.has(violation.threshold_id)) return false;
    this.hush(seriesOf(violation), now);
    return true;
  }

  hush(key: string, now: number): void {
    this.untils.delete(key);
    this.untils.set(key, now + QUIET_MS);
  }
}

const quiet = new Quiet();

/** Somebody has seen it: nothing more of these rules for a while. */
export function close(): void {
  for (const { threshold_id } of told.get()) quiet.hush(threshold_id, Date.now());
  told.set([]);
}

export function start(): void {
  on<Violation>("violation.opened", (violation) => {
    if (!violation.closed_at && quiet.tells(violation, Date.now())) told.set([...told.get(), violation]);
  });
  for (const name of ["violation.closed", "violation.acknowledged", "violation.silenced"]) {
    on<Violation>(name, ({ id, closed_at, acknowledged, silenced }) => {
      const isOver = closed_at || acknowledged || silenced;
      if (isOver && told.get().some((violation) => violation.id === id)) told.set(told.get().filter((violation) => violation.id !== id));
    });
  }
}
