//! What happened to machines, asked by machine, type and range, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::time::{DAY_MS, rfc3339};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, eventually, execute, now_ms, on_every_database, report};
use wire_model::{Cell, HostReport};

/// A host that runs for so many seconds, with a container of this state, id and start.
fn seen(host: &str, at: i64, uptime: f64, (state, id, started_at): (&str, &str, Option<i64>)) -> HostReport {
    let mut report = report(host, at, 0.1, &[("web", state, 0.5)]);
    report.metrics.insert("system.uptime".to_owned(), Some(uptime));
    let table = report.tables.get_mut("container").unwrap();
    table.columns.push("started_at".to_owned());
    table.rows[0].push(started_at.map_or(Cell::Null, |at| Cell::Number(at as f64)));
    table.rows[0][1] = id.into();
    report
}

/// A minute of a host and its container.
async fn minute(backend: &Backend, host: &str, start: i64) {
    let at = |seconds: i64| start + seconds * 1_000;
    let reports = [
        seen(host, at(0), 5_000.0, ("running", "a", None)),
        // read for the first time
        seen(host, at(2), 5_002.0, ("running", "a", Some(at(-60)))),
        seen(host, at(4), 5_004.0, ("running", "a", Some(at(3)))),
        // the same once more, and not read
        seen(host, at(6), 5_006.0, ("running", "a", Some(at(3)))),
        seen(host, at(8), 5_008.0, ("running", "a", None)),
        seen(host, at(10), 5_010.0, ("running", "b", Some(at(9)))),
        seen(host, at(12), 5_012.0, ("exited", "b", Some(at(9)))),
        seen(host, at(14), 5_014.0, ("running", "b", Some(at(13)))),
        seen(host, at(60), 30.0, ("running", "b", Some(at(13)))),
    ];
    backend.ingest(&reports).await;
}

fn told(items: &[Value], start: i64) -> Vec<(String, String, String, i64)> {
    let text = |item: &Value, name: &str| item[name].as_str().unwrap().to_owned();
    let ms = |item: &Value| text(item, "at").parse::<jiff::Timestamp>().unwrap().as_millisecond();
    items.iter().map(|item| (text(item, "kind"), text(item, "type"), text(item, "state"), (ms(item) - start) / 1_000)).collect()
}

