//! Silent hosts and a late pipeline, on every database. Reports come now; the looks are at times of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::absence::Watch;
use api_backend::live::Live;
use api_backend::store::{self, Store};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use support::{Backend, Database, now_ms, on_every_database, report};
use wire_model::{ConsumerStatus, PartitionStatus};

/// A backend to feed, and two others that look.
struct Room {
    backend: Backend,
    store: Store,
    watches: [Watch; 2],
}

impl Room {
    async fn new(database: &Database) -> Room {
        let backend = Backend::start(database).await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let watches = [0, 1].map(|_| Watch::new(store.clone(), Live::default()));
        Room { backend, store, watches }
    }

    /// A report of each host; when they had come.
    async fn hear(&self, hosts: &[&str]) -> i64 {
        let reports: Vec<_> = hosts.iter().map(|host| report(host, now_ms(), 0.1, &[("web", "running", 0.1)])).collect();
        assert_eq!(self.backend.ingest(&reports).await.stored, hosts.len());
        now_ms()
    }

    /// Both look at once.
    async fn look(&self, now: i64) {
        let shutdown = Shutdown::new();
        let (one, other) = tokio::join!(self.watches[0].look(now, &shutdown), self.watches[1].look(now, &shutdown));
        one.unwrap();
        other.unwrap();
    }

    async fn consumer_says(&self, now: i64, partitions: &[(i32, Option<i64>)]) {
        let partition = |(partition, waits_ms): &(i32, Option<i64>)| PartitionStatus {
            partition: *partition,
            position: 10,
            end_offset: Some(10),
            waiting_since: waits_ms.map(|ms| now - ms),
        };
        let status = ConsumerStatus {
            consumer: "c".to_owned(),
            group: "g".to_owned(),
            version: "1".to_owned(),
            topic: "t".to_owned(),
            partitions: partitions.iter().map(partition).collect(),
            skipped: Vec::new(),
            dead_letters: None,
            letters: Vec::new(),
        };
        let mut transaction = self.store.begin().await.unwrap();
        store::consumers::save(&mut transaction, self.store.dialect(), &status, now).await.unwrap();
        transaction.commit().await.unwrap();
    }

    /// Violations that are open, each as `metric of whom`, in the order of these.
    async fn open(&self) -> Vec<String> {
        let mut open: Vec<_> = self
            .backend
            .items("/violations?state=open")
            .await
            .iter()
            .map(|item| format!("{} of {}", item["metric"].as_str().unwrap(), item["machine_name"].as_str().unwrap()))
            .collect();
        open.sort();
        open
    }

    /// The newest violation.
    async fn newest(&self) -> Value {
        self.backend.items("/violations?limit=1").await.remove(0)
    }

    async fn events(&self, database: &Database, name: &str) -> usize {
        database.dump().await["events"].iter().filter(|row| row.contains(&format!("|{name}|"))).count()
    }

    async fn end(self) {
        self.store.close().await;
        self.backend.stop().await;
    }
}

fn ms(item: &Value, field: &str) -> i64 {
    api_backend::time::parse_instant(item[field].as_str().unwrap(), &jiff::tz::TimeZone::UTC).unwrap()
}

fn missing_rule(for_seconds: i64, recovery_for_seconds: i64) -> Value {
    json!({
        "scope": {"kind": "host"}, "metric": "host.missing", "direction": "above", "value": 0, "severity": "critical",
        "for_seconds": for_seconds, "recovery_for_seconds": recovery_for_seconds,
    })
}

fn lag_rule(value: i64, for_seconds: i64) -> Value {
    json!({
        "scope": {"kind": "pipeline"}, "metric": "pipeline.lag", "direction": "above", "value": value,
        "for_seconds": for_seconds, "severity": "critical",
    })
}

