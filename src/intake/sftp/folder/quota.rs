//! How much waits in `in/`, and whether there is room for more: in the account's quota, and on the disk.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Usage;
use super::beneath::refused;
use super::desk::Desk;
use super::path::{INBOX, Rel};
use super::shared::{STAGING, Shared};
use crate::clock::monotonic;
use crate::intake::arrivals::Arrived;
use crate::intake::scan;
use crate::intake::sftp::home::Refused;

#[derive(Default)]
pub struct Count {
    bytes: AtomicU64,
    files: AtomicU64,
}

impl Shared {
    /// What waits now, counted again when that was long ago: the hub takes files without saying so.
    pub fn usage(&self) -> Usage {
        let mut desk = self.lock();
        if desk.counted.is_none_or(|(at, took)| at.elapsed() > Duration::from_secs(5) + took * 20) {
            // An old number is better than none.
            let _ = self.count(&mut desk);
        }
        drop(desk);
        self.sum()
    }

    fn sum(&self) -> Usage {
        let of = |settled: &AtomicU64, open: &AtomicU64| settled.load(Ordering::Relaxed).saturating_add(open.load(Ordering::Relaxed));
        Usage { bytes: of(&self.settled.bytes, &self.open.bytes), files: of(&self.settled.files, &self.open.files) }
    }

    /// Room for more bytes of an open file.
    pub(super) fn grow(&self, bytes: u64) -> Result<(), Refused> {
        if bytes == 0 {
            return Ok(());
        }
        self.open.bytes.fetch_add(bytes, Ordering::Relaxed);
        let most = self.limits().quota_bytes;
        if self.sum().bytes <= most {
            return Ok(());
        }
        self.count_again();
        if self.sum().bytes <= most {
            return Ok(());
        }
        self.shrink(bytes);
        Err(Refused::QuotaBytes)
    }

    pub(super) fn shrink(&self, bytes: u64) {
        less(&self.open.bytes, bytes);
    }

    /// Room for one more file or folder.
    pub(super) fn check_files(&self, desk: &mut Desk) -> Result<(), Refused> {
        let most = self.limits().quota_files;
        if self.sum().files < most {
            return Ok(());
        }
        self.count_if_due(desk);
        if self.sum().files < most { Ok(()) } else { Err(Refused::QuotaFiles) }
    }

    /// A file is opened to be written: `size` bytes of it were there.
    pub(super) fn opened(&self, was_there: Option<u64>) {
        self.open.files.fetch_add(1, Ordering::Relaxed);
        if let Some(size) = was_there {
            self.removed(size);
            self.open.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// A file that was open is left with `size` bytes; `None`: it is gone.
    pub(super) fn ended(&self, size: u64, stays: bool) {
        less(&self.open.files, 1);
        less(&self.open.bytes, size);
        if stays {
            self.settled.files.fetch_add(1, Ordering::Relaxed);
            self.settled.bytes.fetch_add(size, Ordering::Relaxed);
        }
    }

    /// A file that nobody writes is gone.
    pub(super) fn removed(&self, size: u64) {
        less(&self.settled.files, 1);
        less(&self.settled.bytes, size);
    }

    pub(super) fn folder_made(&self) {
        self.settled.files.fetch_add(1, Ordering::Relaxed);
    }

    fn count_again(&self) {
        let mut desk = self.lock();
        self.count_if_due(&mut desk);
    }

    /// A quota that seems full may be so no more: the hub takes files without saying so.
    fn count_if_due(&self, desk: &mut Desk) {
        if desk.counted.is_none_or(|(at, took)| at.elapsed() > Duration::from_millis(200) + took * 20) {
            // What cannot be counted stays refused.
            let _ = self.count(desk);
        }
    }

    pub(super) fn count(&self, desk: &mut Desk) -> io::Result<()> {
        let begin = monotonic();
        let (mut bytes, mut files) = (0, 0);
        for top in [INBOX, STAGING] {
            let listing = scan::list_below(&self.beneath.folder(top)?)?;
            if top == INBOX {
                files += (listing.folders.len() as u64).saturating_sub(self.ours.load(Ordering::Relaxed));
            }
            for (file, stamp) in &listing.files {
                let rel = file.to_str().map(Rel::new);
                if top == STAGING && rel.as_ref().is_some_and(|rel| desk.uploads.contains_key(rel)) {
                    continue;
                }
                bytes += stamp.size;
                files += 1;
                if desk.counted.is_none()
                    && let Some(rel) = rel
                {
                    // At the start: what waits is known, so that a name that differs only by case is refused.
                    desk.know(rel, Arrived { inode: 0, size: stamp.size, mtime: stamp.mtime, sha256: None }, self.settings.grace);
                }
            }
        }
        self.settled.bytes.store(bytes, Ordering::Relaxed);
        self.settled.files.store(files, Ordering::Relaxed);
        desk.counted = Some((monotonic(), begin.elapsed()));
        Ok(())
    }

    /// Free bytes and nodes of the disk, and all of it.
    pub(super) fn disk(&self) -> Result<rustix::fs::StatVfs, Refused> {
        rustix::fs::fstatvfs(self.beneath.root().map_err(refused)?).map_err(refused)
    }

    pub(super) fn check_reserve(&self) -> Result<(), Refused> {
        let reserve = self.limits().disk_reserve;
        if reserve == 0 {
            return Ok(());
        }
        let disk = self.disk()?;
        if disk.f_bavail.saturating_mul(disk.f_frsize) < reserve { Err(Refused::DiskReserve) } else { Ok(()) }
    }
}

fn less(count: &AtomicU64, by: u64) {
    // Never below zero: what was counted may be gone before it is taken off.
    let _ = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| Some(now.saturating_sub(by)));
}

/// How many bytes a client may still send, and nodes: the smaller of its quota and the disk.
pub fn room(quota: u64, used: u64, free: u64) -> u64 {
    quota.saturating_sub(used).min(free)
}
