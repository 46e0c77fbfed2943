//! What can happen to a `notifica`: facts from outside, never illegal, and orders, which can be refused.

use jiff::Timestamp;

use super::timeline::Summary;
use crate::domain::outcome::PositionTold;
use crate::domain::send::{RefusalReason, TimelineElement};

/// A fact. SEND sends late, corrected and unknown elements: every fact yields a step, at worst a flag.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The stage before upload is done.
    Prepared,
    /// A notice and what its PT says of it do not agree, and the flow lets the act go on.
    Remarked { recipient: u32, told: PositionTold, code: &'static str },
    /// The same, and the flow does not: nothing of the act goes to SEND.
    NotPayable { recipient: u32, notice: String, code: &'static str, at: Timestamp },
    /// Every file is at SEND, fresh.
    Uploaded,
    /// SEND no longer has the files, or not long enough.
    UploadsStale,
    /// 202, or found by token.
    Taken { request_id: String },
    /// 400 about the row.
    NotTaken { reasons: Vec<RefusalReason>, at: Timestamp },
    /// Request status or stream: accepted. `at` is the legal date, known only from the element that tells it.
    Accepted { request_id: Option<String>, iun: String, at: Option<Timestamp> },
    /// Request status or stream: refused. `cost` is known only from the element that tells it.
    Refused { reasons: Vec<RefusalReason>, at: Timestamp, cost: Option<i64> },
    /// A timeline element not seen before, with what the timeline said before and says now.
    Element { element: Box<TimelineElement>, before: Summary, after: Summary },
    /// The price of a recipient's notices was read (sum, cents). `paper`: what was known of its paper when SEND was asked (cents, net of
    /// VAT); `None`: what is known now.
    PriceKnown { recipient: u32, total: i64, paper: Option<i64> },
    /// A legal fact is on disk under that name of `attestazioni/`.
    LegalFactStored { recipient: Option<u32>, name: String, at: Timestamp },
    /// The act this one replaces is cancelled.
    PredecessorCancelled,
    /// SEND answered that there is nothing to cancel: the notification was refused.
    NothingToCancel,
    /// SEND has no request of that act: an order to cancel it, given after a POST of unknown outcome, is carried out.
    NeverArrived,
}

impl Fact {
    /// Name for history and flags.
    pub fn name(&self) -> String {
        match self {
            Fact::Prepared => "PREPARATO".to_owned(),
            Fact::Remarked { .. } => "VERIFICA_AVVISO".to_owned(),
            Fact::NotPayable { .. } => "AVVISO_NON_PAGABILE".to_owned(),
            Fact::Uploaded => "CARICATO".to_owned(),
            Fact::UploadsStale => "CARICAMENTO_SCADUTO".to_owned(),
            Fact::Taken { .. } => "PRESO_DA_SEND".to_owned(),
            Fact::NotTaken { .. } => "RESPINTO_DA_SEND".to_owned(),
            Fact::Accepted { .. } => "REQUEST_ACCEPTED".to_owned(),
            Fact::Refused { .. } => "REQUEST_REFUSED".to_owned(),
            Fact::Element { element, .. } => element.category.clone(),
            Fact::PriceKnown { .. } => "COSTO".to_owned(),
            Fact::LegalFactStored { .. } => "ATTESTAZIONE".to_owned(),
            Fact::PredecessorCancelled => "PRECEDENTE_ANNULLATO".to_owned(),
            Fact::NothingToCancel => "NIENTE_DA_ANNULLARE".to_owned(),
            Fact::NeverArrived => "MAI_ARRIVATO_A_SEND".to_owned(),
        }
    }
}

/// What a gestionale or an operator orders about one act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Its content was changed in the batch.
    Modify,
    Cancel,
    /// Let it go although it is held.
    Release,
}

/// Why an order cannot be carried out now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderRefused {
    /// Something of it reached SEND: only cancel or replace.
    #[error("already sent")]
    AlreadySent,
    /// The request is at SEND without IUN: cancel again after acceptance.
    #[error("no IUN yet")]
    NoIunYet,
    /// Refused, cancelled or withdrawn.
    #[error("closed")]
    Closed,
    /// Not held.
    #[error("not held")]
    NotHeld,
    /// No notice of it is followed at a PT.
    #[error("no position")]
    NoPosition,
    /// The days of payment are not suspended.
    #[error("not suspended")]
    NotStopped,
    /// A suspension that ends before it begins.
    #[error("days")]
    Days,
}
