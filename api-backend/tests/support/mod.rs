//! A backend on a database of its own, and reports to feed it.

#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

pub mod document;
pub mod proxy;
pub mod sse;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::Parser;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use service_runtime::Shutdown;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use wire_model::{Cell, HostInfo, HostReport, IngestReceipt, Removed, Table};

/// One database that ends with the test.
pub struct Database {
    pub url: String,
    _folder: tempfile::TempDir,
}

impl Database {
    pub fn sqlite() -> Database {
        let folder = tempfile::tempdir().unwrap();
        Database { url: format!("sqlite://{}/test.db", folder.path().display()), _folder: folder }
    }

    /// A SQLite file in a folder of the test's own.
    pub fn at(url: &str) -> Database {
        Database { url: url.to_owned(), _folder: tempfile::tempdir().unwrap() }
    }

    pub async fn mysql(server: &str) -> Database {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        install_default_drivers();
        let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = AnyConnection::connect(server).await.unwrap();
        for sql in [format!("DROP DATABASE IF EXISTS {name}"), format!("CREATE DATABASE {name}")] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let (base, _) = server.rsplit_once('/').unwrap();
        Database { url: format!("{base}/{name}"), _folder: tempfile::tempdir().unwrap() }
    }

    /// On the server that the tests share.
    pub async fn mariadb() -> Database {
        let server = std::env::var("TEST_MARIADB_URL")
            .expect("TEST_MARIADB_URL is not set: run scripts/test, or start one with scripts/services/mariadb");
        Database::mysql(&server).await
    }

    pub async fn connect(&self) -> AnyConnection {
        install_default_drivers();
        AnyConnection::connect(&self.url).await.unwrap()
    }

    /// All rows of the tables that reports fill, as text.
    pub async fn dump(&self) -> BTreeMap<&'static str, Vec<String>> {
        const TABLES: &[(&str, &str)] = &[
            (
                "hosts",
                "CONCAT_WS('|', host_key, host_id, interval_ms, last_report_at, last_received_at, last_epoch, last_seq, is_down, inventory_version, evaluation)",
            ),
            (
                "machines",
                "CONCAT_WS('|', machine_id, host_key, kind, identity, name, state, labels, facts, first_seen_at, gone_at)",
            ),
            ("reports", "CONCAT_WS('|', host_key, at, epoch, seq, received_at, LENGTH(payload))"),
            (
                "violations",
                "CONCAT_WS('|', violation_id, machine_id, threshold_id, device, opened_at, peak_value, closed_at, close_reason, detected_at)",
            ),
            (
                "gaps",
                "CONCAT_WS('|', gap_id, host_key, epoch, from_seq, to_seq, from_at, to_at, thinned, `dropped`, damaged, lost)",
            ),
            ("ledger", "CONCAT_WS('|', hour_at, host_key, `stored`, late, rejected, thinned, `dropped`, damaged, lost)"),
            ("events", "CONCAT_WS('|', event_id, created_at, topic, name, machine_id, body)"),
            ("machine_events", "CONCAT_WS('|', event_id, machine_id, name, occurred_at, body)"),
        ];
        let mut connection = self.connect().await;
        let mut dump = BTreeMap::new();
        for (table, row) in TABLES {
            let row = if self.url.starts_with("sqlite") {
                row.trim_start_matches("CONCAT_WS('|', ")
                    .trim_end_matches(')')
                    .replace(", ", " || '|' || ")
                    .replace("LENGTH(payload", "LENGTH(payload)")
            } else {
                (*row).to_owned()
            };
            // NULL || text is NULL in SQLite
            let row = if self.url.starts_with("sqlite") {
                row.replace("gone_at", "COALESCE(gone_at, '')")
                    .replace("closed_at", "COALESCE(closed_at, '')")
                    .replace("close_reason", "COALESCE(close_reason, '')")
            } else {
                row
            };
            let sql = format!("SELECT {row} FROM {table} ORDER BY 1");
            dump.insert(*table, sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(&mut connection).await.unwrap());
        }
        dump
    }
}

/// Runs a test on SQLite, on MariaDB, and on MySQL when `TEST_MYSQL_URL` names one.
pub async fn on_every_database<F: Future<Output = ()>>(test: impl Fn(Database) -> F) {
    test(Database::sqlite()).await;
    test(Database::mariadb().await).await;
    if let Ok(mysql) = std::env::var("TEST_MYSQL_URL") {
        test(Database::mysql(&mysql).await).await;
    }
}

