//! The silences that are active at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Activity, Machine, Silence, SilenceKind};
use crate::violation::{Silenced, Violation};

/// All silences, with those that are active as of late.
#[derive(Debug, Default)]
pub struct SilenceSet {
    silences: Vec<Arc<Silence>>,
    active: Mutex<Option<Arc<Active>>>,
}

/// Those that are active over a stretch of time.
#[derive(Debug)]
pub struct Active {
    /// From when to when it stays as it is.
    from: i64,
    to: i64,
    /// Each with its end; the one that ends last stands first.
    silences: Vec<(Arc<Silence>, i64)>,
}

impl SilenceSet {
    /// Of all that stand in the database.
    pub fn new(silences: Vec<Silence>) -> SilenceSet {
        SilenceSet { silences: silences.into_iter().map(Arc::new).collect(), active: Mutex::default() }
    }

    /// Those that are active now.
    pub fn active(&self, now: i64) -> Arc<Active> {
        let mut active = self.active.lock().unwrap_or_else(PoisonError::into_inner);
        match &*active {
            Some(known) if (known.from..known.to).contains(&now) => Arc::clone(known),
            _ => Arc::clone(active.insert(Arc::new(Active::at(&self.silences, now)))),
        }
    }
}

impl Active {
    fn at(silences: &[Arc<Silence>], now: i64) -> Active {
        let mut active = Active { from: now, to: i64::MAX, silences: Vec::new() };
        for silence in silences {
            let Activity { until, next_start } = silence.schedule.at(now);
            active.to = [until, next_start].into_iter().flatten().fold(active.to, i64::min);
            active.silences.extend(until.map(|until| (Arc::clone(silence), until)));
        }
        active.silences.sort_by_key(|(silence, until)| (-until, silence.id));
        active
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.silences.is_empty()
    }

    /// Whether labels of machines decide.
    pub fn looks_at_labels(&self) -> bool {
        self.silences.iter().any(|(silence, _)| !silence.scope.labels.is_empty())
    }

    /// The one for a violation of a machine with these labels that ends last.
    pub fn of(&self, violation: &Violation, labels: &BTreeMap<String, String>) -> Option<Silenced> {
        let found = self.silences.iter().find(|(silence, _)| silence.scope.has(violation, labels));
        found.map(|(silence, until)| Silenced { silence_id: silence.id, until: *until })
    }

    /// The maintenance of a machine that ends last, and when.
    pub fn maintenance(&self, machine: Machine) -> Option<(&Silence, i64)> {
        let is_for = |silence: &Silence| silence.kind == SilenceKind::Maintenance && silence.scope.has_machine(machine);
        self.silences.iter().find(|(silence, _)| is_for(silence)).map(|(silence, until)| (&**silence, *until))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Schedule, Scope};
    use super::*;
    use crate::thresholds::{Direction, Kind, Quantity, Severity};
    use crate::violation::Attention;

