//! The collector's own program against a real Kafka: killed while Kafka is away, a topic that is deleted under it, reports that a topic
//! does not take.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use spool::{Record, Spool};
use wire_model::{HostInfo, HostReport, Removed, ReportId, SCHEMA};

const DEADLINE: Duration = Duration::from_secs(60);
const INTERVAL_MS: u32 = 200;
/// Reports that may be on their way at the same time.
const IN_FLIGHT: usize = 16;

fn bootstrap_server() -> String {
    std::env::var("TEST_KAFKA_BOOTSTRAP_SERVER")
        .expect("TEST_KAFKA_BOOTSTRAP_SERVER is not set: export TEST_KAFKA_BOOTSTRAP_SERVER=$(scripts/services/kafka start)")
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap_server());
    config
}

/// A topic of one partition that is this test's own.
struct Topic(String);

impl Topic {
    fn new(name: &str) -> Topic {
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis();
        Topic(format!("collector-{name}-{now}-{}", std::process::id()))
    }

    async fn create(&self, max_message_bytes: usize) {
        let limit = max_message_bytes.to_string();
        let topic = NewTopic::new(&self.0, 1, TopicReplication::Fixed(-1)).set("max.message.bytes", &limit);
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        for result in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
    }

    async fn set_max_message_bytes(&self, bytes: usize) {
        let limit = bytes.to_string();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.0)).set("max.message.bytes", &limit);
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        for result in admin.alter_configs([&change], &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
    }

    async fn delete(&self) {
        let admin: AdminClient<DefaultClientContext> = client().create().unwrap();
        for result in admin.delete_topics(&[&self.0], &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
    }

    fn reports(&self) -> Reports {
        let mut config = client();
        config.set("group.id", &self.0).set("enable.auto.commit", "false").set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().unwrap();
        let mut partition = TopicPartitionList::new();
        partition.add_partition_offset(&self.0, 0, Offset::Beginning).unwrap();
        consumer.assign(&partition).unwrap();
        Reports(consumer)
    }
}

struct Reports(BaseConsumer);

impl Reports {
    fn next(&self) -> HostReport {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let Some(Ok(message)) = self.0.poll(Duration::from_millis(100)) else { continue };
            let report = HostReport::decode(message.payload().unwrap(), i64::MAX).unwrap();
            assert_eq!(message.key().unwrap(), report.host.id.as_bytes());
            return report;
        }
        panic!("no report came");
    }

    fn until(&self, what: &str, wanted: impl Fn(&HostReport) -> bool) -> HostReport {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            let report = self.next();
            if wanted(&report) {
                return report;
            }
        }
        panic!("no report with {what}");
    }
}

/// The program; killed when it is dropped.
struct Program(Child);

impl Program {
    fn start(topic: &Topic, bootstrap_server: &str, folder: &Path) -> Program {
        let log = std::fs::File::options().create(true).append(true).open(folder.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_collector"))
            .arg(format!("--bootstrap-server={bootstrap_server}"))
            .arg(format!("--kafka-topic-name={}", topic.0))
            .arg("--kafka-topic-partitions=1")
            .arg(format!("--spool-dir={}", folder.display()))
            .arg(format!("--collect-interval-ms={INTERVAL_MS}"))
            .args(["--host-id=this", "--docker-host=unix:///nowhere/docker.sock", "--admin-listen-addr=off"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Program(child)
    }

    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            self.kill();
        }
    }
}

/// Nobody listens there.
fn dead_address() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn log(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("log")).unwrap()
}

