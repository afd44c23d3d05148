//! What a batch of reports does, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::ingest::Body;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, batch, now_ms, on_every_database, report};
use wire_model::limits;

fn seconds(n: i64) -> i64 {
    n * 1_000
}

#[tokio::test]
async fn reports_are_stored_once_and_machines_registered() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms() - seconds(10);
        let reports: Vec<_> = (0..4)
            .flat_map(|n| {
                ["a", "b"].map(|host| report(host, now + seconds(2 * n), 0.1, &[("web", "running", 0.2), ("job", "exited", 0.0)]))
            })
            .collect();
        let receipt = backend.ingest(&reports).await;
        assert_eq!((receipt.stored, receipt.duplicate, receipt.rejected.len()), (8, 0, 0));

        let before = database.dump().await;
        assert_eq!((before["reports"].len(), before["machines"].len()), (8, 6));
        // again, as after a crash between COMMIT and the offset; and mixed with a new one
        let receipt = backend.ingest(&reports).await;
        assert_eq!((receipt.stored, receipt.duplicate), (0, 8));
        assert_eq!(database.dump().await, before);
        let mut mixed = reports.clone();
        mixed.push(report("a", now + seconds(8), 0.2, &[("web", "running", 0.3), ("job", "exited", 0.0)]));
        let receipt = backend.ingest(&mixed).await;
        assert_eq!((receipt.stored, receipt.duplicate), (1, 8));

        let hosts = backend.items("/machines?kind=host").await;
        assert_eq!(hosts.len(), 2);
        assert_eq!(
            (&hosts[0]["name"], &hosts[0]["status"], &hosts[0]["latest"]["system.cpu.utilization"]),
            (&json!("a.example"), &json!("up"), &json!(0.2))
        );
        assert_eq!(hosts[0]["devices"]["filesystem"][0]["mountpoint"], "/");
        assert_eq!(hosts[0]["facts"]["cpus"], 4);
        let stopped = backend.items("/machines?status=stopped").await;
        assert_eq!(stopped.len(), 2);
        assert_eq!(
            (&stopped[0]["name"], &stopped[0]["host_name"], &stopped[0]["latest"]),
            (&json!("job"), &json!("a.example"), &json!({}))
        );
        assert_eq!(backend.items("/machines?label=rack=a1").await.len(), 2);
        assert_eq!(backend.items("/machines?label=rack=a2").await.len(), 0);
        assert_eq!(backend.items("/machines?q=EB&host_id=b").await.len(), 1);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn lists_come_in_pages() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let reports: Vec<_> = (0..25).map(|n| report(&format!("host-{n:02}"), now_ms(), 0.1, &[])).collect();
        backend.ingest(&reports).await;
        let mut names = Vec::new();
        let mut path = "/machines?limit=10".to_owned();
        loop {
            let (_, page) = backend.call(Method::GET, &path, None).await;
            names.extend(page["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()));
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            path = format!("/machines?limit=10&cursor={cursor}");
        }
        let expected: Vec<_> = (0..25).map(|n| format!("host-{n:02}.example")).collect();
        assert_eq!(names, expected);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn late_reports_are_history_and_do_not_move_the_host() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms();
        backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.1)])]).await;
        let receipt = backend.ingest(&[report("a", now - seconds(60), 0.9, &[("old", "running", 0.1)])]).await;
        assert_eq!((receipt.stored, receipt.duplicate), (1, 0));
        let receipt = backend.ingest(&[report("a", now - seconds(60), 0.9, &[])]).await;
        assert_eq!((receipt.stored, receipt.duplicate), (0, 1));
        assert!(backend.items("/violations").await.is_empty());
        assert_eq!(backend.items("/machines").await.len(), 2);
        let (_, series) = backend.call(Method::GET, "/machines/1/series?metric=system.cpu.utilization", None).await;
        assert_eq!(series["series"][0]["max"], json!([0.9, 0.1]));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_container_keeps_its_identity_and_leaves() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms() - seconds(20);
        backend.ingest(&[report("a", now, 0.1, &[("web", "running", 0.1), ("job", "running", 0.1)])]).await;
        backend.ingest(&[report("a", now + seconds(2), 0.1, &[("web", "running", 0.1)])]).await;
        let gone = backend.items("/machines?status=gone").await;
        assert_eq!((gone.len(), &gone[0]["name"]), (1, &json!("job")));
        // without the table nobody knows
        let mut blind = report("a", now + seconds(4), 0.1, &[]);
        blind.tables.remove("container");
        backend.ingest(&[blind]).await;
        assert_eq!(backend.items("/machines?kind=container&status=up").await.len(), 1);
        backend.ingest(&[report("a", now + seconds(6), 0.1, &[("web", "exited", 0.0), ("job", "running", 0.4)])]).await;
        let back = backend.items("/machines?kind=container&status=up").await;
        assert_eq!((back.len(), &back[0]["id"]), (1, &gone[0]["id"]));
        let events = database.dump().await["events"].clone();
        let told: Vec<_> = events.iter().map(|row| row.split('|').nth(3).unwrap().to_owned()).collect();
        assert_eq!(told.iter().filter(|name| *name == "machine.up").count(), 4, "host, web, job, job again");
        assert!(!events.iter().any(|row| row.contains("replaced")));
        assert_eq!(told.iter().filter(|name| *name == "machine.down").count(), 2, "job gone, web exited");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_stored_is_rejected_with_its_reason() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let good = report("a", now_ms(), 0.1, &[]);
        let future = report("a", now_ms() + limits::FUTURE_MS + seconds(5), 0.1, &[]);
        let mut unknown = report("b", now_ms(), 0.1, &[]);
        unknown.metrics.insert("own.queue.length".to_owned(), Some(7.0));
        let records = json!([
            {"offset": 10, "report": good}, {"offset": 11, "report": {"schema": 2}}, {"offset": 12, "report": "text"},
            {"offset": 13, "report": future}, {"offset": 14, "report": unknown}, {"offset": 15, "report": null},
        ]);
        let (status, receipt) = backend.ingest_raw(&json!({"topic": "t", "partition": 3, "records": records})).await;
        assert_eq!((status, &receipt["stored"]), (StatusCode::OK, &json!(2)));
        let rejected: Vec<_> =
            receipt["rejected"].as_array().unwrap().iter().map(|one| one["offset"].as_i64().unwrap()).collect();
        assert_eq!(rejected, [11, 12, 13, 15]);
        assert!(receipt["rejected"][0]["reason"].as_str().unwrap().contains("schema 2"), "{receipt}");
        let (_, machine) = backend.call(Method::GET, "/machines/2", None).await;
        assert_eq!(machine["latest"]["own.queue.length"], 7.0);
        for (body, status) in [(json!({"records": 1}), StatusCode::BAD_REQUEST), (json!([]), StatusCode::BAD_REQUEST)] {
            assert_eq!(backend.ingest_raw(&body).await.0, status, "{body}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn bodies_are_bounded_and_compressed_ones_understood() {
    let database = support::Database::sqlite();
    let backend = Backend::start(&database).await;
    let post = async |encoding: Option<&str>, body: Vec<u8>| {
        let mut request =
            backend.client.post(format!("{}/api/v1/ingest", backend.base)).header("Content-Type", "application/json").body(body);
        if let Some(encoding) = encoding {
            request = request.header("Content-Encoding", encoding);
        }
        request.send().await.unwrap().status()
    };
    let body = serde_json::to_vec(&batch(&[report("a", now_ms(), 0.1, &[])])).unwrap();
    assert_eq!(post(Some("zstd"), zstd::encode_all(&body[..], 1).unwrap()).await, StatusCode::OK);
    assert_eq!(post(Some("gzip"), body.clone()).await, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post(Some("zstd"), body).await, StatusCode::BAD_REQUEST);
    for (bytes, status) in [(-1, StatusCode::BAD_REQUEST), (0, StatusCode::BAD_REQUEST), (1, StatusCode::PAYLOAD_TOO_LARGE)] {
        for (encoding, limit) in [(Some("zstd"), limits::BATCH_COMPRESSED_BYTES), (None, limits::BATCH_INFLATED_BYTES)] {
            assert_eq!(post(encoding, vec![b'x'; limit.strict_add_signed(bytes)]).await, status, "{bytes} {encoding:?}");
        }
    }
    let bomb = zstd::encode_all(&vec![b' '; limits::BATCH_INFLATED_BYTES + 1][..], 1).unwrap();
    assert_eq!(post(Some("zstd"), bomb).await, StatusCode::PAYLOAD_TOO_LARGE);
    backend.stop().await;
}

#[tokio::test]
async fn backends_that_take_the_same_batches_at_once_store_each_report_once() {
    on_every_database(async |database| {
        // both bring the schema up to date at the same time, too
        let (one, other) = tokio::join!(Backend::start(&database), Backend::start(&database));
        let rules = [support::cpu_rule(0.5, 0.4, 0)];
        one.only_thresholds(&rules).await;
        let now = now_ms() - seconds(100);
        let batches: Vec<Value> = (0..20)
            .map(|n| {
                let cpu = if n % 4 < 2 { 0.9 } else { 0.1 };
                batch(&["a", "b", "c"].map(|host| report(host, now + seconds(2 * n), cpu, &[("web", "running", 0.1)])))
            })
            .collect();
        for batch in &batches {
            let ((first, one), (second, two)) = tokio::join!(one.ingest_raw(batch), other.ingest_raw(batch));
            assert_eq!((first, second), (StatusCode::OK, StatusCode::OK));
            let sum = |name: &str| one[name].as_u64().unwrap() + two[name].as_u64().unwrap();
            assert_eq!((sum("stored"), sum("duplicate")), (3, 3));
        }
        let dump = database.dump().await;
        assert_eq!((dump["reports"].len(), dump["machines"].len(), dump["violations"].len()), (60, 6, 15));
        let ids: Vec<i64> = sqlx::query_scalar("SELECT event_id FROM events ORDER BY event_id")
            .fetch_all(&mut database.connect().await)
            .await
            .unwrap();
        assert_eq!(ids, (1..=i64::try_from(ids.len()).unwrap()).collect::<Vec<_>>());
        one.stop().await;
        other.stop().await;
    })
    .await;
}

/// Everything at once and each batch to both, as when a consumer was taken for dead: the order in which batches come is anybody's.
#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_of_several_backends_is_exact() {
    const BATCHES: i64 = 30;
    on_every_database(async |database| {
        let (one, other) = tokio::join!(Backend::start(&database), Backend::start(&database));
        one.only_thresholds(&[support::cpu_rule(0.5, 0.4, 0)]).await;
        let start = now_ms() - seconds(100);
        let numbered = |host: &str, seq: i64, cpu: f64| wire_model::HostReport {
            seq: u64::try_from(seq).unwrap(),
            ..report(host, start + seconds(seq), cpu, &[("web", "running", 0.1)])
        };
        one.ingest(&["a", "b", "c"].map(|host| numbered(host, 1, 0.1))).await;
        // each batch has two reports of three hosts, one between them that never comes, and two that nobody can read
        let batches: Vec<Value> = (0..BATCHES)
            .map(|n| {
                let reports =
                    ["a", "b", "c"].into_iter().flat_map(|host| [numbered(host, 3 * n + 2, 0.9), numbered(host, 3 * n + 4, 0.1)]);
                let unread = json!({"schema": 2, "host": {"id": "b"}, "epoch": 1, "seq": 1_000 + n, "at": start});
                let bodies = reports.map(|report| json!(report)).chain([json!(7), unread]);
                let records: Vec<_> =
                    bodies.enumerate().map(|(index, body)| json!({"offset": n * 10 + index as i64, "report": body})).collect();
                json!({"topic": "t", "partition": 0, "records": records})
            })
            .collect();
        let both = batches.iter().flat_map(|batch| [one.ingest_raw(batch), other.ingest_raw(batch)]);
        for (status, receipt) in futures_util::future::join_all(both).await {
            assert_eq!(status, StatusCode::OK, "{receipt}");
        }
        let (_, body) = other.call(Method::GET, &support::fresh_pipeline(), None).await;
        let total = |word: &str| body["ledger"]["totals"][word].as_i64().unwrap();
        assert_eq!(
            (total("stored"), total("duplicate"), total("rejected")),
            (3 + 6 * BATCHES, 8 * BATCHES, 2 * BATCHES),
            "{body}"
        );
        // the unreadable ones of b jump to 1000 and name as missing what never was
        let lost = async |id: i64| {
            let (_, body) = one.call(Method::GET, &format!("/machines/{id}/pipeline"), None).await;
            let named: i64 = body["gaps"]["items"].as_array().unwrap().iter().map(|gap| gap["missing"].as_i64().unwrap()).sum();
            let name = body["host_id"].as_str().unwrap().to_owned();
            let lost = body["ledger"]["totals"]["lost"].as_i64().unwrap();
            assert_eq!(named, lost, "{name}");
            (name, lost)
        };
        for machine in one.items("/machines?kind=host").await {
            let (name, lost) = lost(machine["id"].as_str().unwrap().parse().unwrap()).await;
            let between = 1_000 - (3 * BATCHES + 1) - 1;
            assert_eq!(lost, BATCHES + if name == "b" { between } else { 0 }, "{name}");
        }
        let count =
            async |sql: &'static str| -> i64 { sqlx::query_scalar(sql).fetch_one(&mut database.connect().await).await.unwrap() };
        let violations = count("SELECT COUNT(*) FROM violations").await;
        assert_eq!(
            violations,
            count("SELECT COUNT(*) FROM (SELECT DISTINCT machine_id, opened_at FROM violations) AS once").await
        );
        let (events, newest) = (count("SELECT COUNT(*) FROM events").await, count("SELECT MAX(event_id) FROM events").await);
        assert_eq!(events, newest, "event ids without gap or double");
        one.stop().await;
        other.stop().await;
    })
    .await;
}

