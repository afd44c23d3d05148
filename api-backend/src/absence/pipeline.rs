//! The late pipeline: one violation of `pipeline.lag` for each rule, of no machine.

use std::collections::BTreeMap;

use tracing::info;
use wire_model::catalog::PIPELINE_LAG;

use super::Watch;
use super::course::Seen;
use super::lateness::Verdict;
use super::series::due;
use crate::store::absences::{self, OpenStay, PipelineRow};
use crate::store::{self, events};
use crate::thresholds::{Kind, Machine, RuleSet, Threshold, in_force};
use crate::violation::Subject;

/// Stands in for the machine's number, which is above 0.
const MACHINE_ID: i64 = 0;
const NAME: &str = "pipeline";
const SUBJECT: Subject<'_> =
    Subject { kind: Kind::Pipeline, machine_id: MACHINE_ID, machine_name: NAME, host_id: "", host_name: "" };

/// Writes down what was decided. Since when hosts may be expected to be heard of.
pub(super) async fn settle(watch: &Watch, rules: &RuleSet, verdict: Verdict, now: i64) -> store::Result<i64> {
    let store = &watch.store;
    let (row, open) = {
        let mut connection = store.read().await?;
        let row = absences::pipeline(&mut connection).await?;
        (row, absences::open_stays(&mut connection, PIPELINE_LAG, None).await?)
    };
    if !needs(&row, rules, &open, verdict, now) {
        return Ok(row.on_time_since);
    }
    let row = store.with_patience(|| write(watch, rules, verdict, now)).await?;
    watch.live.wake();
    Ok(row.on_time_since)
}

/// Whether anything is to be written.
fn needs(row: &PipelineRow, rules: &RuleSet, open: &[OpenStay], verdict: Verdict, now: i64) -> bool {
    let after = moved(row, rules, verdict, now);
    let rules = in_force_now(rules);
    after != *row || !due(&rules, MACHINE_ID, open, |rule| seen(&after, rule, verdict, now), now).is_empty()
}

async fn write(watch: &Watch, rules: &RuleSet, verdict: Verdict, now: i64) -> store::Result<PipelineRow> {
    let store = &watch.store;
    let mut transaction = store.begin().await?;
    let before = absences::lock_pipeline(&mut transaction, store.dialect()).await?;
    let after = moved(&before, rules, verdict, now);
    let open = absences::open_stays(&mut transaction, PIPELINE_LAG, None).await?;
    let cause = match verdict {
        Verdict::Late { cause, .. } => Some(cause.to_string()),
        Verdict::OnTime { .. } => None,
    };
    let mut events = Vec::new();
    for due in due(&in_force_now(rules), MACHINE_ID, &open, |rule| seen(&after, rule, verdict, now), now) {
        due.write(&mut transaction, &watch.silences, SUBJECT, cause.clone(), &mut events).await?;
    }
    if after != before {
        absences::save_pipeline(&mut transaction, &after).await?;
    }
    events::append(&mut transaction, &events, now).await?;
    transaction.commit().await?;
    if before.late_since.is_none() != after.late_since.is_none() {
        info!(?verdict, "the pipeline is {}", if after.late_since.is_some() { "late" } else { "on time again" });
    }
    Ok(after)
}

/// In whole seconds: consumers speak every five.
fn lag_seconds(verdict: Verdict) -> f64 {
    let (Verdict::OnTime { lag_ms, .. } | Verdict::Late { lag_ms, .. }) = verdict;
    (lag_ms / 1_000) as f64
}

/// What is known after a verdict.
fn moved(row: &PipelineRow, rules: &RuleSet, verdict: Verdict, now: i64) -> PipelineRow {
    let (late_since, on_time_since) = match (row.late_since, verdict) {
        (None, Verdict::OnTime { .. }) => (None, row.on_time_since),
        (Some(_), Verdict::OnTime { .. }) => (None, now),
        (since, Verdict::Late { .. }) => (since.or(Some(now)), row.on_time_since),
    };
    let value = lag_seconds(verdict);
    let known: BTreeMap<i64, i64> = row.waiting.iter().copied().collect();
    let beyond = in_force_now(rules).into_iter().filter(|rule| rule.is_beyond(value));
    let waiting = beyond.map(|rule| (rule.id, known.get(&rule.id).copied().unwrap_or(now))).collect();
    PipelineRow { late_since, on_time_since, waiting }
}

fn seen(row: &PipelineRow, rule: &Threshold, verdict: Verdict, now: i64) -> Seen {
    let beyond_since = row.waiting.iter().find(|(id, _)| *id == rule.id).map(|(_, since)| *since);
    Seen { now, value: lag_seconds(verdict), beyond_since }
}

fn in_force_now(rules: &RuleSet) -> Vec<&Threshold> {
    let machine = Machine { id: MACHINE_ID, kind: Kind::Pipeline, labels: BTreeMap::new() };
    let mut rules: Vec<&Threshold> =
        in_force(rules.of_metric(Kind::Pipeline, PIPELINE_LAG), &machine, None).map(AsRef::as_ref).collect();
    rules.sort_unstable_by_key(|rule| rule.id);
    rules
}
