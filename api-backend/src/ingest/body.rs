//! How a report is stored: packed by its form, when that stands in its quarter of an hour of the head and stays there, else whole; a late
//! one whole and marked.
//!
//! The forms of a quarter of an hour are removed under the host's lock, and only when the host's newest report is of a later one. So what a
//! backend remembers of them holds for reports of the quarter of the newest one, or later.

use std::borrow::Cow;
use std::sync::{Arc, Weak};

use wire_model::Form;

use super::accounting::Accepted;
use super::batch::DecodedReport;
use crate::history::{deflate, late_payload, packed_payload, quarter_of};
use crate::store::forms::NewForm;
use crate::store::hosts::HostRow;
use crate::store::{Result, StoreError};

/// A report as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// The message as it came, compressed.
    Whole(Vec<u8>),
    /// What stands in the blanks of its form.
    Packed(Vec<u8>),
}

/// A form that stands in the head.
#[derive(Clone, Debug)]
pub(super) struct StoredForm {
    /// Its time there.
    at: i64,
    /// Weak, so that forms take no more memory than the decoder allows them.
    form: Weak<Form>,
}

impl StoredForm {
    fn serves(&self, form: &Arc<Form>, quarter: i64) -> bool {
        std::ptr::eq(self.form.as_ptr(), Arc::as_ptr(form)) && quarter_of(self.at) == quarter
    }
}

/// Payloads of a locked host's reports.
pub(super) struct Payloads<'a> {
    host_key: i64,
    /// Forms of earlier quarters may be removed.
    from: i64,
    stored: Option<StoredForm>,
    is_new: bool,
    new_forms: &'a mut Vec<NewForm>,
}

impl<'a> Payloads<'a> {
    /// Of a host as it was before these reports, with the form that it had last.
    pub(super) fn new(host: &HostRow, stored: Option<StoredForm>, new_forms: &'a mut Vec<NewForm>) -> Payloads<'a> {
        let from = quarter_of(host.last_report_at);
        Payloads { host_key: host.host_key, from, stored, is_new: false, new_forms }
    }

    /// Of a report that is stored.
    pub(super) fn of<'r>(&mut self, new: &Accepted<'r>) -> Result<Cow<'r, [u8]>> {
        let (DecodedReport { form, body, .. }, at) = (new.report, new.stored_at);
        let quarter = quarter_of(at);
        let packed = match body {
            Body::Packed(packed) if quarter >= self.from && !new.is_late => packed,
            body => {
                let whole = whole(form, body)?;
                return Ok(if new.is_late { Cow::Owned(late_payload(&whole)) } else { whole });
            }
        };
        let form_at = match self.stored.as_ref().filter(|stored| stored.serves(form, quarter)) {
            Some(stored) => stored.at,
            None => {
                self.new_forms.push(NewForm { host_key: self.host_key, at, message: compressed(&form.first_message())? });
                self.stored = Some(StoredForm { at, form: Arc::downgrade(form) });
                self.is_new = true;
                at
            }
        };
        Ok(Cow::Owned(packed_payload(form_at, packed)))
    }

    /// The host's form now, if it is another one than before: to be remembered after COMMIT.
    pub(super) fn changed(self) -> Option<(i64, StoredForm)> {
        self.stored.filter(|_| self.is_new).map(|stored| (self.host_key, stored))
    }
}

/// The message of a report, compressed.
fn whole<'r>(form: &Form, body: &'r Body) -> Result<Cow<'r, [u8]>> {
    match body {
        Body::Whole(payload) => Ok(Cow::Borrowed(payload)),
        Body::Packed(packed) => {
            let message =
                form.message(packed).ok_or_else(|| StoreError::Corrupt("a report was not packed by its form".to_owned()))?;
            compressed(&message).map(Cow::Owned)
        }
    }
}

fn compressed(message: &[u8]) -> Result<Vec<u8>> {
    deflate(message).map_err(|error| StoreError::Corrupt(format!("a report cannot be compressed: {error}")))
}
