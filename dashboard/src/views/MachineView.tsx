// One host or container: what it does now, its charts, what is watched, and what it is.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { api, Failure, type InForce, type Kind, type Machine, type Violation } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { SeverityMark, StatusMark } from "../components/Marks.tsx";
import { Panel } from "../components/Panel.tsx";
import { Scrolls } from "../components/Scrolls.tsx";
import { RangePicker } from "../components/RangePicker.tsx";
import { bytes, duration, percent, plain, rate } from "../format/numbers.ts";
import { dateAndTime, day, minute } from "../format/times.ts";
import { now, on, want } from "../live/live.ts";
import { machinePath, useQuery } from "../router.ts";
import { FleetStore, type Report } from "../state/fleet.ts";
import { useResource } from "../state/resource.ts";
import { coalesced, useStore } from "../state/store.ts";
import { onThresholds } from "../state/versions.ts";
import { open } from "../state/violations.ts";
import { t, type Key } from "../text/index.ts";
import { CHARTS } from "./chart-list.ts";
import { ChartPanel } from "./ChartPanel.tsx";
import { choiceOf } from "./fleet-order.ts";
import { newSilenceLink } from "./links.ts";
import { markOf } from "./machine-events.ts";
import { MachineEvents, useMachineEvents } from "./MachineEvents.tsx";
import { MachineTable } from "./MachineTable.tsx";
import { ends, key, rangeOf, type Range } from "./range.ts";
import { condition, origin } from "./threshold-text.ts";
import { grouped } from "./violations/order.ts";
import { ViolationList } from "./violations/ViolationList.tsx";

const DRAW_MS = 1_000;
/** Violations of a machine in a range that are shown and drawn. */
const VIOLATIONS = 200;

export function MachineView({ kind, id }: { kind: Kind; id: string }) {
  const main = useRef<HTMLDivElement>(null);
  const scroller = useCallback(() => main.current, []);
  const resource = useResource(id, (signal) => readMachine(id, signal));
  const machine = useLiveMachine(resource.data, id);
  const rules = useResource(`${id} rules`, (signal) => api.inForce(id, signal), onThresholds);
  const [query] = useQuery();
  const range = rangeOf(query);
  const violations = useResource(`${id} ${key(range)} violations`, async (signal) => {
    const { from, to } = ends(range, now());
    const until = range.type === "live" ? undefined : new Date(to).toISOString();
    return (await api.violations({ machine_id: id, from: new Date(from).toISOString(), to: until, limit: VIOLATIONS }, signal)).items;
  });
  const events = useMachineEvents(id, range);
  const marks = useMemo(() => (events.data?.items ?? []).map(markOf), [events.data]);
  const reloadViolations = violations.reload;
  useEffect(() => {
    const look = (violation: Violation) => violation.machine_id === id && reloadViolations();
    const ends = ["violation.opened", "violation.closed", "violation.acknowledged", "violation.silenced"].map((name) => on<Violation>(name, look));
    return () => ends.forEach((end) => end());
  }, [id, reloadViolations]);

  const lines = useMemo(() => grouped(violations.data ?? [], ""), [violations.data]);

  if (!machine) {
    return (
      <div className="view">
        <Panel title={id} resource={resource}>
          {null}
        </Panel>
      </div>
    );
  }
  if (machine === "unknown") {
    return (
      <div className="view">
        <div className="nothing">
          <p>{t("machine.unknown")}</p>
          <Link href="/">{t("nowhere.back")}</Link>
        </div>
      </div>
    );
  }
  return (
    <div className="view machine" ref={main}>
      <Head machine={machine} />
      <RangePicker />
      <div className="charts" title={t("range.hint")}>
        {CHARTS[kind]
          .filter((entry) => isThere(machine, entry))
          .map((entry) => (
            <ChartPanel key={entry.id} machineId={id} intervalMs={machine.interval_ms} entry={entry} range={range} rules={rules.data ?? []} violations={violations.data ?? []} marks={marks} />
          ))}
      </div>
      {kind === "host" && <Containers hostId={machine.host_id} scroller={scroller} />}
      <div className="beside">
        <MachineEvents events={events} />
        <Panel title={t("machine.violations")} aside={<Link href={historyOf(machine, range)}>{t("violations.byDate")}</Link>} resource={violations} isEmpty={violations.data?.length === 0} empty={t("machine.violations.none")}>
          <ViolationList lines={lines} scroller={scroller} label={t("machine.violations")} hidesMachine />
        </Panel>
        <Panel title={t("machine.thresholds")} resource={rules} isEmpty={rules.data?.length === 0} empty={t("machine.thresholds.none")}>
          <Rules rules={rules.data ?? []} />
        </Panel>
        <Facts machine={machine} />
      </div>
    </div>
  );
}

