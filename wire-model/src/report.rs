//! `HostReport`: what one collector says of its host and all its containers at one instant. One Kafka message.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The version of the report's shape that this code writes and reads.
pub const SCHEMA: u32 = 1;
/// The table whose rows are machines of their own.
pub const CONTAINER_TABLE: &str = "container";

/// One report. The message key in Kafka is `host.id`.
///
/// (`host.id`, `epoch`, `seq`) names a report in the ledger, (`host.id`, `at`) in the store. `previous` and `removed` tell the
/// ledger what is missing before this report, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostReport {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// Who reports.
    pub host: HostInfo,
    /// Rises by one each time the collector starts.
    pub epoch: u64,
    /// Rises by one each report, from 1 in every epoch.
    pub seq: u64,
    /// Unix ms when the values were read.
    pub at: i64,
    /// Configured distance to the next report.
    pub interval_ms: u32,
    /// The last report of the epochs before this one, as far as the collector knows; the same in all reports of an epoch.
    /// `None` at the collector's first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReportId>,
    /// Metrics of the host itself by catalog name; `None` (`null`) where a value could not be read.
    #[serde(with = "numbers")]
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Parts of the host by table name: filesystem, disk, network, sensor, container. A table that could not be read is
    /// absent; one that is there is complete, so a missing row means that the device or container is gone.
    pub tables: BTreeMap<String, Table>,
    /// Reports that the collector made just before this one and then had to remove from its spool; absent when there are none.
    /// Written last, when the report leaves the spool: see [`with_removed`].
    #[serde(default, skip_serializing_if = "Removed::is_none")]
    pub removed: Removed,
}

/// Names a report among those of its host, in the order in which they were made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ReportId {
    /// Start of the collector.
    pub epoch: u64,
    /// Number in the epoch, from 1.
    pub seq: u64,
}

/// How many reports a collector had to remove, by the reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The spool was full: one report of ten was kept.
    #[serde(default)]
    pub thinned: u64,
    /// The spool was full of thinned reports, or Kafka would never take the report.
    #[serde(default)]
    pub dropped: u64,
    /// The spool's disk gave back something else than was written.
    #[serde(default)]
    pub damaged: u64,
}

impl Removed {
    /// Whether nothing was removed.
    pub fn is_none(&self) -> bool {
        *self == Removed::default()
    }

    /// Of all kinds together.
    pub fn total(&self) -> u64 {
        self.thinned.saturating_add(self.dropped).saturating_add(self.damaged)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Removed) -> Removed {
        Removed {
            thinned: self.thinned.saturating_add(other.thinned),
            dropped: self.dropped.saturating_add(other.dropped),
            damaged: self.damaged.saturating_add(other.damaged),
        }
    }

    /// What is left without the other.
    #[must_use]
    pub fn minus(self, other: Removed) -> Removed {
        Removed {
            thinned: self.thinned.saturating_sub(other.thinned),
            dropped: self.dropped.saturating_sub(other.dropped),
            damaged: self.damaged.saturating_sub(other.damaged),
        }
    }
}

/// The bytes that [`with_removed`] adds at most.
pub const REMOVED_BYTES: usize = 128;

/// An encoded report (of [`HostReport::encode`], with nothing removed) as the message that also says what was removed before it.
/// At most [`REMOVED_BYTES`] longer, and the same bytes when nothing was.
pub fn with_removed(message: &[u8], removed: Removed) -> Cow<'_, [u8]> {
    if removed.is_none() {
        return Cow::Borrowed(message);
    }
    let body = message.strip_suffix(b"}").unwrap_or(message);
    let removed = serde_json::to_string(&removed).expect("numbers write to memory");
    Cow::Owned([body, b",\"removed\":", removed.as_bytes(), b"}"].concat())
}

/// The host as it describes itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostInfo {
    /// Stable over restarts and renames; at most [`NAME_CHARS`](crate::limits::NAME_CHARS).
    pub id: String,
    /// What people call it.
    pub name: String,
    /// `HOST_LABELS` of the collector.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// `PRETTY_NAME` of os-release.
    #[serde(default)]
    pub os: Option<String>,
    /// Kernel release.
    #[serde(default)]
    pub kernel: Option<String>,
    /// Logical CPUs online.
    #[serde(default)]
    pub cpus: Option<u32>,
    /// Version of the collector.
    #[serde(default)]
    pub collector: Option<String>,
}

/// Columns and rows, because that is as small as a binary format and still reads with `jq`.
///
/// The first column is the device's name, unique in the table (for containers: the column `name`). A column with a dot in
/// its name is a metric and holds numbers or null; one without is an attribute. See [`is_metric`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Rows, each as long as `columns`.
    pub rows: Vec<Vec<Cell>>,
}

impl Table {
    /// Position of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }
}

/// Whether a column (or a name in general) is a metric: it has a dot, as all OpenTelemetry metric names do.
pub fn is_metric(name: &str) -> bool {
    name.contains('.')
}

/// One value of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Could not be read, or does not apply.
    Null,
    /// A metric, or a count or time among the attributes. Always finite.
    Number(f64),
    /// An attribute.
    Text(String),
    /// Labels of a container.
    Labels(BTreeMap<String, String>),
}

impl Cell {
    /// The number in it.
    pub fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// The text in it.
    pub fn text(&self) -> Option<&str> {
        match self {
            Cell::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The labels in it.
    pub fn labels(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Cell::Labels(labels) => Some(labels),
            _ => None,
        }
    }
}

impl From<Option<f64>> for Cell {
    /// A value that is not finite was not measured.
    fn from(value: Option<f64>) -> Cell {
        value.filter(|value| value.is_finite()).map_or(Cell::Null, Cell::Number)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::Text(text.to_owned())
    }
}

impl From<Option<&str>> for Cell {
    fn from(text: Option<&str>) -> Cell {
        text.map_or(Cell::Null, Cell::from)
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Cell::Null => serializer.serialize_none(),
            Cell::Number(value) => numbers::Number(*value).serialize(serializer),
            Cell::Text(text) => serializer.serialize_str(text),
            Cell::Labels(labels) => labels.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Cell, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

/// By hand: serde's untagged enums buffer every value before they try the variants.
struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a number, a text, labels or null")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Cell, A::Error> {
        let mut labels = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            labels.insert(key, value);
        }
        Ok(Cell::Labels(labels))
    }
}

mod numbers {
    //! Numbers as short as they can be: `1048576`, not `1048576.0`; what is not finite is null.

    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    /// Integers up to here are exact in an `f64`.
    const EXACT: f64 = 9_007_199_254_740_992.0;

    pub(super) struct Number(pub(super) f64);

    impl Serialize for Number {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within ±2^53")]
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            if self.0.fract() == 0.0 && self.0.abs() <= EXACT {
                serializer.serialize_i64(self.0 as i64)
            } else {
                serializer.serialize_f64(self.0)
            }
        }
    }

    pub(super) fn serialize<S: Serializer>(values: &BTreeMap<String, Option<f64>>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(name, value)| (name, value.map(Number))))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Option<f64>>, D::Error> {
        BTreeMap::deserialize(deserializer)
    }
}
