//! Some reports of a host, one after the other, as far as rules look at them: from chunks, or from reports of the head.

use std::mem;
use std::sync::Arc;

use wire_model::{Figures, Form, catalog};

use super::{Needs, ReplayedHost};
use crate::history::chunk::{Axis, CONTAINER_STATE, Column, Damaged, Part, Place, Points};
use crate::history::report_state::Tables;
use crate::history::scale::Scale;
use crate::thresholds::{ContainerState, Kind, MachineReadings, machine_readings, place};

/// Columns of what is looked at, each as long as the reports.
#[derive(Default)]
pub(super) struct Stretch {
    pub(super) reports: Vec<Report>,
    pub(super) containers: Vec<Container>,
    pub(super) series: Vec<Series>,
    /// Metrics of devices that the catalog does not know, and where there was a column of them without a device.
    pub(super) empty: Vec<(Arc<str>, Vec<bool>)>,
}

/// What is told of a report as a whole.
#[derive(Clone, Copy)]
pub(super) struct Report {
    /// Its own time, Unix ms.
    pub(super) at: i64,
    pub(super) interval_ms: u32,
    /// `None`: nobody knows which tables it had.
    pub(super) tables: Option<Tables>,
    pub(super) is_late: bool,
}

/// A container, and what it does where it is there.
pub(super) struct Container {
    pub(super) machine_id: i64,
    pub(super) states: Vec<Option<ContainerState>>,
}

/// A series.
pub(super) struct Series {
    pub(super) machine_id: i64,
    pub(super) kind: Kind,
    pub(super) metric: Arc<str>,
    pub(super) device: Option<Arc<str>>,
    /// Where its device is there; `None`: nobody asks.
    pub(super) there: Option<Vec<bool>>,
    /// NaN where there is none.
    pub(super) values: Vec<f64>,
    /// Least and greatest value, NaN without any.
    pub(super) range: (f64, f64),
}

impl Series {
    fn new(machine_id: i64, kind: Kind, metric: &str, device: Option<&str>) -> Series {
        let (there, values, range) = (None, Vec::new(), (f64::NAN, f64::NAN));
        Series { machine_id, kind, metric: metric.into(), device: device.map(Arc::from), there, values, range }
    }

    fn saw(&mut self, value: f64) {
        // the least and greatest of NaN and a number is the number
        self.range = (self.range.0.min(value), self.range.1.max(value));
    }
}

impl Stretch {
    /// What the chunks of a sealed quarter hold.
    pub(super) fn of_sealed(
        axis: &Axis,
        parts: &[(i64, Part<'_>)],
        host: &ReplayedHost,
        needs: &Needs,
    ) -> Result<Stretch, Damaged> {
        let report = |place: &Place| {
            let (at, interval_ms) = (place.at, host.interval_ms);
            let unknown = Report { at, interval_ms, tables: None, is_late: false };
            place.state.map_or(unknown, |state| Report {
                at: at - i64::from(state.shift_ms),
                interval_ms: state.interval_ms,
                tables: Some(state.tables),
                is_late: state.is_late,
            })
        };
        let mut stretch = Stretch { reports: axis.0.iter().map(report).collect(), ..Stretch::default() };
        for (machine_id, part) in parts {
            let Some(kind) = host.kind_of(*machine_id) else { continue };
            for of in &part.columns {
                if of.metric == CONTAINER_STATE {
                    stretch.add_states(*machine_id, &part.decode(of)?)?;
                } else if needs.wants(kind, of.metric) {
                    stretch.add_column(*machine_id, kind, &part.decode(of)?)?;
                }
            }
        }
        Ok(stretch)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "what is no state is refused")]
    fn add_states(&mut self, machine_id: i64, column: &Column) -> Result<(), Damaged> {
        let Points::Samples(packed) = &column.points else { return Ok(()) };
        let mut states = vec![None; self.reports.len()];
        let mut last = None;
        for (place, packed) in column.places.iter().zip(packed) {
            // it hardly ever changes
            let state = match last {
                Some((before, state)) if before == *packed => state,
                _ => ContainerState::unpack(*packed as u64)
                    .ok_or_else(|| Damaged(format!("{packed} is no state of a container")))?,
            };
            last = Some((*packed, state));
            *slot(&mut states, *place)? = Some(state);
        }
        self.containers.push(Container { machine_id, states });
        Ok(())
    }

    fn add_column(&mut self, machine_id: i64, kind: Kind, column: &Column) -> Result<(), Damaged> {
        let length = self.reports.len();
        let (metric, device) = (column.head.metric.as_str(), column.head.device.as_deref());
        if matches!(column.points, Points::Nulls) && device.is_none() {
            let mut there = vec![false; length];
            column.places.iter().try_for_each(|place| slot(&mut there, *place).map(|there| *there = true))?;
            self.empty.push((metric.into(), there));
            return Ok(());
        }
        let is_it =
            |other: &&mut Series| other.machine_id == machine_id && &*other.metric == metric && other.device.as_deref() == device;
        let series = match self.series.iter_mut().rev().find(is_it) {
            Some(series) => series,
            None => {
                let there = device.map(|_| self.reports.iter().map(|report| report.tables.is_none()).collect());
                let values = vec![f64::NAN; length];
                self.series.push(Series { there, values, ..Series::new(machine_id, kind, metric, device) });
                self.series.last_mut().expect("it was just added")
            }
        };
        if let Some(there) = &mut series.there {
            column.places.iter().try_for_each(|place| slot(there, *place).map(|there| *there = true))?;
        }
        if let Points::Samples(units) = &column.points {
            let scale = column.head.scale;
            for (place, units) in column.places.iter().zip(units) {
                *slot(&mut series.values, *place)? = scale.value(*units);
            }
            let (least, greatest) = (units.iter().copied().reduce(f64::min), units.iter().copied().reduce(f64::max));
            least.into_iter().chain(greatest).for_each(|units| series.saw(scale.value(units)));
        }
        Ok(())
    }
}

fn slot<T>(column: &mut [T], place: u32) -> Result<&mut T, Damaged> {
    column.get_mut(place as usize).ok_or_else(|| Damaged("a column has more places than its stretch".to_owned()))
}

/// Makes a stretch of the head's reports of one form.
pub(super) struct HeadStretches {
    host: Arc<ReplayedHost>,
    needs: Arc<Needs>,
    stretch: Stretch,
    /// By the stretch's series, with how finely they are kept when they are sealed.
    places: Vec<(usize, Scale)>,
    /// By its containers.
    states: Vec<ContainerState>,
    tables: Tables,
    interval_ms: u32,
}

impl HeadStretches {
    pub(super) fn new(host: Arc<ReplayedHost>, needs: Arc<Needs>) -> HeadStretches {
        let (places, states, tables) = (Vec::new(), Vec::new(), Tables::default());
        HeadStretches { host, needs, stretch: Stretch::default(), places, states, tables, interval_ms: 0 }
    }

