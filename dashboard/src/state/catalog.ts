// The metrics with their units and meanings, read once.

import { api, type Metric } from "../api/client.ts";
import { onLive } from "../live/live.ts";
import { Store } from "./store.ts";

export const catalog = new Store<ReadonlyMap<string, Metric>>(new Map());

/** Of what is not in the catalog nothing is known but that it is a number; what the backend derives is one, too, and no share. */
export function unitOf(metric: string): string | null {
  const found = catalog.get().get(metric);
  return !found || (found.derived && found.unit === "1") ? null : found.unit;
}

export function start(): void {
  const end = onLive(() => {
    api.catalog().then(
      (read) => {
        catalog.set(new Map(read.items.map((metric) => [metric.name, metric])));
        end();
      },
      // asked again when the stream is back
      () => undefined,
    );
  });
}
