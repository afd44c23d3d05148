// Reports of hosts that do not exist, with names that want to be code.

const WORDS = ['<img src=x onerror="window.owned=1">', "<script>window.owned=1</script>", "javascript:window.owned=1", "'\"><svg onload=window.owned=1>", "{{constructor.constructor('window.owned=1')()}}"];
const ODD = ["\u202Eevil", "a\u0300\u0301\u0302", "👩‍👩‍👧‍👦", "x".repeat(120), "–", "../../etc", "%00%3Cb%3E", "&lt;b&gt;", "${window.owned=1}", "__proto__", "constructor", "toString", "null", "0"];

/** So many names, no two alike. */
export function hostileNames(count) {
  const all = [...WORDS, ...ODD];
  return Array.from({ length: count }, (_, index) => (index < all.length ? all[index] : `${all[index % all.length].slice(0, 100)} ${index}`));
}

/** When containers started that say nothing else: one that started later than in the report before was restarted. */
const STARTED_AT = Date.parse("2026-01-01");

export function report(id, at, { name = id, labels = {}, containers = [], mountpoint = "/", cpu = 0.4, load = 1.5, seq = 1, intervalMs = 2_000, uptime = 90_000 } = {}) {
  const row = (container, index) => [container.name, container.id ?? `id${index}`, container.image ?? "nginx:1.27", "running", "healthy", container.startedAt ?? STARTED_AT, 0, container.labels ?? {}, 0.5, 2, 268_435_456, 536_870_912, 0.5];
  return {
    schema: 1,
    host: { id, name, labels, os: "Debian GNU/Linux 12 (bookworm)", kernel: "6.1.0", cpus: 8, collector: "0.1.0" },
    epoch: 1,
    seq,
    at,
    interval_ms: intervalMs,
    metrics: {
      "system.cpu.utilization": cpu, "system.cpu.user.utilization": cpu * 0.7, "system.cpu.system.utilization": cpu * 0.3,
      "system.memory.utilization": 0.6, "system.memory.limit": 17_179_869_184, "system.cpu.load_average.1m": load, "system.uptime": uptime,
    },
    tables: {
      filesystem: { columns: ["mountpoint", "type", "system.filesystem.utilization"], rows: [[mountpoint, "ext4", 0.5]] },
      network: { columns: ["interface", "system.network.receive", "system.network.transmit"], rows: [["eth0", 1_000_000, 2_000_000]] },
      container: {
        columns: ["name", "id", "image", "state", "health", "started_at", "restarts", "labels", "container.cpu.usage", "container.cpu.limit", "container.memory.working_set", "container.memory.limit", "container.memory.utilization"],
        rows: containers.map(row),
      },
    },
  };
}
