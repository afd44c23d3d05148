//! Series over head, chunks and rollups are those of a naive model that keeps every sample, whatever was sealed, folded, opened again by
//! late reports, cut off half-way or removed, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use api_backend::history::removal::{Limits, Removal};
use api_backend::history::rollup::{self, RolledUp};
use api_backend::history::{
    Detail, QUARTER_MS, Series, SeriesQuery, TopMachine, day_of, existing, over_range, read_series, seal,
};
use api_backend::store::machines::MachineRow;
use api_backend::store::{self, Store};
use support::{Backend, Database, on_every_database, report};
use wire_model::ReportId;

const MINUTE: i64 = 60_000;
const DAY: i64 = 86_400_000;
const SLOT: i64 = 5 * MINUTE;
const HOSTS: &[&str] = &["alpha", "beta"];
const CPU: &str = "system.cpu.utilization";
const MEMORY: &str = "container.memory.utilization";
const FULL: &str = "system.filesystem.utilization";

/// A database, a backend that takes reports, and what was reported.
struct Rig {
    backend: Backend,
    store: Store,
    rng: fastrand::Rng,
    /// By host, identity, metric: time and value, rounded to 10⁻⁴.
    model: BTreeMap<(usize, &'static str, &'static str), BTreeMap<i64, f64>>,
    first_day: i64,
    /// Samples from before are removed.
    removed_before: i64,
}

impl Rig {
    async fn new(database: &Database, seed: u64) -> Rig {
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        // the test seals and folds by itself, and keeps all
        support::execute(&mut database.connect().await, "UPDATE leases SET holder = 7, held_until = 9000000000000000").await;
        let backend = Backend::start_with(database, &["--raw-retention-days=3650", "--rollup-retention-days=3650"]).await;
        backend.only_thresholds(&[]).await;
        let first_day = day_of(support::now_ms()) - 4 * DAY;
        Rig { backend, store, rng: fastrand::Rng::with_seed(seed), model: BTreeMap::new(), first_day, removed_before: 0 }
    }

    /// Sends reports of these times, some of them in the wrong order.
    async fn report(&mut self, host: usize, times: &[i64]) {
        let mut reports = Vec::new();
        for at in times {
            let round = |value: f64| (value * 10_000.0).round() / 10_000.0;
            let (cpu, memory) = (self.rng.f64(), self.rng.f64());
            let mut containers = vec![("web", if self.rng.u8(0..9) == 0 { "exited" } else { "running" }, memory)];
            if self.rng.bool() {
                containers.push(("job", "running", 0.25));
            }
            reports.push(report(HOSTS[host], *at, cpu, &containers));
            let mut add =
                |identity, metric, value| self.model.entry((host, identity, metric)).or_default().insert(*at, round(value));
            add("", CPU, cpu);
            add("", FULL, 0.5);
            for (name, state, value) in containers {
                if state == "running" {
                    add(if name == "web" { "name:web" } else { "name:job" }, MEMORY, value);
                }
            }
        }
        for reports in reports.chunks(100) {
            let receipt = self.backend.ingest(reports).await;
            assert_eq!((receipt.stored, receipt.duplicate), (reports.len(), 0));
        }
    }

    /// Times of a stretch of a day, a minute and some apart, with holes.
    fn times(&mut self, day: i64, from_minute: i64, minutes: i64) -> Vec<i64> {
        let begin = self.first_day + day * DAY + from_minute * MINUTE;
        let times = (0..minutes).map(|minute| begin + minute * MINUTE + self.rng.i64(0..MINUTE));
        let times: Vec<i64> = times.collect();
        times.into_iter().filter(|_| self.rng.u8(0..8) > 0).collect()
    }

    async fn seal(&self, before: i64) -> u64 {
        let mut reports = 0;
        loop {
            let mut sealed = 0;
            for head in seal::due(&self.store, before).await.unwrap() {
                sealed += seal::seal(&self.store, head).await.unwrap().reports;
            }
            if sealed == 0 {
                return reports;
            }
            reports += sealed;
        }
    }

    /// Begins to seal and to fold, and is cut off after some steps, like a process that is killed.
    async fn cut_off(&mut self, before: i64) {
        for head in seal::due(&self.store, before).await.unwrap() {
            let polls = self.rng.u32(0..60);
            drop(after_polls(polls, seal::seal(&self.store, head)).await);
        }
        for due in rollup::due(&self.store, before, 100).await.unwrap() {
            let polls = self.rng.u32(0..200);
            drop(after_polls(polls, rollup::roll_up(&self.store, due)).await);
        }
    }

