//! What MariaDB itself does with the same samples: `LOAD DATA LOCAL INFILE` into tables with a column for every metric.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use end_to_end::database::Database;
use end_to_end::now_ms;
use wire_model::catalog::CATALOG;

use crate::meter::{Meter, mariadb, services, shown};
use crate::played::{Play, rows};

/// Reports of one file, which is one statement and one transaction.
const REPORTS: u64 = 2_000;
/// Clients at once; each loads every other file.
const CLIENTS: usize = 2;
const MS_PER_HOUR: i64 = 3_600_000;

/// One file for each table.
struct Files<'a> {
    folder: &'a Path,
    number: u64,
    texts: BTreeMap<&'static str, String>,
    /// Machines are numbers, as an index should have them.
    machines: HashMap<String, usize>,
    statements: Vec<String>,
}

/// Samples per second that are durable.
pub async fn measure(play: &Play) -> f64 {
    let database = Database::create("load").await;
    let scratch = tempfile::tempdir_in(services()).unwrap();
    let mut files =
        Files { folder: scratch.path(), number: 0, texts: BTreeMap::new(), machines: HashMap::new(), statements: Vec::new() };
    let mut reports = 0;
    play.each(now_ms() - i64::from(play.hours()) * MS_PER_HOUR, |report| {
        rows(report).iter().for_each(|row| files.add(row));
        reports += 1;
        if reports % REPORTS == 0 {
            files.write();
        }
    });
    files.write();

    run(&database, &create_tables());
    let meter = Meter::start(&[("mariadb", mariadb())]);
    let began_at = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let statements: Vec<&str> = files.statements.iter().skip(client).step_by(CLIENTS).map(String::as_str).collect();
            let database = &database;
            scope.spawn(move || run(database, &statements.concat()));
        }
    });
    let rate = play.samples() as f64 / began_at.elapsed().as_secs_f64();
    let (used, statements) = (meter.used(), files.statements.len());
    println!(
        "| LOAD DATA of wide rows | {rate:.0} samples/s, {statements} statements of {CLIENTS} clients, CPU {} |",
        shown(&used)
    );
    database.remove().await;
    rate
}

impl Files<'_> {
    fn add(&mut self, row: &crate::played::Row<'_>) {
        // what is of no table of ours has no values either
        let Some((table, _)) = tables().into_iter().find(|(table, _)| *table == row.table) else { return };
        let next = self.machines.len();
        let machine = *self.machines.entry(row.machine.clone()).or_insert(next);
        let text = self.texts.entry(table).or_default();
        write!(text, "{machine}\t{}\t{}", row.at, row.device).unwrap();
        for metric in metrics(table) {
            match row.values.iter().find(|(name, _)| *name == metric) {
                Some((_, value)) => write!(text, "\t{value}").unwrap(),
                None => text.push_str("\t\\N"),
            }
        }
        text.push('\n');
    }

    fn write(&mut self) {
        self.number += 1;
        for (table, text) in std::mem::take(&mut self.texts) {
            let path = self.folder.join(format!("{table}-{}", self.number));
            let mut file = BufWriter::new(File::create(&path).unwrap());
            file.write_all(text.as_bytes()).unwrap();
            file.flush().unwrap();
            self.statements.push(format!("LOAD DATA LOCAL INFILE '{}' INTO TABLE `{table}`;\n", path.display()));
        }
    }
}

fn tables() -> Vec<(&'static str, bool)> {
    [("host", false), ("container", false), ("filesystem", true), ("disk", true), ("network", true), ("sensor", true)].into()
}

fn metrics(table: &str) -> impl Iterator<Item = &'static str> {
    CATALOG.iter().filter(move |metric| metric.subject.table().unwrap_or("host") == table).map(|metric| metric.name)
}

fn create_tables() -> String {
    let mut sql = String::new();
    for (table, has_devices) in tables() {
        let columns: String = metrics(table).map(|metric| format!(", `{metric}` DOUBLE")).collect();
        let key = if has_devices { "machine, at, device" } else { "machine, at" };
        writeln!(sql, "CREATE TABLE `{table}` (machine INT NOT NULL, at BIGINT NOT NULL, device VARCHAR(128) NOT NULL{columns}, PRIMARY KEY ({key}));").unwrap();
    }
    sql
}

/// By MariaDB's own client, each statement a transaction.
fn run(database: &Database, sql: &str) {
    let socket = services().join("mariadb/run/server.sock");
    let mut client = Command::new("mariadb")
        .args(["--no-defaults", "--local-infile=1", "--user=root", "--batch"])
        .arg(format!("--socket={}", socket.display()))
        .arg(database.name())
        .stdin(Stdio::piped())
        .spawn()
        .expect("MariaDB's client is installed: scripts/services/mariadb does it");
    client.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let status = client.wait().unwrap();
    assert!(status.success(), "{status}");
}
