// The one place that asks the backend. Types come from its OpenAPI document: `npm run api`.

import createClient from "openapi-fetch";

import type { components, paths } from "./schema.ts";

export type Machine = components["schemas"]["Machine"];
export type Series = components["schemas"]["Series"];
export type Metric = components["schemas"]["Metric"];
export type Fleet = components["schemas"]["Fleet"];
export type Pipeline = components["schemas"]["Pipeline"];
export type PipelineHost = components["schemas"]["PipelineHost"];
export type HostPipeline = components["schemas"]["HostPipeline"];
export type Session = components["schemas"]["Session"];
export type Kind = Machine["kind"] & ("host" | "container");
export type Status = Machine["status"];
export type Severity = "info" | "warning" | "critical";

// Violations and thresholds are not in the document yet.
export interface Violation {
  id: string;
  machine_id: string;
  machine_name: string;
  host_id: string;
  host_name: string;
  kind: Kind | "pipeline";
  metric: string;
  device: string | null;
  condition: string;
  direction: "above" | "below";
  severity: Severity;
  threshold_id: string;
  threshold_value: number;
  opened_at: string;
  opened_value: number;
  peak_value: number;
  closed_at: string | null;
  closed_value: number | null;
  close_reason: string | null;
  acknowledged: { at: string; by: string | null; comment: string } | null;
  silenced: { silence_id: string; until: string } | null;
}

export interface Threshold {
  id: string;
  scope: { kind: string; machine_id: string | null; labels: Record<string, string> | null };
  metric: string;
  device: string | null;
  condition: string;
  window_seconds: number | null;
  direction: "above" | "below";
  value: number;
  recovery_value: number;
  for_seconds: number;
  severity: Severity;
  effect: string;
  enabled: boolean;
  note: string;
}

export interface InForce {
  metric: string;
  device: string | null;
  value: number | null;
  origin: "kind" | "labels" | "machine";
  threshold: Threshold;
}

/** What the backend says it could not do, or that it could not be asked. */
export class Failure extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

const client = createClient<paths>({ baseUrl: "/api/v1" });

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

function unwrap<T>({ data, error, response }: Answer<T>): T {
  if (response.ok) return data as T;
  const detail = (error as { detail?: string } | undefined)?.detail;
  throw new Failure(detail ?? `HTTP ${response.status}`, response.status);
}

/** What is thrown when the network is, and when the backend answers with something else than an answer. */
async function ask<T>(answer: Promise<Answer<T>>): Promise<T> {
  try {
    return unwrap(await answer);
  } catch (error) {
    if (error instanceof Failure || (error instanceof DOMException && error.name === "AbortError")) throw error;
    throw new Failure(error instanceof Error ? error.message : String(error), 0);
  }
}

/** Lists that are not in the document yet. */
async function list<T>(path: string, query: Record<string, string | undefined>, signal?: AbortSignal): Promise<{ items: T[]; next_cursor: string | null }> {
  const words = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const text = new URLSearchParams(words).toString();
  const get = async () => {
    const response = await fetch(`/api/v1${path}${text && `?${text}`}`, { signal: signal ?? null });
    const body: unknown = await response.json().catch(() => undefined);
    return { data: body as { items: T[]; next_cursor: string | null }, error: body, response };
  };
  return ask(get());
}

export const api = {
  session: () => ask(client.GET("/session")),
  signIn: (token: string) => ask(client.POST("/session", { body: { token } })),
  signOut: () => ask(client.DELETE("/session")),
  catalog: () => ask(client.GET("/catalog")),
  fleet: (query: { kind: Kind; host_id?: string | undefined; cursor?: string | undefined }) => ask(client.GET("/fleet", { params: { query } })),
  /** The host itself. */
  host: async (hostId: string, signal?: AbortSignal) => {
    const query = { kind: "host", host_id: hostId };
    return (await ask(client.GET("/machines", { params: { query }, signal }))).items[0] ?? null;
  },
  machine: (id: string, signal?: AbortSignal) => ask(client.GET("/machines/{id}", { params: { path: { id } }, signal })),
  series: (id: string, metrics: readonly string[], from: number, to: number, points: number, signal?: AbortSignal) => {
    const query = { metric: metrics.join(","), from: new Date(from).toISOString(), to: new Date(to).toISOString(), max_points: points };
    return ask(client.GET("/machines/{id}/series", { params: { path: { id }, query }, signal }));
  },
  seriesOf: (ids: readonly string[], metric: string, from: number, points: number) => {
    const query = { machine_id: ids.join(","), metric, from: new Date(from).toISOString(), max_points: points };
    return ask(client.GET("/series", { params: { query } }));
  },
  pipeline: (signal?: AbortSignal) => ask(client.GET("/pipeline", { signal })),
  violations: (query: Record<string, string | undefined>, signal?: AbortSignal) => list<Violation>("/violations", query, signal),
  thresholds: (signal?: AbortSignal) => list<Threshold>("/thresholds", {}, signal),
  inForce: (machineId: string, signal?: AbortSignal) => list<InForce>(`/machines/${encodeURIComponent(machineId)}/thresholds`, {}, signal),
};
