//! What the operators' commands answer, typed: the JSON of a command is exactly one of these, and so will be the portal's.
//!
//! References, protocols, IUN, codes and ids; never names, tax ids of citizens or addresses. Only a batch tells the name
//! of its file, as the gestionale wrote it. Instants are UTC, amounts euro cents. Fields may be added, never renamed.

mod door;
mod journey;
mod keeping;
mod person;
mod position;
mod rows;

pub use door::{AuditEntry, AuditReport, BanEntry, DefenderReport, OrderEntry, SealsEntry, SftpReport};
pub use journey::{Journey, NearName, Step, StepKind, WhereReport};
pub use keeping::{BackupReport, GapEntry, GapSection, RestoreReport, TrialReport, VerifyReport};
pub use person::{PersonAct, PersonBatch, PersonPage, PersonReport, PersonStage, PersonVerdict};
pub use position::{DaysEntry, PaymentEntry, PositionAct, PositionOrder, PositionReport, PositionStep};
pub(super) use rows::masked;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::alert::AlertKind;
use crate::domain::daily::{DailyReport, DailyTrouble};
use crate::domain::ids::{ActId, BatchId};
use crate::domain::outcome::OutcomeLine;
use crate::store::{MailOverview, PositionView};

/// `messo status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    pub version: String,
    /// Whether a hub answered; otherwise the command read the store itself.
    pub running: bool,
    /// Since when the hub runs.
    pub since: Option<Timestamp>,
    /// When this was true (business time).
    pub at: Timestamp,
    /// Acts by state.
    pub acts: BTreeMap<String, u64>,
    /// Acts that need a person, by reason.
    pub parked: BTreeMap<String, u64>,
    /// Batches by state.
    pub batches: BTreeMap<String, u64>,
    /// Batches whose own work (receipt, rejects, start) needs a person.
    pub parked_batches: Vec<BatchId>,
    /// Jobs by state.
    pub jobs: BTreeMap<String, u64>,
    /// The job that could run since the longest time.
    pub oldest_due: Option<Timestamp>,
    /// When the next waiting job is due.
    pub next_due: Option<Timestamp>,
    /// Keys under which nothing is sent until an operator resumes them.
    pub stopped_channels: Vec<StoppedChannel>,
    /// Last orders about keys.
    pub channel_orders: Vec<ChannelOrder>,
    /// What operators were told of and is not over.
    pub troubles: Vec<DailyTrouble>,
    /// What operators were told in the last seven days, newest first.
    pub alerts: Vec<AlertEntry>,
    /// Mails to operators.
    #[serde(default)]
    pub mail: MailOverview,
    /// Acts and batches that nothing will ever move: a fault of messo. At most a hundred of each kind.
    pub stuck: Vec<StuckEntry>,
    /// Batches whose new sends an operator has stopped.
    #[serde(default)]
    pub paused_batches: Vec<BatchId>,
    /// The store was put back from a copy and nothing new is sent until it is released.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<RestoreReport>,
    /// Debt positions that wait for a person; at most a hundred.
    #[serde(default)]
    pub parked_positions: Vec<PositionView>,
}

/// Something that waits for nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StuckEntry {
    /// `None`: the batch itself.
    pub act: Option<ActId>,
    pub batch: BatchId,
    pub state: String,
    /// What is missing: `SENZA_INVIO`, `LOTTO_NON_AVVIATO`, ...
    pub why: String,
}

/// A key that SEND refuses.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoppedChannel {
    /// `<tax id of the ente>/<id of the key>`.
    pub channel: String,
    pub code: String,
    pub since: Timestamp,
}

/// An order about a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChannelOrder {
    pub channel: String,
    #[serde(flatten)]
    pub entry: HistoryEntry,
}

