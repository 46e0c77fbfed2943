//! SFTP version 3 (draft-ietf-secsh-filexfer-02) and OpenSSH's extensions: bytes to requests, answers to bytes. Touches nothing else.
//!
//! Strict where a mistake could hurt, forgiving where clients differ: bytes after the known fields are tolerated, absent ATTRS are
//! empty ones, a body that cannot be read is a request that is refused under its own number.

mod longname;
mod read;
mod replies;

use bytes::Bytes;

use super::home::{Attributes, OpenFlags, Refused};

pub use read::{ReadRequest, parse, parse_read};
pub use replies::{MAX_PAGE_BYTES, Page, Replies};

/// The only version spoken, as by OpenSSH.
pub const VERSION: u32 = 3;
/// Most bytes that one READ gives: OpenSSH's own ceiling (256 KiB less the overhead of its packets), told by `limits@openssh.com`.
pub const MAX_READ: u32 = 255 * 1024;
/// Most bytes that one WRITE is asked to bring; up to the packet ceiling more are taken.
pub const MAX_WRITE: u32 = 255 * 1024;
/// The packet length told by `limits@openssh.com`.
pub const MAX_PACKET: u32 = 256 * 1024;

/// What VERSION announces. `hardlink@openssh.com` is not among them: a client that sees it offers links, which are always refused.
pub const EXTENSIONS: &[(&str, &str)] = &[
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
    ("copy-data", "1"),
    ("home-directory", "1"),
    ("users-groups-by-id@openssh.com", "1"),
];

/// Packet types (section 3 of the draft).
pub mod kind {
    pub const INIT: u8 = 1;
    pub const VERSION: u8 = 2;
    pub const OPEN: u8 = 3;
    pub const CLOSE: u8 = 4;
    pub const READ: u8 = 5;
    pub const WRITE: u8 = 6;
    pub const LSTAT: u8 = 7;
    pub const FSTAT: u8 = 8;
    pub const SETSTAT: u8 = 9;
    pub const FSETSTAT: u8 = 10;
    pub const OPENDIR: u8 = 11;
    pub const READDIR: u8 = 12;
    pub const REMOVE: u8 = 13;
    pub const MKDIR: u8 = 14;
    pub const RMDIR: u8 = 15;
    pub const REALPATH: u8 = 16;
    pub const STAT: u8 = 17;
    pub const RENAME: u8 = 18;
    pub const READLINK: u8 = 19;
    pub const SYMLINK: u8 = 20;
    pub const STATUS: u8 = 101;
    pub const HANDLE: u8 = 102;
    pub const DATA: u8 = 103;
    pub const NAME: u8 = 104;
    pub const ATTRS: u8 = 105;
    pub const EXTENDED: u8 = 200;
    pub const EXTENDED_REPLY: u8 = 201;
}

/// An open file or folder of one session: four bytes on the wire, never used twice in a session, meaningless in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle(pub u32);

impl Handle {
    /// What a client sent that is no handle of ours.
    pub const NONE: Handle = Handle(0);
}

/// What a client asks for. Paths and payloads are slices of the bytes that came; nothing is copied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    Open {
        path: Bytes,
        flags: OpenFlags,
        attributes: Attributes,
    },
    Close {
        handle: Handle,
    },
    Read {
        handle: Handle,
        offset: u64,
        /// Not more than [`MAX_READ`].
        length: u32,
    },
    Write {
        handle: Handle,
        offset: u64,
        data: Bytes,
    },
    /// STAT and LSTAT: there are no links to follow.
    Stat {
        path: Bytes,
    },
    StatOpen {
        handle: Handle,
    },
    /// SETSTAT and `lsetstat@openssh.com`.
    SetStat {
        path: Bytes,
        attributes: Attributes,
    },
    SetStatOpen {
        handle: Handle,
        attributes: Attributes,
    },
    OpenFolder {
        path: Bytes,
    },
    ReadFolder {
        handle: Handle,
    },
    Remove {
        path: Bytes,
    },
    MakeFolder {
        path: Bytes,
    },
    RemoveFolder {
        path: Bytes,
    },
    RealPath {
        path: Bytes,
    },
    /// RENAME, or `posix-rename@openssh.com`, which replaces.
    Rename {
        from: Bytes,
        to: Bytes,
        replace: bool,
    },
    /// `fsync@openssh.com`.
    Sync {
        handle: Handle,
    },
    /// `statvfs@openssh.com`.
    Space {
        path: Bytes,
    },
    /// `fstatvfs@openssh.com`.
    SpaceOpen {
        handle: Handle,
    },
    /// `limits@openssh.com`.
    Limits,
    /// `users-groups-by-id@openssh.com`: how many ids of each were asked.
    Owners {
        users: u32,
        groups: u32,
    },
    /// `expand-path@openssh.com`.
    ExpandPath {
        path: Bytes,
    },
    /// `home-directory`.
    HomeFolder,
    /// `copy-data`; a `length` of 0 is up to the end.
    CopyData {
        from: Handle,
        from_offset: u64,
        length: u64,
        to: Handle,
        to_offset: u64,
    },
    /// A request that is answered with a refusal whatever the files: unknown, malformed, links.
    Refuse {
        operation: &'static str,
        why: Refused,
    },
}

impl Request {
    /// The operation, for the audit and the log.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Close { .. } => "close",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Stat { .. } => "stat",
            Self::StatOpen { .. } => "fstat",
            Self::SetStat { .. } => "setstat",
            Self::SetStatOpen { .. } => "fsetstat",
            Self::OpenFolder { .. } => "opendir",
            Self::ReadFolder { .. } => "readdir",
            Self::Remove { .. } => "remove",
            Self::MakeFolder { .. } => "mkdir",
            Self::RemoveFolder { .. } => "rmdir",
            Self::RealPath { .. } => "realpath",
            Self::Rename { replace: false, .. } => "rename",
            Self::Rename { replace: true, .. } => "posix-rename",
            Self::Sync { .. } => "fsync",
            Self::Space { .. } => "statvfs",
            Self::SpaceOpen { .. } => "fstatvfs",
            Self::Limits => "limits",
            Self::Owners { .. } => "users-groups-by-id",
            Self::ExpandPath { .. } => "expand-path",
            Self::HomeFolder => "home-directory",
            Self::CopyData { .. } => "copy-data",
            Self::Refuse { operation, .. } => operation,
        }
    }

    /// Bytes that the answer may take, so that no more work is given out than the client takes away.
    #[must_use]
    pub fn reply_bytes(&self) -> usize {
        match self {
            Self::Read { length, .. } => 13 + *length as usize,
            Self::ReadFolder { .. } => MAX_PAGE_BYTES,
            Self::RealPath { .. } | Self::ExpandPath { .. } => 2 * read::MAX_PATH + 64,
            Self::Owners { .. } => 16 * 1024,
            _ => 512,
        }
    }
}

/// A request and its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    pub id: u32,
    pub request: Request,
}
