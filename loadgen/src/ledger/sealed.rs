//! Journal against `chunks`: every value of every sealed report is there, rounded, and no other.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail, ensure};
use serde::Serialize;
use wire_model::HostReport;

use super::chunks::{self, Points};
use super::kept;
use super::store::{ChunkRow, FIVE_MINUTES, HostIndex, Machine, RAW, Store};
use super::values::{self, is_rounded};
use super::{folded, found, reports};

const DAY_MS: i64 = 86_400_000;

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Sealed quarters of an hour of a host, and the values of their chunks.
    stretches: u64,
    values: u64,
    /// Folded days of a host that were compared, and their points that agree.
    days: u64,
    points: u64,
    /// Days that are to be folded, for the first time or again.
    days_due: u64,
    /// Rows that cannot be what their description says.
    pub(super) unreadable: u64,
    /// Stretches of which there are chunks and no names.
    nameless: u64,
    /// Series of folded days that are not what the reports make them, are missing, or should not be.
    misfolded: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.unreadable + self.nameless + self.misfolded
    }
}

/// A host, and what is known of it.
pub(super) struct Host<'a> {
    pub(super) id: &'a str,
    pub(super) key: i64,
    pub(super) machines: &'a BTreeMap<Machine, i64>,
    pub(super) index: &'a HostIndex,
    pub(super) raw_removed_before: i64,
    pub(super) brought: &'a reports::Brought,
}

impl Host<'_> {
    /// Compares all that is sealed of it. Reports of which a value is wrong are told as corrupt, those whose values are removed on
    /// purpose are counted.
    pub(super) async fn compare(
        &self,
        store: &mut Store,
        reports: &mut reports::Findings,
        findings: &mut Findings,
    ) -> anyhow::Result<()> {
        for start_at in self.index.raw.iter().filter(|start_at| !self.index.stretches.contains_key(start_at)) {
            found(&mut findings.nameless, "chunks of a stretch that names no reports", format!("{} {start_at}", self.id));
        }
        for (start_at, named) in &self.index.stretches {
            findings.stretches += 1;
            if *start_at < self.raw_removed_before && !self.index.raw.contains(start_at) {
                reports.removed_by_retention += named.len() as u64;
                continue;
            }
            let rows = store.chunks(RAW, *start_at, self.key).await.context("read the chunks of a stretch")?;
            let mut stretch = Stretch::of(named.len());
            for row in rows {
                if let Err(error) = stretch.add(&row) {
                    let which = format!("{} {start_at} machine {}: {error:#}", self.id, row.machine_id);
                    found(&mut findings.unreadable, "a chunk cannot be read", which);
                }
            }
            findings.values += stretch.held.iter().sum::<u64>();
            for (place, named) in named.iter().enumerate() {
                let id = named.id;
                // one that was never sent is told as such
                let Some(report) = self.brought.reports.get(&id) else { continue };
                if let Err(error) = stretch.has(place, report, self.machines, named.state != 0) {
                    let which =
                        format!("{} epoch {} seq {} at {}: {error}", self.id, id.epoch, id.seq, start_at + named.after_ms);
                    found(&mut reports.corrupt, "sealed with other values", which);
                }
            }
        }
        self.compare_days(store, findings).await
    }

    async fn compare_days(&self, store: &mut Store, findings: &mut Findings) -> anyhow::Result<()> {
        for (day_at, reports) in self.days() {
            if self.index.due.contains(&day_at) {
                findings.days_due += 1;
                continue;
            }
            findings.days += 1;
            let is_removed = day_at < self.raw_removed_before;
            let mut day = folded::Day::default();
            for (at, report) in reports {
                for value in values::of(report, self.machines) {
                    day.add(at - day_at, &value);
                }
            }
            let mut differences = Vec::new();
            for row in store.chunks(FIVE_MINUTES, day_at, self.key).await.context("read the chunks of a day")? {
                match day.compare(&row) {
                    Ok((points, different)) => {
                        findings.points += points;
                        differences.extend(different);
                    }
                    Err(error) => {
                        let which = format!("{} {day_at} machine {}: {error:#}", self.id, row.machine_id);
                        found(&mut findings.unreadable, "a chunk cannot be read", which);
                    }
                }
            }
            // a machine may be forgotten when nothing but points is left of it
            if !is_removed {
                differences.extend(day.left());
            }
            for difference in differences {
                found(&mut findings.misfolded, "a day is folded wrongly", format!("{} {day_at}: {difference}", self.id));
            }
        }
        Ok(())
    }

    /// Sealed reports, and those that were removed, by day and the time under which they are stored.
    fn days(&self) -> BTreeMap<i64, Vec<(i64, &HostReport)>> {
        let stretches = self.index.stretches.iter();
        let sealed = stretches.flat_map(|(start_at, named)| named.iter().map(move |named| (start_at + named.after_ms, named.id)));
        let removed = self.brought.removed.iter().map(|(id, at)| (*at, *id));
        let mut days: BTreeMap<i64, Vec<_>> = self.index.folded.iter().map(|day_at| (*day_at, Vec::new())).collect();
        for (at, id) in sealed.chain(removed) {
            if let Some(report) = self.brought.reports.get(&id) {
                days.entry(at - at.rem_euclid(DAY_MS)).or_default().push((at, report));
            }
        }
        days
    }
}