/// Something that operators were told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEntry {
    pub at: Timestamp,
    pub code: String,
    pub source: Option<String>,
    pub sender: Option<String>,
    /// Ids and codes.
    pub about: String,
    /// The word of the configuration: `lotti`, `disco`, ...
    pub kind: AlertKind,
    /// `UNA_VOLTA`, `INIZIO` or `FINE`.
    pub phase: String,
    pub flow: Option<String>,
    pub batch: Option<BatchId>,
    /// Counts and codes.
    pub data: Option<serde_json::Value>,
}

/// `messo alerts`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertList {
    /// What is not over.
    pub troubles: Vec<DailyTrouble>,
    /// Newest first.
    pub alerts: Vec<AlertEntry>,
}

/// `messo report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportList {
    /// One for each ente.
    pub reports: Vec<DailyReport>,
    /// They were also handed over to be sent.
    pub queued: bool,
}

/// `messo batch list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchList {
    /// Newest first.
    pub batches: Vec<BatchEntry>,
}

/// One batch in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchEntry {
    pub id: BatchId,
    pub source: String,
    /// Of the file, as it was dropped.
    pub name: String,
    pub dry_run: bool,
    pub received_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    /// `RICEVUTO`, `IN_LETTURA`, or the state of the receipt.
    pub state: String,
    pub layout: Option<String>,
    pub flow: Option<String>,
    pub sender: Option<String>,
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
    pub warnings: u64,
    /// Bytes.
    pub size: u64,
    pub sha256: Option<String>,
    pub duplicate_of: Option<BatchId>,
    /// Why its acts wait for an operator.
    pub hold: Option<String>,
    /// When its last act will be sent under the ente's quota.
    pub forecast: Option<Timestamp>,
    /// When its personal data, its name and its file were deleted; the history says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
}

/// `messo batch show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchReport {
    pub batch: BatchEntry,
    /// Acts by state; `SOSPESO` are those that need a person.
    pub states: BTreeMap<String, u64>,
    /// The first acts, which go alone.
    pub guard: Option<GuardEntry>,
    /// Why acts of it are held now, and wait for an operator or for the first ones.
    pub held: Option<String>,
    /// Since when an operator has stopped its new sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Timestamp>,
    /// It was read from the kept archive of that batch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<BatchId>,
    /// Problems of the drop by code.
    pub problems: Vec<ProblemEntry>,
    pub history: Vec<HistoryEntry>,
    /// What happens next.
    pub jobs: Vec<JobEntry>,
    pub files: Vec<FileEntry>,
}

/// The first acts of a batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardEntry {
    pub first: u64,
    /// Without an answer of SEND so far.
    pub open: u64,
    pub refused: u64,
    pub max_refused_percent: u64,
}

/// Problems with one code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProblemEntry {
    pub code: String,
    pub severity: String,
    pub count: u64,
}

/// `messo act show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActReport {
    /// Newest first, at most [`ActReport::MOST`].
    pub acts: Vec<ActDetail>,
    /// Acts that were found beside those.
    pub others: Vec<ActEntry>,
}

impl ActReport {
    /// Acts told in full.
    pub const MOST: usize = 5;
}

/// One act in one submission.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActEntry {
    pub id: ActId,
    pub sender: String,
    pub source: String,
    pub reference: String,
    pub submission: u32,
    pub batch: BatchId,
    pub flow: String,
    /// Key under which it is sent.
    pub key: String,
    pub protocol: Option<String>,
    pub request_id: Option<String>,
    pub iun: Option<String>,
    pub state: String,
    /// Why it waits.
    pub hold: Option<String>,
    /// Why it needs a person.
    pub parked: Option<String>,
    /// The last unexpected thing about it.
    pub flag: Option<String>,
    /// How many they are.
    pub recipients: u32,
    pub notify_by: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub accepted_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    /// When its personal data was deleted; the history says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
}

