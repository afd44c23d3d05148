//! The longest time in which nothing of the played fleet was stored.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use end_to_end::Database;
use tokio::task::JoinHandle;

use crate::room::PLAYED;

const LOOK: Duration = Duration::from_millis(250);

pub struct Pauses {
    longest: Arc<Mutex<Duration>>,
    task: JoinHandle<()>,
}

impl Pauses {
    /// From the first report on.
    pub fn watch(database: &Database) -> Pauses {
        let longest = Arc::new(Mutex::new(Duration::ZERO));
        let task = tokio::spawn(look(database.clone(), Arc::clone(&longest)));
        Pauses { longest, task }
    }

    /// The longest so far; what comes later does not count.
    pub fn end(&self) -> Duration {
        self.task.abort();
        *self.longest.lock().unwrap()
    }
}

async fn look(database: Database, longest: Arc<Mutex<Duration>>) {
    let (mut newest, mut since) = (0, Instant::now());
    loop {
        let played = database.try_number(PLAYED).await.unwrap_or(newest);
        if newest > 0 {
            let mut longest = longest.lock().unwrap();
            *longest = longest.max(since.elapsed());
        }
        if played > newest {
            (newest, since) = (played, Instant::now());
        }
        tokio::time::sleep(LOOK).await;
    }
}
