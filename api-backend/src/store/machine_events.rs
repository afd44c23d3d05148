//! `machine_events`: what happened to machines, by machine and time. They are told by `events`, too, and kept for longer here.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Connection, Dialect, MAX_BOUND_VALUES, Result, placeholders, statements};

/// What happened when: an event's number, name and body in JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct MachineEvent {
    /// As in `events`.
    pub id: i64,
    /// The machine.
    pub machine_id: i64,
    /// `machine.up` and the like.
    pub name: String,
    /// By the host's own clock, Unix ms.
    pub occurred_at: i64,
    /// JSON.
    pub body: String,
}

/// A page of them, newest first.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Of these machines; empty: of all.
    pub machine_ids: Vec<i64>,
    /// Of these names; empty: of all.
    pub names: Vec<&'static str>,
    /// From this time on.
    pub from: Option<i64>,
    /// Before this time.
    pub to: Option<i64>,
    /// Only those behind this one: its time and id.
    pub after: Option<(i64, i64)>,
    /// So many at most.
    pub limit: i64,
}

/// Names of all there are.
pub const NAMES: [&str; 3] = ["machine.up", "machine.down", "machine.rebooted"];

pub(super) async fn insert(connection: &mut Connection, events: &[MachineEvent]) -> Result<()> {
    for events in statements(events, MAX_BOUND_VALUES / 5, |event| event.body.len()) {
        let rows = vec![format!("({})", placeholders(5)); events.len()].join(", ");
        let sql = format!("INSERT INTO machine_events (event_id, machine_id, name, occurred_at, body) VALUES {rows}");
        let query = events.iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, event| {
            query.bind(event.id).bind(event.machine_id).bind(&event.name).bind(event.occurred_at).bind(&event.body)
        });
        query.execute(&mut *connection).await?;
    }
    Ok(())
}

/// A stretch of one index that has what is meant in its order.
struct Arm {
    index: &'static str,
    machine_id: Option<i64>,
    name: Option<&'static str>,
}

/// A page of them.
pub async fn list(connection: &mut Connection, dialect: Dialect, page: &Page) -> Result<Vec<MachineEvent>> {
    let order = "ORDER BY occurred_at DESC, event_id DESC LIMIT ?";
    let (after_at, after_id) = page.after.unwrap_or((i64::MAX, i64::MAX));
    // one end, so that whoever looks it up in an index begins there
    let (first, last) = (page.from.unwrap_or(i64::MIN), page.to.map_or(i64::MAX, |to| to.saturating_sub(1)).min(after_at));
    let arms = arms(page);
    let sql_of = |(number, arm): (usize, &Arm)| {
        let of = [("machine_id = ? AND ", arm.machine_id.is_some()), ("name = ? AND ", arm.name.is_some())];
        let of: String = of.iter().filter(|(_, is_asked)| *is_asked).map(|(sql, _)| *sql).collect();
        format!(
            "SELECT * FROM (SELECT event_id, machine_id, name, occurred_at, body FROM machine_events{} \
             WHERE {of}occurred_at >= ? AND occurred_at <= ? AND (occurred_at < ? OR event_id < ?) {order}) AS arm{number}",
            dialect.by_index(arm.index)
        )
    };
    let sql: Vec<String> = arms.iter().enumerate().map(sql_of).collect();
    let mut query = sqlx::query(AssertSqlSafe(format!("{} {order}", sql.join(" UNION ALL "))));
    for arm in &arms {
        if let Some(machine_id) = arm.machine_id {
            query = query.bind(machine_id);
        }
        if let Some(name) = arm.name {
            query = query.bind(name);
        }
        query = query.bind(first).bind(last).bind(after_at).bind(after_id).bind(page.limit);
    }
    query.bind(page.limit).fetch_all(connection).await?.iter().map(event).collect()
}

/// Each of them passes nothing that is not meant, however much happened to other machines, or otherwise.
fn arms(page: &Page) -> Vec<Arm> {
    let names = || if page.names.is_empty() { NAMES.to_vec() } else { page.names.clone() }.into_iter().map(Some);
    if page.machine_ids.is_empty() {
        if page.names.is_empty() {
            return vec![Arm { index: "machine_events_at", machine_id: None, name: None }];
        }
        return names().map(|name| Arm { index: "machine_events_name", machine_id: None, name }).collect();
    }
    let of_machine = |id: &i64| {
        let machine_id = Some(*id);
        names().map(move |name| Arm { index: "machine_events_machine", machine_id, name })
    };
    page.machine_ids.iter().flat_map(of_machine).collect()
}

fn event(row: &AnyRow) -> Result<MachineEvent> {
    Ok(MachineEvent {
        id: row.try_get("event_id")?,
        machine_id: row.try_get("machine_id")?,
        name: row.try_get("name")?,
        occurred_at: row.try_get("occurred_at")?,
        body: row.try_get("body")?,
    })
}
