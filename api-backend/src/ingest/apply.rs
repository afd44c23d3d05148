//! The transaction.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use tracing::warn;
use wire_model::{Form, Rejection, ReportId};

use super::Ingest;
use super::accounting::{self, Accepted, Delivery, Record};
use super::batch::{DecodedReport, RejectedReport};
use super::body::Payloads;
use super::inventory::{self, Inventory};
use super::known::Known;
use super::reboot::{Running, UPTIME};
use crate::absence;
use crate::history::newest_reports;
use crate::ledger::Counts;
use crate::machine;
use crate::silence::Silences;
use crate::store::events::NewEvent;
use crate::store::hosts::{HostRow, KeptWindows, LockedHost};
use crate::store::machines::MachineRow;
use crate::store::reports::NewReport;
use crate::store::{self, Connection, Result, StoreError};
use crate::thresholds::evaluator::{HostState, Sample, SeriesKey, Transition, evaluate};
use crate::thresholds::{Kind, MISSING, Plan, RuleSet, Shape, WINDOWS_PER_HOST, machine_readings};
use crate::violation::opening::{self, Closing};
use crate::violation::{Opening, Subject, Violation};

/// What one transaction takes of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part<'a> {
    /// Partition the records come from.
    pub(super) partition: i32,
    /// What may be stored.
    pub(super) reports: &'a [DecodedReport],
    /// What may not.
    pub(super) rejected: &'a [RejectedReport],
}

impl<'a> Part<'a> {
    /// How many records it has.
    pub(super) fn len(&self) -> usize {
        self.reports.len() + self.rejected.len()
    }

    /// Its records before and behind the middle, by their offsets; `None` when there is only one.
    pub(super) fn halves(&self) -> Option<[Part<'a>; 2]> {
        let (mut reports, mut rejected) = (0, 0);
        while reports + rejected < self.len() / 2 {
            let is_report = match (self.reports.get(reports), self.rejected.get(rejected)) {
                (Some(report), Some(rejected)) => report.offset <= rejected.offset,
                (report, _) => report.is_some(),
            };
            reports += usize::from(is_report);
            rejected += usize::from(!is_report);
        }
        let (reports, rejected) = (self.reports.split_at(reports), self.rejected.split_at(rejected));
        let first = Part { reports: reports.0, rejected: rejected.0, ..*self };
        let second = Part { reports: reports.1, rejected: rejected.1, ..*self };
        (self.len() > 1).then_some([first, second])
    }
}

/// What a transaction did.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) stored: usize,
    pub(super) duplicate: usize,
    /// Reports that turned out not to be storable only here.
    pub(super) rejected: Vec<Rejection>,
    /// Machines in the stored reports.
    samples: usize,
    /// What the ledger got to know,
    ledger: Counts,
    /// and what it takes back: missing ones that came after all, or are of another kind.
    recovered: Counts,
}

impl Outcome {
    pub(super) fn add(&mut self, other: Outcome) {
        self.stored += other.stored;
        self.duplicate += other.duplicate;
        self.rejected.extend(other.rejected);
        self.samples += other.samples;
        self.ledger += other.ledger;
        self.recovered += other.recovered;
    }

    /// Into the metrics.
    pub(super) fn count(&self) {
        let reports =
            |outcome, count: usize| metrics::counter!("ingest_reports_total", "outcome" => outcome).increment(count as u64);
        reports("stored", self.stored);
        reports("duplicate", self.duplicate);
        reports("rejected", self.rejected.len());
        metrics::counter!("ingest_samples_total").increment(self.samples as u64);
        let ledger = self.ledger;
        metrics::counter!("ledger_late_reports_total").increment(ledger.late.cast_unsigned());
        for (name, counts) in [("ledger_missing_reports_total", ledger), ("ledger_recovered_reports_total", self.recovered)] {
            for (kind, count) in
                [("thinned", counts.thinned), ("dropped", counts.dropped), ("damaged", counts.damaged), ("lost", counts.lost)]
            {
                metrics::counter!(name, "kind" => kind).increment(count.cast_unsigned());
            }
        }
    }
}

