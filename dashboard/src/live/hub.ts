// Holds the one connection to the stream and passes on what comes to the pages that want it. Runs in a SharedWorker, or in one of the pages.

import { covers, merge, streamUrl, type Wants } from "./wants.ts";

export type StreamState = "connecting" | "live" | "lost" | "signed-out";

/** From the hub to a page. What one page of all has to do, so that it is done once, is said to be its own. */
export type Message = { type: "event"; name: string; data: string; isYours?: true } | { type: "state"; state: StreamState; since: number };

/** Names of the events, and whether only those who asked for a topic get them. */
const EVENTS: Record<string, (wants: Wants, data: string) => boolean> = {
  "violation.opened": () => true,
  "violation.closed": () => true,
  "violation.silenced": () => true,
  "violation.acknowledged": () => true,
  "machine.up": () => true,
  "machine.down": () => true,
  "machine.rebooted": () => true,
  resync: () => true,
  rules: () => true,
  clock: () => true,
  hosts: (wants) => wants.topics.includes("hosts"),
  containers: (wants) => wants.topics.includes("containers"),
  pipeline: (wants) => wants.topics.includes("pipeline"),
  report: (wants) => wants.reportsOf.length > 0,
};

/** The clock comes every 5 s: who hears nothing for so long has lost the stream, whatever the network says. */
const SILENT_MS = 13_000;
/** A moment for a view that replaces another to say what it wants. */
const SETTLE_MS = 60;
/** After an answer that is no stream the browser gives up: come back at a time of our own, and not all browsers at once. */
const comeBackMs = () => 1_000 + Math.random() * 4_000;

export class Hub {
  private members = new Map<string, { wants: Wants; send: (message: Message) => void; ringing: number }>();
  private source: EventSource | null = null;
  private opened: Wants = { topics: [], reportsOf: [] };
  private lastEventId = "";
  private state: StreamState = "connecting";
  private since = Date.now();
  private settling: ReturnType<typeof setTimeout> | undefined;
  private watchdog: ReturnType<typeof setTimeout> | undefined;
  private comingBack: ReturnType<typeof setTimeout> | undefined;

  /** A page is there, or wants something else; of all that ring above 0 the one that does it best is chosen. */
  want(id: string, wants: Wants, send: (message: Message) => void, ringing = 0): void {
    const isNew = !this.members.has(id);
    this.members.set(id, { wants, send, ringing });
    if (isNew) send({ type: "state", state: this.state, since: this.since });
    clearTimeout(this.settling);
    this.settling = setTimeout(() => this.settle(), SETTLE_MS);
  }

  /** A page is gone. */
  leave(id: string): void {
    this.members.delete(id);
    if (this.members.size === 0) this.close();
  }

  close(): void {
    this.source?.close();
    this.source = null;
    for (const timer of [this.settling, this.watchdog, this.comingBack]) clearTimeout(timer);
  }

  private settle(): void {
    const wants = merge([...this.members.values()].map((member) => member.wants));
    if (this.state === "signed-out") return void this.comeBack();
    // a stream that brings more than is wanted is left alone until a better one is needed
    if (!this.source || !covers(this.opened, wants)) this.open(wants);
  }

  private open(wants: Wants): void {
    this.source?.close();
    clearTimeout(this.comingBack);
    this.opened = wants;
    const source = new EventSource(streamUrl(wants, this.lastEventId));
    this.source = source;
    source.onopen = () => {
      this.setState("live");
      this.heard();
    };
    source.onerror = () => {
      if (source !== this.source) return;
      this.setState("lost");
      if (source.readyState === EventSource.CLOSED) this.comeBackLater();
    };
    for (const [name, isWanted] of Object.entries(EVENTS)) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        if (source !== this.source) return;
        if (event.lastEventId) this.lastEventId = event.lastEventId;
        this.heard();
        const members = [...this.members.values()];
        const best = Math.max(1, ...members.map(({ ringing }) => ringing));
        const chosen = members.find(({ ringing }) => ringing === best);
        for (const member of members) {
          if (isWanted(member.wants, event.data)) member.send({ type: "event", name, data: event.data, ...(member === chosen && { isYours: true }) });
        }
      });
    }
    this.heard();
  }

  private heard(): void {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => {
      this.setState("lost");
      this.open(this.opened);
    }, SILENT_MS);
  }

  private comeBackLater(): void {
    clearTimeout(this.watchdog);
    clearTimeout(this.comingBack);
    this.comingBack = setTimeout(() => void this.comeBack(), comeBackMs());
  }

  /** Asks first whether a token is needed: an `EventSource` does not tell why it was refused. */
  private async comeBack(): Promise<void> {
    try {
      const response = await fetch("/api/v1/session");
      const session = (await response.json()) as { signed_in?: boolean };
      if (response.ok && session.signed_in === false) return this.setState("signed-out");
    } catch {
      // not reachable: the stream finds out
    }
    this.open(merge([...this.members.values()].map((member) => member.wants)));
  }

  private setState(state: StreamState): void {
    if (state === this.state) return;
    this.state = state;
    this.since = Date.now();
    for (const member of this.members.values()) member.send({ type: "state", state, since: this.since });
  }
}
