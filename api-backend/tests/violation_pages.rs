//! Violations by any question, on every database, against looking at each of them.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::HashSet;

use api_backend::store::violation_filter::{Labelled, ViolationFilter};
use api_backend::store::violation_pages::{Matching, Order, Page, list};
use api_backend::store::violations::Closing;
use api_backend::store::{self, Store, violations};
use api_backend::thresholds::evaluator::{CloseReason, SeriesKey};
use api_backend::thresholds::{Direction, Kind, Quantity, Severity};
use api_backend::violation::{Attention, Violation};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, Database, cpu_rule, execute, on_every_database, report};

/// A noon.
const START: i64 = 1_791_633_600_000; // 2026-10-10T12:00:00Z
const MINUTE_MS: i64 = 60_000;
/// At the edges of the classes that violations are in by how long they lasted.
const DURATIONS: [i64; 13] = [
    0,
    59_999,
    60_000,
    479_999,
    480_000,
    3_839_999,
    3_840_000,
    30_720_000,
    245_759_999,
    245_760_000,
    1_966_079_999,
    1_966_080_000,
    5_000_000_000,
];

fn violation(rng: &mut fastrand::Rng, number: i64) -> Violation {
    let host = rng.i64(1..=4);
    let kind = if rng.bool() { Kind::Host } else { Kind::Container };
    let machine_id = if kind == Kind::Host { host } else { 10 * host + rng.i64(0..3) };
    let opened_at = START + rng.i64(-4_000..=4_000) / 8 * 8 * MINUTE_MS;
    let closed_at = (rng.u8(..4) > 0).then(|| opened_at + DURATIONS[rng.usize(..DURATIONS.len())]);
    Violation {
        id: 0,
        machine_id,
        machine_name: format!("machine-{machine_id}"),
        host_id: format!("host-{host}"),
        host_name: format!("host-{host}"),
        kind,
        metric: ["a.one", "a.two", "a.three"][rng.usize(..3)].to_owned(),
        device: [None, Some("/"), Some("/data, old")][rng.usize(..3)].map(str::to_owned),
        quantity: Quantity::Value,
        direction: Direction::Above,
        severity: [Severity::Info, Severity::Warning, Severity::Critical][rng.usize(..3)],
        threshold_id: number % 5,
        threshold_version: 1,
        threshold_value: 0.5,
        opened_at,
        opened_value: 0.75,
        peak_value: 0.875,
        closed_at,
        closed_value: None,
        closed_version: None,
        close_reason: closed_at.map(|_| "gone".to_owned()),
        cause: None,
        detected_at: opened_at,
        attention: Attention::default(),
    }
}

/// Stores them, and returns them with their ids. Those that would be a second one of a series and time are left out.
async fn fill(store: &Store, rng: &mut fastrand::Rng, count: i64) -> Vec<Violation> {
    let mut transaction = store.begin().await.unwrap();
    let (mut all, mut known) = (Vec::new(), HashSet::new());
    for number in 0..count {
        let one = violation(rng, number);
        if !known.insert((one.machine_id, one.threshold_id, one.device.clone(), one.opened_at)) {
            continue;
        }
        let id = violations::insert(&mut transaction, &one).await.unwrap();
        if let Some(closed_at) = one.closed_at {
            let device = one.device.clone().unwrap_or_default();
            let key = SeriesKey { machine_id: one.machine_id, threshold_id: one.threshold_id, device };
            let closing = Closing { at: closed_at, value: None, reason: CloseReason::Gone, version: None };
            violations::close(&mut transaction, &key, one.opened_at, closing).await.unwrap();
        }
        all.push(Violation { id, ..one });
    }
    transaction.commit().await.unwrap();
    all
}

fn some<T: Clone>(rng: &mut fastrand::Rng, values: &[T]) -> Vec<T> {
    if rng.u8(..3) > 0 {
        return Vec::new();
    }
    values.iter().filter(|_| rng.bool()).cloned().collect()
}

