import { expect, test } from "vitest";

import type { Violation } from "../src/api/client.ts";
import { joined } from "../src/state/pages.ts";
import { changeEach, TOGETHER_MAX } from "../src/views/violations/acknowledging.ts";
import { clusters, intervalMs } from "../src/views/violations/clusters.ts";
import { filtersOf, fits, isFiltered, question, refiltered, toggled, VALUES_MAX, withValue, written } from "../src/views/violations/filters.ts";
import { found, grouped, ordered } from "../src/views/violations/order.ts";
import { addDays, asked, covers, DAYS_MAX, DAYS_SHOWN, daysFrom, daysOf, daysShown, isDay, periodOf } from "../src/views/violations/period.ts";

export function violation(id: number, change: Partial<Violation> = {}): Violation {
  const of = { machine_id: "1", machine_name: "web-1", host_id: "web-1", host_name: "web-1", kind: "host", metric: "system.cpu.utilization", device: null };
  const rule = { condition: "value", direction: "above", severity: "warning", threshold_id: "7", threshold_version: 1, threshold_value: 0.9 };
  const opened_at = new Date(Date.UTC(2026, 10, 21, 0, 0, id)).toISOString();
  return { id: String(id), ...of, ...rule, opened_at, opened_value: 0.95, peak_value: 0.97, closed_at: null, detected_at: opened_at, ...change } as Violation;
}

const filters = (query: string) => filtersOf(new URLSearchParams(query));
const ids = (all: readonly Violation[]) => all.map(({ id }) => Number(id));

test("filters are written as they are read, and nonsense is left out", () => {
  const query = "severity=critical,warning&kind=host&machine_id=1,2&label=rack%3Da%2C1&label=db&metric=a,b&device=%2Fdata%2Cold&threshold_id=7&state=closed&acknowledged=false";
  expect(new URLSearchParams(written(filters(query))).toString()).toBe(new URLSearchParams(query).toString());
  expect(question(filters(query))).toEqual({ severity: "critical,warning", kind: "host", machine_id: "1,2", label: ["rack=a,1", "db"], metric: "a,b", device: ["/data,old"], threshold_id: "7", state: "closed", acknowledged: false });
  expect(isFiltered(filters("severity=fatal&kind=room&machine_id=x&threshold_id=-1&state=ajar&acknowledged=maybe&metric=,&label="))).toBe(false);
  expect(filters("metric=b,a&metric=a").metric).toEqual(["b", "a"]);
  expect(String(refiltered(new URLSearchParams("range=7d&metric=a&metric=b&sort=opened_at"), filters("kind=host")))).toBe("range=7d&sort=opened_at&kind=host");
});

test("a filter has so many values and no more", () => {
  const many = Array.from({ length: VALUES_MAX + 1 }, (_, index) => `m${index}`);
  expect(filters(`metric=${many.join()}`).metric.length).toBe(VALUES_MAX);
  const full = filters(`metric=${many.slice(0, VALUES_MAX).join()}`);
  expect(withValue(full, "metric", "one more")).toBe(full);
  expect(withValue(filters(""), "metric", " a ").metric).toEqual(["a"]);
  expect(withValue(filters(""), "machine_id", "web").machine_id).toEqual([]);
  expect([toggled(["a"], "b"), toggled(["a", "b"], "a")]).toEqual([["a", "b"], ["b"]]);
});

test("an open violation fits filters as the backend's would", () => {
  const seen = violation(1, { acknowledged: { at: "2026-11-21T00:00:00Z", by: "jana", comment: "the nightly job" } });
  const silent = violation(2, { silenced: { silence_id: "1", until: "2026-11-22T00:00:00Z" }, device: "/data", severity: "critical" });
  const cases: [string, boolean, boolean][] = [
    ["", true, true], ["severity=critical", false, true], ["device=%2Fdata", false, true], ["machine_id=1,2", true, true], ["machine_id=2", false, false], ["host_id=web-1", true, true],
    ["acknowledged=true", true, false], ["acknowledged=false", false, true], ["state=silenced", false, true], ["state=open", true, true], ["state=closed", false, false],
    ["threshold_id=7&metric=system.cpu.utilization&kind=host", true, true], ["kind=container", false, false], ["label=rack", false, true],
  ];
  for (const [query, ofSeen, ofSilent] of cases) expect([fits(seen, filters(query), new Set(["2"])), fits(silent, filters(query), new Set(["2"]))], query).toEqual([ofSeen, ofSilent]);
});

