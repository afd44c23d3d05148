//! `letters`: the newest records of the dead-letter topics, as consumers read them, one row for each however often it is told of.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use wire_model::DeadLetter;

use super::{Connection, Dialect, MAX_BOUND_VALUES, Result, placeholders, statements};

/// Letters that are kept of each topic, the newest.
pub const KEPT_LETTERS: i64 = 1_000;

/// A dead letter.
#[derive(Clone, Debug, PartialEq)]
pub struct LetterRow {
    /// Names it in pages.
    pub id: i64,
    /// The topic of reports.
    pub topic: String,
    /// Its time in Kafka, Unix ms; where that is none, or of the future, when it was told of.
    pub written_at: i64,
    /// The rest, as it was told.
    pub letter: DeadLetter,
}

const COLUMNS: &str = "topic, partition_number, record_offset, written_at, reason, origin_topic, origin_partition, origin_offset, origin_at, \
                       record_key, payload_bytes, payload_start, updated_at";
const UPDATED: [&str; 10] = [
    "written_at",
    "reason",
    "origin_topic",
    "origin_partition",
    "origin_offset",
    "origin_at",
    "record_key",
    "payload_bytes",
    "payload_start",
    "updated_at",
];

/// Writes what a consumer tells of the letters of a topic; the last word on each counts, and the oldest ones go.
pub async fn save(connection: &mut Connection, dialect: Dialect, topic: &str, letters: &[DeadLetter], now: i64) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let mut letters: Vec<&DeadLetter> = letters.iter().collect();
    // two consumers that write the same rows meet in the same order
    letters.sort_by_key(|letter| (letter.partition, letter.offset));
    let update = dialect.on_conflict_update("topic, partition_number, record_offset", &UPDATED);
    for letters in statements(&letters, MAX_BOUND_VALUES / 13, |letter| text_bytes(letter)) {
        let rows = vec![format!("({})", placeholders(13)); letters.len()].join(", ");
        let mut query = sqlx::query(AssertSqlSafe(format!("INSERT INTO letters ({COLUMNS}) VALUES {rows}{update}")));
        for letter in letters {
            query = query.bind(topic).bind(i64::from(letter.partition)).bind(letter.offset);
            query = query.bind(letter.written_at.filter(|at| *at <= now).unwrap_or(now));
            query = query.bind(&letter.reason).bind(&letter.origin_topic).bind(letter.origin_partition.map(i64::from));
            query = query.bind(letter.origin_offset).bind(letter.origin_at).bind(&letter.key);
            query = query.bind(letter.payload_bytes.map(u64::cast_signed)).bind(&letter.payload_start).bind(now);
        }
        query.execute(&mut *connection).await?;
    }
    remove_oldest(connection, topic).await
}

fn text_bytes(letter: &DeadLetter) -> usize {
    let texts = [&letter.reason, &letter.origin_topic, &letter.key, &letter.payload_start];
    texts.into_iter().flatten().map(String::len).sum()
}

/// Of a topic all but the newest [`KEPT_LETTERS`].
async fn remove_oldest(connection: &mut Connection, topic: &str) -> Result<()> {
    let sql = "SELECT written_at, letter_id FROM letters WHERE topic = ? \
               ORDER BY written_at DESC, letter_id DESC LIMIT 1 OFFSET ?";
    let newest_of_them = sqlx::query(sql).bind(topic).bind(KEPT_LETTERS).fetch_optional(&mut *connection).await?;
    let Some(row) = newest_of_them else { return Ok(()) };
    let (written_at, id): (i64, i64) = (row.try_get("written_at")?, row.try_get("letter_id")?);
    let sql = "DELETE FROM letters WHERE topic = ? AND written_at <= ? AND (written_at < ? OR letter_id <= ?)";
    sqlx::query(sql).bind(topic).bind(written_at).bind(written_at).bind(id).execute(connection).await?;
    Ok(())
}

/// Letters of all topics, newest first, behind the one with this time and id.
pub async fn list(connection: &mut Connection, after: Option<(i64, i64)>, limit: i64) -> Result<Vec<LetterRow>> {
    let (at, id) = after.unwrap_or((i64::MAX, i64::MAX));
    let sql = format!(
        "SELECT letter_id, {COLUMNS} FROM letters WHERE written_at <= ? AND (written_at < ? OR letter_id < ?) \
         ORDER BY written_at DESC, letter_id DESC LIMIT ?"
    );
    let query = sqlx::query(AssertSqlSafe(sql)).bind(at).bind(at).bind(id).bind(limit);
    query.fetch_all(connection).await?.iter().map(letter).collect()
}

fn letter(row: &AnyRow) -> Result<LetterRow> {
    let number = |value: i64| i32::try_from(value).unwrap_or(i32::MAX);
    let origin_partition: Option<i64> = row.try_get("origin_partition")?;
    let payload_bytes: Option<i64> = row.try_get("payload_bytes")?;
    let written_at = row.try_get("written_at")?;
    Ok(LetterRow {
        id: row.try_get("letter_id")?,
        topic: row.try_get("topic")?,
        written_at,
        letter: DeadLetter {
            partition: number(row.try_get("partition_number")?),
            offset: row.try_get("record_offset")?,
            written_at: Some(written_at),
            reason: row.try_get("reason")?,
            origin_topic: row.try_get("origin_topic")?,
            origin_partition: origin_partition.map(number),
            origin_offset: row.try_get("origin_offset")?,
            origin_at: row.try_get("origin_at")?,
            key: row.try_get("record_key")?,
            payload_bytes: payload_bytes.map(i64::cast_unsigned),
            payload_start: row.try_get("payload_start")?,
        },
    })
}
