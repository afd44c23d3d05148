//! The api-backend's tables, read from behind its back.

mod sealed;

use std::collections::{BTreeMap, HashMap};

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use sqlx::any::{AnyRow, install_default_drivers};
use sqlx::{AnyConnection, Connection, Row};
use wire_model::ReportId;

use super::head;

pub(super) use sealed::{ChunkRow, FIVE_MINUTES, HostIndex, RAW};

pub(super) struct Store(AnyConnection);

/// One stored report.
pub(super) struct StoredReport {
    pub(super) id: ReportId,
    /// Its own time, Unix ms.
    pub(super) at: i64,
    pub(super) kept: Kept,
}

/// Where it is.
pub(super) enum Kept {
    /// In `reports`: when it came (Unix ms), and what, as `head` reads it.
    AsItCame { received_at: i64, payload: Vec<u8> },
    /// In `stretches`, with this state, and its values in `chunks`.
    Sealed(i64),
}

impl Kept {
    /// Whether a newer report of its host was there when it came; `None` where that is not told.
    pub(super) fn is_late(&self) -> Option<bool> {
        match self {
            Kept::AsItCame { payload, .. } => Some(head::is_late(payload)),
            Kept::Sealed(0) => None,
            Kept::Sealed(state) => Some(state & 1 == 1),
        }
    }
}

/// Kind (`host`, `container`) and identity, which is empty for the host.
pub(super) type Machine = (String, String);

/// A threshold as it stands.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) id: i64,
    pub(super) kind: String,
    pub(super) machine_id: Option<i64>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) metric: String,
    pub(super) device: Option<String>,
    /// `value`, `change` or `time_until_full`.
    pub(super) quantity: String,
    pub(super) window_ms: i64,
    pub(super) is_above: bool,
    pub(super) value: f64,
    pub(super) recovery_value: f64,
    pub(super) for_ms: i64,
    pub(super) recovery_for_ms: i64,
    pub(super) severity: String,
    /// Or it takes the place of those that do.
    pub(super) opens: bool,
}

/// Names one stay of one series beyond one threshold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct StayKey {
    pub(super) machine: Machine,
    /// Empty where the metric is of the machine itself.
    pub(super) device: String,
    pub(super) threshold_id: i64,
    pub(super) opened_at: i64,
}

/// What is told of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stay {
    pub(super) metric: String,
    pub(super) opened_value: f64,
    pub(super) peak_value: f64,
    pub(super) closed_at: Option<i64>,
    pub(super) closed_value: Option<f64>,
    pub(super) close_reason: Option<String>,
}

/// What the backend's ledger says of one host.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) stored: i64,
    pub(super) gaps: Vec<Gap>,
}

/// Reports of one epoch that are missing.
#[derive(Debug)]
pub(super) struct Gap {
    pub(super) epoch: u64,
    pub(super) from_seq: u64,
    pub(super) to_seq: u64,
}

/// One row of `events`.
pub(super) struct StoredEvent {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) body: String,
}

impl Store {
    pub(super) async fn open(url: &SecretString) -> sqlx::Result<Store> {
        install_default_drivers();
        Ok(Store(AnyConnection::connect(url.expose_secret()).await?))
    }

    /// Those that are not sealed.
    pub(super) async fn count_reports(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar("SELECT COUNT(*) FROM reports").fetch_one(&mut self.0).await
    }

    pub(super) async fn newest_event(&mut self) -> sqlx::Result<i64> {
        sqlx::query_scalar("SELECT value FROM counters WHERE name = 'last_event_id'").fetch_one(&mut self.0).await
    }

