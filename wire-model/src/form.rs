//! The form of a report: everything in it that stays the same from one report of a host to the next.
//!
//! Until a container comes or goes, a host's reports differ in their numbers alone. So a message is compared with the text of one that was
//! decoded and checked before, which costs little more than copying it, and only what stands in its blanks is read. Whatever is not of the
//! form, even if it is only written in another way, goes the long way of [`HostReport::decode`]: a form decides nothing by itself, and
//! neither what is a report nor why something is none can differ between the two.
//!
//! With a message of its form, what stands in the blanks of another one is all of it: [`Form::pack`] and [`Form::unpack`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::decode::ReportError;
use crate::limits;
use crate::number::{self, Decimal, Number};
use crate::pack::{Packer, Unpacked, Unpacker};
use crate::report::{CONTAINER_TABLE, Cell, HostReport, Removed, ReportId, is_metric};

/// A report without its numbers, as the host wrote it.
#[derive(Debug)]
pub struct Form {
    host_id: String,
    interval_ms: u32,
    previous: Option<ReportId>,
    removed: Removed,
    machines: usize,
    /// The message without what stands in its blanks.
    text: Box<[u8]>,
    /// In the order in which they stand in the message.
    blanks: Box<[Blank]>,
}

/// A place in the message at which reports of one form differ.
#[derive(Clone, Copy, Debug)]
struct Blank {
    /// Length of the text before it.
    text_end: u32,
    what: What,
    /// What stands there in the message that the form is of, as [`Decimal`]; 0 for what is not told by its digits alone.
    scale: u8,
    digits: i64,
}

impl Blank {
    fn base(&self) -> Decimal {
        Decimal { digits: self.digits, scale: self.scale }
    }
}

// there are hundreds in a form, and a form for each host
const _: () = assert!(size_of::<Blank>() == 16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Epoch,
    Seq,
    At,
    Value,
}

/// What stands in the blanks of one report.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Which of its host's reports.
    pub id: ReportId,
    /// Unix ms when the values were read.
    pub at: i64,
    /// The values of all metrics, those of devices and containers too, in the order of the message; NaN where it has `null`.
    pub values: Vec<f64>,
}

/// A message that a form fits.
#[derive(Clone, Debug)]
pub struct Packed {
    /// What stands in its blanks,
    pub figures: Figures,
    /// and that once more: from it and a message of the form the report can be read again. `None` when a number is written in more than
    /// 255 characters.
    pub packed: Option<Vec<u8>>,
    /// Bytes of the message.
    pub length: usize,
}

impl Figures {
    fn with_room(blanks: usize) -> Figures {
        Figures { id: ReportId::default(), at: 0, values: Vec::with_capacity(blanks) }
    }

    /// Takes what names the report, from a blank that has no value.
    fn name(&mut self, what: What, digits: i64) {
        match what {
            What::Epoch => self.id.epoch = digits.cast_unsigned(),
            What::Seq => self.id.seq = digits.cast_unsigned(),
            What::At | What::Value => self.at = digits,
        }
    }
}

impl Form {
    /// Decodes and checks a message as [`HostReport::decode`] does, and keeps its form.
    pub fn decode(message: &[u8], now_ms: i64) -> Result<(Form, Figures), ReportError> {
        let report = HostReport::decode(message, now_ms)?;
        let form = Form::of(message, report).map_err(|error| ReportError::Undecodable(error.to_string()))?;
        // held by tests and by the fuzzer: it is there, or one report would be lost with this reason
        let figures =
            form.read(message, now_ms).ok_or_else(|| ReportError::Undecodable("it is not of its own form".to_owned()))?;
        Ok((form, figures))
    }

    /// The form of a message that was decoded.
    fn of(message: &[u8], report: HostReport) -> serde_json::Result<Form> {
        let raw: RawReport<'_> = serde_json::from_slice(message)?;
        let mut places = vec![(raw.epoch, What::Epoch), (raw.seq, What::Seq), (raw.at, What::At)];
        places.extend(raw.metrics.values().map(|value| (*value, What::Value)));
        for table in raw.tables.values() {
            let cells = table.rows.iter().flat_map(|row| table.columns.iter().zip(row));
            places.extend(cells.filter(|(column, _)| is_metric(column)).map(|(_, cell)| (*cell, What::Value)));
        }
        let offset = |value: &RawValue| value.get().as_ptr().addr() - message.as_ptr().addr();
        places.sort_unstable_by_key(|(value, _)| offset(value));
        let mut text = Vec::with_capacity(message.len());
        let mut blanks = Vec::with_capacity(places.len());
        let mut behind = 0;
        for (value, what) in places {
            let before = &message[behind..offset(value)];
            let spaces = before.iter().rev().take_while(|byte| **byte == b' ').count();
            text.extend_from_slice(&before[..before.len() - spaces]);
            behind = offset(value) + value.get().len();
            let number = value.get().as_bytes();
            let base = match what {
                What::Value => number::decimal_or_null(number).map(|number| number.decimal).filter(|base| !base.is_other()),
                What::Epoch | What::Seq | What::At => number::whole(number).map(|(digits, _)| Decimal::whole(digits)),
            };
            let Decimal { digits, scale } = base.unwrap_or(Decimal::ZERO);
            blanks.push(Blank { text_end: u32::try_from(text.len()).expect("a message is shorter"), what, scale, digits });
        }
        text.extend_from_slice(&message[behind..]);
        Ok(Form {
            machines: 1 + report.tables.get(CONTAINER_TABLE).map_or(0, |table| table.rows.len()),
            host_id: report.host.id,
            interval_ms: report.interval_ms,
            previous: report.previous,
            removed: report.removed,
            text: text.into(),
            blanks: blanks.into(),
        })
    }

