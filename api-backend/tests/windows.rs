//! What conditions over windows look back at: kept with the host, whoever evaluates its reports.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::json;
use support::{Backend, Database, now_ms, on_every_database, report};

async fn kept(database: &Database) -> Option<String> {
    let mut connection = database.connect().await;
    sqlx::query_scalar("SELECT windows FROM hosts").fetch_one(&mut connection).await.unwrap()
}

#[tokio::test]
async fn a_window_outlives_the_backend_and_goes_with_its_rule() {
    on_every_database(async |database| {
        // 0.01 in two seconds are 0.8 in the window of 160 s, of which each part has ten
        let rule = json!({"scope": {"kind": "host"}, "metric": "system.cpu.utilization", "condition": "change", "window_seconds": 160,
            "direction": "above", "value": 0.75, "recovery_value": 0.5});
        let start = (now_ms() - 600_000) / 10_000 * 10_000;
        let at = |n: i64| start + 2_000 * n;
        let backend = Backend::start(&database).await;
        let id = backend.only_thresholds(&[rule]).await.remove(0);
        backend.ingest(&[report("a", at(0), 0.1, &[])]).await;
        let first = kept(&database).await.unwrap();
        backend.ingest(&[report("a", at(1), 0.11, &[])]).await;
        assert_eq!(kept(&database).await.unwrap(), first, "the first value of each part is kept");
        let rising = |n: i64| report("a", at(n), 0.1 + 0.01 * n as f64, &[]);
        backend.ingest(&(2..30).map(rising).collect::<Vec<_>>()).await;
        assert_ne!(kept(&database).await.unwrap(), first);
        backend.stop().await;
        let backend = Backend::start(&database).await;
        backend.ingest(&(30..40).map(rising).collect::<Vec<_>>()).await;
        assert!(backend.items("/violations").await.is_empty(), "it is not half full");
        // another one has evaluated in between: what this one remembers is not the newest
        let other = Backend::start(&database).await;
        other.ingest(&[rising(40)]).await;
        backend.ingest(&[rising(41), rising(42)]).await;
        let open = backend.items("/violations").await.remove(0);
        assert_eq!((&open["opened_at"], &open["condition"]), (&json!(api_backend::time::rfc3339(at(40))), &json!("change")));
        assert!((open["opened_value"].as_f64().unwrap() - 0.8).abs() < 1e-6, "{open}");
        other.stop().await;
        let (status, _) = backend.call(Method::DELETE, &format!("/thresholds/{id}"), None).await;
        assert_eq!(status, StatusCode::NO_CONTENT);
        backend.ingest(&[rising(43)]).await;
        assert_eq!(kept(&database).await, None);
        let closed = backend.items("/violations").await.remove(0);
        assert_eq!((&closed["close_reason"], &closed["closed_version"]), (&json!("threshold_changed"), &json!(null)));
        backend.stop().await;
    })
    .await;
}
