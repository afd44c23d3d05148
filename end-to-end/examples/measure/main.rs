//! Measures for docs/PERFORMANCE.md and prints rows for its tables; `scripts/measure-pipeline`, `measure-ingest` and `measure-store` start what
//! it needs.

#![allow(clippy::unwrap_used, reason = "a measurement that fails here fails loudly")]

mod ingest;
mod load_data;
mod meter;
mod pipeline;
mod played;
mod queries;
mod scrape;
mod search;
mod store;
mod victoria;

use clap::Parser;

#[derive(Parser)]
enum Command {
    /// A backlog on MariaDB and SQLite, and the latency of a violation
    Pipeline,
    /// Kafka, MariaDB, consumer and backend at one rate: lag, batches, memory and CPU
    Ingest(ingest::Options),
    /// The highest rate at which the lag stays flat
    Search(search::Options),
    /// What is stored against LOAD DATA and `VictoriaMetrics`: speed, CPU and bytes of the same values
    Store(store::Options),
    /// Latencies of queries to a large database
    Queries(queries::Options),
}

#[tokio::main]
async fn main() {
    match Command::parse() {
        Command::Pipeline => pipeline::measure().await,
        Command::Ingest(options) => ingest::measure(&options).await,
        Command::Search(options) => search::measure(&options).await,
        Command::Store(options) => store::measure(&options).await,
        Command::Queries(options) => queries::measure(&options).await,
    }
}
