-- Dead letters to look at, one row for each record of a dead-letter topic that a consumer has told of; of each topic the newest. dead_letters
-- says how many there are in Kafka.

CREATE TABLE letters (
    letter_id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- of the reports; the letter is in its dead-letter topic
    topic TEXT NOT NULL,
    partition_number BIGINT NOT NULL,
    record_offset BIGINT NOT NULL,
    -- never of the future, so that nobody can write what is the newest for ever
    written_at BIGINT NOT NULL,
    -- what the letter says of itself, bounded
    reason TEXT NULL,
    origin_topic TEXT NULL,
    origin_partition BIGINT NULL,
    origin_offset BIGINT NULL,
    origin_at BIGINT NULL,
    record_key TEXT NULL,
    payload_bytes BIGINT NULL,
    payload_start TEXT NULL,
    updated_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX letters_record ON letters (topic, partition_number, record_offset);
CREATE INDEX letters_written ON letters (written_at, letter_id);
CREATE INDEX letters_newest ON letters (topic, written_at, letter_id);
CREATE INDEX letters_updated ON letters (updated_at);
