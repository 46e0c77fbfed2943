//! `in/`, where the gestionale writes: uploads that begin, go on, end; names that change. Each step is one rename or one removal,
//! and of this and the hub's claim of the same file exactly one succeeds.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, OFlags, Stat};
use rustix::io::Errno;

use super::beneath::{self, create, into_folder, open_file, refused, rename_new};
use super::desk::{Desk, Open};
use super::path::{INBOX, Rel, check_new};
use super::shared::{Found, STAGING, Shared};
use super::upload::{Ended, Taken, Upload};
use crate::domain::digest::Sha256;
use crate::intake::arrivals::Arrived;
use crate::intake::sftp::home::{Attributes, Ending, OpenFlags, Refused};

/// How an upload ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Whole {
        size: u64,
        sha256: Option<Sha256>,
    },
    /// Kept up to `size`, which may be nothing; why it is not whole.
    Partial {
        size: u64,
        why: Refused,
    },
    /// Another handle of the session still has it, or nothing was ever in it.
    Nothing,
}

impl Shared {
    /// Opens a file of `in/` to write it.
    pub(super) fn open_write(&self, session: u64, rel: &Rel, flags: OpenFlags) -> Result<Arc<Upload>, Refused> {
        self.check_reserve()?;
        let mut desk = self.lock();
        self.free(&mut desk, rel, Some(session))?;
        if let Some(open) = desk.uploads.get_mut(rel) {
            if flags.exclusive && flags.create {
                return Err(Refused::AlreadyExists);
            }
            open.handles += 1;
            let upload = open.upload.clone();
            drop(desk);
            if flags.truncate {
                upload.set_size(self, 0).inspect_err(|_| self.let_go(rel, &upload))?;
            }
            return Ok(upload);
        }
        let found = self.find(&desk, rel)?;
        if flags.exclusive && flags.create && matches!(found, Found::Staged(..) | Found::Real(..)) {
            return Err(Refused::AlreadyExists);
        }
        let upload = match found {
            Found::Staged(folder, name, stat) => self.go_on(rel, folder, name, &stat, flags.truncate)?,
            Found::Real(folder, name, stat) => {
                match beneath::kind(&stat) {
                    FileType::Directory => return Err(Refused::IsAFolder),
                    _ if beneath::is_single_file(&stat) => {}
                    _ => return Err(Refused::Outside),
                }
                match self.take_back(rel, &folder, &name) {
                    Ok(Some((folder, stat))) => {
                        let mut upload = self.go_on(rel, folder, rel.name().to_owned(), &stat, flags.truncate)?;
                        upload.was_whole = !flags.truncate && stat.st_nlink == 1;
                        upload
                    }
                    // Taken by the hub this very moment.
                    Ok(None) if flags.create => self.begin(&mut desk, rel, flags)?,
                    Ok(None) => return Err(Refused::NotFound),
                    Err(why) => return Err(why),
                }
            }
            Found::Taken(_) | Found::Nothing if flags.create => self.begin(&mut desk, rel, flags)?,
            Found::Taken(_) | Found::Nothing => return Err(Refused::NotFound),
        };
        let upload = Arc::new(upload);
        upload.touch(self.now());
        desk.hold(rel);
        let open = Open { upload: upload.clone(), session, handles: 1, dropped: false, ending: false };
        desk.uploads.insert(rel.clone(), open);
        Ok(upload)
    }

    /// A new file.
    fn begin(&self, desk: &mut Desk, rel: &Rel, flags: OpenFlags) -> Result<Upload, Refused> {
        check_new(rel.name())?;
        self.folder(INBOX, rel.parent()).map_err(into_folder)?;
        if self.collides(desk, rel, None)? {
            return Err(Refused::NameCollides);
        }
        self.check_files(desk)?;
        let file = create(self.staging(rel.parent()).map_err(refused)?, rel.name()).map_err(refused)?;
        let stat = rustix::fs::fstat(&file).map_err(refused)?;
        let known = desk.known(rel).filter(|known| !flags.truncate && known.arrived.size > 0);
        // What is under that name in the hub's hands is another file.
        desk.forget(rel);
        self.opened(None);
        let taken = known.map(|known| Taken { arrived: known.arrived, append: flags.append });
        let mut upload = Upload::new(rel.clone(), file, stat.st_ino, 0, self.settings.hash);
        upload.taken = taken;
        Ok(upload)
    }

