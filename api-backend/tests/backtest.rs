//! Rules asked of the past over REST: what is stored of a live rule comes out again, others are tried, and one is found that opens no more
//! than one wants.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::backtest::{MACHINES_MAX, RANGE_MS_MAX};
use api_backend::history::{QUARTER_MS, rollup, seal};
use api_backend::store;
use axum::http::StatusCode;
use fastrand::Rng;
use reqwest::Method;
use serde_json::{Value, json};
use support::document::Document;
use support::{Backend, Database, cpu_rule, now_ms, on_every_database, report};
use wire_model::HostReport;

const DAY_MS: i64 = 86_400_000;
const INTERVAL_MS: i64 = 10_000;

fn at(ms: i64) -> String {
    api_backend::time::rfc3339(ms)
}

/// Two days of three hosts of which one is busier; the first day is folded, all but the last hour sealed.
async fn rig(database: &Database) -> (Backend, i64, i64) {
    let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
    // the test seals and folds by itself, and keeps all
    support::execute(&mut database.connect().await, "UPDATE leases SET holder = 7, held_until = 9000000000000000").await;
    let backend = Backend::start_with(database, &["--raw-retention-days=3650", "--rollup-retention-days=3650"]).await;
    backend.only_thresholds(&[cpu_rule(0.9, 0.8, 0), json!({
        "scope": {"kind": "host", "labels": {"host.name": "calm*"}}, "metric": "system.cpu.utilization", "direction": "above",
        "value": 0.99, "severity": "warning",
    })]).await;
    let to = now_ms() / QUARTER_MS * QUARTER_MS;
    let from = to / DAY_MS * DAY_MS - DAY_MS;
    let mut rng = Rng::with_seed(5);
    for (host, most) in [("busy", 1.0), ("usual", 0.95), ("calm", 0.93)] {
        let times = (from..to).step_by(INTERVAL_MS as usize * 6);
        let reports: Vec<HostReport> = times
            .map(|at| HostReport {
                interval_ms: INTERVAL_MS as u32,
                ..report(host, at, (rng.f64() * most * 1_000.0).round() / 1_000.0, &[("web", "running", 0.5)])
            })
            .collect();
        for reports in reports.chunks(500) {
            backend.ingest(reports).await;
        }
    }
    loop {
        let due = seal::due(&store, to - 4 * QUARTER_MS).await.unwrap();
        if due.is_empty() {
            break;
        }
        for head in due {
            seal::seal(&store, head).await.unwrap();
        }
    }
    for due in rollup::due(&store, from + DAY_MS, 100).await.unwrap() {
        rollup::roll_up(&store, due).await.unwrap();
    }
    (backend, from, to)
}

async fn ask(backend: &Backend, what: &str, body: Value) -> Value {
    let (status, answer) = backend.call(Method::POST, &format!("/thresholds/{what}"), Some(&body)).await;
    assert_eq!(status, StatusCode::OK, "{body}: {answer}");
    let document = Document(serde_json::to_value(api_backend::api::document()).unwrap());
    let schema = document.answer("post", &format!("/thresholds/{what}"), 200).unwrap();
    assert_eq!(document.problems(schema, &answer, ""), Vec::<String>::new());
    answer
}

