//! Numbers of JSON at the start of a text, read as serde_json reads them: rounded to the nearest double, and never infinite.

/// A number, and how many bytes it takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    /// NaN for `null`.
    pub(crate) value: f64,
    pub(crate) decimal: Decimal,
    pub(crate) length: usize,
}

/// A number's digits, from which its text can be made again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Decimal {
    /// All of them, as one whole number.
    pub(crate) digits: i64,
    /// How many of them stand behind the point.
    pub(crate) scale: u8,
}

impl Decimal {
    /// 0.
    pub(crate) const ZERO: Decimal = Decimal::whole(0);
    /// `null`.
    pub(crate) const NULL: Decimal = Decimal { digits: 0, scale: 0xff };
    /// A number that is not told by its digits alone: one with an exponent, with many digits, or `-0`.
    pub(crate) const OTHER: Decimal = Decimal { digits: 0, scale: 0xfe };

    pub(crate) const fn whole(digits: i64) -> Decimal {
        Decimal { digits, scale: 0 }
    }

    pub(crate) fn is_null(self) -> bool {
        self == Decimal::NULL
    }

    pub(crate) fn is_other(self) -> bool {
        self == Decimal::OTHER
    }

    /// The nearest double; NaN for `null`. Only for what [`decimal_or_null`] gave.
    pub(crate) fn value(self) -> f64 {
        // both are exact, so the one division rounds as it should
        POWERS_OF_TEN.get(usize::from(self.scale)).map_or(f64::NAN, |power| self.digits as f64 / power)
    }

    /// The text that it was.
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        if self.is_null() {
            out.extend_from_slice(b"null");
            return;
        }
        let width = usize::from(self.scale) + 1;
        let sign = if self.digits < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", self.digits.unsigned_abs());
        let (whole, fraction) = digits.split_at(digits.len() - usize::from(self.scale));
        let point = if fraction.is_empty() { "" } else { "." };
        for part in [sign, whole, point, fraction] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

/// Decimal digits that fit 53 bits whatever they are.
const EXACT_DIGITS: usize = 15;
/// Powers of ten that are exact in a double, as far as there are digits to divide.
const POWERS_OF_TEN: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
/// Digits of the largest `i64`.
const WHOLE_DIGITS: usize = 19;

/// A number of JSON's grammar, or `null`. `None` for what is neither, and for what no double can hold.
pub(crate) fn decimal_or_null(bytes: &[u8]) -> Option<Number> {
    if bytes.starts_with(b"null") {
        return Some(Number { value: f64::NAN, decimal: Decimal::NULL, length: 4 });
    }
    let is_negative = bytes.first() == Some(&b'-');
    let begin = usize::from(is_negative);
    let mut mantissa = 0u64;
    let mut digits = |from: usize| {
        let mut at = from;
        while let Some(digit) = bytes.get(at).map(|byte| byte.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            // more than EXACT_DIGITS are not looked at
            mantissa = mantissa.wrapping_mul(10).wrapping_add(u64::from(digit));
            at += 1;
        }
        at
    };
    let mut end = digits(begin);
    let mut count = end - begin;
    if count == 0 || (count > 1 && bytes[begin] == b'0') {
        return None;
    }
    let mut fraction = 0;
    if bytes.get(end) == Some(&b'.') {
        let from = end + 1;
        end = digits(from);
        fraction = end - from;
        if fraction == 0 {
            return None;
        }
        count += fraction;
    }
    if count <= EXACT_DIGITS && !matches!(bytes.get(end), Some(b'e' | b'E')) {
        let digits = mantissa.cast_signed();
        let decimal = Decimal { digits: if is_negative { -digits } else { digits }, scale: fraction as u8 };
        if is_negative && digits == 0 {
            return Some(Number { value: -0.0, decimal: Decimal::OTHER, length: end });
        }
        return Some(Number { value: decimal.value(), decimal, length: end });
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let from = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        end = digits(from);
        if end == from {
            return None;
        }
    }
    let value: f64 = str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    value.is_finite().then_some(Number { value, decimal: Decimal::OTHER, length: end })
}

/// A whole number from 0 to the largest `i64`, in digits alone, with its length. JSON has other ways to write one; reports do not use them.
pub(crate) fn whole(bytes: &[u8]) -> Option<(i64, usize)> {
    let length = bytes.iter().take(WHOLE_DIGITS + 1).take_while(|byte| byte.is_ascii_digit()).count();
    if length > 1 && bytes[0] == b'0' {
        return None;
    }
    Some((str::from_utf8(&bytes[..length]).ok()?.parse().ok()?, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_what_serde_json_says() {
        for text in [
            "0",
            "-0",
            "-0.0",
            "1",
            "-1",
            "10",
            "0.1",
            "-0.25",
            "123456.789",
            "999999999999999",
            "9999999999999999",
            "0.1000000000000055",
            "123456789012345.6",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551616",
            "1e3",
            "1E+3",
            "1.5e-3",
            "2e-400",
            "1.7976931348623157e308",
            "4.9e-324",
            "2.2250738585072011e-308",
            "0.000000000000001",
            "null",
        ] {
            let number = decimal_or_null(text.as_bytes()).unwrap();
            let expected: Option<f64> = serde_json::from_str(text).unwrap();
            assert_eq!(number.length, text.len(), "{text}");
            assert_eq!(Some(number.value.to_bits()).filter(|_| !number.value.is_nan()), expected.map(f64::to_bits), "{text}");
        }
        for text in
            ["", "-", "+1", "01", "-01", ".5", "1.", "1.e3", "1e", "1e+", "nul", "NaN", "Infinity", "1e400", "-1e999", "\"1\""]
        {
            let is_refused = decimal_or_null(text.as_bytes()).is_none_or(|number| number.length < text.len());
            assert!(is_refused && serde_json::from_str::<Option<f64>>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_have_63_bits() {
        for (text, expected) in [
            ("0", Some(0)),
            ("7}", Some(7)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("10000000000000000000", None),
            ("00", None),
            ("-1", None),
            ("", None),
            ("x", None),
        ] {
            assert_eq!(whole(text.as_bytes()).map(|(value, _)| value), expected, "{text}");
        }
        assert_eq!(whole(b"12.5"), Some((12, 2)), "what follows is not of the form then");
    }
}
