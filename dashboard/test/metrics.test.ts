// The charts know the metrics that the backend's catalog has; what is typed finds metrics and devices.

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

import { CHARTS } from "../src/views/chart-list.ts";
import { deviceOptions } from "../src/views/metric-options.ts";
import { speakEnglish } from "./english.ts";

speakEnglish();

const catalog = readFileSync(new URL("../../wire-model/src/catalog.rs", import.meta.url), "utf8");
const units = new Map([...catalog.matchAll(/metric\(\s*"([a-z0-9_.]+)",\s*"([^"]+)"/g)].map(([, name, unit]) => [name, unit]));

test("every metric that is drawn is in the catalog, in the unit of its chart", () => {
  expect(units.size).toBeGreaterThan(50);
  for (const entry of [...CHARTS.host, ...CHARTS.container]) {
    for (const metric of entry.metrics) {
      expect(units.has(metric), metric).toBe(true);
      if (entry.id !== "networkFaults") expect(units.get(metric), metric).toBe(entry.unit);
    }
    expect(entry.compare === undefined || units.get(entry.compare) === entry.unit, entry.id).toBe(true);
  }
});

test("devices are proposed by how many hosts have them, then by name", () => {
  const values = ["/", "/data", "/", null, undefined, "/srv", "/data", "/"].map((device) => ({ device }));
  expect(deviceOptions(values, "").map(({ value, note }) => [value, note])).toEqual([["/", "hosts: 3"], ["/data", "hosts: 2"], ["/srv", "hosts: 1"]]);
  expect(deviceOptions(values, "da").map(({ value }) => value)).toEqual(["/data"]);
  expect(deviceOptions(values, "nowhere")).toEqual([]);
});
