// One chart of a machine with its thresholds, violations and past.

import { useEffect, useMemo, useRef, useState } from "react";

import type { InForce, Violation } from "../api/client.ts";
import { Chart, type Rule, type Stretch } from "../charts/Chart.tsx";
import { chartData } from "../charts/lines.ts";
import type { Mark } from "../charts/marks.ts";
import { Link } from "../components/Link.tsx";
import { useNow } from "../components/useNow.ts";
import { Panel } from "../components/Panel.tsx";
import { byUnit } from "../format/numbers.ts";
import { now } from "../live/live.ts";
import { useQuery } from "../router.ts";
import { useHistory } from "../state/history.ts";
import { t } from "../text/index.ts";
import type { ChartEntry } from "./chart-list.ts";
import { newThresholdLink } from "./links.ts";
import { COMPARE, compareOf, ends, fixed, LIVE, type Range } from "./range.ts";

interface Props {
  machineId: string;
  intervalMs: number;
  entry: ChartEntry;
  range: Range;
  rules: readonly InForce[];
  violations: readonly Violation[];
  marks: readonly Mark[];
}

/** Charts that come into view soon are read too. */
const AHEAD = "400px";

export function ChartPanel({ machineId, intervalMs, entry, range, rules, violations, marks }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const isVisible = useIsVisible(box);
  const [query, change] = useQuery();
  const compare = compareOf(query);
  const shiftMs = compare && entry.compare ? COMPARE[compare] : 0;
  const past = useMemo(() => (shiftMs && entry.compare ? { shiftMs, metrics: [entry.compare] } : undefined), [shiftMs, entry]);
  const history = useHistory({ machineId, metrics: entry.metrics, range, intervalMs, device: entry.device, isVisible, past });
  const series = history.resource.data;

  const nameOf = (metric: string) => {
    const name = entry.names[metric];
    return name && t(name);
  };
  const watched = [...entry.metrics, ...(entry.watches ?? [])];
  const data = chartData(series ?? [], {
    metrics: entry.metrics,
    isStacked: entry.isStacked ?? false,
    whenNear: entry.whenNear,
    below: entry.below ?? [],
    intervalMs,
    label: (one) => [one.device, nameOf(one.metric)].filter(Boolean).join(" ") || t(entry.title),
    past: past && compare ? { series: history.past ?? [], shiftMs, label: [nameOf(past.metrics[0] ?? ""), t(`compare.${compare}`)].filter(Boolean).join(", ") } : undefined,
  });
  // time goes on where no report comes
  useNow();
  const { from, to } = ends(range, now());
  const drawn = rules.filter((rule) => watched.includes(rule.metric) && rule.threshold.condition === "value" && rule.threshold.effect === "open" && isSameUnit(entry, rule.metric));
  const lines = distinct(drawn.map((rule): Rule => ({ value: rule.threshold.value ?? 0, severity: rule.threshold.severity, isBelow: entry.below?.includes(rule.metric) ?? false })));
  const stretches = violations.filter((violation) => watched.includes(violation.metric)).map(stretch);
  const hasValues = data.t.length > 0;

  return (
    <div ref={box}>
      <Panel title={t(entry.title)} resource={history.resource} isEmpty={!hasValues} className={`chart-panel ${entry.id}`} aside={<Aside rules={lines} unit={entry.unit} metric={entry.watches?.[0] ?? entry.compare ?? entry.metrics[0] ?? ""} machineId={machineId} />}>
        <Chart
          data={data}
          from={from}
          to={to}
          unit={entry.unit}
          limit={entry.limit}
          rules={lines}
          stretches={stretches}
          marks={marks}
          label={t(entry.title)}
          onZoom={(from, to) => change(fixed(from, to))}
          onReset={() => change(LIVE)}
        />
      </Panel>
    </div>
  );
}

/** Whether a rule's value has its place on the axis. */
function isSameUnit(entry: ChartEntry, metric: string): boolean {
  return entry.metrics.includes(metric) || (entry.unit === "1" && metric.endsWith("utilization"));
}

const keyOf = (rule: Rule) => `${rule.value} ${rule.severity} ${rule.isBelow}`;

function distinct(rules: readonly Rule[]): Rule[] {
  return [...new Map(rules.map((rule) => [keyOf(rule), rule])).values()];
}

function stretch(violation: Violation): Stretch {
  return { from: Date.parse(violation.opened_at), to: violation.closed_at ? Date.parse(violation.closed_at) : Infinity, severity: violation.severity };
}

interface AsideProps {
  rules: readonly Rule[];
  unit: string;
  metric: string;
  machineId: string;
}

/** The values of the rules that are drawn, and the way to another one. */
function Aside({ rules, unit, metric, machineId }: AsideProps) {
  const title = t("chart.newThreshold", { metric });
  return (
    <>
      {rules.map((rule) => (
        <span key={keyOf(rule)} className={`rule ${rule.severity}`} title={t("nav.thresholds")}>
          {byUnit(unit, rule.value)}
        </span>
      ))}
      <Link className="add" href={newThresholdLink({ metric, machineId })} title={title} aria-label={title}>
        +
      </Link>
    </>
  );
}

function useIsVisible(box: React.RefObject<HTMLElement | null>): boolean {
  const [isVisible, setVisible] = useState(false);
  useEffect(() => {
    const element = box.current;
    if (!element) return;
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && setVisible(true), { rootMargin: AHEAD });
    observer.observe(element);
    return () => observer.disconnect();
  }, [box]);
  return isVisible;
}
