import { afterEach, beforeEach, expect, test, vi } from "vitest";

import type { Violation } from "../src/api/client.ts";
import type { Alarm } from "../src/state/preferences.ts";
import { ability, bodyOf, rings, titleOf, Waiting } from "../src/state/ringing.ts";
import { speakEnglish } from "./english.ts";

function violation(id: number, change: Partial<Violation> = {}): Violation {
  return { id: String(id), machine_name: `web-${id}`, metric: "system.cpu.utilization", device: null, severity: "critical", closed_at: null, silenced: null, acknowledged: null, ...change } as Violation;
}

beforeEach(() => {
  vi.stubGlobal("navigator", { languages: ["en"] });
  speakEnglish();
});
afterEach(() => vi.unstubAllGlobals());

test("what somebody wants to hear of rings, and never what is silenced, seen or over", () => {
  const silenced = { silence_id: "1", until: "2026-11-22T00:00:00Z" };
  const acknowledged = { at: "2026-11-21T00:00:00Z", by: "jana", comment: "" };
  const cases: [Partial<Violation>, Alarm, boolean][] = [
    [{}, "off", false],
    [{}, "critical", true],
    [{}, "warning", true],
    [{ severity: "warning" }, "critical", false],
    [{ severity: "warning" }, "warning", true],
    [{ severity: "info" }, "warning", false],
    [{ silenced }, "critical", false],
    [{ acknowledged }, "critical", false],
    [{ closed_at: "2026-11-21T00:00:00Z" }, "critical", false],
    [{}, "loud" as Alarm, false],
  ];
  for (const [change, alarm, expected] of cases) expect(rings(violation(1, change), alarm), JSON.stringify([change, alarm])).toBe(expected);
});

test("the tab that may sound rings, and of two of them the one that is seen", () => {
  const of = (sounds: boolean, notifies: boolean, isVisible: boolean, alarm: Alarm = "critical") => ability({ alarm, sounds, notifies, isVisible });
  expect([of(true, true, true, "off"), of(false, false, true)]).toEqual([0, 0]);
  expect(of(false, true, false), "a notification needs no click before").toBeGreaterThan(0);
  const rising = [of(false, true, false), of(false, true, true), of(true, false, false), of(true, true, true)];
  expect([...rising].sort((one, other) => one - other)).toEqual(rising);
  expect(new Set(rising).size).toBe(rising.length);
});

test("what opens together rings once, without what is over by then", () => {
  const waiting = new Waiting();
  expect([waiting.add(violation(1)), waiting.add(violation(2)), waiting.add(violation(2))], "the first begins the time").toEqual([true, false, false]);
  waiting.drop("1");
  waiting.drop("9");
  expect(waiting.take().map(({ id }) => id)).toEqual(["2"]);
  expect([waiting.take(), waiting.add(violation(3))]).toEqual([[], true]);
});

test("a notification names one, or how many and the first of them", () => {
  const one = [violation(1, { machine_name: "<b>x</b>", device: "/data" })];
  expect([titleOf(one), bodyOf(one)]).toEqual(["critical: <b>x</b>", "system.cpu.utilization /data"]);
  const many = [violation(1, { severity: "warning" }), ...[2, 3, 4, 5, 6].map((id) => violation(id))];
  expect(titleOf(many)).toBe("6 violations, critical");
  expect(bodyOf(many).split("\n")).toEqual([...[1, 2, 3, 4].map((id) => `web-${id} system.cpu.utilization`), "and 2 more"]);
});
