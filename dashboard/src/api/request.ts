// Asks the backend, in the types of its document. The types are those of openapi-fetch; of what that does at runtime the page needs this much.

import type { Client } from "openapi-fetch";

import { getPreferences } from "../state/preferences.ts";
import { operatorHeader } from "./operator.ts";
import type { paths } from "./schema.ts";

interface Call {
  params?: { path?: Record<string, string>; query?: Record<string, unknown>; header?: Record<string, string> };
  body?: unknown;
  signal?: AbortSignal;
}

const BASE = "/api/v1";

/** A list in a query is its parameter several times; what is not there is left out. */
export function urlOf(path: string, { path: parts = {}, query = {} }: NonNullable<Call["params"]> = {}): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? (value as unknown[]) : [value]) if (one !== undefined && one !== null) search.append(name, String(one));
  }
  const filled = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(parts[name] ?? ""));
  const text = search.toString();
  return BASE + filled + (text && `?${text}`);
}

function by(method: string) {
  return async (path: string, { params, body, signal }: Call = {}) => {
    const sent = new Headers(params?.header);
    if (body !== undefined) sent.set("Content-Type", "application/json");
    // every change says who makes it, as far as somebody told the page
    const operator = method === "GET" ? null : operatorHeader(getPreferences().operator);
    if (operator) sent.set("X-Operator", operator);
    const response = await fetch(urlOf(path, params), { method, headers: sent, ...(body !== undefined && { body: JSON.stringify(body) }), ...(signal && { signal }) });
    const text = await response.text();
    if (response.ok) return { data: text ? (JSON.parse(text) as unknown) : undefined, response };
    return { error: problemOf(text), response };
  };
}

/** A proxy in front may answer with something else than a problem. */
function problemOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

// what may be had as a file, too, is asked for as JSON here
type Typed = Pick<Client<paths, "application/json" | "application/problem+json">, "GET" | "POST" | "PUT" | "DELETE">;

export const client = { GET: by("GET"), POST: by("POST"), PUT: by("PUT"), DELETE: by("DELETE") } as unknown as Typed;
