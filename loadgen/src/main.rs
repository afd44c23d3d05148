//! Plays a fleet into Kafka until its time is over or SIGTERM ends it, then prints one line of JSON.

use std::process::ExitCode;

fn main() -> ExitCode {
    service_runtime::boot(loadgen::run)
}
