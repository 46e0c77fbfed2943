//! What `messo posizione` answers. No names, no tax ids of citizens; amounts in cents, days of Rome.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{HistoryEntry, JobEntry};
use crate::domain::ids::ActId;
use crate::domain::money::Cents;
use crate::store::PositionView;

/// `messo posizione show`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionReport {
    pub position: PositionView,
    /// What is due today, line by line, in Italian; or why there is no sum.
    pub breakdown: Vec<String>,
    /// What each day to come changes it to, as far as it is known: (from, total).
    pub payments: Vec<PaymentEntry>,
    pub suspensions: Vec<DaysEntry>,
    /// Acts that name it, the newest first.
    pub acts: Vec<PositionAct>,
    /// What happens next.
    pub jobs: Vec<JobEntry>,
    pub history: Vec<PositionStep>,
}

/// A payment that a PT told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentEntry {
    pub paid_at: Timestamp,
    pub amount: Cents,
    pub receipt: Option<String>,
    /// The position is wholly paid by it.
    pub whole: bool,
}

/// Days that do not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DaysEntry {
    pub from: Date,
    pub until: Option<Date>,
}

/// An act that names a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionAct {
    pub id: ActId,
    pub reference: String,
    pub state: String,
}

/// One step of a position's history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionStep {
    #[serde(flatten)]
    pub entry: HistoryEntry,
    /// Amounts, days, words: what the step was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<serde_json::Value>,
}

/// What an order about positions brought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PositionOrder {
    /// `RIPRENDI`, `SOSPENDI`, `RIPRENDI_TERMINI`.
    pub order: String,
    pub position: PositionView,
    pub who: String,
    pub why: String,
    /// A hub is running: it works on it now; otherwise at its next start.
    pub running: bool,
}
