-- Rules that look back over a window, and on clocks. As in 0008, this may be repeated.

-- Defaults that an operator may change or delete; they do not come back. What is there already is left alone.
INSERT INTO thresholds
    (version, kind, machine_id, metric, device, quantity, window_seconds, direction, value, recovery_value, for_seconds, recovery_for_seconds,
     severity, enabled, note)
SELECT 1, kind, NULL, metric, NULL, quantity, window_seconds, direction, value, recovery_value, for_seconds, recovery_for_seconds,
    severity, 1, note
FROM (
    SELECT 'container' AS kind, 'container.restarts' AS metric, 'change' AS quantity, 600 AS window_seconds, 'above' AS direction,
        2 AS value, 1 AS recovery_value, 0 AS for_seconds, 0 AS recovery_for_seconds, 'warning' AS severity,
        'The engine restarted the container more than twice within ten minutes.' AS note
    UNION ALL SELECT 'host', 'system.filesystem.utilization', 'time_until_full', 3600, 'below', 14400, 28800, 600, 600, 'warning',
        'As it grew within the last hour the filesystem is full in less than four hours.'
    UNION ALL SELECT 'host', 'system.clock.skew', 'value', 0, 'above', 5, 2, 60, 60, 'warning',
        'The host''s clock is off: its reports tell wrong times.'
) seeds
WHERE NOT EXISTS (
    SELECT 1 FROM thresholds t
    WHERE t.kind = seeds.kind COLLATE utf8mb4_bin AND t.machine_id IS NULL AND t.labels = '{}' AND t.metric = seeds.metric COLLATE utf8mb4_bin AND t.device IS NULL
        AND t.quantity = seeds.quantity COLLATE utf8mb4_bin AND t.direction = seeds.direction COLLATE utf8mb4_bin AND t.severity = seeds.severity COLLATE utf8mb4_bin
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
