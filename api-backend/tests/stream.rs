//! The stream: each event once and in order, through reconnects and for many followers.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use support::proxy::{Proxy, Way};
use support::sse::Client;
use support::{Backend, Database, cpu_rule, now_ms, on_every_database, report};

/// Opens and closes a violation `n` times.
async fn toggle(backend: &Backend, host: &str, from: i64, n: i64) {
    for step in 0..2 * n {
        let cpu = if step % 2 == 0 { 0.9 } else { 0.1 };
        backend.ingest(&[report(host, from + 2_000 * step, cpu, &[])]).await;
    }
}

#[tokio::test]
async fn events_arrive_in_order_and_resume_behind_the_last_one_seen() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 600_000;
        backend.ingest(&[report("a", start, 0.1, &[])]).await;
        let mut client = Client::open(&backend, "?topics=violations", None).await;
        let hello = client.next().await.unwrap();
        assert_eq!((hello.id.as_deref(), hello.event), (Some("1"), None), "a new client knows where it stands");
        toggle(&backend, "a", start + 2_000, 3).await;
        let mut ids = Vec::new();
        for n in 0..6 {
            let message = client.next_event().await;
            assert_eq!(message.event.as_deref(), Some(if n % 2 == 0 { "violation.opened" } else { "violation.closed" }));
            assert_eq!(message.data.unwrap()["metric"], "system.cpu.utilization");
            ids.push(message.id.unwrap());
        }
        assert_eq!(ids, ["2", "3", "4", "5", "6", "7"]);
        drop(client);
        toggle(&backend, "a", start + 60_000, 2).await;
        // through a restart of the backend
        backend.stop().await;
        let backend = Backend::start(&database).await;
        let mut client = Client::open(&backend, "", Some("4")).await;
        let mut seen = Vec::new();
        for _ in 0..7 {
            seen.push(client.next_event().await.id.unwrap());
        }
        toggle(&backend, "a", start + 120_000, 1).await;
        seen.push(client.next_event().await.id.unwrap());
        assert_eq!(seen, ["5", "6", "7", "8", "9", "10", "11", "12"]);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn another_backends_events_arrive_too_and_the_end_of_one_ends_its_streams() {
    on_every_database(async |database| {
        let (one, other) = (Backend::start(&database).await, Backend::start(&database).await);
        one.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let mut client = Client::open(&other, "?topics=machines,violations", None).await;
        client.next().await.unwrap();
        toggle(&one, "a", now_ms() - 60_000, 1).await;
        let names = [client.next_event().await, client.next_event().await, client.next_event().await]
            .map(|message| message.event.unwrap());
        assert_eq!(names, ["machine.up", "violation.opened", "violation.closed"]);
        let (stopped, end) = tokio::join!(other.stop(), client.next());
        assert_eq!(((), None), (stopped, end));
        one.stop().await;
    })
    .await;
}

