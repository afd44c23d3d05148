//! Calls that may hang in the kernel: a statvfs on a dead NFS or FUSE mount, a sensor that does not answer.
//!
//! They run on threads of their own. A call that hangs costs its own answer and one thread, never the tick nor the other
//! calls; it is not made again until it returns. Usually one thread does all the work. These threads are not supervised
//! tasks, because nothing can end a thread that is stuck in the kernel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Threads that may hang at the same time; what comes after them has to wait.
const THREADS: usize = 64;
/// A system call with a small buffer needs no more.
const STACK_BYTES: usize = 128 * 1024;

/// Makes the same call for several keys.
pub(crate) struct SlowCalls<K, V> {
    name: &'static str,
    shared: Arc<Shared<K, V>>,
    /// What was asked for in this round and did not hang before.
    round: BTreeSet<K>,
}

struct Shared<K, V> {
    call: Box<dyn Fn(&K) -> V + Send + Sync>,
    state: Mutex<State<K, V>>,
    work: Condvar,
    done: Condvar,
}

struct State<K, V> {
    waiting: VecDeque<K>,
    in_flight: BTreeSet<K>,
    answers: BTreeMap<K, V>,
    idle: usize,
    threads: usize,
    closed: bool,
}

impl<K, V> SlowCalls<K, V>
where
    K: Ord + Clone + Send + 'static,
    V: Send + 'static,
{
    pub(crate) fn new(name: &'static str, call: impl Fn(&K) -> V + Send + Sync + 'static) -> SlowCalls<K, V> {
        let state = State {
            waiting: VecDeque::new(),
            in_flight: BTreeSet::new(),
            answers: BTreeMap::new(),
            idle: 0,
            threads: 0,
            closed: false,
        };
        let shared = Shared { call: Box::new(call), state: Mutex::new(state), work: Condvar::new(), done: Condvar::new() };
        SlowCalls { name, shared: Arc::new(shared), round: BTreeSet::new() }
    }

    /// Starts the calls, except those that have not returned yet.
    pub(crate) fn begin(&mut self, keys: impl Iterator<Item = K>) {
        let mut state = self.shared.lock();
        state.waiting.clear();
        self.round = keys.filter(|key| !state.in_flight.contains(key)).collect();
        state.waiting.extend(self.round.iter().cloned());
        if state.waiting.is_empty() {
            return;
        }
        if state.idle == 0 {
            self.start_threads(&mut state, 1);
        }
        drop(state);
        self.shared.work.notify_one();
    }

    /// The answers that are there, at the latest after `patience`; the others come with the next round's, or never.
    pub(crate) fn finish(&mut self, patience: Duration) -> BTreeMap<K, V> {
        let deadline = Instant::now() + patience;
        let mut state = self.shared.lock();
        let mut left = self.left(&state);
        while left > 0 {
            let now = Instant::now();
            if now >= deadline {
                break;
            }
            let wait = (deadline - now).min(patience / 4);
            let (relocked, timeout) = self.shared.done.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner);
            state = relocked;
            let still = self.left(&state);
            if timeout.timed_out() && still == left && !state.waiting.is_empty() {
                // somebody hangs: the rest shall not wait behind it
                let threads = state.waiting.len();
                self.start_threads(&mut state, threads);
            }
            left = still;
        }
        std::mem::take(&mut state.answers)
    }

    fn left(&self, state: &State<K, V>) -> usize {
        self.round.iter().filter(|key| !state.answers.contains_key(key)).count()
    }

    fn start_threads(&self, state: &mut State<K, V>, wanted: usize) {
        for _ in 0..wanted.min(THREADS - state.threads.min(THREADS)) {
            let shared = Arc::clone(&self.shared);
            let thread = std::thread::Builder::new().name(self.name.to_owned()).stack_size(STACK_BYTES);
            match thread.spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) => tracing::warn!(%error, calls = self.name, "cannot start a thread"),
            }
        }
    }
}

impl<K, V> Drop for SlowCalls<K, V> {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.work.notify_all();
    }
}

impl<K, V> Shared<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Ord + Clone, V> Shared<K, V> {
    /// One thread: makes the calls that wait; one thread stays for the next round.
    fn work(&self) {
        let mut state = self.lock();
        while !state.closed {
            if let Some(key) = state.waiting.pop_front() {
                state.in_flight.insert(key.clone());
                drop(state);
                let answer = (self.call)(&key);
                state = self.lock();
                state.in_flight.remove(&key);
                state.answers.insert(key, answer);
                self.done.notify_one();
            } else if state.idle > 0 {
                break;
            } else {
                state.idle += 1;
                state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const PATIENCE: Duration = Duration::from_millis(200);

    /// Calls that return at once, but for keys from 100 on, which hang until the sender is dropped.
    fn calls() -> (SlowCalls<u32, u32>, mpsc::Sender<()>) {
        let (release, gate) = mpsc::channel::<()>();
        let gate = Mutex::new(gate);
        let calls = SlowCalls::new("test", move |key: &u32| {
            if *key >= 100 {
                let closed = gate.lock().unwrap_or_else(PoisonError::into_inner).recv();
                assert!(closed.is_err());
            }
            key * 2
        });
        (calls, release)
    }

    fn round(calls: &mut SlowCalls<u32, u32>, keys: &[u32]) -> (Vec<u32>, Duration) {
        let start = Instant::now();
        calls.begin(keys.iter().copied());
        let answers = calls.finish(PATIENCE);
        (answers.into_keys().collect(), start.elapsed())
    }

    #[test]
    fn a_call_that_hangs_costs_only_its_own_answer_and_only_the_first_round() {
        let (mut calls, release) = calls();
        assert_eq!(round(&mut calls, &[1, 2, 3]).0, [1, 2, 3]);
        // 100 and 101 hang; what is asked after them is answered all the same
        let (answered, took) = round(&mut calls, &[1, 100, 101, 102, 2, 3]);
        assert_eq!(answered, [1, 2, 3]);
        assert!(took < PATIENCE * 2, "{took:?}");
        for _ in 0..20 {
            let (answered, took) = round(&mut calls, &[1, 100, 101, 102, 2, 3]);
            assert_eq!(answered, [1, 2, 3]);
            assert!(took < PATIENCE / 2, "what hangs is not waited for again: {took:?}");
        }
        drop(release);
        let deadline = Instant::now() + Duration::from_secs(10);
        while round(&mut calls, &[1, 100, 101, 102]).0 != [1, 100, 101, 102] {
            assert!(Instant::now() < deadline, "the calls returned and are still missed");
        }
    }

    #[test]
    fn threads_end_when_they_are_not_needed() {
        let (mut calls, release) = calls();
        round(&mut calls, &(100..110).collect::<Vec<_>>());
        drop(release);
        let shared = Arc::clone(&calls.shared);
        let until = |expected: usize| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while shared.lock().threads != expected {
                assert!(Instant::now() < deadline, "{} threads are left, not {expected}", shared.lock().threads);
                std::thread::yield_now();
            }
        };
        until(1);
        drop(calls);
        until(0);
    }
}
