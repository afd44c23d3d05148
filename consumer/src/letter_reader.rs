//! Reads the newest records of the dead-letter topic, each once, bounded in number, bytes and time. All calls block.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use service_runtime::kafka::{Complaints, KafkaConfig};
use wire_model::DeadLetter;
use wire_model::limits::LETTERS;

use crate::Config;
use crate::letter::letter;

/// So many of each partition are read, the newest.
const LETTERS_READ: i64 = 20;
/// What one look may take; the rest is left to the next one.
const BOUNDS: Bounds = Bounds { time: Duration::from_secs(4), bytes: 32 * 1024 * 1024 };

struct Bounds {
    time: Duration,
    bytes: usize,
}

pub(crate) struct LetterReader {
    kafka: KafkaConfig,
    group: String,
    topic: String,
    /// What comes behind what was read, by partition.
    next: HashMap<i32, i64>,
    bounds: Bounds,
}

impl LetterReader {
    pub(crate) fn new(config: &Config) -> LetterReader {
        let (kafka, group) = (config.kafka.clone(), config.kafka_consumer_group_id.clone());
        LetterReader { topic: kafka.dead_letter_topic(), kafka, group, next: HashMap::new(), bounds: BOUNDS }
    }

    /// The newest that were not read yet, of the partitions whose logs are known; [`LETTERS`] at most.
    pub(crate) fn read(&mut self, logs: &BTreeMap<i32, Option<Range<i64>>>) -> Vec<DeadLetter> {
        let known = logs.iter().filter_map(|(number, log)| Some((*number, log.clone()?)));
        let unread = known.map(|(number, log)| (number, begin(&log, self.next.get(&number).copied())..log.end));
        let mut unread: BTreeMap<i32, Range<i64>> = unread.filter(|(_, range)| !range.is_empty()).collect();
        let mut letters = Vec::new();
        if unread.is_empty() {
            return letters;
        }
        let problem = self.read_ranges(&mut unread, &mut letters).err().map(|error| format!("{error:#}"));
        if problem.is_some() || !unread.is_empty() {
            tracing::debug!(topic = self.topic, problem, ?unread, "some dead letters are left to the next look");
        }
        letters
    }

    /// Takes what it has read out of `unread`.
    fn read_ranges(&mut self, unread: &mut BTreeMap<i32, Range<i64>>, letters: &mut Vec<DeadLetter>) -> anyhow::Result<()> {
        let deadline = Instant::now() + self.bounds.time;
        let client = self.client().context("create the client that reads dead letters")?;
        let mut assigned = TopicPartitionList::with_capacity(unread.len());
        for (number, range) in &*unread {
            assigned.add_partition_offset(&self.topic, *number, Offset::Offset(range.start))?;
        }
        client.assign(&assigned).context("assign the partitions")?;
        let mut bytes = 0;
        while !unread.is_empty() && letters.len() < LETTERS && bytes < self.bounds.bytes {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            match client.poll(left) {
                Some(Ok(record)) => {
                    bytes += record.key_len() + record.payload_len();
                    let (number, next) = (record.partition(), record.offset() + 1);
                    let Some(range) = unread.get_mut(&number) else { continue };
                    letters.push(letter(&record));
                    self.next.insert(number, next);
                    range.start = next;
                    if range.is_empty() {
                        unread.remove(&number);
                    }
                }
                // what was left is no record: a transaction's marker, or gone
                Some(Err(KafkaError::PartitionEOF(number))) => {
                    if let Some(range) = unread.remove(&number) {
                        self.next.insert(number, range.end);
                    }
                }
                // one broker's trouble is not that of all
                Some(Err(error)) => tracing::debug!(topic = self.topic, %error, "a dead letter cannot be read at the moment"),
                None => {}
            }
        }
        Ok(())
    }

    /// One for each look: looks that find something are rare, and it holds what it has read ahead.
    fn client(&self) -> anyhow::Result<BaseConsumer<Complaints>> {
        let client = self
            .kafka
            .client_config()
            // librdkafka reads nothing without a group, and ours is the one that we may name: it is not joined, and nothing is committed
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("enable.partition.eof", "true")
            // as the logs' ends were asked for
            .set("isolation.level", "read_committed")
            .set("check.crcs", "true")
            .set("fetch.wait.max.ms", "50")
            .set("fetch.max.bytes", "4194304")
            .set("queued.max.messages.kbytes", "4096")
            .create_with_context(Complaints::default())?;
        Ok(client)
    }
}

