//! Runs what the engine gives out against a [`Home`]. Calls block on the disk: one worker thread at a time per session.
//!
//! Dropping the executor ends every open file as [`Ending::Dropped`]: partial, never taken. That touches the disk too, so it is
//! dropped on a worker as well.

mod copy;
mod handles;
mod ranges;

use std::sync::Arc;

use bytes::Bytes;

use super::engine::{Batch, Task};
use super::home::{Attributes, Ending, Home, OpenFile, OpenFlags, Refused, Status};
use super::protocol::{Handle, Replies, Request};
use super::witness::{Seen, Witness};
use crate::clock::Clock;
use crate::intake::names::{self, NameKind};
use copy::Copying;
use handles::{File, Folder, Handles, Open};

/// Past it an offset cannot be told to the operating system.
const MAX_OFFSET: u64 = i64::MAX as u64;
/// The longest path passed on, in bytes: PATH_MAX of Linux.
const MAX_PATH: usize = 4_096;

/// What a session may do, and how it is told what it may not.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The Italian sentence of a refusal (`text::it::sftp_refusals::sentence`); its code is added.
    pub sentence: fn(Refused) -> &'static str,
    /// Files and folders open at once.
    pub handles: usize,
    /// Names asked of a [`super::home::Listing`] at a time, and most names in one answer.
    pub page: usize,
    /// Owner and group shown in listings and told for every id.
    pub owner: String,
    /// Decides whether the lines of a listing show the hour or the year.
    pub clock: Clock,
}

impl Settings {
    /// 256 handles, pages of 100 names, everything owned by `messo`.
    #[must_use]
    pub fn new(sentence: fn(Refused) -> &'static str) -> Settings {
        Settings { sentence, handles: 256, page: 100, owner: "messo".to_owned(), clock: Clock::REAL }
    }
}

/// Whether a batch was run to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Progress {
    Done,
    /// A long copy is under way: call [`Executor::run`] again with the same batch. In between, the answers so far can be given out,
    /// and the session can be ended.
    Again,
}

/// One session's open files and what may be done with them.
pub struct Executor {
    home: Arc<dyn Home>,
    witness: Arc<dyn Witness>,
    settings: Settings,
    handles: Handles,
    copying: Option<Copying>,
    closing: Option<Refused>,
    ended: u64,
    deaf: bool,
}

impl Executor {
    #[must_use]
    pub fn new(home: Arc<dyn Home>, witness: Arc<dyn Witness>, settings: Settings) -> Executor {
        let handles = Handles::new(settings.handles);
        Executor { home, witness, settings, handles, copying: None, closing: None, ended: 0, deaf: false }
    }

    /// From now on whatever begins something new (OPEN, a rename, a removal, a folder) is refused with `why`
    /// ([`Refused::Stopping`], [`Refused::AccountExpired`]); open files go on, and uploads with a temporary name get the one they are
    /// for. `None` takes it back.
    pub fn refuse_new_work(&mut self, why: Option<Refused>) {
        self.closing = why;
    }

    /// The client is gone: what it asked for is done, and what it would only have read is not.
    pub fn nobody_listens(&mut self) {
        self.deaf = true;
    }

    /// Files and folders open now.
    #[must_use]
    pub fn open_handles(&self) -> usize {
        self.handles.len()
    }

    /// Uploads that were closed, and those that got their name, so far: clients look after each of them, or set its times.
    #[must_use]
    pub fn ended_uploads(&self) -> u64 {
        self.ended
    }

    /// Whether any open file may be written: a session that is worth waiting for when the server stops.
    #[must_use]
    pub fn has_uploads(&self) -> bool {
        self.handles.has_uploads()
    }

    /// Nothing is asked for at the moment: what later requests would wait for may be done now.
    pub fn rest(&mut self) {
        self.handles.rest();
    }

    /// Runs requests in order, WRITEs to one file that follow each other as one call of [`OpenFile::write_at`].
    pub fn run(&mut self, batch: &mut Batch, replies: &mut Replies) -> Progress {
        replies.expect(batch.tasks.iter().map(|task| expected_bytes(&task.request)).sum());
        while let Some(first) = batch.tasks.front() {
            let count = match first.request {
                Request::Write { handle, .. } => {
                    let count = batch.tasks.iter().take_while(|task| continues(handle, &task.request)).count();
                    if count > 0 {
                        self.write(handle, batch, count, replies)
                    } else {
                        self.one(first.id, &first.request, replies)
                    }
                    count.max(1)
                }
                Request::CopyData { from, from_offset, length, to, to_offset } => {
                    match self.copy_some(from, from_offset, length, to, to_offset) {
                        Ok(Progress::Again) => return Progress::Again,
                        Ok(Progress::Done) => replies.status(first.id, Status::Ok),
                        Err(why) => self.refuse(first.id, "copy-data", None, why, replies),
                    }
                    self.copying = None;
                    1
                }
                _ => {
                    self.one(first.id, &first.request, replies);
                    1
                }
            };
            for Task { reserved, raw, .. } in batch.tasks.drain(..count) {
                replies.answered += 1;
                replies.reserved += reserved;
                replies.raw += raw;
            }
        }
        Progress::Done
    }

