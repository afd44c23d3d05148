// @vitest-environment node
import { beforeAll, expect, test } from "vitest";

import type { Row } from "../src/state/fleet.ts";
import { collectors } from "../src/views/pipeline/collectors.ts";
import { flowed, rateOf, type Flow } from "../src/views/pipeline/flow.ts";
import { origin, readingLine } from "../src/views/pipeline/letters.ts";
import { speakEnglish } from "./english.ts";

beforeAll(speakEnglish);

const AT = Date.parse("2026-11-22T06:00:00Z");
const spoken = (partition: number, position: number, seconds: number, more: { topic?: string; is_stale?: boolean; end_offset?: number | null } = {}) => ({
  topic: "t", consumer_group: "g", partition, position, end_offset: null, heard_at: new Date(AT + 1_000 * seconds).toISOString(), is_stale: false, ...more,
});

test("consumers move on as fast as their positions grow between two words of theirs", () => {
  let flow: Flow = new Map();
  const next = (...partitions: Parameters<typeof flowed>[1]) => rateOf((flow = flowed(flow, partitions, "position")));
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

test("producers are as fast as the ends grow, where those are known", () => {
  let flow: Flow = new Map();
  const next = (end_offset: number | null, seconds: number) => rateOf((flow = flowed(flow, [spoken(0, 0, seconds, { end_offset })], "end_offset")));
  expect([next(null, 0), next(10, 5), next(60, 10), next(null, 15), next(80, 20), next(80, 25)]).toEqual([null, null, 10, null, null, 0]);
});

test("all collectors are there, those with trouble first, and a silent one is as late as it is silent", () => {
  const row = (hostId: string, ago: number) => ({ id: `m${hostId}`, hostId, name: `host ${hostId}`, at: AT - ago, intervalMs: 2_000, facts: { collector: "0.1.0" } }) as unknown as Row;
  const missing = { thinned: 1, dropped: 2, damaged: 3, lost: 4 };
  const told = { host_id: "a", host_name: "host a", machine_id: "ma", collector_version: "0.0.9", newest_report_at: new Date(AT - 1_215_000).toISOString(), late_seconds: 7, spool_reports: 5, spool_bytes: 600, missing };
  const hosts = [told, { ...told, host_id: "b", host_name: "host b", newest_report_at: new Date(AT - 4_000).toISOString() }] as unknown as Parameters<typeof collectors>[0];
  const found = collectors(hosts, [row("z", 5_000), row("c", 5_001), row("b", 1_000)], AT);
  expect(found.map(({ hostId, lateMs, isSilent }) => [hostId, lateMs, isSilent])).toEqual([["a", 1_215_000, true], ["b", 7_000, false], ["c", 5_001, true], ["z", null, false]]);
  expect(found.map(({ version, spool, missing }) => [version, spool?.reports, missing?.removed])).toEqual([["0.0.9", 5, 6], ["0.0.9", 5, 6], ["0.1.0", undefined, undefined], ["0.1.0", undefined, undefined]]);
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
