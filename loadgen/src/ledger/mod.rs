//! The other end: whether what was journaled is stored, evaluated, announced and accounted for, once and as it was.
//!
//! Reads the journal, the database and what followers of the stream recorded, and uses nothing of the api-backend's code: what is wrong
//! there must not be wrong here in the same way. The oracle says what violations there should be, in the slowest and most obvious form.

mod accounts;
mod chunks;
mod config;
mod events;
mod folded;
mod head;
mod kept;
mod oracle;
mod record;
mod reports;
mod sealed;
mod store;
mod values;
mod violations;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use service_runtime::Shutdown;
use tokio::time::Instant;

pub use config::{CheckConfig, RecordConfig};
pub use record::record;

use self::chunks::Named;
use self::store::{HostIndex, Kept, Store, StoredReport};
use crate::journal::Journals;

/// Distance of two looks at what has not settled.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Of each kind of finding so many are shown one by one.
const SHOWN: u64 = 5;

/// What was found, printed as one line of JSON.
#[derive(Debug, Default, Serialize)]
pub struct Verdict {
    reports: reports::Findings,
    sealed: sealed::Findings,
    violations: violations::Findings,
    events: events::Findings,
    accounts: accounts::Findings,
    /// How many of the findings must not be.
    pub wrong: u64,
}

/// Compares journal, database and streams, and fails when they do not agree.
pub async fn check(config: CheckConfig, shutdown: Shutdown) -> anyhow::Result<()> {
    let verdict = tokio::select! {
        () = shutdown.requested() => bail!("stopped before the end"),
        verdict = verdict(&config) => verdict?,
    };
    println!("{}", serde_json::to_string(&verdict).context("write the verdict")?);
    if verdict.wrong > 0 {
        bail!("{} findings must not be: journal, database and streams do not agree", verdict.wrong);
    }
    Ok(())
}

/// Compares journal, database and streams.
pub async fn verdict(config: &CheckConfig) -> anyhow::Result<Verdict> {
    let mut journals = Journals::default();
    for path in &config.journals {
        journals.read(path)?;
    }
    if let Some(path) = &config.dead_letters {
        journals.read_dead_letters(path)?;
    }
    let mut store = Store::open(&config.database_url).await.context("open the database")?;
    settle(config, &journals, &mut store).await?;

    let mut verdict = Verdict::default();
    let table = store.events().await.context("read the events")?;
    verdict.events = events::compare(&table, &config.events)?;
    drop(table);
    store.begin().await.context("begin a snapshot")?;
    let index = store.index().await.context("read what is sealed")?;
    verdict.sealed.unreadable += index.unreadable;
    let nothing = HostIndex::default();
    let rules = store.rules().await.context("read the thresholds")?;
    let stored_hosts = store.hosts().await.context("read the hosts")?;
    let hosts: BTreeSet<&String> = journals.hosts.keys().chain(stored_hosts.keys()).collect();
    for host in hosts {
        let key = stored_hosts.get(host).copied();
        let of_host = key.and_then(|key| index.hosts.get(&key)).unwrap_or(&nothing);
        let (mut rows, mut forms) = (Vec::new(), HashMap::new());
        if let Some(key) = key {
            rows = store.reports(key).await.context("read the reports of a host")?;
            forms = store.forms(key).await.context("read the forms of a host")?;
        }
        for (start_at, named) in &of_host.stretches {
            let report =
                |named: &Named| StoredReport { id: named.id, at: start_at + named.after_ms, kept: Kept::Sealed(named.state) };
            rows.extend(named.iter().map(report));
        }
        let brought = reports::compare(&journals, host, &rows, &forms, index.raw_removed_before, &mut verdict.reports)?;
        let Some(key) = key else { continue };
        let account = store.account(key).await.context("read the ledger of a host")?;
        accounts::compare(host, brought.stored(rows.len()), &brought.arrived, &account, &mut verdict.accounts);
        let machines = store.machines(key).await.context("read the machines of a host")?;
        let sealed = sealed::Host {
            id: host,
            key,
            machines: &machines,
            index: of_host,
            raw_removed_before: index.raw_removed_before,
            brought: &brought,
        };
        sealed.compare(&mut store, &mut verdict.reports, &mut verdict.sealed).await?;
        let Some(evaluated) = brought.evaluated() else {
            verdict.violations.hosts_not_judged += 1;
            continue;
        };
        let expected = oracle::violations(&rules, &machines, &evaluated);
        violations::compare(
            host,
            &expected,
            &store.violations(host).await.context("read the violations")?,
            &mut verdict.violations,
        );
    }
    verdict.wrong = verdict.reports.wrong()
        + verdict.sealed.wrong()
        + verdict.violations.wrong()
        + verdict.events.wrong()
        + verdict.accounts.wrong();
    Ok(verdict)
}

/// Waits until everything that was acknowledged is stored and the followers have the newest event; what is missing when the time is over is
/// a finding.
async fn settle(config: &CheckConfig, journals: &Journals, store: &mut Store) -> anyhow::Result<()> {
    let acknowledged = journals
        .hosts
        .values()
        .flat_map(|entries| entries.values())
        .filter(|entry| entry.acknowledged && !entry.rejected)
        .count();
    let deadline = Instant::now() + Duration::from_secs(config.settle_seconds);
    while Instant::now() < deadline {
        let stored = store.count_reports().await.context("count the reports")?
            + store.count_sealed().await.context("count the sealed reports")?;
        let newest = store.newest_event().await.context("read the newest event")?;
        if stored >= acknowledged as i64 && events::have_reached(newest, &config.events)? {
            break;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(())
}

/// Counts a finding and shows the first of its kind.
fn found(count: &mut u64, what: &str, which: impl std::fmt::Display) {
    *count += 1;
    if *count <= SHOWN {
        tracing::error!("{what}: {which}");
    }
}
