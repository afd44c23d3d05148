//! The database misbehaves: what is answered, what readiness says, and how soon all is well again.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::StatusCode;
use support::proxy::{Proxy, Way};
use support::{Backend, Database, batch, cpu_rule, eventually, execute, now_ms, post, report};

/// What is promised: red and green within so long.
const PROMISED: Duration = Duration::from_secs(2);

/// The same database by way of a proxy.
async fn behind_a_proxy(database: &Database) -> (String, Proxy) {
    let (head, tail) = database.url.split_once('@').unwrap();
    let (server, name) = tail.split_once('/').unwrap();
    let server: SocketAddr = server.parse().unwrap();
    let proxy = Proxy::before(server).await;
    (format!("{head}@{}/{name}", proxy.address), proxy)
}

#[tokio::test]
async fn a_database_that_is_gone_or_silent_is_seen_at_once_and_so_is_its_return() {
    let database = Database::mariadb().await;
    let (url, proxy) = behind_a_proxy(&database).await;
    let (backend, admin) = Backend::start_with_admin(&url).await;
    admin.becomes(true).await;
    let mut at = now_ms() - 600_000;
    for way in [Way::Stalled, Way::Closed, Way::Stalled] {
        at += 2_000;
        assert_eq!(post(&backend, "a", at).await.0, StatusCode::OK, "{way:?}");
        proxy.set(way);
        let ((red, problems), (status, answered)) =
            tokio::join!(async { (admin.becomes(false).await, admin.problems().await) }, async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                post(&backend, "a", at + 1).await
            });
        assert!(red < PROMISED, "{way:?}: red after {red:?}");
        assert!(problems.contains("database"), "{problems}");
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{way:?}");
        assert!(answered < Duration::from_secs(10), "{way:?}: answered after {answered:?}");
        proxy.set(Way::Open);
        let green = admin.becomes(true).await;
        assert!(green < PROMISED, "{way:?}: green after {green:?}");
        let (status, answered) = post(&backend, "a", at + 1).await;
        assert_eq!((status, answered < PROMISED), (StatusCode::OK, true), "{way:?}: {answered:?}");
    }
    backend.stop().await;
}

