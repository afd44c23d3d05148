//! From reports, and from what is sealed already, to the columns of a stretch.

use std::collections::HashMap;

use wire_model::{Figures, HostReport};

use super::chunk::{self, Axis, CONTAINER_STATE, Column, Damaged, EncodedPart, Head, Part, Place, Points};
use super::report_state::Tables;
use super::scale::Scale;
use crate::store::chunks::Resolution;
use crate::thresholds::{Kind, machine_readings, place};

/// Whose series they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Owner {
    /// A machine by its number.
    Known(i64),
    /// A container that has none yet, by its identity.
    Unknown(String),
}

/// A machine and the parts of its chunk.
pub(super) type Chunk = (Owner, Vec<EncodedPart>);

/// The samples of a host in a stretch.
#[derive(Default)]
pub(super) struct Gathered {
    axis: Vec<Place>,
    series: Vec<Series>,
    /// Places in `series`.
    index: HashMap<(Owner, String, Option<String>), usize>,
}

/// What reports of a form say of series, which are known by their places in [`Gathered`].
#[derive(Default)]
pub(super) struct Places {
    /// For each value of the form its place among the figures, and its series.
    values: Vec<(usize, usize)>,
    /// What each container does, which is the same in all reports of the form.
    states: Vec<(usize, f64)>,
    /// Series of devices of which no device is there.
    empty: Vec<usize>,
    /// Tables of the reports.
    pub(super) tables: Tables,
    /// Their interval.
    pub(super) interval_ms: u32,
}

struct Series {
    owner: Owner,
    head: Head,
    samples: Vec<(i64, f64)>,
    /// Times at which a device was there without a value.
    nulls: Vec<i64>,
}

impl Gathered {
    /// Adds what a sealed stretch holds.
    pub(super) fn add_sealed(&mut self, axis: &Axis, chunks: &[(i64, Vec<u8>)]) -> Result<(), Damaged> {
        self.axis.extend(&axis.0);
        for (machine_id, data) in chunks {
            let part = Part::open(data)?;
            for of in &part.columns {
                let column = part.decode(of)?;
                let place = self.place(&Owner::Known(*machine_id), &column.head.metric, column.head.device.as_deref());
                let series = &mut self.series[place];
                match &column.points {
                    Points::Samples(units) => {
                        let (from, to) = (column.head.scale, series.head.scale);
                        let samples = samples(axis, &column, units)?.into_iter();
                        series.samples.extend(samples.map(|(at, units)| (at, from.convert(units, to))));
                    }
                    Points::Nulls => series.nulls.extend(times(axis, &column)?),
                    Points::Folded { .. } => {}
                }
            }
        }
        Ok(())
    }

    /// What reports of a form say. `machines` knows the host's containers by identity; the host itself is ''.
    pub(super) fn places(&mut self, form: &HostReport, machines: &HashMap<(Kind, String), i64>) -> Places {
        let mut places = Places { tables: Tables::of(form), interval_ms: form.interval_ms, ..Places::default() };
        for readings in machine_readings(form) {
            let key = (readings.kind, readings.identity.clone());
            let owner = machines.get(&key).map_or(Owner::Unknown(key.1), |id| Owner::Known(*id));
            readings.for_each_value(|metric, device, value| {
                places.values.push((place(value), self.place(&owner, metric, device)));
            });
            readings.for_each_empty_column(|metric| places.empty.push(self.place(&owner, metric, None)));
            if let Some(state) = readings.state() {
                places.states.push((self.place(&owner, CONTAINER_STATE, None), state.pack() as f64));
            }
        }
        places
    }

    /// Adds a report.
    pub(super) fn add(&mut self, report: Place, figures: &Figures, places: &Places) {
        let at = report.at;
        self.axis.push(report);
        for (place, series) in &places.values {
            let (value, series) = (figures.values[*place], &mut self.series[*series]);
            if !value.is_nan() {
                series.samples.push((at, series.head.scale.units(value)));
            } else if series.head.device.is_some() {
                series.nulls.push(at);
            }
        }
        for (series, state) in &places.states {
            self.series[*series].samples.push((at, *state));
        }
        for series in &places.empty {
            self.series[*series].nulls.push(at);
        }
    }

    fn place(&mut self, owner: &Owner, metric: &str, device: Option<&str>) -> usize {
        let key = (owner.clone(), metric.to_owned(), device.map(str::to_owned));
        let next = self.series.len();
        let place = *self.index.entry(key).or_insert(next);
        if place == next {
            let head = Head { metric: metric.to_owned(), device: device.map(str::to_owned), scale: Scale::of(metric) };
            self.series.push(Series { owner: owner.clone(), head, samples: Vec::new(), nulls: Vec::new() });
        }
        place
    }

    /// The stretch's reports, and the encoded chunks of each machine.
    pub(super) fn encode(mut self) -> (Axis, Vec<Chunk>) {
        self.axis.sort_unstable_by_key(|place| place.at);
        let axis = Axis(self.axis);
        self.series.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut machines: Vec<(Owner, Vec<Column>)> = Vec::new();
        for mut series in self.series {
            let columns = [series.nulls(&axis), series.column(&axis)];
            match machines.last_mut() {
                Some((owner, of)) if *owner == series.owner => of.extend(columns),
                _ => machines.push((series.owner, columns.into())),
            }
        }
        let encode = |(owner, columns): (Owner, Vec<Column>)| (owner, chunk::encode(Resolution::Raw, axis.0.len(), columns));
        let machines = machines.into_iter().map(encode).collect();
        (axis, machines)
    }
}

impl Series {
    /// Machine by machine, so that chunks are written in the order of their key.
    fn order(&self) -> (Option<i64>, &str) {
        match &self.owner {
            Owner::Known(id) => (Some(*id), ""),
            Owner::Unknown(identity) => (None, identity.as_str()),
        }
    }

    fn column(&mut self, axis: &Axis) -> Column {
        // sealed ones and late ones are mixed only where a stretch was opened again
        self.samples.sort_by_key(|(at, _)| *at);
        let places = places(axis, self.samples.iter().map(|(at, _)| *at));
        let points = Points::Samples(self.samples.iter().map(|(_, units)| *units).collect());
        Column { head: self.head.clone(), places, points }
    }

    fn nulls(&mut self, axis: &Axis) -> Column {
        self.nulls.sort_unstable();
        Column { head: self.head.clone(), places: places(axis, self.nulls.iter().copied()), points: Points::Nulls }
    }
}

/// Places of rising times.
fn places(axis: &Axis, times: impl Iterator<Item = i64>) -> Vec<u32> {
    let mut place = 0;
    let place_of = |at: i64| {
        while axis.0[place].at < at {
            place += 1;
        }
        u32::try_from(place).expect("a stretch has fewer than 2^32 ms")
    };
    times.map(place_of).collect()
}

/// Times and units of a raw column.
pub(super) fn samples(axis: &Axis, column: &Column, units: &[f64]) -> Result<Vec<(i64, f64)>, Damaged> {
    Ok(times(axis, column)?.into_iter().zip(units.iter().copied()).collect())
}

fn times(axis: &Axis, column: &Column) -> Result<Vec<i64>, Damaged> {
    let time = |place: &u32| axis.0.get(*place as usize).map(|place| place.at);
    let times = column.places.iter().map(time).collect::<Option<_>>();
    times.ok_or_else(|| Damaged("a column has more places than its stretch".to_owned()))
}