    /// Key of each host.
    pub(super) async fn hosts(&mut self) -> sqlx::Result<BTreeMap<String, i64>> {
        let rows = sqlx::query("SELECT host_id, host_key FROM hosts").fetch_all(&mut self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    pub(super) async fn reports(&mut self, host_key: i64) -> anyhow::Result<Vec<StoredReport>> {
        let sql = "SELECT epoch, seq, at, received_at, payload FROM reports WHERE host_key = ? ORDER BY at";
        let rows = sqlx::query(sql).bind(host_key).fetch_all(&mut self.0).await?;
        let report = |row: &AnyRow| {
            let id = ReportId { epoch: number(row, 0)?, seq: number(row, 1)? };
            let kept = Kept::AsItCame { received_at: row.try_get(3)?, payload: row.try_get(4)? };
            Ok(StoredReport { id, at: row.try_get(2)?, kept })
        };
        rows.iter().map(report).collect()
    }

    /// Messages to which a host's reports may refer, by their times.
    pub(super) async fn forms(&mut self, host_key: i64) -> sqlx::Result<HashMap<i64, Vec<u8>>> {
        let rows = sqlx::query("SELECT at, message FROM forms WHERE host_key = ?").bind(host_key).fetch_all(&mut self.0).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// What the backend counts of a host.
    pub(super) async fn account(&mut self, host_key: i64) -> anyhow::Result<Account> {
        let sql = "SELECT CAST(COALESCE(SUM(stored), 0) AS SIGNED) FROM ledger WHERE host_key = ?";
        let stored = sqlx::query_scalar(sql).bind(host_key).fetch_one(&mut self.0).await?;
        let sql = "SELECT epoch, from_seq, to_seq FROM gaps WHERE host_key = ?";
        let rows = sqlx::query(sql).bind(host_key).fetch_all(&mut self.0).await?;
        let gap = |row: &AnyRow| Ok(Gap { epoch: number(row, 0)?, from_seq: number(row, 1)?, to_seq: number(row, 2)? });
        Ok(Account { stored, gaps: rows.iter().map(gap).collect::<anyhow::Result<_>>()? })
    }

    /// Id of each machine of a host.
    pub(super) async fn machines(&mut self, host_key: i64) -> sqlx::Result<BTreeMap<Machine, i64>> {
        let sql = "SELECT kind, identity, machine_id FROM machines WHERE host_key = ?";
        let rows = sqlx::query(sql).bind(host_key).fetch_all(&mut self.0).await?;
        rows.iter().map(|row| Ok(((row.try_get(0)?, row.try_get(1)?), row.try_get(2)?))).collect()
    }

    /// All thresholds that are enabled.
    pub(super) async fn rules(&mut self) -> anyhow::Result<Vec<Rule>> {
        let sql = "SELECT threshold_id, kind, machine_id, metric, device, direction, value, recovery_value, for_seconds, severity, \
                   labels, quantity, window_seconds, recovery_for_seconds, effect FROM thresholds WHERE enabled = 1 ORDER BY threshold_id";
        let rows = sqlx::query(sql).fetch_all(&mut self.0).await?;
        let rule = |row: &AnyRow| {
            Ok(Rule {
                id: row.try_get(0)?,
                kind: row.try_get(1)?,
                machine_id: row.try_get(2)?,
                metric: row.try_get(3)?,
                device: row.try_get(4)?,
                is_above: match row.try_get::<String, _>(5)?.as_str() {
                    "above" => true,
                    "below" => false,
                    other => anyhow::bail!("\"{other}\" is no direction"),
                },
                value: row.try_get(6)?,
                recovery_value: row.try_get(7)?,
                for_ms: row.try_get::<i64, _>(8)? * 1_000,
                severity: row.try_get(9)?,
                labels: serde_json::from_str(&row.try_get::<String, _>(10)?)?,
                quantity: row.try_get(11)?,
                window_ms: row.try_get::<i64, _>(12)? * 1_000,
                recovery_for_ms: row.try_get::<i64, _>(13)? * 1_000,
                opens: row.try_get::<String, _>(14)? == "open",
            })
        };
        rows.iter().map(rule).collect()
    }

    /// The violations of a host and its containers, but for those of its silence and its clock: no report opens them.
    pub(super) async fn violations(&mut self, host_id: &str) -> sqlx::Result<Vec<(StayKey, Stay)>> {
        let sql = "SELECT m.kind, m.identity, v.device, v.threshold_id, v.opened_at, v.metric, v.opened_value, v.peak_value, \
                   v.closed_at, v.closed_value, v.close_reason \
                   FROM violations v JOIN machines m ON m.machine_id = v.machine_id WHERE v.host_id = ? AND v.metric NOT IN ('host.missing', 'system.clock.skew')";
        let rows = sqlx::query(sql).bind(host_id.to_owned()).fetch_all(&mut self.0).await?;
        let violation = |row: &AnyRow| {
            let machine = (row.try_get(0)?, row.try_get(1)?);
            let key = StayKey { machine, device: row.try_get(2)?, threshold_id: row.try_get(3)?, opened_at: row.try_get(4)? };
            let stay = Stay {
                metric: row.try_get(5)?,
                opened_value: row.try_get(6)?,
                peak_value: row.try_get(7)?,
                closed_at: row.try_get(8)?,
                closed_value: row.try_get(9)?,
                close_reason: row.try_get(10)?,
            };
            Ok((key, stay))
        };
        rows.iter().map(violation).collect()
    }

    /// In order of their ids.
    pub(super) async fn events(&mut self) -> anyhow::Result<Vec<StoredEvent>> {
        let rows = sqlx::query("SELECT event_id, name, body FROM events ORDER BY event_id").fetch_all(&mut self.0).await?;
        let event = |row: &AnyRow| Ok(StoredEvent { id: row.try_get(0)?, name: row.try_get(1)?, body: row.try_get(2)? });
        rows.iter().map(event).collect::<sqlx::Result<_>>().context("decode the events")
    }
}

fn number(row: &AnyRow, column: usize) -> anyhow::Result<u64> {
    Ok(u64::try_from(row.try_get::<i64, _>(column)?)?)
}