    async fn roll_up(&self, before: i64) -> usize {
        let due = rollup::due(&self.store, before, 1_000).await.unwrap();
        for due in &due {
            assert_eq!(rollup::roll_up(&self.store, *due).await.unwrap(), RolledUp::Yes);
        }
        due.len()
    }

    async fn remove(&mut self, before: i64) {
        let limits = Limits { raw_before: before, given_up_before: 0, rollups_before: 0 };
        let mut removal = Removal::begin(&self.store, limits).await.unwrap();
        while removal.step(&self.store).await.unwrap() > 0 {}
        self.removed_before = before;
    }

    async fn machine(&self, host: usize, identity: &str) -> MachineRow {
        let mut connection = self.store.read().await.unwrap();
        let hosts = store::hosts::all(&mut connection).await.unwrap();
        let key = hosts.iter().find(|row| row.host_id == HOSTS[host]).unwrap().host_key;
        let machines = store::machines::of_host(&mut connection, key).await.unwrap();
        machines.into_iter().find(|machine| machine.identity == identity).unwrap()
    }

    async fn count(&self, table: &str) -> i64 {
        let sql = sqlx::AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
        sqlx::query_scalar(sql).fetch_one(&mut *self.store.read().await.unwrap()).await.unwrap()
    }

    /// All series of the model at several resolutions and ranges.
    async fn check(&mut self, what: &str) {
        let keys: Vec<_> = self.model.keys().copied().collect();
        let end = self.first_day + 4 * DAY;
        let somewhere = self.first_day + self.rng.i64(0..3 * DAY);
        for (host, identity, metric) in keys {
            let machine = self.machine(host, identity).await;
            for (from, to, max_points) in [
                (self.first_day, end, 10_000),
                (self.first_day, end, 1_000),
                (self.first_day + 7, end - 7, 100),
                (somewhere, somewhere + 2 * DAY, 500),
                (somewhere, somewhere + 3 * 3_600_000, 10_000),
                (somewhere, somewhere + 3 * 3_600_000, 10),
            ] {
                let query =
                    SeriesQuery { metrics: vec![metric.to_owned()], device: None, from, to, detail: Detail::Points(max_points) };
                let mut snapshot = self.store.snapshot().await.unwrap();
                let series = read_series(&mut snapshot, &machine, MINUTE, &query).await.unwrap();
                snapshot.rollback().await.unwrap();
                self.compare(
                    &self.model[&(host, identity, metric)],
                    &query,
                    &series,
                    &format!("{what}: {host} {identity} {metric}"),
                );
            }
        }
    }

    /// The greatest over ranges against the model; all but the newest report of each host is sealed.
    async fn check_top(&mut self, what: &str) {
        let somewhere = self.first_day + self.rng.i64(0..2 * DAY);
        let mut ranges = vec![
            (somewhere, somewhere + 3 * 3_600_000),
            (somewhere, somewhere + DAY),
            (somewhere, somewhere + 2 * DAY),
            (self.first_day, self.first_day + DAY),
        ];
        if self.count("rollups_due").await == 0 {
            ranges.push((somewhere, somewhere + 2 * DAY + 1));
        }
        for (from, to) in ranges {
            for metric in [CPU, MEMORY, FULL] {
                let mut snapshot = self.store.snapshot().await.unwrap();
                let (first, end, top) = over_range(&mut snapshot, metric, from, to).await.unwrap();
                snapshot.rollback().await.unwrap();
                let width = if to - from > 2 * DAY { DAY } else { QUARTER_MS };
                assert_eq!((first, end), (from - from % width, (to + width - 1) / width * width), "{what}");
                let mut found = BTreeMap::new();
                for of in top {
                    let TopMachine::Id(id) = of.machine else { unreachable!("a range has numbers of machines") };
                    assert_eq!(of.device.as_deref(), (metric == FULL).then_some("/"), "{what}");
                    assert_eq!(found.insert(id, of.values), None, "{what}: once each");
                }
                for ((host, identity, _), samples) in self.model.iter().filter(|((.., of), _)| *of == metric) {
                    let newest = *self.model[&(*host, "", CPU)].keys().next_back().unwrap();
                    let values: Vec<f64> = samples.range(first..end.min(newest)).map(|(_, value)| *value).collect();
                    let found = found.remove(&self.machine(*host, identity).await.machine_id);
                    let what = format!("{what}: {host} {identity} {metric} in {from}..{to}");
                    let Some([min, avg, max]) = found else {
                        assert_eq!(values, [] as [f64; 0], "{what}: nothing came");
                        continue;
                    };
                    assert_eq!(min, values.iter().copied().fold(f64::INFINITY, f64::min), "{what}");
                    assert_eq!(max, values.iter().copied().fold(f64::NEG_INFINITY, f64::max), "{what}");
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    assert!((avg - mean).abs() <= 0.000_051, "{what}: {avg} is not {mean}");
                }
                assert!(found.is_empty(), "{what}: {found:?}");
            }
        }
    }

