//! Reports about the data of one person. They never name the person.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::ids::{ActId, BatchId};

/// Where a search goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum PersonStage {
    /// The contents of acts.
    Contents { after: Option<ActId> },
    /// What SEND told.
    Told { after: i64 },
    /// The batch files in the archives.
    Files { after: Option<BatchId> },
}

/// Whether something can be deleted now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonVerdict {
    #[default]
    #[serde(rename = "CANCELLABILE")]
    Erasable,
    /// Not closed, or something is left to do: the law asks for its data.
    #[serde(rename = "APERTO")]
    Open,
    /// Closed for too short a time.
    #[serde(rename = "CONTESTABILE")]
    Contestable,
    /// Decided; acts of other people in the same batch are still on their way.
    #[serde(rename = "IN_ATTESA")]
    Waiting,
    #[serde(rename = "CANCELLATO")]
    Erased,
}

/// A page of a search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonPage {
    pub acts: Vec<PersonAct>,
    /// Batches whose file names the person.
    pub batches: Vec<PersonBatch>,
    /// Refused drops of the page that cannot be read: who is named in them nobody can say.
    #[serde(default)]
    pub unreadable: u64,
    /// `None`: that was all.
    pub next: Option<PersonStage>,
}

/// `messo person erase`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PersonReport {
    /// Keyed digest of the tax id: as the audit has it.
    pub person: String,
    pub acts: Vec<PersonAct>,
    pub batches: Vec<PersonBatch>,
    /// Acts whose data was deleted now.
    pub erased_acts: u64,
    /// Refused drops that cannot be read: who is named in them nobody can say.
    #[serde(default)]
    pub unreadable: u64,
    /// Deletions that are not written down outside of the data folder yet: a copy put back would not know of them.
    #[serde(default)]
    pub unnoted: u64,
}

/// An act that concerns the person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonAct {
    pub act: ActId,
    pub reference: String,
    pub source: String,
    pub sender: String,
    pub state: String,
    pub batch: BatchId,
    pub closed_at: Option<Timestamp>,
    /// From when on it can be deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    pub verdict: PersonVerdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Legal facts that are kept, up to their own term.
    pub legal_facts: u64,
}

/// A batch whose file names the person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PersonBatch {
    pub batch: BatchId,
    pub source: String,
    pub received_at: Timestamp,
    pub verdict: PersonVerdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Receipts and rejects in the folders of the gestionale, which may quote its rows.
    pub published: u64,
}
