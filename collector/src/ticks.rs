//! When a report is made: at each multiple of the interval of the wall clock, so that the samples of all hosts share
//! their instants. A tick that is due while the former is still at work is skipped and counted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use service_runtime::{Health, Shutdown};
use tokio::time::{sleep, timeout};

use crate::publisher::Publisher;
use crate::sampler::Sampler;
use crate::telemetry::{skipped, ticked};

const CHECK: &str = "ticks";
/// A reading that takes so many intervals is no longer late but stuck.
const STUCK_INTERVALS: u32 = 5;

/// Makes and publishes reports until shutdown.
pub(crate) async fn run(
    mut sampler: Sampler,
    publisher: Publisher,
    interval: Duration,
    health: Health,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    health.set(CHECK, Err("no report yet".to_owned()));
    let mut former: Option<Instant> = None;
    loop {
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = sleep(until_next(since_epoch(), interval)) => {}
        }
        let start = Instant::now();
        if let Some(former) = former.replace(start) {
            skipped(missed(start - former, interval));
        }
        let at_ms = i64::try_from(since_epoch().as_millis()).context("read the clock")?;
        // files of the kernel are read on a thread for blocking work: a driver that is slow must not hold up the rest
        let mut reading = tokio::task::spawn_blocking(move || {
            let message = sampler.read(at_ms);
            (sampler, message)
        });
        let (returned, message) = loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                read = timeout(interval * STUCK_INTERVALS, &mut reading) => match read {
                    Ok(read) => break read.context("read the host")?,
                    Err(_) => health.set(CHECK, Err(format!("a reading is at work for {} s", start.elapsed().as_secs()))),
                },
            }
        };
        sampler = returned;
        publisher.publish(&message);
        health.set(CHECK, Ok(()));
        ticked(start.elapsed());
    }
}

fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time from `now` (since the epoch) to the next multiple of `interval`; a whole interval exactly on one.
fn until_next(now: Duration, interval: Duration) -> Duration {
    let past = now.as_nanos() % interval.as_nanos();
    interval - Duration::from_nanos(u64::try_from(past).unwrap_or_default())
}

/// Ticks left out between two that were done, on the monotonic clock, so that setting the clock skips nothing.
fn missed(between: Duration, interval: Duration) -> u64 {
    let intervals = (between.as_secs_f64() / interval.as_secs_f64()).round();
    (intervals as u64).saturating_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn ticks_are_at_multiples_of_the_interval() {
        for (now, interval, expected) in [
            (MS(10_000), MS(2000), MS(2000)),
            (MS(10_001), MS(2000), MS(1999)),
            (MS(11_999), MS(2000), MS(1)),
            (MS(10_000) + Duration::from_nanos(1), MS(2000), MS(2000) - Duration::from_nanos(1)),
            (MS(1_795_184_000_123), MS(100), MS(77)),
            (MS(0), MS(3_600_000), MS(3_600_000)),
        ] {
            assert_eq!(until_next(now, interval), expected, "{now:?}");
        }
    }

    #[test]
    fn ticks_between_are_counted_as_missed() {
        for (between, missed_ticks) in [(0, 0), (1900, 0), (2000, 0), (2900, 0), (3900, 1), (4000, 1), (10_000, 4)] {
            assert_eq!(missed(MS(between), MS(2000)), missed_ticks, "{between} ms");
        }
    }
}
