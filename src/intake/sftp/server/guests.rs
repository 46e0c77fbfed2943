//! Everybody who is connected, as those who watch over them see it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use russh::server::Handle;

use super::accounts::Account;
use super::counts::{Counted, Counts};
use super::defender::judged;
use super::gate::Link;
use super::kexinit::Offer;
use super::line::Line;
use crate::intake::sftp::home::Refused;

/// A connection.
pub struct Guest {
    id: u64,
    pub peer: SocketAddr,
    pub link: Arc<Link>,
    pub offer: Arc<Offer>,
    /// To send it away politely.
    pub handle: OnceLock<Handle>,
    inner: Mutex<Inside>,
    /// Milliseconds of [`Link::age_ms`] at which it was told to go; 0: it was not.
    doomed: AtomicU64,
    /// The same, at which it logged in or its last channel was closed.
    quiet: AtomicU64,
}

#[derive(Default)]
struct Inside {
    account: Option<Arc<Account>>,
    lines: Vec<Arc<Line>>,
    counted: Option<Counted>,
}

/// Whether somebody who knows the secret may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Welcome,
    /// Its account has all the sessions it may have.
    Full,
    Stopping,
}

impl Admission {
    /// As the books say it; never changed once released.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Admission::Welcome => "OK",
            Admission::Full => "TROPPE_SESSIONI",
            Admission::Stopping => Refused::Stopping.code(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Guest {
    /// Whose connection it is, once it logged in.
    #[must_use]
    pub fn account(&self) -> Option<Arc<Account>> {
        lock(&self.inner).account.clone()
    }

    /// What the client calls itself.
    #[must_use]
    pub fn client(&self) -> Option<Arc<str>> {
        self.offer.client()
    }

    pub fn add_line(&self, line: &Arc<Line>) {
        lock(&self.inner).lines.push(line.clone());
    }

    pub fn forget_line(&self, line: &Arc<Line>) {
        let mut inner = lock(&self.inner);
        inner.lines.retain(|other| !Arc::ptr_eq(other, line));
        self.quiet.store(self.link.age_ms(), Ordering::Relaxed);
    }

    /// How long ago it logged in or its last channel was closed.
    #[must_use]
    pub fn quiet_ms(&self) -> u64 {
        self.link.age_ms().saturating_sub(self.quiet.load(Ordering::Relaxed))
    }

    /// Its SFTP channels.
    #[must_use]
    pub fn lines(&self) -> Vec<Arc<Line>> {
        lock(&self.inner).lines.clone()
    }

    /// It was told to go: if it does not, it is thrown out soon.
    pub fn doom(&self) {
        let _ = self.doomed.compare_exchange(0, self.link.age_ms().max(1), Ordering::AcqRel, Ordering::Acquire);
    }

    /// Milliseconds since it was told to go.
    #[must_use]
    pub fn doomed_ms(&self) -> Option<u64> {
        match self.doomed.load(Ordering::Acquire) {
            0 => None,
            since => Some(self.link.age_ms().saturating_sub(since)),
        }
    }
}

/// All of them.
#[derive(Default)]
pub struct Guests {
    all: Mutex<HashMap<u64, Arc<Guest>>>,
    next: AtomicU64,
    stopping: AtomicBool,
}

impl Guests {
    /// One more, a stranger so far.
    pub fn enter(&self, peer: SocketAddr, link: Arc<Link>, counts: &Counts) -> Arc<Guest> {
        let guest = Arc::new(Guest {
            id: self.next.fetch_add(1, Ordering::Relaxed),
            peer,
            link,
            offer: Arc::default(),
            handle: OnceLock::new(),
            inner: Mutex::new(Inside { counted: Some(counts.stranger()), ..Inside::default() }),
            doomed: AtomicU64::new(0),
            quiet: AtomicU64::new(0),
        });
        lock(&self.all).insert(guest.id, guest.clone());
        guest
    }

    /// It is gone.
    pub fn leave(&self, guest: &Guest) {
        lock(&self.all).remove(&guest.id);
        let mut inner = lock(&guest.inner);
        inner.lines.clear();
        inner.counted = None;
    }

    /// A stranger turned out to be somebody.
    pub fn admit(&self, guest: &Guest, account: &Arc<Account>) -> Admission {
        let all = lock(&self.all);
        let others = all.values().filter(|other| other.id != guest.id && other.doomed_ms().is_none());
        let sessions = others.filter(|other| other.account().is_some_and(|other| other.name == account.name)).count();
        lock(&guest.inner).account = Some(account.clone());
        if self.stopping.load(Ordering::Acquire) {
            Admission::Stopping
        } else if sessions >= account.sessions as usize {
            Admission::Full
        } else {
            Admission::Welcome
        }
    }

    /// It is counted as a session from now on.
    pub fn settle(&self, guest: &Guest, counts: &Counts) {
        let counted = counts.session();
        lock(&guest.inner).counted = Some(counted);
        guest.quiet.store(guest.link.age_ms(), Ordering::Relaxed);
    }

    /// Nobody else is admitted.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Those who came from that address, as it is judged, and have not logged in.
    #[must_use]
    pub fn strangers_of(&self, address: IpAddr) -> Vec<Arc<Guest>> {
        let address = judged(address);
        lock(&self.all).values().filter(|guest| judged(guest.peer.ip()) == address && guest.account().is_none()).cloned().collect()
    }

    /// Everybody who is there.
    #[must_use]
    pub fn everybody(&self) -> Vec<Arc<Guest>> {
        lock(&self.all).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_books_say_why_somebody_who_knows_the_secret_may_not_stay() {
        for (why, want) in [(Admission::Full, "TROPPE_SESSIONI"), (Admission::Stopping, "SFTP_ARRESTO"), (Admission::Welcome, "OK")] {
            assert_eq!(why.code(), want, "{why:?}");
        }
    }
}