fn question(rng: &mut fastrand::Rng) -> (ViolationFilter, Page) {
    let texts = |values: &[&str]| values.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let labelled = (rng.u8(..4) == 0)
        .then(|| Labelled { host_ids: some(rng, &texts(&["host-1", "host-2"])), machine_ids: some(rng, &[30, 31, 40]) });
    let filter = ViolationFilter {
        machine_ids: some(rng, &[1, 2, 10, 11, 20]),
        host_ids: some(rng, &texts(&["host-1", "host-3", "nobody"])),
        labelled,
        metrics: some(rng, &texts(&["a.one", "a.two"])),
        devices: some(rng, &texts(&["/", "/data, old"])),
        kinds: some(rng, &[Kind::Host, Kind::Container]),
        severities: some(rng, &[Severity::Info, Severity::Critical]),
        threshold_ids: some(rng, &[1, 2, 3]),
        is_open: [None, None, Some(true), Some(false)][rng.usize(..4)],
        is_acknowledged: None,
    };
    let mut time = || (rng.u8(..3) > 0).then(|| START + rng.i64(-5_000..5_000) * MINUTE_MS);
    let (from, to) = (time(), time());
    let page = Page {
        from: from.min(to).or(from),
        to: to.max(from).filter(|_| to.is_some()),
        matching: if rng.bool() { Matching::Opened } else { Matching::Overlapping },
        order: if rng.bool() { Order::Newest } else { Order::Oldest },
        after: None,
        limit: [1, 7, 50, 1_000][rng.usize(..4)],
    };
    (filter, page)
}

fn is_meant(filter: &ViolationFilter, page: Page, one: &Violation) -> bool {
    fn any<T: PartialEq>(values: &[T], value: &T) -> bool {
        values.is_empty() || values.contains(value)
    }
    let labelled = filter
        .labelled
        .as_ref()
        .is_none_or(|found| found.host_ids.contains(&one.host_id) || found.machine_ids.contains(&one.machine_id));
    let in_range = page.to.is_none_or(|to| one.opened_at < to)
        && page.from.is_none_or(|from| match page.matching {
            Matching::Opened => one.opened_at >= from,
            Matching::Overlapping => one.opened_at >= from || one.closed_at.is_none_or(|closed_at| closed_at >= from),
        });
    any(&filter.machine_ids, &one.machine_id)
        && any(&filter.host_ids, &one.host_id)
        && any(&filter.metrics, &one.metric)
        && (filter.devices.is_empty() || one.device.as_ref().is_some_and(|device| filter.devices.contains(device)))
        && any(&filter.kinds, &one.kind)
        && any(&filter.severities, &one.severity)
        && any(&filter.threshold_ids, &one.threshold_id)
        && filter.is_open.is_none_or(|is_open| is_open == one.closed_at.is_none())
        && labelled
        && in_range
}

#[tokio::test]
async fn pages_are_what_is_found_by_looking_at_each() {
    on_every_database(async |database| {
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let mut rng = fastrand::Rng::with_seed(11);
        let all = fill(&store, &mut rng, 400).await;
        let mut found_some = 0;
        for _ in 0..100 {
            let (filter, mut page) = question(&mut rng);
            let mut expected: Vec<_> = all.iter().filter(|one| is_meant(&filter, page, one)).cloned().collect();
            expected.sort_by_key(|one| (one.opened_at, one.id));
            if page.order == Order::Newest {
                expected.reverse();
            }
            let mut found = Vec::new();
            loop {
                let next = list(&mut store.read().await.unwrap(), store.dialect(), &filter, page).await.unwrap();
                page.after = next.last().map(|last| (last.opened_at, last.id)).or(page.after);
                let is_last = (next.len() as i64) < page.limit;
                found.extend(next);
                if is_last {
                    break;
                }
            }
            let ids = |all: &[Violation]| all.iter().map(|one| one.id).collect::<Vec<_>>();
            assert_eq!(ids(&found), ids(&expected), "{filter:?} {page:?}");
            assert!(found == expected);
            found_some += usize::from(!found.is_empty());
        }
        assert!(found_some > 30, "only {found_some} questions have an answer");
        store.close().await;
    })
    .await;
}

/// Violations of four hosts on three days, a minute long each, as `host`, hours after the start and severity.
async fn play(backend: &Backend) {
    let rule = |severity: &str, value: f64| {
        let mut rule = cpu_rule(value, value, 0);
        rule["severity"] = json!(severity);
        rule
    };
    backend.only_thresholds(&[rule("warning", 0.5), rule("critical", 0.8)]).await;
    for (host, hours, cpu) in [("a", 0, 0.6), ("a", 1, 0.9), ("b", 14, 0.9), ("c", 13, 0.6), ("a", 40, 0.6), ("b", 41, 0.6)] {
        let at = START + hours * 60 * MINUTE_MS;
        backend.ingest(&[report(host, at, cpu, &[]), report(host, at + MINUTE_MS, 0.1, &[])]).await;
    }
}

