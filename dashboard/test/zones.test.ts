import { expect, test } from "vitest";

import { instantOf, wallTime } from "../src/format/zones.ts";

const iso = (wall: string, zone: string) => {
  const at = instantOf(wall, zone);
  return at === null ? null : new Date(at).toISOString().slice(0, 16);
};

test("a clock on the wall and the instant say the same", () => {
  for (const zone of ["UTC", "Asia/Seoul", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Pacific/Chatham"]) {
    for (let at = Date.parse("2026-01-01T00:30:00Z"); at < Date.parse("2027-01-01T00:00:00Z"); at += 7 * 3_600_000) {
      expect(wallTime(instantOf(wallTime(at, zone), zone) ?? 0, zone), `${at} ${zone}`).toBe(wallTime(at, zone));
    }
  }
  expect([iso("2026-11-21T09:30", "Asia/Seoul"), iso("2026-07-01T12:00", "Europe/Berlin"), iso("", "UTC"), iso("soon", "UTC")]).toEqual(["2026-11-21T00:30", "2026-07-01T10:00", null, null]);
});

test("where clocks are moved there is one answer", () => {
  expect(iso("2026-03-29T02:30", "Europe/Berlin"), "skipped: an hour later").toBe("2026-03-29T01:30");
  expect(iso("2026-10-25T02:30", "Europe/Berlin"), "twice: the first").toBe("2026-10-25T00:30");
});