fn wait_until(folder: &Path, mut check: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !check() {
        assert!(Instant::now() < deadline, "{}", log(folder));
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn spool_bytes(folder: &Path) -> u64 {
    let paths = std::fs::read_dir(folder.join("spool")).into_iter().flatten().map(|entry| entry.unwrap().path());
    let segments = paths.filter(|path| path.extension().is_some_and(|extension| extension == "segment"));
    segments.map(|path| path.metadata().map_or(0, |metadata| metadata.len())).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_in_an_outage_it_loses_nothing() {
    let (topic, folder) = (Topic::new("killed"), tempfile::tempdir().unwrap());
    topic.create(1_048_576).await;
    let reports = topic.reports();
    let mut first = Program::start(&topic, &bootstrap_server(), folder.path());
    let mut last = reports.until("a third report", |report| report.seq == 3);
    first.kill();
    for _ in 0..3 {
        let mut away = Program::start(&topic, &dead_address(), folder.path());
        for _ in 0..10 {
            let bytes = spool_bytes(folder.path());
            wait_until(folder.path(), || spool_bytes(folder.path()) > bytes);
        }
        away.kill();
    }
    let begun = Instant::now();
    let again = Program::start(&topic, &bootstrap_server(), folder.path());
    let mut repeated = 0;
    let mut came = 0;
    loop {
        assert!(begun.elapsed() < DEADLINE, "{came} came, the last one was {}:{}", last.epoch, last.seq);
        let report = reports.next();
        assert_eq!(report.removed, Removed::default());
        let (former, now) = ((last.epoch, last.seq), (report.epoch, report.seq));
        if now <= former {
            // acknowledged, and killed before it was noted
            repeated += 1;
            continue;
        }
        if report.epoch == last.epoch {
            assert_eq!(report.seq, last.seq + 1);
        } else {
            let previous = report.previous.unwrap();
            assert_eq!((previous.epoch, previous.seq, report.seq), (last.epoch, last.seq, 1), "the former epoch came to its end");
        }
        came += 1;
        last = report;
        if last.epoch == 5 && last.metrics["collector.spool.reports"] == Some(0.0) {
            break;
        }
    }
    assert!(came >= 3 * 10 && repeated <= IN_FLIGHT, "{came} {repeated}");
    println!("{came} reports of 5 starts, {repeated} twice, in {:?}", begun.elapsed());
    drop(again);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_is_made_again_and_what_was_not_acknowledged_is_sent_again() {
    let (topic, folder) = (Topic::new("deleted"), tempfile::tempdir().unwrap());
    topic.create(1_048_576).await;
    let collector = Program::start(&topic, &bootstrap_server(), folder.path());
    let before = topic.reports().until("a third report", |report| report.seq == 3);
    topic.delete().await;
    wait_until(folder.path(), || log(folder.path()).contains("Kafka takes reports again"));
    let reports = topic.reports();
    let mut former = reports.next();
    assert!(former.epoch == 1 && former.seq > before.seq);
    for _ in 0..20 {
        let report = reports.next();
        assert_eq!((report.epoch, report.seq), (1, former.seq + 1));
        former = report;
    }
    drop(collector);
}

fn left_behind(seq: u64, bytes: usize) -> Record {
    let host = HostInfo {
        id: "this".to_owned(),
        name: "this".to_owned(),
        labels: (0..bytes / 250)
            .map(|index| (format!("k{index}"), (0..250).map(|_| fastrand::alphanumeric()).collect()))
            .collect(),
        os: None,
        kernel: None,
        cpus: None,
        collector: None,
    };
    let report = HostReport {
        schema: SCHEMA,
        host,
        epoch: 1,
        seq,
        at: 1_795_000_000_000 + i64::try_from(seq).unwrap(),
        interval_ms: INTERVAL_MS,
        previous: None,
        metrics: [].into(),
        tables: [].into(),
        removed: Removed::default(),
    };
    let id = ReportId { epoch: 1, seq };
    Record { id, at: report.at, removed: Removed::default(), key: "this".to_owned(), payload: report.encode() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_that_the_topic_never_takes_is_dropped_alone_and_counted() {
    let (topic, folder) = (Topic::new("small"), tempfile::tempdir().unwrap());
    // ten of 3 kB make a batch that is too large, and each of them is not
    topic.create(8_000).await;
    let mut spool = Spool::open(&folder.path().join("spool"), 1 << 23).unwrap();
    for seq in 1..=30 {
        let bytes = if matches!(seq, 11 | 12 | 30) { 15_000 } else { 3_000 };
        spool.append(&left_behind(seq, bytes)).unwrap();
    }
    drop(spool);
    let collector = Program::start(&topic, &bootstrap_server(), folder.path());
    let reports = topic.reports();
    let dropped = |dropped| Removed { dropped, ..Removed::default() };
    let (mut last, mut removed) = (0, Removed::default());
    let first = loop {
        let report = reports.next();
        if report.epoch == 2 {
            break report;
        }
        // on a slow machine one leaves before Kafka has refused the ones before it: it comes again, and tells of them then
        let leaves_too_early = report.seq > last + 1 && report.removed.is_none();
        if report.seq <= last || leaves_too_early {
            continue;
        }
        assert_eq!(report.seq, last + 1 + report.removed.total());
        assert_eq!(report.removed, if report.seq == 13 { dropped(2) } else { dropped(0) });
        (last, removed) = (report.seq, removed.plus(report.removed));
    };
    assert_eq!((last, removed, first.removed), (29, dropped(2), dropped(1)));
    drop(collector);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_takes_no_report_at_all_fills_no_spool_and_the_first_that_it_takes_tells_how_many_are_lost() {
    let (topic, folder) = (Topic::new("none"), tempfile::tempdir().unwrap());
    topic.create(200).await;
    let collector = Program::start(&topic, &bootstrap_server(), folder.path());
    let refused = || log(folder.path()).matches("Kafka refuses a report for good").count();
    wait_until(folder.path(), || refused() >= 10);
    topic.set_max_message_bytes(1_048_576).await;
    let reports = topic.reports();
    let first = reports.next();
    assert!(first.removed.dropped >= 10, "{:?}", first.removed);
    assert_eq!((first.epoch, first.seq), (1, first.removed.total() + 1));
    let waiting = first.metrics["collector.spool.reports"].unwrap();
    assert!(waiting < 5.0, "{waiting} wait though none of them can ever be sent");
    let next = reports.next();
    assert_eq!((next.seq, next.removed), (first.seq + 1, Removed::default()), "told once");
    drop(collector);
}
