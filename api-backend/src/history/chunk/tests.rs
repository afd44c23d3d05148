use proptest::prelude::*;
use wire_model::ReportId;

use super::bytes::write_number;
use super::*;
use crate::history::report_state::ReportState;

fn column(metric: &str, device: Option<&str>, places: Vec<u32>, points: Points) -> Column {
    let head = Head { metric: metric.to_owned(), device: device.map(str::to_owned), scale: Scale::of(metric) };
    Column { head, places, points }
}

fn samples(metric: &str, device: Option<&str>, values: &[f64]) -> Column {
    let places = (0..u32::try_from(values.len()).unwrap()).collect();
    column(metric, device, places, Points::Samples(values.to_vec()))
}

fn decode(parts: &[EncodedPart]) -> Vec<Column> {
    decode_of(Resolution::Raw, parts)
}

fn decode_of(resolution: Resolution, parts: &[EncodedPart]) -> Vec<Column> {
    let mut columns = Vec::new();
    for (number, bytes) in parts {
        let part = Part::open(bytes).unwrap();
        for of in &part.columns {
            assert!(parts_with(of.metric, resolution).contains(number), "{number}: {}", of.metric);
            let column = part.decode(of).unwrap();
            assert_eq!(column.points.summary(), of.summary, "{}", of.metric);
            columns.push(column);
        }
    }
    columns
}

#[test]
fn columns_come_back_with_their_names_devices_and_gaps() {
    let columns = vec![
        column("custom.metric", None, vec![0, 2], Points::Samples(vec![0.25, 0.5])),
        column("custom.other", Some("größe"), vec![1], Points::Samples(vec![f64::MAX])),
        samples("system.cpu.utilization", None, &[1.0, 2.0, 3.0]),
        samples("system.filesystem.usage", Some("/"), &[7.0, 7.0, 7.0]),
        samples("system.filesystem.utilization", Some("/"), &[7.0, 8.0, -7.0]),
        samples("system.filesystem.usage", Some("/home"), &[1e15, 0.0, 0.0]),
    ];
    assert_eq!(decode(&encode(Resolution::Raw, 3, columns.clone())), columns);
    let nulls = |device, places| column("system.filesystem.usage", device, places, Points::Nulls);
    let columns = vec![nulls(None, vec![0, 2]), nulls(Some("/"), vec![1]), nulls(Some("/srv"), vec![0, 1, 2])];
    let parts = encode(Resolution::Raw, 3, columns.clone());
    assert!(parts.len() == 1 && parts[0].1.len() < 40, "a few bytes: {}", parts[0].1.len());
    assert_eq!(decode(&parts), columns);
    assert_eq!(encode(Resolution::Raw, 3, vec![column("custom.metric", None, vec![], Points::Samples(vec![]))]), []);
}

#[test]
fn what_does_not_change_takes_a_few_bytes() {
    let columns: Vec<_> = ["container.memory.limit", "container.cpu.limit", "container.process.count", "container.cpu.usage"]
        .iter()
        .map(|metric| samples(metric, None, &[12.0; 450]))
        .collect();
    let parts = encode(Resolution::Raw, 450, columns);
    let bytes: usize = parts.iter().map(|(_, bytes)| bytes.len()).sum();
    assert!(parts.len() == 2 && bytes < 45, "{bytes} bytes");
}

#[test]
fn each_folded_metric_has_parts_of_its_own() {
    let metrics = ["custom.metric", "custom.other", "system.cpu.utilization", "system.cpu.user.utilization"];
    let columns: Vec<_> = metrics.iter().map(|metric| samples(metric, None, &[1.0])).collect();
    let numbers = |resolution| encode(resolution, 1, columns.clone()).into_iter().map(|(number, _)| number).collect::<Vec<_>>();
    assert_eq!(numbers(Resolution::Raw), [0, 1 << 16]);
    assert_eq!(numbers(Resolution::FiveMinutes), [1_000 << 16, 1_001 << 16, 1_002 << 16]);
}

#[test]
fn a_large_machine_is_split_into_parts() {
    let noise = |seed: u32| {
        (0..450u32).map(|place| f64::from(place.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 20)).collect::<Vec<_>>()
    };
    let columns: Vec<_> =
        (10..50).map(|number| samples("system.disk.read", Some(&format!("disk{number}")), &noise(number))).collect();
    let parts = encode(Resolution::Raw, 450, columns.clone());
    assert!(parts.len() > 5);
    // one column more than the limit, at most
    assert!(parts.iter().all(|(_, bytes)| bytes.len() < PART_BYTES + 900));
    assert_eq!(decode(&parts), columns);
}

