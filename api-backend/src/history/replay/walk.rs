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
    containers: Vec<(i64, ContainerState)>,
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
    pub(super) fn new(host: Arc<ReplayedHost>, span: &Span, needs: Arc<Needs>, from: i64) -> Walk {
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
            trace: None,
        }
    }

    /// What to note.
    pub(super) fn begin_with(&mut self, trace: Option<Trace>) {
        self.trace = trace;
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
        let containers: Vec<_> = stretch.containers.iter().filter_map(|of| Some((of.machine_id, of.states[place]?))).collect();
        let here: HashSet<i64> = containers.iter().map(|(id, _)| *id).collect();
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
    fn missing(&mut self, report: Report, containers: &[(i64, ContainerState)], here: &HashSet<i64>) -> Vec<(i64, i64)> {
        for (id, state) in containers {
            self.seen.insert(*id, Seen { is_running: state.is_running(), gone_at: None });
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
    let states: HashMap<i64, ContainerState> = key.containers.iter().copied().collect();
    let mut series: HashMap<i64, Vec<SeriesShape<'_>>> = HashMap::new();
    for (place, SeriesKey { machine_id, metric, device, .. }) in key.series.iter().enumerate() {
        let of = SeriesShape { metric, device: device.as_deref(), place };
        series.entry(*machine_id).or_default().push(of);
    }
    let is_here = |machine: &&Machine| machine.kind == Kind::Host || states.contains_key(&machine.id);
    let machines = host.machines().filter(is_here).map(|machine| MachineShape {
        machine: machine.clone(),
        state: states.get(&machine.id).copied(),
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
