//! What it costs to append, read and acknowledge a record, and what a record takes on disk.
//!
//! `cargo run --release --package spool --example measure_spool -- FOLDER < REPORT`

#![allow(clippy::unwrap_used, reason = "a measurement that fails says so")]

use std::io::Read;
use std::time::Instant;

use spool::{Record, Spool};
use wire_model::{Removed, ReportId};

const RECORDS: u64 = 20_000;

fn main() {
    let folder = std::env::args().nth(1).expect("the folder to measure in");
    let mut payload = Vec::new();
    std::io::stdin().read_to_end(&mut payload).unwrap();
    let bytes = payload.len();
    let mut spool = Spool::open(folder.as_ref(), 1 << 28).unwrap();
    let mut record = Record { key: "4c4c4544-0051-3510-8052-b4c04f4a4e32".to_owned(), payload, ..Record::default() };
    let mut next = |spool: &mut Spool| {
        record.id = ReportId { epoch: 1, seq: record.id.seq + 1 };
        record.removed = Removed::default();
        spool.append(&record).unwrap();
    };

    let began_at = Instant::now();
    for _ in 0..RECORDS {
        next(&mut spool);
        spool.read().unwrap().unwrap();
        spool.acknowledge(1);
    }
    let us = |began_at: Instant| began_at.elapsed().as_secs_f64() * 1e6 / RECORDS as f64;
    println!("a report of {bytes} bytes, each delivered before the next: {:.1} µs", us(began_at));

    let (began_at, before) = (Instant::now(), spool.bytes());
    for _ in 0..RECORDS {
        next(&mut spool);
    }
    println!("appended while others wait: {:.1} µs, {} bytes each", us(began_at), (spool.bytes() - before) / RECORDS);
    let began_at = Instant::now();
    while spool.read().unwrap().is_some() {
        spool.acknowledge(1);
    }
    println!("read back and acknowledged: {:.1} µs", us(began_at));
}
