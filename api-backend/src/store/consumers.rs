//! What consumers say of themselves: partitions, records that were gone before they could be read, dead letters.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};
use wire_model::{ConsumerStatus, PartitionStatus};

use super::{Connection, Dialect, MAX_BOUND_VALUES, Result, letters, placeholders};

/// One partition as a consumer group spoke of it last. Times are Unix ms.
#[derive(Clone, Debug, PartialEq)]
pub struct PartitionRow {
    /// Its topic.
    pub topic: String,
    /// The group that reads it.
    pub group: String,
    /// Its number.
    pub partition: i64,
    /// Who has it.
    pub consumer: String,
    /// That one's version.
    pub version: String,
    /// Everything before this offset is stored or a dead letter.
    pub position: i64,
    /// Offset of the next record that Kafka will give out.
    pub end_offset: Option<i64>,
    /// When the oldest record that waits came to Kafka.
    pub waiting_since: Option<i64>,
    /// When it was spoken of.
    pub heard_at: i64,
}

/// Records [`from_offset`, `to_offset`) that were gone from Kafka before they could be read.
#[derive(Clone, Debug, PartialEq)]
pub struct SkippedRow {
    /// Its topic.
    pub topic: String,
    /// Its partition.
    pub partition: i64,
    /// First one that is gone.
    pub from_offset: i64,
    /// First one that was there again.
    pub to_offset: i64,
    /// When it was heard of.
    pub detected_at: i64,
}

/// Records in the dead-letter topic of a topic.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLettersRow {
    /// The topic of reports.
    pub topic: String,
    /// How many.
    pub records: i64,
    /// When it was heard of.
    pub heard_at: i64,
    /// The one of `letters` that was told of last.
    pub newest_letter: Option<i64>,
}

const PARTITION: &str =
    "topic, consumer_group, partition_number, consumer, version, position_offset, end_offset, waiting_since, updated_at";

/// Writes what a consumer says.
pub async fn save(connection: &mut Connection, dialect: Dialect, status: &ConsumerStatus, now: i64) -> Result<()> {
    let mut partitions: Vec<&PartitionStatus> = status.partitions.iter().collect();
    // two consumers that write the same rows meet in the same order
    partitions.sort_by_key(|partition| partition.partition);
    let update = dialect.on_conflict_update(
        "topic, consumer_group, partition_number",
        &["consumer", "version", "position_offset", "end_offset", "waiting_since", "updated_at"],
    );
    for partitions in partitions.chunks(MAX_BOUND_VALUES / 9) {
        let rows = vec![format!("({})", placeholders(9)); partitions.len()].join(", ");
        let sql = format!("INSERT INTO consumer_partitions ({PARTITION}) VALUES {rows}{update}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for partition in partitions {
            query = query.bind(&status.topic).bind(&status.group).bind(i64::from(partition.partition)).bind(&status.consumer);
            query = query.bind(&status.version).bind(partition.position).bind(partition.end_offset);
            query = query.bind(partition.waiting_since).bind(now);
        }
        query.execute(&mut *connection).await?;
    }
    save_skipped(connection, dialect, status, now).await?;
    letters::save(connection, dialect, &status.topic, &status.letters, now).await?;
    if let Some(records) = status.dead_letters {
        let update = dialect.on_conflict_update("topic", &["records", "updated_at"]);
        let sql = format!("INSERT INTO dead_letters (topic, records, updated_at) VALUES (?, ?, ?){update}");
        sqlx::query(AssertSqlSafe(sql)).bind(&status.topic).bind(records.cast_signed()).bind(now).execute(connection).await?;
    }
    Ok(())
}

