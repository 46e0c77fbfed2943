//! Whether the hub lives: each main loop beats once a turn, and the store is asked whether it still writes.
//!
//! Two sorts of loops. Those that only touch what is ours (`vital`) are why systemd restarts the service when they fall silent:
//! a restart mends them. Those that touch folders of gestionali may hang with a share that hangs: a restart mends nothing, so
//! they make the service not ready, raise an alarm of Prometheus, and no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Hub;
use crate::clock::monotonic;
use crate::store::StoreError;
use crate::text::it::service as words;

/// A main loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat {
    Dispatch,
    Queue,
    Sweep,
    Publish,
    Intake,
}

impl Beat {
    pub const ALL: [Beat; 5] = [Beat::Dispatch, Beat::Queue, Beat::Sweep, Beat::Publish, Beat::Intake];
    /// A loop that waits for events beats at least this often.
    pub const IDLE: Duration = Duration::from_secs(5);

    /// Name in logs and figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Beat::Dispatch => "dispatch",
            Beat::Queue => "queue",
            Beat::Sweep => "sweep",
            Beat::Publish => "publish",
            Beat::Intake => "intake",
        }
    }

    /// It touches nothing that is not ours.
    #[must_use]
    pub fn vital(self) -> bool {
        matches!(self, Beat::Dispatch | Beat::Queue | Beat::Sweep)
    }

    /// How long one turn may take at most, pause included.
    #[must_use]
    pub fn patience(self) -> Duration {
        match self {
            Beat::Dispatch | Beat::Queue => Duration::from_secs(60),
            Beat::Sweep | Beat::Publish | Beat::Intake => Duration::from_secs(300),
        }
    }
}

/// When each loop last beat.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Milliseconds since `start`, plus one; 0: never.
    last: [AtomicU64; Beat::ALL.len()],
    /// Until when the store may, or might, be silent, in the same milliseconds; 0: it never might.
    rest: AtomicU64,
}

/// The store is about to be written anew: while this lives, and no longer than was said, silence is no ailment.
pub struct Rest<'a>(&'a Pulse);

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        self.0.rest.fetch_min(self.0.since(monotonic()), Ordering::AcqRel);
    }
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse { start: monotonic(), last: Default::default(), rest: AtomicU64::new(0) }
    }
}

impl Pulse {
    /// A loop begins a turn.
    pub fn beat(&self, beat: Beat) {
        self.beat_at(beat, monotonic());
    }

    fn beat_at(&self, beat: Beat, now: Instant) {
        if let Some(last) = self.last.get(beat as usize) {
            last.store(self.since(now) + 1, Ordering::Release);
        }
    }

    /// Milliseconds from the start.
    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// Nobody can write for a while, on purpose.
    pub fn rest(&self, at_most: Duration) -> Rest<'_> {
        let until = monotonic().saturating_duration_since(self.start).saturating_add(at_most);
        self.rest.store(u64::try_from(until.as_millis()).unwrap_or(u64::MAX), Ordering::Release);
        Rest(self)
    }

    /// Whether silence is on purpose.
    #[must_use]
    pub fn rests(&self, now: Instant) -> bool {
        self.since(now) < self.rest.load(Ordering::Acquire)
    }

    /// How long ago a loop beat. `None`: it never did.
    #[must_use]
    pub fn age(&self, beat: Beat, now: Instant) -> Option<Duration> {
        let last = self.last.get(beat as usize)?.load(Ordering::Acquire).checked_sub(1)?;
        Some(now.saturating_duration_since(self.start).saturating_sub(Duration::from_millis(last)))
    }

    /// Loops that are silent for longer than they may; one that has not begun is. Who waited for a store that rested is silent only
    /// since then.
    #[must_use]
    pub fn silent(&self, now: Instant) -> Vec<Beat> {
        let awake = Duration::from_millis(self.since(now).saturating_sub(self.rest.load(Ordering::Acquire)));
        Beat::ALL.into_iter().filter(|beat| self.age(*beat, now).is_none_or(|age| age.min(awake) > beat.patience())).collect()
    }

    /// Since when there is a pulse.
    #[must_use]
    pub fn lived(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Whether every loop has begun.
    #[must_use]
    pub fn begun(&self) -> bool {
        Beat::ALL.into_iter().all(|beat| self.age(beat, self.start).is_some())
    }
}

/// What does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ailment {
    /// The store did not write and read within its time.
    StoreSilent,
    StoreFails {
        detail: String,
    },
    Silent(Beat),
    /// The hub is ending.
    Stopping,
    /// Under the reserve no drop is taken.
    DiskFull,
}

