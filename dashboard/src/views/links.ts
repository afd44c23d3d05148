// Links to forms that know already what they are about.

function link(path: string, words: Record<string, string | number | null | undefined>, labels: Record<string, string> = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(words)) if (value !== null && value !== undefined && value !== "") query.set(name, String(value));
  for (const [name, value] of Object.entries(labels)) query.append("label", `${name}=${value}`);
  return `${path}?${query}`;
}

interface ThresholdWish {
  metric?: string;
  /** A rule of this machine alone. */
  machineId?: string | null;
  /** Of the machine, or of a metric that the catalog does not know. */
  kind?: string;
  device?: string | null;
  /** In the metric's unit. */
  value?: number;
}

/** A new rule, begun from a chart, a machine or a violation. */
export function newThresholdLink({ machineId, ...others }: ThresholdWish): string {
  return link("/thresholds/new", { ...others, machine_id: machineId });
}

interface SilenceWish {
  type?: "silence" | "maintenance";
  machineId?: string | null;
  /** A host's own id: the host and its containers. */
  hostId?: string | null;
  metric?: string | null;
  severity?: string | null;
  comment?: string;
}

/** A new silence, begun from a violation or a machine. */
export function newSilenceLink({ machineId, hostId, ...others }: SilenceWish): string {
  return link("/silences/new", { ...others, machine_id: machineId, host_id: hostId });
}
