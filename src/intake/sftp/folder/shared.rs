//! What the sessions of one root share: who writes what, how much waits, what was there a moment ago.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Stat};
use rustix::io::Errno;

use super::beneath::{self, Beneath, refused};
use super::desk::{Desk, Known};
use super::flush::Flush;
use super::path::{self, INBOX, Rel, check_new};
use super::quota::Count;
use super::{Limits, Settings};
use crate::clock::monotonic;
use crate::intake::arrivals::Arrived;
use crate::intake::names::{self, NameKind};
use crate::intake::scan;
use crate::intake::sftp::home::Refused;
use crate::intake::watch::FOLDERS;

/// Uploads that are not whole: a tree like `in/`.
pub const STAGING: &str = ".messo/arrivo";
/// How far a staged file goes without a hole, while it has one: `<inode>` holds the number of bytes.
pub const GAPS: &str = ".messo/lacune";

/// What the sessions of one root share. One for each root, whatever the number of accounts that lead to it.
pub struct Shared {
    pub(super) settings: Settings,
    limits: RwLock<Limits>,
    pub(super) beneath: Beneath,
    desk: Mutex<Desk>,
    pub(super) settled: Count,
    pub(super) open: Count,
    flushes: Mutex<HashMap<String, Arc<Flush>>>,
    begin: Instant,
    sessions: AtomicU64,
    /// Folders of `in/` that the hub made, itself included: no quota counts them.
    pub(super) ours: AtomicU64,
}

/// What has a name below `in/`.
pub enum Found {
    /// Not whole. The folder it lies in, its name there.
    Staged(OwnedFd, String, Stat),
    /// In `in/`: a file, a folder, or something that somebody with access to the share put there.
    Real(OwnedFd, String, Stat),
    /// Taken by the hub.
    Taken(Known),
    Nothing,
}

impl Shared {
    /// Makes the folders, cuts partial uploads of an earlier run to what is surely there, counts. Blocks.
    ///
    /// # Errors
    /// The folders cannot be made or read, or `in/` and `.messo/` lie on different file systems.
    pub fn open(settings: Settings) -> io::Result<Arc<Shared>> {
        let beneath = Beneath::new(settings.root.clone());
        std::fs::create_dir_all(&settings.root)?;
        let root = beneath.root()?;
        beneath::make_folder(&root, ".messo", 0o700)?;
        for folder in FOLDERS.into_iter().chain([STAGING, GAPS]) {
            beneath::make_folder(&root, folder, 0o777)?;
        }
        let (inbox, staging) = (rustix::fs::fstat(beneath.folder(INBOX)?)?, rustix::fs::fstat(beneath.folder(STAGING)?)?);
        if inbox.st_dev != staging.st_dev {
            return Err(io::Error::new(io::ErrorKind::CrossesDevices, "in/ and .messo/ lie on different file systems"));
        }
        let limits = RwLock::new(settings.limits.clone());
        let shared = Shared {
            settings,
            limits,
            beneath,
            desk: Mutex::default(),
            settled: Count::default(),
            open: Count::default(),
            flushes: Mutex::default(),
            begin: monotonic(),
            sessions: AtomicU64::new(0),
            // `in/` and `prova/`.
            ours: AtomicU64::new(2),
        };
        shared.recover()?;
        shared.count(&mut shared.lock())?;
        Ok(Arc::new(shared))
    }

    /// Makes the folder of each flow that the gestionale may use, unless one is there, whatever its letter case: who puts a file into
    /// `in/cds/` need not make it first. Blocks.
    pub fn make_flow_folders(&self, flows: &[String]) {
        let mut ours = 2;
        for flow in flows.iter().filter(|flow| check_new(flow).is_ok() && !flow.contains('/') && !flow.starts_with('.')) {
            let Ok(inbox) = self.folder(INBOX, "") else { continue };
            let there = self.folder(INBOX, "").is_ok_and(|folder| spelled_in(folder, flow).is_some());
            // Where it cannot be made, a client is told to.
            if there || beneath::make_folder(&inbox, flow, 0o777).is_ok() {
                ours += 1;
            }
        }
        self.ours.store(ours, Ordering::Relaxed);
        // Made or not, they are counted when the next look is due.
        let mut desk = self.lock();
        let _ = self.count(&mut desk);
    }

