-- Times are Unix ms. Texts compare byte by byte. Comments on meaning stand here; mysql/ has the same tables.

-- One row per host: what ingest locks, and what it needs to know to take the next report.
CREATE TABLE hosts (
    host_key INTEGER PRIMARY KEY AUTOINCREMENT,
    host_id TEXT NOT NULL,
    interval_ms INT NOT NULL,
    -- newest report: its own time, and when it came
    last_report_at BIGINT NOT NULL,
    last_received_at BIGINT NOT NULL,
    last_epoch BIGINT NOT NULL,
    last_seq BIGINT NOT NULL,
    -- what was announced last: 1 after machine.down, 0 after machine.up
    is_down SMALLINT NOT NULL,
    -- rises with every change of the host's rows in machines
    inventory_version BIGINT NOT NULL,
    -- series beyond a threshold: waiting or open (JSON)
    evaluation TEXT NOT NULL
);
CREATE UNIQUE INDEX hosts_host_id ON hosts (host_id);

-- A host or a container. A container's identity outlives its recreation.
CREATE TABLE machines (
    machine_id INTEGER PRIMARY KEY AUTOINCREMENT,
    host_key BIGINT NOT NULL,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    name TEXT NOT NULL,
    -- container: the engine's state; host: running
    state TEXT NOT NULL,
    labels TEXT NOT NULL,
    facts TEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    -- time of the first report that no longer had it
    gone_at BIGINT NULL
);
CREATE UNIQUE INDEX machines_identity ON machines (host_key, kind, identity);
CREATE INDEX machines_gone ON machines (gone_at);

-- The head: reports as they came, zstd-compressed JSON.
CREATE TABLE reports (
    host_key BIGINT NOT NULL,
    at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (host_key, at)
) WITHOUT ROWID;

CREATE TABLE thresholds (
    threshold_id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- rises with every change: the ETag
    version BIGINT NOT NULL,
    kind TEXT NOT NULL,
    -- NULL: all machines of the kind
    machine_id BIGINT NULL,
    metric TEXT NOT NULL,
    -- NULL: every device
    device TEXT NULL,
    direction TEXT NOT NULL,
    value DOUBLE NOT NULL,
    recovery_value DOUBLE NOT NULL,
    for_seconds BIGINT NOT NULL,
    severity TEXT NOT NULL,
    enabled SMALLINT NOT NULL
);

-- One stay of a series beyond a threshold. Names are those at the time of opening.
CREATE TABLE violations (
    violation_id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_id BIGINT NOT NULL,
    machine_name TEXT NOT NULL,
    host_id TEXT NOT NULL,
    host_name TEXT NOT NULL,
    kind TEXT NOT NULL,
    metric TEXT NOT NULL,
    -- '' where the metric is of the machine itself
    device TEXT NOT NULL,
    direction TEXT NOT NULL,
    severity TEXT NOT NULL,
    threshold_id BIGINT NOT NULL,
    threshold_value DOUBLE NOT NULL,
    opened_at BIGINT NOT NULL,
    opened_value DOUBLE NOT NULL,
    peak_value DOUBLE NOT NULL,
    closed_at BIGINT NULL,
    closed_value DOUBLE NULL,
    -- recovered, stopped, gone, threshold_changed
    close_reason TEXT NULL,
    -- when the backend learnt of it
    detected_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX violations_once ON violations (machine_id, threshold_id, device, opened_at);
CREATE INDEX violations_opened ON violations (opened_at, violation_id);
CREATE INDEX violations_machine ON violations (machine_id, opened_at);
CREATE INDEX violations_closed ON violations (closed_at);

-- What changed, numbered in commit order.
CREATE TABLE events (
    event_id BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    topic TEXT NOT NULL,
    name TEXT NOT NULL,
    machine_id BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX events_created ON events (created_at);

-- last_event_id: locked by whoever appends events, until commit. thresholds_version: rises with every change of thresholds.
CREATE TABLE counters (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

INSERT INTO counters (name, value) VALUES ('last_event_id', 0), ('thresholds_version', 1);

-- Defaults that an operator may change or delete; they do not come back.
INSERT INTO thresholds
    (version, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, enabled)
VALUES
    (1, 'host', NULL, 'system.cpu.utilization', NULL, 'above', 0.90, 0.80, 300, 'warning', 1),
    (1, 'host', NULL, 'system.memory.utilization', NULL, 'above', 0.90, 0.85, 60, 'warning', 1),
    (1, 'host', NULL, 'system.memory.utilization', NULL, 'above', 0.97, 0.95, 30, 'critical', 1),
    (1, 'host', NULL, 'system.filesystem.utilization', NULL, 'above', 0.85, 0.83, 60, 'warning', 1),
    (1, 'host', NULL, 'system.filesystem.utilization', NULL, 'above', 0.95, 0.93, 60, 'critical', 1),
    (1, 'host', NULL, 'system.filesystem.inodes.utilization', NULL, 'above', 0.90, 0.88, 60, 'warning', 1),
    (1, 'container', NULL, 'container.memory.utilization', NULL, 'above', 0.90, 0.85, 60, 'warning', 1);
