//! Every bound of the wire format, in one place. Each is tested at limit − 1, limit and limit + 1.

/// Bytes of one report as it stands in Kafka, uncompressed.
pub const MESSAGE_BYTES: usize = 1024 * 1024;
/// `max.message.bytes` of the topic of reports, where we create it: the largest report, its key, and Kafka's framing.
pub const TOPIC_MESSAGE_BYTES: usize = MESSAGE_BYTES + 16 * 1024;
/// Bytes of an ingest body as it comes over HTTP.
pub const BATCH_COMPRESSED_BYTES: usize = 1024 * 1024;
/// Bytes of an ingest body after decompression.
pub const BATCH_INFLATED_BYTES: usize = 16 * 1024 * 1024;
/// Records in one ingest batch.
pub const BATCH_RECORDS: usize = 1_000;
/// Characters of a name: host, container, device, metric, table, column.
pub const NAME_CHARS: usize = 128;
/// Labels of one host or container.
pub const LABELS: usize = 64;
/// Characters of a label's key, of its value, and of any other text (image, OS, kernel).
pub const LABEL_CHARS: usize = 256;
/// Containers of one host.
pub const CONTAINERS: usize = 500;
/// Rows of all device tables (every table but `container`) of one report together.
pub const DEVICES: usize = 256;
/// Tables of one report.
pub const TABLES: usize = 32;
/// Metrics of the host itself, and columns of one table.
pub const METRICS: usize = 256;
/// Characters of the reason for which a report is rejected: it stands in receipts and in dead letters' headers.
pub const REASON_CHARS: usize = 500;
/// How far ahead of the backend's clock a report's `at` may be.
pub const FUTURE_MS: i64 = 10 * 60 * 1_000;
/// Shortest collection interval.
pub const INTERVAL_MS_MIN: u32 = 100;
/// Longest collection interval.
pub const INTERVAL_MS_MAX: u32 = 3_600_000;
/// Partitions of which one consumer speaks at once.
pub const PARTITIONS: usize = 10_000;
/// Letters of the dead-letter topic that one consumer tells of at once.
pub const LETTERS: usize = 100;
/// Characters of a dead letter's payload that are told of.
pub const LETTER_TEXT_CHARS: usize = 1_024;
/// Characters of a topic's name, as Kafka has it.
pub const TOPIC_CHARS: usize = 249;
/// Latest time that may be told of, Unix ms: near the end of the year 9999.
pub const TIME_MS_MAX: i64 = 253_402_200_000_000;
