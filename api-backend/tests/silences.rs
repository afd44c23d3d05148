//! Silences and maintenance of machines, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::BTreeMap;

use api_backend::silence::SILENCES_MAX;
use api_backend::store;
use api_backend::time::rfc3339;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, Database, cpu_rule, eventually, execute, now_ms, on_every_database, report};

/// From now on, for an hour.
fn silence(scope: Value) -> Value {
    json!({"scope": scope, "ends_at": rfc3339(now_ms() + 3_600_000), "comment": "work on the rack"})
}

async fn create(backend: &Backend, silence: &Value) -> Value {
    let (status, body) = backend.call(Method::POST, "/silences", Some(silence)).await;
    assert_eq!(status, StatusCode::CREATED, "{body}");
    body
}

fn path(silence: &Value) -> String {
    format!("/silences/{}", silence["id"].as_str().unwrap())
}

async fn end(backend: &Backend, silence: &Value) {
    assert_eq!(backend.call(Method::DELETE, &path(silence), None).await.0, StatusCode::NO_CONTENT);
}

/// Names of the events of violations with the host of each, in order.
async fn told(database: &Database) -> Vec<(String, String)> {
    let sql = "SELECT name, body FROM events WHERE topic = 'violations' ORDER BY event_id";
    let rows: Vec<(String, String)> = sqlx::query_as(sql).fetch_all(&mut database.connect().await).await.unwrap();
    let event = |(name, body): (String, String)| {
        let body: Value = serde_json::from_str(&body).unwrap();
        (name.trim_start_matches("violation.").to_owned(), body["host_id"].as_str().unwrap().to_owned())
    };
    rows.into_iter().map(event).collect()
}

fn events(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, host)| ((*name).to_owned(), (*host).to_owned())).collect()
}

