//! `POST /thresholds/backtest`: what a rule would have opened. `POST /thresholds/suggest`: which value opens no more than one wants.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, SemaphorePermit};
use wire_model::catalog;

use super::extract::{Body, id};
use super::range::Range;
use super::threshold_body::{self, ThresholdBody};
use super::{App, Problem};
use crate::backtest::{self, BacktestError, Candidate, Caught, Only, Question, RANGE_MS_MAX, Scope, SuggestError, UNSAVED};
use crate::history::replay::Stay;
use crate::store;
use crate::thresholds::evaluator::CloseReason;
use crate::thresholds::{Effect, Kind, Quantity, SCOPE_LABELS, Threshold};
use crate::time::{DAY_MS, now_ms, rfc3339};

/// Backtests at work at once.
pub(super) const BACKTESTS: usize = 2;
/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// How long one may take; when its client goes it ends sooner.
const TIME_MAX: Duration = Duration::from_secs(25);
const DEFAULT_RANGE_MS: i64 = 7 * DAY_MS;
/// Violations in an answer.
const VIOLATIONS_MAX: usize = 1_000;
/// Machines in an answer.
const MACHINES_MAX: usize = 500;
/// Violations in the timeline of a machine.
const TIMELINE_MAX: usize = 200;
/// Machines that a request may name.
const ONLY_MAX: usize = 100;

/// Which rule, when and where.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BacktestBody {
    /// One that need not be stored,
    threshold: Option<ThresholdBody>,
    /// or one that is.
    threshold_id: Option<String>,
    from: Option<String>,
    to: Option<String>,
    tz: Option<String>,
    #[serde(default)]
    only: OnlyBody,
    /// Of a suggestion.
    at_most_per_week: Option<f64>,
}

/// A narrower scope.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OnlyBody {
    #[serde(default)]
    machine_ids: Vec<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

pub(super) async fn backtest(State(app): State<App>, Body(body): Body<BacktestBody>) -> Result<Json<Value>, Problem> {
    if body.at_most_per_week.is_some() {
        return Err(Problem::unprocessable("at_most_per_week: is for suggestions"));
    }
    let question = question(&app, body).await?;
    let _place = place(&app.backtests).await?;
    let (scope, stays) = in_time(backtest::run(&app.store, &question)).await??;
    Ok(Json(told(&question, &scope, stays)))
}

pub(super) async fn suggest(State(app): State<App>, Body(mut body): Body<BacktestBody>) -> Result<Json<Value>, Problem> {
    let at_most = body.at_most_per_week.take().ok_or_else(|| Problem::unprocessable("at_most_per_week: is missing"))?;
    if !at_most.is_finite() || at_most < 0.0 {
        return Err(Problem::unprocessable(format!("at_most_per_week: {at_most} is no number of violations")));
    }
    // it is what is looked for
    body.threshold = body.threshold.map(|threshold| threshold.with_value(0.0));
    let question = question(&app, body).await?;
    if question.rule.quantity != Quantity::Value {
        return Err(Problem::unprocessable("condition: values are suggested for the condition \"value\" alone"));
    }
    if catalog::is_derived(&question.rule.metric) {
        return Err(Problem::unprocessable(format!("metric: {} is a state, of which there are no values", question.rule.metric)));
    }
    let _place = place(&app.backtests).await?;
    let (scope, suggestion) = in_time(backtest::suggest(&app.store, &question, at_most)).await??;
    let candidates: Vec<Value> = suggestion.candidates.iter().map(candidate).collect();
    Ok(Json(json!({
        "proposed": suggestion.proposed.map(|number| candidates[number].clone()),
        "candidates": candidates,
        "allowed": suggestion.allowed,
        "machines_in_scope": scope.names.len(),
        "reports": scope.reports,
        "evaluated_from": rfc3339(scope.from),
        "evaluated_to": rfc3339(question.to),
    })))
}

/// One of few that may be at work.
async fn place(places: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    let place = tokio::time::timeout(WAIT, places.acquire()).await.ok().and_then(Result::ok);
    place.ok_or_else(|| Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{BACKTESTS} backtests are at work: try again")))
}

async fn in_time<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    let late = format!("it takes longer than {} s: ask for a shorter range or fewer machines", TIME_MAX.as_secs());
    tokio::time::timeout(TIME_MAX, work).await.map_err(|_| Problem::unprocessable(late))
}

