// One host or container: what it does now, its charts, what is watched, and what it is.

import { useCallback, useEffect, useMemo, useRef } from "react";

import { api, Failure, type Kind, type Machine, type Violation } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { Panel } from "../components/Panel.tsx";
import { RangePicker } from "../components/RangePicker.tsx";
import { dateAndTime, day } from "../format/times.ts";
import { now, on } from "../live/live.ts";
import { useQuery } from "../router.ts";
import { FleetStore } from "../state/fleet.ts";
import { useResource } from "../state/resource.ts";
import { useStore } from "../state/store.ts";
import { onThresholds } from "../state/versions.ts";
import { t, type Key } from "../text/index.ts";
import { CHARTS } from "./chart-list.ts";
import { ChartPanel } from "./ChartPanel.tsx";
import { choiceOf } from "./fleet-order.ts";
import { markOf } from "./machine-events.ts";
import { MachineEvents, useMachineEvents } from "./MachineEvents.tsx";
import { MachineHead } from "./MachineHead.tsx";
import { MachineTable } from "./MachineTable.tsx";
import { ends, key, rangeOf, type Range } from "./range.ts";
import { RulesInForce } from "./RulesInForce.tsx";
import { useLiveMachine } from "./useLiveMachine.ts";
import { grouped } from "./violations/order.ts";
import { ViolationList } from "./violations/ViolationList.tsx";

/** Violations of a machine in a range that are shown and drawn. */
const VIOLATIONS = 200;

export function MachineView({ kind, id }: { kind: Kind; id: string }) {
  const main = useRef<HTMLDivElement>(null);
  const scroller = useCallback(() => main.current, []);
  const resource = useResource(id, (signal) => readMachine(id, signal));
  const machine = useLiveMachine(resource, id);
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
      <MachineHead machine={machine} />
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
          <RulesInForce rules={rules.data ?? []} />
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
