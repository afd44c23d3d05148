import type uPlot from "uplot";
import { expect, test, vi } from "vitest";

import { heights } from "../src/charts/axes.ts";
import type { Rule } from "../src/charts/Chart.tsx";
import { newest, placeOf } from "../src/charts/cursor.ts";
import { drawRules, worst } from "../src/charts/watched.ts";
import { fixed, LIVE, moved, rangeOf } from "../src/views/range.ts";

const rule = (value: number, change: Partial<Rule> = {}): Rule => ({ value, severity: "warning", ...change });

test("a rule makes the axis longer on its own side, when it is near", () => {
  expect(heights({ unit: "1" }, 0, 0.72)).toEqual([0, 0.8]);
  expect(heights({ unit: "1", rules: [rule(0.9)] }, 0, 0.4)).toEqual([0, 1]);
  expect(heights({ unit: "1", rules: [rule(0.9)] }, 0, 0.2), "far away").toEqual([0, 0.2]);
  expect(heights({ unit: "1", limit: 1, rules: [rule(0.99)] }, 0, 0.9)).toEqual([0, 1]);
  expect(heights({ unit: "{thread}", rules: [rule(9, { isBelow: true })] }, -4, 2)).toEqual([-10, 2]);
  expect(heights({ unit: "{thread}", rules: [rule(9)] }, -4, 4)).toEqual([-4, 10]);
});

test("a rule lies on the side of what it is about", () => {
  vi.stubGlobal("devicePixelRatio", 1);
  const drawn: number[] = [];
  const ctx = { save: () => {}, restore: () => {}, setLineDash: () => {}, beginPath: () => {}, stroke: () => {}, lineTo: () => {}, moveTo: (_: number, y: number) => drawn.push(y) };
  const chart = { ctx, bbox: { left: 0, top: 0, width: 100, height: 100 }, valToPos: (value: number) => 50 - value } as unknown as uPlot;
  drawRules(chart, [rule(20), rule(30, { isBelow: true }), rule(60)], () => "");
  expect(drawn).toEqual([30, 80]);
  vi.unstubAllGlobals();
});

test("of violations at the same time the worst is drawn", () => {
  const violated = (from: number, to: number, severity: "critical" | "warning" | "info") => ({ from, to, severity });
  expect(worst([violated(0, 40, "warning"), violated(10, 20, "critical"), violated(30, Infinity, "info"), violated(15, 35, "warning"), violated(50, 50, "critical")])).toEqual([
    violated(0, 10, "warning"),
    violated(10, 20, "critical"),
    violated(20, 40, "warning"),
    violated(40, 50, "info"),
    violated(50, 51, "critical"),
    violated(51, Infinity, "info"),
  ]);
  expect(worst([violated(0, 1, "info"), violated(2, 3, "info")])).toEqual([violated(0, 1, "info"), violated(2, 3, "info")]);
});

test("an axis without values has a height all the same", () => {
  expect(heights({ unit: "1" }, null, null)).toEqual([0, 1]);
  expect(heights({ unit: "{thread}" }, -3, 0)).toEqual([-3, 0]);
});

test("the cursor reads the nearest point, and nothing where nothing was measured", () => {
  const t = [0, 2_000, 60_000];
  expect(placeOf(t, 10_000, 1_900, 1)).toEqual({ at: 2_000, index: 1 });
  expect(placeOf(t, 10_000, 12_000, 1)).toEqual({ at: 2_000, index: 1 });
  expect(placeOf(t, 10_000, 12_001, 1)).toEqual({ at: 12_001, index: null });
  expect(placeOf([], 10_000, 5, null)).toEqual({ at: 5, index: null });
});

test("without a cursor the newest value is read, of the past that of now", () => {
  expect(newest([0, 1, 2, 3], [5, 6, null, 7], Infinity)).toBe(7);
  expect(newest([0, 1, 2, 3], [5, 6, null, 7], 2)).toBe(6);
  expect(newest([], [], 2)).toBeNull();
});

test("a zoom keeps the range that it came from", () => {
  const query = new URLSearchParams({ range: "24h" });
  const change = (words: Record<string, string | null>) => {
    for (const [name, value] of Object.entries(words)) if (value === null) query.delete(name);
      else query.set(name, value);
  };
  change(fixed(1_000_000, 2_000_000));
  expect(rangeOf(query)).toEqual({ type: "fixed", from: 1_000_000, to: 2_000_000 });
  change(moved(rangeOf(query), 0, -1));
  expect(rangeOf(query)).toEqual({ type: "fixed", from: 500_000, to: 1_500_000 });
  change(LIVE);
  expect(query.toString()).toBe("range=24h");
});
