//! Reports of the head, read back: each by the form of the one before, because a host's reports differ in their numbers alone.

use wire_model::{Figures, Form, limits};
use zstd::bulk::Decompressor;

use crate::store::{Result, StoreError};

/// Reads reports of one host in their order.
pub(super) struct HeadReader {
    form: Option<Form>,
    message: Vec<u8>,
    decompressor: Decompressor<'static>,
}

impl HeadReader {
    pub(super) fn new() -> Result<HeadReader> {
        Ok(HeadReader { form: None, message: Vec::new(), decompressor: Decompressor::new().map_err(corrupt)? })
    }

    /// What a report says, and its form if it is another one than before.
    pub(super) fn read(&mut self, payload: &[u8]) -> Result<(Figures, Option<&Form>)> {
        // what was stored was checked when it came; since then the clock went on
        const NOW: i64 = i64::MAX;
        self.message.clear();
        self.message.reserve(limits::MESSAGE_BYTES);
        self.decompressor.decompress_to_buffer(payload, &mut self.message).map_err(corrupt)?;
        if let Some(figures) = self.form.as_ref().and_then(|form| form.read(&self.message, NOW)) {
            return Ok((figures, None));
        }
        let (form, figures) = Form::decode(&self.message, NOW).map_err(corrupt)?;
        Ok((figures, Some(self.form.insert(form))))
    }
}

fn corrupt(error: impl ToString) -> StoreError {
    StoreError::Corrupt(format!("a report cannot be read back: {}", error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    #[test]
    fn a_form_is_told_when_it_is_another_one() {
        let mut reader = HeadReader::new().unwrap();
        let mut read = |message: &str| {
            let (figures, form) = reader.read(&zstd::encode_all(message.as_bytes(), 1).unwrap()).unwrap();
            (figures.id.seq, form.is_some())
        };
        assert_eq!(read(REPORT), (1234, true));
        assert_eq!(read(&REPORT.replace("\"seq\":1234", "\"seq\":1235")), (1235, false));
        assert_eq!(read(&REPORT.replace("running", "exited")), (1234, true));
        assert!(matches!(reader.read(b"x"), Err(StoreError::Corrupt(_))));
    }
}
