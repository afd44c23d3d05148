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
