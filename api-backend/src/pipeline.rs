//! How far behind each hop is and which one loses reports, in words.
//!
//! Plain functions on what was read before: no database, no clock, no HTTP. The hops are those of ARCHITECTURE.md: collectors, Kafka with
//! its consumers, the backend with its database.

use serde::Serialize;
use utoipa::ToSchema;

use crate::machine::silence_ms;
use crate::store::consumers::PartitionRow;
use crate::store::ledger::RecentLoss;
use crate::time;

/// How long a loss makes its hop `losing` after it was found.
pub const LOSS_SHOWN_MS: i64 = 10 * 60 * 1_000;
/// A record that waits for longer makes Kafka and its consumers `behind`; and so does a backend that stores nothing for longer meanwhile.
pub const LAG_MS: i64 = 10_000;
/// Consumers speak every 5 s: who is silent for longer is not there.
pub const CONSUMER_SILENT_MS: i64 = 15_000;
/// Partitions that nobody spoke of for longer are left out while others are spoken of: their topic, group or themselves are no more.
pub const PARTITION_FORGOTTEN_MS: i64 = 10 * 60 * 1_000;
/// A host that is silent for longer is switched off: its collector is no longer behind.
pub const HOST_FORGOTTEN_MS: i64 = 24 * 3_600_000;

/// How a hop does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = HopStatus)]
pub enum Status {
    /// What came was passed on in time.
    Ok,
    /// Something waits in it for longer than it should, or nothing is heard of it.
    Behind,
    /// Reports were found missing, skipped or rejected in it within the last [`LOSS_SHOWN_MS`].
    Losing,
}

/// One hop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hop {
    /// How it does.
    pub status: Status,
    /// The same for people.
    pub summary: String,
    /// Since when it does not do well.
    #[serde(serialize_with = "time::serialize_option")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub since: Option<i64>,
}

/// A host as far as it concerns its collector's hop.
#[derive(Clone, Debug, PartialEq)]
pub struct HostView {
    /// What people call it.
    pub name: String,
    /// Interval of its reports.
    pub interval_ms: i64,
    /// Time of its newest report.
    pub newest_at: i64,
    /// When a report of it came last.
    pub received_at: i64,
    /// What the newest report says of the oldest unsent one at that time, in seconds.
    pub spool_age: Option<f64>,
}

/// What a host's collector does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Collector {
    /// Its reports come in time.
    InTime,
    /// It sends a backlog: everything up to this time has come.
    Sending(i64),
    /// Nothing came of it since.
    Silent(i64),
    /// Nothing came of it for so long that it is switched off.
    Forgotten,
}

impl HostView {
    /// What its collector does; the `lag_ms` that reports take behind it are not its fault.
    pub fn collector(&self, now: i64, lag_ms: i64) -> Collector {
        let allowed_ms = silence_ms(self.interval_ms) + lag_ms;
        if now - self.received_at > HOST_FORGOTTEN_MS {
            return Collector::Forgotten;
        }
        if now - self.received_at > allowed_ms {
            return Collector::Silent(self.received_at);
        }
        // a clock that is behind makes reports old, too, but their collector had nothing to send then
        let had_backlog = self.spool_age.is_none_or(|age| age * 1_000.0 > silence_ms(self.interval_ms) as f64);
        if now - self.newest_at > allowed_ms && had_backlog {
            return Collector::Sending(self.newest_at);
        }
        Collector::InTime
    }
}

/// The three hops together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Hops {
    /// Every host's collector.
    pub collectors: Hop,
    /// Kafka and the consumer group.
    pub kafka_and_consumers: Hop,
    /// The backends and their database.
    pub backend_and_database: Hop,
}

impl Hops {
    /// The worst of them.
    pub fn status(&self) -> Status {
        self.all().map(|hop| hop.status).into_iter().max().unwrap_or(Status::Ok)
    }

    /// What is wrong, in the order of a report's way.
    pub fn summary(&self) -> String {
        let wrong: Vec<_> =
            self.all().into_iter().filter(|hop| hop.status > Status::Ok).map(|hop| hop.summary.as_str()).collect();
        if wrong.is_empty() { "all hops keep up".to_owned() } else { wrong.join("; ") }
    }

    fn all(&self) -> [&Hop; 3] {
        [&self.collectors, &self.kafka_and_consumers, &self.backend_and_database]
    }
}

