//! Takes a whole file out of `in/`: one rename inside the share, so that of two processes exactly one has it, and the sender may
//! use the name again at once. Across file systems: hidden under a name of ours by rename, copied, synced, only then removed.
//!
//! A claimed file waits in `<root>/.messo/lavoro` under a name that says everything ([`super::names::work_name`]), beside it the
//! companion it came with: a restart reads both back.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::names::{self, CompanionKind};
use super::scan;
use super::settle::Stamp;
use super::{Claimed, Companion, companion};
use crate::clock::Clock;
use crate::domain::ids::BatchId;

/// Where claimed files wait, below the root.
pub const WORK: &str = ".messo/lavoro";
/// Prefix of a file hidden in `in/` while it is copied to another file system.
const HIDDEN: &str = ".messo-";
/// Prefix of an unfinished copy in the work folder.
const COPY: &str = ".copia-";

/// Why a file could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process has it, or the sender took it back.
    #[error("gone")]
    Gone,
    /// A link or a device was put in its place.
    #[error("not a regular file")]
    NotAFile,
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What is to be claimed, and as what.
pub struct Order<'a> {
    pub root: &'a Path,
    /// Relative to `in/`.
    pub file: &'a Path,
    pub id: BatchId,
    /// The companion (relative to `in/`) and what it says.
    pub companion: Option<(&'a Path, CompanionKind, &'a [u8])>,
}

/// Moves the file to the work folder; gives its path there and what it is now.
pub fn claim(order: &Order<'_>) -> Result<(PathBuf, Stamp), ClaimError> {
    let root = scan::open_root(order.root)?;
    let work = scan::open_folder(&root, Path::new(WORK))?;
    let inbox = scan::open_folder(&root, Path::new("in"))?;
    let folder_path = order.file.parent().unwrap_or(Path::new(""));
    let folder = scan::open_folder(&inbox, folder_path)?;
    let name = order.file.file_name().ok_or(ClaimError::NotAFile)?;
    let (flow, dry_run) = scan::meaning(folder_path);
    let target = names::work_name(order.id, flow.as_deref(), dry_run, &names::decode(name.as_bytes()));

    // The companion first: whatever happens next, the file is never without the digest it came with.
    let waiting = order.companion.map(|(path, kind, bytes)| (path, names::work_companion_name(order.id, kind), bytes));
    if let Some((_, waiting, bytes)) = &waiting {
        create(&work, OsStr::new(waiting))?.write_all(bytes)?;
    }
    let moved = match rename(&folder, name, &work, OsStr::new(&target)) {
        Err(ClaimError::Io(error)) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => {
            copy_across(&folder, name, &work, &target)
        }
        moved => moved,
    };
    if let Err(error) = moved {
        if let Some((_, waiting, _)) = &waiting {
            let _ = rustix::fs::unlinkat(&work, waiting.as_str(), AtFlags::empty());
        }
        return Err(error);
    }
    let stat = rustix::fs::statat(&work, target.as_str(), AtFlags::SYMLINK_NOFOLLOW).map_err(io::Error::from)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        // Only the link goes; what it points at was never touched.
        let _ = rustix::fs::unlinkat(&work, target.as_str(), AtFlags::empty());
        return Err(ClaimError::NotAFile);
    }
    if let Some((path, ..)) = waiting
        && let Some(name) = path.file_name()
    {
        let _ = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
    }
    Ok((order.root.join(WORK).join(target), scan::stamp(&stat)))
}

/// Forgets a claimed file that is safe elsewhere: removes it and its companion from the work folder.
pub fn done(claimed: &Claimed) -> io::Result<()> {
    remove(&claimed.path)?;
    let folder = claimed.path.parent().unwrap_or(Path::new(""));
    for kind in [CompanionKind::Ok, CompanionKind::Md5, CompanionKind::Sha256] {
        remove(&folder.join(names::work_companion_name(claimed.id, kind)))?;
    }
    Ok(())
}

