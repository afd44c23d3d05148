//! What containers, hosts and the pipeline do, raised and cleared by the real thing: a real engine and collector, real services.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use end_to_end::container::docker_host;
use end_to_end::{Api, Container, Process, SmallDisk, Stack, unique, within};
use serde_json::{Value, json};

/// A change takes an interval and the way of a report; the engine and builds beside the tests may slow all of it.
const PATIENCE_SECONDS: u64 = 45;
/// A backend that has just started waits 30 s before it calls anybody down.
const GRACE_SECONDS: u64 = 30;
/// Consumers speak every five seconds, and are missed after fifteen.
const NOTICED_SECONDS: u64 = 30;

fn start_collector(stack: &Stack, host: &str) -> Process {
    let variables = [
        ("COLLECT_INTERVAL_MS", "1000".to_owned()),
        ("HOST_ID", host.to_owned()),
        ("HOST_NAME", host.to_owned()),
        ("DOCKER_HOST", docker_host()),
        ("SPOOL_DIR", stack.file("spool").display().to_string()),
        ("ADMIN_LISTEN_ADDR", "off".to_owned()),
    ];
    stack.start_source("collector", &variables, &[])
}

/// The open violation of a metric and machine.
async fn open(api: &Api, metric: &str, machine: &str) -> Option<Value> {
    api.open_violations(metric).await.into_iter().find(|violation| violation["machine_name"] == machine)
}

async fn opens(api: &Api, metric: &str, machine: &str) -> Value {
    within(PATIENCE_SECONDS, &format!("{metric} of {machine}"), async || open(api, metric, machine).await).await
}

/// Waits until it is closed, and says why.
async fn closes(api: &Api, violation: &Value) -> String {
    let path = format!("violations/{}", violation["id"].as_str().unwrap());
    within(PATIENCE_SECONDS, &format!("the end of {violation}"), async || {
        api.get(&path, &[]).await["close_reason"].as_str().map(str::to_owned)
    })
    .await
}