/// What keeps the hub from living: a restart may mend it. `Ok`: how long the store took.
///
/// # Errors
/// Everything that ails.
pub async fn vital(hub: &Hub, limit: Duration) -> Result<Duration, Vec<Ailment>> {
    let started = monotonic();
    // A rest may begin, or end, while the answer is awaited: who waits stands behind it either way.
    let rested = hub.pulse.rests(started);
    let asked: Result<Result<(), StoreError>, _> = tokio::time::timeout(limit, hub.store.answers()).await;
    let mut ailments = match asked {
        Ok(Ok(())) => Vec::new(),
        Ok(Err(StoreError::Stopping)) => vec![Ailment::Stopping],
        Ok(Err(error)) => vec![Ailment::StoreFails { detail: error.to_string() }],
        Err(_) if rested || hub.pulse.rests(monotonic()) => return Ok(limit),
        Err(_) => vec![Ailment::StoreSilent],
    };
    let took = monotonic().saturating_duration_since(started);
    let silent = hub.pulse.silent(monotonic()).into_iter().filter(|beat| beat.vital());
    ailments.extend(silent.map(Ailment::Silent));
    if ailments.is_empty() { Ok(took) } else { Err(ailments) }
}

/// One line for operators.
#[must_use]
pub fn sentence(ailment: &Ailment) -> String {
    match ailment {
        Ailment::StoreSilent => words::STORE_SILENT.to_owned(),
        Ailment::StoreFails { detail } => words::store_fails(detail),
        Ailment::Silent(beat) => words::loop_silent(beat.name()),
        Ailment::Stopping => words::STOPPING.to_owned(),
        Ailment::DiskFull => words::DISK_FULL.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::tests::House;

    #[test]
    fn a_rest_ends_by_itself_or_with_what_it_was_for() {
        let pulse = Pulse::default();
        assert!(!pulse.rests(monotonic()));
        let rest = pulse.rest(Duration::from_secs(60));
        assert!(pulse.rests(monotonic()) && !pulse.rests(monotonic() + Duration::from_secs(61)));
        drop(rest);
        assert!(!pulse.rests(monotonic()));
    }

    #[test]
    fn a_loop_is_silent_after_its_patience_or_before_its_first_turn() {
        let pulse = Pulse::default();
        let at = |seconds: u64| pulse.start + Duration::from_secs(seconds);
        assert_eq!(pulse.silent(at(0)).len(), Beat::ALL.len());
        assert!(!pulse.begun());
        for beat in Beat::ALL {
            pulse.beat_at(beat, at(10));
        }
        assert!(pulse.begun());
        let table: [(u64, &[Beat]); 4] = [(10, &[]), (70, &[]), (71, &[Beat::Dispatch, Beat::Queue]), (311, &Beat::ALL)];
        for (second, want) in table {
            assert_eq!(pulse.silent(at(second)), want, "at {second}");
        }
        pulse.beat_at(Beat::Dispatch, at(300));
        assert_eq!(pulse.age(Beat::Dispatch, at(305)), Some(Duration::from_secs(5)));
    }

    #[test]
    fn who_waited_for_a_store_that_rested_is_silent_only_since_then() {
        let pulse = Pulse::default();
        let at = |seconds: u64| pulse.start + Duration::from_secs(seconds);
        for beat in Beat::ALL {
            pulse.beat_at(beat, at(10));
        }
        // A rest that ended, by itself or not, after two hundred seconds.
        pulse.rest.store(200_000, Ordering::Release);
        let table: [(u64, &[Beat]); 3] = [(150, &[]), (255, &[]), (261, &[Beat::Dispatch, Beat::Queue])];
        for (second, want) in table {
            assert_eq!(pulse.silent(at(second)), want, "at {second}");
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_store_that_rests_is_no_reason_to_start_anew() {
        let house = House::new();
        let hub = &house.hub;
        Beat::ALL.into_iter().for_each(|beat| hub.pulse.beat(beat));
        let (limit, long) = (Duration::from_secs(1), Duration::from_secs(3));
        let occupy = || {
            let store = hub.store.clone();
            tokio::spawn(async move { store.occupy(long).await })
        };
        let busy = occupy();
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(vital(hub, limit).await, Err(vec![Ailment::StoreSilent]), "nobody said that it would rest");
        busy.await.unwrap();
        // It begins while the answer is awaited, lasts all the time, or ends while it is awaited (the answer stands behind others).
        for (begins, ends) in [(300, 1_500), (0, 1_500), (0, 300)] {
            let busy = occupy();
            let at_start = (begins == 0).then(|| hub.pulse.rest(Duration::from_secs(60)));
            let resting = async {
                tokio::time::sleep(Duration::from_millis(begins)).await;
                let rest = at_start.unwrap_or_else(|| hub.pulse.rest(Duration::from_secs(60)));
                tokio::time::sleep(Duration::from_millis(ends)).await;
                drop(rest);
            };
            tokio::time::sleep(Duration::from_millis(200)).await;
            let (asked, ()) = tokio::join!(vital(hub, limit), resting);
            assert_eq!(asked, Ok(limit), "from {begins} to {ends}");
            busy.await.unwrap();
        }
        assert!(vital(hub, Duration::from_secs(5)).await.is_ok());
    }
}