async fn refused(backend: &Backend, what: &str, body: Value) -> String {
    let (status, answer) = backend.call(Method::POST, &format!("/thresholds/{what}"), Some(&body)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {answer}");
    answer["detail"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_asked_of_the_past() {
    on_every_database(async |database| {
        let (backend, from, to) = rig(&database).await;
        let rules = backend.items("/thresholds").await;
        let range = |body: Value| {
            let mut body = body;
            (body["from"], body["to"]) = (json!(at(from)), json!(at(to)));
            body
        };
        // those of the live rule, which is not in force where a narrower one is
        let stored = backend.items(&format!("/violations?threshold_id={}&limit=1000", rules[0]["id"].as_str().unwrap())).await;
        let told = ask(&backend, "backtest", range(json!({"threshold_id": rules[0]["id"]}))).await;
        assert!(stored.len() > 50, "{}", stored.len());
        assert_eq!((&told["count"], &told["machines"]), (&json!(stored.len()), &json!(2)), "{told}");
        let key = |violation: &Value| ["machine_id", "opened_at", "closed_at", "peak_value"].map(|name| violation[name].to_string());
        let sorted = |violations: &[Value]| {
            let mut keys: Vec<_> = violations.iter().map(key).collect();
            keys.sort();
            keys
        };
        assert_eq!(sorted(told["violations"].as_array().unwrap()), sorted(&stored));
        assert_eq!(told["by_machine"][0]["name"], "busy.example", "the noisiest is the first");
        assert_eq!(told["reports"].as_u64().unwrap() % 3, 0);
        assert_eq!((&told["evaluated_from"], &told["evaluated_to"]), (&json!(at(from)), &json!(at(to))));
        assert_eq!(told["known_since"], at(from));

        // one that is not stored takes the place of the one that says the same
        let told = ask(&backend, "backtest", range(json!({"threshold": cpu_rule(0.9, 0.8, 0)}))).await;
        assert_eq!(told["count"], stored.len());
        let told = ask(&backend, "backtest", range(json!({"threshold": cpu_rule(1.0, 0.8, 0)}))).await;
        assert_eq!((&told["count"], &told["longest_ms"]), (&json!(0), &Value::Null), "{told}");
        // a draft of the narrower one stands for it, also where it is for more machines
        let mut draft = cpu_rule(0.9, 0.8, 0);
        draft["severity"] = rules[1]["severity"].clone();
        let narrower = ask(&backend, "backtest", range(json!({"threshold": draft}))).await;
        draft["id"] = rules[1]["id"].clone();
        let told = ask(&backend, "backtest", range(json!({"threshold": draft}))).await;
        assert_eq!((&narrower["machines"], &told["machines"]), (&json!(2), &json!(3)));
        let only = json!({"threshold": cpu_rule(0.9, 0.8, 0), "only": {"labels": {"host.name": "usual*"}}});
        let told = ask(&backend, "backtest", range(only)).await;
        assert_eq!((&told["machines"], &told["machines_in_scope"]), (&json!(1), &json!(1)));
        let usual = told["by_machine"][0]["machine_id"].clone();
        let only = json!({"threshold": cpu_rule(0.9, 0.8, 0), "only": {"machine_ids": [usual]}});
        assert_eq!(ask(&backend, "backtest", range(only)).await, told);

        let wanted = range(json!({"threshold": {"scope": {"kind": "host"}, "metric": "system.cpu.utilization", "direction": "above"}, "at_most_per_week": 40}));
        let told = ask(&backend, "suggest", wanted).await;
        let proposed = &told["proposed"];
        let allowed = told["allowed"].as_f64().unwrap();
        assert!(proposed["caught"]["count"].as_f64().unwrap() <= allowed && proposed["caught"]["count"].as_i64() > Some(0), "{told}");
        let candidates = told["candidates"].as_array().unwrap();
        assert!(candidates.iter().any(|candidate| candidate["caught"]["count"].as_f64().unwrap() > allowed), "{told}");
        // it says of each what a backtest says
        for candidate in [proposed, &candidates[0], candidates.last().unwrap()] {
            let [value, recovery, seconds] = ["value", "recovery_value", "for_seconds"].map(|name| candidate[name].as_f64().unwrap());
            let told = ask(&backend, "backtest", range(json!({"threshold": cpu_rule(value, recovery, seconds as i64)}))).await;
            assert_eq!(told["count"], candidate["caught"]["count"], "{candidate}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let rule = cpu_rule(0.9, 0.8, 0);
    let check = async |what: &str, body: Value, expected: &str| {
        let detail = refused(&backend, what, body).await;
        assert!(detail.contains(expected), "{detail}");
    };
    check("backtest", json!({}), "either threshold or threshold_id").await;
    check("backtest", json!({"threshold": rule, "threshold_id": "1"}), "either threshold or threshold_id").await;
    check("backtest", json!({"threshold": rule, "at_most_per_week": 3}), "at_most_per_week").await;
    check("suggest", json!({"threshold": rule}), "at_most_per_week").await;
    check("suggest", json!({"threshold": rule, "at_most_per_week": -1}), "at_most_per_week").await;
    check("suggest", json!({"threshold": rule, "at_most_per_week": 3}), "no machine in this scope").await;
    let of = |kind: &str, metric: &str| json!({"scope": {"kind": kind}, "metric": metric, "direction": "above", "value": 0.5});
    check("backtest", json!({"threshold": of("host", "host.missing")}), "host.missing is not told by reports").await;
    check("suggest", json!({"threshold": of("container", "container.stopped"), "at_most_per_week": 1}), "is a state").await;
    let none = json!({"scope": {"kind": "host"}, "metric": "system.uptime", "direction": "above", "effect": "none"});
    check("backtest", json!({"threshold": none}), "opens nothing").await;
    let change = json!({
        "scope": {"kind": "host"}, "metric": "system.cpu.utilization", "direction": "above", "value": 0.5, "condition": "change",
        "window_seconds": 600,
    });
    check("suggest", json!({"threshold": change, "at_most_per_week": 1}), "the condition \"value\" alone").await;
    let to = now_ms();
    for (longer, is_taken) in [(-1, true), (0, true), (1, false)] {
        let body = json!({"threshold": rule, "from": at(to - RANGE_MS_MAX - longer), "to": at(to)});
        let (status, answer) = backend.call(Method::POST, "/thresholds/backtest", Some(&body)).await;
        assert_eq!(status == StatusCode::OK, is_taken, "{answer}");
    }
    for (count, is_taken) in [(99, true), (100, true), (101, false)] {
        let body = json!({"threshold": rule, "only": {"machine_ids": vec!["7"; count]}});
        let (status, answer) = backend.call(Method::POST, "/thresholds/backtest", Some(&body)).await;
        assert_eq!(status == StatusCode::OK, is_taken, "{answer}");
    }
    let (status, _) = backend.call(Method::POST, "/thresholds/backtest", Some(&json!({"threshold_id": "999"}))).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    backend.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_machines_than_can_be_looked_at_are_refused() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.ingest(&[report("host", now_ms(), 0.5, &[])]).await;
    let rule = json!({"scope": {"kind": "container"}, "metric": "container.cpu.usage", "direction": "above", "value": 1});
    let mut connection = database.connect().await;
    let mut known = 0;
    for (count, is_taken) in [(MACHINES_MAX, true), (MACHINES_MAX + 1, false)] {
        let more = format!(
            "WITH RECURSIVE numbers (n) AS (SELECT {known} UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {count}) \
             INSERT INTO machines (host_key, kind, identity, name, state, labels, facts, first_seen_at) \
             SELECT host_key, 'container', 'c' || n, 'c' || n, 'running', '{{}}', '{{}}', 0 FROM numbers, hosts"
        );
        support::execute(&mut connection, &more).await;
        known = count;
        let (status, answer) = backend.call(Method::POST, "/thresholds/backtest", Some(&json!({"threshold": rule}))).await;
        let told =
            if is_taken { answer["machines_in_scope"] == count } else { answer["detail"].to_string().contains("ask for fewer") };
        assert_eq!((status == StatusCode::OK, told), (is_taken, true), "{answer}");
    }
    backend.stop().await;
}
