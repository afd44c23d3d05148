//! The consumer as a process of its own.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_runtime::boot(consumer::run)
}
