//! What a rule would have opened in the past: stored history of the machines in its scope, replayed.
//!
//! `run` decides which machines and which other rules take part; `suggest` tries many rules at once. Knows nothing of HTTP.

mod suggest;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::thread::available_parallelism;

use futures_util::{StreamExt, TryStreamExt, stream};

pub use self::suggest::{Candidate, Caught, SuggestError, Suggestion, suggest};
use crate::history::replay::{Replayed, ReplayedHost, Skipping, Span, Stay, replay};
use crate::history::{quarter_of, removed_before};
use crate::store::{self, Connection, Store, StoreError};
use crate::thresholds::{Effect, Kind, Machine, RuleSet, Threshold, has_labels};

/// Longest range.
pub const RANGE_MS_MAX: i64 = 92 * 86_400_000;
/// Machines of one backtest.
pub const MACHINES_MAX: usize = 10_000;
/// Hosts at work at once, at most: each takes a connection, and a core when it decodes.
const HOSTS_AT_ONCE: usize = 4;

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The rule; its id is that of the stored one which it stands for, else [`UNSAVED`].
    pub rule: Threshold,
    /// Only these machines of its scope.
    pub only: Only,
    /// From here, in Unix ms.
    pub from: i64,
    /// To here, exclusive.
    pub to: i64,
}

/// Id of a rule that is not stored: all that are stored are older.
pub const UNSAVED: i64 = i64::MAX;

/// A narrower scope.
#[derive(Clone, Debug, Default)]
pub struct Only {
    /// Of these machines, and of these hosts' containers; empty: of all.
    pub machine_ids: Vec<i64>,
    /// With these labels, whose values may be patterns.
    pub labels: BTreeMap<String, String>,
}

/// What history is there to answer.
#[derive(Clone, Debug)]
pub struct Scope {
    /// Hosts with machines that take part.
    pub hosts: Vec<Arc<ReplayedHost>>,
    /// Names by machine: its own and its host's.
    pub names: HashMap<i64, (String, String)>,
    /// Where the samples begin that were looked at.
    pub from: i64,
    /// Since when the first of the machines is known; absent without machines.
    pub known_since: Option<i64>,
    /// Reports that were stored in the quarters of an hour that were looked at.
    pub reports: u64,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum BacktestError {
    /// There is too much to look at.
    #[error("{0} machines are in this scope, {MACHINES_MAX} can be looked at: ask for fewer")]
    TooManyMachines(usize),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The violations that a rule would have opened and that were open within the range, each host's in the order in which they opened.
pub async fn run(store: &Store, question: &Question) -> Result<(Scope, Vec<Stay>), BacktestError> {
    let mut connection = store.read().await?;
    let mut scope = scope(&mut connection, question).await?;
    let rules = with_rivals(&question.rule, &store::thresholds::all(&mut connection).await?);
    drop(connection);
    let replayed = replay_all(store, &mut scope, question, vec![Arc::new(RuleSet::new(rules))]).await?;
    let stays = replayed.into_iter().flat_map(|host| host.stays).flatten();
    let is_within = |stay: &Stay| stay.closed_at.is_none_or(|at| at >= scope.from);
    let stays = stays.filter(is_within).collect();
    Ok((scope, stays))
}

/// The machines of a rule's scope, and their hosts.
async fn scope(connection: &mut Connection, question: &Question) -> Result<Scope, BacktestError> {
    let anywhere = Threshold { device: None, ..question.rule.clone() };
    let mut of_hosts: HashMap<i64, Vec<_>> = HashMap::new();
    let kind = Some(Kind::Host).filter(|kind| *kind == question.rule.kind);
    for row in store::machines::all(connection, kind).await? {
        of_hosts.entry(row.host_key).or_default().push(row);
    }
    let (mut hosts, mut names, mut known_since) = (Vec::new(), HashMap::new(), None);
    for host in store::hosts::all(connection).await? {
        let rows = of_hosts.remove(&host.host_key).unwrap_or_default();
        let itself = rows.iter().find(|row| row.kind == Kind::Host);
        let host_id = itself.map(|row| row.machine_id);
        let is_in = |machine: &Machine| anywhere.is_for(machine, None) && question.only.has(machine, host_id);
        let Some(replayed) = ReplayedHost::of(&host, &rows, is_in) else { continue };
        let host_name = itself.map(|row| row.name.clone()).unwrap_or_default();
        for machine in replayed.machines() {
            let Some(row) = rows.iter().find(|row| row.machine_id == machine.id) else { continue };
            names.insert(machine.id, (row.name.clone(), host_name.clone()));
            known_since = Some(known_since.map_or(row.first_seen_at, |since: i64| since.min(row.first_seen_at)));
        }
        hosts.push(Arc::new(replayed));
    }
    if names.len() > MACHINES_MAX {
        return Err(BacktestError::TooManyMachines(names.len()));
    }
    let from = question.from.max(removed_before(connection).await?);
    let sealed = store::chunks::sealed_reports(connection, quarter_of(from), question.to).await?;
    let keys: HashSet<i64> = hosts.iter().map(|host: &Arc<ReplayedHost>| host.host_key).collect();
    let reports = sealed.into_iter().filter(|(host_key, _)| keys.contains(host_key));
    let reports = reports.map(|(_, reports)| reports.cast_unsigned()).sum();
    Ok(Scope { hosts, names, from, known_since, reports })
}

impl Only {
    /// Whether a machine takes part, whose host is the machine of this id.
    fn has(&self, machine: &Machine, host_id: Option<i64>) -> bool {
        let is_named = |id: &i64| *id == machine.id || Some(*id) == host_id;
        (self.machine_ids.is_empty() || self.machine_ids.iter().any(is_named)) && has_labels(&machine.labels, &self.labels)
    }
}

/// The rule together with those that decide where it is in force: more specific ones, as rules that open nothing. A stored rule that says
/// the same of the same series makes place for it.
fn with_rivals(rule: &Threshold, stored: &[Threshold]) -> Vec<Threshold> {
    let says = |rule: &Threshold| (rule.kind, rule.metric.clone(), rule.quantity, rule.direction, rule.severity);
    let scope = |rule: &Threshold| (rule.machine_id, rule.labels.clone(), rule.device.clone());
    let rivals = stored.iter().filter(|other| other.id != rule.id && says(other) == says(rule) && scope(other) != scope(rule));
    let silent = rivals.map(|rival| Threshold { effect: Effect::None, ..rival.clone() });
    silent.chain([Threshold { enabled: true, ..rule.clone() }]).collect()
}

/// Replays all hosts for some sets of rules, and counts what of them is not sealed.
async fn replay_all(
    store: &Store,
    scope: &mut Scope,
    question: &Question,
    rules: Vec<Arc<RuleSet>>,
) -> Result<Vec<Replayed>, StoreError> {
    let rule = &question.rule;
    // what was open or waiting at the beginning is known by then
    let warm_up = (rule.for_seconds + rule.recovery_for_seconds + rule.window_seconds) * 1_000;
    let span = Span { rules, from: question.from - warm_up, to: question.to, skipping: Skipping::Allowed };
    let at_once = available_parallelism().map_or(1, |cores| cores.get().min(HOSTS_AT_ONCE));
    let hosts = scope.hosts.clone();
    let replayed = stream::iter(hosts.into_iter().map(|host| replay(store, host, &span)));
    let replayed: Vec<Replayed> = replayed.buffered(at_once).try_collect().await?;
    scope.reports += replayed.iter().map(|host| host.head).sum::<u64>();
    Ok(replayed)
}
