//! The folders of gestionali, which may lie on a share that hangs for ever: they are touched by threads of their own, and it is known
//! of each for how long somebody has been waiting for it. Who could touch it later does not begin then. Each is also looked at now and
//! then ([`look`]), so that one that nobody works in is known to be silent too ([`Shares::word`]): operators are told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::Hub;
use super::publish::PublishError;
use crate::clock::monotonic;
use crate::store::StoreError;

/// What a share that answers slowly is given when the service stops (real time).
pub const GRACE: Duration = Duration::from_secs(10);
/// A share that keeps somebody for so long hangs, or writes a very large file (real time).
pub const HANGS: Duration = Duration::from_secs(20);
/// One that keeps somebody for so long is slow: who waits for it makes room for the others (real time).
pub const SLOW: Duration = Duration::from_secs(2);
/// So many that a slow share keeps are enough.
const SLOW_AT_A_TIME: usize = 4;
/// A share that hangs is tried again after so long: who hangs may hang for ever although it works again (real time).
const PROBE: Duration = Duration::from_secs(300);
/// At most so many threads are left to a share that hangs.
const MOST: usize = 12;
/// Who reads a file from a share that has given nothing for so long leaves the thread to it, and begins again when it answers (real time).
pub const STALLS: Duration = PROBE;

/// Who is at work in the folder of each gestionale, since when.
#[derive(Clone, Default)]
pub struct Shares {
    touches: Arc<Mutex<BTreeMap<String, Vec<Touch>>>>,
    heard: Arc<Mutex<BTreeMap<String, Heard>>>,
    /// Gestionali whose share a test makes hang.
    #[cfg(test)]
    pub hung: Arc<Mutex<std::collections::BTreeSet<String>>>,
}

#[derive(Debug, Clone)]
struct Touch {
    number: u64,
    moves: Moves,
}

/// What is known of whether a share answers.
#[derive(Debug, Clone, Copy, Default)]
struct Heard {
    /// When the last work began that came to its end.
    worked: Option<Instant>,
    /// Since when who looks at it has been waiting.
    looking: Option<Instant>,
    /// Since when who looks finds no folder, or hears nothing in time.
    missing: Option<Instant>,
    /// The last look found it well.
    well: bool,
}

/// Whether a share answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Nobody has heard from it since the start.
    Unknown,
    Answers,
    /// For so long (real time).
    Silent(Duration),
}

/// While it lives somebody is at work there.
pub struct Touching {
    shares: Shares,
    source: String,
    number: u64,
    moves: Moves,
}

/// When a share last gave something to who is at work there: a large file that comes slowly is no share that hangs.
#[derive(Debug, Clone)]
pub struct Moves {
    begun: Instant,
    /// Milliseconds from `begun` to the last of them.
    last: Arc<AtomicU64>,
}

impl Moves {
    fn since(begun: Instant) -> Moves {
        Moves { begun, last: Arc::default() }
    }

    /// It has given something now.
    pub fn moved(&self) {
        let passed = monotonic().saturating_duration_since(self.begun).as_millis();
        self.last.store(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Since when it has given nothing.
    fn silent_since(&self) -> Instant {
        self.begun + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }

    /// For how long it has given nothing.
    fn idle(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.silent_since())
    }
}

impl Shares {
    /// Somebody begins to work in the folder of a gestionale.
    #[must_use]
    pub fn touch(&self, source: &str) -> Touching {
        self.touch_at(source, monotonic())
    }

    fn touch_at(&self, source: &str, begun: Instant) -> Touching {
        let mut all = self.lock();
        let touches = all.entry(source.to_owned()).or_default();
        let number = touches.last().map_or(0, |last| last.number + 1);
        let moves = Moves::since(begun);
        touches.push(Touch { number, moves: moves.clone() });
        Touching { shares: self.clone(), source: source.to_owned(), number, moves }
    }

    /// Whether the share keeps whoever touches it: what can wait does not begin.
    #[must_use]
    pub fn hangs(&self, source: &str) -> bool {
        self.hangs_at(source, monotonic())
    }

