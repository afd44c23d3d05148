// A rule in words. Pure but for the language.

import type { InForce, Threshold, Violation } from "../api/client.ts";
import { byUnit, duration } from "../format/numbers.ts";
import { unitOf } from "../state/catalog.ts";
import { t, type Key } from "../text/index.ts";

/** A value in the unit of what is compared. */
export function valueText(of: Pick<Violation, "metric" | "condition">, value: number | null | undefined): string {
  return of.condition === "time_until_full" ? duration(value) : byUnit(unitOf(of.metric), value);
}

export function condition(rule: Threshold): string {
  if (rule.effect === "none") return t("thresholds.off");
  const beyond = t(`direction.${rule.direction}` as Key, { value: valueText(rule, rule.value) });
  const lasting = rule.for_seconds > 0 ? t("thresholds.for", { time: duration(rule.for_seconds) }) : t("thresholds.atOnce");
  return `${beyond} ${lasting}`;
}

export function origin(rule: InForce): string {
  return t(`origin.${rule.origin}` as Key);
}

export function scope(rule: Threshold): string {
  if (rule.scope.machine_id) return `${t("thresholds.scope.machine")} ${rule.scope.machine_id}`;
  const kind = t(`thresholds.scope.${rule.scope.kind}` as Key);
  const labels = Object.entries(rule.scope.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  return [kind, ...labels].join(" ");
}
