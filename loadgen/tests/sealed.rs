//! What a backend sealed and folded is found to be what was sent; and what is wrong in it is found.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use loadgen::ledger::{CheckConfig, verdict};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use service_runtime::config::read_with;
use sqlx::{AssertSqlSafe, Connection, Executor, SqliteConnection};
use tempfile::TempDir;
use tokio::task::JoinHandle;

const QUARTER_MS: i64 = 900_000;
const DAY_MS: i64 = 86_400_000;
/// Of the host that has values of every kind.
const ODD_REPORTS: i64 = 40;
/// So old that its day is folded at every time of the day, and younger than the played host's first report.
const ODD_AGE_MS: i64 = 40 * 3_600_000;
/// Numbers of those that come when the others are sealed.
const LATE: std::ops::RangeInclusive<i64> = 11..=20;
const NEVER: u32 = 31_536_000;
const PATIENCE: Duration = Duration::from_secs(60);

/// A backend on a SQLite file, within this process.
struct Backend {
    address: String,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Backend {
    async fn start(database: &Path, seal_after: u32, raw_days: u32) -> Backend {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let flags = [
            format!("--database-url=sqlite://{}", database.display()),
            "--admin-listen-addr=off".to_owned(),
            format!("--seal-after-seconds={seal_after}"),
            format!("--raw-retention-days={raw_days}"),
        ];
        let config: api_backend::Config = read_with(&flags).unwrap();
        let shutdown = Shutdown::new();
        Backend { address, task: tokio::spawn(api_backend::serve(config, listener, shutdown.clone())), shutdown }
    }

    async fn stop(self) {
        self.shutdown.begin();
        self.task.await.unwrap().unwrap();
    }
}

/// A played host over more than two days, and one with odd values: some of its reports came when the others were
/// sealed.
struct Room {
    folder: TempDir,
}

impl Room {
    async fn new() -> Room {
        let room = Room { folder: tempfile::tempdir().unwrap() };
        let backend = Backend::start(&room.database(), NEVER, 7).await;
        for rule in rules() {
            create(&backend.address, &rule).await;
        }
        // a client that cannot connect yet tries again
        let flags =
            ["--hosts=1", "--containers=3", "--interval-ms=240000", "--backfill-hours=50", "--churn=0.05"].map(str::to_owned);
        let to = [format!("--api-base-url=http://{}", backend.address), format!("--journal={}", room.file("journal").display())];
        let summary = loadgen::play(read_with(&[&flags[..], &to].concat()).unwrap(), Shutdown::new()).await.unwrap();
        assert!(summary.acknowledged >= 750 && summary.failed == 0, "{summary:?}");
        let reports: Vec<String> = (1..=ODD_REPORTS).map(odd_report).collect();
        room.journal(&reports);
        post(&backend.address, [&reports[..10], &reports[20..]].concat()).await;
        backend.stop().await;

        let backend = Backend::start(&room.database(), 1, 7).await;
        room.sealed().await;
        post(&backend.address, reports[10..20].to_vec()).await;
        backend.stop().await;
        // the next one begins to seal at once
        let backend = Backend::start(&room.database(), 1, 7).await;
        room.sealed().await;
        backend.stop().await;
        room
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn database(&self) -> PathBuf {
        self.file("store.db")
    }

    fn journal(&self, reports: &[String]) {
        let mut journal = std::fs::read_to_string(self.file("journal")).unwrap();
        for (report, seq) in reports.iter().zip(1..) {
            // those that come late stand behind all others
            let offset = if LATE.contains(&seq) { seq + 100 } else { seq };
            write!(journal, "sent\todd\t1\t{seq}\t{report}\nacknowledged\todd\t1\t{seq}\t0\t{offset}\n").unwrap();
        }
        std::fs::write(self.file("journal"), journal).unwrap();
    }

    /// Waits until all is sealed that can be, and folded.
    async fn sealed(&self) {
        let today = now_ms() - now_ms() % DAY_MS;
        let late = format!(
            "SELECT (SELECT COUNT(*) FROM reports r WHERE at < {} AND at < (SELECT MAX(at) FROM reports n WHERE n.host_key = r.host_key)) \
             + (SELECT COUNT(*) FROM rollups_due WHERE day_at < {})",
            now_ms() - now_ms() % QUARTER_MS,
            // yesterday is folded an hour after its end
            if now_ms() - today > 2 * 3_600_000 { today } else { today - DAY_MS },
        );
        wait_for(&self.database(), &late, 0).await;
    }

    /// A copy of the database, changed.
    async fn changed(&self, change: &str) -> PathBuf {
        let copy = self.file("copy.db");
        std::fs::copy(self.database(), &copy).unwrap();
        let mut database = open(&copy).await;
        let changed = database.execute(AssertSqlSafe(change.to_owned())).await.unwrap().rows_affected();
        assert_eq!(changed, 1, "{change}");
        database.close().await.unwrap();
        copy
    }

    async fn number(&self, sql: &str) -> i64 {
        let mut database = open(&self.database()).await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut database).await.unwrap()
    }

