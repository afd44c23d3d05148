-- History: reports that are older than some minutes, as compressed columns. As in 0001, each statement can be repeated.

-- One row per machine and stretch, or several where a row would be too large for its page. docs/CHUNKS.md describes `data`.
-- What is written together stands together, in rising order: stretch by stretch, host by host.
CREATE TABLE IF NOT EXISTS chunks (
    -- 0: every sample, a quarter of an hour a row; 300000: 5 minutes folded into one point, a day a row
    resolution_ms INT NOT NULL,
    start_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    machine_id BIGINT NOT NULL,
    part INT NOT NULL,
    data MEDIUMBLOB NOT NULL,
    PRIMARY KEY (resolution_ms, start_at, host_key, machine_id, part)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- The reports of a host in a sealed quarter of an hour: their times, which the host's chunks refer to, and their names, so that one that
-- comes again is known.
CREATE TABLE IF NOT EXISTS stretches (
    start_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    reports INT NOT NULL,
    data MEDIUMBLOB NOT NULL,
    PRIMARY KEY (start_at, host_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Days of hosts whose 5-minute chunk lacks something that was sealed since.
CREATE TABLE IF NOT EXISTS rollups_due (
    day_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    -- another number with every sealed stretch, so that none is overlooked that comes while the day is folded
    stamp BIGINT NOT NULL,
    PRIMARY KEY (day_at, host_key)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Work that one backend at a time should do. It stays correct when two do it.
CREATE TABLE IF NOT EXISTS leases (
    name VARCHAR(32) NOT NULL PRIMARY KEY,
    holder BIGINT NOT NULL,
    held_until BIGINT NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO leases (name, holder, held_until) VALUES ('sealer', 0, 0);

-- raw_removed_before: samples from before this day are removed, or about to be.
INSERT IGNORE INTO counters (name, value) VALUES ('raw_removed_before', 0);
