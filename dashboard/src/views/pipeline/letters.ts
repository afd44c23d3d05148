// What is said of a dead letter.

import type { DeadLetter } from "../../api/client.ts";
import { t } from "../../text/index.ts";

/** One word for a shell, whatever is in it. */
const quoted = (word: string) => (/^[\w.-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`);

/** What reads the whole letter where Kafka's own programs are. */
export function readingLine({ topic, partition, offset }: Pick<DeadLetter, "topic" | "partition" | "offset">): string {
  return `kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVER" --topic ${quoted(topic)} --partition ${partition} --offset ${offset} --max-messages 1 --property print.headers=true --property print.key=true`;
}

/** Where the record stood. */
export function origin({ origin: { topic, partition, offset } }: Pick<DeadLetter, "origin">): string {
  if (topic === null || topic === undefined) return t("letters.foreign");
  return t("letters.from", { topic, partition: partition ?? "?", offset: offset ?? "?" });
}
