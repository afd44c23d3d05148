//! Stored history, once more through the evaluator that runs live: what rules that are in force now, or might be, would have opened.
//!
//! `needs` says what of history the rules look at, `stretch` reads that from chunks and from reports of the head, `walk` takes it through the
//! evaluator sample by sample, `stays` makes violations of what comes out, and `quiet` finds what need not be read, because nothing waits or is open and no value is beyond a rule.
//! Late reports were not evaluated when they came, and are not here.

mod extremes;
mod needs;
mod quiet;
mod stays;
mod stretch;
mod trace;
mod walk;

use std::collections::HashMap;
use std::sync::Arc;

use wire_model::limits::INTERVAL_MS_MAX;

pub use self::extremes::extremes;
use self::needs::Needs;
use self::quiet::Quiet;
pub use self::stays::Stay;
use self::stretch::{HeadStretches, Stretch};
pub use self::trace::{Trace, Traced};
use self::walk::Walk;
use super::chunk::{Axis, Part};
use super::head::{HeadReader, is_late};
use super::series::removed_before;
use super::time::{QUARTER_MS, starts};
use crate::machine::as_stored;
use crate::store::chunks::Resolution;
use crate::store::hosts::HostRow;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, Result, Store, StoreError};
use crate::thresholds::{Kind, Machine, RuleSet};

/// Quarters of an hour that are read at once, which bounds the memory.
const QUARTERS_AT_ONCE: usize = 96;
/// Of quarters that may be skipped so many are read with one that is not: what opened there is mostly over soon.
const QUARTERS_AHEAD: usize = 4;
/// Reports of the head that are read at once.
const PAGE: i64 = 1_000;

/// A host whose history is replayed.
#[derive(Clone, Debug)]
pub struct ReplayedHost {
    /// Its number.
    pub host_key: i64,
    /// What its reports say, where they were sealed before that was kept.
    pub interval_ms: u32,
    /// Those of its machines that take part, by identity, as rules see them; itself first, if it does.
    machines: Vec<(String, Machine)>,
    /// Places among them by id,
    by_id: HashMap<i64, usize>,
    /// and by kind and identity.
    by_identity: HashMap<(Kind, String), usize>,
}

impl ReplayedHost {
    /// A host with those of its machines that take part; `None` when there are none. `rows` has all of its machines.
    pub fn of(host: &HostRow, rows: &[MachineRow], takes_part: impl Fn(&Machine) -> bool) -> Option<ReplayedHost> {
        let itself = rows.iter().find(|row| row.kind == Kind::Host)?;
        let labels = serde_json::from_str(&itself.labels).unwrap_or_default();
        let machines = rows.iter().map(|row| (row.identity.clone(), as_stored(row, &itself.name, &labels)));
        let mut machines: Vec<_> = machines.filter(|(_, machine)| takes_part(machine)).collect();
        machines.sort_by_key(|(_, machine)| (machine.kind, machine.id));
        let interval_ms = u32::try_from(host.interval_ms).unwrap_or(INTERVAL_MS_MAX);
        let each = || machines.iter().enumerate();
        let by_id = each().map(|(place, (_, machine))| (machine.id, place)).collect();
        let by_identity = each().map(|(place, (identity, machine))| ((machine.kind, identity.clone()), place)).collect();
        (!machines.is_empty()).then_some(ReplayedHost { host_key: host.host_key, interval_ms, machines, by_id, by_identity })
    }

    /// Its machines that take part.
    pub fn machines(&self) -> impl Iterator<Item = &Machine> {
        self.machines.iter().map(|(_, machine)| machine)
    }

    /// One of them by its number.
    pub fn machine(&self, id: i64) -> Option<&Machine> {
        self.by_id.get(&id).map(|place| &self.machines[*place].1)
    }

    fn named(&self, kind: Kind, identity: &str) -> Option<&Machine> {
        self.by_identity.get(&(kind, identity.to_owned())).map(|place| &self.machines[*place].1)
    }

    fn kind_of(&self, id: i64) -> Option<Kind> {
        self.machine(id).map(|machine| machine.kind)
    }
}

/// What is replayed.
#[derive(Clone, Debug)]
pub struct Span {
    /// Sets of rules, each by itself, at the cost of reading history once.
    pub rules: Vec<Arc<RuleSet>>,
    /// From here, in Unix ms.
    pub from: i64,
    /// To here, exclusive.
    pub to: i64,
    /// Whether stretches are passed over in which nothing can happen: the result is the same, and later.
    pub skipping: Skipping,
}

/// See [`Span::skipping`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skipping {
    /// As a rule.
    Allowed,
    /// To hold the other one against.
    Never,
}

/// What a replay came to.
#[derive(Clone, Debug, Default)]
pub struct Replayed {
    /// For each set of rules the violations, in the order in which they opened.
    pub stays: Vec<Vec<Stay>>,
    /// Reports that were evaluated one by one.
    pub evaluated: u64,
    /// Reports that are not sealed.
    pub head: u64,
    /// What was asked for of one series.
    pub trace: Option<Trace>,
}

