// A rule as it stands in the fields of the editor, and back. Pure.

import type { Threshold } from "../../api/client.ts";
import { durationText, parseDuration, parseQuantity, quantityText } from "../../format/quantity.ts";
import type { Problems } from "../../state/saving.ts";
import type { Key } from "../../text/index.ts";

/** What is sent: a rule without its number. */
export type Body = Omit<Threshold, "id" | "version">;
type ScopeKind = NonNullable<Threshold["scope"]["kind"]>;

/** All texts are as somebody typed them. */
export interface Draft {
  metric: string;
  /** Empty: every device. */
  device: string;
  kind: ScopeKind;
  target: "all" | "labels" | "machine";
  labels: readonly (readonly [name: string, value: string])[];
  machineId: string;
  condition: Threshold["condition"];
  window: string;
  direction: NonNullable<Threshold["direction"]>;
  value: string;
  /** Empty: the value. */
  recovery: string;
  lasting: string;
  recoveryLasting: string;
  severity: Threshold["severity"];
  effect: Threshold["effect"];
  enabled: boolean;
  note: string;
}

/** Bounds that the backend has. */
export const FOR_SECONDS_MAX = 86_400;
export const WINDOW_SECONDS_MIN = 60;
export const WINDOW_SECONDS_MAX = 86_400;
export const NOTE_CHARS = 1_000;

export const EMPTY: Draft = {
  metric: "",
  device: "",
  kind: "host",
  target: "all",
  labels: [],
  machineId: "",
  condition: "value",
  window: "10 min",
  direction: "above",
  value: "",
  recovery: "",
  lasting: "1 min",
  recoveryLasting: "0 s",
  severity: "warning",
  effect: "open",
  enabled: true,
  note: "",
};

export type UnitOf = (metric: string) => string | null;

function unitOfValue({ metric, condition }: Pick<Draft, "metric" | "condition">, unitOf: UnitOf): string | null {
  return condition === "time_until_full" ? "s" : unitOf(metric);
}

export function draftOf(rule: Body, unitOf: UnitOf): Draft {
  const unit = unitOfValue(rule, unitOf);
  const { scope } = rule;
  const labels = Object.entries(scope.labels ?? {});
  const value = rule.value ?? 0;
  return {
    metric: rule.metric,
    device: rule.device ?? "",
    kind: scope.kind ?? "host",
    target: scope.machine_id ? "machine" : labels.length > 0 ? "labels" : "all",
    labels,
    machineId: scope.machine_id ?? "",
    condition: rule.condition,
    window: rule.window_seconds ? durationText(rule.window_seconds) : EMPTY.window,
    direction: rule.direction ?? "below",
    value: quantityText(unit, value),
    recovery: rule.recovery_value === null || rule.recovery_value === value ? "" : quantityText(unit, rule.recovery_value),
    lasting: durationText(rule.for_seconds),
    recoveryLasting: durationText(rule.recovery_for_seconds),
    severity: rule.severity,
    effect: rule.effect,
    enabled: rule.enabled,
    note: rule.note,
  };
}

