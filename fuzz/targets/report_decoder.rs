//! Whatever the bytes are, the decoder gives a report or a reason; a report is the same when it is encoded and decoded again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire_model::limits::{MESSAGE_BYTES, REASON_CHARS};
use wire_model::{HostReport, with_removed};

const NOW_MS: i64 = 1_795_184_000_000;

fuzz_target!(|bytes: &[u8]| {
    let report = match HostReport::decode(bytes, NOW_MS) {
        Ok(report) => report,
        Err(reason) => return assert!(reason.to_string().chars().count() <= REASON_CHARS),
    };
    let message = report.encode();
    // numbers and escapes may take more room than they were given in
    if message.len() > MESSAGE_BYTES {
        return;
    }
    assert_eq!(HostReport::decode(&message, NOW_MS).as_ref(), Ok(&report));
    let mut bare = report.clone();
    let removed = std::mem::take(&mut bare.removed);
    let told = with_removed(&bare.encode(), removed).into_owned();
    assert_eq!(HostReport::decode(&told, NOW_MS), Ok(report));
});
