//! What a container used up to an instant, and the metrics that follow from two of them.

use crate::rates::{grown, per_second};

/// The metrics of a container, in the order of [`metrics`].
pub(super) const METRICS: [&str; 12] = [
    "container.cpu.usage",
    "container.cpu.limit",
    "container.cpu.throttled",
    "container.memory.usage",
    "container.memory.working_set",
    "container.memory.limit",
    "container.memory.utilization",
    "container.network.receive",
    "container.network.transmit",
    "container.disk.read",
    "container.disk.write",
    "container.process.count",
];

/// Values of [`METRICS`].
pub(super) type Values = [Option<f64>; METRICS.len()];

/// Counters and gauges of a container; what could not be read is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Usage {
    pub(super) cpu_ns: Option<u64>,
    pub(super) periods: Option<Periods>,
    /// File cache included.
    pub(super) memory_bytes: Option<u64>,
    /// File cache that the kernel would drop first.
    pub(super) inactive_file_bytes: Option<u64>,
    pub(super) network: Option<Traffic>,
    pub(super) disk: Option<Traffic>,
    pub(super) processes: Option<u64>,
    pub(super) limits: Limits,
}

/// Scheduling periods in which it ran, and how many of them were cut short.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Periods {
    pub(super) all: u64,
    pub(super) throttled: u64,
}

/// Bytes received and sent, or read and written.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Traffic {
    pub(super) in_bytes: u64,
    pub(super) out_bytes: u64,
}

/// What it may use; absent where there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) cpus: Option<f64>,
    pub(super) memory_bytes: Option<u64>,
}

/// `former` is the usage some seconds before. Without a memory limit of its own, the host's memory is the limit.
pub(super) fn metrics(former: Option<(&Usage, f64)>, now: &Usage, host_memory: Option<u64>) -> Values {
    let rate = |counter: fn(&Usage) -> Option<u64>| {
        let (former, elapsed) = former?;
        per_second(counter(former)?, counter(now)?, elapsed)
    };
    let working_set = now.memory_bytes.zip(now.inactive_file_bytes).map(|(usage, inactive)| usage.saturating_sub(inactive));
    let memory_limit = match (now.limits.memory_bytes, host_memory) {
        (Some(own), Some(host)) => Some(own.min(host)),
        (own, host) => own.or(host),
    };
    let number = |value: Option<u64>| value.map(|value| value as f64);
    [
        rate(|usage| usage.cpu_ns).map(|ns_per_second| ns_per_second / 1e9),
        now.limits.cpus,
        former.and_then(|(former, _)| throttled(former.periods?, now.periods?, now.limits.cpus)),
        number(now.memory_bytes),
        number(working_set),
        number(memory_limit),
        working_set.zip(memory_limit).filter(|(_, limit)| *limit > 0).map(|(used, limit)| used as f64 / limit as f64),
        rate(|usage| Some(usage.network?.in_bytes)),
        rate(|usage| Some(usage.network?.out_bytes)),
        rate(|usage| Some(usage.disk?.in_bytes)),
        rate(|usage| Some(usage.disk?.out_bytes)),
        number(now.processes),
    ]
}

/// Nothing can be cut short without a limit; with one, an idle container was not.
fn throttled(before: Periods, now: Periods, limit: Option<f64>) -> Option<f64> {
    limit?;
    let all = grown(before.all, now.all)?;
    let throttled = grown(before.throttled, now.throttled)?;
    Some(if all == 0 { 0.0 } else { (throttled as f64 / all as f64).min(1.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usage(factor: u64) -> Usage {
        Usage {
            cpu_ns: Some(factor * 1_000_000_000),
            periods: Some(Periods { all: factor * 20, throttled: factor * 5 }),
            memory_bytes: Some(1000),
            inactive_file_bytes: Some(200),
            network: Some(Traffic { in_bytes: factor * 100, out_bytes: factor * 200 }),
            disk: Some(Traffic { in_bytes: factor * 300, out_bytes: factor * 400 }),
            processes: Some(7),
            limits: Limits { cpus: Some(1.5), memory_bytes: Some(1600) },
        }
    }

    #[test]
    fn rates_are_per_second_and_absent_at_first() {
        let first = metrics(None, &usage(1), Some(10_000));
        let gauges =
            [None, Some(1.5), None, Some(1000.0), Some(800.0), Some(1600.0), Some(0.5), None, None, None, None, Some(7.0)];
        assert_eq!(first, gauges);
        let second = metrics(Some((&usage(1), 2.0)), &usage(4), Some(10_000));
        assert_eq!((second[0], second[2]), (Some(1.5), Some(0.25)));
        assert_eq!(second[7..11], [Some(150.0), Some(300.0), Some(450.0), Some(600.0)]);
        let back = metrics(Some((&usage(4), 2.0)), &usage(1), Some(10_000));
        assert_eq!(back, gauges, "all counters went back");
        assert_eq!(metrics(Some((&Usage::default(), 2.0)), &Usage::default(), None), [None; 12]);
    }

    #[test]
    fn the_hosts_memory_is_the_limit_of_who_has_none_or_a_larger_one() {
        for (own, host, limit) in [
            (Some(100), Some(1000), Some(100.0)),
            (Some(9_223_372_036_854_771_712), Some(1000), Some(1000.0)),
            (None, Some(1000), Some(1000.0)),
            (Some(100), None, Some(100.0)),
            (None, None, None),
        ] {
            let usage = Usage { limits: Limits { cpus: None, memory_bytes: own }, ..Usage::default() };
            assert_eq!(metrics(None, &usage, host)[5], limit);
        }
    }

    #[test]
    fn only_a_limit_throttles() {
        let (none, some) = (Periods::default(), Periods { all: 4, throttled: 1 });
        assert_eq!(throttled(none, some, Some(1.0)), Some(0.25));
        assert_eq!(throttled(none, none, Some(1.0)), Some(0.0));
        assert_eq!(throttled(none, some, None), None);
        assert_eq!(throttled(some, none, Some(1.0)), None);
    }
}
