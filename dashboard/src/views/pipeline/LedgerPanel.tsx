// What became of the reports of the last day, hour by hour: as bars, and in numbers.

import type { Pipeline } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { Scrolls } from "../../components/Scrolls.tsx";
import { count } from "../../format/numbers.ts";
import { hour, minute } from "../../format/times.ts";
import { t } from "../../text/index.ts";
import { removed } from "./collectors.ts";

/** One bar of so many says its hour. */
const LABELLED = 4;

export function LedgerPanel({ pipeline }: { pipeline: Pipeline }) {
  const { totals, hours } = pipeline.ledger;
  const missing = totals.expected - totals.stored - totals.rejected;
  const greatest = Math.max(1, ...hours.map(({ expected }) => expected));
  const summary =
    missing + totals.rejected === 0
      ? t("pipeline.ledger.fine", { n: totals.expected.toLocaleString() })
      : t("pipeline.ledger.missing", { missing: (missing + totals.rejected).toLocaleString(), n: totals.expected.toLocaleString() });
  return (
    <Panel title={t("pipeline.ledger")} aside={<span className={missing > 0 ? "bad" : "muted"}>{summary}</span>} isEmpty={hours.length === 0}>
      <div className="plot" aria-hidden="true">
        <span className="scale">{count(greatest)}</span>
        <ol className="ledger">
          {hours.map(({ hour_at, expected, stored }, index) => (
            <li key={hour_at} title={`${minute(hour_at)}: ${t("pipeline.stored")} ${stored}, ${t("pipeline.missing")} ${expected - stored}`}>
              <span>{index % LABELLED === 0 ? hour(hour_at) : ""}</span>
              <i className="stored" style={{ height: `${(stored / greatest) * 100}%` }} />
              {expected > stored && <i className="missing" style={{ height: `${Math.max(4, ((expected - stored) / greatest) * 100)}%` }} />}
            </li>
          ))}
        </ol>
      </div>
      <details>
        <summary>{t("pipeline.ledger.numbers")}</summary>
        <Scrolls label={t("pipeline.ledger.numbers")}>
          <table>
            <thead>
              <tr>
                <th>{t("pipeline.ledger.hour")}</th>
                {(["stored", "late", "duplicate", "rejected", "removed", "lost"] as const).map((name) => (
                  <th key={name} className="right">
                    {t(`pipeline.${name}`)}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {hours.map((hour) => (
                <tr key={hour.hour_at}>
                  <th scope="row">{minute(hour.hour_at)}</th>
                  {[hour.stored, hour.late, hour.duplicate].map((n, index) => (
                    <td key={index} className="right">
                      {n.toLocaleString()}
                    </td>
                  ))}
                  {[hour.rejected, removed(hour), hour.lost].map((n, index) => (
                    <td key={index} className={`right ${n > 0 ? "bad" : ""}`}>
                      {n.toLocaleString()}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </Scrolls>
      </details>
    </Panel>
  );
}
