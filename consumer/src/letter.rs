//! What people are told of a record of the dead-letter topic. Anybody may have written it: nothing of it is taken for true, and all is bounded.

use rdkafka::Message;
use rdkafka::message::{Header, Headers};
use wire_model::limits::{LETTER_TEXT_CHARS, NAME_CHARS, REASON_CHARS, TIME_MS_MAX, TOPIC_CHARS};
use wire_model::{DeadLetter, is_letter_char};

use crate::dead_letters::header;

/// UTF-8 has at most as many bytes a character.
const CHAR_BYTES: usize = 4;

pub(crate) fn letter(record: &impl Message) -> DeadLetter {
    let all: Vec<Header<'_, &[u8]>> = record.headers().iter().flat_map(|headers| headers.iter()).collect();
    // ours begin with the last reason; what stands before it the record had, and may have any name
    let ours = all.iter().rposition(|header| header.key == header::REASON).map_or(&all[..0], |first| &all[first..]);
    let value = |name: &str| ours.iter().rfind(|header| header.key == name).and_then(|header| header.value);
    let payload_bytes = record.payload().map(|payload| payload.len() as u64);
    DeadLetter {
        partition: record.partition(),
        offset: record.offset(),
        written_at: record.timestamp().to_millis().filter(is_time),
        reason: value(header::REASON).map(|reason| text(reason, REASON_CHARS)),
        origin_topic: value(header::TOPIC).map(|topic| text(topic, TOPIC_CHARS)),
        origin_partition: value(header::PARTITION).and_then(number).and_then(|number| i32::try_from(number).ok()),
        origin_offset: value(header::OFFSET).and_then(number),
        origin_at: value(header::TIMESTAMP).and_then(number).filter(is_time),
        key: record.key().map(|key| text(key, NAME_CHARS)),
        // of one that was cut
        payload_bytes: payload_bytes.map(|bytes| {
            let before = value(header::PAYLOAD_BYTES).and_then(number).map_or(0, i64::unsigned_abs);
            bytes.max(before)
        }),
        payload_start: record.payload().map(|payload| text(payload, LETTER_TEXT_CHARS)),
    }
}

fn is_time(ms: &i64) -> bool {
    (1..=TIME_MS_MAX).contains(ms)
}

/// A number as we write them.
fn number(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.parse().ok().filter(|number| *number >= 0)
}

