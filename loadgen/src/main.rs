//! `loadgen [play]` plays a fleet until its time is over or SIGTERM ends it, then prints one line of JSON; `loadgen record` makes a recording
//! that it can play; `loadgen ledger check` compares what was played with what is stored.

use std::ffi::OsString;
use std::process::ExitCode;

use service_runtime::boot_with;

fn main() -> ExitCode {
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let word = |index: usize| arguments.get(index).and_then(|argument| argument.to_str()).unwrap_or_default();
    match (word(0), word(1)) {
        ("ledger", "check") => boot_with(arguments.split_off(2), loadgen::ledger::check),
        ("ledger", "record") => boot_with(arguments.split_off(2), loadgen::ledger::record),
        ("record", _) => boot_with(arguments.split_off(1), loadgen::recording::record),
        ("play", _) => boot_with(arguments.split_off(1), loadgen::run),
        _ => boot_with(arguments, loadgen::run),
    }
}
