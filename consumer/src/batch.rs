//! What waits in one partition, and when it is a batch. Plain data: the clock is an argument.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, Headers, OwnedHeaders};
use wire_model::limits;

/// Bytes of a batch before compression. Compressed it cannot become larger than
/// [`BATCH_COMPRESSED_BYTES`](limits::BATCH_COMPRESSED_BYTES) (what does not compress is checked again before it is sent),
/// and a partition with a backlog needs no more memory than this, twice.
pub(crate) const BATCH_BYTES: usize = 1024 * 1024;
/// When this many wait, the next batch is full: somewhat earlier than [`BATCH_BYTES`], at which the partition is paused.
const ENOUGH_BYTES: usize = BATCH_BYTES / 4 * 3;
/// How long the first record waits for others.
pub(crate) const LINGER: Duration = Duration::from_millis(10);
/// What the body has around each record: `{"offset":-9223372036854775808,"report":…},`
const RECORD_FRAME_BYTES: usize = 48;
/// What librdkafka keeps for each header beside its key and value.
const HEADER_FRAME_BYTES: usize = 64;

const _: () = assert!(
    BATCH_BYTES <= limits::BATCH_INFLATED_BYTES / 2 && limits::MESSAGE_BYTES <= limits::BATCH_INFLATED_BYTES / 2,
    "neither a full batch nor one of a single largest message comes near the limit"
);

/// One message, as received. Copied out of librdkafka, whose buffers hold whole fetches.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Option<Vec<u8>>,
    /// Unix ms, as Kafka has it.
    pub(crate) timestamp_ms: Option<i64>,
    pub(crate) headers: Option<OwnedHeaders>,
}

impl Record {
    /// Nearly what it takes in memory, and no less than it takes in a body.
    pub(crate) fn bytes(&self) -> usize {
        let [key, payload] = [&self.key, &self.payload].map(|part| part.as_ref().map_or(0, Vec::len));
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        key + payload + headers.map(|header| header_bytes(&header) + HEADER_FRAME_BYTES).sum::<usize>() + RECORD_FRAME_BYTES
    }
}

/// Bytes of a header's key and value.
pub(crate) fn header_bytes(header: &Header<'_, &[u8]>) -> usize {
    header.key.len() + header.value.map_or(0, <[u8]>::len)
}

/// Records that were received and are in no batch yet, as they came: in offset order within a lap of the log.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    records: VecDeque<Waiting>,
    bytes: usize,
    rests_until: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    record: Record,
    lap: u32,
    came_at: Instant,
}

impl Pending {
    pub(crate) fn push(&mut self, record: Record, lap: u32, now: Instant) {
        self.bytes += record.bytes();
        self.records.push_back(Waiting { record, lap, came_at: now });
    }

    /// What waits, the longest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Record> {
        self.records.iter().map(|waiting| &waiting.record)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Only a full batch goes before this, from now on.
    pub(crate) fn rest(&mut self, until: Option<Instant>) {
        self.rests_until = until;
    }