test("what nobody has to look at comes last, and groups have their line", () => {
  const all = [
    violation(1, { severity: "info" }),
    violation(2, { severity: "critical", acknowledged: { at: "", by: "jana", comment: "known" } }),
    violation(3, { severity: "warning", host_id: "db", host_name: "db", machine_id: "9", machine_name: "<b>x</b>", kind: "container" }),
    violation(4, { severity: "critical" }),
    violation(5, { severity: "critical" }),
  ];
  expect(ids(ordered(all, "severity"))).toEqual([5, 4, 3, 1, 2]);
  expect(ids(ordered(all, "-opened_at"))).toEqual([5, 4, 3, 2, 1]);
  expect(ids(ordered(all, "opened_at"))).toEqual([1, 2, 3, 4, 5]);
  expect(ids(ordered(all, "machine"))).toEqual([3, 5, 4, 2, 1]);
  const lines = grouped(ordered(all, "severity"), "host").map((line) => (line.type === "group" ? `[${line.name} ${line.violations.length}]` : line.violation.id));
  expect(lines).toEqual(["[web-1 4]", "5", "4", "1", "2", "[db 1]", "3"]);
  expect(grouped(all.slice(2, 3), "machine")[0]).toMatchObject({ name: "<b>x</b> · db" });
  expect(all.filter((one) => found(one, "JANA cpu")).map(({ id }) => id)).toEqual(["2"]);
});

const period = (query: string) => periodOf(new URLSearchParams(query));
const NOW = Date.parse("2026-11-21T12:00:00Z");
const utc = (at: number) => new Date(at).toISOString().slice(0, 10);

test("a stretch of time is days, moments, or one that ends now; without any it is now", () => {
  expect(period("severity=info")).toBeNull();
  expect(period("from=2026-11-20&to=2026-11-21")).toEqual({ type: "days", from: "2026-11-20", to: "2026-11-21" });
  expect(period("from=2026-11-20T01:00:00Z&to=2026-11-21T00:00:00Z")).toMatchObject({ type: "moments", to: NOW - 43_200_000 });
  for (const nonsense of ["range=never", "from=2026-02-30&to=2026-03-01", "from=2026-11-22&to=2026-11-21", "from=2026-11-21", "from=x&to=y"]) expect(period(nonsense), nonsense).toMatchObject({ type: "quick", name: "7d" });
  expect([isDay("2024-02-29"), isDay("2026-02-29"), isDay("2026-2-9"), isDay(null)]).toEqual([true, false, false, false]);
});

test("the API is asked for the day behind the last, and for no end of what goes on", () => {
  const question = (query: string) => asked(period(query) ?? { type: "quick", name: "1h", ms: 0 }, NOW, "Asia/Seoul");
  expect(question("from=2026-12-31&to=2026-12-31")).toEqual({ from: "2026-12-31", to: "2027-01-01", tz: "Asia/Seoul" });
  expect(question("range=24h")).toEqual({ from: "2026-11-20T12:00:00.000Z", tz: "Asia/Seoul" });
  expect([addDays("2024-02-28", 2), daysFrom("2024-02-28", "2024-03-01")]).toEqual(["2024-03-01", 3]);
  const moments = period("from=2026-11-20T00:00:00Z&to=2026-11-21T00:00:00Z");
  expect(moments && daysOf(moments, NOW, utc), "the end is not of it").toEqual({ from: "2026-11-20", to: "2026-11-20" });
});

