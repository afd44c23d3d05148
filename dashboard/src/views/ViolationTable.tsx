// Violations as rows.

import type { Violation } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { SeverityMark } from "../components/Marks.tsx";
import { Scrolls } from "../components/Scrolls.tsx";
import { duration } from "../format/numbers.ts";
import { dateAndTime } from "../format/times.ts";
import { now } from "../live/live.ts";
import { machinePath } from "../router.ts";
import { t, type Key } from "../text/index.ts";
import { fixed } from "./range.ts";
import { valueText } from "./threshold-text.ts";

/** What is shown around a violation when somebody looks at it. */
const AROUND_MS = 10 * 60_000;

function around(violation: Violation): string {
  const opened = Date.parse(violation.opened_at);
  const closed = violation.closed_at ? Date.parse(violation.closed_at) : now();
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(fixed(opened - AROUND_MS, closed + AROUND_MS))) if (value) query.set(name, value);
  const path = machinePath(violation.kind, violation.machine_id);
  return violation.kind === "pipeline" ? path : `${path}?${query}`;
}

export function ViolationTable({ violations, hidesMachine = false }: { violations: readonly Violation[]; hidesMachine?: boolean }) {
  return (
    <Scrolls label={t("nav.violations")}>
      <table className="violations">
        <thead>
          <tr>
            <th>{t("violations.severity")}</th>
            {!hidesMachine && <th>{t("violations.machine")}</th>}
            <th>{t("violations.metric")}</th>
            <th className="right">{t("violations.worst")}</th>
            <th className="right">{t("violations.threshold")}</th>
            <th>{t("violations.opened")}</th>
            <th>{t("violations.lasted")}</th>
          </tr>
        </thead>
        <tbody>
          {violations.map((violation) => {
            const end = violation.closed_at ? Date.parse(violation.closed_at) : now();
            return (
              <tr key={violation.id} className={`${violation.closed_at ? "closed" : "open"} ${violation.silenced ? "silenced" : ""}`}>
                <td>
                  <SeverityMark severity={violation.severity} />
                </td>
                {!hidesMachine && (
                  <td className="machine-name">
                    <Link href={around(violation)}>{violation.machine_name}</Link>
                    {violation.kind === "container" && <small>{t("machine.on", { host: violation.host_name })}</small>}
                  </td>
                )}
                <td className="metric">
                  {violation.metric} {violation.device && <b>{violation.device}</b>}
                </td>
                <td className="right">{valueText(violation, violation.peak_value)}</td>
                <td className="right">{t(`direction.${violation.direction}` as Key, { value: valueText(violation, violation.threshold_value) })}</td>
                <td>
                  <Link href={around(violation)}>{dateAndTime(violation.opened_at)}</Link>
                </td>
                <td>
                  {duration(Math.max(0, (end - Date.parse(violation.opened_at)) / 1_000))}
                  {!violation.closed_at && <small className="open"> {t("violations.stillOpen")}</small>}
                  {violation.silenced && <small> {t("violations.silenced")}</small>}
                  {violation.acknowledged && <small title={violation.acknowledged.comment}> {t("violations.acknowledged", { by: violation.acknowledged.by ?? "–" })}</small>}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </Scrolls>
  );
}
