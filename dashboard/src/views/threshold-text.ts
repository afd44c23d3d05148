// A rule in words. Pure but for the language.

import type { InForce, Threshold, Violation } from "../api/client.ts";
import { byUnit, duration } from "../format/numbers.ts";
import { durationText, quantityText } from "../format/quantity.ts";
import { unitOf } from "../state/catalog.ts";
import { t, type Key } from "../text/index.ts";

/** A value in the unit of what is compared, rounded. */
export function valueText(of: Pick<Violation, "metric" | "condition">, value: number | null | undefined): string {
  return of.condition === "time_until_full" ? duration(value) : byUnit(unitOf(of.metric), value);
}

type Compared = Pick<Threshold, "metric" | "condition">;

/** The unit of what a rule compares. */
export function comparedUnit(rule: Compared): string | null {
  return rule.condition === "time_until_full" ? "s" : unitOf(rule.metric);
}

/** A rule's own value, to the last digit. */
export function exactText(rule: Compared, value: number): string {
  return quantityText(comparedUnit(rule), value);
}

/** What has to be true of the series. */
export function comparison(rule: Threshold): string {
  const value = rule.value ?? 0;
  const window = durationText(rule.window_seconds ?? 0);
  switch (rule.condition) {
    case "value":
      return t(`direction.${rule.direction}` as Key, { value: exactText(rule, value) });
    case "time_until_full":
      return t("condition.full", { value: exactText(rule, value), window });
    case "change": {
      // below −5 %: it falls by more than 5 %
      const isRise = value === 0 ? rule.direction === "above" : value > 0;
      const isMore = (rule.direction === "above") === isRise;
      return t(`condition.${isRise ? "rises" : "falls"}.${isMore ? "more" : "less"}`, { value: exactText(rule, Math.abs(value)), window });
    }
  }
}

export function condition(rule: Threshold): string {
  if (rule.effect === "none") return t("thresholds.nothing");
  const lasting = rule.for_seconds > 0 ? t("thresholds.for", { time: durationText(rule.for_seconds) }) : t("thresholds.atOnce");
  return `${comparison(rule)} ${lasting}`;
}

/** Where it closes, where that is not where it opens. */
export function recovery(rule: Threshold): string | null {
  const parts = [];
  if (rule.recovery_value !== null && rule.recovery_value !== rule.value) parts.push(exactText(rule, rule.recovery_value));
  if (rule.recovery_for_seconds > 0) parts.push(t("thresholds.for", { time: durationText(rule.recovery_for_seconds) }));
  return parts.length > 0 ? t("thresholds.closes", { when: parts.join(" ") }) : null;
}

export function origin(rule: InForce): string {
  return t(`origin.${rule.origin}` as Key);
}

/** What is known of a machine that a rule is for. */
export type NameOf = (machineId: string) => string | null;

export function scope({ scope }: Pick<Threshold, "scope">, nameOf: NameOf = () => null): string {
  if (scope.machine_id) return nameOf(scope.machine_id) ?? t("thresholds.scope.machine", { id: scope.machine_id });
  const labels = Object.entries(scope.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  if (labels.length > 0) return t(`thresholds.scope.${scope.kind}.labels` as Key, { labels: labels.join(", ") });
  return t(`thresholds.scope.${scope.kind}` as Key);
}
