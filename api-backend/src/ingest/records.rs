//! The records of a body, read as consumers write them: in one pass, because a message whose form is known ends where the form does.
//!
//! It decides nothing: a body that is written in another way, or is none, is left to serde_json.

use serde_json::value::RawValue;

/// What is left of a body.
pub(super) struct Records<'a> {
    rest: &'a [u8],
    is_first: bool,
}

/// What stands where a record may.
pub(super) enum Next {
    /// A record with this offset; what follows is its message.
    Record(i64),
    /// The end of the body.
    End,
}

impl<'a> Records<'a> {
    /// Reads up to the first record. With it the partition.
    pub(super) fn open(body: &'a [u8]) -> Option<(i32, Records<'a>)> {
        let mut records = Records { rest: body, is_first: true };
        records.eat(br#"{"topic":"#)?;
        serde_json::from_str::<String>(records.value()?.get()).ok()?;
        records.eat(br#","partition":"#)?;
        let partition = serde_json::from_str(records.value()?.get()).ok()?;
        records.eat(br#","records":["#)?;
        Some((partition, records))
    }

    /// Reads up to the next message.
    pub(super) fn next(&mut self) -> Option<Next> {
        let is_first = std::mem::take(&mut self.is_first);
        if !is_first {
            self.eat(b"}")?;
        }
        if self.rest == b"]}" {
            return Some(Next::End);
        }
        if !is_first {
            self.eat(b",")?;
        }
        self.eat(br#"{"offset":"#)?;
        let offset = serde_json::from_str(self.value()?.get()).ok()?;
        self.eat(br#","report":"#)?;
        Some(Next::Record(offset))
    }

    /// What begins with the message.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The message, if it has this length.
    pub(super) fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (message, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(message)
    }

    /// Any JSON value.
    pub(super) fn value(&mut self) -> Option<&'a RawValue> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter::<&RawValue>();
        let value = values.next()?.ok()?;
        self.rest = &self.rest[values.byte_offset()..];
        Some(value)
    }

    fn eat(&mut self, text: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }
}