/// The chunks of a host's machines over one stretch.
struct Stretch {
    /// By machine, metric and device.
    machines: BTreeMap<i64, BTreeMap<String, BTreeMap<String, Series>>>,
    /// How many values there are at each place.
    held: Vec<u64>,
    /// Metric and device of what has none, by place.
    nulls: Vec<BTreeSet<(String, String)>>,
}

struct Series {
    unit: Option<f64>,
    /// In units, by place.
    values: Vec<Option<f64>>,
}

impl Stretch {
    fn of(places: usize) -> Stretch {
        Stretch { machines: BTreeMap::new(), held: vec![0; places], nulls: vec![BTreeSet::new(); places] }
    }

    fn add(&mut self, row: &ChunkRow) -> anyhow::Result<()> {
        let chunk = chunks::chunk(row.part, &row.data)?;
        let places = self.held.len();
        ensure!(chunk.places == places, "it has {} places, its stretch names {places} reports", chunk.places);
        for column in chunk.columns {
            let which = || format!("{} {}", column.metric, column.device);
            let points = match column.points {
                Points::Raw(points) => points,
                Points::Folded(_) => bail!("{} is folded", which()),
                Points::Nulls(held) => {
                    for place in held {
                        let is_new = self.nulls[place].insert((column.metric.clone(), column.device.clone()));
                        ensure!(is_new, "{} without values stands twice", which());
                    }
                    continue;
                }
            };
            ensure!(column.unit == values::unit(&column.metric), "{} is kept in units of {:?}", which(), column.unit);
            let mut values = vec![None; places];
            for (place, value) in points {
                values[place] = Some(value);
                self.held[place] += 1;
            }
            let what = which();
            let devices = self.machines.entry(row.machine_id).or_default().entry(column.metric).or_default();
            let before = devices.insert(column.device, Series { unit: column.unit, values });
            ensure!(before.is_none(), "{what} stands twice");
        }
        Ok(())
    }

    /// Whether a place holds the values of a report and no others; `has_states`: and what is kept beside them.
    fn has(&self, place: usize, report: &HostReport, machines: &BTreeMap<Machine, i64>, has_states: bool) -> anyhow::Result<()> {
        let (mut all, mut nulls) = (values::of(report, machines), Vec::new());
        if has_states {
            all.extend(kept::container_states(report, machines));
            nulls = kept::nulls(report);
        }
        let mut count = 0;
        for value in all {
            let which = || format!("{} {} of machine {:?}", value.metric, value.device, value.machine_id);
            let machine = value.machine_id.and_then(|id| self.machines.get(&id));
            let series = machine.and_then(|metrics| metrics.get(value.metric)?.get(value.device));
            let Some((unit, units)) = series.and_then(|series| Some((series.unit, series.values[place]?))) else {
                bail!("{} is missing", which())
            };
            ensure!(is_rounded(value.value, unit, units), "{} is {units} units instead of {}", which(), value.value);
            count += 1;
        }
        ensure!(self.held[place] == count, "there are {} values, {count} were sent", self.held[place]);
        let sent: BTreeSet<_> = nulls.into_iter().map(|(metric, device)| (metric.to_owned(), device.to_owned())).collect();
        ensure!(self.nulls[place] == sent, "{:?} are without a value, {sent:?} were", self.nulls[place]);
        Ok(())
    }
}
