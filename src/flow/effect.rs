//! What follows a step: durable jobs, published lines, flags. Saved in the same transaction as the step.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::state::State;
use crate::domain::outcome::{OutcomeState, Perfection, PositionTold};
use crate::domain::send::RefusalReason;

/// Version of the encoding of [`Effect`] in jobs.
pub const EFFECT_VERSION: u32 = 1;

/// A job about a `notifica`. Each can be repeated: it asks first, or carries a key that makes the repetition harmless.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e")]
pub enum Effect {
    /// Run the stage before upload.
    Prepare,
    /// Announce and upload the files (again, when they are stale).
    Upload,
    /// POST the request with the act's token.
    Send,
    /// Ask SEND what became of the request, should the stream stay silent.
    AskRequest,
    /// Read the whole timeline of the IUN.
    Resync,
    /// Ask SEND to cancel.
    Cancel,
    /// Carry out an operator's cancellation, given while nobody could say what SEND has of the act.
    CancelLater { who: String, why: String },
    /// Download the legal facts that were announced and are not here yet.
    FetchLegalFacts,
    /// Ask the price of the notices of a recipient.
    AskPrice { recipient: u32 },
    /// Send anew, automatically, after a technical refusal: once per act.
    Resubmit,
    /// Start the act that waited for this one's cancellation.
    StartReplacement,
    /// Write the refused act into `scarti/`.
    WriteReject,
    /// The store was put back from a copy: ask SEND what it has of the act, by token, request or IUN.
    Recover,
}

impl Effect {
    /// Name for the job's column and logs.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::Prepare => "PREPARA",
            Effect::Upload => "CARICA",
            Effect::Send => "INVIA",
            Effect::AskRequest => "CHIEDI_ESITO",
            Effect::Resync => "RILEGGI",
            Effect::Cancel => "ANNULLA",
            Effect::CancelLater { .. } => "ANNULLA_APPENA_POSSIBILE",
            Effect::FetchLegalFacts => "SCARICA_ATTESTAZIONI",
            Effect::AskPrice { .. } => "CHIEDI_COSTO",
            Effect::Resubmit => "REINVIA",
            Effect::StartReplacement => "AVVIA_SOSTITUZIONE",
            Effect::WriteReject => "SCRIVI_SCARTO",
            Effect::Recover => "RISINCRONIZZA",
        }
    }

    /// Distinguishes jobs of one kind for one act: a job with the same name and key is queued once.
    pub fn key(&self) -> String {
        match self {
            Effect::AskPrice { recipient } => recipient.to_string(),
            _ => String::new(),
        }
    }

    /// Whether an act in `state` still needs it: a job that came too late is dropped, not parked.
    pub fn is_wanted(&self, state: &State) -> bool {
        match self {
            Effect::Prepare => matches!(state, State::Preparing),
            Effect::Upload => matches!(state, State::Uploading),
            Effect::Send => matches!(state, State::Sending),
            Effect::AskRequest => matches!(state, State::AwaitingAcceptance { .. }),
            Effect::Resync => state.iun().is_some(),
            Effect::Cancel => matches!(state, State::Cancelling { .. }),
            Effect::CancelLater { .. } => state.is_live() && !matches!(state, State::Cancelling { .. }),
            // What SEND published is kept, whatever became of the act.
            Effect::FetchLegalFacts => true,
            // A cancellation frees the notice: there is no price any more.
            Effect::AskPrice { .. } => !matches!(state, State::Cancelled { .. }),
            Effect::Resubmit | Effect::WriteReject => matches!(state, State::Refused { .. }),
            Effect::StartReplacement => !state.is_live(),
            Effect::Recover => !matches!(state, State::Refused { .. } | State::Withdrawn),
        }
    }

    /// Which queue its job waits in.
    pub fn lane(&self) -> Lane {
        match self {
            Effect::Prepare | Effect::Upload | Effect::Send | Effect::Resubmit | Effect::StartReplacement => Lane::NewSend,
            Effect::FetchLegalFacts | Effect::AskPrice { .. } => Lane::Afterwards,
            Effect::AskRequest | Effect::Resync | Effect::Cancel | Effect::CancelLater { .. } | Effect::Recover => Lane::FollowUp,
            Effect::WriteReject => Lane::Files,
        }
    }
}

/// Queues of jobs: what waits in one does not stand in the way of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Lane {
    /// What follows up what was sent, and work of ours about whole batches: before new sends.
    FollowUp = 0,
    /// Everything up to the POST.
    NewSend = 1,
    /// What SEND keeps ready for months: prices and legal facts. It makes room for what has a term, and never stops.
    Afterwards = 2,
    /// Files for gestionali: their folders may lie on a share that is slow, or hangs.
    Files = 3,
}

/// A line of the esito, without what the store adds: number, batch, reference, protocol, IUN, sums.
#[derive(Debug, Clone, PartialEq)]
pub struct LineDraft {
    pub state: OutcomeState,
    pub event: String,
    pub recipient: Option<u32>,
    pub happened_at: Timestamp,
    pub attempt: Option<u32>,
    pub registered_letter: Option<String>,
    pub delivery_detail: Option<String>,
    pub failure_cause: Option<String>,
    pub completion: Option<(Timestamp, Perfection)>,
    pub institution_cost: Option<i64>,
    pub citizen_cost: Option<i64>,
    pub legal_facts: Vec<String>,
    pub code: Option<String>,
    /// Why SEND refused, all of it: kept beside the line, in rows that can be deleted.
    pub reasons: Vec<RefusalReason>,
    /// The debt position it speaks of.
    pub position: Option<PositionTold>,
    /// It corrects the last line of that kind for that recipient, if there is one.
    pub corrects: Option<Corrected>,
}

/// Which line of an act, for the same recipient, a line corrects: the last with that state, or with that event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Corrected {
    State(OutcomeState),
    Event(&'static str),
}

impl LineDraft {
    /// A line of the whole act.
    pub fn new(state: OutcomeState, event: impl Into<String>, happened_at: Timestamp) -> LineDraft {
        LineDraft {
            state,
            event: event.into(),
            recipient: None,
            happened_at,
            attempt: None,
            registered_letter: None,
            delivery_detail: None,
            failure_cause: None,
            completion: None,
            institution_cost: None,
            citizen_cost: None,
            legal_facts: Vec::new(),
            code: None,
            reasons: Vec::new(),
            position: None,
            corrects: None,
        }
    }
}

/// Something that a person should see; never an error that blocks what comes behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// Stable code, listed in `docs/codici.md`.
    pub code: &'static str,
    pub about: String,
}
