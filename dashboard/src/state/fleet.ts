// All hosts, or all containers: read once as rows, then kept true by the stream.

import { api, type Fleet, type Kind, type Status } from "../api/client.ts";
import { now, on, onLive, want } from "../live/live.ts";
import { SPARK_METRIC, sparks } from "./sparks.ts";
import { coalesced, Store } from "./store.ts";

type Cell = number | string | null;

/** A machine in one line. Changed in place; `version` rises with each change, so that only rows that changed are drawn again. */
export interface Row {
  id: string;
  name: string;
  hostId: string;
  status: Status;
  intervalMs: number;
  labels: Record<string, string>;
  facts: Record<string, unknown>;
  /** Time of its newest report, Unix ms. */
  at: number;
  /** When that was heard of, by this browser's clock. */
  heardAt: number;
  values: readonly Cell[];
  version: number;
}

export interface Brief {
  columns: string[];
  rows: (Cell | Record<string, unknown>)[][];
}

/** All values of a machine: the body of `report`. */
export interface Report {
  machine_id: string;
  host_id: string;
  at: string;
  latest: Record<string, number>;
  devices?: Record<string, Record<string, unknown>[]>;
}

interface MachineEvent {
  machine_id: string;
  kind: Kind;
  host_id: string;
  state: string;
}

/** Values come several times a second; people read slower. */
const DRAW_MS = 500;
/** Machines that are not known yet come in swarms. */
const RELOAD_MS = 2_000;
const RUNNING = ["running", "paused", "restarting"];

/** Where each column is among a row's values, as the backend said last. */
const learnt: Record<Kind, Map<string, number>> = { host: new Map(), container: new Map() };

/** Silence after which the backend calls a host late. */
export const lateAfterMs = (intervalMs: number) => Math.max(2 * intervalMs, 5_000);

/** A host that says nothing is late before the backend calls it down. */
export function isLate(silenceMs: number, intervalMs: number): boolean {
  return silenceMs > lateAfterMs(intervalMs) + 1_000;
}

export type Loading = { state: "loading" | "ready"; error: string | null };

export class FleetStore {
  readonly rows = new Map<string, Row>();
  /** The same by the hosts' own ids, of hosts. */
  readonly byHost = new Map<string, Row>();
  /** Rises when something has to be drawn. */
  readonly drawn = new Store(0);
  readonly loading = new Store<Loading>({ state: "loading", error: null });
  /** Rows that the stream brought, since the beginning. */
  heard = 0;
  private users = 0;
  private end: (() => void)[] = [];
  private reloading: ReturnType<typeof setTimeout> | undefined;
  private draw = coalesced(() => this.drawn.set(this.drawn.get() + 1), DRAW_MS);

  /** Of all hosts, or of one. */
  constructor(
    readonly kind: Kind,
    readonly hostId?: string,
  ) {}

  /** A value of a row by the name of its column. */
  value(row: Row, name: string): Cell {
    return row.values[learnt[this.kind].get(name) ?? -1] ?? null;
  }

  number(row: Row, name: string): number | null {
    const value = this.value(row, name);
    return typeof value === "number" ? value : null;
  }

  /** What is shown. */
  status(row: Row): Status {
    return row.status === "up" && isLate(Date.now() - row.heardAt, row.intervalMs) ? "late" : row.status;
  }

  /** Follows the fleet as long as somebody looks. */
  use = (): (() => void) => {
    if (this.users++ === 0) this.begin();
    return () => {
      if (--this.users === 0) this.stop();
    };
  };

  private begin(): void {
    const topic = this.kind === "host" ? "hosts" : "containers";
    this.end = [
      // those of one host come with its own reports
      ...(this.hostId === undefined
        ? [want([topic]), on<Brief>(topic, (brief) => this.take(brief))]
        : [on<Report>("report", (report) => this.takeReport(report))]),
      on<MachineEvent>("machine.up", (event) => this.changed(event, true)),
      on<MachineEvent>("machine.down", (event) => this.changed(event, false)),
      on("clock", () => this.draw()),
      onLive(() => {
        sparks[this.kind].clear();
        void this.load();
      }),
    ];
    // also where no stream is to be had
    if (this.loading.get().state === "loading") void this.load();
  }

  private stop(): void {
    this.end.forEach((end) => end());
    clearTimeout(this.reloading);
    this.reloading = undefined;
  }

