//! Archives in a folder: `ab/cd/<64 hexadecimal digits>.zip` under the root. A file that has that name is whole and flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Archives, Brought, Bytes, Changed, Kept, KeptFile};
use crate::batch::archive::hash_whole;
use crate::domain::digest::{Hasher, Sha256};

/// Copies in progress; on the same file system as the archives, emptied at start.
const UNFINISHED: &str = "incompleti";

/// The archives below one folder, which belongs to this process alone.
#[derive(Debug)]
pub struct FolderArchives {
    root: PathBuf,
    copies: AtomicU64,
}

/// Names one state of a file: whoever writes to it, or puts another in its place, changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    dev: u64,
    ino: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(meta: &fs::Metadata) -> Stamp {
        let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
        Stamp { dev: meta.dev(), ino: meta.ino(), len: meta.len(), modified, changed }
    }
}

/// Where an archive lies below the folder of all.
pub fn kept_path(root: &Path, digest: &Sha256) -> PathBuf {
    let hex = digest.to_hex();
    let (first, second) = (hex.get(..2).unwrap_or_default(), hex.get(2..4).unwrap_or_default());
    root.join(first).join(second).join(format!("{hex}.zip"))
}

impl FolderArchives {
    /// Opens (creates) the folder and removes the unfinished copies that a crash left. Call it with the data lock held.
    pub fn open(root: impl Into<PathBuf>) -> io::Result<FolderArchives> {
        let root = root.into();
        let unfinished = root.join(UNFINISHED);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&unfinished)?;
        for leftover in fs::read_dir(&unfinished)? {
            fs::remove_file(leftover?.path())?;
        }
        flush_folder(&unfinished)?;
        flush_folder(&root)?;
        Ok(FolderArchives { root, copies: AtomicU64::new(0) })
    }

    fn path(&self, digest: &Sha256) -> PathBuf {
        kept_path(&self.root, digest)
    }

    /// A second name beside the archives, where the file is on our own file system and would be ours to erase.
    fn link(&self, claimed: &Path, temporary: &Path) -> io::Result<bool> {
        if fs::metadata(claimed)?.dev() != fs::metadata(&self.root)?.dev() {
            return Ok(false);
        }
        // A file of another user that could not be erased later is copied, so that the copy is ours.
        let file = match OpenOptions::new().read(true).write(true).open(claimed) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(error),
        };
        file.sync_all()?;
        match fs::hard_link(claimed, temporary) {
            Ok(()) => {
                failpoint!("archive.linked");
                // Whoever owns the file may have opened it to a group; a share may not let that be changed.
                let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
                Ok(true)
            }
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// The kept file as it is now, when it is whole.
    fn intact(&self, digest: &Sha256, len: u64) -> io::Result<Option<Stamp>> {
        let path = self.path(digest);
        if file_len(&path)? != Some(len) {
            return Ok(None);
        }
        let file = File::open(&path)?;
        let was = Stamp::of(&file.metadata()?);
        Ok((hash_whole(&file)?.0 == *digest).then_some(was))
    }

    fn make_folders(&self, kept: &Path) -> io::Result<()> {
        let Some(folder) = kept.parent() else { return Ok(()) };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    /// The folder of the archive and those above it, up to the root.
    fn flush_folders(&self, kept: &Path) -> io::Result<()> {
        kept.ancestors().skip(1).take_while(|folder| folder.starts_with(&self.root)).try_for_each(flush_folder)
    }
}

impl Archives for FolderArchives {
    fn bring(&self, claimed: &Path, digest: &Sha256, moved: &dyn Fn()) -> io::Result<Brought> {
        let len = file_len(claimed)?.ok_or(io::ErrorKind::NotFound)?;
        moved();
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(UNFINISHED).join(format!("{digest}-{number}"));
        if self.link(claimed, &temporary)? {
            return Ok(Brought(Bytes::Here { temporary, len }));
        }
        moved();
        if let Some(was) = self.intact(digest, len)? {
            return Ok(Brought(Bytes::Kept { was, len }));
        }
        // Whatever of a copy is there goes when it does not come to its end.
        let mut brought = Brought(Bytes::Here { temporary, len });
        if let Bytes::Here { temporary, len } = &mut brought.0 {
            *len = copy_checked(claimed, temporary, digest, moved)?;
        }
        Ok(brought)
    }

    fn enter(&self, brought: Brought, digest: &Sha256) -> io::Result<Kept> {
        let path = self.path(digest);
        let kept = match &brought.0 {
            Bytes::Kept { was, len } => {
                let file =
                    File::open(&path).map_err(|error| if error.kind() == io::ErrorKind::NotFound { Changed.into() } else { error })?;
                if Stamp::of(&file.metadata()?) != *was {
                    return Err(Changed.into());
                }
                // Whoever brought it may have died before this.
                file.sync_all()?;
                Kept { len: *len, already: true }
            }
            Bytes::Here { temporary, len } => {
                self.make_folders(&path)?;
                let before = file_len(&path)?;
                match renameat_with(CWD, temporary, CWD, &path, RenameFlags::NOREPLACE).map_err(io::Error::from) {
                    Ok(()) => Kept { len: *len, already: false },
                    // Kept before, or by another thread meanwhile; or damaged since. These bytes are the digest, whatever lies there.
                    // Of two names of one file the rename leaves both: the temporary one goes with `brought`.
                    Err(_) => {
                        fs::rename(temporary, &path)?;
                        Kept { len: *len, already: before.is_none_or(|before| before == *len) }
                    }
                }
            }
        };
        self.flush_folders(&path)?;
        Ok(kept)
    }

    fn put(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept> {
        let kept = match self.keep(claimed, digest) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => match file_len(&self.path(digest))? {
                Some(len) => Kept { len, already: true },
                None => return Err(error),
            },
            kept => kept?,
        };
        if remove_if_there(claimed)?
            && let Some(folder) = claimed.parent()
        {
            flush_folder(folder)?;
        }
        Ok(kept)
    }

    fn open(&self, digest: &Sha256) -> io::Result<KeptFile> {
        Ok(KeptFile::new(Arc::new(File::open(self.path(digest))?)))
    }

    fn erase(&self, digest: &Sha256, offset: u64, len: u64) -> io::Result<()> {
        self.erase_all(digest, &[(offset, len)])
    }

    fn erase_all(&self, digest: &Sha256, spans: &[(u64, u64)]) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(digest))?;
        let size = file.metadata()?.len();
        let longest = spans.iter().map(|(_, len)| *len).max().unwrap_or(0);
        let zeros = vec![0; usize::try_from(longest).unwrap_or(usize::MAX).min(256 << 10)];
        for (offset, len) in spans {
            let end = offset.checked_add(*len).filter(|end| *end <= size);
            let Some(end) = end else { return Err(io::Error::new(io::ErrorKind::InvalidInput, "range past the end of the archive")) };
            let mut at = *offset;
            while at < end {
                let take = usize::try_from(end - at).map_or(zeros.len(), |left| left.min(zeros.len()));
                file.write_all_at(zeros.get(..take).unwrap_or_default(), at)?;
                at += take as u64;
            }
        }
        file.sync_all()
    }

    fn remove(&self, digest: &Sha256) -> io::Result<bool> {
        let path = self.path(digest);
        let removed = remove_if_there(&path)?;
        if removed && let Some(folder) = path.parent() {
            flush_folder(folder)?;
        }
        Ok(removed)
    }
}

/// Copy, hash, flush. `moved` is called for each piece that came.
pub(super) fn copy_checked(from: &Path, to: &Path, digest: &Sha256, moved: &dyn Fn()) -> io::Result<u64> {
    let mut input = File::open(from)?;
    let mut output = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    let mut buffer = vec![0; 256 << 10];
    let (mut hasher, mut len) = (Hasher::new(), 0);
    loop {
        match input.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                let bytes = buffer.get(..read).unwrap_or_default();
                hasher.update(bytes);
                output.write_all(bytes)?;
                len += read as u64;
                moved();
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    if hasher.finish() != *digest {
        return Err(Changed.into());
    }
    output.sync_all()?;
    Ok(len)
}

/// Bytes of a regular file, `None` when there is none. A link is not followed: what it names is not ours.
fn file_len(path: &Path) -> io::Result<Option<u64>> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => Ok(Some(meta.len())),
        Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
