//! What becomes of a violation that opens or closes: it is stored, and told of by an event.
//!
//! Ingest opens violations of what reports say, upkeep those of what they do not say; both do it here, in transactions of their own.

use super::Violation;
use crate::silence::Silences;
use crate::store::events::NewEvent;
pub(crate) use crate::store::violations::Closing;
use crate::store::{self, Connection, Result};
use crate::thresholds::evaluator::SeriesKey;

/// Stores a violation that is open, and announces it, unless it is under a silence when it is detected: then it is told as silenced, and
/// `silence::ending` announces it when it is still open afterwards. Its id is found here.
pub(crate) async fn open(
    connection: &mut Connection,
    silences: &Silences,
    violation: Violation,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let mut violation = under_silence(connection, silences, violation).await?;
    let name = match violation.attention.silenced {
        Some(_) => "violation.silenced",
        None => {
            violation.attention.announced_at = Some(violation.detected_at);
            "violation.opened"
        }
    };
    let id = store::violations::insert(connection, &violation).await?;
    events.push(event(name, &Violation { id, ..violation }));
    Ok(())
}

/// Stores a violation that is over by the time it becomes known: it closes in the same transaction, and is not announced as new.
pub(crate) async fn open_unannounced(connection: &mut Connection, silences: &Silences, violation: Violation) -> Result<()> {
    let violation = under_silence(connection, silences, violation).await?;
    store::violations::insert(connection, &violation).await?;
    Ok(())
}

async fn under_silence(connection: &mut Connection, silences: &Silences, mut violation: Violation) -> Result<Violation> {
    let now = violation.detected_at;
    silences.mark(connection, [&mut violation], now).await?;
    violation.attention.silence_id = violation.attention.silenced.map(|silenced| silenced.silence_id);
    Ok(violation)
}

/// Closes the violation of a series that opened at this time, and tells of it; nothing happens when it is not there.
pub(crate) async fn close(
    connection: &mut Connection,
    (key, opened_at): (&SeriesKey, i64),
    closing: Closing,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    if let Some(violation) = store::violations::close(connection, key, opened_at, closing).await? {
        events.push(event("violation.closed", &violation));
    }
    Ok(())
}

pub(crate) fn event(name: &'static str, violation: &Violation) -> NewEvent {
    NewEvent { topic: "violations", name, machine_id: violation.machine_id, occurred_at: None, body: violation.to_json() }
}
