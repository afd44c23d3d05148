// What is asked of the stream. Pure: shared by pages and by whoever holds the connection for them.

export type Topic = "violations" | "machines" | "hosts" | "containers" | "rules" | "pipeline" | "clock";

export interface Wants {
  topics: readonly Topic[];
  /** Ids of machines whose full values are shown. */
  reportsOf: readonly string[];
}

/** What every page needs, so that a page in the background still counts violations and knows what is silenced. */
export const ALWAYS: readonly Topic[] = ["violations", "machines", "rules", "clock"];
/** As many as the backend takes. */
export const REPORTS_OF_MAX = 32;

export function merge(all: Iterable<Wants>): Wants {
  const topics = new Set<Topic>(ALWAYS);
  const reportsOf = new Set<string>();
  for (const wants of all) {
    wants.topics.forEach((topic) => topics.add(topic));
    wants.reportsOf.forEach((id) => reportsOf.add(id));
  }
  return { topics: [...topics].sort(), reportsOf: [...reportsOf].sort().slice(0, REPORTS_OF_MAX) };
}

/** Whether a stream that was opened for `had` brings all of `wanted`. */
export function covers(had: Wants, wanted: Wants): boolean {
  return wanted.topics.every((topic) => had.topics.includes(topic)) && wanted.reportsOf.every((id) => had.reportsOf.includes(id));
}

export function streamUrl(wants: Wants, lastEventId: string): string {
  const query = new URLSearchParams({ topics: wants.topics.join(",") });
  if (wants.reportsOf.length > 0) query.set("reports_of", wants.reportsOf.join(","));
  if (lastEventId) query.set("last_event_id", lastEventId);
  return `/api/v1/stream?${query}`;
}
