-- History: reports that are older than some minutes, as compressed columns.

-- One row per machine and stretch, or several where a row would be too large for its page. docs/CHUNKS.md describes `data`.
-- Not WITHOUT ROWID: rows of this size would spill out of an index's pages.
CREATE TABLE chunks (
    -- 0: every sample, a quarter of an hour a row; 300000: 5 minutes folded into one point, a day a row
    resolution_ms INTEGER NOT NULL,
    start_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    machine_id BIGINT NOT NULL,
    part INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (resolution_ms, start_at, host_key, machine_id, part)
);

-- The reports of a host in a sealed quarter of an hour: their times, which the host's chunks refer to, and their names, so that one that
-- comes again is known.
CREATE TABLE stretches (
    start_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    reports INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (start_at, host_key)
) WITHOUT ROWID;

-- Days of hosts whose 5-minute chunk lacks something that was sealed since.
CREATE TABLE rollups_due (
    day_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    -- another number with every sealed stretch, so that none is overlooked that comes while the day is folded
    stamp BIGINT NOT NULL,
    PRIMARY KEY (day_at, host_key)
) WITHOUT ROWID;

-- Work that one backend at a time should do. It stays correct when two do it.
CREATE TABLE leases (
    name TEXT NOT NULL PRIMARY KEY,
    holder BIGINT NOT NULL,
    held_until BIGINT NOT NULL
) WITHOUT ROWID;

INSERT INTO leases (name, holder, held_until) VALUES ('sealer', 0, 0);

-- raw_removed_before: samples from before this day are removed, or about to be.
INSERT INTO counters (name, value) VALUES ('raw_removed_before', 0);
