//! What conditions over windows look back at, between the host's row and the evaluator.
//!
//! Read when a host has any and this process did not write it last, which the time of the host's newest report tells: whoever evaluates a report
//! moves that on. Written when a window got a point.

use super::known::Cache;
use crate::store::hosts::{KeptWindows, LockedHost};
use crate::store::{self, Connection, Result, StoreError};
use crate::thresholds::Windows;

/// By host, with the time of the newest report that they know.
pub(super) type WindowCache = Cache<(i64, Windows)>;

impl WindowCache {
    /// Those of a locked host, before any of its new reports.
    pub(super) async fn read(&self, connection: &mut Connection, host: &LockedHost) -> Result<Windows> {
        if host.windows == KeptWindows::Nothing {
            return Ok(Windows::default());
        }
        let cached = self.take(host.row.host_key).filter(|(at, _)| *at == host.row.last_report_at);
        if let Some((_, windows)) = cached {
            return Ok(windows);
        }
        let text = store::hosts::windows(connection, host.row.host_key).await?;
        text.map_or(Ok(Windows::default()), |text| Windows::from_text(&text).map_err(StoreError::Corrupt))
    }
}
