//! Every entry streamed once: CRC, SHA-256 and what a PDF says of itself. The hot path of an ingestion.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::reader::{Engine, EntryFault};
use super::{ArchiveError, Entry, ReadAt};
use crate::batch::files::FileFacts;
use crate::batch::pdf::{self, Sniffer};
use crate::domain::digest::{Hasher, Sha256};

/// Bytes inflated at a time: an entry under this is hashed and inspected where it lies.
const OUTPUT: usize = 256 << 10;

/// How to stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hashing {
    /// Count the pages of every PDF (a page rule asks for it).
    pub count_pages: bool,
    /// Threads, at least 1.
    pub threads: usize,
    /// Bytes of the largest PDF whose structure is read, which takes as much memory per thread. Over it pages are unknown, and
    /// a PDF that mentions encryption counts as encrypted.
    pub max_pdf_bytes: u64,
}

impl Default for Hashing {
    fn default() -> Self {
        Hashing { count_pages: false, threads: 2, max_pdf_bytes: 32 << 20 }
    }
}

/// Streams every entry but those that `skip` names, and tells what was seen, in the order of `entries`. Of several faults
/// the first in that order is told.
pub fn hash_entries(
    source: &dyn ReadAt,
    entries: &[Entry],
    skip: &dyn Fn(&Entry) -> bool,
    how: &Hashing,
) -> Result<Vec<FileFacts>, ArchiveError> {
    let wanted: Vec<&Entry> = entries.iter().filter(|entry| !skip(entry)).collect();
    let cursor = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        let mut worker = Worker::new(source, how);
        let mut found = Vec::with_capacity(wanted.len() / how.threads.max(1) + 1);
        // Taken in order and finished once taken: so everything before the first fault has been looked at.
        while !stop.load(Ordering::Relaxed) {
            let position = cursor.fetch_add(1, Ordering::Relaxed);
            let Some(entry) = wanted.get(position) else { break };
            match worker.facts(entry) {
                Ok(facts) => found.push((position, facts)),
                Err(error) => {
                    stop.store(true, Ordering::Relaxed);
                    return (found, Some((position, blame(entry, error))));
                }
            }
        }
        (found, None)
    };
    let others = how.threads.clamp(1, 64).min(wanted.len().max(1)) - 1;
    let shares = std::thread::scope(|scope| {
        let handles: Vec<_> =
            (0..others).filter_map(|_| std::thread::Builder::new().name("hash".into()).spawn_scoped(scope, work).ok()).collect();
        let mut shares = vec![work()];
        for handle in handles {
            match handle.join() {
                Ok(share) => shares.push(share),
                Err(payload) => std::panic::resume_unwind(payload),
            }
        }
        shares
    });
    let mut facts = Vec::with_capacity(wanted.len());
    let mut first: Option<(usize, ArchiveError)> = None;
    for (found, fault) in shares {
        facts.extend(found);
        first = match (first, fault) {
            (Some(a), Some(b)) => Some(if a.0 <= b.0 { a } else { b }),
            (a, b) => a.or(b),
        };
    }
    if let Some((_, error)) = first {
        return Err(error);
    }
    facts.sort_unstable_by_key(|(position, _)| *position);
    Ok(facts.into_iter().map(|(_, facts)| facts).collect())
}

/// The SHA-256 of the whole file, and how many bytes that was.
pub fn hash_whole(source: &dyn ReadAt) -> io::Result<(Sha256, u64)> {
    let mut buffer = vec![0; OUTPUT];
    let mut hasher = Hasher::new();
    let mut at = 0;
    loop {
        match source.read_at(&mut buffer, at) {
            Ok(0) => return Ok((hasher.finish(), at)),
            Ok(read) => {
                hasher.update(buffer.get(..read).unwrap_or_default());
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn blame(entry: &Entry, error: io::Error) -> ArchiveError {
    match EntryFault::of(&error) {
        Some(fault) => ArchiveError::Content { entry: entry.name.to_string(), fault },
        None if error.kind() == io::ErrorKind::UnexpectedEof => ArchiveError::Truncated("entry past the end"),
        None => ArchiveError::Io(error),
    }
}

/// What one thread reuses from entry to entry.
struct Worker<'a> {
    source: &'a dyn ReadAt,
    how: &'a Hashing,
    engine: Engine,
    output: Vec<u8>,
    /// A PDF larger than `output`, gathered only when its structure must be read.
    whole: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(source: &'a dyn ReadAt, how: &'a Hashing) -> Worker<'a> {
        Worker { source, how, engine: Engine::new(), output: vec![0; OUTPUT], whole: Vec::new() }
    }

    fn facts(&mut self, entry: &Entry) -> io::Result<FileFacts> {
        let mut hasher = Hasher::new();
        let mut sniffer = Sniffer::new();
        let inspectable = entry.size <= self.how.max_pdf_bytes;
        let (mut filled, mut done) = (0, 0u64);
        self.whole.clear();
        self.engine.begin(entry);
        loop {
            let room = self.output.get_mut(filled..).unwrap_or_default();
            let read = self.engine.read(self.source, entry, room)?;
            let bytes = self.output.get(filled..filled + read).unwrap_or_default();
            hasher.update(bytes);
            sniffer.update(bytes);
            done += read as u64;
            filled += read;
            if read == 0 || done == entry.size {
                break;
            }
            if filled == self.output.len() {
                if self.how.count_pages && inspectable && sniffer.is_pdf() {
                    self.make_room(entry);
                    self.whole.extend_from_slice(&self.output);
                }
                filled = 0;
            }
        }
        let pdf = if !sniffer.is_pdf() {
            None
        } else if !inspectable || !(self.how.count_pages || sniffer.mentions_encryption()) {
            Some(pdf::unread(sniffer.mentions_encryption()))
        } else {
            if done > self.output.len() as u64 {
                self.gather(entry, filled)?;
            }
            let bytes = if self.whole.is_empty() { self.output.get(..filled).unwrap_or_default() } else { &self.whole };
            Some(pdf::inspect(bytes, sniffer.mentions_encryption(), self.how.count_pages))
        };
        // One large PDF must not be paid for until the end of the archive.
        if self.whole.capacity() > 4 * OUTPUT {
            self.whole = Vec::new();
        }
        Ok(FileFacts { entry: entry.index, name: entry.name.to_string(), size: done, sha256: hasher.finish(), pdf })
    }

    /// All bytes of an entry in `whole`: the rest of what was gathered, or a second reading.
    fn gather(&mut self, entry: &Entry, filled: usize) -> io::Result<()> {
        if self.how.count_pages {
            self.whole.extend_from_slice(self.output.get(..filled).unwrap_or_default());
            return Ok(());
        }
        self.make_room(entry);
        self.engine.begin(entry);
        loop {
            match self.engine.read(self.source, entry, &mut self.output)? {
                0 => return Ok(()),
                read => self.whole.extend_from_slice(self.output.get(..read).unwrap_or_default()),
            }
        }
    }
    /// Exactly what the entry declares, which [`Hashing::max_pdf_bytes`] bounds: doubling would take twice as much.
    fn make_room(&mut self, entry: &Entry) {
        if self.whole.is_empty() {
            self.whole.reserve_exact(usize::try_from(entry.size).unwrap_or(0));
        }
    }
}