/// 14 MiB of text that hardly compresses: more than one packet of a MariaDB with its defaults would hold at once.
#[tokio::test]
async fn a_batch_that_does_not_compress_is_stored_too() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let mut seed = 1u64;
        let mut noise = |chars: usize| -> String {
            (0..chars)
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    char::from_u32(0x4E00 + u32::try_from(seed >> 50).unwrap() % 0x5000).unwrap()
                })
                .collect()
        };
        let reports: Vec<_> = (0..15)
            .map(|n| {
                let mut report = report("a", now_ms() - seconds(60) + n, 0.1, &[]);
                let columns = (0..62).map(|n| format!("text{n}")).collect::<Vec<_>>();
                let rows = (0..20).map(|n| {
                    std::iter::once(format!("row{n}")).chain((1..62).map(|_| noise(250))).map(wire_model::Cell::Text).collect()
                });
                report.tables = [("notes".to_owned(), wire_model::Table { columns, rows: rows.collect() })].into();
                report
            })
            .collect();
        let body = serde_json::to_vec(&batch(&reports)).unwrap();
        assert!(body.len() > 13 * 1024 * 1024 && body.len() < limits::BATCH_INFLATED_BYTES, "{}", body.len());
        let decoded = api_backend::ingest::DecodedBatch::decode(&body, false, &Default::default(), now_ms()).unwrap();
        let stored = decoded.reports.iter().map(|report| match &report.body {
            Body::Whole(payload) | Body::Packed(payload) => payload.len(),
        });
        assert!(stored.sum::<usize>() > 8 * 1024 * 1024);
        let store = api_backend::store::connect(&database.url.parse().unwrap()).await.unwrap();
        let ingest = api_backend::ingest::Ingest::new(store, api_backend::live::Live::default(), 7);
        let receipt = ingest.accept(decoded).await.unwrap();
        assert_eq!((receipt.stored, receipt.rejected.len()), (15, 0));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_container_that_is_made_anew_is_the_same_machine_and_an_event() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms() - seconds(20);
        let mut reports =
            [report("a", now, 0.1, &[("web", "running", 0.1)]), report("a", now + seconds(2), 0.1, &[("web", "running", 0.1)])];
        reports[1].tables.get_mut("container").unwrap().rows[0][1] = "ffffffffffff".into();
        for report in reports {
            backend.ingest(&[report]).await;
        }
        assert_eq!(backend.items("/machines?kind=container").await.len(), 1);
        let events = database.dump().await["events"].clone();
        assert!(events.last().unwrap().contains(r#""state":"replaced""#), "{events:?}");
        backend.stop().await;
    })
    .await;
}

