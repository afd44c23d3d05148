//! Values folded into equal stretches of time, aligned to the clock so that they do not move between two queries.

/// The values of one stretch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Its start, Unix ms.
    pub start: i64,
    /// Least value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    sum: f64,
    count: u32,
}

impl Bucket {
    /// Mean of its values.
    pub fn avg(&self) -> f64 {
        self.sum / f64::from(self.count)
    }
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

/// Adds a value; starts come in rising order.
pub(super) fn add(buckets: &mut Vec<Bucket>, start: i64, value: f64) {
    match buckets.last_mut() {
        Some(bucket) if bucket.start == start => {
            bucket.min = bucket.min.min(value);
            bucket.max = bucket.max.max(value);
            bucket.sum += value;
            bucket.count += 1;
        }
        _ => buckets.push(Bucket { start, min: value, max: value, sum: value, count: 1 }),
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
        fn buckets_keep_least_mean_and_greatest(values in prop::collection::vec(-1e6f64..1e6, 1..50)) {
            let mut buckets = Vec::new();
            for value in &values {
                add(&mut buckets, 0, *value);
            }
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            prop_assert_eq!(buckets.len(), 1);
            prop_assert_eq!(buckets[0].min, values.iter().copied().fold(f64::INFINITY, f64::min));
            prop_assert_eq!(buckets[0].max, values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            prop_assert!((buckets[0].avg() - mean).abs() < 1e-6);
        }
    }
}
