//! What one asks history over HTTP: several machines at once, answers that need not be sent again, exports, the greatest.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::history::{QUARTER_MS, seal};
use api_backend::store;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use support::{Backend, Database, now_ms, on_every_database, report};

const SERIES: &str = "/series?machine_id=1,3&metric=system.cpu.utilization,container.memory.utilization";

/// Two hosts with a container each and 3 hours of reports, a minute apart; the first two hours are sealed. Ids: 1 and 2, 3 and 4.
async fn room(database: &Database) -> (Backend, i64) {
    let backend = Backend::start(database).await;
    let begin = (now_ms() - 6 * 3_600_000) / QUARTER_MS * QUARTER_MS;
    for (host, load) in [("alpha", 0.2), ("beta", 0.4)] {
        let container = if host == "alpha" { "web" } else { "=db" };
        let value = |minute: i64| load + f64::from(i32::try_from(minute % 10).unwrap()) / 100.0;
        let reports: Vec<_> = (0..180)
            .map(|minute| report(host, begin + minute * 60_000, value(minute), &[(container, "running", load * 2.0)]))
            .collect();
        assert_eq!(backend.ingest(&reports).await.stored, 180);
    }
    let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
    for _ in 0..8 {
        for head in seal::due(&store, begin + 8 * QUARTER_MS).await.unwrap() {
            assert_eq!(seal::seal(&store, head).await.unwrap().reports, 15);
        }
    }
    store.close().await;
    (backend, begin)
}

fn range(begin: i64) -> String {
    format!("&from={}&to={}", api_backend::time::rfc3339(begin), api_backend::time::rfc3339(begin + 3 * 3_600_000))
}

