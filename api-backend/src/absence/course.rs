//! What becomes of a rule on something that no report carries: a pure function, asked about once a second.
//!
//! The evaluator's rules in the clock's time instead of the reports': beyond the value for `for_seconds`, back at or behind the recovery value for
//! `recovery_for_seconds`. Whoever asks knows since when it is beyond, so that nothing depends on when it was asked.

use crate::thresholds::Threshold;
use crate::thresholds::evaluator::CloseReason;

/// A violation that is open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stay {
    /// When it opened.
    pub opened_at: i64,
    /// Its worst value so far.
    pub peak: f64,
    /// Since when it is at or behind the recovery value, if it has to be for longer.
    pub recovering_since: Option<i64>,
}

/// What is the case now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Unix ms.
    pub now: i64,
    /// The value.
    pub value: f64,
    /// Since when it is beyond the rule's value, if it is.
    pub beyond_since: Option<i64>,
}

/// Something that has to be written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// A violation begins at this time.
    Open(i64),
    /// Its worst value became worse.
    Worsen(f64),
    /// It recovers since then; `None`: not any more.
    Recover(Option<i64>),
    /// It ends.
    Close {
        /// When.
        at: i64,
        /// The value then; absent when the rule is what ended.
        value: Option<f64>,
        /// Why.
        reason: CloseReason,
    },
}

/// The next step of a series under a rule, if there is one; `rule` is `None` when it is not in force (any more).
pub fn step(rule: Option<&Threshold>, seen: Seen, stay: Option<Stay>) -> Option<Step> {
    let Seen { now, value, beyond_since } = seen;
    match (rule, stay) {
        (None, None) => None,
        (None, Some(stay)) => {
            let reason = CloseReason::ThresholdChanged;
            Some(Step::Close { at: now.max(stay.opened_at), value: None, reason })
        }
        (Some(rule), None) => {
            let at = beyond_since.filter(|_| rule.is_beyond(value))? + rule.for_seconds * 1_000;
            (at <= now).then_some(Step::Open(at))
        }
        (Some(rule), Some(stay)) if rule.is_recovered(value) => {
            let since = stay.recovering_since.unwrap_or(now);
            let at = since + rule.recovery_for_seconds * 1_000;
            if at <= now {
                let reason = CloseReason::Recovered;
                return Some(Step::Close { at: at.max(stay.opened_at), value: Some(value), reason });
            }
            stay.recovering_since.is_none().then_some(Step::Recover(Some(now)))
        }
        (Some(_), Some(stay)) if stay.recovering_since.is_some() => Some(Step::Recover(None)),
        (Some(rule), Some(stay)) => {
            let worst = rule.worse(stay.peak, value);
            (worst != stay.peak).then_some(Step::Worsen(worst))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thresholds::{Direction, Kind};

    fn rule(for_seconds: i64, recovery_for_seconds: i64) -> Threshold {
        let rule = Threshold::new(Kind::Pipeline, "pipeline.lag", Direction::Above, 30.0);
        Threshold { recovery_value: 10.0, for_seconds, recovery_for_seconds, ..rule }
    }

    fn seen(now: i64, value: f64, beyond_since: Option<i64>) -> Seen {
        Seen { now, value, beyond_since }
    }

    fn stay(peak: f64, recovering_since: Option<i64>) -> Stay {
        Stay { opened_at: 100_000, peak, recovering_since }
    }

    fn closed(at: i64, value: f64) -> Step {
        Step::Close { at, value: Some(value), reason: CloseReason::Recovered }
    }

    #[test]
    fn it_opens_after_its_time_however_late_one_asks() {
        let check = |rule: &Threshold, seen, expected| assert_eq!(step(Some(rule), seen, None), expected, "{seen:?}");
        check(&rule(0, 0), seen(5_000, 31.0, Some(4_000)), Some(Step::Open(4_000)));
        check(&rule(0, 0), seen(5_000, 30.0, Some(4_000)), None);
        check(&rule(0, 0), seen(5_000, 31.0, None), None);
        check(&rule(2, 0), seen(5_999, 31.0, Some(4_000)), None);
        check(&rule(2, 0), seen(6_000, 31.0, Some(4_000)), Some(Step::Open(6_000)));
        check(&rule(2, 0), seen(60_000, 31.0, Some(4_000)), Some(Step::Open(6_000)));
    }

    #[test]
    fn it_closes_when_it_stays_recovered() {
        let check = |rule: &Threshold, seen, stay, expected| {
            assert_eq!(step(Some(rule), seen, Some(stay)), expected, "{seen:?} {stay:?}");
        };
        check(&rule(0, 0), seen(200_000, 11.0, None), stay(40.0, None), None);
        check(&rule(0, 0), seen(200_000, 10.0, None), stay(40.0, None), Some(closed(200_000, 10.0)));
        check(&rule(0, 0), seen(99_000, 10.0, None), stay(40.0, None), Some(closed(100_000, 10.0)));
        check(&rule(0, 5), seen(200_000, 10.0, None), stay(40.0, None), Some(Step::Recover(Some(200_000))));
        check(&rule(0, 5), seen(204_999, 10.0, None), stay(40.0, Some(200_000)), None);
        check(&rule(0, 5), seen(209_000, 9.0, None), stay(40.0, Some(200_000)), Some(closed(205_000, 9.0)));
        check(&rule(0, 5), seen(204_000, 11.0, None), stay(40.0, Some(200_000)), Some(Step::Recover(None)));
    }

    #[test]
    fn the_worst_value_is_kept() {
        let check = |value, expected| {
            assert_eq!(step(Some(&rule(0, 0)), seen(200_000, value, Some(0)), Some(stay(40.0, None))), expected);
        };
        check(40.0, None);
        check(39.0, None);
        check(41.0, Some(Step::Worsen(41.0)));
    }

    #[test]
    fn what_is_not_in_force_any_more_ends() {
        let ended = Step::Close { at: 200_000, value: None, reason: CloseReason::ThresholdChanged };
        assert_eq!(step(None, seen(200_000, 90.0, Some(0)), Some(stay(90.0, None))), Some(ended));
        assert_eq!(step(None, seen(200_000, 90.0, Some(0)), None), None);
    }
}
