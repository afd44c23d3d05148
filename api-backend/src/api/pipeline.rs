//! `GET /pipeline` and `GET /machines/{id}/pipeline`: what became of the reports, hop by hop and hour by hour.

use std::collections::{BTreeMap, HashMap};

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use wire_model::HostReport;

use super::extract::{Params, Part, id, limit};
use super::machines::newest_report;
pub(super) use super::pipeline_body::Pipeline;
use super::pipeline_body::{
    CollectorBody, DeadLetters, GapBody, Gaps, HostPipeline, Late, Ledger, Partition, PipelineHost, Position, Skipped, seconds,
};
use super::range::Range;
use super::{App, Problem};
use crate::absence::{self, lateness::Verdict};
use crate::history::newest_reports;
use crate::ledger::{Counts, Gap, HOUR_MS, hour_of};
use crate::pipeline::{self, Collector, Evidence, HostView};
use crate::store::consumers;
use crate::store::hosts::HostRow;
use crate::store::{self, Connection, StoreError};
use crate::thresholds::Kind;
use crate::time::{DAY_MS, now_ms, rfc3339};
use crate::upkeep::LEDGER_DAYS;

const DEFAULT_RANGE_MS: i64 = 24 * HOUR_MS;
/// Longest range over all hosts: the ledger has a row for every host and hour.
const RANGE_MAX_MS: i64 = 31 * 24 * HOUR_MS;
/// Longest range of one host: as long as its ledger is kept.
const HOST_RANGE_MAX_MS: i64 = LEDGER_DAYS * DAY_MS;
/// Hosts that are shown of each sort: whose newest report is oldest, and of which most is missing.
const WORST_HOSTS: i64 = 20;
/// Hosts whose reports are read only to count them.
const FIGURES_MAX: usize = 1_000;
/// Skipped ranges that are shown, the newest.
const SKIPPED_MAX: i64 = 100;
const DEFAULT_GAPS: i64 = 100;
const MAX_GAPS: i64 = 1_000;
/// Metrics that a collector reports of itself begin with this.
const COLLECTOR: &str = "collector.";

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PipelineParams {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
}

/// How far behind each hop is, what was lost and where.
#[utoipa::path(get, path = "/pipeline", tag = "pipeline", params(PipelineParams), responses((status = 200, body = Pipeline)))]
pub(super) async fn show_pipeline(
    State(app): State<App>,
    Params(params): Params<PipelineParams>,
) -> Result<Json<Pipeline>, Problem> {
    let now = now_ms();
    let range = Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let range = bounded(&range, now, RANGE_MAX_MS)?;
    let PipelineParams { from, to, tz } = params;
    app.pipeline.get(format!("{from:?} {to:?} {tz:?}"), pipeline(&app, range, now)).await.map(Json)
}

/// What is answered to those who name no range, for the stream.
pub(super) async fn current(app: &App) -> Result<Pipeline, Problem> {
    let now = now_ms();
    app.pipeline.get(String::new(), pipeline(app, (now - DEFAULT_RANGE_MS, now + 1), now)).await
}

async fn pipeline(app: &App, (from, to): (i64, i64), now: i64) -> Result<Pipeline, Problem> {
    let connection = &mut *app.store.read().await?;
    let hours = store::ledger::by_hour(connection, None, hour_of(from), to).await?;
    let missing: BTreeMap<i64, Counts> =
        store::ledger::worst_hosts(connection, hour_of(from), to, WORST_HOSTS).await?.into_iter().collect();
    let heard_at = consumers::last_heard(connection).await?;
    // of consumers that are all silent the last word counts
    let since = heard_at.map_or(0, |heard_at| heard_at.min(now) - pipeline::PARTITION_FORGOTTEN_MS);
    let partitions = consumers::partitions(connection, since).await?;
    let recently = now - pipeline::LOSS_SHOWN_MS;
    let all = store::hosts::all(connection).await?;
    let stored_at = all.iter().map(|host| host.last_received_at).max().filter(|at| *at > 0);
    let (shown, others) = worst(all, &missing, now);
    let hosts = read_hosts(connection, shown).await?;
    let mut evidence = Evidence {
        hosts: hosts.iter().map(|host| host.view.clone()).collect(),
        loss: store::ledger::recent_loss(connection, recently).await?,
        skipped: consumers::recently_skipped(connection, recently).await?,
        rejected: store::ledger::recent_rejections(connection, recently).await?,
        consumer_heard_at: heard_at,
        stored_at,
        partitions,
    };
    let lag_ms = evidence.behind_collectors_ms(now);
    evidence.hosts.extend(read_views(connection, &others, |view| view.collector(now, lag_ms)).await?);
    let hops = pipeline::judge(&evidence, now);
    let verdict = absence::judge(connection, now).await?;
    let skipped = consumers::skipped(connection, from, to, SKIPPED_MAX).await?;
    let dead_letters = consumers::dead_letters(connection).await?;
    Ok(Pipeline {
        from: rfc3339(from),
        to: rfc3339(to),
        status: hops.status(),
        summary: hops.summary(),
        hops,
        late: late(verdict),
        ledger: Ledger::of(&hours),
        partitions: evidence.partitions.iter().map(|row| Partition::of(row, now)).collect(),
        skipped: skipped.iter().map(Skipped::from).collect(),
        dead_letters: dead_letters.iter().map(DeadLetters::from).collect(),
        hosts: hosts.iter().map(|host| host.to_body(missing.get(&host.row.host_key), now, lag_ms)).collect(),
    })
}

