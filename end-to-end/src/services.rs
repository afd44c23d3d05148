//! A Kafka cluster and a MariaDB of a test's own, which it may kill and pause; started and stopped by the project's scripts.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where servers look for free ports: below what the kernel gives to clients.
const PORTS: std::ops::Range<u16> = 20..31;
const PORT_STEP: u16 = 1_000;
/// Of a cluster with proxies, as `scripts/services/kafka` lays them out.
const KAFKA_OFFSETS: [u16; 6] = [0, 100, 200, 300, 400, 500];
const BROKERS: u16 = 3;
/// Of a server's log when a test fails.
const SHOWN_LINES: usize = 60;

/// One or three brokers; stopped when it is dropped, and its data goes with it.
pub struct Cluster {
    services: Services,
    port: u16,
    brokers: u16,
}

/// A database server; stopped when it is dropped, and its data goes with it.
pub struct MariaDb {
    services: Services,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Who connects through which of the cluster's doors.
#[derive(Clone, Copy, Debug)]
pub enum Door {
    /// Those that write to the topic.
    Sources,
    /// Those that read from it.
    Readers,
}

impl Cluster {
    /// Starts it; takes some seconds.
    pub fn start(brokers: u16) -> Cluster {
        let port = free_port(&KAFKA_OFFSETS, BROKERS);
        let services = Services::new("kafka");
        services.run(&["start", &brokers.to_string(), &port.to_string(), "proxied"]);
        Cluster { services, port, brokers }
    }

    /// Bootstrap servers without a proxy.
    pub fn servers(&self) -> String {
        (0..self.brokers).map(|index| format!("127.0.0.1:{}", self.port + index)).collect::<Vec<_>>().join(",")
    }

    /// For each broker where a proxy has to listen, and where it has to connect to.
    pub fn doors(&self, door: Door) -> Vec<(SocketAddr, SocketAddr)> {
        let offset = match door {
            Door::Sources => 200,
            Door::Readers => 400,
        };
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        (0..self.brokers).map(|index| self.port + index + offset).map(|port| (address(port + 100), address(port))).collect()
    }

    /// `start`, `stop` (SIGTERM), `kill` (SIGKILL), `pause` or `resume` a broker, counted from 1. Returns when it is done.
    pub fn broker(&self, command: &str, number: u16) {
        self.services.run(&[&format!("{command}-one"), &number.to_string()]);
    }

    /// One of Kafka's own tools.
    pub fn tool(&self, arguments: &[&str]) -> String {
        self.services.run(arguments)
    }
}

impl MariaDb {
    /// Starts it, empty.
    pub fn start() -> MariaDb {
        let port = free_port(&[0], 1);
        let services = Services::new("mariadb");
        services.run(&["start", &port.to_string()]);
        MariaDb { services, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// `kill`, `revive`, `pause` or `resume`. Returns when it is done.
    pub fn server(&self, command: &str) {
        self.services.run(&[command]);
    }
}

/// A folder for what one script starts.
struct Services {
    script: &'static str,
    folder: TempDir,
}

impl Services {
    fn new(script: &'static str) -> Services {
        // a run that is killed leaves its servers behind: `scripts/prove` says where to look for them
        let folder = match std::env::var_os("PROVE_SERVICES_DIR") {
            Some(parent) => tempfile::tempdir_in(parent),
            None => tempfile::tempdir(),
        };
        Services { script, folder: folder.unwrap() }
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(scripts().join(self.script));
        command.args(arguments).env("SERVICES_DIR", self.folder.path());
        if self.script == "kafka" {
            command.env("KAFKA_JARS", kafka_jars());
        }
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} {arguments:?}: {said}", self.script);
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Services {
    /// The last words of the servers, for whoever reads why a test failed.
    fn show_logs(&self) {
        let run = self.folder.path().join(self.script).join("run");
        // of Kafka each broker has a folder
        let folders = std::iter::once(run.clone()).chain((1..=BROKERS).map(|broker| run.join(broker.to_string())));
        for log in folders.map(|folder| folder.join("server.log")).filter(|log| log.exists()) {
            let text = std::fs::read(&log).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("== last lines of {}", log.display());
            for line in &lines[lines.len().saturating_sub(SHOWN_LINES)..] {
                eprintln!("{line}");
            }
        }
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
        let stopped = Command::new(scripts().join(self.script)).arg("stop").env("SERVICES_DIR", self.folder.path()).output();
        if !stopped.is_ok_and(|output| output.status.success()) {
            eprintln!("the {} in {} could not be stopped", self.script, self.folder.path().display());
        }
    }
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services")
}

/// Kafka's programs, where all clusters share them; fetched if missing.
fn kafka_jars() -> String {
    static JARS: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let fetch = || {
        let output = Command::new(scripts().join("kafka")).arg("jars").output().unwrap();
        assert!(output.status.success(), "kafka jars: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    JARS.get_or_init(fetch).clone()
}

/// A port such that those at all offsets from it, `width` each, are free.
fn free_port(offsets: &[u16], width: u16) -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let begins: Vec<u16> = PORTS.flat_map(|thousand| (0..10).map(move |number| thousand * PORT_STEP + number * 10)).collect();
    let start = fastrand::usize(..begins.len());
    let mut ports = begins[start..].iter().chain(&begins[..start]).copied();
    let port = ports.find(|port| offsets.iter().all(|offset| (0..width).all(|index| is_free(port + offset + index))));
    port.expect("there are ports that nobody listens on")
}
