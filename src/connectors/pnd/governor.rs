//! Requests per second of one ente, shared by all its keys (`reference send.md` 1: 50/s, burst 100).
//!
//! A waiting follow-up call always goes before a new send: what is already at SEND has terms that run. The day's count is
//! durable, so it is asked of the caller ([`DayQuota`]).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;

use crate::clock::monotonic;

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// About something already at SEND.
    FollowUp,
    /// Brings something new.
    NewSend,
}

/// The durable count of the day's requests.
#[async_trait]
pub trait DayQuota: Send + Sync {
    /// Takes `n` requests of today's; `false` when they are not left (nothing is taken then).
    async fn take(&self, n: u32, priority: Priority) -> bool;
}

/// The governor of one ente: a bucket, two queues.
pub struct Governor {
    /// Requests per second; 0: no limit.
    per_second: u32,
    state: Mutex<State>,
    /// First come, first served, in each class: only the head of each queue looks at the bucket.
    follow_ups: tokio::sync::Mutex<()>,
    new_sends: tokio::sync::Mutex<()>,
    day: Option<Arc<dyn DayQuota>>,
}

struct State {
    bucket: Bucket,
    follow_ups_waiting: usize,
    new_sends_waiting: usize,
}

/// The day's requests are spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuotaSpent;

impl Governor {
    /// `per_second` requests (0: no limit) with bursts of `burst` (at least one).
    pub fn new(per_second: u32, burst: u32, day: Option<Arc<dyn DayQuota>>) -> Governor {
        Governor {
            per_second,
            state: Mutex::new(State { bucket: Bucket::full(per_second, burst, monotonic()), follow_ups_waiting: 0, new_sends_waiting: 0 }),
            follow_ups: tokio::sync::Mutex::new(()),
            new_sends: tokio::sync::Mutex::new(()),
            day,
        }
    }

    /// No limit at all.
    pub fn off() -> Governor {
        Governor::new(0, 0, None)
    }

    /// Waits for the turn of one request. May be dropped while waiting: nothing is taken then.
    pub async fn turn(&self, priority: Priority) -> Result<(), QuotaSpent> {
        if self.per_second > 0 && !self.take_at_once(priority) {
            self.wait(priority).await;
        }
        match &self.day {
            Some(day) if !day.take(1, priority).await => Err(QuotaSpent),
            _ => Ok(()),
        }
    }

    /// Only when nobody waits who has a right to go before.
    fn take_at_once(&self, priority: Priority) -> bool {
        let mut state = self.lock();
        let first = state.follow_ups_waiting == 0 && (priority == Priority::FollowUp || state.new_sends_waiting == 0);
        first && state.bucket.take(monotonic()).is_ok()
    }

    async fn wait(&self, priority: Priority) {
        let _waiting = Waiting::new(self, priority);
        let queue = match priority {
            Priority::FollowUp => &self.follow_ups,
            Priority::NewSend => &self.new_sends,
        };
        let _head = queue.lock().await;
        loop {
            let pause = {
                let mut state = self.lock();
                let now = monotonic();
                if priority == Priority::NewSend && state.follow_ups_waiting > 0 {
                    state.bucket.until_next(now).max(state.bucket.interval())
                } else {
                    match state.bucket.take(now) {
                        Ok(()) => return,
                        Err(pause) => pause,
                    }
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Governor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Governor").field("per_second", &self.per_second).finish_non_exhaustive()
    }
}

/// Counts a waiter, also when it is dropped half way.
struct Waiting<'a> {
    governor: &'a Governor,
    priority: Priority,
}

impl<'a> Waiting<'a> {
    fn new(governor: &'a Governor, priority: Priority) -> Waiting<'a> {
        let waiting = Waiting { governor, priority };
        waiting.count(|waiters| waiters.saturating_add(1));
        waiting
    }

    fn count(&self, change: impl Fn(usize) -> usize) {
        let mut state = self.governor.lock();
        match self.priority {
            Priority::FollowUp => state.follow_ups_waiting = change(state.follow_ups_waiting),
            Priority::NewSend => state.new_sends_waiting = change(state.new_sends_waiting),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.count(|waiters| waiters.saturating_sub(1));
    }
}

/// A token bucket on a clock that is given to it.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn full(per_second: u32, burst: u32, now: Instant) -> Bucket {
        let burst = f64::from(burst.max(1));
        Bucket { per_second: f64::from(per_second.max(1)), burst, tokens: burst, at: now }
    }

    fn refill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.at);
        self.tokens = (self.tokens + since.as_secs_f64() * self.per_second).min(self.burst);
        self.at = self.at.max(now);
    }

