// Metrics, and devices of them, to choose from. Pure.

import type { Metric } from "../api/client.ts";
import type { Option } from "../components/Combobox.tsx";
import { t } from "../text/index.ts";

/** Those whose name or meaning has each word. */
export function metricOptions(metrics: ReadonlyMap<string, Metric>, typed: string): Option[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (metric: Metric) => `${metric.name} ${metric.description}`.toLowerCase();
  return [...metrics.values()].filter((metric) => words.every((word) => text(metric).includes(word))).map(({ name, description }) => ({ value: name, text: name, note: description }));
}

/** Those whose name has what is typed, by how many hosts have them. */
export function deviceOptions(values: readonly { device?: string | null | undefined }[], typed: string): Option[] {
  const counts = new Map<string, number>();
  for (const { device } of values) if (device?.includes(typed)) counts.set(device, (counts.get(device) ?? 0) + 1);
  const byCount = [...counts].sort(([one, many], [other, more]) => more - many || (one < other ? -1 : 1));
  return byCount.map(([device, n]) => ({ value: device, text: device, note: t("field.device.hosts", { n }) }));
}