    /// What a message has in the blanks of this form; `None` when it is not of this form, or no report that may be taken: that is for
    /// [`decode`](Form::decode) to say.
    pub fn read(&self, message: &[u8], now_ms: i64) -> Option<Figures> {
        self.walk(message, now_ms, |_, _, _| {}).filter(|(_, length)| *length == message.len()).map(|(figures, _)| figures)
    }

    /// As [`read`](Form::read), of a message at the start of `bytes`, and with what stands in the blanks packed.
    pub fn pack(&self, bytes: &[u8], now_ms: i64) -> Option<Packed> {
        let mut packer = Packer::default();
        let (figures, length) = self.walk(bytes, now_ms, |base, number, text| packer.push(base, number, text))?;
        Some(Packed { figures, length, packed: packer.finish() })
    }

    /// Goes through the blanks of a message with what the form has there, what the message has, and its text. Figures and length of the
    /// message.
    #[inline]
    fn walk(&self, bytes: &[u8], now_ms: i64, mut each: impl FnMut(Decimal, Decimal, &[u8])) -> Option<(Figures, usize)> {
        let mut figures = Figures::with_room(self.blanks.len());
        let (mut text, mut rest) = (&*self.text, bytes);
        let mut begin = 0;
        for blank in &self.blanks {
            let same;
            (same, text) = text.split_at((blank.text_end - begin) as usize);
            begin = blank.text_end;
            rest = without(rest, same)?;
            // JSON allows them before a number, so that numbers of any length can stand in fields of one width
            while let [b' ', behind @ ..] = rest {
                rest = behind;
            }
            let (decimal, length) = if blank.what == What::Value {
                let Number { value, decimal, length } = number::decimal_or_null(rest)?;
                figures.values.push(value);
                (decimal, length)
            } else {
                let (digits, length) = number::whole(rest)?;
                figures.name(blank.what, digits);
                (Decimal::whole(digits), length)
            };
            let (number, behind) = rest.split_at(length);
            each(blank.base(), decimal, number);
            rest = behind;
        }
        let length = bytes.len() - rest.strip_prefix(text)?.len();
        let is_new_epoch = self.previous.is_none_or(|previous| previous.epoch < figures.id.epoch);
        let is_time = figures.at > 0 && figures.at.saturating_sub(now_ms) <= limits::FUTURE_MS;
        (length <= limits::MESSAGE_BYTES && is_new_epoch && is_time).then_some((figures, length))
    }

    /// A report that was packed by this form; `None` when it was not.
    pub fn unpack(&self, packed: &[u8]) -> Option<Figures> {
        let mut figures = Figures::with_room(self.blanks.len());
        let mut unpacker = Unpacker::new(packed);
        for blank in &self.blanks {
            let number = unpacker.next(blank.base())?;
            if blank.what == What::Value {
                figures.values.push(match number {
                    Unpacked::Decimal(decimal) => decimal.value(),
                    Unpacked::Text(text) => number::decimal_or_null(text).filter(|number| number.length == text.len())?.value,
                });
                continue;
            }
            let digits = match number {
                Unpacked::Decimal(decimal) if decimal.scale == 0 => decimal.digits,
                Unpacked::Decimal(_) => return None,
                Unpacked::Text(text) => number::whole(text).filter(|(_, length)| *length == text.len())?.0,
            };
            figures.name(blank.what, digits);
        }
        unpacker.is_empty().then_some(figures)
    }

    /// The message that was packed by this form, without spaces before its numbers; `None` when it was not.
    pub fn message(&self, packed: &[u8]) -> Option<Vec<u8>> {
        let mut unpacker = Unpacker::new(packed);
        let message = self.fill(|blank, message| {
            match unpacker.next(blank.base())? {
                Unpacked::Decimal(decimal) => decimal.write(message),
                Unpacked::Text(text) => message.extend_from_slice(text),
            }
            Some(())
        })?;
        unpacker.is_empty().then_some(message)
    }

