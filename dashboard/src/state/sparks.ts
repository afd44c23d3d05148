// The last quarter of an hour of the machines that are on the screen: asked for when they come into view, then kept going by the stream.

import { api, type Kind } from "../api/client.ts";
import { now } from "../live/live.ts";
import type { Row } from "./fleet.ts";
import { Store } from "./store.ts";

const STEP_MS = 15_000;
const STEPS = 60;
/** As many as one question takes. */
const AT_ONCE = 100;
/** While somebody scrolls nothing is asked. */
const SETTLE_MS = 150;

export const SPARK_METRIC: Record<Kind, string> = { host: "system.cpu.utilization", container: "container.cpu.usage" };

interface Spark {
  /** Number of the newest step since 1970. */
  step: number;
  values: (number | null)[];
}

export class Sparks {
  readonly drawn = new Store(0);
  private sparks = new Map<string, Spark>();
  private asked = new Set<string>();
  private wanted = new Set<string>();
  private settling: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly kind: Kind) {}

  get(id: string): readonly (number | null)[] | undefined {
    return this.sparks.get(id)?.values;
  }

  /** These are on the screen. */
  show(ids: readonly string[]): void {
    this.wanted = new Set(ids.filter((id) => !this.asked.has(id)));
    clearTimeout(this.settling);
    if (this.wanted.size > 0) this.settling = setTimeout(() => void this.ask(), SETTLE_MS);
  }

  /** Forgets everything: the stream was away. */
  clear(): void {
    this.asked.clear();
  }

  /** A newest value. */
  push(row: Row, value: number | null): void {
    const spark = this.sparks.get(row.id);
    if (!spark || value === null) return;
    const step = Math.floor(row.at / STEP_MS);
    const missing = Math.min(STEPS, step - spark.step);
    if (missing > 0) {
      spark.values = [...spark.values.slice(missing), ...Array<null>(missing - 1).fill(null), value];
      spark.step = step;
    } else if (missing === 0) {
      const last = spark.values.at(-1) ?? value;
      spark.values = [...spark.values.slice(0, -1), last + (value - last) / 4];
    }
  }

  private async ask(): Promise<void> {
    const ids = [...this.wanted].slice(0, AT_ONCE);
    ids.forEach((id) => this.asked.add(id));
    const step = Math.floor(now() / STEP_MS);
    try {
      const answer = await api.seriesOf(ids, SPARK_METRIC[this.kind], (step - STEPS + 1) * STEP_MS, STEPS);
      for (const id of ids) this.sparks.set(id, { step, values: Array<null>(STEPS).fill(null) });
      for (const series of answer.series) {
        const values = this.sparks.get(series.machine_id)?.values;
        for (const [index, at] of series.t.entries()) {
          const place = STEPS - 1 - (step - Math.floor(at / STEP_MS));
          if (values && place >= 0 && place < STEPS) values[place] = series.avg[index] ?? null;
        }
        // points may be wider than steps
        if (values) bridge(values, Math.ceil(series.resolution_ms / STEP_MS));
      }
    } catch {
      // a sparkline is no reason to bother anybody: asked again when its row comes into view again
      ids.forEach((id) => this.asked.delete(id));
    }
    this.drawn.set(this.drawn.get() + 1);
  }
}

/** Fills up to `width` missing values with the one before them. */
export function bridge(values: (number | null)[], width: number): void {
  let since = Infinity;
  for (const [index, value] of values.entries()) {
    if (value !== null) since = 0;
    else if (++since <= width) values[index] = values[index - 1] ?? null;
  }
}

export const sparks = { host: new Sparks("host"), container: new Sparks("container") };
