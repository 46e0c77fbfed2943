//! The folders that the gestionale reads. What the hub published is never written to; deleted or moved only where the
//! configuration says so, and then within its folder.

use std::fs::File;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::beneath::{self, open_file, refused, rename_new};
use super::inbox::attributes;
use super::path::{Rel, check_new};
use super::shared::{Shared, below, spelled_in};
use crate::intake::sftp::home::{Attributes, Refused};

impl Shared {
    /// The folder in which `rel` lies, and its name there: as told, or as it is really spelled.
    pub(super) fn published(&self, top: &str, rel: &Rel) -> Result<(OwnedFd, String), Refused> {
        let parent = if rel.parent().is_empty() { String::new() } else { self.spelled_published(top, rel.parent()) };
        let folder = self.beneath.folder(&below(top, &parent)).map_err(refused)?;
        let name = rel.name();
        match beneath::look(&folder, name).map_err(refused)? {
            Some(_) => Ok((folder, name.to_owned())),
            None => {
                let again = self.beneath.folder(&below(top, &parent)).map_err(refused)?;
                Ok((folder, spelled_in(again, name).unwrap_or_else(|| name.to_owned())))
            }
        }
    }

    /// A sub-folder as it is really spelled. One level: below that there are only attestations, which nobody writes by hand.
    pub(super) fn spelled_published(&self, top: &str, folder: &str) -> String {
        match self.beneath.folder(&below(top, folder)) {
            Err(Errno::NOENT) => {
                let parent = self.beneath.folder(top).ok();
                parent.and_then(|parent| spelled_in(parent, folder)).unwrap_or_else(|| folder.to_owned())
            }
            _ => folder.to_owned(),
        }
    }

    pub(super) fn stat_published(&self, top: &str, rel: &Rel) -> Result<Attributes, Refused> {
        if rel.is_empty() {
            return rustix::fs::fstat(self.beneath.folder(top).map_err(refused)?).map(|stat| attributes(&stat)).map_err(refused);
        }
        let (folder, name) = self.published(top, rel)?;
        let stat = beneath::look(folder, &name).map_err(refused)?.ok_or(Refused::NotFound)?;
        match beneath::kind(&stat) {
            FileType::RegularFile | FileType::Directory => Ok(attributes(&stat)),
            _ => Err(Refused::NotFound),
        }
    }

    pub(super) fn open_published(&self, top: &str, rel: &Rel) -> Result<(File, Stat), Refused> {
        if rel.is_empty() {
            return Err(Refused::IsAFolder);
        }
        let (folder, name) = self.published(top, rel)?;
        open_file(folder, &name, OFlags::RDONLY)
    }

    fn may_change(&self) -> Result<(), Refused> {
        if self.limits().may_delete_published { Ok(()) } else { Err(Refused::NotAllowed) }
    }

    pub(super) fn remove_published(&self, top: &str, rel: &Rel, folder_wanted: bool) -> Result<(), Refused> {
        if rel.is_empty() {
            return Err(if folder_wanted { Refused::NotAllowed } else { Refused::IsAFolder });
        }
        self.may_change()?;
        let (folder, name) = self.published(top, rel)?;
        let stat = beneath::look(&folder, &name).map_err(refused)?.ok_or(Refused::NotFound)?;
        let flags = match (beneath::kind(&stat), folder_wanted) {
            (FileType::Directory, true) => AtFlags::REMOVEDIR,
            (FileType::Directory, false) => return Err(Refused::IsAFolder),
            (FileType::RegularFile, false) => AtFlags::empty(),
            (FileType::RegularFile, true) => return Err(Refused::NotAFolder),
            _ => return Err(Refused::NotFound),
        };
        rustix::fs::unlinkat(folder, name.as_str(), flags).map_err(refused)
    }

    /// Within its folder, and never over another: what is published is not replaced.
    pub(super) fn rename_published(&self, top: &str, from: &Rel, to: &Rel) -> Result<(), Refused> {
        if from.is_empty() || to.is_empty() {
            return Err(Refused::NotAllowed);
        }
        self.may_change()?;
        check_new(to.name())?;
        let (folder, name) = self.published(top, from)?;
        let stat = beneath::look(&folder, &name).map_err(refused)?.ok_or(Refused::NotFound)?;
        if beneath::kind(&stat) != FileType::RegularFile {
            return Err(Refused::NotAllowed);
        }
        let (target, existing) = self.published(top, to)?;
        if existing != to.name() && existing != name {
            return Err(Refused::NameCollides);
        }
        rename_new(folder, &name, target, to.name()).map_err(refused)
    }

    pub(super) fn make_published_folder(&self, top: &str, rel: &Rel) -> Result<(), Refused> {
        if !self.limits().may_delete_published {
            return Err(Refused::ReadOnly);
        }
        check_new(rel.name())?;
        if rel.depth() != 1 {
            return Err(Refused::NotAllowed);
        }
        let (folder, existing) = self.published(top, rel)?;
        if existing != rel.name() {
            return Err(Refused::NameCollides);
        }
        rustix::fs::mkdirat(folder, rel.name(), Mode::from_raw_mode(0o777)).map_err(refused)
    }
}
