//! A bounded first-in first-out of records on disk. What is appended stays, through `kill -9` and a full or failing disk, until it is
//! acknowledged; what had to be removed is counted in the next record.
//!
//! [`Spool`] appends to the newest segment ([`segment`]), reads behind a position of its own ([`scanner`]) and remembers what was
//! acknowledged ([`note`]). When it is full it thins, then drops its oldest segments ([`shrink`]). It reads what was damaged around the
//! damage, and keeps a copy of the damaged segment, or the segment itself when it cannot be read at all ([`quarantine`]). One thread
//! owns it; it knows nothing of Kafka, nor of what is in a record.

mod chain;
mod frame;
mod note;
mod quarantine;
mod scanner;
mod segment;
mod shrink;
mod spool;

pub use crate::frame::{RECORD_BYTES, Record};
pub use crate::spool::{AppendError, SPOOL_BYTES_MIN, SYNC_EVERY, Spool, Totals};
