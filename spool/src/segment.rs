//! A segment file: a header, then records. It is written once from its beginning to its end, or replaced as a whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use wire_model::ReportId;

use crate::chain::Link;

/// The last byte is the version of the format.
const MAGIC: [u8; 8] = *b"smspool\x01";
/// Magic, flags, epoch, seq, key, CRC-32 of all before.
pub(crate) const HEADER_BYTES: u64 = 8 + 1 + 8 + 8 + 4 + 4;
const THINNED: u8 = 1;
const EXTENSION: &str = "segment";

/// What the spool knows of one segment without reading it.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: u64,
    pub(crate) bytes: u64,
    /// Records in it that were not read yet.
    pub(crate) unread: u64,
    pub(crate) header: Header,
    /// Damage in it was noticed.
    pub(crate) is_damaged: bool,
}

impl Segment {
    /// It was made with a record in it, and is so short that nothing of that one is left.
    pub(crate) fn records_cut_off(&self) -> u64 {
        u64::from(self.bytes <= HEADER_BYTES)
    }
}

/// The beginning of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) is_thinned: bool,
    /// The record before the segment's first one, number 0 before the very first; what is missing in between is in that one's
    /// `removed`. `None` when the header is damaged.
    pub(crate) before: Option<Link>,
}

impl Header {
    pub(crate) fn encode(self) -> Vec<u8> {
        let before = self.before.unwrap_or(Link { id: ReportId::default(), key: 0 });
        let mut bytes = MAGIC.to_vec();
        bytes.push(if self.is_thinned { THINNED } else { 0 });
        bytes.extend(before.id.epoch.to_le_bytes());
        bytes.extend(before.id.seq.to_le_bytes());
        bytes.extend(before.key.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        bytes
    }

    /// `None` when it is damaged; an error when a newer version wrote it.
    pub(crate) fn read(file: &File) -> io::Result<Option<Header>> {
        let mut bytes = [0; HEADER_BYTES as usize];
        match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
        let (content, crc) = bytes.split_at(bytes.len() - 4);
        if crc32fast::hash(content).to_le_bytes() != crc || content[..7] != MAGIC[..7] {
            return Ok(None);
        }
        if content[7] != MAGIC[7] {
            let problem = format!("format {} of the spool is not known to this version", content[7]);
            return Err(io::Error::new(io::ErrorKind::Unsupported, problem));
        }
        let number = |start: usize| u64::from_le_bytes(content[start..start + 8].try_into().expect("eight bytes were asked for"));
        let key = u32::from_le_bytes(content[25..29].try_into().expect("four bytes were asked for"));
        let before = Link { id: ReportId { epoch: number(9), seq: number(17) }, key };
        Ok(Some(Header { is_thinned: content[8] & THINNED != 0, before: Some(before) }))
    }
}

pub(crate) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}.{EXTENSION}"))
}

/// The numbers of all segments, in order. What a rewrite left unfinished is removed.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
        match (path.extension().and_then(|extension| extension.to_str()), stem) {
            // none comes after the last possible one
            (Some(EXTENSION), Some(number)) if number < u64::MAX => numbers.push(number),
            (Some("tmp"), _) => fs::remove_file(&path)?,
            _ => {}
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Writes a whole segment in place of the one with its number, or not at all. On disk when this returns.
pub(crate) fn replace(folder: &Path, number: u64, content: &[u8]) -> io::Result<File> {
    let unfinished = folder.join(format!("{number:020}.tmp"));
    let write = || -> io::Result<File> {
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, path(folder, number))?;
        Ok(file)
    };
    let file = write().inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
    // no error: the new segment is there, and the former one is not any more
    if let Err(error) = sync_entries(folder) {
        tracing::warn!(%error, "cannot sync the spool's folder: a power failure may bring back what was removed");
    }
    Ok(file)
}

/// Which files there are, on disk when this returns.
pub(crate) fn sync_entries(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Whether a file that gives this error is itself unreadable, and will be: not this process's limits or rights, nor a newer version.
pub(crate) fn is_unreadable(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    let passes =
        matches!(error.kind(), Kind::Unsupported | Kind::PermissionDenied | Kind::ReadOnlyFilesystem | Kind::OutOfMemory);
    !passes && !matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_what_was_written_or_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let before = Some(Link { id: ReportId { epoch: 3, seq: u64::MAX }, key: 7 });
        for header in [Header { is_thinned: true, before }, Header { is_thinned: false, before }] {
            let bytes = header.encode();
            assert_eq!(bytes.len() as u64, HEADER_BYTES);
            fs::write(&path, &bytes).unwrap();
            assert_eq!(Header::read(&File::open(&path).unwrap()).unwrap(), Some(header));
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                fs::write(&path, &bytes).unwrap();
                assert_eq!(Header::read(&File::open(&path).unwrap()).unwrap(), None);
            }
        }
        let mut newer = Header::default().encode();
        newer[7] += 1;
        let crc = crc32fast::hash(&newer[..29]);
        newer[29..].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, &newer).unwrap();
        assert_eq!(Header::read(&File::open(&path).unwrap()).unwrap_err().kind(), io::ErrorKind::Unsupported);
    }
}
