// @vitest-environment node
import { beforeAll, expect, test } from "vitest";

import { flowed, rateOf, type Flow } from "../src/views/pipeline/flow.ts";
import { origin, readingLine } from "../src/views/pipeline/letters.ts";
import { speakEnglish } from "./english.ts";

beforeAll(speakEnglish);

const AT = Date.parse("2026-11-22T06:00:00Z");
const spoken = (partition: number, position: number, seconds: number, more: { topic?: string; is_stale?: boolean } = {}) => ({
  topic: "t", consumer_group: "g", partition, position, heard_at: new Date(AT + 1_000 * seconds).toISOString(), is_stale: false, ...more,
});

test("consumers move on as fast as their positions grow between two words of theirs", () => {
  let flow: Flow = new Map();
  const next = (...partitions: Parameters<typeof flowed>[1]) => rateOf((flow = flowed(flow, partitions)));
  expect(rateOf(flow)).toBe(null);
  expect(next(spoken(0, 100, 0), spoken(1, 7, 1)), "nothing to compare with").toBe(null);
  expect(next(spoken(0, 150, 5), spoken(1, 7, 6))).toBe(10);
  expect(next(spoken(0, 150, 5), spoken(1, 7, 6)), "nobody spoke since").toBe(10);
  expect(next(spoken(0, 150, 10), spoken(1, 17, 8))).toBe(5);
  expect(next(spoken(0, 150, 15), spoken(1, 17, 8, { is_stale: true })), "of one nobody knows").toBe(null);
  expect(next(spoken(0, 160, 20), spoken(1, 27, 18))).toBe(3);
  expect(next(spoken(0, 0, 25), spoken(1, 27, 23)), "the topic was made anew").toBe(null);
  expect(next(spoken(0, 20, 30), spoken(1, 27, 28))).toBe(4);
  expect(next(spoken(0, 20, 35), spoken(1, 27, 33), spoken(0, 5, 33, { topic: "other" }))).toBe(null);
  expect(next(spoken(0, 20, 40))).toBe(0);
});

test("the line that reads a letter means the letter and nothing else", () => {
  expect(readingLine({ topic: "server-metrics.dlq", partition: 2, offset: 17 })).toBe(
    'kafka-console-consumer.sh --bootstrap-server "$BOOTSTRAP_SERVER" --topic server-metrics.dlq --partition 2 --offset 17 --max-messages 1 --property print.headers=true --property print.key=true',
  );
  expect(readingLine({ topic: "a'; rm -rf $HOME.dlq", partition: 0, offset: 0 })).toContain(`--topic 'a'\\''; rm -rf $HOME.dlq' --partition`);
});

test("where a letter comes from is said as far as it says so", () => {
  expect(origin({ origin: { topic: "t", partition: 0, offset: 40, at: null } })).toBe("t, partition 0, offset 40");
  expect(origin({ origin: { topic: "{offset}", partition: null, offset: 3 } })).toBe("{offset}, partition ?, offset 3");
  expect(origin({ origin: {} })).toBe("not by a consumer");
});
