// Machines to choose from, and what rules see of them. The fleet is read once for that, and not followed.

import { useEffect } from "react";

import type { Kind } from "../api/client.ts";
import type { Option } from "../components/Combobox.tsx";
import { fleets, type Row } from "./fleet.ts";
import { useStore } from "./store.ts";

/** Reads machines of these kinds where nobody did yet; draws again when they are there. */
export function useMachines(isWanted: boolean, kind: Kind): void {
  useStore(fleets.host.drawn);
  useStore(fleets.container.drawn);
  useEffect(() => {
    for (const fleet of kind === "container" ? [fleets.host, fleets.container] : [fleets.host]) {
      if (isWanted && fleet.loading.get().state === "loading") void fleet.load();
    }
  }, [isWanted, kind]);
}

const COMPOSE = { "com.docker.compose.project": "compose.project", "com.docker.compose.service": "compose.service" };

/** The labels by which rules and silences find a machine, as `docs/THRESHOLDS.md` says. */
export function ruleLabels(row: Row, kind: Kind, host: Row | undefined): Record<string, string> {
  if (kind === "host") return { ...row.labels, "host.name": row.name };
  const own: Record<string, string> = { ...row.labels };
  if (typeof row.facts.image === "string") own.image = row.facts.image;
  for (const [name, short] of Object.entries(COMPOSE)) if (row.labels[name] !== undefined) own[short] = row.labels[name];
  return { ...host?.labels, ...own, "container.name": row.name, "host.name": host?.name ?? "" };
}

/** Whether a name is what a text says, or of its pattern: `*` stands for any characters, `?` for one. */
export function matches(text: string, name: string): boolean {
  if (!/[*?]/.test(text)) return text === name;
  const pattern = text.replace(/[.+^${}()|[\]\\/]/g, "\\$&").replaceAll("*", ".*").replaceAll("?", ".");
  return new RegExp(`^${pattern}$`, "su").test(name);
}

export interface Wanted {
  kind?: string | null | undefined;
  machineId?: string | null | undefined;
  hostId?: string | null | undefined;
  labels?: readonly (readonly [string, string])[];
}

export function fits(wanted: Wanted, kind: Kind, row: Row): boolean {
  if (wanted.kind && wanted.kind !== kind) return false;
  if (wanted.machineId && wanted.machineId !== row.id) return false;
  if (wanted.hostId && wanted.hostId !== row.hostId) return false;
  if (!wanted.labels?.length) return true;
  const labels = ruleLabels(row, kind, fleets.host.byHost.get(row.hostId));
  return wanted.labels.every(([name, value]) => labels[name] !== undefined && matches(value, labels[name]));
}

/** How many of the machines that are there fit. */
export function countOf(wanted: Wanted): { fit: number; all: number } {
  let [fit, all] = [0, 0];
  for (const kind of ["host", "container"] as const) {
    if (wanted.kind && wanted.kind !== kind) continue;
    for (const row of fleets[kind].rows.values()) {
      all += 1;
      if (fits(wanted, kind, row)) fit += 1;
    }
  }
  return { fit, all };
}

const all = (kind: Kind) => [...fleets[kind].rows.values()];
const compare = new Intl.Collator(undefined, { numeric: true }).compare;
const has = (text: string, part: string) => text.toLowerCase().includes(part.toLowerCase());

export function machineName(kind: Kind, id: string): string | null {
  return fleets[kind].rows.get(id)?.name ?? null;
}

export const hostNameOf = (row: Row) => fleets.host.byHost.get(row.hostId)?.name ?? row.hostId;

/** Machines whose name, or whose host's name, has each word. */
export function machineOptions(kind: Kind, typed: string): Option[] {
  const words = typed.split(/\s+/).filter(Boolean);
  const found = all(kind).filter((row) => words.every((word) => has(row.name, word) || (kind === "container" && has(hostNameOf(row), word))));
  found.sort((one, other) => compare(one.name, other.name));
  return found.map((row) => ({ value: row.id, text: row.name, note: kind === "container" ? hostNameOf(row) : undefined }));
}

/** Values of a label, or without one the labels' names: the most common first, with how many machines have them. */
export function labelOptions(kinds: readonly Kind[], name: string | null, typed: string): Option[] {
  const counts = new Map<string, number>();
  for (const kind of kinds) {
    for (const row of all(kind)) {
      const labels = ruleLabels(row, kind, fleets.host.byHost.get(row.hostId));
      const found = name === null ? Object.keys(labels) : labels[name] === undefined ? [] : [labels[name]];
      for (const text of found) counts.set(text, (counts.get(text) ?? 0) + 1);
    }
  }
  const sorted = [...counts].filter(([text]) => has(text, typed)).sort((one, other) => other[1] - one[1] || compare(one[0], other[0]));
  return sorted.map(([text, count]) => ({ value: text, text, note: String(count) }));
}
