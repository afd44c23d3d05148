-- What became of every report: counted by host and hour, with each gap by name.

-- One row per host and hour of the reports' own time. expected = stored + rejected + thinned + dropped + damaged + lost;
-- late is a part of stored, and duplicate stands beside all of it. host_key 0: rejected records that named no known host.
CREATE TABLE ledger (
    hour_at BIGINT NOT NULL,
    host_key BIGINT NOT NULL,
    stored BIGINT NOT NULL,
    -- of the stored ones those that came after a newer report of their host
    late BIGINT NOT NULL,
    duplicate BIGINT NOT NULL,
    rejected BIGINT NOT NULL,
    -- removed by the collector, as its reports say
    thinned BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    damaged BIGINT NOT NULL,
    -- made, not removed by the collector, and not here
    lost BIGINT NOT NULL,
    -- by hour first: all hosts of one hour are written and read together
    PRIMARY KEY (hour_at, host_key)
) WITHOUT ROWID;
CREATE INDEX ledger_host ON ledger (host_key, hour_at);

-- A run of missing reports. A report that comes after all splits it.
CREATE TABLE gaps (
    gap_id INTEGER PRIMARY KEY AUTOINCREMENT,
    host_key BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    -- both 0: reports of epochs of which none came, so that only their number is known
    from_seq BIGINT NOT NULL,
    to_seq BIGINT NOT NULL,
    -- times of the reports around it
    from_at BIGINT NOT NULL,
    to_at BIGINT NOT NULL,
    thinned BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    damaged BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    detected_at BIGINT NOT NULL
);
CREATE INDEX gaps_seq ON gaps (host_key, epoch, from_seq);
CREATE INDEX gaps_time ON gaps (host_key, to_at, gap_id);
CREATE INDEX gaps_detected ON gaps (detected_at);

-- Rejected reports by name, so that a replay does not count them again. host_key 0: epoch is the partition and seq the offset.
CREATE TABLE rejections (
    host_key BIGINT NOT NULL,
    epoch BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    -- the hour under which it is counted
    hour_at BIGINT NOT NULL,
    rejected_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (host_key, epoch, seq)
) WITHOUT ROWID;
CREATE INDEX rejections_time ON rejections (rejected_at);

-- What consumers said last of their partitions.
CREATE TABLE consumer_partitions (
    topic TEXT NOT NULL,
    consumer_group TEXT NOT NULL,
    partition_number BIGINT NOT NULL,
    consumer TEXT NOT NULL,
    version TEXT NOT NULL,
    -- everything before this offset is stored or a dead letter
    position_offset BIGINT NOT NULL,
    end_offset BIGINT NULL,
    -- when the oldest record that waits came to Kafka
    waiting_since BIGINT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (topic, consumer_group, partition_number)
) WITHOUT ROWID;
CREATE INDEX consumer_partitions_updated ON consumer_partitions (updated_at);

-- Records [from_offset, to_offset) that were gone from Kafka before they could be read.
CREATE TABLE skipped_records (
    topic TEXT NOT NULL,
    partition_number BIGINT NOT NULL,
    from_offset BIGINT NOT NULL,
    to_offset BIGINT NOT NULL,
    detected_at BIGINT NOT NULL,
    PRIMARY KEY (topic, partition_number, from_offset)
) WITHOUT ROWID;
CREATE INDEX skipped_records_detected ON skipped_records (detected_at);

-- Records in each topic's dead-letter topic, as consumers said last.
CREATE TABLE dead_letters (
    topic TEXT NOT NULL PRIMARY KEY,
    records BIGINT NOT NULL,
    updated_at BIGINT NOT NULL
) WITHOUT ROWID;

-- hosts.last_epoch and last_seq now mean the highest that came. They are those of the newest report by time, which is the same but where
-- a clock was set back since: there the last one stored is another, and the ledger begins with the next report.
UPDATE hosts SET last_epoch = 0, last_seq = 0
WHERE NOT EXISTS (
    SELECT 1 FROM reports
    WHERE reports.host_key = hosts.host_key AND reports.at = hosts.last_report_at AND reports.received_at = hosts.last_received_at
);
