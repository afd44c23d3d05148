// The hops as a picture: how each does, what it has in figures, and how fast it passes on.

import { useEffect, useRef, useState } from "react";

import type { Pipeline } from "../../api/client.ts";
import { count, duration } from "../../format/numbers.ts";
import { dateAndTime } from "../../format/times.ts";
import { fleets } from "../../state/fleet.ts";
import { useStore } from "../../state/store.ts";
import { t, type Key } from "../../text/index.ts";
import { removed } from "./collectors.ts";
import { flowed, rateOf, type Flow, type Place } from "./flow.ts";

type Figure = [name: string, value: string, isBad?: boolean];

export function Picture({ pipeline }: { pipeline: Pipeline }) {
  const hosts = useStore(fleets.host.drawn) && fleets.host.rows.size;
  useEffect(() => fleets.host.use(), []);
  const heard = perSecond("pipeline.rate", useHeard());
  const produced = perSecond("pipeline.moved", useFlow(pipeline, "end_offset"));
  const consumed = perSecond("pipeline.moved", useFlow(pipeline, "position"));
  const { totals } = pipeline.ledger;
  const sum = (values: (number | null | undefined)[]) => values.reduce<number>((all, value) => all + (value ?? 0), 0);
  const taken = removed(totals);
  const lag = Math.max(0, ...pipeline.partitions.map((partition) => partition.lag_seconds ?? 0));
  const waiting = sum(pipeline.partitions.map((partition) => partition.lag_records));
  const consumers = new Set(pipeline.partitions.map((partition) => partition.consumer)).size;
  const dead = sum(pipeline.dead_letters.map((letters) => letters.records));
  const skipped = sum(pipeline.skipped.map((range) => range.to_offset - range.from_offset));
  const spooled = sum(pipeline.hosts.map((host) => host.spool_reports));
  const { collectors, kafka_and_consumers: kafka, backend_and_database: backend } = pipeline.hops;
  const hops: { title: Key; hop: typeof collectors; onwards: string; figures: Figure[] }[] = [
    {
      title: "pipeline.collectors",
      hop: collectors,
      onwards: produced,
      figures: [
        [t("pipeline.hosts"), String(hosts)],
        [t("pipeline.spool"), count(spooled)],
        [t("pipeline.removed"), count(taken), taken > 0],
      ],
    },
    {
      title: "pipeline.kafka",
      hop: kafka,
      onwards: consumed,
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
      onwards: heard,
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
      {hops.map(({ title, hop, onwards, figures }) => (
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
            <span>{onwards}</span>
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

/** What flows, a second, in words. */
function perSecond(key: Key, rate: number | null): string {
  return rate === null ? "" : t(key, { n: rate < 10 ? rate.toFixed(1) : rate.toFixed(0) });
}

/** What producers or consumers moved on, a second. */
function useFlow(pipeline: Pipeline, place: Place): number | null {
  const [seen, setSeen] = useState<{ pipeline: Pipeline | null; flow: Flow }>({ pipeline: null, flow: new Map() });
  if (seen.pipeline !== pipeline) setSeen({ pipeline, flow: flowed(seen.flow, pipeline.partitions, place) });
  return rateOf(seen.flow);
}

/** Over which reports are counted. */
const RATE_MS = 5_000;

/** Reports that came to this page, a second. */
function useHeard(): number | null {
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
