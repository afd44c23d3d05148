//! Which value, duration and recovery value keep a rule below so many violations a week.
//!
//! Tried is a grid: values at high quantiles of what the series reach in five minutes (of a rule that is below: at low ones of the least), each at
//! once and after some durations, recovering at the value itself and a part of the way back to the median. All of them are replayed in one
//! pass. Of those within the limit the one is proposed that opens the most: it misses least of what may be told.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::{BacktestError, HOSTS_AT_ONCE, Question, Scope, replay_all, scope, with_rivals};
use crate::history::replay::{Stay, extremes};
use crate::history::rounded;
use crate::store::{self, Store};
use crate::thresholds::evaluator::SeriesKey;
use crate::thresholds::{Direction, RuleSet, Threshold};

const WEEK_MS: f64 = 7.0 * 86_400_000.0;
/// Shares of all five minutes that stay on the good side of the values.
const QUANTILES: [f64; 10] = [0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.999_5, 0.999_9, 1.0];
/// Besides the duration that the rule has.
const FOR_SECONDS: [i64; 4] = [0, 60, 300, 900];
/// How far back to the median a violation recovers.
const RECOVERIES: [f64; 2] = [0.0, 0.25];
/// Digits of a value.
const DIGITS: i32 = 3;
/// Values that quantiles are taken of; of more every second one is left out.
const EXTREMES_MAX: usize = 4_000_000;

/// What was tried, and what is proposed.
#[derive(Clone, Debug)]
pub struct Suggestion {
    /// Violations that may open in the range.
    pub allowed: f64,
    /// From the most sensitive on.
    pub candidates: Vec<Candidate>,
    /// Place of the one that is proposed; `None`: all open more.
    pub proposed: Option<usize>,
}

/// One rule that was tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its value.
    pub value: f64,
    /// Where it recovers.
    pub recovery_value: f64,
    /// How long a series must be beyond the value.
    pub for_seconds: i64,
    /// What it would have opened.
    pub caught: Caught,
    /// What of the next more sensitive value's violations (with the same duration, and recovering alike) it would not have seen; `None` of the most
    /// sensitive one.
    pub missed: Option<Caught>,
}

/// Violations in sum.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caught {
    /// How many.
    pub count: usize,
    /// Of how many machines.
    pub machines: usize,
    /// How long all of them were open.
    pub duration_ms: i64,
}

