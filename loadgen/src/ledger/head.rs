//! Messages of reports that are not sealed, put together again as docs/CHUNKS.md says; what is said there of a form is done here once
//! more, and not taken from those who stored it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;
use wire_model::is_metric;

/// Whether a payload is this message. Spaces before numbers are not stored where it refers to a form, and may be left out of a late one.
pub(super) fn holds(payload: &[u8], forms: &HashMap<i64, Vec<u8>>, message: &[u8]) -> bool {
    let is_tight = |stored: Vec<u8>| Some(stored) == without_spaces(message);
    match payload {
        [1, packed @ ..] => filled(packed, forms).is_some_and(is_tight),
        [2, frame @ ..] => zstd::decode_all(frame).is_ok_and(|stored| stored == message || is_tight(stored)),
        _ => zstd::decode_all(payload).is_ok_and(|stored| stored == message),
    }
}

/// Whether a payload says that its report came when a newer one of the host was there.
pub(super) fn is_late(payload: &[u8]) -> bool {
    payload.first() == Some(&2)
}

/// The message of a form with what is packed in its blanks.
fn filled(payload: &[u8], forms: &HashMap<i64, Vec<u8>>) -> Option<Vec<u8>> {
    let (form_at, mut packed) = payload.split_first_chunk()?;
    let form = zstd::decode_all(&forms.get(&i64::from_le_bytes(*form_at))?[..]).ok()?;
    let mut message = Vec::new();
    let (mut behind, mut same) = (0, 0);
    for blank in blanks(&form)? {
        message.extend_from_slice(&form[behind..blank.start]);
        behind = blank.end;
        let number = &form[blank];
        if same == 0
            && let Some(run) = packed.first().filter(|byte| (0xc0..0xfe).contains(*byte))
        {
            same = run - 0xbf;
            packed = &packed[1..];
        }
        if same > 0 {
            same -= 1;
            message.extend_from_slice(number);
        } else {
            message.extend(take(&mut packed, str::from_utf8(number).ok()?)?);
        }
    }
    message.extend_from_slice(&form[behind..]);
    (packed.is_empty() && same == 0).then_some(message)
}

/// The text of the next number, where the form has another one.
fn take(packed: &mut &[u8], of_form: &str) -> Option<Vec<u8>> {
    let (byte, rest) = packed.split_first()?;
    let (length, text) = match byte {
        0xff => (0, b"null".to_vec()),
        0xfe => {
            let length = usize::from(*rest.first()?);
            (1 + length, rest.get(1..=length)?.to_vec())
        }
        byte => {
            let (scale, length) = (usize::from(byte >> 4), usize::from(byte & 7));
            let difference = rest.get(..length)?.iter().rev().fold(0, |sum, byte| sum << 8 | i128::from(*byte));
            let fraction = of_form.split_once('.').map_or("", |(_, fraction)| fraction);
            let digits = of_form.replace('.', "").parse::<i128>().ok().filter(|_| fraction.len() == scale).unwrap_or_default();
            let number = if byte & 8 == 0 { digits + difference } else { digits - difference };
            let digits = format!("{:0width$}", number.unsigned_abs(), width = scale + 1);
            let (whole, fraction) = digits.split_at(digits.len() - scale);
            let (sign, point) = (if number < 0 { "-" } else { "" }, if scale > 0 { "." } else { "" });
            (length, format!("{sign}{whole}{point}{fraction}").into_bytes())
        }
    };
    *packed = &rest[length..];
    Some(text)
}

fn without_spaces(message: &[u8]) -> Option<Vec<u8>> {
    let mut tight = Vec::new();
    let mut behind = 0;
    for blank in blanks(message)? {
        tight.extend_from_slice(message[behind..blank.start].trim_ascii_end());
        tight.extend_from_slice(&message[blank.clone()]);
        behind = blank.end;
    }
    tight.extend_from_slice(&message[behind..]);
    Some(tight)
}

