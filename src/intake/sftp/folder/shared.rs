//! What the sessions of one root share: who writes what, how much waits, what was there a moment ago.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::beneath::{self, Beneath, refused, refused_io};
use super::flush::Flush;
use super::path::{self, INBOX, Rel};
use super::upload::Upload;
use super::{Limits, Settings, Usage};
use crate::clock::monotonic;
use crate::intake::arrivals::Arrived;
use crate::intake::names::{self, NameKind};
use crate::intake::scan;
use crate::intake::sftp::home::Refused;
use crate::intake::watch::FOLDERS;

/// Uploads that are not whole: a tree like `in/`.
pub const STAGING: &str = ".messo/arrivo";
/// How far a staged file goes without a hole, while it has one: `<inode>` holds the number of bytes.
const GAPS: &str = ".messo/lacune";
/// Most files that are remembered after they were taken.
const MAX_KNOWN: usize = 20_000;

/// What the sessions of one root share. One for each root, whatever the number of accounts that lead to it.
pub struct Shared {
    pub(super) settings: Settings,
    limits: RwLock<Limits>,
    pub(super) beneath: Beneath,
    desk: Mutex<Desk>,
    settled: Count,
    open: Count,
    flushes: Mutex<HashMap<String, Arc<Flush>>>,
    begin: Instant,
    sessions: AtomicU64,
}

#[derive(Default)]
struct Count {
    bytes: AtomicU64,
    files: AtomicU64,
}

/// Who is at what. Whoever holds it never waits for an upload's own lock.
#[derive(Default)]
pub struct Desk {
    pub uploads: HashMap<Rel, Open>,
    known: HashMap<Rel, Known>,
    /// When what is known is to be forgotten.
    queue: VecDeque<(Instant, Rel)>,
    /// Folded path to path, of what is known or open.
    folds: HashMap<String, Rel>,
    /// When what waits was last counted, and how long that took.
    counted: Option<(Instant, Duration)>,
}

/// A file that is being written.
pub struct Open {
    pub upload: Arc<Upload>,
    pub session: u64,
    pub handles: usize,
    /// One of its handles was not closed.
    pub dropped: bool,
    /// The last handle is gone; it is being flushed.
    pub ending: bool,
}

