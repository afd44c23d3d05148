//! A collector in this process, librdkafka's in-process broker in place of a cluster, and what it received.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use clap::Parser;
use collector::Config;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use service_runtime::Shutdown;
use tokio::task::JoinHandle;
use wire_model::{Cell, HostReport, Table, catalog, is_metric};

pub const TOPIC: &str = "server-metrics";
pub const INTERVAL_MS: u32 = 200;
/// Nothing here takes that long unless it is broken.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// One broker with the topic of reports.
pub struct Kafka {
    /// Closed before its broker goes: closing it takes an answer.
    consumer: BaseConsumer,
    pub cluster: MockCluster<'static, DefaultProducerContext>,
}

impl Kafka {
    pub fn start() -> Kafka {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 1, 1).unwrap();
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", cluster.bootstrap_servers()).set("group.id", "test").set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(TOPIC, 0, Offset::Beginning).unwrap();
        consumer.assign(&partition).unwrap();
        Kafka { cluster, consumer }
    }

    /// The next report, checked as the backend would check it.
    pub fn next(&self) -> HostReport {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
            let report = HostReport::decode(message.payload().unwrap(), now_ms).unwrap();
            assert_eq!(message.key().unwrap(), report.host.id.as_bytes());
            check_names(&report);
            return report;
        }
        panic!("no report came");
    }

    /// The first report for which `wanted` says so; `what` it waits for, for the message when none comes.
    pub fn until(&self, what: &str, wanted: impl Fn(&HostReport) -> bool) -> HostReport {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let report = self.next();
            if wanted(&report) {
                return report;
            }
            assert!(
                Instant::now() < deadline,
                "no report with {what}; the last one: {}",
                String::from_utf8_lossy(&report.encode())
            );
        }
    }

    /// Reports that are made from now on.
    pub fn until_now(&self) {
        let now_ms = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        self.until("a newer time", |report| report.at >= now_ms);
    }
}

/// Every metric stands in the catalog, under the table that the catalog names.
fn check_names(report: &HostReport) {
    let metrics = report.metrics.keys().map(|name| (None, name));
    let columns =
        report.tables.iter().flat_map(|(table, content)| content.columns.iter().map(move |name| (Some(table.as_str()), name)));
    for (table, name) in metrics.chain(columns).filter(|(_, name)| is_metric(name)) {
        let metric = catalog::find(name).unwrap_or_else(|| panic!("{name} is not in the catalog"));
        assert_eq!(metric.subject.table(), table, "{name}");
    }
}

/// A running collector.
pub struct Collector {
    shutdown: Shutdown,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Collector {
    /// Flags on top of those that a test always needs; later ones win.
    pub fn start(kafka: &Kafka, spool: &Path, flags: &[String]) -> Collector {
        let fixed = [
            "collector".to_owned(),
            format!("--bootstrap-server={}", kafka.cluster.bootstrap_servers()),
            format!("--kafka-topic-name={TOPIC}"),
            format!("--spool-dir={}", spool.display()),
            format!("--collect-interval-ms={INTERVAL_MS}"),
            "--docker-host=unix:///nowhere/docker.sock".to_owned(),
            "--admin-listen-addr=off".to_owned(),
        ];
        let config = Config::try_parse_from(overriding(&fixed, flags)).unwrap();
        let shutdown = Shutdown::new();
        Collector { task: tokio::spawn(collector::run(config, shutdown.clone())), shutdown }
    }

    pub async fn stop(self) {
        self.shutdown.begin();
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// clap takes each flag once.
fn overriding(fixed: &[String], flags: &[String]) -> Vec<String> {
    let name = |flag: &String| flag.split('=').next().unwrap_or_default().to_owned();
    let kept = fixed.iter().filter(|flag| !flags.iter().any(|other| name(other) == name(flag)));
    kept.chain(flags).cloned().collect()
}

/// The engine that the tests were given; there is no test without it.
pub fn docker_host() -> String {
    std::env::var("TEST_DOCKER_HOST")
        .expect("TEST_DOCKER_HOST is not set: export TEST_DOCKER_HOST=$(scripts/services/docker-engine start)")
}

/// The docker command.
pub fn docker(host: &str, arguments: &[&str]) -> String {
    let output = Command::new("docker").env("DOCKER_HOST", host).env_remove("DOCKER_CONTEXT").args(arguments).output().unwrap();
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A container that goes with the test, whatever becomes of it.
pub struct Container {
    host: String,
    pub name: String,
    pub id: String,
}

impl Container {
    pub fn run(host: &str, purpose: &str, options: &[&str], command: &[&str]) -> Container {
        let name = format!("collector-test-{purpose}-{}", std::process::id());
        let start = ["run", "--detach", "--stop-timeout=0", "--name", &name];
        let arguments: Vec<&str> = start.iter().chain(options).chain(&["test/busybox"]).chain(command).copied().collect();
        let id = docker(host, &arguments);
        Container { host: host.to_owned(), name, id }
    }

    pub fn docker(&self, command: &str) {
        docker(&self.host, &[command, &self.name]);
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let removed = Command::new("docker").env("DOCKER_HOST", &self.host).args(["rm", "--force", &self.name]).output();
        if let Err(error) = removed {
            eprintln!("cannot remove {}: {error}", self.name);
        }
    }
}

/// A cell by the name of its row and column; `None` when there is no such row.
pub fn cell<'a>(table: &'a Table, row: &str, column: &str) -> Option<&'a Cell> {
    let column = table.column(column).unwrap_or_else(|| panic!("there is no column {column}"));
    Some(&table.rows.iter().find(|cells| cells[0].text() == Some(row))?[column])
}

/// A number of a container, if it has a row and a value.
pub fn number(report: &HostReport, container: &str, column: &str) -> Option<f64> {
    cell(report.tables.get("container")?, container, column)?.number()
}

/// An attribute of a container, if it has a row.
pub fn text(report: &HostReport, container: &str, column: &str) -> Option<String> {
    cell(report.tables.get("container")?, container, column)?.text().map(str::to_owned)
}
