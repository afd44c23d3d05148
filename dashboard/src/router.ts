// Where the page is. Everything that a link should carry is in the URL: the view, its machine, range, filters and order.

import { useCallback, useSyncExternalStore } from "react";

export type View =
  | { name: "hosts" }
  | { name: "containers" }
  | { name: "machine"; kind: "host" | "container"; id: string }
  | { name: "violations"; id?: string }
  | { name: "thresholds" }
  | { name: "threshold"; id: string }
  | { name: "silences" }
  | { name: "silence"; id: string }
  | { name: "pipeline" }
  | { name: "nowhere" };

/** A part of a path as it was before it was written into it; `null` where nobody writes it so. */
function decoded(part: string): string | null {
  try {
    return decodeURIComponent(part);
  } catch {
    return null;
  }
}

/** Keep in step with the paths that the backend answers with the page (api/page.rs). */
export function viewOf(path: string): View {
  const [first, second, ...more] = path.replace(/^\/|\/$/g, "").split("/").map(decoded);
  if (more.length > 0 || second === null) return { name: "nowhere" };
  if (second !== undefined && (first === "hosts" || first === "containers")) {
    return { name: "machine", kind: first === "hosts" ? "host" : "container", id: second };
  }
  if (first === "violations" && second !== undefined && /^\d+$/.test(second)) return { name: "violations", id: second };
  if (second !== undefined && (first === "thresholds" || first === "silences")) {
    return { name: first === "thresholds" ? "threshold" : "silence", id: second };
  }
  if (second !== undefined) return { name: "nowhere" };
  if (first === "") return { name: "hosts" };
  if (first === "containers" || first === "violations" || first === "thresholds" || first === "silences" || first === "pipeline") return { name: first };
  return { name: "nowhere" };
}

export function machinePath(kind: string, id: string): string {
  // the pipeline is watched like a machine
  if (kind === "pipeline") return "/pipeline";
  return `/${kind === "host" ? "hosts" : "containers"}/${encodeURIComponent(id)}`;
}

const listeners = new Set<() => void>();
const tell = () => listeners.forEach((listener) => listener());
addEventListener("popstate", tell);

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

export function navigate(url: string, how: "push" | "replace" = "push"): void {
  // where the page is already, there is nothing to come back from
  if (new URL(url, location.href).href === location.href) return;
  if (how === "push") history.pushState(null, "", url);
  else history.replaceState(null, "", url);
  tell();
}

export const usePath = () => useSyncExternalStore(subscribe, () => location.pathname);

/** The query, and how to change some of it; an empty value takes a name out. */
export function useQuery(): [URLSearchParams, (change: Record<string, string | null>, how?: "push" | "replace") => void] {
  const search = useSyncExternalStore(subscribe, () => location.search);
  const change = useCallback((words: Record<string, string | null>, how: "push" | "replace" = "push") => {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(words)) {
      if (value) query.set(name, value);
      else query.delete(name);
    }
    const text = query.toString();
    navigate(location.pathname + (text && `?${text}`), how);
  }, []);
  return [new URLSearchParams(search), change];
}
