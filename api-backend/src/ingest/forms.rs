//! The forms of the reports that came lately, by host: who has sent one before is read by it.
//!
//! A form is confirmed by the message itself, so that nothing here can be out of date.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use wire_model::{Figures, Form, Packed, ReportError, guess_host_id};

/// Bytes of the forms that are kept, nearly: 10 kB a form with twenty containers, more where they have many labels.
pub const FORMS_BYTES: usize = 256 * 1024 * 1024;

/// Forms in two generations, so that hosts that no longer report here are forgotten. Cheap to share.
#[derive(Debug, Default)]
pub struct Forms(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    /// Read since the last change of generations.
    young: HashMap<Box<str>, Arc<Form>>,
    young_bytes: usize,
    /// Read before.
    old: HashMap<Box<str>, Arc<Form>>,
}

/// A message that was read.
#[derive(Debug)]
pub struct Message {
    /// Its form.
    pub form: Arc<Form>,
    /// What stands in the form's blanks,
    pub figures: Figures,
    /// and that once more, packed; `None` when the message is the first of its form.
    pub packed: Option<Vec<u8>>,
}

impl Forms {
    /// Decodes and checks a message, as [`Form::decode`] does. When it is of the form of one before, it comes packed by that, too.
    pub fn read(&self, message: &[u8], now_ms: i64) -> Result<Message, ReportError> {
        if let Some((read, length)) = self.read_start(message, now_ms)
            && length == message.len()
        {
            return Ok(read);
        }
        let (form, figures) = Form::decode(message, now_ms)?;
        let form = Arc::new(form);
        if let Some(host) = guess_host_id(message) {
            self.lock().keep(host.into(), Arc::clone(&form));
        }
        Ok(Message { form, figures, packed: None })
    }

    /// The message at the start of `bytes` with its length, if it is of the form of one before. It need not be known where it ends.
    pub fn read_start(&self, bytes: &[u8], now_ms: i64) -> Option<(Message, usize)> {
        let form = self.lock().get(guess_host_id(bytes)?)?;
        let Packed { figures, packed, length } = form.pack(bytes, now_ms)?;
        Some((Message { form, figures, packed }, length))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generations {
    fn get(&mut self, host: &str) -> Option<Arc<Form>> {
        if let Some(form) = self.young.get(host) {
            return Some(Arc::clone(form));
        }
        let (host, form) = self.old.remove_entry(host)?;
        self.keep(host, Arc::clone(&form));
        Some(form)
    }

    fn keep(&mut self, host: Box<str>, form: Arc<Form>) {
        let bytes = host.len() + form.bytes();
        if self.young_bytes + bytes > FORMS_BYTES / 2 {
            self.old = std::mem::take(&mut self.young);
            self.young_bytes = 0;
        }
        let before = self.young.insert(host, form).map_or(0, |before| before.bytes());
        self.young_bytes = (self.young_bytes + bytes).saturating_sub(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_184_000_000;
    const REPORT: &str = include_str!("../../../wire-model/golden/host-report.json");

    #[test]
    fn a_host_is_read_by_the_form_of_its_last_report() {
        let forms = Forms::default();
        let read = |message: &str| forms.read(message.as_bytes(), NOW).unwrap();
        let Message { form: first, packed, .. } = read(REPORT);
        assert_eq!(packed, None, "there is nothing before it");
        let Message { form: second, figures, packed } = read(&REPORT.replace("\"seq\":1234", "\"seq\":1235"));
        assert!(Arc::ptr_eq(&first, &second));
        assert_eq!(figures.id.seq, 1235);
        assert_eq!(first.unpack(&packed.unwrap()).unwrap().id, figures.id);
        let other_host = read(&REPORT.replace("4c4c4544-0042", "4c4c4544-0043")).form;
        let stopped = read(&REPORT.replace("running", "exited")).form;
        assert!(!Arc::ptr_eq(&first, &other_host) && !Arc::ptr_eq(&first, &stopped));
        assert!(Arc::ptr_eq(&read(&REPORT.replace("running", "exited")).form, &stopped));
        assert!(forms.read(b"{}", NOW).is_err());
    }

    #[test]
    fn forms_are_bounded_and_the_least_used_go() {
        let message = |host: usize| REPORT.replace("4c4c4544-0042", &format!("{host:08}")).replace("db-01", &"x".repeat(100));
        let (form, _) = Form::decode(message(0).as_bytes(), NOW).unwrap();
        let form = Arc::new(form);
        let fit = FORMS_BYTES / 2 / (form.bytes() + 8);
        let mut generations = Generations::default();
        for host in 0..fit {
            generations.keep(format!("{host:08}").into(), Arc::clone(&form));
        }
        assert_eq!((generations.young.len(), generations.old.len()), (fit, 0));
        generations.keep(format!("{fit:08}").into(), Arc::clone(&form));
        assert_eq!((generations.young.len(), generations.old.len()), (1, fit));
        assert!(generations.get("00000007").is_some());
        assert_eq!((generations.young.len(), generations.old.len()), (2, fit - 1), "what is read becomes young again");
        for host in 0..fit {
            generations.keep(format!("new{host:05}").into(), Arc::clone(&form));
        }
        assert!(generations.get("00000008").is_none(), "forgotten");
        assert!(generations.get("00000007").is_some(), "read in between");
    }
}
