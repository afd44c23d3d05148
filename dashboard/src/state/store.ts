// A value that components follow. Small, because React has the rest.

import { useSyncExternalStore } from "react";

export class Store<T> {
  private listeners = new Set<() => void>();

  constructor(private value: T) {}

  get = (): T => this.value;

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    this.listeners.forEach((listener) => listener());
  }

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  };
}

export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get);
}

/** Calls `draw` once for all that changed: in a frame, while the page is visible, and at most every `ms`. */
export function coalesced(draw: () => void, ms: number): () => void {
  let isDue = false;
  let last = 0;
  return () => {
    if (isDue) return;
    isDue = true;
    const wait = Math.max(0, last + ms - performance.now());
    setTimeout(() => {
      // frames do not come while the page is hidden: what is due is drawn when it is shown again
      requestAnimationFrame(() => {
        isDue = false;
        last = performance.now();
        draw();
      });
    }, wait);
  };
}