#[tokio::test]
async fn a_silent_host_is_one_violation_until_anything_of_it_comes() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        let heard_by = room.hear(&["a", "b"]).await;
        room.look(heard_by + 9_000).await;
        assert!(room.open().await.is_empty());
        room.look(heard_by + 10_001).await;
        room.look(heard_by + 11_001).await;
        assert_eq!(room.open().await, ["host.missing of a.example", "host.missing of b.example"], "and nothing of containers");
        let missing = room.newest().await;
        assert_eq!(
            (&missing["severity"], &missing["opened_value"], &missing["kind"]),
            (&json!("critical"), &json!(1.0), &json!("host"))
        );
        let opened_at = ms(&missing, "opened_at");
        assert!((heard_by + 9_000..=heard_by + 10_000).contains(&opened_at), "{missing}");
        assert_eq!(ms(&missing, "detected_at"), heard_by + 10_001);
        assert_eq!(
            (&missing["host_is_down"], &room.backend.items("/machines?kind=container&status=down").await.len()),
            (&json!(true), &2)
        );
        assert_eq!((room.events(&database, "machine.down").await, room.events(&database, "violation.opened").await), (2, 2));
        // of the past, and alive; before the time of the looks, so that it ends as it begins
        room.backend.ingest(&[report("a", now_ms() - 3_600_000, 0.1, &[])]).await;
        assert_eq!(room.open().await, ["host.missing of b.example"]);
        let closed = room.backend.items("/violations?state=closed").await.remove(0);
        assert_eq!((&closed["close_reason"], &closed["closed_value"]), (&json!("recovered"), &json!(0.0)));
        assert_eq!(closed["closed_at"], closed["opened_at"]);
        room.look(heard_by + 9_000).await;
        assert_eq!(room.open().await, ["host.missing of b.example"]);
        room.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_silent_host_waits_and_recovers_for_as_long_as_its_rule_says() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        room.backend.only_thresholds(&[missing_rule(20, 30)]).await;
        let heard_by = room.hear(&["a"]).await;
        room.look(heard_by + 29_000).await;
        assert!(room.open().await.is_empty());
        room.look(heard_by + 30_001).await;
        let opened_at = ms(&room.newest().await, "opened_at");
        assert!((heard_by + 29_000..=heard_by + 30_000).contains(&opened_at));
        let back_by = room.hear(&["a"]).await;
        room.look(back_by + 5_000).await;
        // silent again before it has recovered
        room.look(back_by + 10_001).await;
        room.look(back_by + 60_000).await;
        assert_eq!(room.open().await.len(), 1);
        assert_eq!(room.backend.items("/violations").await.len(), 1, "it is one all the time");
        let back_by = room.hear(&["a"]).await;
        room.backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
        // it goes on reporting, as far as the looks know
        keep_alive(&database, back_by + 31_000).await;
        room.look(back_by + 31_000).await;
        let closed = room.newest().await;
        assert_eq!(closed["close_reason"], "recovered");
        assert!(ms(&closed, "closed_at") <= (back_by + 30_000).max(opened_at), "{closed}");
        room.end().await;
    })
    .await;
}

async fn keep_alive(database: &Database, now: i64) {
    let sql = format!("UPDATE hosts SET last_received_at = {now}");
    support::execute(&mut database.connect().await, &sql).await;
}

#[tokio::test]
async fn a_changed_rule_ends_and_begins_a_silent_hosts_violation() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        let heard_by = room.hear(&["a"]).await;
        let ids = room.backend.only_thresholds(&[missing_rule(0, 0)]).await;
        room.look(heard_by + 20_000).await;
        assert_eq!(room.open().await.len(), 1);
        let host = room.backend.items("/machines?kind=host").await[0]["id"].clone();
        let none = json!({
            "scope": {"machine_id": host}, "metric": "host.missing", "direction": "above", "severity": "critical", "effect": "none",
        });
        let (status, none) = room.backend.call(Method::POST, "/thresholds", Some(&none)).await;
        assert_eq!(status, StatusCode::CREATED, "{none}");
        room.look(heard_by + 30_000).await;
        assert!(room.open().await.is_empty());
        let ended = room.newest().await;
        assert_eq!((&ended["close_reason"], ms(&ended, "closed_at")), (&json!("threshold_changed"), heard_by + 30_000));
        let path = format!("/thresholds/{}", none["id"].as_str().unwrap());
        assert_eq!(room.backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        room.look(heard_by + 40_000).await;
        let again = room.newest().await;
        assert_eq!((&again["closed_at"], ms(&again, "opened_at")), (&Value::Null, heard_by + 30_000), "where the one before ended");
        let path = format!("/thresholds/{}", ids[0]);
        assert_eq!(room.backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        room.look(heard_by + 50_000).await;
        assert!(room.open().await.is_empty());
        room.end().await;
    })
    .await;
}

