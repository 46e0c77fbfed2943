//! The archives of what was dropped, kept as they came, by the SHA-256 of the whole file: the store of every PDF until it is
//! uploaded. One entry can be erased in place; every later read is checked against what was accepted.
//!
//! All calls block on the disk: from async code, call them where blocking is allowed.

mod folder;
mod verified;

use std::io;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

pub use folder::{FolderArchives, kept_path};
pub use verified::{Changed, VerifiedReader, is_changed};

use crate::batch::archive::{Entry, ReadAt};
use crate::domain::digest::Sha256;

/// Where kept archives are. One implementation now, a folder; the functions are those an object store has too.
pub trait Archives: Send + Sync {
    /// Keeps the file at `claimed` and removes it from there, in this order, everything flushed to the disk before it
    /// returns. Kept already: only removes it. After a crash at any point it can be called again: with `claimed` gone and the
    /// archive kept it says so.
    fn put(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept>;

    /// Like [`Archives::put`] but leaves `claimed` where it is, for a caller that must first commit what it knows of it.
    fn keep(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept>;

    /// Opens a kept archive; `NotFound` when it is not kept.
    fn open(&self, digest: &Sha256) -> io::Result<KeptFile>;

    /// Overwrites `len` bytes at `offset` with zeros, in place, flushed before it returns. The file keeps its length and the
    /// other entries stay readable. (What a copy-on-write file system or a disk keeps underneath is theirs.)
    fn erase(&self, digest: &Sha256, offset: u64, len: u64) -> io::Result<()>;

    /// The same for many stretches: (offset, bytes). All of them are on the disk when it returns.
    fn erase_all(&self, digest: &Sha256, spans: &[(u64, u64)]) -> io::Result<()> {
        spans.iter().try_for_each(|(offset, len)| self.erase(digest, *offset, *len))
    }

    /// Removes a whole archive. `false`: there was none.
    fn remove(&self, digest: &Sha256) -> io::Result<bool>;

    /// `len` bytes at `offset`; `UnexpectedEof` at the reading end when the file is shorter.
    fn open_range(&self, digest: &Sha256, offset: u64, len: u64) -> io::Result<Range> {
        Ok(Range { file: self.open(digest)?, at: offset, left: len })
    }

    /// The inflated bytes of one entry, for an upload: see [`VerifiedReader`].
    fn verified_entry(&self, digest: &Sha256, entry: &Entry, expected: Sha256) -> io::Result<VerifiedReader> {
        Ok(VerifiedReader::new(self.open(digest)?, entry, expected))
    }
}

/// What keeping did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Bytes of the archive.
    pub len: u64,
    /// The same content was there before.
    pub already: bool,
}

/// A kept archive, open for reading at any offset by any number of threads.
#[derive(Clone)]
pub struct KeptFile(Arc<dyn ReadAt>);

impl KeptFile {
    /// An archive over any source (a test, another store).
    pub fn new(source: Arc<dyn ReadAt>) -> KeptFile {
        KeptFile(source)
    }
}

impl ReadAt for KeptFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

impl std::fmt::Debug for KeptFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptFile")
    }
}

/// A stretch of a kept archive, as it lies in the file.
#[derive(Debug)]
pub struct Range {
    file: KeptFile,
    at: u64,
    left: u64,
}

impl Read for Range {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let take = usize::try_from(self.left).map_or(out.len(), |left| left.min(out.len()));
        if take == 0 {
            return Ok(0);
        }
        let read = self.file.read_at(out.get_mut(..take).unwrap_or_default(), self.at)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
