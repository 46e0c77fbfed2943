//! Reports about the SFTP door.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::intake::sftp::server::defender::Ban;
use crate::store::{DoorBan, DoorEvent};

/// `messo audit`. The only report with names of files as senders wrote them: it is for whoever answers for the data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditReport {
    /// Newest first.
    pub events: Vec<AuditEntry>,
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
