//! What a process costs, from /proc.

use std::path::PathBuf;

/// proc(5): in ticks of 10 ms.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of all threads.
pub fn cpu_seconds(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // fields 14 and 15
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / TICKS_PER_SECOND
}

/// Resident now.
pub fn rss_mib(process: u32) -> u64 {
    status_mib(process, "VmRSS:")
}

/// The most that ever was resident.
pub fn peak_rss_mib(process: u32) -> u64 {
    status_mib(process, "VmHWM:")
}

fn status_mib(process: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Processes with names, and what they have used since.
pub struct Meter {
    processes: Vec<(&'static str, u32, f64)>,
}

impl Meter {
    pub fn start(processes: &[(&'static str, u32)]) -> Meter {
        Meter { processes: processes.iter().map(|(name, id)| (*name, *id, cpu_seconds(*id))).collect() }
    }

    /// CPU seconds since the start, by process.
    pub fn used(&self) -> Vec<(&'static str, f64)> {
        self.processes.iter().map(|(name, id, before)| (*name, cpu_seconds(*id) - before)).collect()
    }
}

/// `a 1.0 s, b 2.0 s`
pub fn shown(used: &[(&'static str, f64)]) -> String {
    used.iter().map(|(name, seconds)| format!("{name} {seconds:.1} s")).collect::<Vec<_>>().join(", ")
}

pub fn total(used: &[(&'static str, f64)]) -> f64 {
    used.iter().map(|(_, seconds)| seconds).sum()
}

/// The folder in which the scripts' servers run.
pub fn services() -> PathBuf {
    std::env::var_os("SERVICES_DIR").expect("SERVICES_DIR is set: run scripts/measure-…").into()
}

/// Of the script's own MariaDB.
pub fn mariadb() -> u32 {
    process_of("mariadb/run/pid")
}

/// Of the script's own broker.
pub fn kafka() -> u32 {
    process_of("kafka/run/1/pid")
}

fn process_of(file: &str) -> u32 {
    let path = services().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Bytes of the files in a folder and below.
pub fn folder_bytes(folder: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries
        .map(|entry| {
            let entry = entry.unwrap();
            // a file that is merged away meanwhile counts as nothing
            let Ok(metadata) = entry.metadata() else { return 0 };
            if metadata.is_dir() { folder_bytes(&entry.path()) } else { metadata.len() }
        })
        .sum()
}