pub async fn execute(connection: &mut AnyConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(connection).await.unwrap();
}

/// Posts a report and says what came of it, and how long that took.
pub async fn post(backend: &Backend, host: &str, at: i64) -> (StatusCode, Duration) {
    let begun = std::time::Instant::now();
    let url = format!("{}/api/v1/ingest", backend.base);
    let answer = backend.client.post(url).json(&batch(&[report(host, at, 0.1, &[])])).send().await.unwrap();
    if answer.status() == StatusCode::SERVICE_UNAVAILABLE {
        assert_eq!(answer.headers()["retry-after"], "1");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
    }
    (answer.status(), begun.elapsed())
}

/// A port of loopback that was free a moment ago.
pub async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port()
}

/// What a backend's admin server says: its `/livez` and `/readyz`.
#[derive(Clone)]
pub struct Admin {
    base: String,
    client: reqwest::Client,
}

impl Admin {
    /// What is not ready, in words; empty when all is.
    pub async fn problems(&self) -> String {
        let live = self.client.get(format!("{}/livez", self.base)).send().await.unwrap();
        assert_eq!(live.status(), StatusCode::OK);
        let ready = self.client.get(format!("{}/readyz", self.base)).send().await.unwrap();
        let is_ready = ready.status() == StatusCode::OK;
        let text = ready.text().await.unwrap();
        if is_ready { String::new() } else { text }
    }

    /// A metric without labels; 0 until it is first counted.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.client.get(format!("{}/metrics", self.base)).send().await.unwrap().text().await.unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Waits until it is ready, or not, and says how long that took.
    pub async fn becomes(&self, ready: bool) -> Duration {
        let begun = tokio::time::Instant::now();
        eventually(if ready { "ready" } else { "not ready" }, async || self.problems().await.is_empty() == ready).await;
        begun.elapsed()
    }
}

/// Reports of tests are often old and should stay where the test looks for them.
const NEVER_SEAL: &str = "--seal-after-seconds=31536000";

