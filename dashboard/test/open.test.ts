import { beforeEach, expect, test, vi } from "vitest";

import { api, type Violation } from "../src/api/client.ts";
import { isRead, open, OPEN_MAX, reload } from "../src/state/violations.ts";

/** So many open violations, in pages as the backend has them. */
function backendWith(count: number) {
  const asked = vi.spyOn(api, "violations");
  asked.mockImplementation(({ limit = 100, cursor }) => {
    const from = Number(cursor ?? 0);
    const items = Array.from({ length: Math.min(limit, count - from) }, (_, index) => ({ id: String(from + index), machine_id: "1", severity: "info" }) as Violation);
    return Promise.resolve({ items, next_cursor: from + limit < count ? String(from + limit) : null });
  });
  return asked;
}

beforeEach(() => vi.restoreAllMocks());

test("of the open violations the newest are held, and whether there are more is known", async () => {
  for (const [count, held, isCut, pages] of [
    [0, 0, false, 1],
    [OPEN_MAX - 1, OPEN_MAX - 1, false, 10],
    [OPEN_MAX, OPEN_MAX, false, 10],
    [OPEN_MAX + 1, OPEN_MAX, true, 10],
  ] as const) {
    const asked = backendWith(count);
    await reload();
    expect([open.get().all.size, open.get().isCut, open.get().counts.info]).toEqual([held, isCut, held]);
    expect([isRead.get(), asked.mock.calls.length]).toEqual([true, pages]);
    asked.mockRestore();
  }
});
