//! Writes what can never be stored to the dead-letter topic: the original bytes, with the reason beside them.

use std::time::Duration;

use anyhow::bail;
use futures_util::future::join_all;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::util::Timeout;
use service_runtime::kafka::KafkaConfig;
use service_runtime::{Shutdown, backoff};

use crate::DEAD_LETTER_MESSAGE_BYTES;
use crate::batch::Record;
use crate::partition::Partition;

const DELIVERY_TIMEOUT_MS: &str = "10000";
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(5);
/// Characters of the reason in a header; a backend's words are not ours to trust.
const REASON_CHARS: usize = 1_000;

/// One record that can never be stored.
pub(crate) struct DeadLetter<'a> {
    pub(crate) record: &'a Record,
    pub(crate) kind: Kind,
    /// For people.
    pub(crate) reason: String,
}

/// Label of the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Not exactly one JSON value.
    NotJson,
    /// Larger than a message may be, or than the backend takes.
    TooLarge,
    /// The backend's receipt rejects it.
    Rejected,
}

impl Kind {
    fn label(self) -> &'static str {
        match self {
            Kind::NotJson => "not_json",
            Kind::TooLarge => "too_large",
            Kind::Rejected => "rejected",
        }
    }
}

pub(crate) struct DeadLetters {
    producer: FutureProducer,
    topic: String,
}

impl DeadLetters {
    pub(crate) fn new(kafka: &KafkaConfig) -> anyhow::Result<DeadLetters> {
        let producer = kafka
            .client_config()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("message.max.bytes", DEAD_LETTER_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", DELIVERY_TIMEOUT_MS)
            .set("allow.auto.create.topics", "false")
            .create()?;
        Ok(DeadLetters { producer, topic: kafka.dead_letter_topic() })
    }

    /// Returns when Kafka has acknowledged all of them, however long that takes; `false` when the shutdown came first.
    ///
    /// The error is one after which this producer can write no more.
    pub(crate) async fn write(
        &self,
        partition: &Partition,
        dead_letters: &[DeadLetter<'_>],
        shutdown: &Shutdown,
    ) -> anyhow::Result<bool> {
        let Some(first) = dead_letters.first() else { return Ok(true) };
        let mut left: Vec<&DeadLetter> = dead_letters.iter().collect();
        let mut waits = backoff(FIRST_RETRY, LONGEST_RETRY);
        let mut complained = false;
        loop {
            let results = join_all(left.iter().map(|letter| self.send(partition, letter))).await;
            let problem = results.iter().find_map(|result| result.as_ref().err().cloned());
            left = left.into_iter().zip(results).filter(|(_, result)| result.is_err()).map(|(letter, _)| letter).collect();
            let Some(problem) = problem else { break };
            if let Some((code, reason)) = self.producer.client().fatal_error() {
                bail!("the producer of dead letters cannot go on: {code}: {reason}");
            }
            if !complained {
                tracing::error!(topic = self.topic, problem, "dead letters cannot be written; their partition waits");
                complained = true;
            }
            tokio::select! {
                () = shutdown.requested() => return Ok(false),
                () = tokio::time::sleep(waits.next().unwrap_or(LONGEST_RETRY)) => {}
            }
        }
        for letter in dead_letters {
            metrics::counter!("consumer_dead_letters_total", "reason_kind" => letter.kind.label()).increment(1);
        }
        tracing::error!(
            topic = self.topic,
            partition = partition.number,
            count = dead_letters.len(),
            first_offset = first.record.offset,
            first_reason = first.reason,
            "records that cannot be stored were written to the dead-letter topic"
        );
        Ok(true)
    }

    async fn send(&self, partition: &Partition, letter: &DeadLetter<'_>) -> Result<(), String> {
        let record = letter.record;
        let mut message: FutureRecord<[u8], [u8]> = FutureRecord::to(&self.topic).headers(headers(partition, letter));
        message.key = record.key.as_deref();
        message.payload = record.payload.as_deref();
        match self.producer.send(message, Timeout::Never).await {
            Ok(_) => Ok(()),
            Err((error, _)) => Err(error.to_string()),
        }
    }
}

/// The original headers, then ours. The original timestamp is one of them, and the letter's own is the time of writing:
/// with an old one Kafka's retention could remove the letter at once.
fn headers(partition: &Partition, letter: &DeadLetter<'_>) -> OwnedHeaders {
    let reason: String = letter.reason.chars().take(REASON_CHARS).collect();
    let mut ours = vec![
        ("reason", reason),
        ("topic", partition.topic.clone()),
        ("partition", partition.number.to_string()),
        ("offset", letter.record.offset.to_string()),
    ];
    if let Some(timestamp_ms) = letter.record.timestamp_ms {
        ours.push(("timestamp", timestamp_ms.to_string()));
    }
    let theirs = letter.record.headers.clone().unwrap_or_default();
    ours.iter().fold(theirs, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }))
}