/// What violations of `pipeline.lag` are made of; `None` while hosts can be judged.
fn late(verdict: Verdict) -> Option<Late> {
    let Verdict::Late { lag_ms, cause } = verdict else { return None };
    Some(Late { lag_seconds: seconds(lag_ms), cause: cause.to_string() })
}

#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct HostPipelineParams {
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    cursor: Option<String>,
    limit: Option<i64>,
}

/// The same of one host, with each gap by its numbers and times.
#[utoipa::path(get, path = "/machines/{id}/pipeline", tag = "pipeline", params(("id" = String, Path), HostPipelineParams),
    responses((status = 200, body = HostPipeline)))]
pub(super) async fn show_host_pipeline(
    State(app): State<App>,
    Part(text): Part,
    Params(params): Params<HostPipelineParams>,
) -> Result<Json<HostPipeline>, Problem> {
    let now = now_ms();
    let limit = limit(params.limit, DEFAULT_GAPS, MAX_GAPS)?;
    let after = params.cursor.as_deref().map(parse_cursor).transpose()?;
    let range = Range::parse(&app, params.from.as_deref(), params.to.as_deref(), params.tz.as_deref())?;
    let (from, to) = bounded(&range, now, HOST_RANGE_MAX_MS)?;
    let connection = &mut *app.store.read().await?;
    let machine = store::machines::get(connection, id("machine", &text)?).await?;
    let machine = machine.ok_or_else(|| Problem::no_such("machine", &text))?;
    if machine.kind == Kind::Container {
        return Err(Problem::bad_request(format!(
            "machine {text} is a container, which is in the reports of its host: ask for the host's pipeline"
        )));
    }
    let host = store::hosts::get(connection, machine.host_key).await?.ok_or_else(|| Problem::no_such("host", &text))?;
    let hours = store::ledger::by_hour(connection, Some(host.host_key), hour_of(from), to).await?;
    let mut gaps = store::ledger::list_gaps(connection, host.host_key, (from, to), after, limit + 1).await?;
    let has_more = gaps.len() as i64 > limit;
    gaps.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    let next_cursor = gaps.last().filter(|_| has_more).and_then(cursor);
    let report = newest_report(connection, host.host_key).await?;
    let position = (host.last_epoch, host.last_seq) != (0, 0);
    Ok(Json(HostPipeline {
        machine_id: machine.machine_id.to_string(),
        host_id: host.host_id,
        host_name: machine.name,
        from: rfc3339(from),
        to: rfc3339(to),
        position: position.then_some(Position { epoch: host.last_epoch, seq: host.last_seq }),
        newest_report_at: rfc3339(host.last_report_at),
        received_at: rfc3339(host.last_received_at),
        collector: report.map(|report| CollectorBody { metrics: own_figures(&report), version: report.host.collector }),
        ledger: Ledger::of(&hours),
        gaps: Gaps { items: gaps.iter().map(GapBody::from).collect(), next_cursor },
    }))
}

/// The range that is asked for, the last day by default. The hours of the ledger are all that touch it.
fn bounded(range: &Range, now: i64, longest_ms: i64) -> Result<(i64, i64), Problem> {
    let (from, to) = range.ends(now, DEFAULT_RANGE_MS)?;
    if to.saturating_sub(from) > longest_ms {
        let days = longest_ms / (24 * HOUR_MS);
        return Err(Problem::bad_request(format!("the range is longer than {days} days: ask for a shorter one")));
    }
    Ok((from, to))
}

/// The hosts to show: whose newest report is oldest, and of which most is missing; and the others.
fn worst(mut hosts: Vec<HostRow>, missing: &BTreeMap<i64, Counts>, now: i64) -> (Vec<HostRow>, Vec<HostRow>) {
    hosts.sort_by_key(|host| (host.last_report_at, host.host_key));
    let mut left = WORST_HOSTS;
    hosts.into_iter().partition(|host| {
        let is_shown = left > 0 && host.last_report_at > 0 && now - host.last_received_at <= pipeline::HOST_FORGOTTEN_MS;
        left -= i64::from(is_shown);
        is_shown || missing.contains_key(&host.host_key)
    })
}

