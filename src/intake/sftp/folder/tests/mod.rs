//! The home on real directories, as the engine uses it.

mod escapes;
mod handover;
mod limits;
mod published;
mod restart;
mod uploads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::*;
use crate::intake::sftp::home::{Attributes, Ending, Home, OpenFile, OpenFlags, Refused};

pub const WRITE: OpenFlags = OpenFlags { read: false, write: true, append: false, create: true, truncate: true, exclusive: false };
/// As WinSCP and FileZilla resume.
pub const RESUME: OpenFlags = OpenFlags { read: false, write: true, append: false, create: false, truncate: false, exclusive: false };
pub const READ: OpenFlags = OpenFlags { read: true, write: false, append: false, create: false, truncate: false, exclusive: false };

/// A root in a folder of its own.
pub struct House {
    pub place: tempfile::TempDir,
    pub shared: Arc<Shared>,
    pub arrivals: Arc<Arrivals>,
    pub seen: Arc<Seen>,
}

/// What was told to the auditor.
#[derive(Default)]
pub struct Seen(Mutex<Vec<String>>);

impl Witness for Seen {
    fn saw(&self, deed: &Deed<'_>) {
        self.0.lock().unwrap().push(match deed {
            Deed::Uploaded { path, size, sha256 } => {
                format!("uploaded {path} {size} {}", sha256.map_or("-".into(), |sha| sha.to_hex()[..8].to_owned()))
            }
            Deed::Interrupted { path, size } => format!("interrupted {path} {size}"),
            Deed::Downloaded { path, bytes, size } => format!("downloaded {path} {bytes}/{size}"),
            Deed::Removed { path } => format!("removed {path}"),
            Deed::Renamed { from, to } => format!("renamed {from} {to}"),
            Deed::FolderMade { path } => format!("made {path}"),
            Deed::FolderRemoved { path } => format!("unmade {path}"),
        });
    }
}

impl Seen {
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

pub fn settings(root: &Path, arrivals: &Arc<Arrivals>) -> Settings {
    Settings {
        root: root.to_path_buf(),
        limits: Limits { quota_bytes: 1 << 40, quota_files: 10_000, largest_file: 1 << 32, disk_reserve: 0, may_delete_published: false },
        fsync: true,
        hash: true,
        grace: Duration::from_secs(600),
        takeover: Duration::from_secs(30),
        partials_kept: Duration::from_secs(7 * 86_400),
        arrivals: arrivals.clone(),
    }
}

impl House {
    pub fn new() -> House {
        House::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Settings)) -> House {
        House::settling(Duration::from_millis(50), change)
    }

    /// What was closed is handed over after `settle`.
    pub fn settling(settle: Duration, change: impl FnOnce(&mut Settings)) -> House {
        let place = tempfile::tempdir().unwrap();
        let arrivals = Arc::new(Arrivals::new(settle));
        let mut settings = settings(place.path(), &arrivals);
        change(&mut settings);
        House { shared: Shared::open(settings).unwrap(), place, arrivals, seen: Arc::default() }
    }

    /// A new session.
    pub fn home(&self) -> FolderHome {
        FolderHome::new(self.shared.clone(), Some(self.seen.clone()))
    }

    pub fn path(&self, path: &str) -> PathBuf {
        self.place.path().join(path)
    }

    /// As after a restart.
    pub fn again(&mut self) {
        self.shared = Shared::open(settings(self.place.path(), &self.arrivals)).unwrap();
    }

    /// Takes a file as the watcher does; the path of its bytes.
    pub fn claim(&self, file: &str) -> PathBuf {
        use crate::intake::claim::{Order, WORK, claim};
        std::fs::create_dir_all(self.path(WORK)).unwrap();
        let id = crate::domain::ids::BatchId(crate::clock::new_uuid());
        claim(&Order { root: self.place.path(), file: Path::new(file), id, companion: None }).unwrap().0
    }

    /// Everything below a folder: path to content, folders end with `/`.
    pub fn tree(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        tree(&self.path(folder))
    }
}

pub fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in std::fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            let kind = path.symlink_metadata().unwrap().file_type();
            if kind.is_dir() {
                found.insert(name + "/", Vec::new());
                waiting.push(path);
            } else if kind.is_file() {
                found.insert(name, std::fs::read(&path).unwrap());
            } else {
                found.insert(name, b"?".to_vec());
            }
        }
    }
    found
}

pub fn open(home: &FolderHome, path: &str, flags: OpenFlags) -> Result<Box<dyn OpenFile>, Refused> {
    home.open(path.as_bytes(), flags, &Attributes::default())
}

pub fn put(home: &FolderHome, path: &str, bytes: &[u8]) -> Result<(), Refused> {
    let mut file = open(home, path, WRITE)?;
    file.write_at(&[(0, bytes)]).map_err(|(_, why)| why)?;
    file.finish(Ending::Closed)
}

pub fn get(home: &FolderHome, path: &str) -> Result<Vec<u8>, Refused> {
    let mut file = open(home, path, READ)?;
    let mut bytes = Vec::new();
    let mut page = [0; 1000];
    loop {
        match file.read_at(bytes.len() as u64, &mut page)? {
            0 => break,
            read => bytes.extend_from_slice(&page[..read]),
        }
    }
    file.finish(Ending::Closed)?;
    Ok(bytes)
}

pub fn size(home: &FolderHome, path: &str) -> Result<u64, Refused> {
    home.stat(path.as_bytes()).map(|found| found.size.unwrap())
}

/// Names and sizes of a folder, sorted.
pub fn list(home: &FolderHome, path: &str) -> Result<Vec<(String, u64)>, Refused> {
    let mut listing = home.list(path.as_bytes())?;
    let mut all = Vec::new();
    loop {
        // Pages of any size show the same.
        let page = listing.next(2)?;
        if page.is_empty() {
            break;
        }
        assert!(page.len() <= 2);
        let size = |entry: &crate::intake::sftp::home::Entry| match entry.attributes.mode {
            Some(0o040_750) => 0,
            _ => entry.attributes.size.unwrap(),
        };
        all.extend(page.iter().map(|entry| (entry.name.clone(), size(entry))));
    }
    all.sort();
    Ok(all)
}

pub fn names(home: &FolderHome, path: &str) -> Vec<String> {
    list(home, path).unwrap().into_iter().map(|(name, _)| name).collect()
}
