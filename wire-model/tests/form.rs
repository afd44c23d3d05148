//! A message read by the form of another one is the report that the long way gives, or is left to the long way.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

use proptest::prelude::*;
use wire_model::{Cell, Figures, Form, HostReport, Removed, ReportId, guess_host_id, limits};

const NOW: i64 = 1_795_184_000_000;
const GOLDEN: &str = include_str!("../golden/host-report.json");

fn form(message: &str) -> (Form, Figures) {
    Form::decode(message.as_bytes(), NOW).unwrap()
}

/// What the form says must be what the long way says. Whether it said anything.
fn agrees(form: &Form, message: &[u8]) -> bool {
    let Some(figures) = form.read(message, NOW) else { return false };
    packs(form, message, &figures);
    let report = HostReport::decode(message, NOW).expect("what has a form is a report");
    assert_eq!(form.report(&figures), report);
    assert_eq!((form.host_id(), form.interval_ms()), (report.host.id.as_str(), report.interval_ms));
    assert_eq!((form.previous(), form.removed()), (report.previous, report.removed));
    true
}

/// What was packed is the message again, also where only the text of the form's first message is left.
fn packs(form: &Form, message: &[u8], figures: &Figures) {
    let in_front = form.pack(&[message, b",{}"].concat(), NOW).unwrap();
    assert!(same(&in_front.figures, figures));
    assert_eq!(in_front.length, message.len());
    let Some(packed) = in_front.packed else { return assert!(message.len() > 255) };
    assert!(same(&form.unpack(&packed).unwrap(), figures));
    let again = form.message(&packed).unwrap();
    assert_eq!(tight(&again), tight(message));
    let (of_first, _) = Form::decode(&form.first_message(), NOW).unwrap();
    assert!(same(&of_first.unpack(&packed).unwrap(), figures));
    assert_eq!(of_first.message(&packed).unwrap(), again);
    for cut in 0..packed.len() {
        assert!(form.unpack(&packed[..cut]).is_none() && form.message(&packed[..cut]).is_none());
    }
}

/// Equal in every bit, NaN too.
fn same(one: &Figures, other: &Figures) -> bool {
    let bits = |figures: &Figures| figures.values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    (one.id, one.at) == (other.id, other.at) && bits(one) == bits(other)
}

/// Without spaces; texts of the golden report have some that stay in both.
fn tight(message: &[u8]) -> Vec<u8> {
    message.iter().copied().filter(|byte| *byte != b' ').collect()
}

#[test]
fn the_first_report_of_a_form_is_whole() {
    let (form, figures) = form(GOLDEN);
    assert_eq!(form.report(&figures), HostReport::decode(GOLDEN.as_bytes(), NOW).unwrap());
    assert_eq!((figures.id, figures.at), (ReportId { epoch: 3, seq: 1234 }, NOW));
    // host metrics (one of them null), two containers, a filesystem, an interface
    assert_eq!((figures.values.len(), form.machines()), (4 + 2 * 2 + 2 + 2, 3));
    assert_eq!(figures.values.iter().filter(|value| value.is_nan()).count(), 3);
    assert!(form.bytes() > GOLDEN.len() / 2 && form.bytes() < GOLDEN.len() * 2, "{}", form.bytes());
    assert_eq!(guess_host_id(GOLDEN.as_bytes()), Some("4c4c4544-0042"));
}

#[test]
fn places_lead_to_the_values() {
    let (form, figures) = form(GOLDEN);
    let places = form.places();
    let value = |place: Option<f64>| figures.values[place.unwrap() as usize];
    assert_eq!(value(places.metrics["system.memory.utilization"]), 0.61);
    assert!(value(places.metrics["system.cpu.steal.utilization"]).is_nan());
    let containers = &places.tables["container"];
    assert_eq!(value(containers.rows[0][10].number()), 0.5);
    // attributes stay what they are
    assert_eq!(containers.rows[1][6], Cell::Number(2.0));
    assert_eq!(value(places.tables["network"].rows[0][2].number()), 2.0);
}

