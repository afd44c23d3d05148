//! Reports of a real host: kept as a file, played by any number of hosts.
//!
//! The file is zstd-compressed text, one report a line as [`HostReport::encode`] writes it, in the order in which they were made:
//! `zstd -dc FILE | jq` reads it. It names nobody (`neutral.rs`), and its containers are sorted by the CPU that they used, the busiest first.

mod cast;
mod neutral;
mod record;
mod scale;
mod template;

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use anyhow::{Context, ensure};
use wire_model::HostReport;

pub(crate) use cast::Cast;
pub use record::{RecordConfig, record};

/// A recording is small and read often.
const ZSTD_LEVEL: i32 = 19;

/// Reports of one host in the order in which they were made; never empty.
pub struct Recording {
    /// The reports.
    pub reports: Vec<HostReport>,
}

impl Recording {
    /// Reads and checks a file.
    pub fn read(path: &Path) -> anyhow::Result<Recording> {
        let file = File::open(path).context("open it")?;
        let lines = BufReader::new(zstd::Decoder::new(file).context("begin to decompress it")?);
        let mut reports = Vec::new();
        for (index, line) in lines.lines().enumerate() {
            let line = line.context("decompress it")?;
            // when it was recorded is no matter
            let report = HostReport::decode(line.as_bytes(), i64::MAX / 2);
            reports.push(report.with_context(|| format!("decode line {}", index + 1))?);
        }
        ensure!(!reports.is_empty(), "it has no report");
        ensure!(reports.is_sorted_by_key(|report| report.at), "its reports are not in the order of their times");
        Ok(Recording { reports })
    }

    /// Writes a file.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let file = File::create(path).context("create it")?;
        let mut encoder = zstd::Encoder::new(file, ZSTD_LEVEL).context("begin to compress")?;
        for report in &self.reports {
            encoder.write_all(&report.encode()).context("write a report")?;
            encoder.write_all(b"\n").context("write a report")?;
        }
        encoder.finish().context("write the end")?.sync_all().context("write it to disk")
    }
}
