// A list that is read in pages, for scrolling. Read again it keeps what was read behind the first page.

import { useCallback, useEffect, useRef, useState } from "react";

import { onLive } from "../live/live.ts";
import type { Resource } from "./resource.ts";

export interface Page<T> {
  items: readonly T[];
  next_cursor?: string | null | undefined;
}

export interface Pages<T> extends Resource<readonly T[]> {
  hasMore: boolean;
  isReadingMore: boolean;
  /** Why the next page could not be read. */
  moreError: string | null;
  more: () => void;
  /** Changes what is there. */
  patch: (id: string, change: (item: T) => T) => void;
}

interface Found<T> {
  key: string;
  items: readonly T[] | null;
  cursor: string | null;
  error: string | null;
  isLoading: boolean;
  isReadingMore: boolean;
  moreError: string | null;
}

/** The first page, read again, before what was there: where it goes on in it nothing is read twice, else what was there is too old. */
export function joined<T extends { id: string }>(first: Page<T>, before: { items: readonly T[]; cursor: string | null } | null): { items: readonly T[]; cursor: string | null } {
  const alone = { items: first.items, cursor: first.next_cursor ?? null };
  const last = first.items.at(-1);
  if (!before || !last || alone.cursor === null) return alone;
  const place = before.items.findIndex((item) => item.id === last.id);
  return place < 0 ? alone : { items: [...first.items, ...before.items.slice(place + 1)], cursor: place + 1 < before.items.length ? before.cursor : alone.cursor };
}

const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));

const nothing = <T>(key: string): Found<T> => ({ key, items: null, cursor: null, error: null, isLoading: true, isReadingMore: false, moreError: null });

/** `key` names what is read: another key begins anew. */
export function usePages<T extends { id: string }>(key: string, read: (cursor: string | undefined, signal: AbortSignal) => Promise<Page<T>>): Pages<T> {
  const [found, setFound] = useState<Found<T>>(() => nothing(key));
  const latest = useRef(read);
  const abort = useRef<AbortController | null>(null);
  useEffect(() => {
    latest.current = read;
  });

  const change = useCallback((to: (before: Found<T>) => Found<T>) => setFound((before) => to(before.key === key ? before : nothing(key))), [key]);

  const load = useCallback(() => {
    abort.current?.abort();
    const controller = new AbortController();
    abort.current = controller;
    latest.current(undefined, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        change((before) => ({ ...nothing(key), ...joined(page, before.items && { items: before.items, cursor: before.cursor }), isLoading: false }));
      },
      (error: unknown) => {
        if (!controller.signal.aborted) change((before) => ({ ...before, error: reason(error), isLoading: false, isReadingMore: false }));
      },
    );
  }, [key, change]);

  useEffect(() => {
    let isRead = false;
    // once now, and each time when the stream is back
    const end = onLive(() => {
      isRead = true;
      load();
    });
    if (!isRead) load();
    return () => {
      end();
      abort.current?.abort();
    };
  }, [load]);

  const isOther = found.key !== key;
  const shown = isOther ? nothing<T>(key) : found;
  const more = () => {
    const controller = abort.current;
    if (!shown.cursor || shown.isReadingMore || shown.isLoading || !controller) return;
    const { cursor } = shown;
    change((before) => ({ ...before, isReadingMore: true, moreError: null }));
    latest.current(cursor, controller.signal).then(
      (page) => {
        if (controller.signal.aborted) return;
        change((before) => {
          const known = new Set(before.items?.map((item) => item.id));
          return { ...before, items: [...(before.items ?? []), ...page.items.filter((item) => !known.has(item.id))], cursor: page.next_cursor ?? null, isReadingMore: false };
        });
      },
      (error: unknown) => {
        if (!controller.signal.aborted) change((before) => ({ ...before, isReadingMore: false, moreError: reason(error) }));
      },
    );
  };
  const patch = useCallback(
    (id: string, to: (item: T) => T) => change((before) => (before.items?.some((item) => item.id === id) ? { ...before, items: before.items.map((item) => (item.id === id ? to(item) : item)) } : before)),
    [change],
  );
  const reload = useCallback(() => {
    change((before) => ({ ...before, isLoading: true }));
    load();
  }, [change, load]);
  return { data: shown.items, error: shown.error, loading: shown.isLoading, reload, hasMore: shown.cursor !== null, isReadingMore: shown.isReadingMore, moreError: shown.moreError, more, patch };
}
