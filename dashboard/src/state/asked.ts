// A question that takes the backend long, about what somebody is typing: asked after a pause, one at a time, the older one is given up.

import { useEffect, useRef, useState } from "react";

import { Failure } from "../api/client.ts";

/** So long nobody types before it is asked. */
const PAUSE_MS = 500;
/** The backend answers few at once, and says so (503; a proxy 429): then it is asked again. */
const BUSY = [429, 503];
const AGAIN_MS = 1_000;

export interface Asked<T> {
  /** The last answer, which may be of an older question. */
  data: T | null;
  isCurrent: boolean;
  error: string | null;
  state: "idle" | "asking" | "queued";
}

/** `key` is the question; `null` asks nothing and keeps the last answer. */
export function useAsked<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Asked<T> {
  const [found, setFound] = useState<{ key: string; data: T | null; error: string | null } | null>(null);
  const [queued, setQueued] = useState<string | null>(null);
  const latest = useRef(ask);
  useEffect(() => {
    latest.current = ask;
  });
  const known = useRef<string | null>(null);
  const isFirst = useRef(true);
  useEffect(() => {
    if (key === null || key === known.current) return;
    const controller = new AbortController();
    const { signal } = controller;
    let timer: ReturnType<typeof setTimeout>;
    const run = async () => {
      try {
        const data = await latest.current(signal);
        if (signal.aborted) return;
        known.current = key;
        setQueued(null);
        setFound({ key, data, error: null });
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Failure && BUSY.includes(error.status)) {
          setQueued(key);
          timer = setTimeout(() => void run(), AGAIN_MS);
          return;
        }
        setQueued(null);
        setFound((before) => ({ key, data: before?.data ?? null, error: error instanceof Error ? error.message : String(error) }));
      }
    };
    timer = setTimeout(() => void run(), isFirst.current ? 0 : PAUSE_MS);
    isFirst.current = false;
    return () => {
      controller.abort();
      clearTimeout(timer);
    };
  }, [key]);
  const isCurrent = key !== null && found?.key === key;
  const state = key === null || isCurrent ? "idle" : queued === key ? "queued" : "asking";
  return { data: found?.data ?? null, isCurrent: isCurrent && found?.error === null, error: isCurrent ? (found?.error ?? null) : null, state };
}
