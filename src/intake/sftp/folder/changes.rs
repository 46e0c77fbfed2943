//! What else clients change in `in/`: names, times, sizes, folders; and what they take back.

use rustix::fs::{AtFlags, FileType};

use super::beneath::{self, into_folder, refused, rename_new};
use super::inbox::gone;
use super::path::{DRY_RUN, INBOX, Rel, check_new};
use super::shared::{Found, STAGING, Shared, spelled_in};
use super::upload::{arrived, timestamps};
use crate::intake::sftp::home::{Attributes, Ending, OpenFlags, Refused};

impl Shared {
    pub(super) fn remove_file(&self, rel: &Rel) -> Result<(), Refused> {
        let mut desk = self.lock();
        self.free(&mut desk, rel, None)?;
        let found = self.find(&desk, rel)?;
        let was_whole = matches!(found, Found::Real(..));
        match found {
            Found::Staged(folder, name, stat) => {
                rustix::fs::unlinkat(&folder, name.as_str(), AtFlags::empty()).map_err(refused)?;
                self.removed(stat.st_size as u64);
            }
            Found::Real(_, _, stat) if beneath::kind(&stat) == FileType::Directory => return Err(Refused::IsAFolder),
            Found::Real(folder, name, stat) => {
                self.settings.arrivals.forget(rel.as_path());
                // Taken by the hub this very moment: as if it had been removed before.
                rustix::fs::unlinkat(&folder, name.as_str(), AtFlags::empty()).or_else(gone).map_err(refused)?;
                self.removed(stat.st_size as u64);
            }
            Found::Taken(_) => {}
            Found::Nothing => return Err(Refused::NotFound),
        }
        desk.forget(rel);
        drop(desk);
        // A partial upload that comes back after a power cut is no harm.
        if was_whole { self.flush(rel.parent()) } else { Ok(()) }
    }

    pub(super) fn rename_file(&self, from: &Rel, to: &Rel, replace: bool) -> Result<(), Refused> {
        check_new(to.name())?;
        let mut desk = self.lock();
        self.free(&mut desk, from, None)?;
        let source = self.find(&desk, from)?;
        if let Found::Real(_, _, stat) = &source {
            match beneath::kind(stat) {
                // What is being sent into it would lose its place.
                FileType::Directory => return Err(Refused::NotAllowed),
                FileType::RegularFile => {}
                _ => return Err(Refused::Outside),
            }
        }
        if matches!(source, Found::Nothing) {
            return Err(Refused::NotFound);
        }
        if from == to {
            return Ok(());
        }
        self.free(&mut desk, to, None)?;
        let target = self.find(&desk, to)?;
        match &target {
            Found::Real(_, _, stat) if beneath::kind(stat) != FileType::RegularFile => return Err(Refused::AlreadyExists),
            Found::Staged(..) | Found::Real(..) if !replace => return Err(Refused::AlreadyExists),
            _ => {}
        }
        if self.collides(&desk, to, Some(from))? {
            return Err(Refused::NameCollides);
        }
        let inbox = self.folder(INBOX, to.parent()).map_err(into_folder)?;
        let known = desk.known(from);
        match source {
            Found::Staged(folder, name, _) => {
                // Stays what it is, not whole; only its name changes.
                let staging = self.staging(to.parent()).map_err(refused)?;
                rustix::fs::renameat(&folder, name.as_str(), &staging, to.name()).map_err(refused)?;
                self.drop_target(to, &target, false)?;
            }
            Found::Real(folder, name, stat) => {
                let told = self.settings.arrivals.forget(from.as_path()).or(known.map(|known| known.arrived));
                if let Found::Real(..) = target {
                    self.settings.arrivals.forget(to.as_path());
                    rustix::fs::renameat(&folder, name.as_str(), &inbox, to.name())
                } else {
                    rename_new(&folder, name.as_str(), &inbox, to.name())
                }
                .map_err(refused)?;
                self.drop_target(to, &target, true)?;
                let told = told.filter(|told| told.inode == stat.st_ino && told.size == stat.st_size as u64);
                desk.know(to.clone(), told.unwrap_or_else(|| arrived(&stat, None)), self.settings.grace);
                desk.forget(from);
                drop(desk);
                failpoint!("sftp.renamed");
                // Two folders when it moved to another flow: the new name first.
                self.flush(to.parent())?;
                if from.parent() != to.parent() {
                    self.flush(from.parent())?;
                }
                // One that came by the share settles as such files do.
                match told {
                    Some(told) => self.announce(to, told),
                    None => self.settings.arrivals.ring(),
                }
                return Ok(());
            }
            // Under its old name in the hub's hands; what it replaces goes all the same.
            Found::Taken(_) => self.drop_target(to, &target, matches!(target, Found::Staged(..)))?,
            Found::Nothing => return Err(Refused::NotFound),
        }
        if let Some(known) = known {
            desk.know(to.clone(), known.arrived, self.settings.grace);
        }
        desk.forget(from);
        Ok(())
    }

