//! A recording names nobody: who the host and its containers were is replaced, what they did stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wire_model::{CONTAINER_TABLE, Cell, HostInfo, HostReport, Removed};

/// Container numbers are their ids, in so many hexadecimal digits, as the engine's short ids have.
pub(super) const ID_DIGITS: usize = 12;
/// The recorded host.
const HOST: &str = "recorded";
/// Mount points that tell nothing.
const COMMON_MOUNTS: &[&str] =
    &["/", "/boot", "/boot/efi", "/home", "/srv", "/tmp", "/usr", "/var", "/var/lib/docker", "/var/log"];

/// In all reports alike. Containers are numbered by the CPU that they used, the busiest first, and stand in that order.
pub(super) fn make(reports: &mut [HostReport]) {
    let containers = container_numbers(reports);
    let mounts = mount_names(reports);
    for report in reports {
        let kernel = report.host.kernel.as_ref().and_then(|kernel| kernel.split('-').next()).map(str::to_owned);
        report.host =
            HostInfo { id: HOST.to_owned(), name: HOST.to_owned(), labels: BTreeMap::new(), kernel, ..report.host.clone() };
        report.previous = None;
        report.removed = Removed::default();
        if let Some(table) = report.tables.get_mut("filesystem")
            && let Some(column) = table.column("mountpoint")
        {
            for row in &mut table.rows {
                let name = row[column].text().and_then(|mount| mounts.get(mount)).cloned();
                row[column] = Cell::from(name.as_deref());
            }
        }
        if let Some(table) = report.tables.get_mut(CONTAINER_TABLE) {
            let column = |name: &str| table.column(name);
            let (name, id, image, labels) = (column("name"), column("id"), column("image"), column("labels"));
            table.rows.sort_by_key(|row| number(row, name, &containers));
            for row in &mut table.rows {
                let number = number(row, name, &containers);
                let service = format!("container-{number:03}");
                let compose = [
                    ("com.docker.compose.project", HOST.to_owned()),
                    ("com.docker.compose.service", service.clone()),
                    ("com.docker.compose.container-number", "1".to_owned()),
                ];
                let cells = [
                    (name, Cell::Text(service)),
                    (id, Cell::Text(format!("{number:0ID_DIGITS$x}"))),
                    (image, Cell::from("image")),
                    (labels, Cell::Labels(compose.map(|(key, value)| (key.to_owned(), value)).into())),
                ];
                for (column, cell) in cells {
                    if let Some(column) = column {
                        row[column] = cell;
                    }
                }
            }
        }
    }
}

fn number(row: &[Cell], name: Option<usize>, numbers: &HashMap<String, usize>) -> usize {
    name.and_then(|name| row[name].text()).and_then(|name| numbers.get(name)).copied().unwrap_or_default()
}

/// From 1 by name.
fn container_numbers(reports: &[HostReport]) -> HashMap<String, usize> {
    let mut used: BTreeMap<&str, f64> = BTreeMap::new();
    for table in reports.iter().filter_map(|report| report.tables.get(CONTAINER_TABLE)) {
        let (Some(name), Some(usage)) = (table.column("name"), table.column("container.cpu.usage")) else { continue };
        for row in &table.rows {
            *used.entry(row[name].text().unwrap_or_default()).or_default() += row[usage].number().unwrap_or_default();
        }
    }
    let mut names: Vec<(&str, f64)> = used.into_iter().collect();
    names.sort_by(|one, other| other.1.total_cmp(&one.1));
    names.into_iter().zip(1..).map(|((name, _), number)| (name.to_owned(), number)).collect()
}

fn mount_names(reports: &[HostReport]) -> HashMap<String, String> {
    let tables = reports.iter().filter_map(|report| report.tables.get("filesystem"));
    let mounts = tables.flat_map(|table| {
        let column = table.column("mountpoint");
        table.rows.iter().filter_map(move |row| row[column?].text())
    });
    let mut number = 0;
    let mut name = |mount: &str| {
        if COMMON_MOUNTS.contains(&mount) {
            return mount.to_owned();
        }
        number += 1;
        format!("/mount-{number:02}")
    };
    mounts.collect::<BTreeSet<_>>().into_iter().map(|mount| (mount.to_owned(), name(mount))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::template::tests::report;

    #[test]
    fn nothing_that_names_somebody_stays_and_every_value_does() {
        let mut reports =
            vec![report(&[("secret-idle", 0.0), ("secret-busy", 0.5)]), report(&[("secret-new", 0.1), ("secret-busy", 0.7)])];
        let before = reports.clone();
        make(&mut reports);
        for (report, before) in reports.iter().zip(&before) {
            let text = String::from_utf8(report.encode()).unwrap();
            assert!(!text.contains("secret"), "{text}");
            assert_eq!(report.metrics, before.metrics);
            assert_eq!(report.host.kernel.as_deref(), Some("6.1.0"));
            HostReport::decode(text.as_bytes(), report.at).unwrap();
        }
        let names = |report: &HostReport| -> Vec<(String, f64)> {
            let table = &report.tables[CONTAINER_TABLE];
            let (name, usage) = (table.column("name").unwrap(), table.column("container.cpu.usage").unwrap());
            table.rows.iter().map(|row| (row[name].text().unwrap().to_owned(), row[usage].number().unwrap())).collect()
        };
        let expected = |rows: &[(&str, f64)]| rows.iter().map(|(name, usage)| ((*name).to_owned(), *usage)).collect::<Vec<_>>();
        assert_eq!(names(&reports[0]), expected(&[("container-001", 0.5), ("container-003", 0.0)]));
        assert_eq!(names(&reports[1]), expected(&[("container-001", 0.7), ("container-002", 0.1)]));
        let mounts = reports[0].tables["filesystem"].rows.iter().map(|row| row[0].text().unwrap()).collect::<Vec<_>>();
        assert_eq!(mounts, ["/", "/mount-01"]);
    }
}
