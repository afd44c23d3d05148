//! Reports as a host of a fleet writes them: every metric of the catalog, containers of compose with the labels that it gives them.

#![allow(dead_code, reason = "each benchmark uses its part")]

pub mod cpu_time;

use std::collections::BTreeMap;

use wire_model::catalog::{CATALOG, Subject};
use wire_model::{Cell, HostInfo, HostReport, Removed, SCHEMA, Table};

/// Unix ms of the first report.
pub const BEGIN: i64 = 1_795_184_000_000;
/// Between reports.
pub const INTERVAL_MS: u32 = 2_000;

/// Report `seq` (from 1) of a host: its numbers change, all else stays.
pub fn report(host: usize, containers: usize, seq: u64) -> HostReport {
    let names = |subject: Subject| CATALOG.iter().filter(move |metric| metric.subject == subject);
    let mut salt = (host as u64) << 40 | seq << 16;
    let mut value = |resolution: f64, unit: &str| {
        salt += 1;
        let noise = random(salt) % 10_000;
        let scale = if unit.starts_with("By") { 1_048_576.0 } else { 1.0 };
        let value = scale * noise as f64 / if unit == "1" { 20_000.0 } else { 100.0 };
        Some(if resolution < 1.0 { (value / resolution).round() / (1.0 / resolution).round() } else { value.round() })
    };
    let metrics = names(Subject::Host).map(|metric| (metric.name.to_owned(), value(metric.resolution, metric.unit))).collect();
    let mut tables = BTreeMap::new();
    let mut table = |name: &str, subject: Subject, attributes: &[&str], rows: Vec<Vec<Cell>>| {
        let columns = attributes.iter().copied().chain(names(subject).map(|metric| metric.name)).map(str::to_owned).collect();
        let with_values = |mut row: Vec<Cell>| {
            row.extend(names(subject).map(|metric| Cell::from(value(metric.resolution, metric.unit))));
            row
        };
        tables.insert(name.to_owned(), Table { columns, rows: rows.into_iter().map(with_values).collect() });
    };
    let filesystems = [("/", "ext4"), ("/var/lib/docker", "xfs"), ("/srv", "xfs")];
    let filesystems = filesystems.map(|(path, kind)| vec![path.into(), kind.into()]);
    table("filesystem", Subject::Filesystem, &["mountpoint", "type"], filesystems.into());
    table("disk", Subject::Disk, &["device"], vec![vec!["nvme0n1".into()], vec!["sda".into()]]);
    table("network", Subject::Network, &["interface"], vec![vec!["eth0".into()], vec!["eth1".into()]]);
    let attributes = ["id", "name", "image", "state", "health", "started_at", "restarts", "labels"];
    let rows = (0..containers).map(|index| container(host, index)).collect();
    table("container", Subject::Container, &attributes, rows);
    let name = format!("host-{host:05}");
    let host = HostInfo {
        id: name.clone(),
        name,
        labels: [("rack".to_owned(), format!("r{}", host % 8))].into(),
        os: Some("Debian GNU/Linux 13 (trixie)".to_owned()),
        kernel: Some("6.12.0-1-amd64".to_owned()),
        cpus: Some(16),
        collector: Some("0.1.0".to_owned()),
    };
    let at = BEGIN + i64::from(INTERVAL_MS) * seq.cast_signed();
    let (epoch, interval_ms) = (1, INTERVAL_MS);
    HostReport { schema: SCHEMA, host, epoch, seq, at, interval_ms, previous: None, metrics, tables, removed: Removed::default() }
}

/// SplitMix64: other digits for every number, the same in every run.
fn random(n: u64) -> u64 {
    let mut x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn container(host: usize, index: usize) -> Vec<Cell> {
    let service = ["web", "api", "worker", "db", "cache"][index % 5];
    let number = index / 5 + 1;
    let labels = [
        ("com.docker.compose.project", "shop".to_owned()),
        ("com.docker.compose.service", service.to_owned()),
        ("com.docker.compose.container-number", number.to_string()),
        ("com.docker.compose.oneoff", "False".to_owned()),
    ];
    vec![
        Cell::Text(format!("{host:06x}{index:06x}")),
        Cell::Text(format!("shop-{service}-{number}")),
        Cell::Text(format!("shop/{service}:4.2")),
        Cell::from("running"),
        Cell::from(index.is_multiple_of(2).then_some("healthy")),
        Cell::Number((BEGIN - 86_400_000) as f64),
        Cell::Number(0.0),
        Cell::Labels(labels.map(|(key, value)| (key.to_owned(), value)).into()),
    ]
}
