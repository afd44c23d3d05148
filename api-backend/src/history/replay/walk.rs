//! Takes stretches of one host through the evaluator.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use wire_model::catalog;

use super::stays::Stays;
use super::stretch::{Report, Series, Stretch};
use super::trace::Trace;
use super::{Needs, Replayed, ReplayedHost, Skipping, Span};
use crate::history::chunk::Part;
use crate::history::report_state::Tables;
use crate::thresholds::evaluator::{HostState, Sample, Transition, evaluate};
use crate::thresholds::{
    ContainerState, Effect, Kind, Machine, MachineShape, MissingContainer, Plan, Readable, RuleSet, SeriesShape, Shape,
};

/// One host on its way through its history.
pub(super) struct Walk {
    host: Arc<ReplayedHost>,
    needs: Arc<Needs>,
    from: i64,
    to: i64,
    skipping: Skipping,
    /// Time of the last sample.
    last_at: i64,
    runs: Vec<Run>,
    /// Shape of the last samples.
    shape: Option<ShapeKey>,
    /// Containers that were seen.
    seen: HashMap<i64, Seen>,
    values: Vec<f64>,
    evaluated: u64,
    trace: Option<Trace>,
}

/// One set of rules.
struct Run {
    rules: Arc<RuleSet>,
    state: HostState,
    /// Whether something can happen to it in the present stretch.
    is_at_work: bool,
    /// For the last shape.
    plan: Option<Plan>,
    transitions: Vec<Transition>,
    stays: Stays,
}

/// A container as it was last there.
struct Seen {
    is_running: bool,
    /// Time of the first report that no longer has it.
    gone_at: Option<i64>,
}

/// All that a plan depends on.
#[derive(PartialEq)]
struct ShapeKey {
    tables: Option<Tables>,
    /// Those that are there; without a state where none was kept.
    containers: Vec<(i64, Option<ContainerState>)>,
    /// Those that are there.
    series: Vec<SeriesKey>,
    other_metrics: BTreeSet<Arc<str>>,
    /// With the times at which they went.
    missing: Vec<(i64, i64)>,
}

/// A series, by its place in the stretch and by what it is of.
#[derive(PartialEq)]
struct SeriesKey {
    number: usize,
    machine_id: i64,
    metric: Arc<str>,
    device: Option<Arc<str>>,
}

impl Walk {
    /// Through samples of a span, `from` some time on.
    pub(super) fn new(host: Arc<ReplayedHost>, span: &Span, needs: Arc<Needs>, from: i64, trace: Option<Trace>) -> Walk {
        let run = |rules: &Arc<RuleSet>| Run {
            rules: Arc::clone(rules),
            state: HostState::default(),
            is_at_work: true,
            plan: None,
            transitions: Vec::new(),
            stays: Stays::default(),
        };
        Walk {
            host,
            needs,
            from,
            to: span.to,
            skipping: span.skipping,
            last_at: i64::MIN,
            runs: span.rules.iter().map(run).collect(),
            shape: None,
            seen: HashMap::new(),
            values: Vec::new(),
            evaluated: 0,
            trace,
        }
    }

    pub(super) fn host(&self) -> &ReplayedHost {
        &self.host
    }

    pub(super) fn needs(&self) -> &Needs {
        &self.needs
    }

    /// Whether nothing waits or is open, so that only a value beyond a rule can change something.
    pub(super) fn is_idle(&self) -> bool {
        self.runs.iter().all(Run::is_idle)
    }