/// Something that the checks do not know and the database does not take: here a row that an operator's hand put in the way.
#[tokio::test]
async fn a_report_that_the_database_refuses_does_not_hold_up_the_others() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        let now = now_ms() - seconds(20);
        backend.ingest(&[report("a", now, 0.1, &[]), report("b", now, 0.1, &[])]).await;
        let at = now + seconds(2);
        let sql = format!(
            "INSERT INTO violations (machine_id, machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, \
             threshold_value, opened_at, opened_value, peak_value, detected_at) \
             VALUES (1, 'a', 'a', 'a', 'host', 'x.y', '', 'above', 'info', {}, 0, {at}, 0, 0, 0)",
            ids[0]
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
        let receipt = backend.ingest(&[report("a", at, 0.9, &[]), report("b", at, 0.9, &[])]).await;
        assert_eq!((receipt.stored, receipt.rejected.len(), receipt.rejected[0].offset), (1, 1, 0));
        assert!(!receipt.rejected[0].reason.to_lowercase().contains("unique"), "no words of the database: {receipt:?}");
        assert_eq!(backend.items("/violations?state=open&host_id=b").await.len(), 1);
        let receipt = backend.ingest(&[report("a", at + seconds(2), 0.9, &[])]).await;
        assert_eq!(receipt.stored, 1);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_refused_report_among_many_is_found_by_halving() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let ids = backend.only_thresholds(&[support::cpu_rule(0.5, 0.5, 0)]).await;
        let count = i64::try_from(limits::BATCH_RECORDS).unwrap();
        let at = |n: i64| now_ms() / 1_000 * 1_000 - seconds(5_000) + n;
        let start = at(0);
        backend.ingest(&[report("a", start - 1, 0.1, &[])]).await;
        let sql = format!(
            "INSERT INTO violations (machine_id, machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, \
             threshold_value, opened_at, opened_value, peak_value, detected_at) \
             VALUES (1, 'a', 'a', 'a', 'host', 'x.y', '', 'above', 'info', {}, 0, {}, 0, 0, 0)",
            ids[0],
            start + 700
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut database.connect().await).await.unwrap();
        let reports: Vec<_> = (0..count).map(|n| report("a", start + n, if n == 700 { 0.9 } else { 0.1 }, &[])).collect();
        let receipt = backend.ingest(&reports).await;
        let refused: Vec<_> = receipt.rejected.iter().map(|rejection| rejection.offset).collect();
        assert_eq!((receipt.stored, refused), (limits::BATCH_RECORDS - 1, vec![700]));
        // each transaction writes the time at which it began
        let transactions: i64 =
            sqlx::query_scalar("SELECT COUNT(DISTINCT received_at) FROM reports").fetch_one(&mut database.connect().await).await.unwrap();
        assert!(transactions <= 1 + 10, "{transactions}");
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        let totals = &body["ledger"]["totals"];
        assert_eq!((&totals["stored"], &totals["rejected"], &totals["lost"]), (&json!(count), &json!(1), &json!(0)), "{totals}");
        backend.stop().await;
    })
    .await;
}

