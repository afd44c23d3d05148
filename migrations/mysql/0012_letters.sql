-- Dead letters to look at. sqlite/ says why. As in 0008, this may be repeated.

CREATE TABLE IF NOT EXISTS letters (
    letter_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    topic VARCHAR(249) NOT NULL,
    partition_number BIGINT NOT NULL,
    record_offset BIGINT NOT NULL,
    written_at BIGINT NOT NULL,
    reason TEXT NULL,
    origin_topic TEXT NULL,
    origin_partition BIGINT NULL,
    origin_offset BIGINT NULL,
    origin_at BIGINT NULL,
    record_key TEXT NULL,
    payload_bytes BIGINT NULL,
    payload_start TEXT NULL,
    updated_at BIGINT NOT NULL,
    UNIQUE KEY letters_record (topic, partition_number, record_offset),
    KEY letters_written (written_at, letter_id),
    KEY letters_newest (topic, written_at, letter_id),
    KEY letters_updated (updated_at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