/// What the hops are judged by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evidence {
    /// All hosts.
    pub hosts: Vec<HostView>,
    /// Gaps found within [`LOSS_SHOWN_MS`].
    pub loss: RecentLoss,
    /// Partitions that were spoken of within [`PARTITION_FORGOTTEN_MS`].
    pub partitions: Vec<PartitionRow>,
    /// When any consumer spoke last.
    pub consumer_heard_at: Option<i64>,
    /// Records skipped within [`LOSS_SHOWN_MS`], and since when.
    pub skipped: (i64, Option<i64>),
    /// Records rejected within [`LOSS_SHOWN_MS`], and since when.
    pub rejected: (i64, Option<i64>),
    /// When reports were stored last.
    pub stored_at: Option<i64>,
}

/// Judges the hops.
pub fn judge(evidence: &Evidence, now: i64) -> Hops {
    Hops {
        collectors: collectors(evidence, now),
        kafka_and_consumers: consumers(evidence, now),
        backend_and_database: backend(evidence, now),
    }
}

/// How long the oldest record waited in Kafka when its partition was last spoken of; `None` when none waits.
pub fn lag_ms(partition: &PartitionRow) -> Option<i64> {
    partition.waiting_since.map(|since| (partition.heard_at - since).max(0))
}

/// Records of a partition that wait; `None` while not known.
pub fn lag_records(partition: &PartitionRow) -> Option<i64> {
    partition.end_offset.map(|end| (end - partition.position).max(0))
}

impl Evidence {
    /// For how long at most a report may have been on its way behind the collectors: the longest wait in Kafka that was heard of, with the
    /// time since then, in which it may have gone on. While no consumer is heard nobody knows: any time.
    pub fn behind_collectors_ms(&self, now: i64) -> i64 {
        if !self.is_consumer_heard(now) {
            return HOST_FORGOTTEN_MS;
        }
        let wait_ms = |partition: &PartitionRow| lag_ms(partition).unwrap_or(0) + (now - partition.heard_at).max(0);
        self.partitions.iter().map(wait_ms).max().unwrap_or(0)
    }

    fn is_consumer_heard(&self, now: i64) -> bool {
        self.consumer_heard_at.is_some_and(|heard_at| now - heard_at <= CONSUMER_SILENT_MS)
    }
}

fn longest_lag_ms(partitions: &[PartitionRow]) -> i64 {
    partitions.iter().filter_map(lag_ms).max().unwrap_or(0)
}

fn collectors(evidence: &Evidence, now: i64) -> Hop {
    let removed = evidence.loss.removed;
    let lag_ms = evidence.behind_collectors_ms(now);
    let mut words = Vec::new();
    if !removed.is_none() {
        words.push(format!(
            "collectors removed reports of {}: {} thinned, {} dropped, {} damaged",
            hosts(evidence.loss.hosts),
            grouped(removed.thinned.cast_signed()),
            grouped(removed.dropped.cast_signed()),
            grouped(removed.damaged.cast_signed())
        ));
    }
    let mut worst: Vec<_> = evidence.hosts.iter().map(|host| (host, host.collector(now, lag_ms))).collect();
    worst.sort_by_key(|(host, _)| host.newest_at);
    let sending: Vec<_> = worst.iter().filter(|(_, state)| matches!(state, Collector::Sending(_))).collect();
    let silent: Vec<_> = worst.iter().filter(|(_, state)| matches!(state, Collector::Silent(_))).collect();
    let and_more = |count: usize| if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
    if let Some((host, _)) = sending.first() {
        let age = seconds(now - host.newest_at);
        words.push(format!("collector {}: oldest unsent report is {age} s old{}", host.name, and_more(sending.len())));
    }
    if let Some((host, _)) = silent.first() {
        let age = seconds(now - host.received_at);
        words.push(format!("collector {}: nothing has come for {age} s{}", host.name, and_more(silent.len())));
    }
    let behind_since = worst.iter().filter_map(|(_, state)| match state {
        Collector::Sending(at) | Collector::Silent(at) => Some(*at),
        Collector::InTime | Collector::Forgotten => None,
    });
    let since = evidence.loss.since.filter(|_| !removed.is_none()).into_iter().chain(behind_since).min();
    hop(!removed.is_none(), words, since, "collectors send in time")
}