impl Ingest {
    /// Locks the hosts of the batch in id order, stores what is new, evaluates it host by host in event-time order, accounts for
    /// every record, appends events, commits.
    pub(super) async fn apply(&self, part: Part<'_>, now: i64) -> Result<Outcome> {
        if part.reports.is_empty() && part.rejected.is_empty() {
            return Ok(Outcome::default());
        }
        let dialect = self.store.dialect();
        let mut by_host = by_host(part);
        let mut transaction = self.store.begin().await?;
        let connection: &mut Connection = &mut transaction;
        let host_ids: Vec<&str> = by_host.keys().copied().collect();
        // a report that is not stored makes no host
        let is_stored = |id: &str| by_host[id].iter().any(|record| matches!(record, Record::Report(_)));
        let mut hosts = store::hosts::lock_or_create(connection, dialect, &host_ids, is_stored).await?;
        let rules = self.rules.current(connection).await?;
        let mut outcome = Outcome::default();
        let mut new_reports = Vec::new();
        let mut new_forms = Vec::new();
        let mut events = Vec::new();
        let (mut known, mut stored_forms, mut windows) = (Vec::new(), Vec::new(), Vec::new());
        let mut changes = Vec::new();
        let mut is_moved = false;
        let delivery = Delivery { partition: part.partition, now, kept_from: now - self.retention_ms };
        for host in &mut hosts {
            let Some(mut records) = by_host.remove(host.row.host_id.as_str()) else { continue };
            records.sort_by_key(Record::offset);
            let before = host.row.clone();
            let sorted = accounting::sort_out(connection, dialect, &mut host.row, &records, delivery, &mut changes).await?;
            outcome.stored += sorted.new.len();
            outcome.duplicate += sorted.duplicate;
            outcome.rejected.extend(sorted.rejected);
            let mut payloads = Payloads::new(&before, self.stored_forms.get(before.host_key), &mut new_forms);
            for new in &sorted.new {
                let ReportId { epoch, seq } = new.report.figures.id;
                let (host_key, at, epoch, seq) = (before.host_key, new.stored_at, epoch.cast_signed(), seq.cast_signed());
                let payload = payloads.of(new)?;
                new_reports.push(NewReport { host_key, at, epoch, seq, received_at: now, payload });
            }
            stored_forms.extend(payloads.changed());
            let mut state = HostState::from_text(&host.evaluation).map_err(StoreError::Corrupt)?;
            state.windows = self.windows.read(connection, host).await?;
            let known_before = self.known.get(host.row.host_key);
            let mut machines = Machines { rules: &rules, known: known_before, is_new: false, inventory: None };
            outcome.samples +=
                advance(connection, host, &mut machines, (&mut state, &self.silences), &sorted.new, now, &mut events).await?;
            if let Some(changed) = state.windows.take_change() {
                host.windows = KeptWindows::Changed(changed);
            }
            if !state.windows.is_empty() {
                windows.push((host.row.host_key, (host.row.last_report_at, state.windows)));
            }
            known.extend(machines.known.filter(|_| machines.is_new).map(|known| (host.row.host_key, known)));
            is_moved |= host.row != before;
        }
        store::forms::insert(connection, &new_forms).await?;
        store::reports::insert(connection, &new_reports).await?;
        if is_moved {
            store::hosts::save(connection, dialect, &hosts).await?;
            store::hosts::save_windows(connection, dialect, &hosts).await?;
        }
        let of_no_host = |rejected: &&RejectedReport| {
            !rejected.name.as_ref().is_some_and(|name| hosts.iter().any(|host| host.row.host_id == name.host_id))
        };
        let unknown: Vec<_> = part.rejected.iter().filter(of_no_host).collect();
        accounting::account_for_unknown(connection, dialect, &unknown, delivery, &mut changes).await?;
        store::ledger::add(connection, dialect, &changes).await?;
        (outcome.ledger, outcome.recovered) = accounting::gained_and_lost(&changes);
        store::events::append(connection, &events, now).await?;
        transaction.commit().await?;
        self.known.keep(known);
        self.stored_forms.keep(stored_forms);
        self.windows.keep(windows);
        Ok(outcome)
    }
}

