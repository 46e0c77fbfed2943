//! A file while it is written: where bytes go, which are there, what they hash to, and what it is when the client is through.

use std::fs::File;
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Advice, Timespec, Timestamps};
use rustix::io::Errno;

use super::beneath::refused;
use super::path::Rel;
use super::ranges::Ranges;
use super::shared::Shared;
use crate::domain::digest::{Hasher, Sha256};
use crate::intake::arrivals::Arrived;
use crate::intake::scan;
use crate::intake::sftp::home::Refused;

/// Most pieces of one system call.
const PIECES: usize = 64;
/// So many bytes are written between two looks at the disk's reserve, and sent off to the disk together.
const STRIDE: u64 = 8 << 20;
/// A file up to this size is flushed as soon as its client pauses: the next thing it says is nearly always CLOSE.
const SMALL: u64 = 256 << 10;
/// What came out of order is read back at once when it is not more than this; the rest when the file is closed.
const CATCH_UP: u64 = 4 << 20;

/// A staged file that sessions write.
pub struct Upload {
    pub rel: Rel,
    /// Names the file whatever its name: sidecars are called after it.
    pub inode: u64,
    /// Milliseconds since the start of [`Shared`].
    last: AtomicU64,
    /// The client goes on with a file that the hub has taken: what that one was.
    pub taken: Option<Taken>,
    /// It was whole when it was opened again.
    pub was_whole: bool,
    inner: Mutex<Inner>,
}

/// A file that the hub took a moment ago and that is still shown, opened to be written without TRUNC: there is nothing to go on with,
/// and what a client sends past what it believes is there must not be taken for a whole file.
#[derive(Clone, Copy)]
pub struct Taken {
    pub arrived: Arrived,
    /// Offsets of 0 mean the end, wherever that is.
    pub append: bool,
}

struct Inner {
    /// `None`: ended, or taken over by another session.
    file: Option<File>,
    /// Logical size, counted in the quota.
    size: u64,
    ranges: Ranges,
    /// What a client sent and was refused, until it sends it again or makes the file shorter.
    owed: Ranges,
    /// Why the last of it was refused.
    why: Option<Refused>,
    rolling: Option<Rolling>,
    /// Something was written or cut, or would have been.
    changed: bool,
    /// Told by the client; set when the bytes are complete.
    times: Option<(u32, u32)>,
    /// A sidecar tells how far the file goes without a hole.
    gap_told: bool,
    /// Bytes since the last look at the reserve.
    unchecked: u64,
    /// The prefix that was sent off to the disk.
    sent_off: u64,
    /// The flush ahead of CLOSE: tried once. An error is told by the system only once, so it is kept.
    ahead: Option<Result<(), Errno>>,
    /// Nothing was changed after the flush ahead.
    flushed: bool,
}

/// The digest of what is there from the beginning.
struct Rolling {
    hasher: Hasher,
    /// How many bytes it has seen.
    seen: u64,
}

/// What a file is when nobody writes it any more.
pub enum Ended {
    /// On the disk, if so configured; still under its staged name.
    Whole(Arrived),
    /// Cut to what is there without a hole, and why it is not whole. `lost`: something was sent and nothing of it is kept.
    Partial { size: u64, why: Refused, lost: bool },
    /// Another session took it over.
    Lost,
}

