import { beforeAll, expect, test, vi } from "vitest";

import type { KnownThreshold, Metric, ThresholdVersion } from "../src/api/client.ts";
import { catalog, unitOf } from "../src/state/catalog.ts";
import { changes } from "../src/views/thresholds/changes.ts";
import { steps } from "../src/views/thresholds/steps.ts";
import { fieldOf } from "../src/state/saving.ts";
import { bodyOf, draftOf, draftOfQuery, EMPTY, FOR_SECONDS_MAX, NOTE_CHARS, onTopOf, understood, WINDOW_SECONDS_MAX, WINDOW_SECONDS_MIN, type Draft } from "../src/views/thresholds/draft.ts";
import { arrange, choiceOf } from "../src/views/thresholds/order.ts";
import { comparison, condition, recovery, scope } from "../src/views/threshold-text.ts";
import { speakEnglish } from "./english.ts";

beforeAll(() => {
  vi.stubGlobal("navigator", { languages: ["en"] });
  speakEnglish();
  const metric = (name: string, unit: string, of: string, derived = false): [string, Metric] => [name, { name, unit, of, derived, resolution: 1, description: "" }];
  catalog.set(
    new Map([
      metric("system.cpu.utilization", "1", "host"),
      metric("system.filesystem.utilization", "1", "filesystem"),
      metric("system.memory.usage", "By", "host"),
      metric("system.network.receive", "By/s", "network"),
      metric("hw.temperature", "Cel", "sensor"),
      metric("system.uptime", "s", "host"),
      metric("container.cpu.usage", "{cpu}", "container"),
      metric("container.stopped", "1", "container", true),
      metric("pipeline.lag", "s", "pipeline", true),
    ]),
  );
});

const CPU: KnownThreshold = {
  id: "1", version: 3, scope: { kind: "host", machine_id: null, labels: null }, metric: "system.cpu.utilization", device: null, condition: "value", window_seconds: null, direction: "above",
  value: 0.9, recovery_value: 0.85, for_seconds: 60, recovery_for_seconds: 30, severity: "warning", effect: "open", enabled: true, note: "ask the team",
  changed_at: null, changed_by: null, machine_name: null, host_name: null,
};
const rule = (change: Partial<KnownThreshold> = {}): KnownThreshold => ({ ...CPU, ...change });
/** What a rule is told beside what it says. */
const TOLD = ["id", "version", "changed_at", "changed_by", "machine_name", "host_name"];
const sent = (before: KnownThreshold) => Object.fromEntries(Object.entries(before).filter(([name]) => !TOLD.includes(name)));

test("every field of a rule comes back out of the editor as it went in", () => {
  const rules = [
    rule(),
    rule({ scope: { kind: "host", machine_id: null, labels: { rack: "a*", role: "db" } }, metric: "system.filesystem.utilization", device: "/data*" }),
    rule({ scope: { kind: "container", machine_id: "7", labels: null }, metric: "container.cpu.usage", direction: "below", value: 0.123_456_789, recovery_value: 0.2 }),
    rule({ metric: "system.memory.usage", value: 1_500_000_001, recovery_value: 2 ** 30 }),
    rule({ metric: "system.network.receive", device: "eth0", condition: "change", window_seconds: 3_661, value: -1.5, recovery_value: -1.5, direction: "below" }),
    rule({ metric: "system.filesystem.utilization", condition: "time_until_full", window_seconds: 3_600, direction: "below", value: 14_400, recovery_value: 86_400 }),
    rule({ metric: "hw.temperature", value: 80.1, recovery_value: 80.1, for_seconds: 0, recovery_for_seconds: 0, severity: "critical", enabled: false, note: "a\nb " }),
    rule({ metric: "pipeline.lag", scope: { kind: "pipeline", machine_id: null, labels: null }, value: 60, recovery_value: 30, severity: "info" }),
    rule({ metric: "own.metric", value: 1e-9, recovery_value: 0, effect: "none" }),
    rule({ value: 0, recovery_value: 0, effect: "none", for_seconds: FOR_SECONDS_MAX }),
  ];
  for (const before of rules) expect(bodyOf(draftOf(before, unitOf), unitOf), before.metric).toEqual({ body: sent(before), problems: null });
});

const problems = (change: Partial<Draft>) => bodyOf({ ...draftOf(rule(), unitOf), ...change }, unitOf).problems;

