//! Lists what lies in `in/` and its sub-folders: regular files only, links never followed, memory bounded.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use super::names;
use super::settle::Stamp;

/// Most files of one listing: the others are seen when the first have been taken.
const MAX_FILES: usize = 200_000;
/// Most sub-folders of one listing.
const MAX_FOLDERS: usize = 1_000;
/// The folder of dry runs.
const DRY_RUN: &str = "prova";

/// Everything in `in/`, with paths relative to it.
#[derive(Debug, Default)]
pub struct Listing {
    pub files: BTreeMap<PathBuf, Stamp>,
    /// `""`, then the sub-folders that were listed.
    pub folders: Vec<PathBuf>,
    /// Folders where nothing is read from: one level of flows, and one below `prova/`.
    pub too_deep: Vec<PathBuf>,
    /// Sub-folders that could not be listed.
    pub unreadable: Vec<(PathBuf, io::Error)>,
    /// There is more than was listed.
    pub too_many: bool,
}

/// The flow and the dry run that a folder means, from its path relative to `in/`.
pub fn meaning(folder: &Path) -> (Option<String>, bool) {
    let mut names = folder.components().map(|part| names::decode(part.as_os_str().as_bytes()));
    let Some(first) = names.next() else {
        return (None, false);
    };
    if !is_dry_run(&first) {
        return (Some(names::flow_hint(&first)), false);
    }
    (names.next().map(|flow| names::flow_hint(&flow)), true)
}

/// Letter case and blanks must never turn a dry run into a real one.
fn is_dry_run(name: &str) -> bool {
    name.trim().eq_ignore_ascii_case(DRY_RUN)
}

/// Opens a folder below `base` without following links on the way.
pub fn open_folder(base: impl AsFd, relative: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut folder = rustix::fs::openat(base, ".", flags, Mode::empty())?;
    for part in relative.components() {
        let Component::Normal(name) = part else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        folder = rustix::fs::openat(&folder, name, flags, Mode::empty())?;
    }
    Ok(folder)
}

/// Opens the root itself (which may be a link that the administrator made).
pub fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::openat(CWD, root, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Lists `in/` of a root.
pub fn list(root: &Path) -> io::Result<Listing> {
    list_below(&open_folder(open_root(root)?, Path::new("in"))?)
}

/// Lists a folder that is built like `in/`.
pub fn list_below(inbox: &OwnedFd) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut waiting = list_folder(inbox, Path::new(""), &mut listing)?;
    listing.folders.push(PathBuf::new());
    while let Some(folder) = waiting.pop() {
        let depth = folder.components().count();
        let allowed = depth == 1 || (depth == 2 && meaning(&folder).1);
        if !allowed {
            listing.too_deep.push(folder);
            continue;
        }
        if listing.folders.len() >= MAX_FOLDERS {
            listing.too_many = true;
            break;
        }
        match open_folder(inbox, &folder).and_then(|fd| list_folder(&fd, &folder, &mut listing)) {
            Ok(below) => {
                waiting.extend(below);
                listing.folders.push(folder);
            }
            // Removed meanwhile, or a link put in its place.
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(error) => listing.unreadable.push((folder, error)),
        }
    }
    Ok(listing)
}

/// Adds the files of one folder and gives its sub-folders.
fn list_folder(fd: &OwnedFd, at: &Path, listing: &mut Listing) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in Dir::read_from(fd)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let mut kind = entry.file_type();
        let mut stat = None;
        if matches!(kind, FileType::Unknown | FileType::RegularFile) {
            // Vanished meanwhile: the next listing tells.
            let Ok(found) = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            kind = FileType::from_raw_mode(found.st_mode);
            stat = Some(found);
        }
        let path = at.join(OsStr::from_bytes(name.to_bytes()));
        match (kind, stat) {
            (FileType::RegularFile, Some(stat)) => {
                if listing.files.len() >= MAX_FILES {
                    listing.too_many = true;
                    return Ok(folders);
                }
                listing.files.insert(path, stamp(&stat));
            }
            (FileType::Directory, _) if !name.to_bytes().starts_with(b".") => {
                if folders.len() < MAX_FOLDERS {
                    folders.push(path);
                } else {
                    listing.too_many = true;
                }
            }
            _ => {}
        }
    }
    Ok(folders)
}

/// What is compared between two listings.
pub fn stamp(stat: &Stat) -> Stamp {
    let (size, seconds, nanos) = (stat.st_size as u64, stat.st_mtime as i128, stat.st_mtime_nsec as i128);
    Stamp { size, mtime: seconds * 1_000_000_000 + nanos }
}

/// Whether another machine may change the folder without this kernel telling: inotify is silent there.
pub fn is_shared(path: &Path) -> bool {
    /// CIFS, SMB, SMB2, NFS, 9P, FUSE and virtiofs, Ceph, AFS, OCFS2, GFS2, Lustre (`statfs(2)`).
    const SHARED: [u64; 11] = [
        0xff53_4d42,
        0x517b,
        0xfe53_4d42,
        0x6969,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
        0x5346_414f,
        0x7461_636f,
        0x0116_1970,
        0x0bd0_0bd0,
    ];
    // Some architectures keep the number signed in 32 bits.
    rustix::fs::statfs(path).is_ok_and(|stat| SHARED.contains(&(stat.f_type as u64 & 0xffff_ffff)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_means_a_flow_or_a_dry_run() {
        let table = [
            ("", None, false),
            ("cds", Some("cds"), false),
            ("CDS", Some("cds"), false),
            ("prova", None, true),
            ("PROVA", None, true),
            ("Prova ", None, true),
            ("prova/tari", Some("tari"), true),
            ("prove", Some("prove"), false),
        ];
        for (folder, flow, dry_run) in table {
            assert_eq!(meaning(Path::new(folder)), (flow.map(str::to_string), dry_run), "{folder:?}");
        }
    }

    #[test]
    fn only_regular_files_at_the_right_depth_are_listed() {
        let place = tempfile::tempdir().unwrap();
        let inbox = place.path().join("in");
        for folder in ["", "cds/profonda", "prova/cds/profonda", ".nascosta"] {
            std::fs::create_dir_all(inbox.join(folder)).unwrap();
        }
        for file in
            ["a.zip", "cds/b.zip", "cds/profonda/c.zip", "prova/d.zip", "prova/cds/e.zip", "prova/cds/profonda/f.zip", ".nascosta/g.zip"]
        {
            std::fs::write(inbox.join(file), "x").unwrap();
        }
        std::fs::write(inbox.join(OsStr::from_bytes(b"citt\xe0.zip")), "xy").unwrap();
        std::fs::write(place.path().join("segreto"), "x").unwrap();
        std::os::unix::fs::symlink(place.path().join("segreto"), inbox.join("link.zip")).unwrap();
        std::os::unix::fs::symlink(place.path(), inbox.join("cartella")).unwrap();
        rustix::fs::mknodat(CWD, inbox.join("pipe.zip"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let listing = list(place.path()).unwrap();
        let names: Vec<String> = listing.files.keys().map(|path| path.to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["a.zip", "cds/b.zip", "citt\u{fffd}.zip", "prova/cds/e.zip", "prova/d.zip"]);
        assert_eq!(listing.files.values().map(|stamp| stamp.size).sum::<u64>(), 6);
        let mut deep = listing.too_deep;
        deep.sort();
        assert_eq!(deep, [PathBuf::from("cds/profonda"), PathBuf::from("prova/cds/profonda")]);
        assert!(list(&place.path().join("non-esiste")).is_err());
        assert!(!is_shared(place.path()) && !is_shared(Path::new("/non-esiste")));
    }
}
