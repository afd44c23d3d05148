//! The evaluator against a slow and obvious oracle: whole histories, looked at again for every sample.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

#[allow(dead_code, reason = "this test has its own history")]
#[path = "support/by_the_letter.rs"]
mod by_the_letter;

use std::collections::BTreeMap;
use std::sync::Arc;

use api_backend::thresholds::evaluator::{CloseReason, HostState, Sample as Evaluated, Transition, evaluate, gap_ms};

use api_backend::thresholds::{Direction, Kind, Plan, Quantity, RuleSet, Severity, Shape, Threshold, Windows, machine_readings};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use wire_model::{Cell, Form, HostInfo, HostReport, Removed, Table};

const METRIC: &str = "system.filesystem.utilization";
const INTERVAL_MS: u32 = 2_000;

/// What a report says of the one device: not there, not readable, or a value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Sample {
    NoTable,
    NoDevice,
    Null,
    Value(f64),
}

/// What happened, by time: opened, or closed for a reason by a version.
type History = Vec<(i64, Option<(CloseReason, Option<i64>)>)>;

/// One report, by the rule as it stands then; `None`: it is disabled.
type Reported = (i64, Sample, Option<Threshold>);

fn report(at: i64, sample: Sample) -> HostReport {
    let rows = match sample {
        Sample::NoTable | Sample::NoDevice => Vec::new(),
        Sample::Null => vec![vec![Cell::Text("/".into()), Cell::Null]],
        Sample::Value(value) => vec![vec![Cell::Text("/".into()), Cell::Number(value)]],
    };
    let table = Table { columns: vec!["mountpoint".into(), METRIC.into()], rows };
    let tables = if sample == Sample::NoTable { BTreeMap::new() } else { BTreeMap::from([("filesystem".to_owned(), table)]) };
    HostReport {
        schema: wire_model::SCHEMA,
        host: HostInfo {
            id: "a".into(),
            name: "a".into(),
            labels: BTreeMap::new(),
            os: None,
            kernel: None,
            cpus: None,
            collector: None,
        },
        epoch: 1,
        seq: 1,
        at,
        interval_ms: INTERVAL_MS,
        previous: None,
        metrics: BTreeMap::new(),
        tables,
        removed: Removed::default(),
    }
}

/// A host with the machine id 1 under some rules.
#[derive(Default)]
struct Host {
    rules: Arc<RuleSet>,
    /// Of the forms that its reports had.
    plans: Vec<(Form, Plan)>,
}

impl Host {
    fn follow(&mut self, rule: Threshold) {
        (self.rules, self.plans) = (Arc::new(RuleSet::new([rule])), Vec::new());
    }

    fn transitions(&mut self, state: &mut HostState, report: &HostReport) -> Vec<Transition> {
        let (message, mut transitions) = (report.encode(), Vec::new());
        let known = self.plans.iter().find_map(|(form, plan)| Some((form, plan, form.read(&message, report.at)?)));
        if let Some((form, plan, figures)) = known {
            evaluate(state, plan, Evaluated::of(form, &figures), &mut transitions);
            return transitions;
        }
        let (form, figures) = Form::decode(&message, report.at).unwrap();
        let places = form.places();
        let machines: Vec<_> = machine_readings(&places).into_iter().map(|machine| (1, machine)).collect();
        let plan = Plan::new(Arc::clone(&self.rules), Shape::of(&places, &machines));
        evaluate(state, &plan, Evaluated::of(&form, &figures), &mut transitions);
        self.plans.push((form, plan));
        transitions
    }
}

/// As it runs: one report after the other, those left out that are not newer than all before; the state written down and read again in
/// between, and the windows only when they changed.
fn run(reports: &[Reported]) -> History {
    let (mut host, mut known): (Host, Option<&Option<Threshold>>) = (Host::default(), None);
    let (mut text, mut windows, mut newest) = (HostState::default().to_text(), None::<String>, 0);
    let mut history = Vec::new();
    for (at, sample, rule) in reports {
        if *at <= newest {
            continue;
        }
        newest = *at;
        if known != Some(rule) {
            let off =
                Threshold { id: 1, version: 99, enabled: false, ..Threshold::new(Kind::Host, METRIC, Direction::Above, 0.0) };
            host.follow(rule.clone().unwrap_or(off));
            known = Some(rule);
        }
        let mut state = HostState::from_text(&text).unwrap();
        state.windows = windows.as_deref().map_or_else(Windows::default, |text| Windows::from_text(text).unwrap());
        let transitions = host.transitions(&mut state, &report(*at, *sample));
        text = state.to_text();
        if let Some(changed) = state.windows.take_change() {
            windows = changed;
        }
        history.extend(transitions.into_iter().filter_map(|transition| match transition {
            Transition::Opened { at, .. } => Some((at, None)),
            Transition::Closed { at, reason, version, .. } => Some((at, Some((reason, version)))),
            Transition::Worsened { .. } => None,
        }));
    }
    history
}