test("what cannot be meant is told at its field", () => {
  const checks: [Partial<Draft>, object | null][] = [
    [{}, null],
    [{ metric: " ", value: "1", recovery: "" }, { metric: "problem.missing" }],
    [{ value: "" }, { value: "problem.missing" }],
    [{ value: "much" }, { value: "problem.quantity" }],
    [{ value: "", recovery: "", effect: "none" }, null],
    [{ recovery: "" }, null],
    [{ recovery: "90 %" }, null],
    [{ recovery: "90.1 %" }, { recovery_value: "problem.recovery" }],
    [{ direction: "below", recovery: "89 %" }, { recovery_value: "problem.recovery" }],
    [{ lasting: "" }, null],
    [{ lasting: "soon" }, { for_seconds: "problem.duration" }],
    [{ lasting: "0.5 s" }, { for_seconds: "problem.duration" }],
    [{ lasting: `${FOR_SECONDS_MAX}` }, null],
    [{ lasting: `${FOR_SECONDS_MAX + 1}` }, { for_seconds: "problem.for" }],
    [{ recoveryLasting: "2 d" }, { recovery_for_seconds: "problem.for" }],
    [{ condition: "change", window: `${WINDOW_SECONDS_MIN}` }, null],
    [{ condition: "change", window: `${WINDOW_SECONDS_MIN - 1}` }, { window_seconds: "problem.window" }],
    [{ condition: "change", window: `${WINDOW_SECONDS_MAX}` }, null],
    [{ condition: "change", window: `${WINDOW_SECONDS_MAX + 1}` }, { window_seconds: "problem.window" }],
    [{ target: "labels", labels: [["", ""]] }, { "scope.labels": "problem.missing" }],
    [{ target: "labels", labels: [["", "db"]] }, { "scope.labels": "problem.labelName" }],
    [{ target: "labels", labels: [["role", "db"], ["role ", "web"]] }, { "scope.labels": "problem.labelTwice" }],
    [{ target: "machine" }, { "scope.machine_id": "problem.missing" }],
    [{ note: "x".repeat(NOTE_CHARS) }, null],
    [{ note: "x".repeat(NOTE_CHARS + 1) }, { note: "problem.note" }],
  ];
  for (const [change, expected] of checks) expect(problems(change), JSON.stringify(change)).toEqual(expected);
});

test("a link begins a rule, and a problem of the backend finds its field", () => {
  const kindOf = (metric: string) => (metric.startsWith("container") ? ("container" as const) : metric.startsWith("system") ? ("host" as const) : null);
  const draft = (query: string) => draftOfQuery(new URLSearchParams(query), unitOf, kindOf);
  expect(draft("")).toEqual(EMPTY);
  expect(draft("metric=container.cpu.usage&machine_id=7&value=1.5")).toEqual({ ...EMPTY, metric: "container.cpu.usage", kind: "container", target: "machine", machineId: "7", value: "1.5" });
  expect(draft("metric=system.cpu.utilization&label=role=db&label=a=b=c&device=/&value=0.9")).toEqual({ ...EMPTY, metric: "system.cpu.utilization", target: "labels", labels: [["role", "db"], ["a", "b=c"]], device: "/", value: "90 %" });
  expect(draft("metric=own.metric&kind=container&value=much").kind).toBe("container");
  expect(fieldOf("for_seconds: 90000 is not within 0 and 86400")).toEqual({ field: "for_seconds", text: "90000 is not within 0 and 86400" });
  expect(fieldOf("threshold 7 has the same scope: change that one").field).toBeNull();
  expect([understood({ ...EMPTY, metric: "system.cpu.utilization" }, "85", unitOf), understood({ ...EMPTY, metric: "system.cpu.utilization" }, "85 %", unitOf), understood({ ...EMPTY, metric: "system.cpu.utilization" }, "x", unitOf)]).toEqual(["85 %", null, null]);
});

test("a rule is said in words, with its values as they are", () => {
  expect(condition(rule({ value: 0.855 }))).toBe("above 85.5 % for 1 min");
  expect(condition(rule({ for_seconds: 0 }))).toBe("above 90 % at once");
  expect(condition(rule({ effect: "none" }))).toBe("opens nothing");
  expect([recovery(rule()), recovery(rule({ recovery_value: 0.9, recovery_for_seconds: 0 }))]).toEqual(["closes at 85 % for 30 s", null]);
  const change = (direction: "above" | "below", value: number) => comparison(rule({ condition: "change", window_seconds: 600, direction, value }));
  expect([change("above", 0.1), change("above", -0.1), change("below", -0.1), change("below", 0.1), change("above", 0), change("below", 0)]).toEqual([
    "rises by more than 10 % within 10 min", "falls by less than 10 % within 10 min", "falls by more than 10 % within 10 min", "rises by less than 10 % within 10 min", "rises by more than 0 % within 10 min", "falls by more than 0 % within 10 min",
  ]);
  expect(comparison(rule({ condition: "time_until_full", window_seconds: 3_600, direction: "below", value: 14_400 }))).toBe("full in less than 4 h (going on as in the last 1 h)");
  expect(scope(rule({ scope: { kind: "host", machine_id: null, labels: { rack: "a*" } } }))).toBe("hosts with rack=a*");
  expect([scope(rule({ scope: { kind: "host", machine_id: "7" } }), () => "db-1"), scope(rule({ scope: { kind: "host", machine_id: "7" } }))]).toEqual(["db-1", "machine 7"]);
});

