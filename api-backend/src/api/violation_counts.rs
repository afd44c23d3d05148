//! `GET /violations/counts`: how many opened, for charts.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;

use super::fields::Fields;
use super::range::{Range, zone};
use super::violation_query::{Asked, Filters};
use super::{App, Problem};
use crate::store::violation_counts::{Counts, OfMachine, by_day, by_machine, by_metric};
use crate::thresholds::{Kind, Severity};
use crate::time::{DAY_MS, now_ms, rfc3339};

const DEFAULT_DAYS: i64 = 30;
/// Days of one answer: a year against the year before, as of the ledger.
const DAYS_MAX: i64 = 400;
/// Machines of one answer: those with the most.
const MACHINES_MAX: i64 = 100;

/// How many opened.
#[derive(Serialize, ToSchema)]
#[schema(as = ViolationCounts)]
pub(super) struct Counted {
    /// `day`, `machine`, `metric` or `severity`.
    by: String,
    #[schema(format = DateTime)]
    from: String,
    #[schema(format = DateTime)]
    to: String,
    total: OfSeverities,
    items: Vec<Item>,
    /// Whether there are machines beyond those that are listed.
    has_more: bool,
    next_cursor: Option<String>,
}

/// Those of one of what they are counted by.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = ViolationCount)]
enum Item {
    Day(DayCount),
    Machine(MachineCount),
    Metric(MetricCount),
    Severity(SeverityCount),
}

#[derive(Serialize, ToSchema)]
struct DayCount {
    /// Of the zone that was asked for.
    #[schema(format = Date)]
    day: String,
    #[serde(flatten)]
    counts: OfSeverities,
}

#[derive(Serialize, ToSchema)]
struct MachineCount {
    machine_id: String,
    machine_name: String,
    host_id: String,
    host_name: String,
    kind: Kind,
    #[serde(flatten)]
    counts: OfSeverities,
}

#[derive(Serialize, ToSchema)]
struct MetricCount {
    metric: String,
    #[serde(flatten)]
    counts: OfSeverities,
}

#[derive(Serialize, ToSchema)]
struct SeverityCount {
    severity: Severity,
    count: i64,
}

/// All, and those of each severity.
#[derive(Serialize, ToSchema)]
#[schema(as = SeverityCounts)]
struct OfSeverities {
    count: i64,
    info: i64,
    warning: i64,
    critical: i64,
}

/// How many violations opened, for charts: each day of the range, each severity, the metrics or the 100 machines with the most.
#[utoipa::path(get, path = "/violations/counts", tag = "violations",
    params(
        ("by" = Option<String>, Query, description = "`day` (default), `machine`, `metric` or `severity`"),
        ("from" = Option<String>, Query, description = "Time, or date in `tz`; default: 30 days before the end"),
        ("to" = Option<String>, Query, description = "The same; not in the range itself; default: now. 400 days at most"),
        ("tz" = Option<String>, Query, description = "IANA name of a time zone; default: the server's"),
        Filters,
    ),
    responses((status = 200, body = Counted)))]
pub(super) async fn count_violations(State(app): State<App>, mut fields: Fields) -> Result<Json<Counted>, Problem> {
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
    let items: Vec<Item> = match by.as_str() {
        "day" => all_days(&zone, from, to)?
            .into_iter()
            .map(|day| {
                Item::Day(DayCount { day: day.to_string(), counts: OfSeverities::of(days.get(&day).unwrap_or(&Counts::new())) })
            })
            .collect(),
        "severity" => [Severity::Info, Severity::Warning, Severity::Critical]
            .into_iter()
            .map(|severity| Item::Severity(SeverityCount { severity, count: count(&total, severity) }))
            .collect(),
        "metric" => {
            let metrics = by_metric(&mut snapshot, dialect, &filter, (from, to)).await?.into_iter();
            let mut metrics: Vec<_> =
                metrics.map(|(metric, counts)| MetricCount { metric, counts: OfSeverities::of(&counts) }).collect();
            metrics.sort_by_key(|metric| -metric.counts.count);
            metrics.into_iter().map(Item::Metric).collect()
        }
        "machine" => {
            let mut machines = by_machine(&mut snapshot, dialect, &filter, (from, to), MACHINES_MAX + 1).await?;
            has_more = machines.len() as i64 > MACHINES_MAX;
            machines.truncate(usize::try_from(MACHINES_MAX).unwrap_or(usize::MAX));
            machines.into_iter().map(|machine| Item::Machine(machine.into())).collect()
        }
        other => return Err(Problem::bad_request(format!("by: \"{other}\" is not one of day, machine, metric, severity"))),
    };
    let (from, to, total) = (rfc3339(from), rfc3339(to), OfSeverities::of(&total));
    Ok(Json(Counted { by, from, to, total, items, has_more, next_cursor: None }))
}

fn add(sum: &mut Counts, counts: &Counts) {
    for (severity, count) in counts {
        *sum.entry(*severity).or_default() += count;
    }
}

fn count(counts: &Counts, severity: Severity) -> i64 {
    counts.get(&severity).copied().unwrap_or(0)
}

impl OfSeverities {
    fn of(counts: &Counts) -> OfSeverities {
        let of = |severity| count(counts, severity);
        OfSeverities {
            count: counts.values().sum(),
            info: of(Severity::Info),
            warning: of(Severity::Warning),
            critical: of(Severity::Critical),
        }
    }
}

impl From<OfMachine> for MachineCount {
    fn from(machine: OfMachine) -> MachineCount {
        MachineCount {
            machine_id: machine.machine_id.to_string(),
            machine_name: machine.machine_name,
            host_id: machine.host_id,
            host_name: machine.host_name,
            kind: machine.kind,
            counts: OfSeverities::of(&machine.counts),
        }
    }
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
