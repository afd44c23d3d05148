//! `from`, `to` and `tz` of a query.

use jiff::tz::TimeZone;

use super::{App, Problem};
use crate::time::{parse_instant, rfc3339};

/// A half-open stretch of time; either end may be missing.
#[derive(Clone, Copy)]
pub(super) struct Range {
    pub(super) from: Option<i64>,
    pub(super) to: Option<i64>,
}

impl Range {
    /// Reads `from`, `to` and `tz`; dates are read in `tz`, else in the server's zone.
    pub(super) fn parse(app: &App, from: Option<&str>, to: Option<&str>, tz: Option<&str>) -> Result<Range, Problem> {
        let zone = zone(app, tz)?;
        let instant = |name: &str, text: Option<&str>| {
            text.map(|text| parse_instant(text, &zone).map_err(|problem| Problem::bad_request(format!("{name}: {problem}"))))
                .transpose()
        };
        let range = Range { from: instant("from", from)?, to: instant("to", to)? };
        if let (Some(from), Some(to)) = (range.from, range.to) {
            in_order(from, to)?;
        }
        Ok(range)
    }

    /// Both ends: now, and `default_ms` before the end, where they are missing.
    pub(super) fn ends(&self, now: i64, default_ms: i64) -> Result<(i64, i64), Problem> {
        let to = self.to.unwrap_or(now + 1);
        let from = self.from.unwrap_or(to.saturating_sub(default_ms));
        in_order(from, to)?;
        Ok((from, to))
    }
}

/// The zone of this name, else the server's.
pub(super) fn zone(app: &App, tz: Option<&str>) -> Result<TimeZone, Problem> {
    match tz {
        Some(name) => TimeZone::get(name).map_err(|_| Problem::bad_request(format!("tz: there is no time zone \"{name}\""))),
        None => Ok(app.zone.clone()),
    }
}

fn in_order(from: i64, to: i64) -> Result<(), Problem> {
    if from >= to {
        return Err(Problem::bad_request(format!("from {} is not before to {}", rfc3339(from), rfc3339(to))));
    }
    Ok(())
}
