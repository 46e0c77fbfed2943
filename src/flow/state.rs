//! The states of a `notifica`: one act in one submission. States own their data, so an impossible mix cannot be written.

use serde::{Deserialize, Serialize};

use crate::domain::act::vocabulary;

/// Version of the encoding of [`State`]; rows with an older one are read by their own arm.
pub const STATE_VERSION: u32 = 1;

vocabulary!(
    /// Why an accepted act does not move by itself.
    HoldReason {
        /// The flow wants an operator's release.
        Operator = "OPERATORE",
        /// The first acts of the batch go alone; the rest follows when SEND takes them.
        Guard = "PRIMI_ATTI",
        /// It replaces an act whose cancellation is not complete.
        Cancellation = "ANNULLAMENTO_DEL_PRECEDENTE",
    }
);

/// Where an act is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "s")]
pub enum State {
    Held {
        reason: HoldReason,
    },
    /// The stage before upload: checks of the IUV, protocol, generated avviso. Nothing in it yet.
    Preparing,
    /// Files are announced and uploaded.
    Uploading,
    /// The request is POSTed, again and again with one token until SEND has answered.
    Sending,
    /// SEND has the request; 202 is not acceptance.
    AwaitingAcceptance {
        request_id: String,
    },
    InDelivery {
        iun: String,
    },
    /// Complete for every recipient (or returned to sender). Facts may still come.
    Completed {
        iun: String,
    },
    Cancelling {
        iun: String,
    },
    Cancelled {
        iun: String,
    },
    /// Refused by SEND, asynchronously or with 400. For ever: a new submission is another act row.
    Refused {
        code: String,
    },
    /// Cancelled before anything reached SEND.
    Withdrawn,
}

impl State {
    /// Name for columns, logs and commands.
    pub fn name(&self) -> &'static str {
        match self {
            State::Held { .. } => "IN_ATTESA",
            State::Preparing => "IN_PREPARAZIONE",
            State::Uploading => "IN_CARICAMENTO",
            State::Sending => "IN_INVIO",
            State::AwaitingAcceptance { .. } => "INVIATO",
            State::InDelivery { .. } => "IN_CONSEGNA",
            State::Completed { .. } => "PERFEZIONATO",
            State::Cancelling { .. } => "IN_ANNULLAMENTO",
            State::Cancelled { .. } => "ANNULLATO",
            State::Refused { .. } => "RIFIUTATO",
            State::Withdrawn => "RITIRATO",
        }
    }

    /// The IUN, once there is one.
    pub fn iun(&self) -> Option<&str> {
        match self {
            State::InDelivery { iun } | State::Completed { iun } | State::Cancelling { iun } | State::Cancelled { iun } => Some(iun),
            _ => None,
        }
    }

    /// Nothing of it may have reached SEND: it can still be changed or withdrawn.
    pub fn is_unsent(&self) -> bool {
        matches!(self, State::Held { .. } | State::Preparing | State::Uploading)
    }

    /// It blocks other acts with its protocol, document or notices; false once refused, cancelled or withdrawn.
    pub fn is_live(&self) -> bool {
        !matches!(self, State::Refused { .. } | State::Cancelled { .. } | State::Withdrawn)
    }

    /// No further work is expected, although facts may come.
    pub fn is_final(&self) -> bool {
        matches!(self, State::Completed { .. } | State::Cancelled { .. } | State::Refused { .. } | State::Withdrawn)
    }
}
