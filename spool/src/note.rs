//! The place of a record in a small file of its own, which is written over in place: a full disk takes it too.
//!
//! It is never synced. What is stale after a power failure, or torn, is as good as none: where it says what was delivered, records are
//! read again, and whoever stores them knows them by their id.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use wire_model::ReportId;

use crate::chain::Link;

/// Epoch, seq, key, CRC-32.
const BYTES: usize = 8 + 8 + 4 + 4;

pub(crate) struct Note {
    file: File,
    /// The last write failed.
    fails: bool,
}

impl Note {
    /// Opens or makes the file; the link is `None` when nothing, or nothing readable, is in it.
    pub(crate) fn open(folder: &Path, name: &str) -> io::Result<(Note, Option<Link>)> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(folder.join(name))?;
        let mut bytes = [0; BYTES];
        let link = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(error) => {
                tracing::debug!(%error, name, "nothing is noted");
                // its block is taken while there is one; where there is none, the first note will say so
                drop(file.write_all_at(&[0; BYTES], 0));
                None
            }
        };
        Ok((Note { file, fails: false }, link))
    }

    /// `meaning` of a failure, said once.
    pub(crate) fn set(&mut self, link: Link, meaning: &'static str) {
        let written = self.write(link);
        if let Err(error) = &written
            && !self.fails
        {
            tracing::warn!(%error, "{meaning}");
        }
        self.fails = written.is_err();
    }

    fn write(&self, link: Link) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(link.id.epoch.to_le_bytes());
        bytes.extend(link.id.seq.to_le_bytes());
        bytes.extend(link.key.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        self.file.write_all_at(&bytes, 0)
    }
}

fn decode(bytes: &[u8; BYTES]) -> Option<Link> {
    let (content, crc) = bytes.split_at(BYTES - 4);
    if crc32fast::hash(content).to_le_bytes() != crc {
        return None;
    }
    let number = |start: usize| Some(u64::from_le_bytes(content.get(start..start + 8)?.try_into().ok()?));
    let key = u32::from_le_bytes(content[16..].try_into().ok()?);
    Some(Link { id: ReportId { epoch: number(0)?, seq: number(8)? }, key })
}