#[tokio::test]
async fn a_backend_that_starts_without_a_database_answers_503_until_it_is_there() {
    let database = Database::mariadb().await;
    let (url, proxy) = behind_a_proxy(&database).await;
    proxy.set(Way::Closed);
    let (backend, admin) = Backend::start_with_admin(&url).await;
    assert!(admin.problems().await.contains("database"));
    assert_eq!(post(&backend, "a", now_ms()).await.0, StatusCode::SERVICE_UNAVAILABLE);
    proxy.set(Way::Open);
    admin.becomes(true).await;
    eventually("it answers", async || post(&backend, "a", now_ms()).await.0 == StatusCode::OK).await;
    backend.stop().await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_a_503_and_the_repetition_stores_each_report_once() {
    let database = Database::mariadb().await;
    let (url, proxy) = behind_a_proxy(&database).await;
    let (backend, admin) = Backend::start_with_admin(&url).await;
    admin.becomes(true).await;
    let start = now_ms() - 600_000;
    // (stored, duplicate) of the repetition
    for (n, (way, expected)) in [(Way::CutBeforeCommit, (3, 0)), (Way::CutAfterCommit, (0, 3))].into_iter().enumerate() {
        let reports: Vec<_> = (0..3).map(|step| report("a", start + 100_000 * n as i64 + 2_000 * step, 0.9, &[])).collect();
        proxy.set(way);
        let (status, _) = backend.ingest_raw(&batch(&reports)).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{way:?}");
        assert!(!admin.problems().await.is_empty(), "{way:?}: red at once");
        proxy.set(Way::Open);
        let receipt = backend.ingest(&reports).await;
        assert_eq!((receipt.stored, receipt.duplicate), expected, "{way:?}");
        assert!(admin.becomes(true).await < PROMISED);
    }
    assert!(proxy.cut_commits.load(std::sync::atomic::Ordering::Relaxed) >= 2);
    assert_eq!(database.dump().await["reports"].len(), 6);
    backend.stop().await;
}

#[tokio::test]
async fn readers_that_wait_never_hold_up_ingest_and_their_statements_end() {
    let database = Database::mariadb().await;
    let (backend, admin) = Backend::start_with_admin(&database.url).await;
    admin.becomes(true).await;
    let start = now_ms() - 600_000;
    assert_eq!(post(&backend, "a", start).await.0, StatusCode::OK);
    let mut blocker = database.connect().await;
    execute(&mut blocker, "LOCK TABLES violations WRITE").await;
    let readers: Vec<_> = (0..30)
        .map(|_| {
            let request = backend.client.get(format!("{}/api/v1/violations", backend.base));
            tokio::spawn(async move { request.send().await.unwrap().status() })
        })
        .collect();
    let mut watcher = database.connect().await;
    // of the list alone: the backend itself asks other things again and again
    let blocked = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%metadata lock%' AND db = DATABASE() \
                   AND info LIKE '%ORDER BY opened_at%'";
    let mut waiting = async || sqlx::query_scalar::<_, i64>(blocked).fetch_one(&mut watcher).await.unwrap();
    eventually("all readers wait", async || waiting().await == 10).await;
    for n in 1..=20 {
        let (status, took) = post(&backend, "a", start + 2_000 * n).await;
        assert_eq!(status, StatusCode::OK);
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    assert_eq!(admin.problems().await, "", "readers are no reason to take a backend out");
    for reader in readers {
        assert_eq!(reader.await.unwrap(), StatusCode::SERVICE_UNAVAILABLE);
    }
    eventually("no statement outlives its request for long", async || waiting().await == 0).await;
    execute(&mut blocker, "UNLOCK TABLES").await;
    assert!(backend.items("/violations").await.is_empty());
    backend.stop().await;
}

#[tokio::test]
async fn requests_that_are_cut_off_leave_no_broken_connection_behind() {
    let database = Database::mariadb().await;
    let backend = Backend::start(&database).await;
    backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let start = now_ms() - 2_000_000;
    const STEPS: i64 = 20;
    let hosts: Vec<String> = (0..8).map(|n| format!("host-{n}")).collect();
    // each host's reports in order, each post cut off after another time, and repeated until it is answered
    let work = hosts.iter().enumerate().map(|(n, host)| {
        let backend = &backend;
        async move {
            for step in 0..STEPS {
                let cpu = if step % 2 == 0 { 0.9 } else { 0.1 };
                let body = batch(&[report(host, start + 2_000 * step, cpu, &[("web", "running", 0.2)])]);
                let mut patience = Duration::from_micros(300 * (1 + (7 * n as u64 + 13 * step.unsigned_abs()) % 40));
                loop {
                    let url = format!("{}/api/v1/ingest", backend.base);
                    let reads = backend.client.get(format!("{}/api/v1/machines?q=host", backend.base)).timeout(patience).send();
                    let post = backend.client.post(url).json(&body).timeout(patience).send();
                    let (answer, _) = tokio::join!(post, reads);
                    match answer {
                        Ok(answer) if answer.status() == StatusCode::OK => break,
                        Ok(answer) => assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{:?}", answer.text().await),
                        Err(_) => patience *= 2,
                    }
                }
            }
        }
    });
    futures_util::future::join_all(work).await;
    let machines = backend.items("/machines?kind=host").await;
    assert_eq!(machines.len(), hosts.len());
    let rows = database.dump().await;
    assert_eq!(rows["reports"].len(), STEPS as usize * hosts.len());
    assert_eq!(rows["violations"].len(), STEPS as usize / 2 * hosts.len());
    backend.stop().await;
}
