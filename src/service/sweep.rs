//! What no event starts: terms that come near, silence of SEND, leftovers.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::alerts::Watch;
use super::pulse::Beat;
use super::{Hub, restore};
use crate::store::StoreError;

/// Unread events live 7 days at SEND (`reference send.md` 6): an act unheard for longer is read IUN by IUN, and so
/// are all those of a stream that was not read for longer.
pub(super) const SILENCE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// How long what a PT told under a ticket that nobody has is kept: a PT that is away longer than that is asked by a person.
const EARLY: SignedDuration = SignedDuration::from_hours(24 * 14);

/// Runs until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let mut watch = Watch::new(&hub);
    let pause = if hub.clock.is_real() { Duration::from_secs(60) } else { Duration::from_millis(500) };
    while !hub.stopping.is_cancelled() {
        hub.pulse.beat(Beat::Sweep);
        if let Err(error) = round(&hub).await {
            tracing::error!(%error, "il controllo periodico non è riuscito");
        }
        watch.round(&hub, hub.clock.now()).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = hub.stopping.cancelled() => {}
        }
    }
}

async fn round(hub: &Arc<Hub>) -> Result<(), StoreError> {
    let now = hub.clock.now();
    let before = |span: SignedDuration| now.saturating_sub(span).unwrap_or(Timestamp::MIN);
    hub.store.clock_says(now).await?;
    hub.store.tell_deadlines(now).await?;
    // Acts that came to their turn after their ente was stopped; and what a crash interrupted.
    while hub.store.follow_stops(now).await? {}
    restore::follow(hub).await?;
    while hub.store.resync(before(SILENCE), None, now).await? > 0 {}
    hub.store.forget_early_outcomes(before(EARLY)).await?;
    hub.store.purge_orphans(before(SignedDuration::from_hours(24))).await
}
