//! Holes of files that are being written, known over restarts: a sidecar tells how far the file goes without one.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Mode, OFlags, SeekFrom};

use super::beneath::refused_io;
use super::path::Rel;
use super::shared::{GAPS, STAGING, Shared};
use crate::intake::scan;
use crate::intake::sftp::home::Refused;

impl Shared {
    pub(super) fn tell_gap(&self, inode: u64, prefix: u64) -> Result<(), Refused> {
        let write = || -> io::Result<()> {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = rustix::fs::openat(self.beneath.folder(GAPS)?, inode.to_string(), flags, Mode::RUSR | Mode::WUSR)?;
            // One call, and never shorter than before: a number is there at every moment.
            rustix::io::pwrite(&file, format!("{prefix:020}").as_bytes(), 0)?;
            Ok(())
        };
        write().map_err(|error| refused_io(&error))
    }

    pub(super) fn forget_gap(&self, inode: u64) {
        if let Ok(folder) = self.beneath.folder(GAPS) {
            // Left behind, it is cleared at the next start.
            let _ = rustix::fs::unlinkat(folder, inode.to_string(), AtFlags::empty());
        }
    }

    /// Cuts what an earlier run was writing to what is there without a hole: as far as a sidecar tells, and not past a hole
    /// that the file system knows of (a power cut leaves such where bytes were not yet on the disk).
    pub(super) fn recover(&self) -> io::Result<()> {
        let gaps = self.beneath.folder(GAPS)?;
        let listing = scan::list_below(&self.beneath.folder(STAGING)?)?;
        for file in listing.files.keys().filter_map(|file| file.to_str()) {
            let rel = Rel::new(file);
            let folder = self.folder(STAGING, rel.parent())?;
            let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let Ok(fd) = rustix::fs::openat(&folder, rel.name(), flags, Mode::empty()) else { continue };
            let stat = rustix::fs::fstat(&fd)?;
            let size = stat.st_size as u64;
            let hole = rustix::fs::seek(&fd, SeekFrom::Hole(0)).unwrap_or(size);
            let told = gap_told(&gaps, stat.st_ino).unwrap_or(size);
            let prefix = size.min(hole).min(told);
            if prefix < size {
                rustix::fs::ftruncate(&fd, prefix)?;
            }
            if prefix == 0 {
                rustix::fs::unlinkat(&folder, rel.name(), AtFlags::empty())?;
            }
        }
        for entry in rustix::fs::Dir::read_from(&gaps)? {
            let entry = entry?;
            if entry.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit) {
                rustix::fs::unlinkat(&gaps, entry.file_name(), AtFlags::empty())?;
            }
        }
        Ok(())
    }
}

fn gap_told(gaps: &OwnedFd, inode: u64) -> Option<u64> {
    let fd = rustix::fs::openat(gaps, inode.to_string(), OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; 20];
    let read = rustix::io::pread(fd, &mut text, 0).ok()?;
    // Created and not yet written: nothing is known to be there.
    Some(text.get(..read).and_then(|text| std::str::from_utf8(text).ok()).and_then(|text| text.parse().ok()).unwrap_or(0))
}
