// What an event of a machine is called, and how it is marked in charts. Pure but for the words.

import type { MachineEvent } from "../api/client.ts";
import type { Mark } from "../charts/marks.ts";
import { t, type Key } from "../text/index.ts";

export function eventKey({ type, state, kind }: Pick<MachineEvent, "type" | "state" | "kind">): Key {
  if (type === "machine.rebooted") return "event.rebooted";
  if (type === "machine.up" && (state === "replaced" || state === "restarted")) return `event.${state}`;
  if (type === "machine.down" && state === "gone") return "event.removed";
  if (kind === "host") return type === "machine.up" ? "event.up" : "event.down";
  return type === "machine.up" ? "event.started" : "event.stopped";
}

export function markOf(event: MachineEvent): Mark {
  return { id: event.id, at: Date.parse(event.at), name: t(eventKey(event)), isBad: event.type === "machine.down" };
}
