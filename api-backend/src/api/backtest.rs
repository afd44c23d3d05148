//! `POST /thresholds/backtest`: what a rule would have opened. `POST /thresholds/suggest`: which value opens no more than one wants.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use tokio::sync::{Semaphore, SemaphorePermit};
use wire_model::catalog;

use super::backtest_body::{Backtest, BacktestBody, OnlyBody, Suggested};
use super::extract::{Body, id};
use super::problem::ProblemBody;
use super::range::Range;
use super::threshold_body;
use super::{App, Problem};
use crate::backtest::{self, BacktestError, Only, Question, RANGE_MS_MAX, SuggestError, UNSAVED};
use crate::store;
use crate::thresholds::{Effect, Kind, Quantity, SCOPE_LABELS, Threshold};
use crate::time::{DAY_MS, now_ms};

/// Backtests at work at once.
pub(super) const BACKTESTS: usize = 2;
/// How long one waits for its turn.
const WAIT: Duration = Duration::from_secs(5);
/// How long one may take; when its client goes it ends sooner.
const TIME_MAX: Duration = Duration::from_secs(25);
const DEFAULT_RANGE_MS: i64 = 7 * DAY_MS;
/// Machines that a request may name.
const ONLY_MAX: usize = 100;

/// What a rule would have opened: stored history goes once more through the evaluator.
#[utoipa::path(post, path = "/thresholds/backtest", tag = "thresholds", request_body = BacktestBody,
    responses(
        (status = 200, body = Backtest),
        (status = 422, description = "It makes no sense, or takes too long", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "Others are at work: try again", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn backtest(State(app): State<App>, Body(body): Body<BacktestBody>) -> Result<Json<Backtest>, Problem> {
    if body.at_most_per_week.is_some() {
        return Err(Problem::unprocessable("at_most_per_week: is for suggestions"));
    }
    let question = question(&app, body).await?;
    let _place = place(&app.backtests).await?;
    let (scope, stays) = in_time(backtest::run(&app.store, &question)).await??;
    Ok(Json(Backtest::of(&question, &scope, stays)))
}

/// Which value opens no more violations a week than one wants.
#[utoipa::path(post, path = "/thresholds/suggest", tag = "thresholds", request_body = BacktestBody,
    responses(
        (status = 200, body = Suggested),
        (status = 422, description = "It makes no sense, there are no values, or it takes too long", body = ProblemBody,
            content_type = "application/problem+json"),
        (status = 503, description = "Others are at work: try again", body = ProblemBody, content_type = "application/problem+json"),
    ))]
pub(super) async fn suggest(State(app): State<App>, Body(mut body): Body<BacktestBody>) -> Result<Json<Suggested>, Problem> {
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
    Ok(Json(Suggested::of(&question, &scope, &suggestion)))
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
        (Some(threshold), None) => {
            // a draft of a stored rule stands for it, whatever its scope is now
            let stored = threshold.id.as_deref().map(|text| id("threshold", text)).transpose()?;
            Threshold { id: stored.unwrap_or(UNSAVED), ..threshold_body::read(&mut connection, threshold).await? }
        }
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
    use axum::response::IntoResponse;
    use tokio::time::Instant;

    use super::*;

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
}
