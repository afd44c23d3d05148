import { beforeAll, expect, test, vi } from "vitest";

import type { NewSilence, Silence } from "../src/api/client.ts";
import { cronOf, readCron } from "../src/views/silences/cron.ts";
import { bodyOf, COMMENT_CHARS, draftOf, draftOfQuery, DURATION_SECONDS_MAX, DURATION_SECONDS_MIN, emptyDraft, type Draft } from "../src/views/silences/draft.ts";
import { schedule, silenceScope } from "../src/views/silences/words.ts";
import { stateOf } from "../src/state/silences.ts";
import { fits, matches, ruleLabels } from "../src/state/machines.ts";
import type { Row } from "../src/state/fleet.ts";
import { speakEnglish } from "./english.ts";

beforeAll(() => {
  vi.stubGlobal("navigator", { languages: ["en"] });
  speakEnglish();
});

const ONCE: Silence = {
  id: "1", version: 2, kind: "silence", scope: { kind: null, machine_id: null, host_id: null, labels: {}, metric: "system.cpu.*", severity: "warning" }, starts_at: "2026-11-21T09:00:12.345Z",
  ends_at: "2026-11-21T11:30:00.000Z", cron: null, duration_seconds: null, tz: null, comment: "kernel", created_at: "2026-11-21T09:00:12.345Z", created_by: "jana", active_until: null, next_start_at: null, machine_name: null, host_name: null,
};
const silence = (change: Partial<Silence> = {}): Silence => ({ ...ONCE, ...change });
const sent = ({ kind, scope, starts_at, ends_at, cron, duration_seconds, tz, comment }: Silence): NewSilence => ({ kind, scope, starts_at, ends_at, cron, duration_seconds, tz, comment });

test("every field of a silence comes back out of the form as it went in", () => {
  const all = [
    silence(),
    silence({ kind: "maintenance", scope: { kind: "host", machine_id: "7", host_id: "h1", labels: { rack: "a*" }, metric: null, severity: null } }),
    silence({ starts_at: null, ends_at: null, cron: "30 2 * * MON,FRI", duration_seconds: 5_400, tz: "Europe/Berlin" }),
    silence({ starts_at: "2026-11-21T09:00:00.000Z", ends_at: null, cron: "0 2 1 * *", duration_seconds: 60, tz: "Asia/Seoul" }),
  ];
  for (const before of all) expect(bodyOf(draftOf(before, "America/New_York"), before)).toEqual({ body: sent(before), problems: null });
});

const good: Draft = { ...emptyDraft("UTC"), kind: "host", ends: "2026-11-21T11:30", comment: "why" };
const problems = (change: Partial<Draft>) => bodyOf({ ...good, ...change }, null).problems;

test("what cannot be meant is told at its field", () => {
  const checks: [Partial<Draft>, object | null][] = [
    [{}, null],
    [{ kind: "" }, { scope: "problem.scope" }],
    [{ kind: "", metric: "system.*" }, null],
    [{ kind: "", metric: "system.*", type: "maintenance" }, { scope: "problem.scope" }],
    [{ ends: "" }, { ends_at: "problem.missing" }],
    [{ ends: "", when: "weekly" }, null],
    [{ starts: "2026-11-21T11:30" }, { ends_at: "problem.ends" }],
    [{ starts: "2026-11-21T11:29" }, null],
    [{ comment: " " }, { comment: "problem.missing" }],
    [{ comment: "x".repeat(COMMENT_CHARS) }, null],
    [{ comment: "x".repeat(COMMENT_CHARS + 1) }, { comment: "problem.note" }],
    [{ labels: [["rack", ""]] }, { "scope.labels": "problem.labelName" }],
    [{ when: "weekly", days: [] }, { cron: "problem.days" }],
    [{ when: "weekly", time: "" }, { cron: "problem.time" }],
    [{ when: "weekly", lasting: `${DURATION_SECONDS_MIN}` }, null],
    [{ when: "weekly", lasting: `${DURATION_SECONDS_MIN - 1}` }, { duration_seconds: "problem.silenceLength" }],
    [{ when: "weekly", lasting: `${DURATION_SECONDS_MAX}` }, null],
    [{ when: "weekly", lasting: `${DURATION_SECONDS_MAX + 1}` }, { duration_seconds: "problem.silenceLength" }],
    [{ when: "weekly", lasting: "long" }, { duration_seconds: "problem.duration" }],
  ];
  for (const [change, expected] of checks) expect(problems(change), JSON.stringify(change)).toEqual(expected);
});

test("times are those of a clock in the zone", () => {
  const { body } = bodyOf({ ...good, starts: "2026-11-21T09:00", ends: "2026-11-21T11:30", tz: "Asia/Seoul" }, null);
  expect([body?.starts_at, body?.ends_at, body?.tz]).toEqual(["2026-11-21T00:00:00.000Z", "2026-11-21T02:30:00.000Z", null]);
});