    /// What was replaced and lies elsewhere: a staged file under a whole one, or the other way round.
    fn drop_target(&self, to: &Rel, target: &Found, whole: bool) -> Result<(), Refused> {
        let (Found::Staged(folder, name, stat) | Found::Real(folder, name, stat)) = target else { return Ok(()) };
        self.removed(stat.st_size as u64);
        // Or under another spelling of the same name: that of a Mac.
        let elsewhere = matches!(target, Found::Staged(..)) == whole || name != to.name();
        if elsewhere {
            self.settings.arrivals.forget(to.as_path());
            rustix::fs::unlinkat(folder, name.as_str(), AtFlags::empty()).or_else(gone).map_err(refused)?;
        }
        Ok(())
    }

    pub(super) fn make_inbox_folder(&self, rel: &Rel) -> Result<(), Refused> {
        check_new(rel.name())?;
        let parent = Rel::new(rel.parent());
        // One level of flows, and one below `prova/`.
        if !parent.is_empty() && parent.as_str() != DRY_RUN {
            return Err(Refused::NotAllowed);
        }
        if rel.name().starts_with('.') {
            // The watcher looks into none of these.
            return Err(Refused::NameRefused);
        }
        let mut desk = self.lock();
        let folder = self.folder(INBOX, parent.as_str()).map_err(refused)?;
        if beneath::look(&folder, rel.name()).map_err(refused)?.is_some() || desk.uploads.contains_key(rel) {
            return Err(Refused::AlreadyExists);
        }
        if spelled_in(folder, rel.name()).is_some() || self.collides(&desk, rel, None)? {
            return Err(Refused::NameCollides);
        }
        self.check_files(&mut desk)?;
        let folder = self.folder(INBOX, parent.as_str()).map_err(refused)?;
        rustix::fs::mkdirat(&folder, rel.name(), rustix::fs::Mode::from_raw_mode(0o777)).map_err(refused)?;
        desk.forget(rel);
        self.folder_made();
        drop(desk);
        self.flush(parent.as_str())
    }

    pub(super) fn remove_inbox_folder(&self, rel: &Rel) -> Result<(), Refused> {
        if rel.is_empty() || rel.as_str() == DRY_RUN {
            return Err(Refused::NotAllowed);
        }
        let _desk = self.lock();
        let parent = self.folder(INBOX, rel.parent()).map_err(refused)?;
        match beneath::look(&parent, rel.name()).map_err(refused)? {
            None => return Err(Refused::NotFound),
            Some(stat) if beneath::kind(&stat) != FileType::Directory => return Err(Refused::NotAFolder),
            Some(_) => {}
        }
        if let Ok(staging) = self.folder(STAGING, rel.parent()) {
            rustix::fs::unlinkat(staging, rel.name(), AtFlags::REMOVEDIR).or_else(gone).map_err(refused)?;
        }
        rustix::fs::unlinkat(parent, rel.name(), AtFlags::REMOVEDIR).map_err(refused)?;
        self.removed(0);
        Ok(())
    }

    /// Times are kept, sizes change the file, the rest is harmless.
    pub(super) fn set_inbox(&self, session: u64, rel: &Rel, attributes: &Attributes) -> Result<(), Refused> {
        let desk = self.lock();
        if let Some(open) = desk.uploads.get(rel).filter(|open| !open.ending) {
            let (upload, owner) = (open.upload.clone(), open.session);
            drop(desk);
            if let Some(size) = attributes.size {
                if owner != session {
                    return Err(Refused::Busy);
                }
                upload.set_size(self, size)?;
            }
            if let Some(times) = attributes.times {
                upload.set_times(times);
            }
            return Ok(());
        }
        let (folder, name, stat, whole) = match self.find(&desk, rel)? {
            Found::Nothing => return Err(Refused::NotFound),
            Found::Taken(known) => {
                drop(desk);
                if attributes.size.is_some_and(|size| size != known.arrived.size) {
                    // The bytes in work are never touched.
                    return Err(Refused::NotFound);
                }
                self.set_known_times(rel, attributes);
                return Ok(());
            }
            Found::Staged(folder, name, stat) => (folder, name, stat, false),
            Found::Real(folder, name, stat) => (folder, name, stat, true),
        };
        drop(desk);
        match beneath::kind(&stat) {
            FileType::Directory => return Ok(()),
            _ if beneath::is_single_file(&stat) => {}
            _ => return Err(Refused::Outside),
        }
        if let Some(size) = attributes.size.filter(|size| *size != stat.st_size as u64) {
            let upload = self.open_write(session, rel, OpenFlags { write: true, ..OpenFlags::default() })?;
            let set = upload.set_size(self, size);
            if let Some(times) = attributes.times {
                upload.set_times(times);
            }
            // A whole file that was made shorter is judged again as such; one that was made longer has a hole at its end.
            let ended = self.finish(&upload, if whole { Ending::Closed } else { Ending::Dropped });
            return set.and(ended.map(|_| ()));
        }
        if let Some((access, modification)) = attributes.times {
            match rustix::fs::utimensat(&folder, name.as_str(), &timestamps(access, modification), AtFlags::SYMLINK_NOFOLLOW) {
                // Taken this very moment, or a share where times cannot be set.
                Ok(()) | Err(_) => self.set_known_times(rel, attributes),
            }
        }
        Ok(())
    }

    fn set_known_times(&self, rel: &Rel, attributes: &Attributes) {
        if let Some((_, modification)) = attributes.times {
            let mtime = i128::from(modification) * 1_000_000_000;
            self.lock().touch(rel, mtime);
            self.settings.arrivals.touched(rel.as_path(), mtime);
        }
    }
}
