//! What is wrong is found: a ledger that agrees, and then one thing at a time that does not.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write;

use loadgen::ledger::{CheckConfig, verdict};
use loadgen::{Config, Fleet};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use wire_model::HostReport;

const SCHEMA: [&str; 9] = [
    include_str!("../../migrations/sqlite/0001_first.sql"),
    include_str!("../../migrations/sqlite/0002_ledger.sql"),
    include_str!("../../migrations/sqlite/0003_history.sql"),
    include_str!("../../migrations/sqlite/0004_forms.sql"),
    include_str!("../../migrations/sqlite/0005_folded_parts.sql"),
    include_str!("../../migrations/sqlite/0006_rules.sql"),
    include_str!("../../migrations/sqlite/0007_quiet.sql"),
    include_str!("../../migrations/sqlite/0008_states.sql"),
    include_str!("../../migrations/sqlite/0009_windows.sql"),
];
/// What this test says of a violation beside its machine.
const VIOLATION: &str = "machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, threshold_value, opened_at, \
                         opened_value, peak_value, closed_at, closed_value, close_reason, detected_at";
const REPORTS: i64 = 6;
const START: i64 = 1_795_184_000_000;

/// One host that is stored as it was sent, has one violation, and two events that a follower has.
struct Room {
    folder: TempDir,
    database: SqliteConnection,
    journal: String,
    events: String,
}

impl Room {
    async fn new() -> Room {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}?mode=rwc", folder.path().join("store.db").display());
        let mut database = SqliteConnection::connect(&url).await.unwrap();
        for migration in SCHEMA {
            database.execute(migration).await.unwrap();
        }
        let host = "DELETE FROM thresholds; INSERT INTO hosts \
                    (host_key, host_id, interval_ms, last_report_at, last_received_at, last_epoch, last_seq, is_down, inventory_version, evaluation) VALUES (1, 'loadgen-0001', 2000, 1, 1, 1, 1, 0, 1, '[]'); \
                    INSERT INTO machines VALUES (5, 1, 'host', '', 'loadgen-0001', 'running', '{}', '{}', 1, NULL); \
                    INSERT INTO thresholds \
                    (threshold_id, version, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, enabled) VALUES (9, 1, 'host', NULL, 'system.uptime', NULL, 'above', 1.0, 0.0, 4, 'info', 1)";
        database.execute(host).await.unwrap();
        let mut room = Room { folder, database, journal: String::new(), events: String::new() };
        let config: Config =
            service_runtime::config::read_with(&["--bootstrap-server=a:1".to_owned(), "--hosts=1".to_owned()]).unwrap();
        let mut fleet = Fleet::new(&config, START, START).unwrap();
        let mut uptime = 0.0;
        for number in 0..REPORTS {
            let message = String::from_utf8(fleet.next_message(START + 2_000 * number).bytes.into_owned()).unwrap();
            let report = HostReport::decode(message.as_bytes(), i64::MAX / 2).unwrap();
            uptime = report.metrics["system.uptime"].unwrap();
            let seq = number + 1;
            writeln!(room.journal, "sent\tloadgen-0001\t{START}\t{seq}\t{message}").unwrap();
            writeln!(room.journal, "acknowledged\tloadgen-0001\t{START}\t{seq}\t3\t{number}").unwrap();
            room.store(seq, report.at, message.as_bytes()).await;
        }
        // open since the third report, and never better: a host's uptime rises
        let opened_value = uptime - 6.0;
        room.sql(&format!(
            "INSERT INTO violations (violation_id, machine_id, {VIOLATION}) VALUES (3, 5, 'x', 'loadgen-0001', 'x', 'host', 'system.uptime', '', 'above', 'info', 9, 1.0, {}, {opened_value}, \
             {uptime}, NULL, NULL, NULL, 1)",
            START + 4_000
        ))
        .await;
        for (id, name) in [(1, "machine.up"), (2, "violation.opened")] {
            let body = format!(r#"{{"id":"{id}"}}"#);
            room.sql(&format!("INSERT INTO events VALUES ({id}, 1, 'x', '{name}', 5, '{body}')")).await;
            writeln!(room.events, "{}", json!({"id": id.to_string(), "name": name, "body": body})).unwrap();
        }
        room.sql("INSERT INTO ledger VALUES (0, 1, 5, 0, 0, 0, 0, 0, 0, 0), (3600000, 1, 1, 0, 0, 0, 0, 0, 0, 0)").await;
        room.sql("UPDATE counters SET value = 2 WHERE name = 'last_event_id'").await;
        room
    }