async fn question(app: &App, body: BacktestBody) -> Result<Question, Problem> {
    let mut connection = app.store.read().await?;
    let rule = match (body.threshold, body.threshold_id) {
        (Some(threshold), None) => Threshold { id: UNSAVED, ..threshold_body::read(&mut connection, threshold).await? },
        (None, Some(text)) => {
            let rule = store::thresholds::get(&mut connection, id("threshold", &text)?).await?;
            rule.ok_or_else(|| Problem::no_such("threshold", &text))?
        }
        _ => return Err(Problem::unprocessable("either threshold or threshold_id: one of them says which rule")),
    };
    if rule.effect == Effect::None {
        return Err(Problem::unprocessable("effect: a rule without an effect opens nothing"));
    }
    if rule.kind == Kind::Pipeline || !catalog::is_told_by_reports(&rule.metric) {
        let detail = format!("metric: {} is not told by reports, so that nothing of it can be looked at again", rule.metric);
        return Err(Problem::unprocessable(detail));
    }
    let now = now_ms();
    let range = Range::parse(app, body.from.as_deref(), body.to.as_deref(), body.tz.as_deref())?;
    let (from, to) = range.ends(now, DEFAULT_RANGE_MS)?;
    if to - from > RANGE_MS_MAX {
        return Err(Problem::unprocessable(format!("the range is longer than {} days", RANGE_MS_MAX / DAY_MS)));
    }
    Ok(Question { rule, only: only(body.only)?, from, to: to.min(now + 1) })
}

fn only(body: OnlyBody) -> Result<Only, Problem> {
    if body.machine_ids.len() > ONLY_MAX {
        return Err(Problem::unprocessable(format!("only.machine_ids: are more than {ONLY_MAX}")));
    }
    if body.labels.len() > SCOPE_LABELS {
        return Err(Problem::unprocessable(format!("only.labels: are more than {SCOPE_LABELS}")));
    }
    let machine_ids = body.machine_ids.iter().map(|text| id("machine", text)).collect::<Result<_, _>>()?;
    Ok(Only { machine_ids, labels: body.labels })
}

/// Violations of one machine.
#[derive(Default)]
struct OfMachine {
    count: usize,
    duration_ms: i64,
    timeline: Vec<[Option<String>; 2]>,
}

fn told(question: &Question, scope: &Scope, mut stays: Vec<Stay>) -> Value {
    // within the range, so that one that never ends does not outweigh the range itself
    let duration = |stay: &Stay| stay.closed_at.unwrap_or(question.to).min(question.to) - stay.opened_at.max(scope.from);
    stays.sort_by(|one, other| (one.opened_at, &one.key).cmp(&(other.opened_at, &other.key)));
    let mut of_machines: HashMap<i64, OfMachine> = HashMap::new();
    for stay in &stays {
        let of = of_machines.entry(stay.key.machine_id).or_default();
        of.count += 1;
        of.duration_ms += duration(stay);
        if of.timeline.len() < TIMELINE_MAX {
            of.timeline.push([Some(rfc3339(stay.opened_at)), stay.closed_at.map(rfc3339)]);
        }
    }
    let name = |machine_id: i64| scope.names.get(&machine_id).map_or(("", ""), |(name, host)| (name.as_str(), host.as_str()));
    let violation = |stay: &Stay| {
        let (machine_name, host_name) = name(stay.key.machine_id);
        json!({
            "machine_id": stay.key.machine_id.to_string(),
            "machine_name": machine_name,
            "host_name": host_name,
            "device": Some(&stay.key.device).filter(|device| !device.is_empty()),
            "opened_at": rfc3339(stay.opened_at),
            "opened_value": stay.opened_value,
            "peak_value": stay.peak_value,
            "closed_at": stay.closed_at.map(rfc3339),
            "closed_value": stay.closed_value,
            "close_reason": stay.close_reason.map(CloseReason::as_str),
            "duration_ms": duration(stay),
        })
    };
    let machines = of_machines.len();
    let mut of_machines: Vec<(i64, OfMachine)> = of_machines.into_iter().collect();
    of_machines.sort_by_key(|(id, of)| (std::cmp::Reverse((of.count, of.duration_ms)), *id));
    let machine = |(id, of): (i64, OfMachine)| {
        let (name, host_name) = name(id);
        json!({
            "machine_id": id.to_string(),
            "name": name,
            "host_name": host_name,
            "count": of.count,
            "duration_ms": of.duration_ms,
            "timeline": of.timeline,
            "timeline_cut": of.count > TIMELINE_MAX,
        })
    };
    json!({
        "count": stays.len(),
        "machines": machines,
        "machines_in_scope": scope.names.len(),
        "total_duration_ms": stays.iter().map(duration).sum::<i64>(),
        "longest_ms": stays.iter().map(duration).max(),
        "violations": stays.iter().take(VIOLATIONS_MAX).map(violation).collect::<Vec<_>>(),
        "violations_cut": stays.len() > VIOLATIONS_MAX,
        "by_machine": of_machines.into_iter().take(MACHINES_MAX).map(machine).collect::<Vec<_>>(),
        "by_machine_cut": machines > MACHINES_MAX,
        "reports": scope.reports,
        "evaluated_from": rfc3339(scope.from),
        "evaluated_to": rfc3339(question.to),
    })
}

