// How fast consumers move on: by how much their positions grew between two words of theirs.

import type { Pipeline } from "../../api/client.ts";

interface Step {
  position: number;
  /** When it was spoken of. */
  at: number;
  /** Records a second since the time before; `null` where that is not known. */
  rate: number | null;
}

/** Each partition as it was spoken of last. */
export type Flow = ReadonlyMap<string, Step>;

type Spoken = Pick<Pipeline["partitions"][number], "topic" | "consumer_group" | "partition" | "position" | "heard_at" | "is_stale">;

const keyOf = ({ topic, consumer_group, partition }: Spoken) => JSON.stringify([topic, consumer_group, partition]);

export function flowed(before: Flow, partitions: readonly Spoken[]): Flow {
  return new Map(partitions.map((spoken) => [keyOf(spoken), step(before.get(keyOf(spoken)), spoken)]));
}

function step(before: Step | undefined, { position, heard_at, is_stale }: Spoken): Step {
  const at = Date.parse(heard_at);
  if (!before) return { position, at, rate: null };
  // nobody spoke of it since
  if (at <= before.at) return is_stale ? { ...before, rate: null } : before;
  const moved = position - before.position;
  // a topic that was made anew begins again
  return { position, at, rate: moved < 0 ? null : (moved / (at - before.at)) * 1_000 };
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
