// What a list of violations shows of each: one column, one entry.

import type { ReactNode } from "react";

import type { Violation } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { SeverityMark } from "../../components/Marks.tsx";
import { duration } from "../../format/numbers.ts";
import { dateAndTime, minute } from "../../format/times.ts";
import { machinePath } from "../../router.ts";
import { t, type Key } from "../../text/index.ts";
import { fixed, liveSince } from "../range.ts";
import { valueText } from "../threshold-text.ts";

export interface Shown {
  violation: Violation;
  now: number;
  /** Query that its own page goes on with. */
  search: string;
  /** It closed while the list was held; how is not known here. */
  isGone: boolean;
}

export interface Column {
  id: string;
  title: Key;
  width: string;
  /** 1: always there, 3: only where there is much room. */
  rank: 1 | 2 | 3;
  isRight?: boolean;
  render: (shown: Shown) => ReactNode;
}

/** What is shown around a violation when somebody looks at it. */
const AROUND_MS = 10 * 60_000;

/** Its machine, when it was violated; live where it still is. */
export function around(violation: Violation, now: number): string {
  const path = machinePath(violation.kind, violation.machine_id);
  if (violation.kind === "pipeline") return path;
  const opened = Date.parse(violation.opened_at);
  if (!violation.closed_at) return `${path}?range=${liveSince(opened, now)}`;
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fixed(opened - AROUND_MS, Date.parse(violation.closed_at) + AROUND_MS))) if (value) query.set(name, value);
  return `${path}?${query}`;
}

export function lasted(violation: Violation, now: number): string {
  const end = violation.closed_at ? Date.parse(violation.closed_at) : now;
  return duration(Math.max(0, Math.floor((end - Date.parse(violation.opened_at)) / 1_000)));
}

const REASONS = ["recovered", "stopped", "gone", "threshold_changed"];

export function reasonText(reason: string | null | undefined): string {
  if (!reason) return "–";
  return REASONS.includes(reason) ? t(`reason.${reason}` as Key) : reason;
}

/** How it stands, the most urgent to know first. */
function standing({ violation, isGone }: Shown): ReactNode {
  const { acknowledged, silenced, closed_at, close_reason, host_is_down } = violation;
  const comment = acknowledged?.comment ? `: ${acknowledged.comment}` : "";
  return (
    <>
      {isGone && <span>{t("violations.justClosed")}</span>}
      {closed_at && <span>{reasonText(close_reason)}</span>}
      {host_is_down && <span className="bad">{t("violations.hostDown")}</span>}
      {silenced && !closed_at && <span>{t("violations.silencedUntil", { time: minute(silenced.until) })}</span>}
      {acknowledged && (
        <span title={acknowledged.comment}>
          {t("violations.acknowledged", { by: acknowledged.by ?? "–" })}
          {comment}
        </span>
      )}
    </>
  );
}

export const COLUMNS: readonly Column[] = [
  { id: "severity", title: "violations.severity", width: "84px", rank: 1, render: ({ violation }) => <SeverityMark severity={violation.severity} /> },
  {
    id: "machine",
    title: "violations.machine",
    width: "minmax(120px, 1.2fr)",
    rank: 1,
    render: ({ violation, now }) => (
      <>
        <Link href={around(violation, now)} title={violation.machine_name}>
          {violation.machine_name}
        </Link>
        {violation.kind === "container" && <small>{t("machine.on", { host: violation.host_name })}</small>}
      </>
    ),
  },
  {
    id: "metric",
    title: "violations.metric",
    width: "minmax(150px, 1.5fr)",
    rank: 1,
    render: ({ violation, search }) => (
      <Link href={`/violations/${violation.id}${search}`} title={`${violation.metric} ${violation.device ?? ""}`}>
        {violation.metric} {violation.device && <b>{violation.device}</b>}
      </Link>
    ),
  },
  {
    id: "worst",
    title: "violations.worst",
    width: "168px",
    rank: 1,
    isRight: true,
    render: ({ violation }) => (
      <>
        <b>{valueText(violation, violation.peak_value)}</b> <small>{t(`direction.${violation.direction}` as Key, { value: valueText(violation, violation.threshold_value) })}</small>
      </>
    ),
  },
  { id: "opened", title: "violations.opened", width: "minmax(124px, 148px)", rank: 2, render: ({ violation }) => dateAndTime(violation.opened_at) },
  {
    id: "lasted",
    title: "violations.lasted",
    width: "104px",
    rank: 1,
    render: ({ violation, now, isGone }) => <span className={violation.closed_at || isGone ? "" : "lasting"}>{lasted(violation, now)}</span>,
  },
  { id: "standing", title: "violations.standing", width: "minmax(90px, 1fr)", rank: 3, render: standing },
];
