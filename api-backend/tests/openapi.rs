//! The document that others generate their clients from changes on purpose only, and says what answers say.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use api_backend::time::rfc3339;
use reqwest::Method;
use serde_json::{Value, json};
use support::document::Document;
use support::{Backend, Database, cpu_rule, now_ms, report};

#[test]
fn the_document_is_the_one_that_is_kept() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let now = api_backend::api::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == now,
        "openapi.json is not what the program says: UPDATE_OPENAPI=1 cargo test --package api-backend --test openapi, \
        then npm run api in dashboard/"
    );
}

/// A backend that is asked, and what was asked of it.
struct Asked<'a> {
    backend: &'a Backend,
    document: Document,
    operations: BTreeSet<(String, String)>,
}

impl Asked<'_> {
    /// Asks for `path` with `id` and `query`, which answers with `status` and as the document says.
    async fn ask(&mut self, method: Method, path: &str, id: &str, query: &str, body: Option<Value>, status: u16) -> Value {
        let url = format!("{}{query}", path.replace("{id}", id));
        let (found, answer) = self.backend.call(method.clone(), &url, body.as_ref()).await;
        let method = method.as_str().to_lowercase();
        assert_eq!(found.as_u16(), status, "{method} {url}: {answer}");
        let problems = match self.document.answer(&method, path, status) {
            Some(schema) => self.document.problems(schema, &answer, ""),
            None => assert_no_body(&answer),
        };
        assert!(problems.is_empty(), "{method} {url}: {problems:#?}\n{answer:#}");
        self.operations.insert((method, path.to_owned()));
        answer
    }

    async fn get(&mut self, path: &str, id: &str, query: &str) -> Value {
        self.ask(Method::GET, path, id, query, None, 200).await
    }
}