    async fn store(&mut self, seq: i64, at: i64, message: &[u8]) {
        let sql = "INSERT INTO reports VALUES (1, ?, ?, ?, 1, ?)";
        let query = sqlx::query(sql).bind(at).bind(START).bind(seq).bind(zstd::encode_all(message, 1).unwrap());
        query.execute(&mut self.database).await.unwrap();
    }

    /// As the backend has it when the report never came.
    async fn never_came(&mut self, seq: i64) {
        self.sql(&format!("DELETE FROM reports WHERE seq = {seq}; UPDATE ledger SET stored = 4 WHERE hour_at = 0")).await;
        self.sql(&format!("INSERT INTO gaps VALUES (NULL, 1, {START}, {seq}, {seq}, 1, 1, 0, 0, 0, 1, 1)")).await;
    }

    /// As the backend has it when a report came that was never sent.
    async fn store_another(&mut self, seq: i64, at: i64) {
        self.store(seq, at, b"{}").await;
        self.sql("UPDATE ledger SET stored = 6 WHERE hour_at = 0").await;
    }

    async fn sql(&mut self, sql: &str) {
        self.database.execute(AssertSqlSafe(sql.to_owned())).await.unwrap();
    }

    async fn check(&self) -> Value {
        let [journal, events] = ["journal", "events"].map(|name| self.folder.path().join(name));
        std::fs::write(&journal, &self.journal).unwrap();
        std::fs::write(&events, &self.events).unwrap();
        let flags = [
            format!("--journal={}", journal.display()),
            format!("--events={}", events.display()),
            format!("--database-url=sqlite://{}", self.folder.path().join("store.db").display()),
            "--settle-seconds=0".to_owned(),
        ];
        let config: CheckConfig = service_runtime::config::read_with(&flags).unwrap();
        serde_json::to_value(verdict(&config).await.unwrap()).unwrap()
    }
}

/// One thing is made wrong, and that one is found.
async fn finds(part: &str, finding: &str, make_wrong: impl AsyncFnOnce(&mut Room)) {
    let mut room = Room::new().await;
    make_wrong(&mut room).await;
    let verdict = room.check().await;
    assert_eq!((&verdict[part][finding], &verdict["wrong"]), (&json!(1), &json!(1)), "{finding}: {verdict}");
}

#[tokio::test]
async fn what_agrees_is_found_to_agree() {
    let verdict = Room::new().await.check().await;
    assert_eq!(verdict["wrong"], 0, "{verdict}");
    assert_eq!((&verdict["reports"]["acknowledged"], &verdict["reports"]["stored"]), (&json!(REPORTS), &json!(REPORTS)));
    assert_eq!((&verdict["violations"]["expected"], &verdict["violations"]["stored"]), (&json!(1), &json!(1)));
    assert_eq!((&verdict["events"]["stored"], &verdict["events"]["followed"]), (&json!(2), &json!(2)));
}

