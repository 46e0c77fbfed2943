//! Why an archive was refused: one variant each, with the entry and the figures that the receipt quotes.

use std::io;

use super::names::NameFault;
use super::reader::EntryFault;
use crate::batch::problem::{Code, Problem};

/// Why an archive cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Not a ZIP, or one whose records cannot be read.
    #[error("not a ZIP archive: {0}")]
    Malformed(&'static str),
    /// Begins as a ZIP and does not end as one, or names bytes past its end.
    #[error("truncated archive: {0}")]
    Truncated(&'static str),
    /// One volume of several.
    #[error("split archive")]
    Split,
    #[error("encrypted entry `{entry}`")]
    Encrypted { entry: String },
    #[error("entry name `{entry}`: {fault}")]
    Name { entry: String, fault: NameFault },
    /// A symbolic link, device, pipe or socket.
    #[error("entry `{entry}` is not a file")]
    Link { entry: String },
    /// Two files that a Windows or a Mac would take for one, or a file named as a folder.
    #[error("entries `{entry}` and `{other}` have one name")]
    DuplicateName { entry: String, other: String },
    #[error("{found} entries, at most {max}")]
    TooManyEntries { found: u64, max: u64 },
    #[error("entry `{entry}` of {found} bytes, at most {max}")]
    EntryTooBig { entry: String, found: u64, max: u64 },
    #[error("{found} bytes in all, at most {max}")]
    TooBig { found: u64, max: u64 },
    /// `entry` is `None` for the whole.
    #[error("inflates {found} times, at most {max}")]
    Ratio { entry: Option<String>, found: u64, max: u64 },
    #[error("entry `{entry}` is compressed by method {method}")]
    Method { entry: String, method: u16 },
    /// The local header says something else than the central directory.
    #[error("entry `{entry}`: local header and central directory disagree on the {what}")]
    Disagrees { entry: String, what: Disagreement },
    #[error("entries `{entry}` and `{other}` overlap")]
    Overlap { entry: String, other: String },
    /// The bytes of an entry are not what the directory declares.
    #[error("entry `{entry}`: {fault}")]
    Content { entry: String, fault: EntryFault },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// On what two headers of one entry disagree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disagreement {
    Name,
    Method,
    Encryption,
    Size,
    Crc,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Disagreement::Name => "name",
            Disagreement::Method => "method",
            Disagreement::Encryption => "encryption",
            Disagreement::Size => "size",
            Disagreement::Crc => "CRC",
        })
    }
}

impl ArchiveError {
    /// The code printed in the receipt.
    pub fn code(&self) -> Code {
        match self {
            ArchiveError::Malformed(_) | ArchiveError::Split | ArchiveError::Disagrees { .. } => Code::NotAnArchive,
            ArchiveError::Truncated(_) => Code::ArchiveTruncated,
            ArchiveError::Encrypted { .. } => Code::ArchiveEncrypted,
            ArchiveError::Name { .. } => Code::ArchiveName,
            ArchiveError::Link { .. } => Code::ArchiveLink,
            ArchiveError::DuplicateName { .. } => Code::ArchiveDuplicateName,
            ArchiveError::TooManyEntries { .. } => Code::ArchiveTooManyEntries,
            ArchiveError::EntryTooBig { .. } => Code::ArchiveEntryTooBig,
            ArchiveError::TooBig { .. } => Code::ArchiveTooBig,
            ArchiveError::Ratio { .. } => Code::ArchiveRatio,
            ArchiveError::Method { .. } => Code::ArchiveMethod,
            ArchiveError::Overlap { .. } => Code::ArchiveOverlap,
            ArchiveError::Content { .. } => Code::ArchiveCrc,
            ArchiveError::Io(_) => Code::InternalError,
        }
    }

    /// The entry it is about, if one.
    pub fn entry(&self) -> Option<&str> {
        match self {
            ArchiveError::Encrypted { entry }
            | ArchiveError::Name { entry, .. }
            | ArchiveError::Link { entry }
            | ArchiveError::DuplicateName { entry, .. }
            | ArchiveError::EntryTooBig { entry, .. }
            | ArchiveError::Method { entry, .. }
            | ArchiveError::Disagrees { entry, .. }
            | ArchiveError::Overlap { entry, .. }
            | ArchiveError::Content { entry, .. } => Some(entry),
            ArchiveError::Ratio { entry, .. } => entry.as_deref(),
            _ => None,
        }
    }

    /// What was found and what the limit is, where there is one.
    pub fn figures(&self) -> (Option<String>, Option<String>) {
        match self {
            ArchiveError::TooManyEntries { found, max }
            | ArchiveError::EntryTooBig { found, max, .. }
            | ArchiveError::TooBig { found, max } => (Some(found.to_string()), Some(max.to_string())),
            ArchiveError::Ratio { found, max, .. } => (Some(format!("{found}:1")), Some(format!("{max}:1"))),
            ArchiveError::DuplicateName { other, .. } | ArchiveError::Overlap { other, .. } => (Some(other.clone()), None),
            ArchiveError::Name { entry, .. } => (Some(entry.clone()), None),
            ArchiveError::Method { method, .. } => (Some(method.to_string()), Some("0, 8".to_owned())),
            _ => (None, None),
        }
    }

    /// The problem that the receipt of `drop_name` prints.
    pub fn problem(&self, drop_name: &str) -> Problem {
        let mut problem = Problem::of_drop(crate::batch::problem::excerpt(self.entry().unwrap_or(drop_name)), self.code());
        let (found, expected) = self.figures();
        if let Some(found) = found {
            problem = problem.found(found);
        }
        problem.expected = expected;
        problem
    }

    /// Whether the fault is of this machine and not of the archive: try again, write no receipt.
    pub fn is_ours(&self) -> bool {
        matches!(self, ArchiveError::Io(_))
    }
}
