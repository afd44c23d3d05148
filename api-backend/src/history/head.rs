//! Reports of the head. A host's reports differ in their numbers alone, so most are stored as what stands in the blanks of a form: that of
//! a message which stands once for its quarter of an hour. The others are whole.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use wire_model::{Figures, Form, HostReport, limits};
use zstd::bulk::Decompressor;

use super::time::{QUARTER_MS, ceil, quarter_of};
use crate::store::{self, Connection, Result, StoreError};

/// Level of stored messages: higher ones cost more CPU than they save disk.
const LEVEL: i32 = 1;
/// The first byte where the time of a form (little-endian, 8 bytes) and what was packed by it follow. A zstd frame begins with 0x28.
const PACKED: u8 = 1;
/// The first byte where the zstd frame of a whole report follows that came when a newer one of its host was there.
const LATE: u8 = 2;

/// The payload of a whole report, or the message of a form.
pub fn deflate(message: &[u8]) -> std::io::Result<Vec<u8>> {
    zstd::bulk::compress(message, LEVEL)
}

/// The payload of a report that was packed by the form of this time.
pub fn packed_payload(form_at: i64, packed: &[u8]) -> Vec<u8> {
    [&[PACKED][..], &form_at.to_le_bytes(), packed].concat()
}

/// The payload of a late report, from that of a whole one.
pub fn late_payload(whole: &[u8]) -> Vec<u8> {
    [&[LATE], whole].concat()
}

/// Whether a report came when a newer one of its host was there: it was not evaluated. One that was stored before that was noted counts as
/// in time.
pub(super) fn is_late(payload: &[u8]) -> bool {
    payload.first() == Some(&LATE)
}

