//! The numbers of a report against those of its form: most are the same, or near.
//!
//! docs/CHUNKS.md describes the bytes.

use crate::number::Decimal;

const SAME: u8 = 0xc0;
/// Longest run of one byte.
const SAME_MAX: u8 = 0x3e;
const TEXT: u8 = 0xfe;
const NULL: u8 = 0xff;
/// Digits behind the point that the byte can say.
const SCALE_MAX: u8 = 0x0b;
/// Bytes of the largest difference.
const BYTES_MAX: usize = 7;

/// Writes numbers in their order.
#[derive(Default)]
pub(crate) struct Packer {
    out: Vec<u8>,
    same: u8,
    /// A text was too long.
    failed: bool,
}

impl Packer {
    /// The next number, which stands as `text` where the form has `base`.
    #[inline]
    pub(crate) fn push(&mut self, base: Decimal, number: Decimal, text: &[u8]) {
        if number == base && !number.is_other() {
            self.same += 1;
            if self.same == SAME_MAX {
                self.flush();
            }
            return;
        }
        self.flush();
        if number.is_null() {
            self.out.push(NULL);
            return;
        }
        let reference = if base.scale == number.scale { base.digits } else { 0 };
        let difference = number.digits.checked_sub(reference);
        match difference {
            Some(difference) if number.scale <= SCALE_MAX && difference.unsigned_abs() >> (8 * BYTES_MAX) == 0 => {
                let bytes = difference.unsigned_abs().to_le_bytes();
                let length = 8 - difference.unsigned_abs().leading_zeros() as usize / 8;
                self.out.push(number.scale << 4 | u8::from(difference < 0) << 3 | length as u8);
                self.out.extend_from_slice(&bytes[..length]);
            }
            _ => match u8::try_from(text.len()) {
                Ok(length) => {
                    self.out.extend([TEXT, length]);
                    self.out.extend_from_slice(text);
                }
                Err(_) => self.failed = true,
            },
        }
    }

    /// All of them; `None` when a number is written in more than 255 characters.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        self.flush();
        Some(self.out).filter(|_| !self.failed)
    }

    fn flush(&mut self) {
        if self.same > 0 {
            self.out.push(SAME - 1 + self.same);
            self.same = 0;
        }
    }
}

/// A number that was packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unpacked<'a> {
    Decimal(Decimal),
    Text(&'a [u8]),
}

/// Reads numbers in their order.
pub(crate) struct Unpacker<'a> {
    bytes: &'a [u8],
    same: u8,
}

impl<'a> Unpacker<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Unpacker<'a> {
        Unpacker { bytes, same: 0 }
    }

    /// The next number, where the form has `base`; `None` when that is not what was packed.
    #[inline]
    pub(crate) fn next(&mut self, base: Decimal) -> Option<Unpacked<'a>> {
        if self.same > 0 {
            self.same -= 1;
            return Some(Unpacked::Decimal(base));
        }
        let (byte, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        match *byte {
            NULL => Some(Unpacked::Decimal(Decimal::NULL)),
            TEXT => {
                let (length, rest) = rest.split_first()?;
                let (text, rest) = rest.split_at_checked(usize::from(*length))?;
                self.bytes = rest;
                Some(Unpacked::Text(text))
            }
            SAME.. => {
                self.same = *byte - SAME;
                Some(Unpacked::Decimal(base))
            }
            _ => {
                let (scale, length) = (*byte >> 4, usize::from(*byte & 7));
                let mut bytes = [0; 8];
                bytes.get_mut(..length)?.copy_from_slice(rest.get(..length)?);
                self.bytes = &rest[length..];
                let difference = i64::from_le_bytes(bytes);
                let reference = if base.scale == scale { base.digits } else { 0 };
                let digits = if *byte & 8 == 0 { reference.checked_add(difference) } else { reference.checked_sub(difference) };
                Some(Unpacked::Decimal(Decimal { digits: digits?, scale }))
            }
        }
    }

    /// Whether that was all.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.same == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(numbers: &[(Decimal, Decimal, &str)]) -> Vec<u8> {
        let mut packer = Packer::default();
        for (base, number, text) in numbers {
            packer.push(*base, *number, text.as_bytes());
        }
        packer.finish().unwrap()
    }

    fn decimal(digits: i64, scale: u8) -> Decimal {
        Decimal { digits, scale }
    }

    #[test]
    fn each_number_is_what_the_table_says() {
        let base = decimal(1_000, 2);
        for (number, text, expected) in [
            (base, "10.00", &[0xc0][..]),
            (decimal(1_001, 2), "10.01", &[0x21, 1]),
            (decimal(0, 2), "0.00", &[0x2a, 0xe8, 0x03]),
            (decimal(1_000, 0), "1000", &[0x02, 0xe8, 0x03]),
            (decimal(-1, 0), "-1", &[0x09, 1]),
            (decimal(0, 0), "0", &[0x00]),
            (decimal(7, 11), "0.00000000007", &[0xb1, 7]),
            (decimal(7, 12), "7e-12", &[0xfe, 5, b'7', b'e', b'-', b'1', b'2']),
            (Decimal::OTHER, "1e3", &[0xfe, 3, b'1', b'e', b'3']),
            (Decimal::NULL, "null", &[0xff]),
            (decimal((1 << 56) - 1, 0), "", &[0x07, 255, 255, 255, 255, 255, 255, 255]),
            (decimal(1 << 56, 0), "72057594037927936", b"\xfe\x1172057594037927936"),
        ] {
            let bytes = packed(&[(base, number, text)]);
            assert_eq!(bytes, expected, "{text}");
            let mut unpacker = Unpacker::new(&bytes);
            let read = unpacker.next(base).unwrap();
            let is_text = expected[0] == TEXT;
            assert_eq!(read, if is_text { Unpacked::Text(text.as_bytes()) } else { Unpacked::Decimal(number) }, "{text}");
            assert!(unpacker.is_empty() && unpacker.next(base).is_none());
            for cut in 1..bytes.len() {
                assert_eq!(Unpacker::new(&bytes[..cut]).next(base), None, "{text}");
            }
        }
    }

    #[test]
    fn a_text_has_up_to_255_characters() {
        for (length, fits) in [(255, true), (256, false)] {
            let mut packer = Packer::default();
            packer.push(Decimal::ZERO, Decimal::OTHER, &vec![b'1'; length]);
            assert_eq!(packer.finish().is_some(), fits, "{length}");
        }
    }

    #[test]
    fn runs_are_counted_up_to_their_longest() {
        let base = decimal(5, 0);
        for (count, expected) in [(1, &[0xc0][..]), (62, &[0xfd]), (63, &[0xfd, 0xc0]), (124, &[0xfd, 0xfd])] {
            let bytes = packed(&vec![(base, base, "5"); count]);
            assert_eq!(bytes, expected);
            let mut unpacker = Unpacker::new(&bytes);
            for _ in 0..count {
                assert!(!unpacker.is_empty());
                assert_eq!(unpacker.next(base), Some(Unpacked::Decimal(base)));
            }
            assert!(unpacker.is_empty());
        }
        assert_eq!(packed(&[(Decimal::OTHER, Decimal::OTHER, "1e9")])[0], TEXT, "what has no digits is never the same");
    }
}
