-- MySQL commits every CREATE TABLE by itself, so a migration can end half-way: each statement can be repeated.
-- Times are Unix ms. Texts compare byte by byte. Comments on meaning stand here; sqlite/ has the same tables.

-- One row per host: what ingest locks, and what it needs to know to take the next report.
CREATE TABLE IF NOT EXISTS hosts (
    host_key BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    host_id VARCHAR(128) NOT NULL,
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
    evaluation LONGTEXT NOT NULL,
    UNIQUE KEY hosts_host_id (host_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- A host or a container. A container's identity outlives its recreation.
CREATE TABLE IF NOT EXISTS machines (
    machine_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    host_key BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    identity VARCHAR(255) NOT NULL,
    name VARCHAR(128) NOT NULL,
    -- container: the engine's state; host: running
    state VARCHAR(128) NOT NULL,
    labels MEDIUMTEXT NOT NULL,
    facts MEDIUMTEXT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    -- time of the first report that no longer had it
    gone_at BIGINT NULL,
    UNIQUE KEY machines_identity (host_key, kind, identity),
    KEY machines_gone (gone_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The head: reports as they came, zstd-compressed JSON.
CREATE TABLE IF NOT EXISTS reports (
    host_key BIGINT NOT NULL,
    at BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    payload MEDIUMBLOB NOT NULL,
    PRIMARY KEY (host_key, at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS thresholds (
    threshold_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    -- rises with every change: the ETag
    version BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    -- NULL: all machines of the kind
    machine_id BIGINT NULL,
    metric VARCHAR(128) NOT NULL,
    -- NULL: every device
    device VARCHAR(128) NULL,
    direction VARCHAR(16) NOT NULL,
    value DOUBLE NOT NULL,
    recovery_value DOUBLE NOT NULL,
    for_seconds BIGINT NOT NULL,
    severity VARCHAR(16) NOT NULL,
    enabled SMALLINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- One stay of a series beyond a threshold. Names are those at the time of opening.
CREATE TABLE IF NOT EXISTS violations (
    violation_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    machine_id BIGINT NOT NULL,
    machine_name VARCHAR(128) NOT NULL,
    host_id VARCHAR(128) NOT NULL,
    host_name VARCHAR(128) NOT NULL,
    kind VARCHAR(16) NOT NULL,
    metric VARCHAR(128) NOT NULL,
    -- '' where the metric is of the machine itself
    device VARCHAR(128) NOT NULL,
    direction VARCHAR(16) NOT NULL,
    severity VARCHAR(16) NOT NULL,
    threshold_id BIGINT NOT NULL,
    threshold_value DOUBLE NOT NULL,
    opened_at BIGINT NOT NULL,
    opened_value DOUBLE NOT NULL,
    peak_value DOUBLE NOT NULL,
    closed_at BIGINT NULL,
    closed_value DOUBLE NULL,
    -- recovered, stopped, gone, threshold_changed
    close_reason VARCHAR(32) NULL,
    -- when the backend learnt of it
    detected_at BIGINT NOT NULL,
    UNIQUE KEY violations_once (machine_id, threshold_id, device, opened_at),
    KEY violations_opened (opened_at, violation_id),
    KEY violations_machine (machine_id, opened_at),
    KEY violations_closed (closed_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- What changed, numbered in commit order.
CREATE TABLE IF NOT EXISTS events (
    event_id BIGINT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL,
    topic VARCHAR(16) NOT NULL,
    name VARCHAR(32) NOT NULL,
    machine_id BIGINT NOT NULL,
    body MEDIUMTEXT NOT NULL,
    KEY events_created (created_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- last_event_id: locked by whoever appends events, until commit. thresholds_version: rises with every change of thresholds.
CREATE TABLE IF NOT EXISTS counters (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO counters (name, value) VALUES ('last_event_id', 0), ('thresholds_version', 1);

-- Defaults that an operator may change or delete; they do not come back.
INSERT IGNORE INTO thresholds
    (threshold_id, version, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, enabled)
VALUES
    (1, 1, 'host', NULL, 'system.cpu.utilization', NULL, 'above', 0.90, 0.80, 300, 'warning', 1),
    (2, 1, 'host', NULL, 'system.memory.utilization', NULL, 'above', 0.90, 0.85, 60, 'warning', 1),
    (3, 1, 'host', NULL, 'system.memory.utilization', NULL, 'above', 0.97, 0.95, 30, 'critical', 1),
    (4, 1, 'host', NULL, 'system.filesystem.utilization', NULL, 'above', 0.85, 0.83, 60, 'warning', 1),
    (5, 1, 'host', NULL, 'system.filesystem.utilization', NULL, 'above', 0.95, 0.93, 60, 'critical', 1),
    (6, 1, 'host', NULL, 'system.filesystem.inodes.utilization', NULL, 'above', 0.90, 0.88, 60, 'warning', 1),
    (7, 1, 'container', NULL, 'container.memory.utilization', NULL, 'above', 0.90, 0.85, 60, 'warning', 1);
