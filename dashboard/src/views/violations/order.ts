// Which open violations are shown, in which order and groups. Pure.

import type { Severity, Violation } from "../../api/client.ts";

export const ORDERS = ["severity", "-opened_at", "opened_at", "machine"] as const;
export type Order = (typeof ORDERS)[number];
export const GROUPS = ["host", "machine", "metric"] as const;
export type Group = (typeof GROUPS)[number] | "";

export type Line = { type: "group"; key: string; name: string; violations: readonly Violation[] } | { type: "row"; violation: Violation };

const RANK: Record<Severity, number> = { critical: 0, warning: 1, info: 2 };

/** Each word is found somewhere in what a row shows. */
export function found(violation: Violation, search: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = [violation.machine_name, violation.host_name, violation.metric, violation.device ?? "", violation.acknowledged?.by ?? "", violation.acknowledged?.comment ?? ""].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

const collator = new Intl.Collator(undefined, { numeric: true });

export function ordered(violations: readonly Violation[], order: Order): Violation[] {
  const newest = (one: Violation, other: Violation) => (one.opened_at < other.opened_at ? 1 : one.opened_at > other.opened_at ? -1 : Number(other.id) - Number(one.id));
  // what nobody has to look at comes after what somebody has to
  const calm = (violation: Violation) => Number(Boolean(violation.silenced)) + Number(Boolean(violation.acknowledged));
  const compare: Record<Order, (one: Violation, other: Violation) => number> = {
    severity: (one, other) => Math.min(1, calm(one)) - Math.min(1, calm(other)) || RANK[one.severity] - RANK[other.severity] || newest(one, other),
    "-opened_at": newest,
    opened_at: (one, other) => newest(other, one),
    machine: (one, other) => collator.compare(one.host_name, other.host_name) || collator.compare(one.machine_name, other.machine_name) || RANK[one.severity] - RANK[other.severity] || newest(one, other),
  };
  return [...violations].sort(compare[order]);
}

/** With a line before each group; groups are in the order of their first rows. */
export function grouped(violations: readonly Violation[], group: Group): Line[] {
  const row = (violation: Violation): Line => ({ type: "row", violation });
  if (!group) return violations.map(row);
  const groups = new Map<string, Violation[]>();
  for (const violation of violations) {
    const key = group === "host" ? violation.host_id : group === "machine" ? violation.machine_id : violation.metric;
    const of = groups.get(key);
    if (of) of.push(violation);
    else groups.set(key, [violation]);
  }
  return [...groups].flatMap(([key, of]): Line[] => {
    const first = of[0] as Violation;
    const machine = first.kind === "container" ? `${first.machine_name} · ${first.host_name}` : first.machine_name;
    const name = group === "host" ? first.host_name || first.host_id : group === "machine" ? machine : first.metric;
    return [{ type: "group", key, name, violations: of }, ...of.map(row)];
  });
}
