//! The collector's binary: see the library for its story.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_runtime::boot(collector::run)
}