/// Why nothing is proposed.
#[derive(Debug, thiserror::Error)]
pub enum SuggestError {
    /// As in a backtest.
    #[error(transparent)]
    Backtest(#[from] BacktestError),
    /// Nothing to go by.
    #[error("no machine in this scope has sealed values of this metric in this range")]
    NoValues,
}

impl From<store::StoreError> for SuggestError {
    fn from(error: store::StoreError) -> SuggestError {
        SuggestError::Backtest(error.into())
    }
}

/// Tries the grid. The rule's value and recovery value are not looked at.
pub async fn suggest(store: &Store, question: &Question, at_most_per_week: f64) -> Result<(Scope, Suggestion), SuggestError> {
    let mut connection = store.read().await?;
    let mut scope = scope(&mut connection, question).await?;
    let stored = store::thresholds::all(&mut connection).await?;
    drop(connection);
    let rule = &question.rule;
    let range = (scope.from, question.to);
    let mut all = Vec::new();
    let hosts = scope.hosts.clone();
    let mut found = stream::iter(hosts.into_iter().map(|host| extremes(store, host, rule, range))).buffered(HOSTS_AT_ONCE);
    while let Some(of_host) = found.try_next().await? {
        all.extend(of_host);
        while all.len() > EXTREMES_MAX {
            let mut number = 0;
            all.retain(|_| {
                number += 1;
                number % 2 == 0
            });
        }
    }
    let tried = grid(rule, all).ok_or(SuggestError::NoValues)?;
    let sets = tried.iter().map(|rule| Arc::new(RuleSet::new(with_rivals(rule, &stored)))).collect();
    let longest = tried.iter().max_by_key(|rule| rule.for_seconds).cloned().unwrap_or_else(|| rule.clone());
    let warmed = Question { rule: longest, ..question.clone() };
    let replayed = replay_all(store, &mut scope, &warmed, sets).await?;
    let mut stays: Vec<Vec<Stay>> = vec![Vec::new(); tried.len()];
    for host in replayed {
        for (all, of_host) in stays.iter_mut().zip(host.stays) {
            all.extend(of_host.into_iter().filter(|stay| stay.opened_at >= scope.from));
        }
    }
    let allowed = at_most_per_week * (question.to - scope.from) as f64 / WEEK_MS;
    Ok((scope, choose(&tried, &stays, allowed, question.to)))
}

/// The rules that are tried, from the most sensitive value on, and of one value from the shortest duration on.
fn grid(rule: &Threshold, mut extremes: Vec<f64>) -> Option<Vec<Threshold>> {
    extremes.sort_unstable_by(f64::total_cmp);
    if rule.direction == Direction::Below {
        extremes.reverse();
    }
    let last = extremes.len().checked_sub(1)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a length")]
    let at = |share: f64| extremes[(last as f64 * share).round() as usize];
    let median = at(0.5);
    let mut values: Vec<f64> = QUANTILES.iter().map(|share| legible(&rule.metric, at(*share))).collect();
    values.dedup();
    let mut durations = FOR_SECONDS.to_vec();
    durations.push(rule.for_seconds);
    durations.sort_unstable();
    durations.dedup();
    let mut tried = Vec::new();
    for value in values {
        let mut recoveries = RECOVERIES.map(|share| legible(&rule.metric, value - (value - median) * share)).to_vec();
        // rounded it may lie on the wrong side
        recoveries.retain(|recovery| *recovery == value || Threshold { value, ..rule.clone() }.is_inside(*recovery));
        recoveries.dedup();
        for for_seconds in &durations {
            tried.extend(recoveries.iter().map(|recovery_value| Threshold {
                value,
                recovery_value: *recovery_value,
                for_seconds: *for_seconds,
                ..rule.clone()
            }));
        }
    }
    Some(tried)
}

/// With few digits, and none that is not stored.
fn legible(metric: &str, value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return value;
    }
    #[expect(clippy::cast_possible_truncation, reason = "an exponent")]
    let digits = DIGITS - 1 - value.abs().log10().floor() as i32;
    let unit = 10f64.powi(digits.abs());
    rounded(metric, if digits >= 0 { (value * unit).round() / unit } else { (value / unit).round() * unit })
}

fn choose(tried: &[Threshold], stays: &[Vec<Stay>], allowed: f64, to: i64) -> Suggestion {
    let is_alike = |one: &Threshold, other: &Threshold| {
        one.for_seconds == other.for_seconds && (one.recovery_value == one.value) == (other.recovery_value == other.value)
    };
    let candidate = |number: usize| {
        let rule = &tried[number];
        let next = tried[..number].iter().rposition(|other| other.value != rule.value && is_alike(other, rule));
        Candidate {
            value: rule.value,
            recovery_value: rule.recovery_value,
            for_seconds: rule.for_seconds,
            caught: sum(stays[number].iter(), to),
            missed: next.map(|next| sum(unseen(&stays[next], &stays[number], to), to)),
        }
    };
    let candidates: Vec<Candidate> = (0..tried.len()).map(candidate).collect();
    let fits = |candidate: &Candidate| candidate.caught.count as f64 <= allowed;
    // the first of those that open the most
    let all = candidates.iter().enumerate().filter(|(_, candidate)| fits(candidate));
    let proposed = all.min_by_key(|(_, candidate)| std::cmp::Reverse(candidate.caught.count)).map(|(number, _)| number);
    Suggestion { allowed, candidates, proposed }
}

/// Those of some violations during which none of the others was open on the same series.
fn unseen<'a>(all: &'a [Stay], others: &'a [Stay], to: i64) -> impl Iterator<Item = &'a Stay> {
    let mut by_series: std::collections::HashMap<&SeriesKey, Vec<(i64, i64)>> = std::collections::HashMap::new();
    for stay in others {
        by_series.entry(&stay.key).or_default().push((stay.opened_at, stay.closed_at.unwrap_or(to)));
    }
    all.iter().filter(move |stay| {
        let end = stay.closed_at.unwrap_or(to);
        let overlaps = |(from, until): &(i64, i64)| *from <= end && stay.opened_at <= *until;
        !by_series.get(&stay.key).is_some_and(|others| others.iter().any(overlaps))
    })
}

