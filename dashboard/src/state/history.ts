// Series of one machine over a range, going on live while the range ends now.

import { useCallback, useEffect, useMemo, useRef, useState } from "react";

import { api, type Series } from "../api/client.ts";
import { append, trim } from "../charts/columns.ts";
import { now, on } from "../live/live.ts";
import { ends, key, type Range } from "../views/range.ts";
import type { Report } from "./fleet.ts";
import { useResource, type Resource } from "./resource.ts";
import { coalesced } from "./store.ts";

/** Points of one line: about as many as pixels. */
const POINTS = 500;
const DRAW_MS = 1_000;
/** The past is read again at least so often: no timer counts up to the quarter of a year. */
const PAST_MAX_MS = 86_400_000;

interface Question {
  machineId: string;
  metrics: readonly string[];
  range: Range;
  intervalMs: number;
  device?: { table: string; column: string } | undefined;
  /** Nothing is asked until the chart comes into view. */
  isVisible: boolean;
  /** How far back the compared past lies, and which metrics it has. */
  past?: { shiftMs: number; metrics: readonly string[] } | undefined;
}

export interface History {
  resource: Resource<Series[]>;
  past: readonly Series[] | null;
  /** Rises when something was added to the series, which are changed in place. */
  version: number;
}

const NEVER = new Promise<never>(() => {});

export function useHistory(question: Question): History {
  const { machineId, metrics, range, intervalMs, device, isVisible, past } = question;
  const names = metrics.join();
  const resource = useResource(`${machineId} ${names} ${key(range)} ${isVisible}`, async (signal) => {
    if (!isVisible) return NEVER;
    const { from, to } = ends(range, now());
    const answer = await api.series(machineId, metrics, from, to, POINTS, signal);
    return answer.series;
  });
  // a range that moves on is followed by its past for a while, and before that ends it is read again
  const more = range.type === "live" ? range.ms / 4 : 0;
  const pastKey = past ? `${machineId} ${past.metrics.join()} ${key(range)} ${past.shiftMs} ${isVisible}` : "";
  const before = useResource(pastKey, async (signal) => {
    if (!past || !isVisible) return NEVER;
    const { from, to } = ends(range, now());
    const answer = await api.series(machineId, past.metrics, from - past.shiftMs, to - past.shiftMs + more, POINTS, signal);
    return answer.series;
  });
  const reloadPast = before.reload;
  useEffect(() => {
    if (!pastKey || more === 0) return;
    const timer = setInterval(reloadPast, Math.min(more * 0.8, PAST_MAX_MS));
    return () => clearInterval(timer);
  }, [pastKey, more, reloadPast]);

  const [version, setVersion] = useState(0);
  const draw = useMemo(() => coalesced(() => setVersion((before) => before + 1), DRAW_MS), []);
  const series = useRef<Series[] | null>(null);
  useEffect(() => {
    series.current = resource.data;
  }, [resource.data]);
  useEffect(() => {
    if (range.type !== "live") return;
    return on<Report>("report", (report) => {
      if (report.machine_id !== machineId || !series.current) return;
      take(series.current, report, { machineId, intervalMs, names: names.split(","), device });
      for (const one of series.current) trim(one, now() - range.ms * 1.2);
      draw();
    });
  }, [machineId, names, range, intervalMs, device, draw]);

  const { reload } = resource;
  const reloadBoth = useCallback(() => {
    reload();
    reloadPast();
  }, [reload, reloadPast]);
  // a chart without its past says why
  return { resource: { ...resource, error: resource.error ?? (resource.data && before.error), reload: reloadBoth }, past: before.data, version };
}

interface Known {
  machineId: string;
  intervalMs: number;
  names: readonly string[];
  device?: { table: string; column: string } | undefined;
}

/** Adds a report's values; a device or metric that was not there before begins here. */
function take(all: Series[], report: Report, { machineId, intervalMs, names, device }: Known): void {
  const at = Date.parse(report.at);
  const add = (metric: string, of: string | null, value: unknown) => {
    if (typeof value !== "number") return;
    let found = all.find((one) => one.metric === metric && (one.device ?? null) === of);
    if (!found) {
      const resolution = all[0]?.resolution_ms ?? intervalMs;
      found = { machine_id: machineId, metric, unit: all[0]?.unit ?? null, device: of, resolution_ms: resolution, t: [], min: [], avg: [], max: [] };
      all.push(found);
    }
    append(found, at, value, intervalMs);
  };
  for (const metric of names) {
    if (!device) add(metric, null, report.latest[metric]);
    else for (const row of report.devices?.[device.table] ?? []) add(metric, String(row[device.column]), row[metric]);
  }
}
