//! One record as it stands in a segment: marker, length, CRC-32 (IEEE) of length and body, then the body. Little-endian.

use wire_model::{Removed, ReportId};

/// Begins every record, so that reading can go on behind a damaged one. No UTF-8 text contains it.
pub(crate) const MARKER: [u8; 4] = [0x9e, 0xf3, 0x53, 0xb1];
/// Marker, length, CRC.
pub(crate) const PREFIX_BYTES: usize = 12;
/// Flags, length of the key, epoch, seq, at, thinned, dropped, damaged.
const FIXED_BYTES: usize = 1 + 2 + 6 * 8;
/// The longest body of a record; a longer one was never written.
pub const RECORD_BYTES: usize = 2 * 1024 * 1024;
const COMPRESSED: u8 = 1;
/// The lowest: a report of a host without containers (2.5 kB) shrinks to 0.9 kB.
const COMPRESSION_LEVEL: i32 = 1;

/// One record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Rises from record to record; by one within an epoch, but for what `removed` tells.
    pub id: ReportId,
    /// Unix ms at which it was made.
    pub at: i64,
    /// Records made just before this one that are no more.
    pub removed: Removed,
    /// Whose it is: numbers are followed from record to record of one key.
    pub key: String,
    /// What it carries.
    pub payload: Vec<u8>,
}

/// A record in the bytes of its segment, with its payload as it is stored.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) id: ReportId,
    pub(crate) at: i64,
    pub(crate) removed: Removed,
    pub(crate) key: &'a str,
    flags: u8,
    stored: &'a [u8],
}

/// A record on its way into a segment.
pub(crate) fn encode(record: &Record, compress: bool) -> Vec<u8> {
    let compressed = if compress { zstd::bulk::compress(&record.payload, COMPRESSION_LEVEL).ok() } else { None };
    let shorter = compressed.filter(|compressed| compressed.len() < record.payload.len());
    Frame {
        id: record.id,
        at: record.at,
        removed: record.removed,
        key: &record.key,
        flags: if shorter.is_some() { COMPRESSED } else { 0 },
        stored: shorter.as_deref().unwrap_or(&record.payload),
    }
    .encode()
}

impl<'a> Frame<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let length = FIXED_BYTES + self.key.len() + self.stored.len();
        let mut bytes = Vec::with_capacity(PREFIX_BYTES + length);
        bytes.extend(MARKER);
        bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        bytes.extend([0; 4]);
        bytes.push(self.flags);
        bytes.extend(u16::try_from(self.key.len()).unwrap_or(u16::MAX).to_le_bytes());
        for number in [self.id.epoch, self.id.seq] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.at.to_le_bytes());
        for number in [self.removed.thinned, self.removed.dropped, self.removed.damaged] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(self.key.as_bytes());
        bytes.extend(self.stored);
        let crc = checksum(&bytes[4..8], &bytes[PREFIX_BYTES..]);
        bytes[8..PREFIX_BYTES].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The same record behind other removed ones.
    pub(crate) fn tells(self, removed: Removed) -> Frame<'a> {
        Frame { removed, ..self }
    }

    /// `bytes` begin with a whole record: its body, if it is as it was written.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<Frame<'a>> {
        let body = bytes.get(PREFIX_BYTES..)?;
        if checksum(&bytes[4..8], body).to_le_bytes() != bytes[8..PREFIX_BYTES] {
            return None;
        }
        let (fixed, rest) = body.split_at_checked(FIXED_BYTES)?;
        let (flags, key_bytes) = (fixed[0], usize::from(u16::from_le_bytes([fixed[1], fixed[2]])));
        let number = |index: usize| {
            let start = 3 + index * 8;
            u64::from_le_bytes(fixed[start..start + 8].try_into().expect("eight bytes were asked for"))
        };
        let (key, stored) = rest.split_at_checked(key_bytes)?;
        Some(Frame {
            id: ReportId { epoch: number(0), seq: number(1) },
            at: number(2).cast_signed(),
            removed: Removed { thinned: number(3), dropped: number(4), damaged: number(5) },
            key: std::str::from_utf8(key).ok()?,
            flags,
            stored,
        })
    }

    /// With the payload as it was appended; `None` when it cannot be had from what is stored.
    pub(crate) fn record(&self) -> Option<Record> {
        let payload = if self.flags & COMPRESSED == 0 { self.stored.to_vec() } else { inflate(self.stored)? };
        Some(Record { id: self.id, at: self.at, removed: self.removed, key: self.key.to_owned(), payload })
    }
}

/// The length that the prefix tells, marker and all; `None` when no record begins with it.
pub(crate) fn length(prefix: &[u8]) -> Option<usize> {
    if !prefix.starts_with(&MARKER) {
        return None;
    }
    let length = usize::try_from(u32::from_le_bytes(prefix.get(4..8)?.try_into().ok()?)).ok()?;
    (FIXED_BYTES..=RECORD_BYTES).contains(&length).then_some(PREFIX_BYTES + length)
}

/// Whether a record may be written at all.
pub(crate) fn fits(record: &Record) -> bool {
    FIXED_BYTES + record.key.len() + record.payload.len() <= RECORD_BYTES && u16::try_from(record.key.len()).is_ok()
}

fn checksum(length: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(length);
    hasher.update(body);
    hasher.finalize()
}

fn inflate(compressed: &[u8]) -> Option<Vec<u8>> {
    let bytes = usize::try_from(zstd::zstd_safe::get_frame_content_size(compressed).ok()??).ok()?;
    if bytes > RECORD_BYTES {
        return None;
    }
    zstd::bulk::decompress(compressed, bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        let removed = Removed { thinned: 1, dropped: u64::MAX, damaged: 3 };
        for (payload, compress) in [(vec![], false), (vec![], true), (vec![7; 5000], true), (b"{\"a\":1}".to_vec(), true)] {
            let id = ReportId { epoch: u64::MAX, seq: 1 };
            let record = Record { id, at: -1, removed, key: "hôte".to_owned(), payload };
            let bytes = encode(&record, compress);
            assert_eq!(length(&bytes), Some(bytes.len()));
            assert_eq!(Frame::decode(&bytes).unwrap().record().unwrap(), record);
            assert_eq!(Frame::decode(&bytes).unwrap().encode(), bytes, "written again as it is stored");
        }
    }

    #[test]
    fn the_largest_record_fits_and_no_larger_one() {
        for (bytes, ok) in [(RECORD_BYTES - FIXED_BYTES - 1, true), (RECORD_BYTES - FIXED_BYTES, true), (RECORD_BYTES, false)] {
            let record = Record { payload: vec![0; bytes], ..Record::default() };
            assert_eq!(fits(&record), ok, "{bytes}");
            assert_eq!(length(&encode(&record, false)).is_some(), ok);
        }
    }
}
