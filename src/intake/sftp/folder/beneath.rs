//! Opens what lies below a root, and nothing else: by capability (`openat2`), or where the kernel has none name by name without
//! following links. Only regular files and folders; a second name of a file (hard link) might be somebody else's, and is refused.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, ResolveFlags, Stat};
use rustix::io::Errno;

use crate::intake::scan;
use crate::intake::sftp::home::Refused;

/// What an error of the system means for the client.
pub fn refused(errno: Errno) -> Refused {
    match errno {
        Errno::NOENT => Refused::NotFound,
        Errno::NOTDIR => Refused::NotAFolder,
        Errno::ISDIR => Refused::IsAFolder,
        Errno::LOOP | Errno::XDEV => Refused::Outside,
        Errno::ACCESS | Errno::PERM => Refused::NotAllowed,
        Errno::EXIST => Refused::AlreadyExists,
        Errno::NOTEMPTY => Refused::FolderNotEmpty,
        Errno::NOSPC | Errno::DQUOT => Refused::DiskFull,
        Errno::FBIG | Errno::OVERFLOW => Refused::TooLarge,
        Errno::NAMETOOLONG | Errno::ILSEQ => Refused::NameRefused,
        Errno::BUSY => Refused::Busy,
        _ => Refused::Io,
    }
}

/// The same, of the folder into which something is put.
pub fn into_folder(errno: Errno) -> Refused {
    if errno == Errno::NOENT { Refused::NoFolder } else { refused(errno) }
}

/// The same, of the standard library's.
pub fn refused_io(error: &io::Error) -> Refused {
    Errno::from_io_error(error).map_or(Refused::Io, refused)
}

/// A root and what lies below it.
pub struct Beneath {
    root: PathBuf,
    /// The kernel has `openat2` (Linux 5.6), and nothing forbids it.
    capable: AtomicBool,
}

impl Beneath {
    pub fn new(root: PathBuf) -> Beneath {
        Beneath { root, capable: AtomicBool::new(true) }
    }

    /// For tests: as on a kernel without `openat2`.
    #[cfg(test)]
    pub fn without_openat2(&self) {
        self.capable.store(false, Ordering::Relaxed);
    }

    /// The root, opened anew each time: a share may be mounted again.
    pub fn root(&self) -> Result<OwnedFd, Errno> {
        scan::open_root(&self.root).map_err(errno)
    }

    /// A folder, by names from the root (`in/cds`).
    pub fn folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let root = self.root()?;
        if path.is_empty() {
            return Ok(root);
        }
        if self.capable.load(Ordering::Relaxed) {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
            match rustix::fs::openat2(&root, path, flags, Mode::empty(), resolve) {
                Err(Errno::NOSYS) => self.capable.store(false, Ordering::Relaxed),
                // A sandbox refuses what it does not know; a rename on the way asks for another try.
                Err(Errno::PERM | Errno::AGAIN) => {}
                result => return result,
            }
        }
        scan::open_folder(&root, Path::new(path)).map_err(errno)
    }
}

fn errno(error: io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::IO)
}

/// What a name is, a link not followed; `None` when nothing has it.
pub fn look(folder: impl AsFd, name: &str) -> Result<Option<Stat>, Errno> {
    match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// What a name stands for.
pub fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Whether it is a file that nobody else knows by another name.
pub fn is_single_file(stat: &Stat) -> bool {
    kind(stat) == FileType::RegularFile && stat.st_nlink == 1
}

/// Opens a file that is there; anything else than a regular file with one name is [`Refused::Outside`].
pub fn open_file(folder: impl AsFd, name: &str, access: OFlags) -> Result<(File, Stat), Refused> {
    // Looked at first: to open some devices is already to do something.
    let stat = look(&folder, name).map_err(refused)?.ok_or(Refused::NotFound)?;
    check_file(&stat)?;
    let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&folder, name, flags, Mode::empty()).map_err(refused)?;
    let stat = rustix::fs::fstat(&file).map_err(refused)?;
    check_file(&stat)?;
    Ok((File::from(file), stat))
}

fn check_file(stat: &Stat) -> Result<(), Refused> {
    match kind(stat) {
        FileType::Directory => Err(Refused::IsAFolder),
        _ if is_single_file(stat) => Ok(()),
        _ => Err(Refused::Outside),
    }
}

/// A new file of ours.
pub fn create(folder: impl AsFd, name: &str) -> Result<File, Errno> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?))
}

/// Renames, never over another.
pub fn rename_new(from: impl AsFd, name: &str, to: impl AsFd, target: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(&from, name, &to, target, RenameFlags::NOREPLACE) {
        // NFS and some FUSE know no flags.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match look(&to, target)? {
            Some(_) => Err(Errno::EXIST),
            None => rustix::fs::renameat(from, name, to, target),
        },
        result => result,
    }
}

/// Makes a folder of ours, unless it is there.
pub fn make_folder(folder: impl AsFd, name: &str, mode: u32) -> Result<(), Errno> {
    match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(mode)) {
        Err(Errno::EXIST) => Ok(()),
        result => result,
    }
}