fn by_host(part: Part<'_>) -> BTreeMap<&str, Vec<Record<'_>>> {
    let mut by_host: BTreeMap<&str, Vec<Record<'_>>> = BTreeMap::new();
    for report in part.reports {
        by_host.entry(report.form.host_id()).or_default().push(Record::Report(report));
    }
    for rejected in part.rejected {
        if let Some(name) = &rejected.name {
            by_host.entry(&name.host_id).or_default().push(Record::Rejected(rejected, name));
        }
    }
    by_host
}

/// The machines of a locked host.
struct Machines<'a> {
    rules: &'a Arc<RuleSet>,
    known: Option<Arc<Known>>,
    /// Whether that was found out in this transaction.
    is_new: bool,
    /// Read when it is needed, which it mostly is not.
    inventory: Option<Inventory>,
}

impl Machines<'_> {
    async fn inventory(&mut self, connection: &mut Connection, host: &HostRow) -> Result<&mut Inventory> {
        let inventory = match self.inventory.take() {
            Some(inventory) => inventory,
            None => Inventory::load(connection, host).await?,
        };
        Ok(self.inventory.insert(inventory))
    }

    /// Brings the stored machines in step with a report of this form and time, and says what to evaluate in it.
    async fn plan(
        &mut self,
        connection: &mut Connection,
        host: &mut HostRow,
        (form, at): (&Arc<Form>, i64),
        events: &mut Vec<NewEvent>,
    ) -> Result<Arc<Known>> {
        let rules = self.rules;
        if let Some(known) = &self.known
            && known.holds(host, form, rules)
        {
            return Ok(Arc::clone(known));
        }
        let report = form.places();
        let machines = machine_readings(&report);
        let inventory = self.inventory(connection, host).await?;
        inventory::sync(connection, host, inventory, (&report, at), &machines, events).await?;
        let machines: Vec<_> =
            machines.into_iter().filter_map(|machine| Some((inventory.id(machine.kind, &machine.identity)?, machine))).collect();
        let mut shape = Shape::of(&report, &machines);
        if !rules.of_metric(Kind::Container, MISSING).is_empty() {
            shape = shape.with_missing(inventory::missing(connection, host, (&report, at)).await?);
        }
        let plan = Plan::new(Arc::clone(rules), shape);
        if plan.left_out() > 0 {
            let (host_id, left_out) = (&host.host_id, plan.left_out());
            warn!(%host_id, left_out, "more than {WINDOWS_PER_HOST} series are looked back at: the others are not evaluated");
        }
        let known = Arc::new(Known::new(host, form, &report, plan));
        (self.known, self.is_new) = (Some(Arc::clone(&known)), true);
        Ok(known)
    }
}

