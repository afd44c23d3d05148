//! Answers that cost much are kept for a moment, and made one at a time: many who ask at once cost no more than one.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

/// How long an answer is given again.
const KEPT: Duration = Duration::from_secs(2);
/// Answers that are kept at once.
const ANSWERS: usize = 16;

/// Answers by their questions, oldest first.
pub(super) struct KeptAnswers<T>(Mutex<Vec<(String, Instant, T)>>);

impl<T> Default for KeptAnswers<T> {
    fn default() -> KeptAnswers<T> {
        KeptAnswers(Mutex::default())
    }
}

impl<T: Clone> KeptAnswers<T> {
    /// The answer that is kept, or a new one.
    pub(super) async fn get<E>(&self, question: String, answer: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let mut kept = self.0.lock().await;
        kept.retain(|(_, made, _)| made.elapsed() < KEPT);
        if let Some((_, _, answer)) = kept.iter().find(|(asked, ..)| *asked == question) {
            return Ok(answer.clone());
        }
        let answer = answer.await?;
        if kept.len() == ANSWERS {
            kept.remove(0);
        }
        kept.push((question, Instant::now(), answer.clone()));
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use super::*;

    #[tokio::test]
    async fn an_answer_is_made_once_for_all_who_ask_and_only_so_many_are_kept() {
        let kept = KeptAnswers::<u32>::default();
        let ask = async |question: usize, answer: u32| kept.get(question.to_string(), ready(Ok::<_, ()>(answer))).await;
        assert_eq!(kept.get("0".to_owned(), ready(Err("wrong"))).await, Err("wrong"), "and is not kept");
        for question in 0..ANSWERS {
            assert_eq!(ask(question, 1).await, Ok(1));
        }
        assert_eq!((ask(0, 2).await, ask(ANSWERS - 1, 2).await), (Ok(1), Ok(1)));
        assert_eq!(ask(ANSWERS, 3).await, Ok(3));
        assert_eq!((ask(1, 4).await, ask(0, 4).await), (Ok(1), Ok(4)), "the oldest made place");
    }
}
