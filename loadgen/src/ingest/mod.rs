//! To the api-backend, batch after batch as a consumer posts them: each host's reports go the same way, on which one batch at a time is posted
//! until it has a receipt.

mod batch;
mod client;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use reqwest::Url;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wire_model::limits::BATCH_RECORDS;

use crate::Config;
use crate::ingest::batch::Report;
use crate::ingest::client::Client;
use crate::ingest::worker::Worker;
use crate::tally::{Delivery, Tally};

/// One way for each batch that may be in flight.
pub(crate) struct Posts {
    ways: Vec<(mpsc::Sender<Report>, JoinHandle<()>)>,
    /// Each host's way.
    hosts: HashMap<String, usize>,
}

impl Posts {
    pub(crate) fn start(config: &Config, url: &Url, tally: &Arc<Tally>) -> anyhow::Result<Posts> {
        let client = Client::new(url, &config.ingest)?;
        let start = |partition| {
            // one batch waits while another is on its way
            let (reports, waiting) = mpsc::channel(BATCH_RECORDS);
            let worker = Worker::new(partition, config, client.clone(), Arc::clone(tally));
            (reports, tokio::spawn(worker.run(waiting)))
        };
        let ways = (0..i32::from(config.ingest.posts_in_flight)).map(start).collect();
        Ok(Posts { ways, hosts: HashMap::new() })
    }

    /// Waits while a full batch waits on the host's way already.
    pub(crate) async fn send(&mut self, delivery: Delivery, message: &[u8]) -> anyhow::Result<()> {
        // as many hosts on each
        let next = self.hosts.len() % self.ways.len();
        let way = *self.hosts.entry(delivery.host_id.clone()).or_insert(next);
        let report = Report { delivery, message: message.to_vec() };
        self.ways[way].0.send(report).await.ok().context("a worker ended before its time")
    }

    /// Returns when every report has a receipt or has failed.
    pub(crate) async fn wait_for_deliveries(self) -> anyhow::Result<()> {
        for (reports, worker) in self.ways {
            drop(reports);
            worker.await.context("wait for a worker's last batch")?;
        }
        Ok(())
    }
}
