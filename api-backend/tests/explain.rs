//! Why violations opened and closed, told from the stored samples, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, cpu_rule, eventually, now_ms, on_every_database, report};
use wire_model::HostReport;

/// Reports of a host every two seconds.
fn reports(start: i64, values: &[f64]) -> Vec<HostReport> {
    (0..).zip(values).map(|(n, value)| report("a", start + 2_000 * n, *value, &[("web", "running", *value)])).collect()
}

async fn explained(backend: &Backend, query: &str) -> Value {
    let violation = backend.items(&format!("/violations?{query}")).await.remove(0);
    let path = format!("/violations/{}/explain", violation["id"].as_str().unwrap());
    let (status, explanation) = backend.call(Method::GET, &path, None).await;
    assert_eq!(status, StatusCode::OK, "{explanation}");
    assert_eq!(explanation["violation"]["id"], violation["id"]);
    explanation
}

fn steps(explanation: &Value) -> Vec<&str> {
    explanation["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn each_step_is_told_in_words_from_the_head_and_from_sealed_history_alike() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let mut rule = cpu_rule(0.8, 0.6, 4);
        rule["recovery_for_seconds"] = json!(4);
        backend.only_thresholds(&[rule]).await;
        let start = now_ms() - 3_600_000;
        // too short; long enough; back at 0.6, up again, and back for good
        let values = [0.5, 0.9, 0.7, 0.85, 0.95, 0.9, 0.6, 0.7, 0.5, 0.5, 0.4, 0.4];
        let mut first = reports(start, &values);
        // before there is a second report there are no rates
        first[0].metrics.remove("system.cpu.utilization");
        backend.ingest(&first).await;
        let check = async |backend: &Backend| {
            let explanation = explained(backend, "").await;
            assert_eq!((&explanation["agrees"], &explanation["hindrance"]), (&json!(true), &Value::Null), "{explanation}");
            let expected = [
                "waiting_began",
                "came_back",
                "waiting_began",
                "opened",
                "recovering_began",
                "fell_back",
                "recovering_began",
                "closed",
            ];
            assert_eq!(steps(&explanation), expected);
            let texts: Vec<_> =
                explanation["steps"].as_array().unwrap().iter().map(|step| step["text"].as_str().unwrap()).collect();
            assert_eq!(texts[3], "0.9 is above 0.8, for 4 s now, of 4 s: opened");
            assert_eq!(texts[7], "0.4 is at or below 0.6, for 4 s now, of 4 s: closed");
            assert_eq!(explanation["samples"]["value"], json!(values[1..]), "what was measured, and nothing else");
            assert_eq!(explanation["re_evaluated"]["peak_value"], 0.95);
            assert_eq!(explanation["threshold"]["threshold"]["value"], 0.8);
            explanation["steps"].clone()
        };
        let from_the_head = check(&backend).await;
        // the newest report stays in the head
        backend.ingest(&reports(start + 1_800_000, &[0.1])).await;
        backend.stop().await;
        // a backend that starts looks at once for what to seal
        let backend = Backend::start_sealing(&database, 1).await;
        eventually("all but the newest are sealed", async || {
            let count = "SELECT COUNT(*) FROM reports";
            sqlx::query_scalar::<_, i64>(count).fetch_one(&mut database.connect().await).await.unwrap() == 1
        })
        .await;
        assert_eq!(check(&backend).await, from_the_head);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_was_changed_meanwhile_is_told_by_both_its_versions() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[cpu_rule(0.5, 0.4, 0)]).await;
        let start = now_ms() - 60_000;
        backend.ingest(&reports(start, &[0.3, 0.7, 0.9])).await;
        let path = format!("/thresholds/{}", ids[0]);
        let mut rule = backend.get(&path).await.1;
        (rule["value"], rule["recovery_value"], rule["scope"]["labels"]) = (json!(0.8), json!(0.8), json!({"rack": "a1"}));
        assert_eq!(backend.call(Method::PUT, &path, Some(&rule)).await.0, StatusCode::OK);
        backend.ingest(&reports(start + 6_000, &[0.85, 0.7])).await;
        let explanation = explained(&backend, "state=closed").await;
        assert_eq!((&explanation["agrees"], steps(&explanation)), (&json!(true), vec!["opened", "closed"]), "{explanation}");
        assert_eq!(explanation["threshold"]["threshold"]["version"], 1);
        assert_eq!(explanation["closed_by"]["threshold"]["version"], 2);
        assert_eq!(explanation["scope"]["kind"], "host");

        // deleted while the next one is open: no sample says that
        backend.ingest(&reports(start + 10_000, &[0.9])).await;
        assert_eq!(backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        backend.ingest(&reports(start + 12_000, &[0.9])).await;
        let explanation = explained(&backend, "").await;
        assert_eq!(explanation["violation"]["close_reason"], "threshold_changed");
        assert_eq!((&explanation["agrees"], &explanation["re_evaluated"]["closed_at"]), (&json!(true), &Value::Null));
        assert!(explanation["hindrance"].as_str().unwrap().contains("rule was changed"), "{explanation}");
        let labels = &explanation["scope"]["labels"];
        assert_eq!(labels, &json!([{"label": "rack", "wanted": "a1", "value": "a1", "matches": true}]));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn containers_and_windows_are_explained_too_and_what_is_not_there_is_said() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let rising = json!({"scope": {"kind": "host"}, "metric": "system.cpu.utilization", "condition": "change", "window_seconds": 60,
                            "direction": "above", "value": 0.2, "recovery_value": 0.1});
        let memory = json!({"scope": {"kind": "container"}, "metric": "container.memory.utilization", "direction": "above", "value": 0.5});
        backend.only_thresholds(&[rising, memory]).await;
        let start = now_ms() - 3_600_000;
        let values: Vec<f64> = (0..60).map(|n| 0.1 + f64::from(n.clamp(20, 50) - 20) / 50.0).chain([0.7; 60]).collect();
        backend.ingest(&reports(start, &values)).await;
        let at = start + 2_000 * i64::try_from(values.len()).unwrap();
        backend.ingest(&[report("a", at, 0.7, &[("web", "exited", 0.0)])]).await;
        for query in ["kind=host", "kind=container"] {
            let explanation = explained(&backend, query).await;
            assert_eq!((&explanation["agrees"], steps(&explanation)), (&json!(true), vec!["opened", "closed"]), "{explanation}");
        }
        let text = explained(&backend, "kind=host").await["steps"][0]["text"].as_str().unwrap().to_owned();
        assert!(text.starts_with("a change of 0.") && text.ends_with("within 60 s is above 0.2: opened"), "{text}");
        let closed = explained(&backend, "kind=container").await["steps"][1]["text"].as_str().unwrap().to_owned();
        assert!(closed.contains("does not run"), "{closed}");
        assert_eq!(backend.get("/violations/4711/explain").await.0, StatusCode::NOT_FOUND);
        backend.stop().await;
    })
    .await;
}