fn candidate(candidate: &Candidate) -> Value {
    let sum = |caught: &Caught| json!({"count": caught.count, "machines": caught.machines, "duration_ms": caught.duration_ms});
    json!({
        "value": candidate.value,
        "recovery_value": candidate.recovery_value,
        "for_seconds": candidate.for_seconds,
        "caught": sum(&candidate.caught),
        "missed": candidate.missed.as_ref().map(sum),
    })
}

impl From<BacktestError> for Problem {
    fn from(error: BacktestError) -> Problem {
        match error {
            BacktestError::TooManyMachines(_) => Problem::unprocessable(error.to_string()),
            BacktestError::Store(error) => error.into(),
        }
    }
}

impl From<SuggestError> for Problem {
    fn from(error: SuggestError) -> Problem {
        match error {
            SuggestError::NoValues => Problem::unprocessable(error.to_string()),
            SuggestError::Backtest(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::thresholds::Direction;
    use crate::thresholds::evaluator::SeriesKey;
    use axum::response::IntoResponse;
    use tokio::time::Instant;

    fn stay(machine_id: i64, opened_at: i64, closed_at: Option<i64>) -> Stay {
        let key = SeriesKey { machine_id, threshold_id: 1, device: String::new() };
        let (closed_value, close_reason) = (None, None);
        Stay { key, opened_at, opened_value: 1.0, peak_value: 1.0, closed_at, closed_value, close_reason }
    }

    fn ask() -> (Question, Scope) {
        let rule = Threshold::new(Kind::Host, "system.cpu.utilization", Direction::Above, 0.9);
        let question = Question { rule, only: Only::default(), from: 1_000, to: 100_000 };
        (question, Scope { hosts: Vec::new(), names: HashMap::new(), from: 1_000, reports: 7 })
    }

    #[tokio::test(start_paused = true)]
    async fn two_are_at_work_and_a_third_waits_for_a_while() {
        let places = Semaphore::new(BACKTESTS);
        let first = place(&places).await.unwrap();
        let _second = place(&places).await.unwrap();
        let (begun, waiting) = (Instant::now(), place(&places).await);
        assert_eq!((waiting.unwrap_err().into_response().status(), begun.elapsed()), (StatusCode::SERVICE_UNAVAILABLE, WAIT));
        let (third, ()) = tokio::join!(place(&places), async {
            tokio::time::sleep(WAIT - Duration::from_millis(1)).await;
            drop(first);
        });
        drop(third.unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_takes_too_long_is_ended() {
        for (more, is_late) in [(0, false), (1, true)] {
            let work = tokio::time::sleep(TIME_MAX - Duration::from_millis(1) + 2 * Duration::from_millis(more));
            assert_eq!(in_time(work).await.is_err(), is_late);
        }
    }

    #[test]
    fn durations_are_those_within_the_range_and_the_noisiest_machine_is_the_first() {
        let (question, scope) = ask();
        let told = told(&question, &scope, vec![stay(1, 0, Some(3_000)), stay(2, 50_000, None), stay(2, 5_000, Some(6_000))]);
        assert_eq!((&told["count"], &told["machines"], &told["longest_ms"]), (&json!(3), &json!(2), &json!(50_000)));
        assert_eq!(told["total_duration_ms"], 2_000 + 50_000 + 1_000);
        assert_eq!((&told["by_machine"][0]["machine_id"], &told["by_machine"][0]["count"]), (&json!("2"), &json!(2)));
        let timeline = json!([["1970-01-01T00:00:05.000Z", "1970-01-01T00:00:06.000Z"], ["1970-01-01T00:00:50.000Z", null]]);
        assert_eq!(told["by_machine"][0]["timeline"], timeline);
    }

    #[test]
    fn an_answer_is_cut_and_says_so() {
        let (question, scope) = ask();
        for (count, is_cut) in [(VIOLATIONS_MAX, false), (VIOLATIONS_MAX + 1, true)] {
            let stays = (0..count as i64).map(|number| stay(number % 7, 2_000 + number, Some(90_000)));
            let told = told(&question, &scope, stays.collect());
            assert_eq!((&told["count"], &told["violations_cut"]), (&json!(count), &json!(is_cut)));
            assert_eq!(told["violations"].as_array().unwrap().len(), VIOLATIONS_MAX);
        }
        for (count, is_cut) in [(TIMELINE_MAX, false), (TIMELINE_MAX + 1, true)] {
            let told = told(&question, &scope, vec![stay(1, 2_000, Some(3_000)); count]);
            let machine = &told["by_machine"][0];
            assert_eq!((machine["timeline"].as_array().unwrap().len(), &machine["timeline_cut"]), (TIMELINE_MAX, &json!(is_cut)));
        }
        for (count, is_cut) in [(MACHINES_MAX, false), (MACHINES_MAX + 1, true)] {
            let told = told(&question, &scope, (0..count as i64).map(|id| stay(id, 2_000, None)).collect());
            assert_eq!((told["by_machine"].as_array().unwrap().len(), &told["by_machine_cut"]), (MACHINES_MAX, &json!(is_cut)));
        }
    }
}
