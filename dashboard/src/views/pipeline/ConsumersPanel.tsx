// Partitions, as their consumers told of them last.

import type { Pipeline } from "../../api/client.ts";
import { Panel } from "../../components/Panel.tsx";
import { Scrolls } from "../../components/Scrolls.tsx";
import { count, duration } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { t } from "../../text/index.ts";

export function ConsumersPanel({ pipeline }: { pipeline: Pipeline }) {
  return (
    <Panel title={t("pipeline.consumersTable")} isEmpty={pipeline.partitions.length === 0}>
      <Scrolls label={t("nav.pipeline")}>
        <table>
          <thead>
            <tr>
              <th>{t("pipeline.topic")}</th>
              <th className="right">{t("pipeline.partition")}</th>
              <th>{t("pipeline.consumer")}</th>
              <th>{t("pipeline.version")}</th>
              <th className="right">{t("pipeline.position")}</th>
              <th className="right">{t("pipeline.waiting")}</th>
              <th className="right">{t("pipeline.lag")}</th>
              <th>{t("pipeline.heard")}</th>
            </tr>
          </thead>
          <tbody>
            {pipeline.partitions.map((partition) => (
              <tr key={`${partition.topic} ${partition.partition}`} className={partition.is_stale ? "bad" : ""}>
                <td>{partition.topic}</td>
                <td className="right">{partition.partition}</td>
                <td>{partition.consumer}</td>
                <td>{partition.consumer_version}</td>
                <td className="right">{partition.position.toLocaleString()}</td>
                <td className="right">{count(partition.lag_records)}</td>
                <td className="right">{duration(partition.lag_seconds ?? 0)}</td>
                <td>{dateAndTime(partition.heard_at)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scrolls>
    </Panel>
  );
}
