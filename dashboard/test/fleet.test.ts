import { expect, test, vi } from "vitest";

import { api, type Fleet, type Severity, type Status, type Violation } from "../src/api/client.ts";
import { windowOf } from "../src/components/window.ts";
import { FleetStore, type Row } from "../src/state/fleet.ts";
import { bridge } from "../src/state/sparks.ts";
import { arrange, choiceOf, grouped, labelNames, matches, urgency, type Ask } from "../src/views/fleet-order.ts";

function row(id: string, change: Partial<Row> = {}): Row {
  return { id, name: `host-${id}`, hostId: id, status: "up", intervalMs: 2_000, labels: {}, facts: {}, at: 0, heardAt: 0, values: [], version: 0, ...change };
}

const ASK: Ask = { status: (row) => row.status, key: (row, column) => (column === "cpu" ? ((row.values[0] as number | null) ?? null) : row.name), violations: () => 0, hostName: (row) => row.hostId };
const choice = (query: string) => choiceOf(new URLSearchParams(query), "name");
const ids = (rows: readonly Row[]) => rows.map((row) => row.id);

test("names are in the order in which people count", () => {
  const rows = [row("10"), row("9"), row("1")];
  expect(ids(arrange(rows, choice(""), ASK))).toEqual(["1", "9", "10"]);
  expect(ids(arrange(rows, choice("sort=-name"), ASK))).toEqual(["10", "9", "1"]);
});

test("what has no value comes last in both directions", () => {
  const rows = [row("1", { values: [null] }), row("2", { values: [0.2] }), row("3", { values: [0.9] })];
  expect(ids(arrange(rows, choice("sort=cpu"), ASK))).toEqual(["2", "3", "1"]);
  expect(ids(arrange(rows, choice("sort=-cpu"), ASK))).toEqual(["3", "2", "1"]);
});

test("each word of a search is found somewhere", () => {
  const web = row("1", { name: "web", labels: { rack: "a1" }, facts: { image: "nginx:1.27" } });
  for (const [search, found] of [["", true], ["WEB", true], ["web nginx", true], ["rack=a1 db-01", true], ["web postgres", false]] as const) {
    expect(matches(web, search, "db-01"), search).toBe(found);
  }
});

test("filters of the URL narrow the list", () => {
  const rows = [row("1"), row("2", { status: "down" }), row("3", { status: "late" })];
  expect(ids(arrange(rows, choice("status=down,late"), ASK))).toEqual(["2", "3"]);
  expect(ids(arrange(rows, choice("violating=1"), { ...ASK, violations: (row) => (row.id === "1" ? 1 : 0) }))).toEqual(["1"]);
});

test("groups have their line, and those without the label come last", () => {
  const rows = [row("1"), row("2", { labels: { rack: "r10" } }), row("3", { labels: { rack: "r9" } }), row("4", { labels: { rack: "r10" } })];
  const lines = grouped(rows, "rack", (row) => row.hostId).map((line) => (line.type === "group" ? `[${line.name} ${line.rows.length}]` : line.row.id));
  expect(lines).toEqual(["[r9 1]", "3", "[r10 2]", "2", "4", "[ 1]", "1"]);
  expect(labelNames(rows)).toEqual(["rack"]);
});

test("only rows near the screen are there", () => {
  expect(windowOf(20_000, 35, 35_000, 700)).toEqual({ first: 992, last: 1_028 });
  expect(windowOf(5, 35, 0, 700)).toEqual({ first: 0, last: 5 });
  expect(windowOf(5, 35, 9_000, 700), "the list became shorter while it was scrolled").toEqual({ first: 5, last: 5 });
});

test("a sparkline bridges what is between wide points, and no more", () => {
  const values = [1, null, 2, null, null, null];
  bridge(values, 2);
  expect(values).toEqual([1, 1, 2, 2, 2, null]);
});

test("what is worst comes first, what is silent before others of the same, and what somebody cares for last", () => {
  const violation = (text: string): Violation => {
    const [severity, calm] = text.split(" ") as [Severity, string?];
    return { severity, silenced: calm === "silenced" ? {} : null, acknowledged: calm === "acknowledged" ? {} : null } as Violation;
  };
  const machines: [Status, ...string[]][] = [
    ["down", "critical"],
    ["late", "critical"],
    ["up", "critical", "critical", "info"],
    ["up", "critical", "warning silenced"],
    ["up", "critical"],
    ["down", ...Array<string>(10_001).fill("warning")],
    ["up", ...Array<string>(26).fill("warning")],
    ["up", "warning", "critical acknowledged"],
    ["up", "warning", "info", "info"],
    ["down"],
    ["up", "critical silenced", "critical silenced"],
    ["up", "critical acknowledged"],
    ["stopped"],
  ];
  const values = machines.map(([status, ...violations]) => urgency(status, violations.map(violation)));
  expect(values.slice(0, -1).filter((value, index) => value <= (values[index + 1] ?? 0))).toEqual([]);
  expect(urgency("up", [violation("warning"), violation("info")]), "others do not count").toBe(urgency("up", [violation("warning")]));
});

test("a row stays the same when the fleet is read again, so that values move where the order is held", async () => {
  const answer = (cpu: number, at: string) => ({ columns: ["id", "name", "host_id", "status", "at", "system.cpu.utilization"], rows: [["1", "db", "db", "up", at, cpu]] }) as unknown as Fleet;
  const asked = vi.spyOn(api, "fleet");
  vi.stubGlobal("requestAnimationFrame", (draw: () => void) => draw());
  const fleet = new FleetStore("host");
  asked.mockResolvedValueOnce(answer(0.1, "2026-11-21T12:00:00Z"));
  await fleet.load();
  const [held] = fleet.rows.values();
  asked.mockResolvedValueOnce(answer(0.7, "2026-11-21T12:00:02Z"));
  await fleet.load();
  expect(fleet.rows.get("1")).toBe(held);
  expect(held && [fleet.number(held, "system.cpu.utilization"), held.version]).toEqual([0.7, 2]);
  asked.mockRestore();
});

test("a host that is silent is not up because the stream begins with the row that is known", async () => {
  vi.stubGlobal("requestAnimationFrame", (draw: () => void) => draw());
  const [columns, at, later] = [["id", "name", "host_id", "status", "interval_ms", "at", "system.cpu.utilization"], "2026-11-21T12:00:00Z", "2026-11-21T12:00:02Z"];
  const asked = vi.spyOn(api, "fleet").mockResolvedValueOnce({ columns, rows: [["1", "db", "db", "down", 2_000, at, 0.1]] } as unknown as Fleet);
  const fleet = new FleetStore("host");
  await fleet.load();
  const [row] = fleet.rows.values();
  const hear = (at: string) => fleet.take({ columns: ["id", "at", "system.cpu.utilization"], rows: [["1", at, 0.7]] });
  hear(at);
  expect(row && [row.status, fleet.status(row)]).toEqual(["down", "down"]);
  hear(later);
  expect(row && [row.status, fleet.status(row), fleet.number(row, "system.cpu.utilization")]).toEqual(["up", "up", 0.7]);
  asked.mockRestore();
});
