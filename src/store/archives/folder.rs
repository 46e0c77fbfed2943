//! Archives in a folder: `ab/cd/<64 hexadecimal digits>.zip` under the root. A file that has that name is whole and flushed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Archives, Changed, Kept, KeptFile};
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

/// How the source may be treated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Consume,
    Leave,
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

    fn take(&self, claimed: &Path, digest: &Sha256, source: Source) -> io::Result<Kept> {
        let path = self.path(digest);
        let kept = match (file_len(claimed)?, file_len(&path)?) {
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
            (None, Some(len)) => Kept { len, already: true },
            (Some(size), Some(len)) if size == len && is_intact(claimed, &path, digest)? => Kept { len, already: true },
            // This kept file was damaged, and is replaced.
            (Some(_), Some(_)) => Kept { len: self.copy_in(claimed, &path, digest)?, already: false },
            (Some(len), None) => {
                self.make_folders(&path)?;
                match self.move_in(claimed, &path, source) {
                    Ok(true) => Kept { len, already: false },
                    Ok(false) => Kept { len: self.copy_in(claimed, &path, digest)?, already: false },
                    // Another thread kept the same content meanwhile.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Kept { len, already: true },
                    Err(error) => return Err(error),
                }
            }
        };
        if kept.already {
            // Whoever brought it may have died before this.
            File::open(&path)?.sync_all()?;
        }
        self.flush_folders(&path)?;
        if source == Source::Consume
            && remove_if_there(claimed)?
            && let Some(folder) = claimed.parent()
        {
            flush_folder(folder)?;
        }
        Ok(kept)
    }

    /// By name alone, on one file system: rename, or a second name when the source must stay. `false`: copy instead.
    fn move_in(&self, claimed: &Path, kept: &Path, source: Source) -> io::Result<bool> {
        // A file of another user that could not be erased later is copied, so that the copy is ours.
        let file = match OpenOptions::new().read(true).write(true).open(claimed) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
            Err(error) => return Err(error),
        };
        file.sync_all()?;
        let moved = match source {
            Source::Leave => fs::hard_link(claimed, kept),
            Source::Consume => renameat_with(CWD, claimed, CWD, kept, RenameFlags::NOREPLACE).map_err(io::Error::from),
        };
        match moved {
            Ok(()) => {
                failpoint!("archive.linked");
                if source == Source::Consume
                    && let Some(folder) = claimed.parent()
                {
                    flush_folder(folder)?;
                }
                // Whoever owns the file may have opened it to a group; a share may not let that be changed.
                let _ = file.set_permissions(fs::Permissions::from_mode(0o600));
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(error),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::MLINK) => Ok(false),
                _ => Err(error),
            },
        }
    }

    /// Copy, hash, flush, rename: the name appears only over bytes that are the digest.
    fn copy_in(&self, claimed: &Path, kept: &Path, digest: &Sha256) -> io::Result<u64> {
        let number = self.copies.fetch_add(1, Ordering::Relaxed);
        let unfinished = self.root.join(UNFINISHED).join(format!("{digest}-{number}"));
        let copied = copy_checked(claimed, &unfinished, digest).and_then(|len| fs::rename(&unfinished, kept).map(|()| len));
        if copied.is_err() {
            remove_if_there(&unfinished)?;
        }
        copied
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

/// Whether the kept file is what its name says: one file with the claimed one, whose digest was just taken, or read anew.
fn is_intact(claimed: &Path, kept: &Path, digest: &Sha256) -> io::Result<bool> {
    let (ours, theirs) = (fs::metadata(kept)?, fs::metadata(claimed)?);
    if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
        return Ok(true);
    }
    Ok(hash_whole(&File::open(kept)?)?.0 == *digest)
}

impl Archives for FolderArchives {
    fn put(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept> {
        self.take(claimed, digest, Source::Consume)
    }

    fn keep(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept> {
        self.take(claimed, digest, Source::Leave)
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

pub(super) fn copy_checked(from: &Path, to: &Path, digest: &Sha256) -> io::Result<u64> {
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
