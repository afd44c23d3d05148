// What differs between two versions of a rule, in words. Pure but for the language.

import type { Threshold } from "../../api/client.ts";
import { durationText } from "../../format/quantity.ts";
import { t, type Key } from "../../text/index.ts";
import { comparison, exactText, scope, type NameOf } from "../threshold-text.ts";
import type { Body } from "./draft.ts";

/** Each line one change: `value: 90 % → 95 %`. */
export function changes(before: Body, after: Body, nameOf: NameOf): string[] {
  const lines: string[] = [];
  const say = (field: Key, one: string, other: string) => {
    if (one !== other) lines.push(t("change.line", { field: t(field), before: one || t("change.nothing"), after: other || t("change.nothing") }));
  };
  if (before.enabled !== after.enabled) lines.push(t(after.enabled ? "change.on" : "change.off"));
  say("field.effect", t(`effect.${before.effect}`), t(`effect.${after.effect}`));
  say("field.severity", t(`severity.${before.severity}`), t(`severity.${after.severity}`));
  say("thresholds.scope", scope(before, nameOf), scope(after, nameOf));
  say("violations.metric", before.metric, after.metric);
  say("field.device", before.device ?? "", after.device ?? "");
  // only a rule that was deleted and made anew compares something else
  if (before.condition !== after.condition || before.direction !== after.direction) say("field.condition", comparison(before as Threshold), comparison(after as Threshold));
  else {
    say("field.value", exactText(before, before.value ?? 0), exactText(after, after.value ?? 0));
    say("field.window", seconds(before.window_seconds), seconds(after.window_seconds));
  }
  say("field.recovery", recovery(before), recovery(after));
  say("field.for", durationText(before.for_seconds), durationText(after.for_seconds));
  say("field.recoveryFor", durationText(before.recovery_for_seconds), durationText(after.recovery_for_seconds));
  say("thresholds.note", before.note, after.note);
  return lines;
}

const seconds = (value: number | null | undefined) => (value ? durationText(value) : "");

function recovery(rule: Body): string {
  return rule.recovery_value === null || rule.recovery_value === rule.value ? t("field.recovery.same") : exactText(rule, rule.recovery_value);
}