  async load(): Promise<void> {
    try {
      const answers: Fleet[] = [];
      let cursor: string | undefined;
      do {
        const answer: Fleet = await api.fleet({ kind: this.kind, host_id: this.hostId, cursor });
        answers.push(answer);
        cursor = answer.next_cursor ?? undefined;
      } while (cursor);
      const known = new Set<string>();
      for (const answer of answers) this.read(answer as Brief, known);
      for (const id of this.rows.keys()) if (!known.has(id)) this.rows.delete(id);
      this.loading.set({ state: "ready", error: null });
    } catch (error) {
      // the last good rows stay
      this.loading.set({ ...this.loading.get(), error: error instanceof Error ? error.message : String(error) });
    }
    this.draw();
  }

  private read(answer: Brief, known: Set<string>): void {
    const head = answer.columns.indexOf("at") + 1;
    learnt[this.kind] = new Map(answer.columns.slice(head).map((name, index) => [name, index]));
    const place = new Map(answer.columns.map((name, index) => [name, index]));
    for (const cells of answer.rows) {
      const cell = (name: string) => cells[place.get(name) ?? -1];
      const id = String(cell("id"));
      known.add(id);
      const before = this.rows.get(id);
      const at = Date.parse(String(cell("at")));
      const isNewer = !before || at >= before.at;
      const read: Row = {
        id,
        name: String(cell("name")),
        hostId: String(cell("host_id")),
        status: cell("status") as Status,
        intervalMs: Number(cell("interval_ms")),
        labels: (cell("labels") ?? {}) as Record<string, string>,
        facts: (cell("facts") ?? {}) as Record<string, unknown>,
        at: isNewer ? at : before.at,
        heardAt: isNewer ? Date.now() - Math.max(0, now() - at) : before.heardAt,
        values: isNewer ? (cells.slice(head) as Cell[]) : before.values,
        version: (before?.version ?? 0) + 1,
      };
      // in place: a list whose order is held has the rows themselves
      const row = before ? Object.assign(before, read) : read;
      this.rows.set(id, row);
      if (this.kind === "host") this.byHost.set(row.hostId, row);
    }
  }

  /** What the stream says: at first all rows, also those of hosts that are silent. */
  take(brief: Brief): void {
    this.heard += brief.rows.length;
    const head = brief.columns.indexOf("at") + 1;
    if (learnt[this.kind].size !== brief.columns.length - head) return this.reloadSoon();
    let isUnknown = false;
    for (const cells of brief.rows) {
      const row = this.rows.get(cells[0] as string);
      if (!row) {
        isUnknown = true;
        continue;
      }
      const at = Date.parse(cells[1] as string);
      // known already: nothing was heard
      if (at === row.at) continue;
      row.at = at;
      row.heardAt = Date.now();
      row.values = cells.slice(head) as Cell[];
      row.status = this.kind === "host" || RUNNING.includes(String(this.value(row, "state"))) ? "up" : "stopped";
      row.version += 1;
      sparks[this.kind].push(row, this.number(row, SPARK_METRIC[this.kind]));
    }
    if (isUnknown) this.reloadSoon();
    this.draw();
  }

  /** All values of one machine: those that its row has. */
  private takeReport(report: Report): void {
    if (report.host_id !== this.hostId) return;
    const row = this.rows.get(report.machine_id);
    // the host itself is not among its containers
    if (!row) return;
    row.at = Date.parse(report.at);
    row.heardAt = Date.now();
    row.values = [...learnt[this.kind].keys()].map((name, index) => (name.includes(".") ? (report.latest[name] ?? null) : (row.values[index] ?? null)));
    row.version += 1;
    sparks[this.kind].push(row, this.number(row, SPARK_METRIC[this.kind]));
    this.draw();
  }

  private changed(event: MachineEvent, isUp: boolean): void {
    if (this.hostId !== undefined && event.host_id !== this.hostId) return;
    // a host that is silent says nothing of its containers
    const rows = this.kind === "container" && event.kind === "host" ? [...this.rows.values()].filter((row) => row.hostId === event.host_id) : [this.rows.get(event.machine_id)];
    for (const row of rows) {
      if (!row) {
        if (event.kind === this.kind) this.reloadSoon();
      } else if (event.state === "gone") {
        this.rows.delete(row.id);
      } else {
        row.status = isUp ? "up" : event.state === "down" ? "down" : "stopped";
        row.version += 1;
      }
    }
    this.draw();
  }

  private reloadSoon(): void {
    this.reloading ??= setTimeout(() => {
      this.reloading = undefined;
      void this.load();
    }, RELOAD_MS);
  }
}

export const fleets = { host: new FleetStore("host"), container: new FleetStore("container") };
