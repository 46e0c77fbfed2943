//! A debt position as payments see it: one notice of one creditor, which PT has it, who asks the citizen for the cost of notification.

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::act::{PositionData, vocabulary};
use super::calendar::in_rome;
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
        /// Its debt was paid with another of its notices: nothing was paid with this one.
        PaidElsewhere = "PAGATA_CON_ALTRO_AVVISO",
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
    /// The position in the PT's own words, of one that wants the whole of it back when it asks the price. It names people: never
    /// logged, kept apart from the position, deleted with the content of its act.
    pub whole: Option<String>,
    /// Why messo could not give it back whole to a PT that asks: no citizen could pay it.
    pub unfit: Option<&'static str>,
}

impl Held {
    /// A state, of which nothing else is told.
    #[must_use]
    pub fn of(state: HeldState) -> Held {
        Held {
            state,
            amount: None,
            fee: None,
            creditor: None,
            notice: None,
            position_id: None,
            due_date: None,
            payment: None,
            whole: None,
            unfit: None,
        }
    }
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
    /// Asked only by its own id of the position, never by notice.
    pub needs_position_id: bool,
    /// Changed and cancelled only by that id.
    pub changes_by_position_id: bool,
    /// Asked by that id, it says which notices the position has: an id that is not that of the notice is found out before anything is
    /// changed. Where it does not, the one id that an act states for several notices is of none of them.
    pub ties_position_id: bool,
    /// The amount can be changed.
    pub update: bool,
    /// A change can move the last day of payment.
    pub moves_date: bool,
    /// The answer to a question has the last day of payment, when the position has one.
    pub tells_date: bool,
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
        changes_by_position_id: false,
        ties_position_id: false,
        update: false,
        moves_date: false,
        tells_date: false,
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
    /// The PT said it because it was asked. It may name the payment otherwise than when it tells it by itself (IUR, receipt, ccp).
    pub polled: bool,
}

/// The same payment may be dated otherwise by what is asked and by what is told (day of the payment, of the receipt).
const SAME_DAYS: i64 = 3;

impl PaymentEvent {
    /// Whether it tells a payment that is known. Two receipts that a PT tells by itself are two payments. What a PT says when it is
    /// asked is another way to learn the one payment of the whole that it tells too, whatever name it gives it. Equal parts are two, unless
    /// they are of one instant, or of one day when only one of them is named.
    #[must_use]
    pub fn repeats(&self, known: &PaymentEvent) -> bool {
        let (new, old) = (&self.payment, &known.payment);
        if new.receipt.is_some() && new.receipt == old.receipt {
            return true;
        }
        if new.amount != old.amount {
            return false;
        }
        let near = || new.paid_at.duration_since(old.paid_at).abs().as_hours() <= 24 * SAME_DAYS;
        match (&new.receipt, &old.receipt) {
            (Some(_), Some(_)) => self.whole && known.whole && self.polled != known.polled && near(),
            _ if self.whole && known.whole => self.polled == known.polled || near(),
            (None, None) => new.paid_at == old.paid_at,
            _ => in_rome(new.paid_at).date() == in_rome(old.paid_at).date(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_payment_learnt_by_two_ways_is_one_and_two_are_two() {
        // (instant, amount, receipt, whole, polled)
        type Told<'a> = (&'a str, i64, Option<&'a str>, bool, bool);
        let event = |(paid_at, amount, receipt, whole, polled): Told<'_>| PaymentEvent {
            pt: "pt".to_owned(),
            creditor: "01234567890".to_owned(),
            notice: "302000000000000184".to_owned(),
            payment: PaymentSeen { paid_at: paid_at.parse().unwrap(), amount: Cents(amount), receipt: receipt.map(str::to_owned) },
            whole,
            polled,
        };
        const TEN: &str = "2026-11-23T10:00:00Z";
        const NOON: &str = "2026-11-23T12:00:00Z";
        // What a PT tells that knows the day alone: midnight in Rome.
        const DAY: &str = "2026-11-22T23:00:00Z";
        const MONTH: &str = "2026-12-20T10:00:00Z";
        let table: [(&str, Told<'_>, Told<'_>, bool); 19] = [
            ("the same receipt", (TEN, 100, Some("r1"), true, false), (NOON, 100, Some("r1"), true, false), true),
            ("the same receipt, by whichever way", (TEN, 100, Some("r1"), true, true), (TEN, 100, Some("r1"), true, false), true),
            ("two receipts told", (TEN, 100, Some("r1"), true, false), (NOON, 100, Some("r2"), true, false), false),
            ("asked by IUR, told by ccp", (DAY, 100, Some("iur"), true, true), (TEN, 100, Some("ccp"), true, false), true),
            ("told by ccp, asked by IUR", (TEN, 100, Some("ccp"), true, false), (DAY, 100, Some("iur"), true, true), true),
            ("asked twice, two names", (TEN, 100, Some("iur"), true, true), (TEN, 100, Some("other"), true, true), false),
            (
                "asked, then another is paid a month later",
                (TEN, 100, Some("iur"), true, true),
                (MONTH, 100, Some("ccp"), true, false),
                false,
            ),
            ("asked, of another amount", (TEN, 100, Some("iur"), true, true), (TEN, 101, Some("ccp"), true, false), false),
            ("asked without a name", (DAY, 100, None, true, true), (TEN, 100, Some("r1"), true, false), true),
            ("told by its name, then asked without", (TEN, 100, Some("r1"), true, false), (DAY, 100, None, true, true), true),
            ("asked without a name, another is paid later", (DAY, 100, None, true, true), (MONTH, 100, Some("r1"), true, false), false),
            ("told twice without a name", (TEN, 100, None, true, false), (NOON, 100, None, true, false), true),
            ("equal parts of two instants", (TEN, 40, None, false, false), (NOON, 40, None, false, false), false),
            ("a part told again", (TEN, 40, None, false, false), (TEN, 40, None, false, false), true),
            ("a part, then with its receipt", (DAY, 40, None, false, false), (TEN, 40, Some("r1"), false, false), true),
            ("a part, then the receipt of another", (TEN, 40, Some("r1"), false, false), (MONTH, 40, None, false, false), false),
            ("two parts with receipts", (TEN, 40, Some("r1"), false, false), (TEN, 40, Some("r2"), false, false), false),
            ("two parts, one asked", (TEN, 40, Some("r1"), false, true), (TEN, 40, Some("r2"), false, false), false),
            ("a part and the whole", (TEN, 40, None, false, false), (MONTH, 40, None, true, false), false),
        ];
        for (what, known, told, want) in table {
            assert_eq!(event(told).repeats(&event(known)), want, "{what}");
        }
    }
}
