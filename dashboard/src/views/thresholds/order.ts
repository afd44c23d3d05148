// Which rules are shown, in which order and groups. Pure.

import type { KnownThreshold } from "../../api/client.ts";

export const SEVERITIES = ["critical", "warning", "info"] as const;
/** Rules that one may want to see alone. */
export const ONLY = ["violating", "own", "off", "nothing"] as const;
export type Only = (typeof ONLY)[number];

export interface Choice {
  search: string;
  severities: readonly string[];
  kind: string;
  only: Only | null;
}

export interface Group {
  metric: string;
  rules: readonly KnownThreshold[];
}

export function choiceOf(query: URLSearchParams): Choice {
  return {
    search: query.get("q") ?? "",
    severities: (query.get("severity") ?? "").split(",").filter(Boolean),
    kind: query.get("kind") ?? "",
    only: ONLY.find((name) => name === query.get("only")) ?? null,
  };
}

interface Ask {
  /** All that can be searched of a rule. */
  text: (rule: KnownThreshold) => string;
  isViolated: (rule: KnownThreshold) => boolean;
  isOwn: (rule: KnownThreshold) => boolean;
}

export function isOf(only: Only | null, rule: KnownThreshold, ask: Ask): boolean {
  switch (only) {
    case "violating":
      return ask.isViolated(rule);
    case "own":
      return ask.isOwn(rule);
    case "off":
      return !rule.enabled;
    case "nothing":
      return rule.effect === "none";
    case null:
      return true;
  }
}

/** By metric; within one as they win over each other: one machine, more labels, fewer, a kind. */
export function arrange(rules: readonly KnownThreshold[], choice: Choice, ask: Ask): Group[] {
  const words = choice.search.toLowerCase().split(/\s+/).filter(Boolean);
  const shown = rules.filter((rule) => {
    if (choice.severities.length > 0 && !choice.severities.includes(rule.severity)) return false;
    if (choice.kind && rule.scope.kind !== choice.kind) return false;
    if (!isOf(choice.only, rule, ask)) return false;
    const text = ask.text(rule).toLowerCase();
    return words.every((word) => text.includes(word));
  });
  const groups = new Map<string, KnownThreshold[]>();
  for (const rule of [...shown].sort(compare)) {
    const of = groups.get(rule.metric);
    if (of) of.push(rule);
    else groups.set(rule.metric, [rule]);
  }
  return [...groups].map(([metric, rules]) => ({ metric, rules }));
}

const specificity = ({ scope }: KnownThreshold) => (scope.machine_id ? 1_000 : Object.keys(scope.labels ?? {}).length);
const precision = ({ device }: KnownThreshold) => (device === null ? 0 : /[*?]/.test(device) ? 1 : 2);

function compare(one: KnownThreshold, other: KnownThreshold): number {
  return (
    one.metric.localeCompare(other.metric) ||
    specificity(other) - specificity(one) ||
    precision(other) - precision(one) ||
    SEVERITIES.indexOf(one.severity) - SEVERITIES.indexOf(other.severity) ||
    Number(one.id) - Number(other.id)
  );
}
