//! Files that are written while they are read: a slow reader holds one page and no connection.

use std::fmt::Debug;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::future::BoxFuture;
use futures_util::stream::{self, StreamExt};
use tracing::error;

use super::Problem;
use super::fields::Fields;

/// Rows as they stand in the file, and what the next page needs, if there is one.
pub(super) type Page<S> = (Vec<u8>, Option<S>);

/// What a file may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// RFC 4180, with a row of names.
    Csv,
    /// One JSON object a line.
    Lines,
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Lines => "application/x-ndjson",
        }
    }

    fn file_ending(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Lines => "ndjson",
        }
    }
}

/// The file that the client asks for, if it does: by `format`, which a link can say, else by `Accept`.
pub(super) fn take(fields: &mut Fields, headers: &HeaderMap) -> Result<Option<Format>, Problem> {
    match fields.one("format")?.as_deref() {
        None => Ok(wanted(headers)),
        Some("csv") => Ok(Some(Format::Csv)),
        Some("ndjson") => Ok(Some(Format::Lines)),
        Some(other) => Err(Problem::bad_request(format!("format: \"{other}\" is neither csv nor ndjson"))),
    }
}

fn wanted(headers: &HeaderMap) -> Option<Format> {
    let accept = headers.get(header::ACCEPT)?.to_str().ok()?;
    [Format::Csv, Format::Lines].into_iter().find(|format| accept.contains(format.media_type()))
}

/// Whether the client asks for CSV.
pub(super) fn wants_csv(headers: &HeaderMap) -> bool {
    wanted(headers) == Some(Format::Csv)
}

/// The answer in CSV: `next` makes the pages, beginning with `state`.
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
    stream(Format::Csv, file_name, rows([first_row.iter().map(|name| (*name).to_owned()).collect()]), state, next)
}

/// The answer, as a file of this name: it begins with `first`, and `next` makes the pages, beginning with `state`.
pub(super) fn stream<S, E>(
    format: Format,
    name: &str,
    first: Vec<u8>,
    state: S,
    next: fn(S) -> BoxFuture<'static, Result<Page<S>, E>>,
) -> Response
where
    S: Send + 'static,
    E: Debug + Send + 'static,
{
    let pages = stream::unfold(Some(state), move |state| async move {
        match next(state?).await {
            Ok((page, state)) => Some((Ok(Bytes::from(page)), state)),
            Err(error) => {
                // the answer has begun: it can only be cut off, so that nobody takes it for complete
                error!(?error, "an export failed");
                Some((Err(std::io::Error::other("the export failed")), None))
            }
        }
    });
    // who compresses it asks once more after its end
    let headers = [
        (header::CONTENT_TYPE, format!("{}; charset=utf-8", format.media_type())),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}.{}\"", format.file_ending())),
    ];
    (headers, Body::from_stream(stream::iter([Ok(Bytes::from(first))]).chain(pages.fuse()))).into_response()
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
