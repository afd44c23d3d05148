//! Stored history, replayed, opens and closes the very violations that the reports opened and closed when they came, whatever of it is
//! sealed, on every database; and nothing that is passed over would have changed that.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use api_backend::history::replay::{ReplayedHost, Skipping, Span, Stay, replay};
use api_backend::history::{QUARTER_MS, rollup, seal};
use api_backend::store::{self, Store};
use api_backend::thresholds::{Effect, RuleSet, Threshold};
use fastrand::Rng;
use serde_json::{Value, json};
use sqlx::Row;
use support::{Backend, Database, now_ms, on_every_database, report};
use wire_model::{Cell, HostReport, Table};

const DAY_MS: i64 = 86_400_000;
const INTERVAL_MS: i64 = 5_000;
const REPORTS: usize = 450;
const HOSTS: [&str; 2] = ["alpha", "beta"];

/// What can be there, and may change between two reports.
struct Life {
    host: &'static str,
    rng: Rng,
    epoch: u64,
    seq: u64,
    at: i64,
    /// The first report of an epoch has no rates.
    is_first: bool,
    devices: Vec<(&'static str, bool)>,
    gpus: Option<usize>,
    containers: BTreeMap<&'static str, Container>,
    /// Tables that cannot be read for a while.
    unread: BTreeMap<&'static str, u8>,
}

struct Container {
    state: &'static str,
    health: Option<&'static str>,
    exit_code: Option<f64>,
    oom_killed: f64,
    restarts: f64,
}

impl Container {
    fn new() -> Container {
        Container { state: "running", health: Some("healthy"), exit_code: None, oom_killed: 0.0, restarts: 0.0 }
    }
}

impl Life {
    fn new(host: &'static str, seed: u64, at: i64) -> Life {
        let devices = vec![("/", true), ("/data", true), ("/mnt/usb", false)];
        let containers = ["web", "job", "db"].map(|name| (name, Container::new())).into();
        let (epoch, seq, is_first) = (1, 0, true);
        let rng = Rng::with_seed(seed);
        Life { host, rng, epoch, seq, at, is_first, devices, gpus: Some(1), containers, unread: BTreeMap::new() }
    }

    fn value(&mut self) -> Cell {
        match self.rng.u8(0..40) {
            0 => Cell::Null,
            // rounded to what is stored they are not beyond 0.8
            1 => Cell::Number(0.800_04),
            2 => Cell::Number(0.799_96),
            _ => Cell::Number(f64::from(self.rng.u8(0..20)) / 20.0 + 0.000_012),
        }
    }

    fn advance(&mut self) {
        let rng = &mut self.rng;
        let now_and_then = |rng: &mut Rng, one_in: u8| rng.u8(0..one_in) == 0;
        self.at += if now_and_then(rng, 60) { INTERVAL_MS * rng.i64(2..30) } else { INTERVAL_MS };
        self.seq += 1;
        self.is_first = now_and_then(rng, 80);
        if self.is_first {
            (self.epoch, self.seq) = (self.epoch + 1, 1);
        }
        for (_, is_there) in &mut self.devices {
            *is_there ^= now_and_then(rng, 40);
        }
        match rng.u8(0..60) {
            0 => self.gpus = None,
            1 => self.gpus = Some(0),
            2 => self.gpus = Some(2),
            _ => {}
        }
        for (table, left) in [("filesystem", 30), ("container", 40), ("network", 40)] {
            let unread = self.unread.entry(table).or_default();
            *unread = if now_and_then(rng, left) { rng.u8(1..4) } else { unread.saturating_sub(1) };
        }
        for name in ["web", "job", "db"] {
            if now_and_then(rng, 60) && self.containers.remove(name).is_none() {
                self.containers.insert(name, Container::new());
            }
        }
        for container in self.containers.values_mut() {
            match rng.u8(0..60) {
                0 => {
                    let code = [Some(0.0), Some(1.0), Some(137.0), None][rng.usize(0..4)];
                    let oom_killed = f64::from(u8::from(rng.bool()));
                    *container = Container { state: "exited", exit_code: code, oom_killed, ..Container::new() };
                }
                1 | 2 if container.state != "running" => {
                    *container = Container { restarts: container.restarts + 1.0, ..Container::new() }
                }
                3 => container.health = [None, Some("unhealthy"), Some("starting")][rng.usize(0..3)],
                4 => container.state = ["paused", "created", "removing"][rng.usize(0..3)],
                _ => {}
            }
        }
    }

