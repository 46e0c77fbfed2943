//! Answers to bytes, one after the other in one buffer.

use super::longname::longname;
use super::{EXTENSIONS, Handle, VERSION, kind};
use crate::intake::sftp::home::{Attributes, Entry, Refused, Space, Status};
use crate::intake::sftp::sheets::{Sheet, Stock};

/// Longest answer to READDIR: clients of old libraries take no packet above 34,000 bytes (section 3 of the draft).
pub const MAX_PAGE_BYTES: usize = 32_768;
/// The language of every status text.
const LANGUAGE: &[u8] = b"it";

/// Answers written by the executor, to be given to the engine, and how much of what the engine reserved they settle.
#[derive(Debug, Default)]
pub struct Replies {
    pub(in crate::intake::sftp) bytes: Sheet,
    stock: Stock,
    pub(in crate::intake::sftp) answered: usize,
    pub(in crate::intake::sftp) reserved: usize,
    pub(in crate::intake::sftp) raw: usize,
}

impl Replies {
    /// Answers in buffers of that stock.
    #[must_use]
    pub fn on(stock: &Stock) -> Replies {
        Replies { stock: stock.clone(), ..Replies::default() }
    }

    /// Has room at once for answers of so many bytes.
    pub(in crate::intake::sftp) fn expect(&mut self, bytes: usize) {
        if self.bytes.is_empty() && self.bytes.capacity() < bytes {
            self.bytes = self.stock.sheet(bytes);
        }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was answered yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(in crate::intake::sftp) fn version(&mut self) {
        self.frame(kind::VERSION, |out| {
            out.put_u32(VERSION);
            for (name, version) in EXTENSIONS {
                put_string(out, name.as_bytes());
                put_string(out, version.as_bytes());
            }
        });
    }

    /// A status without words.
    pub fn status(&mut self, id: u32, status: Status) {
        self.numbered(kind::STATUS, id, |out| {
            out.put_u32(status as u32);
            out.put_u32(0);
            out.put_u32(0);
        });
    }

    /// A refusal: `sentence [CODE]`.
    pub fn refused(&mut self, id: u32, why: Refused, sentence: &str) {
        self.numbered(kind::STATUS, id, |out| {
            out.put_u32(why.status() as u32);
            string_of(out, |out| {
                out.put_slice(sentence.as_bytes());
                out.put_slice(b" [");
                out.put_slice(why.code().as_bytes());
                out.put_u8(b']');
            });
            put_string(out, LANGUAGE);
        });
    }

    pub fn handle(&mut self, id: u32, handle: Handle) {
        self.numbered(kind::HANDLE, id, |out| put_string(out, &handle.0.to_be_bytes()));
    }

    /// DATA of up to `most` bytes, put into the buffer by `fill`, which tells how many they are: the bytes are never copied.
    /// Nothing is written when `fill` fails or finds none of the bytes asked for; the caller says why.
    ///
    /// # Errors
    /// That of `fill`.
    pub fn data(&mut self, id: u32, most: u32, fill: impl FnOnce(&mut [u8]) -> Result<usize, Refused>) -> Result<usize, Refused> {
        let start = self.bytes.len();
        let most = most as usize;
        self.bytes.put_u32(0);
        self.bytes.put_u8(kind::DATA);
        self.bytes.put_u32(id);
        self.bytes.put_u32(0);
        let body = self.bytes.len();
        let filled = fill(self.bytes.room(most));
        let length = filled.unwrap_or(0).min(most);
        if filled.is_err() || (length == 0 && most > 0) {
            self.bytes.truncate(start);
            return filled;
        }
        self.bytes.truncate(body + length);
        patch(&mut self.bytes, start, length + 9);
        patch(&mut self.bytes, start + 9, length);
        Ok(length)
    }

    pub fn attributes(&mut self, id: u32, attributes: &Attributes) {
        self.numbered(kind::ATTRS, id, |out| put_attributes(out, attributes));
    }

    /// NAME with one path and no attributes: the answer to REALPATH.
    pub fn path(&mut self, id: u32, path: &str) {
        self.numbered(kind::NAME, id, |out| {
            out.put_u32(1);
            put_string(out, path.as_bytes());
            put_string(out, path.as_bytes());
            out.put_u32(0);
        });
    }

    /// `statvfs@openssh.com`, in blocks of 4 KiB.
    pub fn space(&mut self, id: u32, space: Space) {
        const BLOCK: u64 = 4_096;
        let (blocks, free) = (space.total / BLOCK, space.free / BLOCK);
        self.numbered(kind::EXTENDED_REPLY, id, |out| {
            let no_suid = 2;
            for field in [BLOCK, BLOCK, blocks, free, free, space.files_total, space.files_free, space.files_free, 0, no_suid, 255] {
                out.put_u64(field);
            }
        });
    }

    /// `limits@openssh.com`.
    pub fn limits(&mut self, id: u32, handles: usize) {
        self.numbered(kind::EXTENDED_REPLY, id, |out| {
            for field in [u64::from(super::MAX_PACKET), u64::from(super::MAX_READ), u64::from(super::MAX_WRITE), handles as u64] {
                out.put_u64(field);
            }
        });
    }

    /// `users-groups-by-id@openssh.com`: every id has the one name an account sees.
    pub fn owners(&mut self, id: u32, users: u32, groups: u32, name: &str) {
        self.numbered(kind::EXTENDED_REPLY, id, |out| {
            for count in [users, groups] {
                string_of(out, |out| (0..count).for_each(|_| put_string(out, name.as_bytes())));
            }
        });
    }

    /// Begins a NAME that is written entry by entry.
    pub fn page(&mut self, id: u32) -> Page<'_> {
        let start = self.bytes.len();
        self.bytes.put_u32(0);
        self.bytes.put_u8(kind::NAME);
        self.bytes.put_u32(id);
        self.bytes.put_u32(0);
        Page { out: &mut self.bytes, start, count: 0 }
    }

