//! Waiting times of retries.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

/// Waiting times that double from `first` to `longest`, each with jitter, without end: whoever retries decides when to stop.
pub fn backoff(first: Duration, longest: Duration) -> impl Iterator<Item = Duration> + Send {
    ExponentialBuilder::new().with_min_delay(first).with_max_delay(longest).with_jitter().without_max_times().build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_to_its_bound_and_never_ends() {
        let (first, longest) = (Duration::from_millis(100), Duration::from_secs(5));
        let waits: Vec<_> = backoff(first, longest).take(1_000).collect();
        assert_eq!(waits.len(), 1_000);
        assert!(waits[0] >= first && waits[0] <= first * 2, "{:?}", waits[0]);
        // jitter comes on top of the bound
        assert!(waits[20..].iter().all(|wait| *wait >= longest && *wait <= longest * 2), "{:?}", &waits[20..30]);
    }
}
