//! Violations that somebody saw, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::sse::Client;
use support::{Backend, cpu_rule, now_ms, on_every_database, report};

#[tokio::test]
async fn who_saw_a_violation_is_kept_and_told() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let now = now_ms() - 20_000;
        backend.ingest(&[report("a", now, 0.9, &[]), report("b", now, 0.9, &[])]).await;
        let id = backend.items("/violations?host_id=a").await[0]["id"].as_str().unwrap().to_owned();
        let path = format!("/violations/{id}/acknowledge");
        let acknowledge = async |name: Option<&str>, body: Value| {
            let request = backend.client.post(format!("{}/api/v1{path}", backend.base)).json(&body);
            let request = if let Some(name) = name { request.header("X-Operator", name) } else { request };
            let response = request.send().await.unwrap();
            (response.status(), response.json::<Value>().await.unwrap())
        };
        let (status, violation) = acknowledge(Some("jana"), json!({"comment": "the nightly job"})).await;
        assert_eq!((status, &violation["id"]), (StatusCode::OK, &json!(id)));
        let known = &violation["acknowledged"];
        assert_eq!((&known["by"], &known["comment"]), (&json!("jana"), &json!("the nightly job")));
        assert!(known["at"].as_str().unwrap() > violation["opened_at"].as_str().unwrap());
        assert_eq!(backend.get(&format!("/violations/{id}")).await.1, violation);
        let ids = async |query: &str| {
            let items = backend.items(&format!("/violations?{query}")).await;
            items.iter().map(|item| item["host_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            (ids("acknowledged=true").await, ids("acknowledged=false&state=open").await),
            (vec!["a".into()], vec!["b".into()])
        );
        let url = format!("{}/api/v1/violations?host_id=a", backend.base);
        let csv = backend.client.get(url).header("Accept", "text/csv").send().await.unwrap().text().await.unwrap();
        assert!(csv.contains(",jana,the nightly job"), "{csv}");

        // somebody without a name comes later, and then nobody
        assert_eq!(acknowledge(None, json!({})).await.1["acknowledged"]["by"], Value::Null);
        let (status, violation) = backend.call(Method::DELETE, &path, None).await;
        assert_eq!((status, &violation["acknowledged"]), (StatusCode::OK, &Value::Null));
        assert!(ids("acknowledged=true").await.is_empty());
        // it closes as it would have
        acknowledge(Some("jana"), json!({"comment": "again"})).await;
        backend.ingest(&[report("a", now + 2_000, 0.1, &[])]).await;
        let mut stream = Client::open(&backend, "?topics=violations", Some("0")).await;
        let mut told = Vec::new();
        while told.last().is_none_or(|(name, _)| name != "violation.closed") {
            let event = stream.next_event().await;
            let body = event.data.unwrap();
            if body["id"] == json!(id) {
                told.push((event.event.unwrap(), body["acknowledged"]["comment"].as_str().map(str::to_owned)));
            }
        }
        let event = |name: &str, comment: Option<&str>| (format!("violation.{name}"), comment.map(str::to_owned));
        let expected = [
            event("opened", None),
            event("acknowledged", Some("the nightly job")),
            event("acknowledged", Some("")),
            event("acknowledged", None),
            event("acknowledged", Some("again")),
            event("closed", Some("again")),
        ];
        assert_eq!(told, expected);

        for (status, path, name, body) in [
            (404, "/violations/99/acknowledge", "jana", json!({})),
            (404, "/violations/x/acknowledge", "jana", json!({})),
            (400, &*path, &*"x".repeat(129), json!({})),
            (422, &path, "jana", json!({"comment": "x".repeat(1_001)})),
            (422, &path, "jana", json!({"comment": "a\u{0}b"})),
            (422, &path, "jana", json!({"remark": "x"})),
            (200, &path, "jana", json!({"comment": "é".repeat(1_000)})),
        ] {
            let request = backend.client.post(format!("{}/api/v1{path}", backend.base)).header("X-Operator", name).json(&body);
            let response = request.send().await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path} {body}");
        }
        backend.stop().await;
    })
    .await;
}