#[tokio::test]
async fn what_opens_under_a_silence_is_announced_when_it_ends() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let at = |n: i64| now_ms() - 60_000 + 2_000 * n;
        // one is known before there is a silence
        backend.ingest(&[report("before", at(0), 0.9, &[])]).await;
        let silenced = create(&backend, &silence(json!({"labels": {"rack": "a*"}, "severity": "warning"}))).await;
        let hosts = ["stays", "closes"];
        backend.ingest(&hosts.map(|host| report(host, at(1), 0.9, &[]))).await;
        // opens and closes in one batch: is not announced in any case
        backend.ingest(&[report("short", at(1), 0.9, &[]), report("short", at(2), 0.1, &[])]).await;
        let expected = events(&[("opened", "before"), ("silenced", "stays"), ("silenced", "closes"), ("closed", "short")]);
        let sorted = |mut told: Vec<(String, String)>| {
            told[1..3].sort();
            told
        };
        assert_eq!(sorted(told(&database).await), sorted(expected.clone()));
        let open = backend.items("/violations?state=silenced").await;
        assert_eq!(open.len(), 3);
        for violation in &open {
            let expected = json!({"silence_id": silenced["id"], "until": silenced["ends_at"]});
            assert_eq!(violation["silenced"], expected, "{violation}");
            assert_eq!(violation["announced_at"].is_null(), violation["host_id"] != "before", "{violation}");
        }
        let machine = backend.items("/machines?q=stays").await.remove(0);
        assert_eq!(machine["open_violations"][0]["silenced"]["silence_id"], silenced["id"]);
        assert_eq!(machine["maintenance"], Value::Null);

        backend.ingest(&[report("closes", at(3), 0.1, &[])]).await;
        let closed = backend.items("/violations?host_id=closes").await.remove(0);
        assert_eq!(closed["silenced"], json!({"silence_id": silenced["id"], "until": closed["closed_at"]}));
        assert_eq!(closed["announced_at"], Value::Null);
        end(&backend, &silenced).await;
        eventually("the one that is left is announced", async || told(&database).await.len() > 5).await;
        assert_eq!(told(&database).await[4..], events(&[("closed", "closes"), ("opened", "stays")]));
        let stays = backend.items("/violations?host_id=stays").await.remove(0);
        assert_eq!(stays["silenced"], Value::Null);
        assert!(stays["announced_at"].as_str() > stays["detected_at"].as_str(), "{stays}");
        assert!(backend.items("/violations?state=silenced").await.is_empty());

        // what is announced is not announced again after another silence
        let again = create(&backend, &silence(json!({"kind": "host"}))).await;
        backend.ingest(&[report("late", at(4), 0.9, &[])]).await;
        end(&backend, &again).await;
        eventually("the new one is announced", async || told(&database).await.len() > 7).await;
        backend.ingest(&[report("stays", at(5), 0.1, &[]), report("late", at(5), 0.1, &[])]).await;
        let expected = events(&[("silenced", "late"), ("opened", "late"), ("closed", "late"), ("closed", "stays")]);
        let mut last = told(&database).await.split_off(6);
        last[2..].sort();
        assert_eq!(last, expected);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn two_backends_announce_once_and_restarts_announce_nothing() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let silenced = create(&backend, &silence(json!({"metric": "system.cpu.*"}))).await;
        let now = now_ms() - 60_000;
        let reports: Vec<_> = (0..250).map(|number| report(&format!("host-{number}"), now, 0.9, &[])).collect();
        backend.ingest(&reports).await;
        backend.stop().await;
        // both of them look at what waits when they start
        let backends = [Backend::start(&database).await, Backend::start(&database).await];
        backends[1].ingest(&[report("marker", now, 0.9, &[])]).await;
        let opened = async || {
            let told = told(&database).await;
            let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
            told.into_iter().for_each(|event| *counts.entry(event).or_default() += 1);
            counts
        };
        let names = async |name: &str| opened().await.keys().filter(|(found, _)| found == name).count();
        assert_eq!((names("silenced").await, names("opened").await), (251, 0));
        end(&backends[0], &silenced).await;
        eventually("all are announced", async || names("opened").await == 251).await;
        // a round later of both
        let another = create(&backends[0], &silence(json!({"host_id": "host-1"}))).await;
        backends[0].ingest(&[report("host-1", now + 2_000, 0.1, &[])]).await;
        backends[0].ingest(&[report("host-1", now + 4_000, 0.9, &[])]).await;
        end(&backends[1], &another).await;
        let both = ("opened".to_owned(), "host-1".to_owned());
        eventually("the last one is announced", async || opened().await[&both] == 2).await;
        let twice: Vec<_> = opened().await.into_iter().filter(|(event, count)| *count > 1 && event.1 != "host-1").collect();
        assert!(twice.is_empty(), "{twice:?}");
        for backend in backends {
            backend.stop().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_silence_that_ends_by_itself_announces_after_a_restart() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let ends_at = now_ms() + 4_000;
        let body = json!({"scope": {"host_id": "a"}, "ends_at": rfc3339(ends_at), "comment": "short"});
        create(&backend, &body).await;
        backend.ingest(&[report("a", now_ms(), 0.9, &[])]).await;
        backend.stop().await;
        let backend = Backend::start(&database).await;
        eventually("it is announced", async || told(&database).await.len() > 1).await;
        assert_eq!(told(&database).await, events(&[("silenced", "a"), ("opened", "a")]));
        let violation = backend.items("/violations").await.remove(0);
        assert!(violation["announced_at"].as_str().unwrap() >= &*rfc3339(ends_at), "{violation}");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn machines_are_under_maintenance() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms() - 20_000;
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.1)]), report("b", now, 0.1, &[])]).await;
        let mut body = silence(json!({"host_id": "a"}));
        body["kind"] = json!("maintenance");
        let maintenance = create(&backend, &body).await;
        let shown = async || {
            let machines = backend.items("/machines").await;
            let shown = |machine: &Value| (machine["name"].as_str().unwrap().to_owned(), machine["maintenance"].clone());
            machines.iter().map(shown).collect::<BTreeMap<_, _>>()
        };
        let expected = json!({"until": maintenance["ends_at"], "comment": "work on the rack"});
        let all = shown().await;
        assert_eq!([&all["a.example"], &all["web"], &all["b.example"]], [&expected, &expected, &Value::Null]);
        // by labels as rules see them, and not yet
        body["scope"] = json!({"labels": {"container.name": "we?", "rack": "a1"}});
        let (status, changed) = backend.call(Method::PUT, &path(&maintenance), Some(&body)).await;
        assert_eq!((status, &changed["version"]), (StatusCode::OK, &json!(2)));
        let all = shown().await;
        assert_eq!([&all["a.example"], &all["web"], &all["b.example"]], [&Value::Null, &expected, &Value::Null]);
        body["starts_at"] = json!(rfc3339(now_ms() + 60_000));
        let (_, changed) = backend.call(Method::PUT, &path(&maintenance), Some(&body)).await;
        assert_eq!((&changed["active_until"], &changed["next_start_at"]), (&Value::Null, &body["starts_at"]));
        let all = shown().await;
        assert_eq!(all["web"], Value::Null);
        let (_, one) = backend.get("/machines/1").await;
        assert_eq!(one["maintenance"], Value::Null);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn silences_are_made_changed_and_deleted_with_care() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
        let nightly = json!({
            "scope": {"machine_id": "1", "labels": {"rack": "a1"}, "metric": "system.*", "severity": "warning"},
            "cron": "* * * * *", "duration_seconds": 60, "tz": "Europe/Berlin", "comment": " backups ",
        });
        let url = format!("{}/api/v1/silences", backend.base);
        let response = backend.client.post(&url).header("X-Operator", "jana").json(&nightly).send().await.unwrap();
        assert_eq!((response.status(), response.headers()["etag"].to_str().unwrap()), (StatusCode::CREATED, "\"1\""));
        let location = response.headers()["location"].to_str().unwrap().to_owned();
        let made: Value = response.json().await.unwrap();
        let path = path(&made);
        assert_eq!(location, format!("/api/v1{path}"));
        let expected = json!({
            "id": made["id"], "version": 1, "kind": "silence",
            "scope": {"kind": null, "machine_id": "1", "host_id": null, "labels": {"rack": "a1"}, "metric": "system.*", "severity": "warning"},
            "starts_at": null, "ends_at": null, "cron": "* * * * *", "duration_seconds": 60, "tz": "Europe/Berlin", "comment": "backups",
            "created_at": made["created_at"], "created_by": "jana", "active_until": made["active_until"], "next_start_at": made["next_start_at"],
        });
        assert_eq!(made, expected);
        assert!(made["active_until"].as_str().unwrap() > &*rfc3339(now_ms()), "every minute for a minute is always");
        let (status, shown) = backend.get(&path).await;
        assert_eq!((status, &shown["comment"]), (StatusCode::OK, &json!("backups")));
        assert_eq!(backend.items("/silences").await.len(), 1);
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        backend.ingest(&[report("a", now_ms(), 0.9, &[])]).await;
        assert_eq!(backend.items("/violations?state=silenced").await[0]["silenced"]["silence_id"], made["id"]);
        assert_eq!(told(&database).await, events(&[("silenced", "a")]));

        // what was shown may be sent back
        let put = async |tag: &str, body: &Value| {
            let request = backend.client.put(format!("{url}/{}", made["id"].as_str().unwrap())).header("If-Match", tag);
            let response = request.json(body).send().await.unwrap();
            (response.status(), response.json::<Value>().await.unwrap())
        };
        let (status, changed) = put("\"1\"", &shown).await;
        assert_eq!((status, &changed["version"], &changed["created_by"]), (StatusCode::OK, &json!(2), &json!("jana")));
        assert_eq!(put("\"1\"", &nightly).await.0, StatusCode::PRECONDITION_FAILED);
        assert_eq!(put("*", &shown).await.0, StatusCode::PRECONDITION_FAILED, "it says that it knows version 1");
        let mut over = silence(json!({"kind": "host"}));
        (over["starts_at"], over["ends_at"]) = (json!("2026-01-01"), json!("2026-01-02"));
        let (status, ended) = put("\"2\"", &over).await;
        assert_eq!((status, &ended["active_until"], &ended["next_start_at"]), (StatusCode::OK, &Value::Null, &Value::Null));
        assert_eq!(ended["ends_at"], "2026-01-02T00:00:00.000Z");

        for (field, value, word) in [
            ("scope", json!({}), "nothing"),
            ("scope", json!({"machine_id": "99"}), "99"),
            ("scope", json!({"machine_id": "x"}), "x"),
            ("scope", json!({"metric": ""}), "metric"),
            ("scope", json!({"host_id": "x".repeat(129)}), "host_id"),
            ("scope", json!({"labels": {"": "x"}}), "labels"),
            ("scope", json!({"labels": (0..9).map(|n| (n.to_string(), "x".to_owned())).collect::<BTreeMap<_, _>>()}), "labels"),
            ("scope", json!({"rack": "a1"}), "rack"),
            ("kind", json!("holiday"), "holiday"),
            ("comment", json!(" "), "comment"),
            ("comment", json!("x".repeat(1_001)), "comment"),
            ("ends_at", json!("2026-01-01"), "ends_at"),
            ("ends_at", Value::Null, "ends_at"),
            ("ends_at", json!("soon"), "ends_at"),
            ("starts_at", json!("2999-01-01"), "ends_at"),
            ("cron", json!("0 2 * * *"), "duration_seconds"),
            ("duration_seconds", json!(60), "duration_seconds"),
            ("tz", json!("Mars/Base"), "tz"),
            ("id", json!("7"), "id"),
            ("colour", json!("red"), "colour"),
        ] {
            let mut body = silence(json!({"kind": "host"}));
            body[field] = value;
            let (status, problem) = backend.call(Method::POST, "/silences", Some(&body)).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(word), "{body}: {problem}");
        }
        for (cron, seconds, word) in
            [("0 0 30 2 *", 60, "ever"), ("every day", 60, "five"), ("0 2 * * *", 59, "59"), ("0 2 * * *", 604_801, "604801")]
        {
            let body = json!({"scope": {"kind": "host"}, "cron": cron, "duration_seconds": seconds, "comment": "x"});
            let (status, problem) = backend.call(Method::POST, "/silences", Some(&body)).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(word), "{body}: {problem}");
        }
        for field in ["metric", "severity"] {
            let mut body = silence(json!({"kind": "host", field: "warning"}));
            body["kind"] = json!("maintenance");
            assert_eq!(backend.call(Method::POST, "/silences", Some(&body)).await.0, StatusCode::UNPROCESSABLE_ENTITY);
        }
        end(&backend, &made).await;
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(backend.call(method, &path, None).await.0, StatusCode::NOT_FOUND);
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn there_are_so_many_and_those_that_ended_go_with_the_events() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms();
        let rows: Vec<_> =
            (1..SILENCES_MAX).map(|number| format!("(1, 'silence', '{{}}', 0, {}, 'x', 0)", now - 1_000 * number)).collect();
        let sql = format!(
            "INSERT INTO silences (version, kind, scope, starts_at, ends_at, comment, created_at) VALUES {}",
            rows.join(", ")
        );
        execute(&mut database.connect().await, &sql).await;
        create(&backend, &silence(json!({"kind": "host"}))).await;
        let (status, problem) = backend.call(Method::POST, "/silences", Some(&silence(json!({"kind": "host"})))).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
        backend.stop().await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let mut transaction = store.begin().await.unwrap();
        let removed = store::silences::remove_ended(&mut transaction, now - 10_000).await.unwrap();
        assert_eq!(removed.cast_signed(), SILENCES_MAX - 1 - 10, "what ended exactly then stays");
        assert_eq!(store::silences::count(&mut transaction).await.unwrap(), 11);
        drop(transaction);
        store.close().await;
    })
    .await;
}