/// What is compared, of all that came up to a sample, which has a value.
fn compared(rule: &Threshold, before: &[Reported]) -> Option<f64> {
    let is_same = |other: &Option<Threshold>| other.as_ref().is_some_and(|other| other.window_seconds == rule.window_seconds);
    let since_the_window_began = before.iter().rev().take_while(|(_, sample, rule)| *sample != Sample::NoDevice && is_same(rule));
    let value = |(at, sample, _): &Reported| {
        if let Sample::Value(value) = sample { Some((*at, by_the_letter::rounded(METRIC, *value))) } else { None }
    };
    let mut values: Vec<_> = since_the_window_began.filter_map(value).collect();
    values.reverse();
    by_the_letter::compared(rule, &values)
}

/// How long the last of these samples, by what was compared, and those before it have all been so, without a gap.
fn stretch(compared: &[(i64, Option<f64>)], is_so: impl Fn(usize, f64) -> bool) -> Option<i64> {
    let mut values = compared.iter().enumerate().rev().filter_map(|(n, (at, value))| Some((n, *at, (*value)?)));
    let (n, last, value) = values.next()?;
    if n + 1 != compared.len() || !is_so(n, value) {
        return None;
    }
    let mut since = last;
    for (n, at, value) in values {
        if !is_so(n, value) || since - at > gap_ms(INTERVAL_MS) {
            break;
        }
        since = at;
    }
    Some(last - since)
}

/// By definition: a sample opens when all values of an unbroken stretch that ends with it and is long enough are beyond, each by the rule as
/// it stood then, and closes when all are recovered.
fn oracle(reports: &[Reported]) -> History {
    let mut all: Vec<Reported> = Vec::new();
    for report in reports {
        if all.last().is_none_or(|(newest, ..)| *newest < report.0) {
            all.push(report.clone());
        }
    }
    let values: Vec<(i64, Option<f64>)> = (0..all.len())
        .map(|n| {
            let (at, sample, rule) = &all[n];
            let value = rule.as_ref().filter(|_| matches!(sample, Sample::Value(_)));
            (*at, value.and_then(|rule| compared(rule, &all[..=n])))
        })
        .collect();
    let rule = |n: usize| all[n].2.as_ref();
    let mut history: History = Vec::new();
    // the first sample that may count towards what is next
    let mut begin = 0;
    for (n, (at, sample, now)) in all.iter().enumerate() {
        let is_open = matches!(history.last(), Some((_, None)));
        let stretch = |is_so: fn(&Threshold, f64) -> bool| {
            stretch(&values[begin..=n], |offset, value| rule(begin + offset).is_some_and(|rule| is_so(rule, value)))
        };
        let (end, version) = match now {
            None => (Some(CloseReason::ThresholdChanged), 99),
            Some(rule) if *sample == Sample::NoDevice => (Some(CloseReason::Gone), rule.version),
            Some(rule) => {
                let recovered = stretch(Threshold::is_recovered).filter(|_| is_open);
                let is_over = recovered.is_some_and(|lasted| lasted >= rule.recovery_for_seconds * 1_000);
                (is_over.then_some(CloseReason::Recovered), rule.version)
            }
        };
        if let Some(reason) = end {
            if is_open {
                history.push((*at, Some((reason, Some(version)))));
            }
            begin = n + 1;
            continue;
        }
        let lasted = stretch(Threshold::is_beyond).filter(|_| !is_open);
        if now.as_ref().zip(lasted).is_some_and(|(rule, lasted)| lasted >= rule.for_seconds * 1_000) {
            history.push((*at, None));
            begin = n + 1;
        }
    }
    history
}

fn sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        1 => Just(Sample::NoTable),
        1 => Just(Sample::NoDevice),
        1 => Just(Sample::Null),
        // few values, so that the edges are met often
        9 => select(vec![0.1, 0.5, 0.6, 0.600_04, 0.7, 0.8, 0.9, 1.0]).prop_map(Sample::Value),
    ]
}

