//! The way of a report up to its transaction: a batch decoded, and each report evaluated.
//! `cargo bench -p api-backend --bench evaluate`

#[path = "../tests/support/by_the_letter.rs"]
mod by_the_letter;
#[path = "../../wire-model/benches/fleet/mod.rs"]
mod fleet;

use std::hint::black_box;
use std::sync::Arc;

use api_backend::ingest::{DecodedBatch, Forms};
use api_backend::thresholds::evaluator::{HostState, Sample, evaluate};
use api_backend::thresholds::{Direction, Kind, MachineReadings, Plan, Quantity, RuleSet, Shape, Threshold, machine_readings};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fleet::cpu_time::{self, CpuTime};
use serde_json::value::RawValue;
use wire_model::catalog::{CATALOG, DERIVED, Subject};
use wire_model::{Form, HostReport, IngestBatch, IngestRecord};

const NOW: i64 = fleet::BEGIN + 86_400_000;
const CONTAINERS: usize = 40;
/// Reports of as many hosts in one batch.
const BATCH: usize = 250;

/// Machines of a round, and rules for each of them.
const MACHINES: usize = 100_000;
const RULES: usize = 14;

/// Rules like this one for so many metrics of containers.
fn rules(like: &Threshold, count: usize) -> Arc<RuleSet> {
    let metrics = CATALOG.iter().chain(DERIVED).filter(|metric| metric.subject == Subject::Container);
    let rule = |(id, metric): (i64, &str)| Threshold { id, metric: metric.to_owned(), ..like.clone() };
    Arc::new(RuleSet::new((1..).zip(metrics.map(|metric| metric.name)).take(count).map(rule)))
}

/// What containers may be doing, with the rule for it.
fn situations() -> Vec<(&'static str, Threshold)> {
    let above = |value| Threshold::new(Kind::Container, "a metric", Direction::Above, value);
    let over_window = Threshold { quantity: Quantity::Change, window_seconds: 600, ..above(f64::MAX) };
    vec![
        ("all below", above(f64::MAX)),
        ("all beyond and waiting", Threshold { for_seconds: i64::from(u32::MAX), ..above(-1.0) }),
        ("all beyond and open", above(-1.0)),
        (
            "all open and recovering",
            Threshold { recovery_value: f64::MAX, recovery_for_seconds: i64::from(u32::MAX), ..above(-1.0) },
        ),
        ("all over a window", over_window),
    ]
}

fn with_ids(machines: Vec<MachineReadings<'_>>) -> Vec<(i64, MachineReadings<'_>)> {
    (1..).zip(machines).collect()
}

/// Time per threshold and sample.
fn evaluation(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("one threshold on one sample");
    let messages: Vec<_> = (1..=16).map(|seq| fleet::report(7, CONTAINERS, seq).encode()).collect();
    let (form, _) = Form::decode(&messages[0], NOW).expect("a report");
    let figures: Vec<_> = messages.iter().map(|message| form.read(message, NOW).expect("the same form")).collect();
    let reports: Vec<_> = messages.iter().map(|message| HostReport::decode(message, NOW).expect("a report")).collect();
    let places = form.places();
    for (name, rule) in situations() {
        let rules = rules(&rule, 10);
        let plan = Plan::new(Arc::clone(&rules), Shape::of(&places, &with_ids(machine_readings(&places))));
        group.throughput(Throughput::Elements(plan.steps().len() as u64));
        // once round before it is measured: then all states are there, and nothing changes any more but peaks
        let (mut state, mut transitions) = (HostState::default(), Vec::new());
        figures.iter().for_each(|figures| evaluate(&mut state, &plan, Sample::of(&form, figures), &mut transitions));
        let mut figures = figures.iter().cycle();
        group.bench_function(BenchmarkId::new("plan", name), |bencher| {
            bencher.iter(|| {
                transitions.clear();
                let figures = black_box(figures.next().expect("endless"));
                evaluate(&mut state, &plan, Sample::of(&form, figures), &mut transitions);
            });
        });
        let mut state = by_the_letter::States::default();
        reports.iter().for_each(|report| {
            drop(by_the_letter::evaluate(&mut state, &rules, report, &with_ids(machine_readings(report)), &[]));
        });
        let mut reports = reports.iter().cycle();
        group.bench_function(BenchmarkId::new("by the letter", name), |bencher| {
            bencher.iter(|| {
                let report = black_box(reports.next().expect("endless"));
                by_the_letter::evaluate(&mut state, &rules, report, &with_ids(machine_readings(report)), &[])
            });
        });
    }
    group.finish();
}

