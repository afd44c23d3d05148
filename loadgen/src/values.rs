//! The values of one host, device or container, wandering from report to report.

use fastrand::Rng;
use wire_model::catalog::{CATALOG, Subject};

use crate::shapes::{Shape, shape};

/// All metrics of one subject, in the catalog's order.
pub(crate) struct Values {
    names: Vec<&'static str>,
    tracks: Vec<Track>,
    current: Vec<Option<f64>>,
}

/// Names of a subject's metrics, in the order of its values.
pub(crate) fn names(subject: Subject) -> impl Iterator<Item = &'static str> {
    CATALOG.iter().filter(move |metric| metric.subject == subject).map(|metric| metric.name)
}

struct Track {
    course: Course,
    /// Smallest difference that the store keeps; finer digits would only make messages longer.
    resolution: f64,
}

enum Course {
    Fixed(f64),
    Walk { value: f64, low: f64, high: f64, step: f64, is_rate: bool },
    Product(usize, usize),
    Share(usize, f64),
    Uptime(f64),
}

impl Values {
    pub(crate) fn new(subject: Subject, rng: &mut Rng) -> Values {
        let metrics: Vec<_> = CATALOG.iter().filter(|metric| metric.subject == subject).collect();
        let names: Vec<&'static str> = names(subject).collect();
        let index = |name: &str| names.iter().position(|other| *other == name).expect("shapes refer to metrics of their subject");
        let mut walk = |low: f64, high: f64, step: f64, is_rate: bool| Course::Walk {
            value: low + (high - low) * rng.f64() * 0.7,
            low,
            high,
            step,
            is_rate,
        };
        let mut tracks = Vec::with_capacity(metrics.len());
        for metric in metrics {
            let course = match shape(metric.name).expect("every metric of these subjects has a shape") {
                Shape::Walk(low, high, step) => walk(low, high, step, false),
                Shape::Rate(low, high, step) => walk(low, high, step, true),
                Shape::Product(one, other) => Course::Product(index(one), index(other)),
                Shape::Share(of, factor) => Course::Share(index(of), factor),
                Shape::Fixed(choices) => Course::Fixed(choices[0]),
                Shape::Uptime(choices) => Course::Uptime(choices[0]),
            };
            tracks.push(Track { course, resolution: metric.resolution });
        }
        let mut values = Values { current: vec![None; names.len()], names, tracks };
        values.draw_fixed(rng);
        values
    }

    fn draw_fixed(&mut self, rng: &mut Rng) {
        for (name, track) in self.names.iter().zip(&mut self.tracks) {
            if let (Course::Fixed(value) | Course::Uptime(value), Some(Shape::Fixed(choices) | Shape::Uptime(choices))) =
                (&mut track.course, shape(name))
            {
                *value = choices[rng.usize(..choices.len())];
            }
        }
    }

    /// Moves everything on to `seconds` after the start; rates are absent in the first report.
    pub(crate) fn advance(
        &mut self,
        seconds: f64,
        is_first: bool,
        rng: &mut Rng,
    ) -> impl Iterator<Item = (&'static str, Option<f64>)> {
        for (track, current) in self.tracks.iter_mut().zip(&mut self.current) {
            let value = match &mut track.course {
                Course::Fixed(value) => Some(*value),
                Course::Uptime(value) => Some(*value + seconds),
                Course::Walk { value, low, high, step, is_rate } => {
                    *value = (*value + (rng.f64() * 2.0 - 1.0) * *step).clamp(*low, *high);
                    (!(*is_rate && is_first)).then_some(*value)
                }
                Course::Product(..) | Course::Share(..) => continue,
            };
            *current = value.map(|value| round(value, track.resolution));
        }
        // shares may be of products: those first
        for pass in 0..2 {
            for index in 0..self.tracks.len() {
                let value = match &self.tracks[index].course {
                    Course::Product(one, other) if pass == 0 => self.current[*one].zip(self.current[*other]).map(|(a, b)| a * b),
                    Course::Share(of, factor) if pass == 1 => self.current[*of].map(|value| value * factor),
                    _ => continue,
                };
                self.current[index] = value.map(|value| round(value, self.tracks[index].resolution));
            }
        }
        self.names.iter().copied().zip(self.current.iter().copied())
    }
}

/// To a multiple of the resolution, in as few digits: `0.1 + 0.2` would have seventeen.
pub(crate) fn round(value: f64, resolution: f64) -> f64 {
    if resolution >= 1.0 {
        (value / resolution).round() * resolution
    } else {
        let per_one = (1.0 / resolution).round();
        (value * per_one).round() / per_one
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn values_stay_within_reason_and_agree_with_each_other() {
        let mut rng = Rng::with_seed(7);
        let mut values = Values::new(Subject::Host, &mut rng);
        let first: BTreeMap<_, _> = values.advance(0.0, true, &mut rng).collect();
        assert_eq!(first["system.cpu.utilization"], None, "a rate needs two readings");
        for second in 1..1_000 {
            let values: BTreeMap<_, _> = values.advance(f64::from(second), false, &mut rng).collect();
            let number = |name| values[name].unwrap();
            let cpu = number("system.cpu.utilization");
            assert!((0.0..=1.0).contains(&cpu));
            let parts = number("system.cpu.user.utilization") + number("system.cpu.system.utilization");
            assert!((parts + number("system.cpu.steal.utilization") - cpu).abs() < 1e-3);
            let share = number("system.memory.usage") / number("system.memory.limit");
            assert!((share - number("system.memory.utilization")).abs() < 1e-4);
            assert_eq!(number("system.uptime") - first["system.uptime"].unwrap(), f64::from(second));
        }
    }

    #[test]
    fn rounded_values_are_short() {
        for (value, resolution, shown) in
            [(0.123_456, 1e-4, "0.1235"), (1.0 / 3.0, 1e-2, "0.33"), (5000.0, 4096.0, "4096"), (0.3, 1.0, "0")]
        {
            assert_eq!(round(value, resolution).to_string(), shown);
        }
    }
}
