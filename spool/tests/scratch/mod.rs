//! A folder for one test.

use tempfile::TempDir;

/// In memory where that can be had: a test syncs more often than a disk can in a minute.
pub fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a scratch folder")
}
