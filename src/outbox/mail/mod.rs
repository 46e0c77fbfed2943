//! What mails to operators say: subject, text and HTML of one letter, from values alone.
//!
//! No personal data: references, protocols, ids, counts and codes. A name of a file is masked; an address that mails do not reach
//! keeps its initial and its domain. [`templates`] renders, [`view`] is all that a template sees.

pub mod sample;
pub mod templates;
pub mod view;

pub use templates::{TemplateFault, Templates};

use jiff::Timestamp;

use crate::domain::alert::AlertKind;
use crate::domain::daily::DailyReport;
use crate::domain::ids::{ActId, BatchId};

/// What is to be told.
#[derive(Debug, Clone)]
pub struct Letter {
    /// Name of the installation.
    pub installation: String,
    /// The ente it is about; `None`: the installation itself.
    pub institution: Option<Institution>,
    pub kind: AlertKind,
    pub written_at: Timestamp,
    pub content: Content,
}

/// An ente.
#[derive(Debug, Clone)]
pub struct Institution {
    pub tax_id: String,
    pub denomination: String,
    /// `COLLAUDO` or `PRODUZIONE`.
    pub environment: String,
}

/// What a letter holds.
#[derive(Debug, Clone)]
pub enum Content {
    One(Notice),
    Digest(Vec<Group>),
    Report(Box<DailyReport>, Vec<Unreached>),
    /// `messo mail test`.
    Proof,
}

/// One alert.
#[derive(Debug, Clone)]
pub struct Notice {
    pub code: String,
    pub at: Timestamp,
    pub source: Option<String>,
    pub flow: Option<String>,
    pub batch: Option<BatchId>,
    pub act: Option<ActId>,
    pub reference: Option<String>,
    pub protocol: Option<String>,
    pub about: String,
    /// Counts and codes.
    pub data: serde_json::Value,
}

/// Alerts of one code.
#[derive(Debug, Clone)]
pub struct Group {
    pub code: String,
    pub alerts: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    /// The first of them.
    pub notices: Vec<Notice>,
}

/// An address that mails do not reach.
#[derive(Debug, Clone)]
pub struct Unreached {
    pub recipient: String,
    /// `DESTINATARIO 550`.
    pub error: String,
    pub at: Timestamp,
}

/// A letter as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    pub subject: String,
    pub text: String,
    pub html: String,
}

#[cfg(test)]
mod tests;
