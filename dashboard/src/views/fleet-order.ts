// Which machines are shown, in which order and groups. Pure.

import type { Status, Violation } from "../api/client.ts";
import type { Row } from "../state/fleet.ts";
import { isCalm, rank, worst } from "../state/violations.ts";

/** What the URL says. */
export interface Choice {
  search: string;
  statuses: readonly string[];
  /** Only those with open violations. */
  violating: boolean;
  /** Name of a label, `host`, or nothing. */
  group: string;
  /** Name of a column, with `-` before it: greatest first. */
  sort: string;
}

/** What is asked of a row. */
export interface Ask {
  status: (row: Row) => Status;
  /** What a column is sorted by; `null` comes last. */
  key: (row: Row, column: string) => number | string | null;
  violations: (row: Row) => number;
  hostName: (row: Row) => string;
}

export type Line = { type: "group"; name: string; rows: readonly Row[] } | { type: "row"; row: Row };

export function choiceOf(query: URLSearchParams, sort: string): Choice {
  return {
    search: query.get("q") ?? "",
    statuses: (query.get("status") ?? "").split(",").filter(Boolean),
    violating: query.has("violating"),
    group: query.get("group") ?? "",
    sort: query.get("sort") ?? sort,
  };
}

/** Violations of one severity that are told apart; more are as urgent as these. */
const COUNTED = 9_999;
const DOWN: Partial<Record<Status, number>> = { down: 2, late: 1 };

/** How soon somebody should look at a machine: by the worst that nobody cares for yet, a silent one before others of the same, then by how much of it. */
export function urgency(status: Status, violations: readonly Violation[]): number {
  const count = (of: readonly Violation[]) => {
    const severity = worst(of);
    return Math.min(COUNTED, of.filter((violation) => violation.severity === severity).length) / (COUNTED + 1);
  };
  const [calm, unseen] = [violations.filter(isCalm), violations.filter((violation) => !isCalm(violation))];
  // below what comes of any count
  const rest = (rank(worst(calm)) + count(calm)) / (4 * (COUNTED + 1));
  return 3 * rank(worst(unseen)) + (DOWN[status] ?? 0) + count(unseen) + rest;
}

/** Each word is found somewhere: in the name, a label, the image or the host's name. */
export function matches(row: Row, search: string, hostName: string): boolean {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const labels = Object.entries(row.labels).map(([name, value]) => `${name}=${value}`);
  const text = [row.name, hostName, String(row.facts.image ?? ""), String(row.facts.os ?? ""), ...labels].join("\n").toLowerCase();
  return words.every((word) => text.includes(word));
}

export function arrange(rows: Iterable<Row>, choice: Choice, ask: Ask): Row[] {
  const column = choice.sort.replace(/^-/, "");
  const sign = choice.sort.startsWith("-") ? -1 : 1;
  const keyed: { row: Row; key: number | string | null }[] = [];
  for (const row of rows) {
    if (choice.statuses.length > 0 && !choice.statuses.includes(ask.status(row))) continue;
    if (choice.violating && ask.violations(row) === 0) continue;
    if (!matches(row, choice.search, ask.hostName(row))) continue;
    keyed.push({ row, key: ask.key(row, column) });
  }
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  keyed.sort((one, other) => {
    if (one.key === null || other.key === null) {
      return one.key === other.key ? compare(one.row.name, other.row.name) : one.key === null ? 1 : -1;
    }
    const order = typeof one.key === "number" && typeof other.key === "number" ? one.key - other.key : compare(String(one.key), String(other.key));
    return sign * order || compare(one.row.name, other.row.name) || compare(one.row.id, other.row.id);
  });
  return keyed.map(({ row }) => row);
}

/** With a line before each group; those without the label come last. */
export function grouped(rows: readonly Row[], group: string, hostName: (row: Row) => string): Line[] {
  if (!group) return rows.map((row) => ({ type: "row", row }));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name = group === "host" ? hostName(row) : (row.labels[group] ?? "");
    const of = groups.get(name);
    if (of) of.push(row);
    else groups.set(name, [row]);
  }
  const compare = new Intl.Collator(undefined, { numeric: true }).compare;
  const names = [...groups.keys()].sort((one, other) => Number(one === "") - Number(other === "") || compare(one, other));
  return names.flatMap((name): Line[] => {
    const of = groups.get(name) ?? [];
    return [{ type: "group", name, rows: of }, ...of.map((row): Line => ({ type: "row", row }))];
  });
}

/** Names of labels that can make groups, the most common first. */
export function labelNames(rows: Iterable<Row>): string[] {
  const counts = new Map<string, number>();
  for (const row of rows) for (const name of Object.keys(row.labels)) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].sort((one, other) => other[1] - one[1] || one[0].localeCompare(other[0])).map(([name]) => name).slice(0, 30);
}
