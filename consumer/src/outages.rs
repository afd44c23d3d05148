//! Whether the backend takes batches, and Kafka dead letters. Many partitions fail together: one outage is said once, when it
//! begins and when it ends.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use service_runtime::Health;

pub(crate) struct Outages {
    health: Health,
    /// The health check's name.
    check: &'static str,
    /// How many batches are being retried.
    running: Mutex<usize>,
}

/// A batch that is being retried; ends when it is dropped, which a revoked partition's worker does, too.
pub(crate) struct Outage<'a> {
    outages: &'a Outages,
    began_at: Instant,
}

impl Outages {
    /// Ready, until a batch fails: before the first one nothing is known, and nothing is wrong.
    pub(crate) fn new(check: &'static str, health: Health) -> Outages {
        health.set(check, Ok(()));
        Outages { health, check, running: Mutex::default() }
    }

    /// The first outage of several makes the service unready, which `Health` logs.
    pub(crate) fn begin(&self, partition: i32, problem: &str) -> Outage<'_> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if *running == 0 {
            self.health.set(self.check, Err(format!("partition {partition} waits: {problem}")));
        }
        *running += 1;
        Outage { outages: self, began_at: Instant::now() }
    }
}

impl Drop for Outage<'_> {
    fn drop(&mut self) {
        metrics::histogram!("consumer_retry_seconds").record(self.began_at.elapsed().as_secs_f64());
        let mut running = self.outages.running.lock().unwrap_or_else(PoisonError::into_inner);
        *running -= 1;
        if *running == 0 {
            self.outages.health.set(self.outages.check, Ok(()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_unready_until_the_last_outage_ends() {
        let health = Health::new();
        let outages = Outages::new("api", health.clone());
        let problem = || health.problems().remove("api");
        assert_eq!(problem(), None);
        let first = outages.begin(1, "503");
        let second = outages.begin(2, "timeout");
        let said = Some("partition 1 waits: 503".to_owned());
        assert_eq!(problem(), said);
        drop(first);
        assert_eq!(problem(), said);
        drop(second);
        assert_eq!(problem(), None);
    }
}
