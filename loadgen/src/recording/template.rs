//! An encoded report of which only the parts that differ between hosts and moments are written over, in place: its length never changes.
//!
//! Numbers stand at the right of a field of fixed width, blanks in front of them, which JSON allows.

use std::io::Write;

use anyhow::{Context, ensure};
use wire_model::{CONTAINER_TABLE, Cell, HostReport};

/// Characters of a host's id, which is its name too: `loadgen-0001`.
pub(super) const HOST_ID_BYTES: usize = 12;
/// Of every number that changes; as many as Unix ms have for the next 260 years.
const NUMBER_BYTES: usize = 13;
/// The smallest number of that many digits, to make room.
const ROOM: u64 = 1_000_000_000_000;
/// Stands at the begin of a container's id, where its host's number goes, in as many digits.
const CONTAINER_MARK: &str = "####";
const RACK: &str = "rack";
const UPTIME: &str = "system.uptime";

pub(super) struct Template {
    pub(super) bytes: Vec<u8>,
    host_id: usize,
    host_name: usize,
    rack: usize,
    epoch: usize,
    seq: usize,
    at: usize,
    uptime: Option<usize>,
    containers: Vec<usize>,
}

/// What is written into a template.
pub(super) struct Parts<'a> {
    /// Of [`HOST_ID_BYTES`].
    pub(super) host_id: &'a str,
    pub(super) host_number: u32,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) at: u64,
    /// In s.
    pub(super) uptime: u64,
}

