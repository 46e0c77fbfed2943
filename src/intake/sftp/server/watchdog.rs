//! Ends what would never end by itself. It stands outside of every session: whatever a session waits for, this does not.

use std::sync::Arc;
use std::time::Duration;

use super::defender::Offence;
use super::guests::Guest;
use super::{GOODBYE, Inner, send_away};
use crate::clock::Clock;
use crate::intake::sftp::home::Refused;

/// How often it looks (real time).
const ROUND: Duration = Duration::from_millis(250);

/// What is to be done with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sentence {
    Stay,
    /// Did not log in in time.
    Stranger,
    /// Asked for nothing for too long.
    Idle,
    /// Takes nothing, or sends half packets.
    Stalled,
    /// Its account is gone or expired.
    NotWanted,
    /// Was told to go and stays.
    Stays,
}

/// Runs until the task is aborted.
pub(super) async fn run(door: Arc<Inner>) {
    let mut round = tokio::time::interval(ROUND);
    round.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        round.tick().await;
        for guest in door.guests.everybody() {
            let sentence = judge(&door, &guest);
            if sentence != Sentence::Stay {
                carry_out(&door, &guest, sentence);
            }
        }
    }
}

fn judge(door: &Inner, guest: &Guest) -> Sentence {
    let limits = &door.settings.limits;
    if let Some(doomed) = guest.doomed_ms() {
        return if doomed > GOODBYE.as_millis().try_into().unwrap_or(u64::MAX) { Sentence::Stays } else { Sentence::Stay };
    }
    let Some(account) = guest.account() else {
        return if guest.link.age_ms() > limits.login_grace_s.saturating_mul(1_000) { Sentence::Stranger } else { Sentence::Stay };
    };
    let lines = guest.lines();
    let health: Vec<_> = lines.iter().map(|line| line.health()).collect();
    let stalled = health.iter().map(|health| health.stalled_ms).chain([guest.link.blocked_ms()]).max().unwrap_or(0);
    if stalled > limits.stalled_s.saturating_mul(1_000) {
        return Sentence::Stalled;
    }
    let idle = health.iter().map(|health| health.idle_ms).chain([guest.quiet_ms()]).min().unwrap_or(0);
    if idle > limits.idle_s.saturating_mul(1_000) {
        return Sentence::Idle;
    }
    let current = door.accounts.of_user(&account.user).filter(|current| current.name == account.name);
    if current.is_none_or(|current| current.admits(guest.peer.ip(), Clock::REAL.now()).is_err()) {
        return Sentence::NotWanted;
    }
    Sentence::Stay
}

fn carry_out(door: &Inner, guest: &Guest, sentence: Sentence) {
    let words = &door.settings.words;
    let account = guest.account().map(|account| account.name.clone());
    match sentence {
        Sentence::Stay => {}
        Sentence::Stranger => {
            door.offend(guest.peer.ip(), Offence::NoLogin, None);
            guest.link.over.cancel();
        }
        Sentence::Stalled => {
            tracing::warn!(account, still_ms = guest.link.still_ms(), "sessione SFTP chiusa: il client non riceve ciò che ha chiesto");
            guest.link.over.cancel();
        }
        Sentence::Stays => guest.link.over.cancel(),
        Sentence::Idle => {
            tracing::info!(account, "sessione SFTP chiusa: inattiva");
            send_away(guest, Refused::Stopping, words.idle, true);
        }
        Sentence::NotWanted => send_away(guest, Refused::AccountExpired, words.expired, false),
    }
}
