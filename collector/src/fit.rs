//! Cuts whatever is longer than the wire format's limits, so that a report is never rejected for a long label.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use wire_model::limits::{CONTAINERS, DEVICES, LABEL_CHARS, LABELS, NAME_CHARS};
use wire_model::{CONTAINER_TABLE, Cell, HostReport, Table};

/// Stands for an empty name and for control characters.
const REPLACEMENT: &str = "?";
/// Labels by which containers keep their identity; they come first when there are too many.
const COMPOSE: &str = "com.docker.compose.";
const IDENTITY: [&str; 4] = ["project", "service", "container-number", "oneoff"];

/// A name: not empty, short, without control characters and without spaces at its end.
pub(crate) fn name(name: &str) -> Cow<'_, str> {
    match cut(name, NAME_CHARS) {
        Cow::Borrowed(name) => Cow::Borrowed(some(name.trim_end_matches(' '))),
        Cow::Owned(name) => Cow::Owned(some(name.trim_end_matches(' ')).to_owned()),
    }
}

fn some(name: &str) -> &str {
    if name.is_empty() { REPLACEMENT } else { name }
}

/// Any other text.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    cut(text, LABEL_CHARS)
}

fn cut(text: &str, chars: usize) -> Cow<'_, str> {
    let end = text.char_indices().nth(chars).map_or(text.len(), |(end, _)| end);
    let text = &text[..end];
    if text.chars().any(char::is_control) { Cow::Owned(text.replace(char::is_control, REPLACEMENT)) } else { Cow::Borrowed(text) }
}

/// Labels of a container, the most important ones where there are too many.
pub(crate) fn labels<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    let mut all: Vec<_> = labels.collect();
    all.sort_by_key(|(key, _)| (importance(key), *key));
    let mut kept = BTreeMap::new();
    for (key, value) in all {
        if kept.len() == LABELS {
            break;
        }
        // of two keys that are the same when cut, the first stays
        kept.entry(text(key).into_owned()).or_insert_with(|| text(value).into_owned());
    }
    kept
}

/// Lower is more important.
fn importance(key: &str) -> u8 {
    match key.strip_prefix(COMPOSE) {
        Some(rest) if IDENTITY.contains(&rest) => 0,
        Some(_) => 1,
        None => 2,
    }
}

/// Makes the names in a column distinct: the second `disk` becomes `disk#2`.
pub(crate) fn table(table: &mut Table, column: usize) {
    let mut taken: HashSet<String> = HashSet::with_capacity(table.rows.len());
    for row in &mut table.rows {
        let Cell::Text(name) = &mut row[column] else { continue };
        let mut number = 1;
        let mut distinct = name.clone();
        while !taken.insert(distinct.clone()) {
            number += 1;
            let suffix = format!("#{number}");
            distinct = name.chars().take(NAME_CHARS - suffix.len()).collect::<String>() + &suffix;
        }
        *name = distinct;
    }
}

/// Shortens the tables of a report to the limits; the longest device table gives first. How many rows were cut off.
pub(crate) fn rows(report: &mut HostReport) -> usize {
    let mut cut = 0;
    if let Some(containers) = report.tables.get_mut(CONTAINER_TABLE) {
        cut += containers.rows.len().saturating_sub(CONTAINERS);
        containers.rows.truncate(CONTAINERS);
    }
    let devices = |report: &HostReport| -> usize {
        report.tables.iter().filter(|(name, _)| *name != CONTAINER_TABLE).map(|(_, table)| table.rows.len()).sum()
    };
    let excess = devices(report).saturating_sub(DEVICES);
    for _ in 0..excess {
        let longest =
            report.tables.iter_mut().filter(|(name, _)| *name != CONTAINER_TABLE).max_by_key(|(_, table)| table.rows.len());
        if let Some((_, table)) = longest {
            table.rows.pop();
        }
    }
    cut + excess
}

