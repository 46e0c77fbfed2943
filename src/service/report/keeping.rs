//! What the commands about copies and restores answer.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::Gap;

/// `messo mail test`, `messo pt list`, `messo pt try`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialReport {
    /// Italian, in the order in which they were known.
    pub lines: Vec<String>,
    /// Whether it went as it should.
    pub good: bool,
}

/// `messo backup DIR`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BackupReport {
    /// The folder of all copies.
    pub dir: String,
    /// Name of this copy in it.
    pub name: String,
    /// The instant that the copy is of.
    pub at: Timestamp,
    /// Files of the copy, and their bytes.
    pub files: u64,
    pub bytes: u64,
    /// Archives and attestations that no copy there had, and their bytes.
    pub new_files: u64,
    pub new_bytes: u64,
    /// Archives or attestations named and not there: removed by the retention of the ente.
    pub missing: u64,
    /// Attestations whose bytes are not what was downloaded.
    pub damaged: u64,
    pub batches: u64,
    pub acts: u64,
    /// Acts that are not final.
    pub open_acts: u64,
    /// Older copies that were removed.
    pub removed: Vec<String>,
    /// How long it took, real time.
    pub seconds: f64,
}

/// `messo backup --verify DIR`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    pub dir: String,
    pub name: String,
    pub at: Timestamp,
    /// Version of messo that made it.
    pub version: String,
    pub files: u64,
    pub bytes: u64,
    pub missing: u64,
    pub damaged: u64,
    pub batches: u64,
    pub acts: u64,
    pub open_acts: u64,
    /// Files that are not as the manifest says.
    pub faults: u64,
    /// The first of them.
    pub named: Vec<String>,
}

/// `messo restore DIR` and `messo restore show`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// False: this store was never restored, and the rest says nothing.
    pub restored: bool,
    /// Name of the copy.
    pub backup: String,
    pub copied_at: Option<Timestamp>,
    pub restored_at: Option<Timestamp>,
    /// Nothing new is sent.
    pub held: bool,
    pub released_at: Option<Timestamp>,
    pub released_by: Option<String>,
    pub released_why: Option<String>,
    /// Acts not final that SEND is still to be asked about, and those among them that wait for a person.
    pub open: u64,
    pub parked: u64,
    /// Closed acts whose late facts are still to be read.
    pub late: u64,
    /// What came after the copy, by kind.
    pub gaps: Vec<GapSection>,
}

/// Gaps of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapSection {
    /// `NUMERI`, `LOTTO`, `ATTO`, `EVENTO`, `DEPOSITO`, `CANCELLAZIONE`.
    pub kind: String,
    pub count: u64,
    /// Not known again so far.
    pub open: u64,
    /// The first thousand.
    pub named: Vec<GapEntry>,
}

/// Something that came after the copy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GapEntry {
    /// Gestionale; of an event, `ente/key`.
    pub source: String,
    /// Id of a drop, reference, request, folder; of a deletion, the id of its act or batch.
    pub about: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iun: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Numbers, codes, instants.
    pub data: serde_json::Value,
    /// Whether it is known or done again; of numbers, and of deletions of what is not here, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovered: Option<bool>,
}

impl From<Gap> for GapEntry {
    fn from(gap: Gap) -> Self {
        GapEntry {
            source: gap.source,
            about: gap.about,
            sender: gap.sender,
            iun: gap.iun,
            sha256: gap.sha256.map(|sha256| sha256.to_hex()),
            data: gap.data,
            recovered: gap.recovered,
        }
    }
}