/// A range that is heard of again may only have grown: a consumer that was killed before it could go on finds more of it gone.
async fn save_skipped(connection: &mut Connection, dialect: Dialect, status: &ConsumerStatus, now: i64) -> Result<()> {
    let mut skipped: Vec<_> = status.skipped.iter().collect();
    skipped.sort_by_key(|skipped| (skipped.partition, skipped.from_offset));
    let insert = dialect.insert_or_ignore();
    for skipped in skipped.chunks(MAX_BOUND_VALUES / 5) {
        let rows = vec![format!("({})", placeholders(5)); skipped.len()].join(", ");
        let sql =
            format!("{insert} INTO skipped_records (topic, partition_number, from_offset, to_offset, detected_at) VALUES {rows}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for range in skipped {
            query = query.bind(&status.topic).bind(i64::from(range.partition)).bind(range.from_offset);
            query = query.bind(range.to_offset).bind(now);
        }
        if query.execute(&mut *connection).await?.rows_affected() == skipped.len() as u64 {
            continue;
        }
        for range in skipped {
            let sql = "UPDATE skipped_records SET to_offset = ?, detected_at = ? \
                       WHERE topic = ? AND partition_number = ? AND from_offset = ? AND to_offset < ?";
            let query = sqlx::query(sql).bind(range.to_offset).bind(now).bind(&status.topic).bind(i64::from(range.partition));
            query.bind(range.from_offset).bind(range.to_offset).execute(&mut *connection).await?;
        }
    }
    Ok(())
}

/// Every partition that was spoken of since.
pub async fn partitions(connection: &mut Connection, since: i64) -> Result<Vec<PartitionRow>> {
    let sql = format!(
        "SELECT {PARTITION} FROM consumer_partitions WHERE updated_at >= ? ORDER BY topic, consumer_group, partition_number"
    );
    sqlx::query(AssertSqlSafe(sql)).bind(since).fetch_all(connection).await?.iter().map(partition).collect()
}

/// When any consumer spoke last.
pub async fn last_heard(connection: &mut Connection) -> Result<Option<i64>> {
    Ok(sqlx::query_scalar("SELECT MAX(updated_at) FROM consumer_partitions").fetch_one(connection).await?)
}

/// Ranges that were heard of in [from, to), newest first.
pub async fn skipped(connection: &mut Connection, from: i64, to: i64, limit: i64) -> Result<Vec<SkippedRow>> {
    let sql = "SELECT topic, partition_number, from_offset, to_offset, detected_at FROM skipped_records \
               WHERE detected_at >= ? AND detected_at < ? ORDER BY detected_at DESC, topic, partition_number, from_offset LIMIT ?";
    let rows = sqlx::query(sql).bind(from).bind(to).bind(limit).fetch_all(connection).await?;
    let skipped = |row: &AnyRow| {
        Ok(SkippedRow {
            topic: row.try_get("topic")?,
            partition: row.try_get("partition_number")?,
            from_offset: row.try_get("from_offset")?,
            to_offset: row.try_get("to_offset")?,
            detected_at: row.try_get("detected_at")?,
        })
    };
    rows.iter().map(skipped).collect()
}

/// How many records were skipped since, and when that was heard of first.
pub async fn recently_skipped(connection: &mut Connection, since: i64) -> Result<(i64, Option<i64>)> {
    let sql = "SELECT CAST(COALESCE(SUM(to_offset - from_offset), 0) AS SIGNED) AS records, MIN(detected_at) AS since_at \
               FROM skipped_records WHERE detected_at >= ?";
    let row = sqlx::query(sql).bind(since).fetch_one(connection).await?;
    Ok((row.try_get("records")?, row.try_get("since_at")?))
}

/// Dead letters of each topic.
pub async fn dead_letters(connection: &mut Connection) -> Result<Vec<DeadLettersRow>> {
    let sql = "SELECT topic, records, updated_at, \
               (SELECT MAX(letter_id) FROM letters WHERE letters.topic = dead_letters.topic) AS newest_letter \
               FROM dead_letters ORDER BY topic";
    let rows = sqlx::query(sql).fetch_all(connection).await?;
    let dead_letters = |row: &AnyRow| {
        Ok(DeadLettersRow {
            topic: row.try_get("topic")?,
            records: row.try_get("records")?,
            heard_at: row.try_get("updated_at")?,
            newest_letter: row.try_get("newest_letter")?,
        })
    };
    rows.iter().map(dead_letters).collect()
}

fn partition(row: &AnyRow) -> Result<PartitionRow> {
    Ok(PartitionRow {
        topic: row.try_get("topic")?,
        group: row.try_get("consumer_group")?,
        partition: row.try_get("partition_number")?,
        consumer: row.try_get("consumer")?,
        version: row.try_get("version")?,
        position: row.try_get("position_offset")?,
        end_offset: row.try_get("end_offset")?,
        waiting_since: row.try_get("waiting_since")?,
        heard_at: row.try_get("updated_at")?,
    })
}
