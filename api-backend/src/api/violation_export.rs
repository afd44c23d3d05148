//! Violations as a file: CSV, or one JSON object a line.

use axum::response::Response;

use super::App;
use super::export::{self, Format, harmless};
use super::violation_query::Question;
use crate::store::StoreError;
use crate::store::violation_pages::Page;
use crate::time::rfc3339;
use crate::violation::Violation;

/// Violations that are in memory at once.
const PAGE: i64 = 1_000;

/// What is still to be written.
struct Rest {
    app: App,
    format: Format,
    question: Question,
    page: Page,
}

/// All that the filter means, in the order of the page.
pub(super) fn stream(app: App, format: Format, question: Question, page: Page) -> Response {
    let first = match format {
        Format::Csv => export::rows([COLUMNS.iter().map(|name| (*name).to_owned()).collect()]),
        Format::Lines => Vec::new(),
    };
    let rest = Rest { app, format, question, page: Page { limit: PAGE, ..page } };
    export::stream(format, "violations", first, rest, |rest| Box::pin(next_page(rest)))
}

async fn next_page(mut rest: Rest) -> Result<export::Page<Rest>, StoreError> {
    let (page, last) = rest.question.page(&rest.app, rest.page).await?;
    let rows = match rest.format {
        Format::Csv => export::rows(page.iter().map(csv_row)),
        Format::Lines => page.iter().map(|violation| violation.to_json() + "\n").collect::<String>().into_bytes(),
    };
    rest.page.after = last;
    Ok((rows, last.map(|_| rest)))
}

const COLUMNS: &[&str] = &[
    "id",
    "machine_id",
    "machine_name",
    "host_id",
    "host_name",
    "kind",
    "metric",
    "device",
    "condition",
    "direction",
    "severity",
    "threshold_id",
    "threshold_version",
    "threshold_value",
    "opened_at",
    "opened_value",
    "peak_value",
    "closed_at",
    "closed_value",
    "close_reason",
    "closed_version",
    "cause",
    "detected_at",
    "acknowledged_at",
    "acknowledged_by",
    "acknowledged_comment",
    "announced_at",
    "silence_id",
    "silenced_until",
];

fn csv_row(violation: &Violation) -> Vec<String> {
    let attention = &violation.attention;
    let acknowledged = attention.acknowledged.as_ref();
    let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    vec![
        violation.id.to_string(),
        violation.machine_id.to_string(),
        harmless(&violation.machine_name),
        harmless(&violation.host_id),
        harmless(&violation.host_name),
        violation.kind.as_str().to_owned(),
        harmless(&violation.metric),
        harmless(violation.device.as_deref().unwrap_or_default()),
        violation.quantity.as_str().to_owned(),
        violation.direction.as_str().to_owned(),
        violation.severity.as_str().to_owned(),
        violation.threshold_id.to_string(),
        violation.threshold_version.to_string(),
        violation.threshold_value.to_string(),
        rfc3339(violation.opened_at),
        violation.opened_value.to_string(),
        violation.peak_value.to_string(),
        violation.closed_at.map(rfc3339).unwrap_or_default(),
        number(violation.closed_value),
        violation.close_reason.clone().unwrap_or_default(),
        violation.closed_version.map(|version| version.to_string()).unwrap_or_default(),
        violation.cause.clone().unwrap_or_default(),
        rfc3339(violation.detected_at),
        acknowledged.map(|known| rfc3339(known.at)).unwrap_or_default(),
        harmless(acknowledged.and_then(|known| known.by.as_deref()).unwrap_or_default()),
        harmless(acknowledged.map(|known| known.comment.as_str()).unwrap_or_default()),
        attention.announced_at.map(rfc3339).unwrap_or_default(),
        attention.silenced.map(|silenced| silenced.silence_id.to_string()).unwrap_or_default(),
        attention.silenced.map(|silenced| rfc3339(silenced.until)).unwrap_or_default(),
    ]
}
