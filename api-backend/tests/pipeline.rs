//! What the pipeline's calls say of reports that came, came twice, came late, were refused or never came, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::ledger::Gap;
use api_backend::store::{self, ledger::RECENT_ROWS};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, now_ms, on_every_database, report};
use wire_model::{HostReport, Removed, ReportId};

const HOUR_MS: i64 = 3_600_000;

/// A report of an epoch, so many seconds after `start`.
fn numbered(host: &str, start: i64, epoch: u64, seq: u64, seconds: i64) -> HostReport {
    HostReport { epoch, seq, ..report(host, start + seconds * 1_000, 0.1, &[]) }
}

/// Counts in the order of the words: expected, stored, late, duplicate, rejected, thinned, dropped, damaged, lost.
fn counts(line: &Value) -> [i64; 9] {
    ["expected", "stored", "late", "duplicate", "rejected", "thinned", "dropped", "damaged", "lost"]
        .map(|word| line[word].as_i64().unwrap())
}

async fn totals(backend: &Backend) -> [i64; 9] {
    let (status, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    counts(&body["ledger"]["totals"])
}

#[tokio::test]
async fn every_missing_report_is_counted_by_its_kind_and_hour_and_named() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        // two minutes before a full hour
        let start = now_ms() / HOUR_MS * HOUR_MS - HOUR_MS - 120_000;
        let thinned = Removed { thinned: 8, ..Removed::default() };
        backend.ingest(&[numbered("a", start, 1, 1, 2), numbered("a", start, 1, 2, 4)]).await;
        backend.ingest(&[HostReport { removed: thinned, ..numbered("a", start, 1, 12, 240) }]).await;
        // the next start of the collector: two of the epoch before and the first of this one never came
        let next = HostReport { previous: Some(ReportId { epoch: 1, seq: 14 }), ..numbered("a", start, 2, 2, 250) };
        backend.ingest(&[next]).await;
        assert_eq!(totals(&backend).await, [16, 4, 0, 0, 0, 8, 0, 0, 4]);

        let (_, body) = backend.call(Method::GET, "/machines/1/pipeline", None).await;
        let hours: Vec<_> = body["ledger"]["hours"].as_array().unwrap().iter().map(counts).collect();
        // 3 to 11 lie between 4 s and 240 s, every 23.6 s: the lost one first, and three of the thinned ones before the full hour
        assert_eq!(hours, [[6, 2, 0, 0, 0, 3, 0, 0, 1], [10, 2, 0, 0, 0, 5, 0, 0, 3]]);
        assert_eq!(body["position"], json!({"epoch": 2, "seq": 2}));
        let gaps: Vec<_> = body["gaps"]["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|gap| {
                (
                    gap["epoch"].as_i64().unwrap(),
                    gap["from_seq"].as_i64().unwrap(),
                    gap["to_seq"].as_i64().unwrap(),
                    gap["thinned"].as_i64().unwrap(),
                    gap["lost"].as_i64().unwrap(),
                )
            })
            .collect();
        assert_eq!(gaps, [(2, 1, 1, 0, 1), (1, 13, 14, 0, 2), (1, 3, 11, 8, 1)]);
        // page by page
        let mut paged = Vec::new();
        let mut path = "/machines/1/pipeline?limit=1".to_owned();
        loop {
            let (_, page) = backend.call(Method::GET, &path, None).await;
            paged.extend(page["gaps"]["items"].as_array().unwrap().clone());
            let Some(cursor) = page["gaps"]["next_cursor"].as_str() else { break };
            path = format!("/machines/1/pipeline?limit=1&cursor={cursor}");
        }
        assert_eq!(&paged, body["gaps"]["items"].as_array().unwrap());

        // one of the lost ones comes after all, and one that was thinned only after Kafka had it
        backend.ingest(&[numbered("a", start, 1, 13, 242), numbered("a", start, 1, 5, 50)]).await;
        assert_eq!(totals(&backend).await, [16, 6, 2, 0, 0, 7, 0, 0, 3]);
        backend.ingest(&[numbered("a", start, 1, 13, 242), numbered("a", start, 1, 5, 50)]).await;
        assert_eq!(totals(&backend).await, [16, 6, 2, 2, 0, 7, 0, 0, 3]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn rejected_reports_are_counted_once_under_their_host_or_under_none() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 600_000;
        let post = async |records: Value| {
            let (status, receipt) = backend.ingest_raw(&json!({"topic": "t", "partition": 3, "records": records})).await;
            assert_eq!(status, StatusCode::OK, "{receipt}");
            let offsets = receipt["rejected"].as_array().unwrap().iter().map(|one| one["offset"].as_i64().unwrap()).collect::<Vec<_>>();
            (receipt["stored"].as_i64().unwrap(), receipt["duplicate"].as_i64().unwrap(), offsets)
        };
        // of a host that is not known yet, and of nobody: no host comes of it
        let unread = |seq: u64| json!({"schema": 2, "host": {"id": "a"}, "epoch": 1, "seq": seq, "at": start});
        assert_eq!(post(json!([{"offset": 1, "report": unread(1)}, {"offset": 2, "report": 7}])).await, (0, 0, vec![1, 2]));
        assert!(backend.items("/machines").await.is_empty());
        assert_eq!(totals(&backend).await, [2, 0, 0, 0, 2, 0, 0, 0, 0]);
        // it becomes known: 3 is skipped, 4 has a time that is taken and gets the next one, 5 is of another schema
        let reports = json!([
            {"offset": 3, "report": numbered("a", start, 1, 2, 2)}, {"offset": 4, "report": numbered("a", start, 1, 4, 2)},
            {"offset": 5, "report": unread(5)}, {"offset": 6, "report": numbered("a", start, 1, 6, 6)},
        ]);
        assert_eq!(post(reports.clone()).await, (3, 0, vec![5]));
        assert_eq!(totals(&backend).await, [7, 3, 0, 0, 3, 0, 0, 0, 1]);
        // all of it once more, and it is rejected once more: the consumer may not have written it down
        assert_eq!(post(json!([{"offset": 1, "report": unread(1)}, {"offset": 2, "report": 7}])).await, (0, 0, vec![1, 2]));
        assert_eq!(post(reports).await, (0, 3, vec![5]));
        assert_eq!(totals(&backend).await, [7, 3, 0, 6, 3, 0, 0, 0, 1]);
        // a newer version reads what this one could not
        let again = json!([{"offset": 90, "report": numbered("a", start, 1, 5, 5)}]);
        assert_eq!(post(again.clone()).await, (1, 0, vec![]));
        assert_eq!(post(again).await, (0, 1, vec![]));
        assert_eq!(totals(&backend).await, [7, 4, 1, 7, 2, 0, 0, 0, 1]);

        // something that the database does not take
        let at = start + 8_000;
        let sql = format!(
            "INSERT INTO violations (machine_id, machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, \
             threshold_value, opened_at, opened_value, peak_value, detected_at) \
             VALUES (1, 'a', 'a', 'a', 'host', 'x.y', '', 'above', 'info', {}, 0, {at}, 0, 0, 0)",
            ids[0]
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
        let mut refused = numbered("a", start, 1, 7, 8);
        refused.metrics.insert("system.cpu.utilization".to_owned(), Some(0.9));
        let records = json!([
            {"offset": 91, "report": refused}, {"offset": 92, "report": numbered("a", start, 1, 8, 10)}, {"offset": 93, "report": 7},
        ]);
        assert_eq!(post(records.clone()).await, (1, 0, vec![91, 93]));
        assert_eq!(totals(&backend).await, [10, 5, 1, 7, 4, 0, 0, 0, 1]);
        // as history it opens nothing, so that nothing is in its way any more
        assert_eq!(post(records).await, (1, 1, vec![93]));
        assert_eq!(totals(&backend).await, [10, 6, 2, 9, 3, 0, 0, 0, 1]);
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        assert_eq!((&body["status"], &body["hops"]["backend_and_database"]["status"]), (&json!("losing"), &json!("losing")), "{body}");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn consumers_say_how_far_behind_they_are() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        assert_eq!((&body["status"], &body["summary"]), (&json!("behind"), &json!("nothing heard of any consumer yet")));
        let now = now_ms();
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.1)])]).await;
        let status = |waiting_since: Option<i64>, to_offset: i64| {
            json!({
                "consumer": "consumer-1", "group": "g", "version": "0.1.0", "topic": "server-metrics", "dead_letters": 2,
                "partitions": [
                    {"partition": 0, "position": 41, "end_offset": 41, "waiting_since": null},
                    {"partition": 3, "position": 100, "end_offset": 1_304, "waiting_since": waiting_since},
                    {"partition": 4, "position": 7, "end_offset": null, "waiting_since": null},
                ],
                "skipped": [{"partition": 0, "from_offset": 3, "to_offset": to_offset}],
            })
        };
        let post = async |body: &Value| backend.call(Method::POST, "/pipeline/consumers", Some(body)).await;
        for to_offset in [8, 8] {
            assert_eq!(post(&status(None, to_offset)).await.0, StatusCode::NO_CONTENT);
        }
        // one that has grown is new
        support::execute(&mut database.connect().await, "UPDATE skipped_records SET detected_at = 1").await;
        assert_eq!(post(&status(None, 8)).await.0, StatusCode::NO_CONTENT);
        assert_eq!(backend.call(Method::GET, &support::fresh_pipeline(), None).await.1["skipped"], json!([]));
        for to_offset in [9, 9, 8] {
            assert_eq!(post(&status(None, to_offset)).await.0, StatusCode::NO_CONTENT);
        }
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        let skipped = body["skipped"].as_array().unwrap();
        assert_eq!((skipped.len(), &skipped[0]["from_offset"], &skipped[0]["to_offset"]), (1, &json!(3), &json!(9)), "{body}");
        assert_eq!(body["dead_letters"][0]["records"], 2);
        assert_eq!(body["summary"], "6 records were gone from Kafka before they could be read", "{body}");
        let lags: Vec<_> = body["partitions"].as_array().unwrap().iter().map(|row| row["lag_records"].clone()).collect();
        assert_eq!(lags, [json!(0), json!(1_204), Value::Null]);
        assert_eq!(post(&status(Some(now - 62_000), 9)).await.0, StatusCode::NO_CONTENT);
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        let words = body["hops"]["kafka_and_consumers"]["summary"].as_str().unwrap().to_owned();
        assert!(words.contains("consumer group: partition 3 is 1,204 records, 6"), "{words}");
        let lag = body["partitions"][1]["lag_seconds"].as_f64().unwrap();
        assert!((62.0..70.0).contains(&lag), "{lag}");

        // nobody speaks of it any more
        let minutes_ago = |minutes: i64| now_ms() - minutes * 60_000;
        let age = async |minutes: i64, which: &str| {
            let sql = format!("UPDATE consumer_partitions SET updated_at = {} WHERE {which}", minutes_ago(minutes));
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
        };
        age(2, "partition_number = 4").await;
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        assert!(body["summary"].as_str().unwrap().contains("nothing heard of partition 4 for 12"), "{body}");
        assert_eq!(body["partitions"][2]["is_stale"], true);
        age(11, "partition_number = 4").await;
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        assert_eq!(body["partitions"].as_array().unwrap().len(), 2, "{body}");
        age(90, "partition_number <> 4").await;
        age(95, "partition_number = 4").await;
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        assert_eq!(body["partitions"].as_array().unwrap().len(), 3, "the last that was heard: {body}");
        assert!(body["summary"].as_str().unwrap().contains("nothing heard of any consumer for 5,40"), "{body}");

        for (wrong, status) in [
            (json!({"consumer": "c"}), StatusCode::UNPROCESSABLE_ENTITY),
            (json!({"consumer": "", "group": "g", "version": "1", "topic": "t", "partitions": [], "skipped": [], "dead_letters": null}), StatusCode::UNPROCESSABLE_ENTITY),
        ] {
            assert_eq!(post(&wrong).await.0, status, "{wrong}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn only_who_may_speaks_of_consumers_and_in_bounded_bodies() {
    const STATUS_BYTES: usize = 4 * 1024 * 1024;
    let database = support::Database::sqlite();
    let backend = Backend::start_with(&database, &["--ingest-token=in", "--api-token=user"]).await;
    let post = async |token: &str, kind: &str, body: Vec<u8>| {
        let request = backend.client.post(format!("{}/api/v1/pipeline/consumers", backend.base)).bearer_auth(token);
        request.header("Content-Type", kind).body(body).send().await.unwrap().status()
    };
    let body = |bytes: usize| {
        let status = json!({
            "consumer": "c", "group": "g", "version": "1", "topic": "t", "partitions": [], "skipped": [], "dead_letters": null,
        });
        let mut body = status.to_string().into_bytes();
        body.resize(bytes, b' ');
        body
    };
    assert_eq!(post("user", "application/json", body(300)).await, StatusCode::UNAUTHORIZED);
    assert_eq!(post("in", "text/plain", body(300)).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (bytes, status) in [
        (STATUS_BYTES - 1, StatusCode::NO_CONTENT),
        (STATUS_BYTES, StatusCode::NO_CONTENT),
        (STATUS_BYTES + 1, StatusCode::PAYLOAD_TOO_LARGE),
    ] {
        assert_eq!(post("in", "application/json", body(bytes)).await, status, "{bytes}");
    }
    let get = async |token: &str| {
        backend.client.get(format!("{}/api/v1/pipeline", backend.base)).bearer_auth(token).send().await.unwrap().status()
    };
    assert_eq!((get("in").await, get("user").await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    backend.stop().await;
}

#[tokio::test]
async fn ranges_are_bounded_and_containers_are_sent_to_their_host() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let mut own = report("a", now_ms(), 0.1, &[("web", "running", 0.1)]);
        own.host.collector = Some("0.2.0".to_owned());
        own.metrics.insert("collector.spool.usage".to_owned(), Some(512.0));
        backend.ingest(&[own]).await;
        let check = async |path: &str, expected: StatusCode| {
            let (status, body) = backend.call(Method::GET, path, None).await;
            assert_eq!(status, expected, "{path}: {body}");
            body
        };
        let day = |days: i64| {
            format!("from=2026-01-01T00:00:00Z&to={}", api_backend::time::rfc3339(1_767_225_600_000 + days * 86_400_000))
        };
        for (path, longest) in [("/pipeline", 31), ("/machines/1/pipeline", 400)] {
            check(&format!("{path}?{}", day(longest - 1)), StatusCode::OK).await;
            check(&format!("{path}?{}", day(longest)), StatusCode::OK).await;
            check(&format!("{path}?{}", day(longest + 1)), StatusCode::BAD_REQUEST).await;
            check(&format!("{path}?from=2026-01-02&to=2026-01-01"), StatusCode::BAD_REQUEST).await;
            check(&format!("{path}?from=2026-01-01&to=2026-01-02&tz=Asia/Seoul"), StatusCode::OK).await;
            check(&format!("{path}?frm=2026-01-02"), StatusCode::BAD_REQUEST).await;
        }
        let body = check("/machines/1/pipeline", StatusCode::OK).await;
        assert_eq!(body["collector"], json!({"version": "0.2.0", "metrics": {"collector.spool.usage": 512.0}}));
        let problem = check("/machines/2/pipeline", StatusCode::BAD_REQUEST).await;
        assert!(problem["detail"].as_str().unwrap().contains("is a container"), "{problem}");
        check("/machines/3/pipeline", StatusCode::NOT_FOUND).await;
        check("/machines/x/pipeline", StatusCode::NOT_FOUND).await;
        check("/machines/1/pipeline?cursor=x", StatusCode::BAD_REQUEST).await;
        for (limit, status) in [(0, StatusCode::BAD_REQUEST), (1_000, StatusCode::OK), (1_001, StatusCode::BAD_REQUEST)] {
            check(&format!("/machines/1/pipeline?limit={limit}"), status).await;
        }
        let host = check("/pipeline", StatusCode::OK).await["hosts"][0].clone();
        assert_eq!(
            (&host["machine_id"], &host["host_name"], &host["spool_bytes"]),
            (&json!("1"), &json!("a.example"), &json!(512.0))
        );
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_rejected_is_counted_once_in_batches_of_any_size() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 600_000;
        let unread = |host: &str, epoch: u64, seq: u64| json!({"schema": 2, "host": {"id": host}, "epoch": epoch, "seq": seq, "at": start});
        let post = async |records: Vec<Value>| {
            let (status, receipt) = backend.ingest_raw(&json!({"topic": "t", "partition": 3, "records": records})).await;
            assert_eq!(status, StatusCode::OK, "{receipt}");
        };
        // a thousand of a known host, of as many epochs, and of nobody
        backend.ingest(&[numbered("a", start, 1, 1, 2)]).await;
        let records = |offset: u64| {
            let body = |n: u64| match n % 3 {
                0 => unread("a", 1, 2 + n / 3),
                1 => unread("a", 1_000 + n, 1),
                _ => unread("b", 1, n),
            };
            (0..1_000).map(|n| json!({"offset": offset + n, "report": body(n)})).collect::<Vec<_>>()
        };
        post(records(0)).await;
        assert_eq!(totals(&backend).await, [1_001, 1, 0, 0, 1_000, 0, 0, 0, 0]);
        post(records(0)).await;
        assert_eq!(totals(&backend).await, [1_001, 1, 0, 1_000, 1_000, 0, 0, 0, 0]);
        // at other offsets those of nobody are others
        post(records(5_000)).await;
        assert_eq!(totals(&backend).await, [1_334, 1, 0, 1_667, 1_333, 0, 0, 0, 0]);
        // one that was stored, and that a newer version does not take
        post(vec![json!({"offset": 9_000, "report": {"schema": 2, "host": {"id": "a"}, "epoch": 1, "seq": 1, "at": start + 2_000}})]).await;
        assert_eq!(totals(&backend).await, [1_334, 1, 0, 1_668, 1_333, 0, 0, 0, 0]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_collector_that_lost_its_folder_is_counted_anew() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 3 * HOUR_MS;
        let unread = |seq: u64| json!({"schema": 2, "host": {"id": "a"}, "epoch": 1, "seq": seq, "at": start + 12_000});
        backend.ingest(&[numbered("a", start, 1, 1, 2), numbered("a", start, 1, 5, 10)]).await;
        backend.ingest_raw(&json!({"topic": "t", "partition": 0, "records": [{"offset": 50, "report": unread(6)}]})).await;
        backend.ingest(&[numbered("a", start, 1, 7, 7_200)]).await;
        assert_eq!(totals(&backend).await, [7, 3, 0, 0, 1, 0, 0, 0, 3]);
        // 2 of it comes first; 1 comes late, 3 and 6 are neither the lost one nor the rejected one of before
        backend.ingest(&[numbered("a", start, 1, 2, 7_220)]).await;
        backend
            .ingest(&[numbered("a", start, 1, 1, 7_218), numbered("a", start, 1, 3, 7_222), numbered("a", start, 1, 6, 7_228)])
            .await;
        assert_eq!(totals(&backend).await, [13, 7, 1, 0, 1, 0, 0, 0, 5]);
        let (_, body) = backend.call(Method::GET, "/machines/1/pipeline", None).await;
        assert_eq!(body["position"], json!({"epoch": 1, "seq": 6}));
        let gaps: Vec<_> =
            body["gaps"]["items"].as_array().unwrap().iter().map(|gap| (gap["from_seq"].clone(), gap["lost"].clone())).collect();
        assert_eq!(gaps, [(json!(4), json!(2)), (Value::Null, json!(3))]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn every_collector_that_is_behind_is_counted() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms();
        let at = |n: i64| report(&format!("host-{n:02}"), now - 60_000 - n, 0.1, &[]);
        let mut reports: Vec<_> = (0..50).map(at).collect();
        for (n, report) in reports.iter_mut().enumerate() {
            // half of them have slow clocks and nothing to send
            let age = if n % 2 == 0 { 100.0 } else { 0.1 };
            report.metrics.insert("collector.spool.age".to_owned(), Some(age));
        }
        backend.ingest(&reports).await;
        backend.ingest(&(50..75).map(at).collect::<Vec<_>>()).await;
        let status = json!({
            "consumer": "c", "group": "g", "version": "1", "topic": "t", "skipped": [], "dead_letters": null,
            "partitions": [{"partition": 0, "position": 1, "end_offset": 1, "waiting_since": null}],
        });
        backend.call(Method::POST, "/pipeline/consumers", Some(&status)).await;
        let sql = format!("UPDATE hosts SET last_received_at = {} WHERE host_id >= 'host-50'", now - 60_000);
        support::execute(&mut database.connect().await, &sql).await;
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        let words = body["hops"]["collectors"]["summary"].as_str().unwrap();
        assert!(
            words.contains("collector host-48.example: oldest unsent report is 6") && words.contains("old (and 24 more)"),
            "{words}"
        );
        assert!(
            words.contains("collector host-74.example: nothing has come for 6") && words.ends_with("s (and 24 more)"),
            "{words}"
        );
        assert_eq!(body["hosts"].as_array().unwrap().len(), 20);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn an_answer_is_kept_for_a_moment_and_looks_at_the_newest_rows_alone() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ask = async || backend.call(Method::GET, "/pipeline", None).await.1;
        let (begun, first) = (std::time::Instant::now(), ask().await);
        backend.ingest(&[report("a", now_ms(), 0.1, &[])]).await;
        support::eventually("a new answer", async || ask().await["to"] != first["to"]).await;
        assert!(begun.elapsed() >= std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_eq!(ask().await["ledger"]["totals"]["stored"], 1);

        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let found = async |rows: i64| {
            let gap = |number: i64| Gap {
                id: None,
                epoch: 1,
                from_seq: 0,
                to_seq: 0,
                from_at: 1,
                to_at: 2,
                removed: Removed::default(),
                lost: 1,
                detected_at: number,
            };
            let gaps: Vec<_> = (0..rows).map(gap).collect();
            let mut transaction = store.begin().await.unwrap();
            store::ledger::insert_gaps(&mut transaction, 1, &gaps.iter().collect::<Vec<_>>()).await.unwrap();
            let loss = store::ledger::recent_loss(&mut transaction, 0).await.unwrap();
            transaction.rollback().await.unwrap();
            loss.lost
        };
        for (rows, lost) in [(RECENT_ROWS - 1, RECENT_ROWS - 1), (RECENT_ROWS, RECENT_ROWS), (RECENT_ROWS + 1, RECENT_ROWS)] {
            assert_eq!(found(rows).await, lost);
        }
        store.close().await;
        backend.stop().await;
    })
    .await;
}
