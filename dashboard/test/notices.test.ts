import { expect, test } from "vitest";

import type { Violation } from "../src/api/client.ts";
import { Quiet, QUIET_MS } from "../src/state/notices.ts";

const violation = (change: Partial<Violation> = {}) => ({ id: "1", threshold_id: "7", machine_id: "1", device: null, silenced: null, ...change }) as Violation;

test("a rule that flaps is told once in a while, of each machine and device", () => {
  const quiet = new Quiet();
  const tells = (change: Partial<Violation>, now: number) => quiet.tells(violation(change), now);
  expect([tells({}, 0), tells({ id: "2" }, 1), tells({ id: "3" }, QUIET_MS - 1), tells({ id: "4" }, QUIET_MS)]).toEqual([true, false, false, true]);
  expect([tells({ machine_id: "2" }, QUIET_MS), tells({ device: "sda" }, QUIET_MS), tells({ threshold_id: "8" }, QUIET_MS)]).toEqual([true, true, true]);
  expect(tells({ machine_id: "3", silenced: {} as Violation["silenced"] }, QUIET_MS), "silenced").toBe(false);
});

test("a rule whose notice was closed is quiet of all machines", () => {
  const quiet = new Quiet();
  quiet.hush("7", 0);
  expect([quiet.tells(violation({ machine_id: "5" }), 1), quiet.tells(violation({ threshold_id: "8" }), 1), quiet.tells(violation({ machine_id: "5" }), QUIET_MS)]).toEqual([false, true, true]);
});
