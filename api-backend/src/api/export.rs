//! CSV that is written while it is read: a slow reader holds one page and no connection.

use std::fmt::Debug;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tracing::error;

/// Rows as they stand in the file, and what the next page needs, if there is one.
pub(super) type Page<S> = (Vec<u8>, Option<S>);

/// Whether the client asks for CSV.
pub(super) fn wants_csv(headers: &HeaderMap) -> bool {
    headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).is_some_and(|accept| accept.contains("text/csv"))
}

/// The answer: `next` makes the pages, beginning with `state`.
pub(super) fn csv<S, E>(
    file_name: &str,
    first_row: &[&str],
    state: S,
    next: fn(S) -> BoxFuture<'static, Result<Page<S>, E>>,
) -> Response
where
    S: Send + 'static,
    E: Debug + Send + 'static,
{
    let first = rows([first_row.iter().map(|name| (*name).to_owned()).collect()]);
    let pages = stream::unfold(Some(state), move |state| async move {
        match next(state?).await {
            Ok((page, state)) => Some((Ok(Bytes::from(page)), state)),
            Err(error) => {
                // the answer has begun: it can only be cut off, so that nobody takes it for complete
                error!(?error, "a CSV export failed");
                Some((Err(std::io::Error::other("the export failed")), None))
            }
        }
    });
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{file_name}\"")),
    ];
    (headers, Body::from_stream(stream::iter([Ok(Bytes::from(first))]).chain(pages))).into_response()
}

/// Rows as they stand in the file.
pub(super) fn rows(rows: impl IntoIterator<Item = Vec<String>>) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.write_record(row).expect("rows are equally long and go to memory");
    }
    writer.into_inner().expect("memory takes everything")
}

/// A name that a spreadsheet would run as a formula is written as text.
pub(super) fn harmless(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@']) { format!("'{name}") } else { name.to_owned() }
}
