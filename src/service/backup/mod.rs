//! A copy of all that messo keeps, made while it works: the store as of one instant, then the archives and legal facts that this
//! store names, the host keys, the configuration. Never a secret.
//!
//! A backup folder holds many copies, `<instant>/` each with its manifest, and below `contenuti/` the archives and facts of all of
//! them, once each: another copy adds only what is new. A copy has its name only when it is whole and on the disk.

pub mod manifest;
pub mod pool;
mod verify;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use super::operate::{Keeper, OperateError};
use super::report::BackupReport;
use super::{Hub, facts};
use crate::clock::monotonic;
use crate::config::Config;
use crate::domain::digest::Sha256;
use crate::outbox::place::sync_folder;
use crate::store::archives::kept_path;
use crate::store::{CopyError, CopyLook, Store, StoreError};
use manifest::{Entry, Head};
use pool::{Pool, UNFINISHED};

pub use verify::verify;

/// Says that a folder holds copies of messo, and is locked by who makes one.
const MARKER: &str = "messo-backup";
const MARKER_TEXT: &str = "Copie di sicurezza di messo: si guardano con «messo backup --verify», si usano con «messo restore».\n";
/// The store in the folder of a copy.
pub const STORE: &str = "messo.db";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The folder holds something else.
    #[error("not empty, and no backup folder")]
    NotOurs,
    /// The folder lies in the data folder, or the other way round.
    #[error("inside the data folder")]
    InsideData,
    #[error("the path is not absolute")]
    NotAbsolute,
    /// No copy is there.
    #[error("no copy")]
    NoCopy,
    /// Another copy is being made.
    #[error("busy")]
    Busy,
    #[error("the disk is full")]
    Full,
    #[error("stopped")]
    Stopped,
    #[error("{}: {}", .0.display(), .1)]
    Disk(PathBuf, io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CopyError> for BackupError {
    fn from(error: CopyError) -> Self {
        match error {
            CopyError::Full => BackupError::Full,
            CopyError::Stopped => BackupError::Stopped,
            CopyError::Store(error) => BackupError::Store(error),
        }
    }
}

/// An error of the disk at that path.
pub fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => BackupError::Full,
        _ => BackupError::Disk(path.to_owned(), error),
    }
}