/** The rule that a draft describes, or what is wrong with it. What only the backend knows is left to it. */
export function bodyOf(draft: Draft, unitOf: UnitOf): { body: Body; problems: null } | { body: null; problems: Problems } {
  const problems: Record<string, Key> = {};
  const unit = unitOfValue(draft, unitOf);
  const quantity = (field: string, text: string): number => {
    const found = parseQuantity(unit, text);
    if (found === null) problems[field] = text.trim() ? "problem.quantity" : "problem.missing";
    return found ?? 0;
  };
  const seconds = (field: string, text: string, least: number, most: number): number => {
    const found = text.trim() ? parseDuration(text) : least;
    if (found === null || !Number.isInteger(found)) problems[field] = "problem.duration";
    else if (found < least || found > most) problems[field] = least > 0 ? "problem.window" : "problem.for";
    return found ?? 0;
  };

  if (!draft.metric.trim()) problems.metric = "problem.missing";
  const isFull = draft.condition === "time_until_full";
  const direction = isFull ? "below" : draft.direction;
  const opens = draft.effect === "open";
  // what a rule that opens nothing says of values is kept, if it can be read
  const value = opens || draft.value.trim() ? quantity("value", draft.value) : 0;
  const recovery = draft.recovery.trim() ? quantity("recovery_value", draft.recovery) : value;
  if (!problems.value && !problems.recovery_value && (direction === "above" ? recovery > value : recovery < value)) problems.recovery_value = "problem.recovery";

  const labels = draft.labels.map(([name, value]) => [name.trim(), value.trim()] as const).filter(([name, value]) => name || value);
  if (draft.target === "labels") {
    if (labels.length === 0) problems["scope.labels"] = "problem.missing";
    else if (labels.some(([name]) => !name)) problems["scope.labels"] = "problem.labelName";
    else if (new Set(labels.map(([name]) => name)).size < labels.length) problems["scope.labels"] = "problem.labelTwice";
  }
  if (draft.target === "machine" && !draft.machineId) problems["scope.machine_id"] = "problem.missing";
  if ([...draft.note].length > NOTE_CHARS) problems.note = "problem.note";

  const body: Body = {
    scope: {
      kind: draft.kind,
      machine_id: draft.target === "machine" ? draft.machineId : null,
      labels: draft.target === "labels" ? Object.fromEntries(labels) : null,
    },
    metric: draft.metric.trim(),
    device: draft.device || null,
    condition: draft.condition,
    window_seconds: draft.condition === "value" ? null : seconds("window_seconds", draft.window, WINDOW_SECONDS_MIN, WINDOW_SECONDS_MAX),
    direction,
    value,
    recovery_value: recovery,
    for_seconds: seconds("for_seconds", draft.lasting, 0, FOR_SECONDS_MAX),
    recovery_for_seconds: seconds("recovery_for_seconds", draft.recoveryLasting, 0, FOR_SECONDS_MAX),
    severity: draft.severity,
    effect: draft.effect,
    enabled: draft.enabled,
    note: draft.note,
  };
  return Object.keys(problems).length > 0 ? { body: null, problems } : { body, problems: null };
}

/** A new rule as a link prefills it: `?metric=…&machine_id=…`; what it does not say is as in `EMPTY`. */
export function draftOfQuery(query: URLSearchParams, unitOf: UnitOf, kindOf: (metric: string) => ScopeKind | null): Draft {
  const metric = query.get("metric") ?? "";
  const machineId = query.get("machine_id") ?? "";
  const labels = query.getAll("label").map((label): [string, string] => {
    const [name = "", ...value] = label.split("=");
    return [name, value.join("=")];
  });
  const value = Number(query.get("value") ?? NaN);
  const asked = query.get("kind");
  return {
    ...EMPTY,
    metric,
    device: query.get("device") ?? "",
    kind: kindOf(metric) ?? (asked === "container" ? "container" : "host"),
    target: machineId ? "machine" : labels.length > 0 ? "labels" : "all",
    labels,
    machineId,
    value: Number.isFinite(value) ? quantityText(unitOf(metric), value) : "",
  };
}

/** What somebody changed of `base`, on top of what somebody else made of it: the fields that both changed are mine. */
export function onTopOf<T extends object>(theirs: T, base: T, mine: T): T {
  const changed = (Object.keys(mine) as (keyof T)[]).filter((field) => JSON.stringify(mine[field]) !== JSON.stringify(base[field]));
  return { ...theirs, ...Object.fromEntries(changed.map((field) => [field, mine[field]])) };
}

/** How a value of this rule may be written. */
export function exampleOf(draft: Draft, unitOf: UnitOf): string {
  const unit = unitOfValue(draft, unitOf);
  const examples: Record<string, string> = { "1": "85 %", By: "2 GiB", "By/s": "10 MiB/s", Cel: "80 °C", s: "4 h 30 min" };
  return examples[unit ?? ""] ?? "100";
}

/** What a typed value is taken for, where it does not say so itself. */
export function understood(draft: Draft, typed: string, unitOf: UnitOf): string | null {
  const unit = unitOfValue(draft, unitOf);
  const found = parseQuantity(unit, typed);
  const text = found === null ? null : quantityText(unit, found);
  return text === typed.trim() ? null : text;
}

export function understoodDuration(typed: string): string | null {
  const found = parseDuration(typed);
  const text = found === null || !typed.trim() ? null : durationText(found);
  return text === typed.trim() ? null : text;
}
