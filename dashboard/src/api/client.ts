// The one place that asks the backend. Types come from its OpenAPI document: `npm run api`.

import { client } from "./request.ts";
import type { components, paths } from "./schema.ts";

export type Machine = components["schemas"]["Machine"];
export type Series = components["schemas"]["Series"];
export type Metric = components["schemas"]["Metric"];
export type Fleet = components["schemas"]["Fleet"];
export type Pipeline = components["schemas"]["Pipeline"];
export type DeadLetter = components["schemas"]["DeadLetter"];
export type PipelineHost = components["schemas"]["PipelineHost"];
export type HostPipeline = components["schemas"]["HostPipeline"];
export type Session = components["schemas"]["Session"];
export type Kind = Machine["kind"] & ("host" | "container");
export type Status = Machine["status"];
export type Severity = components["schemas"]["Severity"];

export type MachineEvent = components["schemas"]["MachineEvent"];
/** Lists say of the open ones whether their host is down. */
export type Violation = components["schemas"]["Violation"] & Pick<components["schemas"]["ListedViolation"], "host_is_down">;
export type ViolationQuery = NonNullable<paths["/violations"]["get"]["parameters"]["query"]>;
export type CountsQuery = Omit<NonNullable<paths["/violations/counts"]["get"]["parameters"]["query"]>, "by">;
export type Explanation = components["schemas"]["Explanation"];
/** What may be left out of a rule that is sent stands in every rule that comes. */
export type Threshold = Required<components["schemas"]["Threshold"]>;
/** A rule that is stored. */
export type KnownThreshold = Required<components["schemas"]["KnownThreshold"]> & Version;
export type ThresholdVersion = components["schemas"]["ThresholdVersion"] & { threshold?: Threshold | null };
/** A rule as it is sent: what may be left out may be missing. */
export type NewThreshold = components["schemas"]["Threshold"];
export type BacktestQuestion = components["schemas"]["BacktestQuestion"];
export type Backtest = components["schemas"]["Backtest"];
export type Suggestion = components["schemas"]["Suggestion"];
export type Silence = components["schemas"]["Silence"];
export type NewSilence = components["schemas"]["NewSilence"];
export type InForce = components["schemas"]["InForce"] & { threshold: Threshold };

/** How many violations opened, and the items of what they are counted by. */
export type Counts<By extends keyof CountsBy> = Omit<components["schemas"]["ViolationCounts"], "items"> & { items: CountsBy[By][] };

interface CountsBy {
  day: components["schemas"]["DayCount"];
  machine: components["schemas"]["MachineCount"];
  metric: components["schemas"]["MetricCount"];
  severity: components["schemas"]["SeverityCount"];
}

