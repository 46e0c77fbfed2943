//! Outside systems, in our words. An error says what messo does next.

pub mod pnd;

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Why a call did not give its answer, named by what follows.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConnectorError {
    /// Try again later: nothing was done, or doing it again does no harm. 429, 5xx, no connection.
    #[error("temporary ({what})")]
    Temporary { what: String, retry_after: Option<Duration> },
    /// The remote refuses the data: it goes into the esito and is never repeated unchanged.
    #[error("refused: {}", .0.codes())]
    Refused(Problem),
    /// The remote refuses the sender (key, voucher, group, quota): the ente stops, its acts are parked, a person is told.
    #[error("sender refused: {}", .0.codes())]
    Sender(Problem),
    /// Nobody knows whether it took effect: ask before repeating.
    #[error("uncertain ({what})")]
    Uncertain { what: String },
    /// The thing asked for is not there (yet).
    #[error("not found")]
    NotFound(Problem),
    /// Another live thing has the same key (409).
    #[error("conflict: {}", .0.codes())]
    Conflict(Problem),
    /// The answer breaks the contract: a person is told.
    #[error("protocol: {what}")]
    Protocol { what: String },
}

/// What a remote said of a refused call: codes and ids only are ever logged.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// For support tickets.
    pub trace_id: Option<String>,
    pub errors: Vec<ProblemError>,
}

/// One error of a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProblemError {
    pub code: String,
    pub element: Option<String>,
    /// May quote personal data: for the gestionale's esito, never for a log.
    pub detail: Option<String>,
}

impl Problem {
    /// The codes, for logs.
    pub fn codes(&self) -> String {
        let codes: Vec<&str> = self.errors.iter().map(|error| error.code.as_str()).collect();
        format!("{} {}", self.status, codes.join(","))
    }
}