pub struct Backend {
    pub base: String,
    pub client: reqwest::Client,
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Backend {
    pub async fn start(database: &Database) -> Backend {
        Backend::start_with(database, &[]).await
    }

    pub async fn start_with(database: &Database, flags: &[&str]) -> Backend {
        let url = format!("--database-url={}", database.url);
        let flags =
            ["api-backend", "--admin-listen-addr=off", "--tz=UTC", NEVER_SEAL, &url].into_iter().chain(flags.iter().copied());
        let backend = Backend::spawn(api_backend::Config::parse_from(flags)).await;
        eventually("the backend answers", async || backend.get("/session").await.0 == StatusCode::OK).await;
        backend
    }

    /// That seals what is older than so many seconds, and removes nothing.
    pub async fn start_sealing(database: &Database, seconds: u32) -> Backend {
        let flags = [
            "api-backend".to_owned(),
            "--admin-listen-addr=off".to_owned(),
            "--raw-retention-days=3650".to_owned(),
            "--rollup-retention-days=3650".to_owned(),
            format!("--seal-after-seconds={seconds}"),
            format!("--database-url={}", database.url),
        ];
        Backend::spawn(api_backend::Config::parse_from(flags)).await
    }

    /// With an admin server, and without waiting for the database.
    pub async fn start_with_admin(url: &str) -> (Backend, Admin) {
        let address = format!("127.0.0.1:{}", free_port().await);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let url = format!("--database-url={url}");
        let flags = ["api-backend", "--tz=UTC", NEVER_SEAL, &url, "--admin-listen-addr", &address];
        let backend = Backend::spawn(api_backend::Config::parse_from(flags)).await;
        let admin = Admin { base: format!("http://{address}"), client };
        eventually("the admin server answers", async || admin.client.get(format!("{}/livez", admin.base)).send().await.is_ok())
            .await;
        (backend, admin)
    }

    async fn spawn(config: api_backend::Config) -> Backend {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = Shutdown::new();
        let task = tokio::spawn(api_backend::serve(config, listener, shutdown.clone()));
        Backend { base, client: reqwest::Client::builder().no_proxy().build().unwrap(), shutdown, task }
    }

    pub async fn stop(self) {
        self.shutdown.begin();
        self.task.await.unwrap().unwrap();
    }

    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> (StatusCode, Value) {
        let mut request = self.client.request(method, format!("{}/api/v1{path}", self.base));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let (status, kind) = (response.status(), response.headers().get("content-type").cloned());
        let text = response.text().await.unwrap();
        if status.is_client_error() || status.is_server_error() {
            assert_eq!(kind.unwrap(), "application/problem+json", "{path}: {text}");
        }
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        let response = self.client.get(format!("{}/api/v1{path}", self.base)).send().await;
        match response {
            Ok(response) => (response.status(), response.json().await.unwrap_or(Value::Null)),
            Err(_) => (StatusCode::BAD_GATEWAY, Value::Null),
        }
    }

    /// The items of a list that answers.
    pub async fn items(&self, path: &str) -> Vec<Value> {
        let (status, body) = self.call(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body["items"].as_array().unwrap().clone()
    }

    pub async fn ingest(&self, reports: &[HostReport]) -> IngestReceipt {
        let (status, body) = self.ingest_raw(&batch(reports)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_value(body).unwrap()
    }

    pub async fn ingest_raw(&self, body: &Value) -> (StatusCode, Value) {
        self.call(Method::POST, "/ingest", Some(body)).await
    }

    /// Replaces all rules by these.
    pub async fn only_thresholds(&self, rules: &[Value]) -> Vec<String> {
        for rule in self.items("/thresholds").await {
            let path = format!("/thresholds/{}", rule["id"].as_str().unwrap());
            assert_eq!(self.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        }
        let mut ids = Vec::new();
        for rule in rules {
            let (status, body) = self.call(Method::POST, "/thresholds", Some(rule)).await;
            assert_eq!(status, StatusCode::CREATED, "{body}");
            ids.push(body["id"].as_str().unwrap().to_owned());
        }
        ids
    }
}

pub fn batch(reports: &[HostReport]) -> Value {
    let records: Vec<_> =
        reports.iter().enumerate().map(|(offset, report)| json!({"offset": offset, "report": report})).collect();
    json!({"topic": "server-metrics", "partition": 0, "records": records})
}

pub fn cpu_rule(value: f64, recovery_value: f64, for_seconds: i64) -> Value {
    json!({
        "scope": {"kind": "host"}, "metric": "system.cpu.utilization", "direction": "above", "value": value,
        "recovery_value": recovery_value, "for_seconds": for_seconds, "severity": "warning",
    })
}

/// `/pipeline` with a range that nobody asked for before: answers are kept for a moment.
pub fn fresh_pipeline() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let to = now_ms() + 3_600_000 + i64::from(NEXT.fetch_add(1, Ordering::Relaxed));
    format!("/pipeline?to={}", api_backend::time::rfc3339(to))
}

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A report with a CPU value, a filesystem and containers (name, state, memory utilization).
pub fn report(host: &str, at: i64, cpu: f64, containers: &[(&str, &str, f64)]) -> HostReport {
    let filesystem = Table {
        columns: vec!["mountpoint".into(), "type".into(), "system.filesystem.utilization".into()],
        rows: vec![vec!["/".into(), "ext4".into(), Cell::Number(0.5)]],
    };
    let rows = containers.iter().map(|(name, state, memory)| {
        let memory = if *state == "running" { Cell::Number(*memory) } else { Cell::Null };
        vec![(*name).into(), "0123456789ab".into(), (*state).into(), memory]
    });
    let container = Table {
        columns: ["name", "id", "state", "container.memory.utilization"].map(str::to_owned).to_vec(),
        rows: rows.collect(),
    };
    HostReport {
        schema: wire_model::SCHEMA,
        host: HostInfo {
            id: host.to_owned(),
            name: format!("{host}.example"),
            labels: BTreeMap::from([("rack".to_owned(), "a1".to_owned())]),
            os: Some("Debian".to_owned()),
            kernel: None,
            cpus: Some(4),
            collector: None,
        },
        epoch: 1,
        seq: u64::try_from(at).unwrap(),
        at,
        interval_ms: 2_000,
        previous: None,
        metrics: BTreeMap::from([("system.cpu.utilization".to_owned(), Some(cpu))]),
        tables: BTreeMap::from([("filesystem".to_owned(), filesystem), ("container".to_owned(), container)]),
        removed: Removed::default(),
    }
}

/// Polls until it is true; fails after half a minute.
pub async fn eventually(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !check().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
