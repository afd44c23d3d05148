import { expect, test } from "vitest";

import type { Series } from "../src/api/client.ts";
import { append, ceiling, gapMs, sampled, stack, table, trim } from "../src/charts/columns.ts";
import { chartData, LINES_MAX } from "../src/charts/lines.ts";

function series(t: number[], avg: number[], change: Partial<Series> = {}): Series {
  return { machine_id: "1", metric: "system.cpu.utilization", unit: "1", device: null, resolution_ms: 2_000, t, avg, min: [...avg], max: [...avg], ...change };
}

test("series stand side by side over one axis, and what is missing is no value", () => {
  const { t, columns } = table([series([0, 2_000, 4_000], [1, 2, 3]), series([2_000, 6_000], [5, 6])], 10_000);
  expect(t).toEqual([0, 2_000, 4_000, 6_000]);
  expect(columns.map((column) => column.avg)).toEqual([
    [1, 2, 3, null],
    [null, 5, null, 6],
  ]);
});

test("a silence breaks the lines, a single late sample does not", () => {
  const gap = gapMs(2_000, 2_000);
  expect(gap).toBe(10_000);
  expect(table([series([0, 10_000], [1, 2])], gap).t).toEqual([0, 10_000]);
  const { t, columns } = table([series([0, 10_001], [1, 2])], gap);
  expect(t).toEqual([0, 1, 10_001]);
  expect(columns[0]?.avg).toEqual([1, null, 2]);
  expect(gapMs(300_000, 2_000), "points of five minutes are five minutes apart").toBe(750_000);
});

test("a stack adds up, and nothing stands on what is not there", () => {
  expect(stack([[1, null, 3], [1, 1, null]])).toEqual([
    [1, null, 3],
    [2, 1, null],
  ]);
});

test("a sample that comes live is a new point, or a part of the newest", () => {
  const raw = series([0, 2_000], [1, 2]);
  append(raw, 4_000, 3, 2_000);
  append(raw, 4_000, 9, 2_000);
  expect([raw.t, raw.avg, raw.max]).toEqual([[0, 2_000, 4_000], [1, 2, 3], [1, 2, 3]]);

  const wide = series([0], [1], { resolution_ms: 10_000 });
  append(wide, 2_000, 3, 2_000);
  expect([wide.t, wide.avg, wide.min, wide.max]).toEqual([[0], [2], [1], [3]]);
  append(wide, 11_000, 5, 2_000);
  expect([wide.t, wide.avg]).toEqual([[0, 10_000], [2, 5]]);
});

test("what is long past is dropped, all columns alike", () => {
  const long = series([...Array(1_000).keys()], [...Array(1_000).keys()]);
  trim(long, 100);
  expect(long.t.length, "little is not worth it").toBe(1_000);
  trim(long, 500);
  expect([long.t.length, long.avg.length, long.min.length, long.max.length, long.t[0]]).toEqual([500, 500, 500, 500, 500]);
});

test("axes end at numbers that read well", () => {
  expect([0, 0.03, 0.72, 7, 94, 101].map((value) => ceiling(value))).toEqual([1, 0.03, 0.8, 8, 100, 150]);
  expect([1_000, 1_100, 1_500, 3_000].map((value) => ceiling(value, true))).toEqual([1_024, 1_280, 1_536, 3_072]);
});

const WISH = { metrics: ["system.cpu.utilization"], isStacked: false, below: [], intervalMs: 2_000, label: () => "" };

test("of too many devices the greatest are drawn", () => {
  const many = Array.from({ length: LINES_MAX + 3 }, (_, index) => series([0, 2_000], [index, index], { device: `disk${index}` }));
  const { lines } = chartData(many, WISH);
  expect(lines.length).toBe(LINES_MAX);
  expect(Math.min(...lines.map((line) => line.values[0] ?? 0))).toBe(3);
});

test("what goes out is drawn below the axis and read as it is", () => {
  const { lines } = chartData([series([0], [5])], { ...WISH, below: ["system.cpu.utilization"] });
  expect(lines[0]?.values).toEqual([-5]);
});

const DAY_MS = 86_400_000;
const before = (t: number[], avg: number[], change: Partial<Series> = {}) => ({ series: [series(t, avg, change)], shiftMs: DAY_MS, label: "before" });

test("the past is moved to where it is compared, and goes on where the present ends", () => {
  const { t, lines } = chartData([series([DAY_MS], [1])], { ...WISH, past: before([0, 2_000], [7, 8]) });
  expect(t).toEqual([DAY_MS, DAY_MS + 2_000]);
  expect(lines.map((line) => [line.faint ?? false, line.values])).toEqual([
    [false, [1, null]],
    [true, [7, 8]],
  ]);
});

test("a past of another resolution and phase breaks neither line", () => {
  const present = series([0, 2_000, 4_000, 6_000].map((at) => at + DAY_MS), [1, 2, 3, 4]);
  const { t, lines } = chartData([present], { ...WISH, past: before([-900, 2_100, 5_100, 8_100], [0, 30, 60, 90], { resolution_ms: 3_000 }) });
  expect(t.map((at) => at - DAY_MS), "only its ends add to the present's times").toEqual([-900, 0, 2_000, 4_000, 6_000, 8_100]);
  expect(lines[0]?.values).toEqual([null, 1, 2, 3, 4, null]);
  expect(lines[1]?.values.map((value) => Math.round(value ?? NaN))).toEqual([0, 9, 29, 49, 69, 90]);
});

test("the past is seen where the present is silent, and has gaps of its own", () => {
  const present = series([0, 2_000, 60_000].map((at) => at + DAY_MS), [1, 2, 3]);
  const { t, lines } = chartData([present], { ...WISH, past: before([0, 2_000, 30_000, 32_000], [5, 6, 7, 8]) });
  expect(t.map((at) => at - DAY_MS)).toEqual([0, 2_000, 2_001, 30_000, 32_000, 60_000]);
  expect(lines.map((line) => line.values)).toEqual([
    [1, 2, null, null, null, 3],
    [5, 6, 6, 7, 8, null],
  ]);
  expect(chartData([], { ...WISH, past: before([0], [5]) }).t, "only the past").toEqual([DAY_MS]);
  expect(chartData([present], { ...WISH, past: { series: [], shiftMs: DAY_MS, label: "before" } }).lines[1]?.values.every((value) => value === null)).toBe(true);
});

test("between two points of a series is what lies between them, near one of them alone what it is", () => {
  expect(sampled(series([0, 10_000, 40_000], [0, 10, 50]), [-5_000, -5_001, 5_000, 14_000, 25_000, 36_000, 46_000], 10_000)).toEqual([0, null, 5, 10, null, 50, null]);
});

test("a limit is drawn when the values come near it, and read always", () => {
  const limit = (used: number) => [series([0], [used], { metric: "used" }), series([0], [100], { metric: "limit" })];
  const wish = { ...WISH, metrics: ["used", "limit"], whenNear: ["limit"] };
  expect(chartData(limit(40), wish).lines.map((line) => [line.values, line.shown])).toEqual([[[40], undefined], [[100], undefined]]);
  expect(chartData(limit(39), wish).lines.map((line) => [line.values, line.shown])).toEqual([[[39], undefined], [[null], [100]]]);
});
