//! A client of the stream that comes back behind the last event it has seen, and writes down every event it gets.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use crate::api::Api;

/// A quiet stream is left and followed anew after so long: keep-alive comments come every 15 s, and one that never ends is stuck.
const SILENCE: Duration = Duration::from_secs(30);
/// Shortest wait before it comes back.
const COMES_BACK_AFTER: Duration = Duration::from_millis(100);

/// How long a client stays before it leaves by itself.
#[derive(Clone, Copy, Debug)]
pub enum Patience {
    /// As long as it is served.
    Endless,
    /// Up to so long.
    AtMost(Duration),
}

/// Follows until it is dropped.
pub struct Follower {
    /// Lines of `{"id","name","body"}`.
    pub record: PathBuf,
    task: JoinHandle<()>,
}

impl Follower {
    /// From the first event there ever was. `apis` are asked in turn.
    pub fn start(apis: Vec<Api>, record: PathBuf, patience: Patience) -> Follower {
        let file = File::create(&record).unwrap();
        Follower { record, task: tokio::spawn(follow(apis, file, patience)) }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn follow(apis: Vec<Api>, mut file: File, patience: Patience) {
    let mut last = "0".to_owned();
    for api in apis.iter().cycle() {
        tokio::time::sleep(COMES_BACK_AFTER).await;
        let stay = match patience {
            Patience::Endless => Duration::MAX,
            Patience::AtMost(longest) => longest.mul_f64(fastrand::f64()),
        };
        let one_visit = async {
            let Some(mut events) = api.follow_after(&last).await else { return };
            while let Some(event) = events.next_text(SILENCE).await {
                let line = json!({"id": event.id, "name": event.name, "body": event.data});
                writeln!(file, "{line}").unwrap();
                if !event.id.is_empty() {
                    last = event.id;
                }
            }
        };
        // an error: its patience is over
        drop(tokio::time::timeout(stay, one_visit).await);
    }
}
