// Which rules watch a machine, each once. Pure.

import type { InForce } from "../api/client.ts";

export interface RuleLine {
  rule: InForce;
  /** Those that the rule watches one by one; none where it watches the machine itself. */
  devices: string[];
}

/** What differs by device alone is one line. */
export function ruleLines(rules: readonly InForce[]): RuleLine[] {
  const lines = new Map<string, RuleLine>();
  for (const rule of rules) {
    const key = `${rule.threshold.id} ${rule.metric}`;
    const line = lines.get(key) ?? { rule, devices: [] };
    if (typeof rule.device === "string") line.devices.push(rule.device);
    lines.set(key, line);
  }
  return [...lines.values()];
}
