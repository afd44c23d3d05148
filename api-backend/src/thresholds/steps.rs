//! What the evaluator did with one series, in words.

use serde::Serialize;
use utoipa::ToSchema;
use wire_model::catalog;

use super::evaluator::{CloseReason, SeriesState};
use super::{Direction, Quantity, Threshold};

/// What one sample did to a series under a rule.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// Time of the sample.
    pub at: i64,
    /// What was compared; `None` where there was nothing to compare.
    pub compared: Option<f64>,
    /// The series before,
    pub before: Option<&'a SeriesState>,
    /// and after it.
    pub after: Option<&'a SeriesState>,
    /// Why it closed a violation, if it did.
    pub closed: Option<CloseReason>,
}

/// Something that a sample changed.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ExplainedStep)]
pub struct Step {
    /// Time of the sample.
    #[serde(serialize_with = "crate::time::serialize")]
    #[schema(value_type = String, format = DateTime)]
    pub at: i64,
    /// What happened, for programs.
    pub step: StepKind,
    /// What happened, for people.
    pub text: String,
}

/// What a sample changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The series went beyond the value, and has to stay there.
    WaitingBegan,
    /// It is still or again beyond, after an interruption.
    WaitingBeganAnew,
    /// It came back before its time.
    CameBack,
    /// It ended before its time.
    WaitingEnded,
    /// A violation opened.
    Opened,
    /// The series reached the recovery value, and has to stay there.
    RecoveringBegan,
    /// It is still or again there, after an interruption.
    RecoveringBeganAnew,
    /// It left the recovery value before its time.
    FellBack,
    /// The violation closed.
    Closed,
}

/// What a moment changed; `None` when the series only went on.
pub fn step(rule: &Threshold, moment: &Moment<'_>) -> Option<Step> {
    let words = Words { rule, moment };
    let (step, text) = match (moment.before, moment.after) {
        (None, Some(SeriesState::Waiting { .. })) => {
            (StepKind::WaitingBegan, words.has_to_stay(words.is_beyond(), rule.for_seconds))
        }
        (Some(SeriesState::Waiting { since, last, .. }), Some(SeriesState::Waiting { since: anew, .. })) if anew != since => {
            (StepKind::WaitingBeganAnew, words.begins_anew(words.is_beyond(), *last, rule.for_seconds))
        }
        (Some(SeriesState::Waiting { since, .. }), None) => words.waited_in_vain(*since),
        (before, Some(SeriesState::Open { opened_at, .. })) if !matches!(before, Some(SeriesState::Open { .. })) => {
            let since = if let Some(SeriesState::Waiting { since, .. }) = before { *since } else { *opened_at };
            (StepKind::Opened, words.decided("opened", words.is_beyond(), since, rule.for_seconds))
        }
        (Some(SeriesState::Open { recovering, .. }), Some(SeriesState::Open { recovering: now, .. })) => {
            words.recovering(*recovering, *now)?
        }
        (Some(SeriesState::Open { recovering, .. }), None) => (StepKind::Closed, words.closed(*recovering)),
        // opened and closed by one sample, or nothing at all
        _ => return None,
    };
    Some(Step { at: moment.at, step, text })
}

struct Words<'a> {
    rule: &'a Threshold,
    moment: &'a Moment<'a>,
}