#[tokio::test]
async fn several_machines_and_metrics_come_in_one_answer() {
    on_every_database(async |database| {
        let (backend, begin) = room(&database).await;
        let (status, body) = backend.get(&format!("{SERIES}{}&max_points=2", range(begin))).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let series = |machine: &str, metric: &str, min: f64, max: f64| {
            json!({"machine_id": machine, "metric": metric, "unit": "1", "device": null, "min": [min], "max": [max]})
        };
        let mut found: Vec<Value> = body["series"].as_array().unwrap().clone();
        for series in &mut found {
            assert!(series["t"].as_array().unwrap().len() <= 2, "{series}");
            assert_eq!(series["resolution_ms"].as_i64().unwrap() % QUARTER_MS, 0);
            // both points together
            for (name, fold) in [("min", f64::min as fn(f64, f64) -> f64), ("max", f64::max)] {
                let values = series[name].as_array().unwrap().iter().map(|value| value.as_f64().unwrap());
                series[name] = json!([values.reduce(fold).unwrap()]);
            }
            let series = series.as_object_mut().unwrap();
            series.remove("t");
            series.remove("resolution_ms");
            series.remove("avg");
        }
        let cpu = "system.cpu.utilization";
        assert_eq!(found, [series("1", cpu, 0.2, 0.29), series("3", cpu, 0.4, 0.49)]);

        for (path, status, part) in [
            ("/series?metric=a.b", 400, "machine_id"),
            ("/series?machine_id=1&metric=,", 400, "metric"),
            ("/series?machine_id=1,99&metric=a.b", 404, "99"),
            ("/machines/1/series?machine_id=1&metric=a.b", 400, "machine_id"),
            ("/series?machine_id=1&metric=a.b&max_points=1", 400, "max_points"),
            ("/series?machine_id=1&metric=a.b&max_points=10001", 400, "max_points"),
            ("/top?metric=a.b&to=2026-01-01", 400, "from"),
            ("/top?metric=a.b&by=sum", 400, "sum"),
            ("/top?metric=a.b&limit=1001", 400, "limit"),
            ("/top?metric=a.b&from=2020-01-01", 422, "400 days"),
        ] {
            let (found, body) = backend.call(reqwest::Method::GET, path, None).await;
            assert_eq!(found.as_u16(), status, "{path}: {body}");
            assert!(body["detail"].as_str().unwrap().contains(part), "{path}: {body}");
        }
        let many = |count: i32| (0..count).map(|_| "1").collect::<Vec<_>>().join(",");
        assert_eq!(backend.get(&format!("/series?metric=a.b&machine_id={}", many(100))).await.0, StatusCode::OK);
        assert_eq!(backend.get(&format!("/series?metric=a.b&machine_id={}", many(101))).await.0, StatusCode::BAD_REQUEST);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_not_sent_again_until_a_late_report_changes_it() {
    on_every_database(async |database| {
        let (backend, begin) = room(&database).await;
        let url = format!("{}/api/v1{SERIES}{}", backend.base, range(begin));
        let first = backend.client.get(&url).send().await.unwrap();
        assert_eq!(first.headers()[CACHE_CONTROL], "private, max-age=300");
        let tag = first.headers()[ETAG].clone();
        let again = async || backend.client.get(&url).header(IF_NONE_MATCH, &tag).send().await.unwrap();
        let same = again().await;
        assert_eq!((same.status(), same.headers()[ETAG].clone()), (StatusCode::NOT_MODIFIED, tag.clone()));
        assert_eq!(same.text().await.unwrap(), "");
        backend.ingest(&[report("beta", begin + 90_001, 0.9, &[])]).await;
        let changed = again().await;
        assert_eq!(changed.status(), StatusCode::OK);
        assert_ne!(changed.headers()[ETAG], tag);
        let newest = backend.client.get(format!("{}/api/v1{SERIES}", backend.base)).send().await.unwrap();
        assert_eq!(newest.headers()[CACHE_CONTROL], "private, no-cache");
        assert!(!newest.headers().contains_key(ETAG), "the next report changes it");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_export_has_every_sample_and_no_formula() {
    on_every_database(async |database| {
        let (backend, begin) = room(&database).await;
        let url = format!(
            "{}/api/v1/series?machine_id=3,4&metric=system.cpu.utilization,container.memory.utilization{}",
            backend.base,
            range(begin)
        );
        let export = async |url: &str| {
            let answer = backend.client.get(url).header(ACCEPT, "text/csv").send().await.unwrap();
            assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"series.csv\"");
            answer.text().await.unwrap()
        };
        let text = export(&url).await;
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines[0], lines.len()), ("machine_id,machine_name,metric,device,t,min,avg,max", 1 + 2 * 180));
        let time = |minute: i64| api_backend::time::rfc3339(begin + minute * 60_000);
        assert_eq!(lines[1], format!("3,beta.example,system.cpu.utilization,,{},0.4,0.4,0.4", time(0)));
        assert_eq!(lines[180], format!("3,beta.example,system.cpu.utilization,,{},0.49,0.49,0.49", time(179)));
        assert_eq!(lines[181], format!("4,'=db,container.memory.utilization,,{},0.8,0.8,0.8", time(0)));
        assert_eq!(export(&format!("{url}&max_points=2")).await.lines().count(), 1 + 2 * 2);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_greatest_now_and_over_a_range() {
    on_every_database(async |database| {
        let (backend, begin) = room(&database).await;
        let names = |body: &Value| {
            let items = body["items"].as_array().unwrap();
            items.iter().map(|item| format!("{} {}", item["machine_name"].as_str().unwrap(), item["max"])).collect::<Vec<_>>()
        };
        let top = async |query: &str| {
            let (status, body) = backend.get(&format!("/top?{query}")).await;
            assert_eq!(status, StatusCode::OK, "{query}: {body}");
            body
        };
        let over = range(begin);
        let body = top(&format!("metric=system.cpu.utilization{over}")).await;
        assert_eq!(names(&body), ["beta.example 0.49", "alpha.example 0.29"]);
        assert_eq!(
            (&body["unit"], &body["items"][0]["host_id"], &body["items"][0]["avg"]),
            (&json!("1"), &json!("beta"), &json!(0.445))
        );
        let least = top(&format!("metric=system.cpu.utilization{over}&order=least&by=max&limit=1")).await;
        assert_eq!(names(&least), ["alpha.example 0.29"]);
        assert_eq!(
            names(&top(&format!("metric=container.memory.utilization{over}&kind=container")).await),
            ["=db 0.8", "web 0.4"]
        );
        assert!(names(&top(&format!("metric=container.memory.utilization{over}&kind=host")).await).is_empty());
        let filesystem = top(&format!("metric=system.filesystem.utilization{over}&limit=1")).await;
        assert_eq!(filesystem["items"][0]["device"], "/");

        assert_eq!(
            names(&top("metric=system.cpu.utilization").await),
            ["beta.example 0.49", "alpha.example 0.29"],
            "they just came"
        );
        backend.ingest(&[report("alpha", now_ms(), 0.7, &[("web", "running", 0.1)])]).await;
        assert_eq!(names(&top("metric=system.cpu.utilization").await), ["alpha.example 0.7", "beta.example 0.49"]);
        assert_eq!(names(&top("metric=container.memory.utilization&order=least").await), ["web 0.1", "=db 0.8"]);
        backend.stop().await;
    })
    .await;
}
