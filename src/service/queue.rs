//! Claimed files on their way in: one at a time for each gestionale, several gestionali at once.
//!
//! A file that cannot be read (permissions, a share that fails) keeps the others behind it waiting for a few tries only; then
//! it steps aside and is tried now and then, until its gestionale is told that it could not be taken.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing::Instrument;

use super::pulse::Beat;
use super::{Hub, ingest};
use crate::clock;
use crate::intake::Claimed;
use crate::store::{Notice, StoreError};

/// How long a file that cannot be read is tried.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// Tries while the others wait.
    in_place: u32,
    /// Tries in all.
    most: u32,
    /// Pause after the first try, doubled after each of those in place.
    first: Duration,
    /// Pause of a file that stepped aside, doubled each time up to `longest`.
    aside: Duration,
    longest: Duration,
}

/// The others wait 8 seconds at most; the file itself is given up after three quarters of an hour.
const PATIENCE: Patience = Patience {
    in_place: 5,
    most: 14,
    first: Duration::from_millis(500),
    aside: Duration::from_secs(10),
    longest: Duration::from_secs(600),
};

/// What follows a failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Again after a pause, in front of the others.
    Again(Duration),
    /// The others first.
    Aside(Duration),
    GiveUp,
}

impl Patience {
    /// After so many failed tries.
    fn after(&self, tries: u32) -> Then {
        let doubled = |first: Duration, times: u32| first.saturating_mul(1u32.checked_shl(times).unwrap_or(u32::MAX)).min(self.longest);
        match tries {
            tries if tries >= self.most => Then::GiveUp,
            tries if tries >= self.in_place => Then::Aside(doubled(self.aside, tries - self.in_place)),
            tries => Then::Again(doubled(self.first, tries.saturating_sub(1))),
        }
    }
}

/// Takes what is claimed, until the hub stops.
pub async fn run(hub: Arc<Hub>, mut claimed: mpsc::Receiver<Claimed>) {
    let mut queues: HashMap<String, mpsc::UnboundedSender<Claimed>> = HashMap::new();
    let mut workers = JoinSet::new();
    loop {
        hub.pulse.beat(Beat::Queue);
        let next = tokio::select! {
            next = claimed.recv() => next,
            () = tokio::time::sleep(Beat::IDLE) => continue,
            () = hub.stopping.cancelled() => None,
        };
        let Some(next) = next else { break };
        let queue = queues.entry(next.source.clone()).or_insert_with(|| {
            let (send, receive) = mpsc::unbounded_channel();
            workers.spawn(one_source(hub.clone(), receive, PATIENCE));
            send
        });
        let _ = queue.send(next);
    }
    drop(queues);
    while workers.join_next().await.is_some() {}
}

/// A file that stepped aside.
struct Aside {
    due: Instant,
    tries: u32,
    claimed: Claimed,
}

async fn one_source(hub: Arc<Hub>, mut queue: mpsc::UnboundedReceiver<Claimed>, patience: Patience) {
    let mut aside: Vec<Aside> = Vec::new();
    // What is not finished when the hub stops is found again in the work folder at the next start.
    while !hub.stopping.is_cancelled() {
        let now = clock::monotonic();
        let earliest = aside.iter().enumerate().min_by_key(|(_, file)| file.due).map(|(index, file)| (index, file.due));
        let (claimed, tries) = match earliest {
            Some((index, due)) if due <= now => {
                let file = aside.swap_remove(index);
                (file.claimed, file.tries)
            }
            _ => {
                let pause = earliest.map_or(Duration::from_secs(3_600), |(_, due)| due.saturating_duration_since(now));
                tokio::select! {
                    next = queue.recv() => match next {
                        Some(next) => (next, 0),
                        None => return,
                    },
                    () = tokio::time::sleep(pause) => continue,
                    () = hub.stopping.cancelled() => return,
                }
            }
        };
        let span = tracing::info_span!("lotto", batch.id = %claimed.id, source = claimed.source);
        if let Some((tries, pause)) = take(&hub, &claimed, tries, &patience).instrument(span).await {
            aside.push(Aside { due: clock::monotonic() + pause, tries, claimed });
        }
    }
}

/// Takes one file to its end. `Some`: it steps aside after so many tries, for so long.
async fn take(hub: &Arc<Hub>, claimed: &Claimed, mut tries: u32, patience: &Patience) -> Option<(u32, Duration)> {
    let mut failures = 0u32;
    let mut pause = Duration::from_millis(500);
    while !hub.stopping.is_cancelled() {
        let error = match ingest::ingest(hub, claimed).await {
            Ok(()) => break,
            Err(ingest::IngestError::Panicked) if failures >= 2 && ingest::give_up(hub, claimed).await.is_ok() => break,
            // Found again in the work folder at the next start.
            Err(ingest::IngestError::Store(StoreError::Stopping)) if hub.stopping.is_cancelled() => return None,
            Err(ingest::IngestError::Hangs) => {
                tracing::warn!(batch.id = %claimed.id, source = claimed.source, "la cartella del gestionale non risponde: il file aspetta");
                answers(hub, &claimed.source).await;
                continue;
            }
            Err(error) => error,
        };
        tracing::error!(batch.id = %claimed.id, source = claimed.source, %error, "un file depositato non può essere preso in carico ora");
        let wait = if matches!(error, ingest::IngestError::Unreadable(_)) {
            tries += 1;
            match patience.after(tries) {
                Then::Again(wait) => wait,
                Then::Aside(wait) => {
                    if tries == patience.in_place {
                        alert(hub, "DEPOSITO_ACCANTONATO", claimed).await;
                    }
                    return Some((tries, wait));
                }
                Then::GiveUp => match ingest::unreadable(hub, claimed).await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::error!(batch.id = %claimed.id, %error, "la ricevuta di un file illeggibile non può essere scritta");
                        return Some((tries - 1, patience.longest));
                    }
                },
            }
        } else {
            // A disk or a store of ours: what comes behind would fail too.
            failures += 1;
            if failures == 1 {
                alert(hub, "DEPOSITO_INTERROTTO", claimed).await;
            }
            let wait = pause;
            pause = (pause * 2).min(Duration::from_secs(60));
            wait
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
    hub.publish.notify_one();
    None
}

/// Waits until it is worth while to touch the share again, or the hub stops.
async fn answers(hub: &Hub, source: &str) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
            () = hub.stopping.cancelled() => return,
        }
        if !hub.shares.hangs(source) {
            return;
        }
    }
}

async fn alert(hub: &Hub, code: &str, claimed: &Claimed) {
    // Tried again after a restart: not told again.
    if let Err(error) = hub.store.tell_once(Notice::of_batch(code, claimed.id), None, hub.clock.now()).await {
        tracing::error!(batch.id = %claimed.id, %error, "un avviso agli operatori non può essere scritto");
    }
}

#[cfg(test)]
mod tests;
