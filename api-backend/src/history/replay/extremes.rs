//! How far the values of a rule's series go: the greatest of each five minutes of a series, or the least where the rule is below.

use std::sync::Arc;

use super::{Needs, ReplayedHost};
use crate::history::buckets;
use crate::history::chunk::Part;
use crate::history::time::{QUARTER_MS, SLOT_MS, day_of, starts};
use crate::store::chunks::Resolution;
use crate::store::{self, Result, Store};
use crate::thresholds::{Direction, RuleSet, Threshold};
use crate::time::DAY_MS;

/// Of one host's machines over [from, to), from what is sealed: of days that are not folded one for each quarter of an hour, as often as it has
/// five minutes.
pub async fn extremes(store: &Store, host: Arc<ReplayedHost>, rule: &Threshold, (from, to): (i64, i64)) -> Result<Vec<f64>> {
    let needs = Needs::of(&[Arc::new(RuleSet::new([rule.clone()]))]);
    let mut snapshot = store.snapshot().await?;
    let days: Vec<i64> = starts(from, to, DAY_MS).collect();
    let due = store::chunks::due_days(&mut snapshot, Some(host.host_key), &days).await?;
    let folded: Vec<i64> = days.into_iter().filter(|day| !due.contains(day)).collect();
    let raw: Vec<i64> = starts(from, to, QUARTER_MS).filter(|start| due.contains(&day_of(*start))).collect();
    let mut found = Vec::new();
    for (resolution, starts) in [(Resolution::FiveMinutes, folded), (Resolution::Raw, raw)] {
        let (only, parts) = (needs.only_machine(&host), needs.parts(resolution));
        for (start, machine_id, data) in
            store::chunks::of_machines(&mut snapshot, resolution, &starts, host.host_key, only, &parts).await?
        {
            let Some(machine) = host.machine(machine_id) else { continue };
            let part = Part::open(&data)?;
            let is_it = |metric: &str, device| metric == rule.metric && rule.is_for(machine, device);
            for of in part.columns.iter().filter(|of| of.is_metric() && is_it(of.metric, of.device)) {
                let worst = |least: f64, greatest: f64| match rule.direction {
                    Direction::Above => of.scale.value(greatest),
                    Direction::Below => of.scale.value(least),
                };
                if resolution == Resolution::Raw {
                    let times = usize::try_from(QUARTER_MS / SLOT_MS).unwrap_or(1);
                    found.extend(std::iter::repeat_n(worst(of.summary.min, of.summary.max), times));
                    continue;
                }
                let column = part.decode(of)?;
                let points = buckets::of_day(start, &column).filter(|point| (from..to).contains(&point.start));
                found.extend(points.map(|point| worst(point.min, point.max)));
            }
        }
    }
    Ok(found)
}
