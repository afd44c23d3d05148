//! Real containers of a real engine. The engine that is killed is one of this test's own.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic as tests do")]

mod rig;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use rig::{Collector, Container, Kafka, cell, docker, docker_host, number, text};
use wire_model::HostReport;

fn flags(host: &str) -> Vec<String> {
    vec![format!("--docker-host={host}"), "--collect-interval-ms=1000".to_owned()]
}

fn near(value: Option<f64>, expected: f64, tolerance: f64) -> bool {
    value.is_some_and(|value| (value - expected).abs() <= tolerance)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_container_is_seen_as_it_is_until_it_is_gone() {
    let host = docker_host();
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, spool.path(), &flags(&host));
    kafka.until("a table of containers", |report| report.tables.contains_key("container"));
    let busy = Container::run(
        &host,
        "busy",
        &["--cpus=0.5", "--memory=64m", "--label=com.docker.compose.project=shop", "--health-cmd=true", "--health-interval=3s"],
        &["sh", "-c", "while :; do :; done"],
    );
    let name = busy.name.as_str();
    let steady = |report: &HostReport| {
        near(number(report, name, "container.cpu.usage"), 0.5, 0.06) && text(report, name, "health").as_deref() == Some("healthy")
    };
    let report = kafka.until("half a CPU in use and a good health", steady);
    let table = &report.tables["container"];
    assert_eq!(cell(table, name, "id").unwrap().text(), busy.id.get(..12));
    assert_eq!(text(&report, name, "image").as_deref(), Some("test/busybox"));
    assert_eq!(text(&report, name, "state").as_deref(), Some("running"));
    assert_eq!(cell(table, name, "labels").unwrap().labels().unwrap()["com.docker.compose.project"], "shop");
    assert_eq!(number(&report, name, "restarts"), Some(0.0));
    assert_eq!((number(&report, name, "exit_code"), number(&report, name, "oom_killed")), (None, Some(0.0)));
    assert!(near(number(&report, name, "started_at"), report.at as f64, 60_000.0));
    assert_eq!(number(&report, name, "container.cpu.limit"), Some(0.5));
    assert!(number(&report, name, "container.cpu.throttled").unwrap() > 0.0, "a burn at half a CPU is cut short");
    assert_eq!(number(&report, name, "container.memory.limit"), Some(67_108_864.0));
    // while a health check is started, its tasks are in there, too
    let report =
        kafka.until("the shell alone", |report| steady(report) && number(report, name, "container.process.count") == Some(1.0));
    let stats = docker(&host, &["stats", "--no-stream", "--format", "{{.CPUPerc}} {{.MemUsage}}", name]);
    let (cpu, memory) = stats.split_once("% ").unwrap();
    assert!(near(number(&report, name, "container.cpu.usage"), cpu.parse::<f64>().unwrap() / 100.0, 0.1), "{stats}");
    let working_set = number(&report, name, "container.memory.working_set");
    assert!(near(working_set, bytes(memory.split(' ').next().unwrap()), 1_048_576.0), "{stats} {working_set:?}");

    busy.docker("pause");
    let paused = |report: &HostReport| near(number(report, name, "container.cpu.usage"), 0.0, 0.01);
    let report =
        kafka.until("a paused container", |report| text(report, name, "state").as_deref() == Some("paused") && paused(report));
    assert!(number(&report, name, "container.memory.usage").is_some());
    busy.docker("unpause");
    kafka.until("it running again", |report| near(number(report, name, "container.cpu.usage"), 0.5, 0.06));

    busy.docker("kill");
    let report = kafka.until("a stopped container", |report| text(report, name, "state").as_deref() == Some("exited"));
    assert_eq!((number(&report, name, "exit_code"), number(&report, name, "oom_killed")), (Some(137.0), Some(0.0)));
    for column in report.tables["container"].columns.iter().filter(|column| column.contains('.')) {
        assert_eq!(number(&report, name, column), None, "{column}");
    }
    busy.docker("start");
    kafka.until("it at work again", |report| near(number(report, name, "container.cpu.usage"), 0.5, 0.06));
    busy.docker("kill");
    busy.docker("rm");
    kafka.until("no row of it", |report| text(report, name, "id").is_none() && report.tables.contains_key("container"));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_container_ended_with_is_told_and_that_memory_ran_out() {
    let host = docker_host();
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, spool.path(), &flags(&host));
    let failing = Container::run(&host, "ended", &[], &["sh", "-c", "exit 7"]);
    // tail keeps a line in memory until it ends
    let greedy = Container::run(&host, "ran-out", &["--memory=16m", "--memory-swap=16m"], &["sh", "-c", "exec tail /dev/zero"]);
    let ended = |report: &HostReport, name: &str, code: f64, oom_killed: f64| {
        text(report, name, "state").as_deref() == Some("exited")
            && number(report, name, "exit_code") == Some(code)
            && number(report, name, "oom_killed") == Some(oom_killed)
    };
    kafka.until("an exit code", |report| ended(report, &failing.name, 7.0, 0.0));
    kafka.until("an end by memory", |report| ended(report, &greedy.name, 137.0, 1.0));
    collector.stop().await;
}

