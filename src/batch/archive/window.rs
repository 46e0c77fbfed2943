//! Reads of records: little-endian fields, and a window over the source so that memory does not depend on what records declare.

use std::io;

use super::{ArchiveError, ReadAt};

/// A view of the source that moves forward: one read serves many small records, and reads little where records lie far apart.
pub(super) struct Window<'a> {
    source: &'a dyn ReadAt,
    start: u64,
    buffer: Vec<u8>,
    filled: usize,
    /// Read past what is asked: more after a reading that served several records, less after one that did not.
    ahead: usize,
    served: bool,
}

impl<'a> Window<'a> {
    pub(super) fn new(source: &'a dyn ReadAt) -> Window<'a> {
        Window { source, start: 0, buffer: Vec::new(), filled: 0, ahead: 4 << 10, served: true }
    }

    /// `len` bytes at `at`; `len` is bounded by the format (three 16-bit lengths).
    pub(super) fn bytes(&mut self, at: u64, len: usize) -> Result<&[u8], ArchiveError> {
        let skip = at.checked_sub(self.start).and_then(|skip| usize::try_from(skip).ok());
        let skip = match skip.filter(|skip| skip.checked_add(len).is_some_and(|end| end <= self.filled)) {
            Some(skip) => {
                self.served = true;
                skip
            }
            None => {
                self.ahead = if self.served { (self.ahead * 2).min(64 << 10) } else { (self.ahead / 2).max(128) };
                self.served = false;
                let wanted = len + self.ahead;
                if self.buffer.len() < wanted {
                    self.buffer.resize(wanted, 0);
                }
                self.filled = read_most(self.source, self.buffer.get_mut(..wanted).unwrap_or_default(), at)?;
                self.start = at;
                0
            }
        };
        self.buffer.get(..self.filled).and_then(|bytes| bytes.get(skip..skip + len)).ok_or(ArchiveError::Truncated("record past the end"))
    }
}

pub(super) fn read_most(source: &dyn ReadAt, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read_at(rest, at.saturating_add(filled as u64)) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// `false` when the file ends before.
pub(super) fn read_whole(source: &dyn ReadAt, buffer: &mut [u8], at: u64) -> io::Result<bool> {
    Ok(read_most(source, buffer, at)? == buffer.len())
}

/// The file may shrink while it is read: that is truncation, not a fault of the disk.
pub(super) fn read_exact(source: &dyn ReadAt, buffer: &mut [u8], at: u64) -> Result<(), ArchiveError> {
    source.read_exact_at(buffer, at).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ArchiveError::Truncated("record past the end"),
        _ => error.into(),
    })
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|chunk| u16::from_le_bytes(*chunk))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|chunk| u32::from_le_bytes(*chunk))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_le_bytes(*chunk))
}