fn rule() -> impl Strategy<Value = Threshold> {
    let levels = |levels: Vec<f64>| (select(levels.clone()), select(levels));
    // windows of a few steps
    let window = || select(vec![16i64, 40, 64]);
    let condition = prop_oneof![
        3 => levels(vec![0.5, 0.6, 0.7, 0.8]).prop_map(|levels| (Quantity::Value, 0, levels)),
        2 => (window(), levels(vec![-0.4, 0.0, 0.2, 1.0])).prop_map(|(window, levels)| (Quantity::Change, window, levels)),
        2 => (window(), levels(vec![0.0, 5.0, 20.0, 100.0])).prop_map(|(window, levels)| (Quantity::TimeUntilFull, window, levels)),
    ];
    (condition, 0i64..20, 0i64..12, any::<bool>()).prop_map(
        |((quantity, window_seconds, (one, other)), for_seconds, recovery_for_seconds, above)| {
            let above = above && quantity != Quantity::TimeUntilFull;
            let (low, high) = (f64::min(one, other), f64::max(one, other));
            let (direction, value, recovery_value) =
                if above { (Direction::Above, high, low) } else { (Direction::Below, low, high) };
            let base = Threshold::new(Kind::Host, METRIC, direction, value);
            Threshold { id: 1, quantity, window_seconds, recovery_value, for_seconds, recovery_for_seconds, ..base }
        },
    )
}

/// What somebody does to the rule before a report.
#[derive(Clone, Copy, Debug)]
enum Edit {
    Value(f64),
    Recovery(f64),
    For(i64),
    RecoveryFor(i64),
    Window,
    Severity,
    Off,
    On,
}

fn edit() -> impl Strategy<Value = Edit> {
    use Edit::{For, Off, On, Recovery, RecoveryFor, Severity, Value, Window};
    select(vec![
        Value(0.1),
        Value(-0.1),
        Recovery(0.1),
        Recovery(-0.1),
        For(0),
        For(6),
        RecoveryFor(0),
        RecoveryFor(6),
        Window,
        Severity,
        Off,
        On,
    ])
}

/// Each report with the rule as it stands then.
fn with_edits(rule: &Threshold, steps: Vec<(i64, Sample, Option<Edit>)>) -> Vec<Reported> {
    let (mut rule, mut is_on, mut at) = (rule.clone(), true, 1_000_000);
    let mut step = |(after, sample, edit): (i64, Sample, Option<Edit>)| {
        at += after;
        let turn = if rule.direction == Direction::Above { 1.0 } else { -1.0 };
        rule.version += i64::from(edit.is_some());
        match edit {
            Some(Edit::Value(by)) => rule.value = rule.worse(rule.value + by, rule.recovery_value),
            Some(Edit::Recovery(by)) => rule.recovery_value = turn * (turn * rule.value).min(turn * (rule.recovery_value + by)),
            Some(Edit::For(seconds)) => rule.for_seconds = seconds,
            Some(Edit::RecoveryFor(seconds)) => rule.recovery_for_seconds = seconds,
            Some(Edit::Window) if rule.window_seconds > 0 => rule.window_seconds = 80 - rule.window_seconds,
            Some(Edit::Severity) => rule.severity = Severity::Critical,
            Some(Edit::Off) => is_on = false,
            Some(Edit::On) => is_on = true,
            Some(Edit::Window) | None => {}
        }
        (at, sample, is_on.then(|| rule.clone()))
    };
    steps.into_iter().map(&mut step).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_transition_is_the_oracles(
        rule in rule(),
        // some are of the time of the one before, or come too late
        steps in vec((select(vec![2_000i64, 2_000, 2_001, 4_000, 10_000, 10_001, 30_000, 0, -3_000]), sample(), option::weighted(0.08, edit())), 1..60),
    ) {
        let reports = with_edits(&rule, steps);
        prop_assert_eq!(run(&reports), oracle(&reports));
    }
}

#[test]
fn the_peak_is_the_worst_value_since_the_series_went_beyond() {
    let rule = Threshold {
        id: 1,
        device: Some("/".to_owned()),
        recovery_value: 0.6,
        for_seconds: 2,
        severity: Severity::Info,
        ..Threshold::new(Kind::Host, METRIC, Direction::Below, 0.5)
    };
    let mut host = Host::default();
    host.follow(rule);
    let mut state = HostState::default();
    let mut peaks = Vec::new();
    for (n, value) in [0.4, 0.45, 0.42, 0.3, 0.35, 0.6].into_iter().enumerate() {
        let report = report(2_000 * i64::try_from(n + 1).unwrap(), Sample::Value(value));
        peaks.extend(host.transitions(&mut state, &report).into_iter().filter_map(|transition| match transition {
            Transition::Opened { peak, .. } | Transition::Worsened { peak, .. } => Some(peak),
            Transition::Closed { .. } => None,
        }));
    }
    assert_eq!(peaks, [0.4, 0.3]);
}

#[test]
fn the_longest_gap_is_three_intervals_and_at_least_ten_seconds() {
    for (interval_ms, expected) in [(1, 10_000), (3_333, 10_000), (3_334, 10_002), (60_000, 180_000), (u32::MAX, 12_884_901_885)]
    {
        assert_eq!(gap_ms(interval_ms), expected, "{interval_ms}");
    }
}
