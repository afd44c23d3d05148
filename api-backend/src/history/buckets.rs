//! Values folded into equal stretches of time, aligned to the clock so that they do not move between two queries.

use super::chunk::{Column, Points, Summary};
use super::scale::Scale;
use super::time::SLOT_MS;

/// The values of one stretch, in units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    /// Where it begins: its key.
    pub(super) start: i64,
    /// Least value.
    pub(super) min: f64,
    /// Greatest value.
    pub(super) max: f64,
    /// Sum of the values. Exact while it is a whole number below 2^53, in whatever order they are added.
    pub(super) sum: f64,
    /// How many they are.
    pub(super) count: f64,
}

impl Bucket {
    pub(super) fn of_value(start: i64, value: f64) -> Bucket {
        Bucket { start, min: value, max: value, sum: value, count: 1.0 }
    }

    /// All samples of a chunk's column.
    pub(super) fn of_summary(start: i64, all: Summary) -> Bucket {
        Bucket { start, min: all.min, max: all.max, sum: all.sum, count: all.count }
    }

    /// Mean of its values.
    pub(super) fn avg(&self) -> f64 {
        self.sum / self.count
    }

    /// The same in units of another scale.
    pub(super) fn convert(self, from: Scale, to: Scale) -> Bucket {
        let convert = |units: f64| from.convert(units, to);
        Bucket { min: convert(self.min), max: convert(self.max), sum: convert(self.avg()) * self.count, ..self }
    }

    pub(super) fn merge(&mut self, other: &Bucket) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// The points of a folded column of the day that begins at `day_at`.
pub(super) fn of_day(day_at: i64, column: &Column) -> impl Iterator<Item = Bucket> {
    let vectors = match &column.points {
        Points::Folded { min, avg, max, count } => Some((min, avg, max, count)),
        Points::Samples(_) | Points::Nulls => None,
    };
    vectors.into_iter().flat_map(move |(min, avg, max, count)| {
        column.places.iter().enumerate().map(move |(index, place)| Bucket {
            start: day_at + i64::from(*place) * SLOT_MS,
            min: min[index],
            max: max[index],
            sum: avg[index] * count[index],
            count: count[index],
        })
    })
}

/// Width of a bucket so that [from, to) has at most `max_points` of them: a multiple of the interval.
pub(super) fn width(from: i64, to: i64, max_points: i64, interval_ms: i64) -> i64 {
    // alignment to the clock may cut one bucket more at the edges
    let least = div_ceil(to - from, (max_points - 1).max(1));
    div_ceil(least, interval_ms).max(1) * interval_ms
}

fn div_ceil(value: i64, by: i64) -> i64 {
    (value + by - 1).div_euclid(by)
}

/// Adds to buckets in the order of their starts, quickest at the end.
pub(super) fn add(buckets: &mut Vec<Bucket>, bucket: Bucket) {
    match buckets.last_mut() {
        Some(last) if last.start == bucket.start => last.merge(&bucket),
        Some(last) if last.start > bucket.start => match buckets.binary_search_by_key(&bucket.start, |other| other.start) {
            Ok(place) => buckets[place].merge(&bucket),
            Err(place) => buckets.insert(place, bucket),
        },
        _ => buckets.push(bucket),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_range_keeps_every_report() {
        assert_eq!(width(0, 60_000, 1_000, 2_000), 2_000);
        assert_eq!(width(0, 3_600_000, 100, 2_000), 38_000);
        assert_eq!(width(0, 1, 1, 2_000), 2_000);
    }

    proptest! {
        #[test]
        fn there_are_never_more_points_than_asked_for(
            from in 0i64..1_000_000, length in 1i64..10_000_000, max_points in 2i64..500, interval in 100i64..60_000,
        ) {
            let width = width(from, from + length, max_points, interval);
            prop_assert_eq!(width % interval, 0);
            let first = from - from.rem_euclid(width);
            let last = from + length - 1;
            let last = last - last.rem_euclid(width);
            prop_assert!((last - first) / width < max_points);
        }

        #[test]
        fn buckets_keep_least_mean_and_greatest(values in prop::collection::vec((0i64..5, -1_000_000i32..1_000_000), 1..50)) {
            let mut buckets = Vec::new();
            for (start, value) in &values {
                add(&mut buckets, Bucket::of_value(*start, f64::from(*value)));
            }
            prop_assert!(buckets.windows(2).all(|pair| pair[0].start < pair[1].start));
            for start in 0..5 {
                let of: Vec<f64> = values.iter().filter(|(other, _)| *other == start).map(|(_, value)| f64::from(*value)).collect();
                let Some(bucket) = buckets.iter().find(|bucket| bucket.start == start) else {
                    prop_assert!(of.is_empty());
                    continue;
                };
                prop_assert_eq!(bucket.min, of.iter().copied().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(bucket.max, of.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                prop_assert_eq!(bucket.avg(), of.iter().sum::<f64>() / of.len() as f64);
            }
        }
    }
}