#[tokio::test]
async fn reports_that_are_lost_doubled_invented_or_changed_are_found() {
    finds("reports", "lost", async |room| room.never_came(2).await).await;
    finds("reports", "duplicate", async |room| room.store_another(2, START + 2_001).await).await;
    finds("reports", "phantom", async |room| room.store_another(REPORTS + 1, START - 1).await).await;
    let changed = zstd::encode_all(&b"{}"[..], 1).unwrap();
    let hex: String = changed.iter().map(|byte| format!("{byte:02x}")).collect();
    finds("reports", "corrupt", async |room| room.sql(&format!("UPDATE reports SET payload = x'{hex}' WHERE seq = 2")).await)
        .await;
    finds("reports", "unexplained", async |room| {
        room.never_came(2).await;
        room.journal =
            room.journal.lines().filter(|line| !line.contains("\t2\t")).fold(String::new(), |all, line| all + line + "\n");
    })
    .await;
}

#[tokio::test]
async fn what_kafka_did_not_acknowledge_may_be_stored_or_not() {
    for is_stored in [true, false] {
        let mut room = Room::new().await;
        room.journal = room.journal.replace(
            &format!("acknowledged\tloadgen-0001\t{START}\t2\t3\t1"),
            &format!("failed\tloadgen-0001\t{START}\t2\ttime"),
        );
        if !is_stored {
            room.never_came(2).await;
        }
        let verdict = room.check().await;
        let reports = &verdict["reports"];
        assert_eq!(
            (&reports["stored_unacknowledged"], &reports["failed"]),
            (&json!(u8::from(is_stored)), &json!(u8::from(!is_stored)))
        );
        assert_eq!(verdict["wrong"], 0, "{verdict}");
    }
}

#[tokio::test]
async fn a_ledger_that_miscounts_or_misnames_is_found() {
    finds("accounts", "miscounted", async |room| room.sql("UPDATE ledger SET stored = stored + 1 WHERE hour_at = 0").await).await;
    finds("accounts", "misnamed", async |room| {
        room.sql(&format!("INSERT INTO gaps VALUES (NULL, 1, {START}, 2, 2, 1, 1, 0, 0, 0, 1, 1)")).await;
    })
    .await;
    finds("accounts", "unnamed", async |room| {
        room.journal = room.journal.replace(&format!("acknowledged\tloadgen-0001\t{START}\t2\t3\t1"), "");
        room.journal = room.journal.replace("\n\n", "\n");
        room.never_came(2).await;
        room.sql("DELETE FROM gaps").await;
    })
    .await;
}

#[tokio::test]
async fn violations_that_are_missing_invented_or_told_wrongly_are_found() {
    finds("violations", "missing", async |room| room.sql("DELETE FROM violations").await).await;
    finds("violations", "different", async |room| room.sql("UPDATE violations SET peak_value = peak_value + 1").await).await;
    let later = VIOLATION.replace("opened_at", "opened_at + 1");
    let another = format!("INSERT INTO violations (machine_id, {VIOLATION}) SELECT machine_id, {later} FROM violations");
    finds("violations", "unexpected", async |room| room.sql(&another).await).await;
}

#[tokio::test]
async fn events_that_a_stream_skipped_repeated_or_changed_are_found() {
    let first = |room: &Room| room.events.lines().next().unwrap().to_owned() + "\n";
    let last = |room: &Room| room.events.lines().last().unwrap().to_owned() + "\n";
    finds("events", "missing", async |room| room.events = first(room)).await;
    finds("events", "missing", async |room| room.events = last(room)).await;
    finds("events", "disordered", async |room| room.events = first(room) + &room.events).await;
    finds("events", "different", async |room| room.events = room.events.replace("machine.up", "machine.down")).await;
    finds("events", "resyncs", async |room| room.events += "{\"id\":\"\",\"name\":\"resync\",\"body\":\"{}\"}\n").await;
    finds("events", "announced_twice", async |room| {
        let event = last(room).replace("\"2\"", "\"3\"");
        room.sql("INSERT INTO events SELECT 3, created_at, topic, name, machine_id, body FROM events WHERE event_id = 2").await;
        room.events += &event.replace("id\\\":\\\"3", "id\\\":\\\"2");
    })
    .await;
}