    fn violation(kind: Kind, machine_id: i64, metric: &str, severity: Severity) -> Violation {
        Violation {
            id: 1,
            machine_id,
            machine_name: String::new(),
            host_id: format!("host-{}", machine_id / 10),
            host_name: String::new(),
            kind,
            metric: metric.to_owned(),
            device: None,
            quantity: Quantity::Value,
            direction: Direction::Above,
            severity,
            threshold_id: 1,
            threshold_version: 1,
            threshold_value: 0.5,
            opened_at: 0,
            opened_value: 0.6,
            peak_value: 0.6,
            closed_at: None,
            closed_value: None,
            close_reason: None,
            closed_version: None,
            cause: None,
            detected_at: 0,
            attention: Attention::default(),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn silence(id: i64, kind: SilenceKind, scope: Scope, starts_at: i64, ends_at: i64) -> Silence {
        let schedule = Schedule { starts_at: Some(starts_at), ends_at: Some(ends_at), recurrence: None };
        Silence { id, version: 1, kind, scope, schedule, comment: "why".to_owned(), created_at: 0, created_by: None }
    }

    #[test]
    fn all_that_a_scope_says_must_fit() {
        let one = violation(Kind::Container, 12, "container.memory.utilization", Severity::Warning);
        let of_it = labels(&[("rack", "a1"), ("compose.project", "shop")]);
        let check = |expected: bool, scope: Scope| assert_eq!(scope.has(&one, &of_it), expected, "{scope:?}");
        check(true, Scope::default());
        for (kind, expected) in [(Kind::Container, true), (Kind::Host, false)] {
            check(expected, Scope { kind: Some(kind), ..Scope::default() });
        }
        for (id, expected) in [(12, true), (1, false)] {
            check(expected, Scope { machine_id: Some(id), ..Scope::default() });
        }
        for (id, expected) in [("host-1", true), ("host-12", false)] {
            check(expected, Scope { host_id: Some(id.to_owned()), ..Scope::default() });
        }
        for (wanted, expected) in [
            (&[("rack", "a1")][..], true),
            (&[("rack", "a*"), ("compose.project", "shop")], true),
            (&[("rack", "a1"), ("compose.project", "blog")], false),
            (&[("floor", "*")], false),
        ] {
            check(expected, Scope { labels: labels(wanted), ..Scope::default() });
        }
        for (metric, expected) in
            [("container.memory.*", true), ("container.memory.utilization", true), ("container.memory", false)]
        {
            check(expected, Scope { metric: Some(metric.to_owned()), ..Scope::default() });
        }
        for (severity, expected) in [(Severity::Info, false), (Severity::Warning, true), (Severity::Critical, true)] {
            check(expected, Scope { severity: Some(severity), ..Scope::default() });
        }
        check(false, Scope { machine_id: Some(12), severity: Some(Severity::Info), ..Scope::default() });
    }

    #[test]
    fn the_one_that_ends_last_is_told() {
        let of_kind = |kind| Scope { kind: Some(kind), ..Scope::default() };
        let set = SilenceSet::new(vec![
            silence(1, SilenceKind::Silence, of_kind(Kind::Host), 100, 200),
            silence(2, SilenceKind::Silence, of_kind(Kind::Host), 150, 300),
            silence(3, SilenceKind::Maintenance, of_kind(Kind::Host), 150, 180),
        ]);
        let one = violation(Kind::Host, 1, "a.b", Severity::Info);
        let none = BTreeMap::new();
        let of = |now| set.active(now).of(&one, &none).map(|found| (found.silence_id, found.until));
        let check = |now, expected| assert_eq!(of(now), expected, "{now}");
        // to and fro, as clocks may go
        for _ in 0..2 {
            check(99, None);
            check(100, Some((1, 200)));
            check(149, Some((1, 200)));
            check(150, Some((2, 300)));
            check(299, Some((2, 300)));
            check(300, None);
        }
        let until = |now| set.active(now).maintenance(Machine::of(&one, &none)).map(|(found, until)| (found.id, until));
        assert_eq!([149, 150, 179, 180].map(until), [None, Some((3, 180)), Some((3, 180)), None]);
    }

    proptest! {
        /// Of any silences and at any time it is as if each were looked at by itself.
        #[test]
        fn it_is_what_is_found_by_looking_at_each(
            spans in prop::collection::vec((0_i64..100, 1_i64..60, prop::option::of(0_i64..3), prop::option::of(0_u8..3)), 0..12),
            times in prop::collection::vec(0_i64..160, 1..20),
            machine in 0_i64..3, severity in 0_u8..3,
        ) {
            let severities = [Severity::Info, Severity::Warning, Severity::Critical];
            let scope = |machine_id, most: Option<u8>| {
                Scope { machine_id, severity: most.map(|most| severities[usize::from(most)]), ..Scope::default() }
            };
            let silences: Vec<_> = (1..)
                .zip(&spans)
                .map(|(id, (from, length, machine_id, most))| {
                    silence(id, SilenceKind::Silence, scope(*machine_id, *most), *from, from + length)
                })
                .collect();
            let set = SilenceSet::new(silences.clone());
            let one = violation(Kind::Host, machine, "a.b", severities[usize::from(severity)]);
            for now in times {
                let fits = |silence: &&Silence| {
                    let scope = &silence.scope;
                    silence.schedule.starts_at.unwrap() <= now && now < silence.schedule.ends_at.unwrap()
                        && scope.machine_id.is_none_or(|id| id == machine)
                        && scope.severity.is_none_or(|most| one.severity <= most)
                };
                let expected = silences.iter().filter(fits).map(|silence| silence.schedule.ends_at.unwrap()).max();
                prop_assert_eq!(set.active(now).of(&one, &BTreeMap::new()).map(|found| found.until), expected);
            }
        }
    }
}
