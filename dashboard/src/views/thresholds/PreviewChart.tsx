// The series of one machine with the draft's lines and what it would have opened.

import { useState } from "react";

import { api, type Backtest } from "../../api/client.ts";
import { Chart, type Rule } from "../../charts/Chart.tsx";
import { chartData } from "../../charts/lines.ts";
import { Panel } from "../../components/Panel.tsx";
import { unitOf } from "../../state/catalog.ts";
import { matches } from "../../state/machines.ts";
import { useResource } from "../../state/resource.ts";
import { t } from "../../text/index.ts";
import type { Body } from "./draft.ts";

const POINTS = 500;
/** The axis has room above the threshold. */
const ROOM = 1.05;

interface Props {
  body: Body;
  machine: Backtest["by_machine"][number] | null;
  from: number;
  to: number;
}

export function PreviewChart({ body, machine, from, to }: Props) {
  const machineId = machine?.machine_id ?? body.scope.machine_id ?? null;
  const [zoom, setZoom] = useState<{ of: string; from: number; to: number } | null>(null);
  const of = `${machineId} ${body.metric} ${from} ${to}`;
  const shown = zoom?.of === of ? zoom : { from, to };
  const resource = useResource(`${of} ${shown.from} ${shown.to}`, async (signal) => {
    if (machineId === null) return { series: [], intervalMs: 0 };
    const [answer, { interval_ms }] = await Promise.all([api.series(machineId, [body.metric], shown.from, shown.to, POINTS, signal), api.machine(machineId, signal)]);
    return { series: answer.series, intervalMs: interval_ms };
  });
  if (machineId === null) return null;
  const series = (resource.data?.series ?? []).filter(({ device }) => !body.device || (device !== null && device !== undefined && matches(body.device, device)));
  const data = chartData(series, { metrics: [body.metric], isStacked: false, below: [], intervalMs: resource.data?.intervalMs ?? 0, label: ({ device }) => device ?? body.metric });
  const isValue = body.condition === "value";
  const rules: Rule[] = isValue ? [{ value: body.value ?? 0, severity: body.severity }] : [];
  if (isValue && body.recovery_value !== null && body.recovery_value !== body.value) rules.push({ value: body.recovery_value, severity: body.severity, isRecovery: true });
  const stretches = (machine?.timeline ?? []).map(([opened, closed]) => ({ from: Date.parse(opened ?? ""), to: closed ? Date.parse(closed) : Infinity, severity: body.severity }));
  const title = machine?.name ?? t("preview.chart");
  return (
    <Panel title={title} className="chart-panel" resource={resource} isEmpty={data.t.length === 0} empty={t(unitOf(body.metric) === null ? "preview.noSeries" : "panel.empty")}>
      <Chart
        data={data}
        from={shown.from}
        to={shown.to}
        unit={unitOf(body.metric) ?? ""}
        top={isValue ? (body.value ?? 0) * ROOM : undefined}
        rules={rules}
        stretches={stretches}
        label={title}
        onZoom={(from, to) => setZoom({ of, from, to })}
        onReset={() => setZoom(null)}
      />
    </Panel>
  );
}