    /// After a change these are found, and nothing else that must not be.
    async fn finds(&self, change: &str, findings: &[(&str, &str)]) -> Value {
        let verdict = self.verdict(&self.changed(change).await).await;
        let counts = findings.iter().map(|(part, finding)| verdict[part][finding].as_i64().unwrap());
        assert!(counts.clone().all(|count| count > 0), "{findings:?} after {change}: {verdict}");
        // without some of the reports there should have been other violations
        let of_violations =
            ["missing", "unexpected", "different"].iter().map(|finding| verdict["violations"][finding].as_i64().unwrap());
        let is_less = verdict["reports"]["lost"] != 0;
        let also = of_violations.sum::<i64>() * i64::from(is_less);
        assert_eq!(verdict["wrong"], counts.sum::<i64>() + also, "{change}: {verdict}");
        verdict
    }

    async fn verdict(&self, database: &Path) -> Value {
        let flags = [
            format!("--journal={}", self.file("journal").display()),
            format!("--database-url=sqlite://{}", database.display()),
            "--settle-seconds=0".to_owned(),
        ];
        let config: CheckConfig = read_with(&flags).unwrap();
        serde_json::to_value(verdict(&config).await.unwrap()).unwrap()
    }
}

/// Creates a rule; a backend that has just started may not be connected yet.
async fn create(address: &str, rule: &Value) {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let url = format!("http://{address}/api/v1/thresholds");
        let answer = reqwest::Client::new().post(url).json(rule).send().await.unwrap();
        let (status, text) = (answer.status().as_u16(), answer.text().await.unwrap());
        if status == 201 {
            return;
        }
        assert!(status == 503 && std::time::Instant::now() < deadline, "{rule}: {text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Rules of every kind beside those that are there from the start; a report comes every four minutes.
fn rules() -> Vec<Value> {
    let host = json!({"kind": "host"});
    let shop = json!({"kind": "container", "labels": {"compose.project": "sh?p"}});
    let rule = |scope: &Value, metric: &str, more: Value| {
        let mut rule = json!({"scope": scope, "metric": metric, "severity": "info"});
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let above = |value: f64, recovery_value: f64| json!({"direction": "above", "value": value, "recovery_value": recovery_value});
    let with = |mut rule: Value, more: Value| {
        rule.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        rule
    };
    let filesystem = "system.filesystem.utilization";
    vec![
        with(rule(&host, "system.cpu.utilization", above(0.5, 0.48)), json!({"for_seconds": 480, "recovery_for_seconds": 480})),
        with(
            rule(&host, "system.memory.utilization", above(0.5, 0.5)),
            json!({"condition": "change", "window_seconds": 3_600, "value": 0.01, "recovery_value": -0.01}),
        ),
        with(rule(&host, filesystem, above(0.01, 0.0)), json!({"condition": "change", "window_seconds": 14_400, "device": "/*"})),
        with(
            rule(&host, filesystem, json!({"condition": "time_until_full", "value": 864_000, "recovery_value": 1_728_000})),
            json!({"window_seconds": 14_400}),
        ),
        with(
            rule(&host, filesystem, json!({"direction": "above", "effect": "none"})),
            json!({"condition": "change", "window_seconds": 14_400, "device": "/srv"}),
        ),
        with(rule(&shop, "container.cpu.usage", above(0.1, 0.05)), json!({"recovery_for_seconds": 240})),
        rule(
            &json!({"kind": "container", "labels": {"compose.service": "api"}}),
            "container.exit_code",
            json!({"direction": "above", "effect": "none"}),
        ),
        rule(&shop, "container.exit_code", above(0.0, 0.0)),
    ]
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

async fn open(database: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap()
}

async fn wait_for(database: &Path, sql: &str, expected: i64) {
    let mut database = open(database).await;
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let number: i64 = sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_one(&mut database).await.unwrap();
        if number == expected {
            return database.close().await.unwrap();
        }
        assert!(std::time::Instant::now() < deadline, "{number} instead of {expected}: {sql}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Every kind of column: names that are not in the catalog, values that are not whole, too large, negative, halves between two units, of
/// devices, and holes.
fn odd_report(seq: i64) -> String {
    let start = (now_ms() - ODD_AGE_MS) / QUARTER_MS * QUARTER_MS;
    let n = seq as f64;
    let metrics = json!({
        "odd.fraction": (n * 0.7).sin(), "odd.constant": 0.1, "odd.huge": 1e300 / n, "odd.whole": 7 * seq - 100,
        "odd.seldom": if seq % 7 == 0 { json!(n) } else { Value::Null },
        "system.cpu.utilization": n / 64.0 + 0.00005, "system.memory.limit": 6144, "system.memory.usage": 4096.0 * n + 2048.0,
        "system.uptime": 1e18 + n * 1e6, "system.process.count": n + 0.5, "system.paging.usage": Value::Null,
    });
    let tables = json!({
        "network": {"columns": ["device", "system.network.receive", "odd.speed"], "rows": [["eth0", n * 1.5, 1e9], ["wg0", Value::Null, -n]]},
        "gpu": {"columns": ["device", "gpu.load"], "rows": if seq < 30 { json!([["0", n / 3.0]]) } else { json!([]) }},
    });
    let report = json!({
        "schema": 1, "host": {"id": "odd", "name": "odd"}, "epoch": 1, "seq": seq, "at": start + 2_000 * seq, "interval_ms": 2_000,
        "metrics": metrics, "tables": tables,
    });
    report.to_string()
}

async fn post(address: &str, reports: Vec<String>) {
    let records: Vec<String> =
        reports.iter().zip(0..).map(|(report, offset)| format!(r#"{{"offset":{offset},"report":{report}}}"#)).collect();
    let body = format!(r#"{{"topic":"odd","partition":0,"records":[{}]}}"#, records.join(","));
    let request =
        reqwest::Client::new().post(format!("http://{address}/api/v1/ingest")).header("content-type", "application/json");
    let answer = request.body(body).send().await.unwrap();
    let receipt: Value = answer.error_for_status().unwrap().json().await.unwrap();
    assert_eq!(receipt["stored"], json!(reports.len()), "{receipt}");
}

/// The first row of the group of `container.cpu.usage` (51), and of itself where it is folded: the first container's, in the second stretch or on the first folded day of the played host.
const RAW: &str = "resolution_ms = 0 AND start_at = (SELECT MIN(start_at) + 900000 FROM stretches) AND machine_id = \
                   (SELECT MIN(machine_id) FROM machines WHERE kind = 'container') AND part = 458752";
const FOLDED: &str = "resolution_ms = 300000 AND start_at = (SELECT MIN(start_at) FROM chunks WHERE resolution_ms = 300000) AND machine_id = \
                      (SELECT MIN(machine_id) FROM machines WHERE kind = 'container') AND part = 68878336";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sealed_is_compared_and_what_is_wrong_in_it_is_found() {
    let room = Room::new().await;
    let verdict = room.verdict(&room.database()).await;
    assert_eq!(verdict["wrong"], 0, "{verdict}");
    assert!(verdict["reports"]["sealed"].as_u64() > Some(780), "{verdict}");
    let closed = &verdict["violations"]["closed"];
    let of_all_kinds = ["recovered", "gone", "stopped"].iter().all(|reason| closed[reason].as_u64() > Some(0));
    assert!(of_all_kinds && verdict["violations"]["stored"].as_u64() > Some(100), "{}", verdict["violations"]);
    let sealed = &verdict["sealed"];
    assert!(sealed["values"].as_u64() > Some(50_000) && sealed["points"].as_u64() > Some(5_000), "{verdict}");

    let stretch = "FROM stretches WHERE start_at = (SELECT MIN(start_at) + 900000 FROM stretches)";
    let reports = room.number(&format!("SELECT reports {stretch}")).await;
    // the day's points are made of it, too
    let lost = [
        ("reports", "lost"),
        ("sealed", "nameless"),
        ("sealed", "misfolded"),
        ("accounts", "unnamed"),
        ("accounts", "miscounted"),
    ];
    let verdict = room.finds(&format!("DELETE {stretch}"), &lost).await;
    assert_eq!((&verdict["reports"]["lost"], &verdict["sealed"]["nameless"]), (&json!(reports), &json!(1)));

    let report = odd_report(5);
    let at = &serde_json::from_str::<Value>(&report).unwrap()["at"];
    let payload: String = zstd::encode_all(report.as_bytes(), 1).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    let both = format!("INSERT INTO reports SELECT host_key, {at}, 1, 5, 1, x'{payload}' FROM hosts WHERE host_id = 'odd'");
    let verdict = room.finds(&both, &[("reports", "duplicate"), ("accounts", "miscounted")]).await;
    assert_eq!(verdict["reports"]["duplicate"], 1);

    room.finds(&format!("DELETE FROM chunks WHERE {RAW}"), &[("reports", "corrupt")]).await;
    room.finds(&with_values_of_another(RAW), &[("reports", "corrupt")]).await;
    room.finds(&with_values_of_another(FOLDED), &[("sealed", "misfolded")]).await;
    room.finds(&format!("DELETE FROM chunks WHERE {FOLDED}"), &[("sealed", "misfolded")]).await;
    let head = "data = x'0104'";
    room.finds(&format!("UPDATE chunks SET {head} WHERE {RAW}"), &[("sealed", "unreadable"), ("reports", "corrupt")]).await;
    let unreadable = [&lost[..], &[("sealed", "unreadable")]].concat();
    room.finds(
        &format!("UPDATE stretches SET {head} WHERE start_at = (SELECT MIN(start_at) + 900000 FROM stretches)"),
        &unreadable,
    )
    .await;

    retention_is_told(&room).await;
    what_was_never_sent_is_found(&room).await;
}

/// The chunk of a container in place of another's.
fn with_values_of_another(row: &str) -> String {
    let another = row.replace("MIN(machine_id)", "MAX(machine_id)");
    format!("UPDATE chunks SET data = (SELECT data FROM chunks WHERE {another}) WHERE {row}")
}

/// A day is removed, its points stay and are compared.
async fn retention_is_told(room: &Room) {
    let database = room.changed("UPDATE counters SET value = value WHERE name = 'raw_removed_before'").await;
    let backend = Backend::start(&database, NEVER, 1).await;
    // what is kept begins with yesterday
    let old = format!(
        "SELECT (SELECT COUNT(*) FROM stretches WHERE start_at < value) + (SELECT COUNT(*) FROM chunks WHERE resolution_ms = 0 AND \
         start_at < value) + (value < {}) FROM counters WHERE name = 'raw_removed_before'",
        now_ms() - 2 * DAY_MS
    );
    wait_for(&database, &old, 0).await;
    backend.stop().await;
    let verdict = room.verdict(&database).await;
    assert_eq!(verdict["wrong"], 0, "{verdict}");
    assert!(verdict["reports"]["removed_by_retention"].as_u64() > Some(10), "{verdict}");
    assert!(verdict["sealed"]["points"].as_u64() > Some(5_000), "{verdict}");
}

async fn what_was_never_sent_is_found(room: &Room) {
    let journal = std::fs::read_to_string(room.file("journal")).unwrap();
    let kept = journal.lines().filter(|line| !line.contains("\todd\t1\t7\t"));
    std::fs::write(room.file("journal"), kept.fold(String::new(), |all, line| all + line + "\n")).unwrap();
    let verdict = room.verdict(&room.database()).await;
    // the day's points were made of it, too
    let misfolded = verdict["sealed"]["misfolded"].as_i64().unwrap();
    assert!(misfolded > 0, "{verdict}");
    assert_eq!((&verdict["reports"]["phantom"], &verdict["wrong"]), (&json!(1), &json!(1 + misfolded)), "{verdict}");
}