    /// A message of this form, by whose form, and no other, can be read what this one has packed.
    pub fn first_message(&self) -> Vec<u8> {
        let fill = |blank: &Blank, message: &mut Vec<u8>| {
            blank.base().write(message);
            Some(())
        };
        self.fill(fill).expect("nothing that fails")
    }

    /// The text with something in its blanks.
    fn fill(&self, mut each: impl FnMut(&Blank, &mut Vec<u8>) -> Option<()>) -> Option<Vec<u8>> {
        let mut message = Vec::with_capacity(self.text.len() + 8 * self.blanks.len());
        let mut begin = 0;
        for blank in &self.blanks {
            message.extend_from_slice(&self.text[begin..blank.text_end as usize]);
            begin = blank.text_end as usize;
            each(blank, &mut message)?;
        }
        message.extend_from_slice(&self.text[begin..]);
        Some(message)
    }

    /// The report with, for each value, its place in [`Figures::values`]: who has looked up a place here need not look for the value
    /// again. Number, epoch and time are 0.
    pub fn places(&self) -> HostReport {
        let mut place = 0;
        let fill = |blank: &Blank, message: &mut Vec<u8>| {
            let filling = if blank.what == What::Value { place } else { 0 };
            message.extend_from_slice(filling.to_string().as_bytes());
            place += i32::from(blank.what == What::Value);
            Some(())
        };
        let message = self.fill(fill).expect("nothing that fails");
        serde_json::from_slice(&message).expect("a report stays one with other numbers")
    }

    /// The whole report again.
    pub fn report(&self, figures: &Figures) -> HostReport {
        let mut report = self.places();
        let value = |place: f64| Some(figures.values[place as usize]).filter(|value| !value.is_nan());
        for slot in report.metrics.values_mut() {
            *slot = slot.and_then(value);
        }
        for table in report.tables.values_mut() {
            for row in &mut table.rows {
                for (_, cell) in table.columns.iter().zip(row).filter(|(column, _)| is_metric(column)) {
                    *cell = Cell::from(cell.number().and_then(value));
                }
            }
        }
        HostReport { epoch: figures.id.epoch, seq: figures.id.seq, at: figures.at, ..report }
    }

    /// The host's own id.
    pub fn host_id(&self) -> &str {
        &self.host_id
    }

    /// As [`HostReport::interval_ms`].
    pub fn interval_ms(&self) -> u32 {
        self.interval_ms
    }

    /// As [`HostReport::previous`].
    pub fn previous(&self) -> Option<ReportId> {
        self.previous
    }

    /// As [`HostReport::removed`].
    pub fn removed(&self) -> Removed {
        self.removed
    }

    /// The host and its containers.
    pub fn machines(&self) -> usize {
        self.machines
    }

    /// Nearly what it takes in memory.
    pub fn bytes(&self) -> usize {
        size_of::<Form>() + self.text.len() + size_of_val(&*self.blanks)
    }
}

/// The id of the host that a message seems to be of, as it is written there. A cheap guess at which form a message may have: what it says
/// is only true when the form fits.
pub fn guess_host_id(message: &[u8]) -> Option<&str> {
    let behind =
        |bytes: &'_ [u8], text: &[u8]| bytes.windows(text.len()).position(|window| window == text).map(|at| at + text.len());
    let host = &message[behind(message, br#""host":{"#)?..];
    let id = &host[behind(host, br#""id":""#)?..];
    str::from_utf8(&id[..id.iter().position(|byte| *byte == b'"')?]).ok()
}

/// What comes behind `start`. Between cells stands one comma, for which a comparison of its own is faster.
fn without<'a>(bytes: &'a [u8], start: &[u8]) -> Option<&'a [u8]> {
    match start {
        [byte] => bytes.split_first().filter(|(first, _)| *first == byte).map(|(_, rest)| rest),
        _ => bytes.strip_prefix(start),
    }
}

/// The fields of [`HostReport`] in their order (a report may be written as a sequence, too), with the texts of its numbers.
#[derive(Deserialize)]
struct RawReport<'a> {
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    #[serde(rename = "host")]
    _host: IgnoredAny,
    #[serde(borrow)]
    epoch: &'a RawValue,
    #[serde(borrow)]
    seq: &'a RawValue,
    #[serde(borrow)]
    at: &'a RawValue,
    #[serde(rename = "interval_ms")]
    _interval_ms: IgnoredAny,
    #[serde(rename = "previous", default)]
    _previous: IgnoredAny,
    #[serde(borrow)]
    metrics: BTreeMap<String, &'a RawValue>,
    #[serde(borrow)]
    tables: BTreeMap<String, RawTable<'a>>,
    #[serde(rename = "removed", default)]
    _removed: IgnoredAny,
}

#[derive(Deserialize)]
struct RawTable<'a> {
    columns: Vec<String>,
    #[serde(borrow)]
    rows: Vec<Vec<&'a RawValue>>,
}