/// What a copy is made of.
pub struct Backup {
    pub store: Store,
    pub config: Config,
    /// The configuration file.
    pub config_file: PathBuf,
    /// Asked now and then: the process is stopping.
    pub stop: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Backup {
    /// What a hub copies.
    pub fn of_hub(hub: &Hub, config_file: PathBuf) -> Backup {
        let settings = hub.settings();
        let stopping = hub.stopping.clone();
        Backup { store: hub.store.clone(), config: Config::clone(&settings), config_file, stop: Arc::new(move || stopping.is_cancelled()) }
    }

    /// Makes a copy below `dir`, as of `now`; with `keep` only so many copies are left afterwards. Blocks.
    pub fn take(&self, dir: &Path, keep: Option<u32>, now: Timestamp) -> Result<BackupReport, BackupError> {
        let began = monotonic();
        let _lock = claim(dir, &self.config.data)?;
        sweep(dir).map_err(at(dir))?;
        let work = dir.join(format!("{UNFINISHED}{}", now.as_millisecond()));
        let mut pool = Pool::open(dir).map_err(at(dir))?;
        let made = pool::make(&work).map_err(at(&work)).and_then(|()| self.fill(&work, &mut pool, now));
        let mut report = match made {
            Ok(report) => report,
            Err(error) => {
                pool.undo();
                let _ = fs::remove_dir_all(&work);
                return Err(error);
            }
        };
        let name = free_name(dir, now).map_err(at(dir))?;
        fs::rename(&work, dir.join(&name)).and_then(|()| sync_folder(dir)).map_err(at(dir))?;
        report.removed = match keep {
            Some(keep) => prune(dir, &pool, keep as usize)?,
            None => Vec::new(),
        };
        report.dir = dir.display().to_string();
        report.name = name;
        report.seconds = began.elapsed().as_secs_f64();
        Ok(report)
    }

    fn fill(&self, work: &Path, pool: &mut Pool, now: Timestamp) -> Result<BackupReport, BackupError> {
        let copy = work.join(STORE);
        let stop = self.stop.clone();
        self.store.copy_to(&copy, move || stop())?;
        failpoint!("backup.copied");
        let look = CopyLook::open(&copy)?;
        let mut head = Head {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            at: now,
            installation: self.config.installation.clone(),
            holds: look.counts()?,
            missing: 0,
            damaged: 0,
        };
        let path = work.join(manifest::NAME);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).map_err(at(&path))?;
        let mut list = List { out: manifest::Writer::begin(file).map_err(at(&path))?, path: path.clone(), files: 0, bytes: 0 };
        let (sha256, size) = File::open(&copy).and_then(|mut file| pool::copy_hashed(&mut file, &mut io::sink())).map_err(at(&copy))?;
        list.add(Entry { sha256, size, path: STORE.to_owned() })?;
        self.own_files(work, &mut list)?;
        look.each_archive(|digest| self.archive(&digest, pool, &mut list, &mut head))?;
        let kept = self.config.data.join(facts::KEPT);
        look.each_fact(|happened_at, digest| {
            let live = facts::kept_path(&kept, happened_at, &digest);
            self.fact(&live, happened_at, &digest, pool, &mut list, &mut head)
        })?;
        pool.flush().map_err(at(work))?;
        failpoint!("backup.contents");
        let report = BackupReport {
            dir: String::new(),
            name: String::new(),
            at: now,
            files: list.files,
            bytes: list.bytes,
            new_files: pool.added(),
            new_bytes: pool.added_bytes,
            missing: head.missing,
            damaged: head.damaged,
            batches: head.holds.batches,
            acts: head.holds.acts,
            open_acts: head.holds.open,
            removed: Vec::new(),
            seconds: 0.0,
        };
        list.out.end(&head).map_err(at(&path))?;
        sync_folder(work).map_err(at(work))?;
        failpoint!("backup.whole");
        Ok(report)
    }

    /// Small files of the copy itself: configuration, flows, host keys.
    fn own_files(&self, work: &Path, list: &mut List) -> Result<(), BackupError> {
        let mut wanted: Vec<(PathBuf, String)> = vec![(self.config_file.clone(), "configurazione/messo.toml".to_owned())];
        if let Some(flows) = &self.config.flows {
            wanted.extend(files_in(flows, "configurazione/flussi"));
        }
        wanted.extend(files_in(&self.config.host_keys(), "chiavi-ssh"));
        for (from, path) in wanted {
            let to = work.join(&path);
            if let Some(folder) = to.parent() {
                pool::make(folder).map_err(at(folder))?;
            }
            let mut input = match File::open(&from) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(at(&from)(error)),
            };
            let mut output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&to).map_err(at(&to))?;
            let (sha256, size) = pool::copy_hashed(&mut input, &mut output).map_err(at(&to))?;
            output.sync_all().map_err(at(&to))?;
            list.add(Entry { sha256, size, path })?;
        }
        for folder in ["configurazione/flussi", "configurazione", "chiavi-ssh"] {
            let folder = work.join(folder);
            if folder.is_dir() {
                sync_folder(&folder).map_err(at(&folder))?;
            }
        }
        Ok(())
    }

    fn archive(&self, digest: &Sha256, pool: &mut Pool, list: &mut List, head: &mut Head) -> Result<(), BackupError> {
        self.may_go_on()?;
        let live = kept_path(&self.config.data.join("archivi"), digest);
        let path = format!("archivi/{digest}");
        match fs::metadata(&live) {
            // As it was when it was copied: an erasure in place changes its time.
            Ok(meta) if pool.has(digest, meta.len(), meta.modified().ok()) => list.add(Entry { sha256: *digest, size: meta.len(), path }),
            Ok(_) => match pool.take(&live) {
                Ok((sha256, size)) => list.add(Entry { sha256, size, path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    head.missing += 1;
                    Ok(())
                }
                Err(error) => Err(at(&live)(error)),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                head.missing += 1;
                Ok(())
            }
            Err(error) => Err(at(&live)(error)),
        }
    }

    fn fact(
        &self,
        live: &Path,
        happened_at: Timestamp,
        digest: &Sha256,
        pool: &mut Pool,
        list: &mut List,
        head: &mut Head,
    ) -> Result<(), BackupError> {
        self.may_go_on()?;
        let path = format!("attestazioni/{}/{digest}", happened_at.strftime("%Y-%m-%d"));
        let size = match fs::metadata(live) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                head.missing += 1;
                return Ok(());
            }
            Err(error) => return Err(at(live)(error)),
        };
        if pool.has(digest, size, None) {
            return list.add(Entry { sha256: *digest, size, path });
        }
        match pool.take(live) {
            Ok((sha256, size)) => {
                head.damaged += u64::from(sha256 != *digest);
                list.add(Entry { sha256, size, path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                head.missing += 1;
                Ok(())
            }
            Err(error) => Err(at(live)(error)),
        }
    }

    fn may_go_on(&self) -> Result<(), BackupError> {
        if (self.stop)() { Err(BackupError::Stopped) } else { Ok(()) }
    }
}

