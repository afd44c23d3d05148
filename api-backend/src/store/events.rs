//! `events`: what changed, numbered so that ids become visible in order.

use sqlx::{AssertSqlSafe, Row};

use super::counters::{self, Counter};
use super::machine_events::{self, MachineEvent};
use super::{Connection, MAX_BOUND_VALUES, Result, placeholders, statements};

/// An event to append.
#[derive(Clone, Debug, PartialEq)]
pub struct NewEvent {
    /// `violations` or `machines`.
    pub topic: &'static str,
    /// `violation.opened` and the like: the SSE event's name.
    pub name: &'static str,
    /// The machine that it is about.
    pub machine_id: i64,
    /// When it happened, of topic `machines`: what happened to machines is kept for longer than the stream's events are.
    pub occurred_at: Option<i64>,
    /// JSON.
    pub body: String,
}

/// A stored event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its number.
    pub id: i64,
    /// Its topic.
    pub topic: String,
    /// Its name.
    pub name: String,
    /// The machine that it is about.
    pub machine_id: i64,
    /// JSON.
    pub body: String,
}

/// Appends events. Call it last in a transaction: from here to commit nobody else can append.
pub async fn append(connection: &mut Connection, events: &[NewEvent], now: i64) -> Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let count = i64::try_from(events.len()).unwrap_or(i64::MAX);
    let before = counters::raise(connection, Counter::LastEventId, count).await? - count;
    let of_machines: Vec<MachineEvent> = (before + 1..).zip(events).filter_map(|(id, event)| of_machine(id, event)).collect();
    machine_events::insert(connection, &of_machines).await?;
    let mut id = before;
    for events in statements(events, MAX_BOUND_VALUES / 6, |event| event.body.len()) {
        let rows = vec![format!("({})", placeholders(6)); events.len()].join(", ");
        let sql = format!("INSERT INTO events (event_id, created_at, topic, name, machine_id, body) VALUES {rows}");
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for event in events {
            id += 1;
            query = query.bind(id).bind(now).bind(event.topic).bind(event.name).bind(event.machine_id).bind(&event.body);
        }
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

fn of_machine(id: i64, event: &NewEvent) -> Option<MachineEvent> {
    let (name, body) = (event.name.to_owned(), event.body.clone());
    Some(MachineEvent { id, machine_id: event.machine_id, name, occurred_at: event.occurred_at?, body })
}

/// Events with ids above `after`, in order.
pub async fn after(connection: &mut Connection, after: i64, limit: i64) -> Result<Vec<Event>> {
    let sql = "SELECT event_id, topic, name, machine_id, body FROM events WHERE event_id > ? ORDER BY event_id LIMIT ?";
    let rows = sqlx::query(sql).bind(after).bind(limit).fetch_all(connection).await?;
    let event = |row: &sqlx::any::AnyRow| {
        Ok(Event {
            id: row.try_get("event_id")?,
            topic: row.try_get("topic")?,
            name: row.try_get("name")?,
            machine_id: row.try_get("machine_id")?,
            body: row.try_get("body")?,
        })
    };
    rows.iter().map(event).collect()
}

/// Id of the oldest event that is kept.
pub async fn oldest(connection: &mut Connection) -> Result<Option<i64>> {
    let sql = "SELECT event_id FROM events ORDER BY event_id LIMIT 1";
    Ok(sqlx::query_scalar(sql).fetch_optional(connection).await?)
}
