//! What can never be stored, from Kafka to the answer that an operator gets, also when its consumer is killed.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use end_to_end::kafka::{self, bootstrap_server};
use end_to_end::{Stack, within};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_what_could_not_be_stored_and_why() {
    let stack = Stack::new("letters").await;
    let letters = async || -> Option<Vec<Value>> {
        let list = stack.api.try_get("pipeline/dead_letters", &[]).await?;
        Some(list["items"].as_array().unwrap().clone())
    };
    let mut first = stack.start_consumer(&stack.group);
    within(30, "the topics are there", async || {
        first.assert_runs();
        let topics = [stack.topic.clone(), format!("{}.dlq", stack.topic)];
        topics.iter().all(|topic| kafka::has_topic(&bootstrap_server(), topic)).then_some(())
    })
    .await;
    // no backend is there to hear of it
    let poison = "<img src=x onerror=\"window.owned=1\"> is no JSON";
    kafka::write(&bootstrap_server(), &stack.topic, "db-01", poison.as_bytes()).await;
    // a consumer that is killed before it commits writes the letter once more
    within(30, "it is a dead letter, and committed", async || {
        let is_there = kafka::count(&bootstrap_server(), &format!("{}.dlq", stack.topic)) == 1;
        (is_there && stack.lag(&stack.group) == 0).then_some(())
    })
    .await;
    first.kill();

    let mut backend = stack.start_ready_backend().await;
    assert_eq!(letters().await.unwrap(), [] as [Value; 0]);
    let mut second = stack.start_consumer(&stack.group);
    let known = within(30, "the next consumer tells of it", async || letters().await.filter(|letters| letters.len() == 1)).await;
    let letter = &known[0];
    assert_eq!((&letter["key"], &letter["payload_start"]), (&json!("db-01"), &json!(poison)), "{letter}");
    assert_eq!((&letter["topic"], &letter["origin"]["topic"]), (&json!(format!("{}.dlq", stack.topic)), &json!(stack.topic)));
    assert_eq!((&letter["origin"]["offset"], &letter["payload_bytes"]), (&json!(0), &json!(poison.len())), "{letter}");
    assert!(letter["reason"].as_str().unwrap().contains("expected value"), "{letter}");

    // JSON, and no report: that is the backend's verdict
    kafka::write(&bootstrap_server(), &stack.topic, "db-02", b"{\"schema\": 1}").await;
    let known = within(30, "and of a new one", async || letters().await.filter(|letters| letters.len() == 2)).await;
    assert_eq!((&known[0]["key"], &known[1]), (&json!("db-02"), letter));
    let pipeline = within(30, "and how many there are", async || {
        let pipeline = stack.api.try_get("pipeline", &[]).await?;
        (pipeline["dead_letters"][0]["records"] == 2).then_some(pipeline)
    })
    .await;
    assert_eq!(pipeline["dead_letters"][0]["newest_letter"], known[0]["id"], "{pipeline}");
    for process in [&mut second, &mut backend] {
        let (status, _) = process.terminate(Duration::from_secs(10)).await;
        assert!(status.success(), "{status}");
    }
}