/// As when a clock is set back: ticks are at multiples of the interval, so that times come again.
#[tokio::test]
async fn reports_of_one_time_are_all_stored_as_far_as_there_is_place() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - seconds(600);
        let numbered = |seq: u64, ms: i64| wire_model::HostReport { seq, ..report("a", start + ms, 0.1, &[]) };
        let shift = api_backend::ingest::SHIFT_MS_MAX;
        backend.ingest(&[numbered(1, 0), numbered(2, 2_000), numbered(3, 4_000)]).await;
        // one for each of the times that are left, one batch with several, one beyond; times in between are their owners'
        backend.ingest(&[numbered(4, 2_000), numbered(5, 2_000), numbered(6, 4_000), numbered(7, 2_001)]).await;
        let times = async || -> Vec<(i64, i64)> {
            let sql = "SELECT seq, at FROM reports ORDER BY seq";
            let rows: Vec<(i64, i64)> = sqlx::query_as(sql).fetch_all(&mut database.connect().await).await.unwrap();
            rows.into_iter().map(|(seq, at)| (seq, at - start)).collect()
        };
        assert_eq!(times().await, [(1, 0), (2, 2_000), (3, 4_000), (4, 2_001), (5, 2_002), (6, 4_001), (7, 2_003)]);
        // what is stored beyond the newest is in nobody's way, and in new batches as well
        backend.ingest(&[numbered(8, 4_001), numbered(9, 8_000), numbered(10, 8_000)]).await;
        assert_eq!(times().await[7..], [(8, 4_002), (9, 8_000), (10, 8_001)]);
        // once more, in another order
        let again = backend.ingest(&[numbered(5, 2_000), numbered(10, 8_000), numbered(4, 2_000), numbered(8, 4_001)]).await;
        assert_eq!((again.stored, again.duplicate, again.rejected.len()), (0, 4, 0));
        let many: Vec<_> = (0..).zip(11..).take(16).map(|(_, seq)| numbered(seq, 0)).collect();
        let receipt = backend.ingest(&many).await;
        assert_eq!((receipt.stored, receipt.rejected.len()), (usize::try_from(shift).unwrap(), 0));
        let receipt = backend.ingest(&[numbered(27, 0)]).await;
        assert!(receipt.stored == 0 && receipt.rejected[0].reason.contains("have the same time"), "{receipt:?}");
        let (_, body) = backend.call(Method::GET, &support::fresh_pipeline(), None).await;
        let totals = &body["ledger"]["totals"];
        assert_eq!((&totals["stored"], &totals["rejected"], &totals["lost"]), (&json!(26), &json!(1), &json!(0)), "{totals}");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_replay_of_removed_reports_stores_nothing_but_what_was_missing() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - seconds(8 * 86_400);
        let numbered = |seq: u64| wire_model::HostReport { seq, ..report("a", start + seconds(2 * seq.cast_signed()), 0.1, &[]) };
        let old: Vec<_> = [1, 2, 4, 5].map(numbered).into();
        let receipt = backend.ingest(&old).await;
        assert_eq!(receipt.stored, 4, "what comes for the first time is stored, however old");
        let new = wire_model::HostReport { seq: 6, ..report("a", now_ms(), 0.1, &[]) };
        backend.ingest(std::slice::from_ref(&new)).await;
        support::execute(&mut database.connect().await, &format!("DELETE FROM reports WHERE at < {}", start + seconds(100)))
            .await;
        let all: Vec<_> = [1, 2, 3, 4, 5].map(numbered).into_iter().chain([new]).collect();
        let receipt = backend.ingest(&all).await;
        assert_eq!((receipt.stored, receipt.duplicate), (1, 5));
        let from = api_backend::time::rfc3339(start - seconds(86_400));
        let (_, body) = backend.call(Method::GET, &format!("/machines/1/pipeline?from={from}"), None).await;
        let totals = &body["ledger"]["totals"];
        assert_eq!((&totals["stored"], &totals["late"], &totals["lost"]), (&json!(6), &json!(1), &json!(0)), "{totals}");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_backend_whose_clock_was_set_back_rejects_nothing() {
    let database = support::Database::sqlite();
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    let now = now_ms();
    backend.ingest(&[report("a", now - seconds(2), 0.1, &[])]).await;
    // a host's clock is ahead: it is rejected
    let ahead = |host: &str| batch(&[report(host, now + seconds(3_600), 0.1, &[]), report("b", now, 0.1, &[])]);
    let (status, receipt) = backend.ingest_raw(&ahead("a")).await;
    assert_eq!((status, &receipt["rejected"][0]["offset"]), (StatusCode::OK, &json!(0)));
    // reports of it came an hour from now: it is ours that is behind
    let sql = format!("UPDATE hosts SET last_received_at = {} WHERE host_id = 'a'", now + seconds(3_600));
    support::execute(&mut database.connect().await, &sql).await;
    let before = database.dump().await;
    let (status, problem) = backend.ingest_raw(&ahead("a")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("clock is behind by 3"), "{problem}");
    assert_eq!(database.dump().await, before);
    admin.becomes(false).await;
    assert!(admin.problems().await.contains("clock"));
    backend.stop().await;
}
