// A silence in words. Pure but for the language and the zone.

import type { Silence } from "../../api/client.ts";
import { durationText } from "../../format/quantity.ts";
import { minute } from "../../format/times.ts";
import { languageOf, getPreferences } from "../../state/preferences.ts";
import type { State } from "../../state/silences.ts";
import { t, type Key } from "../../text/index.ts";
import { readCron } from "./cron.ts";

export function dayName(day: number): string {
  // the first of January 2023 was a Sunday
  return new Intl.DateTimeFormat(languageOf(getPreferences().language), { weekday: "short", timeZone: "UTC" }).format(Date.UTC(2023, 0, 1 + day));
}

/** What the state does not say already: of one that is active its end, of one to come its beginning. */
export function schedule(silence: Silence, state: State): string {
  const from = silence.starts_at && (silence.cron || state !== "coming") && t("silences.from", { time: minute(silence.starts_at) });
  const until = silence.ends_at && (silence.cron || state !== "active") && t("silences.until", { time: minute(silence.ends_at) });
  const bounds = [from, until].filter(Boolean).join(" ");
  if (!silence.cron) return bounds;
  const weekly = readCron(silence.cron);
  const lasting = durationText(silence.duration_seconds ?? 0);
  const words = { days: weekly?.days.map(dayName).join(", ") ?? "", time: weekly?.time ?? "", cron: silence.cron, lasting, tz: silence.tz ?? "" };
  const text = !weekly ? t("silences.cron", words) : t(weekly.days.length === 7 ? "silences.daily" : "silences.weekly", words);
  return bounds ? `${text}, ${bounds}` : text;
}

interface Names {
  machine: string | null;
  host: string | null;
}

/** Of what, as one would say it. */
export function silenceScope({ scope }: Pick<Silence, "scope">, names: Names): string {
  const parts: string[] = [];
  if (scope.machine_id) parts.push(names.machine ?? t("thresholds.scope.machine", { id: scope.machine_id }));
  if (scope.host_id) parts.push(t("silences.scope.host", { host: names.host ?? scope.host_id }));
  const labels = Object.entries(scope.labels ?? {}).map(([name, value]) => `${name}=${value}`);
  if (labels.length > 0) parts.push(scope.kind ? t(`thresholds.scope.${scope.kind}.labels` as Key, { labels: labels.join(", ") }) : t("silences.scope.labels", { labels: labels.join(", ") }));
  else if (scope.kind) parts.push(t(`thresholds.scope.${scope.kind}` as Key));
  if (parts.length === 0) parts.push(t("silences.scope.all"));
  if (scope.metric) parts.push(scope.metric);
  if (scope.severity) parts.push(t("silences.scope.severity", { severity: t(`severity.${scope.severity}`) }));
  return parts.join(", ");
}
