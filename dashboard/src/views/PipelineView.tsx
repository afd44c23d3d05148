// The way of a report as a picture: how fast, how far behind, and what was lost at each hop.

import { useEffect, useRef, useState } from "react";

import { api, type Pipeline } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { Panel } from "../components/Panel.tsx";
import { Scrolls } from "../components/Scrolls.tsx";
import { bytes, count, duration } from "../format/numbers.ts";
import { dateAndTime, minute } from "../format/times.ts";
import { on, want } from "../live/live.ts";
import { machinePath } from "../router.ts";
import { fleets } from "../state/fleet.ts";
import { useResource } from "../state/resource.ts";
import { useStore } from "../state/store.ts";
import { t, type Key } from "../text/index.ts";

export function PipelineView() {
  const first = useResource("pipeline", (signal) => api.pipeline(signal));
  const [newest, setNewest] = useState<Pipeline | null>(null);
  useEffect(() => {
    const ends = [want(["pipeline"]), on<Pipeline>("pipeline", setNewest)];
    return () => ends.forEach((end) => end());
  }, []);
  const pipeline = newest ?? first.data;
  return (
    <div className="view pipeline">
      <Panel title={t("pipeline.title")} resource={{ ...first, data: pipeline }}>
        {pipeline && <Picture pipeline={pipeline} />}
      </Panel>
      {pipeline && (
        <>
          <LedgerPanel pipeline={pipeline} />
          <CollectorsPanel pipeline={pipeline} />
          <ConsumersPanel pipeline={pipeline} />
        </>
      )}
    </div>
  );
}

type Figure = [name: string, value: string, isBad?: boolean];

function Picture({ pipeline }: { pipeline: Pipeline }) {
  const hosts = useStore(fleets.host.drawn) && fleets.host.rows.size;
  useEffect(() => fleets.host.use(), []);
  const perSecond = useRate();
  const { totals } = pipeline.ledger;
  const sum = (values: (number | null | undefined)[]) => values.reduce<number>((all, value) => all + (value ?? 0), 0);
  const removed = totals.thinned + totals.dropped + totals.damaged;
  const lag = Math.max(0, ...pipeline.partitions.map((partition) => partition.lag_seconds ?? 0));
  const waiting = sum(pipeline.partitions.map((partition) => partition.lag_records));
  const consumers = new Set(pipeline.partitions.map((partition) => partition.consumer)).size;
  const dead = sum(pipeline.dead_letters.map((letters) => letters.records));
  const skipped = sum(pipeline.skipped.map((range) => range.to_offset - range.from_offset));
  const spooled = sum(pipeline.hosts.map((host) => host.spool_reports));
  const { collectors, kafka_and_consumers: kafka, backend_and_database: backend } = pipeline.hops;
  const hops: { title: Key; hop: typeof collectors; figures: Figure[] }[] = [
    {
      title: "pipeline.collectors",
      hop: collectors,
      figures: [
        [t("pipeline.hosts"), String(hosts)],
        [t("pipeline.spool"), count(spooled)],
        [t("pipeline.removed"), count(removed), removed > 0],
      ],
    },
    {
      title: "pipeline.kafka",
      hop: kafka,
      figures: [
        [t("pipeline.partitions"), String(pipeline.partitions.length)],
        [t("pipeline.consumers"), String(consumers)],
        [t("pipeline.lag"), duration(lag)],
        [t("pipeline.waiting"), count(waiting)],
        [t("pipeline.skipped"), count(skipped), skipped > 0],
        [t("pipeline.lost"), count(totals.lost), totals.lost > 0],
      ],
    },
    {
      title: "pipeline.backend",
      hop: backend,
      figures: [
        [t("pipeline.stored"), count(totals.stored)],
        [t("pipeline.late"), count(totals.late)],
        [t("pipeline.duplicate"), count(totals.duplicate)],
        [t("pipeline.rejected"), count(totals.rejected), totals.rejected > 0],
        [t("pipeline.deadLetters"), count(dead), dead > 0],
      ],
    },
  ];
  return (
    <ol className="hops">
      {hops.map(({ title, hop, figures }) => (
        <li key={title}>
          <div className={`hop ${hop.status}`}>
            <h3>
              {t(title)} <span className={`badge ${hop.status}`}>{t(`pipeline.${hop.status}` as Key)}</span>
            </h3>
            <p>{hop.summary}</p>
            {hop.since && <p className="muted">{t("pipeline.since", { time: dateAndTime(hop.since) })}</p>}
            <dl>
              {figures.map(([name, value, isBad]) => (
                <div key={name} className={isBad ? "bad" : ""}>
                  <dt>{name}</dt>
                  <dd>{value}</dd>
                </div>
              ))}
            </dl>
          </div>
          <div className="flow" aria-hidden="true">
            <span>{perSecond === null ? "" : t("pipeline.rate", { n: perSecond < 10 ? perSecond.toFixed(1) : perSecond.toFixed(0) })}</span>
          </div>
        </li>
      ))}
      <li className="end">
        <div className="hop">
          <h3>{t("pipeline.page")}</h3>
        </div>
      </li>
    </ol>
  );
}

/** Over which reports are counted. */
const RATE_MS = 5_000;

/** Reports that came to this page, a second. */
function useRate(): number | null {
  const [rate, setRate] = useState<number | null>(null);
  const before = useRef<{ heard: number; at: number } | null>(null);
  useEffect(() => {
    const timer = setInterval(() => {
      const [heard, at] = [fleets.host.heard, performance.now()];
      const last = before.current;
      before.current = { heard, at };
      if (last) setRate(((heard - last.heard) / (at - last.at)) * 1_000);
    }, RATE_MS);
    return () => clearInterval(timer);
  }, []);
  return rate;
}

function LedgerPanel({ pipeline }: { pipeline: Pipeline }) {
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

function CollectorsPanel({ pipeline }: { pipeline: Pipeline }) {
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

function ConsumersPanel({ pipeline }: { pipeline: Pipeline }) {
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
