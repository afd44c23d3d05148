//! Small values that survive a restart, each a file in `SPOOL_DIR`.
//!
//! A host id is written once, as a whole or not at all. The epoch changes with every start, also with one on a full disk, which has room
//! for no other file: it stands in two places of one file that are written over in turn, so that one of them is always whole.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use uuid::Uuid;

const EPOCH: &str = "epoch";
const HOST_ID: &str = "host-id";
/// Where the two epochs stand: in disk sectors of their own, and in the block that a file with one number has anyway.
const PLACES: [usize; 2] = [0, 512];
/// Twenty digits, a space, eight hexadecimal digits of CRC-32 over the twenty, a newline.
const PLACE_BYTES: usize = 20 + 1 + 8 + 1;

/// The folder of kept values.
pub(crate) struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// Opens the folder, made when missing.
    pub(crate) fn open(folder: &Path) -> anyhow::Result<Kept> {
        fs::create_dir_all(folder).with_context(|| format!("create the folder {} (SPOOL_DIR)", folder.display()))?;
        Ok(Kept { folder: folder.to_owned() })
    }

    /// One more than at the last start, from 1, and higher than `spooled`, an epoch of which there are reports; on disk before it is
    /// used.
    pub(crate) fn next_epoch(&self, spooled: u64) -> anyhow::Result<u64> {
        let kept = self.read(EPOCH)?;
        let last = match &kept {
            None => 0,
            Some(text) => match last_epoch(text.as_bytes()) {
                Some(last) if last < i64::MAX as u64 => last,
                _ => bail!(
                    "{} holds no epoch but {text:?}: write a number into it that is not lower than the host's last epoch",
                    self.folder.join(EPOCH).display()
                ),
            },
        };
        let Some(next) = last.max(spooled).checked_add(1).filter(|next| i64::try_from(*next).is_ok()) else {
            bail!("the spool holds reports of epoch {spooled}, after which there is none: move it away");
        };
        match kept {
            Some(text) => self.write_epoch_over(text.as_bytes(), last, next)?,
            None => self.replace(EPOCH, &place(next))?,
        }
        Ok(next)
    }

    /// Never over the last epoch: it counts while the next one is not whole.
    fn write_epoch_over(&self, content: &[u8], last: u64, next: u64) -> anyhow::Result<()> {
        let free = if number_at(content, PLACES[0]) == Some(last) || plain_number(content) == Some(last) {
            PLACES[1]
        } else {
            PLACES[0]
        };
        let path = self.folder.join(EPOCH);
        let write = || -> std::io::Result<()> {
            let file = File::options().write(true).open(&path)?;
            file.write_all_at(place(next).as_bytes(), free as u64)?;
            file.sync_all()
        };
        write().with_context(|| format!("write {} (SPOOL_DIR)", path.display()))
    }

    /// The id that this host was given at its first start.
    pub(crate) fn host_id(&self) -> anyhow::Result<String> {
        if let Some(text) = self.read(HOST_ID)? {
            let id = text.trim();
            return match id.parse::<Uuid>() {
                Ok(_) => Ok(id.to_owned()),
                Err(_) => bail!("{} holds no host id but {text:?}", self.folder.join(HOST_ID).display()),
            };
        }
        let id = Uuid::new_v4().to_string();
        self.replace(HOST_ID, &format!("{id}\n"))?;
        Ok(id)
    }

    fn read(&self, name: &str) -> anyhow::Result<Option<String>> {
        let path = self.folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
        }
    }

    /// The rename is the moment of change; without the folder's fsync it could be lost by a power failure.
    fn replace(&self, name: &str, content: &str) -> anyhow::Result<()> {
        let path = self.folder.join(name);
        let unfinished = self.folder.join(format!("{name}.tmp"));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&unfinished)?;
            file.write_all(content.as_bytes())?;
            file.sync_all()?;
            fs::rename(&unfinished, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().with_context(|| format!("write {} (SPOOL_DIR)", path.display()))
    }
}

fn last_epoch(content: &[u8]) -> Option<u64> {
    let places = PLACES.map(|start| number_at(content, start));
    places.into_iter().chain([plain_number(content)]).flatten().max()
}

/// The epoch in one of the places, if it is whole.
fn number_at(content: &[u8], start: usize) -> Option<u64> {
    let bytes = content.get(start..start + PLACE_BYTES)?;
    let epoch = std::str::from_utf8(&bytes[..20]).ok()?.parse().ok()?;
    (bytes == place(epoch).as_bytes()).then_some(epoch)
}

