//! Parts what can stand in a batch from what never can. The only look that the consumer takes into a message.

use serde_json::value::RawValue;
use wire_model::IngestRecord;
use wire_model::limits::MESSAGE_BYTES;

use crate::batch::Record;
use crate::dead_letters::{DeadLetter, Kind};

/// The reports of a batch, and its dead letters, each in offset order.
pub(crate) fn sift(records: &[Record]) -> (Vec<IngestRecord<'_>>, Vec<DeadLetter<'_>>) {
    let mut reports = Vec::with_capacity(records.len());
    let mut dead_letters = Vec::new();
    for record in records {
        match one_json_value(record.payload.as_deref()) {
            Ok(report) => reports.push(IngestRecord { offset: record.offset, report }),
            Err((kind, reason)) => dead_letters.push(DeadLetter { record, kind, reason }),
        }
    }
    (reports, dead_letters)
}

/// The report in a message, or why there is none.
pub(crate) fn one_json_value(payload: Option<&[u8]>) -> Result<&RawValue, (Kind, String)> {
    let payload = payload.ok_or_else(|| (Kind::NotJson, "the message has no payload".to_owned()))?;
    if payload.len() > MESSAGE_BYTES {
        let reason = format!("the message's bytes is {}, the limit is {MESSAGE_BYTES}", payload.len());
        return Err((Kind::TooLarge, reason));
    }
    serde_json::from_slice(payload).map_err(|error| (Kind::NotJson, format!("not one JSON value: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(payload: Option<&[u8]>, expected: Result<&str, Kind>) {
        let shown = payload.map(|payload| String::from_utf8_lossy(&payload[..payload.len().min(40)]));
        let found = one_json_value(payload).map(RawValue::get).map_err(|(kind, _)| kind);
        assert_eq!(found, expected, "{shown:?}");
    }

    #[test]
    fn a_report_is_exactly_one_json_value() {
        for (payload, expected) in [
            (&br#"{"a":1}"#[..], Ok(r#"{"a":1}"#)),
            (b" \r\n\t{\"a\": 1e400} \n", Ok(r#"{"a": 1e400}"#)),
            (b"null", Ok("null")),
            (b"", Err(Kind::NotJson)),
            (b"  ", Err(Kind::NotJson)),
            (b"{}{}", Err(Kind::NotJson)),
            (b"{} 1", Err(Kind::NotJson)),
            (b"{\"a\":1", Err(Kind::NotJson)),
            (br#"{"a":NaN}"#, Err(Kind::NotJson)),
            (b"Infinity", Err(Kind::NotJson)),
            (b"\"\xff\"", Err(Kind::NotJson)),
            (b"{\"a\":\"\xed\xa0\x80\"}", Err(Kind::NotJson)),
            (b"\xef\xbb\xbf{}", Err(Kind::NotJson)),
            (b"\0", Err(Kind::NotJson)),
        ] {
            check(Some(payload), expected);
        }
        check(None, Err(Kind::NotJson));
    }

    #[test]
    fn a_message_may_be_as_large_as_the_limit() {
        for (bytes, expected) in [(MESSAGE_BYTES - 1, None), (MESSAGE_BYTES, None), (MESSAGE_BYTES + 1, Some(Kind::TooLarge))] {
            let text = format!("\"{}\"", "x".repeat(bytes - 2));
            check(Some(text.as_bytes()), expected.map_or(Ok(&text), Err));
        }
    }

    #[test]
    fn nesting_does_not_exhaust_the_stack() {
        let text = "[".repeat(500_000) + &"]".repeat(500_000);
        check(Some(text.as_bytes()), Ok(&text));
    }
}
