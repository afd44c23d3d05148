// How a machine stands that does not simply run, in words. Pure but for the language.

import type { Machine } from "../api/client.ts";
import { duration } from "../format/numbers.ts";
import { dateAndTime } from "../format/times.ts";
import { t, type Key } from "../text/index.ts";

type Standing = Pick<Machine, "status" | "last_report_at" | "facts">;

/** Since when it is as it is, Unix ms. A container that is stopped is told of in each report of its host. */
function since({ status, last_report_at, facts }: Standing): number | null {
  if (status !== "stopped") return Date.parse(last_report_at);
  return typeof facts.finished_at === "number" ? facts.finished_at : null;
}

export function standingText(machine: Standing, now: number): string | null {
  if (machine.status === "up") return null;
  const [status, at] = [t(`status.${machine.status}` as Key), since(machine)];
  if (at === null) return status;
  return t("machine.since", { status, time: dateAndTime(at), lasts: duration(Math.max(0, Math.floor((now - at) / 1_000))) });
}