/// Hosts that are counted without being shown. Reports are read of those alone that seem to send a backlog.
async fn read_views(
    connection: &mut Connection,
    rows: &[HostRow],
    collector: impl Fn(&HostView) -> Collector,
) -> Result<Vec<HostView>, StoreError> {
    let mut views: Vec<_> = rows.iter().filter(|row| row.last_report_at > 0).map(|row| (row, view(row, None))).collect();
    views.sort_by_key(|(_, view)| view.newest_at);
    let sending = views.iter().filter(|(_, view)| matches!(collector(view), Collector::Sending(_)));
    let keys: Vec<i64> = sending.map(|(row, _)| row.host_key).take(FIGURES_MAX).collect();
    let reports = newest_reports(connection, &keys).await?;
    for (row, seen) in &mut views {
        if let Some(report) = reports.get(&row.host_key) {
            *seen = view(row, Some(report));
        }
    }
    Ok(views.into_iter().map(|(_, view)| view).collect())
}

/// What is known of a host's collector, with and without its newest report.
fn view(row: &HostRow, report: Option<&HostReport>) -> HostView {
    HostView {
        name: report.map_or(&row.host_id, |report| &report.host.name).clone(),
        interval_ms: row.interval_ms,
        newest_at: row.last_report_at,
        received_at: row.last_received_at,
        spool_age: report.and_then(|report| report.metrics.get("collector.spool.age").copied().flatten()),
    }
}

/// A host with what its newest report says.
struct HostOfPipeline {
    row: HostRow,
    machine_id: Option<i64>,
    view: HostView,
    figures: BTreeMap<String, Option<f64>>,
    version: Option<String>,
}

async fn read_hosts(connection: &mut Connection, rows: Vec<HostRow>) -> Result<Vec<HostOfPipeline>, StoreError> {
    let keys: Vec<i64> = rows.iter().map(|row| row.host_key).collect();
    let mut reports = newest_reports(connection, &keys).await?;
    let names: Vec<_> = keys.iter().map(|key| (*key, Kind::Host, "")).collect();
    let machines = store::machines::named(connection, &names).await?;
    let ids: HashMap<i64, i64> = machines.into_iter().map(|machine| (machine.host_key, machine.machine_id)).collect();
    let host = |row: HostRow| {
        let report = reports.remove(&row.host_key);
        HostOfPipeline {
            machine_id: ids.get(&row.host_key).copied(),
            view: view(&row, report.as_ref()),
            figures: report.as_ref().map(own_figures).unwrap_or_default(),
            version: report.and_then(|report| report.host.collector),
            row,
        }
    };
    Ok(rows.into_iter().map(host).collect())
}

impl HostOfPipeline {
    fn to_body(&self, missing: Option<&Counts>, now: i64, lag_ms: i64) -> PipelineHost {
        let figure = |name: &str| self.figures.get(name).copied().flatten();
        let oldest_unsent_at = match self.view.collector(now, lag_ms) {
            Collector::Sending(at) => Some(at),
            Collector::InTime | Collector::Silent(_) | Collector::Forgotten => None,
        };
        PipelineHost {
            machine_id: self.machine_id.map(|id| id.to_string()),
            host_id: self.row.host_id.clone(),
            host_name: self.view.name.clone(),
            collector_version: self.version.clone(),
            newest_report_at: rfc3339(self.row.last_report_at),
            received_at: rfc3339(self.row.last_received_at),
            late_seconds: seconds(self.row.last_received_at - self.row.last_report_at),
            oldest_unsent_at: oldest_unsent_at.map(rfc3339),
            spool_bytes: figure("collector.spool.usage"),
            spool_reports: figure("collector.spool.reports"),
            missing: missing.copied().unwrap_or_default().into(),
        }
    }
}

fn own_figures(report: &HostReport) -> BTreeMap<String, Option<f64>> {
    report.metrics.iter().filter(|(name, _)| name.starts_with(COLLECTOR)).map(|(name, value)| (name.clone(), *value)).collect()
}

fn cursor(gap: &Gap) -> Option<String> {
    gap.id.map(|id| format!("{}.{id}", gap.to_at))
}

fn parse_cursor(text: &str) -> Result<(i64, i64), Problem> {
    let parts = text.split_once('.').and_then(|(to_at, id)| Some((to_at.parse().ok()?, id.parse().ok()?)));
    parts.ok_or_else(|| Problem::bad_request(format!("cursor: \"{text}\" is not one of ours")))
}
