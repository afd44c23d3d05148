//! Where the page behind an item begins, in a list by time: its time and its id.

use super::Problem;

pub(super) fn cursor((at, id): (i64, i64)) -> String {
    format!("{at}.{id}")
}

pub(super) fn parse_cursor(text: &str) -> Result<(i64, i64), Problem> {
    let parts = text.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, id.parse().ok()?)));
    parts.ok_or_else(|| Problem::bad_request(format!("cursor: \"{text}\" is not one of ours")))
}
