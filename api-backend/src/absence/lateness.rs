//! Whether what does not come is the hosts' fault or the way's: a pure function of what consumers said last and when hosts were heard.
//!
//! Everything here hangs on one time, up to which all that was sent is known to be stored: hosts are judged as of then, not as of now. A
//! consumer that is dead says nothing, so that time stands still, and nobody is called down meanwhile.

use std::collections::HashMap;
use std::fmt;

use crate::machine::{late_ms, silence_ms};
use crate::pipeline::{CONSUMER_SILENT_MS, LAG_MS, lag_ms};
use crate::store::consumers::PartitionRow;

/// From so many hosts on it counts when most fall silent.
pub const CROWD: usize = 4;
/// Hosts that are heard of last within this time of each other fell silent together.
pub const TOGETHER_MS: i64 = 15_000;

/// When a host was heard of that is not called down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// When a report of it came last.
    pub at: i64,
    /// Interval of its reports.
    pub interval_ms: i64,
}

/// What is decided by. Times are Unix ms.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// By the backend's clock.
    pub now: i64,
    /// What consumers said last.
    pub partitions: &'a [PartitionRow],
    /// The hosts that should be heard of.
    pub hosts: &'a [Heard],
    /// Since when the pipeline has been on time without a break: silence counts from then on.
    pub on_time_since: i64,
}

/// The way of the reports as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Hosts may be judged.
    OnTime {
        /// All that was sent before is stored.
        stored_until: i64,
        /// How long the oldest record waits.
        lag_ms: i64,
    },
    /// Nobody knows what hosts do.
    Late {
        /// How far it is behind.
        lag_ms: i64,
        /// Where it is stuck.
        cause: Cause,
    },
}

/// What makes the pipeline late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// No consumer is heard of.
    Consumer,
    /// Consumers cannot ask the brokers.
    Broker,
    /// Records of this partition wait, or nobody speaks of it.
    Partition(i64),
    /// Most hosts fell silent at once, and no consumer knows why: the network, or the brokers as collectors see them.
    Unknown,
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Consumer => formatter.write_str("consumer"),
            Cause::Broker => formatter.write_str("broker"),
            Cause::Partition(number) => write!(formatter, "partition {number}"),
            Cause::Unknown => formatter.write_str("unknown"),
        }
    }
}

/// Decides.
pub fn judge(evidence: Evidence<'_>) -> Verdict {
    let Evidence { now, hosts, .. } = evidence;
    let partitions = current(evidence.partitions, hosts);
    // of those that are spoken of
    let (heard, unheard): (Vec<_>, Vec<_>) =
        partitions.into_iter().partition(|partition| now - partition.heard_at <= CONSUMER_SILENT_MS);
    if let Some(worst) = heard.iter().max_by_key(|partition| lag_ms(partition))
        && let Some(lag_ms) = lag_ms(worst).filter(|lag_ms| *lag_ms > LAG_MS)
    {
        return Verdict::Late { lag_ms, cause: Cause::Partition(worst.partition) };
    }
    // whatever consumers do not say, hosts that come in time need no excuse
    let newest_silent = evidence.silent(now).map(|host| host.at).max();
    if let Some(newest_at) = newest_silent {
        if let Some(worst) = unheard.iter().min_by_key(|partition| partition.heard_at) {
            let cause = if heard.is_empty() { Cause::Consumer } else { Cause::Partition(worst.partition) };
            return Verdict::Late { lag_ms: now - worst.heard_at + lag_ms(worst).unwrap_or(0), cause };
        }
        if heard.iter().any(|partition| partition.end_offset.is_none()) {
            return Verdict::Late { lag_ms: now - newest_at, cause: Cause::Broker };
        }
    }
    let until = |partition: &&PartitionRow| partition.waiting_since.map_or(partition.heard_at, |at| at.min(partition.heard_at));
    let stored_until = heard.iter().map(until).min().unwrap_or(now).min(now);
    if let Some(heard_at) = evidence.fell_silent_together(stored_until) {
        return Verdict::Late { lag_ms: now - heard_at, cause: Cause::Unknown };
    }
    let lag_ms = heard.iter().filter_map(|partition| lag_ms(partition)).max().unwrap_or(0);
    Verdict::OnTime { stored_until, lag_ms }
}

