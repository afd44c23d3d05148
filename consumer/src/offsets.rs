//! What the brokers say of their logs' ends, asked by a client of its own: one that reads nothing is not in trouble when the
//! reading one is, and a paused partition has news, too. All calls block, for no longer than the timeout.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::time::Duration;

use anyhow::{Context, anyhow};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use service_runtime::kafka::{Complaints, KafkaConfig};

const TIMEOUT: Duration = Duration::from_secs(3);

/// A partition, and the broker that leads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Led {
    pub(crate) number: i32,
    /// −1 where nobody knows.
    pub(crate) leader: i32,
}

pub(crate) struct Offsets {
    client: BaseConsumer<Complaints>,
}

impl Offsets {
    pub(crate) fn new(kafka: &KafkaConfig) -> anyhow::Result<Offsets> {
        let client = kafka
            .client_config()
            // the end is where the reading client can get to
            .set("isolation.level", "read_committed")
            .create_with_context(Complaints::default())?;
        Ok(Offsets { client })
    }

    /// Offset of the next record of each partition.
    pub(crate) fn ends(&self, topic: &str, partitions: &[Led]) -> anyhow::Result<HashMap<i32, i64>> {
        self.ask(topic, partitions, Offset::End).context("ask for the ends of the log")
    }

    /// Offset of the first record that each partition has, or would have.
    pub(crate) fn starts(&self, topic: &str, partitions: &[Led]) -> anyhow::Result<HashMap<i32, i64>> {
        self.ask(topic, partitions, Offset::Beginning).context("ask for the starts of the log")
    }

    /// The log of each partition of a topic, from its first record to the next one; `None` where its broker does not answer.
    pub(crate) fn logs(&self, topic: &str) -> anyhow::Result<BTreeMap<i32, Option<Range<i64>>>> {
        let metadata = self.client.fetch_metadata(Some(topic), TIMEOUT).context("ask for the topic's partitions")?;
        let found = metadata.topics().iter().find(|found| found.name() == topic && found.error().is_none());
        let partitions = found.ok_or_else(|| anyhow!("there is no topic {topic}"))?.partitions();
        let led = partitions.iter().map(|partition| Led { number: partition.id(), leader: partition.leader() });
        let partitions: Vec<Led> = led.collect();
        let (starts, ends) = (self.starts(topic, &partitions)?, self.ends(topic, &partitions)?);
        let log = |number: i32| Some(*starts.get(&number)?..*ends.get(&number)?);
        Ok(partitions.iter().map(|partition| (partition.number, log(partition.number))).collect())
    }

    /// One request to each broker that leads a partition, all at the same time. Partitions that it cannot speak of are left out, as
    /// are all of a broker that does not answer; an error where nobody answers.
    fn ask(&self, topic: &str, partitions: &[Led], which: Offset) -> anyhow::Result<HashMap<i32, i64>> {
        // its events are served, so that they do not pile up
        while self.client.poll(Duration::ZERO).is_some() {}
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for partition in partitions {
            by_leader.entry(partition.leader).or_default().push(partition.number);
        }
        let answers: Vec<anyhow::Result<HashMap<i32, i64>>> = std::thread::scope(|scope| {
            // librdkafka answers a question for several brokers only when all of them have answered
            let ask = |numbers| scope.spawn(move || self.ask_one(topic, numbers, which));
            let asked: Vec<_> = by_leader.values().map(|numbers| ask(&numbers[..])).collect();
            asked.into_iter().map(|asked| asked.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        let (mut offsets, mut answered, mut problem) = (HashMap::new(), by_leader.is_empty(), None);
        for (answer, leader) in answers.into_iter().zip(by_leader.keys()) {
            match answer {
                Ok(known) => {
                    offsets.extend(known);
                    answered = true;
                }
                Err(error) => {
                    tracing::debug!(leader, error = format!("{error:#}"), "a broker does not tell its offsets");
                    problem = Some(error);
                }
            }
        }
        problem.filter(|_| !answered).map_or(Ok(offsets), Err)
    }

    fn ask_one(&self, topic: &str, numbers: &[i32], which: Offset) -> anyhow::Result<HashMap<i32, i64>> {
        let mut asked = TopicPartitionList::with_capacity(numbers.len());
        for number in numbers {
            asked.add_partition_offset(topic, *number, which)?;
        }
        let answered = self.client.offsets_for_times(asked, TIMEOUT)?;
        let known = answered.elements().into_iter().filter(|element| element.error().is_ok());
        let offsets = known.filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some((element.partition(), offset)),
            _ => None,
        });
        Ok(offsets.collect())
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::Config;

    #[test]
    fn a_broker_that_does_not_answer_leaves_only_its_own_partitions_unknown() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let cluster = MockCluster::new(2).unwrap();
        cluster.create_topic("topic", 2, 1).unwrap();
        let partitions = [Led { number: 0, leader: 1 }, Led { number: 1, leader: 2 }];
        for Led { number, leader } in partitions {
            cluster.partition_leader("topic", number, Some(leader)).unwrap();
        }
        let flag = format!("--bootstrap-server={}", cluster.bootstrap_servers());
        let config: Config = service_runtime::config::read_with(&[flag]).unwrap();
        let offsets = Offsets::new(&config.kafka).unwrap();
        assert_eq!(offsets.ends("topic", &partitions).unwrap(), HashMap::from([(0, 0), (1, 0)]));
        assert_eq!(offsets.logs("topic").unwrap(), BTreeMap::from([(0, Some(0..0)), (1, Some(0..0))]));
        cluster.broker_round_trip_time(2, HOUR).unwrap();
        assert_eq!(offsets.ends("topic", &partitions).unwrap(), HashMap::from([(0, 0)]));
        assert!(offsets.ends("topic", &partitions[1..]).is_err());
        assert!(offsets.logs("nowhere").is_err());
        assert_eq!(offsets.ends("topic", &[]).unwrap(), HashMap::new());
    }
}
