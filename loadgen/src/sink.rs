//! Where reports go: into Kafka, or to the api-backend itself.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use service_runtime::Shutdown;
use service_runtime::kafka::{Topic, ensure_topics};
use wire_model::limits::TOPIC_MESSAGE_BYTES;

use crate::Config;
use crate::clock::LATE;
use crate::fleet::Message;
use crate::ingest::Posts;
use crate::publisher::Publisher;
use crate::tally::{Delivery, Tally};

pub(crate) struct Sink {
    to: To,
    tally: Arc<Tally>,
}

enum To {
    Kafka(Publisher),
    Backend(Posts),
}

impl Sink {
    /// `None` if the shutdown begins before the topic is there.
    pub(crate) async fn open(config: &Config, tally: &Arc<Tally>, shutdown: &Shutdown) -> anyhow::Result<Option<Sink>> {
        let to = match (&config.kafka, &config.ingest.api_base_url) {
            (Some(kafka), None) => {
                let topic = Topic {
                    name: kafka.kafka_topic_name.clone(),
                    partitions: kafka.kafka_topic_partitions,
                    max_message_bytes: TOPIC_MESSAGE_BYTES,
                };
                let publisher = Publisher::new(config, kafka, Arc::clone(tally)).context("create the producer")?;
                if !ensure_topics(kafka, &[topic], shutdown).await? {
                    return Ok(None);
                }
                To::Kafka(publisher)
            }
            (_, Some(url)) => To::Backend(Posts::start(config, url, tally).context("create the HTTP client")?),
            (None, None) => anyhow::bail!("neither Kafka nor an api-backend is named"),
        };
        Ok(Some(Sink { to, tally: Arc::clone(tally) }))
    }

    /// Hands a report on; waits while too many are on their way.
    pub(crate) async fn send(&mut self, message: &Message<'_>, overdue: Duration) -> anyhow::Result<()> {
        let delivery = Delivery { host_id: message.host_id.to_owned(), id: message.id, samples: message.samples };
        self.tally.sending(&delivery, &message.bytes, overdue > LATE).context("write the journal")?;
        match &mut self.to {
            To::Kafka(publisher) => publisher.publish(delivery, &message.bytes).await,
            To::Backend(posts) => posts.send(delivery, &message.bytes).await,
        }
    }

    /// Returns when every report is acknowledged or has failed.
    pub(crate) async fn wait_for_deliveries(self) -> anyhow::Result<()> {
        match self.to {
            To::Kafka(publisher) => publisher.wait_for_deliveries().await,
            To::Backend(posts) => posts.wait_for_deliveries().await,
        }
    }
}
