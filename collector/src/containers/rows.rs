//! The table of containers, a row for each, made anew when the inventory changes; between changes a tick only writes the
//! numbers.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use wire_model::{Cell, Table};

use super::cgroup::Cgroup;
use super::inventory::{Container, Inventory};
use super::stats::StatsBoard;
use super::usage::{METRICS, Usage, Values, metrics};
use crate::columns::Columns;
use crate::fit;
use crate::host_root::HostRoot;
use crate::telemetry::{containers, cut_off, unreadable};

const ATTRIBUTES: [&str; 10] =
    ["name", "id", "image", "state", "health", "started_at", "restarts", "exit_code", "oom_killed", "labels"];
/// Ticks after which control groups that were not found are looked for again.
const FIND_EVERY: u32 = 15;
/// An answer of the engine older than this is none.
const STATS_MAX_AGE: Duration = Duration::from_secs(15);

pub(crate) struct Containers {
    host: HostRoot,
    inventory: watch::Receiver<Option<Arc<Inventory>>>,
    stats: StatsBoard,
    columns: Columns,
    /// What the rows were made of.
    shown: Option<Arc<Inventory>>,
    alive: HashMap<String, Alive>,
}

impl Containers {
    pub(crate) fn new(host: &HostRoot, inventory: watch::Receiver<Option<Arc<Inventory>>>, stats: StatsBoard) -> Containers {
        Containers {
            host: host.clone(),
            inventory,
            stats,
            columns: Columns::new(&ATTRIBUTES, &METRICS),
            shown: None,
            alive: HashMap::new(),
        }
    }

    /// Brings the table up to date; `None` while no engine answers. `former` is the table of the last tick.
    pub(crate) fn read(&mut self, former: Option<Table>, host_memory: Option<u64>, buffer: &mut Vec<u8>) -> Option<Table> {
        let inventory = self.inventory.borrow_and_update().clone();
        let Some(inventory) = inventory else {
            unreadable("container_engine");
            self.shown = None;
            self.alive.clear();
            return None;
        };
        let same = self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &inventory));
        let mut table = match former {
            Some(table) if same => table,
            _ => self.show(&inventory),
        };
        let mut wanted = BTreeSet::new();
        for (row, container) in table.rows.iter_mut().zip(&inventory.containers) {
            let values = match self.alive.get_mut(&container.id) {
                Some(alive) => alive.read(&self.host, container, &self.stats, host_memory, buffer),
                None => [None; METRICS.len()],
            };
            if self.alive.get(&container.id).is_some_and(Alive::needs_stats) {
                wanted.insert(container.id.clone());
            }
            row.truncate(ATTRIBUTES.len());
            row.extend(self.columns.numbers(values));
        }
        self.stats.want(wanted);
        containers(inventory.containers.len());
        cut_off("containers", inventory.left_out);
        Some(table)
    }

    /// Rows without numbers; what is known of containers that still run stays.
    fn show(&mut self, inventory: &Arc<Inventory>) -> Table {
        let mut former = std::mem::take(&mut self.alive);
        for container in inventory.containers.iter().filter(|container| container.is_alive()) {
            let kept = former.remove(&container.id).filter(|alive| alive.pid == container.pid);
            self.alive.insert(container.id.clone(), kept.unwrap_or_else(|| Alive::new(container)));
        }
        let mut table = self.columns.table();
        table.rows = inventory.containers.iter().map(|container| attributes(container)).collect();
        fit::table(&mut table, 0);
        self.shown = Some(Arc::clone(inventory));
        table
    }
}

fn attributes(container: &Container) -> Vec<Cell> {
    let mut row = Vec::with_capacity(ATTRIBUTES.len() + METRICS.len());
    row.extend([
        Cell::from(container.name.as_str()),
        Cell::from(container.short_id()),
        Cell::from(container.image.as_str()),
        Cell::from(container.state.as_str()),
        Cell::from(container.health.as_deref()),
        Cell::from(container.started_at.map(|at| at as f64)),
        Cell::from(container.restarts.map(|restarts| restarts as f64)),
        Cell::from(container.exit_code.map(|code| code as f64)),
        Cell::from(container.oom_killed.map(|killed| f64::from(u8::from(killed)))),
        Cell::Labels(container.labels.clone()),
    ]);
    row
}

/// A container with processes.
struct Alive {
    pid: Option<i64>,
    source: Source,
    former: Option<(Instant, Usage)>,
    values: Values,
}

enum Source {
    /// Not looked for yet.
    Unknown,
    Cgroup(Cgroup),
    /// Not found, ticks ago.
    Stats(u32),
}

impl Alive {
    fn new(container: &Container) -> Alive {
        Alive { pid: container.pid, source: Source::Unknown, former: None, values: [None; METRICS.len()] }
    }

    fn needs_stats(&self) -> bool {
        matches!(self.source, Source::Stats(_))
    }