    /// Whether something can happen in a quarter: something waits or is open, or a value is beyond a rule, as the heads of columns tell.
    pub(super) fn wants(&self, parts: &[(i64, Part<'_>)]) -> bool {
        !self.may_skip()
            || !self.is_idle()
            || parts.iter().any(|(machine_id, part)| {
                let Some(kind) = self.host.kind_of(*machine_id) else { return false };
                let mut columns = part.columns.iter().filter(|of| of.is_metric());
                columns.any(|of| self.needs.is_beyond(kind, of.metric, of.scale, (of.summary.min, of.summary.max)))
            })
    }

    fn may_skip(&self) -> bool {
        self.skipping == Skipping::Allowed && self.needs.is_of_values()
    }

    /// Goes through a stretch, which is newer than those before.
    pub(super) fn pass(&mut self, stretch: &Stretch) {
        let may_skip = self.may_skip();
        for run in &mut self.runs {
            run.is_at_work = !may_skip || !run.is_idle() || stretch.series.iter().any(|series| run.wants(series));
        }
        let mut begin = 0;
        while begin < stretch.reports.len() {
            let end = stretch.same_from(begin);
            self.pass_shape(stretch, begin..end);
            begin = end;
        }
    }

    /// Goes through reports of one shape.
    fn pass_shape(&mut self, stretch: &Stretch, places: Range<usize>) {
        let is_taken = |report: &Report| !report.is_late && report.at > self.last_at && (self.from..self.to).contains(&report.at);
        // a report that was stored before late ones were marked may be one all the same
        let Some(first) = places.clone().find(|place| is_taken(&stretch.reports[*place])) else { return };
        let key = self.key(stretch, first);
        if self.shape.as_ref() != Some(&key) {
            for run in &mut self.runs {
                run.plan = None;
            }
        }
        let mut at_work: Vec<&mut Run> = self.runs.iter_mut().filter(|run| run.is_at_work).collect();
        for run in &mut at_work {
            run.plan.get_or_insert_with(|| plan_for(&self.host, &run.rules, &key));
        }
        for place in first..places.end {
            let report = stretch.reports[place];
            if report.is_late || report.at <= self.last_at || report.at >= self.to {
                continue;
            }
            self.values.clear();
            self.values.extend(key.series.iter().map(|series| stretch.series[series.number].values[place]));
            let sample = Sample { at: report.at, interval_ms: report.interval_ms, values: &self.values };
            if let Some(rules) = self.trace.as_mut().and_then(|trace| trace.change(report.at)) {
                for run in &mut at_work {
                    run.plan = Some(plan_for(&self.host, &rules, &key));
                    run.rules = Arc::clone(&rules);
                }
            }
            for run in &mut at_work {
                let Some(plan) = &run.plan else { continue };
                match &mut self.trace {
                    Some(trace) => trace.evaluate(&mut run.state, plan, sample, &mut run.transitions),
                    None => evaluate(&mut run.state, plan, sample, &mut run.transitions),
                }
            }
            self.last_at = report.at;
            self.evaluated += 1;
        }
        self.runs.iter_mut().for_each(|run| run.stays.take(&mut run.transitions));
        self.shape = Some(key);
    }

    fn key(&mut self, stretch: &Stretch, place: usize) -> ShapeKey {
        let report = stretch.reports[place];
        let mut containers: Vec<(i64, Option<ContainerState>)> = Vec::new();
        containers.extend(stretch.containers.iter().filter_map(|of| Some((of.machine_id, Some(of.states[place]?)))));
        let mut here: HashSet<i64> = containers.iter().map(|(id, _)| *id).collect();
        if report.tables.is_none() {
            // what has a value is there, and what has none decides nothing
            let of_containers = stretch.series.iter().filter(|series| series.kind == Kind::Container);
            containers.extend(of_containers.map(|series| series.machine_id).filter(|id| here.insert(*id)).map(|id| (id, None)));
        }
        let is_here = |series: &Series| match &series.there {
            Some(there) => there[place],
            None => series.kind == Kind::Host || here.contains(&series.machine_id),
        };
        let all = stretch.series.iter().enumerate().filter(|(_, series)| is_here(series));
        let key_of = |(number, series): (usize, &Series)| {
            let (metric, device) = (Arc::clone(&series.metric), series.device.clone());
            SeriesKey { number, machine_id: series.machine_id, metric, device }
        };
        let series: Vec<_> = all.map(key_of).collect();
        let columns = stretch.empty.iter().filter(|(_, there)| there[place]).map(|(metric, _)| metric);
        let of_devices = series.iter().filter(|series| series.device.is_some()).map(|series| &series.metric);
        let is_other = |metric: &&Arc<str>| catalog::find(metric).is_none();
        let other_metrics = columns.chain(of_devices).filter(is_other).cloned().collect();
        let missing = if self.needs.has_missing { self.missing(report, &containers, &here) } else { Vec::new() };
        ShapeKey { tables: report.tables, containers, series, other_metrics, missing }
    }

    /// Containers that ran when they were last there and are gone, with the times at which they went.
    fn missing(&mut self, report: Report, containers: &[(i64, Option<ContainerState>)], here: &HashSet<i64>) -> Vec<(i64, i64)> {
        for (id, state) in containers {
            let is_running = state.is_none_or(ContainerState::is_running);
            self.seen.insert(*id, Seen { is_running, gone_at: None });
        }
        if !report.tables.is_some_and(|tables| tables.has(catalog::Subject::Container)) {
            return Vec::new();
        }
        for (_, seen) in self.seen.iter_mut().filter(|(id, _)| !here.contains(id)) {
            seen.gone_at.get_or_insert(report.at);
        }
        let missing = self.seen.iter().filter(|(_, seen)| seen.is_running);
        let mut missing: Vec<_> = missing.filter_map(|(id, seen)| Some((*id, seen.gone_at?))).collect();
        missing.sort_unstable();
        missing
    }

    /// What came of it; so many reports of the head were read.
    pub(super) fn finish(self, head: u64) -> Replayed {
        let stays = self.runs.into_iter().map(|run| run.stays.finish()).collect();
        Replayed { stays, evaluated: self.evaluated, head, trace: self.trace }
    }
}

impl Run {
    fn is_idle(&self) -> bool {
        self.state.states().is_empty()
    }

    /// Whether a series has a value that is beyond one of its rules.
    fn wants(&self, series: &Series) -> bool {
        let (least, greatest) = series.range;
        let rules = self.rules.of_metric(series.kind, &series.metric).iter();
        let mut open = rules.filter(|rule| rule.effect == Effect::Open);
        open.any(|rule| rule.is_beyond(least) || rule.is_beyond(greatest))
    }
}

fn plan_for(host: &ReplayedHost, rules: &Arc<RuleSet>, key: &ShapeKey) -> Plan {
    let states: HashMap<i64, Option<ContainerState>> = key.containers.iter().copied().collect();
    let mut series: HashMap<i64, Vec<SeriesShape<'_>>> = HashMap::new();
    for (place, SeriesKey { machine_id, metric, device, .. }) in key.series.iter().enumerate() {
        let of = SeriesShape { metric, device: device.as_deref(), place };
        series.entry(*machine_id).or_default().push(of);
    }
    let is_here = |machine: &&Machine| machine.kind == Kind::Host || states.contains_key(&machine.id);
    let machines = host.machines().filter(is_here).map(|machine| MachineShape {
        machine: machine.clone(),
        state: states.get(&machine.id).copied().flatten(),
        series: series.remove(&machine.id).unwrap_or_default(),
    });
    let shape = Shape { machines: machines.collect(), missing: Vec::new(), readable: key.readable() };
    let missing = key
        .missing
        .iter()
        .filter_map(|(id, gone_at)| Some(MissingContainer { machine: host.machine(*id)?.clone(), gone_at: *gone_at }));
    Plan::new(Arc::clone(rules), shape.with_missing(missing))
}

impl ShapeKey {
    fn readable(&self) -> Readable {
        let tables = self.tables.unwrap_or_default();
        Readable {
            tables: tables.names().map(str::to_owned).collect(),
            other_metrics: self.other_metrics.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Stretch {
    /// Where the reports end that are of the shape of this one.
    fn same_from(&self, place: usize) -> usize {
        let of_reports = same(&self.reports, place, |report| report.tables);
        let of_containers = self.containers.iter().map(|of| same(&of.states, place, |state| *state));
        let of_series = self.series.iter().filter_map(|series| Some(same(series.there.as_deref()?, place, |there| *there)));
        let of_empty = self.empty.iter().map(|(_, there)| same(there, place, |there| *there));
        of_containers.chain(of_series).chain(of_empty).fold(of_reports, usize::min)
    }
}

/// Up to where a column is as at this place.
fn same<T, K: PartialEq>(column: &[T], place: usize, key: impl Fn(&T) -> K) -> usize {
    let first = key(&column[place]);
    column[place..].iter().position(|other| key(other) != first).map_or(column.len(), |length| place + length)
}

#[cfg(test)]
mod tests {
    use wire_model::ReportId;

    use super::*;
    use crate::history::chunk::{Axis, Column, Head, Place, Points, encode};
    use crate::history::report_state::ReportState;
    use crate::history::scale::Scale;
    use crate::store::chunks::Resolution;
    use crate::store::hosts::HostRow;
    use crate::store::machines::MachineRow;
    use crate::thresholds::{Direction, Threshold};

    const MEMORY: &str = "container.memory.utilization";
    const DISK: &str = "system.filesystem.utilization";

    fn host() -> Arc<ReplayedHost> {
        let row = HostRow { host_key: 1, interval_ms: 2_000, ..HostRow::default() };
        let machine = |machine_id, kind, identity: &str| MachineRow {
            machine_id,
            host_key: 1,
            kind,
            identity: identity.to_owned(),
            name: identity.to_owned(),
            state: "running".to_owned(),
            labels: "{}".to_owned(),
            facts: "{}".to_owned(),
            first_seen_at: 0,
            gone_at: None,
        };
        let rows = [machine(1, Kind::Host, ""), machine(2, Kind::Container, "name:web")];
        Arc::new(ReplayedHost::of(&row, &rows, |_| true).unwrap())
    }

    /// Opening and closing of what the values of a container's memory and of a disk come to, in a quarter that was sealed with or without
    /// states.
    fn replayed(state: Option<ReportState>, values: [&[(u32, f64)]; 2]) -> Vec<(i64, i64, Option<i64>)> {
        let rules = [(Kind::Container, MEMORY), (Kind::Host, DISK)];
        let rules = rules.map(|(kind, metric)| Threshold::new(kind, metric, Direction::Above, 0.5));
        let rules = vec![Arc::new(RuleSet::new(rules))];
        let needs = Arc::new(Needs::of(&rules));
        let span = Span { rules, from: 0, to: 1_000, skipping: Skipping::Never };
        let mut walk = Walk::new(host(), &span, Arc::clone(&needs), 0, None);
        let axis = Axis((0..10).map(|number| Place { at: 10 * number, id: ReportId::default(), state }).collect());
        let column = |metric: &str, device: Option<&str>, values: &[(u32, f64)]| {
            let scale = Scale::of(metric);
            let head = Head { metric: metric.to_owned(), device: device.map(str::to_owned), scale };
            let points = Points::Samples(values.iter().map(|(_, value)| scale.units(*value)).collect());
            Column { head, places: values.iter().map(|(place, _)| *place).collect(), points }
        };
        let chunks = [(2, column(MEMORY, None, values[0])), (1, column(DISK, Some("/"), values[1]))];
        let chunks: Vec<_> = chunks
            .into_iter()
            .flat_map(|(id, column)| encode(Resolution::Raw, 10, vec![column]).into_iter().map(move |(_, data)| (id, data)))
            .collect();
        let parts: Vec<_> = chunks.iter().map(|(id, data)| (*id, Part::open(data).unwrap())).collect();
        walk.pass(&Stretch::of_sealed(&axis, &parts, &host(), &needs).unwrap());
        let stays = walk.finish(0).stays.remove(0);
        stays.into_iter().map(|stay| (stay.key.machine_id, stay.opened_at, stay.closed_at)).collect()
    }

    #[test]
    fn what_was_sealed_before_states_were_kept_is_evaluated_by_its_values_alone() {
        let (memory, disk) = ([(1, 0.6), (3, 0.7), (5, 0.1), (7, 0.9)], [(2, 0.8), (4, 0.8)]);
        let expected = [(2, 10, Some(50)), (1, 20, None), (2, 70, None)];
        assert_eq!(replayed(None, [&memory, &disk]), expected);
    }

    #[test]
    fn what_is_late_is_left_out_and_what_a_readable_table_lacks_is_gone() {
        let disk = [(2, 0.8), (4, 0.8)];
        let tables = Tables::of(&serde_json::from_str(include_str!("../../../../wire-model/golden/host-report.json")).unwrap());
        let state = |is_late| Some(ReportState { is_late, tables, interval_ms: 2_000, shift_ms: 0 });
        assert_eq!(replayed(state(false), [&[], &disk]), [(1, 20, Some(30)), (1, 40, Some(50))]);
        assert_eq!(replayed(state(true), [&[], &disk]), []);
    }
}
