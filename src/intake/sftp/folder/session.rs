//! The home as one session sees it: each path is sent to the part of the house that it means.

use std::sync::Arc;

use super::handle::{ReadHandle, WriteHandle};
use super::inbox::FOLDER_MODE;
use super::listing::{FolderListing, RootListing};
use super::path::{Place, Rel, means_a_folder, parse};
use super::quota::room;
use super::shared::{Shared, below};
use super::{Deed, Witness};
use crate::intake::sftp::home::{Attributes, Home, Listing, OpenFile, OpenFlags, Refused, Space};

/// The home as one session sees it.
pub struct FolderHome {
    shared: Arc<Shared>,
    witness: Option<Arc<dyn Witness>>,
    session: u64,
}

impl FolderHome {
    /// One for each session: files that one session writes are busy for the others.
    #[must_use]
    pub fn new(shared: Arc<Shared>, witness: Option<Arc<dyn Witness>>) -> FolderHome {
        let session = shared.new_session();
        FolderHome { shared, witness, session }
    }

    fn place(&self, path: &[u8]) -> Result<Place, Refused> {
        Ok(match parse(path)? {
            Place::Inbox(rel) if !rel.is_empty() => {
                Place::Inbox(if means_a_folder(path) { self.shared.spelled_folder(rel) } else { self.shared.spelled(rel) })
            }
            place => place,
        })
    }

    /// `put lotto.zip in/cds/` without `in/cds` must not become a drop called `cds` that has lost its flow.
    fn check_target(&self, path: &[u8]) -> Result<(), Refused> {
        if !means_a_folder(path) {
            return Ok(());
        }
        match self.stat(path) {
            Ok(found) if found.mode == Some(FOLDER_MODE) => Ok(()),
            Ok(_) => Err(Refused::NotAFolder),
            Err(Refused::NotFound) => Err(Refused::NoFolder),
            Err(why) => Err(why),
        }
    }

    fn tell(&self, deed: &Deed<'_>) {
        if let Some(witness) = &self.witness {
            witness.saw(deed);
        }
    }
}

/// Where nothing can be put: the list of folders, and outside all of them.
fn not_there(place: &Place) -> Refused {
    if *place == Place::Root { Refused::ReadOnly } else { Refused::Outside }
}

impl Home for FolderHome {
    fn real_path(&self, path: &[u8]) -> Result<String, Refused> {
        self.place(path).map(|place| place.shown())
    }

    fn stat(&self, path: &[u8]) -> Result<Attributes, Refused> {
        match self.place(path)? {
            Place::Root => Ok(RootListing::attributes()),
            Place::Inbox(rel) => self.shared.stat_inbox(&rel),
            Place::Published(top, rel) => self.shared.stat_published(top, &rel),
            Place::Nowhere(_) => Err(Refused::NotFound),
        }
    }

    fn set_attributes(&self, path: &[u8], attributes: &Attributes) -> Result<(), Refused> {
        match self.place(path)? {
            Place::Inbox(rel) if !rel.is_empty() => self.shared.set_inbox(self.session, &rel, attributes),
            Place::Published(top, rel) => match attributes.size {
                None => self.shared.stat_published(top, &rel).map(|_| ()),
                Some(_) => Err(Refused::ReadOnly),
            },
            Place::Nowhere(_) => Err(Refused::NotFound),
            Place::Root | Place::Inbox(_) if attributes.size.is_some() => Err(Refused::IsAFolder),
            Place::Root | Place::Inbox(_) => Ok(()),
        }
    }

    fn open(&self, path: &[u8], flags: OpenFlags, attributes: &Attributes) -> Result<Box<dyn OpenFile>, Refused> {
        let place = self.place(path)?;
        let (shared, witness, target, path) = (self.shared.clone(), self.witness.clone(), path, place.shown());
        let writes = flags.write || flags.append || flags.truncate || flags.create;
        let (file, _) = match &place {
            Place::Inbox(rel) if rel.is_empty() => return Err(Refused::IsAFolder),
            Place::Inbox(rel) if writes => {
                self.check_target(target)?;
                let upload = shared.open_write(self.session, rel, flags)?;
                if let Some(times) = attributes.times {
                    upload.set_times(times);
                }
                return Ok(Box::new(WriteHandle { shared, upload, witness, path, reads: flags.read, ended: false }));
            }
            Place::Published(_, rel) if writes && !rel.is_empty() => return Err(Refused::ReadOnly),
            Place::Inbox(rel) => shared.open_inbox(rel)?,
            Place::Published(top, rel) => shared.open_published(top, rel)?,
            Place::Nowhere(_) if !writes => return Err(Refused::NotFound),
            Place::Root if !writes => return Err(Refused::IsAFolder),
            place => return Err(not_there(place)),
        };
        Ok(Box::new(ReadHandle { file, witness, path, bytes: 0 }))
    }

