//! Collector, consumer and api-backend in one process: the one-command default, for the first minute and for small rooms.
//!
//! Without `BOOTSTRAP_SERVER` the broker is librdkafka's in-process one, without `DATABASE_URL` the database is a SQLite file. Each
//! service reads its own configuration from the same environment, so every variable of theirs works here too.

mod broker;
mod config;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Context;
use service_runtime::config::read_with;
use service_runtime::{Shutdown, Supervisor};
use tokio::net::TcpListener;
use tracing::info;

use crate::broker::Broker;
pub use crate::config::Config;

/// Starts what is not given from outside, then the three services, and ends them in the order of a report's way.
pub async fn run(config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    let backend: api_backend::Config = read_with(&config.backend_flags())?;
    let listener = TcpListener::bind(backend.listen_addr)
        .await
        .with_context(|| format!("listen on {} (LISTEN_ADDR)", backend.listen_addr))?;
    let address = reachable(listener.local_addr().context("read the address")?);
    let broker = config.bootstrap_server.is_none().then(Broker::start).transpose()?;
    let bootstrap_server = broker.as_ref().map(Broker::bootstrap_server).or(config.bootstrap_server.clone()).unwrap_or_default();
    let collector: collector::Config = read_with(&config.collector_flags(&bootstrap_server))?;
    let consumer: consumer::Config = read_with(&config.consumer_flags(&bootstrap_server, address))?;
    if let Some(broker) = &broker {
        broker.create_topics(&consumer)?;
        info!("the broker is in this process: it keeps at most 5 MiB per partition, and what it holds ends with the process");
    }

    let is_in_process = broker.is_some();
    let (collecting, forwarding, serving) = (Shutdown::new(), Shutdown::new(), Shutdown::new());
    let (collected, forwarded) = (Shutdown::new(), Shutdown::new());
    let mut tasks = Supervisor::new(shutdown.clone());
    tasks.spawn("api-backend", api_backend::serve(backend, listener, serving.clone()));
    tasks.spawn("consumer", ended(consumer::run(consumer.clone(), forwarding.clone()), forwarded.clone()));
    tasks.spawn("collector", ended(collector::run(collector, collecting.clone()), collected.clone()));
    tasks.spawn("ordered end", async move {
        shutdown.requested().await;
        collecting.begin();
        collected.requested().await;
        if is_in_process {
            broker::drain(&consumer).await;
        }
        forwarding.begin();
        forwarded.requested().await;
        serving.begin();
        Ok(())
    });
    println!("server-monitoring is at http://{address}/");
    tasks.run().await
}

/// Makes the end of a service known, however it ended.
async fn ended(service: impl Future<Output = anyhow::Result<()>>, known: Shutdown) -> anyhow::Result<()> {
    let result = service.await;
    known.begin();
    result
}

/// The address under which this very machine reaches a listener.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
