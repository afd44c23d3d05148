//! The whole way with real parts: this machine and a container on it, collector, Kafka, consumer, backend, MariaDB, and a
//! client that sets a threshold and follows the stream.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use end_to_end::container::{docker_host, parse_size};
use end_to_end::{Container, Stack, Watch, unique, within};
use serde_json::Value;

const MEMORY_LIMIT: u64 = 128 * 1024 * 1024;
/// Holds 32 MiB of its own, so that a difference of some pages is none.
const SCRIPT: &str = "held=$(head -c 33554432 /dev/zero | tr '\\0' x); while :; do sleep 3600; done";

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_this_machine_arrives_and_a_violation_reaches_the_stream() {
    let container = Container::run("burner", MEMORY_LIMIT, SCRIPT);
    let stack = Stack::new("pipeline").await;
    let mut backend = stack.start_ready_backend().await;
    let mut consumer = stack.start_consumer(&stack.group);
    let host_name = unique("host");
    let mut collector = stack.start_source(
        "collector",
        &[
            ("COLLECT_INTERVAL_MS", "1000".to_owned()),
            ("HOST_ID", host_name.clone()),
            ("HOST_NAME", host_name.clone()),
            ("HOST_LABELS", "rack=test".to_owned()),
            ("DOCKER_HOST", docker_host()),
            ("SPOOL_DIR", stack.file("spool").display().to_string()),
            ("ADMIN_LISTEN_ADDR", "off".to_owned()),
        ],
        &[],
    );

    let host = within(30, "the host with rates", async || {
        collector.assert_runs();
        let host = stack.api.machine("host", &host_name).await?;
        host["latest"]["system.cpu.utilization"].is_number().then_some(host)
    })
    .await;
    assert_eq!((&host["status"], &host["labels"]["rack"]), (&"up".into(), &"test".into()), "{host}");
    agrees_with_proc(&host);
    let machine = within(30, "the container with its memory", async || {
        let machine = stack.api.machine("container", &container.name).await?;
        let held = number(&machine["latest"], "container.memory.working_set")? > 32e6;
        (held && machine["latest"]["container.cpu.usage"].is_number()).then_some(machine)
    })
    .await;
    assert_eq!((&machine["status"], &machine["host_name"]), (&"up".into(), &Value::from(host_name)), "{machine}");
    assert_eq!(machine["facts"]["image"], container.inspect(".Config.Image"), "{machine}");
    agrees_with_docker(&stack, &container).await;

    let mut watch = Watch::above(&stack.api, &machine, "container.cpu.usage", 0.3, 0.1).await;
    container.burn_cpu(10);
    let opened = watch.opened().await;
    assert!(opened["opened_value"].as_f64().unwrap() < 1.3, "one busy loop is one core: {opened}");
    cpu_agrees_with_docker(&stack, &container).await;
    watch.closed(&opened).await;

    for process in [&mut collector, &mut consumer, &mut backend] {
        let (status, _) = process.terminate(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}

fn number(values: &Value, name: &str) -> Option<f64> {
    values[name].as_f64()
}

fn assert_close(what: &str, found: f64, expected: f64, tolerance: f64) {
    println!("{what}: {found} reported, {expected} expected, tolerance {tolerance:.0}");
    assert!((found - expected).abs() <= tolerance, "{what}: {found} is not {expected} ± {tolerance}");
}

/// CPUs, memory limit and filesystem sizes exactly; what moves within a share of its limit.
fn agrees_with_proc(host: &Value) {
    let latest = |name| number(&host["latest"], name).unwrap_or_else(|| panic!("{name}: {host}"));
    let read = |path| std::fs::read_to_string(path).unwrap();
    let cpus = read("/proc/cpuinfo").lines().filter(|line| line.starts_with("processor")).count();
    assert_close("CPUs", latest("system.cpu.logical.count"), cpus as f64, 0.0);
    assert!((0.0..=1.0).contains(&latest("system.cpu.utilization")), "{host}");

    let meminfo = read("/proc/meminfo");
    let bytes = |name: &str| -> f64 {
        let line = meminfo.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0
    };
    let total = bytes("MemTotal:");
    assert_close("memory limit", latest("system.memory.limit"), total, 0.0);
    let used = total - bytes("MemAvailable:");
    assert_close("memory usage", latest("system.memory.usage"), used, total * 0.1);
    let uptime: f64 = read("/proc/uptime").split(' ').next().unwrap().parse().unwrap();
    assert_close("uptime", latest("system.uptime"), uptime, 10.0);

    let rows = host["devices"]["filesystem"].as_array().unwrap();
    let root = rows.iter().find(|row| row["mountpoint"] == "/").unwrap_or_else(|| panic!("no /: {rows:?}"));
    let space = rustix::fs::statvfs("/").unwrap();
    let (used, free) = (space.f_blocks - space.f_bfree, space.f_bavail);
    let [used, limit] = [used, used + free].map(|blocks| (blocks * space.f_frsize) as f64);
    // what others write meanwhile moves both
    assert_close("limit of /", number(root, "system.filesystem.limit").unwrap(), limit, limit * 0.01);
    assert_close("usage of /", number(root, "system.filesystem.usage").unwrap(), used, limit * 0.02);
}

/// Limit and processes exactly; memory within 5 %, as `docker stats` rounds to four digits.
async fn agrees_with_docker(stack: &Stack, container: &Container) {
    let stats = container.stats("MemUsage");
    let (memory, limit) = stats.split_once(" / ").unwrap();
    let processes: f64 = container.stats("PIDs").parse().unwrap();
    let machine = stack.api.machine("container", &container.name).await.unwrap();
    let latest = |name| number(&machine["latest"], name).unwrap_or_else(|| panic!("{name}: {machine}"));
    let memory = parse_size(memory);
    assert_close("container memory", latest("container.memory.working_set"), memory, memory * 0.05);
    assert_close("container memory limit", latest("container.memory.limit"), parse_size(limit), 0.0);
    assert_close("container memory limit", latest("container.memory.limit"), MEMORY_LIMIT as f64, 0.0);
    let share = latest("container.memory.working_set") / latest("container.memory.limit");
    assert!((share - latest("container.memory.utilization")).abs() <= 1e-4, "to the resolution of the catalog: {machine}");
    assert_close("container processes", latest("container.process.count"), processes, 0.0);
}

/// While it burns. Both are means over about a second, but not over the same one, and others want the CPUs, too.
async fn cpu_agrees_with_docker(stack: &Stack, container: &Container) {
    let percent: f64 = container.stats("CPUPerc").trim_end_matches('%').parse().unwrap();
    let machine = stack.api.machine("container", &container.name).await.unwrap();
    let cores = number(&machine["latest"], "container.cpu.usage").unwrap();
    println!("container CPU: {cores} cores reported, {percent} % in docker stats, tolerance 40 %");
    assert!((cores - percent / 100.0).abs() <= 0.4, "{cores} cores reported, {percent} % in docker stats");
}