impl Words<'_> {
    fn unit(&self) -> &'static str {
        let unit = catalog::find(&self.rule.metric).map_or("", |metric| metric.unit);
        match self.rule.quantity {
            Quantity::TimeUntilFull => "s",
            _ if unit == "1" || unit.starts_with('{') => "",
            _ => unit,
        }
    }

    fn number(&self, value: f64) -> String {
        // 12 digits hide the last bits of a slope
        let rounded: f64 = format!("{value:.11e}").parse().unwrap_or(value);
        match self.unit() {
            "" => rounded.to_string(),
            unit => format!("{rounded} {unit}"),
        }
    }

    fn value(&self) -> String {
        let value = match self.moment.compared {
            Some(value) => self.number(value),
            None => return "nothing".to_owned(),
        };
        match self.rule.quantity {
            Quantity::Value => value,
            Quantity::Change => format!("a change of {value} within {} s", self.rule.window_seconds),
            Quantity::TimeUntilFull => format!("{value} until it is full"),
        }
    }

    fn is_beyond(&self) -> String {
        format!("{} is {} {}", self.value(), self.rule.direction.as_str(), self.number(self.rule.value))
    }

    fn is_recovered(&self) -> String {
        if self.moment.compared.is_some_and(f64::is_infinite) {
            return "it does not grow".to_owned();
        }
        format!("{} is {}", self.value(), self.recovery())
    }

    fn recovery(&self) -> String {
        let side = match self.rule.direction {
            Direction::Above => "below",
            Direction::Below => "above",
        };
        format!("at or {side} {}", self.number(self.rule.recovery_value))
    }

    fn has_to_stay(&self, is: String, seconds: i64) -> String {
        format!("{is}: it has to stay so for {seconds} s")
    }

    fn begins_anew(&self, is: String, last: i64, seconds: i64) -> String {
        let silent = duration(self.moment.at - last);
        format!("{is}, after {silent} without a value, in which nobody knows what it did: the {seconds} s begin anew")
    }

    fn decided(&self, what: &str, is: String, since: i64, seconds: i64) -> String {
        match seconds {
            0 => format!("{is}: {what}"),
            _ => format!("{is}, for {} now, of {seconds} s: {what}", duration(self.moment.at - since)),
        }
    }

    fn waited_in_vain(&self, since: i64) -> (StepKind, String) {
        let waited = format!("after {} of {} s: nothing opens", duration(self.moment.at - since), self.rule.for_seconds);
        if self.moment.compared.is_none() {
            return (StepKind::WaitingEnded, format!("the series ended {waited}"));
        }
        let (value, side) = (self.number(self.rule.value), self.rule.direction.as_str());
        (StepKind::CameBack, format!("{} is not {side} {value} any more {waited}", self.value()))
    }

    fn recovering(&self, before: Option<(i64, i64)>, now: Option<(i64, i64)>) -> Option<(StepKind, String)> {
        let seconds = self.rule.recovery_for_seconds;
        Some(match (before, now) {
            (None, Some(_)) => (StepKind::RecoveringBegan, self.has_to_stay(self.is_recovered(), seconds)),
            (Some((since, last)), Some((anew, _))) if anew != since => {
                (StepKind::RecoveringBeganAnew, self.begins_anew(self.is_recovered(), last, seconds))
            }
            (Some(_), None) => {
                (StepKind::FellBack, format!("{} is not {} any more: it stays open", self.value(), self.recovery()))
            }
            _ => return None,
        })
    }

    fn closed(&self, recovering: Option<(i64, i64)>) -> String {
        match self.moment.closed {
            Some(CloseReason::Stopped) => "the container does not run any more, and has no value: closed".to_owned(),
            Some(CloseReason::Gone) => "the report has its part, and the series is not in it any more: closed".to_owned(),
            Some(CloseReason::ThresholdChanged) => "the rule is not in force for it any more: closed".to_owned(),
            Some(CloseReason::Recovered) | None => {
                let since = recovering.map_or(self.moment.at, |(since, _)| since);
                self.decided("closed", self.is_recovered(), since, self.rule.recovery_for_seconds)
            }
        }
    }
}

