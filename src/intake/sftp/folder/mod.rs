//! The home of one account as folders on disk: those of a gestionale and nothing else.
//!
//! An upload is written in `.messo/arrivo`, a tree like `in/`, and shown as if it lay in `in/`. **Where a file lies says what it
//! is**: in `.messo/arrivo` it is not whole, in `in/` it is; one rename, after the bytes are on the disk, makes the difference, so
//! that a restart has nothing to remember. Opening a file of `in/` to write takes it back, unless the hub has taken it: of the two
//! renames one wins. What the hub took is shown for a while longer, because clients look after they put.

mod beneath;
mod changes;
mod desk;
mod flush;
mod gaps;
mod handle;
mod inbox;
mod listing;
mod path;
mod published;
mod quota;
mod ranges;
mod session;
mod shared;
#[cfg(test)]
mod tests;
mod upload;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

pub use self::session::FolderHome;
pub use self::shared::{STAGING, Shared};
use crate::domain::digest::Sha256;
use crate::intake::arrivals::Arrivals;

/// How one root is served. All times are real.
pub struct Settings {
    /// The gestionale's root: `in/` and the published folders lie in it.
    pub root: PathBuf,
    pub limits: Limits,
    /// Files and folders are on the disk before CLOSE is answered.
    pub fsync: bool,
    /// SHA-256 of what arrives, computed while it arrives.
    pub hash: bool,
    /// How long a file that the hub took is still shown after its last change by a client: 10 minutes.
    pub grace: Duration,
    /// A file that another session holds open and has not written to for this long may be taken over (the client lost its
    /// connection and nobody noticed yet): 30 seconds.
    pub takeover: Duration,
    /// Partial uploads are removed after this long without a change: 7 days. They are told of long before, by the watcher.
    pub partials_kept: Duration,
    /// The same as in the [`crate::intake::watch::Root`] of this root.
    pub arrivals: Arc<Arrivals>,
}

/// What may be changed while sessions go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes waiting in `in/`, partial ones too.
    pub quota_bytes: u64,
    /// Files and folders waiting in `in/`, partial ones too.
    pub quota_files: u64,
    /// Bytes of one file, by offset.
    pub largest_file: u64,
    /// Bytes that stay free on the disk: under them nothing is taken.
    pub disk_reserve: u64,
    /// Published files may be deleted, renamed, and moved into sub-folders of their folder.
    pub may_delete_published: bool,
}

/// What was done, for the audit. Called on the session's worker: it must not wait for anything.
pub trait Witness: Send + Sync {
    fn saw(&self, deed: &Deed<'_>);
}

/// Something that an auditor wants to know. Paths are canonical (`/in/lotto.zip`) and may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed<'a> {
    /// Whole, and safe on the disk when so configured.
    Uploaded {
        path: &'a str,
        size: u64,
        sha256: Option<Sha256>,
    },
    /// Closed with a hole, or not closed: kept to be resumed up to `size`.
    Interrupted {
        path: &'a str,
        size: u64,
    },
    /// Read and closed; `bytes` were read, `size` is the file.
    Downloaded {
        path: &'a str,
        bytes: u64,
        size: u64,
    },
    Removed {
        path: &'a str,
    },
    Renamed {
        from: &'a str,
        to: &'a str,
    },
    FolderMade {
        path: &'a str,
    },
    FolderRemoved {
        path: &'a str,
    },
}

/// What waits in `in/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub files: u64,
}
