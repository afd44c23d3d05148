// What somebody typed and has not saved. It outlives a look at another view, a failed save, and a change of the language; before the page is
// closed the browser asks.

import { useState } from "react";

const drafts = new Map<string, unknown>();

addEventListener("beforeunload", (event) => {
  if (drafts.size > 0) event.preventDefault();
});

export interface Edited<T> {
  draft: T;
  isDirty: boolean;
  edit: (change: Partial<T>) => void;
  /** Back to what is saved. */
  discard: () => void;
}

/** `saved` is what stands there without changes; `key` says of what it is. */
export function useDraft<T extends object>(key: string, saved: T): Edited<T> {
  const [, draw] = useState(0);
  const draft = (drafts.get(key) as T | undefined) ?? saved;
  const put = (next: T) => {
    if (JSON.stringify(next) === JSON.stringify(saved)) drafts.delete(key);
    else drafts.set(key, next);
    draw((before) => before + 1);
  };
  return {
    draft,
    isDirty: drafts.has(key),
    edit: (change) => put({ ...((drafts.get(key) as T | undefined) ?? saved), ...change }),
    discard: () => put(saved),
  };
}

/** After it was saved, or is gone. */
export function forget(key: string): void {
  drafts.delete(key);
}
