//! The evaluator against a slow and obvious oracle: whole histories, looked at again for every sample.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::collections::BTreeMap;

use api_backend::thresholds::evaluator::{CloseReason, HostState, Sample as Evaluated, Transition, evaluate, gap_ms};
use std::sync::Arc;

use api_backend::thresholds::{Direction, Kind, Plan, RuleSet, Severity, Shape, Threshold, machine_readings};
use proptest::prelude::*;
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

/// What happened, by time: opened, or closed for a reason.
type History = Vec<(i64, Option<CloseReason>)>;

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
struct Host {
    rules: Arc<RuleSet>,
    /// Of the forms that its reports had.
    plans: Vec<(Form, Plan)>,
}

impl Host {
    fn under(rule: Threshold) -> Host {
        Host { rules: Arc::new(RuleSet::new([rule])), plans: Vec::new() }
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

/// As it runs: one report after the other, the state written down and read again in between.
fn run(rule: &Threshold, samples: &[(i64, Sample)]) -> History {
    let mut host = Host::under(rule.clone());
    let mut text = HostState::default().to_text();
    let mut history = Vec::new();
    for (at, sample) in samples {
        let report = report(*at, *sample);
        let mut state = HostState::from_text(&text).unwrap();
        let transitions = host.transitions(&mut state, &report);
        text = state.to_text();
        history.extend(transitions.into_iter().filter_map(|transition| match transition {
            Transition::Opened { at, .. } => Some((at, None)),
            Transition::Closed { at, reason, .. } => Some((at, Some(reason))),
            Transition::Worsened { .. } => None,
        }));
    }
    history
}

/// By definition: a sample opens when all samples of an unbroken stretch that ends with it and is long enough are beyond.
fn oracle(rule: &Threshold, samples: &[(i64, Sample)]) -> History {
    let mut history: History = Vec::new();
    // the first sample that may count towards the next opening
    let mut begin = 0;
    for (n, (at, sample)) in samples.iter().enumerate() {
        let is_open = matches!(history.last(), Some((_, None)));
        let is_gone = *sample == Sample::NoDevice;
        if is_open {
            let reason = match sample {
                Sample::NoDevice => Some(CloseReason::Gone),
                Sample::Value(value) if rule.is_recovered(*value) => Some(CloseReason::Recovered),
                _ => None,
            };
            if let Some(reason) = reason {
                history.push((*at, Some(reason)));
                begin = n + 1;
            }
            continue;
        }
        if is_gone {
            begin = n + 1;
            continue;
        }
        if !matches!(sample, Sample::Value(value) if rule.is_beyond(*value)) {
            continue;
        }
        let values: Vec<(i64, f64)> = samples[begin..=n]
            .iter()
            .filter_map(|(at, sample)| if let Sample::Value(value) = sample { Some((*at, *value)) } else { None })
            .collect();
        let stretch = values.iter().rev().take_while(|(_, value)| rule.is_beyond(*value)).collect::<Vec<_>>();
        let mut since = stretch[0].0;
        for pair in stretch.windows(2) {
            if pair[0].0 - pair[1].0 > gap_ms(INTERVAL_MS) {
                break;
            }
            since = pair[1].0;
        }
        if at - since >= rule.for_seconds * 1_000 {
            history.push((*at, None));
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
        9 => prop::sample::select(vec![0.1, 0.5, 0.6, 0.7, 0.8, 0.9]).prop_map(Sample::Value),
    ]
}

fn rule() -> impl Strategy<Value = Threshold> {
    let values = prop::sample::select(vec![0.5, 0.6, 0.7, 0.8]);
    (values.clone(), values, 0i64..20, any::<bool>()).prop_map(|(one, other, for_seconds, above): (f64, f64, i64, bool)| {
        Threshold {
            id: 1,
            recovery_value: if above { one.min(other) } else { one.max(other) },
            for_seconds,
            ..Threshold::new(
                Kind::Host,
                METRIC,
                if above { Direction::Above } else { Direction::Below },
                if above { one.max(other) } else { one.min(other) },
            )
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn every_transition_is_the_oracles(rule in rule(), steps in prop::collection::vec((prop::sample::select(vec![2_000i64, 2_001, 4_000, 10_000, 10_001, 30_000]), sample()), 1..60)) {
        let mut at = 1_000_000;
        let samples: Vec<_> = steps.into_iter().map(|(step, sample)| { at += step; (at, sample) }).collect();
        prop_assert_eq!(run(&rule, &samples), oracle(&rule, &samples));
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
    let mut host = Host::under(rule);
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
