// The SharedWorker: one for all tabs of a browser.

import { Hub, type Message } from "./hub.ts";
import type { Wants } from "./wants.ts";

/** From a page: what it wants, said again now and then; nothing said for long means that the page is gone without a word. */
export type FromPage = { type: "want"; wants: Wants; ringing: number } | { type: "bye" };

/** Browsers let timers of hidden pages run once a minute. */
const GONE_MS = 150_000;

const hub = new Hub();
let count = 0;

(self as unknown as { onconnect: (event: MessageEvent) => void }).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  const id = String(count++);
  let gone: ReturnType<typeof setTimeout> | undefined;
  const send = (message: Message) => port.postMessage(message);
  port.onmessage = ({ data }: MessageEvent<FromPage>) => {
    clearTimeout(gone);
    if (data.type === "bye") return hub.leave(id);
    hub.want(id, data.wants, send, data.ringing);
    gone = setTimeout(() => hub.leave(id), GONE_MS);
  };
  port.start();
};
