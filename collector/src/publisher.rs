//! To Kafka: one message per report, keyed by host id, so that a host's reports stay in order.
//!
//! librdkafka queues and sends on its own threads; handing it a report never waits. What Kafka does not take within the
//! delivery timeout, or what the queue has no room for, is lost: [`Deliveries::lost`] is the one place that learns of it,
//! and where a spool on disk would take such a report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use service_runtime::kafka::{KafkaConfig, Topic, ensure_topics};
use service_runtime::{Health, Shutdown};
use wire_model::limits::TOPIC_MESSAGE_BYTES;

use crate::telemetry::{delivered, failed, produced, waiting};

const CHECK: &str = "kafka";
/// Reports in memory while Kafka cannot be reached.
const QUEUE_KILOBYTES: usize = 64 * 1024;
const QUEUE_MESSAGES: usize = 10_000;
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(120);
/// A report that waits longer makes the collector not ready.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often the outcome of deliveries is fetched; nothing waits for it.
const POLL_EVERY: Duration = Duration::from_millis(500);
const FLUSH: Duration = Duration::from_secs(5);

/// Hands reports to librdkafka.
#[derive(Clone)]
pub(crate) struct Publisher {
    producer: Arc<BaseProducer<Deliveries>>,
    topic: Arc<str>,
    key: Arc<str>,
}

impl Publisher {
    pub(crate) fn new(kafka: &KafkaConfig, host_id: &str, health: Health) -> anyhow::Result<Publisher> {
        health.set(CHECK, Err("nothing delivered yet".to_owned()));
        let mut config = kafka.client_config();
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("compression.type", "lz4")
            .set("linger.ms", "5")
            .set("message.max.bytes", TOPIC_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KILOBYTES.to_string())
            .set("queue.buffering.max.messages", QUEUE_MESSAGES.to_string())
            .set("delivery.timeout.ms", DELIVERY_TIMEOUT.as_millis().to_string())
            // the topic is made with its own settings, never with the cluster's defaults by asking for it
            .set("allow.auto.create.topics", "false")
            .set("topic.metadata.propagation.max.ms", DELIVERY_TIMEOUT.as_millis().to_string());
        let deliveries = Deliveries { health, losses: Mutex::new(Losses::default()), delivered: AtomicU64::new(0) };
        let producer = BaseProducer::from_config_and_context(&config, deliveries).context("create the Kafka producer")?;
        Ok(Publisher { producer: Arc::new(producer), topic: kafka.kafka_topic_name.as_str().into(), key: host_id.into() })
    }

    /// Queues one report.
    pub(crate) fn publish(&self, message: &[u8]) {
        produced();
        let record = BaseRecord::to(&self.topic).key(&*self.key).payload(message);
        if let Err((error, _)) = self.producer.send(record) {
            self.producer.context().lost(&error.to_string());
        }
    }

    /// Fetches the outcome of deliveries until shutdown, then gives what is queued some seconds more.
    pub(crate) async fn watch_deliveries(self, shutdown: Shutdown) -> anyhow::Result<()> {
        let mut waiting_since: Option<(Instant, u64)> = None;
        while !shutdown.is_requested() {
            tokio::select! {
                () = shutdown.requested() => {}
                () = tokio::time::sleep(POLL_EVERY) => {}
            }
            self.producer.poll(Duration::ZERO);
            if let Some((code, reason)) = self.producer.client().fatal_error() {
                // librdkafka sends nothing any more; a new start is the only way on
                bail!("the Kafka producer has failed for good: {code}: {reason}");
            }
            let queued = self.producer.in_flight_count();
            waiting(queued);
            let deliveries = self.producer.context();
            let count = deliveries.delivered.load(Ordering::Relaxed);
            waiting_since = (queued > 0)
                .then(|| waiting_since.filter(|(_, before)| *before == count))
                .map(|since| since.unwrap_or_else(|| (Instant::now(), count)));
            if let Some((since, _)) = waiting_since.filter(|(since, _)| since.elapsed() > PATIENCE) {
                deliveries.health.set(CHECK, Err(format!("{queued} reports wait for {} s", since.elapsed().as_secs())));
            }
        }
        tokio::task::spawn_blocking(move || self.flush()).await.context("flush the reports")
    }

    fn flush(&self) {
        if let Err(error) = self.producer.flush(FLUSH) {
            let left = self.producer.in_flight_count();
            failed(u64::try_from(left).unwrap_or_default());
            tracing::error!(%error, reports = left, "reports could not be delivered before the exit and are lost");
        }
    }
}

/// Makes sure that the topic exists, then has nothing left to do. Reports wait in the queue meanwhile.
pub(crate) async fn ensure_topic(kafka: KafkaConfig, shutdown: Shutdown) -> anyhow::Result<()> {
    let topic = Topic {
        name: kafka.kafka_topic_name.clone(),
        partitions: kafka.kafka_topic_partitions,
        max_message_bytes: TOPIC_MESSAGE_BYTES,
    };
    ensure_topics(&kafka, &[topic], &shutdown).await?;
    shutdown.requested().await;
    Ok(())
}

/// Learns what became of each report.
struct Deliveries {
    health: Health,
    losses: Mutex<Losses>,
    delivered: AtomicU64,
}

/// Reports lost in a row: said when it begins and when it is over.
#[derive(Default)]
struct Losses {
    count: u64,
}

impl Deliveries {
    fn lost(&self, reason: &str) {
        failed(1);
        self.health.set(CHECK, Err(format!("a report was lost: {reason}")));
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        losses.count += 1;
        if losses.count == 1 {
            tracing::error!(reason, "reports are being lost");
        }
    }

    fn arrived(&self) {
        delivered();
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.health.set(CHECK, Ok(()));
        let lost = std::mem::take(&mut self.losses.lock().unwrap_or_else(PoisonError::into_inner).count);
        if lost > 0 {
            tracing::warn!(reports = lost, "reports are delivered again; these were lost");
        }
    }
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _: ()) {
        match result {
            Ok(_) => self.arrived(),
            Err((error, _)) => self.lost(&error.to_string()),
        }
    }
}