/** Of something that may be changed. */
interface Version {
  id: string;
  version: number;
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

/** What is changed is what is known of it: whatever somebody else made of it meanwhile stays (a `Failure` of status 412). */
function known(item: Version) {
  return { path: { id: item.id }, header: { "If-Match": `"${item.version}"` } };
}

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
  machines: (query: NonNullable<paths["/machines"]["get"]["parameters"]["query"]>, signal?: AbortSignal) => ask(client.GET("/machines", { params: { query }, signal })),
  machine: (id: string, signal?: AbortSignal) => ask(client.GET("/machines/{id}", { params: { path: { id } }, signal })),
  series: (id: string, metrics: readonly string[], from: number, to: number, points: number, signal?: AbortSignal) => {
    const query = { metric: metrics.join(","), from: new Date(from).toISOString(), to: new Date(to).toISOString(), max_points: points };
    return ask(client.GET("/machines/{id}/series", { params: { path: { id }, query }, signal }));
  },
  seriesOf: (ids: readonly string[], metric: string, from: number, points: number) => {
    const query = { machine_id: ids.join(","), metric, from: new Date(from).toISOString(), max_points: points };
    return ask(client.GET("/series", { params: { query } }));
  },
  events: (query: NonNullable<paths["/events"]["get"]["parameters"]["query"]>, signal?: AbortSignal) => ask(client.GET("/events", { params: { query }, signal })),
  /** A value now of each machine, or of each device of one; 1,000 at most. */
  top: (metric: string, signal?: AbortSignal) => ask(client.GET("/top", { params: { query: { metric, limit: 1_000 } }, signal })),
  pipeline: (signal?: AbortSignal) => ask(client.GET("/pipeline", { signal })),
  deadLetters: (query: { limit: number; cursor?: string | undefined }, signal?: AbortSignal) => ask(client.GET("/pipeline/dead_letters", { params: { query }, signal })),
  violations: (query: ViolationQuery, signal?: AbortSignal) => ask(client.GET("/violations", { params: { query }, signal })),
  violationCounts: async <By extends keyof CountsBy>(by: By, query: CountsQuery, signal?: AbortSignal) =>
    (await ask(client.GET("/violations/counts", { params: { query: { ...query, by } }, signal }))) as Counts<By>,
  violation: (id: string, signal?: AbortSignal) => ask(client.GET("/violations/{id}", { params: { path: { id } }, signal })),
  explain: (id: string, signal?: AbortSignal) => ask(client.GET("/violations/{id}/explain", { params: { path: { id } }, signal })),
  acknowledge: (id: string, comment: string) => ask(client.POST("/violations/{id}/acknowledge", { params: { path: { id } }, body: { comment } })),
  unacknowledge: (id: string) => ask(client.DELETE("/violations/{id}/acknowledge", { params: { path: { id } } })),
  thresholds: async (signal?: AbortSignal) => (await ask(client.GET("/thresholds", { signal }))).items as KnownThreshold[],
  threshold: async (id: string, signal?: AbortSignal) => (await ask(client.GET("/thresholds/{id}", { params: { path: { id } }, signal }))) as KnownThreshold,
  createThreshold: async (body: NewThreshold) => (await ask(client.POST("/thresholds", { body }))) as Threshold & Version,
  replaceThreshold: async (before: Version, body: NewThreshold) =>
    (await ask(client.PUT("/thresholds/{id}", { params: known(before), body }))) as Threshold & Version,
  deleteThreshold: (before: Version) => ask(client.DELETE("/thresholds/{id}", { params: known(before) })),
  thresholdVersions: async (id: string, signal?: AbortSignal) =>
    (await ask(client.GET("/thresholds/{id}/versions", { params: { path: { id } }, signal }))).items as ThresholdVersion[],
  /** Takes up to half a minute, and ends in the backend, too, when it is aborted. */
  backtest: (body: BacktestQuestion, signal: AbortSignal) => ask(client.POST("/thresholds/backtest", { body, signal })) as Promise<Backtest>,
  suggest: (body: BacktestQuestion & { at_most_per_week: number }, signal: AbortSignal) => ask(client.POST("/thresholds/suggest", { body, signal })),
  inForce: async (id: string, signal?: AbortSignal) => (await ask(client.GET("/machines/{id}/thresholds", { params: { path: { id } }, signal }))).items as InForce[],
  silences: async (signal?: AbortSignal) => (await ask(client.GET("/silences", { signal }))).items,
  silence: (id: string, signal?: AbortSignal) => ask(client.GET("/silences/{id}", { params: { path: { id } }, signal })),
  createSilence: (body: NewSilence) => ask(client.POST("/silences", { body })),
  replaceSilence: (before: Version, body: NewSilence) => ask(client.PUT("/silences/{id}", { params: known(before), body })),
  deleteSilence: (before: Version) => ask(client.DELETE("/silences/{id}", { params: known(before) })),
};

/** Where the browser finds all that a question means as a file: it is written to disk while it is read, however long it is. */
export function fileOf(path: string, query: readonly (readonly [string, string])[], format: "csv" | "ndjson"): string {
  return `/api/v1${path}?${new URLSearchParams([...query.map(([name, value]) => [name, value]), ["format", format]])}`;
}