/// Moves a host on by its new reports; late ones decide nothing, but they show that it is alive. Returns the number of samples.
async fn advance(
    connection: &mut Connection,
    host: &mut LockedHost,
    machines: &mut Machines<'_>,
    (state, silences): (&mut HostState, &Silences),
    reports: &[Accepted<'_>],
    now: i64,
    events: &mut Vec<NewEvent>,
) -> Result<usize> {
    let mut samples = 0;
    let mut transitions = Vec::new();
    // as they are when a violation opens: a later report of the batch may no longer have the machine
    let mut opened = HashMap::new();
    let mut before_it: Option<Running> = None;
    let row = &mut host.row;
    for Accepted { report: DecodedReport { form, figures, .. }, is_late, .. } in reports {
        samples += form.machines();
        row.last_received_at = now;
        if *is_late {
            continue;
        }
        let at = figures.at;
        let known = machines.plan(connection, row, (form, at), events).await?;
        let before = transitions.len();
        evaluate(state, known.plan(), Sample::of(form, figures), &mut transitions);
        for transition in &transitions[before..] {
            let Transition::Opened { key, .. } = transition else { continue };
            let machine = match machines.inventory(connection, row).await?.by_id(key.machine_id) {
                Some(machine) => Some(machine.clone()),
                // it is missing
                None => store::machines::get(connection, key.machine_id).await?,
            };
            opened.extend(machine.map(|machine| ((key.machine_id, at), machine)));
        }
        let running = known.running(figures);
        if running.booted_after(row.last_report_at).is_some() {
            let before = match before_it.filter(|before| before.at == row.last_report_at) {
                Some(before) => before,
                None => stored_before(connection, row).await?,
            };
            let machine = machines.inventory(connection, row).await?.get(Kind::Host, "");
            if let (Some(booted_at), Some(found)) = (running.booted_since(before), machine) {
                let name = "machine.rebooted";
                events.push(machine::event(name, found, &row.host_id, &found.name, "rebooted", booted_at));
            }
        }
        before_it = Some(running);
        row.interval_ms = i64::from(form.interval_ms());
        row.last_report_at = at;
    }
    if row.is_down && !reports.is_empty() {
        row.is_down = false;
        let rules = machines.rules;
        if let Some(found) = machines.inventory(connection, row).await?.get(Kind::Host, "") {
            let (name, state) = (&found.name, &found.state);
            events.push(machine::event("machine.up", found, &row.host_id, name, state, row.last_report_at));
            absence::is_back(connection, (&row.host_id, found), (rules, silences), now, events).await?;
        }
    }
    host.evaluation = state.to_text();
    if !transitions.is_empty() {
        let machine = machines.inventory(connection, &host.row).await?.get(Kind::Host, "");
        let host_name = machine.map(|machine| machine.name.clone()).unwrap_or_default();
        write_violations(connection, silences, (&host.row, &host_name), &opened, transitions, now, events).await?;
    }
    Ok(samples)
}

/// A host's newest stored report, as far as it tells of its start.
async fn stored_before(connection: &mut Connection, host: &HostRow) -> Result<Running> {
    let report = newest_reports(connection, &[host.host_key]).await?.remove(&host.host_key);
    let uptime = report.and_then(|report| report.metrics.get(UPTIME).copied().flatten());
    Ok(Running { at: host.last_report_at, uptime })
}

/// Writes transitions in their order. A violation that is over within the batch is not announced as new. `opened` has the machine of
/// each that opens, by its id and the time.
async fn write_violations(
    connection: &mut Connection,
    silences: &Silences,
    (host, host_name): (&HostRow, &str),
    opened: &HashMap<(i64, i64), MachineRow>,
    transitions: Vec<Transition>,
    now: i64,
    events: &mut Vec<NewEvent>,
) -> Result<()> {
    let closed: HashSet<(SeriesKey, i64)> = transitions
        .iter()
        .filter_map(|transition| match transition {
            Transition::Closed { key, opened_at, .. } => Some((key.clone(), *opened_at)),
            _ => None,
        })
        .collect();
    for transition in only_last_peaks(transitions) {
        match transition {
            Transition::Opened { key, threshold, at, value, peak } => {
                let machine = opened
                    .get(&(key.machine_id, at))
                    .ok_or_else(|| StoreError::Corrupt(format!("no machine {}", key.machine_id)))?;
                let is_over = closed.contains(&(key.clone(), at));
                let subject = Subject {
                    kind: machine.kind,
                    machine_id: key.machine_id,
                    machine_name: &machine.name,
                    host_id: &host.host_id,
                    host_name,
                };
                let opening = Opening { rule: &threshold, device: &key.device, at, value, peak, detected_at: now };
                let violation = Violation::opened(subject, opening);
                if is_over {
                    opening::open_unannounced(connection, silences, violation).await?;
                } else {
                    opening::open(connection, silences, violation, events).await?;
                }
            }
            Transition::Worsened { key, opened_at, peak } => {
                store::violations::set_peak(connection, &key, opened_at, peak).await?;
            }
            Transition::Closed { key, opened_at, at, value, reason, version } => {
                let closing = Closing { at, value, reason, version };
                opening::close(connection, (&key, opened_at), closing, events).await?;
            }
        }
    }
    Ok(())
}

/// Of several new worst values of one violation only the last is worth a statement.
fn only_last_peaks(transitions: Vec<Transition>) -> Vec<Transition> {
    let mut seen = HashSet::new();
    let mut kept: Vec<_> = transitions
        .into_iter()
        .rev()
        .filter(|transition| match transition {
            Transition::Worsened { key, opened_at, .. } => seen.insert((key.clone(), *opened_at)),
            _ => true,
        })
        .collect();
    kept.reverse();
    kept
}
