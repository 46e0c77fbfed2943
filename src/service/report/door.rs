//! Reports about the SFTP door.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::intake::sftp::server::defender::Ban;
use crate::store::{DoorBan, DoorEvent, OrderEvent};

/// `messo audit`. With `messo where`, the only report with names of files as senders wrote them: for whoever answers for the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// At the SFTP door, newest first.
    pub events: Vec<AuditEntry>,
    /// Orders of operators, newest first.
    #[serde(default)]
    pub orders: Vec<OrderEntry>,
    /// Whether the orders are as they were written, when that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seals: Option<SealsEntry>,
}

/// An order of an operator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderEntry {
    pub id: i64,
    pub at: Timestamp,
    pub who: String,
    /// `retry_act`, `release_batch`, ...
    pub command: String,
    /// Its arguments: references, ids, codes; a tax id only as keyed digest.
    pub about: serde_json::Value,
    pub why: Option<String>,
    /// `OK`, or a code; `None`: under way, or interrupted.
    pub outcome: Option<String>,
}

/// What the check of the books says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealsEntry {
    pub rows: u64,
    /// The first row that does not fit the one before it.
    pub broken: Option<i64>,
}

impl From<OrderEvent> for OrderEntry {
    fn from(event: OrderEvent) -> Self {
        let OrderEvent { id, at, line, outcome, .. } = event;
        let about = serde_json::from_str(&line.about).unwrap_or_default();
        OrderEntry { id, at, who: line.who, command: line.command, about, why: line.why, outcome }
    }
}

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditEntry {
    pub at: Timestamp,
    /// `ACCESSO`, `ACCESSO_RIFIUTATO`, `CARICAMENTO`, `SCARICAMENTO`, `CANCELLAZIONE`, `RINOMINA`, ...
    pub act: String,
    /// Name of the gestionale.
    pub account: Option<String>,
    pub address: String,
    /// What the client calls itself.
    pub client: Option<String>,
    pub name: Option<String>,
    /// New name.
    pub target: Option<String>,
    pub bytes: Option<u64>,
    pub sha256: Option<String>,
    /// `OK`, or a code.
    pub outcome: String,
}

impl From<DoorEvent> for AuditEntry {
    fn from(event: DoorEvent) -> Self {
        let DoorEvent { at, act, account, address, client, name, target, bytes, sha256, outcome } = event;
        AuditEntry { at, act, account, address, client, name, target, bytes, sha256: sha256.map(|digest| digest.to_hex()), outcome }
    }
}

/// `messo defender list`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DefenderReport {
    /// The longest first.
    pub bans: Vec<BanEntry>,
}

/// A banned address. Real time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BanEntry {
    pub address: String,
    pub since: Timestamp,
    pub until: Timestamp,
    /// Bans of that address so far.
    pub times: u32,
}

impl From<Ban> for BanEntry {
    fn from(ban: Ban) -> Self {
        BanEntry { address: ban.address, since: ban.since, until: ban.until, times: ban.times }
    }
}

impl From<DoorBan> for BanEntry {
    fn from(ban: DoorBan) -> Self {
        BanEntry { address: ban.address, since: ban.since, until: ban.until, times: ban.times }
    }
}

/// `messo sftp status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SftpReport {
    pub listening: Vec<String>,
    /// Algorithm and fingerprint of each host key.
    pub keys: Vec<String>,
    /// Open sockets.
    pub connections: usize,
    /// Of which not logged in.
    pub strangers: usize,
    /// Of which logged in.
    pub sessions: usize,
    /// SFTP channels.
    pub channels: usize,
    /// Channels at work at that moment.
    pub workers: usize,
}