fn duration(ms: i64) -> String {
    format!("{} s", ms as f64 / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::*;

    fn rule() -> Threshold {
        let base = Threshold::new(Kind::Host, "system.cpu.utilization", Direction::Above, 0.9);
        Threshold { recovery_value: 0.8, for_seconds: 60, recovery_for_seconds: 30, ..base }
    }

    fn waiting(since: i64, last: i64) -> Option<SeriesState> {
        Some(SeriesState::Waiting { since, last, peak: 0.95 })
    }

    fn open(recovering: Option<(i64, i64)>) -> Option<SeriesState> {
        Some(SeriesState::Open { opened_at: 60_000, peak: 0.95, recovering })
    }

    fn check(
        rule: &Threshold,
        (at, compared): (i64, Option<f64>),
        states: [Option<SeriesState>; 2],
        closed: Option<CloseReason>,
        expected: Option<(StepKind, &str)>,
    ) {
        let moment = Moment { at, compared, before: states[0].as_ref(), after: states[1].as_ref(), closed };
        let expected = expected.map(|(step, text)| Step { at, step, text: text.to_owned() });
        assert_eq!(step(rule, &moment), expected);
    }

    #[test]
    fn each_change_has_its_words_and_what_goes_on_has_none() {
        let rule = rule();
        let checked = |sample, states, closed, expected| check(&rule, sample, states, closed, expected);
        checked((0, Some(0.5)), [None, None], None, None);
        let text = "0.95 is above 0.9: it has to stay so for 60 s";
        checked((0, Some(0.95)), [None, waiting(0, 0)], None, Some((StepKind::WaitingBegan, text)));
        checked((2_000, Some(0.95)), [waiting(0, 0), waiting(0, 2_000)], None, None);
        let text = "0.95 is above 0.9, after 12.5 s without a value, in which nobody knows what it did: the 60 s begin anew";
        checked((12_500, Some(0.95)), [waiting(0, 0), waiting(12_500, 12_500)], None, Some((StepKind::WaitingBeganAnew, text)));
        let text = "0.85 is not above 0.9 any more after 4 s of 60 s: nothing opens";
        checked((4_000, Some(0.85)), [waiting(0, 2_000), None], None, Some((StepKind::CameBack, text)));
        let text = "the series ended after 4 s of 60 s: nothing opens";
        checked((4_000, None), [waiting(0, 2_000), None], None, Some((StepKind::WaitingEnded, text)));
        let text = "0.95 is above 0.9, for 60 s now, of 60 s: opened";
        checked((60_000, Some(0.95)), [waiting(0, 58_000), open(None)], None, Some((StepKind::Opened, text)));
        checked((62_000, Some(0.97)), [open(None), open(None)], None, None);
        let text = "0.8 is at or below 0.8: it has to stay so for 30 s";
        let since = Some((70_000, 70_000));
        checked((70_000, Some(0.8)), [open(None), open(since)], None, Some((StepKind::RecoveringBegan, text)));
        let text = "0.81 is not at or below 0.8 any more: it stays open";
        checked((72_000, Some(0.81)), [open(since), open(None)], None, Some((StepKind::FellBack, text)));
        let text = "0.7 is at or below 0.8, for 30 s now, of 30 s: closed";
        let recovered = Some(CloseReason::Recovered);
        checked((100_000, Some(0.7)), [open(since), None], recovered, Some((StepKind::Closed, text)));
        let text = "the rule is not in force for it any more: closed";
        checked((100_000, Some(0.97)), [open(None), None], Some(CloseReason::ThresholdChanged), Some((StepKind::Closed, text)));
    }

    #[test]
    fn windows_and_units_are_named() {
        let fills = Threshold {
            quantity: Quantity::TimeUntilFull,
            window_seconds: 3_600,
            direction: Direction::Below,
            value: 14_400.0,
            recovery_value: 14_400.0,
            for_seconds: 0,
            recovery_for_seconds: 0,
            ..rule()
        };
        let text = "7200 s until it is full is below 14400 s: opened";
        check(&fills, (60_000, Some(7_200.0)), [None, open(None)], None, Some((StepKind::Opened, text)));
        let text = "it does not grow: closed";
        check(
            &fills,
            (60_000, Some(f64::INFINITY)),
            [open(None), None],
            Some(CloseReason::Recovered),
            Some((StepKind::Closed, text)),
        );
        let hot = Threshold {
            metric: "hw.temperature".to_owned(),
            quantity: Quantity::Change,
            window_seconds: 600,
            for_seconds: 0,
            ..rule()
        };
        let text = "a change of 0.3 Cel within 600 s is above 0.9 Cel: opened";
        check(&hot, (60_000, Some(0.1 + 0.2)), [None, open(None)], None, Some((StepKind::Opened, text)));
    }
}
