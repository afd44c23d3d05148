//! Which violations a query asks for.

use utoipa::IntoParams;

use super::cursor::parse_cursor;
use super::extract::{id, limit};
use super::fields::Fields;
use super::range::Range;
use super::{App, Problem};
use crate::label::{Label, labelled};
use crate::store::violation_filter::ViolationFilter;
use crate::store::violation_pages::{Matching, Order, Page, list};
use crate::store::{Connection, StoreError};
use crate::time::now_ms;
use crate::violation::Violation;

const DEFAULT_LIMIT: i64 = 100;
const MAX_LIMIT: i64 = 1_000;
/// Hosts and containers that labels may stand for in one question.
pub(super) const LABELLED_MAX: usize = 10_000;

/// What [`Asked::take`] takes, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "fields are read by name: several of them may come several times")]
pub(super) struct Filters {
    /// Ids of machines, separated by commas.
    machine_id: Option<String>,
    /// Of these hosts and their containers.
    host_id: Option<Vec<String>>,
    /// `key=value`, or `key` with any value; a machine must have all of them, of its own or of its host.
    label: Option<Vec<String>>,
    /// Names, separated by commas.
    metric: Option<String>,
    device: Option<Vec<String>>,
    /// Of `host`, `container` and `pipeline`, separated by commas.
    kind: Option<String>,
    /// Of `info`, `warning` and `critical`, separated by commas.
    severity: Option<String>,
    /// Ids of rules, separated by commas.
    threshold_id: Option<String>,
    /// `open`, `silenced` (open, and under a silence now; not of counts) or `closed`.
    state: Option<String>,
    acknowledged: Option<bool>,
}

/// What [`take_page`] takes, for the document.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "as above")]
pub(super) struct PageParams {
    /// Time, or date in `tz`.
    from: Option<String>,
    /// The same; not in the range itself.
    to: Option<String>,
    /// IANA name of a time zone; default: the server's.
    tz: Option<String>,
    /// `overlapping` (default) or `opened`.
    r#match: Option<String>,
    /// `-opened_at` (default) or `opened_at`.
    sort: Option<String>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// 1 to 1,000; default: 100. A file has all.
    limit: Option<i64>,
    /// `csv` or `ndjson`: as a file, whatever `Accept` says.
    format: Option<String>,
}

/// What the filters say.
pub(super) struct Asked {
    filter: ViolationFilter,
    labels: Vec<Label>,
    /// Of those that are open only the ones that are under a silence now.
    pub(super) only_silenced: bool,
}

impl Asked {
    /// Takes the filters out of a query.
    pub(super) fn take(fields: &mut Fields) -> Result<Asked, Problem> {
        let ids = |what: &str, words: Vec<String>| words.iter().map(|text| id(what, text)).collect::<Result<Vec<_>, _>>();
        let (is_open, only_silenced) = match fields.one("state")?.as_deref() {
            None => (None, false),
            Some("open") => (Some(true), false),
            Some("silenced") => (Some(true), true),
            Some("closed") => (Some(false), false),
            Some(other) => {
                return Err(Problem::bad_request(format!("state: \"{other}\" is not one of open, silenced, closed")));
            }
        };
        let is_acknowledged = match fields.one("acknowledged")?.as_deref() {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => return Err(Problem::bad_request(format!("acknowledged: \"{other}\" is neither true nor false"))),
        };
        let filter = ViolationFilter {
            machine_ids: ids("machine", fields.words("machine_id")?)?,
            host_ids: fields.texts("host_id")?,
            labelled: None,
            metrics: fields.words("metric")?,
            devices: fields.texts("device")?,
            kinds: fields.known("kind")?,
            severities: fields.known("severity")?,
            threshold_ids: ids("threshold", fields.words("threshold_id")?)?,
            is_open,
            is_acknowledged,
        };
        Ok(Asked { filter, only_silenced, labels: fields.texts("label")?.iter().map(|text| Label::parse(text)).collect() })
    }

    /// With the machines that have the labels now.
    pub(super) async fn question(self, connection: &mut Connection) -> Result<Question, Problem> {
        let only_silenced = self.only_silenced;
        Ok(Question { filter: self.filter(connection).await?, only_silenced })
    }

    /// The same without the silences.
    pub(super) async fn filter(self, connection: &mut Connection) -> Result<ViolationFilter, Problem> {
        if self.labels.is_empty() {
            return Ok(self.filter);
        }
        let labelled = labelled(connection, &self.labels).await?;
        if labelled.len() > LABELLED_MAX {
            let detail = format!("label: {} machines have it, more than {LABELLED_MAX}; name some of them", labelled.len());
            return Err(Problem::unprocessable(detail));
        }
        Ok(ViolationFilter { labelled: Some(labelled), ..self.filter })
    }
}

/// Which violations are asked for.
pub(super) struct Question {
    filter: ViolationFilter,
    pub(super) only_silenced: bool,
}

impl Question {
    /// Those of a page that are asked for, with the silences that they are under now, and the last one that was looked at if there may be more.
    pub(super) async fn page(&self, app: &App, page: Page) -> Result<(Vec<Violation>, Option<(i64, i64)>), StoreError> {
        let mut connection = app.store.read().await?;
        let now = now_ms();
        if self.only_silenced && app.silences.active(&mut connection, now).await?.is_empty() {
            return Ok((Vec::new(), None));
        }
        let mut found = list(&mut connection, app.store.dialect(), &self.filter, page).await?;
        app.silences.mark(&mut connection, &mut found, now).await?;
        let last = found.last().map(|last| (last.opened_at, last.id)).filter(|_| found.len() as i64 >= page.limit);
        if self.only_silenced {
            found.retain(|violation| violation.attention.silenced.is_some());
        }
        Ok((found, last))
    }
}

/// Takes what says which page of them.
pub(super) fn take_page(app: &App, fields: &mut Fields) -> Result<Page, Problem> {
    let range = take_range(app, fields)?;
    let matching = match fields.one("match")?.as_deref() {
        None | Some("overlapping") => Matching::Overlapping,
        Some("opened") => Matching::Opened,
        Some(other) => return Err(Problem::bad_request(format!("match: \"{other}\" is neither overlapping nor opened"))),
    };
    let order = match fields.one("sort")?.as_deref() {
        None | Some("-opened_at") => Order::Newest,
        Some("opened_at") => Order::Oldest,
        Some(other) => return Err(Problem::bad_request(format!("sort: \"{other}\" is neither opened_at nor -opened_at"))),
    };
    let after = fields.one("cursor")?.as_deref().map(parse_cursor).transpose()?;
    let limit = take_limit(fields)?;
    Ok(Page { from: range.from, to: range.to, matching, order, after, limit })
}

/// Takes `limit`.
pub(super) fn take_limit(fields: &mut Fields) -> Result<i64, Problem> {
    let asked = fields.one("limit")?.map(|text| text.parse()).transpose();
    let asked = asked.map_err(|_| Problem::bad_request("limit: is not a whole number"))?;
    limit(asked, DEFAULT_LIMIT, MAX_LIMIT)
}

/// Takes `from`, `to` and `tz`.
pub(super) fn take_range(app: &App, fields: &mut Fields) -> Result<Range, Problem> {
    let (from, to, tz) = (fields.one("from")?, fields.one("to")?, fields.one("tz")?);
    Range::parse(app, from.as_deref(), to.as_deref(), tz.as_deref())
}
