//! The last record that was acknowledged, in a small file that is written over in place.
//!
//! It is never synced: what is stale after a power failure, or torn, makes records be read again, and whoever stores them knows them
//! by their id.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use wire_model::ReportId;

use crate::chain::Link;

const NAME: &str = "delivered";
/// Epoch, seq, key, CRC-32.
const BYTES: usize = 8 + 8 + 4 + 4;

pub(crate) struct Delivered(File);

impl Delivered {
    /// Opens or makes the file; the link is `None` when nothing, or nothing readable, is in it.
    pub(crate) fn open(folder: &Path) -> io::Result<(Delivered, Option<Link>)> {
        let file = File::options().create(true).truncate(false).read(true).write(true).open(folder.join(NAME))?;
        let mut bytes = [0; BYTES];
        let link = match file.read_exact_at(&mut bytes, 0) {
            Ok(()) => decode(&bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(error),
        };
        Ok((Delivered(file), link))
    }

    pub(crate) fn write(&self, link: Link) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(BYTES);
        bytes.extend(link.id.epoch.to_le_bytes());
        bytes.extend(link.id.seq.to_le_bytes());
        bytes.extend(link.key.to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend(crc.to_le_bytes());
        self.0.write_all_at(&bytes, 0)
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