    /// Applies from the next request on.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// Removes partial uploads that nobody resumed, forgets what was shown long enough. To be called every hour or so; blocks.
    ///
    /// # Errors
    /// The folders cannot be read.
    pub fn tidy(&self, now: Timestamp) -> io::Result<()> {
        let listing = scan::list_below(&self.beneath.folder(STAGING)?)?;
        for file in listing.files.keys().filter_map(|file| file.to_str()) {
            let rel = Rel::new(file);
            let mut desk = self.lock();
            if desk.uploads.contains_key(&rel) {
                continue;
            }
            let folder = self.beneath.folder(&below(STAGING, rel.parent()))?;
            let Some(stat) = beneath::look(&folder, rel.name())? else { continue };
            // The time of change, which no client can set.
            let age = now.as_second().saturating_sub(stat.st_ctime);
            if u64::try_from(age).is_ok_and(|age| age >= self.settings.partials_kept.as_secs()) {
                rustix::fs::unlinkat(&folder, rel.name(), AtFlags::empty())?;
                self.removed(stat.st_size as u64);
                desk.forget(&rel);
            }
        }
        self.lock().sweep();
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn limits(&self) -> std::sync::RwLockReadGuard<'_, Limits> {
        self.limits.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn new_session(&self) -> u64 {
        self.sessions.fetch_add(1, Ordering::Relaxed)
    }

    /// The folder of `in/` (or of the staged tree) with that path.
    pub(super) fn folder(&self, top: &str, path: &str) -> Result<OwnedFd, Errno> {
        self.beneath.folder(&below(top, path))
    }

    /// The folder of staged files with that path, made when it is missing.
    pub(super) fn staging(&self, path: &str) -> Result<OwnedFd, Errno> {
        match self.folder(STAGING, path) {
            Err(Errno::NOENT) => {}
            result => return result,
        }
        let mut at = self.folder(STAGING, "")?;
        let mut made = String::new();
        for name in path.split('/') {
            beneath::make_folder(&at, name, 0o700)?;
            made = below(&made, name);
            at = self.folder(STAGING, &made)?;
        }
        Ok(at)
    }

    /// What has that name.
    pub(super) fn find(&self, desk: &Desk, rel: &Rel) -> Result<Found, Refused> {
        for (top, staged) in [(STAGING, true), (INBOX, false)] {
            let folder = match self.folder(top, rel.parent()) {
                Err(Errno::NOENT) => continue,
                folder => folder.map_err(refused)?,
            };
            // A Mac may have written the same name in another way.
            for name in [Some(rel.name().to_owned()), path::decomposed(rel.name())].into_iter().flatten() {
                let Some(stat) = beneath::look(&folder, &name).map_err(refused)? else { continue };
                match (staged, beneath::kind(&stat)) {
                    (true, FileType::RegularFile) => return Ok(Found::Staged(folder, name, stat)),
                    (true, _) => {}
                    (false, _) => return Ok(Found::Real(folder, name, stat)),
                }
            }
        }
        Ok(desk.known(rel).map_or(Found::Nothing, Found::Taken))
    }

    /// The same path with the folder as it is really spelled: `in/CDS/` is `in/cds/` for who comes from Windows.
    pub(super) fn spelled(&self, rel: Rel) -> Rel {
        let parent = rel.parent();
        if parent.is_empty() || parent == path::DRY_RUN || self.folder(INBOX, parent).is_ok() {
            return rel;
        }
        let parent = Rel::new(parent);
        match self.beneath.folder(&below(INBOX, parent.parent())).ok().and_then(|folder| spelled_in(folder, parent.name())) {
            Some(name) => Rel::in_folder(Rel::in_folder(parent.parent(), &name).as_str(), rel.name()),
            None => rel,
        }
    }

    /// Whether another file that waits differs from `rel` only by case. `except`: the one that is about to go.
    pub(super) fn collides(&self, desk: &Desk, rel: &Rel, except: Option<&Rel>) -> Result<bool, Refused> {
        let Some(other) = desk.like(rel).filter(|other| *other != rel && Some(*other) != except) else {
            return Ok(false);
        };
        Ok(matches!(self.find(desk, other)?, Found::Staged(..) | Found::Real(..)))
    }

    /// A folder's changes are on the disk: one flush for all who wait.
    pub(super) fn flush(&self, folder: &str) -> Result<(), Refused> {
        if !self.settings.fsync {
            return Ok(());
        }
        let flush = self.flushes.lock().unwrap_or_else(PoisonError::into_inner).entry(folder.to_owned()).or_default().clone();
        let flushed = flush.wait(|| match rustix::fs::fsync(self.folder(INBOX, folder)?) {
            // Shares whose folders cannot be flushed: their server keeps its own promises.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(()),
            flushed => flushed,
        });
        flushed.map_err(refused)
    }

    /// Tells the watcher of a whole file in `in/`.
    pub(super) fn announce(&self, rel: &Rel, arrived: Arrived) {
        match names::kind(rel.name()) {
            NameKind::Drop => self.settings.arrivals.whole(rel.as_path(), arrived),
            _ => self.settings.arrivals.ring(),
        }
    }
}

/// The name in a folder that differs from `name` at most by case.
pub fn spelled_in(folder: OwnedFd, name: &str) -> Option<String> {
    let wanted = path::fold(name);
    let entries = rustix::fs::Dir::read_from(folder).ok()?;
    entries.filter_map(Result::ok).find_map(|entry| {
        let found = entry.file_name().to_str().ok()?;
        (path::fold(found) == wanted).then(|| found.to_owned())
    })
}

/// `top/path`, or `top`.
pub fn below(top: &str, path: &str) -> String {
    match (top.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (_, true) => top.to_owned(),
        _ => format!("{top}/{path}"),
    }
}