    /// Takes one, or says how long until there is one.
    fn take(&mut self, now: Instant) -> Result<(), Duration> {
        let pause = self.until_next(now);
        if pause > Duration::ZERO {
            return Err(pause);
        }
        self.tokens -= 1.0;
        Ok(())
    }

    fn until_next(&mut self, now: Instant) -> Duration {
        self.refill(now);
        // A hair less than one is one: sums of floating point fall short.
        if self.tokens > 1.0 - 1e-6 { Duration::ZERO } else { Duration::from_secs_f64((1.0 - self.tokens) / self.per_second) }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64(1.0 / self.per_second)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = monotonic();
        let mut bucket = Bucket::full(50, 100, start);
        // (milliseconds from start, how many can be taken in a row)
        for (millis, want) in [(0, 100), (0, 0), (19, 0), (20, 1), (40, 1), (1_040, 50), (1_045, 0), (60_000, 100)] {
            let now = start + Duration::from_millis(millis);
            let taken = std::iter::from_fn(|| bucket.take(now).ok()).take(1_000).count();
            assert_eq!(taken, want, "at {millis} ms");
        }
        let now = start + Duration::from_millis(60_000);
        let pause = bucket.take(now).unwrap_err();
        assert!((19..=20).contains(&pause.as_millis()), "{pause:?}");
    }

    #[tokio::test]
    async fn follow_ups_go_first() {
        let governor = Arc::new(Governor::new(100, 1, None));
        governor.turn(Priority::NewSend).await.unwrap();
        let order = Arc::new(Mutex::new(String::new()));
        let mut waiting = tokio::task::JoinSet::new();
        for (letter, priority) in [
            ('n', Priority::NewSend),
            ('n', Priority::NewSend),
            ('f', Priority::FollowUp),
            ('f', Priority::FollowUp),
            ('f', Priority::FollowUp),
        ] {
            let (governor, order) = (governor.clone(), order.clone());
            waiting.spawn(async move {
                governor.turn(priority).await.unwrap();
                order.lock().unwrap().push(letter);
            });
        }
        let started = monotonic();
        while waiting.join_next().await.is_some() {}
        assert_eq!(*order.lock().unwrap(), "fffnn");
        assert!(started.elapsed() >= Duration::from_millis(45), "five turns at 100/s took {:?}", started.elapsed());
    }

    #[tokio::test]
    async fn who_gives_up_waiting_leaves_no_trace() {
        let governor = Governor::new(20, 1, None);
        governor.turn(Priority::FollowUp).await.unwrap();
        let gave_up = tokio::time::timeout(Duration::from_millis(5), governor.turn(Priority::FollowUp)).await;
        assert!(gave_up.is_err());
        let state = governor.lock();
        assert_eq!((state.follow_ups_waiting, state.new_sends_waiting), (0, 0));
    }

    #[tokio::test]
    async fn the_day_is_counted_even_without_a_rate() {
        struct Day(AtomicU32);
        #[async_trait]
        impl DayQuota for Day {
            async fn take(&self, n: u32, _: Priority) -> bool {
                self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n)).is_ok()
            }
        }
        let governor = Governor::new(0, 0, Some(Arc::new(Day(AtomicU32::new(2)))));
        for want in [Ok(()), Ok(()), Err(QuotaSpent)] {
            assert_eq!(governor.turn(Priority::NewSend).await, want);
        }
    }
}
