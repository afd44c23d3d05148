//! Databases of older schemas with reports in them: nothing is lost by the upgrade, or called lost.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use sqlx::AnyConnection;
use support::{Backend, now_ms, on_every_database, report};
use wire_model::HostReport;

/// Back to the schema before rules on states.
const UNDO_STATES: &[&str] = &[
    "ALTER TABLE violations DROP COLUMN recovering_since",
    "ALTER TABLE violations DROP COLUMN cause",
    "DROP TABLE pipeline_state",
    "DROP TABLE machine_events",
    "DROP TABLE letters",
    // the rules that 0001 made are 1 to 7
    "DELETE FROM threshold_versions WHERE threshold_id > 7",
    "DELETE FROM thresholds WHERE threshold_id > 7",
    "DELETE FROM _sqlx_migrations WHERE version >= 8",
];

/// Back to the schema of 0005.
const UNDO_RULES: &[&str] = &[
    "ALTER TABLE hosts DROP COLUMN windows",
    "DELETE FROM _sqlx_migrations WHERE version = 9",
    "ALTER TABLE violations DROP COLUMN quantity",
    "ALTER TABLE violations DROP COLUMN closed_version",
    "ALTER TABLE violations DROP COLUMN threshold_version",
    "DROP TABLE threshold_versions",
    "ALTER TABLE thresholds DROP COLUMN note",
    "ALTER TABLE thresholds DROP COLUMN effect",
    "ALTER TABLE thresholds DROP COLUMN recovery_for_seconds",
    "ALTER TABLE thresholds DROP COLUMN window_seconds",
    "ALTER TABLE thresholds DROP COLUMN quantity",
    "ALTER TABLE thresholds DROP COLUMN labels",
    "DELETE FROM _sqlx_migrations WHERE version = 6",
];

/// Back to the schema of 0006, on SQLite and on MySQL.
fn undo_quiet(url: &str) -> Vec<String> {
    let indices = ["open", "span", "host", "metric", "severity"];
    let drop_index = |name: &str| match url.starts_with("sqlite") {
        true => format!("DROP INDEX violations_{name}"),
        false => format!("DROP INDEX violations_{name} ON violations"),
    };
    let columns = ["span", "acknowledged_at", "acknowledged_by", "acknowledged_comment", "announced_at", "silence_id"];
    let drop_column = |name: &str| format!("ALTER TABLE violations DROP COLUMN {name}");
    let rest = [
        "CREATE INDEX violations_closed ON violations (closed_at)",
        "DROP TABLE silences",
        "DELETE FROM counters WHERE name = 'silences_version'",
        "DELETE FROM _sqlx_migrations WHERE version = 7",
    ];
    indices.map(drop_index).into_iter().chain(columns.map(drop_column)).chain(rest.map(str::to_owned)).collect()
}

/// From there to that of 0002, which did nothing but make the same tables without these. Before that all reports must be whole.
const UNDO_HISTORY: &[&str] = &[
    "DROP TABLE forms",
    "DELETE FROM _sqlx_migrations WHERE version IN (4, 5)",
    "DROP TABLE chunks",
    "DROP TABLE stretches",
    "DROP TABLE rollups_due",
    "DROP TABLE leases",
    "DELETE FROM counters WHERE name = 'raw_removed_before'",
    "DELETE FROM _sqlx_migrations WHERE version = 3",
];

/// And from there to that of 0001.
const UNDO_LEDGER: &[&str] = &[
    "DROP TABLE ledger",
    "DROP TABLE gaps",
    "DROP TABLE rejections",
    "DROP TABLE consumer_partitions",
    "DROP TABLE skipped_records",
    "DROP TABLE dead_letters",
    "DELETE FROM _sqlx_migrations WHERE version = 2",
];

/// Stores the reports of a host as they were stored before there were forms.
async fn store_whole(connection: &mut AnyConnection, reports: &[HostReport]) {
    for report in reports {
        let message = zstd::encode_all(&report.encode()[..], 1).unwrap();
        let sql = "UPDATE reports SET payload = ? WHERE at = ? AND host_key = (SELECT host_key FROM hosts WHERE host_id = ?)";
        let query = sqlx::query(sql).bind(message).bind(report.at).bind(&report.host.id);
        assert_eq!(query.execute(&mut *connection).await.unwrap().rows_affected(), 1);
    }
}

