//! `POST /pipeline/consumers`: what a consumer says of itself.

use std::collections::HashSet;

use axum::extract::State;
use axum::http::StatusCode;
use wire_model::{ConsumerStatus, limits};

use super::extract::Body;
use super::{App, Problem};
use crate::store::{self, Store};
use crate::time::now_ms;

/// Bytes of a status: one with all that the limits allow has 3.1 million.
pub(super) const STATUS_BYTES: usize = 4 * 1024 * 1024;

pub(super) async fn report_consumer(State(app): State<App>, Body(status): Body<ConsumerStatus>) -> Result<StatusCode, Problem> {
    check(&status).map_err(Problem::unprocessable)?;
    app.store.with_patience(|| save(&app.store, &status)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn save(store: &Store, status: &ConsumerStatus) -> store::Result<()> {
    let mut transaction = store.begin().await?;
    store::consumers::save(&mut transaction, store.dialect(), status, now_ms()).await?;
    Ok(transaction.commit().await?)
}

fn check(status: &ConsumerStatus) -> Result<(), String> {
    for (what, text, limit) in [
        ("consumer", &status.consumer, limits::NAME_CHARS),
        ("group", &status.group, limits::LABEL_CHARS),
        ("version", &status.version, limits::NAME_CHARS),
        ("topic", &status.topic, limits::TOPIC_CHARS),
    ] {
        let chars = text.chars().count();
        if chars == 0 || chars > limit || text.chars().any(char::is_control) {
            return Err(format!("{what} has {chars} characters: it needs 1 to {limit}, and no control characters"));
        }
    }
    for (what, count, limit) in [
        ("partitions", status.partitions.len(), limits::PARTITIONS),
        ("skipped", status.skipped.len(), limits::PARTITIONS),
        ("letters", status.letters.len(), limits::LETTERS),
    ] {
        if count > limit {
            return Err(format!("{what} has {count} entries, the limit is {limit}"));
        }
    }
    let mut seen = HashSet::new();
    for partition in &status.partitions {
        let number = partition.partition;
        if !seen.insert(number) {
            return Err(format!("partition {number} stands twice"));
        }
        if number < 0 || partition.position < 0 || partition.end_offset < Some(0) && partition.end_offset.is_some() {
            return Err(format!("partition {number}: numbers and offsets are not below 0"));
        }
        if partition.waiting_since.is_some_and(|since| since <= 0) {
            return Err(format!("partition {number}: waiting_since is no Unix time in ms"));
        }
    }
    for range in &status.skipped {
        if range.partition < 0 || range.from_offset < 0 || range.to_offset <= range.from_offset {
            return Err(format!("partition {}: skipped is no range of offsets", range.partition));
        }
    }
    if status.dead_letters.is_some_and(|records| i64::try_from(records).is_err()) {
        return Err("dead_letters does not fit 63 bits".to_owned());
    }
    for letter in &status.letters {
        letter.check().map_err(|problem| format!("letter {} of partition {}: {problem}", letter.offset, letter.partition))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wire_model::{DeadLetter, PartitionStatus, SkippedRecords};

    use super::*;

    fn status(partitions: usize, skipped: usize, letters: usize) -> ConsumerStatus {
        let number = |index: usize| i32::MAX - i32::try_from(index).unwrap();
        let partition = |index| PartitionStatus {
            partition: number(index),
            position: i64::MAX,
            end_offset: Some(i64::MAX),
            waiting_since: Some(i64::MAX),
        };
        let range = |index| SkippedRecords { partition: number(index), from_offset: i64::MAX - 1, to_offset: i64::MAX };
        // what takes most bytes as JSON
        let text = |chars| Some("🔒".repeat(chars));
        let letter = |index| DeadLetter {
            partition: number(index),
            offset: i64::MAX,
            written_at: Some(limits::TIME_MS_MAX),
            reason: text(limits::REASON_CHARS),
            origin_topic: text(limits::TOPIC_CHARS),
            origin_partition: Some(i32::MAX),
            origin_offset: Some(i64::MAX),
            origin_at: Some(limits::TIME_MS_MAX),
            key: text(limits::NAME_CHARS),
            payload_bytes: Some(i64::MAX as u64),
            payload_start: text(limits::LETTER_TEXT_CHARS),
        };
        ConsumerStatus {
            consumer: "c".repeat(limits::NAME_CHARS),
            group: "g".repeat(limits::LABEL_CHARS),
            version: "v".repeat(limits::NAME_CHARS),
            topic: "t".repeat(limits::TOPIC_CHARS),
            partitions: (0..partitions).map(partition).collect(),
            skipped: (0..skipped).map(range).collect(),
            dead_letters: Some(i64::MAX as u64),
            letters: (0..letters).map(letter).collect(),
        }
    }

    #[test]
    fn a_status_is_limited_and_the_fullest_one_fits_the_body() {
        let most = limits::PARTITIONS;
        for (partitions, skipped, letters, ok) in [
            (most - 1, 0, limits::LETTERS - 1, true),
            (most, most, limits::LETTERS, true),
            (most + 1, 0, 0, false),
            (0, most + 1, 0, false),
            (0, 0, limits::LETTERS + 1, false),
        ] {
            let status = status(partitions, skipped, letters);
            assert_eq!(check(&status).is_ok(), ok, "{partitions} {skipped} {letters}");
            assert!(!ok || serde_json::to_vec(&status).unwrap().len() < STATUS_BYTES);
        }
    }

    #[test]
    fn texts_and_numbers_are_limited() {
        let check = |change: &dyn Fn(&mut ConsumerStatus), problem: Option<&str>| {
            let mut status = status(2, 1, 1);
            change(&mut status);
            match (check(&status), problem) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                (result, expected) => panic!("{result:?}, not {expected:?}"),
            }
        };
        check(&|_| (), None);
        check(&|status| status.consumer.push('c'), Some("consumer has 129"));
        check(&|status| status.group.push('g'), Some("group has 257"));
        check(&|status| status.version.push('v'), Some("version has 129"));
        check(&|status| status.topic.push('t'), Some("topic has 250"));
        check(&|status| status.topic.clear(), Some("topic has 0"));
        check(&|status| status.group = "a\nb".to_owned(), Some("control"));
        check(&|status| status.partitions[1].partition = status.partitions[0].partition, Some("stands twice"));
        check(&|status| status.partitions[1].partition = -1, Some("below 0"));
        check(&|status| status.partitions[1].position = -1, Some("below 0"));
        check(&|status| status.partitions[1].end_offset = Some(-1), Some("below 0"));
        check(&|status| status.partitions[1].end_offset = None, None);
        check(&|status| status.partitions[1].waiting_since = Some(0), Some("waiting_since"));
        check(&|status| status.skipped[0].from_offset = i64::MAX, Some("no range"));
        check(&|status| status.dead_letters = Some(1 << 63), Some("63 bits"));
        check(&|status| status.letters[0].offset = -1, Some("letter -1 of partition 2147483647: partitions and offsets"));
    }
}