fn assert_no_body(answer: &Value) -> Vec<String> {
    if answer.is_null() { Vec::new() } else { vec!["there is a body".to_owned()] }
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_not_as_the_document_says_is_noticed() {
    let document = Document(serde_json::to_value(api_backend::api::document()).unwrap());
    let check = |path: &str, answer: Value, expected: &[&str]| {
        assert_eq!(document.problems(document.answer("get", path, 200).unwrap(), &answer, ""), expected);
    };
    check("/session", json!({"required": false, "signed_in": true}), &[]);
    check(
        "/session",
        json!({"required": 0, "user": "x"}),
        &[".signed_in is missing", ".required: 0 is not \"boolean\"", ".user is not in the document"],
    );
    let labels = json!({"kind": "host", "machine_id": null, "device": null, "labels": [{"label": "rack"}]});
    let told =
        json!({"steps": [{"at": "", "step": "slept", "text": ""}], "samples": {"t": [0.5], "value": [null]}, "scope": labels});
    let problems = document.problems(document.answer("get", "/violations/{id}/explain", 200).unwrap(), &told, "");
    let wrong = [
        ".violation is missing",
        ".samples.t[0]",
        ".scope.labels[0].wanted is missing",
        ".scope.labels[0].matches is missing",
        ".steps[0].step: \"slept\"",
    ];
    for part in wrong {
        assert!(problems.iter().any(|problem| problem.starts_with(part)), "{part}: {problems:?}");
    }
    assert_eq!(problems.len(), wrong.len(), "{problems:?}");
}

#[tokio::test]
async fn answers_are_as_the_document_says() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let document = Document(serde_json::to_value(api_backend::api::document()).unwrap());
    let mut asked = Asked { backend: &backend, document, operations: BTreeSet::new() };
    let rules = backend.only_thresholds(&[cpu_rule(0.5, 0.4, 4)]).await;
    let start = now_ms() - 600_000;
    let values = [0.1, 0.9, 0.9, 0.9, 0.9, 0.2, 0.2, 0.9, 0.9, 0.9, 0.9];
    let reports = (0..).zip(values).map(|(n, cpu)| report("a", start + 2_000 * n, cpu, &[("web", "running", 0.5)]));
    backend.ingest(&reports.collect::<Vec<_>>()).await;

    asked.get("/session", "", "").await;
    asked.get("/catalog", "", "").await;
    asked.get("/fleet", "", "?kind=host").await;
    asked.get("/fleet", "", "?kind=container").await;
    let machines = asked.get("/machines", "", "").await;
    let machine = id(&machines["items"][0]);
    asked.get("/machines/{id}", &machine, "").await;
    asked.get("/machines/{id}/thresholds", &machine, "").await;
    assert_eq!(asked.get("/events", "", "?type=machine.up").await["items"].as_array().unwrap().len(), 2);
    asked.get("/machines/{id}/pipeline", &machine, "").await;
    let range = format!("metric=system.cpu.utilization&from={}", rfc3339(start - 60_000));
    asked.get("/machines/{id}/series", &machine, &format!("?{range}")).await;
    asked.get("/series", "", &format!("?machine_id={machine}&{range}")).await;
    asked.get("/top", "", "?metric=system.cpu.utilization").await;
    asked.get("/pipeline", "", "").await;
    let letters = [json!({"offset": 0, "reason": "x", "payload_bytes": 1, "payload_start": "y"}), json!({"offset": 1})];
    let letters = letters.map(|mut letter| {
        letter["partition"] = json!(0);
        letter
    });
    let status = json!({"consumer": "c", "group": "g", "version": "1", "topic": "t", "partitions": [], "skipped": [], "dead_letters": 2, "letters": letters});
    assert_eq!(backend.call(Method::POST, "/pipeline/consumers", Some(&status)).await.0, 204);
    let letters = asked.get("/pipeline/dead_letters", "", "?limit=1").await;
    asked.get("/pipeline/dead_letters", "", &format!("?cursor={}", letters["next_cursor"].as_str().unwrap())).await;
    let fresh = support::fresh_pipeline();
    let pipeline = asked.get("/pipeline", "", fresh.trim_start_matches("/pipeline")).await;
    assert!(pipeline["dead_letters"][0]["newest_letter"].is_string(), "{pipeline}");

    let silence = json!({"scope": {"kind": "host", "labels": {"rack": "a*"}}, "cron": "0 3 * * *", "duration_seconds": 3_600, "comment": "nightly"});
    let silence = asked.ask(Method::POST, "/silences", "", "", Some(silence), 201).await;
    asked.ask(Method::POST, "/silences", "", "", Some(json!({"scope": {}, "comment": "why"})), 422).await;
    asked.ask(Method::PUT, "/silences/{id}", &id(&silence), "", Some(silence.clone()), 200).await;
    asked.ask(Method::PUT, "/silences/{id}", &id(&silence), "", Some(silence.clone()), 412).await;
    let maintenance =
        json!({"kind": "maintenance", "scope": {"host_id": "a"}, "ends_at": rfc3339(now_ms() + 3_600_000), "comment": "disks"});
    let maintenance = asked.ask(Method::POST, "/silences", "", "", Some(maintenance), 201).await;
    asked.get("/silences", "", "").await;
    asked.get("/silences/{id}", &id(&maintenance), "").await;
    assert!(asked.get("/machines/{id}", &machine, "").await["maintenance"]["until"].is_string());
    assert!(asked.get("/violations", "", "?state=silenced").await["items"][0]["silenced"]["until"].is_string());
    asked.ask(Method::DELETE, "/silences/{id}", &id(&maintenance), "", None, 204).await;
    asked.get("/silences/{id}", &id(&silence), "").await;

    let violations = asked.get("/violations", "", "?match=overlapping&sort=opened_at&label=rack&limit=1").await;
    assert!(violations["next_cursor"].is_string(), "{violations}");
    let violation = id(&violations["items"][0]);
    asked.get("/violations/{id}", &violation, "").await;
    asked.ask(Method::GET, "/violations/{id}", "4711", "", None, 404).await;
    asked.ask(Method::GET, "/violations", "", "?severity=fatal", None, 400).await;
    asked.ask(Method::POST, "/violations/{id}/acknowledge", &violation, "", Some(json!({"comment": "seen"})), 200).await;
    asked.get("/violations", "", "?acknowledged=true").await;
    asked.ask(Method::DELETE, "/violations/{id}/acknowledge", &violation, "", None, 200).await;
    for by in ["day", "machine", "metric", "severity"] {
        let counted = asked.get("/violations/counts", "", &format!("?by={by}&kind=host&tz=Asia/Seoul")).await;
        assert!(counted["items"].as_array().unwrap().iter().any(|item| item["count"] == 2), "{counted}");
    }
    let told = asked.get("/violations/{id}/explain", &violation, "").await;
    assert!(told["steps"].as_array().unwrap().len() > 2 && told["re_evaluated"]["closed_at"].is_string(), "{told}");

    let rule = asked.get("/thresholds/{id}", &rules[0], "").await;
    asked.ask(Method::POST, "/thresholds", "", "", Some(cpu_rule(0.5, 0.4, 4)), 409).await;
    asked.ask(Method::PUT, "/thresholds/{id}", &rules[0], "", Some(rule.clone()), 200).await;
    asked.ask(Method::PUT, "/thresholds/{id}", &rules[0], "", Some(rule), 412).await;
    let other = json!({"scope": {"kind": "host"}, "metric": "system.uptime", "direction": "below", "value": 60});
    let other = asked.ask(Method::POST, "/thresholds", "", "", Some(other), 201).await;
    asked.get("/thresholds", "", "").await;
    let from = rfc3339(start - 60_000);
    let question = json!({"threshold_id": rules[0], "from": from, "only": {"machine_ids": [machine]}});
    let told = asked.ask(Method::POST, "/thresholds/backtest", "", "", Some(question), 200).await;
    assert_eq!(told["by_machine"][0]["timeline"].as_array().unwrap().len(), 2, "{told}");
    asked.ask(Method::POST, "/thresholds/backtest", "", "", Some(json!({})), 422).await;
    let question = json!({"threshold": cpu_rule(0.5, 0.4, 4), "from": from, "at_most_per_week": 10_000});
    asked.ask(Method::POST, "/thresholds/suggest", "", "", Some(question), 422).await;
    asked.ask(Method::DELETE, "/thresholds/{id}", &id(&other), "", None, 204).await;
    let versions = asked.get("/thresholds/{id}/versions", &id(&other), "").await;
    assert_eq!(versions["items"][0]["threshold"], Value::Null);

    // a stream does not end, and no token is needed here
    let others = [("get", "/stream"), ("post", "/session"), ("delete", "/session")];
    let mut left = asked.document.operations();
    left.retain(|operation| !asked.operations.contains(operation) && !others.contains(&(&operation.0, &operation.1)));
    assert!(left.is_empty(), "nobody asked for {left:?}");
    backend.stop().await;
}
