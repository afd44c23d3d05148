// All collectors: first those of which the backend says that something is wrong, then the others. Pure.

import type { Pipeline } from "../../api/client.ts";
import { lateAfterMs, type Row } from "../../state/fleet.ts";

export interface Collector {
  hostId: string;
  /** Of the host in the page; `null` while it is not known. */
  machineId: string | null;
  name: string;
  version: string | null;
  /** Time of its newest report, Unix ms. */
  newestAt: number;
  /** By how much its last report came late, or for how long none came if that is longer; `null`: it is not told, since it is in time. */
  lateMs: number | null;
  isSilent: boolean;
  /** What is only told of those of which something is wrong. */
  spool: { reports: number; bytes: number } | null;
  missing: { removed: number; lost: number } | null;
}

type Told = Pipeline["hosts"][number];

const isSilent = (ageMs: number, intervalMs: number) => ageMs > lateAfterMs(intervalMs);

/** What collectors took away themselves. */
export const removed = ({ thinned, dropped, damaged }: { thinned: number; dropped: number; damaged: number }) => thinned + dropped + damaged;

export function collectors(told: readonly Told[], hosts: Iterable<Row>, at: number): Collector[] {
  const rows = new Map([...hosts].map((row) => [row.hostId, row]));
  const first = told.map((host) => {
    const row = rows.get(host.host_id);
    rows.delete(host.host_id);
    const newestAt = Math.max(Date.parse(host.newest_report_at), row?.at ?? 0);
    const silent = isSilent(at - newestAt, row?.intervalMs ?? 0);
    return {
      hostId: host.host_id,
      machineId: host.machine_id ?? null,
      name: host.host_name,
      version: host.collector_version ?? null,
      newestAt,
      lateMs: silent ? at - newestAt : host.late_seconds * 1_000,
      isSilent: silent,
      spool: { reports: host.spool_reports ?? 0, bytes: host.spool_bytes ?? 0 },
      missing: { removed: removed(host.missing), lost: host.missing.lost },
    };
  });
  const others = [...rows.values()].map((row) => {
    const silent = isSilent(at - row.at, row.intervalMs);
    const { collector } = row.facts;
    const version = typeof collector === "string" ? collector : null;
    return { hostId: row.hostId, machineId: row.id, name: row.name, version, newestAt: row.at, lateMs: silent ? at - row.at : null, isSilent: silent, spool: null, missing: null };
  });
  return [...first, ...others.sort((one, other) => (one.name < other.name ? -1 : 1))];
}
