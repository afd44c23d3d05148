// Series of one machine over a range, going on live while the range ends now.

import { useEffect, useMemo, useRef, useState } from "react";

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
  const [pastSeries, setPast] = useState<{ key: string; series: readonly Series[] } | null>(null);
  const pastKey = past ? `${machineId} ${past.metrics.join()} ${key(range)} ${past.shiftMs}` : "";
  useEffect(() => {
    if (!past || !isVisible) return;
    const controller = new AbortController();
    const { from, to } = ends(range, now());
    // a range that moves on is followed by its past for a while
    const more = range.type === "live" ? range.ms / 4 : 0;
    api.series(machineId, past.metrics, from - past.shiftMs, to - past.shiftMs + more, POINTS, controller.signal).then(
      (answer) => setPast({ key: pastKey, series: answer.series }),
      // nothing to compare with is what is shown then
      () => setPast({ key: pastKey, series: [] }),
    );
    return () => controller.abort();
    // the key has all of them
  }, [pastKey, isVisible]); // eslint-disable-line react-hooks/exhaustive-deps

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

  return { resource, past: past && pastSeries?.key === pastKey ? pastSeries.series : null, version };
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