/// What an earlier run claimed and did not finish, oldest first. Called before watching starts, by one process at a time.
pub fn leftovers(source: &str, root: &Path, clock: &Clock) -> io::Result<Vec<Claimed>> {
    let work_path = root.join(WORK);
    if !work_path.try_exists()? {
        return Ok(Vec::new());
    }
    finish_copies(root)?;
    let mut companions = BTreeMap::new();
    let mut claimed = Vec::new();
    for entry in std::fs::read_dir(&work_path)? {
        let entry = entry?;
        let raw = entry.file_name();
        let Some(name) = raw.to_str() else { continue };
        if name.starts_with(COPY) {
            remove(&entry.path())?;
        } else if let Some((id, kind)) = names::parse_work_companion(name) {
            companions.insert(id, (kind, entry.path()));
        } else if let Some((id, flow_hint, dry_run, original_name)) = names::parse_work_name(name)
            && entry.file_type().is_ok_and(|kind| kind.is_file())
        {
            let received_at = received_at(id, clock);
            let source = source.to_string();
            claimed.push(Claimed {
                id,
                source,
                path: entry.path(),
                original_name,
                flow_hint,
                dry_run,
                received_at,
                companion: None,
                arrived: None,
            });
        }
    }
    claimed.sort_by_key(|claimed| claimed.id);
    for claimed in &mut claimed {
        if let Some((kind, path)) = companions.remove(&claimed.id) {
            let mut bytes = Vec::new();
            let read = File::open(path).and_then(|file| file.take(companion::MAX_BYTES).read_to_end(&mut bytes));
            let told = read.ok().and_then(|_| companion::read(kind, &bytes));
            claimed.companion = Some(told.unwrap_or(Companion::Unreadable));
        }
    }
    for (_, path) in companions.into_values() {
        remove(&path)?;
    }
    Ok(claimed)
}

/// A small file of the sender, links not followed: `None` when it is something else.
pub fn read_small(root: &Path, file: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(file) = open_regular(root, file)? else {
        return Ok(None);
    };
    let mut bytes = Vec::new();
    file.take(max + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= max).then_some(bytes))
}

/// Opens a file of `in/` to read it. `None`: not a regular file. An error is often a copy of Windows that still runs.
pub fn open_regular(root: &Path, file: &Path) -> io::Result<Option<File>> {
    let folder = scan::open_folder(scan::open_root(root)?, &Path::new("in").join(file.parent().unwrap_or(Path::new(""))))?;
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::openat(&folder, name, flags, Mode::empty()) {
        Ok(fd) => {
            let file = File::from(fd);
            Ok(file.metadata()?.is_file().then_some(file))
        }
        Err(Errno::LOOP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn received_at(id: BatchId, clock: &Clock) -> Timestamp {
    let real = id.0.get_timestamp().map(|stamp| stamp.to_unix());
    let real = real.and_then(|(seconds, nanos)| Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok());
    // The id holds real time: with another clock it would be a date of another world.
    real.filter(|_| clock.is_real()).unwrap_or_else(|| clock.now())
}

/// Renames without replacing.
fn rename(from: &OwnedFd, name: &OsStr, to: &OwnedFd, target: &OsStr) -> Result<(), ClaimError> {
    let mut result = rustix::fs::renameat_with(from, name, to, target, RenameFlags::NOREPLACE);
    if matches!(result, Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)) {
        // NFS and some FUSE know no flags. The target holds a fresh id: nothing is there to be replaced.
        result = match rustix::fs::statat(to, target, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(_) => Err(Errno::EXIST),
            Err(_) => rustix::fs::renameat(from, name, to, target),
        };
    }
    match result {
        Ok(()) => Ok(()),
        // NFS repeats a rename whose answer was lost, and then finds nothing: the target tells.
        Err(Errno::NOENT) if rustix::fs::statat(to, target, AtFlags::SYMLINK_NOFOLLOW).is_ok() => Ok(()),
        Err(Errno::NOENT) => Err(ClaimError::Gone),
        Err(error) => Err(io::Error::from(error).into()),
    }
}

/// Hides the file in its own folder (one winner), then copies it to the work folder.
fn copy_across(folder: &OwnedFd, name: &OsStr, work: &OwnedFd, target: &str) -> Result<(), ClaimError> {
    let hidden = OsString::from(hidden_name(target));
    rename(folder, name, folder, &hidden)?;
    let copied = copy_hidden(folder, &hidden, work, target);
    if matches!(copied, Err(ClaimError::Io(_))) {
        // A full disk, say: the drop goes back under its name, unless the sender has used it again.
        let _ = rename(folder, &hidden, folder, name);
    }
    copied
}

/// Copy, sync, rename, sync the folder, and only then remove.
fn copy_hidden(folder: &OwnedFd, hidden: &OsStr, work: &OwnedFd, target: &str) -> Result<(), ClaimError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut from = match rustix::fs::openat(folder, hidden, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::LOOP) => {
            let _ = rustix::fs::unlinkat(folder, hidden, AtFlags::empty());
            return Err(ClaimError::NotAFile);
        }
        Err(error) => return Err(io::Error::from(error).into()),
    };
    if !from.metadata()?.is_file() {
        return Err(ClaimError::NotAFile);
    }
    let copy = format!("{COPY}{}", target.split('~').next().unwrap_or_default());
    let mut to = create(work, OsStr::new(&copy))?;
    io::copy(&mut from, &mut to)?;
    to.sync_all()?;
    rename(work, OsStr::new(&copy), work, OsStr::new(target))?;
    rustix::fs::fsync(work).map_err(io::Error::from)?;
    rustix::fs::unlinkat(folder, hidden, AtFlags::empty()).map_err(io::Error::from)?;
    Ok(())
}

