//! Clocks that are set while programs run: libfaketime before the C library's, with an offset that it reads from a file.

use std::path::{Path, PathBuf};

use crate::room::{Plan, Room};

/// Less than the ten minutes that a report may be ahead of the backend.
const STEPS_SECONDS: [i64; 4] = [60, 0, -60, 0];
const PROGRAMS: [&str; 3] = ["collector-1", "consumer-1", "api-backend-1"];

/// Each program's clock is set forward, right, back and right again.
pub async fn steps() {
    let folder = tempfile::tempdir().unwrap();
    let clock = |program: &str| folder.path().join(program);
    let mut variables = Vec::new();
    for program in PROGRAMS {
        set(&clock(program), 0);
        variables.push((program, "LD_PRELOAD", library().display().to_string()));
        variables.push((program, "FAKETIME_TIMESTAMP_FILE", clock(program).display().to_string()));
        variables.push((program, "FAKETIME_NO_CACHE", "1".to_owned()));
        // as the kernel's: a clock that is set moves no timer
        variables.push((program, "FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()));
    }
    let mut room = Room::open(Plan { collectors: 2, variables, ..Plan::default() }).await;
    for program in PROGRAMS {
        for seconds in STEPS_SECONDS {
            set(&clock(program), seconds);
            room.flow().await;
        }
    }
    let verdict =
        room.prove("the clocks of a collector, a consumer and the api-backend step by +60, -60, -60 and +60 s in turn").await;
    assert!(verdict["reports"]["history"].as_u64() > Some(0), "the collector's clock was set back");
}

fn set(file: &Path, seconds: i64) {
    // at once: what reads it never sees half a number
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{seconds:+}\n")).unwrap();
    std::fs::rename(new, file).unwrap();
}

/// Debian's libfaketime, for programs with threads.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = folders.map(|folder| folder.join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("Debian's package libfaketime is installed (scripts/prove does it)")
}
