//! The status of a day: what `messo report` prints and the nightly mail says.
//!
//! References, protocols, counts and ids; no names, no tax ids of citizens, no file names. Amounts are euro cents.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::ids::BatchId;

/// The day of one ente.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyReport {
    /// The Rome day told, 00:00 to 24:00.
    pub day: Date,
    /// Tax id of the ente.
    pub sender: String,
    pub denomination: String,
    /// `COLLAUDO` or `PRODUZIONE`.
    pub environment: String,
    /// Batches received in the day, oldest first; at most [`SHOWN`], `batches_total` counts all.
    pub batches: Vec<DailyBatch>,
    pub batches_total: u64,
    /// Acts of the ente by state, at the end of the day told (now, if it is not over).
    pub states: BTreeMap<String, u64>,
    /// Acts sent to SEND, accepted, completed, refused, cancelled in the day.
    pub sent: u64,
    pub accepted: u64,
    pub completed: u64,
    pub refused: u64,
    pub cancelled: u64,
    /// Why SEND refused in the day: code, how many.
    pub refusals: BTreeMap<String, u64>,
    /// Base fees and paper billed to the ente for what happened in the day.
    pub cost_cents: i64,
    /// Acts that need a person now: reason, how many.
    pub parked: BTreeMap<String, u64>,
    /// The acts that have stood still longest, oldest first; at most [`SHOWN`].
    pub oldest_stuck: Vec<DailyStuck>,
    /// Acts that wait to be sent, and the Rome day on which the last leaves at the quota of the ente.
    pub waiting: u64,
    pub last_send: Option<Date>,
    /// When the next act leaves.
    pub next_send: Option<Timestamp>,
    /// Troubles that are not over: code, since when, about what (ente, channel, gestionale).
    pub troubles: Vec<DailyTrouble>,
}

/// Longest list in a report.
pub const SHOWN: usize = 20;

/// A batch of the day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyBatch {
    pub batch: BatchId,
    pub source: String,
    pub flow: Option<String>,
    pub received_at: Timestamp,
    pub state: String,
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    pub duplicates: u64,
}

/// An act that stands still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyStuck {
    pub reference: String,
    pub protocol: Option<String>,
    pub source: String,
    pub state: String,
    /// Why: a code of `docs/codici.md`.
    pub code: Option<String>,
    pub since: Timestamp,
}

/// Something that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DailyTrouble {
    pub code: String,
    pub about: String,
    pub since: Timestamp,
}
