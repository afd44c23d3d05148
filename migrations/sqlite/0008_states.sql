-- What no report carries: silent hosts and a late pipeline; and rules on the states of machines.

-- Of a late pipeline where it was stuck when the violation opened: consumer, broker, partition N, unknown.
ALTER TABLE violations ADD COLUMN cause TEXT NULL;
-- Of a violation that no report opens: since when it is at or behind the recovery value, while it has to be for longer.
ALTER TABLE violations ADD COLUMN recovering_since BIGINT NULL;

-- One row: whether the pipeline is late.
CREATE TABLE pipeline_state (
    id SMALLINT NOT NULL PRIMARY KEY,
    late_since BIGINT NULL,
    -- 0: it was never late
    on_time_since BIGINT NOT NULL,
    -- rules that the lag is beyond: [[threshold_id, since], ...]
    waiting TEXT NOT NULL
);
INSERT INTO pipeline_state (id, late_since, on_time_since, waiting) VALUES (1, NULL, 0, '[]');

-- Defaults that an operator may change or delete; they do not come back. What is there already is left alone.
INSERT INTO thresholds
    (version, kind, machine_id, metric, device, quantity, window_seconds, direction, value, recovery_value, for_seconds, recovery_for_seconds,
     severity, enabled, note)
SELECT 1, kind, NULL, metric, NULL, quantity, window_seconds, direction, value, recovery_value, for_seconds, recovery_for_seconds,
    severity, 1, note
FROM (
    SELECT 'host' AS kind, 'host.missing' AS metric, 'value' AS quantity, 0 AS window_seconds, 'above' AS direction, 0 AS value, 0 AS recovery_value, 0 AS for_seconds, 0 AS recovery_for_seconds, 'critical' AS severity,
        'Nothing of the host comes, although the pipeline is on time: its power, its network or its collector.' AS note
    UNION ALL SELECT 'pipeline', 'pipeline.lag', 'value', 0, 'above', 30, 10, 10, 30, 'critical',
        'Reports are held up, so that nobody knows what hosts do: the cause says where.'
    UNION ALL SELECT 'container', 'container.exit_code', 'value', 0, 'above', 0, 0, 0, 0, 'warning',
        'The container ended with an exit code other than 0.'
    UNION ALL SELECT 'container', 'container.oom_killed', 'value', 0, 'above', 0, 0, 0, 0, 'critical',
        'Memory ran out: the container was ended for it, or a process in it.'
    UNION ALL SELECT 'container', 'container.unhealthy', 'value', 0, 'above', 0, 0, 0, 0, 'warning',
        'The container''s own health check fails.'
    UNION ALL SELECT 'container', 'container.stopped', 'value', 0, 'above', 0, 0, 0, 0, 'info',
        'The container does not run, and nothing says that it failed.'
    UNION ALL SELECT 'container', 'container.missing', 'value', 0, 'above', 0, 0, 0, 0, 'info',
        'The container was removed while its host goes on.'
    UNION ALL SELECT 'host', 'collector.spool.age', 'value', 0, 'above', 60, 30, 0, 30, 'warning',
        'The collector cannot hand on its reports: they wait on the host''s disk.'
) seeds
WHERE NOT EXISTS (
    SELECT 1 FROM thresholds t
    WHERE t.kind = seeds.kind AND t.machine_id IS NULL AND t.labels = '{}' AND t.metric = seeds.metric AND t.device IS NULL
        AND t.quantity = seeds.quantity AND t.direction = seeds.direction AND t.severity = seeds.severity
);

INSERT INTO threshold_versions
    (threshold_id, version, changed_at, changed_by, is_deleted, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
     value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note)
SELECT threshold_id, version, 0, NULL, 0, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
       value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note
FROM thresholds t
WHERE NOT EXISTS (SELECT 1 FROM threshold_versions v WHERE v.threshold_id = t.threshold_id);

-- Whoever has the rules of before reads them again.
UPDATE counters SET value = value + 1 WHERE name = 'thresholds_version';