    fn one(&mut self, id: u32, request: &Request, replies: &mut Replies) {
        // A CLOSE that fails is worth its path, which goes with the handle.
        let closed = match request {
            Request::Close { handle } => self.handles.get(*handle).ok().map(|open| Box::<[u8]>::from(open.path())),
            _ => None,
        };
        if let Err(why) = self.answer(id, request, replies) {
            let open = handle_of(request).and_then(|handle| self.handles.path(handle));
            let path = path_of(request).or(closed.as_deref()).or(open);
            self.refuse(id, request.operation(), path, why, replies);
        }
    }

    fn refuse(&self, id: u32, operation: &'static str, path: Option<&[u8]>, why: Refused, replies: &mut Replies) {
        replies.refused(id, why, (self.settings.sentence)(why));
        self.witness.saw(Seen::Refused { operation, path, why });
    }

    fn answer(&mut self, id: u32, request: &Request, replies: &mut Replies) -> Result<(), Refused> {
        match request {
            Request::Open { path, flags, attributes } => {
                let handle = self.open(name(path)?, *flags, attributes)?;
                replies.handle(id, handle);
                return Ok(());
            }
            Request::Close { handle } => self.close(*handle)?,
            Request::Read { .. } | Request::ReadFolder { .. } if self.deaf => {}
            Request::Read { handle, offset, length } => return self.read(id, *handle, *offset, *length, replies),
            // Only what is not worth a call: nothing to write, or past every file.
            Request::Write { handle, data, .. } => {
                self.handles.writable(*handle)?;
                if !data.is_empty() {
                    return Err(Refused::TooLarge);
                }
            }
            Request::Stat { path } => {
                let attributes = self.home.stat(name_or_here(path)?)?;
                replies.attributes(id, &attributes);
                return Ok(());
            }
            Request::StatOpen { handle } => {
                let attributes = match self.handles.get(*handle)? {
                    Open::File(file) => file.file.stat()?,
                    Open::Folder(folder) => self.home.stat(&folder.path)?,
                };
                replies.attributes(id, &attributes);
                return Ok(());
            }
            Request::SetStat { path, attributes } => {
                check_size(attributes)?;
                self.home.set_attributes(name_or_here(path)?, attributes)?;
            }
            Request::SetStatOpen { handle, attributes } => {
                check_size(attributes)?;
                match self.handles.get(*handle)? {
                    Open::File(file) if attributes.size.is_some() && !file.flags.write => return Err(Refused::WrongMode),
                    Open::File(file) => file.file.set_attributes(attributes)?,
                    Open::Folder(folder) => self.home.set_attributes(&folder.path, attributes)?,
                }
            }
            Request::OpenFolder { path } => {
                self.may_begin()?;
                self.handles.check_room_for_folder()?;
                let path = name_or_here(path)?;
                let listing = self.home.list(path)?;
                let handle = self.handles.add(Open::Folder(Folder { path: path.into(), listing, waiting: Vec::new().into_iter() }));
                replies.handle(id, handle);
                return Ok(());
            }
            Request::ReadFolder { handle } => return self.read_folder(id, *handle, replies),
            Request::Remove { path } => {
                self.may_begin()?;
                self.home.remove(name(path)?)?;
                self.witness.saw(Seen::Removed { path });
            }
            Request::RemoveFolder { path } => {
                self.may_begin()?;
                self.home.remove_folder(name(path)?)?;
                self.witness.saw(Seen::Removed { path });
            }
            Request::MakeFolder { path } => {
                self.may_begin()?;
                self.home.make_folder(name(path)?)?;
                self.witness.saw(Seen::FolderMade { path });
            }
            Request::Rename { from, to, replace } => {
                // What a transfer ends with is nothing new.
                let ends = is_temporary(from);
                if !ends {
                    self.may_begin()?;
                }
                self.home.rename(name(from)?, name(to)?, *replace)?;
                self.ended += u64::from(ends);
                self.witness.saw(Seen::Renamed { from, to });
            }
            Request::RealPath { path } => {
                replies.path(id, &self.home.real_path(name_or_here(path)?)?);
                return Ok(());
            }
            Request::ExpandPath { path } => {
                replies.path(id, &self.home.real_path(name_or_here(&expand(path)?)?)?);
                return Ok(());
            }
            Request::HomeFolder => {
                replies.path(id, &self.home.real_path(b".")?);
                return Ok(());
            }
            Request::Sync { handle } => self.handles.file(*handle)?.file.sync()?,
            Request::Space { path } => {
                replies.space(id, self.home.space(name_or_here(path)?)?);
                return Ok(());
            }
            Request::SpaceOpen { handle } => {
                replies.space(id, self.home.space(self.handles.get(*handle)?.path())?);
                return Ok(());
            }
            Request::Limits => {
                replies.limits(id, self.settings.handles);
                return Ok(());
            }
            Request::Owners { users, groups } => {
                replies.owners(id, *users, *groups, &self.settings.owner);
                return Ok(());
            }
            Request::Refuse { why, .. } => return Err(*why),
            // Run by `run`, which may stop in the middle of it.
            Request::CopyData { .. } => return Err(Refused::Unsupported),
        }
        replies.status(id, Status::Ok);
        Ok(())
    }