async function readMachine(id: string, signal: AbortSignal): Promise<Machine | "unknown"> {
  try {
    return await api.machine(id, signal);
  } catch (error) {
    if (error instanceof Failure && error.status === 404) return "unknown";
    throw error;
  }
}

/** The machine with what its newest report says. */
function useLiveMachine(read: Machine | "unknown" | null, id: string): Machine | "unknown" | null {
  const [newest, setNewest] = useState<{ report: Report | null; status: Machine["status"] | null }>({ report: null, status: null });
  useEffect(() => {
    let report: Report | null = null;
    let status: Machine["status"] | null = null;
    const draw = coalesced(() => setNewest({ report, status }), DRAW_MS);
    const changed = (isUp: boolean) => (event: { machine_id: string; state: string }) => {
      if (event.machine_id !== id) return;
      status = isUp ? "up" : event.state === "down" ? "down" : event.state === "gone" ? "gone" : "stopped";
      draw();
    };
    const ends = [
      want([], [id]),
      on<Report>("report", (body) => {
        if (body.machine_id !== id) return;
        report = body;
        if (status === "down") status = null;
        draw();
      }),
      on("machine.up", changed(true)),
      on("machine.down", changed(false)),
    ];
    return () => ends.forEach((end) => end());
  }, [id]);
  return useMemo(() => {
    if (!read || read === "unknown") return read;
    const { report, status } = newest;
    const isNewer = report !== null && report.machine_id === read.id && Date.parse(report.at) > Date.parse(read.last_report_at);
    if (!isNewer) return status ? { ...read, status } : read;
    const isBack = read.status === "late" || (read.status === "down" && status === null);
    return { ...read, status: status ?? (isBack ? "up" : read.status), last_report_at: report.at, latest: report.latest, devices: (report.devices ?? read.devices) as Machine["devices"] };
  }, [read, newest]);
}

