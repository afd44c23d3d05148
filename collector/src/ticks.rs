//! When a report is made: at each multiple of the interval of the wall clock, so that the samples of all hosts share
//! their instants. A tick that is due while the former is still at work is skipped and counted.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use service_runtime::{Health, Shutdown};
use tokio::time::{sleep, timeout};

use crate::publisher::Handover;
use crate::readings::HostMetrics;
use crate::sampler::Sampler;
use crate::telemetry::{skipped, ticked};

const CHECK: &str = "ticks";
/// A reading that takes so many intervals is no longer late but stuck.
const STUCK_INTERVALS: u32 = 5;

/// Makes and publishes reports until shutdown.
pub(crate) async fn run(
    mut sampler: Sampler,
    mut handover: Handover,
    interval: Duration,
    health: Health,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    health.set(CHECK, Err("no report yet".to_owned()));
    let mut former: Option<Instant> = None;
    let mut figures = TickFigures::default();
    loop {
        let wait = until_next(since_epoch(), interval);
        let due = Instant::now() + wait;
        tokio::select! {
            () = shutdown.requested() => return Ok(()),
            () = sleep(wait) => {}
        }
        let start = Instant::now();
        figures.lateness = start.saturating_duration_since(due);
        if let Some(former) = former.replace(start) {
            let missed = missed(start - former, interval);
            skipped(missed);
            figures.skipped += missed;
        }
        let at_ms = i64::try_from(since_epoch().as_millis()).context("read the clock")?;
        // files of the kernel are read on a thread for blocking work: a driver that is slow must not hold up the rest
        let mut reading = tokio::task::spawn_blocking(move || {
            let record = sampler.read(at_ms, &figures);
            (sampler, record)
        });
        let (returned, record) = loop {
            tokio::select! {
                () = shutdown.requested() => return Ok(()),
                read = timeout(interval * STUCK_INTERVALS, &mut reading) => match read {
                    Ok(read) => break read.context("read the host")?,
                    Err(_) => health.set(CHECK, Err(format!("a reading is at work for {} s", start.elapsed().as_secs()))),
                },
            }
        };
        sampler = returned;
        handover.publish(record);
        health.set(CHECK, Ok(()));
        figures.duration = Some(start.elapsed());
        ticked(start.elapsed());
    }
}

/// How well the ticks keep their time, for the report that is about to be made.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TickFigures {
    lateness: Duration,
    /// Of the tick before.
    duration: Option<Duration>,
    /// Since the start.
    skipped: u64,
}

impl TickFigures {
    pub(crate) fn read(&self, metrics: &mut HostMetrics) {
        metrics.set("collector.tick.lateness", Some(self.lateness.as_secs_f64()));
        metrics.set("collector.tick.duration", self.duration.map(|duration| duration.as_secs_f64()));
        metrics.set("collector.tick.skipped", Some(self.skipped as f64));
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
