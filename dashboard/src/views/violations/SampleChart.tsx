// What was compared, with the value of the rule, where it recovers, and when the violation opened and closed.

import type { Explanation, Violation } from "../../api/client.ts";
import { Chart, type Rule } from "../../charts/Chart.tsx";
import { chartData } from "../../charts/lines.ts";
import { unitOf } from "../../state/catalog.ts";
import { t } from "../../text/index.ts";
import { clusters, intervalMs, type Samples } from "./clusters.ts";

/** A chart of one sample has a width all the same. */
const SHORTEST_MS = 10_000;

export function SampleCharts({ explanation }: { explanation: Explanation }) {
  const { violation, samples } = explanation;
  const parts = clusters(samples);
  return (
    <div className="sample-charts">
      {parts.map((part, index) => (
        <SampleChart key={part.t[0]} part={part} explanation={explanation} label={parts.length === 1 ? violation.metric : t(index === 0 ? "explain.opening" : "explain.closing")} />
      ))}
    </div>
  );
}

function SampleChart({ part, explanation, label }: { part: Samples; explanation: Explanation; label: string }) {
  const { violation } = explanation;
  const [first, last] = [part.t[0] ?? 0, part.t.at(-1) ?? 0];
  const more = Math.max((last - first) * 0.04, SHORTEST_MS / 2);
  const opened = Date.parse(violation.opened_at);
  const closed = violation.closed_at ? Date.parse(violation.closed_at) : Infinity;
  // where there was nothing to compare the line is broken
  const kept = part.t.flatMap((at, index) => (part.value[index] === null ? [] : [[at, part.value[index] as number] as const]));
  const values = kept.map(([, value]) => value);
  const data = chartData(
    [{ machine_id: violation.machine_id, metric: violation.metric, unit: unit(violation), device: violation.device ?? null, resolution_ms: 0, t: kept.map(([at]) => at), min: values, avg: values, max: values }],
    { metrics: [violation.metric], isStacked: false, below: [], label: () => label, intervalMs: intervalMs(part.t) },
  );
  const marks = [
    { id: "opened", at: opened, name: t("explain.opened"), isNamed: true },
    { id: "closed", at: closed, name: t("explain.closed"), isNamed: true },
  ];
  return (
    <div className="chart-panel">
      <Chart
        data={data}
        from={first - more}
        to={last + more}
        unit={unit(violation)}
        rules={rulesOf(explanation)}
        stretches={[{ from: opened, to: closed, severity: violation.severity }]}
        marks={marks}
        label={label}
        onZoom={() => undefined}
        onReset={() => undefined}
      />
    </div>
  );
}

function unit(violation: Violation): string {
  return violation.condition === "time_until_full" ? "s" : (unitOf(violation.metric) ?? "");
}

function rulesOf({ violation, threshold }: Explanation): Rule[] {
  const rule = threshold?.threshold;
  const value: Rule = { value: violation.threshold_value, severity: violation.severity };
  const back = rule?.recovery_value;
  return back === null || back === undefined || back === violation.threshold_value ? [value] : [value, { value: back, severity: violation.severity, isRecovery: true }];
}
