//! Copies of damaged segments, and those that could not be read, for whoever wants to know what happened to the disk. The oldest go first
//! when there are too many.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Copies that are kept.
pub(crate) const FILES: usize = 4;
/// Share of the spool's limit that they may take together.
pub(crate) const SHARE: u64 = 8;

pub(crate) struct Quarantine {
    folder: PathBuf,
    max_bytes: u64,
    /// Oldest first, with their bytes.
    copies: Vec<(PathBuf, u64)>,
}

impl Quarantine {
    /// Opens or makes the folder. Without it the spool works too.
    pub(crate) fn open(spool: &Path, spool_max_bytes: u64) -> Quarantine {
        let folder = spool.join("quarantine");
        let mut quarantine = Quarantine { folder, max_bytes: spool_max_bytes / SHARE, copies: Vec::new() };
        if let Err(error) = quarantine.list() {
            tracing::warn!(%error, folder = %quarantine.folder.display(), "cannot use the folder for damaged segments");
        }
        quarantine
    }

    fn list(&mut self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            self.copies.push((entry.path(), entry.metadata()?.len()));
        }
        self.copies.sort_unstable();
        self.make_room(0, FILES)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.copies.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Keeps a copy of a segment, unless it has one or it alone is too large.
    pub(crate) fn keep(&mut self, segment: &Path) -> io::Result<()> {
        let bytes = fs::metadata(segment)?.len();
        let path = self.folder.join(segment.file_name().unwrap_or_default());
        if bytes > self.max_bytes || self.copies.iter().any(|(copy, _)| *copy == path) {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        self.make_room(bytes, FILES - 1)?;
        if let Err(error) = fs::copy(segment, &path) {
            drop(fs::remove_file(&path));
            return Err(error);
        }
        self.copies.push((path, bytes));
        Ok(())
    }

    /// Takes a segment itself, whether it can be read or not.
    pub(crate) fn take(&mut self, segment: &Path) -> io::Result<()> {
        let bytes = fs::symlink_metadata(segment).map_or(0, |metadata| metadata.len());
        let path = self.folder.join(segment.file_name().unwrap_or_default());
        fs::create_dir_all(&self.folder)?;
        match fs::rename(segment, &path) {
            Ok(()) => {}
            // somebody else took it
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        }
        self.copies.retain(|(copy, _)| *copy != path);
        self.copies.push((path, bytes));
        self.make_room(0, FILES)
    }

    fn make_room(&mut self, bytes: u64, files: usize) -> io::Result<()> {
        while self.copies.len() > files || (self.bytes() + bytes > self.max_bytes && !self.copies.is_empty()) {
            fs::remove_file(&self.copies[0].0)?;
            self.copies.remove(0);
        }
        Ok(())
    }
}
