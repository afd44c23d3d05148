//! What a batch costs the backend from its body to the receipt, with a real database: the time, and the CPU of this process alone.
//!
//! `cargo bench -p api-backend --bench transaction` with `TEST_MARIADB_URL` (scripts/services/mariadb); on SQLite without.

#![allow(clippy::unwrap_used, reason = "a measurement that fails here fails loudly")]

#[path = "../../wire-model/benches/fleet/mod.rs"]
mod fleet;

use std::time::{Duration, Instant};

use api_backend::ingest::{DecodedBatch, Forms, Ingest};
use api_backend::live::Live;
use api_backend::store;
use rustix::time::{ClockId, clock_gettime};
use serde_json::value::RawValue;
use wire_model::{IngestBatch, IngestRecord};

const HOSTS: usize = 480;
/// Hosts of one partition report together.
const PARTITIONS: usize = 4;
const ROUNDS: u64 = 40;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    for containers in [10, 40] {
        runtime.block_on(measure(containers));
    }
}

async fn measure(containers: usize) {
    let folder = tempfile::tempdir().unwrap();
    let url = match std::env::var("TEST_MARIADB_URL") {
        Ok(server) => database(&server).await,
        Err(_) => format!("sqlite://{}/bench.db", folder.path().display()),
    };
    let store = store::connect(&url.parse().unwrap()).await.unwrap();
    let forms = Forms::default();
    let ingest = Ingest::new(store, Live::default(), 10_000);
    let (mut elapsed, mut cpu, mut decoding, mut records, mut bytes) = (Duration::ZERO, Duration::ZERO, Duration::ZERO, 0, 0);
    for round in 1..=ROUNDS {
        for partition in 0..PARTITIONS {
            // made here, and not counted
            let body = body(partition, containers, round);
            bytes += body.len();
            let (begun, used) = (Instant::now(), cpu_time());
            let batch = DecodedBatch::decode(&body, true, &forms, fleet::BEGIN + 86_400_000).unwrap();
            let decoded = cpu_time();
            let receipt = ingest.accept(batch).await.unwrap();
            assert_eq!(receipt.stored, HOSTS / PARTITIONS);
            // of the first rounds it is mostly new hosts that cost
            if round > 2 {
                (elapsed, cpu, decoding) = (elapsed + begun.elapsed(), cpu + (cpu_time() - used), decoding + (decoded - used));
                records += HOSTS / PARTITIONS;
            }
        }
    }
    let per_report = |time: Duration| time.as_secs_f64() * 1e6 / records as f64;
    println!(
        "{containers} containers: {:.1} µs a report, {:.1} µs of our CPU, of which decoding {:.1} µs; {} reports a batch, {} bytes of body each",
        per_report(elapsed),
        per_report(cpu),
        per_report(decoding),
        HOSTS / PARTITIONS,
        bytes / (HOSTS * usize::try_from(ROUNDS).unwrap()),
    );
}

/// As the consumer encodes it.
fn body(partition: usize, containers: usize, round: u64) -> Vec<u8> {
    let hosts = (0..HOSTS).filter(|host| host % PARTITIONS == partition);
    let messages: Vec<_> =
        hosts.map(|host| String::from_utf8(fleet::report(host, containers, round).encode()).unwrap()).collect();
    let records = (0..).zip(&messages).map(|(n, message)| IngestRecord {
        offset: (round * HOSTS as u64).cast_signed() + n,
        report: serde_json::from_str::<&RawValue>(message).unwrap(),
    });
    let batch = IngestBatch { topic: "t".into(), partition: i32::try_from(partition).unwrap(), records: records.collect() };
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    serde_json::to_writer(&mut encoder, &batch).unwrap();
    encoder.finish().unwrap()
}

async fn database(server: &str) -> String {
    use sqlx::Connection;
    sqlx::any::install_default_drivers();
    let mut connection = sqlx::AnyConnection::connect(server).await.unwrap();
    sqlx::raw_sql("DROP DATABASE IF EXISTS bench").execute(&mut connection).await.unwrap();
    sqlx::raw_sql("CREATE DATABASE bench").execute(&mut connection).await.unwrap();
    format!("{}/bench", server.rsplit_once('/').unwrap().0)
}

/// User and system time of all threads.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap())
}
