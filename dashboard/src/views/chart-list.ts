// Which charts a machine has: one entry, one chart.

import type { Kind } from "../api/client.ts";
import type { Key } from "../text/index.ts";

export interface ChartEntry {
  id: string;
  title: Key;
  metrics: readonly string[];
  /** Unit of the catalog that all its metrics have. */
  unit: string;
  /** Of a chart of devices: their table and the column with their names. */
  device?: { table: string; column: string };
  /** What its lines are called, by metric; of devices behind the device's name. */
  names: Record<string, Key>;
  /** Lines stand on each other. */
  isStacked?: boolean;
  /** These are drawn below the axis. */
  below?: readonly string[];
  /** The axis ends here, whatever the values. */
  limit?: number;
  /** These are drawn when the others come near them, and always read in the legend. */
  whenNear?: readonly string[];
  /** What the past is compared by; of a stack the whole. */
  compare?: string;
  /** Metrics whose thresholds and violations belong here, beside its own. */
  watches?: readonly string[];
}

const FILESYSTEM = { table: "filesystem", column: "mountpoint" };
const DISK = { table: "disk", column: "device" };
const NETWORK = { table: "network", column: "interface" };
const SENSOR = { table: "sensor", column: "sensor" };

const HOST: ChartEntry[] = [
  {
    id: "cpu",
    title: "chart.cpu",
    unit: "1",
    metrics: ["system.cpu.user.utilization", "system.cpu.system.utilization", "system.cpu.iowait.utilization", "system.cpu.steal.utilization"],
    names: {
      "system.cpu.user.utilization": "line.user",
      "system.cpu.system.utilization": "line.system",
      "system.cpu.iowait.utilization": "line.iowait",
      "system.cpu.steal.utilization": "line.steal",
    },
    isStacked: true,
    limit: 1,
    compare: "system.cpu.utilization",
    watches: ["system.cpu.utilization"],
  },
  {
    id: "memory",
    title: "chart.memory",
    unit: "1",
    metrics: ["system.memory.utilization", "system.paging.utilization"],
    names: { "system.memory.utilization": "line.used", "system.paging.utilization": "line.swap" },
    limit: 1,
    compare: "system.memory.utilization",
  },
  {
    id: "network",
    title: "chart.network",
    unit: "By/s",
    device: NETWORK,
    metrics: ["system.network.receive", "system.network.transmit"],
    names: { "system.network.receive": "line.receive", "system.network.transmit": "line.transmit" },
    below: ["system.network.transmit"],
  },
  {
    id: "disk",
    title: "chart.disk",
    unit: "By/s",
    device: DISK,
    metrics: ["system.disk.read", "system.disk.write"],
    names: { "system.disk.read": "line.read", "system.disk.write": "line.write" },
    below: ["system.disk.write"],
  },
  { id: "filesystem", title: "chart.filesystem", unit: "1", device: FILESYSTEM, metrics: ["system.filesystem.utilization"], names: {}, limit: 1 },
  { id: "diskBusy", title: "chart.diskBusy", unit: "1", device: DISK, metrics: ["system.disk.utilization"], names: {}, limit: 1 },
  {
    id: "pressure",
    title: "chart.pressure",
    unit: "1",
    metrics: ["system.pressure.cpu.some", "system.pressure.memory.some", "system.pressure.memory.full", "system.pressure.io.some", "system.pressure.io.full"],
    names: {
      "system.pressure.cpu.some": "line.cpuSome",
      "system.pressure.memory.some": "line.memorySome",
      "system.pressure.memory.full": "line.memoryFull",
      "system.pressure.io.some": "line.ioSome",
      "system.pressure.io.full": "line.ioFull",
    },
    limit: 1,
  },
  {
    id: "load",
    title: "chart.load",
    unit: "{thread}",
    metrics: ["system.cpu.load_average.1m", "system.cpu.load_average.5m", "system.cpu.load_average.15m"],
    names: { "system.cpu.load_average.1m": "line.1m", "system.cpu.load_average.5m": "line.5m", "system.cpu.load_average.15m": "line.15m" },
    compare: "system.cpu.load_average.5m",
  },
  { id: "sensor", title: "chart.sensor", unit: "Cel", device: SENSOR, metrics: ["hw.temperature"], names: {} },
  { id: "inodes", title: "chart.inodes", unit: "1", device: FILESYSTEM, metrics: ["system.filesystem.inodes.utilization"], names: {}, limit: 1 },
  {
    id: "networkFaults",
    title: "chart.networkFaults",
    unit: "{packet}/s",
    device: NETWORK,
    metrics: ["system.network.receive.errors", "system.network.transmit.errors", "system.network.receive.dropped", "system.network.transmit.dropped"],
    names: {
      "system.network.receive.errors": "line.errorsIn",
      "system.network.transmit.errors": "line.errorsOut",
      "system.network.receive.dropped": "line.droppedIn",
      "system.network.transmit.dropped": "line.droppedOut",
    },
  },
  { id: "process", title: "chart.process", unit: "{process}", metrics: ["system.process.count"], names: { "system.process.count": "line.count" }, compare: "system.process.count" },
];

const CONTAINER: ChartEntry[] = [
  {
    id: "cpu",
    title: "chart.cpu",
    unit: "{cpu}",
    metrics: ["container.cpu.usage"],
    names: { "container.cpu.usage": "line.cores" },
    compare: "container.cpu.usage",
  },
  {
    id: "memory",
    title: "chart.memory",
    unit: "By",
    metrics: ["container.memory.working_set", "container.memory.usage", "container.memory.limit"],
    names: { "container.memory.working_set": "line.workingSet", "container.memory.usage": "line.usage", "container.memory.limit": "line.limit" },
    whenNear: ["container.memory.limit"],
    compare: "container.memory.working_set",
    watches: ["container.memory.utilization"],
  },
  {
    id: "network",
    title: "chart.network",
    unit: "By/s",
    metrics: ["container.network.receive", "container.network.transmit"],
    names: { "container.network.receive": "line.receive", "container.network.transmit": "line.transmit" },
    below: ["container.network.transmit"],
  },
  {
    id: "disk",
    title: "chart.disk",
    unit: "By/s",
    metrics: ["container.disk.read", "container.disk.write"],
    names: { "container.disk.read": "line.read", "container.disk.write": "line.write" },
    below: ["container.disk.write"],
  },
  { id: "throttled", title: "chart.throttled", unit: "1", metrics: ["container.cpu.throttled"], names: {}, limit: 1, compare: "container.cpu.throttled" },
  { id: "process", title: "chart.process", unit: "{process}", metrics: ["container.process.count"], names: { "container.process.count": "line.count" }, compare: "container.process.count" },
];

export const CHARTS: Record<Kind, readonly ChartEntry[]> = { host: HOST, container: CONTAINER };