#[tokio::test]
async fn an_upgrade_calls_nothing_lost() {
    on_every_database(async |database| {
        let start = now_ms() - 600_000;
        let numbered = |host: &str, seq: u64, seconds: i64| HostReport { seq, ..report(host, start + seconds * 1_000, 0.1, &[]) };
        let backend = Backend::start(&database).await;
        let reports =
            ["steady", "set-back"].map(|host| (0..10).map(|n| numbered(host, 100 + n, 2 * n as i64)).collect::<Vec<_>>());
        backend.ingest(&reports[0]).await;
        backend.ingest(&reports[1]).await;
        backend.stop().await;
        let mut connection = database.connect().await;
        store_whole(&mut connection, &reports.concat()).await;
        for sql in UNDO_STATES.iter().chain(UNDO_RULES).chain(UNDO_HISTORY).chain(UNDO_LEDGER) {
            sqlx::raw_sql(*sql).execute(&mut connection).await.unwrap();
        }
        // the clock of the other one was set back by five minutes: 110 and 111 came, and were not its newest by time
        for (seq, seconds) in [(110, -300), (111, -298)] {
            let sql = format!(
                "INSERT INTO reports (host_key, at, epoch, seq, received_at, payload) SELECT host_key, {}, 1, {seq}, {}, payload \
                 FROM reports WHERE host_key = 2 AND seq = 109",
                start + seconds * 1_000,
                start + 60_000
            );
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let sql = format!("UPDATE hosts SET last_received_at = {} WHERE host_key = 2", start + 60_000);
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();

        let backend = Backend::start(&database).await;
        // what the consumer had not confirmed comes once more, then goes on
        backend.ingest(&[numbered("steady", 109, 18), numbered("steady", 110, 20)]).await;
        backend
            .ingest(&[numbered("set-back", 111, -298), numbered("set-back", 112, -296), numbered("set-back", 113, -294)])
            .await;
        let totals = async || {
            let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
            ["expected", "stored", "duplicate", "lost"].map(|word| body["ledger"]["totals"][word].as_i64().unwrap())
        };
        assert_eq!(totals().await, [3, 3, 2, 0]);
        // from now on it is noticed
        backend.ingest(&[numbered("steady", 112, 24), numbered("set-back", 115, -290)]).await;
        assert_eq!(totals().await, [7, 5, 2, 2]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_seals_the_reports_that_are_there() {
    on_every_database(async |database| {
        let start = now_ms() - 2 * 3_600_000;
        let backend = Backend::start(&database).await;
        let value = |number: i64| (number % 100) as f64 / 100.0;
        let reports: Vec<_> =
            (0..90).map(|number| report("old", start + number * 60_000, value(number), &[("web", "running", 0.5)])).collect();
        assert_eq!(backend.ingest(&reports).await.stored, 90);
        let question = format!(
            "/series?machine_id=1,2&metric=system.cpu.utilization,container.memory.utilization&max_points=10000&from={}",
            api_backend::time::rfc3339(start)
        );
        let series = async |backend: &Backend| {
            let (status, body) = backend.get(&question).await;
            assert_eq!(status, StatusCode::OK, "{body}");
            body
        };
        let before = series(&backend).await;
        assert_eq!(before["series"][0]["t"].as_array().unwrap().len(), 90);
        backend.stop().await;
        let mut connection = database.connect().await;
        store_whole(&mut connection, &reports).await;
        for sql in UNDO_STATES.iter().chain(UNDO_RULES).chain(UNDO_HISTORY) {
            sqlx::raw_sql(*sql).execute(&mut connection).await.unwrap();
        }
        let backend = Backend::start_sealing(&database, 1).await;
        support::eventually("all but the newest are sealed", async || {
            let sql = "SELECT COUNT(*) FROM reports";
            let left: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap();
            left <= 15
        })
        .await;
        assert_eq!(series(&backend).await, before);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_announces_nothing_again() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 60_000;
        backend.ingest(&[report("open", start, 0.9, &[]), report("closed", start, 0.9, &[])]).await;
        backend.ingest(&[report("closed", start + 2_000, 0.1, &[])]).await;
        backend.stop().await;
        let mut connection = database.connect().await;
        for sql in undo_quiet(&database.url) {
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let backend = Backend::start(&database).await;
        let all = backend.items("/violations?sort=opened_at&from=2026-01-01").await;
        assert_eq!(all.len(), 2);
        assert_eq!(backend.items("/violations?state=open").await[0]["announced_at"], all[0]["detected_at"]);
        // one that has to be announced shows that all were looked at
        let ends_at = api_backend::time::rfc3339(now_ms() + 60_000);
        let silence = serde_json::json!({"scope": {"host_id": "new"}, "ends_at": ends_at, "comment": "x"});
        let (status, silence) = backend.call(Method::POST, "/silences", Some(&silence)).await;
        assert_eq!(status, StatusCode::CREATED);
        backend.ingest(&[report("new", start, 0.9, &[])]).await;
        let path = format!("/silences/{}", silence["id"].as_str().unwrap());
        assert_eq!(backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        let sql = "SELECT COUNT(*) FROM events WHERE name = 'violation.opened'";
        support::eventually("the new one is announced", async || {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap() >= 3
        })
        .await;
        assert_eq!(sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap(), 3);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_upgrade_keeps_what_happened_to_machines() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 60_000;
        backend.ingest(&[report("a", start + 7, 0.9, &[("web", "running", 0.5)])]).await;
        backend.ingest(&[report("a", start + 2_345, 0.1, &[("web", "exited", 0.0)])]).await;
        let before = backend.items("/events").await;
        assert_eq!(before.len(), 3, "{before:?}");
        backend.stop().await;
        let mut connection = database.connect().await;
        for sql in ["DROP TABLE machine_events", "DELETE FROM _sqlx_migrations WHERE version = 11"] {
            sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        }
        let backend = Backend::start(&database).await;
        assert_eq!(backend.items("/events").await, before);
        let range = format!(
            "/events?from={}&to={}",
            api_backend::time::rfc3339(start + 2_345),
            api_backend::time::rfc3339(start + 2_346)
        );
        assert_eq!(backend.items(&range).await, before[..1]);
        backend.stop().await;
    })
    .await;
}