const HOSTS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[tokio::test]
async fn a_dead_consumer_is_one_violation_and_no_host_is_down() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        room.backend.only_thresholds(&[missing_rule(0, 0), lag_rule(30, 0)]).await;
        let stopped_at = room.hear(&HOSTS).await;
        room.consumer_says(stopped_at, &[(0, None), (1, Some(20))]).await;
        for seconds in (1..=120).step_by(7) {
            room.look(stopped_at + seconds * 1_000).await;
        }
        assert_eq!(room.open().await, ["pipeline.lag of pipeline"]);
        assert_eq!(room.events(&database, "machine.down").await, 0);
        let late = room.newest().await;
        assert_eq!((&late["kind"], &late["machine_id"], &late["cause"]), (&json!("pipeline"), &json!("0"), &json!("consumer")));
        assert_eq!(late["peak_value"], 120.0);
        assert_eq!(room.backend.get(&support::fresh_pipeline()).await.1["late"], Value::Null, "it is not two minutes later yet");
        // it is back with a backlog, then on time; one host did not come back
        let back_at = stopped_at + 121_000;
        room.consumer_says(back_at, &[(0, Some(110_000)), (1, None)]).await;
        room.look(back_at).await;
        assert_eq!(room.open().await, ["pipeline.lag of pipeline"]);
        room.consumer_says(back_at + 5_000, &[(0, None), (1, None)]).await;
        let sql = format!("UPDATE hosts SET last_received_at = {} WHERE host_id <> 'e'", back_at + 5_000);
        support::execute(&mut database.connect().await, &sql).await;
        room.look(back_at + 5_000).await;
        assert!(room.open().await.is_empty());
        let over = room.newest().await;
        assert_eq!((&over["close_reason"], ms(&over, "closed_at")), (&json!("recovered"), back_at + 5_000));
        // everybody has as much time as after a report
        room.consumer_says(back_at + 15_000, &[(0, None), (1, None)]).await;
        keep_most_alive(&database, back_at + 15_000).await;
        room.look(back_at + 15_000).await;
        assert!(room.open().await.is_empty());
        room.consumer_says(back_at + 15_001, &[(0, None), (1, None)]).await;
        room.look(back_at + 15_001).await;
        assert_eq!(room.open().await, ["host.missing of e.example"]);
        room.end().await;
    })
    .await;
}

async fn keep_most_alive(database: &Database, now: i64) {
    let sql = format!("UPDATE hosts SET last_received_at = {now} WHERE host_id <> 'e'");
    support::execute(&mut database.connect().await, &sql).await;
}

#[tokio::test]
async fn most_hosts_at_once_are_one_violation_even_without_a_consumer() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        room.backend.only_thresholds(&[missing_rule(0, 0), lag_rule(30, 5)]).await;
        let stopped_at = room.hear(&HOSTS).await;
        for seconds in [8, 10, 11, 20, 30, 32, 35, 36] {
            room.look(stopped_at + seconds * 1_000).await;
        }
        assert!(room.open().await.is_empty());
        room.look(stopped_at + 38_000).await;
        assert_eq!(room.open().await, ["pipeline.lag of pipeline"]);
        let late = room.newest().await;
        assert_eq!(
            (&late["cause"], ms(&late, "opened_at")),
            (&json!("unknown"), stopped_at + 37_000),
            "5 s after it was seen above 30 s"
        );
        assert_eq!(room.events(&database, "machine.down").await, 0);
        // a restart of all backends changes nothing
        let watch = Watch::new(room.store.clone(), Live::default());
        watch.look(stopped_at + 40_000, &Shutdown::new()).await.unwrap();
        assert_eq!(room.backend.items("/violations").await.len(), 1);
        room.end().await;
    })
    .await;
}

