// How fast records come and go: by how much the ends and the positions of partitions grew between two words of their consumers.

import type { Pipeline } from "../../api/client.ts";

interface Step {
  offset: number | null;
  /** When it was spoken of. */
  at: number;
  /** Records a second since the time before; `null` where that is not known. */
  rate: number | null;
}

/** Each partition as it was spoken of last. */
export type Flow = ReadonlyMap<string, Step>;

/** `end_offset` is where producers are, `position` where consumers are. */
export type Place = "end_offset" | "position";
type Spoken = Pick<Pipeline["partitions"][number], "topic" | "consumer_group" | "partition" | "heard_at" | "is_stale" | Place>;

const keyOf = ({ topic, consumer_group, partition }: Spoken) => JSON.stringify([topic, consumer_group, partition]);

export function flowed(before: Flow, partitions: readonly Spoken[], place: Place): Flow {
  return new Map(partitions.map((spoken) => [keyOf(spoken), step(before.get(keyOf(spoken)), spoken, spoken[place] ?? null)]));
}

function step(before: Step | undefined, { heard_at, is_stale }: Spoken, offset: number | null): Step {
  const at = Date.parse(heard_at);
  if (!before) return { offset, at, rate: null };
  // nobody spoke of it since
  if (at <= before.at) return is_stale ? { ...before, rate: null } : before;
  const moved = offset === null || before.offset === null ? null : offset - before.offset;
  // a topic that was made anew begins again
  return { offset, at, rate: moved === null || moved < 0 ? null : (moved / (at - before.at)) * 1_000 };
}

/** Records a second of all partitions together; `null` while that of one of them is not known. */
export function rateOf(flow: Flow): number | null {
  let sum = 0;
  for (const { rate } of flow.values()) {
    if (rate === null) return null;
    sum += rate;
  }
  return flow.size === 0 ? null : sum;
}
