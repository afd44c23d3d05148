// How a page reaches the hub: in a SharedWorker; where there is none, in the page that holds a lock, over a channel; else in itself.

import { Hub, type Message } from "./hub.ts";
import type { FromPage } from "./worker.ts";
import type { Wants } from "./wants.ts";

export interface Transport {
  want(wants: Wants, ringing: number): void;
  bye(): void;
}

export function connect(receive: (message: Message) => void): Transport {
  if (typeof SharedWorker !== "undefined") return overWorker(receive);
  if (typeof BroadcastChannel !== "undefined" && "locks" in navigator) return overChannel(receive);
  return alone(receive);
}

function overWorker(receive: (message: Message) => void): Transport {
  const worker = new SharedWorker(new URL("./worker.ts", import.meta.url), { type: "module", name: "server-monitoring" });
  worker.port.onmessage = ({ data }: MessageEvent<Message>) => receive(data);
  worker.port.start();
  const say = (message: FromPage) => worker.port.postMessage(message);
  return { want: (wants, ringing) => say({ type: "want", wants, ringing }), bye: () => say({ type: "bye" }) };
}

type OnChannel = { to: "leader"; from: string; said: FromPage } | { to: string; message: Message } | { to: "all"; elected: true };

/** Whoever has the lock holds the stream; when that page goes, the browser gives the lock to the next. */
function overChannel(receive: (message: Message) => void): Transport {
  const channel = new BroadcastChannel("server-monitoring");
  const me = crypto.getRandomValues(new Uint32Array(2)).join("-");
  const say = (message: OnChannel) => channel.postMessage(message);
  let hub: Hub | null = null;
  let wanted: { wants: Wants; ringing: number } | null = null;
  let end: (() => void) | undefined;
  const tell = () => {
    if (!wanted) return;
    if (hub) hub.want(me, wanted.wants, receive, wanted.ringing);
    else say({ to: "leader", from: me, said: { type: "want", ...wanted } });
  };
  channel.onmessage = ({ data }: MessageEvent<OnChannel>) => {
    if ("elected" in data) return tell();
    if ("message" in data) return data.to === me ? receive(data.message) : undefined;
    if (!hub) return;
    if (data.said.type === "bye") return hub.leave(data.from);
    hub.want(data.from, data.said.wants, (message) => say({ to: data.from, message }), data.said.ringing);
  };
  void navigator.locks.request("server-monitoring stream", () => {
    hub = new Hub();
    say({ to: "all", elected: true });
    tell();
    return new Promise<void>((resolve) => (end = resolve));
  });
  return {
    want: (wants, ringing) => {
      wanted = { wants, ringing };
      tell();
    },
    bye: () => {
      wanted = null;
      if (!hub) return say({ to: "leader", from: me, said: { type: "bye" } });
      hub.close();
      end?.();
    },
  };
}

function alone(receive: (message: Message) => void): Transport {
  const hub = new Hub();
  return { want: (wants, ringing) => hub.want("page", wants, receive, ringing), bye: () => hub.close() };
}
