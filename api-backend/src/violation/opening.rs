//! What becomes of a violation that opens or closes: it is stored, and told of by an event.
//!
//! Ingest opens violations of what reports say, upkeep those of what they do not say; both do it here, in transactions of their own.

use super::Violation;
use crate::store::events::NewEvent;
use crate::store::{self, Connection, Result};
use crate::thresholds::evaluator::{CloseReason, SeriesKey};

/// Stores a violation that is open, and announces it. Its id is found here.
pub(crate) async fn open(connection: &mut Connection, violation: Violation, events: &mut Vec<NewEvent>) -> Result<()> {
    let id = store::violations::insert(connection, &violation).await?;
    events.push(event("violation.opened", &Violation { id, ..violation }));
    Ok(())
}

/// Stores a violation that is over by the time it becomes known: it closes in the same transaction, and is not announced as new.
pub(crate) async fn open_unannounced(connection: &mut Connection, violation: Violation) -> Result<()> {
    store::violations::insert(connection, &violation).await?;
    Ok(())
}

/// Why and by what a violation closes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Closing {
    /// Time of what decided it,
    pub(crate) at: i64,
    /// and the value then.
    pub(crate) value: Option<f64>,
    pub(crate) reason: CloseReason,
}

/// Closes the violation of a series that opened at this time, and tells of it; nothing happens when it is not there.
pub(crate) async fn close(
    connection: &mut Connection,
    (key, opened_at): (&SeriesKey, i64),
    closing: Closing,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let Closing { at, value, reason } = closing;
    if let Some(violation) = store::violations::close(connection, key, opened_at, at, value, reason).await? {
        events.push(event("violation.closed", &violation));
    }
    Ok(())
}

pub(crate) fn event(name: &'static str, violation: &Violation) -> NewEvent {
    NewEvent { topic: "violations", name, machine_id: violation.machine_id, body: violation.to_json() }
}
