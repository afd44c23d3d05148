//! From a message to a report that can be trusted: the long way (`owned`), and by the form of the one before (`form`). And to what is
//! stored of it: what stands in its blanks, packed, or the whole message compressed.
//! `cargo bench -p wire-model`

mod fleet;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use fleet::cpu_time::{self, CpuTime};
use wire_model::{Form, HostReport};

fn decode(criterion: &mut Criterion<CpuTime>) {
    for containers in [10, 100] {
        let mut group = criterion.benchmark_group(format!("decode, {containers} containers"));
        let messages: Vec<_> = (1..=16).map(|seq| fleet::report(7, containers, seq).encode()).collect();
        let (form, _) = Form::decode(&messages[0], fleet::BEGIN + 86_400_000).expect("a report");
        let mut messages = messages.iter().cycle();
        group.throughput(Throughput::Bytes(messages.clone().next().map_or(0, |message| message.len() as u64)));
        group.bench_function("owned", |bencher| {
            bencher.iter(|| HostReport::decode(black_box(messages.next().expect("endless")), fleet::BEGIN + 86_400_000));
        });
        group.bench_function("owned, first of its form", |bencher| {
            bencher.iter(|| Form::decode(black_box(messages.next().expect("endless")), fleet::BEGIN + 86_400_000));
        });
        group.bench_function("form", |bencher| {
            bencher
                .iter(|| form.read(black_box(messages.next().expect("endless")), fleet::BEGIN + 86_400_000).expect("its form"));
        });
        group.bench_function("form, packed", |bencher| {
            bencher
                .iter(|| form.pack(black_box(messages.next().expect("endless")), fleet::BEGIN + 86_400_000).expect("its form"));
        });
        group.bench_function("zstd, level 1", |bencher| {
            let mut compressor = zstd::bulk::Compressor::new(1).expect("a level");
            bencher.iter(|| compressor.compress(black_box(messages.next().expect("endless"))).expect("compressed"));
        });
        group.finish();
    }
}

criterion_group! { name = benches; config = cpu_time::criterion(); targets = decode }
criterion_main!(benches);