    fn compare(&self, samples: &BTreeMap<i64, f64>, query: &SeriesQuery, series: &[Series], what: &str) {
        let Some(series) = series.first() else {
            assert_eq!(samples.range(query.from..query.to).count(), 0, "{what}: nothing came for {query:?}");
            return;
        };
        let Detail::Points(max_points) = query.detail else { unreachable!("the test asks for points") };
        assert!(series.t.len() as i64 <= max_points, "{what}: {} points for {query:?}", series.t.len());
        let width = series.resolution_ms;
        let grid = [15 * MINUTE, SLOT, 1].into_iter().find(|grid| width % grid == 0).unwrap();
        let grid = if width < SLOT { 1 } else { grid };
        let (from, to) = (query.from - query.from % grid, (query.to + grid - 1) / grid * grid);
        let mut expected: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
        for (at, value) in samples {
            // of removed samples the 5 minutes are known
            let at = if *at < self.removed_before { at - at % SLOT } else { *at };
            if (from..to).contains(&at) {
                expected.entry(at - at % width).or_default().push(*value);
            }
        }
        assert_eq!(series.t, expected.keys().copied().collect::<Vec<_>>(), "{what}: {query:?} {width}");
        for (index, values) in expected.values().enumerate() {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let greatest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            assert_eq!((series.min[index], series.max[index]), (least, greatest), "{what}: {query:?}");
            assert!((series.avg[index] - mean).abs() <= 0.000_051, "{what}: {} is not {mean}: {query:?}", series.avg[index]);
        }
    }
}

