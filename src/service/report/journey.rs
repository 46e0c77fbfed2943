//! Where a drop is: its way from the door to the last file about it, in order of time.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::FileEntry;
use crate::domain::ids::BatchId;

/// `messo where`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct WhereReport {
    /// What was asked.
    pub text: String,
    /// Each drop that it may mean, the newest first; none: never seen.
    pub journeys: Vec<Journey>,
    /// There are more than these.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
    /// When nothing was found: what is called most like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<NearName>,
}

impl WhereReport {
    /// Drops told.
    pub const MOST: usize = 10;
}

/// The way of one drop.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Journey {
    pub source: Option<String>,
    /// As the gestionale wrote it; `None` once deleted.
    pub name: Option<String>,
    pub batch: Option<BatchId>,
    pub sha256: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// In order of time; what has no time of its own comes last.
    pub steps: Vec<Step>,
}

/// A step of the way. Which fields are there depends on `kind`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub at: Option<Timestamp>,
    pub kind: StepKind,
    /// A code: state of a batch or act, outcome of an upload, kind of a job, alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Bytes, acts, jobs or copies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Where a file lies, below the gestionale's root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    /// Acts accepted and refused, for what was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FileEntry>,
}

/// What a step tells. The words are stable.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum StepKind {
    /// Seen at the SFTP door: `code` is `OK` or why not, `count` the bytes.
    #[default]
    #[serde(rename = "CARICATO_SFTP")]
    Uploaded,
    #[serde(rename = "RINOMINATO_SFTP")]
    Renamed,
    #[serde(rename = "TOLTO_SFTP")]
    Removed,
    /// By SFTP, not whole: `count` bytes so far.
    #[serde(rename = "CARICAMENTO_A_META")]
    Partial,
    /// In `in/` under a temporary name.
    #[serde(rename = "NOME_PROVVISORIO")]
    Temporary,
    /// In `in/`, not whole or not yet taken.
    #[serde(rename = "IN_ATTESA")]
    Waiting,
    /// A name that messo does not look at.
    #[serde(rename = "IGNORATO")]
    Ignored,
    /// Taken out of `in/`, on its way into the store.
    #[serde(rename = "PRESO")]
    Claimed,
    #[serde(rename = "RICEVUTO")]
    Received,
    #[serde(rename = "IN_LETTURA")]
    Reading,
    /// Read: `code` is the state of the receipt.
    #[serde(rename = "ESAMINATO")]
    Judged,
    /// The same bytes as `batch`.
    #[serde(rename = "DUPLICATO_DI")]
    DuplicateOf,
    /// `batch` came later with the same bytes.
    #[serde(rename = "ARRIVATO_DI_NUOVO")]
    Again,
    #[serde(rename = "RICEVUTA")]
    Receipt,
    #[serde(rename = "SCARTI")]
    Rejects,
    /// Its acts wait: `code` says why.
    #[serde(rename = "TRATTENUTO")]
    Held,
    /// `count` acts in the state `code`.
    #[serde(rename = "ATTI")]
    Acts,
    /// `count` jobs of the kind `code`, the first at `at`.
    #[serde(rename = "PROSSIMO_LAVORO")]
    Next,
    /// The last outcome files that speak of it.
    #[serde(rename = "ESITI")]
    Outcomes,
    #[serde(rename = "AVVISO")]
    Alert,
    #[serde(rename = "DATI_CANCELLATI")]
    Erased,
}

/// A name like the one that was asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearName {
    pub source: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
}
