//! What the page begins with and goes on from: one row of each machine, over REST and over the stream.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::HashMap;

use reqwest::StatusCode;
use serde_json::{Value, json};
use support::sse::{Client, Message};
use support::{Backend, Database, now_ms, on_every_database, report};

/// Rows by the machine's id, each by column.
fn rows(body: &Value) -> HashMap<String, HashMap<String, Value>> {
    let columns: Vec<&str> = body["columns"].as_array().unwrap().iter().map(|column| column.as_str().unwrap()).collect();
    let rows = body["rows"].as_array().unwrap().iter().map(|row| {
        let cells = row.as_array().unwrap();
        assert_eq!(cells.len(), columns.len());
        let row: HashMap<_, _> = columns.iter().map(|column| (*column).to_owned()).zip(cells.iter().cloned()).collect();
        (row["id"].as_str().unwrap().to_owned(), row)
    });
    rows.collect()
}

#[tokio::test]
async fn the_fleet_is_listed_in_rows_and_pages() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms();
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.5)]), report("b", now, 0.9, &[])]).await;
        let (status, body) = backend.get("/fleet?kind=host").await;
        assert_eq!((status, &body["next_cursor"]), (StatusCode::OK, &Value::Null));
        let hosts = rows(&body);
        let loads: HashMap<_, _> =
            hosts.values().map(|row| (row["host_id"].as_str().unwrap(), &row["system.cpu.utilization"])).collect();
        assert_eq!(loads, HashMap::from([("a", &json!(0.1)), ("b", &json!(0.9))]));
        assert!(hosts.values().all(|row| row["status"] == "up" && row["mountpoint"] == "/"), "{hosts:?}");

        let containers = rows(&backend.get("/fleet?kind=container").await.1);
        let web = containers.values().next().unwrap();
        assert_eq!((containers.len(), &web["name"], &web["state"]), (1, &json!("web"), &json!("running")));
        assert_eq!(rows(&backend.get("/fleet?kind=container&host_id=b").await.1).len(), 0);

        let first = backend.get("/fleet?kind=host&limit=1").await.1;
        let cursor = first["next_cursor"].as_str().unwrap();
        let second = backend.get(&format!("/fleet?kind=host&limit=1&cursor={cursor}")).await.1;
        let mut ids: Vec<_> = rows(&first).into_keys().chain(rows(&second).into_keys()).collect();
        ids.sort();
        let mut all: Vec<_> = hosts.into_keys().collect();
        all.sort();
        assert_eq!(ids, all);

        backend.ingest(&[report("a", now + 2_000, 0.2, &[])]).await;
        assert_eq!(rows(&backend.get("/fleet?kind=container").await.1).len(), 0, "what is gone is not in the fleet");
        for wrong in ["/fleet", "/fleet?kind=rack", "/fleet?kind=host&limit=5001", "/fleet?kind=host&cursor=x"] {
            assert_eq!(backend.get(wrong).await.0, StatusCode::BAD_REQUEST, "{wrong}");
        }
        backend.stop().await;
    })
    .await;
}

/// The next message of a name.
async fn next(client: &mut Client, name: &str) -> Value {
    loop {
        let Message { event, data, .. } = client.next_event().await;
        if event.as_deref() == Some(name) {
            return data.unwrap();
        }
    }
}

#[tokio::test]
async fn the_stream_brings_rows_the_clock_and_the_pipeline() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let now = now_ms();
    backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.5)]), report("b", now, 0.9, &[])]).await;
    let mut client = Client::open(&backend, "?topics=hosts,containers,pipeline,clock", None).await;
    assert!(next(&mut client, "clock").await["at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(next(&mut client, "pipeline").await["ledger"]["totals"]["stored"], 2);
    backend.ingest(&[report("a", now + 2_000, 0.3, &[("web", "running", 0.6)])]).await;
    loop {
        let hosts = rows(&next(&mut client, "hosts").await);
        if hosts.values().any(|row| row["system.cpu.utilization"] == json!(0.3)) {
            break;
        }
    }
    let containers = rows(&next(&mut client, "containers").await);
    assert!(containers.values().all(|row| row["state"] == "running"), "{containers:?}");
    backend.stop().await;
}

#[tokio::test]
async fn all_values_are_sent_of_the_machines_that_are_looked_at() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let now = now_ms();
    let reports = |at: i64| [report("a", at, 0.1, &[("web", "running", 0.5)]), report("b", at, 0.9, &[("db", "running", 0.5)])];
    backend.ingest(&reports(now)).await;
    let ids: HashMap<String, String> = rows(&backend.get("/fleet?kind=host").await.1)
        .into_iter()
        .map(|(id, row)| (row["host_id"].as_str().unwrap().to_owned(), id))
        .collect();
    let mut client = Client::open(&backend, &format!("?topics=violations&reports_of={}", ids["a"]), None).await;
    let (mut host, mut container) = (false, false);
    for round in 1.. {
        backend.ingest(&reports(now + 2_000 * round)).await;
        let values = next(&mut client, "report").await;
        assert_eq!(values["host_id"], "a", "of the other host nothing is wanted");
        if values["machine_id"] == json!(ids["a"]) {
            assert_eq!(values["devices"]["filesystem"][0]["mountpoint"], "/");
            host = true;
        } else {
            assert_eq!(values.get("devices"), None);
            container = true;
        }
        if host && container {
            break;
        }
    }
    let of = |count: usize| vec!["1"; count].join(",");
    for (query, status) in [
        (format!("?reports_of={}", of(33)), StatusCode::BAD_REQUEST),
        ("?reports_of=".to_owned(), StatusCode::BAD_REQUEST),
        ("?reports_of=x".to_owned(), StatusCode::NOT_FOUND),
        ("?topics=hosts&machine_id=1".to_owned(), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(backend.get(&format!("/stream{query}")).await.0, status, "{query}");
    }
    Client::open(&backend, &format!("?reports_of={}", of(32)), None).await;
    backend.stop().await;
}
