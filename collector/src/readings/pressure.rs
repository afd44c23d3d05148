//! Pressure stall information: `/proc/pressure/*` (Documentation/accounting/psi.rst of the kernel). `total` is the time in
//! µs in which some or all tasks waited; its growth over the interval is exact, unlike the kernel's own averages.

use std::io::ErrorKind;
use std::time::Instant;

use super::HostMetrics;
use crate::host_root::{HostRoot, TickFile};
use crate::rates::{Former, share};
use crate::telemetry::unreadable;

/// File, metric of `some`, metric of `full` (the kernel defines none for the CPU of a whole host).
const RESOURCES: [(&str, &str, Option<&str>); 3] = [
    ("proc/pressure/cpu", "system.pressure.cpu.some", None),
    ("proc/pressure/memory", "system.pressure.memory.some", Some("system.pressure.memory.full")),
    ("proc/pressure/io", "system.pressure.io.some", Some("system.pressure.io.full")),
];

pub(crate) struct Pressure(Vec<Resource>);

struct Resource {
    file: TickFile,
    some: &'static str,
    full: Option<&'static str>,
    former: Former<Stalls>,
}

/// Seconds stalled since boot.
#[derive(Debug, PartialEq)]
struct Stalls {
    some: Option<f64>,
    full: Option<f64>,
}

impl Pressure {
    pub(crate) fn new(host: &HostRoot) -> Pressure {
        let resource =
            |(path, some, full)| Resource { file: TickFile::new(host.path(path)), some, full, former: Former::default() };
        Pressure(RESOURCES.into_iter().map(resource).collect())
    }

    pub(crate) fn read(&mut self, now: Instant, metrics: &mut HostMetrics, buffer: &mut Vec<u8>) {
        self.0.retain_mut(|resource| resource.read(now, metrics, buffer));
    }
}

impl Resource {
    /// Whether the kernel has it: kernels before 4.20 or without `CONFIG_PSI` have no file, `psi=0` one that cannot be read.
    fn read(&mut self, now: Instant, metrics: &mut HostMetrics, buffer: &mut Vec<u8>) -> bool {
        let stalls = match self.file.read(buffer) {
            Ok(text) => parse(text),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => return false,
            Err(_) => {
                unreadable("pressure");
                self.former.forget();
                return true;
            }
        };
        let (some, full) = (stalls.some, stalls.full);
        let former = self.former.replace(now, stalls);
        let of = |before: fn(&Stalls) -> Option<f64>, now: Option<f64>| {
            let (former, elapsed) = former.as_ref()?;
            share(before(former)?, now?, *elapsed)
        };
        metrics.set(self.some, of(|stalls| stalls.some, some));
        if let Some(name) = self.full {
            metrics.set(name, of(|stalls| stalls.full, full));
        }
        true
    }
}

fn parse(text: &str) -> Stalls {
    let total = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let total = line.split_ascii_whitespace().find_map(|field| field.strip_prefix("total="))?;
        Some(total.parse::<u64>().ok()? as f64 / 1e6)
    };
    Stalls { some: total("some "), full: total("full ") }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Duration;

    use super::*;

    #[test]
    fn totals_are_read() {
        let both = "some avg10=0.11 avg60=1.77 avg300=2.68 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n";
        for (text, some, full) in [
            (both, Some(2.5), Some(0.0)),
            ("some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n", Some(1e-6), None),
            ("some total=x\nfull\n", None, None),
            ("", None, None),
        ] {
            assert_eq!(parse(text), Stalls { some, full }, "{text}");
        }
    }

    #[test]
    fn shares_are_of_the_interval_and_a_kernel_without_it_is_asked_once() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("proc/pressure")).unwrap();
        let write =
            |some: u64| fs::write(folder.path().join("proc/pressure/io"), format!("some total={some}\nfull total=0\n")).unwrap();
        let (mut metrics, mut buffer, start) = (HostMetrics::default(), Vec::new(), Instant::now());
        let mut pressure = Pressure::new(&HostRoot::new(folder.path()));
        for (second, total, expected) in [(0, 0, None), (2, 500_000, Some(0.25)), (4, 2_500_001, Some(1.0)), (6, 1, None)] {
            write(total);
            metrics.clear();
            pressure.read(start + Duration::from_secs(second), &mut metrics, &mut buffer);
            assert_eq!(metrics.values()["system.pressure.io.some"], expected, "{second} s");
        }
        assert!(!metrics.values().contains_key("system.pressure.cpu.some"));
        assert_eq!(pressure.0.len(), 1);
    }
}