/// Where the numbers stand in which reports of one form differ.
fn blanks(message: &[u8]) -> Option<Vec<Range<usize>>> {
    #[derive(Deserialize)]
    struct Report<'a> {
        #[serde(borrow)]
        epoch: &'a RawValue,
        #[serde(borrow)]
        seq: &'a RawValue,
        #[serde(borrow)]
        at: &'a RawValue,
        #[serde(borrow)]
        metrics: BTreeMap<String, &'a RawValue>,
        #[serde(borrow)]
        tables: BTreeMap<String, Table<'a>>,
    }
    #[derive(Deserialize)]
    struct Table<'a> {
        columns: Vec<String>,
        #[serde(borrow)]
        rows: Vec<Vec<&'a RawValue>>,
    }
    let Report { epoch, seq, at, metrics, tables } = serde_json::from_slice(message).ok()?;
    let cells = tables.values().flat_map(|table| table.rows.iter().flat_map(|row| table.columns.iter().zip(row)));
    let cells = cells.filter(|(column, _)| is_metric(column)).map(|(_, cell)| *cell);
    let place = |value: &RawValue| {
        let start = value.get().as_ptr().addr() - message.as_ptr().addr();
        start..start + value.get().len()
    };
    let mut blanks: Vec<_> = [epoch, seq, at].into_iter().chain(metrics.into_values()).chain(cells).map(place).collect();
    blanks.sort_by_key(|blank| blank.start);
    Some(blanks)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Blanks: epoch, seq, at, and the values of a, b.c and d.
    fn message(seq: u64, values: [&str; 3]) -> Vec<u8> {
        let [a, b, d] = values;
        format!(r#"{{"epoch":5,"seq":{seq},"at":9,"metrics":{{"a":{a}}},"tables":{{"t":{{"columns":["n","b.c","d.e"],"rows":[[7,{b},{d}]]}}}}}}"#)
            .into_bytes()
    }

    fn payload(packed: &[u8]) -> Vec<u8> {
        [&[1][..], &77i64.to_le_bytes(), packed].concat()
    }

    #[test]
    fn a_message_is_put_together_by_its_form() {
        let form = message(1, ["0.25", "-3", "null"]);
        let forms = HashMap::from([(77, zstd::encode_all(&form[..], 1).unwrap())]);
        for (seq, values, packed) in [
            (1, ["0.25", "-3", "null"], &[0xc5][..]),
            (2, ["0.20", "2", "1.5"], &[0xc0, 0x01, 1, 0xc0, 0x29, 5, 0x01, 5, 0x11, 15]),
            (2, ["0.5", "null", "2e9"], &[0xc0, 0x01, 1, 0xc0, 0x11, 5, 0xff, 0xfe, 3, b'2', b'e', b'9']),
            (301, ["0.25", "-3", "-0.01"], &[0xc0, 0x02, 44, 1, 0xc2, 0x29, 1]),
        ] {
            let message = message(seq, values);
            assert!(holds(&payload(packed), &forms, &message), "{values:?}");
            assert!(!holds(&payload(&packed[..packed.len() - 1]), &forms, &message));
            assert!(!holds(&payload(&[packed, &[0xc0]].concat()), &forms, &message));
            assert!(!holds(&payload(packed), &HashMap::new(), &message));
        }
        let wide = String::from_utf8(message(1, ["0.25", "-3", "null"])).unwrap().replace(":0.25", ":   0.25");
        assert!(holds(&payload(&[0xc5]), &forms, wide.as_bytes()));
        assert!(!holds(&payload(&[0xc5]), &forms, wide.replace("epoch\":5", "epoch\":6").as_bytes()));
        assert!(holds(&zstd::encode_all(&form[..], 1).unwrap(), &HashMap::new(), &form));
        assert!(!holds(b"x", &HashMap::new(), &form));
        let late = [&[2][..], &zstd::encode_all(&form[..], 1).unwrap()].concat();
        assert!(is_late(&late) && holds(&late, &HashMap::new(), &form) && holds(&late, &HashMap::new(), wide.as_bytes()));
        assert!(!holds(&late, &HashMap::new(), wide.replace("epoch\":5", "epoch\":6").as_bytes()));
    }
}
