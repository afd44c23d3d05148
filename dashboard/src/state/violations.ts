// The open violations, for every view: the title and the favicon count them.

import { api, type Severity, type Violation } from "../api/client.ts";
import { on, onLive } from "../live/live.ts";
import { Store } from "./store.ts";

/** Pages that are read at most: 10,000 open violations say the same as more. */
const PAGES = 10;

export interface Open {
  all: ReadonlyMap<string, Violation>;
  byMachine: ReadonlyMap<string, readonly Violation[]>;
  /** Of those that nobody silenced. */
  counts: Record<Severity, number>;
}

const NOTHING: Open = { all: new Map(), byMachine: new Map(), counts: { critical: 0, warning: 0, info: 0 } };

export const open = new Store<Open>(NOTHING);
/** The newest that opened while the page was there, for the notice. */
export const newest = new Store<Violation | null>(null);

function index(all: Map<string, Violation>): Open {
  const byMachine = new Map<string, Violation[]>();
  const counts = { critical: 0, warning: 0, info: 0 };
  for (const violation of all.values()) {
    if (!violation.silenced) counts[violation.severity] += 1;
    const of = byMachine.get(violation.machine_id);
    if (of) of.push(violation);
    else byMachine.set(violation.machine_id, [violation]);
  }
  return { all, byMachine, counts };
}

/** Why the list could not be read; it is read again when the stream is back. */
export const failure = new Store<string | null>(null);

export async function reload(): Promise<void> {
  try {
    await load();
    failure.set(null);
  } catch (error) {
    failure.set(error instanceof Error ? error.message : String(error));
  }
}

async function load(): Promise<void> {
  const all = new Map<string, Violation>();
  let cursor: string | undefined;
  for (let page = 0; page < PAGES; page++) {
    const answer = await api.violations({ state: "open", limit: 1_000, cursor });
    for (const violation of answer.items) all.set(violation.id, violation);
    if (!answer.next_cursor) break;
    cursor = answer.next_cursor;
  }
  open.set(index(all));
}

export function start(): void {
  onLive(() => void reload());
  on<Violation>("violation.opened", (violation) => {
    if (violation.closed_at) return;
    open.set(index(new Map(open.get().all).set(violation.id, violation)));
    newest.set(violation);
  });
  for (const name of ["violation.silenced", "violation.acknowledged"]) {
    on<Violation>(name, (violation) => {
      if (!violation.closed_at) open.set(index(new Map(open.get().all).set(violation.id, violation)));
    });
  }
  on<Violation>("violation.closed", (violation) => {
    const all = new Map(open.get().all);
    if (all.delete(violation.id)) open.set(index(all));
    if (newest.get()?.id === violation.id) newest.set(null);
  });
}

const RANK: Record<Severity, number> = { critical: 2, warning: 1, info: 0 };

export function worst(violations: readonly Violation[]): Severity | null {
  let found: Severity | null = null;
  for (const { severity } of violations) if (!found || RANK[severity] > RANK[found]) found = severity;
  return found;
}

export const rank = (severity: Severity | null) => (severity ? RANK[severity] + 1 : 0);