    fn may_begin(&self) -> Result<(), Refused> {
        self.closing.map_or(Ok(()), Err)
    }

    fn open(&mut self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Handle, Refused> {
        self.may_begin()?;
        self.handles.check_room()?;
        check_size(attributes)?;
        let file = self.home.open(path, flags, attributes)?;
        Ok(self.handles.add(Open::File(File::new(path, flags, file))))
    }

    fn close(&mut self, handle: Handle) -> Result<(), Refused> {
        match self.handles.remove(handle)? {
            Open::File(file) => {
                self.ended += u64::from(file.flags.write);
                file.end(Ending::Closed, &*self.witness)
            }
            Open::Folder(_) => Ok(()),
        }
    }

    fn read(&mut self, id: u32, handle: Handle, offset: u64, length: u32, replies: &mut Replies) -> Result<(), Refused> {
        let file = self.handles.readable(handle)?;
        // Nothing there: the end of the file, unless nothing was asked for.
        let given = match offset > MAX_OFFSET && length > 0 {
            true => 0,
            false => replies.data(id, length, |into| read_full(&mut *file.file, offset, into))?,
        };
        if given == 0 && length > 0 {
            replies.status(id, Status::Eof);
        }
        file.read.add(offset, given as u64);
        file.bytes_out += given as u64;
        Ok(())
    }

    /// The first `count` requests of the batch: WRITEs to `handle`, not empty and not past every file.
    fn write(&mut self, handle: Handle, batch: &Batch, count: usize, replies: &mut Replies) {
        let writes = || {
            batch.tasks.iter().take(count).filter_map(|task| match &task.request {
                Request::Write { offset, data, .. } => Some((task.id, *offset, data)),
                _ => None,
            })
        };
        let file = match self.handles.writable(handle) {
            Ok(file) => file,
            Err(why) => return writes().for_each(|(id, ..)| self.refuse(id, "write", None, why, replies)),
        };
        let mut pieces: Vec<(u64, &[u8])> = writes().map(|(_, offset, data)| (offset, data.as_ref())).collect();
        if file.flags.append {
            file.put_at_end(&mut pieces);
        }
        let mut ids = writes().map(|(id, ..)| id);
        let mut left = pieces.as_slice();
        while !left.is_empty() {
            // What follows a piece that failed is tried on its own: it may lie where there is room.
            let (written, failed) = match file.file.write_at(left) {
                Ok(()) => (left.len(), None),
                Err((at, why)) => (at.min(left.len() - 1), Some(why)),
            };
            let (done, rest) = left.split_at_checked(written).unwrap_or((left, &[]));
            for ((offset, data), id) in done.iter().zip(&mut ids) {
                file.written.add(*offset, data.len() as u64);
                file.bytes_in += data.len() as u64;
                replies.status(id, Status::Ok);
            }
            left = rest;
            if let (Some(why), Some(id)) = (failed, failed.and_then(|_| ids.next())) {
                replies.refused(id, why, (self.settings.sentence)(why));
                self.witness.saw(Seen::Refused { operation: "write", path: Some(&file.path), why });
                left = left.get(1..).unwrap_or_default();
            }
        }
    }

    fn read_folder(&mut self, id: u32, handle: Handle, replies: &mut Replies) -> Result<(), Refused> {
        let Open::Folder(folder) = self.handles.get(handle)? else { return Err(Refused::NotAFolder) };
        if folder.waiting.len() == 0 {
            folder.waiting = folder.listing.next(self.settings.page)?.into_iter();
        }
        let now = self.settings.clock.now().as_second();
        let mut page = replies.page(id);
        let added = folder.waiting.as_slice().iter().take(self.settings.page);
        let added = added.take_while(|entry| page.add(entry, &self.settings.owner, now)).count();
        folder.waiting.by_ref().take(added).for_each(drop);
        if !page.end() {
            replies.status(id, Status::Eof);
        }
        Ok(())
    }
}

impl Drop for Executor {
    fn drop(&mut self) {
        for open in self.handles.take_all() {
            if let Open::File(file) = open {
                // Nobody is left to be told; the witness was.
                let _ = file.end(Ending::Dropped, &*self.witness);
            }
        }
    }
}

/// Fills `into` as far as the file goes: some clients take a short answer for the end of the file.
fn read_full(file: &mut dyn OpenFile, offset: u64, into: &mut [u8]) -> Result<usize, Refused> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(offset.saturating_add(filled as u64), rest) {
            Ok(0) => break,
            Ok(more) => filled += more,
            // What was read before is told first; the next READ meets the error again.
            Err(why) if filled == 0 => return Err(why),
            Err(_) => break,
        }
    }
    Ok(filled)
}

