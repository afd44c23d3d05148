//! A record of a dead-letter topic as it is shown to people: where it is, where it came from and why, and how it begins.

use serde::{Deserialize, Serialize};

use crate::limits::{LETTER_TEXT_CHARS, NAME_CHARS, REASON_CHARS, TIME_MS_MAX, TOPIC_CHARS};

/// One record of a dead-letter topic. Anybody may have written it, so that everything but its place may be missing, and nothing has to be true.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// Its partition of the dead-letter topic.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its time in Kafka, Unix ms.
    pub written_at: Option<i64>,
    /// Why the record could not be stored; at most [`REASON_CHARS`].
    pub reason: Option<String>,
    /// Topic of the record; at most [`TOPIC_CHARS`].
    pub origin_topic: Option<String>,
    /// Its partition there.
    pub origin_partition: Option<i32>,
    /// Its offset there.
    pub origin_offset: Option<i64>,
    /// Its time there, Unix ms.
    pub origin_at: Option<i64>,
    /// Begin of its key, as text; at most [`NAME_CHARS`].
    pub key: Option<String>,
    /// Bytes of its payload, which the letter may have lost some of; `None` where it has none.
    pub payload_bytes: Option<u64>,
    /// Begin of its payload, as text; at most [`LETTER_TEXT_CHARS`].
    pub payload_start: Option<String>,
}

/// Where records of a topic go that can never be stored.
pub fn dead_letter_topic(topic: &str) -> String {
    format!("{topic}.dlq")
}

/// Whether a character may stand in a letter's texts: lines and tabs are how payloads look, other control characters are shown by nobody.
pub fn is_letter_char(c: char) -> bool {
    matches!(c, '\n' | '\t') || !c.is_control()
}

impl DeadLetter {
    /// What is wrong with it, if anything is. Who writes letters keeps to it, whatever stands in the topic.
    pub fn check(&self) -> Result<(), String> {
        let numbers =
            [Some(i64::from(self.partition)), Some(self.offset), self.origin_partition.map(i64::from), self.origin_offset];
        if numbers.into_iter().flatten().any(|number| number < 0) {
            return Err("partitions and offsets are not below 0".to_owned());
        }
        if [self.written_at, self.origin_at].into_iter().flatten().any(|at| !(1..=TIME_MS_MAX).contains(&at)) {
            return Err(format!("times are 1 to {TIME_MS_MAX} ms"));
        }
        if self.payload_bytes.is_some_and(|bytes| i64::try_from(bytes).is_err()) {
            return Err("payload_bytes does not fit 63 bits".to_owned());
        }
        for (what, text, limit) in [
            ("reason", &self.reason, REASON_CHARS),
            ("origin_topic", &self.origin_topic, TOPIC_CHARS),
            ("key", &self.key, NAME_CHARS),
            ("payload_start", &self.payload_start, LETTER_TEXT_CHARS),
        ] {
            let Some(text) = text else { continue };
            let chars = text.chars().count();
            if chars > limit || !text.chars().all(is_letter_char) {
                return Err(format!(
                    "{what} has {chars} characters: it may have {limit}, and no control characters but lines and tabs"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> DeadLetter {
        DeadLetter {
            partition: 0,
            offset: 0,
            written_at: Some(1),
            reason: None,
            origin_topic: None,
            origin_partition: Some(0),
            origin_offset: Some(0),
            origin_at: Some(TIME_MS_MAX),
            key: None,
            payload_bytes: Some(i64::MAX as u64),
            payload_start: None,
        }
    }

    #[test]
    fn what_a_letter_says_is_limited() {
        let check = |change: &dyn Fn(&mut DeadLetter), problem: Option<&str>| {
            let mut letter = letter();
            change(&mut letter);
            match (letter.check(), problem) {
                (Ok(()), None) => {}
                (Err(found), Some(expected)) => assert!(found.contains(expected), "{found}"),
                (result, expected) => panic!("{result:?}, not {expected:?}"),
            }
        };
        check(&|_| (), None);
        check(&|letter| letter.partition = -1, Some("below 0"));
        check(&|letter| letter.offset = -1, Some("below 0"));
        check(&|letter| letter.origin_partition = Some(-1), Some("below 0"));
        check(&|letter| letter.origin_offset = Some(-1), Some("below 0"));
        check(&|letter| letter.written_at = Some(0), Some("times"));
        check(&|letter| letter.origin_at = Some(TIME_MS_MAX + 1), Some("times"));
        check(&|letter| letter.payload_bytes = Some(1 << 63), Some("63 bits"));
        check(&|letter| letter.payload_start = Some("a\n\tb".to_owned()), None);
        for control in ['\0', '\r', '\u{1b}', '\u{7f}', '\u{9b}'] {
            check(&|letter| letter.payload_start = Some(control.into()), Some("control"));
        }
    }

    #[test]
    fn texts_have_so_many_characters_and_no_more() {
        type Set = fn(&mut DeadLetter, String);
        let texts: [(usize, Set); 4] = [
            (REASON_CHARS, |letter, text| letter.reason = Some(text)),
            (TOPIC_CHARS, |letter, text| letter.origin_topic = Some(text)),
            (NAME_CHARS, |letter, text| letter.key = Some(text)),
            (LETTER_TEXT_CHARS, |letter, text| letter.payload_start = Some(text)),
        ];
        for (limit, set) in texts {
            for (chars, is_right) in [(0, true), (limit - 1, true), (limit, true), (limit + 1, false)] {
                let mut letter = letter();
                set(&mut letter, "🔒".repeat(chars));
                assert_eq!(letter.check().is_ok(), is_right, "{chars} of {limit}");
            }
        }
    }
}
