// What rings, and what is said of it. Pure but for the language.

import type { Violation } from "../api/client.ts";
import { t, type Key } from "../text/index.ts";
import type { Alarm } from "./preferences.ts";
import { worst } from "./violations.ts";

/** Names in one notification. */
const NAMED = 4;

const RINGS: Record<Alarm, readonly string[]> = { off: [], critical: ["critical"], warning: ["critical", "warning"] };

/** Whether somebody wants to hear of it. */
export function rings(violation: Violation, alarm: Alarm): boolean {
  return !violation.closed_at && !violation.silenced && !violation.acknowledged && (RINGS[alarm] ?? []).includes(violation.severity);
}

interface Means {
  alarm: Alarm;
  /** Browsers let a page sound only once somebody did something in it. */
  sounds: boolean;
  notifies: boolean;
  /** Browsers let pages sleep that nobody sees. */
  isVisible: boolean;
}

/** How well a page rings, to choose among several; 0: not at all. */
export function ability({ alarm, sounds, notifies, isVisible }: Means): number {
  if (alarm === "off" || !(sounds || notifies)) return 0;
  return 1 + 2 * Number(sounds) + Number(isVisible);
}

/** What is waiting to ring. */
export class Waiting {
  private all = new Map<string, Violation>();

  /** Whether it is the first, so that a time begins for the others. */
  add(violation: Violation): boolean {
    return this.all.set(violation.id, violation).size === 1;
  }

  /** It closed, or somebody cares for it. */
  drop(id: string): void {
    this.all.delete(id);
  }

  take(): Violation[] {
    const taken = [...this.all.values()];
    this.all.clear();
    return taken;
  }
}

export function titleOf(violations: readonly Violation[]): string {
  const severity = t(`severity.${worst(violations) ?? "info"}` as Key);
  const [first] = violations;
  return violations.length === 1 && first ? `${severity}: ${first.machine_name}` : t("alarm.many", { n: violations.length, severity });
}

export function bodyOf(violations: readonly Violation[]): string {
  const line = (violation: Violation) => [violations.length > 1 && violation.machine_name, violation.metric, violation.device].filter(Boolean).join(" ");
  const rest = violations.length - NAMED;
  return [...violations.slice(0, NAMED).map(line), ...(rest > 0 ? [t("alarm.more", { n: rest })] : [])].join("\n");
}