fn sum<'a>(stays: impl Iterator<Item = &'a Stay>, to: i64) -> Caught {
    let mut machines = HashSet::new();
    let mut all = Caught::default();
    for stay in stays {
        machines.insert(stay.key.machine_id);
        all.count += 1;
        all.duration_ms += stay.closed_at.unwrap_or(to) - stay.opened_at;
    }
    Caught { machines: machines.len(), ..all }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thresholds::Kind;

    fn rule(direction: Direction) -> Threshold {
        Threshold { id: super::super::UNSAVED, ..Threshold::new(Kind::Host, "system.cpu.utilization", direction, 0.0) }
    }

    fn stay(machine_id: i64, opened_at: i64, closed_at: Option<i64>) -> Stay {
        let key = SeriesKey { machine_id, threshold_id: 1, device: String::new() };
        let (closed_value, close_reason) = (None, None);
        Stay { key, opened_at, opened_value: 1.0, peak_value: 1.0, closed_at, closed_value, close_reason }
    }

    #[test]
    fn the_grid_goes_from_the_sensitive_to_the_deaf_on_either_side() {
        let extremes: Vec<f64> = (0..=10_000).map(|number| f64::from(number) / 10_000.0).collect();
        let above = grid(&rule(Direction::Above), extremes.clone()).unwrap();
        assert_eq!((above[0].value, above[0].recovery_value, above[0].for_seconds), (0.9, 0.9, 0));
        assert_eq!((above[1].value, above[1].recovery_value), (0.9, 0.8));
        assert_eq!(above.last().unwrap().for_seconds, 900);
        assert!(above.is_sorted_by(|one, next| one.value <= next.value) && above.last().unwrap().value == 1.0);
        let below = grid(&rule(Direction::Below), extremes).unwrap();
        assert_eq!((below[0].value, below[1].recovery_value), (0.1, 0.2));
        assert!(below.is_sorted_by(|one, next| one.value >= next.value));
        assert!(grid(&rule(Direction::Above), Vec::new()).is_none());
        assert_eq!(grid(&rule(Direction::Above), vec![0.5]).unwrap().len(), FOR_SECONDS.len(), "one value, one recovery");
    }

    #[test]
    fn values_have_few_digits() {
        for (metric, value, expected) in [
            ("system.cpu.utilization", 0.123_456, 0.123),
            ("system.memory.usage", 1_234_567_890.0, 1_230_000_128.0),
            ("custom.metric", -1234.5, -1230.0),
            ("custom.metric", 0.0, 0.0),
        ] {
            assert_eq!(legible(metric, value), expected, "{metric}");
        }
    }

    #[test]
    fn what_opens_the_most_within_the_limit_is_proposed() {
        let tried: Vec<_> =
            [0.8, 0.9, 1.0].map(|value| Threshold { value, recovery_value: value, ..rule(Direction::Above) }).into();
        let sensitive = vec![stay(1, 0, Some(10)), stay(1, 50, Some(60)), stay(2, 0, None)];
        let stays = [sensitive, vec![stay(1, 5, Some(8))], Vec::new()];
        let told = |allowed| choose(&tried, &stays, allowed, 100);
        let all = told(3.0);
        assert_eq!((all.proposed, told(2.9).proposed, told(0.5).proposed), (Some(0), Some(1), Some(2)));
        assert_eq!(all.candidates[0].caught, Caught { count: 3, machines: 2, duration_ms: 120 });
        assert_eq!(all.candidates[0].missed, None);
        assert_eq!(all.candidates[1].missed, Some(Caught { count: 2, machines: 2, duration_ms: 110 }));
        assert_eq!(all.candidates[2].missed, Some(Caught { count: 1, machines: 1, duration_ms: 3 }));
    }
}