    /// Whether any of them does.
    #[must_use]
    pub fn any_hangs(&self) -> bool {
        let now = monotonic();
        self.lock().values().any(|touches| touches.iter().any(|touch| touch.moves.idle(now) >= HANGS))
    }

    /// Whether it answers, and for how long it has not.
    #[must_use]
    pub fn word(&self, source: &str) -> Word {
        self.word_at(source, monotonic())
    }

    fn word_at(&self, source: &str, now: Instant) -> Word {
        let heard = self.heard().get(source).copied().unwrap_or_default();
        let waits = |since: &Instant| now.saturating_duration_since(*since) >= HANGS && heard.worked.is_none_or(|worked| *since > worked);
        let kept = self.lock().get(source).into_iter().flatten().map(|touch| touch.moves.silent_since()).filter(waits).min();
        match [kept, heard.looking.filter(waits), heard.missing].into_iter().flatten().min() {
            Some(since) => Word::Silent(now.saturating_duration_since(since)),
            // While who looks is waiting only what was worked since is known.
            None if heard.well && heard.looking.is_none_or(|begun| now.saturating_duration_since(begun) < HANGS) => Word::Answers,
            None => Word::Unknown,
        }
    }

    /// For how long somebody who began to work there at that instant or later has been waiting.
    #[must_use]
    pub fn kept_since(&self, source: &str, since: Instant) -> Duration {
        let all = self.lock();
        let ours = all.get(source).into_iter().flatten().filter(|touch| touch.moves.begun >= since);
        let silent = ours.map(|touch| touch.moves.silent_since()).min();
        silent.map_or(Duration::ZERO, |since| monotonic().saturating_duration_since(since))
    }

    /// Somebody begins to look at a share. False: somebody is still at it.
    fn looks(&self, source: &str, now: Instant) -> bool {
        let mut all = self.heard();
        let heard = all.entry(source.to_owned()).or_default();
        let free = heard.looking.is_none();
        heard.looking.get_or_insert(now);
        free
    }

    /// Who looked has come back, and found the folder or not.
    fn looked(&self, source: &str, well: bool, now: Instant) {
        let mut all = self.heard();
        let Some(heard) = all.get_mut(source) else { return };
        let Some(begun) = heard.looking.take() else { return };
        heard.well = well && now.saturating_duration_since(begun) < HANGS;
        heard.missing = if heard.well { None } else { heard.missing.or(Some(begun)) };
    }

    fn heard(&self) -> MutexGuard<'_, BTreeMap<String, Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many are at work there.
    #[cfg(test)]
    pub fn touches(&self, source: &str) -> usize {
        self.lock().get(source).map_or(0, Vec::len)
    }

