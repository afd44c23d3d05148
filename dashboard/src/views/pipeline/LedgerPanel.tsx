// What became of the reports of the last day, hour by hour.

import type { Pipeline } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { minute } from "../../format/times.ts";
import { t } from "../../text/index.ts";

export function LedgerPanel({ pipeline }: { pipeline: Pipeline }) {
  const { totals, hours } = pipeline.ledger;
  const missing = totals.expected - totals.stored - totals.rejected;
  const greatest = Math.max(1, ...hours.map((hour) => hour.expected));
  const summary =
    missing + totals.rejected === 0
      ? t("pipeline.ledger.fine", { n: totals.expected.toLocaleString() })
      : t("pipeline.ledger.missing", { missing: (missing + totals.rejected).toLocaleString(), n: totals.expected.toLocaleString() });
  return (
    <Panel title={t("pipeline.ledger")} aside={<span className={missing > 0 ? "bad" : "muted"}>{summary}</span>} isEmpty={hours.length === 0}>
      <ol className="ledger">
        {hours.map((hour) => {
          const lost = hour.expected - hour.stored;
          const text = `${minute(hour.hour_at)}: ${t("pipeline.stored")} ${hour.stored}, ${t("pipeline.missing")} ${lost}`;
          return (
            <li key={hour.hour_at} title={text}>
              <span className="visually-hidden">{text}</span>
              <i className="stored" style={{ height: `${(hour.stored / greatest) * 100}%` }} />
              {lost > 0 && <i className="missing" style={{ height: `${Math.max(4, (lost / greatest) * 100)}%` }} />}
            </li>
          );
        })}
      </ol>
    </Panel>
  );
}
