// Silences, and what they are about now: read when the stream is there, after changes, and whenever one begins or ends.

import { api, type Kind, type Silence } from "../api/client.ts";
import { now, onLive } from "../live/live.ts";
import { fleets, type Row } from "./fleet.ts";
import { fits } from "./machines.ts";
import { reasonOf } from "./saving.ts";
import { Store } from "./store.ts";
import { onSilences } from "./versions.ts";
import { reload as reloadViolations } from "./violations.ts";

export interface Known {
  /** `null`: not read yet. */
  all: readonly Silence[] | null;
  /** Those by which machines are being worked on now. */
  maintenances: readonly Silence[];
  /** Why they could not be read last; what was read before stays. */
  error: string | null;
}

export const silences = new Store<Known>({ all: null, maintenances: [], error: null });

export type State = "active" | "coming" | "expired";

/** What it is at a time, which may be later than when it was read. */
export function stateOf({ active_until, next_start_at }: Silence, at: number): State {
  if (active_until && Date.parse(active_until) > at) return "active";
  if (!next_start_at) return "expired";
  return Date.parse(next_start_at) > at ? "coming" : "active";
}

/** A moment after something begins or ends, so that the backend sees it too. */
const AFTER_MS = 500;
/** Timers hold no more. */
const TIMER_MS_MAX = 2 ** 31 - 1;
let timer: ReturnType<typeof setTimeout> | undefined;

async function load(): Promise<void> {
  try {
    const all = await api.silences();
    const maintenances = all.filter((silence) => silence.kind === "maintenance" && stateOf(silence, now()) === "active");
    silences.set({ all, maintenances, error: null });
    const times = all.flatMap(({ active_until, next_start_at }) => [active_until, next_start_at]).map((at) => Date.parse(at ?? ""));
    const next = Math.min(...times.filter((at) => at > now()));
    clearTimeout(timer);
    if (Number.isFinite(next)) timer = setTimeout(reload, Math.min(TIMER_MS_MAX, next - now() + AFTER_MS));
  } catch (error) {
    silences.set({ ...silences.get(), error: reasonOf(error) });
  }
}

/** Reads them again, and which violations they silence. */
export function reload(): void {
  void load();
  void reloadViolations();
}

export function start(): void {
  onLive(() => void load());
  onSilences((isFirst) => (isFirst ? void load() : reload()));
}

/** Why a machine is being worked on, if it is. */
export function maintenanceOf(kind: Kind, row: Row): string | null {
  return silences.get().maintenances.find((silence) => fits(wantedOf(silence), kind, row))?.comment ?? null;
}

function wantedOf({ scope }: Silence) {
  return { kind: scope.kind, machineId: scope.machine_id, hostId: scope.host_id, labels: Object.entries(scope.labels ?? {}) };
}

export const hostOf = (hostId: string): string | null => fleets.host.byHost.get(hostId)?.name ?? null;