fn consumers(evidence: &Evidence, now: i64) -> Hop {
    let mut words = Vec::new();
    let (skipped, skipped_since) = evidence.skipped;
    let lost = evidence.loss.lost;
    if skipped > 0 {
        words.push(match skipped {
            1 => "1 record was gone from Kafka before it could be read".to_owned(),
            _ => format!("{} records were gone from Kafka before they could be read", grouped(skipped)),
        });
    }
    if lost > 0 {
        let hosts = hosts(evidence.loss.hosts);
        words.push(match lost {
            1 => format!("1 report of {hosts} was sent and did not come"),
            _ => format!("{} reports of {hosts} were sent and did not come", grouped(lost)),
        });
    }
    let mut since = [skipped_since, evidence.loss.since.filter(|_| lost > 0)];
    let mut behind_since = None;
    match evidence.consumer_heard_at {
        None => words.push("nothing heard of any consumer yet".to_owned()),
        Some(heard_at) if now - heard_at > CONSUMER_SILENT_MS => {
            words.push(format!("nothing heard of any consumer for {} s", seconds(now - heard_at)));
            behind_since = Some(heard_at);
        }
        Some(_) => {
            let silent = evidence.partitions.iter().filter(|partition| now - partition.heard_at > CONSUMER_SILENT_MS);
            if let Some(partition) = silent.min_by_key(|partition| partition.heard_at) {
                let age = seconds(now - partition.heard_at);
                words.push(format!("consumer group: nothing heard of partition {} for {age} s", partition.partition));
                behind_since = Some(partition.heard_at);
            }
            let late = evidence.partitions.iter().filter(|partition| lag_ms(partition) > Some(LAG_MS));
            if let Some(partition) = late.max_by_key(|partition| lag_ms(partition)) {
                let records = lag_records(partition).map_or_else(|| "an unknown number of".to_owned(), grouped);
                let lag = seconds(lag_ms(partition).unwrap_or_default());
                words.push(format!("consumer group: partition {} is {records} records, {lag} s behind", partition.partition));
                behind_since = behind_since.into_iter().chain(partition.waiting_since).min();
            }
        }
    }
    since.sort_unstable();
    let since = since.into_iter().flatten().chain(behind_since).min();
    hop(skipped > 0 || lost > 0, words, since, "consumers keep up")
}

fn backend(evidence: &Evidence, now: i64) -> Hop {
    let mut words = Vec::new();
    let (rejected, rejected_since) = evidence.rejected;
    if rejected > 0 {
        words.push(match rejected {
            1 => "1 record was rejected: it is in the dead-letter topic".to_owned(),
            _ => format!("{} records were rejected: they are in the dead-letter topic", grouped(rejected)),
        });
    }
    let is_heard = evidence.is_consumer_heard(now);
    let stuck_since = evidence
        .stored_at
        .filter(|stored_at| is_heard && longest_lag_ms(&evidence.partitions) > LAG_MS && now - stored_at > LAG_MS);
    if let Some(stored_at) = stuck_since {
        words.push(format!("backend: reports wait and none was stored for {} s", seconds(now - stored_at)));
    }
    let since = rejected_since.filter(|_| rejected > 0).into_iter().chain(stuck_since).min();
    hop(rejected > 0, words, since, "the backend stores what comes")
}

fn hop(is_losing: bool, words: Vec<String>, since: Option<i64>, fine: &str) -> Hop {
    if words.is_empty() {
        return Hop { status: Status::Ok, summary: fine.to_owned(), since: None };
    }
    let status = if is_losing { Status::Losing } else { Status::Behind };
    Hop { status, summary: words.join("; "), since }
}

fn seconds(ms: i64) -> String {
    grouped(ms / 1_000)
}

fn hosts(count: i64) -> String {
    if count == 1 { "1 host".to_owned() } else { format!("{} hosts", grouped(count)) }
}

