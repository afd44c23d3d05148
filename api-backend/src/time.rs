//! Times: Unix ms inside, RFC 3339 in UTC with ms outside.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A day.
pub const DAY_MS: i64 = 86_400_000;

/// Now, in Unix ms.
pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// `2026-11-21T09:00:00.000Z`.
pub fn rfc3339(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        // beyond the year 9999
        Err(_) => ms.to_string(),
    }
}

/// Serialises Unix ms as RFC 3339.
pub fn serialize<S: serde::Serializer>(ms: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&rfc3339(*ms))
}

/// The same for a time that may be absent.
pub fn serialize_option<S: serde::Serializer>(ms: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match ms {
        Some(ms) => serialize(ms, serializer),
        None => serializer.serialize_none(),
    }
}

/// An instant in RFC 3339, or a date, which means its first instant in `zone`.
pub fn parse_instant(text: &str, zone: &TimeZone) -> Result<i64, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    // a "+" that was not escaped in a query arrives as a space
    if let Ok(time) = text.replace(' ', "+").parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let date: Date = text
        .parse()
        .ok()
        .filter(|_| text.len() == "2026-11-21".len())
        .ok_or_else(|| format!("\"{text}\" is neither a time like 2026-11-21T09:00:00Z nor a date like 2026-11-21"))?;
    let start = date.to_zoned(zone.clone()).map_err(|error| format!("\"{text}\": {error}"))?;
    Ok(start.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_dates_are_read() {
        let seoul = TimeZone::get("Asia/Seoul").unwrap();
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(parse_instant(text, &seoul).ok().map(rfc3339).as_deref(), expected, "{text}");
        };
        check("2026-11-21T09:00:00Z", Some("2026-11-21T09:00:00.000Z"));
        check("2026-11-21T09:00:00.25+09:00", Some("2026-11-21T00:00:00.250Z"));
        check("2026-11-21T09:00:00 09:00", Some("2026-11-21T00:00:00.000Z"));
        check("2026-11-21", Some("2026-11-20T15:00:00.000Z"));
        check("2026-11-31", None);
        check("2026-11-21T09:00:00", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn a_day_that_begins_after_midnight_begins_at_its_first_instant() {
        // Cuba moves its clocks at midnight
        let havana = TimeZone::get("America/Havana").unwrap();
        assert_eq!(parse_instant("2026-03-08", &havana).map(rfc3339).unwrap(), "2026-03-08T05:00:00.000Z");
    }
}
