//! The topic as a journal.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;
use service_runtime::Shutdown;
use wire_model::ReportId;

use super::RecordConfig;
use crate::journal::Writer;

const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// Journals every report between beginning and present end of the topic.
pub async fn record(config: RecordConfig, shutdown: Shutdown) -> anyhow::Result<()> {
    let recorded = tokio::task::spawn_blocking(move || read(&config, &shutdown)).await.context("read the topic")??;
    println!("{{\"recorded\":{recorded}}}");
    Ok(())
}

/// As far as a report names itself.
#[derive(Deserialize)]
struct Named {
    host: Host,
    epoch: u64,
    seq: u64,
}

#[derive(Deserialize)]
struct Host {
    id: String,
}

fn read(config: &RecordConfig, shutdown: &Shutdown) -> anyhow::Result<u64> {
    let journal = Writer::append_to(&config.journal).context("open the journal")?;
    let topic = &config.kafka.kafka_topic_name;
    let mut client = config.kafka.client_config();
    client.set("group.id", "loadgen-ledger").set("enable.auto.commit", "false").set("check.crcs", "true");
    let client: BaseConsumer = client.create().context("create a Kafka client")?;
    let metadata = client.fetch_metadata(Some(topic), PATIENCE).context("ask for the topic")?;
    let partitions = metadata.topics().first().context("find the topic")?.partitions();
    let mut recorded = 0;
    for partition in partitions.iter().map(MetadataPartition::id) {
        let (low, high) = client.fetch_watermarks(topic, partition, PATIENCE).context("ask for the partition's offsets")?;
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(low)).context("name the partition")?;
        client.assign(&list).context("read the partition")?;
        let (mut next, mut heard_at) = (low, Instant::now());
        // what stands in between and is no message (marks of transactions) is passed over: the position tells
        while next < high {
            if shutdown.is_requested() || heard_at.elapsed() > PATIENCE {
                bail!("partition {partition} ends at {next} instead of {high}");
            }
            let Some(message) = client.poll(POLL) else { continue };
            let message = match message {
                Ok(message) => message,
                // brokers come and go while this reads; the client tries again itself
                Err(error) => {
                    tracing::warn!(%error, "reading the topic");
                    continue;
                }
            };
            heard_at = Instant::now();
            next = message.offset() + 1;
            if next > high {
                break;
            }
            let payload = message.payload().unwrap_or_default();
            let Ok(Named { host, epoch, seq }) = serde_json::from_slice(payload) else { continue };
            if config.except.as_ref().is_some_and(|prefix| host.id.starts_with(prefix.as_str())) {
                continue;
            }
            if payload.contains(&b'\n') {
                bail!("the report at {partition}/{} has several lines: no program of ours writes that", message.offset());
            }
            let id = ReportId { epoch, seq };
            journal.sent(&host.id, id, payload);
            journal.acknowledged(&host.id, id, partition, message.offset());
            recorded += 1;
        }
    }
    journal.check().context("write the journal")?;
    Ok(recorded)
}
