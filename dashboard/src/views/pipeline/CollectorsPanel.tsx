// Collectors with their versions, how late they are and what waits or is missing: those with trouble first, all on demand.

import { memo, useMemo, useState } from "react";

import type { Pipeline } from "../../api/client.ts";
import { Link } from "../../components/Link.tsx";
import { Panel } from "../../components/Panel.tsx";
import { Scrolls } from "../../components/Scrolls.tsx";
import { bytes, count, duration } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { now } from "../../live/live.ts";
import { machinePath } from "../../router.ts";
import { fleets } from "../../state/fleet.ts";
import { useStore } from "../../state/store.ts";
import { t } from "../../text/index.ts";
import { collectors, type Collector } from "./collectors.ts";

/** As many as the backend tells of. */
const FIRST = 20;

export function CollectorsPanel({ pipeline }: { pipeline: Pipeline }) {
  useStore(fleets.host.drawn);
  const [hasAll, setAll] = useState(false);
  const known = fleets.host.rows.size;
  // as often as the backend tells of the pipeline, not with each report
  const all = useMemo(() => collectors(pipeline.hosts, fleets.host.rows.values(), now()), [pipeline, known]); // eslint-disable-line react-hooks/exhaustive-deps
  const shown = hasAll ? all : all.slice(0, FIRST);
  return (
    <Panel title={t("pipeline.collectorsTable")} aside={<span className="count">{all.length}</span>} isEmpty={all.length === 0}>
      <Scrolls label={t("pipeline.collectorsTable")}>
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
            {shown.map((collector) => (
              <Line key={collector.hostId} {...collector} />
            ))}
          </tbody>
        </table>
      </Scrolls>
      {all.length > FIRST && <button onClick={() => setAll(!hasAll)}>{hasAll ? t("pipeline.collectors.first", { n: FIRST }) : t("pipeline.collectors.all", { n: all.length })}</button>}
    </Panel>
  );
}

const Line = memo(function Line({ machineId, name, version, newestAt, lateMs, isSilent, spool, missing }: Collector) {
  const lost = (n: number | undefined) => <td className={`right ${n ? "bad" : ""}`}>{n === undefined ? "–" : count(n)}</td>;
  return (
    <tr>
      <td className="machine-name">{machineId ? <Link href={machinePath("host", machineId)}>{name}</Link> : name}</td>
      <td>{version ?? "–"}</td>
      <td>{dateAndTime(newestAt)}</td>
      <td className={`right ${isSilent ? "bad" : ""}`}>{lateMs === null ? t("pipeline.inTime") : duration(lateMs / 1_000)}</td>
      <td className="right">{spool ? (spool.reports ? `${count(spool.reports)} / ${bytes(spool.bytes)}` : "0") : "–"}</td>
      {lost(missing?.removed)}
      {lost(missing?.lost)}
    </tr>
  );
});
