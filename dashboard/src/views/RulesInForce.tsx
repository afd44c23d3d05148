// The rules that watch a machine.

import type { InForce } from "../api/client.ts";
import { Link } from "../components/Link.tsx";
import { SeverityMark } from "../components/Marks.tsx";
import { ruleLines } from "./rules-in-force.ts";
import { condition, origin } from "./threshold-text.ts";

export function RulesInForce({ rules }: { rules: readonly InForce[] }) {
  return (
    <ul className="in-force">
      {ruleLines(rules).map(({ rule, devices }) => (
        <li key={`${rule.threshold.id} ${rule.metric}`}>
          <SeverityMark severity={rule.threshold.severity} />
          <div>
            <p>
              {rule.metric}{" "}
              {devices.map((device, index) => (
                <span key={device}>
                  {index > 0 && ", "}
                  <b>{device}</b>
                </span>
              ))}
            </p>
            <p className="muted">
              <Link href={`/thresholds/${rule.threshold.id}`}>{condition(rule.threshold)}</Link> · {origin(rule)}
            </p>
          </div>
        </li>
      ))}
    </ul>
  );
}
