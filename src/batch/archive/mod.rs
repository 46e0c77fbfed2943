//! The ZIP of a drop, judged before a byte of it is believed.
//!
//! [`Archive::open`] reads the central directory and every local header, and refuses with one precise [`ArchiveError`] what an
//! honest export never holds: traversal, links, two files of one name, entries that overlap, sizes past the [`Ceilings`].
//! Nothing is ever extracted to disk: [`entry_reader`] streams one entry, bounded and checked; [`hash_entries`] streams all
//! of them once. Only [`ReadAt`] is asked of the source, so that a kept archive, a claimed file and a test are one thing.

mod directory;
mod end;
mod error;
mod hash;
mod names;
mod reader;
#[cfg(test)]
pub(crate) mod sample;
#[cfg(test)]
mod tests;
mod window;

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

pub use error::{ArchiveError, Disagreement};
pub use hash::{Hashing, hash_entries, hash_whole};
pub use names::{NameFault, safe_name};
pub use reader::{EntryFault, EntryReader, entry_reader};

/// Bytes that can be read at any offset by several threads at once.
pub trait ReadAt: Send + Sync {
    /// Reads at `offset`; fewer bytes than asked may come, none only at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Bytes in all, now.
    fn len(&self) -> io::Result<u64>;

    /// Whether there is no byte at all.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Fills `buffer` from `offset`, or fails with `UnexpectedEof`.
    fn read_exact_at(&self, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            let read = match self.read_at(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            offset = offset.saturating_add(read as u64);
            buffer = buffer.get_mut(read..).unwrap_or_default();
        }
        Ok(())
    }
}

impl ReadAt for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl ReadAt for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        rest.read(buffer)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(<[u8]>::len(self) as u64)
    }
}

impl ReadAt for Vec<u8> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.as_slice().read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.as_slice())
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        (**self).len()
    }
}

/// What an archive may weigh. Judged on what it declares; the reader then holds every entry to its declaration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    /// Records of the central directory, folders and ignored files included.
    pub max_entries: u64,
    /// Bytes of one entry, uncompressed.
    pub max_entry_bytes: u64,
    /// Bytes of all entries, uncompressed.
    pub max_total_bytes: u64,
    /// Uncompressed : compressed, of one entry over 1 MiB and of the whole when over 1 MiB.
    pub max_ratio: u64,
}

/// How the bytes of an entry lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// As they are.
    Stored,
    /// Raw deflate.
    Deflate,
    /// Not a ZIP: the whole file is the entry and no CRC is known.
    Bare,
}

impl Method {
    /// The number kept in the store: that of the ZIP format, 255 for [`Method::Bare`].
    pub fn number(self) -> u8 {
        match self {
            Method::Stored => 0,
            Method::Deflate => 8,
            Method::Bare => 255,
        }
    }

    /// The method behind a kept number.
    pub fn from_number(number: u8) -> Option<Method> {
        [Method::Stored, Method::Deflate, Method::Bare].into_iter().find(|method| method.number() == number)
    }
}

/// One file of an archive: what must be kept to read it again. 64 bytes and the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Position in the central directory, from 0; folders and ignored files count, so positions may have holes.
    pub index: u32,
    /// With `/`, NFC, without `./`.
    pub name: Box<str>,
    /// Offset of the local header in the file.
    pub header_offset: u64,
    /// Offset of the first compressed byte in the file.
    pub data_start: u64,
    /// Bytes in the file.
    pub compressed: u64,
    /// Bytes once inflated.
    pub size: u64,
    pub crc32: u32,
    pub method: Method,
}

impl Entry {
    /// The pseudo-entry of a drop that is one XML or CSV without ZIP: all of it, as it is.
    pub fn bare(name: &str, len: u64) -> Entry {
        Entry { index: 0, name: name.into(), header_offset: 0, data_start: 0, compressed: len, size: len, crc32: 0, method: Method::Bare }
    }

    /// What to erase so that nothing of this entry can be read again: offset and bytes of its data in the file.
    pub fn span(&self) -> (u64, u64) {
        (self.data_start, self.compressed)
    }
}

/// An archive that passed every check, in the order of its central directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    entries: Vec<Entry>,
    /// Positions in `entries`, sorted by name.
    by_name: Vec<u32>,
}

impl Archive {
    /// Reads and judges the central directory and the local headers. Takes memory for the names and 80 bytes an entry,
    /// with nothing read that the ceilings do not bound.
    pub fn open(source: &dyn ReadAt, ceilings: &Ceilings) -> Result<Archive, ArchiveError> {
        Ok(Archive::of(directory::read(source, ceilings)?))
    }

    /// A drop that is not a ZIP: one pseudo-entry.
    pub fn bare(name: &str, len: u64) -> Archive {
        Archive::of(vec![Entry::bare(name, len)])
    }

    fn of(entries: Vec<Entry>) -> Archive {
        let mut by_name: Vec<u32> = (0u32..).take(entries.len()).collect();
        by_name.sort_unstable_by(|a, b| name_at(&entries, *a).cmp(name_at(&entries, *b)));
        Archive { entries, by_name }
    }

    /// The files: no folders, nothing that an operating system left behind.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The file of exactly this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        let at = self.by_name.binary_search_by(|probe| name_at(&self.entries, *probe).cmp(name)).ok()?;
        self.by_name.get(at).and_then(|position| self.entries.get(*position as usize))
    }

    /// The file at a position of the central directory ([`Entry::index`]).
    pub fn by_index(&self, index: u32) -> Option<&Entry> {
        let at = self.entries.binary_search_by_key(&index, |entry| entry.index).ok()?;
        self.entries.get(at)
    }

    /// Names sorted, as layouts want them.
    pub fn sorted_names(&self) -> impl Iterator<Item = &str> {
        self.by_name.iter().map(|position| name_at(&self.entries, *position))
    }
}

fn name_at(entries: &[Entry], position: u32) -> &str {
    entries.get(position as usize).map_or("", |entry| &entry.name)
}

/// Where the names of entries stand in a ZIP, for whoever erases them: (offset, bytes). `wanted` is asked by
/// [`Entry::header_offset`]. An archive of which names were erased before is no obstacle.
pub fn names_of(source: &dyn ReadAt, wanted: &dyn Fn(u64) -> bool) -> Result<Vec<(u64, u64)>, ArchiveError> {
    directory::names_of(source, wanted)
}

/// Whether a ZIP has arrived to its end: the end record is the last thing in the file and the central directory it names
/// lies inside and begins as one. Reads at most 66 KiB; says nothing of the entries. For whoever waits for a file to be whole.
pub fn looks_whole(source: &dyn ReadAt) -> bool {
    end::locate(source).is_ok()
}

/// Whether the first bytes are those of a ZIP, whole or not.
pub fn looks_like_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}
