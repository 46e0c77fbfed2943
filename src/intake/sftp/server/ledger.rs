//! What the door tells whoever keeps the books: who came in, who did not, what was done. Never waits.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;

use super::defender::Ban;
use crate::clock::Clock;
use crate::domain::digest::Sha256;
use crate::intake::sftp::folder::{self, Deed};
use crate::intake::sftp::home::Refused;
use crate::intake::sftp::witness::{self, Seen};

/// Keeps the books. Called from sessions and workers: it must not wait.
pub trait Ledger: Send + Sync {
    /// Something happened.
    fn note(&self, event: Event);
    /// An address was banned.
    fn banned(&self, ban: &Ban);
}

/// One line of the books.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Business time.
    pub at: Timestamp,
    pub act: Act,
    /// Name of the gestionale, when it is one: what a stranger typed as a name is not kept.
    pub account: Option<String>,
    pub address: IpAddr,
    /// What the client calls itself.
    pub client: Option<Arc<str>>,
    /// Paths; may hold personal data.
    pub name: Option<String>,
    pub target: Option<String>,
    pub bytes: Option<u64>,
    pub sha256: Option<Sha256>,
    /// `OK`, or a code.
    pub outcome: &'static str,
}

/// What was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    Login,
    LoginRefused,
    Upload,
    Download,
    Removal,
    Rename,
    FolderMade,
    FolderRemoved,
    /// A request that would have changed something.
    Refused,
}

impl Act {
    /// As the books say it; never changed once released.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Act::Login => "ACCESSO",
            Act::LoginRefused => "ACCESSO_RIFIUTATO",
            Act::Upload => "CARICAMENTO",
            Act::Download => "SCARICAMENTO",
            Act::Removal => "CANCELLAZIONE",
            Act::Rename => "RINOMINA",
            Act::FolderMade => "CARTELLA_CREATA",
            Act::FolderRemoved => "CARTELLA_TOLTA",
            Act::Refused => "RICHIESTA_RIFIUTATA",
        }
    }
}

/// Most refusals that one session may put into the books.
const MOST_REFUSALS: u32 = 200;

/// Hears what one session does and says who it is.
pub struct SessionWitness {
    pub ledger: Arc<dyn Ledger>,
    pub clock: Clock,
    pub account: String,
    pub address: IpAddr,
    pub client: Option<Arc<str>>,
    refusals: AtomicU32,
}

impl SessionWitness {
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, clock: Clock, account: &str, address: IpAddr, client: Option<Arc<str>>) -> SessionWitness {
        SessionWitness { ledger, clock, account: account.to_owned(), address, client, refusals: AtomicU32::new(0) }
    }

    fn event(&self, act: Act, name: &str) -> Event {
        Event {
            at: self.clock.now(),
            act,
            account: Some(self.account.clone()),
            address: self.address,
            client: self.client.clone(),
            name: Some(name.to_owned()),
            target: None,
            bytes: None,
            sha256: None,
            outcome: "OK",
        }
    }
}

impl folder::Witness for SessionWitness {
    fn saw(&self, deed: &Deed<'_>) {
        let event = match *deed {
            Deed::Uploaded { path, size, sha256 } => Event { bytes: Some(size), sha256, ..self.event(Act::Upload, path) },
            Deed::Interrupted { path, size } => Event { bytes: Some(size), outcome: "INTERROTTO", ..self.event(Act::Upload, path) },
            Deed::Downloaded { path, bytes, size } => {
                Event { bytes: Some(bytes), outcome: if bytes >= size { "OK" } else { "IN_PARTE" }, ..self.event(Act::Download, path) }
            }
            Deed::Removed { path } => self.event(Act::Removal, path),
            Deed::Renamed { from, to } => Event { target: Some(to.to_owned()), ..self.event(Act::Rename, from) },
            Deed::FolderMade { path } => self.event(Act::FolderMade, path),
            Deed::FolderRemoved { path } => self.event(Act::FolderRemoved, path),
        };
        self.ledger.note(event);
    }
}

impl witness::Witness for SessionWitness {
    /// Only refusals: what was done the folder tells better.
    fn saw(&self, seen: Seen<'_>) {
        let Seen::Refused { path, why, .. } = seen else { return };
        // Clients ask for what is not there all day long.
        let everyday = matches!(
            why,
            Refused::NotFound
                | Refused::BadHandle
                | Refused::WrongMode
                | Refused::AlreadyExists
                | Refused::Unsupported
                | Refused::BadMessage
        );
        if everyday || self.refusals.fetch_add(1, Ordering::Relaxed) >= MOST_REFUSALS {
            return;
        }
        let path = path.map(String::from_utf8_lossy).unwrap_or_default();
        self.ledger.note(Event { outcome: why.code(), ..self.event(Act::Refused, &path) });
    }
}
