-- What a host's reports of a quarter of an hour have in common, so that each of them is stored without it.

-- The first message of its form (zstd-compressed JSON) and its time. docs/CHUNKS.md describes the payloads that refer to it.
CREATE TABLE IF NOT EXISTS forms (
    host_key BIGINT NOT NULL,
    at BIGINT NOT NULL,
    message MEDIUMBLOB NOT NULL,
    PRIMARY KEY (host_key, at)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