#[async_trait]
impl Keeper for Backup {
    async fn backup(&self, dir: &Path, keep: Option<u32>, now: Timestamp) -> Result<BackupReport, OperateError> {
        let copy = Backup {
            store: self.store.clone(),
            config: self.config.clone(),
            config_file: self.config_file.clone(),
            stop: self.stop.clone(),
        };
        let dir = dir.to_owned();
        let told = dir.display().to_string();
        let taken = tokio::task::spawn_blocking(move || copy.take(&dir, keep, now)).await.map_err(|_| OperateError::Stopping)?;
        taken.map_err(|error| {
            tracing::error!(%error, "la copia di sicurezza non è riuscita");
            OperateError::Backup { dir: told, fault: super::operate::BackupFault::of(&error) }
        })
    }
}

/// The list of a copy, being written.
struct List {
    out: manifest::Writer,
    path: PathBuf,
    files: u64,
    bytes: u64,
}

impl List {
    fn add(&mut self, entry: Entry) -> Result<(), BackupError> {
        self.files += 1;
        self.bytes += entry.size;
        self.out.entry(&entry).map_err(at(&self.path))
    }
}

/// Plain files of a folder, with their path in a copy; a folder that is not there has none.
fn files_in(folder: &Path, below: &str) -> Vec<(PathBuf, String)> {
    let mut found: Vec<(PathBuf, String)> = fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| Some((entry.path(), format!("{below}/{}", entry.file_name().to_str()?))))
        .collect();
    found.sort();
    found
}

/// Takes a backup folder for this process, making it if it is not there.
fn claim(dir: &Path, data: &Path) -> Result<File, BackupError> {
    if !dir.is_absolute() {
        return Err(BackupError::NotAbsolute);
    }
    let (ours, data) = (real(dir), real(data));
    if ours.starts_with(&data) || data.starts_with(&ours) {
        return Err(BackupError::InsideData);
    }
    pool::make(dir).map_err(at(dir))?;
    let marker = dir.join(MARKER);
    if !marker.try_exists().map_err(at(dir))? {
        if fs::read_dir(dir).map_err(at(dir))?.next().is_some() {
            return Err(BackupError::NotOurs);
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&marker).map_err(at(&marker))?;
        file.write_all(MARKER_TEXT.as_bytes()).and_then(|()| file.sync_all()).and_then(|()| sync_folder(dir)).map_err(at(&marker))?;
    }
    let lock = File::open(&marker).map_err(at(&marker))?;
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).map_err(|_| BackupError::Busy)?;
    Ok(lock)
}

