//! Whether the topic is still the one it was. Its id outlives a client, and a time without the topic.

use std::sync::{Mutex, PoisonError};

/// What librdkafka calls the id of a topic that it has not met before: sixteen zero bytes in base64.
const NO_TOPIC_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

pub(crate) struct KnownTopic {
    name: String,
    /// The last id that was heard of.
    id: Mutex<Option<String>>,
}

impl KnownTopic {
    pub(crate) fn new(name: &str) -> KnownTopic {
        KnownTopic { name: name.to_owned(), id: Mutex::default() }
    }

    /// Whether librdkafka says with this message that the topic is another one than before.
    ///
    /// librdkafka 2.12 goes on at its old offset in a topic that was deleted and made anew, and so skips what stands before it, if
    /// there is as much already (see the FIXME in its `rd_kafka_topic_metadata_update2`). All it does is to say so at its debug
    /// level: `Topic reports changed id from A to B`.
    pub(crate) fn is_anew(&self, message: &str) -> bool {
        let Some((_, ids)) = message.split_once(&format!("Topic {} changed id from ", self.name)) else { return false };
        let Some((before, now)) = ids.split_once(" to ").filter(|(_, now)| *now != NO_TOPIC_ID) else { return false };
        let known = self.id.lock().unwrap_or_else(PoisonError::into_inner).replace(now.to_owned());
        // what a client of its own has forgotten, we know
        let before = Some(before).filter(|before| *before != NO_TOPIC_ID).or(known.as_deref());
        before.is_some_and(|before| before != now)
    }

    /// The topic is gone: whatever id comes next is no surprise.
    pub(crate) fn forget(&self) {
        *self.id.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "u1Yb3Wl9QBa4bTn0oVvx2A";
    const OTHER: &str = "0iGJ0NvTQSqXtqbRrZ0t4g";

    fn changed(topic: &str, before: &str, now: &str) -> String {
        format!("[thrd:main]: Topic {topic} changed id from {before} to {now}")
    }

    #[test]
    fn a_topic_is_anew_when_it_had_another_id_before() {
        for (message, expected) in [
            (changed("reports", ONE, OTHER), true),
            (changed("reports", NO_TOPIC_ID, OTHER), false),
            (changed("reports", ONE, NO_TOPIC_ID), false),
            (changed("reports.dlq", ONE, OTHER), false),
            (changed("my-reports", ONE, OTHER), false),
            ("[thrd:main]: Topic reports [0] Leader 1 Epoch 0".to_owned(), false),
        ] {
            assert_eq!(KnownTopic::new("reports").is_anew(&message), expected, "{message}");
        }
    }

    #[test]
    fn its_id_is_known_to_the_next_client_until_the_topic_is_gone() {
        let topic = KnownTopic::new("reports");
        assert!(!topic.is_anew(&changed("reports", NO_TOPIC_ID, ONE)));
        assert!(!topic.is_anew(&changed("reports", NO_TOPIC_ID, ONE)));
        assert!(topic.is_anew(&changed("reports", NO_TOPIC_ID, OTHER)));
        assert!(!topic.is_anew(&changed("reports", NO_TOPIC_ID, OTHER)), "once");
        topic.forget();
        assert!(!topic.is_anew(&changed("reports", NO_TOPIC_ID, ONE)));
    }
}
