//! Consumers that are all gone for a while: it is nobody's silence.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::room::{Plan, Room};

/// How long there is no consumer.
const GONE: Duration = Duration::from_secs(120);
/// A backend that has just started waits for so long before it calls anything late, or anybody down.
const GRACE: Duration = Duration::from_secs(35);
const LATE: &str = "SELECT COUNT(*) FROM violations WHERE metric = 'pipeline.lag'";
const DOWN: &str = "SELECT (SELECT COUNT(*) FROM events WHERE name = 'machine.down' AND body LIKE '%\"state\":\"down\"%') \
                    + (SELECT COUNT(*) FROM violations WHERE metric = 'host.missing') + (SELECT COUNT(*) FROM hosts WHERE is_down = 1)";

/// One violation by the rules as they are seeded, and nobody down; neither meanwhile nor while the backlog comes.
pub async fn consumer_stopped() {
    let mut room = Room::open(Plan { hosts: 50, interval_ms: 2_000, backends: 2, ..Plan::default() }).await;
    sleep(GRACE).await;
    let (status, _) = room.consumers[0].terminate(Duration::from_secs(15)).await;
    assert!(status.success(), "{status}");
    let database = room.site.database.clone();
    let mut opened_after = None;
    let gone_at = Instant::now();
    while gone_at.elapsed() < GONE {
        if opened_after.is_none() && database.number(LATE).await > 0 {
            opened_after = Some(gone_at.elapsed());
        }
        assert_eq!(database.number(DOWN).await, 0, "after {:?}", gone_at.elapsed());
        sleep(Duration::from_secs(1)).await;
    }
    let open = room.site.apis[0].open_violations("pipeline.lag").await;
    assert_eq!((open.len(), &open[0]["cause"]), (1, &"consumer".into()), "{open:?}");
    room.consumers[0] = room.site.start_consumer(0);
    let back_at = Instant::now();
    room.flow().await;
    end_to_end::within(300, "the pipeline is on time again", async || {
        room.site.apis[0].open_violations("pipeline.lag").await.is_empty().then_some(())
    })
    .await;
    println!("opened after {opened_after:?}, closed {:?} after the consumer was back", back_at.elapsed());
    sleep(GRACE).await;
    assert_eq!((database.number(LATE).await, database.number(DOWN).await), (1, 0));
    room.prove("no consumer for two minutes, 50 hosts: one violation of `pipeline.lag`, and no host is down").await;
}
