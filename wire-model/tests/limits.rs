//! Each limit at limit − 1, limit and limit + 1, and what else may be wrong with a report.

#![expect(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use std::collections::BTreeMap;

use wire_model::{Cell, HostReport, ReportError, Table, limits};

const NOW: i64 = 1_795_184_000_000;

fn report() -> HostReport {
    HostReport::decode(include_bytes!("../golden/host-report.json"), NOW).unwrap()
}

fn decode(report: &HostReport) -> Result<HostReport, ReportError> {
    HostReport::decode(&report.encode(), NOW)
}

/// `set` makes a report that has `n` of something; exactly `limit` of it is allowed.
fn check_limit(limit: usize, set: impl Fn(&mut HostReport, usize)) {
    for (n, allowed) in [(limit - 1, true), (limit, true), (limit + 1, false)] {
        let mut report = report();
        set(&mut report, n);
        let decoded = decode(&report);
        assert_eq!(decoded.is_ok(), allowed, "{n} of at most {limit}: {:?}", decoded.err());
        if let Err(error) = decoded {
            assert!(matches!(error, ReportError::Limit { .. }), "{error}");
        }
    }
}

fn table(rows: usize) -> Table {
    named_table("a.metric", rows)
}

fn named_table(metric: &str, rows: usize) -> Table {
    let row = |n: usize| vec![Cell::Text(format!("row-{n}")), Cell::Number(1.0)];
    Table { columns: vec!["name".into(), metric.to_owned()], rows: (0..rows).map(row).collect() }
}

#[test]
fn names_are_bounded() {
    check_limit(limits::NAME_CHARS, |report, n| report.host.id = "é".repeat(n));
    check_limit(limits::NAME_CHARS, |report, n| report.host.name = "x".repeat(n));
    check_limit(limits::NAME_CHARS, |report, n| {
        report.metrics.insert(format!("a.{}", "x".repeat(n - 2)), Some(1.0));
    });
    check_limit(limits::NAME_CHARS, |report, n| {
        report.tables.insert("x".repeat(n), table(1));
    });
    check_limit(limits::NAME_CHARS, |report, n| {
        report.tables.get_mut("container").unwrap().rows[0][0] = Cell::Text("x".repeat(n));
    });
}

#[test]
fn labels_and_texts_are_bounded() {
    check_limit(limits::LABELS, |report, n| {
        report.host.labels = (0..n).map(|n| (n.to_string(), String::new())).collect();
    });
    check_limit(limits::LABEL_CHARS, |report, n| {
        report.host.labels.insert("key".into(), "x".repeat(n));
    });
    check_limit(limits::LABEL_CHARS, |report, n| {
        report.host.labels.insert("x".repeat(n), String::new());
    });
    check_limit(limits::LABEL_CHARS, |report, n| report.host.os = Some("x".repeat(n)));
    check_limit(limits::LABEL_CHARS, |report, n| {
        report.tables.get_mut("container").unwrap().rows[0][9] = Cell::Labels(BTreeMap::from([("k".into(), "x".repeat(n))]));
    });
}

#[test]
fn tables_are_bounded() {
    check_limit(limits::CONTAINERS, |report, n| {
        report.tables.insert("container".into(), table(n));
    });
    check_limit(limits::DEVICES, |report, n| {
        report.tables = BTreeMap::from([("disk".to_owned(), table(100)), ("network".to_owned(), named_table("a.rate", n - 100))]);
    });
    check_limit(limits::TABLES, |report, n| {
        report.tables = (0..n).map(|n| (format!("table-{n}"), named_table(&format!("a.metric{n}"), 1))).collect();
    });
    check_limit(limits::METRICS, |report, n| {
        report.metrics = (0..n).map(|n| (format!("a.{n}"), None)).collect();
    });
    check_limit(limits::METRICS, |report, n| {
        let columns = std::iter::once("name".to_owned()).chain((1..n).map(|n| format!("a.{n}"))).collect();
        report.tables.insert("disk".into(), Table { columns, rows: Vec::new() });
    });
}

#[test]
fn messages_are_bounded() {
    check_limit(limits::MESSAGE_BYTES, |report, n| {
        let row = |n: usize, padding: &str| vec![Cell::Text(format!("{n:0100}")), Cell::Text(padding.to_owned())];
        let mut columns = vec!["name".to_owned()];
        columns.extend((0..40).map(|n| format!("column{n}")));
        let wide = |n: usize| {
            let mut cells = row(n, &"x".repeat(200));
            cells.resize(columns.len(), Cell::Text("x".repeat(200)));
            cells
        };
        let rows = (0..120).map(wide).collect();
        report.tables = BTreeMap::from([("container".to_owned(), Table { columns: columns.clone(), rows })]);
        let mut missing = n - report.encode().len();
        for cell in report.tables.get_mut("container").unwrap().rows.iter_mut().flat_map(|row| row.iter_mut().skip(1)) {
            let more = missing.min(limits::LABEL_CHARS - 200);
            *cell = Cell::Text("x".repeat(200 + more));
            missing -= more;
        }
        assert_eq!((missing, report.encode().len()), (0, n));
    });
}