test("days of the week are read out of cron, and what says more stays as it is", () => {
  for (const [days, time] of [[[0, 1, 2, 3, 4, 5, 6], "02:00"], [[1, 5], "23:59"], [[0], "00:00"]] as const) expect(readCron(cronOf(days, time))).toEqual({ days: [...days], time });
  expect([readCron("0 2 * * 1-5")?.days, readCron("0 2 * * 6,7")?.days, readCron("0 2 * * sun")?.days, readCron("5 22 * * *")?.time]).toEqual([[1, 2, 3, 4, 5], [0, 6], [0], "22:05"]);
  for (const other of ["*/5 * * * *", "0 2 1 * *", "0 2 * 1 *", "0 2 * *", "0 24 * * *", "60 2 * * *", "0 2 * * 5-1", "0 2 * * FRI#2", "0 2 * * 8", "0 0 2 * * *", ""]) expect(readCron(other), other).toBeNull();
});

test("a link begins a silence", () => {
  expect(draftOfQuery(new URLSearchParams("machine_id=7&metric=a.b&severity=critical&type=maintenance"), "UTC")).toEqual({ ...emptyDraft("UTC"), machineId: "7", metric: "a.b", severity: "critical", type: "maintenance" });
  expect(draftOfQuery(new URLSearchParams("severity=fatal&label=rack=a1"), "UTC")).toEqual({ ...emptyDraft("UTC"), labels: [["rack", "a1"]] });
});

test("what a silence is follows the clock after it was read", () => {
  const now = Date.parse("2026-11-21T10:00:00Z");
  const at = (active_until: string | null, next_start_at: string | null) => stateOf(silence({ active_until, next_start_at }), now);
  expect(at("2026-11-21T10:00:01Z", null)).toBe("active");
  expect(at("2026-11-21T10:00:00Z", null)).toBe("expired");
  expect(at(null, "2026-11-21T10:00:01Z")).toBe("coming");
  expect(at(null, "2026-11-21T10:00:00Z")).toBe("active");
  expect(at("2026-11-21T09:00:00Z", "2026-11-22T09:00:00Z")).toBe("coming");
  expect(at(null, null)).toBe("expired");
});

const NOTHING: Silence["scope"] = { kind: null, machine_id: null, host_id: null, labels: {}, metric: null, severity: null };

test("a silence is said in words", () => {
  const none = { machine: null, host: null };
  expect(silenceScope(silence(), none)).toBe("every machine, system.cpu.*, warning at most");
  expect(silenceScope(silence({ scope: { ...NOTHING, host_id: "h1", kind: "container", labels: { role: "db" } } }), { machine: null, host: "db-1" })).toBe("db-1 and its containers, containers with role=db");
  expect(silenceScope(silence({ scope: { ...NOTHING, machine_id: "7" } }), none)).toBe("machine 7");
  expect([schedule(silence(), "active"), schedule(silence(), "coming"), schedule(silence(), "expired")].map((text) => text.replace(/[^a-z]*\d.*?:\d\d/g, ""))).toEqual(["from", "until", "from until"]);
  expect(schedule(silence({ starts_at: null, ends_at: null, cron: "0 2 * * *", duration_seconds: 5_400, tz: "UTC" }), "coming")).toBe("every day at 02:00 for 1 h 30 min (UTC)");
  expect(schedule(silence({ starts_at: null, ends_at: null, cron: "0 2 * * MON,SUN", duration_seconds: 60, tz: "UTC" }), "coming")).toBe("Sun, Mon at 02:00 for 1 min (UTC)");
  expect(schedule(silence({ starts_at: null, ends_at: null, cron: "0 2 1 * *", duration_seconds: 60, tz: "UTC" }), "coming")).toBe("0 2 1 * * for 1 min (UTC)");
});

test("labels are those that rules see, and patterns mean what they mean to rules", () => {
  const row = (name: string, labels: Record<string, string>, facts: Record<string, unknown> = {}) => ({ name, labels, facts }) as unknown as Row;
  const host = row("db-1", { rack: "a1", role: "db" });
  expect(ruleLabels(host, "host", undefined)).toEqual({ rack: "a1", role: "db", "host.name": "db-1" });
  expect(ruleLabels(row("web", { role: "web", "com.docker.compose.project": "shop" }, { image: "nginx" }), "container", host)).toEqual({
    rack: "a1", role: "web", "com.docker.compose.project": "shop", "compose.project": "shop", image: "nginx", "container.name": "web", "host.name": "db-1",
  });
  const cases: [string, string, boolean][] = [["a1", "a1", true], ["a1", "a12", false], ["a*", "a12", true], ["a?", "a1", true], ["a?", "a12", false], ["a?", "a👩", true], ["a.c*", "abc", false], ["*[x]", "y[x]", true], ["a-*/b", "a-1/b", true], ["*", "", true]];
  for (const [pattern, text, fit] of cases) expect(matches(pattern, text), `${pattern} ${text}`).toBe(fit);
  const db = row("db-1", { rack: "a1" });
  expect([fits({}, "host", db), fits({ kind: "container" }, "host", db), fits({ labels: [["rack", "a*"], ["host.name", "db-?"]] }, "host", db), fits({ labels: [["rack", "b*"]] }, "host", db), fits({ labels: [["role", "*"]] }, "host", db)]).toEqual([true, false, true, false, false]);
});
