// Which violations are meant: names and values as GET /violations has them, so that the page's URL, the question and the file say the same. Pure.

import type { Severity, Violation, ViolationQuery } from "../../api/client.ts";

export const SEVERITIES: readonly Severity[] = ["critical", "warning", "info"];
export const KINDS = ["host", "container", "pipeline"] as const;
export const STATES = ["open", "silenced", "closed"] as const;

/** Filters with several values; of those in `WORDS` commas separate them, the others are texts that come several times. */
export const LISTS = ["severity", "kind", "machine_id", "host_id", "label", "metric", "device", "threshold_id"] as const;
export type ListName = (typeof LISTS)[number];
const WORDS: readonly ListName[] = ["severity", "kind", "machine_id", "metric", "threshold_id"];

/** Values of one filter that the backend takes. */
export const VALUES_MAX = 50;

export type FilterQuery = Pick<ViolationQuery, ListName | "state" | "acknowledged">;

export interface Filters extends Record<ListName, readonly string[]> {
  state: (typeof STATES)[number] | "";
  acknowledged: "true" | "false" | "";
}

/** What a filter's values look like; the backend refuses others, a link with them is read without them. */
const FITS: Partial<Record<ListName, (value: string) => boolean>> = {
  severity: (value) => (SEVERITIES as readonly string[]).includes(value),
  kind: (value) => (KINDS as readonly string[]).includes(value),
  machine_id: (value) => /^\d{1,18}$/.test(value),
  threshold_id: (value) => /^\d{1,18}$/.test(value),
};

export function filtersOf(query: URLSearchParams): Filters {
  const list = (name: ListName) => {
    const texts = query.getAll(name);
    const values = WORDS.includes(name) ? texts.flatMap((text) => text.split(",").map((word) => word.trim())) : texts;
    const fits = FITS[name] ?? (() => true);
    return [...new Set(values)].filter((value) => value !== "" && fits(value)).slice(0, VALUES_MAX);
  };
  const lists = Object.fromEntries(LISTS.map((name) => [name, list(name)])) as Record<ListName, string[]>;
  const state = STATES.find((name) => name === query.get("state")) ?? "";
  const acknowledged = (["true", "false"] as const).find((name) => name === query.get("acknowledged")) ?? "";
  return { ...lists, state, acknowledged };
}

/** The same as part of a query. */
export function written(filters: Filters): [string, string][] {
  const lists = LISTS.flatMap((name): [string, string][] => {
    const values = filters[name];
    if (values.length === 0) return [];
    return WORDS.includes(name) ? [[name, values.join(",")]] : values.map((value) => [name, value]);
  });
  const words = (["state", "acknowledged"] as const).flatMap((name): [string, string][] => (filters[name] ? [[name, filters[name]]] : []));
  return [...lists, ...words];
}

/** The same as the typed client takes it. */
export function question(filters: Filters): FilterQuery {
  const all: Record<string, unknown> = {};
  for (const name of LISTS) if (filters[name].length > 0) all[name] = WORDS.includes(name) ? filters[name].join(",") : [...filters[name]];
  if (filters.state) all.state = filters.state;
  if (filters.acknowledged) all.acknowledged = filters.acknowledged === "true";
  return all;
}

/** A query with other filters; what else is in it stays. */
export function refiltered(query: URLSearchParams, filters: Filters): URLSearchParams {
  const names: readonly string[] = [...LISTS, "state", "acknowledged"];
  return new URLSearchParams([...[...query].filter(([name]) => !names.includes(name)), ...written(filters)]);
}

export function toggled(values: readonly string[], value: string): string[] {
  return values.includes(value) ? values.filter((other) => other !== value) : [...values, value];
}

export function withValue(filters: Filters, name: ListName, value: string): Filters {
  const text = value.trim();
  if (!text || filters[name].includes(text) || filters[name].length >= VALUES_MAX || FITS[name]?.(text) === false) return filters;
  return { ...filters, [name]: [...filters[name], text] };
}

export function isFiltered(filters: Filters): boolean {
  return written(filters).length > 0;
}

/** Whether an open violation is meant; labels are the machine's, which a violation does not have: `labelled` are those that the backend found. */
export function fits(violation: Violation, filters: Filters, labelled: ReadonlySet<string> | null): boolean {
  const among = (name: Exclude<ListName, "label">, value: string | null | undefined) => filters[name].length === 0 || filters[name].includes(value ?? "");
  if (filters.state === "closed" && !violation.closed_at) return false;
  if (filters.state === "open" && violation.closed_at) return false;
  if (filters.state === "silenced" && (violation.closed_at || !violation.silenced)) return false;
  if (filters.acknowledged && (filters.acknowledged === "true") !== Boolean(violation.acknowledged)) return false;
  if (filters.label.length > 0 && !labelled?.has(violation.id)) return false;
  return (
    among("severity", violation.severity) &&
    among("kind", violation.kind) &&
    among("machine_id", violation.machine_id) &&
    among("host_id", violation.host_id) &&
    among("metric", violation.metric) &&
    among("device", violation.device) &&
    among("threshold_id", violation.threshold_id)
  );
}
