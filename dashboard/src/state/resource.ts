// Something that is read once and again: keeps the last good data when a later reading fails.

import { useCallback, useEffect, useRef, useState } from "react";

import { onLive } from "../live/live.ts";

export interface Resource<T> {
  data: T | null;
  error: string | null;
  loading: boolean;
  reload: () => void;
}

/** Calls when something was changed elsewhere, until the answer is called. */
type OnChange = (listener: () => void) => () => void;

/** `key` names what is read: another key begins anew, the same key read again keeps what is there. */
export function useResource<T>(key: string, load: (signal: AbortSignal) => Promise<T>, onChange?: OnChange): Resource<T> {
  const [found, setFound] = useState<{ key: string; data: T | null; error: string | null; loading: boolean }>({ key, data: null, error: null, loading: true });
  const latest = useRef(load);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => {
    latest.current = load;
  });
  const read = useCallback(() => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    latest.current(controller.signal).then(
      (data) => !controller.signal.aborted && setFound({ key, data, error: null, loading: false }),
      (error: unknown) => {
        if (controller.signal.aborted) return;
        const reason = error instanceof Error ? error.message : String(error);
        setFound((before) => ({ key, data: before.key === key ? before.data : null, error: reason, loading: false }));
      },
    );
  }, [key]);
  const reload = useCallback(() => {
    setFound((before) => (before.key === key ? { ...before, loading: true } : before));
    read();
  }, [key, read]);
  useEffect(() => {
    let isFirst = true;
    // once now, and each time when the stream is back
    const end = onLive(() => {
      isFirst = false;
      read();
    });
    if (isFirst) read();
    const endOfChanges = onChange?.(read);
    return () => {
      end();
      endOfChanges?.();
      abort.current?.abort();
    };
  }, [read, onChange]);
  const isOther = found.key !== key;
  return { data: isOther ? null : found.data, error: isOther ? null : found.error, loading: isOther || found.loading, reload };
}
