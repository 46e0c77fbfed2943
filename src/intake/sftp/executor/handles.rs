//! The files and folders open in a session.

use std::collections::HashMap;
use std::vec;

use super::ranges::Ranges;
use crate::intake::sftp::home::{Ending, Entry, Listing, OpenFile, OpenFlags, Refused};
use crate::intake::sftp::protocol::Handle;
use crate::intake::sftp::witness::{Seen, Witness};

/// What a handle stands for.
pub enum Open {
    File(File),
    Folder(Folder),
}

impl Open {
    pub fn path(&self) -> &[u8] {
        match self {
            Open::File(file) => &file.path,
            Open::Folder(folder) => &folder.path,
        }
    }
}

/// An open file and what was done with it.
pub struct File {
    pub path: Box<[u8]>,
    pub flags: OpenFlags,
    pub file: Box<dyn OpenFile>,
    pub written: Ranges,
    pub read: Ranges,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Bytes there when it was opened for writing.
    before: u64,
    /// Of a client that appends, known from its first piece: what its offsets are counted from.
    base: Option<u64>,
}

impl File {
    pub fn new(path: &[u8], flags: OpenFlags, file: Box<dyn OpenFile>) -> File {
        let before = if flags.write && !flags.truncate { file.stat().ok().and_then(|attributes| attributes.size).unwrap_or(0) } else { 0 };
        let (written, read) = (Ranges::default(), Ranges::default());
        File { path: path.into(), flags, file, written, read, bytes_in: 0, bytes_out: 0, before, base: None }
    }

    /// Where pieces of a client that appends go; none is empty. There are three kinds, told apart by the first piece: who begins where
    /// the file ends counts from its beginning (OpenSSH's `reput`, sshfs, JSch, paramiko); who begins at 0 of a file that has something
    /// counts from its end (libssh2, and with it curl and PHP; Apache MINA), or leaves the place to the server and always says 0
    /// (asyncssh): from then on 0 means the end, wherever that is.
    pub fn put_at_end(&mut self, pieces: &mut [(u64, &[u8])]) {
        let counted = self.base.is_some_and(|base| base == 0);
        if counted && pieces.iter().all(|(offset, _)| *offset != 0) {
            return;
        }
        let mut end = self.file.stat().ok().and_then(|attributes| attributes.size).unwrap_or(0);
        for (offset, data) in pieces {
            let base = *self.base.get_or_insert(if *offset == 0 { end } else { 0 });
            *offset = if *offset == 0 { end } else { base.saturating_add(*offset) };
            end = end.max(offset.saturating_add(data.len() as u64));
        }
    }

    /// Ends the file and tells the witness.
    pub fn end(self, ending: Ending, witness: &dyn Witness) -> Result<(), Refused> {
        let size = self.file.stat().ok().and_then(|attributes| attributes.size);
        let result = self.file.finish(ending);
        let covered = |ranges: &Ranges, from: u64| size.is_some_and(|size| ranges.cover(from.min(size), size));
        if self.flags.write && (!self.flags.read || self.bytes_in > 0) {
            let whole = ending == Ending::Closed && result.is_ok() && covered(&self.written, self.before);
            witness.saw(Seen::Uploaded { path: &self.path, bytes: self.bytes_in, whole });
        }
        if self.bytes_out > 0 {
            witness.saw(Seen::Downloaded { path: &self.path, bytes: self.bytes_out, whole: covered(&self.read, 0) });
        }
        result
    }
}

/// An open folder, with the names that did not fit in the last answer.
pub struct Folder {
    pub path: Box<[u8]>,
    pub listing: Box<dyn Listing>,
    pub waiting: vec::IntoIter<Entry>,
}

/// Most folders of one session that are being read at once: each holds descriptors and a page of names.
const FOLDERS: usize = 16;

/// Handles are numbers that only grow: one that was closed never means another file.
pub struct Handles {
    open: HashMap<u32, Open>,
    last: u32,
    most: usize,
}

impl Handles {
    pub fn new(most: usize) -> Handles {
        Handles { open: HashMap::new(), last: Handle::NONE.0, most }
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn has_uploads(&self) -> bool {
        self.open.values().any(|open| matches!(open, Open::File(file) if file.flags.write))
    }

    pub fn rest(&mut self) {
        for open in self.open.values_mut() {
            if let Open::File(File { flags: OpenFlags { write: true, .. }, file, .. }) = open {
                file.rest();
            }
        }
    }

    pub fn check_room(&self) -> Result<(), Refused> {
        if self.open.len() >= self.most || self.last == u32::MAX { Err(Refused::TooManyHandles) } else { Ok(()) }
    }

    /// The same for a folder.
    pub fn check_room_for_folder(&self) -> Result<(), Refused> {
        self.check_room()?;
        let folders = self.open.values().filter(|open| matches!(open, Open::Folder(_))).count();
        if folders >= FOLDERS { Err(Refused::TooManyHandles) } else { Ok(()) }
    }

    /// To be asked for after [`Handles::check_room`].
    pub fn add(&mut self, open: Open) -> Handle {
        self.last = self.last.saturating_add(1);
        self.open.insert(self.last, open);
        Handle(self.last)
    }

    pub fn remove(&mut self, handle: Handle) -> Result<Open, Refused> {
        let open = self.open.remove(&handle.0).ok_or(Refused::BadHandle);
        if self.open.is_empty() {
            self.open.shrink_to(4);
        }
        open
    }

    pub fn take_all(&mut self) -> Vec<Open> {
        self.open.drain().map(|(_, open)| open).collect()
    }

    pub fn get(&mut self, handle: Handle) -> Result<&mut Open, Refused> {
        self.open.get_mut(&handle.0).ok_or(Refused::BadHandle)
    }

    pub fn path(&self, handle: Handle) -> Option<&[u8]> {
        self.open.get(&handle.0).map(Open::path)
    }

    pub fn file(&mut self, handle: Handle) -> Result<&mut File, Refused> {
        match self.get(handle)? {
            Open::File(file) => Ok(file),
            Open::Folder(_) => Err(Refused::IsAFolder),
        }
    }

    pub fn readable(&mut self, handle: Handle) -> Result<&mut File, Refused> {
        self.file(handle).and_then(|file| if file.flags.read { Ok(file) } else { Err(Refused::WrongMode) })
    }

    pub fn writable(&mut self, handle: Handle) -> Result<&mut File, Refused> {
        self.file(handle).and_then(|file| if file.flags.write { Ok(file) } else { Err(Refused::WrongMode) })
    }
}