    /// Adds a report. With a new form begins a new stretch, and what was added before is done.
    pub(super) fn add(&mut self, figures: &Figures, new_form: Option<&Form>) -> Option<Stretch> {
        let new = new_form.map(|form| self.begin(form));
        let before = new.map(|new| mem::replace(&mut self.stretch, new));
        let (interval_ms, tables) = (self.interval_ms, Some(self.tables));
        self.stretch.reports.push(Report { at: figures.at, interval_ms, tables, is_late: false });
        for (series, (place, scale)) in self.stretch.series.iter_mut().zip(&self.places) {
            let value = Some(figures.values[*place]).filter(|value| !value.is_nan());
            let value = value.map_or(f64::NAN, |value| scale.value(scale.units(value)));
            series.saw(value);
            series.values.push(value);
            series.there.iter_mut().for_each(|there| there.push(true));
        }
        for (container, state) in self.stretch.containers.iter_mut().zip(&self.states) {
            container.states.push(Some(*state));
        }
        self.stretch.empty.iter_mut().for_each(|(_, there)| there.push(true));
        before.filter(|before| !before.reports.is_empty())
    }

    /// What was added since the last one.
    pub(super) fn take(&mut self) -> Option<Stretch> {
        let next = self.stretch.like();
        let stretch = mem::replace(&mut self.stretch, next);
        (!stretch.reports.is_empty()).then_some(stretch)
    }

    fn begin(&mut self, form: &Form) -> Stretch {
        let report = form.places();
        (self.tables, self.interval_ms) = (Tables::of(&report), report.interval_ms);
        (self.places, self.states) = (Vec::new(), Vec::new());
        let mut stretch = Stretch::default();
        for readings in machine_readings(&report) {
            let Some(id) = self.host.named(readings.kind, &readings.identity).map(|machine| machine.id) else { continue };
            self.add_machine(id, &readings, &mut stretch);
        }
        stretch
    }

    fn add_machine(&mut self, machine_id: i64, readings: &MachineReadings<'_>, stretch: &mut Stretch) {
        let kind = readings.kind;
        readings.for_each_value(|metric, device, value| {
            if self.needs.wants(kind, metric) {
                self.places.push((place(value), Scale::of(metric)));
                let there = device.map(|_| Vec::new());
                stretch.series.push(Series { there, ..Series::new(machine_id, kind, metric, device) });
            }
        });
        readings.for_each_empty_column(|metric| {
            if self.needs.wants(kind, metric) && catalog::find(metric).is_none() {
                stretch.empty.push((metric.into(), Vec::new()));
            }
        });
        if let Some(state) = readings.state() {
            self.states.push(state);
            stretch.containers.push(Container { machine_id, states: Vec::new() });
        }
    }
}

impl Stretch {
    /// Of the same machines and series, without a report.
    fn like(&self) -> Stretch {
        let series = self.series.iter().map(|series| Series {
            metric: Arc::clone(&series.metric),
            device: series.device.clone(),
            there: series.there.as_ref().map(|_| Vec::new()),
            values: Vec::new(),
            range: (f64::NAN, f64::NAN),
            ..*series
        });
        let containers = self.containers.iter().map(|of| Container { machine_id: of.machine_id, states: Vec::new() });
        Stretch {
            reports: Vec::new(),
            containers: containers.collect(),
            series: series.collect(),
            empty: self.empty.iter().map(|(metric, _)| (Arc::clone(metric), Vec::new())).collect(),
        }
    }
}
