//! The archives of what was dropped, kept as they came, by the SHA-256 of the whole file: the store of every PDF until it is
//! uploaded. One entry can be erased in place; every later read is checked against what was accepted.
//!
//! All calls block on the disk: from async code, call them where blocking is allowed.

mod folder;
mod verified;

use std::io;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use folder::{FolderArchives, kept_path};
pub use verified::{Changed, VerifiedReader, is_changed};

use crate::batch::archive::{Entry, ReadAt};
use crate::domain::digest::Sha256;

/// Where kept archives are. One implementation now, a folder; the functions are those an object store has too.
pub trait Archives: Send + Sync {
    /// The first half of keeping: the bytes of `claimed` come to a temporary of ours, checked against the digest and flushed. Who calls
    /// it waits for the file system of `claimed`, which may hang; `moved` is called whenever that has given something.
    fn bring(&self, claimed: &Path, digest: &Sha256, moved: &dyn Fn()) -> io::Result<Brought>;

    /// The second half: what was brought gets its name, everything flushed to the disk before it returns. Only our own disk is touched.
    /// [`is_changed`]: what was kept before, for which nothing was brought, is no longer what it was; bring it again.
    fn enter(&self, brought: Brought, digest: &Sha256) -> io::Result<Kept>;

    /// Both halves. `claimed` stays where it is, for a caller that must first commit what it knows of it.
    fn keep(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept> {
        self.enter(self.bring(claimed, digest, &|| {})?, digest)
    }

    /// Keeps the file at `claimed` and removes it from there, in this order. Kept already: only removes it. After a crash at any point
    /// it can be called again: with `claimed` gone and the archive kept it says so.
    fn put(&self, claimed: &Path, digest: &Sha256) -> io::Result<Kept>;

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

/// Bytes that came to us and are not kept yet; given up, they go.
#[derive(Debug)]
pub struct Brought(Bytes);

#[derive(Debug)]
enum Bytes {
    /// In a temporary file of ours.
    Here { temporary: PathBuf, len: u64 },
    /// Nothing was brought: the kept file, as it was when it was read, had them.
    Kept { was: folder::Stamp, len: u64 },
}

impl Drop for Brought {
    fn drop(&mut self) {
        if let Bytes::Here { temporary, .. } = &self.0 {
            // What cannot be removed now is swept at the next start.
            let _ = std::fs::remove_file(temporary);
        }
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
