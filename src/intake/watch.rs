//! Watched folders: one thread per root lists `in/`, lets files settle, claims those that are whole and hands them over.
//!
//! The listing is the truth; inotify only says when to look sooner. A thread per root, so that a share that hangs stops nobody
//! else. What is claimed and not yet handed over is found again by [`super::claim::leftovers`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::Sender;

use super::arrivals::Arrivals;
use super::hints::Hints;
use super::names::CompanionKind;
use super::reported;
use super::root::RootWatch;
use super::settle::Incomplete;
use super::{Claimed, Companion};
use crate::clock::Clock;
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;

/// The folders of a root that a gestionale sees, made on start.
pub const FOLDERS: [&str; 7] = ["in", "in/prova", "ricevute", "scarti", "esiti", "attestazioni", "rendicontazioni"];

/// One gestionale's home.
#[derive(Debug, Clone)]
pub struct Root {
    /// Name of the gestionale.
    pub source: String,
    pub path: PathBuf,
    /// What the SFTP door tells of files of this root; shared with [`super::sftp::folder::Settings`].
    pub arrivals: Option<Arc<Arrivals>>,
}

/// Says whether a file that stopped changing is whole.
pub type WholeCheck = Arc<dyn Fn(&Path) -> Wholeness + Send + Sync>;

/// What a look inside a file told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wholeness {
    Whole,
    /// Its end is missing: look again when it changed, or later.
    NotYet,
}

/// How to watch. All times are real.
#[derive(Clone)]
pub struct WatchSettings {
    pub roots: Vec<Root>,
    /// A file is whole when nothing changed for this long.
    pub settle: Duration,
    /// Every folder is listed again this often.
    pub scan: Duration,
    /// A file that stays unfinished and unchanged for this long is told of.
    pub incomplete_after: Duration,
    /// Dates what is received.
    pub clock: Clock,
    /// Looks inside files other than bare `.xml` and `.csv`.
    pub whole: WholeCheck,
    /// Uses inotify where the file system has it; false: listings alone.
    pub events: bool,
}

/// What a watched folder tells.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEvent {
    /// A whole file, now ours.
    Claimed(Claimed),
    /// Left where it is; told once, and again only after it changes, or at a start when [`told`] was not called.
    NeverCompleted {
        source: String,
        /// Relative to `in/`. May hold personal data: never logged.
        name: String,
        /// Its last change.
        since: Timestamp,
        /// Bytes.
        size: u64,
        reason: Incomplete,
        /// Names the file as it is now, over restarts: give it to [`told`] when the receipt is safe.
        mark: Sha256,
    },
    /// A digest that came after its file was taken. Left where it is; told like [`WatchEvent::NeverCompleted`].
    LateDigest { source: String, late: Late },
    /// Told once, until it is over.
    Trouble { source: String, trouble: Trouble },
    /// `in/` can be listed again.
    Recovered { source: String },
}

/// A `.sha256` or `.md5` whose file was taken before it came.
#[derive(Debug, Clone, PartialEq)]
pub struct Late {
    /// Relative to `in/`.
    pub file: PathBuf,
    /// The same for people. May hold personal data: never logged.
    pub name: String,
    pub kind: CompanionKind,
    /// What it says.
    pub told: Companion,
    /// What its file became.
    pub batch: BatchId,
    /// Bytes.
    pub size: u64,
    /// See [`WatchEvent::NeverCompleted`].
    pub mark: Sha256,
}

/// Why watching a root does not work, or not for everything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// The folders cannot be made or listed: the share is away, or the rights are wrong.
    #[error("folder: {0}")]
    Folder(io::ErrorKind),
    /// A sub-folder of `in/` cannot be listed.
    #[error("sub-folder: {error}")]
    SubFolder { name: String, error: io::ErrorKind },
    /// A whole file cannot be moved out of `in/`.
    #[error("claim: {error}")]
    Claim { name: String, error: io::ErrorKind },
    /// Nothing is read from a folder that deep.
    #[error("sub-folder too deep")]
    TooDeep { name: String },
    /// More files or folders than one listing holds.
    #[error("too many files")]
    TooMany,
    /// The system gives no more inotify watches: listings alone.
    #[error("no events")]
    NoEvents,
}

/// The sender was told of a file that never completed: no later run tells it again. Until then each start does.
pub fn told(root: &Path, mark: Sha256) {
    reported::remember(root, mark);
}

/// Starts the threads.
pub struct Watcher;

/// Stops the threads when dropped; [`WatchHandle::stop`] also waits for them.
pub struct WatchHandle {
    settings: WatchSettings,
    tx: Sender<WatchEvent>,
    hints: Option<Arc<Hints>>,
    stop: Arc<AtomicBool>,
    ears: Vec<SyncSender<()>>,
    threads: Vec<JoinHandle<()>>,
}

impl Watcher {
    /// Watches every root, and sends what happens to `tx`. Leftovers of an earlier run are not sent: ask [`super::claim::leftovers`] first.
    pub fn start(settings: WatchSettings, tx: Sender<WatchEvent>) -> io::Result<WatchHandle> {
        let hints = if settings.events { Hints::start().map(Arc::new) } else { None };
        let roots = settings.roots.clone();
        let mut handle = WatchHandle { settings, tx, hints, stop: Arc::default(), ears: Vec::new(), threads: Vec::new() };
        for root in roots {
            handle.watch(root)?;
        }
        Ok(handle)
    }
}

impl WatchHandle {
    /// Watches one more root. Its leftovers are not sent either.
    pub fn watch(&mut self, root: Root) -> io::Result<()> {
        let (ear, woken) = sync_channel(1);
        self.ears.push(ear.clone());
        let name = format!("watch {}", root.source);
        let watch = RootWatch::new(root, &self.settings, self.tx.clone(), self.stop.clone(), ear, self.hints.clone());
        self.threads.push(std::thread::Builder::new().name(name).spawn(move || watch.run(&woken))?);
        Ok(())
    }

    /// Looks at every root now.
    pub fn wake(&self) {
        for ear in &self.ears {
            let _ = ear.try_send(());
        }
    }

    /// Stops and waits: afterwards nothing more is claimed.
    pub fn stop(mut self) {
        self.signal();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }

    fn signal(&self) {
        self.stop.store(true, Ordering::Relaxed);
        self.wake();
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        self.signal();
    }
}
