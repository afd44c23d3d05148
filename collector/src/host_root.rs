//! Files of the measured host, wherever its root is mounted, and files that are read again at every tick.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// `HOST_ROOT`.
#[derive(Clone, Debug)]
pub(crate) struct HostRoot(PathBuf);

impl HostRoot {
    pub(crate) fn new(root: &Path) -> HostRoot {
        HostRoot(root.to_owned())
    }

    /// Where a path of the host is for us; a leading slash does not matter.
    pub(crate) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.0.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The first of these paths that exists, else the last.
    pub(crate) fn first_of(&self, paths: &[&str]) -> PathBuf {
        let found = paths.iter().map(|path| self.path(path)).find(|path| path.exists());
        found.unwrap_or_else(|| self.path(paths.last().copied().unwrap_or_default()))
    }

    /// A file's content; `None` when it cannot be read.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&fs::read(self.path(path)).ok()?).into_owned())
    }

    /// A file's content without the space around it; `None` when nothing is left.
    pub(crate) fn line(&self, path: &str) -> Option<String> {
        Some(self.text(path)?.trim().to_owned()).filter(|line| !line.is_empty())
    }
}

/// A file of the kernel that is read at every tick: opened once and read again from its start, which saves the path walk.
#[derive(Debug)]
pub(crate) struct TickFile {
    path: PathBuf,
    file: Option<File>,
}

impl TickFile {
    /// Opens the file at the first reading.
    pub(crate) fn new(path: PathBuf) -> TickFile {
        TickFile { path, file: None }
    }

    /// Reads everything into `buffer`. A handle that fails (its device or control group is gone) is closed, and the path
    /// opened anew at the next reading.
    pub(crate) fn read<'b>(&mut self, buffer: &'b mut Vec<u8>) -> io::Result<&'b str> {
        str::from_utf8(self.read_bytes(buffer)?).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
    }

    /// As [`read`](Self::read), for files that name paths, which need not be UTF-8.
    pub(crate) fn read_bytes<'b>(&mut self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.path)?,
        };
        let length = read_from_start(&file, buffer)?;
        self.file = Some(file);
        Ok(&buffer[..length])
    }

    /// The open file, after a reading.
    pub(crate) fn handle(&self) -> Option<&File> {
        self.file.as_ref()
    }
}

/// Files of the kernel have no length and may give less than asked for; only 0 bytes are their end.
fn read_from_start(file: &File, buffer: &mut Vec<u8>) -> io::Result<usize> {
    const SMALLEST: usize = 16 * 1024;
    if buffer.len() < SMALLEST {
        buffer.resize(SMALLEST, 0);
    }
    let mut length = 0;
    loop {
        if length == buffer.len() {
            buffer.resize(buffer.len() * 2, 0);
        }
        match file.read_at(&mut buffer[length..], length as u64) {
            Ok(0) => return Ok(length),
            Ok(read) => length += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_file_follows_its_content_and_grows_its_buffer() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stat");
        let (mut file, mut buffer) = (TickFile::new(path.clone()), Vec::new());
        assert!(file.read(&mut buffer).is_err(), "not there yet");
        for size in [0, 5, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 100_000, 3] {
            let content = "x".repeat(size);
            fs::write(&path, &content).unwrap();
            assert_eq!(file.read(&mut buffer).unwrap(), content);
        }
        fs::write(&path, b"\xff").unwrap();
        assert!(file.read(&mut buffer).is_err());
        assert_eq!(file.read_bytes(&mut buffer).unwrap(), b"\xff");
    }

    #[test]
    fn the_live_proc_reads_the_same_through_a_kept_handle() {
        let (mut file, mut buffer) = (TickFile::new("/proc/self/mountinfo".into()), Vec::new());
        for _ in 0..3 {
            assert_eq!(file.read_bytes(&mut buffer).unwrap(), fs::read("/proc/self/mountinfo").unwrap());
        }
    }

    #[test]
    fn paths_stay_below_the_root() {
        let host = HostRoot::new(Path::new("/host"));
        assert_eq!(host.path("/proc/stat"), Path::new("/host/proc/stat"));
        assert_eq!(host.path("proc/stat"), Path::new("/host/proc/stat"));
        assert_eq!(host.path("/"), Path::new("/host/"));
    }
}
