-- Rules with scopes by label, conditions over windows, and all their versions. sqlite/ says what each column means.

-- Columns are added when they are not there: this may be repeated after it was cut off.
SET @is_new = (SELECT COUNT(*) = 0 FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'thresholds' AND column_name = 'labels');
SET @change = IF(@is_new,
    'ALTER TABLE thresholds
         ADD COLUMN labels TEXT NOT NULL DEFAULT (''{}''),
         ADD COLUMN quantity VARCHAR(16) NOT NULL DEFAULT ''value'',
         ADD COLUMN window_seconds BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN recovery_for_seconds BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN effect VARCHAR(16) NOT NULL DEFAULT ''open'',
         ADD COLUMN note TEXT NOT NULL DEFAULT ('''')',
    'DO 0');
PREPARE change_thresholds FROM @change;
EXECUTE change_thresholds;
DEALLOCATE PREPARE change_thresholds;

CREATE TABLE IF NOT EXISTS threshold_versions (
    threshold_id BIGINT NOT NULL,
    version BIGINT NOT NULL,
    changed_at BIGINT NOT NULL,
    changed_by VARCHAR(128) NULL,
    is_deleted SMALLINT NOT NULL,
    kind VARCHAR(16) NOT NULL,
    machine_id BIGINT NULL,
    labels TEXT NOT NULL,
    metric VARCHAR(128) NOT NULL,
    device VARCHAR(128) NULL,
    quantity VARCHAR(16) NOT NULL,
    window_seconds BIGINT NOT NULL,
    direction VARCHAR(16) NOT NULL,
    value DOUBLE NOT NULL,
    recovery_value DOUBLE NOT NULL,
    for_seconds BIGINT NOT NULL,
    recovery_for_seconds BIGINT NOT NULL,
    severity VARCHAR(16) NOT NULL,
    effect VARCHAR(16) NOT NULL,
    enabled SMALLINT NOT NULL,
    note TEXT NOT NULL,
    PRIMARY KEY (threshold_id, version)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

INSERT IGNORE INTO threshold_versions
    (threshold_id, version, changed_at, changed_by, is_deleted, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
     value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note)
SELECT threshold_id, version, 0, NULL, 0, kind, machine_id, labels, metric, device, quantity, window_seconds, direction,
       value, recovery_value, for_seconds, recovery_for_seconds, severity, effect, enabled, note
FROM thresholds;

SET @is_new = (SELECT COUNT(*) = 0 FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'violations' AND column_name = 'threshold_version');
SET @change = IF(@is_new,
    'ALTER TABLE violations
         ADD COLUMN threshold_version BIGINT NOT NULL DEFAULT 0,
         ADD COLUMN closed_version BIGINT NULL,
         ADD COLUMN quantity VARCHAR(16) NOT NULL DEFAULT ''value''',
    'DO 0');
PREPARE change_violations FROM @change;
EXECUTE change_violations;
DEALLOCATE PREPARE change_violations;
