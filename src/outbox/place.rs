//! Puts a file under its final name, whole or not at all, and never over another.
//!
//! Temporary name, fsync, rename that refuses to replace, fsync of the folder. What a crash leaves is either a temporary
//! name, which [`sweep`] takes away, or the final file, which the next [`place`] of the same content recognises.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rustix::fs::{Advice, CWD, FlockOperation, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::clock::new_uuid;
use crate::domain::digest::{Hasher, Sha256};

const TEMPORARY_START: &str = ".messo-";
const TEMPORARY_END: &str = ".part";
/// What temporary names of this process begin with: one that is parked has no lock, and [`sweep_but`] must not take it.
static OF_NOW: LazyLock<String> = LazyLock::new(|| {
    let drawn = new_uuid().simple().to_string();
    format!("{TEMPORARY_START}{}-", drawn.get(20..).unwrap_or(&drawn))
});
/// Small enough that giving it back does not make the allocator tidy up.
const BUFFER: usize = 1 << 14;

/// A file under its final name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    pub path: PathBuf,
    pub sha256: Sha256,
    /// Bytes.
    pub len: u64,
    /// The same content was already under that name: an earlier run placed it and stopped before it could say so.
    pub already_there: bool,
}

/// Places what `write` writes as `dir/name`. Creates missing folders (mode from the umask).
///
/// Fails with `AlreadyExists` when another content has that name, with `InvalidInput` when `name` is no plain file name.
pub fn place(dir: &Path, name: &str, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Placed> {
    check_name(name)?;
    let mut pending = Pending::begin(dir)?;
    write(&mut pending)?;
    pending.commit(name)
}

/// [`place`] of bytes at hand.
pub fn place_bytes(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<Placed> {
    place(dir, name, |out| out.write_all(bytes))
}

/// A file being written under a temporary name. Dropped without commit, it is gone.
pub struct Pending {
    file: BufWriter<File>,
    hasher: Hasher,
    len: u64,
    staging: PathBuf,
    temporary: PathBuf,
    /// The temporary name is still there.
    named: bool,
}

impl Pending {
    /// Begins a file in `staging`, which is created when missing. Swept from there should the process stop.
    pub fn begin(staging: &Path) -> io::Result<Pending> {
        ensure_folder(staging)?;
        let temporary = staging.join(format!("{}{}{TEMPORARY_END}", *OF_NOW, new_uuid().simple()));
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        // Tells `sweep` that someone is at work. Not every share knows locks: then only `sweep` at start is safe.
        let _ = rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(Pending {
            file: BufWriter::with_capacity(BUFFER, file),
            hasher: Hasher::new(),
            len: 0,
            staging: staging.to_owned(),
            temporary,
            named: true,
        })
    }

    /// Gives it its final name in the folder it was begun in.
    pub fn commit(self, name: &str) -> io::Result<Placed> {
        let dir = self.staging.clone();
        self.commit_in(&dir, name)
    }

    /// Gives it its final name in another folder of the same file system.
    pub fn commit_in(self, dir: &Path, name: &str) -> io::Result<Placed> {
        self.commit_by(&WAYS, dir, name)
    }

    /// Leaves it whole and flushed under its temporary name, for [`reveal`]: who writes down in between which name it will
    /// have knows after a crash whether it ever had it.
    pub fn park(mut self) -> io::Result<Parked> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        failpoint!("place.flushed");
        sync_folder(&self.staging)?;
        self.named = false;
        let temporary = self.temporary.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        Ok(Parked { temporary, sha256: self.hasher.clone().finish(), len: self.len })
    }

    /// What was written so far, to be read from its beginning, whatever becomes of the name.
    pub fn again(&mut self) -> io::Result<File> {
        self.file.flush()?;
        File::open(&self.temporary)
    }

    /// Of what was written so far.
    pub fn sha256(&self) -> Sha256 {
        self.hasher.clone().finish()
    }

    /// All its bytes are on their way to the disk; nobody waits for them yet.
    fn send_off(&mut self) -> io::Result<()> {
        self.file.flush()?;
        // Only a hint: whoever does not take it writes them when they are waited for.
        let _ = rustix::fs::fadvise(self.file.get_ref(), 0, None, Advice::DontNeed);
        Ok(())
    }

    fn parked(mut self) -> Parked {
        self.named = false;
        let temporary = self.temporary.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        Parked { temporary, sha256: self.hasher.clone().finish(), len: self.len }
    }

    fn commit_by(mut self, ways: &[Way], dir: &Path, name: &str) -> io::Result<Placed> {
        check_name(name)?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        if dir != self.staging {
            ensure_folder(dir)?;
        }
        let path = dir.join(name);
        let sha256 = self.hasher.clone().finish();
        let already_there = match self.give_name(ways, &path) {
            Ok(()) => false,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if !same_content(&path, self.len, sha256)? {
                    let message = format!("`{name}` is there already with other content");
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
                }
                true
            }
            Err(error) => return Err(error),
        };
        // Also when it was there already: who renamed it may have stopped before this.
        sync_folder(dir)?;
        Ok(Placed { path, sha256, len: self.len, already_there })
    }

    fn give_name(&mut self, ways: &[Way], path: &Path) -> io::Result<()> {
        let mut refused = io::Error::from(io::ErrorKind::Unsupported);
        for way in ways {
            match way.give(&self.temporary, path) {
                Ok(keeps_temporary) => {
                    if keeps_temporary {
                        fs::remove_file(&self.temporary)?;
                    }
                    self.named = false;
                    return Ok(());
                }
                // The file system does not know this way: the next one.
                Err(errno @ (Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK)) => refused = errno.into(),
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(refused)
    }
}

/// A whole file under a temporary name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// Name in the folder it was begun in.
    pub temporary: String,
    pub sha256: Sha256,
    /// Bytes.
    pub len: u64,
}

/// [`Pending::park`] for many files at little more than the price of one: all are on their way to the disk before the first is
/// waited for, and each folder is flushed once.
pub fn park_all(pending: Vec<Pending>) -> Vec<io::Result<Parked>> {
    let sent: Vec<io::Result<Pending>> = pending.into_iter().map(|mut one| one.send_off().map(|()| one)).collect();
    let flushed = at_once(&sent, |one| one.as_ref().map_or(Ok(()), |one| one.file.get_ref().sync_all()));
    let folders: BTreeSet<PathBuf> = sent.iter().flatten().map(|one| one.staging.clone()).collect();
    let folders = sync_folders(folders);
    sent.into_iter()
        .zip(flushed)
        .map(|(one, flushed)| {
            let one = one?;
            flushed?;
            match folders.as_ref() {
                Ok(()) => Ok(one.parked()),
                Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
            }
        })
        .collect()
}

/// Flushes many folders.
pub fn sync_folders(folders: BTreeSet<PathBuf>) -> io::Result<()> {
    let folders: Vec<PathBuf> = folders.into_iter().collect();
    at_once(&folders, |folder| sync_folder(folder)).into_iter().collect()
}

/// Threads that wait for a disk together: it serves them with fewer flushes than one after the other.
const WAITING: usize = 4;
/// So few are not worth a thread.
const FEW: usize = 4;

fn at_once<T: Sync>(items: &[T], work: impl Fn(&T) -> io::Result<()> + Sync) -> Vec<io::Result<()>> {
    if items.len() <= FEW {
        return items.iter().map(&work).collect();
    }
    let share = items.len().div_ceil(WAITING);
    std::thread::scope(|scope| {
        let work = &work;
        let shares: Vec<_> =
            items.chunks(share).map(|chunk| (chunk, scope.spawn(move || chunk.iter().map(work).collect::<Vec<_>>()))).collect();
        let told = shares.into_iter().flat_map(|(chunk, handle)| {
            let lost = || chunk.iter().map(|_| Err(io::Error::other("a thread ended badly"))).collect();
            handle.join().unwrap_or_else(|_| lost())
        });
        told.collect()
    })
}

/// Gives a parked file its final name in another folder of the same file system, without a flush: [`sync_folders`] of `dir` and of
/// `staging` must follow. `false` as in [`reveal`].
pub fn reveal_into(staging: &Path, temporary: &str, dir: &Path, name: &str) -> io::Result<bool> {
    check_name(name)?;
    let (from, to) = (staging.join(temporary), dir.join(name));
    for way in WAYS {
        match way.give(&from, &to) {
            Ok(keeps_temporary) => {
                if keeps_temporary {
                    fs::remove_file(&from)?;
                }
                return Ok(true);
            }
            Err(Errno::NOENT) if !from.try_exists()? => return Ok(false),
            Err(Errno::EXIST) if same_file(&from, &to)? => {
                fs::remove_file(&from)?;
                return Ok(true);
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// Gives a parked file its final name. `false`: the temporary name is gone, so it had its name before (and may have been
/// taken away by its reader since): nothing is written a second time.
pub fn reveal(dir: &Path, temporary: &str, name: &str) -> io::Result<bool> {
    check_name(name)?;
    let (from, to) = (dir.join(temporary), dir.join(name));
    for way in WAYS {
        match way.give(&from, &to) {
            Ok(keeps_temporary) => {
                failpoint!("place.renamed");
                if keeps_temporary {
                    fs::remove_file(&from)?;
                }
                sync_folder(dir)?;
                return Ok(true);
            }
            Err(Errno::NOENT) => return Ok(false),
            // A link was made and the first name not yet removed when the process stopped.
            Err(Errno::EXIST) if same_file(&from, &to)? => {
                fs::remove_file(&from)?;
                sync_folder(dir)?;
                return Ok(true);
            }
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM | Errno::MLINK) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// A parked file whose name is taken: by the same bytes, it is there already and the parked one goes; otherwise `taken` stands.
/// Like [`reveal`] it answers whether the file has its name by this call.
pub fn let_be(parked: &Path, path: &Path, (len, sha256): (u64, Sha256), taken: io::Error) -> io::Result<bool> {
    if !same_content(path, len, sha256)? {
        return Err(taken);
    }
    match fs::remove_file(parked) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(false),
    }
}

fn same_file(a: &Path, b: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let (a, b) = (fs::symlink_metadata(a)?, fs::symlink_metadata(b)?);
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

/// A file of which what was written is kept in memory until it is [put out](Staged::put_out): who writes touches no disk.
pub struct Staged {
    ready: Vec<u8>,
    out: Pending,
}

impl Staged {
    pub fn new(out: Pending) -> Staged {
        Staged { ready: Vec::new(), out }
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }

    /// Writes them.
    pub fn put_out(&mut self) -> io::Result<()> {
        self.out.write_all(&self.ready)?;
        self.ready.clear();
        Ok(())
    }

    /// The file itself, with all that was written.
    pub fn end(mut self) -> io::Result<Pending> {
        self.put_out()?;
        Ok(self.out)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.ready.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.file.write(bytes)?;
        self.hasher.update(bytes.get(..taken).unwrap_or_default());
        self.len += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if self.named {
            // What stays behind is swept at the next start.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// How a temporary file takes its final name without replacing another.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// `renameat2(RENAME_NOREPLACE)`: ext4, xfs, btrfs, tmpfs, vfat, cifs.
    Rename,
    /// A second link, then the first is removed: NFS.
    Link,
    /// Look, then rename: shares that know neither. Only messo writes in these folders, so nobody comes in between.
    Look,
}

const WAYS: [Way; 3] = [Way::Rename, Way::Link, Way::Look];

impl Way {
    /// `Ok(true)`: the temporary name is still to be removed.
    fn give(self, temporary: &Path, path: &Path) -> Result<bool, Errno> {
        match self {
            Way::Rename => rustix::fs::renameat_with(CWD, temporary, CWD, path, RenameFlags::NOREPLACE).map(|()| false),
            Way::Link => rustix::fs::link(temporary, path).map(|()| true),
            Way::Look => match rustix::fs::lstat(path) {
                Ok(_) => Err(Errno::EXIST),
                Err(Errno::NOENT) => rustix::fs::rename(temporary, path).map(|()| false),
                Err(errno) => Err(errno),
            },
        }
    }
}

/// Removes the temporary files that a stopped process left in `dir`. Returns how many; a missing folder has none.
pub fn sweep(dir: &Path) -> io::Result<usize> {
    sweep_if(dir, |_| true)
}

/// The same while this process works there, hence not what it has begun itself, nor the files of `keep`.
pub fn sweep_but(dir: &Path, keep: &BTreeSet<String>) -> io::Result<usize> {
    sweep_if(dir, |name| !name.starts_with(OF_NOW.as_str()) && !keep.contains(name))
}

fn sweep_if(dir: &Path, left: impl Fn(&str) -> bool) -> io::Result<usize> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        Err(error) => return Err(error),
    };
    let mut removed = 0;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let ours = name.starts_with(TEMPORARY_START) && name.ends_with(TEMPORARY_END);
        if !ours || !left(name) || !entry.file_type()?.is_file() {
            continue;
        }
        if at_work(&entry.path()) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => removed += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(removed)
}

fn at_work(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    matches!(rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive), Err(Errno::WOULDBLOCK))
}

/// A file without a name in `dir`, to be written and read again, gone when closed.
pub fn scratch(dir: &Path) -> io::Result<File> {
    ensure_folder(dir)?;
    let path = dir.join(format!("{TEMPORARY_START}{}{TEMPORARY_END}", new_uuid().simple()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

fn check_name(name: &str) -> io::Result<()> {
    let plain = !name.is_empty() && name.len() <= 255 && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if plain {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidInput, format!("`{}` is no plain file name", name.escape_debug())))
    }
}

/// Whether `path` is a plain file of these bytes.
fn same_content(path: &Path, len: u64, sha256: Sha256) -> io::Result<bool> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => return Ok(false),
        Err(error) => return Err(error),
    };
    let meta = file.metadata()?;
    if !meta.is_file() || meta.len() != len {
        return Ok(false);
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0u8; 1 << 16];
    loop {
        let taken = file.read(&mut buffer)?;
        if taken == 0 {
            return Ok(hasher.finish() == sha256);
        }
        hasher.update(buffer.get(..taken).unwrap_or_default());
    }
}

/// Creates what is missing of `dir`, and makes each new folder durable in its parent.
pub fn ensure_folder(dir: &Path) -> io::Result<()> {
    let mut touched = BTreeSet::new();
    make_folder(dir, &mut touched)?;
    touched.iter().try_for_each(|folder| sync_folder(folder))
}

/// Creates what is missing of `dir`; the folders that hold a new one are added to `touched`, to be flushed.
pub fn make_folder(dir: &Path, touched: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        make_folder(parent, touched)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => {
            touched.insert(parent.unwrap_or(Path::new(".")).to_owned());
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && dir.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

/// Flushes a folder: the names in it.
pub fn sync_folder(dir: &Path) -> io::Result<()> {
    match rustix::fs::fsync(File::open(dir)?) {
        // Some shares do not sync folders: their server does.
        Ok(()) | Err(Errno::INVAL | Errno::NOTSUP | Errno::NOSYS) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests;