/// Where a partition's newest begin that were not read, with those before `next` read.
fn begin(log: &Range<i64>, next: Option<i64>) -> i64 {
    // of a topic that was made anew nothing was read
    let next = next.filter(|next| *next <= log.end).unwrap_or(0);
    log.start.max(log.end - LETTERS_READ).max(next)
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

    use super::*;
    use crate::offsets::Offsets;

    #[test]
    fn the_newest_are_read_and_none_of_them_twice() {
        for (log, next, expected) in [
            (0..0, None, 0),
            (0..LETTERS_READ, None, 0),
            (0..LETTERS_READ + 1, None, 1),
            (15..30, None, 15),
            (0..100, None, 80),
            (0..100, Some(79), 80),
            (0..100, Some(81), 81),
            (0..100, Some(100), 100),
            // the topic was made anew
            (0..3, Some(4), 0),
        ] {
            assert_eq!(begin(&log, next), expected, "{log:?} {next:?}");
        }
    }

    const TIMEOUT: Duration = Duration::from_secs(30);

    struct Topic {
        producer: ThreadedProducer<DefaultProducerContext>,
        offsets: Offsets,
        reader: LetterReader,
    }

    impl Topic {
        fn of(cluster: &MockCluster<'_, DefaultProducerContext>, partitions: i32) -> Topic {
            cluster.create_topic("t.dlq", partitions, 1).unwrap();
            let flags = [format!("--bootstrap-server={}", cluster.bootstrap_servers()), "--kafka-topic-name=t".to_owned()];
            let config: Config = service_runtime::config::read_with(&flags).unwrap();
            let producer = config.kafka.client_config().set("message.max.bytes", "20000000").create().unwrap();
            let mut reader = LetterReader::new(&config);
            // others want the processors, too
            reader.bounds.time = TIMEOUT;
            Topic { producer, offsets: Offsets::new(&config.kafka).unwrap(), reader }
        }

        fn write(&self, partition: i32, payload: &str) {
            let record = BaseRecord::<str, str>::to("t.dlq").partition(partition).payload(payload);
            self.producer.send(record).map_err(|(error, _)| error).unwrap();
            self.producer.flush(TIMEOUT).unwrap();
        }

        /// Partition and offset of what a look reads.
        fn read(&mut self) -> Vec<(i32, i64)> {
            let logs = self.offsets.logs("t.dlq").unwrap();
            let mut found: Vec<_> = self.reader.read(&logs).iter().map(|letter| (letter.partition, letter.offset)).collect();
            found.sort_unstable();
            found
        }
    }

    #[test]
    fn a_look_reads_no_more_than_a_status_may_have_and_the_next_ones_the_rest() {
        let cluster = MockCluster::new(1).unwrap();
        let mut topic = Topic::of(&cluster, 6);
        assert_eq!(topic.read(), []);
        for number in 0..6 * 25 {
            topic.write(number % 6, "{}");
        }
        let (first, second) = (topic.read(), topic.read());
        assert_eq!((first.len(), second.len()), (LETTERS, 20));
        let mut all = [first, second].concat();
        all.sort_unstable();
        let expected: Vec<_> = (0..6).flat_map(|partition| (5..25).map(move |offset| (partition, offset))).collect();
        assert_eq!(all, expected, "the newest twenty of each, each once");
        assert_eq!(topic.read(), []);
        topic.write(4, "{}");
        assert_eq!(topic.read(), [(4, 25)]);
    }

    #[test]
    fn large_ones_are_read_a_few_at_a_time() {
        let cluster = MockCluster::new(1).unwrap();
        let mut topic = Topic::of(&cluster, 1);
        topic.reader.bounds.bytes = 5_000;
        (0..8).for_each(|_| topic.write(0, &"x".repeat(1_001)));
        let offsets = |range: Range<i64>| range.map(|offset| (0, offset)).collect::<Vec<_>>();
        assert_eq!((topic.read(), topic.read(), topic.read()), (offsets(0..5), offsets(5..8), Vec::new()));
        // at least one, however large
        topic.write(0, &"x".repeat(2 * 1024 * 1024));
        topic.write(0, "{}");
        assert_eq!((topic.read(), topic.read()), (offsets(8..9), offsets(9..10)));
    }

    #[test]
    fn a_broker_that_does_not_answer_costs_its_own_letters_and_a_bounded_time() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let cluster = MockCluster::new(2).unwrap();
        let mut topic = Topic::of(&cluster, 2);
        cluster.partition_leader("t.dlq", 0, Some(1)).unwrap();
        cluster.partition_leader("t.dlq", 1, Some(2)).unwrap();
        topic.write(0, "{}");
        topic.write(1, "{}");
        let logs = topic.offsets.logs("t.dlq").unwrap();
        cluster.broker_round_trip_time(2, HOUR).unwrap();
        topic.reader.bounds = BOUNDS;
        let began_at = Instant::now();
        let letters = topic.reader.read(&logs);
        assert!(began_at.elapsed() < 2 * BOUNDS.time, "{:?}", began_at.elapsed());
        assert_eq!(letters.iter().map(|letter| letter.partition).collect::<Vec<_>>(), [0]);
        cluster.broker_round_trip_time(2, Duration::ZERO).unwrap();
        topic.reader.bounds.time = TIMEOUT;
        let read: Vec<_> = topic.reader.read(&logs).iter().map(|letter| letter.partition).collect();
        assert_eq!(read, [1]);
    }
}
