//! What a host's reports have in common stands once for its quarter of an hour of the head, as long as something refers to it, and whoever
//! reads gets whole reports.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::history::{QUARTER_MS, deflate, newest_reports, seal};
use api_backend::store;
use sqlx::AnyConnection;
use support::{Backend, Database, batch, now_ms, on_every_database, report};
use wire_model::HostReport;

const HOST: &str = "web-1";

/// Reports of one form, ten a quarter of an hour from `at` on.
fn reports(at: i64, numbers: std::ops::Range<i64>) -> Vec<HostReport> {
    let one = |number: i64| HostReport {
        seq: 100 + number.cast_unsigned(),
        ..report(HOST, at + number * QUARTER_MS / 10, number as f64 / 1_000.0, &[("db", "running", 0.5)])
    };
    numbers.map(one).collect()
}

async fn count(connection: &mut AnyConnection, what: &str) -> i64 {
    sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {what}"))).fetch_one(connection).await.unwrap()
}

const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const LATE: u8 = 2;

async fn payloads(connection: &mut AnyConnection) -> Vec<Vec<u8>> {
    sqlx::query_scalar("SELECT payload FROM reports ORDER BY at").fetch_all(connection).await.unwrap()
}

/// Rows of the head that are whole: zstd frames.
async fn whole(connection: &mut AnyConnection) -> usize {
    let payloads = payloads(connection).await;
    payloads.iter().filter(|payload| payload.strip_prefix(&[LATE]).unwrap_or(payload).starts_with(&FRAME)).count()
}

async fn newest(database: &Database) -> HostReport {
    let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
    let mut reports = newest_reports(&mut store.read().await.unwrap(), &[1, 2]).await.unwrap();
    assert_eq!(reports.len(), 1, "there is one host");
    reports.remove(&1).unwrap()
}

async fn series(backend: &Backend, at: i64) -> Vec<f64> {
    let from = api_backend::time::rfc3339(at);
    let path = format!("/series?machine_id=1&metric=system.cpu.utilization&max_points=10000&from={from}");
    let (_, body) = backend.get(&path).await;
    serde_json::from_value(body["series"][0]["avg"].clone()).unwrap()
}

#[tokio::test]
async fn a_form_stands_once_and_goes_with_its_reports() {
    on_every_database(async |database| {
        let begin = now_ms() / QUARTER_MS * QUARTER_MS - 10 * QUARTER_MS;
        let backend = Backend::start(&database).await;
        let mut connection = database.connect().await;
        for numbers in [0..1, 1..2, 2..8, 8..25] {
            backend.ingest(&reports(begin, numbers)).await;
        }
        // the first of its form has nothing to refer to; then one form for each of three quarters of an hour
        assert_eq!((whole(&mut connection).await, count(&mut connection, "forms").await), (1, 3));
        assert_eq!(newest(&database).await, reports(begin, 24..25)[0]);

        // late ones refer to nothing that is removed with the newest of their time
        let late: Vec<_> = reports(begin + 1, 3..6);
        backend.ingest(&late).await;
        assert_eq!((whole(&mut connection).await, count(&mut connection, "forms").await), (4, 3));

        // another form, and again the one before: that of the newest quarter stands there already, and is not remembered
        let mut other = reports(begin, 25..27);
        other.iter_mut().for_each(|report| report.host.labels.extend([("rack".to_owned(), "7".to_owned())]));
        backend.ingest(&other).await;
        assert_eq!((whole(&mut connection).await, count(&mut connection, "forms").await), (5, 4));
        assert_eq!(newest(&database).await, other[1]);

        // another backend knows of no form
        let second = Backend::start(&database).await;
        second.ingest(&reports(begin, 27..29)).await;
        assert_eq!((whole(&mut connection).await, count(&mut connection, "forms").await), (6, 5));
        backend.ingest(&reports(begin, 29..30)).await;
        assert_eq!((whole(&mut connection).await, count(&mut connection, "forms").await), (7, 5));

        let values = series(&second, begin).await;
        // a late one falls into the second of one that was there
        assert_eq!(values.len(), 30);
        // two quarters of an hour are sealed, and of the newest one all but the newest report
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        for (expected_forms, expected_reports) in [(4, 20), (3, 10), (3, 1)] {
            let due = seal::due(&store, now_ms()).await.unwrap();
            seal::seal(&store, due[0]).await.unwrap();
            assert_eq!(count(&mut connection, "forms").await, expected_forms);
            assert_eq!(count(&mut connection, "reports").await, expected_reports);
            assert_eq!(series(&second, begin).await, values);
        }
        backend.ingest(&reports(begin, 30..31)).await;
        let due = seal::due(&store, now_ms()).await.unwrap();
        seal::seal(&store, due[0]).await.unwrap();
        assert_eq!(count(&mut connection, "reports").await, 1);
        assert_eq!(count(&mut connection, &format!("forms WHERE at < {}", begin + 3 * QUARTER_MS)).await, 0);
        second.stop().await;
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_late_report_is_marked_and_no_other() {
    on_every_database(async |database| {
        let begin = now_ms() / QUARTER_MS * QUARTER_MS - QUARTER_MS;
        let backend = Backend::start(&database).await;
        let mut connection = database.connect().await;
        let reports = reports(begin, 0..6);
        // within a batch the oldest is the first; one of a time that is taken is late, and stored a little later
        let same_time = HostReport { seq: 999, ..reports[4].clone() };
        for batch in [vec![reports[1].clone()], vec![reports[4].clone(), reports[2].clone()], reports.clone(), vec![same_time]] {
            backend.ingest(&batch).await;
        }
        let marks: Vec<bool> = payloads(&mut connection).await.iter().map(|payload| payload[0] == LATE).collect();
        assert_eq!(marks, [true, false, false, true, false, true, false]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_report_without_its_form_is_an_error_that_says_so() {
    on_every_database(async |database| {
        let begin = now_ms() / QUARTER_MS * QUARTER_MS - QUARTER_MS;
        let backend = Backend::start(&database).await;
        let mut connection = database.connect().await;
        backend.ingest(&reports(begin, 0..5)).await;
        support::execute(&mut connection, "DELETE FROM forms").await;
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let error = newest_reports(&mut store.read().await.unwrap(), &[1]).await.unwrap_err().to_string();
        assert!(error.contains("the forms of hosts [1] are not there"), "{error}");
        let message = batch(&reports(begin, 0..1))["records"][0]["report"].to_string();
        let form = deflate(message.as_bytes()).unwrap();
        let insert = sqlx::query("INSERT INTO forms (host_key, at, message) VALUES (1, ?, ?)");
        insert.bind(begin + QUARTER_MS / 10).bind(form).execute(&mut connection).await.unwrap();
        assert_eq!(newest(&database).await, reports(begin, 4..5)[0]);
        backend.stop().await;
    })
    .await;
}
