//! Whatever the bytes are, the decoder gives a report or a reason; a report is the same when it is encoded and decoded again, and when it is
//! read by the form of another one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wire_model::limits::{MESSAGE_BYTES, REASON_CHARS};
use wire_model::{Form, HostReport, Packed, with_removed};

const NOW_MS: i64 = 1_795_184_000_000;
/// In no JSON text: behind it stands an edit of the message before it.
const EDIT: u8 = 0xff;

fuzz_target!(|bytes: &[u8]| {
    let (message, edit) = match bytes.iter().position(|byte| *byte == EDIT) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[][..]),
    };
    let report = match HostReport::decode(message, NOW_MS) {
        Ok(report) => report,
        Err(reason) => {
            assert!(reason.to_string().chars().count() <= REASON_CHARS);
            return assert_eq!(Form::decode(message, NOW_MS).err(), Some(reason));
        }
    };
    let (form, figures) = Form::decode(message, NOW_MS).unwrap();
    assert_eq!(form.report(&figures), report);
    let edited = edited(message, edit);
    if let Some(Packed { figures, packed, length }) = form.pack(&edited, NOW_MS) {
        let report = HostReport::decode(&edited[..length], NOW_MS);
        assert_eq!(report, Ok(form.report(&figures)));
        if let Some(packed) = packed {
            assert_eq!(HostReport::decode(&form.message(&packed).unwrap(), NOW_MS), report);
            assert_eq!(report, Ok(form.report(&form.unpack(&packed).unwrap())));
        }
    }

    let encoded = report.encode();
    // numbers and escapes may take more room than they were given in
    if encoded.len() > MESSAGE_BYTES {
        return;
    }
    assert_eq!(HostReport::decode(&encoded, NOW_MS).as_ref(), Ok(&report));
    let mut bare = report.clone();
    let removed = std::mem::take(&mut bare.removed);
    let told = with_removed(&bare.encode(), removed).into_owned();
    assert_eq!(HostReport::decode(&told, NOW_MS), Ok(report));
});

/// The message with some bytes replaced: position (two bytes), how many, and by what.
fn edited(message: &[u8], edit: &[u8]) -> Vec<u8> {
    let mut edited = message.to_vec();
    if let [high, low, cut, new @ ..] = edit {
        let from = usize::from(u16::from_be_bytes([*high, *low])) % (message.len() + 1);
        let to = (from + usize::from(*cut)).min(message.len());
        edited.splice(from..to, new.iter().copied());
    }
    edited
}