    fn read(
        &mut self,
        host: &HostRoot,
        container: &Container,
        stats: &StatsBoard,
        host_memory: Option<u64>,
        buffer: &mut Vec<u8>,
    ) -> Values {
        match &mut self.source {
            Source::Unknown => self.find(host, container),
            Source::Stats(ticks) if *ticks >= FIND_EVERY => self.find(host, container),
            Source::Stats(ticks) => *ticks += 1,
            Source::Cgroup(_) => {}
        }
        let usage = match &mut self.source {
            Source::Cgroup(cgroup) => match cgroup.read(buffer) {
                Ok(usage) => Some((Instant::now(), usage)),
                Err(_) => {
                    // it has just ended; closing its files lets the kernel take down its groups and its network
                    self.source = Source::Unknown;
                    None
                }
            },
            _ => stats.answer(&container.id).filter(|(at, _)| at.elapsed() < STATS_MAX_AGE),
        };
        let Some((at, usage)) = usage else {
            unreadable("container");
            self.former = None;
            self.values = [None; METRICS.len()];
            return self.values;
        };
        match &self.former {
            // the engine has not answered anew
            Some((then, _)) if *then == at => {}
            former => {
                let former = former.as_ref().map(|(then, usage)| (usage, at.saturating_duration_since(*then).as_secs_f64()));
                self.values = metrics(former, &usage, host_memory);
                self.former = Some((at, usage));
            }
        }
        self.values
    }

    fn find(&mut self, host: &HostRoot, container: &Container) {
        let found = Cgroup::find(host, container);
        // the counters of another source are no continuation of these
        if found.is_some() {
            self.former = None;
        }
        self.source = found.map_or(Source::Stats(0), Source::Cgroup);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::cgroup::sample_tree;
    use super::super::inventory::container;
    use super::*;

    const WEB: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const JOB: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn inventory(containers: Vec<Container>) -> Option<Arc<Inventory>> {
        Some(Arc::new(Inventory::new(containers.into_iter().map(Arc::new).collect(), 500)))
    }

    fn cpu(table: &Table, row: usize) -> Option<f64> {
        table.rows[row][table.column("container.cpu.usage").unwrap()].number()
    }

    #[test]
    fn a_container_is_measured_stops_and_vanishes() {
        let stat = format!("sys/fs/cgroup/docker/{WEB}/cpu.stat");
        let (folder, host) = sample_tree(&[("sys/fs/cgroup/cgroup.controllers", ""), (&stat, "usage_usec 0\n")]);
        let (sender, receiver) = watch::channel(None);
        let mut containers = Containers::new(&host, receiver, StatsBoard::new());
        let mut buffer = Vec::new();
        assert_eq!(containers.read(None, Some(1000), &mut buffer), None, "no engine, no table");
        sender.send_replace(inventory(Vec::new()));
        let table = containers.read(None, Some(1000), &mut buffer).unwrap();
        assert_eq!(table.rows.len(), 0, "an engine without containers has an empty table");

        sender.send_replace(inventory(vec![container(WEB, "web", "running"), container(JOB, "job", "exited")]));
        let table = containers.read(Some(table), Some(1000), &mut buffer).unwrap();
        assert_eq!((table.rows.len(), cpu(&table, 0), cpu(&table, 1)), (2, None, None));
        fs::write(folder.path().join(&stat), "usage_usec 1000000\n").unwrap();
        let table = containers.read(Some(table), Some(1000), &mut buffer).unwrap();
        assert!(cpu(&table, 0).unwrap() > 0.0);
        assert!(table.rows.iter().all(|row| row.len() == table.columns.len()));

        // its groups are gone before the engine says so
        fs::remove_dir_all(folder.path().join("sys/fs/cgroup/docker")).unwrap();
        containers.alive.get_mut(WEB).unwrap().source = Source::Unknown;
        let table = containers.read(Some(table), Some(1000), &mut buffer).unwrap();
        assert_eq!((cpu(&table, 0), table.rows.len()), (None, 2));
        sender.send_replace(inventory(vec![container(JOB, "job", "exited")]));
        let table = containers.read(Some(table), Some(1000), &mut buffer).unwrap();
        assert_eq!((table.rows.len(), table.rows[0][0].text(), containers.alive.len()), (1, Some("job"), 0));
        sender.send_replace(None);
        assert_eq!(containers.read(Some(table), Some(1000), &mut buffer), None);
    }

    #[test]
    fn the_engines_word_counts_where_there_are_no_control_groups() {
        let (_folder, host) = sample_tree(&[]);
        let board = StatsBoard::new();
        let (_sender, receiver) = watch::channel(inventory(vec![container(WEB, "web", "running")]));
        let mut containers = Containers::new(&host, receiver, board.clone());
        let table = containers.read(None, None, &mut Vec::new()).unwrap();
        assert_eq!(cpu(&table, 0), None);
        assert_eq!(containers.alive[WEB].source.kind(), "stats");
    }

    impl Source {
        fn kind(&self) -> &'static str {
            match self {
                Source::Unknown => "unknown",
                Source::Cgroup(_) => "cgroup",
                Source::Stats(_) => "stats",
            }
        }
    }
}
