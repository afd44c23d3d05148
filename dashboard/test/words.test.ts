// @vitest-environment node
import { expect, test } from "vitest";

import { byUnit, bytes, count, duration, onAxis, percent, rate } from "../src/format/numbers.ts";
import { operatorHeader } from "../src/api/operator.ts";
import { en } from "../src/text/en.ts";
import { fill } from "../src/text/fill.ts";
import { ko } from "../src/text/ko.ts";
import { eventKey } from "../src/views/machine-events.ts";
import { compareOf, ends, fixed, moved, rangeOf } from "../src/views/range.ts";

test("numbers have three digits that mean something", () => {
  expect([0, 0.004, 0.12345, 0.9996, 1].map(percent)).toEqual(["0.0 %", "0.4 %", "12.3 %", "100 %", "100 %"]);
  expect([0, 1, 1023, 1024, 1536, 10 * 1024 ** 2, 25_276_502_016].map(bytes)).toEqual(["0 B", "1 B", "1023 B", "1 KiB", "1.50 KiB", "10.0 MiB", "23.5 GiB"]);
  expect([rate(2048), count(7), count(999), count(1_000), count(12_345)]).toEqual(["2 KiB/s", "7", "999", "1 k", "12.3 k"]);
  expect([0, 0.02, 59, 60, 3_660, 90_000, 8_640_000].map(duration)).toEqual(["0 s", "0.02 s", "59 s", "1 min", "1 h 1 min", "1 d 1 h", "100 d"]);
  expect([percent(null), bytes(undefined), duration(null), byUnit("1", null)]).toEqual(["–", "–", "–", "–"]);
  expect([byUnit("Cel", 41.25), byUnit("{error}/s", 2), byUnit(null, 5), onAxis("1", 0.25), onAxis("By/s", 2048)]).toEqual(["41.3 °C", "2/s", "5", "25 %", "2 KiB/s"]);
});

test("both languages say the same, with the same gaps to fill", () => {
  const gaps = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
  for (const [key, text] of Object.entries(en)) {
    const other = ko[key as keyof typeof en];
    expect(other.trim().length, key).toBeGreaterThan(0);
    expect(gaps(other), key).toEqual(gaps(text));
  }
  expect(Object.keys(ko).length).toBe(Object.keys(en).length);
  expect(fill("{a} of {b}, {c}", { a: 1, b: "{a}" }), "what is filled in is not filled again").toBe("1 of {a}, {c}");
});

const NOW = Date.parse("2026-11-21T12:00:00Z");
const range = (query: string) => rangeOf(new URLSearchParams(query));

test("a range is in the URL, and nonsense is the default", () => {
  expect(ends(range("range=15m"), NOW)).toEqual({ from: NOW - 900_000, to: NOW });
  expect(range("range=never")).toEqual(range("range=1h"));
  expect(range("from=2026-11-21T13:00:00Z&to=2026-11-21T12:00:00Z").type).toBe("live");
  expect(range("from=2026-11-21T10:00:00Z&to=2026-11-21T12:00:00Z")).toEqual({ type: "fixed", from: NOW - 7_200_000, to: NOW });
  expect([compareOf(new URLSearchParams("compare=7d")), compareOf(new URLSearchParams("compare=2d"))]).toEqual(["7d", null]);
});

test("zooming in has an end, and moving goes by half", () => {
  expect(fixed(NOW, NOW + 2)).toEqual({ from: "2026-11-21T11:59:55.001Z", to: "2026-11-21T12:00:05.001Z" });
  expect(moved(range("range=1h"), NOW, -1)).toEqual({ from: "2026-11-21T10:30:00.000Z", to: "2026-11-21T11:30:00.000Z" });
});

test("a name is sent as bytes of UTF-8, without what a header cannot have", () => {
  const read = (name: string) => {
    const header = operatorHeader(name);
    return header && new TextDecoder().decode(Uint8Array.from(header, (byte) => byte.charCodeAt(0)));
  };
  expect(["", "  ", "\n", " jana ", "김하늘", "a\r\nX-Other: b", "👩‍🔧"].map(read)).toEqual([null, null, null, "jana", "김하늘", "a  X-Other: b", "👩‍🔧"]);
  expect([...(read("김".repeat(129)) ?? "")].length).toBe(128);
  expect(() => new Headers({ "X-Operator": operatorHeader("김하늘") ?? "" })).not.toThrow();
});

test("each event of a machine has its name", () => {
  const check = (type: string, state: string, kind: "host" | "container", expected: string) => expect(eventKey({ type, state, kind })).toBe(`event.${expected}`);
  check("machine.up", "running", "host", "up");
  check("machine.down", "down", "host", "down");
  check("machine.rebooted", "rebooted", "host", "rebooted");
  check("machine.up", "running", "container", "started");
  check("machine.up", "replaced", "container", "replaced");
  check("machine.up", "restarted", "container", "restarted");
  check("machine.down", "exited", "container", "stopped");
  check("machine.down", "gone", "container", "removed");
});
