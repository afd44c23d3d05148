// What a list of machines shows of each: one column, one entry.

import type { ReactNode } from "react";

import type { Kind, Severity, Status, Violation } from "../api/client.ts";
import { Sparkline } from "../charts/Sparkline.tsx";
import { ceiling } from "../charts/columns.ts";
import { Meter, SeverityCounts } from "../components/Marks.tsx";
import { bytes, duration, percent, plain, rate } from "../format/numbers.ts";
import { fleets, type Row } from "../state/fleet.ts";
import { sparks } from "../state/sparks.ts";
import { worst } from "../state/violations.ts";
import type { Key } from "../text/index.ts";
import { urgency } from "./fleet-order.ts";

export interface Shown {
  row: Row;
  status: Status;
  violations: readonly Violation[];
  hostName: string;
}

export interface Column {
  id: string;
  title: Key;
  /** Track of the grid. */
  width: string;
  /** 1: always there, 3: only where there is much room. */
  rank: 1 | 2 | 3;
  /** What it is sorted by; numbers begin with the greatest. */
  key?: (shown: Shown) => number | string | null;
  isText?: boolean;
  render: (shown: Shown) => ReactNode;
}

const host = fleets.host;
const container = fleets.container;

function severityOf(violations: readonly Violation[], ...metrics: string[]): Severity | null {
  return worst(violations.filter((violation) => metrics.includes(violation.metric)));
}

function numberOf(kind: Kind, metric: string) {
  return ({ row }: Shown) => fleets[kind].number(row, metric);
}

const share = (kind: Kind, metric: string, ...alsoBy: string[]): Pick<Column, "key" | "render"> => ({
  key: numberOf(kind, metric),
  render: ({ row, violations }) => {
    const value = fleets[kind].number(row, metric);
    return <Meter share={value} text={percent(value)} severity={severityOf(violations, metric, ...alsoBy)} />;
  },
});

const pair = (kind: Kind, one: string, other: string): Pick<Column, "key" | "render"> => ({
  key: ({ row }) => {
    const [first, second] = [fleets[kind].number(row, one), fleets[kind].number(row, other)];
    return first === null && second === null ? null : (first ?? 0) + (second ?? 0);
  },
  render: ({ row }) => (
    <span className="pair">
      <span>{rate(fleets[kind].number(row, one))}</span>
      <span>{rate(fleets[kind].number(row, other))}</span>
    </span>
  ),
});

const violations: Column = {
  id: "violations",
  title: "column.violations",
  width: "minmax(64px, 84px)",
  rank: 1,
  key: ({ status, violations }) => urgency(status, violations),
  render: ({ violations }) => <SeverityCounts violations={violations} />,
};

const name: Column = { id: "name", title: "column.name", width: "minmax(150px, 2.2fr)", rank: 1, isText: true, key: ({ row }) => row.name, render: () => null };

const HOST: Column[] = [
  name,
  violations,
  {
    id: "history",
    title: "column.history",
    width: "minmax(80px, 1.2fr)",
    rank: 1,
    render: ({ row }) => <Sparkline values={sparks.host.get(row.id)} top={1} />,
  },
  { id: "cpu", title: "column.cpu", width: "minmax(76px, 1fr)", rank: 1, ...share("host", "system.cpu.utilization") },
  { id: "memory", title: "column.memory", width: "minmax(76px, 1fr)", rank: 1, ...share("host", "system.memory.utilization") },
  {
    id: "filesystem",
    title: "column.filesystem",
    width: "minmax(110px, 1.3fr)",
    rank: 1,
    key: numberOf("host", "system.filesystem.utilization"),
    render: ({ row, violations }) => {
      const value = host.number(row, "system.filesystem.utilization");
      const severity = severityOf(violations, "system.filesystem.utilization", "system.filesystem.inodes.utilization");
      return <Meter share={value} text={percent(value)} severity={severity} note={host.value(row, "mountpoint") as string | null} />;
    },
  },
  { id: "disk", title: "column.disk", width: "minmax(76px, 0.9fr)", rank: 3, ...share("host", "system.disk.utilization") },
  { id: "network", title: "column.network", width: "minmax(160px, 1.3fr)", rank: 2, ...pair("host", "system.network.receive", "system.network.transmit") },
  {
    id: "load",
    title: "column.load",
    width: "60px",
    rank: 3,
    key: numberOf("host", "system.cpu.load_average.1m"),
    render: ({ row }) => <span className="number">{plain(host.number(row, "system.cpu.load_average.1m"))}</span>,
  },
  {
    id: "temperature",
    title: "column.temperature",
    width: "62px",
    rank: 3,
    key: numberOf("host", "hw.temperature"),
    render: ({ row }) => {
      const value = host.number(row, "hw.temperature");
      return <span className="number">{value === null ? "–" : `${value.toFixed(0)} °C`}</span>;
    },
  },
  {
    id: "uptime",
    title: "column.uptime",
    width: "84px",
    rank: 3,
    key: numberOf("host", "system.uptime"),
    render: ({ row }) => <span className="number">{duration(host.number(row, "system.uptime"))}</span>,
  },
];