/// Removes a container that ran according to the report before. Where a report falls between its end and its removal it only was stopped first, so
/// that it is done again.
async fn remove_running(api: &Api, name: &str) -> Value {
    within(PATIENCE_SECONDS, "a container that is gone", async || {
        let container = Container::run_as(name, &[], "exec sleep 3600");
        within(PATIENCE_SECONDS, "it is up", async || {
            let machine = api.machine("container", name).await?;
            (machine["status"] == "up").then_some(())
        })
        .await;
        drop(container);
        tokio::time::sleep(Duration::from_secs(3)).await;
        open(api, "container.missing", name).await
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_that_stop_fail_run_out_of_memory_or_are_gone_open_violations_and_close_them() {
    let stack = Stack::new("states").await;
    let _backend = stack.start_ready_backend().await;
    let _consumer = stack.start_consumer(&stack.group);
    let _collector = start_collector(&stack, &unique("host"));
    let api = &stack.api;

    // the second start of those that end goes well
    let again = |script: &str| format!("[ -e /started ] && exec sleep 3600; touch /started; sleep 3; {script}");
    let stopped = Container::run_as(&unique("stopped"), &[], "trap 'exit 0' TERM; while :; do sleep 1; done");
    let failed = Container::run_as(&unique("failed"), &[], &again("exit 3"));
    // several times: the engine does not always hear in time of what it was that ended it
    let hungry = Container::run_as(
        &unique("hungry"),
        &["--memory=16m", "--memory-swap=16m", "--restart=on-failure"],
        "echo >> /starts; [ $(wc -l < /starts) -gt 4 ] && exec sleep 3600; sleep 2; exec tail /dev/zero",
    );
    let sick = Container::run_as(
        &unique("sick"),
        &["--health-cmd=test ! -e /sick", "--health-interval=1s", "--health-retries=1", "--health-timeout=5s"],
        "exec sleep 3600",
    );
    let looping = Container::run_as(&unique("looping"), &["--restart=always"], "sleep 1; exit 1");
    let mut replaced = Container::run_as(&unique("replaced"), &[], "exec sleep 3600");
    for container in [&stopped, &failed, &hungry, &sick, &looping, &replaced] {
        within(PATIENCE_SECONDS, &container.name, async || api.machine("container", &container.name).await).await;
    }
    // as the default has it, in the shortest window
    let rule = json!({
        "scope": {"kind": "container", "labels": {"container.name": looping.name}}, "metric": "container.restarts",
        "condition": "change", "window_seconds": 60, "direction": "above", "value": 2, "severity": "critical",
    });
    api.create("thresholds", &rule).await;

    stopped.command("stop");
    sick.execute("touch /sick");
    let stop = opens(api, "container.stopped", &stopped.name).await;
    let failure = opens(api, "container.exit_code", &failed.name).await;
    assert_eq!((&failure["opened_value"], &failure["severity"]), (&json!(3.0), &json!("warning")));
    let out_of_memory = opens(api, "container.oom_killed", &hungry.name).await;
    assert_eq!(out_of_memory["severity"], "critical");
    let sickness = opens(api, "container.unhealthy", &sick.name).await;
    let name = unique("gone");
    let missing = remove_running(api, &name).await;
    let restarts = opens(api, "container.restarts", &looping.name).await;
    assert_eq!((&restarts["condition"], restarts["opened_value"].as_f64() > Some(2.0)), (&json!("change"), true), "{restarts}");

    for container in [&stopped, &failed] {
        container.command("start");
    }
    // engines that say of a container that runs how it ended before say so until it ends otherwise
    within(PATIENCE_SECONDS, "the last start of the hungry one", async || {
        (hungry.inspect(".State.Status") == "running" && hungry.inspect(".RestartCount") == "4").then_some(())
    })
    .await;
    hungry.command("restart --time 0");
    sick.execute("rm /sick");
    let back = Container::run_as(&name, &[], "exec sleep 3600");
    drop(looping);
    for violation in [stop, failure, out_of_memory, sickness, missing] {
        assert_eq!(closes(api, &violation).await, "recovered", "{violation}");
    }
    assert_eq!(closes(api, &restarts).await, "gone");
    assert_eq!(open(api, "container.stopped", &back.name).await, None);

    let name = replaced.name.clone();
    let mut other = Container::run_as(&unique("other"), &[], "exec sleep 3600");
    // a report that falls between the two renames has none of this name
    within(PATIENCE_SECONDS, "another one under its name", async || {
        replaced.rename(&unique("before"));
        other.rename(&name);
        std::mem::swap(&mut replaced, &mut other);
        tokio::time::sleep(Duration::from_secs(3)).await;
        let sql = "SELECT COUNT(*) FROM events WHERE name = 'machine.up' AND body LIKE '%\"state\":\"replaced\"%'";
        (stack.database.number(sql).await > 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_filesystem_and_a_collector_that_stopped_open_violations_and_close_them() {
    let stack = Stack::new("silence").await;
    let began_at = std::time::Instant::now();
    let _backend = stack.start_ready_backend().await;
    let _consumer = stack.start_consumer(&stack.group);
    let host = unique("host");
    let disk = SmallDisk::with_blocks(16);
    let mut collector = start_collector(&stack, &host);
    // others that go on
    let _loadgen = stack.start_loadgen(&["--hosts=5", "--containers=0", "--interval-ms=1000"]);
    let api = &stack.api;
    within(PATIENCE_SECONDS, "the host", async || api.machine("host", &host).await).await;

    let device = disk.path().to_str().unwrap();
    let rule = json!({
        "scope": {"kind": "host"}, "metric": "system.filesystem.utilization", "device": device, "direction": "above", "value": 0.9,
        "recovery_value": 0.5, "severity": "critical", "note": "of this test alone",
    });
    api.create("thresholds", &rule).await;
    disk.fill();
    let full = within(PATIENCE_SECONDS, "the full filesystem", async || {
        api.open_violations("system.filesystem.utilization").await.into_iter().find(|one| one["device"] == device)
    })
    .await;
    assert_eq!(full["machine_name"], host.as_str());
    disk.free();
    assert_eq!(closes(api, &full).await, "recovered");

    tokio::time::sleep(Duration::from_secs(GRACE_SECONDS).saturating_sub(began_at.elapsed())).await;
    let (status, _) = collector.terminate(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    let missing = opens(api, "host.missing", &host).await;
    assert_eq!(missing["host_is_down"], true);
    assert_eq!(api.machine("host", &host).await.unwrap()["status"], "down");
    assert_eq!(api.open_violations("host.missing").await.len(), 1, "and nobody else");
    assert!(api.open_violations("pipeline.lag").await.is_empty());
    let _collector = start_collector(&stack, &host);
    assert_eq!(closes(api, &missing).await, "recovered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_consumer_is_one_violation_and_no_host_is_down() {
    let stack = Stack::new("lateness").await;
    let began_at = std::time::Instant::now();
    let _backend = stack.start_ready_backend().await;
    let mut consumer = stack.start_consumer(&stack.group);
    let _loadgen = stack.start_loadgen(&["--hosts=50", "--containers=0", "--interval-ms=1000"]);
    let api = &stack.api;
    // as soon as it is known, and over as soon: `scripts/prove consumer_stopped` takes its time
    api.remove_thresholds("pipeline.lag").await;
    let rule = json!({
        "scope": {"kind": "pipeline"}, "metric": "pipeline.lag", "direction": "above", "value": 10, "severity": "critical",
    });
    api.create("thresholds", &rule).await;
    within(PATIENCE_SECONDS, "the hosts", async || {
        (stack.database.number("SELECT COUNT(*) FROM hosts").await == 50).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(GRACE_SECONDS).saturating_sub(began_at.elapsed())).await;

    let (status, _) = consumer.terminate(Duration::from_secs(10)).await;
    assert!(status.success(), "{status}");
    let late = within(NOTICED_SECONDS, "the late pipeline", async || api.open_violations("pipeline.lag").await.pop()).await;
    assert_eq!((&late["cause"], &late["machine_name"]), (&json!("consumer"), &json!("pipeline")));
    let _consumer = stack.start_consumer(&stack.group);
    assert_eq!(closes(api, &late).await, "recovered");
    let sql = "SELECT COUNT(*) FROM violations WHERE metric IN ('pipeline.lag', 'host.missing')";
    assert_eq!(stack.database.number(sql).await, 1);
    assert_eq!(stack.database.number("SELECT COUNT(*) FROM events WHERE name = 'machine.down'").await, 0);
}
