//! What an operator does with a threshold: sets it, follows the stream, and looks the violation up afterwards.

use std::time::Duration;

use serde_json::{Value, json};

use crate::api::{Api, Events, instant_ms, rfc3339};
use crate::now_ms;

/// A reaction takes an interval and the way of a report; builds beside the tests may slow both.
const PATIENCE: Duration = Duration::from_secs(30);

/// A threshold of one machine, followed through the stream.
pub struct Watch {
    api: Api,
    events: Events,
    machine_id: String,
    threshold: Value,
}

impl Watch {
    /// Sets a threshold that is violated at once above `value`, and over at or below `recovery_value`.
    pub async fn above(api: &Api, machine: &Value, metric: &str, value: f64, recovery_value: f64) -> Watch {
        let events = api.follow_violations().await;
        let machine_id = machine["id"].as_str().unwrap().to_owned();
        let threshold = json!({
            "scope": {"machine_id": machine_id}, "metric": metric, "direction": "above",
            "value": value, "recovery_value": recovery_value, "for_seconds": 0, "severity": "critical",
        });
        let threshold = api.create("thresholds", &threshold).await;
        Watch { api: api.clone(), events, machine_id, threshold }
    }

    /// The violation that opens; says how long it took from the sample to here.
    pub async fn opened(&mut self) -> Value {
        let violation = self.event("violation.opened").await;
        assert!(violation["opened_value"].as_f64() > self.threshold["value"].as_f64(), "{violation}");
        assert_eq!(violation["closed_at"], Value::Null);
        println!("violation.opened {} ms after its sample", now_ms() - instant_ms(&violation["opened_at"]));
        violation
    }

    /// The same violation, closed; it is found by every range of time that it touches, and by no other.
    pub async fn closed(&mut self, opened: &Value) {
        let closed = self.event("violation.closed").await;
        println!("violation.closed {} ms after its sample", now_ms() - instant_ms(&closed["closed_at"]));
        assert_eq!((&closed["id"], &closed["opened_at"]), (&opened["id"], &opened["opened_at"]));
        assert!(closed["closed_value"].as_f64() <= self.threshold["recovery_value"].as_f64(), "{closed}");
        assert_eq!(closed["close_reason"], "recovered");

        let (opened_at, closed_at) = (instant_ms(&closed["opened_at"]), instant_ms(&closed["closed_at"]));
        for (from, to, found) in [
            (opened_at - 1_000, closed_at + 1_000, true),
            (opened_at, opened_at + 1, true),
            (opened_at - 1_000, opened_at, false),
            (closed_at + 1_000, closed_at + 2_000, false),
        ] {
            let (from, to) = (rfc3339(from), rfc3339(to));
            let query = [("from", from.as_str()), ("to", &to), ("machine_id", &self.machine_id), ("severity", "critical")];
            let list = self.api.get("violations", &query).await;
            let ids: Vec<&Value> = list["items"].as_array().unwrap().iter().map(|violation| &violation["id"]).collect();
            assert_eq!(ids, if found { vec![&closed["id"]] } else { vec![] }, "from {from} to {to}");
        }
    }

    async fn event(&mut self, name: &str) -> Value {
        let mut others = Vec::new();
        loop {
            let Some(event) = self.events.next(PATIENCE).await else {
                panic!("no {name} within {PATIENCE:?}; other events: {others:?}")
            };
            if event.data["threshold_id"] == self.threshold["id"] {
                assert_eq!(event.name, name, "{event:?}");
                assert!(event.id.parse::<u64>().is_ok(), "a client can resume behind {event:?}");
                return event.data;
            }
            others.push(event);
        }
    }
}
