//! From reports, and from what is sealed already, to the columns of a stretch.

use std::collections::HashMap;

use wire_model::{Figures, HostReport, ReportId};

use super::chunk::{self, Axis, Column, Damaged, EncodedPart, Head, Part, Points};
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
    axis: Vec<(i64, ReportId)>,
    series: Vec<Series>,
    /// Places in `series`.
    index: HashMap<(Owner, String, Option<String>), usize>,
}

/// For each value of a form its place among the figures, and its series.
#[derive(Default)]
pub(super) struct Places(Vec<(usize, usize)>);

struct Series {
    owner: Owner,
    head: Head,
    samples: Vec<(i64, f64)>,
}

impl Gathered {
    /// Adds what a sealed stretch holds.
    pub(super) fn add_sealed(&mut self, axis: &Axis, chunks: &[(i64, Vec<u8>)]) -> Result<(), Damaged> {
        self.axis.extend(&axis.0);
        for (machine_id, data) in chunks {
            let part = Part::open(data)?;
            for of in &part.columns {
                let column = part.decode(of)?;
                let Points::Samples(units) = &column.points else { continue };
                let place = self.place(&Owner::Known(*machine_id), &column.head.metric, column.head.device.as_deref());
                let series = &mut self.series[place];
                let (from, to) = (column.head.scale, series.head.scale);
                series
                    .samples
                    .extend(samples(axis, &column, units)?.into_iter().map(|(at, units)| (at, from.convert(units, to))));
            }
        }
        Ok(())
    }

    /// Where the values of reports of a form belong. `machines` knows the host's containers by identity; the host itself is ''.
    pub(super) fn places(&mut self, form: &HostReport, machines: &HashMap<(Kind, String), i64>) -> Places {
        let mut places = Vec::new();
        for readings in machine_readings(form) {
            let key = (readings.kind, readings.identity.clone());
            let owner = machines.get(&key).map_or(Owner::Unknown(key.1), |id| Owner::Known(*id));
            readings.for_each_value(|metric, device, value| {
                places.push((place(value), self.place(&owner, metric, device)));
            });
        }
        Places(places)
    }

    /// Adds a report that is stored at `at`.
    pub(super) fn add(&mut self, at: i64, id: ReportId, figures: &Figures, places: &Places) {
        self.axis.push((at, id));
        for (place, series) in &places.0 {
            let (value, series) = (figures.values[*place], &mut self.series[*series]);
            if !value.is_nan() {
                series.samples.push((at, series.head.scale.units(value)));
            }
        }
    }

    fn place(&mut self, owner: &Owner, metric: &str, device: Option<&str>) -> usize {
        let key = (owner.clone(), metric.to_owned(), device.map(str::to_owned));
        let next = self.series.len();
        let place = *self.index.entry(key).or_insert(next);
        if place == next {
            let head = Head { metric: metric.to_owned(), device: device.map(str::to_owned), scale: Scale::of(metric) };
            self.series.push(Series { owner: owner.clone(), head, samples: Vec::new() });
        }
        place
    }

    /// The stretch's reports, and the encoded chunks of each machine.
    pub(super) fn encode(mut self) -> (Axis, Vec<Chunk>) {
        self.axis.sort_unstable_by_key(|(at, _)| *at);
        let axis = Axis(self.axis);
        self.series.sort_by(|one, other| one.order().cmp(&other.order()));
        let mut machines: Vec<(Owner, Vec<Column>)> = Vec::new();
        for series in self.series {
            let column = column(&axis, series.head, series.samples);
            match machines.last_mut() {
                Some((owner, columns)) if *owner == series.owner => columns.push(column),
                _ => machines.push((series.owner, vec![column])),
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
}

fn column(axis: &Axis, head: Head, mut samples: Vec<(i64, f64)>) -> Column {
    // sealed ones and late ones are mixed only where a stretch was opened again
    samples.sort_by_key(|(at, _)| *at);
    let mut places = Vec::with_capacity(samples.len());
    let mut place = 0;
    for (at, _) in &samples {
        while axis.0[place].0 < *at {
            place += 1;
        }
        places.push(u32::try_from(place).expect("a stretch has fewer than 2^32 ms"));
    }
    Column { head, places, points: Points::Samples(samples.into_iter().map(|(_, units)| units).collect()) }
}

/// Times and units of a raw column.
pub(super) fn samples(axis: &Axis, column: &Column, units: &[f64]) -> Result<Vec<(i64, f64)>, Damaged> {
    let time = |place: &u32| axis.0.get(*place as usize).map(|(at, _)| *at);
    let samples = column.places.iter().zip(units).map(|(place, units)| Some((time(place)?, *units)));
    samples.collect::<Option<_>>().ok_or_else(|| Damaged("a column has more places than its stretch".to_owned()))
}