/// A WRITE to `handle` that can go to the disk together with others.
fn continues(handle: Handle, request: &Request) -> bool {
    match request {
        Request::Write { handle: other, offset, data } => {
            *other == handle && !data.is_empty() && offset.checked_add(data.len() as u64).is_some_and(|end| end <= MAX_OFFSET)
        }
        _ => false,
    }
}

/// Bytes of the usual answer, for the buffer.
fn expected_bytes(request: &Request) -> usize {
    match request {
        Request::Read { length, .. } => 13 + *length as usize,
        Request::Write { .. } => 24,
        Request::ReadFolder { .. } => 16 << 10,
        _ => 128,
    }
}

/// A path that names something.
fn name(path: &Bytes) -> Result<&[u8], Refused> {
    if path.is_empty() { Err(Refused::NameRefused) } else { name_or_here(path) }
}

/// A path; nothing is the folder of the account, as for OpenSSH's REALPATH.
fn name_or_here(path: &Bytes) -> Result<&[u8], Refused> {
    if path.is_empty() {
        return Ok(b".");
    }
    if path.len() > MAX_PATH || memchr::memchr(0, path).is_some() { Err(Refused::NameRefused) } else { Ok(path) }
}

/// Whether a path names a file that its client renames when it has sent all of it.
fn is_temporary(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    names::kind(&String::from_utf8_lossy(name)) == NameKind::Temporary
}

/// `~` is the folder of the account; the folders of others are not there.
fn expand(path: &Bytes) -> Result<Bytes, Refused> {
    match path.as_ref() {
        [b'~'] => Ok(Bytes::new()),
        [b'~', b'/', ..] => Ok(path.slice(1..)),
        [b'~', ..] => Err(Refused::NotFound),
        _ => Ok(path.clone()),
    }
}

fn check_size(attributes: &Attributes) -> Result<(), Refused> {
    if attributes.size.is_some_and(|size| size > MAX_OFFSET) { Err(Refused::TooLarge) } else { Ok(()) }
}

fn path_of(request: &Request) -> Option<&[u8]> {
    match request {
        Request::Open { path, .. }
        | Request::Stat { path }
        | Request::SetStat { path, .. }
        | Request::OpenFolder { path }
        | Request::Remove { path }
        | Request::MakeFolder { path }
        | Request::RemoveFolder { path }
        | Request::RealPath { path }
        | Request::Space { path }
        | Request::ExpandPath { path } => Some(path),
        Request::Rename { from, .. } => Some(from),
        _ => None,
    }
}

fn handle_of(request: &Request) -> Option<Handle> {
    match request {
        Request::Read { handle, .. }
        | Request::Write { handle, .. }
        | Request::StatOpen { handle }
        | Request::SetStatOpen { handle, .. }
        | Request::ReadFolder { handle }
        | Request::Sync { handle }
        | Request::SpaceOpen { handle } => Some(*handle),
        _ => None,
    }
}