/// Copies across file systems that an earlier run did not finish.
fn finish_copies(root: &Path) -> io::Result<()> {
    let Ok(listing) = scan::list(root) else {
        return Ok(());
    };
    let opened = scan::open_root(root)?;
    let work = scan::open_folder(&opened, Path::new(WORK))?;
    for file in listing.files.keys() {
        let Some(name) = file.file_name() else { continue };
        let Some(short) = name.to_str().and_then(|name| name.strip_prefix(HIDDEN)) else { continue };
        let Some((id, flow, dry_run, original)) = names::parse_work_name(short) else { continue };
        let target = names::work_name(id, flow.as_deref(), dry_run, &original);
        let folder = scan::open_folder(&opened, &Path::new("in").join(file.parent().unwrap_or(Path::new(""))))?;
        match copy_hidden(&folder, name, &work, &target) {
            Ok(()) | Err(ClaimError::NotAFile | ClaimError::Gone) => {}
            // Copied and renamed by the run that died before it could remove.
            Err(ClaimError::Io(error)) if error.kind() == io::ErrorKind::AlreadyExists => {
                let _ = rustix::fs::unlinkat(&folder, name, AtFlags::empty());
            }
            Err(ClaimError::Io(error)) => return Err(error),
        }
    }
    Ok(())
}

/// `.messo-<work name>`, at most 255 bytes like any name.
fn hidden_name(target: &str) -> String {
    let fit = |(id, flow, dry_run, name): (BatchId, Option<String>, bool, String)| {
        names::work_name_within(255 - HIDDEN.len(), id, flow.as_deref(), dry_run, &name)
    };
    format!("{HIDDEN}{}", names::parse_work_name(target).map(fit).unwrap_or_default())
}

