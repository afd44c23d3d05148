-- Violations by any question, acknowledged by people, and held back by silences. sqlite/ says what each column means.

-- Columns are added when they are not there: this may be repeated after it was cut off.
SET @is_new = (SELECT COUNT(*) = 0 FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'violations' AND column_name = 'span');
SET @change = IF(@is_new,
    'ALTER TABLE violations
         ADD COLUMN span SMALLINT AS (
             CASE
                 WHEN closed_at IS NULL THEN 0
                 WHEN closed_at - opened_at < 60000 THEN 1
                 WHEN closed_at - opened_at < 480000 THEN 2
                 WHEN closed_at - opened_at < 3840000 THEN 3
                 WHEN closed_at - opened_at < 30720000 THEN 4
                 WHEN closed_at - opened_at < 245760000 THEN 5
                 WHEN closed_at - opened_at < 1966080000 THEN 6
                 ELSE 7
             END
         ) VIRTUAL,
         ADD COLUMN acknowledged_at BIGINT NULL,
         ADD COLUMN acknowledged_by VARCHAR(128) NULL,
         ADD COLUMN acknowledged_comment TEXT NULL,
         ADD COLUMN announced_at BIGINT NULL,
         ADD COLUMN silence_id BIGINT NULL,
         DROP KEY violations_closed,
         ADD KEY violations_open (closed_at, announced_at),
         ADD KEY violations_span (span, opened_at, violation_id, closed_at),
         ADD KEY violations_host (host_id, opened_at),
         ADD KEY violations_metric (metric, opened_at),
         ADD KEY violations_severity (severity, opened_at)',
    'DO 0');
PREPARE change_violations FROM @change;
EXECUTE change_violations;
DEALLOCATE PREPARE change_violations;

-- Those that are open were announced when they opened.
UPDATE violations SET announced_at = detected_at WHERE closed_at IS NULL AND silence_id IS NULL;

CREATE TABLE IF NOT EXISTS silences (
    silence_id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY,
    version BIGINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    scope TEXT NOT NULL,
    starts_at BIGINT NULL,
    ends_at BIGINT NULL,
    cron VARCHAR(128) NULL,
    tz VARCHAR(64) NULL,
    duration_seconds BIGINT NULL,
    comment TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by VARCHAR(128) NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO counters (name, value) VALUES ('silences_version', 1);
