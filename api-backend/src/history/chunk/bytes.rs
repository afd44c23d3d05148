//! Numbers of variable length, and texts. Small numbers take one byte.

/// What was read is no chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chunk is damaged: {0}")]
pub(in crate::history) struct Damaged(pub(in crate::history) String);

pub(super) fn damaged(what: impl ToString) -> Damaged {
    Damaged(what.to_string())
}

pub(super) type Result<T> = std::result::Result<T, Damaged>;

const MORE: u8 = 0x80;
const BITS: u32 = 7;

/// Seven bits a byte, the lowest first.
#[expect(clippy::cast_possible_truncation, reason = "seven bits")]
pub(super) fn write_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= u64::from(MORE) {
        out.push(number as u8 | MORE);
        number >>= BITS;
    }
    out.push(number as u8);
}

/// The sign in the lowest bit, so that small negative numbers are short, too.
pub(super) fn write_signed(out: &mut Vec<u8>, number: i64) {
    write_number(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

pub(super) fn write_float(out: &mut Vec<u8>, number: f64) {
    out.extend(number.to_le_bytes());
}

pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    write_number(out, text.len() as u64);
    out.extend(text.as_bytes());
}

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or_else(|| damaged("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..u64::BITS).step_by(BITS as usize) {
            let byte = self.byte()?;
            let bits = u64::from(byte & !MORE);
            if bits.leading_zeros() < shift {
                return Err(damaged("a number is too long"));
            }
            number |= bits << shift;
            if byte & MORE == 0 {
                return Ok(number);
            }
        }
        Err(damaged("a number is too long"))
    }

    pub(super) fn signed(&mut self) -> Result<i64> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A count of things of which each takes at least a bit of what is left, or which is at most `limit`.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize> {
        let count = usize::try_from(self.number()?).ok().filter(|count| *count <= limit);
        count.ok_or_else(|| damaged("a count is too large"))
    }

    pub(super) fn float(&mut self) -> Result<f64> {
        Ok(f64::from_le_bytes(self.take(8)?.try_into().expect("eight bytes were taken")))
    }

    pub(super) fn text(&mut self) -> Result<&'a str> {
        let length = self.count(self.0.len())?;
        str::from_utf8(self.take(length)?).map_err(damaged)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(number in any::<u64>(), signed in any::<i64>(), float in any::<f64>(), text in ".{0,9}") {
            let mut out = Vec::new();
            write_number(&mut out, number);
            write_signed(&mut out, signed);
            write_float(&mut out, float);
            write_text(&mut out, &text);
            let mut reader = Reader(&out);
            prop_assert_eq!((reader.number().unwrap(), reader.signed().unwrap()), (number, signed));
            prop_assert_eq!(reader.float().unwrap().to_bits(), float.to_bits());
            prop_assert_eq!(reader.text().unwrap(), text);
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..24)) {
            let mut reader = Reader(&bytes);
            while reader.number().is_ok() {}
            prop_assert!(Reader(&bytes).text().is_ok() || Reader(&bytes).text().is_err());
        }
    }

    #[test]
    fn lengths_of_numbers() {
        for (number, length) in [(0, 1), (127, 1), (128, 2), (16_383, 2), (16_384, 3), (u64::MAX, 10)] {
            let mut out = Vec::new();
            write_number(&mut out, number);
            assert_eq!(out.len(), length, "{number}");
        }
        assert!(Reader(&[0xff; 10]).number().is_err());
    }
}