/// Time per round of reports of 100,000 machines, 40 containers a host, of which each has 14 rules: some on states, none beyond.
fn round(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("100,000 machines with 14 thresholds each");
    group.sample_size(10).throughput(Throughput::Elements((MACHINES * RULES) as u64));
    let message = fleet::report(7, CONTAINERS, 1).encode();
    let (form, figures) = Form::decode(&message, NOW).expect("a report");
    let places = form.places();
    let rules = rules(&Threshold::new(Kind::Container, "a metric", Direction::Above, f64::MAX), RULES);
    // each host has a plan of its own, so that they do not all stand in the processor's cache
    let plan = || Plan::new(Arc::clone(&rules), Shape::of(&places, &with_ids(machine_readings(&places))));
    let mut hosts: Vec<_> = (0..MACHINES / CONTAINERS).map(|_| (plan(), HostState::default())).collect();
    let mut transitions = Vec::new();
    group.bench_function("a round", |bencher| {
        bencher.iter(|| {
            for (plan, state) in &mut hosts {
                evaluate(state, plan, Sample::of(&form, black_box(&figures)), &mut transitions);
            }
        });
    });
    group.finish();
}

/// Time per batch of 250 reports.
fn decoding(criterion: &mut Criterion<CpuTime>) {
    let mut group = criterion.benchmark_group("a batch of 250 reports with 10 containers");
    let body = |seq: u64| {
        let reports = (0..BATCH).map(|host| String::from_utf8(fleet::report(host, 10, seq).encode()).expect("JSON"));
        let reports: Vec<String> = reports.collect();
        let raw = |report| serde_json::from_str::<&RawValue>(report).expect("JSON");
        let records = (0..).zip(&reports).map(|(offset, report)| IngestRecord { offset, report: raw(report) });
        let batch = IngestBatch { topic: "t".into(), partition: 0, records: records.collect() };
        zstd::encode_all(&*serde_json::to_vec(&batch).expect("JSON"), 1).expect("memory")
    };
    let bodies_of: Vec<_> = (1..=4).map(body).collect();
    let mut bodies = bodies_of.iter().cycle();
    group.throughput(Throughput::Elements(BATCH as u64));
    let forms = Forms::default();
    DecodedBatch::decode(&bodies_of[0], true, &forms, NOW).expect("a batch");
    group.bench_function("by forms that are known", |bencher| {
        bencher.iter(|| DecodedBatch::decode(bodies.next().expect("endless"), true, &forms, NOW).expect("a batch"));
    });
    group.bench_function("by no form", |bencher| {
        bencher.iter(|| DecodedBatch::decode(bodies.next().expect("endless"), true, &Forms::default(), NOW).expect("a batch"));
    });
    group.bench_function("owned, as it was", |bencher| {
        bencher.iter(|| {
            let json = zstd::decode_all(&**bodies.next().expect("endless")).expect("zstd");
            let batch: IngestBatch<'_> = serde_json::from_slice(&json).expect("a batch");
            let mut compressor = zstd::bulk::Compressor::new(1).expect("a level");
            let decode = |record: IngestRecord<'_>| {
                let message = record.report.get().as_bytes();
                (HostReport::decode(message, NOW).expect("a report"), compressor.compress(message).expect("memory"))
            };
            batch.records.into_iter().map(decode).collect::<Vec<_>>()
        });
    });
    group.finish();
}

criterion_group! { name = benches; config = cpu_time::criterion(); targets = evaluation, round, decoding }
criterion_main!(benches);
