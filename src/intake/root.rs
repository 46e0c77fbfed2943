//! One watched root: lists, lets settle, looks inside, claims, hands over; tells of what stays unfinished and of what is wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use jiff::SignedDuration;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::alone::{Notes, Taken};
use super::claim::{self, ClaimError, Order, WORK};
use super::hints::Hints;
use super::names::{self, CompanionKind};
use super::reported::{self, Reported};
use super::scan::{self, Listing};
use super::settle::{Incomplete, Partials, Settling, Stamp, Step};
use super::sftp::folder::STAGING;
use super::watch::{FOLDERS, Late, Root, Trouble, WatchEvent, WatchSettings, Wholeness};
use super::{Claimed, Companion};
use crate::clock::{monotonic, new_uuid};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;

/// Claimed while someone was still writing: handed over when it stops changing.
struct Growing {
    claimed: Claimed,
    stamp: Stamp,
    since: Duration,
    claimed_at: Duration,
}

/// The thread of one root.
pub(super) struct RootWatch {
    root: Root,
    settings: WatchSettings,
    tx: Sender<WatchEvent>,
    stop: Arc<AtomicBool>,
    ear: SyncSender<()>,
    hints: Option<Arc<Hints>>,
    begin: Instant,
    settling: Settling,
    partials: Partials,
    growing: Vec<Growing>,
    /// Folders that inotify watches, relative to `in/`.
    heard: BTreeSet<PathBuf>,
    /// Kind and place of what was told.
    troubles: BTreeSet<(u8, String)>,
    reported: Option<Reported>,
    notes: Option<Notes>,
    made: bool,
}

impl RootWatch {
    pub(super) fn new(
        root: Root,
        settings: &WatchSettings,
        tx: Sender<WatchEvent>,
        stop: Arc<AtomicBool>,
        ear: SyncSender<()>,
        hints: Option<Arc<Hints>>,
    ) -> RootWatch {
        RootWatch {
            root,
            settings: settings.clone(),
            tx,
            stop,
            ear,
            hints,
            begin: monotonic(),
            settling: Settling::new(settings.settle, settings.incomplete_after),
            partials: Partials::new(settings.incomplete_after),
            growing: Vec::new(),
            heard: BTreeSet::new(),
            troubles: BTreeSet::new(),
            reported: None,
            notes: None,
            made: false,
        }
    }