/// How a report stands in its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Payload<'a> {
    Whole(&'a [u8]),
    Packed { form_at: i64, packed: &'a [u8] },
}

impl<'a> Payload<'a> {
    fn of(bytes: &'a [u8]) -> Payload<'a> {
        let packed = bytes.strip_prefix(&[PACKED]).and_then(|rest| rest.split_first_chunk());
        match packed {
            Some((form_at, packed)) => Payload::Packed { form_at: i64::from_le_bytes(*form_at), packed },
            None => Payload::Whole(bytes.strip_prefix(&[LATE]).unwrap_or(bytes)),
        }
    }
}

/// Reads reports of one host.
pub(super) struct HeadReader {
    /// Messages of forms by their times, until they are needed.
    messages: HashMap<i64, Vec<u8>>,
    /// By their times; that of whole reports has none.
    forms: HashMap<Option<i64>, Form>,
    /// Which form the report before had.
    last: Option<Option<i64>>,
    message: Vec<u8>,
    decompressor: Decompressor<'static>,
}

impl HeadReader {
    /// For a host's reports of [from, to).
    pub(super) async fn open(connection: &mut Connection, host_key: i64, from: i64, to: i64) -> Result<HeadReader> {
        let (from, to) = (quarter_of(from), ceil(to, QUARTER_MS));
        HeadReader::new(store::forms::of_host(connection, host_key, from, to).await?)
    }

    fn new(messages: HashMap<i64, Vec<u8>>) -> Result<HeadReader> {
        let decompressor = Decompressor::new().map_err(corrupt)?;
        Ok(HeadReader { messages, forms: HashMap::new(), last: None, message: Vec::new(), decompressor })
    }

    /// What a report says, and its form if it is another one than that of the report before.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<(Figures, Option<&Form>)> {
        let (key, figures) = match Payload::of(payload) {
            Payload::Packed { form_at, packed } => (Some(form_at), self.packed(form_at)?.unpack(packed)),
            Payload::Whole(message) => (None, self.whole(message)?),
        };
        if let Some(figures) = figures {
            let is_another = self.last.replace(key) != Some(key);
            return Ok((figures, self.forms.get(&key).filter(|_| is_another)));
        }
        if key.is_some() {
            return Err(corrupt(MISFIT));
        }
        let (form, figures) = decode(&self.message)?;
        self.last = Some(None);
        Ok((figures, Some(self.forms.entry(None).insert_entry(form).into_mut())))
    }

    fn packed(&mut self, at: i64) -> Result<&Form> {
        match self.forms.entry(Some(at)) {
            Entry::Occupied(form) => Ok(form.into_mut()),
            Entry::Vacant(vacant) => {
                let message = self.messages.remove(&at).ok_or_else(|| corrupt(format!("its form of {at} is not there")))?;
                inflate(&mut self.decompressor, &message, &mut self.message)?;
                Ok(vacant.insert(decode(&self.message)?.0))
            }
        }
    }

    /// By the form of the whole report before, if it is of that.
    fn whole(&mut self, message: &[u8]) -> Result<Option<Figures>> {
        inflate(&mut self.decompressor, message, &mut self.message)?;
        Ok(self.forms.get(&None).and_then(|form| form.read(&self.message, NOW)))
    }
}

/// What was stored was checked when it came; since then the clock went on.
const NOW: i64 = i64::MAX;

fn inflate(decompressor: &mut Decompressor<'_>, bytes: &[u8], message: &mut Vec<u8>) -> Result<()> {
    message.clear();
    message.reserve(limits::MESSAGE_BYTES);
    decompressor.decompress_to_buffer(bytes, message).map_err(corrupt)?;
    Ok(())
}

fn decode(message: &[u8]) -> Result<(Form, Figures)> {
    Form::decode(message, NOW).map_err(corrupt)
}

fn corrupt(error: impl ToString) -> StoreError {
    StoreError::Corrupt(format!("a report cannot be read back: {}", error.to_string()))
}

const MISFIT: &str = "it does not fit its form";

/// How often the newest reports are read again whose forms were removed in between: only as many quarters of an hour can have passed.
const TRIES: usize = 3;

/// The newest report of each of these hosts.
pub async fn newest_reports(connection: &mut Connection, host_keys: &[i64]) -> Result<HashMap<i64, HostReport>> {
    let mut reports = HashMap::new();
    let mut left = host_keys.to_vec();
    for _ in 0..TRIES {
        let payloads = store::reports::newest(connection, &left).await?;
        let form = |(host_key, payload): (&i64, &Vec<u8>)| match Payload::of(payload) {
            Payload::Packed { form_at, .. } => Some((*host_key, form_at)),
            Payload::Whole(_) => None,
        };
        let forms: Vec<(i64, i64)> = payloads.iter().filter_map(form).collect();
        let messages = store::forms::find(connection, &forms).await?;
        left = forms.into_iter().filter(|form| !messages.contains_key(form)).map(|(host_key, _)| host_key).collect();
        let mut decompressor = Decompressor::new().map_err(corrupt)?;
        let mut message = Vec::new();
        for (host_key, payload) in payloads {
            let report = match Payload::of(&payload) {
                Payload::Whole(bytes) => {
                    inflate(&mut decompressor, bytes, &mut message)?;
                    serde_json::from_slice(&message).map_err(corrupt)?
                }
                Payload::Packed { form_at, packed } => {
                    let Some(of_form) = messages.get(&(host_key, form_at)) else { continue };
                    inflate(&mut decompressor, of_form, &mut message)?;
                    let (form, _) = decode(&message)?;
                    form.report(&form.unpack(packed).ok_or_else(|| corrupt(MISFIT))?)
                }
            };
            reports.insert(host_key, report);
        }
        if left.is_empty() {
            return Ok(reports);
        }
    }
    Err(corrupt(format!("the forms of hosts {left:?} are not there")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    fn numbered(seq: u64) -> String {
        REPORT.replace("\"seq\":1234", &format!("\"seq\":{seq}"))
    }

    fn deflated(message: &str) -> Vec<u8> {
        deflate(message.as_bytes()).unwrap()
    }

    #[test]
    fn a_form_is_told_when_it_is_another_one() {
        let (form, _) = Form::decode(REPORT.as_bytes(), NOW).unwrap();
        let pack = |seq| packed_payload(7, &form.pack(numbered(seq).as_bytes(), NOW).unwrap().packed.unwrap());
        let stopped = deflated(&REPORT.replace("running", "exited"));
        let mut reader = HeadReader::new([(7, deflated(REPORT))].into()).unwrap();
        let mut read = |payload: &[u8]| {
            let (figures, form) = reader.read(payload).unwrap();
            (figures.id.seq, form.is_some())
        };
        assert_eq!(read(&deflated(REPORT)), (1234, true));
        assert_eq!(read(&deflated(&numbered(1235))), (1235, false));
        assert_eq!(read(&stopped), (1234, true));
        assert_eq!(read(&pack(1236)), (1236, true));
        assert_eq!(read(&pack(1237)), (1237, false));
        assert_eq!(read(&stopped), (1234, true));
        assert_eq!(read(&pack(1238)), (1238, true));
        let late = late_payload(&deflated(&numbered(1239)));
        assert!(is_late(&late) && !is_late(&deflated(REPORT)) && !is_late(&pack(1240)));
        assert_eq!(read(&late), (1239, true));
        assert!(matches!(reader.read(b"x"), Err(StoreError::Corrupt(_))));
        assert!(matches!(reader.read(pack(1).split_last().unwrap().1), Err(StoreError::Corrupt(_))));
        assert!(matches!(reader.read(&packed_payload(8, b"")), Err(StoreError::Corrupt(_))), "a form that is not there");
    }
}
