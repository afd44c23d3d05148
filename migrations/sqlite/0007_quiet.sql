-- Violations by any question, acknowledged by people, and held back by silences.

-- By how long a violation lasted: 0 while it is open, then 1 below 1 minute, 2 below 8 minutes, and so on by 8; 7 is 22 days and more. Whatever
-- was open at a time began shortly before it, or was long: of each class only a short stretch has to be looked at.
ALTER TABLE violations ADD COLUMN span INT GENERATED ALWAYS AS (
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
) VIRTUAL;
-- with closed_at, so that only those are read that were open at the time
CREATE INDEX violations_span ON violations (span, opened_at, violation_id, closed_at);
CREATE INDEX violations_host ON violations (host_id, opened_at);
CREATE INDEX violations_metric ON violations (metric, opened_at);
CREATE INDEX violations_severity ON violations (severity, opened_at);

-- Who saw it and said so; by is NULL when nobody gave a name. All NULL while nobody did.
ALTER TABLE violations ADD COLUMN acknowledged_at BIGINT NULL;
ALTER TABLE violations ADD COLUMN acknowledged_by TEXT NULL;
ALTER TABLE violations ADD COLUMN acknowledged_comment TEXT NULL;

-- When violation.opened was appended: NULL while a silence holds it back, and for ever when it closed before.
ALTER TABLE violations ADD COLUMN announced_at BIGINT NULL;
-- The silence under which it opened.
ALTER TABLE violations ADD COLUMN silence_id BIGINT NULL;
-- Those that are open were announced when they opened.
UPDATE violations SET announced_at = detected_at WHERE closed_at IS NULL;
-- Open ones, and of them those that wait for the end of a silence.
DROP INDEX violations_closed;
CREATE INDEX violations_open ON violations (closed_at, announced_at);

-- When people do not want to be told of violations, of which machines and kinds.
CREATE TABLE silences (
    silence_id INTEGER PRIMARY KEY AUTOINCREMENT,
    -- rises with every change: the ETag
    version BIGINT NOT NULL,
    -- silence, maintenance
    kind TEXT NOT NULL,
    -- JSON: what it is for
    scope TEXT NOT NULL,
    -- NULL: since ever, for ever
    starts_at BIGINT NULL,
    ends_at BIGINT NULL,
    -- both NULL: all the time in between; otherwise five fields in the zone tz, and for how long each time
    cron TEXT NULL,
    tz TEXT NULL,
    duration_seconds BIGINT NULL,
    comment TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    created_by TEXT NULL
);

-- silences_version: rises with every change of silences.
INSERT INTO counters (name, value) VALUES ('silences_version', 1);
