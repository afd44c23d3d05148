//! The binary `api-backend`.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_runtime::boot(api_backend::run)
}