test("versions differ in words", () => {
  const lines = (change: Partial<KnownThreshold>, before = rule()) => changes(before, { ...before, ...change }, () => null);
  expect(lines({})).toEqual([]);
  expect(lines({ value: 0.95, for_seconds: 300 })).toEqual(["Value: 90 % → 95 %", "For at least: 1 min → 5 min"]);
  expect(lines({ recovery_value: 0.9 })).toEqual(["Closes at: 85 % → as the value"]);
  expect(lines({ enabled: false })).toEqual(["switched off"]);
  expect(lines({ effect: "none", severity: "critical", note: "" })).toEqual(["Effect: opens violations → opens nothing", "Severity: warning → critical", "Note: ask the team → nothing"]);
  expect(lines({ scope: { kind: "host", labels: { role: "db" } }, device: "/" })).toEqual(["For: every host → hosts with role=db", "Device: nothing → /"]);
  expect(lines({ window_seconds: 300 }, rule({ condition: "change", window_seconds: 600 }))).toEqual(["Within: 10 min → 5 min"]);
});

test("each version says what it changed of the one before, over a deletion, too", () => {
  const version = (number: number, threshold: KnownThreshold | null): ThresholdVersion => ({ version: number, changed_at: null, changed_by: null, threshold });
  const told = steps([version(4, rule({ enabled: false })), version(3, null), version(2, rule({ value: 0.95 })), version(1, rule())], () => null);
  expect(told.map(({ type, lines }) => [type, ...lines])).toEqual([["changed", "switched off", "Value: 95 % → 90 %"], ["deleted"], ["changed", "Value: 90 % → 95 %"], ["created"]]);
});

test("rules stand by metric, the more specific ones first, and filters narrow them", () => {
  const rules = [
    rule({ id: "1" }),
    rule({ id: "2", scope: { kind: "host", labels: { role: "db" } } }),
    rule({ id: "3", scope: { kind: "host", machine_id: "9" } }),
    rule({ id: "4", severity: "critical" }),
    rule({ id: "5", metric: "container.cpu.usage", scope: { kind: "container" }, enabled: false }),
    rule({ id: "6", metric: "hw.temperature", device: "cpu*", effect: "none" }),
    rule({ id: "7", metric: "hw.temperature", device: "cpu0" }),
  ];
  const ask = { text: (one: KnownThreshold) => `${one.metric} ${scope(one)}`, isViolated: ({ id }: KnownThreshold) => id === "2", isOwn: ({ id }: KnownThreshold) => id !== "1" };
  const ids = (query: string) => arrange(rules, choiceOf(new URLSearchParams(query)), ask).flatMap(({ rules }) => rules.map(({ id }) => id)).join();
  expect(arrange(rules, choiceOf(new URLSearchParams()), ask).map(({ metric }) => metric)).toEqual(["container.cpu.usage", "hw.temperature", "system.cpu.utilization"]);
  expect(ids("")).toBe("5,7,6,3,2,4,1");
  expect([ids("severity=critical"), ids("kind=container"), ids("only=off"), ids("only=nothing"), ids("only=violating"), ids("only=own&q=cpu.utilization"), ids("q=ROLE db"), ids("only=nonsense")]).toEqual(["4", "5", "5", "6", "2", "3,2,4", "2", "5,7,6,3,2,4,1"]);
});

test("what one changed goes on top of what somebody else did", () => {
  const base = draftOf(rule(), unitOf);
  const theirs = { ...base, note: "theirs", value: "95 %", labels: [["rack", "a1"]] as const };
  expect(onTopOf<Draft>(theirs, base, { ...base, value: "80 %", lasting: "5 min" })).toEqual({ ...theirs, value: "80 %", lasting: "5 min" });
  expect(onTopOf<Draft>(theirs, base, base)).toEqual(theirs);
});