#[tokio::test]
async fn one_host_alone_is_the_host() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        let stopped_at = room.hear(&HOSTS).await;
        room.consumer_says(stopped_at + 9_000, &[(0, None)]).await;
        keep_most_alive(&database, stopped_at + 11_000).await;
        room.look(stopped_at + 11_000).await;
        assert!(room.open().await.is_empty(), "nobody has said yet that nothing of it waits");
        room.consumer_says(stopped_at + 11_500, &[(0, None)]).await;
        room.look(stopped_at + 12_000).await;
        assert_eq!(room.open().await, ["host.missing of e.example"]);
        assert!(ms(&room.newest().await, "opened_at") <= stopped_at + 10_000);
        room.end().await;
    })
    .await;
}

#[tokio::test]
async fn a_host_that_was_restarted_says_so_once() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        let start = now_ms() - 600_000;
        let running = |seconds: i64, uptime: f64| {
            let mut report = report("a", start + seconds * 1_000, 0.1, &[]);
            report.metrics.insert("system.uptime".to_owned(), Some(uptime));
            report
        };
        room.backend.ingest(&[running(0, 5_000.0), running(2, 5_002.0)]).await;
        assert_eq!(room.events(&database, "machine.rebooted").await, 0);
        // the one before is stored, and in the same batch
        room.backend.ingest(&[running(60, 20.0), running(62, 22.0), running(120, 15.0)]).await;
        assert_eq!(room.events(&database, "machine.rebooted").await, 2);
        // sent again, a clock that was set forward, and what came late
        room.backend.ingest(&[running(120, 15.0), running(400, 17.0), running(402, 19.0)]).await;
        room.backend.ingest(&[running(200, 1.0)]).await;
        assert_eq!(room.events(&database, "machine.rebooted").await, 2);
        let event = database.dump().await["events"].iter().find(|row| row.contains("rebooted")).unwrap().clone();
        assert!(event.contains(&format!("\"at\":\"{}\"", api_backend::time::rfc3339(start + 40_000))), "{event}");
        room.end().await;
    })
    .await;
}

/// Reports of the hosts as if they came at this time, each with the time of a clock that is ahead by so many ms.
async fn come(database: &Database, now: i64, ahead_ms: &[(&str, i64)]) {
    let mut connection = database.connect().await;
    for (host, ahead_ms) in ahead_ms {
        let at = now + ahead_ms;
        let sql = format!("UPDATE hosts SET last_received_at = {now}, last_report_at = {at} WHERE host_id = '{host}'");
        support::execute(&mut connection, &sql).await;
        let sql = format!("UPDATE reports SET at = {at} WHERE host_key = (SELECT host_key FROM hosts WHERE host_id = '{host}')");
        support::execute(&mut connection, &sql).await;
    }
}

#[tokio::test]
async fn a_clock_that_is_off_for_long_is_one_violation_and_a_backlog_is_none() {
    on_every_database(async |database| {
        let room = Room::new(&database).await;
        let rule = json!({
            "scope": {"kind": "host"}, "metric": "system.clock.skew", "direction": "above", "value": 5, "recovery_value": 2,
            "for_seconds": 20, "severity": "warning",
        });
        room.backend.only_thresholds(&[rule]).await;
        let start = room.hear(&HOSTS).await;
        // b is ahead and c behind; d sends a backlog, which becomes shorter
        for look in 0..10 {
            let now = start + look * 10_000;
            let clocks = [("a", -200), ("b", 7_900), ("c", -9_200), ("d", -600_000 + look * 40_000), ("e", -150)];
            come(&database, now, &clocks).await;
            room.look(now).await;
            assert_eq!(room.open().await.len(), if look < 7 { 0 } else { 2 }, "{look}: a minute to tell, 20 s to wait");
        }
        assert_eq!(room.open().await, ["system.clock.skew of b.example", "system.clock.skew of c.example"]);
        let behind = room.backend.items("/violations?host_id=c").await.remove(0);
        assert_eq!((&behind["opened_value"], ms(&behind, "opened_at")), (&json!(9.0), start + 70_000));
        // one is set right; until its delays are steady again nothing is known
        for look in 10..17 {
            let now = start + look * 10_000;
            come(&database, now, &[("a", -200), ("b", 7_900), ("c", -100), ("d", -100), ("e", -150)]).await;
            room.look(now).await;
        }
        assert_eq!(room.open().await, ["system.clock.skew of b.example"]);
        assert_eq!(room.backend.items("/violations?host_id=c").await[0]["close_reason"], "recovered");
        room.end().await;
    })
    .await;
}
