//! Into Kafka, and its acknowledgements into the tally.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use rdkafka::{ClientContext, Message};
use service_runtime::kafka::KafkaConfig;
use wire_model::limits::TOPIC_MESSAGE_BYTES;
use wire_model::{CONTAINER_TABLE, HostReport, ReportId};

use crate::tally::{Delivery, Tally};

const LATE: Duration = Duration::from_millis(100);

pub(crate) struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    delivery_timeout: Duration,
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
    pub(crate) fn new(kafka: &KafkaConfig, delivery_timeout: Duration, tally: Arc<Tally>) -> anyhow::Result<Publisher> {
        let producer = kafka
            .producer_config()
            .set("compression.type", "lz4")
            .set("linger.ms", "10")
            .set("message.max.bytes", TOPIC_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", delivery_timeout.as_millis().to_string())
            .set("queue.buffering.max.kbytes", (256 * 1024).to_string())
            .create_with_context(Deliveries(Arc::clone(&tally)))?;
        Ok(Publisher { producer, topic: kafka.kafka_topic_name.clone(), delivery_timeout, tally })
    }

    /// Hands a report to the producer; what its full queue refuses has failed.
    pub(crate) fn publish(&self, report: &HostReport, overdue: Duration) -> anyhow::Result<()> {
        let containers = report.tables.get(CONTAINER_TABLE).map_or(0, |table| table.rows.len());
        let id = ReportId { epoch: report.epoch, seq: report.seq };
        let delivery = Delivery { host_id: report.host.id.clone(), id, samples: 1 + containers as u64 };
        let message = report.encode();
        self.tally.sending(&delivery, &message, overdue > LATE).context("write the journal")?;
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(delivery)).key(&report.host.id).payload(&message);
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => bail!("the producer cannot go on"),
            Err((error, record)) => {
                self.tally.failed(&record.delivery_opaque, &error);
                Ok(())
            }
        }
    }

    /// Returns when every report is acknowledged or has failed.
    pub(crate) async fn wait_for_deliveries(self) -> anyhow::Result<()> {
        let flush = move || self.producer.flush(self.delivery_timeout + Duration::from_secs(5));
        tokio::task::spawn_blocking(flush).await.context("wait for deliveries")?.context("flush the producer")
    }
}
