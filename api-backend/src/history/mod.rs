//! What was measured, over time: the head (reports as they came), raw chunks (`seal`), and rollups of 5 minutes.
//!
//! A report stands in the head until its quarter of an hour is some minutes old; then it is in the chunks of its machines and in its
//! host's stretch, which keeps its time and its name. Knows nothing of HTTP.

mod buckets;
mod chunk;
mod gather;
mod head;
mod known;
mod plan;
pub mod removal;
pub mod replay;
mod report_state;
pub mod rollup;
pub(crate) mod scale;
pub mod seal;
mod series;
mod time;
mod top;

pub use head::{deflate, late_payload, newest_reports, packed_payload};
pub use known::existing;
pub use scale::rounded;
pub use series::{
    ALL_POINTS_MAX, Detail, HistoryError, POINTS_MAX, REPORTS_MAX, Series, SeriesQuery, read_series, removed_before,
};
pub use time::{QUARTER_MS, day_of, quarter_of};
pub use top::{Top, TopMachine, newest, over_range};
