-- What conditions over a window look back at. sqlite/ says what each column means.

-- Columns are added when they are not there: this may be repeated after it was cut off.
SET @is_new = (SELECT COUNT(*) = 0 FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = 'hosts' AND column_name = 'windows');
SET @change = IF(@is_new, 'ALTER TABLE hosts ADD COLUMN windows MEDIUMTEXT NULL', 'DO 0');
PREPARE change_hosts FROM @change;
EXECUTE change_hosts;
DEALLOCATE PREPARE change_hosts;