/// An act with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ActDetail {
    pub act: ActEntry,
    /// State of its batch.
    pub batch_state: String,
    /// Its ente is stopped: why.
    pub channel_stopped: Option<String>,
    /// The key that SEND refused, to be resumed: `ente/key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_channel: Option<String>,
    pub recipients: Vec<RecipientEntry>,
    /// Debt positions of its notices, at configured PTs.
    #[serde(default)]
    pub positions: Vec<PositionView>,
    /// What the gestionale was last told: of the act, and of each recipient.
    pub last_lines: Vec<OutcomeLine>,
    /// What happens next.
    pub jobs: Vec<JobEntry>,
    pub legal_facts: Vec<LegalFactEntry>,
    /// Files that speak of it: outcome files, rejects, attestations.
    pub files: Vec<FileEntry>,
    pub history: Vec<HistoryEntry>,
}

/// A recipient by its index, from 0 in the order of the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecipientEntry {
    pub index: u32,
    pub completed_at: Option<Timestamp>,
    /// `VISIONE` or `DECORRENZA_TERMINI`.
    pub perfection: Option<String>,
    pub unreachable: bool,
    pub deceased: bool,
    /// Paper, cents, net of VAT.
    pub analog_cost: i64,
    /// What SEND adds to the citizen's payment, cents.
    pub citizen_cost: Option<i64>,
}

/// A legal fact.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LegalFactEntry {
    pub category: String,
    pub recipient: Option<u32>,
    /// `ANNUNCIATA` or `CONSERVATA`.
    pub state: String,
    pub name: Option<String>,
    pub happened_at: Timestamp,
}

/// A file that the gestionale may read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    pub kind: String,
    /// Below the gestionale's root.
    pub folder: String,
    pub name: String,
    pub published: bool,
}

/// Work that waits, runs or needs a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEntry {
    pub kind: String,
    /// `ATTESA`, `PRONTO`, `IN_CORSO`, `SOSPESO`.
    pub state: String,
    pub due_at: Timestamp,
    /// Failures so far.
    pub attempts: u32,
    /// Code of the last one.
    pub error: Option<String>,
}

/// One row of a history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub at: Timestamp,
    pub event: String,
    pub state: Option<String>,
    /// Who ordered it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// For what reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// Element of SEND's timeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub element: Option<String>,
}

/// An order that was carried out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderReport {
    pub order: OrderKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<ActId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// State of the act after the order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// A cancellation that waits until SEND has decided about the act.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
    /// Acts, jobs of a batch or channels concerned.
    pub count: u64,
    pub who: String,
    pub why: String,
    /// A hub is running: it works on it now; otherwise at its next start.
    pub running: bool,
}

/// The orders of an operator, as the history and the answers name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OrderKind {
    #[serde(rename = "RIPROVA")]
    Retry,
    #[serde(rename = "ANNULLA")]
    Cancel,
    #[serde(rename = "RILASCIA")]
    Release,
    #[serde(rename = "RIPROVA_LOTTO")]
    RetryBatch,
    #[serde(rename = "RILASCIA_LOTTO")]
    ReleaseBatch,
    #[serde(rename = "RIPRENDI_CANALE")]
    ResumeChannel,
    #[serde(rename = "FERMA_LOTTO")]
    PauseBatch,
    #[serde(rename = "RIPRENDI_LOTTO")]
    ResumeBatch,
    #[serde(rename = "RIELABORA_LOTTO")]
    ReplayBatch,
    #[serde(rename = "RILASCIA_RIPRISTINO")]
    ReleaseRestore,
}

/// `messo export`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExportReport {
    /// Files written.
    pub files: u64,
    /// Copies, below the folder of their gestionale; those that were there already too.
    pub copies: Vec<String>,
}

/// `messo publish`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RebuildReport {
    /// Files written.
    pub files: u64,
    /// Files that cannot be given again: the personal data they were made of was deleted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub erased: u64,
    /// When the last of it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_at: Option<Timestamp>,
    /// Where they are.
    pub folders: Vec<String>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
