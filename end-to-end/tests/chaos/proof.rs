//! What came out of a fault.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use end_to_end::process::program;
use serde_json::Value;

use crate::room::Site;

/// The verdict of `loadgen ledger check`, with what the topic holds as the journal of the collectors.
pub async fn check(site: &Site) -> Value {
    let [topic, dead] = ["topic", "dead-letters"].map(|name| site.file(name));
    for (file, name) in [(&topic, site.topic.clone()), (&dead, format!("{}.dlq", site.topic))] {
        let kafka = [format!("--bootstrap-server={}", site.kafka.servers()), format!("--kafka-topic-name={name}")];
        let (recorded, said, _) = ledger("record", [&kafka[..], &[journal(file)]].concat()).await;
        assert!(recorded, "{said}");
    }
    let mut arguments = vec![journal(&site.file("journal")), journal(&topic), format!("--database-url={}", site.database.url)];
    arguments.push(format!("--dead-letters={}", dead.display()));
    arguments.extend(site.followers.iter().map(|follower| format!("--events={}", follower.record.display())));
    let (_, said, verdict) = ledger("check", arguments).await;
    eprint!("{said}");
    serde_json::from_str(&verdict).unwrap_or_else(|error| panic!("no verdict: {error}\n{said}"))
}

/// Whether it succeeded, and what it wrote to stderr and stdout.
async fn ledger(command: &'static str, arguments: Vec<String>) -> (bool, String, String) {
    let mut loadgen = Command::new(program("loadgen"));
    loadgen.args(["ledger", command]).args(arguments).env_clear();
    // followers and proxies go on meanwhile
    let output = tokio::task::spawn_blocking(move || loadgen.output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.success(), text(output.stderr), text(output.stdout))
}

pub fn journal(path: &Path) -> String {
    format!("--journal={}", path.display())
}

/// For docs/RELIABILITY.md.
pub fn row(fault: &str, verdict: &Value, longest_pause: Duration) -> String {
    let (reports, violations, events) = (&verdict["reports"], &verdict["violations"], &verdict["events"]);
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    format!(
        "| {fault} | acknowledged {}, stored {} ({} of them sealed, {} unacknowledged): lost {}, duplicate {}, phantom {}, corrupt {}; violations {} = oracle {} ({} wrong); \
         {} events on each of {} streams once ({} wrong); longest pause {:.1} s |",
        reports["acknowledged"],
        reports["stored"],
        reports["sealed"],
        reports["stored_unacknowledged"],
        reports["lost"],
        reports["duplicate"],
        reports["phantom"],
        reports["corrupt"],
        violations["stored"],
        violations["expected"],
        number(&violations["missing"])
            + number(&violations["unexpected"])
            + number(&violations["different"])
            + number(&violations["twice"]),
        events["stored"],
        events["streams"],
        number(&events["missing"])
            + number(&events["disordered"])
            + number(&events["different"])
            + number(&events["resyncs"])
            + number(&events["announced_twice"]),
        longest_pause.as_secs_f64(),
    )
}
