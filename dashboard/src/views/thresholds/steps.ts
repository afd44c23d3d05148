// The versions of a rule: who changed it, and how. Pure but for the language.

import type { KnownThreshold, ThresholdVersion } from "../../api/client.ts";
import { t } from "../../text/index.ts";
import { changes } from "./changes.ts";
import type { NameOf } from "../threshold-text.ts";

export function machineNameOf(rule: Partial<Pick<KnownThreshold, "machine_name" | "host_name">>): string | null {
  const { machine_name, host_name } = rule;
  if (!machine_name) return null;
  return host_name && host_name !== machine_name ? t("thresholds.scope.on", { machine: machine_name, host: host_name }) : machine_name;
}

export interface Step {
  version: ThresholdVersion;
  /** What it changed, in words. */
  lines: string[];
  type: "created" | "changed" | "deleted";
}

/** The versions of a rule, the newest first, each with what it changed. */
export function steps(versions: readonly ThresholdVersion[], nameOf: NameOf): Step[] {
  return versions.map((version, index) => {
    const before = versions.slice(index + 1).find(({ threshold }) => threshold)?.threshold;
    if (!version.threshold) return { version, lines: [], type: "deleted" };
    if (!before) return { version, lines: [], type: "created" };
    return { version, lines: changes(before, version.threshold, nameOf), type: "changed" };
  });
}
