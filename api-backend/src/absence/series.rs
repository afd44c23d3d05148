//! One series that no report carries, and its violations.

use std::collections::BTreeMap;

use super::course::{Seen, Stay, Step, step};
use crate::silence::Silences;
use crate::store::absences::{self, OpenStay};
use crate::store::events::NewEvent;
use crate::store::machines::MachineRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::evaluator::SeriesKey;
use crate::thresholds::{Kind, Machine, RuleSet, Threshold, in_force, labels};
use crate::violation::opening::{self, Closing};
use crate::violation::{Opening, Subject, Violation};

/// What is to be done: of which rule, with which violation.
#[derive(Clone, Debug)]
pub(super) struct Due<'a> {
    threshold_id: i64,
    rule: Option<&'a Threshold>,
    stay: Option<Stay>,
    seen: Seen,
    step: Step,
}

/// What is to be done about a machine, by the rules in force for it and its open violations.
pub(super) fn due<'a>(
    in_force: &[&'a Threshold],
    machine_id: i64,
    open: &[OpenStay],
    seen: impl Fn(&Threshold) -> Seen,
    now: i64,
) -> Vec<Due<'a>> {
    let stay_of =
        |id: i64| open.iter().find(|(machine, rule, _)| (*machine, *rule) == (machine_id, id)).map(|(_, _, stay)| *stay);
    let by_rule = in_force.iter().filter_map(|rule| {
        let (stay, seen) = (stay_of(rule.id), seen(rule));
        Some(Due { threshold_id: rule.id, rule: Some(rule), stay, seen, step: step(Some(rule), seen, stay)? })
    });
    let without = open.iter().filter(|(machine, id, _)| *machine == machine_id && !in_force.iter().any(|rule| rule.id == *id));
    let without = without.filter_map(|(_, id, stay)| {
        let seen = Seen { now, value: 0.0, beyond_since: None };
        Some(Due { threshold_id: *id, rule: None, stay: Some(*stay), seen, step: step(None, seen, Some(*stay))? })
    });
    by_rule.chain(without).collect()
}

/// The rules in force for a host.
pub(super) fn rules_for<'a>(rules: &'a RuleSet, metric: &str, row: &MachineRow) -> store::Result<Vec<&'a Threshold>> {
    let own: BTreeMap<String, String> =
        serde_json::from_str(&row.labels).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    let machine = Machine { id: row.machine_id, kind: Kind::Host, labels: labels(&row.name, &own, None) };
    Ok(in_force(rules.of_metric(Kind::Host, metric), &machine, None).map(AsRef::as_ref).collect())
}

impl Due<'_> {
    pub(super) fn opens(&self) -> bool {
        matches!(self.step, Step::Open(_))
    }

    /// Writes it down. The caller holds whatever keeps others from doing so.
    pub(super) async fn write(
        &self,
        connection: &mut Connection,
        silences: &Silences,
        subject: Subject<'_>,
        cause: Option<String>,
        events: &mut Vec<NewEvent>,
    ) -> store::Result<()> {
        let key = SeriesKey { machine_id: subject.machine_id, threshold_id: self.threshold_id, device: String::new() };
        match (self.step, self.stay, self.rule) {
            (Step::Open(at), _, Some(rule)) => {
                let opened_at = at.max(absences::not_before(connection, &key).await?);
                let (value, detected_at) = (self.seen.value, self.seen.now);
                let opening = Opening { rule, device: "", at: opened_at, value, peak: value, detected_at };
                let violation = Violation { cause, ..Violation::opened(subject, opening) };
                opening::open(connection, silences, violation, events).await
            }
            (Step::Worsen(peak), Some(stay), _) => store::violations::set_peak(connection, &key, stay.opened_at, peak).await,
            (Step::Recover(since), Some(stay), _) => absences::set_recovering(connection, &key, stay.opened_at, since).await,
            (Step::Close { at, value, reason }, Some(stay), _) => {
                let closing = Closing { at, value, reason, version: self.rule.map(|rule| rule.version) };
                opening::close(connection, (&key, stay.opened_at), closing, events).await
            }
            // no rule opens without being there, and nothing else happens to what is not open
            (Step::Open(_), _, None) | (_, None, _) => Ok(()),
        }
    }
}
