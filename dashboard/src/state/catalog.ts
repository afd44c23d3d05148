// Units of the metrics, read once.

import { api } from "../api/client.ts";
import { onLive } from "../live/live.ts";
import { Store } from "./store.ts";

export const units = new Store<ReadonlyMap<string, string>>(new Map());

/** Of what is not in the catalog nothing is known but that it is a number; what the backend derives is one, too, and no share. */
export function unitOf(metric: string): string | null {
  return units.get().get(metric) ?? null;
}

export function start(): void {
  const end = onLive(() => {
    api.catalog().then(
      (catalog) => {
        units.set(new Map(catalog.items.filter((metric) => !(metric.derived && metric.unit === "1")).map((metric) => [metric.name, metric.unit])));
        end();
      },
      // asked again when the stream is back
      () => undefined,
    );
  });
}
