//! Into Kafka, and from its acknowledgements into the ledger.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer};
use service_runtime::kafka::KafkaConfig;
use wire_model::limits::TOPIC_MESSAGE_BYTES;
use wire_model::{CONTAINER_TABLE, HostReport};

use crate::ledger::{Entry, Ledger};

/// How long Kafka may take to acknowledge a report, and with it the end.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
const LATE: Duration = Duration::from_millis(100);

pub(crate) struct Publisher {
    producer: ThreadedProducer<Deliveries>,
    topic: String,
    ledger: Arc<Ledger>,
}

struct Deliveries(Arc<Ledger>);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Entry>;

    fn delivery(&self, result: &DeliveryResult<'_>, entry: Box<Entry>) {
        match result {
            Ok(_) => self.0.acknowledged(&entry),
            Err((error, _)) => self.0.failed(&entry, error),
        }
    }
}

impl Publisher {
    pub(crate) fn new(kafka: &KafkaConfig, ledger: Arc<Ledger>) -> anyhow::Result<Publisher> {
        let producer = kafka
            .client_config()
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "10")
            .set("message.max.bytes", TOPIC_MESSAGE_BYTES.to_string())
            .set("message.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
            .set("queue.buffering.max.kbytes", (256 * 1024).to_string())
            .create_with_context(Deliveries(Arc::clone(&ledger)))?;
        Ok(Publisher { producer, topic: kafka.kafka_topic_name.clone(), ledger })
    }

    /// Hands a report to the producer; what its full queue refuses has failed.
    pub(crate) fn publish(&self, report: &HostReport, overdue: Duration) -> anyhow::Result<()> {
        let containers = report.tables.get(CONTAINER_TABLE).map_or(0, |table| table.rows.len());
        let entry = Entry {
            host_id: report.host.id.clone(),
            epoch: report.epoch,
            seq: report.seq,
            at: report.at,
            samples: 1 + containers as u64,
        };
        self.ledger.sent.fetch_add(1, Ordering::Relaxed);
        if overdue > LATE {
            self.ledger.late.fetch_add(1, Ordering::Relaxed);
        }
        let message = report.encode();
        let record = BaseRecord::with_opaque_to(&self.topic, Box::new(entry)).key(&report.host.id).payload(&message);
        match self.producer.send(record) {
            Ok(()) => Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::Fatal), _)) => bail!("the producer cannot go on"),
            Err((error, record)) => {
                self.ledger.failed(&record.delivery_opaque, &error);
                Ok(())
            }
        }
    }

    /// Returns when every report is acknowledged or has failed.
    pub(crate) async fn wait_for_deliveries(self) -> anyhow::Result<()> {
        let flush = move || self.producer.flush(DELIVERY_TIMEOUT + Duration::from_secs(5));
        tokio::task::spawn_blocking(flush).await.context("wait for deliveries")?.context("flush the producer")
    }
}