#[tokio::test]
async fn silenced_ones_are_listed_by_pages() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let now = now_ms() - 60_000;
        let reports: Vec<_> = (0..40).map(|number| report(&format!("host-{number}"), now, 0.9, &[])).collect();
        backend.ingest(&reports).await;
        for number in 0..7 {
            create(&backend, &silence(json!({"host_id": format!("host-{}", 5 * number)}))).await;
        }
        let (mut seen, mut path) = (Vec::new(), "/violations?state=silenced&limit=3".to_owned());
        loop {
            let (_, page) = backend.get(&path).await;
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 3);
            seen.extend(items.iter().map(|item| item["host_id"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/violations?state=silenced&limit=3&cursor={cursor}");
        }
        seen.sort();
        let mut expected: Vec<_> = (0..7).map(|number| format!("host-{}", 5 * number)).collect();
        expected.sort();
        assert_eq!(seen, expected);
        let url = format!("{}/api/v1/violations?state=silenced", backend.base);
        let lines = backend.client.get(url).header("Accept", "application/x-ndjson").send().await.unwrap().text().await.unwrap();
        assert_eq!(lines.lines().count(), 7);
        assert_eq!(backend.get("/violations/counts?state=silenced").await.0, StatusCode::BAD_REQUEST);
        backend.stop().await;
    })
    .await;
}