/** The violations of this range, of a host with those of its containers. */
function historyOf(machine: Machine, range: Range): string {
  const words: Record<string, string> = range.type === "live" ? { range: range.name } : { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
  return `/violations?${new URLSearchParams({ ...words, ...(machine.kind === "host" ? { host_id: machine.host_id } : { machine_id: machine.id }) })}`;
}

/** Charts of devices that a machine has none of are left out. */
function isThere(machine: Machine, entry: { device?: { table: string; column: string }; metrics: readonly string[]; id: string }): boolean {
  const rows = entry.device ? (machine.devices[entry.device.table] ?? []) : null;
  if (rows) return rows.some((row) => entry.metrics.some((metric) => metric in row));
  return entry.metrics.some((metric) => metric in machine.latest) || Object.keys(machine.latest).length === 0;
}

function Head({ machine }: { machine: Machine }) {
  const violations = useStore(open).byMachine.get(machine.id) ?? [];
  const latest = machine.latest;
  const figures: [string, string][] =
    machine.kind === "host"
      ? [
          [t("column.cpu"), percent(latest["system.cpu.utilization"])],
          [t("column.load"), plain(latest["system.cpu.load_average.1m"])],
          [t("column.memory"), `${percent(latest["system.memory.utilization"])} / ${bytes(latest["system.memory.limit"])}`],
          [t("column.uptime"), duration(latest["system.uptime"])],
        ]
      : [
          [t("column.cpu"), plain(latest["container.cpu.usage"])],
          [t("column.memory"), `${bytes(latest["container.memory.working_set"])} / ${bytes(latest["container.memory.limit"])}`],
          [t("column.network"), `${rate(latest["container.network.receive"])} ${rate(latest["container.network.transmit"])}`],
        ];
  return (
    <header className="machine-head">
      <div>
        <h1>
          <StatusMark status={machine.status} /> {machine.name}
          {violations.map((violation) => (
            <SeverityMark key={violation.id} severity={violation.severity} />
          ))}
          {machine.maintenance && (
            <span className="mark" title={machine.maintenance.comment}>
              {t("machine.maintenance", { time: minute(machine.maintenance.until) })}
            </span>
          )}
        </h1>
        <p className="muted">
          {machine.kind === "container" && <HostLink hostId={machine.host_id} name={machine.host_name ?? machine.host_id} />} {t("machine.lastReport", { time: dateAndTime(machine.last_report_at) })}{" "}
          <Link href={newSilenceLink(machine.kind === "host" ? { hostId: machine.host_id } : { machineId: machine.id })}>{t("machine.silence")}</Link>
        </p>
      </div>
      <dl className="figures">
        {figures.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </header>
  );
}

function HostLink({ hostId, name }: { hostId: string; name: string }) {
  const host = useResource(`host ${hostId}`, (signal) => api.host(hostId, signal));
  const text = t("machine.on", { host: name });
  return host.data ? <Link href={machinePath("host", host.data.id)}>{text}</Link> : <span>{text}</span>;
}

function Containers({ hostId, scroller }: { hostId: string; scroller: () => HTMLElement | null }) {
  const fleet = useMemo(() => new FleetStore("container", hostId), [hostId]);
  useEffect(() => fleet.use(), [fleet]);
  useStore(fleet.drawn);
  const { state, error } = useStore(fleet.loading);
  const [query] = useQuery();
  const choice = useMemo(() => ({ ...choiceOf(new URLSearchParams(), "-cpu"), sort: query.get("sort") ?? "-cpu" }), [query]);
  const reload = () => void fleet.load();
  return (
    <Panel
      title={t("machine.containers")}
      aside={<span className="count">{fleet.rows.size}</span>}
      resource={{ data: state === "ready" ? true : null, error, loading: state === "loading", reload }}
      isEmpty={fleet.rows.size === 0}
      empty={t("machine.containers.none")}
    >
      <MachineTable fleet={fleet} choice={choice} scroller={scroller} />
    </Panel>
  );
}

function Rules({ rules }: { rules: readonly InForce[] }) {
  return (
    <Scrolls label={t("machine.thresholds")}>
    <table>
      <tbody>
        {rules.map((rule) => (
          <tr key={`${rule.threshold.id} ${rule.device ?? ""}`}>
            <td>
              <SeverityMark severity={rule.threshold.severity} />
            </td>
            <td className="metric">
              {rule.metric} {rule.device && <b>{rule.device}</b>}
            </td>
            <td>
              <Link href={`/thresholds/${rule.threshold.id}`}>{condition(rule.threshold)}</Link>
            </td>
            <td className="muted">{origin(rule)}</td>
          </tr>
        ))}
      </tbody>
    </table>
    </Scrolls>
  );
}

/** Facts that have names in the page's language. */
const FACTS = ["os", "kernel", "cpus", "collector", "id", "image", "state", "health", "started_at", "finished_at", "exit_code", "oom_killed", "restarts", "first_seen", "host_id"];
/** Facts that are times. */
const TIMES = ["started_at", "finished_at"];

function Facts({ machine }: { machine: Machine }) {
  const shown = (name: string, value: unknown) => {
    if (TIMES.includes(name) && typeof value === "number") return dateAndTime(value);
    return typeof value === "object" ? JSON.stringify(value) : String(value);
  };
  const known = Object.entries(machine.facts as Record<string, unknown>).filter(([, value]) => value !== null);
  const facts = [...known.map(([name, value]) => [name, shown(name, value)] as const), ["first_seen", day(machine.first_seen_at)] as const, ["host_id", machine.host_id] as const];
  const labels = Object.entries(machine.labels);
  return (
    <Panel title={t("machine.facts")}>
      <dl className="facts">
        {facts.map(([name, value]) => (
          <div key={name}>
            <dt>{FACTS.includes(name) ? t(`fact.${name}` as Key) : name.replaceAll("_", " ")}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      {labels.length > 0 && (
        <>
          <h3>{t("machine.labels")}</h3>
          <dl className="facts">
            {labels.map(([name, value]) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </>
      )}
    </Panel>
  );
}