    /// When the next batch should go: at once when it is full, [`LINGER`] after its first record came and not before the rest is
    /// over when it is not, never when there is none.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        let first_came_at = self.records.front()?.came_at;
        let full = self.records.len() >= limits::BATCH_RECORDS || self.bytes >= ENOUGH_BYTES;
        if full { Some(first_came_at) } else { Some(first_came_at + LINGER).max(self.rests_until) }
    }

    /// The next batch: of one lap, at most [`BATCH_RECORDS`](limits::BATCH_RECORDS) and [`BATCH_BYTES`], but always one record
    /// where there is one. With it the lap.
    pub(crate) fn take(&mut self) -> (u32, Vec<Record>) {
        let lap = self.records.front().map_or(0, |first| first.lap);
        let mut bytes = 0;
        let mut fits = |waiting: &Waiting| {
            bytes += waiting.record.bytes();
            bytes <= BATCH_BYTES && waiting.lap == lap
        };
        let count = self.records.iter().take(limits::BATCH_RECORDS).take_while(|waiting| fits(waiting));
        let count = count.count().max(1).min(self.records.len());
        let batch: Vec<Record> = self.records.drain(..count).map(|waiting| waiting.record).collect();
        self.bytes -= batch.iter().map(Record::bytes).sum::<usize>();
        (lap, batch)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::load::{LONGEST_REST, Load};

    /// A record that counts as `bytes`.
    fn record(offset: i64, bytes: usize) -> Record {
        let payload = Some(vec![b'1'; bytes - RECORD_FRAME_BYTES]);
        Record { offset, key: None, payload, timestamp_ms: None, headers: None }
    }

    fn pending(sizes: impl IntoIterator<Item = usize>, now: Instant) -> Pending {
        let mut pending = Pending::default();
        for (offset, bytes) in (0..).zip(sizes) {
            pending.push(record(offset, bytes), 0, now);
        }
        pending
    }

    #[test]
    fn headers_count() {
        let headers = OwnedHeaders::new()
            .insert(Header { key: "trace", value: Some(&[0; 900_000]) })
            .insert(Header { key: "none", value: None::<&[u8]> });
        let record = Record { headers: Some(headers), ..record(0, 100) };
        assert_eq!(record.bytes(), 100 + 900_009 + 2 * HEADER_FRAME_BYTES);
    }

    #[test]
    fn nothing_is_never_ready() {
        let mut pending = Pending::default();
        assert_eq!(pending.ready_at(), None);
        assert!(pending.take().1.is_empty());
    }

    #[test]
    fn a_batch_waits_for_its_first_record_only() {
        let now = Instant::now();
        let mut pending = pending([100], now);
        pending.push(record(1, 100), 0, now + LINGER / 2);
        assert_eq!(pending.ready_at(), Some(now + LINGER));
        assert_eq!(pending.take().1.len(), 2);
        assert_eq!((pending.ready_at(), pending.bytes()), (None, 0));
    }

    #[test]
    fn a_batch_is_ready_at_once_when_it_is_full() {
        let now = Instant::now();
        let half = ENOUGH_BYTES / 2;
        let rested = now + LONGEST_REST;
        for (sizes, lingers) in [
            (vec![100; limits::BATCH_RECORDS - 1], true),
            (vec![100; limits::BATCH_RECORDS], false),
            (vec![half, half - 1], true),
            (vec![half, half], false),
            (vec![half, half + 1], false),
        ] {
            let mut pending = pending(sizes.clone(), now);
            for (rest, waits) in [(None, now + LINGER), (Some(rested), rested)] {
                pending.rest(rest);
                let expected = if lingers { waits } else { now };
                assert_eq!(pending.ready_at(), Some(expected), "{} records, {rest:?}", sizes.len());
            }
        }
    }

    #[test]
    fn a_rest_adds_nothing_to_the_linger_that_outlasts_it() {
        let now = Instant::now();
        let mut pending = Pending::default();
        pending.rest(Some(now));
        assert_eq!(pending.ready_at(), None);
        pending.push(record(0, 100), 0, now);
        let nanosecond = Duration::from_nanos(1);
        for (until, ready_at) in [
            (now, now + LINGER),
            (now + LINGER - nanosecond, now + LINGER),
            (now + LINGER, now + LINGER),
            (now + LINGER + nanosecond, now + LINGER + nanosecond),
        ] {
            pending.rest(Some(until));
            assert_eq!(pending.ready_at(), Some(ready_at));
        }
    }

    proptest! {
        /// A worker that posts what is ready, as long as it is ready, with records coming meanwhile.
        #[test]
        fn no_batch_waits_for_longer_than_the_linger_or_the_longest_rest(
            arrivals in prop::collection::vec((0..50_000_u64, 49..300_000_usize), 1..200),
            posts in prop::collection::vec(0..400_000_u64, 1..20),
        ) {
            let start = Instant::now();
            let (mut pending, mut load) = (Pending::default(), Load::new(start));
            let mut took = posts.into_iter().cycle().map(Duration::from_micros);
            // when the last record came; when the last post ended
            let (mut now, mut idle_at) = (start, start);
            for (offset, (then, bytes)) in (0..).zip(arrivals) {
                now += Duration::from_micros(then);
                while let Some(ready_at) = pending.ready_at().map(|at| at.max(idle_at)).filter(|at| *at < now) {
                    let first_came_at = pending.records[0].came_at;
                    prop_assert!(ready_at <= (first_came_at + LINGER).max(idle_at + LONGEST_REST));
                    let (_, batch) = pending.take();
                    let took = took.next().unwrap();
                    idle_at = ready_at + took;
                    pending.rest(Some(idle_at + load.posted(batch.len(), took, idle_at)));
                }
                pending.push(record(offset, bytes), 0, now);
                let full = pending.records.len() >= limits::BATCH_RECORDS || pending.bytes() >= ENOUGH_BYTES;
                prop_assert!(!full || pending.ready_at() <= Some(now), "a full batch waits");
            }
        }
    }

    #[test]
    fn a_batch_keeps_to_both_limits_and_always_has_a_record() {
        let now = Instant::now();
        let half = BATCH_BYTES / 2;
        for (sizes, taken) in [
            (vec![100; limits::BATCH_RECORDS - 1], limits::BATCH_RECORDS - 1),
            (vec![100; limits::BATCH_RECORDS], limits::BATCH_RECORDS),
            (vec![100; limits::BATCH_RECORDS + 1], limits::BATCH_RECORDS),
            (vec![half, half - 1, 100], 2),
            (vec![half, half, 100], 2),
            (vec![half, half + 1], 1),
            (vec![BATCH_BYTES + 1, 100], 1),
        ] {
            let (count, bytes) = (sizes.len(), sizes.iter().sum::<usize>());
            let mut pending = pending(sizes, now);
            let (_, batch) = pending.take();
            assert_eq!(batch.len(), taken, "{count} records");
            assert_eq!(batch.iter().map(Record::bytes).sum::<usize>() + pending.bytes(), bytes);
            assert!(batch.iter().map(|record| record.offset).eq(0..taken as i64));
        }
    }

    #[test]
    fn a_batch_is_of_one_lap_of_the_log() {
        let now = Instant::now();
        let mut pending = pending([100, 100], now);
        pending.push(record(0, 100), 1, now);
        let mut taken = || {
            let (lap, batch) = pending.take();
            (lap, batch.iter().map(|record| record.offset).collect::<Vec<i64>>())
        };
        assert_eq!([taken(), taken(), taken()], [(0, vec![0, 1]), (1, vec![0]), (0, vec![])]);
    }
}
