//! Folders read page by page. In `in/` three things are shown as one: what is whole, what is still arriving, what was just taken.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::beneath::{self, refused};
use super::inbox::{FOLDER_MODE, attributes, attributes_of};
use super::path::{INBOX, PUBLISHED, Rel, is_ours};
use super::shared::{STAGING, Shared, below};
use crate::intake::arrivals::Arrived;
use crate::intake::sftp::home::{Attributes, Entry, Listing, Refused};

/// `/`.
pub struct RootListing(VecDeque<Entry>);

impl RootListing {
    pub fn new(shared: &Shared) -> RootListing {
        let folders = std::iter::once(INBOX).chain(PUBLISHED).filter_map(|name| {
            let stat = rustix::fs::fstat(shared.beneath.folder(name).ok()?).ok()?;
            Some(Entry { name: name.to_owned(), attributes: attributes(&stat) })
        });
        RootListing(folders.collect())
    }

    /// What `/` itself is.
    pub fn attributes() -> Attributes {
        Attributes { size: Some(0), owner: None, mode: Some(FOLDER_MODE), times: None }
    }
}

impl Listing for RootListing {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, Refused> {
        Ok(self.0.drain(..most.min(self.0.len())).collect())
    }
}

/// One folder of the disk.
pub struct FolderListing {
    shared: Arc<Shared>,
    /// Below `in/`; `None` for published folders.
    rel: Option<String>,
    /// Read one after the other: whether it is the staged tree, its entries, the folder for looking at them.
    parts: VecDeque<(bool, Dir, OwnedFd)>,
    staging: Option<OwnedFd>,
    inbox: Option<OwnedFd>,
    /// The last of what the hub took that was looked at: the rest is asked for page by page.
    last: Option<String>,
}

impl FolderListing {
    pub fn inbox(shared: Arc<Shared>, rel: &Rel) -> Result<FolderListing, Refused> {
        let open = |top: &str| shared.beneath.folder(&below(top, rel.as_str()));
        let inbox = open(INBOX).map_err(refused)?;
        let mut parts = VecDeque::new();
        let staging = match open(STAGING) {
            Ok(staging) => {
                parts.push_back((true, Dir::read_from(&staging).map_err(refused)?, open(STAGING).map_err(refused)?));
                Some(staging)
            }
            Err(Errno::NOENT) => None,
            Err(error) => return Err(refused(error)),
        };
        parts.push_back((false, Dir::read_from(&inbox).map_err(refused)?, open(INBOX).map_err(refused)?));
        Ok(FolderListing { rel: Some(rel.as_str().to_owned()), parts, staging, inbox: Some(inbox), last: None, shared })
    }

    pub fn published(shared: Arc<Shared>, path: &str) -> Result<FolderListing, Refused> {
        let folder = shared.beneath.folder(path).map_err(refused)?;
        let entries = Dir::read_from(&folder).map_err(refused)?;
        let parts = VecDeque::from([(false, entries, folder)]);
        Ok(FolderListing { shared, rel: None, parts, staging: None, inbox: None, last: None })
    }

    /// One entry of a folder, unless it is not to be seen.
    fn show(&self, staged: bool, folder: &OwnedFd, name: &std::ffi::CStr) -> Option<Entry> {
        // A name in another character set cannot be said in UTF-8: it came by the share, and the watcher takes it.
        let name = name.to_str().ok().filter(|name| !matches!(*name, "." | "..") && !is_ours(name))?;
        // Vanished meanwhile.
        let stat = beneath::look(folder, name).ok()??;
        match beneath::kind(&stat) {
            FileType::RegularFile => {}
            FileType::Directory if !staged => {}
            _ => return None,
        }
        if !staged
            && self.staging.as_ref().is_some_and(
                |staging| matches!(beneath::look(staging, name), Ok(Some(stat)) if beneath::kind(&stat) == FileType::RegularFile),
            )
        {
            return None;
        }
        let mut attributes = attributes(&stat);
        if staged && let Some(folder) = &self.rel {
            let upload = self.shared.lock().uploads.get(&Rel::in_folder(folder, name)).map(|open| open.upload.clone());
            attributes.times = upload.and_then(|upload| upload.told().1).or(attributes.times);
        }
        Some(Entry { name: name.to_owned(), attributes })
    }

    /// What the hub took, if nothing has that name again.
    fn show_known(&self, name: String, arrived: &Arrived) -> Option<Entry> {
        let there = |folder: &Option<OwnedFd>| folder.as_ref().is_some_and(|folder| !matches!(beneath::look(folder, &name), Ok(None)));
        if there(&self.staging) || there(&self.inbox) {
            return None;
        }
        Some(Entry { attributes: attributes_of(arrived), name })
    }
}

impl Listing for FolderListing {
    fn next(&mut self, most: usize) -> Result<Vec<Entry>, Refused> {
        let mut page = Vec::new();
        while page.len() < most {
            let Some((staged, mut entries, folder)) = self.parts.pop_front() else { break };
            match entries.next() {
                None => continue,
                Some(Err(error)) => return Err(refused(error)),
                Some(Ok(entry)) => page.extend(self.show(staged, &folder, entry.file_name())),
            }
            self.parts.push_front((staged, entries, folder));
        }
        while page.len() < most {
            let Some(folder) = &self.rel else { break };
            let known = self.shared.lock().known_in(folder, self.last.as_deref(), most - page.len());
            let Some((last, _)) = known.last() else { break };
            self.last = Some(last.clone());
            for (name, known) in known {
                page.extend(self.show_known(name, &known.arrived));
            }
        }
        Ok(page)
    }
}