/// `1.5MiB` as docker stats writes it.
fn bytes(text: &str) -> f64 {
    let unit = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
    let factor = match &text[unit..] {
        "B" => 1.0,
        "KiB" => 1024.0,
        "MiB" => 1_048_576.0,
        other => panic!("{other}"),
    };
    text[..unit].parse::<f64>().unwrap() * factor
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_writes_and_restarts_are_counted() {
    let host = docker_host();
    let (kafka, spool) = (Kafka::start(), tempfile::tempdir().unwrap());
    let collector = Collector::start(&kafka, spool.path(), &flags(&host));
    // 10 echo requests of 1,000 bytes a second to the engine's end of the bridge; answers are as long
    let ping = "exec ping -i 0.1 -s 1000 $(ip route | sed -n 's/^default via \\([^ ]*\\).*/\\1/p')";
    let talker = Container::run(&host, "talker", &[], &["sh", "-c", ping]);
    let write = "while :; do dd if=/dev/zero of=/tmp/f bs=1M count=4 conv=fsync 2>/dev/null; usleep 500000; done";
    let writer = Container::run(&host, "writer", &["--network=none"], &["sh", "-c", write]);
    let failing = Container::run(&host, "failing", &["--restart=always"], &["false"]);
    let sent = |report: &HostReport, column| near(number(report, &talker.name, column), 10_420.0, 1500.0);
    let report = kafka.until("10 kB/s each way", |report| {
        sent(report, "container.network.transmit") && sent(report, "container.network.receive")
    });
    assert_eq!(number(&report, &talker.name, "container.cpu.limit"), None);
    assert_eq!(number(&report, &talker.name, "container.memory.limit"), report.metrics["system.memory.limit"]);
    // recent kernels count nothing in version 1 unless some disk is throttled, and docker shows 0
    let counted = docker(&host, &["stats", "--no-stream", "--format", "{{.BlockIO}}", &writer.name]) != "0B / 0B";
    let report = kafka.until("4 MiB written every half second or slower, if it is counted", |report| {
        let rate = number(report, &writer.name, "container.disk.write");
        if counted {
            rate.is_some_and(|rate| rate > 1e6)
        } else {
            rate.is_none() && number(report, &writer.name, "container.cpu.usage").is_some()
        }
    });
    assert_eq!(number(&report, &writer.name, "container.network.transmit"), Some(0.0));
    kafka.until("two restarts", |report| number(report, &failing.name, "restarts").is_some_and(|restarts| restarts >= 2.0));
    collector.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_asked_where_control_groups_cannot_be_reached() {
    let host = docker_host();
    let (kafka, spool, root) = (Kafka::start(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut flags = flags(&host);
    flags.push(format!("--host-root={}", root.path().display()));
    let collector = Collector::start(&kafka, spool.path(), &flags);
    let busy = Container::run(&host, "remote", &["--cpus=0.5", "--memory=64m"], &["sh", "-c", "while :; do :; done"]);
    let report = kafka.until("half a CPU in use", |report| near(number(report, &busy.name, "container.cpu.usage"), 0.5, 0.1));
    assert_eq!(number(&report, &busy.name, "container.memory.limit"), Some(67_108_864.0));
    assert!(number(&report, &busy.name, "container.process.count").is_some());
    collector.stop().await;
}

/// An engine in a folder of its own.
struct OwnEngine<'f> {
    folder: &'f Path,
}

impl OwnEngine<'_> {
    fn script(&self, command: &str) -> String {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/services/docker-engine");
        let output =
            Command::new(script).arg(command).env("SERVICES_DIR", self.folder).stderr(Stdio::inherit()).output().unwrap();
        assert!(output.status.success(), "docker-engine {command}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn kill(&self) {
        let pid = fs::read_to_string(self.folder.join("docker-engine/run/docker.pid")).unwrap();
        let killed = Command::new("kill").args(["-KILL", pid.trim()]).status().unwrap();
        assert!(killed.success());
    }
}

impl Drop for OwnEngine<'_> {
    fn drop(&mut self) {
        self.script("stop");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_and_comes_back_takes_its_table_with_it() {
    docker_host();
    let (kafka, folder) = (Kafka::start(), tempfile::tempdir().unwrap());
    let engine = OwnEngine { folder: folder.path() };
    let socket = format!("unix://{}", folder.path().join("docker-engine/run/docker.sock").display());
    let collector = Collector::start(&kafka, &folder.path().join("spool"), &flags(&socket));
    kafka.until("a second report", |report| report.seq == 2 && !report.tables.contains_key("container"));
    let host = engine.script("start");
    kafka.until("an empty table", |report| report.tables.get("container").is_some_and(|table| table.rows.is_empty()));
    let before = Container::run(&host, "before", &[], &["sleep", "1000"]);
    kafka.until("its container", |report| number(report, &before.name, "container.process.count") == Some(1.0));
    engine.kill();
    let last = kafka.until("no table", |report| !report.tables.contains_key("container"));
    let next = kafka.next();
    assert_eq!((next.seq, next.at - last.at < 1500), (last.seq + 1, true), "ticks go on");
    engine.script("start");
    let after = Container::run(&host, "after", &[], &["sleep", "1000"]);
    kafka.until("the new container", |report| number(report, &after.name, "container.process.count") == Some(1.0));
    drop((before, after));
    collector.stop().await;
}
