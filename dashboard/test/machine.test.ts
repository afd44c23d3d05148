// @vitest-environment node
import { beforeAll, expect, test } from "vitest";

import type { InForce, Machine } from "../src/api/client.ts";
import { isLate } from "../src/state/fleet.ts";
import { preferences } from "../src/state/preferences.ts";
import { standingText } from "../src/views/machine-standing.ts";
import { ruleLines } from "../src/views/rules-in-force.ts";
import { speakEnglish } from "./english.ts";

beforeAll(() => {
  speakEnglish();
  preferences.set({ ...preferences.get(), language: "en", zone: "UTC" });
});

const year = new Date().getFullYear();
const NOW = Date.parse(`${year}-11-21T12:05:00Z`);

test("of a machine that does not run or report it is said since when", () => {
  const machine = (status: Machine["status"], facts = {}) => ({ status, last_report_at: `${year}-11-21T12:00:00Z`, facts });
  const finished = { finished_at: NOW - 90_000 };
  const check = (machine: Parameters<typeof standingText>[0], expected: string | null) => expect(standingText(machine, NOW)).toBe(expected);
  check(machine("up", finished), null);
  check(machine("late"), "late since 21 Nov, 12:00:00 (5 min)");
  check(machine("down", finished), "down since 21 Nov, 12:00:00 (5 min)");
  check(machine("gone"), "gone since 21 Nov, 12:00:00 (5 min)");
  check(machine("stopped", finished), "stopped since 21 Nov, 12:03:30 (1 min 30 s)");
  check(machine("stopped"), "stopped");
});

test("a host is late after two intervals and a second, a fast one after six seconds", () => {
  expect([isLate(6_000, 500), isLate(6_001, 500), isLate(21_000, 10_000), isLate(21_001, 10_000)]).toEqual([false, true, false, true]);
});

test("a rule that watches each device is one line", () => {
  const rule = (id: string, metric: string, device?: string) => ({ metric, device, threshold: { id } }) as unknown as InForce;
  const lines = ruleLines([rule("1", "system.network.errors", "eth0"), rule("2", "system.cpu"), rule("1", "system.network.errors", "eth1"), rule("3", "system.network.errors", "eth0"), rule("1", "system.network.drops", "eth0")]);
  expect(lines.map(({ rule, devices }) => [rule.threshold.id, rule.metric, ...devices].join(" "))).toEqual(["1 system.network.errors eth0 eth1", "2 system.cpu", "3 system.network.errors eth0", "1 system.network.drops eth0"]);
});
