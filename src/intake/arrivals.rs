//! What the SFTP door tells the watcher of the same root: these files are whole, and what their bytes are. A client said CLOSE, so
//! that nobody has to wait for a size to stop changing: only for the short time in which the client may change its mind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::monotonic;
use crate::domain::digest::Sha256;

/// Most files that are remembered: those past it settle as if they had come by the share.
const MAX: usize = 100_000;

/// A file that arrived whole, as it was when it was put into `in/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// Names the file itself, whatever its name.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime: i128,
    /// Computed while it arrived.
    pub sha256: Option<Sha256>,
}

/// The files of one root that wait to be taken. Shared by the door and the watcher of that root.
#[derive(Debug)]
pub struct Arrivals {
    settle: Duration,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Relative to `in/`: from when on it may be taken.
    files: BTreeMap<PathBuf, (Instant, Arrived)>,
    ear: Option<SyncSender<()>>,
}

impl Arrivals {
    /// `settle`: how long the client may still change its mind after CLOSE or RENAME (300 ms is enough for programs that open
    /// a file again to append; people who overwrite by hand are slower than any settle time).
    #[must_use]
    pub fn new(settle: Duration) -> Arrivals {
        Arrivals { settle, inner: Mutex::default() }
    }

    /// Lies whole in `in/`, and safely: to be taken when the settle time is over.
    pub fn whole(&self, file: &Path, arrived: Arrived) {
        let mut inner = self.lock();
        if inner.files.len() < MAX || inner.files.contains_key(file) {
            inner.files.insert(file.to_path_buf(), (monotonic() + self.settle, arrived));
        }
        drop(inner);
        self.ring();
    }

    /// Something came that may matter: look.
    pub fn ring(&self) {
        if let Some(ear) = &self.lock().ear {
            // A full channel means that it is already awake.
            let _ = ear.try_send(());
        }
    }

    /// Its times were set by the client, who did not change it otherwise.
    pub fn touched(&self, file: &Path, mtime: i128) {
        if let Some((_, arrived)) = self.lock().files.get_mut(file) {
            arrived.mtime = mtime;
        }
    }

    /// Written again, renamed or removed: no more whole until it is told again.
    pub fn forget(&self, file: &Path) -> Option<Arrived> {
        self.lock().files.remove(file).map(|(_, arrived)| arrived)
    }

    /// The file with that inode was claimed under that name: gives what was told of it. Another file that came under the same
    /// name meanwhile stays.
    pub(super) fn claimed(&self, file: &Path, inode: u64) -> Option<Arrived> {
        let mut inner = self.lock();
        let arrived = inner.files.get(file).map(|(_, arrived)| *arrived).filter(|arrived| arrived.inode == inode)?;
        inner.files.remove(file);
        Some(arrived)
    }

    /// What is told of a file.
    #[must_use]
    pub fn get(&self, file: &Path) -> Option<Arrived> {
        self.lock().files.get(file).map(|(_, arrived)| *arrived)
    }

    /// Rings `ear` whenever something arrives.
    pub(super) fn listen(&self, ear: &SyncSender<()>) {
        self.lock().ear = Some(ear.clone());
    }

    /// Every file with the time since `begin` from which on it may be taken.
    pub(super) fn ready(&self, begin: Instant) -> BTreeMap<PathBuf, Duration> {
        let files = &self.lock().files;
        files.iter().map(|(file, (at, _))| (file.clone(), at.saturating_duration_since(begin))).collect()
    }

    /// Forgets files that are no more where they were, although nobody said so: removed on the share.
    pub(super) fn keep_only(&self, there: impl Fn(&Path) -> bool) {
        let now = monotonic();
        // A file that came after the listing is not in it.
        self.lock().files.retain(|file, (at, _)| *at + Duration::from_secs(60) > now || there(file));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use super::*;

    #[test]
    fn what_arrived_is_told_once_and_only_of_the_very_file() {
        let arrivals = Arrivals::new(Duration::from_millis(50));
        let (ear, woken) = sync_channel(1);
        arrivals.listen(&ear);
        let begin = monotonic();
        let file = Path::new("cds/a.zip");
        let arrived = |inode| Arrived { inode, size: 3, mtime: 7, sha256: None };
        arrivals.whole(file, arrived(1));
        assert!(woken.try_recv().is_ok(), "the watcher is woken");
        let ready = arrivals.ready(begin);
        assert!(ready.get(file).is_some_and(|ready| (50..2000).contains(&ready.as_millis())), "{ready:?}");
        arrivals.touched(file, 8);
        assert_eq!(arrivals.get(file).map(|arrived| arrived.mtime), Some(8));
        // Sent again under the same name while the first was claimed.
        arrivals.whole(file, arrived(2));
        assert_eq!(arrivals.claimed(file, 1), None);
        assert_eq!(arrivals.claimed(file, 2), Some(arrived(2)));
        assert_eq!(arrivals.claimed(file, 2), None);
        arrivals.whole(file, arrived(3));
        assert_eq!(arrivals.forget(file), Some(arrived(3)));
        assert!(arrivals.ready(begin).is_empty());
    }
}
