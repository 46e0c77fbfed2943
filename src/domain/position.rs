//! A debt position as payments see it: one notice of one creditor, which PT has it, who asks the citizen for the cost of notification.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::act::{PositionData, vocabulary};
use super::money::Cents;

vocabulary!(
    /// The one way in which the cost of notification reaches what the citizen pays. Stored with the position, never two.
    CostChannel {
        /// SEND writes it on the position at GPD (`pagoPaIntMode` ASYNC): messo never puts it in an amount.
        Async = "async",
        /// messo rewrites the position at the PT.
        Push = "push",
        /// The PT asks messo when the citizen pays.
        Pull = "pull",
        /// Nobody: the PT is not managed, or the act does not apply the cost.
        None = "nessuno",
    }
);

vocabulary!(
    /// What a PT says of a position, in our words.
    HeldState {
        /// The citizen can pay it.
        Payable = "PAGABILE",
        /// It is there and cannot be paid yet (draft, inactive pool, valid from a later day).
        NotActive = "NON_ATTIVA",
        /// A payment is under way: nothing may be changed.
        BeingPaid = "IN_PAGAMENTO",
        Paid = "PAGATA",
        Cancelled = "ANNULLATA",
        /// Past the last day on which its PT takes payments.
        Expired = "SCADUTA",
    }
);

/// How a PT is asked about a position. Personal data of the payer stays in memory: never logged, never stored again.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// Tax id of the creditor, 11 digits.
    pub creditor: String,
    /// 18 digits.
    pub notice: String,
    /// What the batch says about it (IUPD, IUD, idPendenza, due type, ...).
    pub data: PositionData,
    /// Who owes, as the act names them; the first one carries the notice.
    pub payers: Vec<Payer>,
}

/// A debtor.
#[derive(Debug, Clone, PartialEq)]
pub struct Payer {
    /// A natural person.
    pub natural: bool,
    pub tax_id: String,
    pub denomination: String,
}

/// What a PT holds for a notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    pub state: HeldState,
    /// Without what [`Held::fee`] tells apart. `None`: this PT does not tell.
    pub amount: Option<Cents>,
    /// Cost of notification that the PT keeps apart and adds by itself (GPD).
    pub fee: Option<Cents>,
    /// As the PT answered: compared with what was asked.
    pub creditor: Option<String>,
    pub notice: Option<String>,
    /// The PT's own id of it (IUPD, IUD, idPendenza, IdPosizioneDebitoria).
    pub position_id: Option<String>,
    pub due_date: Option<Date>,
    pub payment: Option<PaymentSeen>,
}

/// A payment, as a PT tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PaymentSeen {
    pub paid_at: Timestamp,
    pub amount: Cents,
    /// IUR or receipt id of the PT: tells one payment from another.
    pub receipt: Option<String>,
}

/// The amount that a position must have from now on. The connector reads the whole position from its PT, changes this, writes it back.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The same for every repetition of the same change: `position/revision`.
    pub key: String,
    /// What the citizen is to be asked, `cost` included.
    pub amount: Cents,
    /// How much of it is cost of notification (0 when the channel is not [`CostChannel::Push`]).
    pub cost: Cents,
    /// New last day of payment, when the rule moves it.
    pub due_date: Option<Date>,
    /// Line of bilancio, component or transfer to which the cost goes, as the flow says; `None`: with the rest.
    pub cost_place: Option<String>,
    /// Why, in Italian, without personal data: PTs that keep a reason get it.
    pub reason: String,
}

/// What a PT did with a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It holds it now: worth reading back.
    Done,
    /// Taken in charge; the PT tells the outcome later, under this id.
    TakenInCharge { ticket: String },
}

vocabulary!(
    /// Why a PT has not made a change that it had only taken in charge, as far as the next step depends on it.
    WhyUndone {
        /// Not now, or it does not know itself: the same amount may be told again.
        Again = "DI_NUOVO",
        BeingPaid = "IN_PAGAMENTO",
        Paid = "PAGATA",
        Cancelled = "ANNULLATA",
        Expired = "SCADUTA",
        NotFound = "NON_TROVATA",
        /// It will not take it.
        Refused = "RESPINTA",
    }
);

impl WhyUndone {
    /// What it says of the position.
    #[must_use]
    pub fn held(self) -> Option<HeldState> {
        match self {
            WhyUndone::BeingPaid => Some(HeldState::BeingPaid),
            WhyUndone::Paid => Some(HeldState::Paid),
            WhyUndone::Cancelled => Some(HeldState::Cancelled),
            WhyUndone::Expired => Some(HeldState::Expired),
            WhyUndone::Again | WhyUndone::NotFound | WhyUndone::Refused => None,
        }
    }
}

/// A change that a PT has not made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    pub why: WhyUndone,
    /// As the PT calls it; for the history.
    pub code: String,
}

/// What a PT can do. The flow asks this, never which PT it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    /// A notice can be asked about.
    pub verify: bool,
    /// The answer has the amount.
    pub tells_amount: bool,
    /// Only by its own id of the position, never by notice.
    pub needs_position_id: bool,
    /// The amount can be changed.
    pub update: bool,
    /// A change is only taken in charge, its outcome comes later.
    pub answers_later: bool,
    /// The cost of notification is kept apart from the amount and added by the PT (GPD).
    pub fee_apart: bool,
    pub cancel: bool,
}

impl Capabilities {
    /// Verify nothing, change nothing.
    pub const NOTHING: Capabilities = Capabilities {
        verify: false,
        tells_amount: false,
        needs_position_id: false,
        update: false,
        answers_later: false,
        fee_apart: false,
        cancel: false,
    };
}

/// A payment event, however it was learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct PaymentEvent {
    /// Name of the PT in the configuration.
    pub pt: String,
    pub creditor: String,
    pub notice: String,
    pub payment: PaymentSeen,
    /// The position is wholly paid by it, as far as the PT says.
    pub whole: bool,
}