/// A change of the text, and whether the form still fits.
#[test]
fn numbers_may_differ_and_nothing_else() {
    let (form, _) = form(GOLDEN);
    let check = |from: &str, to: &str, fits: bool| {
        assert!(GOLDEN.contains(from), "{from}");
        assert_eq!(agrees(&form, GOLDEN.replacen(from, to, 1).as_bytes()), fits, "{from} {to}");
    };
    for number in ["0", " 0", "    -1", "-1", "1.5", "1e3", "-0.0", "123456789012345678901234567890", "null", "4.2E-7"] {
        check("0.4219", number, true);
        check("0.61", number, true);
        check("1048576],[", &format!("{number}],["), true);
    }
    for other in ["01", "1.", ".5", "1e", "-", "+1", "NaN", "1e999", "true", "\"1\"", "", "nul", "0.4219 ", "[1]", "{}"] {
        check("0.4219", other, false);
        check("null,null", &format!("null,{other}"), false);
    }
    check("\"seq\":1234", "\"seq\":1235", true);
    check("\"seq\":1234", "\"seq\":   7", true);
    check("\"seq\":1234", "\"seq\" :7", false);
    check("\"seq\":1234", "\"seq\":9223372036854775807", true);
    for other in ["-1", "1.0", "1e3", "0123", "null", "9223372036854775808"] {
        check("\"seq\":1234", &format!("\"seq\":{other}"), false);
    }
    check("\"at\":1795184000000", &format!("\"at\":{}", NOW + limits::FUTURE_MS), true);
    check("\"at\":1795184000000", &format!("\"at\":{}", NOW + limits::FUTURE_MS + 1), false);
    check("\"at\":1795184000000", "\"at\":0", false);
    // not after the epoch before it
    check("\"epoch\":3", "\"epoch\":2", false);
    check("\"epoch\":3", "\"epoch\":4", true);
    // what describes the machines
    for (from, to) in [
        ("db-01", "db-02"),
        ("running", "paused"),
        ("1795180000000,0", "1795180000000,1"),
        ("\"healthy\"", "null"),
        ("\"rack\":\"a1\"", "\"rack\":\"a2\""),
        ("\"interval_ms\":2000", "\"interval_ms\":1000"),
        ("\"thinned\":9", "\"thinned\":8"),
        ("\"schema\":1", "\"schema\": 1"),
        ("system.memory.limit", "system.memory.Limit"),
        ("{\"schema", "{ \"schema"),
    ] {
        check(from, to, false);
    }
    for message in ["", "{", &GOLDEN[..GOLDEN.len() - 2], &format!("{GOLDEN}x"), "null"] {
        assert!(!agrees(&form, message.as_bytes()), "{message}");
    }
}

#[test]
fn what_was_removed_makes_another_form() {
    let mut report = HostReport::decode(GOLDEN.as_bytes(), NOW).unwrap();
    report.removed = Removed::default();
    let (form, _) = form(&String::from_utf8(report.encode()).unwrap());
    assert!(agrees(&form, &report.encode()));
    report.removed = Removed { thinned: 1, ..Removed::default() };
    assert!(!agrees(&form, &report.encode()));
}

#[test]
fn a_report_may_be_written_in_other_ways() {
    // order, spaces, escapes, names that stand twice (the last one counts), fields that nobody knows
    for message in [
        r#"{"tables":{},"metrics":{"a.b":1,"c.d":null},"at":5,"seq":1,"epoch":1,"interval_ms":2000,"host":{"name":"n","id":"h"},"schema":1}"#,
        r#" { "schema" : 1 , "host":{"id":"h","name":"n","more":[1,2]}, "ep\u006fch": 1 ,"seq":1,"at":5,"interval_ms":2000,"metrics":{"a.b" : 1.5 },"tables":{} } "#,
        r#"{"schema":1,"host":{"id":"h","name":"n"},"epoch":1,"seq":1,"at":5,"interval_ms":2000,"metrics":{"a.b":1,"a.b":2},"tables":{"disk":{"columns":["device","x.y"],"rows":[["a",1]]},"disk":{"columns":["device","x.y"],"rows":[["a",3],["b",null]]}},"extra":{"a":1e999}}"#,
        "{\"schema\":1,\"host\":{\"id\":\"h\",\"name\":\"n\"},\"epoch\":\n  1,\"seq\":\t1,\"at\": \r\n 5,\"interval_ms\":2000,\"metrics\":{\"a.b\":\n1},\"tables\":{}}",
        r#"[1,["h","n",{},null,null,null,null],1,1,5,2000,null,{"a.b":1},{"disk":[["device","x.y"],[["a",1]]]},{}]"#,
    ] {
        let (form, figures) = form(message);
        assert_eq!(form.report(&figures), HostReport::decode(message.as_bytes(), NOW).unwrap(), "{message}");
        assert!(agrees(&form, message.as_bytes()));
    }
}

