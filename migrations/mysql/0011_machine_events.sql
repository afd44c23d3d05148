-- What happened to machines, kept as long as their points of 5 minutes. sqlite/ says why. As in 0008, this may be repeated.

CREATE TABLE IF NOT EXISTS machine_events (
    event_id BIGINT NOT NULL PRIMARY KEY,
    machine_id BIGINT NOT NULL,
    name VARCHAR(32) NOT NULL,
    occurred_at BIGINT NOT NULL,
    body MEDIUMTEXT NOT NULL,
    KEY machine_events_at (occurred_at, event_id),
    KEY machine_events_name (name, occurred_at, event_id),
    KEY machine_events_machine (machine_id, name, occurred_at, event_id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- not UNIX_TIMESTAMP, which reads it in the session's time zone
INSERT IGNORE INTO machine_events (event_id, machine_id, name, occurred_at, body)
SELECT event_id, machine_id, name,
    TIMESTAMPDIFF(MICROSECOND, '1970-01-01', STR_TO_DATE(JSON_UNQUOTE(JSON_EXTRACT(body, '$.at')), '%Y-%m-%dT%H:%i:%s.%fZ')) DIV 1000, body
FROM events
WHERE topic = 'machines';
