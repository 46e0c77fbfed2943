//! The bytes of one entry on their way to SEND. Someone on a share may still hold the archive open and write to it: so the
//! last bytes leave only when all of them are proved to be those that were accepted.

use std::io::{self, Read};

use super::KeptFile;
use crate::batch::archive::{Entry, EntryFault, EntryReader, entry_reader};
use crate::domain::digest::{Hasher, Sha256};

/// Bytes held back: the whole entry when it is smaller.
const BLOCK: usize = 64 << 10;

/// A kept entry is not what was accepted: changed, shortened or erased since. Park the act and call a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the kept file has changed since it was accepted")]
pub struct Changed;

impl From<Changed> for io::Error {
    fn from(changed: Changed) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, changed)
    }
}

/// Whether an error of a [`VerifiedReader`] (or of keeping) says that content changed, and not that the disk failed.
pub fn is_changed(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Changed>())
}

/// Streams the inflated bytes of an entry and holds back the last block until size, CRC and SHA-256 are proved equal: what is
/// changed can never be read to its end. After an error every read fails with the same kind.
pub struct VerifiedReader {
    entry: EntryReader<KeptFile>,
    hasher: Option<Hasher>,
    expected: Sha256,
    /// Bytes in all, for the length of the upload.
    size: u64,
    /// Proved, or followed by more: may leave.
    free: Vec<u8>,
    at: usize,
    /// The newest block, not yet known to be the last.
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Fresh,
    Streaming,
    Proved,
    Failed { changed: bool },
}

impl VerifiedReader {
    /// Reads `entry` of `file`, whose inflated bytes had the SHA-256 `expected`.
    pub fn new(file: KeptFile, entry: &Entry, expected: Sha256) -> VerifiedReader {
        VerifiedReader {
            entry: entry_reader(file, entry),
            hasher: Some(Hasher::new()),
            expected,
            size: entry.size,
            free: Vec::new(),
            at: 0,
            held: Vec::new(),
            state: State::Fresh,
        }
    }

    /// Bytes that a whole reading gives.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Frees the held block when another follows it, or when it is the last and all is proved.
    fn advance(&mut self) -> io::Result<()> {
        if self.state == State::Fresh {
            self.fill()?;
            self.state = State::Streaming;
        }
        std::mem::swap(&mut self.free, &mut self.held);
        self.at = 0;
        self.fill()?;
        if self.held.is_empty() {
            let digest = self.hasher.take().map(Hasher::finish);
            if digest != Some(self.expected) {
                self.free.clear();
                return Err(Changed.into());
            }
            self.state = State::Proved;
        }
        Ok(())
    }

    /// Reads the next block into `held`; leaves it empty at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.held.clear();
        (&mut self.entry).take(BLOCK as u64).read_to_end(&mut self.held)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&self.held);
        }
        Ok(())
    }
}

impl Read for VerifiedReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        while self.at == self.free.len() {
            match self.state {
                State::Proved => return Ok(0),
                State::Failed { changed: true } => return Err(Changed.into()),
                State::Failed { changed: false } => return Err(io::Error::other("read after a fault")),
                State::Fresh | State::Streaming => {}
            }
            if let Err(error) = self.advance() {
                let changed = is_changed(&error) || EntryFault::of(&error).is_some() || error.kind() == io::ErrorKind::UnexpectedEof;
                self.state = State::Failed { changed };
                self.free.clear();
                self.at = 0;
                return Err(if changed { Changed.into() } else { error });
            }
        }
        let mut rest = self.free.get(self.at..).unwrap_or_default();
        let copied = rest.read(out)?;
        self.at += copied;
        Ok(copied)
    }
}

impl std::fmt::Debug for VerifiedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedReader").field("expected", &self.expected).field("state", &self.state).finish_non_exhaustive()
    }
}