/// Polls a future so often and drops it then.
async fn after_polls<T>(polls: u32, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn series_are_those_of_a_naive_model() {
    on_every_database(async |database| {
        let mut rig = Rig::new(&database, 7).await;
        let day = |rig: &Rig, number: i64| rig.first_day + number * DAY;
        for number in 0..3 {
            for host in 0..HOSTS.len() {
                let times = rig.times(number, 100, 300);
                rig.report(host, &times).await;
            }
        }
        rig.check("head").await;

        let noon = day(&rig, 1) + DAY / 8;
        rig.cut_off(noon).await;
        rig.check("cut off").await;
        assert!(rig.seal(noon).await > 0);
        assert!(rig.count("chunks").await > 0);
        rig.check("half sealed").await;

        // late ones open stretches again, with containers that nobody had registered
        for host in 0..HOSTS.len() {
            let times = rig.times(0, 90, 40).into_iter().map(|at| at + 1).collect::<Vec<_>>();
            let known = rig.model[&(host, "", CPU)].clone();
            let times: Vec<i64> = times.into_iter().filter(|at| !(at - 16..=*at).any(|at| known.contains_key(&at))).collect();
            rig.report(host, &times).await;
        }
        rig.check("late").await;
        rig.cut_off(noon).await;
        rig.seal(noon).await;
        rig.check("opened again").await;

        // what was cut off may have come to its end
        assert!(rig.roll_up(day(&rig, 1)).await <= HOSTS.len());
        assert_eq!(rig.count(&format!("rollups_due WHERE day_at < {}", day(&rig, 1))).await, 0);
        rig.check("folded").await;
        rig.seal(i64::MAX).await;
        rig.cut_off(i64::MAX).await;
        rig.check("sealed").await;
        rig.check_top("sealed").await;
        rig.roll_up(i64::MAX).await;
        assert_eq!(rig.count("rollups_due").await, 0);
        assert_eq!(rig.count("reports").await, HOSTS.len() as i64, "the newest report of each host stays");
        rig.check("all folded").await;
        rig.check_top("all folded").await;

        // a folded day changes once more
        let times = vec![day(&rig, 1) + 3 * MINUTE + 1, day(&rig, 1) + 20 * MINUTE + 1];
        rig.report(0, &times).await;
        rig.check("late for a folded day").await;
        rig.seal(i64::MAX).await;
        rig.check("a day to be folded again").await;
        rig.check_top("a day to be folded again").await;
        assert_eq!(rig.roll_up(i64::MAX).await, 1);
        rig.check("folded again").await;

        let first_chunks = rig.count("chunks").await;
        rig.remove(day(&rig, 2)).await;
        assert!(rig.count("chunks").await < first_chunks);
        rig.check("removed").await;
        rig.check_top("removed").await;
        rig.backend.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_report_that_comes_again_is_a_duplicate() {
    on_every_database(async |database| {
        let mut rig = Rig::new(&database, 1).await;
        let begin = rig.first_day;
        let reports: Vec<_> = (0..40).map(|minute| report("alpha", begin + minute * MINUTE, 0.5, &[])).collect();
        assert_eq!(rig.backend.ingest(&reports).await.stored, 40);
        assert_eq!(rig.seal(begin + 2 * QUARTER_MS).await, 30);
        assert_eq!(rig.count("reports").await, 10);
        let again = rig.backend.ingest(&reports).await;
        assert_eq!((again.stored, again.duplicate), (0, 40));

        let known = existing(&mut rig.store.begin().await.unwrap(), 1, &[begin, begin + 1, begin + 35 * MINUTE]).await.unwrap();
        let id = |at: i64| ReportId { epoch: 1, seq: u64::try_from(at).unwrap() };
        assert_eq!(
            known.into_iter().collect::<BTreeMap<_, _>>(),
            BTreeMap::from([begin, begin + 35 * MINUTE].map(|at| (at, id(at))))
        );

        // another report of a sealed time takes the next free one, and is known there
        let mut other = report("alpha", begin, 0.7, &[]);
        other.seq -= 1;
        assert_eq!(rig.backend.ingest(std::slice::from_ref(&other)).await.stored, 1);
        assert_eq!(rig.seal(begin + 2 * QUARTER_MS).await, 1);
        assert_eq!(rig.backend.ingest(&[other]).await.duplicate, 1);
        rig.model.clear();
        rig.backend.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_after_its_day_was_removed_changes_no_rollup() {
    on_every_database(async |database| {
        let mut rig = Rig::new(&database, 2).await;
        for number in 0..2 {
            let times = rig.times(number, 0, 60);
            rig.report(0, &times).await;
        }
        rig.seal(i64::MAX).await;
        // not folded yet: nothing is removed
        let before = rig.first_day + DAY;
        let chunks = rig.count("chunks").await;
        rig.remove(before).await;
        assert_eq!(rig.count("chunks").await, chunks);
        rig.removed_before = 0;
        rig.roll_up(i64::MAX).await;
        rig.remove(before).await;
        rig.check("removed").await;

        let late = report(HOSTS[0], rig.first_day + 2, 1.0, &[]);
        assert_eq!(rig.backend.ingest(&[late]).await.stored, 1);
        assert_eq!(rig.seal(i64::MAX).await, 1);
        let due = rollup::due(&rig.store, i64::MAX, 10).await.unwrap();
        assert_eq!(due.len(), 1);
        assert_eq!(rollup::roll_up(&rig.store, due[0]).await.unwrap(), RolledUp::TooLate);
        rig.check("late").await;
        rig.remove(before).await;
        rig.check("removed again").await;
        rig.backend.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_seals_and_folds_by_itself() {
    on_every_database(async |database| {
        let mut rig = Rig::new(&database, 3).await;
        for host in 0..HOSTS.len() {
            let times = rig.times(0, 0, 120);
            rig.report(host, &times).await;
        }
        rig.backend.stop().await;
        support::execute(&mut database.connect().await, "UPDATE leases SET held_until = 0").await;
        rig.backend = Backend::start_sealing(&database, 1).await;
        support::eventually("everything is sealed and folded", async || {
            rig.count("reports").await == HOSTS.len() as i64 && rig.count("rollups_due").await == 0
        })
        .await;
        assert_eq!(
            rig.count("(SELECT DISTINCT machine_id FROM chunks WHERE resolution_ms = 300000) AS folded").await,
            3 * HOSTS.len() as i64
        );
        rig.check("by itself").await;
        rig.backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_query_that_was_cut_off_leaves_no_old_state_behind() {
    on_every_database(async |database| {
        let store = store::connect(&database.url.parse().unwrap()).await.unwrap();
        let mut other = database.connect().await;
        let mut seen = Vec::new();
        for number in 0..60 {
            // there is one that waits, so that the few steps are those of a transaction's begin
            drop(store.read().await.unwrap());
            drop(after_polls(1 + number % 6, store.snapshot()).await);
            // by whichever connection: the one that was cut off comes up again and again
            for value in 0..3 {
                let newest = i64::from(number) * 10 + value;
                support::execute(&mut other, &format!("UPDATE counters SET value = {newest} WHERE name = 'thresholds_version'"))
                    .await;
                let sql = "SELECT value FROM counters WHERE name = 'thresholds_version'";
                let read: i64 = sqlx::query_scalar(sql).fetch_one(&mut *store.read().await.unwrap()).await.unwrap();
                seen.push((newest, read));
            }
        }
        assert!(seen.iter().all(|(newest, read)| newest == read), "{seen:?}");
        store.close().await;
    })
    .await;
}