/// A new file of ours.
fn create(folder: &OwnedFd, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a companion from `in/` that still says what it said.
pub fn remove_companion(root: &Path, file: &Path, kind: CompanionKind, told: &Companion) -> io::Result<()> {
    if read_companion(root, file, kind)?.is_none_or(|(says, _)| says != *told) {
        return Ok(());
    }
    let folder = scan::open_folder(scan::open_root(root)?, &Path::new("in").join(file.parent().unwrap_or(Path::new(""))))?;
    let name = file.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    Ok(rustix::fs::unlinkat(&folder, name, AtFlags::empty())?)
}

/// What a companion file says, with its bytes, when it says something.
pub fn read_companion(root: &Path, file: &Path, kind: CompanionKind) -> io::Result<Option<(Companion, Vec<u8>)>> {
    let bytes = read_small(root, file, companion::MAX_BYTES)?;
    Ok(bytes.and_then(|bytes| companion::read(kind, &bytes).map(|companion| (companion, bytes))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::new_uuid;

    fn root() -> tempfile::TempDir {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(place.path().join("in/prova/cds")).unwrap();
        std::fs::create_dir_all(place.path().join(WORK)).unwrap();
        place
    }

    /// The digest was there when the drop was claimed: what is left of it is not "no digest".
    #[test]
    fn a_companion_that_can_no_longer_be_read_is_not_forgotten() {
        for torn in [true, false] {
            let place = root();
            std::fs::write(place.path().join("in/lotto.zip"), "bytes").unwrap();
            let id = BatchId(new_uuid());
            let order = Order {
                root: place.path(),
                file: Path::new("lotto.zip"),
                id,
                companion: Some((Path::new("lotto.zip.md5"), CompanionKind::Md5, b"d41d8cd98f00b204e9800998ecf8427e")),
            };
            claim(&order).unwrap();
            let kept = place.path().join(WORK).join(names::work_companion_name(id, CompanionKind::Md5));
            if torn {
                std::fs::write(&kept, "d41d8").unwrap();
            } else {
                std::fs::remove_file(&kept).unwrap();
                std::fs::create_dir(&kept).unwrap();
            }
            let found = leftovers("uffici", place.path(), &Clock::REAL).unwrap();
            assert_eq!(found.iter().map(|claimed| claimed.companion.clone()).collect::<Vec<_>>(), [Some(Companion::Unreadable)], "{torn}");
        }
    }

    #[test]
    fn what_was_claimed_is_read_back_with_its_companion() {
        let place = root();
        let root = place.path();
        let sha = crate::domain::digest::Sha256::of(b"bytes");
        std::fs::write(root.join("in/prova/cds/lotto~1.zip"), "bytes").unwrap();
        std::fs::write(root.join("in/prova/cds/lotto~1.sha256"), sha.to_hex()).unwrap();
        let id = BatchId(new_uuid());
        let hex = sha.to_hex();
        let companion = (Path::new("prova/cds/lotto~1.sha256"), CompanionKind::Sha256, hex.as_bytes());
        let order = Order { root, file: Path::new("prova/cds/lotto~1.zip"), id, companion: Some(companion) };
        let (path, stamp) = claim(&order).unwrap();
        assert_eq!(stamp.size, 5);
        let late = Order { id: BatchId(new_uuid()), ..order };
        assert!(matches!(claim(&late), Err(ClaimError::Gone)), "only one wins");
        assert_eq!(std::fs::read_dir(root.join(WORK)).unwrap().count(), 2, "the loser leaves nothing");
        assert_eq!(std::fs::read_dir(root.join("in/prova/cds")).unwrap().count(), 0, "file and companion are gone from in/");

        let read = leftovers("polizia", root, &Clock::REAL).unwrap();
        let [claimed] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((claimed.id, &claimed.path, claimed.original_name.as_str()), (id, &path, "lotto~1.zip"));
        assert_eq!((claimed.flow_hint.as_deref(), claimed.dry_run, claimed.source.as_str()), (Some("cds"), true, "polizia"));
        assert_eq!(claimed.companion, Some(Companion::Sha256(sha)));
        assert!(Clock::REAL.now().duration_since(claimed.received_at).as_secs().abs() < 60);

        done(claimed).unwrap();
        done(claimed).unwrap();
        assert_eq!(std::fs::read_dir(root.join(WORK)).unwrap().count(), 0);
        assert!(leftovers("polizia", root, &Clock::REAL).unwrap().is_empty());
        assert!(leftovers("polizia", &root.join("non-esiste"), &Clock::REAL).unwrap().is_empty());
    }

    #[test]
    fn links_are_never_claimed() {
        let place = root();
        std::fs::write(place.path().join("segreto"), "x").unwrap();
        std::os::unix::fs::symlink(place.path().join("segreto"), place.path().join("in/a.zip")).unwrap();
        assert!(open_regular(place.path(), Path::new("a.zip")).is_ok_and(|file| file.is_none()));
        let order = Order { root: place.path(), file: Path::new("a.zip"), id: BatchId(new_uuid()), companion: None };
        assert!(matches!(claim(&order), Err(ClaimError::NotAFile)));
        assert_eq!(std::fs::read_dir(place.path().join(WORK)).unwrap().count(), 0);
        assert!(place.path().join("segreto").exists());
        std::os::unix::fs::symlink(place.path(), place.path().join("in/cds")).unwrap();
        let order = Order { root: place.path(), file: Path::new("cds/segreto"), id: BatchId(new_uuid()), companion: None };
        assert!(claim(&order).is_err(), "a folder that is a link leads nowhere");
    }

    #[test]
    fn across_file_systems_the_file_is_copied_and_only_then_removed() {
        let here = tempfile::tempdir().unwrap();
        let Ok(there) = tempfile::tempdir_in("/dev/shm") else { return };
        let (folder, work) = (scan::open_root(here.path()).unwrap(), scan::open_root(there.path()).unwrap());
        let long = "a".repeat(251) + ".zip";
        for name in ["lotto.zip", long.as_str()] {
            std::fs::write(here.path().join(name), "bytes").unwrap();
            let target = names::work_name(BatchId(new_uuid()), None, false, name);
            copy_across(&folder, OsStr::new(name), &work, &target).unwrap();
            assert_eq!(std::fs::read(there.path().join(&target)).unwrap(), b"bytes");
            assert_eq!(std::fs::read_dir(here.path()).unwrap().count(), 0);
            assert!(matches!(copy_across(&folder, OsStr::new(name), &work, &target), Err(ClaimError::Gone)));
        }
        assert_eq!(std::fs::read_dir(there.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_copy_that_was_interrupted_is_finished_at_the_next_start() {
        let place = root();
        let id = BatchId(new_uuid());
        let hidden = hidden_name(&names::work_name(id, Some("cds"), false, "lotto.zip"));
        std::fs::write(place.path().join("in").join(hidden), "bytes").unwrap();
        std::fs::write(place.path().join(WORK).join(format!("{COPY}{id}")), "byt").unwrap();
        let read = leftovers("polizia", place.path(), &Clock::REAL).unwrap();
        let [claimed] = read.as_slice() else { panic!("{read:?}") };
        assert_eq!((claimed.id, claimed.flow_hint.as_deref(), claimed.original_name.as_str()), (id, Some("cds"), "lotto.zip"));
        assert_eq!(std::fs::read(&claimed.path).unwrap(), b"bytes");
        assert_eq!(std::fs::read_dir(place.path().join(WORK)).unwrap().count(), 1);
    }
}
