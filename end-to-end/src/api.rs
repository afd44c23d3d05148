//! A client of the api-backend, as an operator's program would be one.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, Url};
use serde_json::Value;
use tokio::time::Instant;

/// REST.
#[derive(Clone)]
pub struct Api {
    base: String,
    client: Client,
}

impl Api {
    /// `address` is host:port.
    pub fn new(address: &str) -> Api {
        let client = Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Api { base: format!("http://{address}/api/v1"), client }
    }

    /// `None` while nobody listens or the answer is no success.
    pub async fn try_get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let response = self.client.get(self.url(path, query)).send().await.ok()?;
        if response.status().is_success() { response.json().await.ok() } else { None }
    }

    /// Fails unless the answer is a success.
    pub async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        let response = self.client.get(self.url(path, query)).send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        assert!(status.is_success(), "GET {path} {query:?}: {status} {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Creates, and returns what was created.
    pub async fn create(&self, path: &str, body: &Value) -> Value {
        let response = self.client.post(format!("{}/{path}", self.base)).json(body).send().await.unwrap();
        let (status, body) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, StatusCode::CREATED, "POST {path}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Removes what stands there.
    pub async fn remove(&self, path: &str) {
        let response = self.client.delete(format!("{}/{path}", self.base)).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT, "DELETE {path}");
    }

    /// Removes the thresholds on a metric.
    pub async fn remove_thresholds(&self, metric: &str) {
        let list = self.get("thresholds", &[]).await;
        let rules = list["items"].as_array().unwrap().iter().filter(|rule| rule["metric"] == metric);
        for rule in rules {
            self.remove(&format!("thresholds/{}", rule["id"].as_str().unwrap())).await;
        }
    }

    /// The open violations of a metric.
    pub async fn open_violations(&self, metric: &str) -> Vec<Value> {
        let list = self.get("violations", &[("state", "open"), ("metric", metric)]).await;
        list["items"].as_array().unwrap().clone()
    }

    /// The one machine of this kind and name.
    pub async fn machine(&self, kind: &str, name: &str) -> Option<Value> {
        let list = self.try_get("machines", &[("kind", kind), ("q", name)]).await?;
        let machines = list["items"].as_array()?;
        machines.iter().find(|machine| machine["name"] == name).cloned()
    }

    /// Follows the stream of violations.
    pub async fn follow_violations(&self) -> Events {
        let client = Client::builder().no_proxy().build().unwrap();
        let response = client.get(self.url("stream", &[("topics", "violations")])).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Events { response, buffer: Vec::new() }
    }

    /// Follows violations and machines behind this event; `None` while nobody lets it.
    pub async fn follow_after(&self, last_event_id: &str) -> Option<Events> {
        let client = Client::builder().no_proxy().connect_timeout(Duration::from_secs(5)).build().unwrap();
        let request = client.get(self.url("stream", &[("topics", "violations,machines")])).header("Last-Event-ID", last_event_id);
        let response = request.send().await.ok()?;
        response.status().is_success().then_some(Events { response, buffer: Vec::new() })
    }

    fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        Url::parse_with_params(&format!("{}/{path}", self.base), query).unwrap()
    }
}

/// An open stream of server-sent events.
pub struct Events {
    response: Response,
    buffer: Vec<u8>,
}

/// One event.
#[derive(Clone, Debug)]
pub struct Event<D = Value> {
    /// `violation.opened` …
    pub name: String,
    /// Id to resume behind.
    pub id: String,
    /// Its JSON.
    pub data: D,
}

impl Events {
    /// The next event that has a name; `None` if none comes in time or the stream ends.
    pub async fn next(&mut self, within: Duration) -> Option<Event> {
        let Event { name, id, data } = self.next_text(within).await?;
        Some(Event { name, id, data: serde_json::from_str(&data).unwrap() })
    }

    /// The same, with its data as it came.
    pub async fn next_text(&mut self, within: Duration) -> Option<Event<String>> {
        let deadline = Instant::now() + within;
        loop {
            while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                let event = parse(std::str::from_utf8(&block).expect("events are text"));
                if event.is_some() {
                    return event;
                }
            }
            let chunk = tokio::time::timeout_at(deadline, self.response.chunk()).await.ok()?.ok()??;
            self.buffer.extend_from_slice(&chunk);
        }
    }
}

/// HTML standard, 9.2.6; keep-alive comments and events without data are none for us.
fn parse(block: &str) -> Option<Event<String>> {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        values.map(|value| value.strip_prefix(' ').unwrap_or(value)).next().unwrap_or_default().to_owned()
    };
    let (name, id, data) = (field("event"), field("id"), field("data"));
    if name.is_empty() || data.is_empty() {
        return None;
    }
    Some(Event { name, id, data })
}

/// The instant of an RFC 3339 text, in Unix ms.
pub fn instant_ms(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no instant: {value}"));
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}

/// Unix ms as RFC 3339.
pub fn rfc3339(at_ms: i64) -> String {
    jiff::Timestamp::from_millisecond(at_ms).unwrap().to_string()
}