    /// A file that is staged already.
    fn go_on(&self, rel: &Rel, folder: OwnedFd, name: String, stat: &Stat, truncate: bool) -> Result<Upload, Refused> {
        if truncate || stat.st_nlink != 1 {
            // Never written into: a file of that name of our own.
            rustix::fs::unlinkat(&folder, name.as_str(), AtFlags::empty()).map_err(refused)?;
            let file = create(&folder, rel.name()).map_err(refused)?;
            let inode = rustix::fs::fstat(&file).map_err(refused)?.st_ino;
            self.removed(stat.st_size as u64);
            self.opened(None);
            return Ok(Upload::new(rel.clone(), file, inode, 0, self.settings.hash));
        }
        let (file, stat) = open_file(&folder, &name, OFlags::RDWR)?;
        let size = stat.st_size as u64;
        self.opened(Some(size));
        Ok(Upload::new(rel.clone(), file, stat.st_ino, size, self.settings.hash))
    }

    /// Moves a whole file out of the watcher's sight; `None`: the hub was quicker.
    fn take_back(&self, rel: &Rel, folder: &OwnedFd, name: &str) -> Result<Option<(OwnedFd, Stat)>, Refused> {
        let staging = self.staging(rel.parent()).map_err(refused)?;
        self.settings.arrivals.forget(rel.as_path());
        match rename_new(folder, name, &staging, rel.name()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(refused(error)),
        }
        failpoint!("sftp.taken_back");
        let stat = beneath::look(&staging, rel.name()).map_err(refused)?.ok_or(Refused::NotFound)?;
        if !beneath::is_single_file(&stat) {
            // Swapped between two looks: what is behind it was never touched.
            let _ = rustix::fs::unlinkat(&staging, rel.name(), AtFlags::empty());
            return Err(Refused::Outside);
        }
        Ok(Some((staging, stat)))
    }

    /// Lets nobody else be at work on that file: refuses, or takes it from a session that has gone silent.
    pub(super) fn free(&self, desk: &mut Desk, rel: &Rel, session: Option<u64>) -> Result<(), Refused> {
        let Some(open) = desk.uploads.get(rel) else { return Ok(()) };
        if !open.ending && Some(open.session) == session {
            return Ok(());
        }
        let silent = self.now().saturating_sub(open.upload.last());
        if open.ending || u128::from(silent) < self.settings.takeover.as_millis() {
            return Err(Refused::Busy);
        }
        let left = match open.upload.take_over(self)? {
            Ended::Partial { size, .. } => size,
            Ended::Whole(_) | Ended::Lost => 0,
        };
        self.leave(desk, rel, left)
    }

    /// A handle that could not be given.
    fn let_go(&self, rel: &Rel, upload: &Arc<Upload>) {
        if let Some(open) = self.lock().uploads.get_mut(rel).filter(|open| Arc::ptr_eq(&open.upload, upload)) {
            open.handles = open.handles.saturating_sub(1);
        }
    }

    /// A handle is closed, or its client is gone.
    pub(super) fn finish(&self, upload: &Arc<Upload>, ending: Ending) -> Result<Outcome, Refused> {
        let rel = &upload.rel;
        // Before the desk: whoever holds that waits for no upload.
        let (untouched, (left, _)) = (upload.is_untouched(), upload.told());
        let closed = {
            let mut desk = self.lock();
            let Some(open) = desk.uploads.get_mut(rel).filter(|open| Arc::ptr_eq(&open.upload, upload)) else {
                // Taken over: what this handle wrote is in another's hands.
                return match ending {
                    Ending::Closed => Err(Refused::Busy),
                    Ending::Dropped if left > 0 => Ok(Outcome::Partial { size: left, why: Refused::Busy }),
                    Ending::Dropped => Ok(Outcome::Nothing),
                };
            };
            open.handles = open.handles.saturating_sub(1);
            open.dropped |= ending == Ending::Dropped;
            if open.handles > 0 {
                drop(desk);
                if ending == Ending::Closed && self.settings.fsync {
                    upload.sync()?;
                }
                return Ok(Outcome::Nothing);
            }
            open.ending = true;
            !open.dropped || untouched
        };
        let ended = upload.end(self, closed);
        let mut desk = self.lock();
        let arrived = match (ended, upload.taken) {
            // Opened to go on with what the hub has taken, and nothing was missing.
            (Ended::Whole(Arrived { size: 0, .. }), Some(Taken { arrived, .. })) => {
                self.leave(&mut desk, rel, 0)?;
                desk.know(rel.clone(), arrived, self.settings.grace);
                return Ok(Outcome::Nothing);
            }
            (Ended::Whole(arrived), _) => arrived,
            (Ended::Partial { size, why, lost }, _) => {
                self.leave(&mut desk, rel, size)?;
                return Ok(if size > 0 || lost || closed { Outcome::Partial { size, why } } else { Outcome::Nothing });
            }
            (Ended::Lost, _) => {
                self.leave(&mut desk, rel, 0)?;
                return Ok(Outcome::Nothing);
            }
        };
        let entered = self.enter(rel);
        desk.uploads.remove(rel);
        self.ended(arrived.size, true);
        desk.know(rel.clone(), arrived, self.settings.grace);
        drop(desk);
        // Somebody with access to the share put a file of that name there meanwhile: ours waits as it is.
        entered.map_err(refused)?;
        failpoint!("sftp.entered");
        self.flush(rel.parent())?;
        self.announce(rel, arrived);
        failpoint!("sftp.announced");
        Ok(Outcome::Whole { size: arrived.size, sha256: arrived.sha256 })
    }