    fn report(&mut self) -> HostReport {
        let mut report = report(self.host, self.at, 0.0, &[]);
        (report.epoch, report.seq, report.interval_ms) = (self.epoch, self.seq, INTERVAL_MS as u32);
        let rate = |life: &mut Life| if life.is_first { Cell::Null } else { life.value() };
        let cpu = rate(self);
        report.metrics.insert("system.cpu.utilization".to_owned(), cpu.number());
        if self.rng.u8(0..20) == 0 {
            report.metrics.clear();
        }
        let table = |columns: &[&str], rows| Table { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows };
        let there: Vec<&str> = self.devices.iter().filter(|(_, is_there)| *is_there).map(|(name, _)| *name).collect();
        let rows = there.iter().map(|name| vec![Cell::from(*name), self.value(), Cell::Null]).collect();
        // now and then without the column of a rule
        let columns = if self.rng.u8(0..30) == 0 {
            ["mountpoint", "system.filesystem.inodes.utilization", "system.filesystem.usage"]
        } else {
            ["mountpoint", "system.filesystem.utilization", "system.filesystem.inodes.utilization"]
        };
        report.tables.insert("filesystem".to_owned(), table(&columns, rows));
        let bytes = |life: &mut Life| Cell::from(rate(life).number().map(|value| value * 1_000.0));
        let rows = ["eth0", "wg0"].iter().map(|name| vec![Cell::from(*name), bytes(self)]).collect();
        report.tables.insert("network".to_owned(), table(&["interface", "system.network.receive"], rows));
        if let Some(gpus) = self.gpus {
            let rows = ["gpu0", "gpu1"].iter().take(gpus).map(|name| vec![Cell::from(*name), self.value()]).collect();
            report.tables.insert("gpu".to_owned(), table(&["device", "gpu.load"], rows));
        }
        let mut rows = Vec::new();
        for name in self.containers.keys().copied().collect::<Vec<_>>() {
            let memory = if self.containers[name].state == "running" { rate(self) } else { Cell::Null };
            let of = &self.containers[name];
            rows.push(vec![
                name.into(),
                of.state.into(),
                of.health.into(),
                Cell::from(of.exit_code),
                Cell::Number(of.oom_killed),
                Cell::Number(of.restarts),
                memory,
            ]);
        }
        let columns = ["name", "state", "health", "exit_code", "oom_killed", "restarts", "container.memory.utilization"];
        report.tables.insert("container".to_owned(), table(&columns, rows));
        for name in self.unread.iter().filter(|(_, left)| **left > 0).map(|(name, _)| *name) {
            report.tables.remove(name);
        }
        report
    }
}

fn rules() -> Vec<Value> {
    let rule = |kind: &str, metric: &str, direction: &str, value: f64, recovery: f64, for_seconds: i64, severity: &str| {
        json!({
            "scope": {"kind": kind}, "metric": metric, "direction": direction, "value": value, "recovery_value": recovery,
            "for_seconds": for_seconds, "severity": severity,
        })
    };
    let mut rules = vec![
        rule("host", "system.cpu.utilization", "above", 0.8, 0.3, 0, "warning"),
        rule("host", "system.cpu.utilization", "below", 0.3, 0.5, 10, "info"),
        rule("host", "system.filesystem.utilization", "above", 0.8, 0.5, 5, "warning"),
        rule("host", "system.filesystem.inodes.utilization", "above", 0.5, 0.5, 0, "critical"),
        rule("host", "system.network.receive", "above", 500.0, 500.0, 0, "info"),
        rule("host", "gpu.load", "above", 0.8, 0.2, 0, "critical"),
        rule("container", "container.memory.utilization", "above", 0.8, 0.4, 5, "warning"),
        rule("container", "container.memory.utilization", "above", 0.9, 0.9, 0, "critical"),
        rule("container", "container.stopped", "above", 0.5, 0.5, 0, "warning"),
        rule("container", "container.exit_code", "above", 0.5, 0.5, 0, "warning"),
        rule("container", "container.oom_killed", "above", 0.5, 0.5, 0, "critical"),
        rule("container", "container.unhealthy", "above", 0.5, 0.5, 10, "warning"),
        rule("container", "container.restarts", "above", 0.5, 0.5, 0, "info"),
        rule("container", "container.missing", "above", 0.5, 0.5, 10, "warning"),
    ];
    for number in [0, 3, 6] {
        rules[number]["recovery_for_seconds"] = json!(10);
    }
    let window = |kind: &str, metric: &str, condition: &str, value: f64| {
        let direction = if condition == "change" { "above" } else { "below" };
        json!({
            "scope": {"kind": kind}, "metric": metric, "condition": condition, "window_seconds": 120, "direction": direction,
            "value": value, "severity": "warning",
        })
    };
    rules.push(window("host", "system.cpu.utilization", "change", 0.2));
    rules.push(window("host", "system.filesystem.utilization", "time_until_full", 300.0));
    rules.push(window("container", "container.restarts", "change", 0.9));
    rules.push(json!({
        "scope": {"kind": "host", "labels": {"host.name": "beta*"}}, "metric": "system.filesystem.utilization", "device": "/mnt/*",
        "direction": "above", "severity": "warning", "effect": "none",
    }));
    rules
}

/// Of a violation all that the evaluator decides: what it is of, when it opened and closed, and with which values.
type Told = (i64, String, i64, i64, f64, f64, Option<i64>, Option<f64>, Option<String>);

async fn stored(database: &Database) -> Vec<Told> {
    let sql = "SELECT machine_id, device, threshold_id, opened_at, opened_value, peak_value, closed_at, closed_value, close_reason \
               FROM violations ORDER BY opened_at, machine_id, threshold_id, device";
    let rows = sqlx::query(sql).fetch_all(&mut database.connect().await).await.unwrap();
    rows.iter()
        .map(|row| {
            (
                row.get(0),
                row.get(1),
                row.get(2),
                row.get(3),
                row.get(4),
                row.get(5),
                row.try_get(6).unwrap(),
                row.try_get(7).unwrap(),
                row.try_get(8).unwrap(),
            )
        })
        .collect()
}

fn row(Stay { key, opened_at, opened_value, peak_value, closed_at, closed_value, close_reason }: Stay) -> Told {
    let reason = close_reason.map(|reason| reason.as_str().to_owned());
    (key.machine_id, key.device, key.threshold_id, opened_at, opened_value, peak_value, closed_at, closed_value, reason)
}

/// For each set of rules what comes out, and how many reports were looked at.
async fn replayed(store: &Store, sets: &[Arc<RuleSet>], skipping: Skipping) -> (Vec<Vec<Told>>, u64) {
    let mut connection = store.read().await.unwrap();
    let hosts = store::hosts::all(&mut connection).await.unwrap();
    let (mut told, mut evaluated) = (vec![Vec::new(); sets.len()], 0);
    for host in hosts {
        let machines = store::machines::of_host(&mut connection, host.host_key).await.unwrap();
        let host = Arc::new(ReplayedHost::of(&host, &machines, |_| true).unwrap());
        let (rules, from, to) = (sets.to_vec(), now_ms() - 30 * DAY_MS, now_ms() + DAY_MS);
        let of_host = replay(store, host, &Span { rules, from, to, skipping }).await.unwrap();
        for (all, stays) in told.iter_mut().zip(of_host.stays) {
            all.extend(stays.into_iter().map(row));
        }
        evaluated += of_host.evaluated;
    }
    told.iter_mut().for_each(|told| told.sort_by(|one, other| order(one).cmp(&order(other))));
    (told, evaluated)
}

fn order(told: &Told) -> impl Ord + '_ {
    (told.3, told.0, told.2, told.1.as_str())
}

