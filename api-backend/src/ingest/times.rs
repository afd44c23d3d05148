//! The time under which a report is stored: its own, or the next that is free.
//!
//! A clock that was set back makes times anew that are taken already, and often the same ones: collectors report at multiples of their
//! interval.

use std::collections::HashMap;

use wire_model::ReportId;

use super::accounting::Record;
use super::name::Mark;
use crate::history;
use crate::store::hosts::HostRow;
use crate::store::{Connection, Result};

/// How far from its own time a report may be stored.
pub const SHIFT_MS_MAX: i64 = 16;

/// Times of a host at which reports are stored, as far as those of a batch may meet them.
pub(super) struct Times(HashMap<i64, ReportId>);

/// Where a report belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// It is there already.
    Known,
    /// Here.
    Free(i64),
    /// Nowhere: all times that it may take are taken.
    Taken,
}

impl Times {
    /// Reads them. What is newer than the host's newest needs no look-up; what is in nobody's way needs one of its own time alone.
    pub(super) async fn of(connection: &mut Connection, host: &HostRow, records: &[Record<'_>]) -> Result<Times> {
        let all: Vec<Mark> = records.iter().map(Record::mark).collect();
        let newest = host.last_report_at + SHIFT_MS_MAX;
        let late: Vec<i64> = all.iter().map(|mark| mark.at).filter(|at| (0..=newest).contains(at)).collect();
        if late.is_empty() {
            return Ok(Times(HashMap::new()));
        }
        let mut times = history::existing(connection, host.host_key, &late).await?;
        let mut seen = times.clone();
        if all.iter().any(|mark| *seen.entry(mark.at).or_insert(mark.id) != mark.id) {
            let around: Vec<i64> = late.iter().flat_map(|at| at + 1..=at + SHIFT_MS_MAX).collect();
            times.extend(history::existing(connection, host.host_key, &around).await?);
        }
        Ok(Times(times))
    }

    /// Where a report belongs.
    pub(super) fn place(&self, mark: Mark) -> Place {
        let range = mark.at..=mark.at.saturating_add(SHIFT_MS_MAX);
        if range.clone().any(|at| self.0.get(&at) == Some(&mark.id)) {
            return Place::Known;
        }
        range.into_iter().find(|at| !self.0.contains_key(at)).map_or(Place::Taken, Place::Free)
    }

    /// A report takes a time that was free.
    pub(super) fn take(&mut self, at: i64, id: ReportId) {
        self.0.insert(at, id);
    }
}
