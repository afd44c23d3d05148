// Collectors whose reports are oldest, or of which most is missing.

import type { Pipeline } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { Scrolls } from "../../components/Scrolls.tsx";
import { bytes, count, duration } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { machinePath } from "../../router.ts";
import { t } from "../../text/index.ts";

export function CollectorsPanel({ pipeline }: { pipeline: Pipeline }) {
  return (
    <Panel title={t("pipeline.collectorsTable")} isEmpty={pipeline.hosts.length === 0}>
      <Scrolls label={t("nav.pipeline")}>
        <table>
          <thead>
            <tr>
              <th>{t("column.host")}</th>
              <th>{t("pipeline.version")}</th>
              <th>{t("pipeline.newest")}</th>
              <th className="right">{t("pipeline.late.by")}</th>
              <th className="right">{t("pipeline.spool")}</th>
              <th className="right">{t("pipeline.removed")}</th>
              <th className="right">{t("pipeline.lost")}</th>
            </tr>
          </thead>
          <tbody>
            {pipeline.hosts.map((host) => {
              const removed = host.missing.thinned + host.missing.dropped + host.missing.damaged;
              return (
                <tr key={host.host_id}>
                  <td className="machine-name">{host.machine_id ? <Link href={machinePath("host", host.machine_id)}>{host.host_name}</Link> : host.host_name}</td>
                  <td>{host.collector_version ?? "–"}</td>
                  <td>{dateAndTime(host.newest_report_at)}</td>
                  <td className="right">{duration(host.late_seconds)}</td>
                  <td className="right">{host.spool_reports ? `${count(host.spool_reports)} / ${bytes(host.spool_bytes)}` : "0"}</td>
                  <td className={`right ${removed > 0 ? "bad" : ""}`}>{count(removed)}</td>
                  <td className={`right ${host.missing.lost > 0 ? "bad" : ""}`}>{count(host.missing.lost)}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </Scrolls>
    </Panel>
  );
}