/// The newest word on each partition; nothing when reports have come for long without any consumer's word: they come another way.
fn current<'a>(partitions: &'a [PartitionRow], hosts: &[Heard]) -> Vec<&'a PartitionRow> {
    let mut newest: HashMap<(&str, i64), &PartitionRow> = HashMap::new();
    for row in partitions {
        let known = newest.entry((&row.topic, row.partition)).or_insert(row);
        if known.heard_at < row.heard_at {
            *known = row;
        }
    }
    let heard_at = partitions.iter().map(|row| row.heard_at).max();
    let comes_another_way = heard_at.is_some_and(|heard_at| hosts.iter().any(|host| host.at - heard_at > CONSUMER_SILENT_MS));
    if comes_another_way { Vec::new() } else { newest.into_values().collect() }
}

impl Evidence<'_> {
    /// Hosts that are silent for too long, as of a time.
    fn silent(&self, as_of: i64) -> impl Iterator<Item = &Heard> {
        let since = self.on_time_since;
        self.hosts.iter().filter(move |host| as_of - host.at.max(since) > silence_ms(host.interval_ms))
    }

    /// When the last of most hosts was heard of, if most fell silent at about the same time and at least one for too long.
    fn fell_silent_together(&self, as_of: i64) -> Option<i64> {
        let last_fell_silent = self.silent(as_of).map(|host| host.at).max()?;
        let mut quiet: Vec<i64> =
            self.hosts.iter().filter(|host| as_of - host.at > late_ms(host.interval_ms)).map(|host| host.at).collect();
        quiet.sort_unstable();
        // of hosts with long intervals nobody knows yet: those that were not heard of since say nothing
        let is_alive = |host: &&Heard| as_of - host.at <= late_ms(host.interval_ms) && host.at - last_fell_silent > late_ms(0);
        let voters = quiet.len() + self.hosts.iter().filter(is_alive).count();
        let (count, heard_at) = largest_cluster(&quiet);
        (voters >= CROWD && count * 2 > voters).then_some(heard_at)
    }
}

