import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Hub, type Message } from "../src/live/hub.ts";
import { covers, merge, REPORTS_OF_MAX, streamUrl } from "../src/live/wants.ts";

class FakeSource {
  static all: FakeSource[] = [];
  static CLOSED = 2;
  readyState = 0;
  onopen?: () => void;
  onerror?: () => void;
  private handlers = new Map<string, (event: { data: string; lastEventId: string }) => void>();

  constructor(readonly url: string) {
    FakeSource.all.push(this);
  }

  addEventListener(name: string, handler: (event: { data: string; lastEventId: string }) => void): void {
    this.handlers.set(name, handler);
  }

  close(): void {
    this.readyState = 2;
  }

  event(name: string, lastEventId = ""): void {
    this.handlers.get(name)?.({ data: "{}", lastEventId });
  }

  static get last(): FakeSource {
    const last = FakeSource.all.at(-1);
    if (!last) throw new Error("no stream was opened");
    return last;
  }
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  vi.stubGlobal("EventSource", FakeSource);
  vi.stubGlobal("fetch", () => Promise.resolve({ ok: true, json: () => Promise.resolve({ signed_in: true }) }));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function member(hub: Hub, id: string, topics: Parameters<Hub["want"]>[1]["topics"], reportsOf: string[] = []) {
  const heard: string[] = [];
  hub.want(id, { topics, reportsOf }, (message: Message) => heard.push(message.type === "state" ? message.state : message.name));
  return heard;
}

test("what pages want is asked for once", () => {
  const wants = merge([{ topics: ["hosts"], reportsOf: ["2"] }, { topics: ["hosts", "pipeline"], reportsOf: ["1", "2"] }]);
  expect(wants).toEqual({ topics: ["clock", "hosts", "machines", "pipeline", "rules", "violations"], reportsOf: ["1", "2"] });
  expect(covers(wants, merge([{ topics: ["hosts"], reportsOf: ["1"] }]))).toBe(true);
  expect(covers(wants, merge([{ topics: ["containers"], reportsOf: [] }]))).toBe(false);
  expect(merge([{ topics: [], reportsOf: [...Array(40).keys()].map(String) }]).reportsOf.length).toBe(REPORTS_OF_MAX);
  expect(streamUrl(wants, "7")).toBe("/api/v1/stream?topics=clock%2Chosts%2Cmachines%2Cpipeline%2Crules%2Cviolations&reports_of=1%2C2&last_event_id=7");
});

test("all tabs share one stream, and each hears what it wants", async () => {
  const hub = new Hub();
  const fleet = member(hub, "a", ["hosts"]);
  const other = member(hub, "b", []);
  await vi.advanceTimersByTimeAsync(100);
  expect(FakeSource.all.length).toBe(1);
  FakeSource.last.onopen?.();
  FakeSource.last.event("hosts");
  FakeSource.last.event("violation.opened", "5");
  expect(fleet).toEqual(["connecting", "live", "hosts", "violation.opened"]);
  expect(other).toEqual(["connecting", "live", "violation.opened"]);

  const third = member(hub, "c", ["hosts"]);
  await vi.advanceTimersByTimeAsync(100);
  expect(FakeSource.all.length, "the stream brings that already").toBe(1);
  expect(third).toEqual(["live"]);
  member(hub, "d", ["pipeline"]);
  await vi.advanceTimersByTimeAsync(100);
  expect(FakeSource.last.url, "it goes on where it was").toMatch(/topics=.*hosts.*pipeline.*&last_event_id=5$/);
  expect(fleet.at(-1), "nobody was told of a loss, because there was none").toBe("violation.opened");
  hub.close();
});

test("a lost stream is told at once, and tried again when the browser gave up", async () => {
  const hub = new Hub();
  const heard = member(hub, "a", []);
  await vi.advanceTimersByTimeAsync(100);
  FakeSource.last.onopen?.();
  FakeSource.last.onerror?.();
  expect(heard.at(-1)).toBe("lost");
  expect(FakeSource.all.length, "the browser comes back by itself").toBe(1);
  FakeSource.last.readyState = FakeSource.CLOSED;
  FakeSource.last.onerror?.();
  await vi.advanceTimersByTimeAsync(5_100);
  expect(FakeSource.all.length).toBe(2);
  FakeSource.last.onopen?.();
  expect(heard.at(-1)).toBe("live");
  hub.close();
});

test("a stream that says nothing is lost, whatever the network says", async () => {
  const hub = new Hub();
  const heard = member(hub, "a", []);
  await vi.advanceTimersByTimeAsync(100);
  FakeSource.last.onopen?.();
  for (let second = 0; second < 60; second += 5) {
    await vi.advanceTimersByTimeAsync(5_000);
    FakeSource.last.event("clock");
  }
  expect([heard.includes("lost"), FakeSource.all.length]).toEqual([false, 1]);
  await vi.advanceTimersByTimeAsync(13_100);
  expect([heard.at(-1), FakeSource.all.length]).toEqual(["lost", 2]);
  hub.close();
});

test("when the token is no longer good the page is told to ask", async () => {
  vi.stubGlobal("fetch", () => Promise.resolve({ ok: true, json: () => Promise.resolve({ signed_in: false }) }));
  const hub = new Hub();
  const heard = member(hub, "a", []);
  await vi.advanceTimersByTimeAsync(100);
  FakeSource.last.readyState = FakeSource.CLOSED;
  FakeSource.last.onerror?.();
  await vi.advanceTimersByTimeAsync(5_100);
  expect(heard).toEqual(["connecting", "lost", "signed-out"]);
  hub.close();
});

test("nobody left, no stream", async () => {
  const hub = new Hub();
  member(hub, "a", []);
  await vi.advanceTimersByTimeAsync(100);
  hub.leave("a");
  expect(FakeSource.last.readyState).toBe(FakeSource.CLOSED);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSource.all.length).toBe(1);
});

test("one page of all is told that it rings: the first of those that do it best, and the next when that is gone", () => {
  const hub = new Hub();
  const yours: Record<string, number> = {};
  const add = (id: string, ringing: number) => {
    yours[id] ??= 0;
    hub.want(id, merge([]), (message) => message.type === "event" && message.isYours && (yours[id] = (yours[id] ?? 0) + 1), ringing);
  };
  add("silent", 0);
  add("worse", 1);
  add("a", 3);
  add("b", 3);
  vi.advanceTimersByTime(100);
  FakeSource.last.event("violation.opened", "1");
  expect(yours).toEqual({ silent: 0, worse: 0, a: 1, b: 0 });
  hub.leave("a");
  FakeSource.last.event("violation.opened", "2");
  expect(yours).toEqual({ silent: 0, worse: 0, a: 1, b: 1 });
  add("b", 0);
  add("worse", 0);
  FakeSource.last.event("violation.opened", "3");
  expect(yours, "nobody can").toEqual({ silent: 0, worse: 0, a: 1, b: 1 });
  hub.close();
});