    /// From the staged tree into `in/`.
    fn enter(&self, rel: &Rel) -> Result<(), Errno> {
        rename_new(self.folder(STAGING, rel.parent())?, rel.name(), self.folder(INBOX, rel.parent())?, rel.name())
    }

    /// An upload that is not whole, of which so much is there: kept, unless nothing is in it.
    fn leave(&self, desk: &mut Desk, rel: &Rel, size: u64) -> Result<(), Refused> {
        desk.uploads.remove(rel);
        if size == 0 {
            self.ended(0, false);
            desk.forget(rel);
            let folder = self.folder(STAGING, rel.parent()).map_err(refused)?;
            return rustix::fs::unlinkat(folder, rel.name(), AtFlags::empty()).or_else(gone).map_err(refused);
        }
        self.ended(size, true);
        desk.know(rel.clone(), Arrived { inode: 0, size, mtime: 0, sha256: None }, self.settings.grace);
        Ok(())
    }

    pub(super) fn stat_inbox(&self, rel: &Rel) -> Result<Attributes, Refused> {
        if rel.is_empty() {
            let stat = rustix::fs::fstat(self.folder(INBOX, "").map_err(refused)?).map_err(refused)?;
            return Ok(attributes(&stat));
        }
        let desk = self.lock();
        if let Some(open) = desk.uploads.get(rel) {
            let upload = open.upload.clone();
            drop(desk);
            let (size, times) = upload.told();
            let times = times.or_else(|| self.staged_times(rel));
            return Ok(Attributes { size: Some(size), owner: None, mode: Some(FILE_MODE), times });
        }
        match self.find(&desk, rel)? {
            Found::Staged(_, _, stat) => Ok(attributes(&stat)),
            Found::Real(_, _, stat) if matches!(beneath::kind(&stat), FileType::RegularFile | FileType::Directory) => Ok(attributes(&stat)),
            // A link or a device that somebody put on the share: not shown, not there.
            Found::Real(..) | Found::Nothing => Err(Refused::NotFound),
            Found::Taken(known) => Ok(attributes_of(&known.arrived)),
        }
    }

    fn staged_times(&self, rel: &Rel) -> Option<(u32, u32)> {
        let folder = self.folder(STAGING, rel.parent()).ok()?;
        attributes(&beneath::look(folder, rel.name()).ok()??).times
    }

    /// Opens a file of `in/` to read it back.
    pub(super) fn open_inbox(&self, rel: &Rel) -> Result<(std::fs::File, Stat), Refused> {
        let found = self.find(&self.lock(), rel)?;
        match found {
            Found::Staged(folder, name, _) | Found::Real(folder, name, _) => open_file(folder, &name, OFlags::RDONLY),
            Found::Taken(_) | Found::Nothing => Err(Refused::NotFound),
        }
    }
}

/// A file of ours, as a client sees it.
const FILE_MODE: u32 = 0o100_640;
/// A folder.
pub const FOLDER_MODE: u32 = 0o040_750;

/// What a client is told of a file or folder.
pub fn attributes(stat: &Stat) -> Attributes {
    let seconds = |time: i64| u32::try_from(time.max(0)).unwrap_or(u32::MAX);
    let folder = beneath::kind(stat) == FileType::Directory;
    Attributes {
        size: Some(stat.st_size as u64),
        owner: None,
        mode: Some(if folder { FOLDER_MODE } else { FILE_MODE }),
        times: Some((seconds(stat.st_atime), seconds(stat.st_mtime))),
    }
}

/// The same, of a file that the hub took.
pub fn attributes_of(arrived: &Arrived) -> Attributes {
    let seconds = u32::try_from((arrived.mtime / 1_000_000_000).max(0)).unwrap_or(u32::MAX);
    Attributes { size: Some(arrived.size), owner: None, mode: Some(FILE_MODE), times: Some((seconds, seconds)) }
}

/// What is no more there need not be removed.
pub fn gone(error: Errno) -> Result<(), Errno> {
    if error == Errno::NOENT { Ok(()) } else { Err(error) }
}
