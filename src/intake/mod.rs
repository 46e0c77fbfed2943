//! Where drops come from. Hands over a finished file and its sender; knows nothing of layouts or of the store.

mod alone;
pub mod arrivals;
pub mod claim;
pub mod companion;
mod hints;
pub mod names;
mod reported;
mod root;
pub mod scan;
pub mod settle;
pub mod sftp;
pub mod watch;

use std::path::PathBuf;

use jiff::Timestamp;

use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;

/// A whole file, claimed: moved out of `in/` under a name of ours, on the same file system, so that nobody else takes it
/// and the sender may use its name again at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    pub id: BatchId,
    /// Name of the gestionale.
    pub source: String,
    /// Where it lies now: `<root>/.messo/lavoro/<id>~<flow or ->~<P|->~<original name>`, so that a restart reads all this back.
    pub path: PathBuf,
    /// The name it was dropped under. May hold personal data: never logged.
    pub original_name: String,
    /// Sub-folder of `in/`: the flow.
    pub flow_hint: Option<String>,
    /// Dropped in `in/prova/`: receipt only, nothing sent.
    pub dry_run: bool,
    pub received_at: Timestamp,
    /// Digest told by a `.sha256` companion and already found equal, with which the archive need not be hashed for acceptance.
    pub companion: Option<Companion>,
    /// Digest of the bytes, computed by the SFTP door while they arrived and kept beside a file that nobody has changed since.
    pub arrived: Option<Sha256>,
}

/// What came beside the drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Companion {
    /// `.ok`: whole, nothing more.
    Ok,
    /// `.sha256`: checked by whoever reads the bytes.
    Sha256(Sha256),
    /// `.md5`, 16 bytes.
    Md5([u8; 16]),
    /// There was a digest, and what was kept of it at the claim can no longer be read: nobody can say that the drop is whole.
    Unreadable,
}
