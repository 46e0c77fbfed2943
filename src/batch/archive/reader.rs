//! One entry as a stream: never more bytes than it declares, and an error instead of the last ones when they are not those
//! it declares.

use std::io::{self, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::{Entry, Method, ReadAt};

/// Bytes of the file read at a time.
const INPUT: usize = 256 << 10;

/// How the bytes of an entry differ from what the directory declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    #[error("compressed data cannot be read")]
    Inflate,
    #[error("more bytes than declared")]
    TooLong,
    #[error("fewer bytes than declared")]
    TooShort,
    #[error("CRC differs")]
    Crc,
}

impl EntryFault {
    /// The fault inside an error of [`EntryReader`], if that is what it is.
    pub fn of(error: &io::Error) -> Option<EntryFault> {
        error.get_ref()?.downcast_ref::<EntryFault>().copied()
    }
}

impl From<EntryFault> for io::Error {
    fn from(fault: EntryFault) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, fault)
    }
}

/// What inflates one entry after another with the same buffers.
pub(super) struct Engine {
    inflate: Decompress,
    input: Vec<u8>,
    /// The part of `input` not yet inflated.
    pending: std::ops::Range<usize>,
    crc: Crc,
    next: u64,
    left_in: u64,
    left_out: u64,
    ended: bool,
}

impl Engine {
    pub(super) fn new() -> Engine {
        Engine {
            inflate: Decompress::new(false),
            input: Vec::new(),
            pending: 0..0,
            crc: Crc::new(),
            next: 0,
            left_in: 0,
            left_out: 0,
            ended: true,
        }
    }

    /// Starts `entry`.
    pub(super) fn begin(&mut self, entry: &Entry) {
        if entry.method == Method::Deflate {
            self.inflate.reset(false);
        }
        self.crc.reset();
        self.pending = 0..0;
        self.next = entry.data_start;
        self.left_in = entry.compressed;
        self.left_out = entry.size;
        self.ended = false;
    }

    /// The next bytes of the entry begun; none at its end. CRC and size are proved before the call that gives the last of them returns.
    pub(super) fn read(&mut self, source: &dyn ReadAt, entry: &Entry, out: &mut [u8]) -> io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let read = match entry.method {
            Method::Stored | Method::Bare => self.copy(source, out)?,
            Method::Deflate => self.inflate(source, out)?,
        };
        if entry.method != Method::Bare {
            self.crc.update(out.get(..read).unwrap_or_default());
        }
        if self.left_out == 0 {
            self.finish(source, entry)?;
        }
        Ok(read)
    }

    fn copy(&mut self, source: &dyn ReadAt, out: &mut [u8]) -> io::Result<usize> {
        if self.left_in != self.left_out {
            return Err(if self.left_in > self.left_out { EntryFault::TooLong } else { EntryFault::TooShort }.into());
        }
        let take = usize::try_from(self.left_in).map_or(out.len(), |left| left.min(out.len()));
        let out = out.get_mut(..take).unwrap_or_default();
        source.read_exact_at(out, self.next)?;
        self.next += take as u64;
        self.left_in -= take as u64;
        self.left_out -= take as u64;
        Ok(take)
    }

    fn inflate(&mut self, source: &dyn ReadAt, out: &mut [u8]) -> io::Result<usize> {
        let take = usize::try_from(self.left_out).map_or(out.len(), |left| left.min(out.len()));
        let out = out.get_mut(..take).unwrap_or_default();
        loop {
            let (produced, ended) = self.step(source, out)?;
            self.left_out -= produced as u64;
            if ended {
                self.ended = true;
                return if self.left_out > 0 { Err(EntryFault::TooShort.into()) } else { Ok(produced) };
            }
            if produced > 0 || take == 0 {
                return Ok(produced);
            }
        }
    }

    /// One call of the inflater: bytes produced, and whether the stream ended.
    fn step(&mut self, source: &dyn ReadAt, out: &mut [u8]) -> io::Result<(usize, bool)> {
        if self.pending.is_empty() && self.left_in > 0 {
            let take = usize::try_from(self.left_in).map_or(INPUT, |left| left.min(INPUT));
            if self.input.len() < take {
                self.input.resize(take, 0);
            }
            source.read_exact_at(self.input.get_mut(..take).unwrap_or_default(), self.next)?;
            self.next += take as u64;
            self.left_in -= take as u64;
            self.pending = 0..take;
        }
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        // With all the input at hand and room for all the output, `Finish` spares the inflater its window.
        let flush = if self.left_in == 0 { FlushDecompress::Finish } else { FlushDecompress::None };
        let input = self.input.get(self.pending.clone()).unwrap_or_default();
        let status = self.inflate.decompress(input, out, flush).map_err(|_| EntryFault::Inflate)?;
        let consumed = (self.inflate.total_in() - before_in) as usize;
        let produced = (self.inflate.total_out() - before_out) as usize;
        self.pending.start += consumed;
        let ended = status == Status::StreamEnd;
        if !ended && consumed == 0 && produced == 0 && (self.left_in == 0 || !self.pending.is_empty()) && !out.is_empty() {
            return Err(EntryFault::Inflate.into());
        }
        Ok((produced, ended))
    }

    /// All declared bytes are out: the stream must end here, use all its input, and have the CRC declared.
    fn finish(&mut self, source: &dyn ReadAt, entry: &Entry) -> io::Result<()> {
        let mut scratch = [0; 1];
        while entry.method == Method::Deflate && !self.ended {
            let (produced, ended) = self.step(source, &mut scratch)?;
            if produced > 0 {
                return Err(EntryFault::TooLong.into());
            }
            self.ended = ended;
        }
        if self.left_in > 0 || !self.pending.is_empty() {
            return Err(EntryFault::TooLong.into());
        }
        if entry.method != Method::Bare && self.crc.sum() != entry.crc32 {
            return Err(EntryFault::Crc.into());
        }
        self.ended = true;
        Ok(())
    }
}

/// One entry, inflated as it is read. Its errors carry an [`EntryFault`] when the bytes are not those declared; after an
/// error every read fails.
pub struct EntryReader<S> {
    source: S,
    entry: Entry,
    engine: Engine,
    failed: bool,
}

/// Streams `entry`, at most `entry.size` bytes of it. An empty entry is proved at the first read.
pub fn entry_reader<S: ReadAt>(source: S, entry: &Entry) -> EntryReader<S> {
    let mut engine = Engine::new();
    engine.begin(entry);
    EntryReader { source, entry: entry.clone(), engine, failed: false }
}

impl<S: ReadAt> Read for EntryReader<S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "read after a fault"));
        }
        let read = self.engine.read(&self.source, &self.entry, out);
        self.failed = read.is_err();
        read
    }
}

impl<S> std::fmt::Debug for EntryReader<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EntryReader").field("index", &self.entry.index).finish_non_exhaustive()
    }
}