/// A file that a client put, or that waited at the start: shown for a while after the hub took it.
#[derive(Clone, Copy)]
pub struct Known {
    pub arrived: Arrived,
    until: Instant,
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
        };
        shared.recover()?;
        shared.count(&mut shared.lock())?;
        Ok(Arc::new(shared))
    }

    /// Applies from the next request on.
    pub fn set_limits(&self, limits: Limits) {
        *self.limits.write().unwrap_or_else(PoisonError::into_inner) = limits;
    }

    /// What waits now, counted again when that was long ago: the hub takes files without saying so.
    pub fn usage(&self) -> Usage {
        let mut desk = self.lock();
        if desk.counted.is_none_or(|(at, took)| at.elapsed() > Duration::from_secs(5) + took * 20) {
            // An old number is better than none.
            let _ = self.count(&mut desk);
        }
        drop(desk);
        self.sum()
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

    // ---- what is where

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
        let now = monotonic();
        Ok(desk.known.get(rel).filter(|known| known.until > now).map_or(Found::Nothing, |known| Found::Taken(*known)))
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
        let Some(other) = desk.folds.get(&folded(rel)).filter(|other| *other != rel && Some(*other) != except) else {
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
        flush.wait(|| rustix::fs::fsync(self.folder(INBOX, folder)?)).map_err(refused)
    }

    /// Tells the watcher of a whole file in `in/`.
    pub(super) fn announce(&self, rel: &Rel, arrived: Arrived) {
        match names::kind(rel.name()) {
            NameKind::Drop => self.settings.arrivals.whole(rel.as_path(), arrived),
            _ => self.settings.arrivals.ring(),
        }
    }

    // ---- how much

    fn sum(&self) -> Usage {
        let of = |settled: &AtomicU64, open: &AtomicU64| settled.load(Ordering::Relaxed).saturating_add(open.load(Ordering::Relaxed));
        Usage { bytes: of(&self.settled.bytes, &self.open.bytes), files: of(&self.settled.files, &self.open.files) }
    }

    /// Room for more bytes of an open file.
    pub(super) fn grow(&self, bytes: u64) -> Result<(), Refused> {
        if bytes == 0 {
            return Ok(());
        }
        self.open.bytes.fetch_add(bytes, Ordering::Relaxed);
        let most = self.limits().quota_bytes;
        if self.sum().bytes <= most {
            return Ok(());
        }
        self.count_again();
        if self.sum().bytes <= most {
            return Ok(());
        }
        self.shrink(bytes);
        Err(Refused::QuotaBytes)
    }

    pub(super) fn shrink(&self, bytes: u64) {
        less(&self.open.bytes, bytes);
    }

    /// Room for one more file or folder.
    pub(super) fn check_files(&self, desk: &mut Desk) -> Result<(), Refused> {
        let most = self.limits().quota_files;
        if self.sum().files < most {
            return Ok(());
        }
        self.count_if_due(desk);
        if self.sum().files < most { Ok(()) } else { Err(Refused::QuotaFiles) }
    }

    /// A file is opened to be written: `size` bytes of it were there.
    pub(super) fn opened(&self, was_there: Option<u64>) {
        self.open.files.fetch_add(1, Ordering::Relaxed);
        if let Some(size) = was_there {
            self.removed(size);
            self.open.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// A file that was open is left with `size` bytes; `None`: it is gone.
    pub(super) fn ended(&self, size: u64, stays: bool) {
        less(&self.open.files, 1);
        less(&self.open.bytes, size);
        if stays {
            self.settled.files.fetch_add(1, Ordering::Relaxed);
            self.settled.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// A file that nobody writes is gone.
    pub(super) fn removed(&self, size: u64) {
        less(&self.settled.files, 1);
        less(&self.settled.bytes, size);
    }

    pub(super) fn folder_made(&self) {
        self.settled.files.fetch_add(1, Ordering::Relaxed);
    }

    fn count_again(&self) {
        let mut desk = self.lock();
        self.count_if_due(&mut desk);
    }

    /// A quota that seems full may be so no more: the hub takes files without saying so.
    fn count_if_due(&self, desk: &mut Desk) {
        if desk.counted.is_none_or(|(at, took)| at.elapsed() > Duration::from_millis(200) + took * 20) {
            // What cannot be counted stays refused.
            let _ = self.count(desk);
        }
    }

    fn count(&self, desk: &mut Desk) -> io::Result<()> {
        let begin = monotonic();
        let (mut bytes, mut files) = (0, 0);
        for top in [INBOX, STAGING] {
            let listing = scan::list_below(&self.beneath.folder(top)?)?;
            if top == INBOX {
                // `in/` and `prova/` are ours.
                files += listing.folders.len().saturating_sub(2) as u64;
            }
            for (file, stamp) in &listing.files {
                let rel = file.to_str().map(Rel::new);
                if top == STAGING && rel.as_ref().is_some_and(|rel| desk.uploads.contains_key(rel)) {
                    continue;
                }
                bytes += stamp.size;
                files += 1;
                if desk.counted.is_none()
                    && let Some(rel) = rel
                {
                    // At the start: what waits is known, so that a name that differs only by case is refused.
                    desk.know(rel, Arrived { inode: 0, size: stamp.size, mtime: stamp.mtime, sha256: None }, self.settings.grace);
                }
            }
        }
        self.settled.bytes.store(bytes, Ordering::Relaxed);
        self.settled.files.store(files, Ordering::Relaxed);
        desk.counted = Some((monotonic(), begin.elapsed()));
        Ok(())
    }

    /// Free bytes and nodes of the disk, and all of it.
    pub(super) fn disk(&self) -> Result<rustix::fs::StatVfs, Refused> {
        rustix::fs::fstatvfs(self.beneath.root().map_err(refused)?).map_err(refused)
    }

    pub(super) fn check_reserve(&self) -> Result<(), Refused> {
        let reserve = self.limits().disk_reserve;
        if reserve == 0 {
            return Ok(());
        }
        let disk = self.disk()?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < reserve { Err(Refused::DiskReserve) } else { Ok(()) }
    }

    // ---- holes, over restarts

    pub(super) fn tell_gap(&self, inode: u64, prefix: u64) -> Result<(), Refused> {
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(self.beneath.folder(GAPS)?, inode.to_string(), flags, Mode::RUSR | Mode::WUSR)?;
            // One call, and never shorter than before: a number is there at every moment.
            rustix::io::pwrite(&file, format!("{prefix:020}").as_bytes(), 0)?;
            Ok(())
        };
        write().map_err(|error| refused_io(&error))
    }

    pub(super) fn forget_gap(&self, inode: u64) {
        if let Ok(folder) = self.beneath.folder(GAPS) {
            // Left behind, it is cleared at the next start.
            let _ = rustix::fs::unlinkat(folder, inode.to_string(), AtFlags::empty());
        }
    }

    /// Cuts what an earlier run was writing to what is there without a hole: as far as a sidecar tells, and not past a hole
    /// that the file system knows of (a power cut leaves such where bytes were not yet on the disk).
    fn recover(&self) -> io::Result<()> {
        let gaps = self.beneath.folder(GAPS)?;
        let listing = scan::list_below(&self.beneath.folder(STAGING)?)?;
        for file in listing.files.keys().filter_map(|file| file.to_str()) {
            let rel = Rel::new(file);
            let folder = self.folder(STAGING, rel.parent())?;
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(fd) = rustix::fs::openat(&folder, rel.name(), flags, Mode::empty()) else { continue };
            let stat = rustix::fs::fstat(&fd)?;
            let size = stat.st_size as u64;
            let hole = rustix::fs::seek(&fd, SeekFrom::Hole(0)).unwrap_or(size);
            let told = gap_told(&gaps, stat.st_ino).unwrap_or(size);
            let prefix = size.min(hole).min(told);
            if prefix < size {
                rustix::fs::ftruncate(&fd, prefix)?;
            }
            if prefix == 0 {
                rustix::fs::unlinkat(&folder, rel.name(), AtFlags::empty())?;
            }
        }
        for entry in rustix::fs::Dir::read_from(&gaps)? {
            let entry = entry?;
            if entry.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit) {
                rustix::fs::unlinkat(&gaps, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

fn gap_told(gaps: &OwnedFd, inode: u64) -> Option<u64> {
    let fd = rustix::fs::openat(gaps, inode.to_string(), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 20];
    let read = rustix::io::pread(fd, &mut text, 0).ok()?;
    // Created and not yet written: nothing is known to be there.
    Some(text.get(..read).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok()).unwrap_or(0))
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

fn folded(rel: &Rel) -> String {
    below(rel.parent(), &path::fold(rel.name()))
}

fn less(count: &AtomicU64, by: u64) {
    // Never below zero: what was counted may be gone before it is taken off.
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(by)));
}

impl Desk {
    pub fn known(&self, rel: &Rel) -> Option<Known> {
        self.known.get(rel).copied()
    }

    /// A client put or renamed it: for `grace` it is shown even if it is no more there.
    pub fn know(&mut self, rel: Rel, arrived: Arrived, grace: Duration) {
        let until = monotonic() + grace;
        self.folds.insert(folded(&rel), rel.clone());
        self.queue.push_back((until, rel.clone()));
        self.known.insert(rel, Known { arrived, until });
        self.sweep();
    }

    /// Keeps its name against names that differ only by case.
    pub fn hold(&mut self, rel: &Rel) {
        self.folds.insert(folded(rel), rel.clone());
    }

    pub fn forget(&mut self, rel: &Rel) -> Option<Known> {
        let fold = folded(rel);
        if self.folds.get(&fold) == Some(rel) {
            self.folds.remove(&fold);
        }
        self.known.remove(rel)
    }

    pub fn touch(&mut self, rel: &Rel, mtime: i128) {
        if let Some(known) = self.known.get_mut(rel) {
            known.arrived.mtime = mtime;
        }
    }

    fn sweep(&mut self) {
        let now = monotonic();
        while let Some((until, _)) = self.queue.front()
            && (*until <= now || self.queue.len() > MAX_KNOWN)
        {
            let Some((until, rel)) = self.queue.pop_front() else { break };
            if self.known.get(&rel).is_some_and(|known| known.until == until) && !self.uploads.contains_key(&rel) {
                self.forget(&rel);
            }
        }
    }

    /// Names of a folder that may have been taken, with what they were.
    pub fn known_in(&self, folder: &str) -> Vec<(String, Known)> {
        let now = monotonic();
        let here = self.known.iter().filter(|(rel, known)| rel.parent() == folder && known.until > now);
        here.map(|(rel, known)| (rel.name().to_owned(), *known)).collect()
    }
}

/// How many bytes a client may still send, and nodes: the smaller of its quota and the disk.
pub fn room(quota: u64, used: u64, free: u64) -> u64 {
    quota.saturating_sub(used).min(free)
}