/// A path without links, as far as it exists.
fn real(path: &Path) -> PathBuf {
    let known = path.ancestors().find_map(|part| Some(part.canonicalize().ok()?.join(path.strip_prefix(part).ok()?)));
    known.unwrap_or_else(|| path.to_owned())
}

/// Whether a folder holds copies of messo.
fn is_backups(dir: &Path) -> bool {
    dir.join(MARKER).is_file()
}

fn sweep(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// `20261123T023000Z`; with a number behind the newest copy's when the clock was set back since, so that names always grow.
fn free_name(dir: &Path, now: Timestamp) -> io::Result<String> {
    let stamp = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let Some(newest) = copies(dir)?.pop().filter(|newest| *newest >= stamp) else { return Ok(stamp) };
    let (base, number) = newest.split_once('-').map_or((newest.as_str(), 1), |(base, number)| (base, number.parse().unwrap_or(1)));
    Ok(format!("{base}-{:06}", number + 1))
}

/// The copies below a folder, oldest first.
pub fn copies(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        if !name.starts_with('.') && entry.path().join(manifest::NAME).is_file() {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// A copy: the folder of all, and its own name. `dir` is the folder of all, or the copy itself; without a name, the newest.
pub fn find(dir: &Path, name: Option<&str>) -> Result<(PathBuf, String), BackupError> {
    let own = |dir: &Path| Some((dir.parent()?.to_owned(), dir.file_name()?.to_str()?.to_owned()));
    if dir.join(manifest::NAME).is_file() {
        return own(&dir.canonicalize().map_err(at(dir))?).ok_or(BackupError::NoCopy);
    }
    if !is_backups(dir) {
        return Err(BackupError::NoCopy);
    }
    let names = copies(dir).map_err(at(dir))?;
    let chosen = match name {
        Some(name) => names.into_iter().find(|known| known == name),
        None => names.into_iter().next_back(),
    };
    chosen.map(|name| (dir.to_owned(), name)).ok_or(BackupError::NoCopy)
}

/// Where a file of a copy is.
pub fn file_of(dir: &Path, name: &str, entry: &Entry) -> PathBuf {
    if entry.is_shared() { pool::content_path(&dir.join(pool::FOLDER), &entry.sha256) } else { dir.join(name).join(&entry.path) }
}

/// Removes the oldest copies but `keep`, and what only they needed.
fn prune(dir: &Path, pool: &Pool, keep: usize) -> Result<Vec<String>, BackupError> {
    let names = copies(dir).map_err(at(dir))?;
    let (old, kept) = names.split_at(names.len().saturating_sub(keep.max(1)));
    if old.is_empty() {
        return Ok(Vec::new());
    }
    let mut wanted = HashSet::new();
    for name in kept {
        let folder = dir.join(name);
        manifest::read(&folder, |entry| {
            wanted.insert(entry.sha256);
            io::Result::Ok(())
        })
        .map_err(at(&folder))?;
    }
    for name in old {
        let folder = retire(dir, name).map_err(at(dir))?;
        fs::remove_dir_all(&folder).map_err(at(&folder))?;
    }
    pool.prune(&wanted).map_err(at(dir))?;
    Ok(old.to_vec())
}

/// Takes its name from a copy that is about to be removed: what is half removed is no copy, and the next one sweeps it away.
fn retire(dir: &Path, name: &str) -> io::Result<PathBuf> {
    let unfinished = dir.join(format!("{UNFINISHED}{name}"));
    fs::rename(dir.join(name), &unfinished)?;
    sync_folder(dir)?;
    Ok(unfinished)
}

#[cfg(test)]
mod tests;