    fn hangs_at(&self, source: &str, now: Instant) -> bool {
        let all = self.lock();
        let ages = || all.get(source).into_iter().flatten().map(|touch| touch.moves.idle(now));
        let slow = ages().filter(|age| *age >= SLOW).count();
        if ages().any(|age| age >= HANGS) {
            return slow >= MOST || ages().any(|age| age < PROBE);
        }
        slow >= SLOW_AT_A_TIME
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<Touch>>> {
        self.touches.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
impl Touching {
    pub fn moves(&self) -> Moves {
        self.moves.clone()
    }
}

#[cfg(test)]
impl Shares {
    /// As a system call would, on the thread that makes it.
    fn hang(&self, source: &str) {
        while self.hung.lock().unwrap().contains(source) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// As one that has been silent for so long.
    pub fn silent_for(&self, source: &str, span: Duration) -> Touching {
        self.touch_at(source, monotonic() - span)
    }
}

impl Touching {
    /// The work has come to its end, whatever it found.
    fn ended(self) {
        let mut all = self.shares.heard();
        let heard = all.entry(self.source.clone()).or_default();
        heard.worked = heard.worked.max(Some(self.moves.begun));
    }
}

impl Drop for Touching {
    fn drop(&mut self) {
        let mut all = self.shares.lock();
        if let Some(touches) = all.get_mut(&self.source) {
            touches.retain(|touch| touch.number != self.number);
            if touches.is_empty() {
                all.remove(&self.source);
            }
        }
    }
}

/// Works in the folders of a gestionale on a thread of its own, which keeps neither the runtime's threads nor, once it is told to, the
/// service from stopping. What is left under a temporary name is swept at the next start.
///
/// # Errors
/// [`StoreError::Stopping`] when it was given up, so that nothing is known of what was done; no thread; a panic of `work`.
pub async fn on_share<T: Send + 'static>(
    stopping: &CancellationToken,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PublishError> {
    let (tell, told) = oneshot::channel();
    std::thread::Builder::new().name("share".to_owned()).spawn(move || drop(tell.send(work())))?;
    let given_up = async {
        stopping.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        told = told => told.map_err(|_| std::io::Error::other("the work ended badly").into()),
        () = given_up => Err(StoreError::Stopping.into()),
    }
}

/// [`on_share`], seen by who asks whether the share [hangs](Shares::hangs). However long it takes, it is waited for.
///
/// # Errors
/// As [`on_share`].
pub async fn on_share_of<T: Send + 'static>(hub: &Hub, source: &str, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PublishError> {
    let touching = hub.shares.touch(source);
    let work = move || {
        #[cfg(test)]
        touching.shares.hang(&touching.source);
        let done = work();
        touching.ended();
        done
    };
    on_share(&hub.stopping, work).await
}

/// The same for work that reads a whole file, which may be long: `work` says whenever the share has given something. It is waited for
/// as long as that happens at least once in `patience` (real time). Given up, `work` may still be going on, and what it answers is dropped.
///
/// # Errors
/// [`PublishError::Hangs`]; as [`on_share`].
pub async fn on_share_moving<T: Send + 'static>(
    hub: &Hub,
    source: &str,
    patience: Duration,
    work: impl FnOnce(&Moves) -> T + Send + 'static,
) -> Result<T, PublishError> {
    let touching = hub.shares.touch(source);
    let moves = touching.moves.clone();
    let work = move || {
        #[cfg(test)]
        touching.shares.hang(&touching.source);
        let done = work(&touching.moves);
        touching.ended();
        done
    };
    let mut answer = std::pin::pin!(on_share(&hub.stopping, work));
    loop {
        let left = patience.saturating_sub(moves.idle(monotonic()));
        if left.is_zero() {
            return Err(PublishError::Hangs);
        }
        tokio::select! {
            done = &mut answer => return done,
            () = tokio::time::sleep(left) => {}
        }
    }
}

/// [`on_share_of`], waited for no longer than `limit` (real time), and not begun at all where the share hangs. Given up, `work` may still be
/// going on, and what it answers is dropped.
///
/// # Errors
/// [`PublishError::Hangs`]; as [`on_share`].
pub async fn on_share_within<T: Send + 'static>(
    hub: &Hub,
    source: &str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, PublishError> {
    if hub.shares.hangs(source) {
        return Err(PublishError::Hangs);
    }
    tokio::time::timeout(limit, on_share_of(hub, source, work)).await.unwrap_or(Err(PublishError::Hangs))
}

/// Somebody looks at a share: however it ends, it is known that it did.
struct Looking {
    shares: Shares,
    source: String,
    well: bool,
}

impl Drop for Looking {
    fn drop(&mut self) {
        self.shares.looked(&self.source, self.well, monotonic());
    }
}

/// Looks at a share by a thread of its own, one at a time, for no longer than `limit` (real time); `work` answers with what it has
/// found whether the folder is there. `None`: it hangs, or whoever looked before is still waiting. This is not [work](Shares::touch):
/// it keeps nobody from theirs.
pub async fn look<T: Send + 'static>(
    hub: &Hub,
    source: &str,
    limit: Duration,
    work: impl FnOnce() -> (T, bool) + Send + 'static,
) -> Option<T> {
    if !hub.shares.looks(source, monotonic()) {
        return None;
    }
    let looking = Looking { shares: hub.shares.clone(), source: source.to_owned(), well: false };
    let work = move || {
        // As a whole: it is dropped when the look ends, here.
        let mut looking = looking;
        #[cfg(test)]
        looking.shares.hang(&looking.source);
        let (found, well) = work();
        looking.well = well;
        found
    };
    tokio::time::timeout(limit, on_share(&hub.stopping, work)).await.ok()?.ok()
}

#[cfg(test)]
mod tests;
