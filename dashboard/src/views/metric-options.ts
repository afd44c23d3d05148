// Metrics to choose from. Pure.

import type { Metric } from "../api/client.ts";
import type { Option } from "../components/Combobox.tsx";

/** Those whose name or meaning has each word. */
export function metricOptions(metrics: ReadonlyMap<string, Metric>, typed: string): Option[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (metric: Metric) => `${metric.name} ${metric.description}`.toLowerCase();
  return [...metrics.values()].filter((metric) => words.every((word) => text(metric).includes(word))).map(({ name, description }) => ({ value: name, text: name, note: description }));
}
