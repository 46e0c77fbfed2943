//! Outside systems, in our words. An error says what messo does next.

pub mod circuit;
pub mod http;
pub mod mail;
pub mod pnd;
pub mod pt;
pub mod soap;

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
    /// Refused with a code that messo does not know, or for a fault of the call itself: parked, a person is told.
    #[error("refused for an unknown reason: {}", .0.codes())]
    Unclassified(Problem),
    /// The answer breaks the contract: a person is told.
    #[error("protocol: {what}")]
    Protocol { what: String },
}

/// Values of `what` that somebody decides on. Any other is for the log.
pub mod what {
    /// The day's requests are spent: nothing was sent.
    pub const QUOTA: &str = "quota";
    /// The remote asks to slow down (429).
    pub const THROTTLED: &str = "HTTP 429";
    /// How it begins when the certificate that the remote shows is not believed.
    pub const ITS_CERTIFICATE: &str = "its certificate: ";
    /// How it begins when the remote does not believe ours, or wants one.
    pub const OUR_CERTIFICATE: &str = "our certificate: ";
}

/// Whose certificate is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distrust {
    /// The remote's: expired, by nobody we know, of another name.
    Its,
    /// Ours: the remote says so while the connection is made.
    Ours,
}

impl ConnectorError {
    /// Whether it tells of a remote that is not well: what a [`circuit::Circuit`] counts.
    ///
    /// Throttling, quotas and refusals are answers of a healthy remote.
    pub fn is_outage(&self) -> bool {
        match self {
            ConnectorError::Temporary { what, .. } => what != what::QUOTA && what != what::THROTTLED,
            ConnectorError::Uncertain { .. } => true,
            _ => false,
        }
    }

    /// The certificate that is not believed, if that is why: nothing was said to the remote, and no waiting mends it.
    pub fn certificate(&self) -> Option<Distrust> {
        let (ConnectorError::Temporary { what, .. } | ConnectorError::Uncertain { what }) = self else { return None };
        // A voucher or token may have been asked for first.
        if what.contains(what::ITS_CERTIFICATE) {
            Some(Distrust::Its)
        } else if what.contains(what::OUR_CERTIFICATE) {
            Some(Distrust::Ours)
        } else {
            None
        }
    }

    /// How long the remote asked to wait, if it did.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ConnectorError::Temporary { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// What the remote said, if it said something.
    pub fn problem(&self) -> Option<&Problem> {
        match self {
            ConnectorError::Refused(problem)
            | ConnectorError::Sender(problem)
            | ConnectorError::NotFound(problem)
            | ConnectorError::Conflict(problem)
            | ConnectorError::Unclassified(problem) => Some(problem),
            ConnectorError::Temporary { .. } | ConnectorError::Uncertain { .. } | ConnectorError::Protocol { .. } => None,
        }
    }
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

    /// Whether one of its errors has this code.
    pub fn has(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }
}
