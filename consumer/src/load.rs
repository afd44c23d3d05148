//! How much the partitions together ask of the backend, and how long each rests between two posts. Plain data: the clock is an argument.
//!
//! A batch costs a transaction whatever is in it, so many small ones cost more than a few large ones. A partition that rests
//! gathers a larger batch meanwhile. It rests the longer the more posts were on their way of late, and the longer its own took: both
//! tell of a laden backend, whoever else loads it. Where little is posted the rest is shorter than the linger, and where the linger
//! gathers one report, a rest would gather hardly more.

use std::time::{Duration, Instant};

/// The longest rest.
pub(crate) const LONGEST_REST: Duration = Duration::from_millis(250);
/// With one post on its way on average a partition rests this many times as long as its post took. The partitions find their balance
/// near that: twelve at 0.8 posts, a hundred at 2.5, where they would otherwise all post at once.
const RESTS: f64 = 16.0;
/// What was posted so long ago counts a third.
const OF_LATE: Duration = Duration::from_secs(1);

/// Of all partitions of this consumer.
#[derive(Debug)]
pub(crate) struct Load {
    /// How many posts were on their way at once, on average, of those that have ended.
    posts: f64,
    at: Instant,
}

impl Load {
    pub(crate) fn new(now: Instant) -> Load {
        Load { posts: 0.0, at: now }
    }

    /// A post of so many reports that `took` so long ends `now`. How long its partition should rest.
    pub(crate) fn posted(&mut self, reports: usize, took: Duration, now: Instant) -> Duration {
        let fades = |time: Duration| (-time.as_secs_f64() / OF_LATE.as_secs_f64()).exp();
        self.posts = self.posts * fades(now.saturating_duration_since(self.at)) + 1.0 - fades(took);
        self.at = self.at.max(now);
        if reports <= 1 {
            return Duration::ZERO;
        }
        let rest = took.as_secs_f64() * RESTS * self.posts;
        Duration::from_secs_f64(rest.min(LONGEST_REST.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::batch::LINGER;

    const MS: Duration = Duration::from_millis(1);

    /// The last rest, when posts that take so many ms end every so many ms, for ten seconds.
    fn rest_after(took_ms: u32, every_ms: u32) -> Duration {
        let start = Instant::now();
        let mut load = Load::new(start);
        (1..=10_000 / every_ms).map(|n| load.posted(2, MS * took_ms, start + MS * every_ms * n)).last().unwrap()
    }

    #[test]
    fn a_partition_rests_the_longer_the_more_is_posted_and_the_longer_it_takes() {
        for (took_ms, every_ms, least, most) in [
            // a quiet room, and one of 50 batches per second: less than the linger
            (5, 200, 1, 3),
            (4, 20, 11, 15),
            // one post on its way all the time
            (4, 4, 62, 66),
            (8, 8, 124, 132),
            // two
            (6, 3, 189, 196),
            // more than the bound
            (20, 2, 250, 250),
            (30_000, 1_000, 250, 250),
        ] {
            let rest = rest_after(took_ms, every_ms);
            assert!((MS * least..=MS * most).contains(&rest), "{took_ms} ms every {every_ms} ms: {rest:?}");
        }
    }

    #[test]
    fn a_partition_of_single_reports_does_not_rest_and_counts() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for n in 1..=1_000 {
            assert_eq!(load.posted(1, MS * 20, start + MS * 10 * n), Duration::ZERO);
        }
        let rest = load.posted(2, MS, start + MS * 10_000);
        assert!((MS * 31..=MS * 33).contains(&rest), "{rest:?}");
    }

    #[test]
    fn what_was_is_forgotten_in_seconds() {
        let start = Instant::now();
        let mut load = Load::new(start);
        for n in 1..=1_000 {
            load.posted(2, MS * 100, start + MS * 10 * n);
        }
        let rest = load.posted(2, MS * 5, start + MS * 17_000);
        assert!(rest < LINGER, "{rest:?}");
    }

    #[test]
    fn a_hanging_post_counts_as_one() {
        let start = Instant::now();
        let mut load = Load::new(start);
        load.posted(2, Duration::from_secs(30), start + Duration::from_secs(30));
        assert!((0.99..=1.0).contains(&load.posts), "{load:?}");
    }

    proptest! {
        #[test]
        fn a_rest_has_an_end_and_the_load_is_no_more_than_what_is_on_its_way(
            posts in prop::collection::vec((0..=u64::MAX, 0..5_000_000_u64), 1..100),
            partitions in 1..20_usize,
        ) {
            let start = Instant::now();
            let mut load = Load::new(start);
            // of each partition: when its last post ended, in µs
            let mut ended = vec![0; partitions];
            let mut now = 0;
            for (n, (took, then)) in posts.into_iter().enumerate() {
                now += then;
                let partition = n % partitions;
                let took = Duration::from_micros(took % (now - ended[partition] + 1));
                ended[partition] = now;
                let rest = load.posted(2, took, start + Duration::from_micros(now));
                prop_assert!(rest <= LONGEST_REST);
                prop_assert!(load.posts <= partitions as f64 + 1e-6, "{:?}", load);
            }
            prop_assert!(load.posted(2, Duration::MAX, start) <= LONGEST_REST);
        }
    }
}
