//! Machines by their labels.

use std::collections::{BTreeMap, HashMap};

use crate::machine;
use crate::store::machines::MachineRow;
use crate::store::violation_filter::Labelled;
use crate::store::{self, Connection, Result};
use crate::thresholds::Kind;

/// A label that a machine may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    key: String,
    /// Any, when it is absent.
    value: Option<String>,
}

impl Label {
    /// Reads `key=value`, or `key` alone.
    pub fn parse(text: &str) -> Label {
        match text.split_once('=') {
            Some((key, value)) => Label { key: key.to_owned(), value: Some(value.to_owned()) },
            None => Label { key: text.to_owned(), value: None },
        }
    }

    /// Whether it is among these, a JSON object of texts.
    pub fn is_in(&self, labels: &str) -> bool {
        let labels: BTreeMap<String, String> = serde_json::from_str(labels).unwrap_or_default();
        labels.get(&self.key).is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found))
    }

    /// How it stands in such an object, and perhaps in others too.
    fn text(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let value = self.value.as_deref().map(quoted).unwrap_or_default();
        format!("{}:{value}", quoted(&self.key))
    }
}

/// The machines that have all of these labels, each of them of their own or of their host.
pub async fn labelled(connection: &mut Connection, labels: &[Label]) -> Result<Labelled> {
    let texts: Vec<String> = labels.iter().map(Label::text).collect();
    let rows = store::machines::with_labels_like(connection, &texts).await?;
    let (host_keys, machine_ids) = having(&rows, labels);
    let mut host_ids: Vec<_> = store::hosts::ids(connection, &host_keys).await?.into_iter().map(|(_, id)| id).collect();
    host_ids.sort_unstable();
    Ok(Labelled { host_ids, machine_ids })
}

/// The labels of machines as rules see them, as they were last described; those of forgotten machines are not there.
pub async fn labels_of(connection: &mut Connection, machine_ids: &[i64]) -> Result<HashMap<i64, BTreeMap<String, String>>> {
    let mut ids = machine_ids.to_vec();
    ids.sort_unstable();
    ids.dedup();
    let rows = store::machines::of_ids(connection, &ids).await?;
    let mut host_keys: Vec<i64> = rows.iter().map(|row| row.host_key).collect();
    host_keys.sort_unstable();
    host_keys.dedup();
    let names: Vec<_> = host_keys.iter().map(|host_key| (*host_key, Kind::Host, "")).collect();
    let hosts = store::machines::named(connection, &names).await?;
    let hosts: HashMap<i64, &MachineRow> = hosts.iter().map(|row| (row.host_key, row)).collect();
    Ok(rows.iter().map(|row| (row.machine_id, gathered(row, hosts.get(&row.host_key).copied()))).collect())
}

fn gathered(row: &MachineRow, host: Option<&MachineRow>) -> BTreeMap<String, String> {
    let host_labels = host.map(|host| serde_json::from_str(&host.labels).unwrap_or_default()).unwrap_or_default();
    machine::as_stored(row, host.map_or("", |host| &host.name), &host_labels).labels
}

/// Keys of hosts that have all labels, and ids of containers of other hosts that have all with their hosts' help. `rows` has each machine that has any.
fn having(rows: &[MachineRow], labels: &[Label]) -> (Vec<i64>, Vec<i64>) {
    let has = |row: &MachineRow| labels.iter().map(|label| label.is_in(&row.labels)).collect::<Vec<bool>>();
    let (hosts, containers): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.kind == Kind::Host);
    let hosts: HashMap<i64, Vec<bool>> = hosts.into_iter().map(|row| (row.host_key, has(row))).collect();
    let all = |host_key: &i64| hosts.get(host_key).is_some_and(|has| has.iter().all(|has| *has));
    let has_all = |row: &&&MachineRow| {
        let own = has(row);
        let of_host = |number: usize| hosts.get(&row.host_key).is_some_and(|has| has[number]);
        !all(&row.host_key) && own.iter().enumerate().all(|(number, has)| *has || of_host(number))
    };
    let machine_ids = containers.iter().filter(has_all).map(|row| row.machine_id).collect();
    let mut host_keys: Vec<i64> = hosts.keys().copied().filter(all).collect();
    host_keys.sort_unstable();
    (host_keys, machine_ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(machine_id: i64, host_key: i64, kind: Kind, labels: &str) -> MachineRow {
        MachineRow {
            machine_id,
            host_key,
            kind,
            identity: String::new(),
            name: String::new(),
            state: String::new(),
            labels: labels.to_owned(),
            facts: "{}".to_owned(),
            first_seen_at: 0,
            gone_at: None,
        }
    }

    #[test]
    fn a_label_has_a_value_or_any() {
        let labels = serde_json::json!({"rack": "a1", "odd \"key\"": "a=b"}).to_string();
        for (text, expected) in
            [("rack=a1", true), ("rack", true), ("rack=a", false), ("rack=", false), ("a1", false), ("odd \"key\"=a=b", true)]
        {
            let label = Label::parse(text);
            assert_eq!(label.is_in(&labels), expected, "{text}");
            assert!(!expected || labels.contains(&label.text()), "{text}");
        }
        assert!(!Label::parse("rack").is_in("not JSON"));
    }

    #[test]
    fn labels_are_a_machines_own_or_its_hosts() {
        let rows = [
            row(1, 1, Kind::Host, r#"{"rack":"a1","role":"db"}"#),
            row(2, 1, Kind::Container, r#"{"rack":"a1"}"#),
            row(3, 2, Kind::Host, r#"{"rack":"a1"}"#),
            row(4, 2, Kind::Container, r#"{"role":"db"}"#),
            row(5, 2, Kind::Container, r#"{"role":"web"}"#),
            row(6, 3, Kind::Container, r#"{"rack":"a1","role":"db"}"#),
            row(7, 4, Kind::Container, r#"{"role":"db"}"#),
        ];
        let check = |labels: &[&str], expected: (Vec<i64>, Vec<i64>)| {
            let labels: Vec<_> = labels.iter().map(|text| Label::parse(text)).collect();
            assert_eq!(having(&rows, &labels), expected, "{labels:?}");
        };
        check(&["rack=a1"], (vec![1, 2], vec![6]));
        check(&["rack=a1", "role=db"], (vec![1], vec![4, 6]));
        check(&["role"], (vec![1], vec![4, 5, 6, 7]));
        check(&["floor"], (vec![], vec![]));
    }
}
