//! Which report a message is, even if it can never be stored.

use serde::Deserialize;
use serde_json::Value;
use wire_model::{Removed, ReportId, limits};

use super::batch::DecodedReport;

/// What the ledger needs to know of a report, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportName {
    /// The host's own id.
    pub host_id: String,
    /// The rest.
    pub mark: Mark,
}

/// What the ledger needs to know of a host's report.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Which of its reports.
    pub id: ReportId,
    /// Its own time; of a report that was not checked it may be any number.
    pub at: i64,
    /// The last report of the epochs before, as it says.
    pub previous: Option<ReportId>,
    /// What was removed just before, as it says.
    pub removed: Removed,
}

impl From<&DecodedReport> for ReportName {
    fn from(report: &DecodedReport) -> ReportName {
        ReportName { host_id: report.form.host_id().to_owned(), mark: report.into() }
    }
}

impl From<&DecodedReport> for Mark {
    fn from(DecodedReport { form, figures, .. }: &DecodedReport) -> Mark {
        Mark { id: figures.id, at: figures.at, previous: form.previous(), removed: form.removed() }
    }
}

impl ReportName {
    /// Reads the name out of whatever JSON object has one.
    pub fn of_message(message: &[u8]) -> Option<ReportName> {
        #[derive(Deserialize)]
        struct Host {
            id: String,
        }
        #[derive(Deserialize)]
        struct Named {
            host: Host,
            epoch: u64,
            seq: u64,
            at: i64,
            #[serde(default)]
            previous: Value,
            #[serde(default)]
            removed: Value,
        }
        let named: Named = serde_json::from_slice(message).ok()?;
        let fits = |id: &ReportId| i64::try_from(id.epoch.max(id.seq)).is_ok();
        let id = ReportId { epoch: named.epoch, seq: named.seq };
        let is_host_id = !named.host.id.is_empty() && named.host.id.chars().count() <= limits::NAME_CHARS;
        if !is_host_id || !fits(&id) {
            return None;
        }
        let previous = serde_json::from_value::<ReportId>(named.previous).ok();
        let removed = serde_json::from_value::<Removed>(named.removed).unwrap_or_default();
        let mark = Mark {
            id,
            at: named.at,
            previous: previous.filter(|previous| fits(previous) && previous.epoch < id.epoch),
            removed: if i64::try_from(removed.total()).is_ok() { removed } else { Removed::default() },
        };
        Some(ReportName { host_id: named.host.id, mark })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_names_a_report_has_a_name() {
        let check = |message: &str, expected: Option<(&str, u64, u64)>| {
            let name = ReportName::of_message(message.as_bytes());
            assert_eq!(
                name.as_ref().map(|name| (name.host_id.as_str(), name.mark.id.epoch, name.mark.id.seq)),
                expected,
                "{message}"
            );
        };
        check(r#"{"schema":2,"host":{"id":"a","new":1},"epoch":3,"seq":4,"at":5,"more":[]}"#, Some(("a", 3, 4)));
        check(r#"{"host":{"id":"a"},"epoch":3,"seq":4,"at":-5,"removed":"many","previous":7}"#, Some(("a", 3, 4)));
        check(r#"{"host":{"id":"a"},"epoch":3,"seq":9223372036854775807,"at":5}"#, Some(("a", 3, i64::MAX as u64)));
        check(r#"{"host":{"id":"a"},"epoch":3,"seq":9223372036854775808,"at":5}"#, None);
        check(r#"{"host":{"id":"a"},"epoch":-3,"seq":4,"at":5}"#, None);
        check(r#"{"host":{"id":""},"epoch":3,"seq":4,"at":5}"#, None);
        check(r#"{"host":{},"epoch":3,"seq":4,"at":5}"#, None);
        check("7", None);
        let long = |chars: usize| format!(r#"{{"host":{{"id":"{}"}},"epoch":1,"seq":1,"at":5}}"#, "é".repeat(chars));
        for (chars, named) in [(limits::NAME_CHARS - 1, true), (limits::NAME_CHARS, true), (limits::NAME_CHARS + 1, false)] {
            assert_eq!(ReportName::of_message(long(chars).as_bytes()).is_some(), named, "{chars}");
        }
    }
}
