//! One played host: its report is built once and gets new values each time.

use std::collections::BTreeMap;

use fastrand::Rng;
use wire_model::catalog::Subject;
use wire_model::{Cell, HostInfo, HostReport, Removed, SCHEMA, Table};

use crate::Config;
use crate::churn::Churn;
use crate::values::{self, Values};

const FILESYSTEMS: &[(&str, &str)] = &[("/", "ext4"), ("/var/lib/docker", "xfs"), ("/srv", "xfs")];
const DISKS: &[&str] = &["nvme0n1", "sda"];
const INTERFACES: &[&str] = &["eth0", "eth1"];
const SERVICES: &[(&str, &str)] =
    &[("web", "nginx:1.27"), ("api", "shop/api:4.2"), ("worker", "shop/worker:4.2"), ("db", "postgres:17"), ("cache", "redis:7")];
const RACKS: u32 = 8;

pub(crate) struct Host {
    report: HostReport,
    host: Values,
    /// For each table the values of its rows, and the column of the first metric.
    tables: Vec<(&'static str, usize, Vec<Values>)>,
    started_at_ms: i64,
    churn: Option<Churn>,
    rng: Rng,
}

impl Host {
    pub(crate) fn new(number: u32, config: &Config, started_at_ms: i64, mut rng: Rng) -> Host {
        let id = format!("loadgen-{number:04}");
        let labels = [("rack".to_owned(), format!("r{}", number % RACKS + 1))];
        let info = HostInfo {
            name: config.name_of(number, &id),
            id,
            labels: labels.into(),
            os: Some("Debian GNU/Linux 13 (trixie)".to_owned()),
            kernel: Some("6.12.0-loadgen".to_owned()),
            cpus: None,
            collector: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        let mut report = HostReport {
            schema: SCHEMA,
            host: info,
            epoch: u64::try_from(started_at_ms).unwrap_or_default(),
            seq: 0,
            at: 0,
            interval_ms: config.interval_ms,
            previous: None,
            metrics: BTreeMap::new(),
            tables: BTreeMap::new(),
            removed: Removed::default(),
        };
        let filesystems = FILESYSTEMS.iter().map(|(path, kind)| vec![Cell::from(*path), Cell::from(*kind)]);
        let containers = (0..config.generated_containers()).map(|index| container(number, index, started_at_ms, &mut rng));
        let parts: [(_, _, &[&str], Vec<Vec<Cell>>); 4] = [
            ("filesystem", Subject::Filesystem, &["mountpoint", "type"], filesystems.collect()),
            ("disk", Subject::Disk, &["device"], DISKS.iter().map(|disk| vec![Cell::from(*disk)]).collect()),
            ("network", Subject::Network, &["interface"], INTERFACES.iter().map(|name| vec![Cell::from(*name)]).collect()),
            (
                "container",
                Subject::Container,
                &["id", "name", "image", "state", "health", "started_at", "restarts", "exit_code", "oom_killed", "labels"],
                containers.collect(),
            ),
        ];
        let mut tables = Vec::new();
        for (table, subject, attributes, rows) in parts {
            let columns = attributes.iter().copied().chain(values::names(subject));
            let values = rows.iter().map(|_| Values::new(subject, &mut rng)).collect();
            tables.push((table, attributes.len(), values));
            report.tables.insert(table.to_owned(), Table { columns: columns.map(str::to_owned).collect(), rows });
        }
        let host = Values::new(Subject::Host, &mut rng);
        let churn = (config.churn > 0.0).then(|| Churn::new(config.churn));
        Host { report, host, tables, started_at_ms, churn, rng }
    }

    /// The report of this moment. Its time is later than that of the one before, whatever the clock says.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count of CPUs")]
    pub(crate) fn next_report(&mut self, now_ms: i64) -> &HostReport {
        let report = &mut self.report;
        report.seq += 1;
        report.at = now_ms.max(report.at + 1);
        let is_first = report.seq == 1;
        let seconds = (report.at - self.started_at_ms) as f64 / 1000.0;

        for (name, value) in self.host.advance(seconds, is_first, &mut self.rng) {
            match report.metrics.get_mut(name) {
                Some(slot) => *slot = value,
                None => drop(report.metrics.insert(name.to_owned(), value)),
            }
        }
        report.host.cpus = report.metrics["system.cpu.logical.count"].map(|count| count as u32);
        for (table, first_metric, rows) in &mut self.tables {
            let Some(table) = report.tables.get_mut(*table) else { continue };
            for (cells, values) in table.rows.iter_mut().zip(rows) {
                cells.truncate(*first_metric);
                cells.extend(values.advance(seconds, is_first, &mut self.rng).map(|(_, value)| Cell::from(value)));
            }
        }
        match &mut self.churn {
            Some(churn) => churn.apply(&self.report, &mut self.rng),
            None => &self.report,
        }
    }
}

/// The attributes of one container, as compose would have made it.
fn container(host: u32, index: u32, started_at_ms: i64, rng: &mut Rng) -> Vec<Cell> {
    let (service, image) = SERVICES[index as usize % SERVICES.len()];
    let number = index as usize / SERVICES.len() + 1;
    let name = format!("shop-{service}-{number}");
    let labels = [
        ("com.docker.compose.project", "shop".to_owned()),
        ("com.docker.compose.service", service.to_owned()),
        ("com.docker.compose.container-number", number.to_string()),
        ("com.docker.compose.oneoff", "False".to_owned()),
    ];
    let started_at = started_at_ms - i64::from(rng.u32(60_000..86_400_000));
    vec![
        Cell::Text(format!("{host:032x}{index:032x}")),
        Cell::Text(name),
        Cell::from(image),
        Cell::from("running"),
        Cell::from(index.is_multiple_of(2).then_some("healthy")),
        Cell::Number(started_at as f64),
        Cell::Number(0.0),
        Cell::Null,
        Cell::Number(0.0),
        Cell::Labels(labels.map(|(key, value)| (key.to_owned(), value)).into()),
    ]
}