test("bars are drawn around a day, up to today, and stay while one of them is chosen", () => {
  const shown = daysShown({ from: "2026-11-03", to: "2026-11-03" }, "2026-11-21");
  expect([shown, daysFrom(shown.from, shown.to)]).toEqual([{ from: "2026-10-19", to: "2026-11-17" }, DAYS_SHOWN]);
  expect(daysShown({ from: "2026-11-21", to: "2026-11-21" }, "2026-11-21")).toEqual({ from: "2026-10-23", to: "2026-11-21" });
  const long = daysShown({ from: addDays("2026-11-21", -DAYS_MAX), to: "2026-11-21" }, "2026-11-21");
  expect(daysFrom(long.from, long.to)).toBe(DAYS_MAX);
  const day = { type: "days", from: "2026-11-09", to: "2026-11-09" } as const;
  expect(covers(shown, day, day, "2026-11-21")).toBe(true);
  expect(covers(shown, { ...day, to: "2026-11-18" }, { ...day, to: "2026-11-18" }, "2026-11-21")).toBe(false);
  expect(covers(long, { type: "quick", name: "400d", ms: 0 }, { from: addDays("2026-11-21", -DAYS_MAX), to: "2026-11-21" }, "2026-11-21")).toBe(true);
});

test("a list that is read again keeps what was read behind its first page", () => {
  const page = (from: number, to: number, cursor: string | null) => ({ items: Array.from({ length: from - to + 1 }, (_, index) => ({ id: String(from - index) })), next_cursor: cursor });
  const text = (of: ReturnType<typeof joined>) => [of.items.map(({ id }) => id).join(), of.cursor];
  const before = { items: page(9, 4, null).items, cursor: "4" };
  expect(text(joined(page(10, 7, "7"), before))).toEqual(["10,9,8,7,6,5,4", "4"]);
  expect(text(joined(page(20, 17, "17"), before)), "too much is new").toEqual(["20,19,18,17", "17"]);
  expect(text(joined(page(3, 1, null), before))).toEqual(["3,2,1", null]);
  expect(text(joined({ items: [] }, before))).toEqual(["", null]);
  expect(text(joined(page(7, 4, "4"), { items: page(9, 4, null).items, cursor: "x" })), "what was the end goes on as the page says").toEqual(["7,6,5,4", "4"]);
});

test("samples around opening and closing that are far apart have a chart each", () => {
  const samples = (t: number[]) => ({ t, value: t.map(() => 1) });
  const cut = (t: number[]) => clusters(samples(t)).map((part) => part.t.length);
  expect(cut([])).toEqual([]);
  expect(cut([0])).toEqual([1]);
  expect(cut([0, 2_000, 4_000, 119_000])).toEqual([4]);
  expect(cut([0, 2_000, 4_000, 500_000, 502_000])).toEqual([3, 2]);
  expect(cut([0, 200_000, 400_000, 600_000]), "sparse samples are no gap").toEqual([4]);
  expect([intervalMs([0, 2_000, 4_000, 90_000]), intervalMs([5]), intervalMs([])]).toEqual([2_000, 0, 0]);
});

test("what fails is told, the rest is done, and no more than so many at once", async () => {
  const changed: string[] = [];
  let under = 0;
  let most = 0;
  const change = async (id: string) => {
    most = Math.max(most, ++under);
    await Promise.resolve();
    under -= 1;
    if (id === "2") throw new Error("no");
    return violation(Number(id));
  };
  const outcome = await changeEach(["1", "2", "3", "4", "5", "6"], change, ({ id }) => changed.push(id));
  expect([outcome, changed.sort().join(), most]).toEqual([{ done: 5, failed: [{ id: "2", reason: "no" }] }, "1,3,4,5,6", 4]);
  const many = Array.from({ length: TOGETHER_MAX + 1 }, (_, index) => String(index + 10));
  expect((await changeEach(many, change, () => undefined)).done).toBe(TOGETHER_MAX);
});