async fn seal_all(store: &Store, before: i64, all: bool) {
    while let Some(head) = seal::due(store, before).await.unwrap().first() {
        seal::seal(store, *head).await.unwrap();
        if !all {
            return;
        }
    }
}

/// Sends reports in batches of any size, some of them long after those around them, some once more.
async fn send(backend: &Backend, lives: &mut [Life], rng: &mut Rng, mut between: impl AsyncFnMut()) {
    let mut waiting: Vec<HostReport> = Vec::new();
    let mut late: Vec<HostReport> = Vec::new();
    for number in 0..REPORTS {
        for life in lives.iter_mut() {
            life.advance();
            let report = life.report();
            match rng.u8(0..40) {
                0 => late.push(report),
                1 => {
                    waiting.push(report.clone());
                    late.push(report);
                }
                _ => waiting.push(report),
            }
        }
        if rng.u8(0..8) == 0 {
            rng.shuffle(&mut waiting);
            backend.ingest(&std::mem::take(&mut waiting)).await;
        }
        if rng.u8(0..60) == 0 {
            backend.ingest(&std::mem::take(&mut late)).await;
        }
        if number % 130 == 100 {
            between().await;
        }
    }
    waiting.extend(late);
    backend.ingest(&waiting).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stored_range_reproduces_the_stored_violations_exactly() {
    on_every_database(async |database| {
        // one that failed comes again
        let seed = std::env::var("REPLAY_SEED").map_or_else(|_| fastrand::u64(..), |text| text.parse().unwrap());
        println!("seed {seed}");
        let mut rng = Rng::with_seed(seed);
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        // the test seals and folds by itself, and keeps all
        support::execute(&mut database.connect().await, "UPDATE leases SET holder = 7, held_until = 9000000000000000").await;
        let backend = Backend::start_with(&database, &["--raw-retention-days=3650", "--rollup-retention-days=3650"]).await;
        backend.only_thresholds(&rules()).await;
        let begin = now_ms() / DAY_MS * DAY_MS - DAY_MS - QUARTER_MS;
        let mut lives = [Life::new(HOSTS[0], rng.u64(..), begin), Life::new(HOSTS[1], rng.u64(..), begin + 7)];
        send(&backend, &mut lives, &mut rng, async || seal_all(&store, now_ms(), fastrand::bool()).await).await;

        let rules = store::thresholds::all(&mut store.read().await.unwrap()).await.unwrap();
        let none = rules.iter().find(|rule| rule.effect == Effect::None).unwrap();
        let seldom = Threshold { id: 99, value: 2.0, recovery_value: 2.0, ..rules[0].clone() };
        let all: Vec<i64> = rules.iter().map(|rule| rule.id).collect();
        let stored = stored(&database).await;
        assert!(stored.len() > 250, "{} violations", stored.len());
        // all at once, and one by one
        let mut ids = vec![all, vec![seldom.id]];
        let mut sets = vec![rules.clone(), vec![seldom]];
        for rule in &rules {
            ids.push(vec![rule.id]);
            sets.push(vec![rule.clone(), none.clone()]);
        }
        let sets: Vec<Arc<RuleSet>> = sets.into_iter().map(|rules| Arc::new(RuleSet::new(rules))).collect();
        // of each of these more can be passed over than of all together
        let of_values = 1..6;
        let check = async |what: &str| {
            let compare = |told: &[Vec<Told>], ids: &[Vec<i64>]| {
                for (told, ids) in told.iter().zip(ids) {
                    let expected: Vec<&Told> = stored.iter().filter(|stay| ids.contains(&stay.2)).collect();
                    let differs = told.iter().zip(&expected).find(|(one, other)| one != *other);
                    assert_eq!(differs, None, "{what}, rules {ids:?}, seed {seed}");
                    assert_eq!(told.len(), expected.len(), "{what}, rules {ids:?}, seed {seed}");
                }
            };
            let (told, evaluated) = replayed(&store, &sets, Skipping::Never).await;
            assert!(evaluated > 500, "{what}: {evaluated}");
            compare(&told, &ids);
            let mut passed_over = 0;
            for range in of_values.clone().map(|number| number..number + 1).chain([of_values.clone()]) {
                let (told, some) = replayed(&store, &sets[range.clone()], Skipping::Allowed).await;
                compare(&told, &ids[range]);
                passed_over += evaluated - some;
            }
            passed_over
        };
        check("some sealed").await;
        seal_all(&store, now_ms(), true).await;
        assert!(check("all sealed").await > 500, "by the heads of columns");
        for due in rollup::due(&store, now_ms() - QUARTER_MS, 100).await.unwrap() {
            rollup::roll_up(&store, due).await.unwrap();
        }
        assert!(check("folded").await > 500, "by the points of 5 minutes");
        backend.stop().await;
    })
    .await;
}
