//! An encoded report of which only the parts that differ between hosts and moments are written anew: the rest is copied as it stands.

use std::io::Write;

use anyhow::{Context, ensure};
use wire_model::{CONTAINER_TABLE, Cell, HostReport};

/// Stands where a part goes while the template is made; numbers have one of their own.
const MARK: &str = "####";
/// A number that no recording has.
const NUMBER_MARK: u32 = 1_234_567_891;
const RACK: &str = "rack";
const RACKS: u32 = 8;
const UPTIME: &str = "system.uptime";

pub(super) struct Template {
    /// The report without its parts.
    text: Vec<u8>,
    /// Where they go, in that order.
    places: Vec<(usize, Part)>,
    containers: usize,
}

#[derive(Clone, Copy)]
enum Part {
    HostId,
    HostName,
    Rack,
    Epoch,
    Seq,
    At,
    Uptime,
    /// The begin of a container's id: its host's number.
    Container,
}

/// What goes into a template.
pub(super) struct Parts<'a> {
    pub(super) host_id: &'a str,
    pub(super) host_name: &'a str,
    pub(super) host_number: u32,
    pub(super) epoch: u64,
    pub(super) seq: u64,
    pub(super) at: i64,
    /// In s.
    pub(super) uptime: u64,
}

impl Template {
    /// Takes names, ids and moment out of a report, and keeps the rest.
    pub(super) fn new(mut report: HostReport) -> anyhow::Result<Template> {
        report.host.id = MARK.to_owned();
        report.host.name = MARK.to_owned();
        report.host.labels = [(RACK.to_owned(), MARK.to_owned())].into();
        report.previous = None;
        (report.epoch, report.seq, report.at) = (NUMBER_MARK.into(), NUMBER_MARK.into(), NUMBER_MARK.into());
        // in the order of HostReport's fields
        let mut parts = vec![Part::HostId, Part::HostName, Part::Rack, Part::Epoch, Part::Seq, Part::At];
        if let Some(uptime @ Some(_)) = report.metrics.get_mut(UPTIME) {
            *uptime = Some(NUMBER_MARK.into());
            parts.push(Part::Uptime);
        }
        let mut containers = 0;
        if let Some(table) = report.tables.get_mut(CONTAINER_TABLE)
            && let Some(id) = table.column("id")
        {
            containers = table.rows.len();
            for cell in table.rows.iter_mut().map(|row| &mut row[id]) {
                let rest = cell.text().and_then(|id| id.get(MARK.len()..)).context("find a container's number in its id")?;
                *cell = Cell::Text(format!("{MARK}{rest}"));
                parts.push(Part::Container);
            }
        }
        let encoded = String::from_utf8(report.encode()).context("encode the report")?;
        let number_mark = NUMBER_MARK.to_string();
        let (mut text, mut places, mut rest) = (Vec::with_capacity(encoded.len()), Vec::new(), encoded.as_str());
        for part in parts {
            let mark = match part {
                Part::HostId | Part::HostName | Part::Rack | Part::Container => MARK,
                Part::Epoch | Part::Seq | Part::At | Part::Uptime => &number_mark,
            };
            let (before, behind) = rest.split_once(mark).context("find a part in an encoded report")?;
            text.extend_from_slice(before.as_bytes());
            places.push((text.len(), part));
            rest = behind;
        }
        text.extend_from_slice(rest.as_bytes());
        let left = String::from_utf8_lossy(&text);
        ensure!(!left.contains(MARK) && !left.contains(&number_mark), "the report contains {MARK} or {NUMBER_MARK} itself");
        Ok(Template { text, places, containers })
    }

    /// Containers in the report.
    pub(super) fn containers(&self) -> usize {
        self.containers
    }

    /// Writes the report of this host at this moment, as [`HostReport::encode`] would.
    pub(super) fn fill(&self, parts: &Parts<'_>, message: &mut Vec<u8>) {
        message.clear();
        let mut behind = 0;
        for (place, part) in &self.places {
            message.extend_from_slice(&self.text[behind..*place]);
            behind = *place;
            let written = match part {
                Part::HostId => message.write_all(parts.host_id.as_bytes()),
                Part::HostName => message.write_all(parts.host_name.as_bytes()),
                Part::Rack => write!(message, "r{}", parts.host_number % RACKS + 1),
                Part::Epoch => write!(message, "{}", parts.epoch),
                Part::Seq => write!(message, "{}", parts.seq),
                Part::At => write!(message, "{}", parts.at),
                Part::Uptime => write!(message, "{}", parts.uptime),
                Part::Container => write!(message, "{:04x}", parts.host_number),
            };
            written.expect("memory takes everything");
        }
        message.extend_from_slice(&self.text[behind..]);
    }
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
    fn a_filled_template_is_the_report_of_that_host_and_moment_byte_for_byte() {
        let original = report(&[("one", 0.5), ("two", 0.25)]);
        let template = Template::new(original.clone()).unwrap();
        let mut message = Vec::new();
        for (host_number, seq, at, uptime) in [(1, 1, 1, 0), (9_999, 4_000_000_000, 1_795_184_000_000, 123_456), (7, 9, 10, 1)] {
            let host_id = format!("loadgen-{host_number:04}");
            template
                .fill(&Parts { host_id: &host_id, host_name: "db-01", host_number, epoch: 77, seq, at, uptime }, &mut message);
            let mut report = HostReport::decode(&message, i64::MAX / 2).unwrap();
            assert_eq!(String::from_utf8_lossy(&message), String::from_utf8_lossy(&report.encode()), "as a collector writes it");
            assert_eq!((report.host.id.as_str(), report.host.name.as_str()), (host_id.as_str(), "db-01"));
            assert_eq!((report.epoch, report.seq, report.at), (77, seq, at));
            assert_eq!(report.metrics.insert(UPTIME.to_owned(), Some(5_000.0)), Some(Some(uptime as f64)));
            assert_eq!(report.metrics, original.metrics);
            assert_eq!(report.previous, None);
            for row in &mut report.tables.get_mut(CONTAINER_TABLE).unwrap().rows {
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
        let (template, mut message) = (Template::new(original).unwrap(), Vec::new());
        template.fill(
            &Parts { host_id: "loadgen-0001", host_name: "db-01", host_number: 1, epoch: 1, seq: 1, at: 1, uptime: 7 },
            &mut message,
        );
        let report = HostReport::decode(&message, 1).unwrap();
        assert!(!report.metrics.contains_key(UPTIME));
    }

    #[test]
    fn a_text_that_looks_like_a_part_is_refused() {
        let error = Template::new(report(&[("####", 0.5)])).err().unwrap().to_string();
        assert_eq!(error, "the report contains #### or 1234567891 itself");
    }
}
