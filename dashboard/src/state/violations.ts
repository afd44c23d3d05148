// The open violations, for every view: the title and the favicon count them.

import { api, type Severity, type Violation } from "../api/client.ts";
import { on, onLive } from "../live/live.ts";
import { Store } from "./store.ts";

/** Open violations that are held at most: the newest ones. The list says so when there are more. */
export const OPEN_MAX = 10_000;
/** As many as the backend tells at once. */
const PAGE = 1_000;
/** What happens within it is shown at once: when a rack falls silent, events come by the hundred. Not by frames, since hidden pages count, too. */
const TOGETHER_MS = 100;

export interface Open {
  all: ReadonlyMap<string, Violation>;
  byMachine: ReadonlyMap<string, readonly Violation[]>;
  /** Of those that nobody silenced. */
  counts: Record<Severity, number>;
  /** There were more than `OPEN_MAX` when they were read. */
  isCut: boolean;
}

const NOTHING: Open = { isCut: false, all: new Map(), byMachine: new Map(), counts: { critical: 0, warning: 0, info: 0 } };

export const open = new Store<Open>(NOTHING);
/** Whether the list was read once. */
export const isRead = new Store(false);
/** Why the list could not be read; it is read again when the stream is back. */
export const failure = new Store<string | null>(null);

let all = new Map<string, Violation>();
let isCut = false;
/** What happened while the list is read: newer than what is read. */
let meanwhile: Map<string, Violation> | null = null;
let publishing: ReturnType<typeof setTimeout> | undefined;

function index(all: Map<string, Violation>): Open {
  const byMachine = new Map<string, Violation[]>();
  const counts = { critical: 0, warning: 0, info: 0 };
  for (const violation of all.values()) {
    if (!violation.silenced) counts[violation.severity] += 1;
    const of = byMachine.get(violation.machine_id);
    if (of) of.push(violation);
    else byMachine.set(violation.machine_id, [violation]);
  }
  return { all, byMachine, counts, isCut };
}

function publish(): void {
  clearTimeout(publishing);
  publishing = undefined;
  open.set(index(new Map(all)));
}

/** What is known of a violation now; one that is closed leaves the list. */
export function take(violation: Violation): void {
  meanwhile?.set(violation.id, violation);
  if (violation.closed_at) {
    all.delete(violation.id);
  } else {
    // only lists say whether its host is down
    const isDown = violation.host_is_down ?? all.get(violation.id)?.host_is_down;
    all.set(violation.id, isDown ? { ...violation, host_is_down: true } : violation);
  }
  publishing ??= setTimeout(publish, TOGETHER_MS);
}

let isReading = false;
let isStale = false;

/** One at a time; asked for meanwhile it is read once more, since the earlier reading may have passed by what is new. */
export async function reload(): Promise<void> {
  isStale = true;
  if (isReading) return;
  isReading = true;
  while (isStale) {
    isStale = false;
    try {
      await load();
      failure.set(null);
    } catch (error) {
      failure.set(error instanceof Error ? error.message : String(error));
    }
    meanwhile = null;
  }
  isReading = false;
}

async function load(): Promise<void> {
  const read = new Map<string, Violation>();
  meanwhile = new Map();
  let cursor: string | undefined;
  do {
    const answer = await api.violations({ state: "open", limit: PAGE, cursor });
    for (const violation of answer.items) read.set(violation.id, violation);
    cursor = answer.next_cursor ?? undefined;
  } while (cursor && read.size < OPEN_MAX);
  isCut = cursor !== undefined;
  for (const [id, violation] of meanwhile) {
    if (violation.closed_at) read.delete(id);
    else read.set(id, violation);
  }
  all = read;
  publish();
  isRead.set(true);
}

interface HostEvent {
  kind: string;
  host_id: string;
  state: string;
}

function hostChanged({ kind, host_id }: HostEvent, isDown: boolean): void {
  if (kind !== "host") return;
  for (const violation of all.values()) if (violation.host_id === host_id) all.set(violation.id, { ...violation, host_is_down: isDown });
  publishing ??= setTimeout(publish, TOGETHER_MS);
}

export function start(): void {
  onLive(() => void reload());
  for (const name of ["violation.opened", "violation.silenced", "violation.acknowledged", "violation.closed"]) on<Violation>(name, take);
  on<HostEvent>("machine.down", (event) => hostChanged(event, event.state === "down"));
  on<HostEvent>("machine.up", (event) => hostChanged(event, false));
}

/** Nobody has to look at it. */
export const isCalm = (violation: Violation) => Boolean(violation.silenced) || Boolean(violation.acknowledged);

/** The worst first. */
export const SEVERITIES: readonly Severity[] = ["critical", "warning", "info"];
const RANK: Record<Severity, number> = { critical: 2, warning: 1, info: 0 };

export function worst(violations: readonly Violation[]): Severity | null {
  let found: Severity | null = null;
  for (const { severity } of violations) if (!found || RANK[severity] > RANK[found]) found = severity;
  return found;
}

export const rank = (severity: Severity | null) => (severity ? RANK[severity] + 1 : 0);
