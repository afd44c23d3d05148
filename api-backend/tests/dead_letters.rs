//! Dead letters that consumers tell of, to look at, on every database.

#![allow(clippy::unwrap_used, reason = "a test that fails here fails loudly")]

mod support;

use api_backend::store::letters::KEPT_LETTERS;
use api_backend::time::rfc3339;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Backend, Database, now_ms, on_every_database};
use wire_model::limits::{LETTER_TEXT_CHARS, LETTERS};

/// What a consumer says of these letters, and of nothing else.
fn status(topic: &str, letters: &[Value]) -> Value {
    json!({
        "consumer": "c", "group": "g", "version": "1", "topic": topic, "partitions": [], "skipped": [], "dead_letters": letters.len(),
        "letters": letters,
    })
}

async fn tell(backend: &Backend, topic: &str, letters: &[Value]) {
    let (status, body) = backend.call(Method::POST, "/pipeline/consumers", Some(&status(topic, letters))).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

/// One of which nothing else is known.
fn bare(partition: i64, offset: i64, written_at: i64) -> Value {
    json!({"partition": partition, "offset": offset, "written_at": written_at})
}

/// Topic, partition and offset of all that are listed, by pages of this size.
async fn listed(backend: &Backend, limit: usize) -> Vec<(String, i64, i64)> {
    let mut all = Vec::new();
    let mut path = format!("/pipeline/dead_letters?limit={limit}");
    loop {
        let (status, page) = backend.get(&path).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        let place = |item: &Value| {
            let number = |name: &str| item[name].as_i64().unwrap();
            (item["topic"].as_str().unwrap().to_owned(), number("partition"), number("offset"))
        };
        let items: Vec<_> = page["items"].as_array().unwrap().iter().map(place).collect();
        assert!(items.len() <= limit);
        all.extend(items);
        let Some(cursor) = page["next_cursor"].as_str() else { return all };
        path = format!("/pipeline/dead_letters?limit={limit}&cursor={cursor}");
    }
}

#[tokio::test]
async fn a_letter_is_there_once_with_what_was_told_of_it_last() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        assert_eq!(backend.get("/pipeline/dead_letters").await.1, json!({"items": [], "next_cursor": null}));
        let at = now_ms() - 60_000;
        let whole = json!({
            "partition": 2, "offset": 17, "written_at": at, "reason": "not JSON: \"<img src=x onerror=alert(1)>\"", "origin_topic": "t",
            "origin_partition": 0, "origin_offset": 40, "origin_at": at - 5, "key": "db-01 🔒", "payload_bytes": i64::MAX,
            "payload_start": "🔒".repeat(LETTER_TEXT_CHARS),
        });
        let nothing = json!({"partition": 0, "offset": i64::MAX});
        for letters in [&[whole.clone(), nothing.clone()][..], &[nothing, whole.clone()], &[whole.clone(), whole.clone()]] {
            tell(&backend, "t", letters).await;
        }
        let (_, body) = backend.get("/pipeline/dead_letters").await;
        let [bare, full] = &body["items"].as_array().unwrap()[..] else { panic!("{body}") };
        let expected = json!({
            "id": full["id"], "topic": "t.dlq", "partition": 2, "offset": 17, "written_at": rfc3339(at), "reason": whole["reason"],
            "origin": {"topic": "t", "partition": 0, "offset": 40, "at": rfc3339(at - 5)}, "key": "db-01 🔒",
            "payload_bytes": i64::MAX, "payload_start": whole["payload_start"],
        });
        assert_eq!(full, &expected);
        let expected = json!({
            "id": bare["id"], "topic": "t.dlq", "partition": 0, "offset": i64::MAX, "written_at": bare["written_at"], "reason": null,
            "origin": {"topic": null, "partition": null, "offset": null, "at": null}, "key": null, "payload_bytes": null, "payload_start": null,
        });
        assert_eq!(bare, &expected);
        let (_, pipeline) = backend.get(&support::fresh_pipeline()).await;
        let newest = [&bare["id"], &full["id"]].map(|id| id.as_str().unwrap().parse::<i64>().unwrap()).into_iter().max();
        assert_eq!(pipeline["dead_letters"][0]["newest_letter"], newest.unwrap().to_string(), "{pipeline}");

        // the topic was made anew
        let other = json!({"partition": 2, "offset": 17, "written_at": at + 1, "reason": "other"});
        tell(&backend, "t", &[other]).await;
        let (_, body) = backend.get("/pipeline/dead_letters?limit=1&cursor=9223372036854775807.1").await;
        assert!(body["next_cursor"].is_string(), "{body}");
        let (_, body) = backend.get("/pipeline/dead_letters").await;
        let again = &body["items"][1];
        assert_eq!((&again["id"], &again["reason"], &again["key"]), (&full["id"], &json!("other"), &Value::Null), "{body}");
        assert_eq!(again["written_at"], rfc3339(at + 1));
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn they_come_in_pages_the_newest_first_and_never_from_the_future() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let now = now_ms();
        // three of one time, and one that wants to be the newest for ever
        tell(&backend, "b", &[bare(0, 1, now - 3_000), bare(0, 2, now - 2_000), bare(0, 3, now - 2_000)]).await;
        tell(&backend, "a", &[bare(1, 1, now - 2_000), bare(1, 2, now - 1_000), bare(1, 3, now + 3_600_000)]).await;
        let expected: Vec<(String, i64, i64)> = [("a", 1, 3), ("a", 1, 2), ("a", 1, 1), ("b", 0, 3), ("b", 0, 2), ("b", 0, 1)]
            .map(|(topic, partition, offset)| (format!("{topic}.dlq"), partition, offset))
            .to_vec();
        for limit in [1, 2, 5, 6, 7] {
            assert_eq!(listed(&backend, limit).await, expected, "{limit}");
        }
        let newest = &backend.items("/pipeline/dead_letters").await[0]["written_at"];
        assert!((rfc3339(now)..=rfc3339(now_ms())).contains(&newest.as_str().unwrap().to_owned()), "{newest}");
        for (query, expected) in [
            ("limit=0", 400),
            ("limit=1", 200),
            ("limit=1000", 200),
            ("limit=1001", 400),
            ("cursor=x", 400),
            ("cursor=1.x", 400),
            ("topic=a", 400),
        ] {
            let (status, body) = backend.get(&format!("/pipeline/dead_letters?{query}")).await;
            assert_eq!(status.as_u16(), expected, "{query}: {body}");
        }
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn the_newest_of_each_topic_are_kept_and_no_more() {
    on_every_database(async |database| {
        let backend = Backend::start(&database).await;
        let start = now_ms() - 1_000_000;
        tell(&backend, "other", &[bare(0, 0, start - 1)]).await;
        // the oldest two of them have one time
        let letter = |offset: i64| bare(0, offset, start + offset.max(1));
        let all: Vec<Value> = (0..KEPT_LETTERS).rev().map(letter).collect();
        for letters in all.chunks(LETTERS) {
            tell(&backend, "t", letters).await;
        }
        let count = async |topic: &str| listed(&backend, 1_000).await.into_iter().filter(|(found, ..)| found == topic).count();
        assert_eq!((count("t.dlq").await, count("other.dlq").await), (1_000, 1));
        tell(&backend, "t", &[letter(KEPT_LETTERS)]).await;
        let offsets = async || {
            let of_topic = listed(&backend, 300).await.into_iter().filter(|(topic, ..)| topic == "t.dlq");
            let mut offsets: Vec<i64> = of_topic.map(|(.., offset)| offset).collect();
            offsets.sort_unstable();
            offsets
        };
        // of the same time the one goes that was heard of first
        let after: Vec<i64> = (1..=KEPT_LETTERS).collect();
        assert_eq!(offsets().await, after);
        // a consumer that has just started tells of an old one once more
        tell(&backend, "t", &[bare(0, 0, start)]).await;
        assert_eq!(offsets().await, after);
        assert_eq!(count("other.dlq").await, 1);
        backend.stop().await;
    })
    .await;
}

#[tokio::test]
async fn what_is_beyond_the_limits_is_refused_whole_and_others_may_not_look() {
    let database = Database::sqlite();
    let backend = Backend::start(&database).await;
    let at = now_ms() - 1_000;
    let post = async |letters: &[Value]| backend.call(Method::POST, "/pipeline/consumers", Some(&status("t", letters))).await;
    let mut long = bare(0, 1, at);
    long["payload_start"] = json!("x".repeat(LETTER_TEXT_CHARS + 1));
    let (answer, body) = post(&[bare(0, 0, at), long]).await;
    assert_eq!(answer, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(body["detail"].as_str().unwrap().contains("letter 1 of partition 0: payload_start has 1025"), "{body}");
    let many: Vec<Value> = (0..=LETTERS as i64).map(|offset| bare(0, offset, at)).collect();
    assert_eq!(post(&many).await.0, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(listed(&backend, 10).await, []);
    assert_eq!(post(&many[1..]).await.0, StatusCode::NO_CONTENT);
    assert_eq!(listed(&backend, 10).await.len(), LETTERS);
    backend.stop().await;

    let backend = Backend::start_with(&database, &["--ingest-token=in", "--api-token=user"]).await;
    let get = async |token: &str| {
        let request = backend.client.get(format!("{}/api/v1/pipeline/dead_letters", backend.base)).bearer_auth(token);
        request.send().await.unwrap().status()
    };
    assert_eq!((get("in").await, get("user").await), (StatusCode::UNAUTHORIZED, StatusCode::OK));
    backend.stop().await;
}

#[tokio::test]
async fn two_consumers_tell_of_the_same_ones_at_once() {
    on_every_database(async |database| {
        let (one, other) = (Backend::start(&database).await, Backend::start(&database).await);
        let start = now_ms() - 1_000_000;
        let letters: Vec<Value> = (0..100).map(|offset| bare(offset % 3, offset, start + offset)).collect();
        for _ in 0..5 {
            tokio::join!(tell(&one, "t", &letters), tell(&other, "t", &letters), tell(&one, "t", &letters[..50]));
        }
        assert_eq!(listed(&one, 1_000).await.len(), 100);
        one.stop().await;
        other.stop().await;
    })
    .await;
}