const CONTAINER: Column[] = [
  name,
  violations,
  {
    id: "host",
    title: "column.host",
    width: "minmax(100px, 1.2fr)",
    rank: 2,
    isText: true,
    key: ({ hostName }) => hostName,
    render: ({ hostName }) => <span className="text">{hostName}</span>,
  },
  {
    id: "image",
    title: "column.image",
    width: "minmax(90px, 1.2fr)",
    rank: 3,
    isText: true,
    key: ({ row }) => String(row.facts.image ?? ""),
    render: ({ row }) => <span className="text muted">{String(row.facts.image ?? "")}</span>,
  },
  {
    id: "history",
    title: "column.history",
    width: "minmax(80px, 1.1fr)",
    rank: 1,
    render: ({ row }) => {
      const values = sparks.container.get(row.id);
      const greatest = Math.max(0.1, ...(values ?? []).map((value) => value ?? 0));
      return <Sparkline values={values} top={ceiling(container.number(row, "container.cpu.limit") ?? greatest)} />;
    },
  },
  {
    id: "cpu",
    title: "column.cpu",
    width: "minmax(76px, 0.9fr)",
    rank: 1,
    key: numberOf("container", "container.cpu.usage"),
    render: ({ row, violations }) => {
      const [usage, limit] = [container.number(row, "container.cpu.usage"), container.number(row, "container.cpu.limit")];
      const severity = severityOf(violations, "container.cpu.usage", "container.cpu.throttled");
      return <Meter share={usage !== null && limit ? usage / limit : null} text={plain(usage)} severity={severity} note={limit ? `/ ${plain(limit, limit % 1 ? 1 : 0)}` : null} />;
    },
  },
  {
    id: "memory",
    title: "column.memory",
    width: "minmax(110px, 1.1fr)",
    rank: 1,
    key: numberOf("container", "container.memory.working_set"),
    render: ({ row, violations }) => {
      const shareOf = container.number(row, "container.memory.utilization");
      const severity = severityOf(violations, "container.memory.utilization");
      return <Meter share={shareOf} text={percent(shareOf)} severity={severity} note={bytes(container.number(row, "container.memory.working_set"))} />;
    },
  },
  { id: "network", title: "column.network", width: "minmax(160px, 1.2fr)", rank: 2, ...pair("container", "container.network.receive", "container.network.transmit") },
  { id: "io", title: "column.io", width: "minmax(160px, 1.2fr)", rank: 3, ...pair("container", "container.disk.read", "container.disk.write") },
  {
    id: "uptime",
    title: "column.uptime",
    width: "84px",
    rank: 3,
    key: ({ row }) => {
      const started = container.number(row, "started_at");
      return started === null ? null : Date.now() - started;
    },
    render: ({ row }) => {
      const started = container.number(row, "started_at");
      return <span className="number">{started === null ? "–" : duration(Math.max(0, (row.at - started) / 1_000))}</span>;
    },
  },
  {
    id: "restarts",
    title: "column.restarts",
    width: "72px",
    rank: 3,
    key: numberOf("container", "restarts"),
    render: ({ row }) => <span className="number">{container.number(row, "restarts") ?? "–"}</span>,
  },
];

export const COLUMNS: Record<Kind, readonly Column[]> = { host: HOST, container: CONTAINER };