/// A number alone in its line, as an operator writes it and former versions did.
fn plain_number(content: &[u8]) -> Option<u64> {
    let end = content.iter().position(|byte| matches!(byte, b'\n' | 0)).unwrap_or(content.len());
    let text = std::str::from_utf8(&content[..end]).ok()?.trim();
    // twenty digits are half of a place; no epoch has as many
    if text.len() < 20 { text.parse().ok() } else { None }
}

fn place(epoch: u64) -> String {
    let digits = format!("{epoch:020}");
    let crc = crc32fast::hash(digits.as_bytes());
    format!("{digits} {crc:08x}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_start_is_the_next_epoch() {
        let folder = tempfile::tempdir().unwrap();
        let spool = folder.path().join("made/when/missing");
        for expected in 1..=3 {
            assert_eq!(Kept::open(&spool).unwrap().next_epoch(0).unwrap(), expected);
        }
        let kept = Kept::open(&spool).unwrap();
        assert!(kept.next_epoch(i64::MAX as u64).is_err());
        // a start that was cut off left this behind
        fs::write(spool.join("epoch.tmp"), "9").unwrap();
        assert_eq!(Kept::open(&spool).unwrap().next_epoch(0).unwrap(), 4);
        // the file is older than the reports beside it
        assert_eq!(Kept::open(&spool).unwrap().next_epoch(9).unwrap(), 10);
    }

    #[test]
    fn a_torn_epoch_is_never_lower_than_one_that_was_used() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        let path = folder.path().join(EPOCH);
        // what a former version or an operator wrote, and no file
        for first in [Some("8\n"), Some("8"), Some("8\r\n"), None] {
            match first {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let mut used = if first.is_some() { 8 } else { kept.next_epoch(7).unwrap() };
            for _ in 0..4 {
                let before = fs::read(&path).unwrap();
                let next = kept.next_epoch(0).unwrap();
                assert_eq!(next, used + 1);
                let after = fs::read(&path).unwrap();
                // written up to here, or all but this byte, or with bytes that are neither
                for cut in 0..after.len() {
                    let mut torn = after[..cut].to_vec();
                    torn.extend(before.iter().skip(cut));
                    for spoilt in [None, Some(0), Some(b'9'), Some(b'\n')] {
                        let mut torn = torn.clone();
                        let is_new = before.get(cut) != after.get(cut);
                        if let (Some(byte), Some(place), true) = (spoilt, torn.get_mut(cut), is_new) {
                            *place = byte;
                        }
                        let last = last_epoch(&torn).unwrap();
                        assert!(last >= used && (last <= next || spoilt.is_some()), "{last} {cut} {spoilt:?} {torn:?}");
                    }
                }
                used = next;
            }
            assert_eq!(fs::metadata(&path).unwrap().len(), (PLACES[1] + PLACE_BYTES) as u64, "it grows no more");
        }
    }

    #[test]
    fn a_corrupt_epoch_stops_the_start_and_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for content in ["", "seven", "-1", "9223372036854775807", "\u{0}\u{0}"] {
            fs::write(folder.path().join(EPOCH), content).unwrap();
            let error = Kept::open(folder.path()).unwrap().next_epoch(0).unwrap_err().to_string();
            assert!(error.contains("holds no epoch"), "{error}");
            assert_eq!(fs::read_to_string(folder.path().join(EPOCH)).unwrap(), content);
        }
    }

    #[test]
    fn an_unwritable_folder_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        // a folder in the place of the unfinished file: even root cannot write it
        fs::create_dir(folder.path().join("epoch.tmp")).unwrap();
        let error = format!("{:#}", Kept::open(folder.path()).unwrap().next_epoch(0).unwrap_err());
        assert!(error.contains("epoch (SPOOL_DIR)"), "{error}");
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(format!("{:#}", Kept::open(&file).err().unwrap()).contains("SPOOL_DIR"));
    }

    #[test]
    fn a_host_id_is_made_once() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::open(folder.path()).unwrap();
        let id = kept.host_id().unwrap();
        assert_eq!(kept.host_id().unwrap(), id);
        fs::write(folder.path().join(HOST_ID), "nonsense").unwrap();
        assert!(kept.host_id().is_err());
    }
}
