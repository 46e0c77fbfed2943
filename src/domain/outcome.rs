//! What the gestionale is told: receipts, and the immutable lines of the esiti.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::act::vocabulary;
use super::ids::{ActId, BatchId};

vocabulary!(
    /// What became of a drop, as its receipt says. Written in files: never renamed.
    ReceiptState {
        Taken = "PRESA_IN_CARICO",
        Partial = "PARZIALE",
        Rejected = "SCARTATO",
        Duplicate = "DUPLICATO",
    }
);

vocabulary!(
    /// The state of an act as the esito prints it. Written in files: never renamed.
    OutcomeState {
        /// Taken in charge by messo, not yet at SEND.
        Taken = "PRESO_IN_CARICO",
        /// Waiting for an operator or for its hour.
        Held = "IN_ATTESA",
        /// A person is needed.
        Parked = "SOSPESO",
        /// POSTed to SEND, not yet accepted.
        Sent = "INVIATO",
        /// Accepted by SEND: completion for the sender.
        Accepted = "ACCETTATO",
        /// Refused by SEND.
        Refused = "RIFIUTATO",
        Delivering = "IN_CONSEGNA",
        Delivered = "CONSEGNATO",
        Unreachable = "IRREPERIBILE",
        /// Complete for the recipient of the line.
        Completed = "PERFEZIONATO",
        ReturnedToSender = "RESO_AL_MITTENTE",
        Cancelling = "IN_ANNULLAMENTO",
        Cancelled = "ANNULLATO",
        /// Changed on the gestionale's order before it reached SEND.
        Modified = "MODIFICATO",
        /// A fact of SEND that moves no state: a view after the term, an evidence, a payment.
        Info = "INFORMAZIONE",
    }
);

vocabulary!(
    /// How the act was completed for a recipient.
    Perfection { Viewed = "VISIONE", Refinement = "DECORRENZA_TERMINI" }
);

/// One line of an esito: a ledger row, written in the transaction that caused it, never changed.
///
/// No personal data: recipients are indexes from 0 in the order of the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeLine {
    /// Grows by one per gestionale, without gaps.
    pub line: u64,
    /// The line that this one corrects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corrects: Option<u64>,
    pub batch: BatchId,
    pub act: ActId,
    pub sender_tax_id: String,
    pub flow: String,
    pub reference: String,
    pub submission: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iun: Option<String>,
    /// `None`: the line speaks of the whole act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<u32>,
    pub state: OutcomeState,
    /// The category of SEND's element, or messo's own event (`PRESO_IN_CARICO`, `SOSPESO`, ...).
    pub event: String,
    /// When it happened, by SEND's account.
    pub happened_at: Timestamp,
    /// When messo wrote the line.
    pub written_at: Timestamp,
    /// Attempt of delivery, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered_letter: Option<String>,
    /// `deliveryDetailCode`: RECRN001C, C003, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_detail: Option<String>,
    /// `deliveryFailureCause`: M01, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_cause: Option<String>,
    /// Completion for the sender: acceptance by SEND.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender_completed_at: Option<Timestamp>,
    /// Completion for the recipient of the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient_completed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perfection: Option<Perfection>,
    /// What the ente is billed so far for this recipient (or the act): base fee + paper, cents, net of VAT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub institution_cost: Option<i64>,
    /// What SEND adds to the citizen's payment (`totalPrice`), cents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub citizen_cost: Option<i64>,
    /// Legal facts announced by the event: the names under `attestazioni/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legal_facts: Vec<String>,
    /// Code of a refusal or of a parking (`NOT_VALID_ADDRESS`, ...).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The debt position that the line speaks of (events `IMPORTO_AGGIORNATO`, `PAGATO`, `POSIZIONE_FERMA`, `POSIZIONE_RIPRESA`,
    /// `POSIZIONE_NON_GESTITA`: `flow::position::event`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<PositionTold>,
}

/// What a line tells of a debt position. No personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionTold {
    pub creditor: String,
    /// 18 digits.
    pub notice: String,
    /// Name of the PT in the configuration.
    pub pt: String,
    /// Cents: what the PT asks from now on, or what was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<i64>,
    /// How much of it is cost of notification.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<i64>,
    /// Receipt of a payment, as the PT names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

impl PositionTold {
    /// What the notice asks for from the line on, if the line says so. Cents.
    #[must_use]
    pub fn due(&self, event: &str) -> Option<i64> {
        self.amount.filter(|_| event == "IMPORTO_AGGIORNATO")
    }

    /// What was paid with the notice, if the line says so. Cents.
    #[must_use]
    pub fn paid(&self, event: &str) -> Option<i64> {
        self.amount.filter(|_| event == "PAGATO")
    }
}
