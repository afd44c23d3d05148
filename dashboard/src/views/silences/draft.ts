// A silence as it stands in the fields of its form, and back. Pure.

import type { Silence, NewSilence } from "../../api/client.ts";
import { durationText, parseDuration } from "../../format/quantity.ts";
import { instantOf, wallTime } from "../../format/zones.ts";
import type { Problems } from "../../state/saving.ts";
import type { Key } from "../../text/index.ts";
import { cronOf, readCron } from "./cron.ts";

/** All texts are as somebody typed them; times are those of a clock in `tz`. */
export interface Draft {
  /** That it was made of; 0: it is new. */
  version: number;
  type: Silence["kind"];
  kind: "" | "host" | "container";
  machineId: string;
  hostId: string;
  labels: readonly (readonly [name: string, value: string])[];
  metric: string;
  severity: "" | "info" | "warning" | "critical";
  when: "once" | "weekly" | "cron";
  /** Empty: from now on. */
  starts: string;
  ends: string;
  days: readonly number[];
  time: string;
  cron: string;
  lasting: string;
  tz: string;
  comment: string;
}

/** Bounds that the backend has. */
export const DURATION_SECONDS_MIN = 60;
export const DURATION_SECONDS_MAX = 7 * 86_400;
export const COMMENT_CHARS = 1_000;

export function emptyDraft(tz: string): Draft {
  return { version: 0, type: "silence", kind: "", machineId: "", hostId: "", labels: [], metric: "", severity: "", when: "once", starts: "", ends: "", days: [0, 1, 2, 3, 4, 5, 6], time: "02:00", cron: "0 2 * * *", lasting: "1 h", tz, comment: "" };
}

export function draftOf(silence: Silence, zone: string): Draft {
  const { scope } = silence;
  const tz = silence.tz ?? zone;
  const wall = (at: string | null | undefined) => (at ? wallTime(Date.parse(at), tz) : "");
  const weekly = silence.cron ? readCron(silence.cron) : null;
  const empty = emptyDraft(tz);
  return {
    version: silence.version,
    type: silence.kind,
    kind: scope.kind === "host" || scope.kind === "container" ? scope.kind : "",
    machineId: scope.machine_id ?? "",
    hostId: scope.host_id ?? "",
    labels: Object.entries(scope.labels ?? {}),
    metric: scope.metric ?? "",
    severity: scope.severity ?? "",
    when: !silence.cron ? "once" : weekly ? "weekly" : "cron",
    starts: wall(silence.starts_at),
    ends: wall(silence.ends_at),
    days: weekly?.days ?? empty.days,
    time: weekly?.time ?? empty.time,
    cron: silence.cron ?? empty.cron,
    lasting: silence.duration_seconds ? durationText(silence.duration_seconds) : empty.lasting,
    tz,
    comment: silence.comment,
  };
}

/** `before` is what is stored: a field that still shows its time means it to the millisecond, of which the field shows minutes. */
export function bodyOf(draft: Draft, before: Silence | null): { body: NewSilence; problems: null } | { body: null; problems: Problems } {
  const problems: Record<string, Key> = {};
  const instant = (field: "starts_at" | "ends_at", wall: string): string | null => {
    if (!wall) return null;
    const stored = before?.[field];
    if (stored && wallTime(Date.parse(stored), draft.tz) === wall) return stored;
    const at = instantOf(wall, draft.tz);
    if (at === null) problems[field] = "problem.time";
    return at === null ? null : new Date(at).toISOString();
  };
  const recurs = draft.when !== "once";
  const starts_at = instant("starts_at", draft.starts);
  const ends_at = instant("ends_at", draft.ends);
  if (!recurs && !draft.ends) problems.ends_at = "problem.missing";
  if (starts_at && ends_at && starts_at >= ends_at) problems.ends_at = "problem.ends";
  const seconds = recurs ? parseDuration(draft.lasting) : null;
  if (recurs && (seconds === null || !Number.isInteger(seconds))) problems.duration_seconds = "problem.duration";
  else if (seconds !== null && (seconds < DURATION_SECONDS_MIN || seconds > DURATION_SECONDS_MAX)) problems.duration_seconds = "problem.silenceLength";
  if (draft.when === "weekly" && draft.days.length === 0) problems.cron = "problem.days";
  if (draft.when === "weekly" && !/^\d\d:\d\d$/.test(draft.time)) problems.cron = "problem.time";
  if (!draft.comment.trim()) problems.comment = "problem.missing";
  else if ([...draft.comment].length > COMMENT_CHARS) problems.comment = "problem.note";

  const labels = draft.labels.map(([name, value]) => [name.trim(), value.trim()] as const).filter(([name, value]) => name || value);
  if (labels.some(([name, value]) => !name || !value)) problems["scope.labels"] = "problem.labelName";
  else if (new Set(labels.map(([name]) => name)).size < labels.length) problems["scope.labels"] = "problem.labelTwice";
  const ofWholeMachines = draft.type === "maintenance";
  const metric = ofWholeMachines ? null : draft.metric.trim() || null;
  const severity = ofWholeMachines ? null : draft.severity || null;
  if (!draft.kind && !draft.machineId && !draft.hostId && labels.length === 0 && !metric && !severity) problems.scope = "problem.scope";

  const body: NewSilence = {
    kind: draft.type,
    scope: { kind: draft.kind || null, machine_id: draft.machineId || null, host_id: draft.hostId || null, labels: Object.fromEntries(labels), metric, severity },
    starts_at,
    ends_at,
    cron: draft.when === "weekly" ? cronOf(draft.days, draft.time) : draft.when === "cron" ? draft.cron.trim() : null,
    duration_seconds: seconds,
    tz: recurs ? draft.tz : null,
    comment: draft.comment.trim(),
  };
  return Object.keys(problems).length > 0 ? { body: null, problems } : { body, problems: null };
}

/** A new one as a link prefills it (`newSilenceLink`). */
export function draftOfQuery(query: URLSearchParams, tz: string): Draft {
  const severity = query.get("severity");
  const labels = query.getAll("label").map((label): [string, string] => {
    const [name = "", ...value] = label.split("=");
    return [name, value.join("=")];
  });
  return {
    ...emptyDraft(tz),
    type: query.get("type") === "maintenance" ? "maintenance" : "silence",
    machineId: query.get("machine_id") ?? "",
    hostId: query.get("host_id") ?? "",
    labels,
    metric: query.get("metric") ?? "",
    severity: severity === "info" || severity === "warning" || severity === "critical" ? severity : "",
    comment: query.get("comment") ?? "",
  };
}