#[tokio::test]
async fn changed_rules_and_silences_are_told_whoever_changed_them() {
    on_every_database(async |database| {
        let (one, other) = (Backend::start(&database).await, Backend::start(&database).await);
        one.only_thresholds(&[]).await;
        let mut client = Client::open(&other, "?topics=rules", None).await;
        client.next().await.unwrap();
        let mut next = async || {
            let message = client.next_event().await;
            assert_eq!((message.event.as_deref(), message.id), (Some("rules"), None), "a state has no number");
            let versions = message.data.unwrap();
            (versions["thresholds"].as_i64().unwrap(), versions["silences"].as_i64().unwrap())
        };
        let begin = next().await;
        let (status, rule) = one.call(Method::POST, "/thresholds", Some(&cpu_rule(0.5, 0.5, 0))).await;
        assert_eq!(status, StatusCode::CREATED, "{rule}");
        assert_eq!(next().await, (begin.0 + 1, begin.1));
        // what changes neither is not told
        toggle(&one, "a", now_ms() - 60_000, 1).await;
        let silence = json!({"scope": {"host_id": "a"}, "ends_at": "2100-01-01T00:00:00Z", "comment": "disks"});
        let (status, silence) = one.call(Method::POST, "/silences", Some(&silence)).await;
        assert_eq!(status, StatusCode::CREATED, "{silence}");
        assert_eq!(next().await, (begin.0 + 1, begin.1 + 1));
        for path in
            [format!("/thresholds/{}", rule["id"].as_str().unwrap()), format!("/silences/{}", silence["id"].as_str().unwrap())]
        {
            assert_eq!(one.call(Method::DELETE, &path, None).await.0, StatusCode::NO_CONTENT);
            next().await;
        }
        // who comes later hears at once how they stand
        let mut late = Client::open(&other, "?topics=rules", None).await;
        let versions = late.next_event().await.data.unwrap();
        assert_eq!(versions, json!({"thresholds": begin.0 + 2, "silences": begin.1 + 2}));
        one.stop().await;
        other.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_no_longer_kept_is_told_by_one_resync() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 600_000;
        toggle(&backend, "a", start, 5).await;
        sqlx::query("DELETE FROM events WHERE event_id < 6").execute(&mut database.connect().await).await.unwrap();
        for (last, is_lost) in [("4", true), ("5", false), ("11", false), ("12", true), ("-1", true)] {
            let mut client = Client::open(&backend, "", Some(last)).await;
            let hello = client.next().await.unwrap();
            assert_eq!(hello.id.as_deref(), Some(if is_lost { "11" } else { last }), "{last}");
            if is_lost {
                let resync = client.next_event().await;
                assert_eq!((resync.event.as_deref(), resync.id), (Some("resync"), None));
            }
        }
        let mut client = Client::open(&backend, "", Some("4")).await;
        toggle(&backend, "a", start + 60_000, 1).await;
        let names = [client.next_event().await, client.next_event().await].map(|message| message.event.unwrap());
        assert_eq!(names, ["resync", "violation.opened"], "exactly one, then on with what is new");
        // with the id that came before the resync nothing is lost any more
        let mut client = Client::open(&backend, "", Some("11")).await;
        assert_eq!(client.next_event().await.id.as_deref(), Some("12"));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_is_not_put_by_and_says_when_to_come_back() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let (mut retries, mut clients) = (Vec::new(), Vec::new());
    for _ in 0..20 {
        let mut client = Client::open(&backend, "", None).await;
        assert_eq!(client.headers["cache-control"], "no-cache, no-transform");
        assert_eq!(client.headers["x-accel-buffering"], "no");
        assert!(!client.headers.contains_key("content-encoding"), "a compressed stream waits for its encoder");
        retries.push(client.next().await.unwrap().retry.unwrap());
        clients.push(client);
    }
    let ends = async {
        let mut retries = Vec::new();
        for client in &mut clients {
            let end = client.next_block().await.unwrap();
            assert_eq!((&end.id, &end.event), (&None, &None));
            retries.push(end.retry.unwrap());
            assert_eq!(client.next_block().await, None);
        }
        retries
    };
    let ((), at_the_end) = tokio::join!(backend.stop(), ends);
    for retries in [retries, at_the_end] {
        assert!(retries.iter().all(|retry| (1_000..=5_000).contains(retry)), "{retries:?}");
        assert!(retries.iter().collect::<std::collections::HashSet<_>>().len() > 10, "all at once: {retries:?}");
    }
}

#[tokio::test]
async fn two_backends_that_take_the_same_reports_show_every_event_once_on_both_streams() {
    on_every_database(async |database| {
        let backends = [Backend::start(&database).await, Backend::start(&database).await];
        backends[0].only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
        let start = now_ms() - 600_000;
        let hosts: Vec<String> = (0..6).map(|n| format!("host-{n}")).collect();
        let first: Vec<_> = hosts.iter().map(|host| report(host, start, 0.1, &[])).collect();
        backends[0].ingest(&first).await;
        let mut clients = Vec::new();
        for backend in &backends {
            let mut client = Client::open(backend, "", None).await;
            client.next().await.unwrap();
            clients.push(client);
        }
        // both get everything, in other batches: one host by host, the other step by step
        const STEPS: i64 = 20;
        let cpu = |step: i64| if step % 2 == 1 { 0.9 } else { 0.1 };
        let by_step = async {
            for step in 1..=STEPS {
                let reports: Vec<_> = hosts.iter().map(|host| report(host, start + 2_000 * step, cpu(step), &[])).collect();
                backends[0].ingest(&reports).await;
            }
        };
        let by_host = async {
            for step in 1..=STEPS {
                for host in &hosts {
                    backends[1].ingest(&[report(host, start + 2_000 * step, cpu(step), &[])]).await;
                }
            }
        };
        tokio::join!(by_step, by_host);
        let rows = database.dump().await;
        assert_eq!(rows["reports"].len(), hosts.len() * (1 + STEPS as usize));
        assert_eq!(rows["violations"].len(), hosts.len() * STEPS as usize / 2, "none twice");
        let newest: i64 = rows["events"].len() as i64;
        let mut seen = Vec::new();
        for client in &mut clients {
            let mut ids = Vec::new();
            while ids.last() != Some(&newest) {
                ids.push(client.next_event().await.id.unwrap().parse::<i64>().unwrap());
            }
            seen.push(ids);
        }
        let expected: Vec<i64> = (hosts.len() as i64 + 1..=newest).collect();
        assert_eq!(seen, [expected.clone(), expected]);
        let [one, other] = backends;
        one.stop().await;
        other.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_sent_little_learns_how_far_the_rest_is() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let mut client = Client::open(&backend, "?topics=violations&machine_id=77", None).await;
    assert_eq!(client.next().await.unwrap().id.as_deref(), Some("0"));
    toggle(&backend, "a", now_ms() - 600_000, 2).await;
    let mark = client.next().await.unwrap();
    assert_eq!((mark.id.as_deref(), mark.event, mark.data), (Some("5"), None, None));
    backend.stop().await;
}

#[tokio::test]
async fn a_database_that_is_away_for_a_while_costs_no_event() {
    let database = Database::mariadb().await;
    let (head, tail) = database.url.split_once('@').unwrap();
    let (server, name) = tail.split_once('/').unwrap();
    let proxy = Proxy::before(server.parse().unwrap()).await;
    let behind = Database::at(&format!("{head}@{}/{name}", proxy.address));
    // what another backend writes in the meantime
    let writer = Backend::start(&database).await;
    writer.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let reader = Backend::start(&behind).await;
    let start = now_ms() - 600_000;
    let mut client = Client::open(&reader, "", None).await;
    client.next().await.unwrap();
    let mut expected = 0;
    for (round, way) in [Way::Closed, Way::Stalled].into_iter().enumerate() {
        proxy.set(way);
        toggle(&writer, "a", start + 100_000 * round as i64, 3).await;
        // while one comes new that missed something, and cannot be answered yet
        let answer =
            writer.client.get(format!("{}/api/v1/stream", reader.base)).header("Last-Event-ID", "0").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{way:?}");
        proxy.set(Way::Open);
        toggle(&writer, "a", start + 100_000 * round as i64 + 50_000, 3).await;
        let newest = database.dump().await["events"].len() as i64;
        while expected < newest {
            expected += 1;
            assert_eq!(client.next_event().await.id.unwrap(), expected.to_string(), "{way:?}");
        }
    }
    reader.stop().await;
    writer.stop().await;
}

#[tokio::test]
async fn a_machine_can_be_followed_alone_with_its_values() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let now = now_ms() - 10_000;
    backend.ingest(&[report("a", now, 0.1, &[]), report("b", now, 0.1, &[])]).await;
    let mut client = Client::open(&backend, "?topics=violations,reports&machine_id=2", None).await;
    let first = client.next_event().await;
    assert_eq!((first.event.as_deref(), first.id), (Some("report"), None));
    backend.ingest(&[report("a", now + 2_000, 0.9, &[]), report("b", now + 2_000, 0.7, &[])]).await;
    let mut messages = [client.next_event().await, client.next_event().await];
    messages.sort_by_key(|message| message.event.clone());
    let of = |message: &support::sse::Message| message.data.as_ref().unwrap()["machine_id"].clone();
    assert_eq!((messages[0].event.as_deref(), of(&messages[0])), (Some("report"), json!("2")));
    assert_eq!(messages[0].data.as_ref().unwrap()["latest"], json!({"system.cpu.utilization": 0.7}));
    assert_eq!((messages[1].event.as_deref(), of(&messages[1])), (Some("violation.opened"), json!("2")));
    backend.stop().await;
}

#[tokio::test]
async fn a_follower_that_does_not_read_misses_nothing_and_holds_up_nobody() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.only_thresholds(&[]).await;
    backend.ingest(&[report("a", now_ms() - 600_000, 0.1, &[])]).await;
    let mut slow = Client::open(&backend, "", None).await;
    slow.next().await.unwrap();
    // more events, and larger ones, than any buffer between here and there holds
    let mut connection = database.connect().await;
    let body = json!({"text": "x".repeat(4_000)}).to_string();
    for first in (2..5_002).step_by(500) {
        let rows: Vec<String> =
            (first..first + 500).map(|id| format!("({id}, 0, 'machines', 'machine.up', 1, '{body}')")).collect();
        let sql = format!("INSERT INTO events (event_id, created_at, topic, name, machine_id, body) VALUES {}", rows.join(", "));
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        let sql = format!("UPDATE counters SET value = {} WHERE name = 'last_event_id'", first + 499);
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    }
    let mut quick = Client::open(&backend, "", Some("5000")).await;
    assert_eq!(quick.next_event().await.id.as_deref(), Some("5001"));
    for id in 2..=5_001 {
        assert_eq!(slow.next_event().await.id.unwrap(), id.to_string());
    }
    backend.stop().await;
}

#[tokio::test]
async fn what_is_over_within_a_batch_is_not_announced_as_new() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    backend.only_thresholds(&[cpu_rule(0.5, 0.5, 0)]).await;
    let mut client = Client::open(&backend, "?topics=violations", None).await;
    client.next().await.unwrap();
    let start = now_ms() - 600_000;
    let backlog: Vec<_> =
        [0.1, 0.9, 0.95, 0.1, 0.9].iter().zip(0..).map(|(cpu, n)| report("a", start + 2_000 * n, *cpu, &[])).collect();
    backend.ingest(&backlog).await;
    let (first, second) = (client.next_event().await, client.next_event().await);
    assert_eq!((first.event.as_deref(), second.event.as_deref()), (Some("violation.closed"), Some("violation.opened")));
    let first = first.data.unwrap();
    assert_eq!((&first["peak_value"], &first["closed_value"]), (&json!(0.95), &json!(0.1)));
    assert!(first["detected_at"].as_str() > first["closed_at"].as_str());
    assert_eq!(second.data.unwrap()["closed_at"], Value::Null);
    backend.stop().await;
}