#[test]
fn times_and_intervals_are_bounded() {
    for (at, allowed) in [
        (NOW + limits::FUTURE_MS - 1, true),
        (NOW + limits::FUTURE_MS, true),
        (NOW + limits::FUTURE_MS + 1, false),
        (0, false),
        (1, true),
    ] {
        let report = HostReport { at, ..report() };
        assert_eq!(decode(&report).is_ok(), allowed, "at {at}");
    }
    let (min, max) = (limits::INTERVAL_MS_MIN, limits::INTERVAL_MS_MAX);
    for (interval_ms, allowed) in [(min - 1, false), (min, true), (max, true), (max + 1, false)] {
        let report = HostReport { interval_ms, ..report() };
        assert_eq!(decode(&report).is_ok(), allowed, "interval {interval_ms}");
    }
    let widest = i64::MAX.unsigned_abs();
    for (seq, allowed) in [(widest, true), (widest + 1, false)] {
        let report = HostReport { seq, ..report() };
        assert_eq!(decode(&report).is_ok(), allowed, "seq {seq}");
    }
}

#[test]
fn what_is_no_report_says_why() {
    fn check(from: &str, to: &str, reason: &str) {
        let golden = include_str!("../golden/host-report.json");
        assert!(golden.contains(from), "{from}");
        let error = HostReport::decode(golden.replacen(from, to, 1).as_bytes(), NOW).unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    check("{", "", "not a report");
    check("\"schema\":1", "\"schema\":2", "schema 2 is not supported");
    check("\"schema\":1,\"host\"", "\"schema\":2,\"hast\"", "schema 2 is not supported");
    check("0.4219", "NaN", "not a report");
    check("0.4219", "1e999", "out of range");
    check("0.4219", "\"high\"", "not a report");
    check("1.5", "\"fast\"", "neither a number nor null");
    check("\"eth0\"", "null", "has no text in interface");
    check("[\"eth0\",1.5,2]", "[\"eth0\",1.5]", "a row has 2 cells");
    check("[\"eth0\",1.5,2]", "[\"eth0\",1.5,2],[\"eth0\",1,2]", "stands twice");
    check("\"interface\",", "\"interface\",\"interface\",", "stands twice");
    check("[\"interface\",", "[\"a.b\",", "no column that names its rows");
    check("\"name\",\"id\"", "\"nome\",\"id\"", "no column that names its rows");
    check("\"db-01\"", "\"db\\u0000\"", "control characters");
    check("\"db-01\"", "\"db \"", "ends with a space");
    check("\"4c4c4544-0042\"", "\"\"", "host.id is empty");
    check("system.cpu.utilization", "cpu", "is no metric name");
    check("system.network.receive", "system.filesystem.usage", "stands in another part");
    check("system.network.receive", "system.cpu.utilization", "stands in another part");
    check("\"epoch\":3", "\"epoch\":-3", "not a report");
    check("\"epoch\":3", "\"epoch\":2", "does not come after the previous one");
    check("\"seq\":900", "\"seq\":9223372036854775808", "previous.seq 9223372036854775808 does not fit 63 bits");
    check("\"thinned\":9", "\"thinned\":9223372036854775808", "does not fit 63 bits");
    check("\"thinned\":9", "\"thinned\":-9", "not a report");
}

#[test]
fn a_reason_is_short_whatever_was_sent() {
    for text in ["\u{7f}", "é", "😀", "\\\\"] {
        let message = format!(r#"{{"schema":"{}"}}"#, text.repeat(200_000));
        let reason = HostReport::decode(message.as_bytes(), NOW).unwrap_err().to_string();
        assert!(reason.chars().count() <= limits::REASON_CHARS, "{}", reason.chars().count());
        assert!(reason.starts_with("not a report: invalid type: string"), "{reason}");
    }
    // the longest of the others: names are checked before they are repeated
    let mut report = report();
    report.metrics.insert("x".repeat(limits::NAME_CHARS), None);
    assert!(decode(&report).unwrap_err().to_string().chars().count() <= limits::REASON_CHARS);
}