/// Of sorted times the most that lie within [`TOGETHER_MS`]: how many, and the last of them.
fn largest_cluster(times: &[i64]) -> (usize, i64) {
    let mut first = 0;
    let mut largest = (0, 0);
    for (last, at) in times.iter().enumerate() {
        while at - times[first] > TOGETHER_MS {
            first += 1;
        }
        largest = largest.max((last + 1 - first, *at));
    }
    largest
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_000_000;

    /// Heard of so long ago, by a host that reports every two seconds.
    fn heard(ms: i64) -> Heard {
        Heard { at: NOW - ms, interval_ms: 2_000 }
    }

    fn partition(number: i64, heard_ms: i64, waits_ms: Option<i64>) -> PartitionRow {
        PartitionRow {
            topic: "t".to_owned(),
            group: "g".to_owned(),
            partition: number,
            consumer: "c".to_owned(),
            version: "1".to_owned(),
            position: 10,
            end_offset: Some(10),
            waiting_since: waits_ms.map(|ms| NOW - heard_ms - ms),
            heard_at: NOW - heard_ms,
        }
    }

    fn check(partitions: &[PartitionRow], hosts: &[Heard], expected: Verdict) {
        check_since(0, partitions, hosts, expected);
    }

    fn check_since(on_time_since: i64, partitions: &[PartitionRow], hosts: &[Heard], expected: Verdict) {
        assert_eq!(judge(Evidence { now: NOW, partitions, hosts, on_time_since }), expected, "{partitions:?} {hosts:?}");
    }

    fn on_time(behind_ms: i64, lag_ms: i64) -> Verdict {
        Verdict::OnTime { stored_until: NOW - behind_ms, lag_ms }
    }

    fn late(lag_ms: i64, cause: Cause) -> Verdict {
        Verdict::Late { lag_ms, cause }
    }

    #[test]
    fn a_partition_whose_oldest_record_waits_too_long_is_late() {
        let hosts = [heard(1_000)];
        check(&[partition(0, 2_000, None), partition(3, 1_000, Some(LAG_MS))], &hosts, on_time(11_000, LAG_MS));
        check(&[partition(0, 2_000, None), partition(3, 1_000, Some(LAG_MS + 1))], &hosts, late(LAG_MS + 1, Cause::Partition(3)));
        check(&[partition(0, 2_000, Some(60_000)), partition(3, 1_000, Some(20_000))], &hosts, late(60_000, Cause::Partition(0)));
    }

    #[test]
    fn consumers_that_stopped_speaking_are_late_once_a_host_is_missed() {
        let rows = [partition(0, 15_000, None), partition(1, 15_001, None)];
        check(&rows, &[heard(2_000)], on_time(15_000, 0));
        check(&rows, &[heard(10_001), heard(2_000)], late(15_001, Cause::Partition(1)));
        let rows = [partition(0, 16_000, None), partition(1, 19_000, Some(1_000))];
        check(&rows, &[heard(10_000)], on_time(0, 0));
        check(&rows, &[heard(10_001)], late(20_000, Cause::Consumer));
        // nobody is expected any more
        check(&rows, &[], on_time(0, 0));
    }

    #[test]
    fn until_consumers_are_known_to_be_silent_hosts_are_judged_by_what_they_said_last() {
        // all stopped 14 s ago: the consumer is not missed yet, and no host can be judged
        check(&[partition(0, 14_000, None)], &[heard(14_000), heard(15_000)], on_time(14_000, 0));
        check(&[partition(0, 4_000, Some(300))], &[heard(2_000)], on_time(4_300, 300));
    }

    #[test]
    fn another_groups_word_counts_and_so_do_reports_that_come_without_any() {
        let renamed = PartitionRow { group: "old".to_owned(), ..partition(0, 300_000, Some(5_000)) };
        check(&[renamed.clone(), partition(0, 1_000, None)], &[heard(20_000)], on_time(1_000, 0));
        check(&[partition(0, 1_000, None), renamed], &[heard(20_000)], on_time(1_000, 0));
        check(&[partition(0, 300_000, None)], &[heard(20_000), heard(1_000)], on_time(0, 0));
    }

    #[test]
    fn brokers_that_do_not_answer_are_late_once_a_host_is_missed() {
        let unknown = PartitionRow { end_offset: None, ..partition(0, 1_000, None) };
        check(std::slice::from_ref(&unknown), &[heard(10_000)], on_time(1_000, 0));
        check(&[unknown], &[heard(12_000), heard(11_000)], late(11_000, Cause::Broker));
    }

    #[test]
    fn most_hosts_at_once_are_not_the_hosts() {
        let silent = || heard(11_000);
        let alive = || heard(1_000);
        for rows in [&[][..], &[partition(0, 0, None)]] {
            check(rows, &[silent(), silent(), silent(), alive()], late(11_000, Cause::Unknown));
            check(rows, &[silent(), silent(), alive(), alive()], on_time(0, 0));
            check(rows, &[silent(), silent(), silent()], on_time(0, 0));
            check(rows, &[silent(), alive(), alive(), alive(), alive()], on_time(0, 0));
        }
    }

    #[test]
    fn the_first_of_many_to_be_missed_waits_for_the_others() {
        // cut off 8.5 s ago: their last reports came within two seconds before
        let hosts: Vec<_> = (0..50).map(|n| heard(8_500 + n * 40)).collect();
        check(&[], &hosts, late(8_500, Cause::Unknown));
        let none_yet: Vec<_> = hosts.iter().map(|host| Heard { at: host.at + 500, ..*host }).collect();
        check(&[], &none_yet, on_time(0, 0));
    }

    #[test]
    fn hosts_that_report_seldom_say_nothing_until_they_do() {
        let seldom = |ms: i64| Heard { at: NOW - ms, interval_ms: 60_000 };
        let cut_off = [heard(11_000), heard(11_000), heard(11_000), heard(12_000)];
        let with = |others: &[Heard]| [&cut_off[..], others].concat();
        check(&[], &with(&[seldom(50_000), seldom(40_000), seldom(30_000), seldom(20_000)]), late(11_000, Cause::Unknown));
        check(&[], &with(&[seldom(5_000), seldom(4_000), seldom(3_000), seldom(2_000)]), on_time(0, 0));
    }

    #[test]
    fn those_that_fell_silent_one_by_one_are_not_a_crowd() {
        let one_by_one: Vec<_> = (0..6).map(|n| heard(11_000 + n * (TOGETHER_MS + 1))).collect();
        check(&[], &one_by_one, on_time(0, 0));
        let together: Vec<_> = (0..6).map(|n| heard(11_000 + n * TOGETHER_MS / 5)).collect();
        check(&[], &together, late(11_000, Cause::Unknown));
        // one more that fails later does not make the others' silence their own
        let more = [&together[..], &[heard(10_500 - 2_000), heard(1_000)]].concat();
        check(&[], &more, late(8_500, Cause::Unknown));
    }

    #[test]
    fn silence_counts_from_when_the_pipeline_was_on_time_again() {
        let hosts = [heard(60_000)];
        let rows = [partition(0, 20_000, None)];
        check_since(NOW - 10_000, &rows, &hosts, on_time(0, 0));
        check_since(NOW - 10_001, &rows, &hosts, late(20_000, Cause::Consumer));
        let crowd = [heard(60_000); 4];
        check_since(NOW - 10_000, &[], &crowd, on_time(0, 0));
        check_since(NOW - 10_001, &[], &crowd, late(60_000, Cause::Unknown));
    }
}