impl Template {
    /// Takes names, ids and moment out of a report, and keeps the rest.
    pub(super) fn new(mut report: HostReport) -> anyhow::Result<Template> {
        report.host.id = "#".repeat(HOST_ID_BYTES);
        report.host.name = report.host.id.clone();
        report.host.labels = [(RACK.to_owned(), "r#".to_owned())].into();
        report.previous = None;
        (report.epoch, report.seq, report.at) = (ROOM, ROOM, ROOM.cast_signed());
        let has_uptime = report.metrics.get(UPTIME).is_some_and(Option::is_some);
        if has_uptime {
            report.metrics.insert(UPTIME.to_owned(), Some(ROOM as f64));
        }
        let mut containers = 0;
        if let Some(table) = report.tables.get_mut(CONTAINER_TABLE)
            && let Some(id) = table.column("id")
        {
            containers = table.rows.len();
            for cell in table.rows.iter_mut().map(|row| &mut row[id]) {
                let rest =
                    cell.text().and_then(|id| id.get(CONTAINER_MARK.len()..)).context("find a container's number in its id")?;
                *cell = Cell::Text(format!("{CONTAINER_MARK}{rest}"));
            }
        }
        let text = String::from_utf8(report.encode()).context("encode the report")?;
        let mut position = 0;
        // parts stand in the order of HostReport's fields
        let mut behind = |what: &str| -> anyhow::Result<usize> {
            let found = text[position..].find(what).with_context(|| format!("find {what} in an encoded report"))?;
            position += found + what.len();
            Ok(position)
        };
        let (host_id, host_name) = (behind(r#""id":""#)?, behind(r#""name":""#)?);
        let (rack, epoch, seq) = (behind(r#""rack":"r"#)?, behind(r#""epoch":"#)?, behind(r#""seq":"#)?);
        let at = behind(r#""at":"#)?;
        let uptime = if has_uptime { Some(behind(&format!(r#""{UPTIME}":"#))?) } else { None };
        let mark = format!("\"{CONTAINER_MARK}");
        let containers: Vec<usize> =
            (0..containers).map(|_| Ok(behind(&mark)? - CONTAINER_MARK.len())).collect::<anyhow::Result<_>>()?;
        ensure!(behind(&mark).is_err(), "a text of the report begins with {CONTAINER_MARK}");
        Ok(Template { bytes: text.into_bytes(), host_id, host_name, rack, epoch, seq, at, uptime, containers })
    }

    /// Containers in the report.
    pub(super) fn containers(&self) -> usize {
        self.containers.len()
    }

    /// Makes it the report of this host at this moment.
    pub(super) fn fill(&mut self, parts: &Parts<'_>) {
        let mut write = |at: usize, text: &[u8]| self.bytes[at..at + text.len()].copy_from_slice(text);
        write(self.host_id, parts.host_id.as_bytes());
        write(self.host_name, parts.host_id.as_bytes());
        write(self.rack, &[b'1' + u8::try_from(parts.host_number % 8).unwrap_or_default()]);
        write(self.epoch, &number(parts.epoch));
        write(self.seq, &number(parts.seq));
        write(self.at, &number(parts.at));
        if let Some(uptime) = self.uptime {
            write(uptime, &number(parts.uptime));
        }
        let mut host = [0; CONTAINER_MARK.len()];
        write!(&mut host[..], "{:04x}", parts.host_number & 0xffff).expect("four digits fit");
        for container in &self.containers {
            write(*container, &host);
        }
    }
}

/// At the right; what has more digits than there is room is as large as there is room.
fn number(value: u64) -> [u8; NUMBER_BYTES] {
    let mut field = [b' '; NUMBER_BYTES];
    write!(&mut field[..], "{:>NUMBER_BYTES$}", value.min(ROOM * 10 - 1)).expect("as many digits as there is room");
    field
}

#[cfg(test)]
pub(in crate::recording) mod tests {
    use serde_json::json;

    use super::*;

    /// A report with these containers, by name and cores in use.
    pub(in crate::recording) fn report(containers: &[(&str, f64)]) -> HostReport {
        let containers: Vec<_> = containers
            .iter()
            .map(|(name, usage)| json!([name, "0000secret-id", "secret/image", "running", {"secret": "x"}, usage, 8192, 0.4]))
            .collect();
        let report = json!({
            "schema": 1, "epoch": 4, "seq": 12, "at": 1_795_184_000_123_i64, "interval_ms": 2000, "previous": {"epoch": 3, "seq": 9},
            "host": {"id": "secret", "name": "secret", "labels": {"owner": "secret"}, "os": "Debian", "kernel": "6.1.0-secret", "cpus": 2},
            "metrics": {
                "system.cpu.utilization": 0.5, "system.memory.limit": 8_192_000, "system.memory.usage": 4_096_000,
                "system.paging.utilization": null, "system.uptime": 5_000,
            },
            "tables": {
                "filesystem": {"columns": ["mountpoint", "type", "system.filesystem.utilization"], "rows": [["/", "ext4", 0.25], ["/secret", "xfs", 1]]},
                "container": {
                    "columns": ["name", "id", "image", "state", "labels", "container.cpu.usage", "container.memory.usage", "container.memory.utilization"],
                    "rows": containers,
                },
            },
        });
        serde_json::from_value(report).unwrap()
    }

    #[test]
    fn a_filled_template_is_the_report_of_that_host_and_moment_and_never_changes_its_length() {
        let original = report(&[("one", 0.5), ("two", 0.25)]);
        let mut template = Template::new(original.clone()).unwrap();
        let length = template.bytes.len();
        for (host_number, seq, at, uptime) in [(1, 1, 1, 0), (9_999, 4_000_000_000, 9_999_999_999_999, 123_456), (7, 9, 10, 1)] {
            let host_id = format!("loadgen-{host_number:04}");
            template.fill(&Parts { host_id: &host_id, host_number, epoch: 1_795_184_000_000, seq, at, uptime });
            assert_eq!(template.bytes.len(), length);
            let mut report = HostReport::decode(&template.bytes, i64::MAX / 2).unwrap();
            assert_eq!((&report.host.id, &report.host.name), (&host_id, &host_id));
            assert_eq!((report.epoch, report.seq, report.at), (1_795_184_000_000, seq, at.cast_signed()));
            assert_eq!(report.metrics.insert(UPTIME.to_owned(), Some(5_000.0)), Some(Some(uptime as f64)));
            assert_eq!(report.metrics, original.metrics);
            assert_eq!(report.previous, None);
            let rows = &mut report.tables.get_mut(CONTAINER_TABLE).unwrap().rows;
            for row in rows {
                let id = std::mem::replace(&mut row[1], "0000secret-id".into());
                assert_eq!(id.text().unwrap(), format!("{host_number:04x}secret-id"));
            }
            assert_eq!(report.tables, original.tables);
        }
    }

    #[test]
    fn a_report_without_containers_and_uptime_is_a_template_too() {
        let mut original = report(&[]);
        original.metrics.remove(UPTIME);
        let mut template = Template::new(original).unwrap();
        template.fill(&Parts { host_id: "loadgen-0001", host_number: 1, epoch: 1, seq: 1, at: 1, uptime: 7 });
        let report = HostReport::decode(&template.bytes, 1).unwrap();
        assert!(!report.metrics.contains_key(UPTIME));
    }

    #[test]
    fn numbers_have_one_width() {
        for (value, shown) in
            [(0, "            0"), (ROOM - 1, " 999999999999"), (ROOM, "1000000000000"), (u64::MAX, "9999999999999")]
        {
            assert_eq!(std::str::from_utf8(&number(value)).unwrap(), shown);
        }
    }
}
