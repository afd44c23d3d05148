//! `GET /violations/counts`: how many opened, for charts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::fields::Fields;
use super::range::{Range, zone};
use super::violation_query::Asked;
use super::{App, Problem};
use crate::store::violation_counts::{Counts, by_day, by_machine, by_metric};
use crate::thresholds::Severity;
use crate::time::{DAY_MS, now_ms, rfc3339};

const DEFAULT_DAYS: i64 = 30;
/// Days of one answer: a year against the year before, as of the ledger.
const DAYS_MAX: i64 = 400;
/// Machines of one answer: those with the most.
const MACHINES_MAX: i64 = 100;

pub(super) async fn count_violations(State(app): State<App>, mut fields: Fields) -> Result<Json<Value>, Problem> {
    let tz = fields.one("tz")?;
    let zone = zone(&app, tz.as_deref())?;
    let range = Range::parse(&app, fields.one("from")?.as_deref(), fields.one("to")?.as_deref(), tz.as_deref())?;
    let (from, to) = range.ends(now_ms(), DEFAULT_DAYS * DAY_MS)?;
    if to - from > DAYS_MAX * DAY_MS {
        return Err(Problem::unprocessable(format!("the range is longer than {DAYS_MAX} days")));
    }
    let by = fields.one("by")?.unwrap_or_else(|| "day".to_owned());
    let asked = Asked::take(&mut fields)?;
    fields.end()?;
    if asked.only_silenced {
        return Err(Problem::bad_request("state: counts are of open or closed ones"));
    }
    // one state of the database, so that the parts are of the whole
    let mut snapshot = app.store.snapshot().await?;
    let filter = asked.filter(&mut snapshot).await?;
    let dialect = app.store.dialect();
    let mut days: BTreeMap<Date, Counts> = BTreeMap::new();
    for Stretch { from, to, offset_ms } in stretches(&zone, from, to)? {
        for (day_at, counts) in by_day(&mut snapshot, dialect, &filter, (from, to), offset_ms).await? {
            add(days.entry(date(day_at)?).or_default(), &counts);
        }
    }
    let mut total = Counts::new();
    days.values().for_each(|counts| add(&mut total, counts));
    let mut has_more = false;
    let items: Vec<Value> = match by.as_str() {
        "day" => all_days(&zone, from, to)?
            .into_iter()
            .map(|day| with_counts(json!({"day": day.to_string()}), days.get(&day).unwrap_or(&Counts::new())))
            .collect(),
        "severity" => [Severity::Info, Severity::Warning, Severity::Critical]
            .iter()
            .map(|severity| json!({"severity": severity, "count": total.get(severity).unwrap_or(&0)}))
            .collect(),
        "metric" => {
            let mut metrics: Vec<_> = by_metric(&mut snapshot, dialect, &filter, (from, to)).await?.into_iter().collect();
            metrics.sort_by_key(|(_, counts)| -counts.values().sum::<i64>());
            metrics.into_iter().map(|(metric, counts)| with_counts(json!({"metric": metric}), &counts)).collect()
        }
        "machine" => {
            let mut machines = by_machine(&mut snapshot, dialect, &filter, (from, to), MACHINES_MAX + 1).await?;
            has_more = machines.len() as i64 > MACHINES_MAX;
            machines.truncate(usize::try_from(MACHINES_MAX).unwrap_or(usize::MAX));
            let item = |machine: &crate::store::violation_counts::OfMachine| {
                let item = json!({
                    "machine_id": machine.machine_id.to_string(),
                    "machine_name": machine.machine_name,
                    "host_id": machine.host_id,
                    "host_name": machine.host_name,
                    "kind": machine.kind,
                });
                with_counts(item, &machine.counts)
            };
            machines.iter().map(item).collect()
        }
        other => return Err(Problem::bad_request(format!("by: \"{other}\" is not one of day, machine, metric, severity"))),
    };
    Ok(Json(json!({
        "by": by, "from": rfc3339(from), "to": rfc3339(to), "total": with_counts(json!({}), &total),
        "items": items, "has_more": has_more, "next_cursor": null,
    })))
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (severity, count) in counts {
        *sum.entry(*severity).or_default() += count;
    }
}

fn with_counts(mut item: Value, counts: &Counts) -> Value {
    item["count"] = json!(counts.values().sum::<i64>());
    for severity in [Severity::Info, Severity::Warning, Severity::Critical] {
        item[severity.as_str()] = json!(counts.get(&severity).unwrap_or(&0));
    }
    item
}

/// A stretch of time in which a zone's clocks are not moved.
#[derive(Debug, PartialEq)]
struct Stretch {
    from: i64,
    to: i64,
    /// What they show beyond UTC.
    offset_ms: i64,
}

fn stretches(zone: &TimeZone, from: i64, to: i64) -> Result<Vec<Stretch>, Problem> {
    let (first, end) = (instant(from)?, instant(to)?);
    let moves = zone.following(first).map(|moved| moved.timestamp()).take_while(|at| *at < end);
    let mut begins = vec![first];
    begins.extend(moves);
    let ends = begins[1..].iter().copied().chain([end]).collect::<Vec<_>>();
    let stretch = |(begin, end): (&Timestamp, Timestamp)| Stretch {
        from: begin.as_millisecond(),
        to: end.as_millisecond(),
        offset_ms: i64::from(zone.to_offset(*begin).seconds()) * 1_000,
    };
    Ok(begins.iter().zip(ends).map(stretch).filter(|stretch| stretch.from < stretch.to).collect())
}

/// Every day of a zone of which something is in the range.
fn all_days(zone: &TimeZone, from: i64, to: i64) -> Result<Vec<Date>, Problem> {
    let first = zone.to_datetime(instant(from)?).date();
    let last = zone.to_datetime(instant(to - 1)?).date();
    Ok(first.series(jiff::Span::new().days(1)).take_while(|day| *day <= last).collect())
}

/// The day that begins at this time of UTC.
fn date(at: i64) -> Result<Date, Problem> {
    Ok(TimeZone::UTC.to_datetime(instant(at)?).date())
}

fn instant(ms: i64) -> Result<Timestamp, Problem> {
    let from_epoch = SignedDuration::from_millis(ms);
    Timestamp::from_duration(from_epoch).map_err(|_| Problem::bad_request(format!("{ms}: no calendar has this time")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_moved_between_stretches() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap().as_millisecond();
        let (from, moved, to) = (at("2026-10-24T22:00:00Z"), at("2026-10-25T01:00:00Z"), at("2026-10-25T23:00:00Z"));
        let expected = [Stretch { from, to: moved, offset_ms: 7_200_000 }, Stretch { from: moved, to, offset_ms: 3_600_000 }];
        assert_eq!(stretches(&berlin, from, to).unwrap(), expected);
        assert_eq!(stretches(&berlin, moved, to).unwrap(), expected[1..]);
        assert_eq!(stretches(&berlin, from, moved).unwrap(), expected[..1]);
        assert_eq!(all_days(&berlin, from, to).unwrap().len(), 1);
        assert_eq!(all_days(&berlin, from, to + 1).unwrap().len(), 2);
        assert_eq!(all_days(&TimeZone::UTC, from, to).unwrap().len(), 2);
    }
}
