//! From a collector's journal to a recording.

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use service_runtime::{AdminListener, ServiceConfig, Shutdown};
use wire_model::HostReport;

use super::{Recording, neutral};
use crate::journal::Journals;

/// Makes a recording out of what a collector reported (`loadgen ledger record` reads its topic into a journal): its first report, which
/// has no rates, is left out, and names and ids are replaced
#[derive(Clone, Debug, clap::Parser)]
#[command(name = "loadgen record", version)]
pub struct RecordConfig {
    /// Where the collector's reports are
    #[arg(long)]
    pub journal: PathBuf,
    /// Which host, if the journal has several
    #[arg(long)]
    pub host_id: Option<String>,
    /// File to write
    #[arg(long)]
    pub recording: PathBuf,
}

impl ServiceConfig for RecordConfig {
    fn admin_listener(&self) -> AdminListener {
        AdminListener::Off
    }
}

/// Writes the recording and prints what is in it.
pub async fn record(config: RecordConfig, _shutdown: Shutdown) -> anyhow::Result<()> {
    let mut reports = read(&config)?;
    neutral::make(&mut reports);
    let recording = Recording { reports };
    recording.write(&config.recording).with_context(|| format!("write {}", config.recording.display()))?;
    let (first, last) = (&recording.reports[0], &recording.reports[recording.reports.len() - 1]);
    println!(r#"{{"reports":{},"seconds":{}}}"#, recording.reports.len(), (last.at - first.at) / 1_000);
    Ok(())
}

fn read(config: &RecordConfig) -> anyhow::Result<Vec<HostReport>> {
    let mut journals = Journals::default();
    journals.read(&config.journal)?;
    if let Some(wanted) = &config.host_id {
        journals.hosts.retain(|host, _| host == wanted);
    }
    let entries = match &journals.hosts.values().collect::<Vec<_>>()[..] {
        [entries] => *entries,
        [] => bail!("the journal has no such host"),
        several => bail!("the journal has {} hosts: --host-id says which", several.len()),
    };
    let mut reports = Vec::new();
    // without rates is the first report of every epoch
    for (id, entry) in entries.iter().filter(|(id, _)| id.seq > 1) {
        let Some(message) = journals.message(entry)? else { continue };
        let report =
            HostReport::decode(&message, i64::MAX / 2).with_context(|| format!("decode report {}/{}", id.epoch, id.seq))?;
        reports.push(report);
    }
    ensure!(!reports.is_empty(), "there is no report with rates yet");
    reports.sort_by_key(|report| report.at);
    Ok(reports)
}
