// What just happened, for the parts of this page. While the page is hidden only what counts violations is asked for.

import type { Message, StreamState } from "./hub.ts";
import { connect, type Transport } from "./transport.ts";
import { merge, type Topic, type Wants } from "./wants.ts";

type Handler = (body: unknown, isYours: boolean) => void;

/** A page tells the hub that it is still there. */
const STILL_HERE_MS = 30_000;

let transport: Transport | null = null;
let status: { state: StreamState; since: number } = { state: "connecting", since: Date.now() };
/** How much the backend's clock is ahead of this machine's, in ms. */
let clockAheadMs = 0;
const wants = new Set<Wants>();
const handlers = new Map<string, Set<Handler>>();
const statusListeners = new Set<() => void>();
const liveListeners = new Set<() => void>();

/** Begins; nothing happens before. */
export function start(): void {
  transport ??= connect(receive);
  tell();
  setInterval(tell, STILL_HERE_MS);
  document.addEventListener("visibilitychange", () => {
    tell();
    // what was missed while nothing was drawn
    if (!document.hidden && status.state === "live") liveListeners.forEach((listener) => listener());
  });
  addEventListener("pagehide", () => transport?.bye());
  // a page out of the browser's back/forward cache has missed everything since
  addEventListener("pageshow", (event) => event.persisted && location.reload());
}

/** Asks for topics, and for the reports of some machines, until the answer is called. */
export function want(topics: readonly Topic[], reportsOf: readonly string[] = []): () => void {
  const mine = { topics, reportsOf };
  wants.add(mine);
  tell();
  return () => {
    wants.delete(mine);
    tell();
  };
}

/** Of several pages of a browser one is told that it `isYours`: the one that rings. */
export function on<T>(name: string, handler: (body: T, isYours: boolean) => void): () => void {
  const all = handlers.get(name) ?? new Set();
  handlers.set(name, all.add(handler as Handler));
  return () => all.delete(handler as Handler);
}

/** Calls each time when lists have to be read: once the stream is there (again), and when events were missed. */
export function onLive(listener: () => void): () => void {
  liveListeners.add(listener);
  if (status.state === "live") listener();
  return () => liveListeners.delete(listener);
}

export const stream = {
  subscribe(listener: () => void): () => void {
    statusListeners.add(listener);
    return () => statusListeners.delete(listener);
  },
  get: () => status,
};

/** Now, by the backend's clock. */
export const now = () => Date.now() + clockAheadMs;

let ringing = () => 0;

/** Says how well this page could ring, 0: not at all, as often as that may have changed. */
export function ringer(measure: () => number): () => void {
  ringing = measure;
  tell();
  return tell;
}

function tell(): void {
  transport?.want(document.hidden ? merge([]) : merge(wants), ringing());
}

function receive(message: Message): void {
  if (message.type === "state") {
    status = { state: message.state, since: message.since };
    statusListeners.forEach((listener) => listener());
    if (message.state === "live") liveListeners.forEach((listener) => listener());
    return;
  }
  const body: unknown = JSON.parse(message.data);
  if (message.name === "clock") clockAheadMs = Date.parse((body as { at: string }).at) - Date.now();
  if (message.name === "resync") liveListeners.forEach((listener) => listener());
  handlers.get(message.name)?.forEach((handler) => handler(body, message.isYours === true));
}
