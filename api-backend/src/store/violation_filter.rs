//! Which violations are meant, as SQL.

use super::Query;
use crate::thresholds::{Kind, Severity};

/// Which violations to list or to count. Within a list any of the values, among lists all of them; an empty list asks for nothing.
#[derive(Clone, Debug, Default)]
pub struct ViolationFilter {
    /// Of these machines.
    pub machine_ids: Vec<i64>,
    /// Of these hosts and their containers.
    pub host_ids: Vec<String>,
    /// Of these machines by their labels.
    pub labelled: Option<Labelled>,
    /// Of these metrics.
    pub metrics: Vec<String>,
    /// Of these devices.
    pub devices: Vec<String>,
    /// Of these kinds of machines.
    pub kinds: Vec<Kind>,
    /// Of these severities.
    pub severities: Vec<Severity>,
    /// Of these rules.
    pub threshold_ids: Vec<i64>,
    /// Open or closed now.
    pub is_open: Option<bool>,
    /// Acknowledged or not.
    pub is_acknowledged: Option<bool>,
}

/// Machines that have certain labels: those of some hosts, and some containers of other hosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labelled {
    /// Hosts, with all their containers.
    pub host_ids: Vec<String>,
    /// Containers of other hosts.
    pub machine_ids: Vec<i64>,
}

impl Labelled {
    /// How many hosts and containers are named.
    pub fn len(&self) -> usize {
        self.host_ids.len() + self.machine_ids.len()
    }

    /// Whether no machine has the labels.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is bound.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Number(i64),
    Text(String),
}

/// Conditions that all hold.
#[derive(Clone, Debug)]
pub(super) struct Conditions {
    sql: String,
    values: Vec<Value>,
}

impl Conditions {
    fn none() -> Conditions {
        Conditions { sql: "1 = 1".to_owned(), values: Vec::new() }
    }

    pub(super) fn and(mut self, condition: &str, values: impl IntoIterator<Item = Value>) -> Conditions {
        self.sql += " AND ";
        self.sql += condition;
        self.values.extend(values);
        self
    }

    fn one_of(self, column: &str, values: Vec<Value>) -> Conditions {
        if values.is_empty() { self } else { self.and(&is_one_of(column, values.len()), values) }
    }

    /// With an upper or a lower end of the times of opening, where there is one.
    pub(super) fn opened(self, from: Option<i64>, to: Option<i64>) -> Conditions {
        let ends = [("opened_at >= ?", from), ("opened_at < ?", to)];
        ends.into_iter().fold(self, |all, (sql, end)| if let Some(end) = end { all.and(sql, [Value::Number(end)]) } else { all })
    }

    /// With the value of a LIMIT that follows them.
    pub(super) fn limit(mut self, limit: Value) -> Conditions {
        self.values.push(limit);
        self
    }

    pub(super) fn sql(&self) -> &str {
        &self.sql
    }

    pub(super) fn bind<'q>(&'q self, query: Query<'q>) -> Query<'q> {
        self.values.iter().fold(query, |query, value| match value {
            Value::Number(number) => query.bind(number),
            Value::Text(text) => query.bind(text),
        })
    }
}

fn is_one_of(column: &str, values: usize) -> String {
    format!("{column} IN ({})", super::placeholders(values))
}

/// A way to violations: an index that has them in the order of opening for one value of its first column.
#[derive(Clone, Debug)]
pub(super) struct Way {
    pub(super) index: &'static str,
    /// The first column and its value; `None` where the index begins with the time of opening.
    pub(super) of: Option<(&'static str, Value)>,
}

impl Way {
    /// In which all are.
    pub(super) const ALL: Way = Way { index: "violations_opened", of: None };

    /// Of those that lasted for this class of durations; 0: those that are open.
    pub(super) fn of_span(span: i64) -> Way {
        Way { index: "violations_span", of: Some(("span", Value::Number(span))) }
    }

    /// Of those of this severity.
    pub(super) fn of_severity(severity: Severity) -> Way {
        Way { index: "violations_severity", of: Some(("severity", text(severity.as_str()))) }
    }

    pub(super) fn conditions(&self, filter: &ViolationFilter) -> Conditions {
        let all = filter.conditions();
        match &self.of {
            Some((column, value)) => all.and(&format!("{column} = ?"), [value.clone()]),
            None => all,
        }
    }
}

/// More values than these are looked up in violations that are found another way.
const WAYS: usize = 50;

impl ViolationFilter {
    /// The ways that pass the fewest violations of others; together they have each that is meant, once. Databases choose worse: SQLite knows nothing of how
    /// often a value is there, and MariaDB prefers an index in which the first page might come early.
    pub(super) fn ways(&self) -> Vec<Way> {
        let numbers = |index, column, ids: &[i64]| {
            ids.iter().map(|id| Way { index, of: Some((column, Value::Number(*id))) }).collect::<Vec<_>>()
        };
        let texts = |index, column, names: &[String]| {
            names.iter().map(|name| Way { index, of: Some((column, text(name))) }).collect::<Vec<_>>()
        };
        let machines = |ids: &[i64]| numbers("violations_machine", "machine_id", ids);
        let hosts = |ids: &[String]| texts("violations_host", "host_id", ids);
        let labelled = self
            .labelled
            .as_ref()
            .map(|found| [hosts(&found.host_ids), machines(&found.machine_ids)].concat())
            .unwrap_or_default();
        let open = if self.is_open == Some(true) { vec![Way::of_span(0)] } else { Vec::new() };
        let metrics = texts("violations_metric", "metric", &self.metrics);
        let severities = self.severities.iter().copied().map(Way::of_severity).collect();
        let choices = [open, machines(&self.machine_ids), hosts(&self.host_ids), labelled, metrics, severities];
        choices.into_iter().find(|ways| (1..=WAYS).contains(&ways.len())).unwrap_or_else(|| vec![Way::ALL])
    }

    fn conditions(&self) -> Conditions {
        let numbers = |ids: &[i64]| ids.iter().copied().map(Value::Number).collect::<Vec<_>>();
        let texts = |names: &[String]| names.iter().map(|name| text(name)).collect::<Vec<_>>();
        let mut all = Conditions::none()
            .one_of("machine_id", numbers(&self.machine_ids))
            .one_of("host_id", texts(&self.host_ids))
            .one_of("metric", texts(&self.metrics))
            .one_of("device", texts(&self.devices))
            .one_of("kind", self.kinds.iter().map(|kind| text(kind.as_str())).collect())
            .one_of("severity", self.severities.iter().map(|severity| text(severity.as_str())).collect())
            .one_of("threshold_id", numbers(&self.threshold_ids));
        if let Some(labelled) = &self.labelled {
            let (hosts, machines) = (texts(&labelled.host_ids), numbers(&labelled.machine_ids));
            all = match (hosts.is_empty(), machines.is_empty()) {
                (true, true) => all.and("1 = 0", []),
                (_, true) => all.one_of("host_id", hosts),
                (true, _) => all.one_of("machine_id", machines),
                _ => {
                    let either =
                        format!("({} OR {})", is_one_of("host_id", hosts.len()), is_one_of("machine_id", machines.len()));
                    all.and(&either, hosts.into_iter().chain(machines))
                }
            };
        }
        let is_there = [("closed_at", self.is_open.map(|is_open| !is_open)), ("acknowledged_at", self.is_acknowledged)];
        is_there.into_iter().fold(all, |all, (column, is_there)| match is_there {
            Some(true) => all.and(&format!("{column} IS NOT NULL"), []),
            Some(false) => all.and(&format!("{column} IS NULL"), []),
            None => all,
        })
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