/// `1,204`.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use wire_model::Removed;

    use super::*;

    const NOW: i64 = 1_795_184_000_000;

    fn host(name: &str, newest_ms: i64, received_ms: i64, spool_age: f64) -> HostView {
        let (newest_at, received_at) = (NOW - newest_ms, NOW - received_ms);
        HostView { name: name.to_owned(), interval_ms: 2_000, newest_at, received_at, spool_age: Some(spool_age) }
    }

    fn partition(number: i64, records: i64, waits_ms: Option<i64>, heard_ms: i64) -> PartitionRow {
        PartitionRow {
            topic: "t".to_owned(),
            group: "g".to_owned(),
            partition: number,
            consumer: "c".to_owned(),
            version: "1".to_owned(),
            position: 10,
            end_offset: Some(10 + records),
            waiting_since: waits_ms.map(|ms| NOW - heard_ms - ms),
            heard_at: NOW - heard_ms,
        }
    }

    fn fine() -> Evidence {
        Evidence {
            hosts: vec![host("db-01", 2_000, 1_900, 0.0)],
            partitions: vec![partition(0, 0, None, 4_000), partition(3, 2, Some(40), 4_000)],
            consumer_heard_at: Some(NOW - 4_000),
            stored_at: Some(NOW - 1_900),
            ..Evidence::default()
        }
    }

    #[test]
    fn the_summary_says_which_hop_is_behind_or_losing() {
        let check = |change: &dyn Fn(&mut Evidence), status: Status, summary: &str| {
            let mut evidence = fine();
            change(&mut evidence);
            let hops = judge(&evidence, NOW);
            assert_eq!((hops.status(), hops.summary().as_str()), (status, summary), "{hops:?}");
            let is_since_known = hops.all().iter().all(|hop| (hop.status == Status::Ok) == hop.since.is_none());
            assert!(is_since_known || evidence.consumer_heard_at.is_none(), "{hops:?}");
        };
        check(&|_| (), Status::Ok, "all hops keep up");
        check(
            &|evidence| evidence.partitions[1] = partition(3, 1_204, Some(62_000), 4_000),
            Status::Behind,
            "consumer group: partition 3 is 1,204 records, 62 s behind",
        );
        check(&|evidence| evidence.partitions[1] = partition(3, 9, Some(LAG_MS), 4_000), Status::Ok, "all hops keep up");
        check(&|evidence| evidence.consumer_heard_at = None, Status::Behind, "nothing heard of any consumer yet");
        check(
            &|evidence| {
                evidence.consumer_heard_at = Some(NOW - 45_000);
                // what does not come by way of consumers does not come at all; one was silent before
                evidence.partitions = vec![partition(0, 0, None, 45_000), partition(3, 0, None, 45_000)];
                evidence.hosts = vec![host("a", 46_000, 45_500, 0.0), host("b", 90_000, 90_000, 0.0)];
                evidence.stored_at = Some(NOW - 45_500);
            },
            Status::Behind,
            "nothing heard of any consumer for 45 s",
        );
        check(
            &|evidence| {
                evidence.partitions[0] = partition(0, 0, None, 45_000);
                evidence.hosts.push(host("b", 47_000, 46_500, 0.0));
            },
            Status::Behind,
            "consumer group: nothing heard of partition 0 for 45 s",
        );
        check(
            &|evidence| evidence.hosts = vec![host("web", 2_000, 1_000, 0.0), host("db-01", 340_000, 500, 120.0)],
            Status::Behind,
            "collector db-01: oldest unsent report is 340 s old",
        );
        // its clock is behind
        check(&|evidence| evidence.hosts = vec![host("db-01", 340_000, 500, 0.1)], Status::Ok, "all hops keep up");
        check(
            &|evidence| evidence.hosts = vec![host("a", 30_000, 30_000, 0.0), host("b", 40_000, 40_000, 0.0)],
            Status::Behind,
            "collector b: nothing has come for 40 s (and 1 more)",
        );
        // 10 s that a host may be silent, and 40 ms and 4 s that a record may have waited
        check(&|evidence| evidence.hosts = vec![host("a", 14_040, 14_040, 0.0)], Status::Ok, "all hops keep up");
        check(
            &|evidence| evidence.hosts = vec![host("a", 14_041, 14_041, 0.0)],
            Status::Behind,
            "collector a: nothing has come for 14 s",
        );
        check(&|evidence| evidence.hosts = vec![host("a", i64::MAX / 4, i64::MAX / 4, 0.0)], Status::Ok, "all hops keep up");
        check(
            &|evidence| {
                let removed = Removed { thinned: 1_000, dropped: 2, damaged: 0 };
                evidence.loss = RecentLoss { hosts: 2, removed, lost: 7, since: Some(NOW - 60_000) };
            },
            Status::Losing,
            "collectors removed reports of 2 hosts: 1,000 thinned, 2 dropped, 0 damaged; 7 reports of 2 hosts were sent and did not come",
        );
        check(
            &|evidence| evidence.skipped = (1_234_567, Some(NOW)),
            Status::Losing,
            "1,234,567 records were gone from Kafka before they could be read",
        );
        check(
            &|evidence| evidence.rejected = (1, Some(NOW)),
            Status::Losing,
            "1 record was rejected: it is in the dead-letter topic",
        );
        check(
            &|evidence| {
                evidence.rejected = (2, Some(NOW));
                evidence.skipped = (1, Some(NOW));
                evidence.loss = RecentLoss { hosts: 1, removed: Removed::default(), lost: 1, since: Some(NOW) };
            },
            Status::Losing,
            "1 record was gone from Kafka before it could be read; 1 report of 1 host was sent and did not come; \
             2 records were rejected: they are in the dead-letter topic",
        );
        check(
            &|evidence| {
                evidence.partitions[1] = partition(3, 12, Some(30_000), 4_000);
                evidence.stored_at = Some(NOW - 31_000);
                evidence.hosts = vec![host("a", 31_000, 31_000, 0.0)];
            },
            Status::Behind,
            "consumer group: partition 3 is 12 records, 30 s behind; backend: reports wait and none was stored for 31 s",
        );
    }
}
