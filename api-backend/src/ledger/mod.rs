//! What became of every report. An [`Account`] walks over the reports of one host as they arrive, finds what is missing between them,
//! and counts by hour.
//!
//! Plain functions on plain data: no database, no clock, no HTTP. At any time, for what an account has seen,
//! `expected = stored + rejected + thinned + dropped + damaged + lost`, and a report that was counted before changes `duplicate`
//! alone. Property tests hold it against a naive model (`tests/ledger.rs`).

mod account;
mod gap;

use std::ops::{AddAssign, SubAssign};

use serde::Serialize;
use utoipa::ToSchema;
use wire_model::{Removed, ReportId};

pub use account::{Account, EPOCH_JUMP_MAX, REJECTED_JUMP_MAX, SEQ_JUMP_MAX};
pub use gap::{Gap, SPREAD_MS_MAX};

/// Width of what is counted together.
pub const HOUR_MS: i64 = 3_600_000;

/// Start of the hour that a time lies in.
pub fn hour_of(at: i64) -> i64 {
    at - at.rem_euclid(HOUR_MS)
}

/// Reports of one hour, or a change of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Counts {
    /// In the database.
    pub stored: i64,
    /// Of the stored ones those that came after a newer report of their host.
    pub late: i64,
    /// Came once more; expected once only.
    pub duplicate: i64,
    /// Can never be stored: in the dead-letter topic.
    pub rejected: i64,
    /// Removed by the collector so that its spool lasts longer.
    pub thinned: i64,
    /// Removed by the collector because its spool was full, or because Kafka would never take them.
    pub dropped: i64,
    /// Not readable any more on the collector's disk.
    pub damaged: i64,
    /// Made, not removed by the collector, and not here.
    pub lost: i64,
}

impl Counts {
    /// Every report that was made, as far as is known.
    pub fn expected(&self) -> i64 {
        self.stored + self.rejected + self.missing()
    }

    /// The same function of each.
    #[must_use]
    pub fn map(&self, of: impl Fn(i64) -> i64) -> Counts {
        Counts {
            stored: of(self.stored),
            late: of(self.late),
            duplicate: of(self.duplicate),
            rejected: of(self.rejected),
            thinned: of(self.thinned),
            dropped: of(self.dropped),
            damaged: of(self.damaged),
            lost: of(self.lost),
        }
    }

    /// Made and neither stored nor rejected.
    pub fn missing(&self) -> i64 {
        self.thinned + self.dropped + self.damaged + self.lost
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.stored += other.stored;
        self.late += other.late;
        self.duplicate += other.duplicate;
        self.rejected += other.rejected;
        self.thinned += other.thinned;
        self.dropped += other.dropped;
        self.damaged += other.damaged;
        self.lost += other.lost;
    }
}

impl SubAssign for Counts {
    fn sub_assign(&mut self, other: Counts) {
        self.stored -= other.stored;
        self.late -= other.late;
        self.duplicate -= other.duplicate;
        self.rejected -= other.rejected;
        self.thinned -= other.thinned;
        self.dropped -= other.dropped;
        self.damaged -= other.damaged;
        self.lost -= other.lost;
    }
}

/// A report that came and can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Which one.
    pub id: ReportId,
    /// Its own time, Unix ms.
    pub at: i64,
    /// As the report says.
    pub previous: Option<ReportId>,
    /// As the report says.
    pub removed: Removed,
    /// What becomes of it.
    pub outcome: Outcome,
}

/// What becomes of a report that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Stored now.
    Stored,
    /// Stored now; before, in the hour that begins here, it was counted as rejected.
    StoredAfterAll(i64),
    /// Can never be stored, and was not counted before.
    Rejected,
    /// Was counted before.
    Duplicate,
}
