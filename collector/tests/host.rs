//! The whole collector against a broker: reports of this machine.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod rig;

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rig::{Collector, DEADLINE, INTERVAL_MS, Kafka};

#[tokio::test(flavor = "multi_thread")]
async fn reports_of_this_machine_arrive_in_order_and_say_the_truth() {
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let flags = ["--host-id=this".to_owned(), "--host-labels=rack=a1,role=db".to_owned()];
    let collector = Collector::start(&kafka, spool.path(), &flags);
    let first = kafka.next();
    assert_eq!((first.epoch, first.seq, first.interval_ms, first.host.id.as_str()), (1, 1, INTERVAL_MS, "this"));
    assert_eq!(first.host.labels["role"], "db");
    assert_eq!(first.metrics["system.cpu.utilization"], None, "there is no interval yet");
    assert!(first.tables["disk"].rows.iter().flatten().all(|cell| cell.number().is_none()));
    assert!(!first.tables.contains_key("container"), "there is no engine");

    let mut on_time = 0;
    for seq in 2..=10 {
        let report = kafka.next();
        assert_eq!((report.epoch, report.seq), (1, seq));
        on_time += i32::from(report.at % i64::from(INTERVAL_MS) < 20);
    }
    assert!(on_time >= 5, "ticks are at multiples of the interval: {on_time} of 9");

    let report = kafka.next();
    let metric = |name: &str| report.metrics[name].unwrap_or_else(|| panic!("{name} is absent"));
    assert!((0.0..=1.0).contains(&metric("system.cpu.utilization")));
    assert_eq!(metric("system.cpu.logical.count") as usize, std::thread::available_parallelism().unwrap().get());
    assert!((0.01..1.0).contains(&metric("system.memory.utilization")));
    assert!(metric("system.process.count") > 5.0);
    assert!(report.tables["filesystem"].rows.iter().any(|row| row[0].text() == Some("/") && row[4].number().is_some()));
    let hostname = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    assert_eq!(report.host.name, hostname.trim());
    collector.stop().await;

    let collector = Collector::start(&kafka, spool.path(), &flags);
    let again = kafka.until("the next epoch", |report| report.epoch == 2);
    assert_eq!(again.seq, 1);
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cpu_time_agrees_with_proc_stat_under_load() {
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, spool.path(), &["--collect-interval-ms=1000".to_owned()]);
    kafka.next();
    let burn = std::thread::spawn(|| {
        let end = Instant::now() + Duration::from_secs(4);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    });
    kafka.next();
    let before = busy_and_total();
    let report = kafka.next();
    let between = busy_and_total();
    let reports = [report, kafka.next()];
    burn.join().unwrap();
    let expected = (between.0 - before.0) as f64 / (between.1 - before.1) as f64;
    let read = reports[0].metrics["system.cpu.utilization"].unwrap();
    assert!((read - expected).abs() < 0.15, "{read} {expected}");
    let cpus = reports[0].metrics["system.cpu.logical.count"].unwrap();
    for report in &reports {
        let user = report.metrics["system.cpu.user.utilization"].unwrap();
        assert!(user > 0.8 / cpus, "one CPU of {cpus} burns: {user}");
    }
    collector.stop().await;
}

/// Jiffies of /proc/stat.
fn busy_and_total() -> (u64, u64) {
    let stat = fs::read_to_string("/proc/stat").unwrap();
    let ticks: Vec<u64> =
        stat.lines().next().unwrap().split_ascii_whitespace().skip(1).take(8).map(|tick| tick.parse().unwrap()).collect();
    let total = ticks.iter().sum();
    (total - ticks[3] - ticks[4], total)
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_wait_for_a_broker_that_is_away() {
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, spool.path(), &[]);
    let last = kafka.until("a third report", |report| report.seq >= 3).seq;
    kafka.cluster.broker_down(1).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    kafka.cluster.broker_up(1).unwrap();
    let end = last + 15;
    for seq in last + 1..=end {
        assert_eq!(kafka.next().seq, seq, "none is lost, none is doubled");
    }
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_with_nothing_in_it_still_gives_reports() {
    let (kafka, spool, root) = (Kafka::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let flags = [format!("--host-root={}", root.path().display()), format!("--admin-listen-addr={address}")];
    let collector = Collector::start(&kafka, spool.path(), &flags);
    let report = kafka.until("a second report", |report| report.seq == 2);
    assert_eq!(report.metrics["system.cpu.utilization"], None);
    for table in ["disk", "network", "filesystem", "container"] {
        assert!(!report.tables.contains_key(table), "{table}");
    }
    assert_eq!(report.host.id.len(), 36, "it was given an id");
    let metrics = ask(address, "/metrics");
    for part in ["cpu", "disk", "network", "mounts", "process", "container_engine"] {
        assert!(metrics.contains(&format!("collector_unreadable_total{{part=\"{part}\"}}")), "{part}: {metrics}");
    }
    for name in ["collector_reports_produced_total", "collector_tick_duration_seconds_count"] {
        assert!(metrics.contains(name), "{name}");
    }
    let deadline = Instant::now() + DEADLINE;
    while !ask(address, "/readyz").starts_with("HTTP/1.0 200") {
        assert!(Instant::now() < deadline, "{}", ask(address, "/readyz"));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let metrics = ask(address, "/metrics");
    for name in ["collector_reports_delivered_total", "collector_spool_reports"] {
        assert!(metrics.contains(name), "{name}");
    }
    collector.stop().await;
}

fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
