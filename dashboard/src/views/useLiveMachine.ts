// A machine with what its newest report says, and whether it says anything.

import { useEffect, useMemo, useState } from "react";

import type { Machine, Status } from "../api/client.ts";
import { on, onLive, want } from "../live/live.ts";
import { isLate, type Report } from "../state/fleet.ts";
import type { Resource } from "../state/resource.ts";
import { coalesced } from "../state/store.ts";

const DRAW_MS = 1_000;

interface Heard {
  report: Report | null;
  status: Status | null;
  isLate: boolean;
}

export function useLiveMachine({ data, reload }: Resource<Machine | "unknown">, id: string): Machine | "unknown" | null {
  const [heard, setHeard] = useState<Heard>({ report: null, status: null, isLate: false });
  const intervalMs = data && data !== "unknown" ? data.interval_ms : null;
  useEffect(() => {
    let report: Report | null = null;
    let status: Status | null = null;
    let heardAt = Date.now();
    let wasLate = false;
    const draw = coalesced(() => setHeard({ report, status, isLate: wasLate }), DRAW_MS);
    const hear = () => {
      heardAt = Date.now();
      wasLate = false;
    };
    const changed = (isUp: boolean) => (event: { machine_id: string; state: string }) => {
      if (event.machine_id !== id) return;
      status = isUp ? "up" : event.state === "down" ? "down" : event.state === "gone" ? "gone" : "stopped";
      draw();
      // since when and why is among its facts
      reload();
    };
    const ends = [
      want([], [id]),
      on<Report>("report", (body) => {
        if (body.machine_id !== id) return;
        // the stream begins with the one that is known
        if (report && body.at !== report.at && status === "down") status = null;
        if (body.at !== report?.at) hear();
        report = body;
        draw();
      }),
      on("machine.up", changed(true)),
      on("machine.down", changed(false)),
      on("clock", () => {
        if (wasLate || intervalMs === null || !isLate(Date.now() - heardAt, intervalMs)) return;
        wasLate = true;
        draw();
      }),
      // nothing is heard while the page is hidden or the stream is away
      onLive(hear),
    ];
    return () => ends.forEach((end) => end());
  }, [id, intervalMs, reload]);
  return useMemo(() => (data && data !== "unknown" ? now(data, heard) : data), [data, heard]);
}

function now(read: Machine, { report, status, isLate }: Heard): Machine {
  const late = (other: Status): Status => (other === "up" && isLate ? "late" : other);
  const isNewer = report !== null && report.machine_id === read.id && Date.parse(report.at) > Date.parse(read.last_report_at);
  if (!isNewer) return { ...read, status: late(status ?? read.status) };
  const isBack = read.status === "late" || (read.status === "down" && status === null);
  return {
    ...read,
    status: late(status ?? (isBack ? "up" : read.status)),
    last_report_at: report.at,
    latest: report.latest,
    devices: (report.devices ?? read.devices) as Machine["devices"],
  };
}
