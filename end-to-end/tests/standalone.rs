//! The one program of the README, alone: it shows this machine, notices a violation, and ends in order.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::process::{Child, Command};
use std::time::{Duration, Instant};

use end_to_end::api::instant_ms;
use end_to_end::container::docker_host;
use end_to_end::process::free_address;
use end_to_end::{Api, Process, Watch, now_ms, within};
use serde_json::Value;

/// So many processes more than now violate the threshold.
const MORE_PROCESSES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn standalone_shows_this_machine_within_10_s_and_notices_a_violation() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    // the defaults, but for what would meet other tests on this machine
    let variables = [("LISTEN_ADDR", address.clone()), ("ADMIN_LISTEN_ADDR", "off".to_owned()), ("DOCKER_HOST", docker_host())];
    let began_at = Instant::now();
    let mut standalone = Process::start("standalone", folder.path(), &variables, &[]);
    let api = Api::new(&address);
    let host = within(10, "this machine is shown, up and with rates", async || {
        standalone.assert_runs();
        let list = api.try_get("machines", &[("kind", "host")]).await?;
        let host = list["items"].as_array()?.first()?.clone();
        (host["status"] == "up" && host["latest"]["system.cpu.utilization"].is_number()).then_some(host)
    })
    .await;
    println!("this machine with rates {:.1} s after the start", began_at.elapsed().as_secs_f64());
    let name = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    assert_eq!(host["name"], Value::from(name));
    let age_ms = now_ms() - instant_ms(&host["last_report_at"]);
    assert!((0..5_000).contains(&age_ms), "the values are {age_ms} ms old");
    assert!(standalone.stdout().contains(&format!("http://{address}/")), "it prints the page's address");

    let processes = host["latest"]["system.process.count"].as_f64().unwrap();
    let (value, recovery_value) = (processes + 0.75 * MORE_PROCESSES as f64, processes + 0.4 * MORE_PROCESSES as f64);
    let mut watch = Watch::above(&api, &host, "system.process.count", value, recovery_value).await;
    let sleepers = Sleepers::start();
    let opened = watch.opened().await;
    drop(sleepers);
    watch.closed(&opened).await;

    let (status, took) = standalone.terminate(Duration::from_secs(10)).await;
    println!("ended {:.1} s after SIGTERM", took.as_secs_f64());
    assert!(status.success(), "{status}");
}

/// Processes that only exist; they end when this is dropped.
struct Sleepers(Vec<Child>);

impl Sleepers {
    fn start() -> Sleepers {
        let start = |_| Command::new("sleep").arg("120").spawn().expect("sleep is installed");
        Sleepers((0..MORE_PROCESSES).map(start).collect())
    }
}

impl Drop for Sleepers {
    fn drop(&mut self) {
        for process in &mut self.0 {
            drop(process.kill());
            drop(process.wait());
        }
    }
}
