//! `events` against what followers of the stream recorded: each event once, in order, with the same body, and no `resync`.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::found;
use super::store::StoredEvent;

#[derive(Debug, Default, Serialize)]
pub(super) struct Findings {
    /// Rows of the database.
    stored: u64,
    streams: u64,
    /// Of all streams together.
    followed: u64,
    missing: u64,
    /// Came again, or after a newer one.
    disordered: u64,
    /// Not what the table has under this id.
    different: u64,
    resyncs: u64,
    /// Violations that are announced as open, silenced or closed more than once.
    announced_twice: u64,
}

impl Findings {
    pub(super) fn wrong(&self) -> u64 {
        self.missing + self.disordered + self.different + self.resyncs + self.announced_twice
    }
}

/// One line of a follower's record; a `resync` has an empty id.
#[derive(Debug, Deserialize)]
struct Followed {
    id: String,
    name: String,
    body: String,
}

/// Compares the whole table with each stream.
pub(super) fn compare(table: &[StoredEvent], streams: &[PathBuf]) -> anyhow::Result<Findings> {
    let mut findings = Findings { stored: table.len() as u64, streams: streams.len() as u64, ..Findings::default() };
    announcements(table, &mut findings)?;
    let by_id: BTreeMap<i64, &StoredEvent> = table.iter().map(|event| (event.id, event)).collect();
    for path in streams {
        let stream = path.display();
        let mut last = 0;
        let mut count = 0;
        for event in read(path)? {
            if event.name == "resync" {
                found(&mut findings.resyncs, "a stream lost its place", format!("{stream} behind {last}"));
                continue;
            }
            let id: i64 = event.id.parse().with_context(|| format!("read the id of {event:?}"))?;
            findings.followed += 1;
            if id <= last {
                found(&mut findings.disordered, "an event comes again or too late", format!("{stream} {id} behind {last}"));
                continue;
            }
            for skipped in by_id.range(last + 1..id).map(|(id, _)| id) {
                found(&mut findings.missing, "a stream skipped an event", format!("{stream} {skipped}"));
            }
            last = id;
            count += 1;
            if !by_id.get(&id).is_some_and(|stored| stored.name == event.name && stored.body == event.body) {
                found(&mut findings.different, "an event is not what is stored", format!("{stream} {event:?}"));
            }
        }
        for missing in by_id.range(last + 1..).map(|(id, _)| id) {
            found(&mut findings.missing, "a stream ends before an event", format!("{stream} {missing} behind {count} events"));
        }
    }
    Ok(findings)
}

/// Whether every stream has come to this event.
pub(super) fn have_reached(id: i64, streams: &[PathBuf]) -> anyhow::Result<bool> {
    for path in streams {
        let newest = read(path)?.iter().rev().find_map(|event| event.id.parse::<i64>().ok());
        if newest.unwrap_or_default() < id {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is told of a violation once at most; it may be acknowledged more often.
const ANNOUNCEMENTS: [&str; 3] = ["violation.opened", "violation.silenced", "violation.closed"];

fn announcements(table: &[StoredEvent], findings: &mut Findings) -> anyhow::Result<()> {
    #[derive(Deserialize)]
    struct Violation {
        id: String,
    }
    let mut announced = BTreeMap::new();
    for event in table.iter().filter(|event| ANNOUNCEMENTS.contains(&event.name.as_str())) {
        let violation: Violation =
            serde_json::from_str(&event.body).with_context(|| format!("read the body of event {}", event.id))?;
        if let Some(before) = announced.insert((event.name.clone(), violation.id.clone()), event.id) {
            let which = format!("{} {}: events {before} and {}", event.name, violation.id, event.id);
            found(&mut findings.announced_twice, "a violation is announced twice", which);
        }
    }
    Ok(())
}

/// All finished lines.
fn read(path: &PathBuf) -> anyhow::Result<Vec<Followed>> {
    let file = File::open(path).with_context(|| format!("open the followed events {}", path.display()))?;
    let mut lines = BufReader::new(file);
    let (mut events, mut line) = (Vec::new(), String::new());
    while lines.read_line(&mut line).context("read the followed events")? > 0 && line.ends_with('\n') {
        events.push(serde_json::from_str(&line).with_context(|| format!("read an event of {}", path.display()))?);
        line.clear();
    }
    Ok(events)
}
