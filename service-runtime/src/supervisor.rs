//! Tasks with names. One that ends before it was asked to ends the service, so that nothing dies unnoticed.

use std::future::Future;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::task::JoinSet;

use crate::Shutdown;

/// How long tasks may drain after the shutdown began.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Owns the tasks of one service.
pub struct Supervisor {
    shutdown: Shutdown,
    tasks: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Supervisor {
    /// Its tasks are expected to end when `shutdown` is requested.
    pub fn new(shutdown: Shutdown) -> Supervisor {
        Supervisor { shutdown, tasks: JoinSet::new() }
    }

    /// Starts a task. It should end soon after the shutdown began, and not before.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.tasks.spawn(async move { (name, task.await) });
    }

    /// Waits for the shutdown or for the first task that ends on its own, then lets all others drain.
    ///
    /// The error is that of the first task that failed, ended early, panicked or did not end within [`DRAIN`].
    pub async fn run(mut self) -> anyhow::Result<()> {
        let first = tokio::select! {
            // a task that ended because it was asked to is often seen at the same moment
            biased;
            () = self.shutdown.requested() => Ok(()),
            Some(ended) = self.tasks.join_next() => match outcome(ended) {
                Ok(name) => Err(anyhow!("task {name} ended before it was asked to")),
                Err(error) => Err(error),
            },
        };
        self.shutdown.begin();
        let drained = tokio::time::timeout(DRAIN, async {
            let mut result = Ok(());
            while let Some(ended) = self.tasks.join_next().await {
                let ended = outcome(ended).map(|_| ());
                if let (Err(error), Err(_)) = (&ended, &result) {
                    tracing::error!(error = format!("{error:#}"), "another task failed");
                } else if ended.is_err() {
                    result = ended;
                }
            }
            result
        })
        .await;
        first?;
        match drained {
            Ok(result) => result,
            Err(_) => bail!("some task did not end within {} s", DRAIN.as_secs()),
        }
    }
}

fn outcome(ended: Result<(&'static str, anyhow::Result<()>), tokio::task::JoinError>) -> anyhow::Result<&'static str> {
    let (name, result) = ended.map_err(|error| anyhow!("a task panicked: {error}"))?;
    result.with_context(|| format!("task {name}"))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_early_ends_the_service() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        supervisor.spawn("early", async { Ok(()) });
        supervisor.spawn("patient", {
            let shutdown = shutdown.clone();
            async move {
                shutdown.requested().await;
                Ok(())
            }
        });
        assert_eq!(supervisor.run().await.unwrap_err().to_string(), "task early ended before it was asked to");
        assert!(shutdown.is_requested());
    }

    #[tokio::test]
    async fn an_ordered_shutdown_is_no_error_and_a_failing_drain_is() {
        for (result, message) in [(Ok(()), None), (Err(anyhow!("disk full")), Some("task writer: disk full"))] {
            let shutdown = Shutdown::new();
            let mut supervisor = Supervisor::new(shutdown.clone());
            let child = shutdown.clone();
            supervisor.spawn("writer", async move {
                child.requested().await;
                result
            });
            shutdown.begin();
            assert_eq!(supervisor.run().await.err().map(|error| format!("{error:#}")).as_deref(), message);
        }
    }

    #[tokio::test]
    async fn a_task_that_was_faster_than_the_supervisor_did_not_end_early() {
        for _ in 0..50 {
            let shutdown = Shutdown::new();
            let mut supervisor = Supervisor::new(shutdown.clone());
            let child = shutdown.clone();
            supervisor.spawn("quick", async move {
                child.requested().await;
                Ok(())
            });
            shutdown.begin();
            tokio::task::yield_now().await;
            supervisor.run().await.unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_drain_is_an_error() {
        let shutdown = Shutdown::new();
        let mut supervisor = Supervisor::new(shutdown.clone());
        supervisor.spawn("stuck", std::future::pending());
        shutdown.begin();
        assert!(supervisor.run().await.unwrap_err().to_string().contains("within 10 s"));
    }
}