    fn list(&self, path: &[u8]) -> Result<Box<dyn Listing>, Refused> {
        let shared = self.shared.clone();
        match self.place(path)? {
            Place::Root => Ok(Box::new(RootListing::new(&shared))),
            Place::Inbox(rel) => Ok(Box::new(FolderListing::inbox(shared, &self.shared.spelled_folder(rel))?)),
            Place::Published(top, rel) if rel.is_empty() => Ok(Box::new(FolderListing::published(shared, top)?)),
            Place::Published(top, rel) => {
                let folder = shared.spelled_published(top, rel.as_str());
                Ok(Box::new(FolderListing::published(shared, &below(top, &folder))?))
            }
            Place::Nowhere(_) => Err(Refused::NotFound),
        }
    }

    fn remove(&self, path: &[u8]) -> Result<(), Refused> {
        let place = self.place(path)?;
        match &place {
            Place::Inbox(rel) if rel.is_empty() => return Err(Refused::IsAFolder),
            Place::Inbox(rel) => self.shared.remove_file(rel)?,
            Place::Published(top, rel) => self.shared.remove_published(top, rel, false)?,
            Place::Nowhere(_) => return Err(Refused::NotFound),
            Place::Root => return Err(Refused::IsAFolder),
        }
        self.tell(&Deed::Removed { path: &place.shown() });
        Ok(())
    }

    fn make_folder(&self, path: &[u8]) -> Result<(), Refused> {
        let place = self.place(path)?;
        match &place {
            // What is always there.
            Place::Root => return Err(Refused::AlreadyExists),
            Place::Inbox(rel) | Place::Published(_, rel) if rel.is_empty() => return Err(Refused::AlreadyExists),
            Place::Inbox(rel) => self.shared.make_inbox_folder(rel)?,
            Place::Published(top, rel) => self.shared.make_published_folder(top, rel)?,
            Place::Nowhere(_) => return Err(Refused::Outside),
        }
        self.tell(&Deed::FolderMade { path: &place.shown() });
        Ok(())
    }

    fn remove_folder(&self, path: &[u8]) -> Result<(), Refused> {
        let place = self.place(path)?;
        match &place {
            Place::Root => return Err(Refused::NotAllowed),
            Place::Inbox(rel) => self.shared.remove_inbox_folder(&self.shared.spelled_folder(rel.clone()))?,
            Place::Published(top, rel) => self.shared.remove_published(top, rel, true)?,
            Place::Nowhere(_) => return Err(Refused::NotFound),
        }
        self.tell(&Deed::FolderRemoved { path: &place.shown() });
        Ok(())
    }

    fn rename(&self, from: &[u8], to: &[u8], replace: bool) -> Result<(), Refused> {
        let (from, target, to) = (self.place(from)?, to, self.place(to)?);
        if matches!((&from, &to), (Place::Inbox(_), Place::Inbox(_)) | (Place::Published(..), Place::Published(..))) {
            self.check_target(target)?;
        }
        match (&from, &to) {
            (Place::Inbox(old), Place::Inbox(new)) if !old.is_empty() && !new.is_empty() => self.shared.rename_file(old, new, replace)?,
            (Place::Published(top, old), Place::Published(other, new)) if top == other => {
                self.shared.rename_published(top, old, new)?;
            }
            (Place::Nowhere(_), _) => return Err(Refused::NotFound),
            (_, place @ (Place::Nowhere(_) | Place::Root)) => return Err(not_there(place)),
            (Place::Inbox(_), Place::Published(..)) => return Err(Refused::ReadOnly),
            _ => return Err(Refused::NotAllowed),
        }
        self.tell(&Deed::Renamed { from: &from.shown(), to: &to.shown() });
        Ok(())
    }

    fn space(&self, path: &[u8]) -> Result<Space, Refused> {
        if let Place::Nowhere(_) = self.place(path)? {
            return Err(Refused::NotFound);
        }
        let (used, disk) = (self.shared.usage(), self.shared.disk()?);
        let limits = self.shared.limits();
        let (total, free) = (disk.f_blocks.saturating_mul(disk.f_frsize), disk.f_bavail.saturating_mul(disk.f_frsize));
        Ok(Space {
            total: limits.quota_bytes.min(total),
            free: room(limits.quota_bytes, used.bytes, free.saturating_sub(limits.disk_reserve)),
            files_total: limits.quota_files.min(disk.f_files),
            files_free: room(limits.quota_files, used.files, disk.f_favail),
        })
    }
}

impl Shared {
    /// A folder of `in/` as it is really spelled.
    fn spelled_folder(&self, rel: Rel) -> Rel {
        if rel.is_empty() {
            return rel;
        }
        // What lies in it is spelled with it.
        let inside = self.spelled(Rel::in_folder(rel.as_str(), "-"));
        Rel::new(inside.parent())
    }
}
