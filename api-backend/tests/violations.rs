//! From a threshold to a violation and back, on every database, and how violations are asked for.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::history::{QUARTER_MS, seal};
use api_backend::store;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, cpu_rule, now_ms, on_every_database, report};

#[tokio::test]
async fn a_violation_opens_after_its_duration_and_closes_at_the_recovery_value() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[cpu_rule(0.8, 0.6, 4)]).await;
        let start = (now_ms() - 60_000) / 1_000 * 1_000;
        let at = |n: i64| start + 2_000 * n;
        // beyond at 1, back at 2, beyond from 3: open at 5 (4 s after 3), worse at 6, not recovered at 7, closed at 8
        for (n, cpu) in [0.1, 0.9, 0.8, 0.85, 0.9, 0.95, 0.99, 0.61, 0.6].into_iter().enumerate() {
            backend.ingest(&[report("a", at(i64::try_from(n).unwrap()), cpu, &[])]).await;
            let open = backend.items("/violations?state=open").await.len();
            assert_eq!(open, usize::from((5..=7).contains(&n)), "after {n}");
        }
        let violations = backend.items("/violations").await;
        assert_eq!(violations.len(), 1);
        let expected = json!({
            "id": violations[0]["id"], "machine_id": "1", "machine_name": "a.example", "host_id": "a", "host_name": "a.example", "kind": "host",
            "metric": "system.cpu.utilization", "device": null, "condition": "value", "direction": "above", "severity": "warning", "threshold_id": ids[0],
            "threshold_version": 1, "threshold_value": 0.8, "opened_at": api_backend::time::rfc3339(at(5)), "opened_value": 0.95, "peak_value": 0.99,
            "closed_at": api_backend::time::rfc3339(at(8)), "closed_value": 0.6, "close_reason": "recovered", "closed_version": 1, "cause": null,
            "detected_at": violations[0]["detected_at"], "acknowledged": null, "silenced": null, "announced_at": violations[0]["detected_at"],
        });
        assert_eq!(violations[0], expected);
        let (status, one) = backend.call(Method::GET, &format!("/violations/{}", expected["id"].as_str().unwrap()), None).await;
        assert_eq!((status, one), (StatusCode::OK, expected));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn devices_and_containers_violate_on_their_own() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let rule = |kind: &str, metric: &str| json!({"scope": {"kind": kind}, "metric": metric, "direction": "above", "value": 0.4, "severity": "critical"});
        backend.only_thresholds(&[rule("host", "system.filesystem.utilization"), rule("container", "container.memory.utilization")]).await;
        let now = now_ms() - 20_000;
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.5), ("job", "running", 0.5), ("idle", "running", 0.1)])]).await;
        let machine = backend.items("/machines?kind=host").await.remove(0);
        assert_eq!((&machine["open_violations"][0]["device"], &machine["open_violations"][0]["opened_value"]), (&json!("/"), &json!(0.5)));
        assert_eq!(backend.items("/violations?kind=container&state=open").await.len(), 2);
        assert_eq!(backend.items("/violations?host_id=a").await.len(), 3);
        // one stops, one leaves: both are over, for their reasons
        backend.ingest(&[report("a", now + 2_000, 0.1, &[("web", "exited", 0.0), ("idle", "running", 0.1)])]).await;
        let mut reasons: Vec<_> = backend
            .items("/violations?kind=container")
            .await
            .iter()
            .map(|one| (one["machine_name"].as_str().unwrap().to_owned(), one["close_reason"].as_str().unwrap().to_owned()))
            .collect();
        reasons.sort();
        assert_eq!(reasons, [("job".to_owned(), "gone".to_owned()), ("web".to_owned(), "stopped".to_owned())]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_backlog_may_open_a_violation_of_a_container_that_leaves_later_in_it() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let rule = json!({"scope": {"kind": "container"}, "metric": "container.memory.utilization", "direction": "above", "value": 0.4, "severity": "critical"});
        backend.only_thresholds(&[rule]).await;
        let at = |n: i64| now_ms() - 60_000 + 2_000 * n;
        let beyond = [("job", "running", 0.5)];
        backend.ingest(&[report("a", at(0), 0.1, &beyond), report("a", at(1), 0.1, &[])]).await;
        let violations = backend.items("/violations").await;
        let told: Vec<_> = violations.iter().map(|one| (one["machine_name"].as_str(), one["close_reason"].as_str())).collect();
        assert_eq!(told, [(Some("job"), Some("gone"))]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_container_that_ran_and_is_gone_is_missing_until_it_is_back() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let rule = |metric: &str| json!({"scope": {"kind": "container"}, "metric": metric, "direction": "above", "value": 0, "severity": "critical"});
        backend.only_thresholds(&[rule("container.missing"), rule("container.stopped")]).await;
        let now = now_ms() - 60_000;
        let told = async |state: &str| {
            let violations = backend.items(&format!("/violations?state={state}")).await;
            let text = |one: &Value, field: &str| one[field].as_str().unwrap_or("-").to_owned();
            let told = |one: &Value| [text(one, "machine_name"), text(one, "metric"), text(one, "close_reason")].join(" ");
            let mut told: Vec<_> = violations.iter().map(told).collect();
            told.sort();
            told
        };
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.5), ("job", "exited", 0.0)])]).await;
        assert_eq!(told("open").await, ["job container.stopped -"]);
        backend.ingest(&[report("a", now + 2_000, 0.1, &[])]).await;
        assert_eq!(told("open").await, ["web container.missing -"], "what did not run is not missing");
        // another backend knows it, too
        backend.stop().await;
        let backend = Backend::start(&database).await;
        backend.ingest(&[report("a", now + 4_000, 0.1, &[])]).await;
        assert_eq!(backend.items("/violations?state=open").await.len(), 1);
        backend.ingest(&[report("a", now + 6_000, 0.1, &[("web", "exited", 0.0)])]).await;
        let open = backend.items("/violations?state=open").await;
        assert_eq!((open.len(), &open[0]["metric"]), (1, &json!("container.stopped")));
        let closed = backend.items("/violations?metric=container.missing&state=closed").await;
        assert_eq!((&closed[0]["close_reason"], &closed[0]["closed_value"]), (&json!("recovered"), &json!(0.0)));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_container_of_which_only_late_reports_tell_is_not_missing_when_they_are_sealed() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let missing = json!({"scope": {"kind": "container"}, "metric": "container.missing", "direction": "above", "value": 0, "severity": "info"});
        backend.only_thresholds(&[missing]).await;
        let (web, ghost) = (("web", "running", 0.5), ("ghost", "running", 0.5));
        let start = now_ms() - 2 * QUARTER_MS - 60_000;
        backend.ingest(&[report("a", start, 0.1, &[web])]).await;
        backend.ingest(&[report("a", start - 2_000, 0.1, &[web, ghost])]).await;
        let later = start + 2 * QUARTER_MS;
        backend.ingest(&[report("a", later, 0.1, &[web])]).await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        for head in seal::due(&store, later).await.unwrap() {
            seal::seal(&store, head).await.unwrap();
        }
        let ghosts = backend.items("/machines?q=ghost&status=gone").await;
        assert_eq!((ghosts.len(), &ghosts[0]["state"]), (1, &json!("unknown")), "{ghosts:?}");
        backend.ingest(&[report("a", later + 2_000, 0.1, &[web])]).await;
        assert_eq!(backend.items("/violations").await, Vec::<Value>::new());
        // once it is seen in time it can be missing
        backend.ingest(&[report("a", later + 4_000, 0.1, &[web, ghost])]).await;
        backend.ingest(&[report("a", later + 6_000, 0.1, &[web])]).await;
        assert_eq!(backend.items("/violations?state=open").await[0]["machine_name"], "ghost");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_rule_that_goes_closes_what_it_opened_and_one_machine_may_have_its_own() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let now = now_ms() - 20_000;
        let both = |n: i64, cpu: f64| [report("a", now + 2_000 * n, cpu, &[]), report("b", now + 2_000 * n, cpu, &[])];
        backend.ingest(&both(0, 0.7)).await;
        assert_eq!(backend.items("/violations?state=open").await.len(), 2);
        let machine = backend.items("/machines?q=a.").await[0]["id"].clone();
        let mut own = cpu_rule(0.9, 0.9, 0);
        own["scope"] = json!({"machine_id": machine});
        let (status, own) = backend.call(Method::POST, "/thresholds", Some(&own)).await;
        assert_eq!((status, &own["scope"]["kind"]), (StatusCode::CREATED, &json!("host")));
        let path = format!("/machines/{}/thresholds", machine.as_str().unwrap());
        let in_force = backend.items(&path).await;
        assert_eq!((in_force.len(), &in_force[0]["origin"], &in_force[0]["value"]), (1, &json!("machine"), &json!(0.7)));
        backend.ingest(&both(1, 0.7)).await;
        let open = backend.items("/violations?state=open").await;
        assert_eq!((open.len(), &open[0]["host_id"]), (1, &json!("b")));
        assert_eq!(backend.items("/violations?state=closed").await[0]["close_reason"], "threshold_changed");
        assert_eq!(backend.call(Method::DELETE, &format!("/thresholds/{}", ids[0]), None).await.0, StatusCode::NO_CONTENT);
        backend.ingest(&both(2, 0.7)).await;
        assert!(backend.items("/violations?state=open").await.is_empty());
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn thresholds_are_created_changed_and_deleted_with_care() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        assert!(backend.items("/thresholds").await.len() >= 4, "defaults exist from the first start");
        backend.only_thresholds(&[]).await;
        let call = async |method, path: &str, body: &Value| backend.call(method, path, Some(body)).await;
        let (status, rule) = call(Method::POST, "/thresholds", &cpu_rule(0.5, 0.4, 10)).await;
        assert_eq!((status, &rule["recovery_value"], &rule["enabled"]), (StatusCode::CREATED, &json!(0.4), &json!(true)));
        let path = format!("/thresholds/{}", rule["id"].as_str().unwrap());
        assert_eq!(call(Method::POST, "/thresholds", &cpu_rule(0.6, 0.4, 10)).await.0, StatusCode::CONFLICT);
        let url = format!("{}/api/v1{path}", backend.base);
        let response = backend.client.get(&url).send().await.unwrap();
        assert_eq!(response.headers()["etag"], "\"1\"");
        let put = async |tag: &str, value: f64| {
            let mut changed = rule.clone();
            changed["value"] = json!(value);
            backend.client.put(&url).header("If-Match", tag).json(&changed).send().await.unwrap()
        };
        let response = put("\"1\"", 0.7).await;
        assert_eq!((response.status(), response.headers()["etag"].to_str().unwrap()), (StatusCode::OK, "\"2\""));
        assert_eq!(put("\"1\"", 0.8).await.status(), StatusCode::PRECONDITION_FAILED);
        assert_eq!(backend.call(Method::GET, &path, None).await.1["value"], 0.7);
        for (field, value) in [("metric", json!("system.memory.utilization")), ("direction", json!("below"))] {
            let mut other = rule.clone();
            (other[field], other["version"]) = (value, Value::Null);
            other["recovery_value"] = other["value"].clone();
            assert_eq!(call(Method::PUT, &path, &other).await.0, StatusCode::UNPROCESSABLE_ENTITY, "{other}");
        }

        let mut wrong = Vec::new();
        for (field, value) in [
            ("scope", json!({})),
            ("scope", json!({"machine_id": "4711"})),
            ("scope", json!({"machine_id": "x"})),
            ("scope", json!({"kind": "host", "labels": {"": "a1"}})),
            ("scope", json!({"machine_id": "1", "labels": {"rack": "a1"}})),
            ("condition", json!("change")),
            ("window_seconds", json!(60)),
            ("scope", json!({"kind": "rack"})),
            ("metric", json!("cpu")),
            ("metric", json!("container.cpu.usage")),
            ("direction", json!("over")),
            ("value", json!("much")),
            ("recovery_value", json!(0.6)),
            ("for_seconds", json!(-1)),
            ("for_seconds", json!(86_401)),
            ("severity", json!("fatal")),
            ("colour", json!("red")),
        ] {
            let mut rule = cpu_rule(0.5, 0.4, 10);
            rule[field] = value;
            let (status, problem) = call(Method::POST, "/thresholds", &rule).await;
            assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{rule}: {problem}");
            wrong.push(problem["detail"].as_str().unwrap().to_owned());
        }
        assert!(wrong.iter().all(|detail| !detail.is_empty()));
        assert_eq!(backend.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
        for method in [Method::GET, Method::DELETE] {
            assert_eq!(backend.call(method, &path, None).await.0, StatusCode::NOT_FOUND);
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn violations_are_found_by_date_in_any_zone() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        // from the 10th 23:00 to the 11th 01:00 UTC, and one an hour for ten hours afterwards
        let midnight = 1_791_676_800_000; // 2026-10-11T00:00:00Z
        let hour = 3_600_000;
        backend.ingest(&[report("a", midnight - hour, 0.9, &[])]).await;
        backend.ingest(&[report("a", midnight + hour, 0.1, &[])]).await;
        for n in 0..10 {
            backend.ingest(&[report("a", midnight + (n + 2) * hour, 0.9, &[])]).await;
            backend.ingest(&[report("a", midnight + (n + 2) * hour + 60_000, 0.1, &[])]).await;
        }
        let count = async |query: &str| backend.items(&format!("/violations?{query}")).await.len();
        assert_eq!(count("").await, 11);
        assert_eq!(count("from=2026-10-10&to=2026-10-11&tz=UTC").await, 1);
        assert_eq!(count("from=2026-10-11&to=2026-10-12&tz=UTC").await, 11, "the first was still open");
        assert_eq!(count("from=2026-10-11&to=2026-10-12&tz=Asia/Seoul").await, 11);
        assert_eq!(count("from=2026-10-12&to=2026-10-13&tz=Asia/Seoul").await, 0);
        assert_eq!(count("from=2026-10-11T02:00:00Z&to=2026-10-11T02:00:01Z").await, 1);
        assert_eq!(count("from=2026-10-11T11:00:00%2B09:00&to=2026-10-11T12:00:00%2B09:00").await, 1);
        assert_eq!(count("from=2026-10-11T01:00:00Z&to=2026-10-11T02:00:00Z").await, 1, "closed at the very start");
        assert_eq!(count("metric=system.cpu.utilization&severity=warning&machine_id=1").await, 11);
        assert_eq!(count("severity=critical").await, 0);
        let (mut seen, mut path) = (Vec::new(), "/violations?limit=4".to_owned());
        loop {
            let (_, page) = backend.call(Method::GET, &path, None).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|one| one["opened_at"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/violations?limit=4&cursor={cursor}");
        }
        let mut sorted = seen.clone();
        sorted.sort_by(|one, other| other.cmp(one));
        sorted.dedup();
        assert_eq!((seen.len(), &seen), (11, &sorted), "newest first, each once");

        let url = format!("{}/api/v1/violations", backend.base);
        let response = backend.client.get(url).header("Accept", "text/csv").send().await.unwrap();
        assert!(response.headers()["content-type"].to_str().unwrap().starts_with("text/csv"));
        let text = response.text().await.unwrap();
        assert_eq!(text.lines().count(), 12);
        assert!(text.lines().next().unwrap().starts_with("id,machine_id,machine_name"));
        for (format, lines, first) in [("csv", 12, "id,machine_id"), ("ndjson", 11, "{\"id\":")] {
            let url = format!("{}/api/v1/violations?format={format}", backend.base);
            let response = backend.client.get(url).header("Accept", "text/html").send().await.unwrap();
            let name = response.headers()["content-disposition"].to_str().unwrap().to_owned();
            let text = response.text().await.unwrap();
            assert!(name.contains(&format!("violations.{format}")), "{name}");
            assert_eq!((text.lines().count(), text.starts_with(first)), (lines, true), "{text}");
        }
        let compressed = backend.client.get(format!("{}/api/v1/violations?format=csv", backend.base));
        let compressed = compressed.header("Accept-Encoding", "gzip").send().await.unwrap();
        assert_eq!(compressed.headers()["content-encoding"], "gzip");
        assert!(!compressed.bytes().await.expect("browsers get it to its end").is_empty());
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn bad_questions_get_a_problem_that_says_what_was_wrong() {
    let database = support::Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
    for (path, status, word) in [
        ("/violations?from=2026-10-12&to=2026-10-11", 400, "not before"),
        ("/violations?from=2026-10-11&to=2026-10-11", 400, "not before"),
        ("/violations?from=yesterday", 400, "yesterday"),
        ("/violations?to=2026-13-01", 400, "2026-13-01"),
        ("/violations?from=2026-10-11&tz=Mars/Base", 400, "Mars/Base"),
        ("/violations?form=2026-10-11", 400, "form"),
        ("/violations?state=ajar", 400, "ajar"),
        ("/violations?format=xlsx", 400, "xlsx"),
        ("/violations?severity=fatal", 400, "fatal"),
        ("/violations?cursor=x", 400, "cursor"),
        ("/violations?limit=0", 400, "limit"),
        ("/violations?limit=1001", 400, "limit"),
        ("/violations?limit=many", 400, "limit"),
        ("/violations/7", 404, "7"),
        ("/machines?status=sleepy", 400, "sleepy"),
        ("/machines?kind=rack", 400, "rack"),
        ("/machines/x", 404, "x"),
        ("/machines/99", 404, "99"),
        ("/machines/%FF", 400, "UTF-8"),
        ("/machines/1/series?metric=a.b&from=2999-01-01", 400, "not before"),
        ("/machines/99/series?metric=system.cpu.utilization", 404, "99"),
        ("/machines/1/series", 400, "metric"),
        ("/machines/1/series?metric=,", 400, "metric"),
        ("/machines/1/series?metric=a.b&max_points=1", 400, "max_points"),
        ("/machines/1/series?metric=a.b&max_points=10001", 400, "max_points"),
        ("/machines/1/series?metric=a.b&from=2026-10-12&to=2026-10-11", 400, "not before"),
        ("/machines/1/thresholds/2", 404, "nothing"),
        ("/stream?topics=gossip", 400, "gossip"),
        ("/stream?last_event_id=x", 400, "Last-Event-ID"),
        ("/nothing", 404, "/nothing"),
    ] {
        let (found, problem) = backend.call(Method::GET, path, None).await;
        assert_eq!(found.as_u16(), status, "{path}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{path}: {problem}");
    }
    assert_eq!(backend.call(Method::DELETE, "/machines", None).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let (status, answer) = backend.call(Method::GET, "/machines/1/series?metric=no.such.metric", None).await;
    assert_eq!((status, answer), (StatusCode::OK, json!({"series": []})));
    backend.stop().await;
}

#[tokio::test]
async fn series_come_in_buckets_with_least_mean_and_greatest() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = 1_791_676_800_000;
        let reports: Vec<_> = (0..700)
            .map(|n| {
                report("a", start + 2_000 * n, f64::from(i32::try_from(n % 10).unwrap()) / 10.0, &[("web", "running", 0.25)])
            })
            .collect();
        backend.ingest(&reports).await;
        let get = async |path: &str| backend.call(Method::GET, path, None).await.1["series"].clone();
        let range = "from=2026-10-11T00:00:00Z&to=2026-10-11T00:23:20Z";
        let all = get(&format!("/machines/1/series?metric=system.cpu.utilization&{range}")).await;
        assert_eq!(
            (all[0]["t"].as_array().unwrap().len(), &all[0]["resolution_ms"], &all[0]["unit"]),
            (700, &json!(2000), &json!("1"))
        );
        assert_eq!(all[0]["t"][1], start + 2_000);
        let few =
            get(&format!("/machines/1/series?metric=system.cpu.utilization,system.filesystem.utilization&{range}&max_points=71"))
                .await;
        assert_eq!(
            (&few[0]["resolution_ms"], &few[0]["min"][3], &few[0]["max"][3], &few[0]["avg"][3]),
            (&json!(20_000), &json!(0.0), &json!(0.9), &json!(0.45))
        );
        assert_eq!((&few[1]["device"], &few[1]["avg"][0]), (&json!("/"), &json!(0.5)));
        assert_eq!(
            get(&format!("/machines/1/series?metric=system.filesystem.utilization&device=/data&{range}")).await,
            json!([])
        );
        let container = get(&format!("/machines/2/series?metric=container.memory.utilization&{range}")).await;
        assert_eq!((container[0]["t"].as_array().unwrap().len(), &container[0]["device"]), (700, &Value::Null));
        backend.stop().await;
    })
    .await;
}
