//! Into Kafka, and its acknowledgements into the tally.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use service_runtime::kafka::KafkaConfig;
use wire_model::limits::TOPIC_MESSAGE_BYTES;

use crate::Config;
use crate::tally::{Delivery, Tally};

/// Distance of two tries to hand a report to a full queue.
const TRY_AGAIN: Duration = Duration::from_millis(5);

pub(crate) struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    delivery_timeout: Duration,
    /// Whether reports wait for room in the producer's queue, or fail.
    waits: bool,
    tally: Arc<Tally>,
}

struct Deliveries(Arc<Tally>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Box<Delivery>) {
        match result {
            Ok(message) => self.0.acknowledged(&delivery, message.partition(), message.offset()),
            Err((error, _)) => self.0.failed(&delivery, error),
        }
    }
}

impl Publisher {
    pub(crate) fn new(config: &Config, kafka: &KafkaConfig, tally: Arc<Tally>) -> anyhow::Result<Publisher> {
        let delivery_timeout = Duration::from_secs(config.delivery_seconds);
        let producer = kafka
            .producer_config()
            .set("compression.type", "lz4")
            .set("linger.ms", "10")
            .set("message.max.bytes", TOPIC_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", delivery_timeout.as_millis().to_string())
            .set("queue.buffering.max.kbytes", (256 * 1024).to_string())
            .create_with_context(Deliveries(Arc::clone(&tally)))?;
        let waits = config.backfill_hours.is_some();
        Ok(Publisher { producer, topic: kafka.kafka_topic_name.clone(), delivery_timeout, waits, tally })
    }

    /// Hands a report to the producer; what its full queue refuses has failed, unless there is time to wait.
    pub(crate) async fn publish(&self, delivery: Delivery, message: &[u8]) -> anyhow::Result<()> {
        let key = delivery.host_id.clone();
        let mut record = BaseRecord::with_opaque_to(&self.topic, Box::new(delivery)).key(&key).payload(message);
        loop {
            record = match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => bail!("the producer cannot go on"),
                // what is in the queue is acknowledged or fails in time
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), record)) if self.waits => record,
                Err((error, record)) => {
                    self.tally.failed(&record.delivery_opaque, &error);
                    return Ok(());
                }
            };
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Returns when every report is acknowledged or has failed.
    pub(crate) async fn wait_for_deliveries(self) -> anyhow::Result<()> {
        let flush = move || self.producer.flush(self.delivery_timeout + Duration::from_secs(5));
        tokio::task::spawn_blocking(flush).await.context("wait for deliveries")?.context("flush the producer")
    }
}
