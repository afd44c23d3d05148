//! The binary `standalone`.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_runtime::boot(standalone::run)
}