#[tokio::test]
async fn what_happened_is_listed_by_machine_type_and_range() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 600_000;
        minute(&backend, "a", start).await;
        minute(&backend, "b", start).await;
        let all = backend.items("/events").await;
        assert_eq!(all.len(), 14);
        let machine = |kind: &str| {
            let found = all.iter().find(|item| item["host_id"] == "a" && item["kind"] == kind).unwrap();
            found["machine_id"].as_str().unwrap().to_owned()
        };
        let (host, container) = (machine("host"), machine("container"));
        let check = async |query: String, expected: &[(&str, &str, &str, i64)]| {
            let found = told(&backend.items(&format!("/events?{query}")).await, start);
            let expected =
                expected.iter().map(|(kind, name, state, at)| ((*kind).to_owned(), (*name).to_owned(), (*state).to_owned(), *at));
            assert_eq!(found, expected.collect::<Vec<_>>(), "{query}");
        };
        let of_container = [
            ("container", "machine.up", "running", 14),
            ("container", "machine.down", "exited", 12),
            ("container", "machine.up", "replaced", 10),
            ("container", "machine.up", "restarted", 4),
            ("container", "machine.up", "running", 0),
        ];
        check(format!("machine_id={container}"), &of_container).await;
        let of_host = [("host", "machine.rebooted", "rebooted", 30), ("host", "machine.up", "running", 0)];
        check(format!("machine_id={host}"), &of_host).await;
        check(format!("machine_id={host}&type=machine.rebooted,machine.down"), &of_host[..1]).await;
        check(format!("machine_id={container}&type=machine.down"), &of_container[1..2]).await;
        let range = |from: i64, to: i64| format!("from={}&to={}", rfc3339(start + from), rfc3339(start + to));
        check(format!("machine_id={container}&{}", range(4_000, 12_000)), &of_container[2..4]).await;
        check(format!("machine_id={container}&{}", range(4_001, 12_001)), &of_container[1..3]).await;
        assert_eq!(backend.items(&format!("/events?type=machine.up&{}", range(0, 1))).await.len(), 4, "of both hosts");
        assert_eq!(backend.items(&format!("/events?machine_id={host},{container}")).await.len(), 7);
        assert_eq!(backend.items("/events?machine_id=4711").await.len(), 0);
        let first = &all[0];
        assert_eq!(
            (&first["name"], &first["host_name"]),
            (&first["host_name"], &json!(format!("{}.example", first["host_id"].as_str().unwrap())))
        );

        // by pages: each once, in the same order
        for query in ["".to_owned(), format!("&machine_id={host},{container}"), "&type=machine.up".to_owned()] {
            let whole = backend.items(&format!("/events?limit=1000{query}")).await;
            let (mut found, mut cursor) = (Vec::new(), String::new());
            loop {
                let (status, page) = backend.get(&format!("/events?limit=3{query}{cursor}")).await;
                assert_eq!(status, StatusCode::OK, "{page}");
                found.extend(page["items"].as_array().unwrap().clone());
                let Some(next) = page["next_cursor"].as_str() else { break };
                cursor = format!("&cursor={next}");
            }
            assert_eq!(found, whole, "{query}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let database = support::Database::sqlite();
    let backend = Backend::start(&database).await;
    let ids = |count: i32| (1..=count).map(|id| id.to_string()).collect::<Vec<_>>().join(",");
    for (query, status) in [
        ("limit=1".to_owned(), 200),
        ("limit=1000".to_owned(), 200),
        ("limit=0".to_owned(), 400),
        ("limit=1001".to_owned(), 400),
        ("limit=x".to_owned(), 400),
        (format!("machine_id={}", ids(50)), 200),
        (format!("machine_id={}", ids(51)), 400),
        ("machine_id=x".to_owned(), 404),
        ("type=machine.late".to_owned(), 400),
        ("cursor=x".to_owned(), 400),
        ("from=2026-01-02&to=2026-01-02".to_owned(), 400),
        ("tz=Mars".to_owned(), 400),
        ("kind=host".to_owned(), 400),
    ] {
        let (found, body) = backend.call(Method::GET, &format!("/events?{query}"), None).await;
        assert_eq!(found.as_u16(), status, "{query}: {body}");
    }
    backend.stop().await;
}

#[tokio::test]
async fn they_are_kept_as_long_as_points_of_five_minutes() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        minute(&backend, "a", now_ms() - 600_000).await;
        let all = backend.items("/events").await;
        backend.stop().await;
        let mut connection = database.connect().await;
        let days_ago = |days: i64| format!("- {}", days * DAY_MS);
        execute(&mut connection, &format!("UPDATE events SET created_at = created_at {}", days_ago(2))).await;
        execute(&mut connection, &format!("UPDATE machine_events SET occurred_at = occurred_at {}", days_ago(29))).await;
        let newest = all[0]["id"].as_str().unwrap();
        let sql = format!("UPDATE machine_events SET occurred_at = occurred_at {} WHERE event_id <> {newest}", days_ago(2));
        execute(&mut connection, &sql).await;
        let backend = Backend::start_with(&database, &["--raw-retention-days=1", "--rollup-retention-days=30"]).await;
        eventually("what is old is removed", async || {
            let left: i64 = sqlx::query_scalar("SELECT COUNT(*) FROM events").fetch_one(&mut connection).await.unwrap();
            left == 1 && backend.items("/events").await.len() == 1
        })
        .await;
        assert_eq!(backend.items("/events").await[0]["id"], all[0]["id"]);
        backend.stop().await;
    })
    .await;
}
