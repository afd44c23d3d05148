// What the past can say of a rule.

import type { Backtest } from "../../api/client.ts";
import { catalog } from "../../state/catalog.ts";
import type { Key } from "../../text/index.ts";
import type { Body } from "./draft.ts";

/** Why history says nothing of a rule, if it does not. */
export function untestable(body: Body): Key | null {
  if (body.effect === "none") return "preview.nothing";
  const metric = catalog.get().get(body.metric);
  if (body.scope.kind === "pipeline" || (metric?.derived && metric.of !== "container")) return "preview.untold";
  return null;
}

/** Where there is something to look at: kept so long, and not before the first of the machines was heard of. */
export function beginningOf(result: Backtest): number {
  return Math.max(Date.parse(result.evaluated_from), Math.min(Date.parse(result.known_since ?? result.evaluated_from), Date.parse(result.evaluated_to)));
}
