// @vitest-environment node
import { beforeAll, expect, test, vi } from "vitest";

import type { InForce, Machine, Violation } from "../src/api/client.ts";
import { isLate } from "../src/state/fleet.ts";
import { dateAndTime, minute } from "../src/format/times.ts";
import { preferences } from "../src/state/preferences.ts";
import { standingText } from "../src/views/machine-standing.ts";
import { ruleLines } from "../src/views/rules-in-force.ts";
import { around } from "../src/views/violations/columns.tsx";
import { speakEnglish } from "./english.ts";

vi.hoisted(() => vi.stubGlobal("addEventListener", () => undefined));

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

test("times of another year than this say so, by the chosen zone", () => {
  expect([dateAndTime(NOW), minute(NOW)]).toEqual(["21 Nov, 12:05:00", "21 Nov, 12:05"]);
  expect([dateAndTime("2024-11-21T12:05:00Z"), minute("2024-11-21T12:05:00Z"), minute(null)]).toEqual(["21 Nov 2024, 12:05:00", "21 Nov 2024, 12:05", "–"]);
  expect(minute(`${year}-01-01T00:00:00Z`)).toBe("1 Jan, 00:00");
  expect(minute(`${year - 1}-12-31T23:59:59Z`)).toBe(`31 Dec ${year - 1}, 23:59`);
});

test("from a violation that is open the machine is shown live, as far back as it opened", () => {
  const violation = { kind: "host", machine_id: "5", opened_at: new Date(NOW).toISOString(), closed_at: null } as Violation;
  const check = (ms: number, expected: string) => expect(around(violation, NOW + ms)).toBe(`/hosts/5?range=${expected}`);
  check(0, "15m");
  check(900_000, "15m");
  check(900_001, "1h");
  check(86_400_001, "7d");
  check(500 * 86_400_000, "400d");
  const closed = around({ ...violation, closed_at: new Date(NOW + 60_000).toISOString() }, NOW + 9e9);
  expect(Object.fromEntries(new URL(closed, "http://x").searchParams)).toEqual({ from: `${year}-11-21T11:55:00.000Z`, to: `${year}-11-21T12:16:00.000Z` });
});
