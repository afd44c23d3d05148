//! The same values in `VictoriaMetrics`, by Influx's line protocol.

use std::fmt::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use end_to_end::process::free_address;
use end_to_end::{now_ms, within};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::meter::{cpu_seconds, folder_bytes, peak_rss_mib, services};
use crate::played::{Play, Row, rows};
use crate::scrape::Scrape;

/// As much text as a batch of ours has.
const POST_BYTES: usize = 1024 * 1024;
const MS_PER_HOUR: i64 = 3_600_000;

pub struct Figures {
    pub cpu_seconds: f64,
    pub bytes: u64,
}

/// Ends when it is dropped.
struct Server {
    child: Child,
    address: String,
    folder: TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have ended
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub async fn measure(play: &Play) -> Figures {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let server = start(&client).await;
    let process = server.child.id();
    let before = cpu_seconds(process);
    let (posts, mut waiting) = mpsc::channel::<(String, u64)>(2);
    let play = *play;
    let making = tokio::task::spawn_blocking(move || {
        let (mut text, mut values) = (String::new(), 0);
        play.each(now_ms() - i64::from(play.hours()) * MS_PER_HOUR, |report| {
            for row in rows(report) {
                values += row.values.len() as u64;
                write_line(&mut text, &row);
            }
            if text.len() >= POST_BYTES {
                posts.blocking_send((std::mem::take(&mut text), std::mem::take(&mut values))).unwrap();
            }
        });
        posts.blocking_send((text, values)).unwrap();
    });
    let mut values = 0;
    while let Some((text, count)) = waiting.recv().await {
        let request = client.post(format!("http://{}/write?precision=ms", server.address)).body(text);
        let response = request.send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.status());
        values += count;
    }
    making.await.unwrap();

    get(&client, &server.address, "internal/force_flush").await;
    let stored = cpu_seconds(process) - before;
    let unmerged = data_bytes(server.folder.path());
    get(&client, &server.address, "internal/force_merge").await;
    within(600, "everything is merged", async || {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let scrape = Scrape::of(&client, &server.address).await;
        (scrape.sum("vm_active_merges", "") == 0.0).then_some(())
    })
    .await;
    let scrape = Scrape::of(&client, &server.address).await;
    let rows = scrape.sum("vm_rows_inserted_total", "influx");
    assert!((rows - values as f64).abs() < 1.0, "{rows} of {values} values came");
    let (merged, bytes) = (cpu_seconds(process) - before, data_bytes(server.folder.path()));
    println!(
        "| VictoriaMetrics: {values} values | {:.0} per CPU second until flushed ({stored:.1} s), {:.0} until merged ({merged:.1} s); {:.3} bytes a value flushed, {:.3} merged; peak RSS {} MiB |",
        values as f64 / stored,
        values as f64 / merged,
        unmerged as f64 / values as f64,
        bytes as f64 / values as f64,
        peak_rss_mib(process)
    );
    Figures { cpu_seconds: stored, bytes }
}

async fn start(client: &reqwest::Client) -> Server {
    let folder = tempfile::tempdir_in(services()).unwrap();
    let address = free_address();
    let log = std::fs::File::create(folder.path().join("log")).unwrap();
    let child = Command::new("victoria-metrics")
        .arg(format!("-storageDataPath={}", folder.path().join("data").display()))
        .arg(format!("-httpListenAddr={address}"))
        .args(["-retentionPeriod=100y", "-loggerLevel=WARN"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("victoria-metrics is installed: scripts/measure-store does it");
    let server = Server { child, address, folder };
    within(30, "VictoriaMetrics answers", async || {
        let answer = client.get(format!("http://{}/health", server.address)).send().await.ok()?;
        answer.status().is_success().then_some(())
    })
    .await;
    server
}

async fn get(client: &reqwest::Client, address: &str, path: &str) {
    let response = client.get(format!("http://{address}/{path}")).send().await.unwrap();
    assert!(response.status().is_success(), "{path}: {}", response.status());
}

fn data_bytes(folder: &Path) -> u64 {
    folder_bytes(&folder.join("data"))
}

/// `container,machine=loadgen-0001/container-001 container.cpu.usage=0.5,… 1795184000000`
fn write_line(text: &mut String, row: &Row<'_>) {
    if row.values.is_empty() {
        return;
    }
    write!(text, "{},machine={}", row.table, escape(&row.machine)).unwrap();
    if !row.device.is_empty() {
        write!(text, ",device={}", escape(row.device)).unwrap();
    }
    let mut separator = ' ';
    for (metric, value) in &row.values {
        write!(text, "{separator}{metric}={value}").unwrap();
        separator = ',';
    }
    writeln!(text, " {}", row.at).unwrap();
}

fn escape(name: &str) -> String {
    name.replace('\\', r"\\").replace(' ', r"\ ").replace(',', r"\,").replace('=', r"\=")
}
