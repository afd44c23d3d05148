//! A client of the stream that shows what was sent, field by field.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use reqwest::header::HeaderMap;
use serde_json::Value;

use super::Backend;

#[derive(Debug, PartialEq)]
pub struct Message {
    pub id: Option<String>,
    pub event: Option<String>,
    pub data: Option<Value>,
    /// Milliseconds.
    pub retry: Option<u64>,
}

pub struct Client {
    pub headers: HeaderMap,
    bytes: BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    buffer: String,
}

impl Client {
    pub async fn open(backend: &Backend, query: &str, last_event_id: Option<&str>) -> Client {
        Client::open_at(&backend.base, query, last_event_id).await
    }

    /// By way of a proxy.
    pub async fn open_at(base: &str, query: &str, last_event_id: Option<&str>) -> Client {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request = client.get(format!("{base}/api/v1/stream{query}")).header("Accept-Encoding", "gzip");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let answer = tokio::time::timeout(Duration::from_secs(30), request.send()).await;
        let response = answer.expect("the stream begins").unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let headers = response.headers().clone();
        Client { headers, bytes: response.bytes_stream().boxed(), buffer: String::new() }
    }

    /// The next message that has an id or a name; `None` when the stream ended.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let message = self.next_block().await?;
            if message.id.is_some() || message.event.is_some() {
                return Some(message);
            }
        }
    }

    /// The next block, also one that only says when to come back.
    pub async fn next_block(&mut self) -> Option<Message> {
        loop {
            while let Some(end) = self.buffer.find("\n\n") {
                let block: String = self.buffer.drain(..end + 2).collect();
                let field =
                    |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned());
                let message = Message {
                    id: field("id:"),
                    event: field("event:"),
                    data: field("data:").map(|data| serde_json::from_str(&data).unwrap()),
                    retry: field("retry:").map(|retry| retry.parse().unwrap()),
                };
                if message.id.is_some() || message.event.is_some() || message.retry.is_some() {
                    return Some(message);
                }
            }
            let chunk =
                tokio::time::timeout(Duration::from_secs(30), self.bytes.next()).await.expect("the stream says something")?;
            self.buffer.push_str(std::str::from_utf8(&chunk.ok()?).unwrap());
        }
    }

    /// The next message that has a name.
    pub async fn next_event(&mut self) -> Message {
        loop {
            let message = self.next().await.expect("the stream goes on");
            if message.event.is_some() {
                return message;
            }
        }
    }
}