/// The first characters, those that cannot be shown replaced.
fn text(bytes: &[u8], chars: usize) -> String {
    // a character that is cut here stands behind the last one that is taken
    let begin = &bytes[..bytes.len().min(CHAR_BYTES * chars)];
    let shown = |c: char| if is_letter_char(c) { c } else { char::REPLACEMENT_CHARACTER };
    String::from_utf8_lossy(begin).chars().take(chars).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rdkafka::Timestamp;
    use rdkafka::message::{OwnedHeaders, OwnedMessage};

    use super::*;

    fn record(payload: Option<&[u8]>, headers: &[(&str, Option<&[u8]>)], timestamp: Timestamp) -> OwnedMessage {
        let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: *value }));
        OwnedMessage::new(payload.map(<[u8]>::to_vec), Some(b"key".to_vec()), "t.dlq".to_owned(), timestamp, 1, 17, Some(headers))
    }

    #[test]
    fn our_headers_are_told_from_those_of_the_record() {
        let theirs: [(&str, Option<&[u8]>); 3] =
            [("reason", Some(b"theirs")), ("payload_bytes", Some(b"99")), ("timestamp", Some(b"5"))];
        let ours: [(&str, Option<&[u8]>); 4] =
            [("reason", Some(b"no JSON")), ("topic", Some(b"t")), ("partition", Some(b"2")), ("offset", Some(b"40"))];
        let found = letter(&record(Some(b"\xffno\r\n"), &[&theirs[..], &ours].concat(), Timestamp::CreateTime(7)));
        let expected = DeadLetter {
            partition: 1,
            offset: 17,
            written_at: Some(7),
            reason: Some("no JSON".to_owned()),
            origin_topic: Some("t".to_owned()),
            origin_partition: Some(2),
            origin_offset: Some(40),
            origin_at: None,
            key: Some("key".to_owned()),
            payload_bytes: Some(5),
            payload_start: Some("\u{fffd}no\u{fffd}\n".to_owned()),
        };
        assert_eq!(found, expected);
        // one that was cut
        let cut = [&ours[..], &[("timestamp", Some(b"6")), ("payload_bytes", Some(b"900"))]].concat();
        let found = letter(&record(Some(b"x"), &cut, Timestamp::LogAppendTime(8)));
        assert_eq!((found.origin_at, found.payload_bytes, found.written_at), (Some(6), Some(900), Some(8)));
    }

    #[test]
    fn of_a_foreign_record_what_is_there_is_told() {
        let none = letter(&OwnedMessage::new(None, None, "t.dlq".to_owned(), Timestamp::NotAvailable, 0, 0, None));
        assert_eq!((none.written_at, &none.reason, &none.key, &none.payload_start), (None, &None, &None, &None));
        assert_eq!(none.payload_bytes, None);
        let wrong: [(&str, Option<&[u8]>); 6] = [
            ("topic", Some(b"before ours")),
            ("reason", None),
            ("partition", Some(b"4294967296")),
            ("offset", Some(b"-1")),
            ("timestamp", Some(b"9223372036854775807")),
            ("payload_bytes", Some(b"18446744073709551615")),
        ];
        let found = letter(&record(Some(b"abc"), &wrong, Timestamp::CreateTime(-1)));
        assert_eq!((&found.origin_topic, &found.reason, found.origin_partition), (&None, &None, None));
        assert_eq!((found.origin_offset, found.origin_at, found.written_at), (None, None, None));
        assert_eq!(found.payload_bytes, Some(3));
    }

    #[test]
    fn a_text_ends_at_its_limit_and_never_within_a_character() {
        for (bytes, chars, expected) in [
            ("abc".as_bytes(), 2, "ab"),
            ("abc".as_bytes(), 3, "abc"),
            ("abc".as_bytes(), 4, "abc"),
            ("🔒🔒🔒".as_bytes(), 2, "🔒🔒"),
            ("é🔒🔒".as_bytes(), 2, "é🔒"),
            (b"\xf0\x9f\x94\xf0\x9f\x94", 3, "\u{fffd}\u{fffd}"),
            (b"a\0\tb\x1b\n", 6, "a\u{fffd}\tb\u{fffd}\n"),
        ] {
            assert_eq!(text(bytes, chars), expected, "{bytes:?} {chars}");
        }
    }

    #[test]
    fn the_letters_topic_is_what_the_backend_calls_it() {
        let flags = ["--bootstrap-server=127.0.0.1:1", "--kafka-topic-name=a.b"].map(str::to_owned);
        let config: crate::Config = service_runtime::config::read_with(&flags).unwrap();
        assert_eq!(config.kafka.dead_letter_topic(), wire_model::dead_letter_topic("a.b"));
    }

    proptest! {
        #[test]
        fn whatever_stands_in_the_topic_the_letter_is_one(
            payload in prop::option::of(prop::collection::vec(any::<u8>(), 0..6_000)),
            key in prop::option::of(prop::collection::vec(any::<u8>(), 0..700)),
            headers in prop::collection::vec(("reason|topic|partition|offset|timestamp|payload_bytes|x", prop::option::of("[0-9-]{0,20}|.{0,600}")), 0..9),
            timestamp in any::<i64>(),
        ) {
            let headers = headers.iter().fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: value.as_ref() }));
            let record = OwnedMessage::new(payload, key, "t".to_owned(), Timestamp::CreateTime(timestamp), 0, i64::MAX, Some(headers));
            prop_assert_eq!(letter(&record).check(), Ok(()));
        }
    }
}
