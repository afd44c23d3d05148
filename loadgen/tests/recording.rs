//! From a journal to a recording to a played fleet.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::path::Path;

use loadgen::recording::{RecordConfig, Recording, record};
use loadgen::{Config, Fleet};
use service_runtime::Shutdown;
use wire_model::HostReport;
use wire_model::limits::NAME_CHARS;

const START: i64 = 1_795_184_000_000;

fn config(flags: &[String]) -> Config {
    let flags = [&["--bootstrap-server=127.0.0.1:1".to_owned()], flags].concat();
    service_runtime::config::read_with(&flags).unwrap()
}

/// A journal of so many hosts' reports, 30 each.
fn write_journal(path: &Path, hosts: u32) {
    let mut fleet = Fleet::new(&config(&[format!("--hosts={hosts}"), "--containers=4".to_owned()]), START, START).unwrap();
    let lines = (0..30 * i64::from(hosts)).map(|number| {
        let message = fleet.next_message(START + number * 100);
        let report = String::from_utf8(message.bytes.to_vec()).unwrap();
        format!("sent\t{}\t{}\t{}\t{report}\n", message.host_id, message.id.epoch, message.id.seq)
    });
    std::fs::write(path, lines.collect::<String>()).unwrap();
}

async fn make(journal: &Path, recording: &Path, flags: &[&str]) -> anyhow::Result<()> {
    let paths = [format!("--journal={}", journal.display()), format!("--recording={}", recording.display())];
    let flags: Vec<String> = paths.into_iter().chain(flags.iter().map(|&flag| flag.to_owned())).collect();
    let config: RecordConfig = service_runtime::config::read_with(&flags).unwrap();
    record(config, Shutdown::new()).await
}

#[tokio::test]
async fn a_recorded_host_is_played_by_many() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, file) = (folder.path().join("journal"), folder.path().join("recording"));
    write_journal(&journal, 2);
    make(&journal, &file, &["--host-id=loadgen-0002"]).await.unwrap();
    let recording = Recording::read(&file).unwrap();
    assert_eq!(recording.reports.len(), 29, "all but the first, which has no rates");
    assert!(recording.reports.iter().all(|report| report.host.id == "recorded" && report.host.labels.is_empty()));

    let flags = ["--hosts=12".to_owned(), "--containers=2".to_owned(), format!("--recording={}", file.display())];
    let mut fleet = Fleet::new(&config(&flags), START, START).unwrap();
    let mut cpu = Vec::new();
    for number in 0..12 * 29 {
        let now = START + number * 10;
        let report = HostReport::decode(&fleet.next_message(now).bytes, now).unwrap();
        assert_eq!(report.host.id, format!("loadgen-{:04}", number % 12 + 1));
        assert_eq!(report.tables["container"].rows.len(), 2);
        if number % 12 == 0 {
            cpu.push(report.metrics["system.cpu.utilization"]);
        }
    }
    let recorded: Vec<_> = recording.reports.iter().map(|report| report.metrics["system.cpu.utilization"]).collect();
    assert_eq!(cpu, recorded, "the first host plays what was recorded, as it was");
}

#[tokio::test]
async fn hosts_may_have_names_and_keep_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, file) = (folder.path().join("journal"), folder.path().join("recording"));
    write_journal(&journal, 1);
    make(&journal, &file, &[]).await.unwrap();
    for source in [format!("--recording={}", file.display()), "--seed=7".to_owned()] {
        let flags = ["--hosts=3".to_owned(), "--containers=1".to_owned(), "--host-names=db-01,web-01".to_owned(), source];
        let mut fleet = Fleet::new(&config(&flags), START, START).unwrap();
        let mut host = || HostReport::decode(&fleet.next_message(START).bytes, START).unwrap().host;
        let names: Vec<_> = (0..3).map(|_| host()).map(|host| (host.id, host.name)).collect();
        let expected = [("loadgen-0001", "db-01"), ("loadgen-0002", "web-01"), ("loadgen-0003", "loadgen-0003")];
        assert_eq!(names, expected.map(|(id, name)| (id.to_owned(), name.to_owned())));
    }
    for (name, is_name) in
        [("a".repeat(NAME_CHARS), true), ("a".repeat(NAME_CHARS + 1), false), ("a,".to_owned(), false), ("a\"".to_owned(), false)]
    {
        let flags = ["--bootstrap-server=127.0.0.1:1".to_owned(), format!("--host-names={name}")];
        assert_eq!(service_runtime::config::read_with::<Config>(&flags).is_ok(), is_name, "{name}");
    }
}

#[tokio::test]
async fn a_recording_is_of_one_host() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, file) = (folder.path().join("journal"), folder.path().join("recording"));
    write_journal(&journal, 2);
    for (flags, expected) in
        [(&[][..], "the journal has 2 hosts: --host-id says which"), (&["--host-id=nobody"][..], "the journal has no such host")]
    {
        assert_eq!(make(&journal, &file, flags).await.unwrap_err().to_string(), expected);
    }
    assert!(!file.exists());
}

#[tokio::test]
async fn what_is_no_recording_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording");
    for (text, expected) in [("", "it has no report"), ("{}\n", "decode line 1"), ("nonsense", "decode line 1")] {
        std::fs::write(&file, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
        assert_eq!(Recording::read(&file).err().unwrap().to_string(), expected);
    }
    std::fs::write(&file, "no zstd").unwrap();
    assert!(Recording::read(&file).is_err());
}
