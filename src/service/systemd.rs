//! What systemd is told, and when: ready, reloading, stopping, alive (sd_notify(3)). Without `NOTIFY_SOCKET` nothing is told.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use sd_notify::NotifyState;

use super::Hub;
use super::pulse::{self, Ailment};
use crate::text::it::service as words;

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd non si può avvisare");
    }
}

/// The hub takes drops; after a start and after each reload.
pub fn ready(hub: &Hub) {
    let settings = hub.settings();
    let mut status = words::in_service(settings.institutions.len(), settings.sources.len());
    if hub.figures.reload_failed.load(Ordering::Relaxed) {
        status.push_str(words::NOT_RELOADED);
    }
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The configuration is being read again; [`ready`] ends it.
pub fn reloading() {
    // From version 253 on systemd wants to know that the message is not an old one.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now, NotifyState::Status(words::RELOADING)]),
        Err(_) => tell(&[NotifyState::Reloading, NotifyState::Status(words::RELOADING)]),
    }
}

/// No new work; what runs is finished.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status(words::STOPPING)]);
}

/// Tells that the hub lives, twice in each interval that systemd allows, as long as store and vital loops answer. Silence, not a
/// word, is how it tells that they do not: systemd then restarts the service. Runs until it is aborted, when the stop has ended.
pub async fn keep_alive(hub: Arc<Hub>) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else { return };
    let half = interval / 2;
    let mut ailing = false;
    let mut turn = tokio::time::interval(half);
    turn.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turn.tick().await;
        // Half of the half: a store that rests is waited for in vain, and the next word must come in time all the same.
        match pulse::vital(&hub, half / 2).await {
            Ok(_) => {
                if ailing {
                    tracing::info!("il servizio risponde di nuovo");
                }
                ailing = false;
                tell(&[NotifyState::Watchdog]);
            }
            // Loops that have ended are not stuck; an end that does not come is cut by systemd itself.
            Err(_) if hub.stopping.is_cancelled() => tell(&[NotifyState::Watchdog]),
            Err(ailments) => {
                ailing = true;
                log(&ailments);
            }
        }
    }
}

fn log(ailments: &[Ailment]) {
    for ailment in ailments {
        tracing::error!(reason = pulse::sentence(ailment), "il servizio non risponde: systemd non è avvisato, e lo farà ripartire");
    }
}