#[tokio::test]
async fn filters_are_repeated_or_separated_by_commas() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        play(&backend).await;
        backend.ingest(&[report("d", START + 100 * 60 * MINUTE_MS, 0.9, &[])]).await;
        let count = async |query: &str| backend.items(&format!("/violations?{query}")).await.len();
        for (query, expected) in [
            ("", 10),
            ("host_id=a", 4),
            ("host_id=a&host_id=b", 7),
            ("host_id=a&host_id=b&severity=critical", 2),
            ("severity=critical,warning", 10),
            ("severity=info", 0),
            ("machine_id=1,2", 7),
            ("label=rack=a1", 10),
            ("label=rack", 10),
            ("label=rack=a1&label=floor", 0),
            ("label=rack=b", 0),
            ("metric=system.cpu.utilization,system.memory.utilization", 10),
            ("kind=container", 0),
            ("device=/", 0),
            ("state=open", 2),
            ("state=closed&severity=critical", 2),
            ("from=2026-10-11&to=2026-10-12&match=opened", 3),
            ("from=2026-10-10T13:00:30Z&to=2026-10-10T13:00:31Z", 2),
            ("from=2026-10-10T13:00:30Z&to=2026-10-10T13:00:31Z&match=opened", 0),
        ] {
            assert_eq!(count(query).await, expected, "{query}");
        }
        let ids = backend.items("/thresholds").await;
        assert_eq!(count(&format!("threshold_id={}", ids[1]["id"].as_str().unwrap())).await, 3);
        let oldest = backend.items("/violations?sort=opened_at&limit=1").await;
        assert_eq!(oldest[0]["opened_at"], api_backend::time::rfc3339(START));

        let export = async |media: &str| {
            let url = format!("{}/api/v1/violations?host_id=a&sort=opened_at", backend.base);
            let response = backend.client.get(url).header("Accept", media).send().await.unwrap();
            let kind = response.headers()["content-type"].to_str().unwrap().to_owned();
            (kind, response.text().await.unwrap())
        };
        let items = backend.items("/violations?host_id=a&sort=opened_at").await;
        let (kind, lines) = export("application/x-ndjson").await;
        assert!(kind.starts_with("application/x-ndjson"), "{kind}");
        let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines, items);
        let (kind, csv) = export("text/csv").await;
        assert!(kind.starts_with("text/csv"), "{kind}");
        assert_eq!(csv.lines().count(), 1 + items.len());
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_has_all_of_many() {
    on_every_database(async |database| {
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let all = fill(&store, &mut fastrand::Rng::with_seed(5), 1_300).await;
        store.close().await;
        let backend = Backend::start(&database).await;
        for (media, first) in [("text/csv", 1), ("application/x-ndjson", 0)] {
            let url = format!("{}/api/v1/violations?from=2026-01-01", backend.base);
            let text = backend.client.get(url).header("Accept", media).send().await.unwrap().text().await.unwrap();
            assert_eq!(text.lines().count(), first + all.len(), "{media}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn counts_are_by_day_machine_metric_and_severity() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        play(&backend).await;
        let counts = async |query: &str| {
            let (status, body) = backend.get(&format!("/violations/counts?from=2026-10-10&to=2026-10-13&{query}")).await;
            assert_eq!(status, StatusCode::OK, "{query}: {body}");
            body
        };
        let rows = |body: &Value, key: &str| {
            let row = |item: &Value| {
                let number = |name: &str| item[name].as_i64().unwrap();
                (item[key].as_str().unwrap().to_owned(), number("count"), number("warning"), number("critical"))
            };
            body["items"].as_array().unwrap().iter().map(row).collect::<Vec<_>>()
        };
        let row = |key: &str, count, warning, critical| (key.to_owned(), count, warning, critical);
        let days = counts("by=day").await;
        // 13 and 14 hours after noon are the next day
        let expected = [row("2026-10-10", 3, 2, 1), row("2026-10-11", 3, 2, 1), row("2026-10-12", 2, 2, 0)];
        assert_eq!(rows(&days, "day"), expected);
        assert_eq!(days["total"], json!({"count": 8, "info": 0, "warning": 6, "critical": 2}));
        // 14 hours are 2 in the morning there, 13 are 1
        let days = counts("by=day&tz=America/New_York").await;
        let expected = [row("2026-10-10", 6, 4, 2), row("2026-10-11", 0, 0, 0), row("2026-10-12", 2, 2, 0)];
        assert_eq!(rows(&days, "day"), expected);
        let machines = counts("by=machine").await;
        let expected = [row("a.example", 4, 3, 1), row("b.example", 3, 2, 1), row("c.example", 1, 1, 0)];
        assert_eq!((rows(&machines, "machine_name"), &machines["has_more"]), (expected.to_vec(), &json!(false)));
        assert_eq!(rows(&counts("by=machine&severity=critical&host_id=b").await, "machine_name"), [row("b.example", 1, 0, 1)]);
        assert_eq!(rows(&counts("by=metric").await, "metric"), [row("system.cpu.utilization", 8, 6, 2)]);
        let severities = counts("by=severity&state=closed&label=rack=a1").await;
        assert_eq!(
            severities["items"],
            json!([{"severity": "info", "count": 0}, {"severity": "warning", "count": 6}, {"severity": "critical", "count": 2}])
        );
        for (query, status, word) in [
            ("by=week", 400, "week"),
            ("from=2025-09-05&to=2026-10-11", 422, "400 days"),
            ("match=overlapping", 400, "match"),
            ("severity=", 400, "empty"),
        ] {
            let (found, problem) = backend.get(&format!("/violations/counts?{query}")).await;
            assert_eq!(found.as_u16(), status, "{query}: {problem}");
            assert!(problem["detail"].as_str().unwrap().contains(word), "{query}: {problem}");
        }
        backend.stop().await;
    })
    .await;
}

/// `count` rows, of which each is what `row` says of its number.
async fn insert(database: &Database, into: &str, count: i64, row: impl Fn(i64) -> String) {
    let mut connection = database.connect().await;
    for first in (1..=count).step_by(1_000) {
        let rows: Vec<_> = (first..=count.min(first + 999)).map(&row).collect();
        execute(&mut connection, &format!("INSERT INTO {into} VALUES {}", rows.join(", "))).await;
    }
}

/// Violations of as many machines, open since a minute after each other.
async fn insert_open(database: &Database, count: i64) {
    let into = "violations (machine_id, machine_name, host_id, host_name, kind, metric, device, direction, severity, threshold_id, \
                threshold_value, opened_at, opened_value, peak_value, detected_at, announced_at)";
    let row = |number: i64| {
        let at = START + number * MINUTE_MS;
        format!(
            "({number}, 'm-{number}', 'h-{number}', 'h', 'host', 'a.b', '', 'above', 'info', 1, 0.5, {at}, 0.6, 0.6, {at}, {at})"
        )
    };
    insert(database, into, count, row).await;
}

#[tokio::test]
async fn counts_are_of_so_many_machines_and_days() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        insert_open(&database, 100).await;
        let machines = async || backend.get("/violations/counts?by=machine&from=2026-10-10&to=2026-10-11").await.1;
        let told = |body: &Value| (body["items"].as_array().unwrap().len(), body["has_more"].as_bool().unwrap());
        assert_eq!(told(&machines().await), (100, false));
        execute(&mut database.connect().await, "UPDATE violations SET machine_id = 1 WHERE machine_id = 2").await;
        let body = machines().await;
        assert_eq!((told(&body), &body["items"][0]["count"]), ((99, false), &json!(2)));
        execute(&mut database.connect().await, "DELETE FROM violations").await;
        insert_open(&database, 101).await;
        let body = machines().await;
        assert_eq!((told(&body), &body["total"]["count"]), ((100, true), &json!(101)));
        let days = backend.items("/violations/counts?from=2025-09-06&to=2026-10-11").await;
        assert_eq!(days.len(), 400);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_label_stands_for_so_many_machines() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let into = "machines (host_key, kind, identity, name, state, labels, facts, first_seen_at)";
        let row = |number: i64| format!("(1, 'container', 'c-{number}', 'c', 'running', '{{\"app\":\"shop\"}}', '{{}}', 0)");
        insert(&database, into, 10_000, row).await;
        insert_open(&database, 60).await;
        assert_eq!(backend.items("/violations?label=app=shop").await.len(), 60);
        insert(&database, into, 1, |_| row(10_001)).await;
        let (status, problem) = backend.get("/violations?label=app=shop").await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_rare_silence_is_found_behind_a_cursor() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        insert_open(&database, 20_001).await;
        let ends_at = api_backend::time::rfc3339(support::now_ms() + 3_600_000);
        let silence = json!({"scope": {"host_id": "h-1"}, "ends_at": ends_at, "comment": "x"});
        assert_eq!(backend.call(Method::POST, "/silences", Some(&silence)).await.0, StatusCode::CREATED);
        let (_, page) = backend.get("/violations?state=silenced").await;
        assert_eq!(page["items"], json!([]));
        let next = format!("/violations?state=silenced&cursor={}", page["next_cursor"].as_str().unwrap());
        let (_, page) = backend.get(&next).await;
        assert_eq!((page["items"].as_array().unwrap().len(), &page["next_cursor"]), (1, &Value::Null));
        assert_eq!(backend.items("/violations?state=silenced&sort=opened_at").await.len(), 1);
        backend.stop().await;
    })
    .await;
}
