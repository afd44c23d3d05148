//! Small values that survive a restart, each a file in `SPOOL_DIR`, replaced as a whole or not at all.

use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use uuid::Uuid;

const EPOCH: &str = "epoch";
const HOST_ID: &str = "host-id";

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
        let last = match self.read(EPOCH)? {
            None => 0,
            Some(text) => match text.trim().parse::<u64>() {
                Ok(last) if last < i64::MAX as u64 => last,
                _ => bail!(
                    "{} holds no epoch but {text:?}: write a number into it that is not lower than the host's last epoch",
                    self.folder.join(EPOCH).display()
                ),
            },
        };
        let Some(next) = last.max(spooled).checked_add(1).filter(|next| i64::try_from(*next).is_ok()) else {
            bail!("the spool holds reports of epoch {spooled}, after which there is none: move it away");
        };
        self.replace(EPOCH, &format!("{next}\n"))?;
        Ok(next)
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
