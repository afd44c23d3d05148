//! The Kafka producer, and what became of each report that it was given.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rdkafka::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use service_runtime::kafka::{Complaints, KafkaConfig};
use spool::Record;
use wire_model::limits::TOPIC_MESSAGE_BYTES;
use wire_model::{Removed, with_removed};

/// A topic that was just created is not known to every broker at once.
const TOPIC_PROPAGATION: Duration = Duration::from_secs(10);

pub(crate) struct Producer {
    client: BaseProducer<Deliveries>,
    topic: String,
}

/// What became of a report.
pub(crate) struct Outcome {
    pub(crate) ticket: usize,
    pub(crate) result: Result<(), RDKafkaErrorCode>,
}

impl Producer {
    pub(crate) fn new(kafka: &KafkaConfig) -> anyhow::Result<Producer> {
        let mut config = kafka.producer_config();
        config
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("message.max.bytes", TOPIC_MESSAGE_BYTES.to_string())
            // never: the report waits in the spool anyway
            .set("message.timeout.ms", "0")
            .set("topic.metadata.propagation.max.ms", TOPIC_PROPAGATION.as_millis().to_string());
        let client =
            BaseProducer::from_config_and_context(&config, Deliveries::default()).context("create the Kafka producer")?;
        Ok(Producer { client, topic: kafka.kafka_topic_name.clone() })
    }

    /// Queues one report, keyed by host id, so that a host's reports stay in order. Never waits.
    pub(crate) fn send(&self, record: &Record, removed: Removed, ticket: usize) -> Result<(), RDKafkaErrorCode> {
        let message = with_removed(&record.payload, removed);
        let message = BaseRecord::with_opaque_to(&self.topic, ticket).key(&record.key).payload(&*message);
        self.client.send(message).map_err(|(error, _)| code(&error))
    }

    /// What became of reports since the last call.
    pub(crate) fn outcomes(&self) -> Vec<Outcome> {
        self.client.poll(Duration::ZERO);
        std::mem::take(&mut *self.client.context().outcomes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Why this producer sends nothing any more.
    pub(crate) fn fatal_error(&self) -> Option<String> {
        self.client.client().fatal_error().map(|(code, reason)| format!("{code}: {reason}"))
    }
}

fn code(error: &KafkaError) -> RDKafkaErrorCode {
    error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Fail)
}

#[derive(Default)]
struct Deliveries {
    outcomes: Mutex<Vec<Outcome>>,
    complaints: Complaints,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.complaints.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complaints.error(error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let result = result.as_ref().map(|_| ()).map_err(|(error, _)| code(error));
        self.outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(Outcome { ticket, result });
    }
}
