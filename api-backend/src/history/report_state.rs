//! What is kept of a sealed report beside its values: how it came, and which of its tables could be read.

use wire_model::HostReport;
use wire_model::catalog::Subject;

/// One report of a stretch. Each fits a whole number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ReportState {
    /// A newer one of its host was there when it came: it was not evaluated.
    pub(super) is_late: bool,
    /// Which tables it has.
    pub(super) tables: Tables,
    /// Distance to the next one, as it says.
    pub(super) interval_ms: u32,
    /// How much later than its own time it is stored.
    pub(super) shift_ms: u8,
}

/// Those of the catalog's tables that a report has, a bit for each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tables(u8);

/// In the order of their bits.
const TABLES: [Subject; 5] = [Subject::Filesystem, Subject::Disk, Subject::Network, Subject::Sensor, Subject::Container];

/// Bits from which on each field stands.
const TABLES_AT: u32 = 1;
const INTERVAL_AT: u32 = 8;
const SHIFT_AT: u32 = 30;
const END: u32 = 35;

impl Tables {
    /// Those of a report.
    pub(super) fn of(report: &HostReport) -> Tables {
        let has = |subject: &Subject| subject.table().is_some_and(|name| report.tables.contains_key(name));
        let bit = |(number, subject)| u8::from(has(subject)) << number;
        Tables(TABLES.iter().enumerate().map(bit).fold(0, |all, bit| all | bit))
    }

    /// Whether the report has the table of a subject; the host itself has none.
    pub(super) fn has(self, subject: Subject) -> bool {
        TABLES.iter().position(|table| *table == subject).is_some_and(|number| self.0 & (1 << number) != 0)
    }

    /// Names of the tables.
    pub(super) fn names(self) -> impl Iterator<Item = &'static str> {
        TABLES.into_iter().filter(move |subject| self.has(*subject)).filter_map(Subject::table)
    }
}

impl ReportState {
    /// As a stretch keeps it: bit 0 late, 1 to 5 the tables, from 8 on the interval, from 30 on the shift. Never 0, because no interval is.
    pub(super) fn pack(self) -> i64 {
        i64::from(self.is_late)
            | i64::from(self.tables.0) << TABLES_AT
            | i64::from(self.interval_ms) << INTERVAL_AT
            | i64::from(self.shift_ms) << SHIFT_AT
    }

    /// From what [`pack`](ReportState::pack) made. `None` of anything else: 0 stands for reports that were sealed before this was kept.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "each field is cut to its bits")]
    pub(super) fn unpack(packed: i64) -> Option<ReportState> {
        let field = |from: u32, to: u32| (packed >> from) & ((1 << (to - from)) - 1);
        let state = ReportState {
            is_late: field(0, TABLES_AT) == 1,
            tables: Tables(field(TABLES_AT, TABLES_AT + TABLES.len() as u32) as u8),
            interval_ms: field(INTERVAL_AT, SHIFT_AT) as u32,
            shift_ms: field(SHIFT_AT, END) as u8,
        };
        (state.pack() == packed && packed != 0).then_some(state)
    }
}

#[cfg(test)]
mod tests {
    use wire_model::limits::{INTERVAL_MS_MAX, INTERVAL_MS_MIN};

    use super::*;
    use crate::ingest::SHIFT_MS_MAX;

    #[test]
    fn every_report_has_a_number_of_its_own() {
        for is_late in [false, true] {
            for tables in 0..1 << TABLES.len() {
                for interval_ms in [INTERVAL_MS_MIN, 2_000, INTERVAL_MS_MAX] {
                    for shift_ms in [0, 1, u8::try_from(SHIFT_MS_MAX).unwrap()] {
                        let state = ReportState { is_late, tables: Tables(tables), interval_ms, shift_ms };
                        assert!((1..1 << END).contains(&state.pack()));
                        assert_eq!(ReportState::unpack(state.pack()), Some(state));
                    }
                }
            }
        }
        assert_eq!([0, -1, 1 << END, 1 << 6].map(ReportState::unpack), [None; 4]);
    }

    #[test]
    fn tables_are_those_of_the_report() {
        let report = include_bytes!("../../../wire-model/golden/host-report.json");
        let tables = Tables::of(&serde_json::from_slice(report).unwrap());
        assert_eq!(tables, Tables(0b1_0101));
        assert_eq!(tables.names().collect::<Vec<_>>(), ["filesystem", "network", "container"]);
        assert!(tables.has(Subject::Container) && !tables.has(Subject::Disk) && !tables.has(Subject::Host));
    }
}