/// Replays one host. What is older than the samples that are kept is not in it.
pub async fn replay(store: &Store, host: Arc<ReplayedHost>, span: &Span) -> Result<Replayed> {
    replay_traced(store, host, span, None).await
}

/// Replays one host, and notes what happens to one series of it under the first set of rules.
pub async fn replay_traced(store: &Store, host: Arc<ReplayedHost>, span: &Span, trace: Option<Trace>) -> Result<Replayed> {
    let mut snapshot = store.snapshot().await?;
    let from = span.from.max(removed_before(&mut snapshot).await?);
    let needs = Arc::new(Needs::of(&span.rules));
    let mut walk = Walk::new(Arc::clone(&host), span, Arc::clone(&needs), from, trace);
    let quiet = match span.skipping {
        Skipping::Allowed => Quiet::read(&mut snapshot, &host, &needs, (from, span.to)).await?,
        Skipping::Never => Quiet::nothing(),
    };
    let quarters: Vec<i64> = starts(from, span.to, QUARTER_MS).collect();
    let mut next = 0;
    while let Some(start) = quarters.get(next) {
        if walk.is_idle() && quiet.has(*start) {
            next += 1;
            continue;
        }
        let left = quarters[next..].iter().take(QUARTERS_AT_ONCE).enumerate();
        let ahead = left.take_while(|(number, start)| *number < QUARTERS_AHEAD || !quiet.has(**start)).count();
        let batch = read_sealed(&mut snapshot, &host, &needs, &quarters[next..next + ahead]).await?;
        walk = blocking(move || batch.into_iter().try_for_each(|quarter| quarter.walk(&mut walk)).map(|()| walk)).await?;
        next += ahead;
    }
    read_head(&mut snapshot, &host, walk, needs, (from, span.to)).await
}

/// A sealed quarter of an hour, as it is stored.
struct Quarter {
    start_at: i64,
    axis: Vec<u8>,
    chunks: Vec<(i64, Vec<u8>)>,
}

async fn read_sealed(connection: &mut Connection, host: &ReplayedHost, needs: &Needs, starts: &[i64]) -> Result<Vec<Quarter>> {
    let stretches = store::chunks::stretches(connection, host.host_key, starts).await?;
    let mut quarters: Vec<Quarter> = stretches
        .into_iter()
        .map(|stretch| Quarter { start_at: stretch.start_at, axis: stretch.data, chunks: Vec::new() })
        .collect();
    let starts: Vec<i64> = quarters.iter().map(|quarter| quarter.start_at).collect();
    let (machine_id, parts) = (needs.only_machine(host), needs.parts(Resolution::Raw));
    let chunks = store::chunks::of_machines(connection, Resolution::Raw, &starts, host.host_key, machine_id, &parts);
    for (start_at, machine_id, data) in chunks.await? {
        if let Ok(place) = quarters.binary_search_by_key(&start_at, |quarter| quarter.start_at) {
            quarters[place].chunks.push((machine_id, data));
        }
    }
    Ok(quarters)
}

impl Quarter {
    fn walk(self, walk: &mut Walk) -> Result<()> {
        let parts = self.chunks.iter().map(|(machine_id, data)| Ok((*machine_id, Part::open(data)?)));
        let parts = parts.collect::<Result<Vec<(i64, Part<'_>)>>>()?;
        if !walk.wants(&parts) {
            return Ok(());
        }
        let axis = Axis::decode(self.start_at, &self.axis)?;
        walk.pass(&Stretch::of_sealed(&axis, &parts, walk.host(), walk.needs())?);
        Ok(())
    }
}

async fn read_head(
    connection: &mut Connection,
    host: &Arc<ReplayedHost>,
    mut walk: Walk,
    needs: Arc<Needs>,
    (from, to): (i64, i64),
) -> Result<Replayed> {
    let mut page = store::reports::range(connection, host.host_key, from, to, PAGE).await?;
    if page.is_empty() {
        return Ok(walk.finish(0));
    }
    let mut read = 0;
    let mut reader = HeadReader::open(connection, host.host_key, from, to).await?;
    let mut stretches = HeadStretches::new(Arc::clone(host), needs);
    loop {
        read += page.len() as u64;
        let next = page.last().filter(|_| page.len() as i64 == PAGE).map(|(at, _)| at + 1);
        (walk, reader, stretches) = blocking(move || {
            for (_, payload) in page.iter().filter(|(_, payload)| !is_late(payload)) {
                let (figures, new_form) = reader.read(payload)?;
                if let Some(before) = stretches.add(&figures, new_form) {
                    walk.pass(&before);
                }
            }
            if let Some(last) = stretches.take() {
                walk.pass(&last);
            }
            Ok((walk, reader, stretches))
        })
        .await?;
        let Some(next) = next else { return Ok(walk.finish(read)) };
        page = store::reports::range(connection, host.host_key, next, to, PAGE).await?;
    }
}

/// Decoding and evaluating is work for a core.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| StoreError::Corrupt(format!("history cannot be replayed: {error}")))?
}