    fn numbered(&mut self, kind: u8, id: u32, body: impl FnOnce(&mut Sheet)) {
        self.frame(kind, |out| {
            out.put_u32(id);
            body(out);
        });
    }

    fn frame(&mut self, kind: u8, body: impl FnOnce(&mut Sheet)) {
        string_of(&mut self.bytes, |out| {
            out.put_u8(kind);
            body(out);
        });
    }
}

/// An answer to READDIR being written.
pub struct Page<'a> {
    out: &'a mut Sheet,
    start: usize,
    count: u32,
}

impl Page<'_> {
    /// Adds an entry, unless the page would become too long with it: then the entry goes on the next one.
    pub fn add(&mut self, entry: &Entry, owner: &str, now: i64) -> bool {
        let before = self.out.len();
        put_string(self.out, entry.name.as_bytes());
        string_of(self.out, |out| longname(out, entry, owner, now));
        put_attributes(self.out, &entry.attributes);
        if self.count > 0 && self.out.len() - self.start > MAX_PAGE_BYTES {
            self.out.truncate(before);
            return false;
        }
        self.count += 1;
        true
    }

    /// Ends the page. An empty one is taken back: the caller answers EOF.
    #[must_use]
    pub fn end(self) -> bool {
        if self.count == 0 {
            self.out.truncate(self.start);
            return false;
        }
        let length = self.out.len() - self.start - 4;
        patch(self.out, self.start, length);
        patch(self.out, self.start + 9, self.count as usize);
        true
    }
}

fn put_string(out: &mut Sheet, string: &[u8]) {
    out.put_u32(u32::try_from(string.len()).unwrap_or(u32::MAX));
    out.put_slice(string);
}

/// A string whose length is known only when it is written.
fn string_of(out: &mut Sheet, body: impl FnOnce(&mut Sheet)) {
    let start = out.len();
    out.put_u32(0);
    body(out);
    let length = out.len() - start - 4;
    patch(out, start, length);
}

fn patch(out: &mut Sheet, at: usize, value: usize) {
    if let Some(word) = out.written().get_mut(at..at + 4) {
        word.copy_from_slice(&u32::try_from(value).unwrap_or(u32::MAX).to_be_bytes());
    }
}

fn put_attributes(out: &mut Sheet, attributes: &Attributes) {
    let Attributes { size, owner, mode, times } = attributes;
    let bit = |present: bool, bit: u32| if present { bit } else { 0 };
    out.put_u32(bit(size.is_some(), 1) | bit(owner.is_some(), 2) | bit(mode.is_some(), 4) | bit(times.is_some(), 8));
    if let Some(size) = size {
        out.put_u64(*size);
    }
    if let Some((user, group)) = owner {
        out.put_u32(*user);
        out.put_u32(*group);
    }
    if let Some(mode) = mode {
        out.put_u32(*mode);
    }
    if let Some((accessed, modified)) = times {
        out.put_u32(*accessed);
        out.put_u32(*modified);
    }
}