    /// Looks, waits, looks again, until it is told to stop.
    pub(super) fn run(mut self, woken: &Receiver<()>) {
        if let Some(arrivals) = &self.root.arrivals {
            arrivals.listen(&self.ear);
        }
        while !self.stopped() {
            let before = self.now();
            self.round();
            let took = self.now().saturating_sub(before);
            // A burst of events is one look; a long listing is not repeated without pause.
            // What came by SFTP is known to be whole: its sender waits for a receipt, not for a size to stop changing.
            let longest = Duration::from_millis(if self.root.arrivals.is_some() { 25 } else { 200 });
            let gap = (self.settings.settle / 4).clamp(Duration::from_millis(5), longest).max(took * 4);
            let due = [self.settling.next_due(), self.growing.iter().map(|file| file.since + self.settings.settle).min()];
            let due = due.into_iter().flatten().min().map(|due| due.saturating_sub(self.now()));
            let wait = due.unwrap_or(self.settings.scan).min(self.settings.scan).max(gap);
            match woken.recv_timeout(wait) {
                Ok(()) if !self.stopped() => {
                    std::thread::sleep(gap);
                    while woken.try_recv().is_ok() {}
                }
                Ok(()) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        if let Some(hints) = &self.hints {
            for folder in &self.heard {
                hints.leave(&self.root.path.join("in").join(folder));
            }
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn now(&self) -> Duration {
        monotonic().saturating_duration_since(self.begin)
    }

    /// One look at everything.
    fn round(&mut self) {
        let mut troubles = BTreeMap::new();
        let mut lasting: Vec<(u8, String)> = Vec::new();
        let listing = self.make_folders().and_then(|()| scan::list(&self.root.path));
        match listing {
            Err(error) => {
                // What was seen is kept: a share that is away has not lost its files.
                troubles.insert((0, String::new()), Trouble::Folder(error.kind()));
                lasting.extend(self.troubles.iter().filter(|(kind, _)| *kind != 0).cloned());
            }
            Ok(listing) => {
                // A file that could not be claimed is not tried at every look.
                let there = |name: &str| listing.files.keys().any(|file| shown(file) == name);
                lasting.extend(self.troubles.iter().filter(|(kind, name)| *kind == 5 && there(name)).cloned());
                self.note(&listing, &mut troubles);
                self.listen(&listing, &mut troubles);
                if let Some(arrivals) = &self.root.arrivals {
                    arrivals.keep_only(|file| listing.files.contains_key(file));
                    self.settling.told(arrivals.ready(self.begin));
                }
                let now = self.now();
                for step in self.settling.observe(&listing.files, now) {
                    if self.stopped() {
                        return;
                    }
                    match step {
                        Step::Try { file, stamp, companion, stable } => self.look(&file, stamp, companion, stable, &mut troubles),
                        Step::Late { companion, kind, sha256 } => self.look_at_late(&companion, kind, sha256),
                        Step::Tidy { companion } => self.remove_companion(&companion),
                        Step::Compare { companion, stamp, kind, batch } => self.hand_over_late(&companion, stamp, kind, batch),
                        Step::GiveUp { file, stamp, quiet, reason } => self.give_up(&file, stamp, quiet, reason),
                    }
                }
            }
        }
        self.look_at_partials();
        self.look_at_growing();
        self.tell(troubles, lasting);
    }

    /// On start only: later a missing folder is a share that went away, and one made in its place would hide that.
    fn make_folders(&mut self) -> io::Result<()> {
        if self.made {
            return Ok(());
        }
        std::fs::create_dir_all(&self.root.path)?;
        // What waits in it is nobody else's business.
        match std::fs::DirBuilder::new().mode(0o700).create(self.root.path.join(".messo")) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        for folder in FOLDERS.into_iter().chain([WORK]) {
            std::fs::create_dir_all(self.root.path.join(folder))?;
        }
        if scan::is_shared(&self.root.path.join("in")) {
            self.hints = None;
        }
        self.reported = Some(Reported::open(&self.root.path));
        let (notes, taken) = Notes::open(&self.root.path);
        self.notes = Some(notes);
        self.settling.took_alone(taken);
        self.made = true;
        Ok(())
    }

    fn note(&self, listing: &Listing, troubles: &mut BTreeMap<(u8, String), Trouble>) {
        for (folder, error) in &listing.unreadable {
            let name = shown(folder);
            troubles.insert((1, name.clone()), Trouble::SubFolder { name, error: error.kind() });
        }
        for folder in &listing.too_deep {
            let name = shown(folder);
            troubles.insert((2, name.clone()), Trouble::TooDeep { name });
        }
        if listing.too_many {
            troubles.insert((3, String::new()), Trouble::TooMany);
        }
    }

    /// Keeps the watches equal to the folders.
    fn listen(&mut self, listing: &Listing, troubles: &mut BTreeMap<(u8, String), Trouble>) {
        let Some(hints) = self.hints.clone() else { return };
        let inbox = self.root.path.join("in");
        let folders: BTreeSet<PathBuf> = listing.folders.iter().cloned().collect();
        for gone in self.heard.difference(&folders) {
            hints.leave(&inbox.join(gone));
        }
        self.heard.retain(|folder| folders.contains(folder));
        for folder in folders {
            if self.heard.contains(&folder) {
                continue;
            }
            if hints.listen(&inbox.join(&folder), &self.ear) {
                self.heard.insert(folder);
                // It was listed before it was watched: look once more.
                let _ = self.ear.try_send(());
            } else {
                troubles.insert((4, String::new()), Trouble::NoEvents);
            }
        }
    }

    /// Takes the file if it is whole.
    fn look(
        &mut self,
        file: &Path,
        stamp: Stamp,
        companion: Option<(PathBuf, CompanionKind)>,
        stable: bool,
        troubles: &mut BTreeMap<(u8, String), Trouble>,
    ) {
        let root = self.root.path.clone();
        let mut said: Option<(PathBuf, CompanionKind, Companion, Vec<u8>)> = None;
        if let Some((path, kind)) = companion {
            match claim::read_companion(&root, &path, kind) {
                Ok(Some((companion, bytes))) => said = Some((path, kind, companion, bytes)),
                Ok(None) => return self.settling.not_whole(file, self.now(), Incomplete::CompanionUnreadable),
                Err(_) => return self.settling.not_whole(file, self.now(), Incomplete::Locked),
            }
        }
        match claim::open_regular(&root, file) {
            Ok(Some(_)) => {}
            Ok(None) => return self.settling.taken(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.settling.taken(file),
            Err(_) => return self.settling.not_whole(file, self.now(), Incomplete::Locked),
        }
        // `.ok` is the sender's word; so is a digest once nothing changes any more: whoever reads the bytes will judge.
        let trusted = match &said {
            Some((_, kind, ..)) => *kind == CompanionKind::Ok || stable,
            None => false,
        };
        if !trusted && !self.is_whole(&root.join("in").join(file), file) {
            return self.settling.not_whole(file, self.now(), Incomplete::Unfinished);
        }
        let id = BatchId(new_uuid());
        let order = Order {
            root: &root,
            file,
            id,
            companion: said.as_ref().map(|(path, kind, _, bytes)| (path.as_path(), *kind, bytes.as_slice())),
        };
        match claim::claim(&order) {
            Ok((path, after)) => {
                let folder = file.parent().unwrap_or(Path::new(""));
                let (flow_hint, dry_run) = scan::meaning(folder);
                let original_name = names::decode(file.file_name().map(OsStrExt::as_bytes).unwrap_or_default());
                let received_at = self.settings.clock.now();
                let source = self.root.source.clone();
                let inode = |path: &Path| rustix::fs::lstat(path).ok().map(|stat| stat.st_ino);
                let arrivals = self.root.arrivals.as_ref();
                let told = arrivals.and_then(|arrivals| arrivals.claimed(file, inode(&path)?)).filter(|told| told.size == after.size);
                let arrived = told.filter(|told| told.mtime == after.mtime).and_then(|told| told.sha256);
                match &said {
                    Some((path, ..)) => {
                        self.settling.taken(file);
                        self.settling.taken(path);
                    }
                    None => {
                        let taken = Taken::of(file, id, arrived);
                        if let Some(notes) = &mut self.notes {
                            notes.add(&taken);
                        }
                        self.settling.taken_alone(file, taken, self.now());
                    }
                }
                let companion = said.map(|(_, _, companion, _)| companion);
                let claimed = Claimed { id, source, path, original_name, flow_hint, dry_run, received_at, companion, arrived };
                if after == stamp || told.is_some() {
                    self.send(WatchEvent::Claimed(claimed));
                } else {
                    let now = self.now();
                    self.growing.push(Growing { claimed, stamp: after, since: now, claimed_at: now });
                }
            }
            Err(ClaimError::Gone | ClaimError::NotAFile) => self.settling.taken(file),
            Err(ClaimError::Io(error)) => {
                self.settling.not_whole(file, self.now(), Incomplete::Locked);
                let name = shown(file);
                troubles.insert((5, name.clone()), Trouble::Claim { name, error: error.kind() });
            }
        }
    }

    /// A companion whose file was taken a moment ago: gone when it is known to say nothing against it. Otherwise it stays where it is,
    /// is never taken for the next one's, and who has the bytes is asked after a while.
    fn look_at_late(&mut self, companion: &Path, kind: CompanionKind, sha256: Option<Sha256>) {
        match claim::read_companion(&self.root.path, companion, kind) {
            Ok(Some((Companion::Ok, _))) => self.remove_companion(companion),
            Ok(Some((Companion::Sha256(told), _))) if sha256 == Some(told) => self.remove_companion(companion),
            _ => {}
        }
    }

    fn hand_over_late(&mut self, companion: &Path, stamp: Stamp, kind: CompanionKind, batch: BatchId) {
        if self.reported.as_ref().is_some_and(|reported| reported.knows(companion, stamp)) {
            return;
        }
        let said = claim::read_companion(&self.root.path, companion, kind).ok().flatten();
        let (source, mark) = (self.root.source.clone(), reported::mark(companion, stamp));
        let told = said.map_or(Companion::Unreadable, |(told, _)| told);
        let late = Late { file: companion.to_owned(), name: shown(companion), kind, told, batch, size: stamp.size, mark };
        self.send(WatchEvent::LateDigest { source, late });
    }

    fn remove_companion(&mut self, companion: &Path) {
        let Some(name) = companion.file_name() else { return };
        let folder = Path::new("in").join(companion.parent().unwrap_or(Path::new("")));
        let folder = scan::open_root(&self.root.path).and_then(|root| scan::open_folder(root, &folder));
        if folder.is_ok_and(|folder| rustix::fs::unlinkat(folder, name, rustix::fs::AtFlags::empty()).is_ok()) {
            self.settling.taken(companion);
        }
    }

    fn is_whole(&self, path: &Path, name: &Path) -> bool {
        let name = names::decode(name.file_name().map(OsStrExt::as_bytes).unwrap_or_default());
        names::is_bare(&name) || (self.settings.whole)(path) == Wholeness::Whole
    }

    /// Uploads by SFTP that nobody ends.
    fn look_at_partials(&mut self) {
        if self.root.arrivals.is_none() {
            return;
        }
        let staging = scan::open_root(&self.root.path).and_then(|root| scan::open_folder(root, Path::new(STAGING)));
        let Ok(listing) = staging.and_then(|staging| scan::list_below(&staging)) else { return };
        for step in self.partials.observe(&listing.files, self.now()) {
            if let Step::GiveUp { file, stamp, quiet, reason } = step {
                self.give_up(&file, stamp, quiet, reason);
            }
        }
    }

    /// A writer kept the file open over the claim: the bytes still arrive, in the work folder.
    fn look_at_growing(&mut self) {
        let mut waiting = std::mem::take(&mut self.growing);
        waiting.retain_mut(|file| {
            let now = self.now();
            let stat = match rustix::fs::lstat(&file.claimed.path) {
                Ok(stat) => stat,
                // Someone with more rights removed it; a share that is away is another error.
                Err(error) => return error != rustix::io::Errno::NOENT,
            };
            let stamp = scan::stamp(&stat);
            if stamp != file.stamp {
                file.stamp = stamp;
                file.since = now;
                return true;
            }
            let quiet = now.saturating_sub(file.since) >= self.settings.settle;
            let late = now.saturating_sub(file.claimed_at) >= self.settings.incomplete_after;
            if quiet && (late || self.is_whole(&file.claimed.path, &file.claimed.path)) {
                self.send(WatchEvent::Claimed(file.claimed.clone()));
                return false;
            }
            if quiet {
                file.since = now;
            }
            true
        });
        self.growing.append(&mut waiting);
    }

    fn give_up(&mut self, file: &Path, stamp: Stamp, quiet: Duration, reason: Incomplete) {
        if self.reported.as_ref().is_some_and(|reported| reported.knows(file, stamp)) {
            return;
        }
        let business = quiet.checked_mul(self.settings.clock.factor()).and_then(|quiet| SignedDuration::try_from(quiet).ok());
        let now = self.settings.clock.now();
        let since = business.and_then(|quiet| now.checked_sub(quiet).ok()).unwrap_or(now);
        let source = self.root.source.clone();
        let mark = reported::mark(file, stamp);
        self.send(WatchEvent::NeverCompleted { source, name: shown(file), since, size: stamp.size, reason, mark });
    }

    /// Tells what is new, and that the folder is back.
    fn tell(&mut self, troubles: BTreeMap<(u8, String), Trouble>, lasting: Vec<(u8, String)>) {
        let away = |(kind, _): &(u8, String)| *kind == 0;
        if self.troubles.iter().any(away) && !troubles.keys().any(away) {
            self.send(WatchEvent::Recovered { source: self.root.source.clone() });
        }
        let known = std::mem::take(&mut self.troubles);
        for (key, trouble) in troubles {
            if !known.contains(&key) {
                self.send(WatchEvent::Trouble { source: self.root.source.clone(), trouble });
            }
            self.troubles.insert(key);
        }
        self.troubles.extend(lasting);
    }

    /// Waits for room; what cannot be sent because all stops stays in the work folder.
    fn send(&self, event: WatchEvent) -> bool {
        let mut event = event;
        while !self.stopped() {
            match self.tx.try_send(event) {
                Ok(()) => return true,
                Err(TrySendError::Closed(_)) => {
                    self.stop.store(true, Ordering::Relaxed);
                    return false;
                }
                Err(TrySendError::Full(back)) => {
                    event = back;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
        }
        false
    }
}

/// A path as people read it.
fn shown(path: &Path) -> String {
    names::decode(path.as_os_str().as_bytes())
}