#[test]
fn another_version_is_refused() {
    let (_, mut bytes) = encode(Resolution::Raw, 1, vec![samples("system.uptime", None, &[1.0])]).remove(0);
    bytes[0] = VERSION + 1;
    let error = Part::open(&bytes).err().unwrap();
    assert!(error.to_string().contains("version is 2"), "{error}");
}

#[test]
fn places_at_their_edge() {
    let mut out = vec![VERSION];
    vector::write_head(&mut out);
    let head = out.len();
    for (places, ok) in [(PLACES_MAX - 1, true), (PLACES_MAX, true), (PLACES_MAX + 1, false)] {
        out.truncate(head);
        write_number(&mut out, places as u64);
        write_number(&mut out, 0);
        assert_eq!(Part::open(&out).is_ok(), ok, "{places}");
    }
}

fn any_column() -> impl Strategy<Value = Column> {
    let metric = prop::sample::select(vec!["system.cpu.utilization", "system.memory.usage", "custom.metric"]);
    let device = prop::option::of(prop::sample::select(vec!["a", "b"]));
    let value = prop_oneof![-1e4f64..1e4, prop::num::f64::NORMAL, Just(0.0), Just(1e14)];
    let points = prop::collection::btree_map(0u32..60, (value, 1u32..200), 1..60);
    (metric, device, points, any::<bool>(), any::<bool>(), 0..5).prop_map(
        |(metric, device, points, is_folded, is_whole, kind)| {
            if kind == 0 {
                return column(metric, device, points.keys().copied().collect(), Points::Nulls);
            }
            let round = |value: f64| if is_whole { value.round() + 0.0 } else { value };
            let values: Vec<f64> = points.values().map(|(value, _)| round(*value)).collect();
            let points_of = if is_folded {
                Points::Folded {
                    avg: values.clone(),
                    max: values.iter().map(|value| value + value.abs().min(5.0)).collect(),
                    count: points.values().map(|(_, count)| f64::from(*count)).collect(),
                    min: values,
                }
            } else {
                Points::Samples(values)
            };
            column(metric, device, points.keys().copied().collect(), points_of)
        },
    )
}

proptest! {
    #[test]
    fn any_columns_come_back(columns in prop::collection::vec(any_column(), 0..8)) {
        for resolution in [Resolution::Raw, Resolution::FiveMinutes] {
            let mut decoded = decode_of(resolution, &encode(resolution, 60, columns.clone()));
            for column in &columns {
                let place = decoded.iter().position(|other| other == column);
                decoded.remove(place.expect("every column comes back"));
            }
            prop_assert!(decoded.is_empty());
        }
    }

    #[test]
    fn a_damaged_chunk_is_read_or_refused(columns in prop::collection::vec(any_column(), 1..4), place in any::<prop::sample::Index>(), bit in 0u8..8, cut in any::<bool>()) {
        for (_, mut bytes) in encode(Resolution::Raw, 60, columns) {
            let place = place.index(bytes.len());
            if cut { bytes.truncate(place) } else { bytes[place] ^= 1 << bit }
            if let Ok(part) = Part::open(&bytes) {
                for column in &part.columns {
                    if let Ok(column) = part.decode(column) {
                        prop_assert!(column.places.windows(2).all(|pair| pair[0] < pair[1]));
                    }
                }
            }
        }
    }

    #[test]
    fn an_axis_comes_back(times in prop::collection::btree_set(0i64..900_000, 0..300), epoch in 0..i64::MAX, seq in 1i64..1_000_000) {
        let start = 1_795_184_100_000;
        let id = |number: usize| ReportId { epoch: epoch.cast_unsigned(), seq: seq.cast_unsigned() + number as u64 };
        let state = |number: usize| ReportState::unpack(if number.is_multiple_of(7) { 0 } else { 512_000 + 2 * (number % 3) as i64 });
        let place = |(number, at): (usize, &i64)| Place { at: start + at, id: id(number), state: state(number) };
        let axis = Axis(times.iter().enumerate().map(place).collect());
        let encoded = axis.encode(start);
        prop_assert_eq!(Axis::times(start, &encoded).unwrap(), axis.0.iter().map(|place| place.at).collect::<Vec<_>>());
        prop_assert_eq!(Axis::decode(start, &encoded).unwrap(), axis);
    }
}
