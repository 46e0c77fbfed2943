//! What no event starts: terms that come near, silence of SEND, leftovers.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::channels::Weather;
use super::{Hub, restore};
use crate::store::StoreError;

/// Unread events live 7 days at SEND (`reference send.md` 6): an act unheard for longer is read IUN by IUN.
const SILENCE: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Runs until the hub stops.
pub async fn run(hub: Arc<Hub>) {
    let pause = if hub.clock.is_real() { Duration::from_secs(60) } else { Duration::from_millis(500) };
    while !hub.stopping.is_cancelled() {
        if let Err(error) = round(&hub).await {
            tracing::error!(%error, "il controllo periodico non è riuscito");
        }
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
    tell_outages(hub, now).await?;
    // Acts that came to their turn after their ente was stopped; and what a crash interrupted.
    while hub.store.follow_stops(now).await? {}
    restore::follow(hub).await?;
    while hub.store.resync(before(SILENCE), None, now).await? > 0 {}
    hub.store.purge_orphans(before(SignedDuration::from_hours(24))).await
}

/// SEND does not answer an ente.
const DOWN: &str = "SEND_NON_RAGGIUNGIBILE";
const UP: &str = "SEND_DI_NUOVO_RAGGIUNGIBILE";

/// Tells operators of a remote that has been down for long, and of one that is back.
async fn tell_outages(hub: &Hub, now: Timestamp) -> Result<(), StoreError> {
    let minutes = hub.config.alerts.send_down_minutes;
    let told = hub.store.troubles().await?;
    for channel in hub.channels.values() {
        let known = told.iter().any(|trouble| trouble.code == DOWN && trouble.about == channel.sender);
        match channel.remote.weather() {
            Weather::Down { since } if !known && minutes > 0 && now.duration_since(since) >= SignedDuration::from_mins(minutes.into()) => {
                hub.store.trouble_begins(DOWN, &channel.sender, now).await?;
            }
            Weather::Up if known => hub.store.trouble_ends(DOWN, UP, &channel.sender, now).await?,
            _ => {}
        }
    }
    Ok(())
}
