//! What the executor tells of a session, for the audit: what happened, never whose it is. What of it is kept is the caller's to decide.

use super::home::Refused;

/// Something worth an audit line. Paths are what the client sent: they may hold personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen<'a> {
    /// A file opened for writing was closed or dropped. `bytes`: taken by WRITE and `copy-data`, also when written twice.
    /// `whole`: closed by the client without an error and without a range missing between what was there at OPEN and its end.
    /// Only the home, which knows earlier uploads, decides what is taken.
    Uploaded { path: &'a [u8], bytes: u64, whole: bool },
    /// A file opened for reading was closed or dropped after at least one READ. `whole`: every byte was given at least once.
    Downloaded { path: &'a [u8], bytes: u64, whole: bool },
    /// A file or folder was deleted.
    Removed { path: &'a [u8] },
    /// A folder was made.
    FolderMade { path: &'a [u8] },
    /// A file or folder changed its name.
    Renamed { from: &'a [u8], to: &'a [u8] },
    /// A request was refused. `path` when it had one. A client that probes is refused often ([`Refused::NotFound`] of a STAT is
    /// everyday life), and a hostile one thousands of times a second: what counts is the caller's choice.
    Refused { operation: &'static str, path: Option<&'a [u8]>, why: Refused },
}

/// Hears what happens in a session, on its worker: it must not block for long.
pub trait Witness: Send + Sync {
    fn saw(&self, seen: Seen<'_>);
}

/// Hears nothing.
pub struct Nobody;

impl Witness for Nobody {
    fn saw(&self, _: Seen<'_>) {}
}