/// Encodes a report in at most `max_bytes`, at the cost of container labels, then of rows. Whether it had to give any.
pub(crate) fn encode(report: &mut HostReport, max_bytes: usize) -> (Vec<u8>, bool) {
    let mut message = report.encode();
    let mut labels = LABELS;
    let whole = message.len() <= max_bytes;
    while message.len() > max_bytes {
        if labels > 0 {
            labels /= 2;
            report.tables.values_mut().for_each(|table| drop_labels(table, labels));
        } else {
            let longest = report.tables.values_mut().max_by_key(|table| table.rows.len());
            match longest {
                Some(table) if !table.rows.is_empty() => table.rows.truncate(table.rows.len() / 2),
                _ => break,
            }
        }
        message = report.encode();
    }
    (message, !whole)
}

fn drop_labels(table: &mut Table, limit: usize) {
    for cell in table.rows.iter_mut().flatten() {
        let Cell::Labels(labels) = cell else { continue };
        while labels.len() > limit {
            let least = labels.keys().max_by_key(|key| importance(key)).cloned();
            least.map(|key| labels.remove(&key));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wire_model::limits::MESSAGE_BYTES;
    use wire_model::{HostInfo, Removed, SCHEMA};

    use super::*;

    fn report(tables: BTreeMap<String, Table>) -> HostReport {
        let host = HostInfo {
            id: "a".to_owned(),
            name: "a".to_owned(),
            labels: BTreeMap::new(),
            os: None,
            kernel: None,
            cpus: None,
            collector: None,
        };
        HostReport {
            schema: SCHEMA,
            host,
            epoch: 1,
            seq: 1,
            at: 1,
            interval_ms: 2000,
            previous: None,
            metrics: BTreeMap::new(),
            tables,
            removed: Removed::default(),
        }
    }

    fn containers(count: usize, labels: usize, chars: usize) -> BTreeMap<String, Table> {
        let all: BTreeMap<String, String> = (0..labels).map(|i| (format!("com.docker.compose.{i}"), "ü".repeat(chars))).collect();
        let row = |i: usize| vec![Cell::Text(format!("c{i}")), Cell::Labels(self::labels(all.iter())), Cell::Number(0.5)];
        let columns = ["name", "labels", "container.cpu.usage"].map(str::to_owned).to_vec();
        BTreeMap::from([(CONTAINER_TABLE.to_owned(), Table { columns, rows: (0..count).map(row).collect() })])
    }

    #[test]
    fn a_report_gives_labels_before_rows_to_stay_within_the_message() {
        for (labels, chars, whole) in [(3, 10, true), (64, 256, false), (1, 256, true)] {
            let mut report = report(containers(CONTAINERS, labels, chars));
            let (message, fits) = encode(&mut report, MESSAGE_BYTES);
            let decoded = HostReport::decode(&message, 0).unwrap();
            assert_eq!((fits, decoded.tables[CONTAINER_TABLE].rows.len()), (!whole, CONTAINERS), "{labels} {chars}");
        }
        let mut report = report(containers(CONTAINERS, 0, 0));
        let exact = report.encode().len();
        for (limit, rows) in [(exact + 1, CONTAINERS), (exact, CONTAINERS), (exact - 1, CONTAINERS / 2)] {
            let (message, _) = encode(&mut report, limit);
            assert!(message.len() <= limit && report.tables[CONTAINER_TABLE].rows.len() == rows, "{limit}");
        }
    }

    #[test]
    fn rows_are_cut_at_the_limits_and_the_longest_table_gives_first() {
        for (disks, mounts, cut) in
            [(DEVICES - 10, 9, 0), (DEVICES - 10, 10, 0), (DEVICES - 10, 11, 1), (1000, 10, 1000 - DEVICES + 10)]
        {
            let table = |count: usize| Table {
                columns: vec!["n".into()],
                rows: (0..count).map(|i| vec![Cell::Text(format!("{i}"))]).collect(),
            };
            let tables = BTreeMap::from([("disk".to_owned(), table(disks)), ("filesystem".to_owned(), table(mounts))]);
            let mut report = report(tables);
            assert_eq!(rows(&mut report), cut);
            assert_eq!(report.tables["filesystem"].rows.len(), mounts);
            HostReport::decode(&report.encode(), 0).unwrap();
        }
        for count in [CONTAINERS - 1, CONTAINERS, CONTAINERS + 1] {
            let mut report = report(containers(count, 0, 0));
            assert_eq!(rows(&mut report), count.saturating_sub(CONTAINERS));
            HostReport::decode(&report.encode(), 0).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn whatever_the_names_and_labels_are_the_report_is_accepted(
            names in prop::collection::vec("(?s).{0,200}", 0..20),
            pairs in prop::collection::btree_map("(?s).{0,300}", "(?s).{0,300}", 0..80),
            os in "(?s).{0,400}",
        ) {
            let mut made = Table { columns: vec!["name".into(), "labels".into()], rows: Vec::new() };
            made.rows.extend(names.iter().map(|text| vec![Cell::Text(name(text).into_owned()), Cell::Labels(labels(pairs.iter()))]));
            table(&mut made, 0);
            let mut report = report(BTreeMap::from([(CONTAINER_TABLE.to_owned(), made)]));
            report.host.name = name(&os).into_owned();
            report.host.os = Some(text(&os).into_owned());
            rows(&mut report);
            let (message, _) = encode(&mut report, MESSAGE_BYTES);
            prop_assert!(HostReport::decode(&message, 0).is_ok(), "{:?}", HostReport::decode(&message, 0));
        }
    }

    #[test]
    fn names_are_cut_at_the_limit_and_never_empty() {
        let long = |chars: usize| "ä".repeat(chars);
        for (input, expected) in [
            ("eth0".to_owned(), "eth0".to_owned()),
            (String::new(), "?".to_owned()),
            ("   ".to_owned(), "?".to_owned()),
            ("a\u{0}b\n".to_owned(), "a?b?".to_owned()),
            ("a  ".to_owned(), "a".to_owned()),
            (long(NAME_CHARS - 1), long(NAME_CHARS - 1)),
            (long(NAME_CHARS), long(NAME_CHARS)),
            (long(NAME_CHARS + 1), long(NAME_CHARS)),
            (format!("{} x", long(NAME_CHARS - 1)), long(NAME_CHARS - 1)),
        ] {
            assert_eq!(name(&input), expected);
        }
        assert_eq!(text(&long(LABEL_CHARS + 1)).chars().count(), LABEL_CHARS);
    }

    #[test]
    fn compose_labels_stay_when_there_are_too_many() {
        for count in [LABELS - 1, LABELS, LABELS + 1, 300] {
            let mut all: BTreeMap<String, String> = (0..count).map(|i| (format!("a{i}"), "v".to_owned())).collect();
            all.insert("com.docker.compose.project".to_owned(), "p".repeat(300));
            let kept = labels(all.iter());
            assert_eq!(kept.len(), LABELS.min(count + 1));
            assert_eq!(kept["com.docker.compose.project"].len(), LABEL_CHARS);
        }
    }

    #[test]
    fn names_that_are_the_same_when_cut_become_distinct() {
        let long = "x".repeat(NAME_CHARS);
        let names = ["a", "a", "a#2", "a", &long, &long];
        let mut made = Table { columns: vec!["n".into()], rows: names.iter().map(|name| vec![Cell::from(*name)]).collect() };
        table(&mut made, 0);
        let names: Vec<_> = made.rows.iter().map(|row| row[0].text().unwrap()).collect();
        assert_eq!(names[..4], ["a", "a#2", "a#2#2", "a#3"]);
        assert!(names[5].ends_with("#2") && names[5].len() == NAME_CHARS);
    }
}
