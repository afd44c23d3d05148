-- Rules with scopes by label, conditions over windows, and all their versions.

-- Labels that a machine must have (JSON); '{}': none
ALTER TABLE thresholds ADD COLUMN labels TEXT NOT NULL DEFAULT '{}';
-- value; change, time_until_full: over window_seconds
ALTER TABLE thresholds ADD COLUMN quantity TEXT NOT NULL DEFAULT 'value';
ALTER TABLE thresholds ADD COLUMN window_seconds BIGINT NOT NULL DEFAULT 0;
ALTER TABLE thresholds ADD COLUMN recovery_for_seconds BIGINT NOT NULL DEFAULT 0;
-- open; none: switches off what a wider scope says
ALTER TABLE thresholds ADD COLUMN effect TEXT NOT NULL DEFAULT 'open';
ALTER TABLE thresholds ADD COLUMN note TEXT NOT NULL DEFAULT '';

-- Every version that a threshold ever had.
CREATE TABLE threshold_versions (
    threshold_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    -- 0: before versions were kept
    changed_at BIGINT NOT NULL,
    -- who, as far as it is known
    changed_by TEXT NULL,
    -- 1: it was deleted then, and the rest is that of the version before
    is_deleted SMALLINT NOT NULL,
    kind TEXT NOT NULL,
    machine_id BIGINT NULL,
    labels TEXT NOT NULL,
    metric TEXT NOT NULL,
    device TEXT NULL,
    quantity TEXT NOT NULL,
    window_seconds BIGINT NOT NULL,
    direction TEXT NOT NULL,
    value DOUBLE NOT NULL,
    recovery_value DOUBLE NOT NULL,
    for_seconds BIGINT NOT NULL,
    recovery_for_seconds BIGINT NOT NULL,
    severity TEXT NOT NULL,
    effect TEXT NOT NULL,
    enabled SMALLINT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (threshold_id, version)
) WITHOUT ROWID;

INSERT INTO threshold_versions
    (threshold_id, version, changed_at, changed_by, is_deleted, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
     value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note)
SELECT threshold_id, version, 0, NULL, 0, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
       value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note
FROM thresholds;

-- The rule's version that opened it, and the one that closed it. 0: before versions were kept.
ALTER TABLE violations ADD COLUMN threshold_version BIGINT NOT NULL DEFAULT 0;
ALTER TABLE violations ADD COLUMN closed_version BIGINT NULL;
-- What was compared: thresholds.quantity.
ALTER TABLE violations ADD COLUMN quantity TEXT NOT NULL DEFAULT 'value';
