//! Quarters of an hour in which no value is beyond a rule, as the 5-minute points of their days tell.

use std::collections::BTreeSet;

use super::{Needs, ReplayedHost};
use crate::history::buckets;
use crate::history::chunk::Part;
use crate::history::time::{day_of, quarter_of, starts};
use crate::store::chunks::Resolution;
use crate::store::{self, Connection, Result};
use crate::time::DAY_MS;

/// What is known of a range.
pub(super) struct Quiet {
    /// Days whose points are complete,
    days: BTreeSet<i64>,
    /// and quarters of them that have something to look at.
    loud: BTreeSet<i64>,
}

impl Quiet {
    /// Nothing is known.
    pub(super) fn nothing() -> Quiet {
        Quiet { days: BTreeSet::new(), loud: BTreeSet::new() }
    }

    /// Reads the points of a host's days.
    pub(super) async fn read(
        connection: &mut Connection,
        host: &ReplayedHost,
        needs: &Needs,
        (from, to): (i64, i64),
    ) -> Result<Quiet> {
        if !needs.is_of_values() {
            return Ok(Quiet::nothing());
        }
        let all: Vec<i64> = starts(from, to, DAY_MS).collect();
        let due = store::chunks::due_days(connection, Some(host.host_key), &all).await?;
        let days: Vec<i64> = all.into_iter().filter(|day| !due.contains(day)).collect();
        let (resolution, parts) = (Resolution::FiveMinutes, needs.parts(Resolution::FiveMinutes));
        let mut loud = BTreeSet::new();
        let chunks = store::chunks::of_machines(connection, resolution, &days, host.host_key, needs.only_machine(host), &parts);
        for (day_at, machine_id, data) in chunks.await? {
            let Some(kind) = host.kind_of(machine_id) else { continue };
            let part = Part::open(&data)?;
            for of in part.columns.iter().filter(|of| needs.wants(kind, of.metric)) {
                let is_beyond = |least, greatest| needs.is_beyond(kind, of.metric, of.scale, (least, greatest));
                if !is_beyond(of.summary.min, of.summary.max) {
                    continue;
                }
                let column = part.decode(of)?;
                let points = buckets::of_day(day_at, &column);
                let beyond = points.filter(|point| is_beyond(point.min, point.max));
                loud.extend(beyond.map(|point| quarter_of(point.start)));
            }
        }
        Ok(Quiet { days: days.into_iter().collect(), loud })
    }

    /// Whether a quarter is known to have no value that is beyond a rule.
    pub(super) fn has(&self, start_at: i64) -> bool {
        self.days.contains(&day_of(start_at)) && !self.loud.contains(&start_at)
    }
}