impl Upload {
    /// `size`: what is already there, without holes.
    pub fn new(rel: Rel, file: File, inode: u64, size: u64, hash: bool) -> Upload {
        let rolling = hash.then(|| Rolling { hasher: Hasher::new(), seen: 0 });
        let ranges = Ranges::up_to(size);
        let inner = Inner {
            file: Some(file),
            size,
            ranges,
            owed: Ranges::default(),
            why: None,
            rolling,
            changed: false,
            times: None,
            gap_told: false,
            unchecked: 0,
            sent_off: size,
            ahead: None,
            flushed: false,
        };
        Upload { rel, inode, last: AtomicU64::new(0), taken: None, was_whole: false, inner: Mutex::new(inner) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody is at work on it.
    pub fn touch(&self, now: u64) {
        self.last.store(now, Ordering::Relaxed);
    }

    pub fn last(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Bytes, and the times that the client wants.
    pub fn told(&self) -> (u64, Option<(u32, u32)>) {
        let inner = self.lock();
        (inner.size, inner.times)
    }

    pub fn set_times(&self, times: (u32, u32)) {
        self.lock().times = Some(times);
    }

    pub fn read_at(&self, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
        let inner = self.lock();
        let file = inner.file.as_ref().ok_or(Refused::Busy)?;
        file.read_at(into, offset).map_err(|_| Refused::Io)
    }

    pub fn write_at(&self, shared: &Shared, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        self.touch(shared.now());
        let mut inner = self.lock();
        inner.flushed = false;
        inner.changed |= pieces.iter().any(|(_, bytes)| !bytes.is_empty());
        let result = self.write_pieces(&mut inner, shared, pieces);
        let done = result.as_ref().map_or_else(|(at, _)| *at, |()| pieces.len());
        inner.note(pieces.get(..done).unwrap_or_default(), pieces.get(done).zip(result.as_ref().err().map(|(_, why)| *why)));
        result
    }

    fn write_pieces(&self, inner: &mut Inner, shared: &Shared, pieces: &[(u64, &[u8])]) -> Result<(), (usize, Refused)> {
        let largest = shared.limits().largest_file;
        let blind = |(offset, bytes): &&(u64, &[u8])| !bytes.is_empty() && self.taken.is_some_and(|taken| taken.append || *offset > 0);
        if inner.ranges.prefix() == 0 && pieces.first().is_some_and(|piece| blind(&piece)) {
            return Err((0, Refused::Incomplete));
        }
        let mut done = 0;
        while let Some((run, end)) = run_of(pieces.get(done..).unwrap_or_default(), largest) {
            if run == 0 {
                return Err((done, Refused::TooLarge));
            }
            let together = pieces.get(done..done + run).unwrap_or_default();
            inner.write_run(self.inode, shared, together, end).map_err(|(at, why)| (done + at, why))?;
            done += run;
        }
        Ok(())
    }

    pub fn set_size(&self, shared: &Shared, size: u64) -> Result<(), Refused> {
        self.touch(shared.now());
        let mut inner = self.lock();
        (inner.changed, inner.flushed) = (true, false);
        if size > shared.limits().largest_file {
            return Err(Refused::TooLarge);
        }
        let file = inner.file.as_ref().ok_or(Refused::Busy)?;
        if size > inner.size {
            shared.grow(size - inner.size)?;
            // Before there is a hole, so that a restart knows of it.
            shared.tell_gap(self.inode, inner.ranges.prefix()).inspect_err(|_| shared.shrink(size - inner.size))?;
        }
        if let Err(error) = rustix::fs::ftruncate(file, size) {
            shared.shrink(size.saturating_sub(inner.size));
            if !inner.gap_told {
                shared.forget_gap(self.inode);
            }
            return Err(refused(error));
        }
        shared.shrink(inner.size.saturating_sub(size));
        if inner.rolling.as_ref().is_some_and(|rolling| rolling.seen > size) {
            inner.rolling = Some(Rolling { hasher: Hasher::new(), seen: 0 });
        }
        inner.gap_told |= size > inner.size;
        inner.size = size;
        inner.ranges.cut(size);
        inner.owed.cut(size);
        inner.sent_off = inner.sent_off.min(size);
        inner.forget_gap(self.inode, shared);
        Ok(())
    }

    /// Flushes a small file while its client is silent, so that CLOSE need not wait for it. Once: of a file that goes on, only this
    /// flush was for nothing.
    pub fn flush_ahead(&self, shared: &Shared) {
        let mut inner = self.lock();
        let Inner { file: Some(file), size, ranges, ahead: None, .. } = &*inner else { return };
        if !shared.settings.fsync || !inner.changed || *size == 0 || *size > SMALL || !ranges.is_whole(*size) {
            return;
        }
        let flushed = rustix::fs::fsync(file);
        inner.flushed = flushed.is_ok();
        inner.ahead = Some(flushed);
    }

    /// How the flush ahead went, and whether CLOSE has nothing more to flush.
    #[cfg(test)]
    pub fn ahead(&self) -> (Option<Result<(), Errno>>, bool) {
        let inner = self.lock();
        (inner.ahead, inner.flushed)
    }

    /// As if the disk had failed in the flush ahead.
    #[cfg(test)]
    pub fn fail_ahead(&self) {
        let mut inner = self.lock();
        (inner.ahead, inner.flushed) = (Some(Err(Errno::IO)), false);
    }

    pub fn sync(&self) -> Result<(), Refused> {
        let inner = self.lock();
        rustix::fs::fsync(inner.file.as_ref().ok_or(Refused::Busy)?).map_err(refused)
    }

    /// Opened again and left as it was: whole, whoever left it.
    pub fn is_untouched(&self) -> bool {
        self.was_whole && !self.lock().changed
    }

    /// The last handle is gone. `closed`: all of them said CLOSE.
    pub fn end(&self, shared: &Shared, closed: bool) -> Ended {
        self.lock().end(self.inode, shared, closed)
    }

    /// Taken over by another session, unless this one is writing right now.
    pub fn take_over(&self, shared: &Shared) -> Result<Ended, Refused> {
        match self.inner.try_lock() {
            Ok(mut inner) => Ok(inner.end(self.inode, shared, false)),
            Err(_) => Err(Refused::Busy),
        }
    }
}

/// How many pieces from the first on touch each other and end before `largest`, and where they end; `None` when there is none.
fn run_of(pieces: &[(u64, &[u8])], largest: u64) -> Option<(usize, u64)> {
    let mut end = pieces.first()?.0;
    let mut run = 0;
    for (offset, bytes) in pieces.iter().take(PIECES) {
        let after = offset.checked_add(bytes.len() as u64).filter(|after| *after <= largest && *after <= i64::MAX as u64);
        match after {
            Some(after) if *offset == end => end = after,
            _ => break,
        }
        run += 1;
    }
    Some((run, end))
}

impl Inner {
    /// Remembers what was refused: while it is missing, whatever else is there, the file is not whole.
    fn note(&mut self, done: &[(u64, &[u8])], refused: Option<(&(u64, &[u8]), Refused)>) {
        if self.owed.start().is_some() {
            done.iter().for_each(|(offset, bytes)| self.owed.remove(*offset, offset.saturating_add(bytes.len() as u64)));
        }
        if let Some(((offset, bytes), why)) = refused.filter(|((_, bytes), _)| !bytes.is_empty()) {
            // Too many to be told apart: all from the first on.
            let start = if self.owed.has_room() { *offset } else { self.owed.start().unwrap_or(0).min(*offset) };
            self.owed.add(start, if self.owed.has_room() { offset.saturating_add(bytes.len() as u64) } else { u64::MAX });
            self.why = Some(why);
        }
    }

    /// Writes pieces that touch, up to `end`.
    fn write_run(&mut self, inode: u64, shared: &Shared, pieces: &[(u64, &[u8])], end: u64) -> Result<(), (usize, Refused)> {
        let at_first = |why: Refused| (0, why);
        let start = pieces.first().map_or(0, |piece| piece.0);
        if end == start {
            return Ok(());
        }
        if self.unchecked >= STRIDE {
            shared.check_reserve().map_err(at_first)?;
            self.send_off(inode, shared);
        }
        let file = self.file.as_ref().ok_or((0, Refused::Busy))?;
        let gap = start > self.ranges.prefix();
        if gap && !self.ranges.has_room() {
            return Err((0, Refused::BadMessage));
        }
        let growth = end.saturating_sub(self.size);
        shared.grow(growth).map_err(at_first)?;
        if gap && !self.gap_told {
            // Before the bytes, so that a restart never takes the hole for something that was sent.
            shared.tell_gap(inode, self.ranges.prefix()).map_err(|why| {
                shared.shrink(growth);
                (0, why)
            })?;
            self.gap_told = true;
        }
        let written = write_all(file, pieces, start);
        let reached = start + written.as_ref().map_or_else(|(written, _)| *written, |()| end - start);
        // Counted up to `end`, there up to `reached`.
        let size = self.size.max(reached);
        shared.shrink((self.size + growth).saturating_sub(size));
        failpoint!("sftp.written");
        self.size = size;
        self.ranges.add(start, reached);
        self.unchecked += reached - start;
        self.hash(pieces, start, reached);
        self.forget_gap(inode, shared);
        written.map_err(|(written, errno)| {
            // The piece in which the bytes that were written end.
            let at = pieces.iter().position(|(offset, bytes)| offset + bytes.len() as u64 > start + written).unwrap_or(0);
            (at, refused(errno))
        })
    }

    fn hash(&mut self, pieces: &[(u64, &[u8])], start: u64, reached: u64) {
        let prefix = self.ranges.prefix();
        let (Some(rolling), Some(file)) = (&mut self.rolling, &self.file) else { return };
        if start == rolling.seen {
            let mut left = reached - start;
            for (_, bytes) in pieces {
                let take = left.min(bytes.len() as u64);
                rolling.hasher.update(bytes.get(..take as usize).unwrap_or_default());
                left -= take;
            }
            rolling.seen = reached;
        } else if start < rolling.seen {
            // Written twice: read again as a whole when it is closed.
            *rolling = Rolling { hasher: Hasher::new(), seen: 0 };
        }
        if rolling.seen < prefix && prefix - rolling.seen <= CATCH_UP {
            // What cannot be read now is read when it is closed.
            let _ = rolling.read_up_to(file, prefix);
        }
    }

    /// Lets the disk begin with what is there, so that CLOSE need not wait for all of it.
    fn send_off(&mut self, inode: u64, shared: &Shared) {
        self.unchecked = 0;
        let prefix = self.ranges.prefix();
        if let (true, Some(file), Some(len)) = (shared.settings.fsync, &self.file, NonZeroU64::new(prefix.saturating_sub(self.sent_off))) {
            // Only a hint: dirty pages are sent, and stay in memory while they are.
            let _ = rustix::fs::fadvise(file, self.sent_off, Some(len), Advice::DontNeed);
            self.sent_off = prefix;
        }
        if self.gap_told {
            let _ = shared.tell_gap(inode, prefix);
        }
    }

    fn forget_gap(&mut self, inode: u64, shared: &Shared) {
        if self.gap_told && self.ranges.is_whole(self.size) {
            shared.forget_gap(inode);
            self.gap_told = false;
        }
    }

    fn end(&mut self, inode: u64, shared: &Shared, closed: bool) -> Ended {
        // From here on no handle writes to it: the hub may have it next.
        let Some(file) = self.file.take() else { return Ended::Lost };
        let owed = self.owed.start();
        let (why, kept) = if closed && owed.is_none() && self.ranges.is_whole(self.size) {
            match self.complete(&file, shared) {
                Ok(arrived) => return Ended::Whole(arrived),
                // What could not be flushed is not known to be there.
                Err(why) => (why, 0),
            }
        } else {
            let why = owed.and(self.why).unwrap_or(Refused::Incomplete);
            match why {
                // The rest of it is never taken: what is there would only fill the disk.
                Refused::TooLarge => (why, 0),
                _ => (why, self.ranges.prefix().min(owed.unwrap_or(u64::MAX))),
            }
        };
        let sent = self.size > 0 || owed.is_some();
        self.cut(&file, inode, shared, kept);
        Ended::Partial { size: self.size, why, lost: sent && self.size == 0 }
    }

    fn cut(&mut self, file: &File, inode: u64, shared: &Shared, size: u64) {
        if size < self.size && rustix::fs::ftruncate(file, size).is_ok() {
            shared.shrink(self.size - size);
            self.size = size;
            self.ranges.cut(size);
        }
        self.forget_gap(inode, shared);
    }

    fn complete(&mut self, file: &File, shared: &Shared) -> Result<Arrived, Refused> {
        let sha256 = match self.rolling.take() {
            Some(mut rolling) => {
                rolling.read_up_to(file, self.size).map_err(refused)?;
                Some(rolling.hasher.finish())
            }
            None => None,
        };
        if let Some((access, modification)) = self.times {
            // Not every share lets times be set: harmless.
            let _ = rustix::fs::futimens(file, &timestamps(access, modification));
            self.flushed = false;
        }
        if let Some(flushed) = self.ahead {
            flushed.map_err(refused)?;
        }
        if shared.settings.fsync && !self.flushed {
            rustix::fs::fsync(file).map_err(refused)?;
        }
        failpoint!("sftp.flushed");
        let stat = rustix::fs::fstat(file).map_err(refused)?;
        Ok(arrived(&stat, sha256))
    }
}

impl Rolling {
    fn read_up_to(&mut self, file: &File, end: u64) -> Result<(), Errno> {
        if self.seen >= end {
            return Ok(());
        }
        let mut buffer = vec![0; (end - self.seen).min(1 << 18) as usize];
        while self.seen < end {
            let most = (end - self.seen).min(buffer.len() as u64) as usize;
            let read = rustix::io::pread(file, buffer.get_mut(..most).unwrap_or_default(), self.seen)?;
            if read == 0 {
                return Err(Errno::IO);
            }
            self.hasher.update(buffer.get(..read).unwrap_or_default());
            self.seen += read as u64;
        }
        Ok(())
    }
}

pub fn arrived(stat: &rustix::fs::Stat, sha256: Option<Sha256>) -> Arrived {
    let stamp = scan::stamp(stat);
    Arrived { inode: stat.st_ino, size: stamp.size, mtime: stamp.mtime, sha256 }
}

pub fn timestamps(access: u32, modification: u32) -> Timestamps {
    let at = |seconds: u32| Timespec { tv_sec: i64::from(seconds), tv_nsec: 0 };
    Timestamps { last_access: at(access), last_modification: at(modification) }
}

/// Writes pieces that touch; on error how many bytes were written before it.
fn write_all(file: &File, pieces: &[(u64, &[u8])], start: u64) -> Result<(), (u64, Errno)> {
    let mut slices = [IoSlice::new(&[]); PIECES];
    for (slot, (_, bytes)) in slices.iter_mut().zip(pieces) {
        *slot = IoSlice::new(bytes);
    }
    let mut left = slices.get_mut(..pieces.len().min(PIECES)).unwrap_or_default();
    let mut written: u64 = 0;
    // Empty pieces at the front would look like a disk that takes nothing.
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match rustix::io::pwritev(file, left, start + written) {
            Ok(0) => return Err((written, Errno::IO)),
            Ok(bytes) => {
                written += bytes as u64;
                IoSlice::advance_slices(&mut left, bytes);
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}
