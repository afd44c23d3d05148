-- What happened to machines, kept as long as their points of 5 minutes: charts of a year have it as marks. events is what the stream tells, of
-- violations too, and kept as long as reports.

CREATE TABLE machine_events (
    -- as in events
    event_id BIGINT NOT NULL PRIMARY KEY,
    machine_id BIGINT NOT NULL,
    name TEXT NOT NULL,
    -- by the host's own clock, Unix ms
    occurred_at BIGINT NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX machine_events_at ON machine_events (occurred_at, event_id);
CREATE INDEX machine_events_name ON machine_events (name, occurred_at, event_id);
CREATE INDEX machine_events_machine ON machine_events (machine_id, name, occurred_at, event_id);

INSERT INTO machine_events (event_id, machine_id, name, occurred_at, body)
SELECT event_id, machine_id, name, CAST(ROUND((julianday(json_extract(body, '$.at')) - 2440587.5) * 86400000) AS INTEGER), body
FROM events
WHERE topic = 'machines';
