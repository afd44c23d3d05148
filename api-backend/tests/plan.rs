//! The compiled evaluator against the same rules by the letter: many machines, devices and scopes at once, while all of them come and go.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

#[path = "support/by_the_letter.rs"]
mod by_the_letter;

use std::collections::BTreeMap;
use std::sync::Arc;

use api_backend::thresholds::evaluator::{CloseReason, HostState, Sample, Transition, evaluate};
use api_backend::thresholds::{
    Direction, Effect, Kind, MISSING, MISSING_MS, Machine, MachineReadings, MachineShape, MissingContainer, Plan, Quantity,
    Readable, RuleSet, SeriesShape, Severity, Shape, Threshold, WINDOWS_PER_HOST, Windows, machine_readings,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use wire_model::{Cell, Form, HostInfo, HostReport, Removed, Table};

const HOST_METRIC: &str = "system.cpu.utilization";
const DEVICE_METRIC: &str = "system.filesystem.utilization";
const CONTAINER_METRICS: [&str; 2] = ["container.cpu.usage", "container.memory.utilization"];
const DEVICES: [&str; 3] = ["/", "/data", "/srv"];
const CONTAINERS: [&str; 3] = ["api", "db", "web"];

type Value = Option<f64>;
/// What it does, its exit code, its restarts, and its values.
type Container = (&'static str, Value, Value, [Value; 2]);
/// Rows, if the table has the metric's column.
type Devices = (bool, [Option<Value>; 3]);

/// A report: parts that may be missing, with rows that may be, with values that may be.
#[derive(Clone, Debug)]
struct Step {
    after_ms: i64,
    host: Option<Value>,
    devices: Option<Devices>,
    containers: Option<[Option<Container>; 3]>,
    /// The rules that hold from here on.
    rules: Option<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    All(Vec<Threshold>),
    /// Of the rule at this place, this field.
    Edit(usize, usize),
}

fn value() -> impl Strategy<Value = Value> {
    // few, so that the edges are met often; seldom absent
    prop_oneof![1 => Just(None), 6 => select(vec![0.1, 0.5, 0.6, 0.600_04, 0.699_96, 0.7, 0.800_01, 0.9, 1.0]).prop_map(Some)]
}

fn seldom_missing<T: std::fmt::Debug>(of: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    option::weighted(0.85, of)
}

/// A metric with what may be said of it: conditions, and devices.
fn metric() -> impl Strategy<Value = (Kind, &'static str)> {
    let metrics = [
        (Kind::Host, HOST_METRIC),
        (Kind::Host, DEVICE_METRIC),
        (Kind::Container, CONTAINER_METRICS[0]),
        (Kind::Container, CONTAINER_METRICS[1]),
        (Kind::Container, "container.stopped"),
        (Kind::Container, "container.exit_code"),
        (Kind::Container, "container.restarts"),
        (Kind::Container, "container.missing"),
    ];
    select(metrics.to_vec())
}

/// What is compared, over which window, and values for it.
fn condition() -> impl Strategy<Value = (Quantity, i64, [f64; 2])> {
    let levels = |levels: Vec<f64>| (select(levels.clone()), select(levels)).prop_map(|(one, other)| [one, other]);
    // the shorter ones are as long as a few steps
    let window = || select(vec![16i64, 30, 60]);
    prop_oneof![
        4 => levels(vec![0.5, 0.6, 0.7, 0.8]).prop_map(|levels| (Quantity::Value, 0, levels)),
        2 => (window(), levels(vec![-0.5, 0.0, 0.1, 0.8, 2.0])).prop_map(|(window, levels)| (Quantity::Change, window, levels)),
        1 => (window(), levels(vec![0.0, 10.0, 40.0, 600.0])).prop_map(|(window, levels)| (Quantity::TimeUntilFull, window, levels)),
    ]
}

fn scope() -> impl Strategy<Value = (Option<i64>, BTreeMap<String, String>, Option<&'static str>)> {
    let labels = select(vec![None, None, Some(("rack", "a*")), Some(("rack", "b1")), Some(("container.name", "?b"))]);
    let labels = labels.prop_map(|label| label.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
    let device = option::weighted(0.4, select(vec!["/", "/data", "/srv", "/s*", "/*"]));
    (option::weighted(0.3, 1i64..=4), labels, device)
}

fn rule() -> impl Strategy<Value = Threshold> {
    let seconds = || select(vec![0i64, 0, 2, 4, 10]);
    let severity = select(vec![Severity::Info, Severity::Warning, Severity::Critical]);
    let turned_off = (prop::bool::weighted(0.15), prop::bool::weighted(0.1));
    ((metric(), condition(), scope()), (seconds(), seconds()), any::<bool>(), severity, turned_off, 1i64..12).prop_map(
        |(
            ((kind, metric), (quantity, window_seconds, levels), (machine_id, labels, device)),
            seconds,
            above,
            severity,
            off,
            id,
        )| {
            let (low, high) = (levels[0].min(levels[1]), levels[0].max(levels[1]));
            let direction = if above && quantity != Quantity::TimeUntilFull { Direction::Above } else { Direction::Below };
            let (value, recovery_value) = if direction == Direction::Above { (high, low) } else { (low, high) };
            Threshold {
                id,
                machine_id,
                labels,
                device: device.map(str::to_owned).filter(|_| metric == DEVICE_METRIC),
                quantity,
                window_seconds,
                recovery_value,
                for_seconds: seconds.0,
                recovery_for_seconds: seconds.1,
                severity,
                effect: if off.0 { Effect::None } else { Effect::Open },
                enabled: !off.1,
                ..Threshold::new(kind, metric, direction, value)
            }
        },
    )
}

/// One field of a rule as somebody may change it, and the version that it then has.
fn edited(rule: &Threshold, field: usize, version: i64) -> Threshold {
    let mut rule = Threshold { version, ..rule.clone() };
    let turn = if rule.direction == Direction::Above { 1.0 } else { -1.0 };
    match field % 8 {
        0 => rule.for_seconds = 4 - rule.for_seconds.min(4),
        1 => rule.recovery_for_seconds = 4 - rule.recovery_for_seconds.min(4),
        2 => rule.value += 0.1 * turn,
        3 => rule.recovery_value -= 0.1 * turn,
        4 => rule.window_seconds *= 2,
        5 => rule.enabled = !rule.enabled,
        6 => rule.effect = if rule.effect == Effect::Open { Effect::None } else { Effect::Open },
        _ => rule.machine_id = if rule.machine_id.is_none() { Some(1) } else { None },
    }
    rule
}

fn rules() -> impl Strategy<Value = Vec<Threshold>> {
    // ids are unique
    vec(rule(), 1..10)
        .prop_map(|rules| rules.into_iter().map(|rule| (rule.id, rule)).collect::<BTreeMap<_, _>>().into_values().collect())
}

fn step() -> impl Strategy<Value = Step> {
    let state = select(vec!["running", "running", "running", "paused", "exited", "dead"]);
    let container = (
        state,
        select(vec![None, Some(0.0), Some(1.0), Some(137.0)]),
        select(vec![None, Some(0.0), Some(0.0), Some(2.0), Some(4.0)]),
        [value(), value()],
    );
    let containers = seldom_missing(prop::array::uniform3(seldom_missing(container)));
    let devices = seldom_missing((prop::bool::weighted(0.9), prop::array::uniform3(seldom_missing(value()))));
    let after_ms = prop_oneof![12 => select(vec![2_000i64, 4_000, 10_001]), 1 => Just(86_390_000)];
    let change = prop_oneof![1 => rules().prop_map(Change::All), 3 => (0usize..9, 0usize..8).prop_map(|(rule, field)| Change::Edit(rule, field))];
    (after_ms, seldom_missing(value()), devices, containers, option::weighted(0.2, change))
        .prop_map(|(after_ms, host, devices, containers, rules)| Step { after_ms, host, devices, containers, rules })
}

fn report(at: i64, step: &Step) -> HostReport {
    let mut tables = BTreeMap::new();
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    if let Some((has_column, devices)) = &step.devices {
        let rows = DEVICES.iter().zip(devices).filter_map(|(name, value)| Some(vec![(*name).into(), Cell::from((*value)?)]));
        let metric = if *has_column { DEVICE_METRIC } else { "system.filesystem.usage" };
        tables.insert("filesystem".to_owned(), Table { columns: columns(&["mountpoint", metric]), rows: rows.collect() });
    }
    if let Some(containers) = &step.containers {
        let rows = CONTAINERS.iter().zip(containers).filter_map(|(name, container)| {
            let (state, exit_code, restarts, values) = (*container)?;
            // what does not run has no values
            let [one, other] = values.map(|value| Cell::from(value.filter(|_| is_running(state))));
            Some(vec![(*name).into(), state.into(), Cell::from(exit_code), Cell::from(restarts), one, other])
        });
        let columns = columns(&["name", "state", "exit_code", "restarts", CONTAINER_METRICS[0], CONTAINER_METRICS[1]]);
        tables.insert("container".to_owned(), Table { columns, rows: rows.collect() });
    }
    let host = HostInfo {
        id: "a".into(),
        name: "a".into(),
        labels: BTreeMap::from([("rack".to_owned(), "a1".to_owned())]),
        os: None,
        kernel: None,
        cpus: None,
        collector: None,
    };
    let metrics = step.host.iter().map(|value| (HOST_METRIC.to_owned(), *value)).collect();
    let (schema, removed) = (wire_model::SCHEMA, Removed::default());
    HostReport { schema, host, epoch: 1, seq: 1, at, interval_ms: 2_000, previous: None, metrics, tables, removed }
}

/// The host is machine 1, the containers follow by name.
fn with_ids(machines: Vec<MachineReadings<'_>>) -> Vec<(i64, MachineReadings<'_>)> {
    let id = |machine: &MachineReadings<'_>| {
        let position = CONTAINERS.iter().position(|name| machine.identity == format!("name:{name}"));
        position.map_or(1, |position| 2 + i64::try_from(position).unwrap())
    };
    machines.into_iter().map(|machine| (id(&machine), machine)).collect()
}

fn is_running(state: &str) -> bool {
    !matches!(state, "exited" | "dead")
}

/// Which containers are gone, as the inventory knows it.
#[derive(Default)]
struct Missing {
    ran: BTreeMap<i64, Machine>,
    gone: BTreeMap<i64, MissingContainer>,
}

impl Missing {
    fn follow(&mut self, report: &HostReport) {
        if !report.tables.contains_key("container") {
            return;
        }
        let machines = with_ids(machine_readings(report));
        let here = |id: &i64| machines.iter().any(|(other, _)| other == id);
        for (id, machine) in std::mem::take(&mut self.ran).into_iter().filter(|(id, _)| !here(id)) {
            self.gone.insert(id, MissingContainer { machine, gone_at: report.at });
        }
        self.gone.retain(|id, _| !here(id));
        let running = machines.iter().filter(|(_, machine)| machine.kind == Kind::Container && machine.is_running);
        self.ran = running.map(|(id, machine)| (*id, machine.machine(*id))).collect();
    }

    fn list(&self) -> Vec<MissingContainer> {
        self.gone.values().cloned().collect()
    }
}

fn plan_of(rules: &Arc<RuleSet>, form: &Form, missing: Vec<MissingContainer>) -> Plan {
    let places = form.places();
    Plan::new(Arc::clone(rules), Shape::of(&places, &with_ids(machine_readings(&places))).with_missing(missing))
}

/// Transitions of one report stand in no order of their own.
fn sorted(transitions: &[Transition]) -> Vec<String> {
    let mut texts: Vec<_> = transitions.iter().map(|transition| format!("{transition:?}")).collect();
    texts.sort();
    texts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn a_plan_does_what_the_rules_say(first in rules(), steps in vec(step(), 1..40)) {
        let mut thresholds = first;
        let mut rules = Arc::new(RuleSet::new(thresholds.clone()));
        let (mut slow, mut at, mut version) = (by_the_letter::States::default(), 1_000_000, 1);
        // as they are kept with the host
        let (mut text, mut windows) = (HostState::default().to_text(), None);
        let mut plan: Option<(Form, Plan)> = None;
        let mut missing = Missing::default();
        for step in &steps {
            at += step.after_ms;
            if let Some(change) = &step.rules {
                version += 1;
                match change {
                    Change::All(all) => thresholds.clone_from(all),
                    Change::Edit(rule, field) => {
                        let rule = rule % thresholds.len();
                        thresholds[rule] = edited(&thresholds[rule], *field, version);
                    }
                }
                rules = Arc::new(RuleSet::new(thresholds.clone()));
                plan = None;
            }
            let report = report(at, step);
            missing.follow(&report);
            let machines = with_ids(machine_readings(&report));
            let expected = by_the_letter::evaluate(&mut slow, &rules, &report, &machines, &missing.list());

            let message = report.encode();
            // as ingest does: the plan of the form before, as long as it fits
            let fits = plan.as_ref().and_then(|(form, _)| form.read(&message, at));
            let figures = fits.unwrap_or_else(|| {
                let (form, figures) = Form::decode(&message, at).unwrap();
                let made = plan_of(&rules, &form, missing.list());
                plan = Some((form, made));
                figures
            });
            let (form, made) = plan.as_ref().unwrap();
            let mut state = HostState::from_text(&text).unwrap();
            state.windows = windows.as_deref().map_or_else(Windows::default, |windows| Windows::from_text(windows).unwrap());
            let mut transitions = Vec::new();
            evaluate(&mut state, made, Sample::of(form, &figures), &mut transitions);
            text = state.to_text();
            if let Some(changed) = state.windows.take_change() {
                windows = changed;
            }
            prop_assert_eq!(sorted(&transitions), sorted(&expected), "{:?}", step);
            prop_assert_eq!(state.states(), slow.series.clone().into_iter().collect::<Vec<_>>());
        }
    }
}

/// A container that is gone is missing for a day, to the millisecond.
#[test]
fn what_is_missing_for_a_day_is_gone() {
    let rule = Threshold { id: 1, version: 4, ..Threshold::new(Kind::Container, MISSING, Direction::Above, 0.0) };
    let (rules, gone_at) = (Arc::new(RuleSet::new([rule])), 5_000);
    let machine = Machine { id: 2, kind: Kind::Container, labels: BTreeMap::new() };
    let readable = Readable { tables: ["container".to_owned()].into(), ..Readable::default() };
    let shape = Shape { machines: Vec::new(), missing: Vec::new(), readable };
    let plan = Plan::new(rules, shape.with_missing([MissingContainer { machine, gone_at }]));
    let (mut state, mut transitions) = (HostState::default(), Vec::new());
    for at in [gone_at, gone_at + MISSING_MS - 1, gone_at + MISSING_MS, gone_at + MISSING_MS + 1] {
        evaluate(&mut state, &plan, Sample { at, interval_ms: 2_000, values: &[] }, &mut transitions);
    }
    let told: Vec<_> = transitions
        .iter()
        .map(|transition| match transition {
            Transition::Opened { at, value, .. } => (*at, Some(*value), None, None),
            Transition::Worsened { .. } => panic!("it is never worse than missing"),
            Transition::Closed { at, value, reason, version, .. } => (*at, *value, Some(*reason), *version),
        })
        .collect();
    assert_eq!(told, [(gone_at, Some(1.0), None, None), (gone_at + MISSING_MS, None, Some(CloseReason::Gone), Some(4))]);
}

#[test]
fn windows_beyond_the_limit_are_left_out() {
    let rule = |id, quantity| Threshold {
        id,
        quantity,
        window_seconds: 60,
        ..Threshold::new(Kind::Host, DEVICE_METRIC, Direction::Above, 0.0)
    };
    let rules = Arc::new(RuleSet::new([rule(1, Quantity::Change), rule(2, Quantity::Value)]));
    for (devices, left_out) in [(WINDOWS_PER_HOST - 1, 0), (WINDOWS_PER_HOST, 0), (WINDOWS_PER_HOST + 1, 1)] {
        let names: Vec<String> = (0..devices).map(|n| format!("/{n}")).collect();
        let series = |(place, name)| SeriesShape { metric: DEVICE_METRIC, device: Some(name), place };
        let series = (0..).zip(names.iter().map(String::as_str)).map(series).collect();
        let machine = Machine { id: 1, kind: Kind::Host, labels: BTreeMap::new() };
        let machines = vec![MachineShape { machine, state: None, series }];
        let plan = Plan::new(Arc::clone(&rules), Shape { machines, missing: Vec::new(), readable: Readable::default() });
        assert_eq!((plan.left_out(), plan.steps().len()), (left_out, 2 * devices));
        let (mut state, mut transitions) = (HostState::default(), Vec::new());
        let sample = Sample { at: 1_000_000, interval_ms: 2_000, values: &vec![0.5; devices] };
        evaluate(&mut state, &plan, sample, &mut transitions);
        let text = state.windows.take_change().unwrap().unwrap();
        assert_eq!(text.matches("\"/").count(), devices - left_out);
        assert_eq!(Windows::from_text(&text).unwrap(), state.windows);
        assert_eq!(transitions.len(), devices, "single values are compared all the same");
    }
}

/// 64 values of devices under three rules each.
fn busy_host() -> (Form, Plan, Vec<f64>) {
    let rows = (0..64).map(|n| vec![Cell::Text(format!("/{n}")), Cell::Number(0.1)]).collect();
    let columns = vec!["mountpoint".to_owned(), DEVICE_METRIC.to_owned()];
    let step = Step { after_ms: 0, host: Some(Some(0.1)), devices: None, containers: None, rules: None };
    let tables = BTreeMap::from([("filesystem".to_owned(), Table { columns, rows })]);
    let report = HostReport { tables, ..report(1_000_000, &step) };
    let rule = |id, value, for_seconds, severity| Threshold {
        id,
        for_seconds,
        severity,
        ..Threshold::new(Kind::Host, DEVICE_METRIC, Direction::Above, value)
    };
    let rules = [rule(1, 0.3, 3_600, Severity::Info), rule(2, 0.5, 0, Severity::Warning), rule(3, 0.7, 0, Severity::Critical)];
    let (form, figures) = Form::decode(&report.encode(), report.at).unwrap();
    let plan = plan_of(&Arc::new(RuleSet::new(rules)), &form, Vec::new());
    assert_eq!(plan.steps().len(), 3 * 64);
    (form, plan, figures.values)
}

#[test]
fn nothing_is_allocated_unless_a_series_changes_its_state() {
    let (form, plan, values) = busy_host();
    let mut state = HostState::default();
    let mut transitions = Vec::new();
    let mut seq = 0;
    let mut evaluate_with = |value: f64, expected: usize| {
        seq += 1;
        let values: Vec<f64> = values.iter().map(|_| value).collect();
        let figures =
            wire_model::Figures { id: wire_model::ReportId { epoch: 1, seq }, at: 1_000_000 + 2_000 * seq.cast_signed(), values };
        let allocated =
            allocation_counter::measure(|| evaluate(&mut state, &plan, Sample::of(&form, &figures), &mut transitions));
        assert_eq!(transitions.len(), expected, "{value}");
        transitions.clear();
        allocated.count_total
    };
    assert_eq!(evaluate_with(0.1, 0), 0, "below all thresholds");
    assert_eq!(evaluate_with(f64::NAN, 0), 0, "absent");
    assert!(evaluate_with(0.6, 64) > 0, "one waits, one opens");
    assert_eq!(evaluate_with(0.6, 0), 0, "one waits on, one stays open");
    assert_eq!(evaluate_with(0.55, 0), 0, "less bad, and open still");
    assert_eq!(evaluate_with(f64::NAN, 0), 0, "absent while states are kept");
    assert!(evaluate_with(0.65, 64) > 0, "worse");
    assert!(evaluate_with(0.1, 64) > 0, "recovered");
    assert_eq!(evaluate_with(0.1, 0), 0, "below all thresholds again");
}