#[test]
fn a_guess_finds_the_host_id_in_plain_json() {
    for (message, expected) in [
        (r#"{"schema":1,"host":{"id":"a","name":"b"}}"#, Some("a")),
        (r#"{"schema":1,"host":{"id":"é\"#, None),
        (r#"{"schema":1,"host":{"id":"é\u0041","#, Some(r"é\u0041")),
        (r#"{"at":5,"host":{"cpus":2,"id":"a"}}"#, Some("a")),
        (r#"{"at":5,"host":{"cpus":2},"name":"x"}"#, None),
        (r#"{"at":5,"host" : {"id":"a"}}"#, None),
        ("", None),
    ] {
        assert_eq!(guess_host_id(message.as_bytes()), expected, "{message}");
    }
}

#[test]
fn a_message_that_is_too_long_has_no_form() {
    for (more, fits) in [(-1, true), (0, true), (1, false)] {
        let (form, _) = form(GOLDEN);
        let digits = limits::MESSAGE_BYTES.strict_add_signed(more) - GOLDEN.len() + 1;
        let long = GOLDEN.replacen("0.61", &format!("0.6{}", "1".repeat(digits)), 1);
        assert_eq!(long.len(), limits::MESSAGE_BYTES.strict_add_signed(more));
        assert_eq!(form.read(long.as_bytes(), NOW).is_some(), fits);
        assert_eq!(HostReport::decode(long.as_bytes(), NOW).is_ok(), fits);
    }
}

/// Numbers as JSON may have them.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => any::<f64>().prop_filter("JSON has no others", |value| value.is_finite()).prop_map(|value| serde_json::to_string(&value).unwrap()),
        4 => (any::<i32>(), 0u8..12).prop_map(|(value, digits)| format!("{}", f64::from(value) / 10f64.powi(i32::from(digits)))),
        2 => any::<i64>().prop_map(|value| value.to_string()),
        1 => any::<u64>().prop_map(|value| value.to_string()),
        1 => "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,30})?([eE][-+]?[0-9]{1,2})?",
        1 => Just("null".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn other_numbers_are_read_as_the_long_way_reads_them(one in number(), other in number(), seq in 0..i64::MAX, at in 1..NOW) {
        let (form, _) = form(GOLDEN);
        let message = GOLDEN.replacen("0.4219", &one, 1).replacen("1.5,2]", &format!("{other},2]"), 1);
        let message = message.replacen("1234", &seq.to_string(), 1).replacen("1795184000000", &at.to_string(), 1);
        prop_assert_eq!(agrees(&form, message.as_bytes()), HostReport::decode(message.as_bytes(), NOW).is_ok(), "{}", message);
    }

    #[test]
    fn nothing_that_is_unpacked_panics(packed in proptest::collection::vec(any::<u8>(), 0..64)) {
        let (form, _) = form(GOLDEN);
        // whatever it gives, the message says the same
        if let (Some(figures), Some(message)) = (form.unpack(&packed), form.message(&packed)) {
            prop_assert!(form.read(&message, i64::MAX).is_none_or(|read| same(&read, &figures)));
        }
    }

    #[test]
    fn a_damaged_message_is_what_the_long_way_says(at in 0..GOLDEN.len(), byte in any::<u8>(), cut in 0..3usize, insert in any::<bool>()) {
        let (form, _) = form(GOLDEN);
        let mut message = GOLDEN.trim_end().as_bytes().to_vec();
        let at = at.min(message.len() - 1);
        message.splice(at..(at + cut).min(message.len()), insert.then_some(byte));
        agrees(&form, &message);
        // and its own form, if it has one, fits it
        if let Ok((form, figures)) = Form::decode(&message, NOW) {
            prop_assert_eq!(form.report(&figures), HostReport::decode(&message, NOW).unwrap());
        }
    }
}
