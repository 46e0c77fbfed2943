//! The states of a `posizione`: one notice of one creditor, whichever acts and recipients name it. Pure, like [`super::step`].
//!
//! A PT is told an absolute amount, so a change can be repeated; yet one whose outcome nobody knows is read back before. A paid
//! position, one that is being paid and one that its PT has cancelled are never touched. What the PT said last is in the row
//! ([`PositionFacts`]), what is being changed in the state.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

mod cancel;
mod dates;
#[cfg(test)]
pub(crate) mod dice;
mod later;
mod payment;
mod words;

use super::effect::Lane;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, Held, HeldState, PaymentSeen, Undone};
pub use words::{code, event};

/// Version of the encoding of [`PositionState`] and [`PositionEffect`].
pub const POSITION_VERSION: u32 = 1;

/// Where a position is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "s")]
pub enum PositionState {
    /// Its PT was not asked about it yet.
    Unverified,
    /// Its PT is not managed: nothing is verified, nothing changed. A payment may still be learnt.
    Unmanaged,
    Open,
    /// Its PT is being told another amount.
    Changing {
        change: Pending,
    },
    /// Wholly paid. For ever.
    Paid,
    /// No act that lives names it.
    Closed,
    /// Nothing is changed until a person (or, for a payment under way, its PT) says so.
    Parked {
        code: String,
    },
}

/// The change that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// `position/revision`: the same for every repetition of which nobody knows whether it arrived; another one after the PT was read
    /// without it, or has refused it.
    pub key: String,
    pub amount: Cents,
    pub cost: Cents,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_date: Option<Date>,
    pub stage: Stage,
    /// Times that the PT was told and then read without it.
    #[serde(default)]
    pub tries: u32,
    /// Its PT is to make it no longer payable: the amount stays.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancel: bool,
    /// Begun when no act that lives named it any more: what messo put there is taken back, or ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last: bool,
}

/// How far a change is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "g")]
pub enum Stage {
    /// Nothing of it has left.
    ToPush,
    /// It may have left: the PT is read before it is told again.
    Offered,
    /// The PT says it is done: worth reading back.
    ToReadBack,
    /// The PT tells the outcome later, under this ticket.
    TakenInCharge { ticket: String },
}

impl Pending {
    /// Whether what the PT holds is this change. `told`: it has just said that it did it; `before`: what it held when it was read before.
    /// An amount that was right already says nothing of the last day.
    #[must_use]
    pub fn is_in(&self, held: &Held, told: bool, before: Option<Cents>) -> bool {
        if self.cancel {
            return held.state == HeldState::Cancelled;
        }
        let said = told || self.stage == Stage::ToReadBack;
        let taken = said || matches!(self.stage, Stage::TakenInCharge { .. });
        match (held.amount, self.due_date, held.due_date) {
            // A PT that does not tell amounts cannot deny it.
            (None, ..) => taken,
            (Some(amount), ..) if amount != self.amount => false,
            (_, None, _) => true,
            // A last day that a PT takes without keeping it is not told again and again.
            (_, Some(due), Some(holds)) => holds >= due || said,
            (_, Some(_), None) => taken || before != Some(self.amount),
        }
    }
}

impl PositionState {
    /// Name for columns, logs and commands.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            PositionState::Unverified => "DA_VERIFICARE",
            PositionState::Unmanaged => "NON_GESTITA",
            PositionState::Open => "APERTA",
            PositionState::Changing { .. } => "IN_MODIFICA",
            PositionState::Paid => "PAGATA",
            PositionState::Closed => "CHIUSA",
            PositionState::Parked { .. } => "FERMA",
        }
    }

    /// Amounts still move: dates count, prices are answered.
    #[must_use]
    pub fn is_under_way(&self) -> bool {
        matches!(self, PositionState::Unverified | PositionState::Open | PositionState::Changing { .. } | PositionState::Parked { .. })
    }

    /// What moves amounts makes them be reckoned anew. Of a PT that asks the price ([`CostChannel::Pull`]) also while it is not verified,
    /// unless it said that the position is cancelled or somebody else's: nothing is changed there, and it must have an answer.
    #[must_use]
    pub fn is_reckoned(&self, costs: CostChannel) -> bool {
        match self {
            PositionState::Open | PositionState::Changing { .. } => true,
            PositionState::Unverified => costs == CostChannel::Pull,
            // Its date may be moved by now.
            PositionState::Parked { code: why } if why == code::EXPIRED => true,
            PositionState::Parked { code: why } => {
                costs == CostChannel::Pull && ![code::CANCELLED, code::OTHER, code::PAID_ELSEWHERE].contains(&why.as_str())
            }
            PositionState::Unmanaged | PositionState::Paid | PositionState::Closed => false,
        }
    }
}

/// A job about a position. Each can be repeated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "e")]
pub enum PositionEffect {
    /// Ask the PT what it holds, for the first time or anew.
    Verify,
    /// Compute what is due today. Waits for the next date when nothing else asks for it.
    Reckon,
    /// Tell the PT the amount of [`Pending`]. A raise lets reductions go before.
    Push { raise: bool },
    /// Read what the PT holds after a change.
    ReadBack,
    /// Ask the PT whether it was paid.
    PollPayment,
    /// Tell SEND that it was paid.
    TellPayment,
}

impl PositionEffect {
    /// Every one, to find those that a state no longer wants.
    pub const ALL: [PositionEffect; 6] = [
        PositionEffect::Verify,
        PositionEffect::Reckon,
        PositionEffect::Push { raise: false },
        PositionEffect::ReadBack,
        PositionEffect::PollPayment,
        PositionEffect::TellPayment,
    ];

    /// Name for the job's column and logs.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            PositionEffect::Verify => "VERIFICA_POSIZIONE",
            PositionEffect::Reckon => "RICALCOLA",
            PositionEffect::Push { .. } => "AGGIORNA_IMPORTO",
            PositionEffect::ReadBack => "RILEGGI_POSIZIONE",
            PositionEffect::PollPayment => "CHIEDI_PAGAMENTO",
            PositionEffect::TellPayment => "COMUNICA_PAGAMENTO",
        }
    }

    /// Whether a position in `state` still needs it.
    #[must_use]
    pub fn is_wanted(&self, state: &PositionState) -> bool {
        match self {
            PositionEffect::Verify => matches!(state, PositionState::Unverified | PositionState::Parked { .. }),
            PositionEffect::Reckon | PositionEffect::PollPayment => state.is_under_way(),
            PositionEffect::Push { .. } => {
                matches!(state, PositionState::Changing { change } if matches!(change.stage, Stage::ToPush | Stage::Offered))
            }
            PositionEffect::ReadBack => {
                matches!(state, PositionState::Changing { change } if matches!(change.stage, Stage::ToReadBack | Stage::TakenInCharge { .. }))
            }
            PositionEffect::TellPayment => matches!(state, PositionState::Paid),
        }
    }

    /// Which queue of its channel its job waits in: reductions and what follows up a change, then raises, then questions.
    #[must_use]
    pub fn lane(&self) -> Lane {
        match self {
            PositionEffect::Push { raise: false } | PositionEffect::ReadBack => Lane::FollowUp,
            PositionEffect::Push { raise: true } => Lane::NewSend,
            PositionEffect::Verify | PositionEffect::Reckon | PositionEffect::PollPayment | PositionEffect::TellPayment => Lane::Afterwards,
        }
    }

    /// Whether its PT is called.
    #[must_use]
    pub fn calls_pt(&self) -> bool {
        !matches!(self, PositionEffect::Reckon | PositionEffect::TellPayment)
    }
}

/// What of the row decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PositionFacts {
    /// Makes the keys of changes: the position's id.
    pub id: String,
    pub revision: i64,
    pub costs: CostChannel,
    /// What the PT held when it was read last (fee apart).
    pub asked: Option<Cents>,
    /// The same without the fact that is being followed.
    pub read_before: Option<Cents>,
    /// It was told another amount, nobody knows whether it arrived, and it does not tell what it holds.
    pub unsure: bool,
    pub held_due: Option<Date>,
    /// The PT said last that this day has passed.
    pub expired: bool,
    /// What the last reckoning wanted.
    pub wanted: Option<Cents>,
    pub wanted_cost: Option<Cents>,
    /// Cost of notification that the citizen pays beside those amounts: as the PT holds it apart ([`CostChannel::Async`]), as it is
    /// told to a PT that asks ([`CostChannel::Pull`]).
    pub apart: Option<Cents>,
    /// What the citizen had to pay, cost and all, before the day given, if it was another sum.
    pub before: Option<(Cents, Date)>,
    /// Of a payment: what was due on its day, cost and all, by the rule as it is known today.
    pub due_then: Option<Cents>,
    /// Rome day from which all of it is to be reckoned anew.
    pub next_day: Option<Date>,
    /// messo has changed it at its PT.
    pub touched: bool,
    /// SEND has the notification: amounts and dates may be changed.
    pub notified: bool,
    /// A payment of the whole was told, with its amount.
    pub paid_known: bool,
    /// Of a payment of the whole: the debt was paid with another notice of its act before, whatever became of this one since.
    pub paid_elsewhere: bool,
    /// Times in a row that its PT told later that it had not made the change and may be told it again, this one too.
    pub again: u32,
    /// The last outcome told later said that it was being paid.
    pub being_paid: bool,
    /// No act that lives names it.
    pub last: bool,
    /// SEND wants to know of payments, by the flow of its act.
    pub tells_payment: bool,
    /// The last act that named it was cancelled, and its flow wants the position cancelled too.
    pub cancels: bool,
}

/// What is due, as the service reckoned it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reckoning {
    /// Rome day on which it holds.
    pub day: Date,
    /// What the PT should hold: with the cost only when it is pushed ([`CostChannel::Push`]).
    pub amount: Cents,
    /// How much of `amount` is cost.
    pub cost: Cents,
    /// Cost of notification, whoever asks for it.
    pub whole_cost: Cents,
    /// Last day of payment by the rule, when the PT must not close before it.
    pub due_date: Option<Date>,
    /// It can be paid and nobody knows until when (before completion, while days stand still, in the last step): a day far enough, for
    /// a PT whose own last day comes near or has passed.
    pub open_until: Option<Date>,
    /// Last day of payment as the act states it: what a PT that does not tell its own is taken to hold.
    pub stated_due: Option<Date>,
    /// The PT does not tell its last day and may lose it by a change that does not state it: what it was told goes with every change.
    pub restates: bool,
    /// Rome day on which it changes by time alone.
    pub next: Option<Date>,
    /// The act's own amount: what a PT that does not tell is taken to hold at first.
    pub stated: Option<Cents>,
    /// The PT takes changes, does not ask by itself, and SEND has (or had) the notification.
    pub may_push: bool,
    /// No act that lives names it: once the PT holds this, it is over.
    pub last: bool,
    /// It is to be cancelled with its act; whether its PT can.
    pub cancels: Option<bool>,
}

/// A fact about a position. Each yields a step.
#[derive(Debug, Clone, PartialEq)]
pub enum PositionFact {
    /// An act that is being started names it.
    Joined {
        managed: bool,
    },
    /// An act that names it was refused, cancelled, withdrawn or changed; `last`: no other lives.
    Left {
        last: bool,
    },
    /// What its PT answered.
    Verified {
        held: Held,
    },
    /// Its PT cannot be asked.
    Unverifiable,
    /// Its PT answered something that cannot be used: unknown notice, another creditor.
    NotVerified {
        code: &'static str,
    },
    Reckoned(Box<Reckoning>),
    /// There is no sum.
    NoSum {
        code: &'static str,
    },
    /// One among several notices of an act, of which its PT does not tell what it asks for: nothing is changed. `cost_lost`: so the cost
    /// of notification that should be in it is not asked for.
    AmountUnknown {
        /// Rome day.
        day: Date,
        cost_lost: bool,
    },
    /// The personal data of its act was deleted: nothing can be reckoned or changed any more, a payment may still be learnt.
    ActErased,
    /// The PT is about to be told.
    Offered,
    /// The PT says that it is done; `reads`: it can be read back.
    Pushed {
        reads: bool,
    },
    TakenInCharge {
        ticket: String,
    },
    /// The PT told the outcome of what it had taken in charge; `undone`: it did not do it.
    ToldLater {
        undone: Option<Undone>,
        reads: bool,
    },
    /// The PT refuses the change.
    PushRefused {
        code: &'static str,
    },
    /// What the PT holds after a change. `told`: it has just said that it did it.
    ReadBack {
        held: Held,
        told: bool,
    },
    /// Days stand still, or count again; or the act's facts changed.
    Moved,
    Paid {
        payment: PaymentSeen,
        whole: bool,
    },
    /// It is paid, and its act has moved: the payment is compared anew with what was due on its day.
    Compared,
    /// Another notice of the same debt was wholly paid.
    PaidElsewhere,
    /// A job of it waits for a person.
    GaveUp {
        code: String,
    },
    /// A person lets it go on.
    Resumed,
    /// The store was put back from a copy: what the PT holds may be newer.
    Restored,
}

impl PositionFact {
    /// Name for history.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            PositionFact::Joined { .. } => "NOMINATA_DA_UN_ATTO",
            PositionFact::Left { .. } => "ATTO_CHIUSO",
            PositionFact::Verified { .. } => "VERIFICATA",
            PositionFact::Unverifiable => "NON_VERIFICABILE",
            PositionFact::NotVerified { .. } => "VERIFICA_RESPINTA",
            PositionFact::Reckoned(_) => "RICALCOLATA",
            PositionFact::NoSum { .. } => "IMPORTO_NON_CALCOLABILE",
            PositionFact::AmountUnknown { .. } => "IMPORTO_NON_DETTO_DAL_PT",
            PositionFact::ActErased => "DATI_DELL_ATTO_CANCELLATI",
            PositionFact::Offered => "INVIO_IMPORTO",
            PositionFact::Pushed { .. } => "IMPORTO_INVIATO",
            PositionFact::TakenInCharge { .. } => "PRESA_IN_CARICO_DAL_PT",
            PositionFact::ToldLater { .. } => "ESITO_DEL_PT",
            PositionFact::PushRefused { .. } => "IMPORTO_RESPINTO",
            PositionFact::ReadBack { .. } => "RILETTA",
            PositionFact::Moved => "FATTO_DELL_ATTO",
            PositionFact::Paid { .. } => "PAGATA",
            PositionFact::Compared => "PAGAMENTO_CONFRONTATO",
            PositionFact::PaidElsewhere => code::PAID_ELSEWHERE,
            PositionFact::GaveUp { .. } => "SOSPESA",
            PositionFact::Resumed => "RIPRESA",
            PositionFact::Restored => "RIPRISTINO",
        }
    }
}

/// A line for the esito of each act that names the position.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionLine {
    pub event: &'static str,
    pub code: Option<String>,
    /// Asked or paid, cents.
    pub amount: Option<Cents>,
    pub cost: Option<Cents>,
    pub payment: Option<PaymentSeen>,
}

/// When a job is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    Now,
    /// In so many seconds.
    In(i64),
    /// At 00:00 Rome of that day.
    Day(Date),
}

/// Everything that follows one fact.
#[derive(Debug, Clone, PartialEq)]
pub struct PositionStep {
    pub next: PositionState,
    pub effects: Vec<(PositionEffect, When)>,
    pub lines: Vec<PositionLine>,
    /// A person is told, with that code.
    pub flags: Vec<String>,
}

/// Seconds after which a payment under way is looked at again.
const LOOK_AGAIN: i64 = 3_600;
/// Seconds after which a change that the PT has taken in charge is read back, should it stay silent.
const SILENCE: i64 = 1_800;
/// Seconds to the first question whether it was paid.
const FIRST_POLL: i64 = 86_400;
/// Times that a change is told and read back without effect; each time the pause doubles: the last is almost an hour after the first.
const MOST_TRIES: u32 = 8;
/// Seconds before a change that had no effect is looked at or told again.
const A_MOMENT: i64 = 15;
/// Times that a PT which took a change in charge is read without it: a day.
const MOST_SILENCES: u32 = 48;
/// Seconds before a change is told again of which the PT said later "not now"; doubles each time up to an hour.
const NOT_NOW: i64 = 60;
/// Times that it is told again so: about a day.
const MOST_AGAIN: u32 = 24;

impl PositionStep {
    fn to(next: PositionState) -> PositionStep {
        PositionStep { next, effects: Vec::new(), lines: Vec::new(), flags: Vec::new() }
    }
    fn stay(state: &PositionState) -> PositionStep {
        PositionStep::to(state.clone())
    }
    fn then(self, effect: PositionEffect) -> PositionStep {
        self.at(effect, When::Now)
    }
    fn at(mut self, effect: PositionEffect, when: When) -> PositionStep {
        self.effects.push((effect, when));
        self
    }
    fn tell(mut self, line: PositionLine) -> PositionStep {
        self.lines.push(line);
        self
    }
    fn park(code: &str) -> PositionStep {
        let mut step = PositionStep::to(PositionState::Parked { code: code.to_owned() }).tell(line(event::PARKED, Some(code)));
        step.flags.push(code.to_owned());
        step
    }
}

fn line(event: &'static str, code: Option<&str>) -> PositionLine {
    PositionLine { event, code: code.map(str::to_owned), amount: None, cost: None, payment: None }
}

/// What follows a fact. Total: what does not concern a state changes nothing.
#[must_use]
pub fn observe(state: &PositionState, row: &PositionFacts, fact: &PositionFact) -> PositionStep {
    let step = follow(state, row, fact);
    let of_a_sum = matches!(fact, PositionFact::Reckoned(_) | PositionFact::NoSum { .. } | PositionFact::AmountUnknown { .. });
    // Parked, and its PT may ask the price all the same.
    if matches!(step.next, PositionState::Parked { .. }) && step.next.is_reckoned(row.costs) && !of_a_sum {
        return step.then(PositionEffect::Reckon);
    }
    step
}

fn follow(state: &PositionState, row: &PositionFacts, fact: &PositionFact) -> PositionStep {
    use {PositionEffect as Do, PositionFact as F, PositionState as S};
    match (state, fact) {
        (_, F::Paid { payment, whole }) => payment::told(state, row, payment, *whole),
        (S::Paid, _) => PositionStep::stay(state),
        (_, F::PaidElsewhere) => payment::elsewhere(state),
        // What else is met does not make it be asked for again.
        (S::Parked { code }, F::GaveUp { .. } | F::NotVerified { .. } | F::Unverifiable) if code == code::PAID_ELSEWHERE => {
            PositionStep::stay(state)
        }
        // Nothing of it was to be asked for: its PT has cancelled it, or nobody can follow it any more.
        (S::Parked { code }, F::Verified { held }) if code == code::PAID_ELSEWHERE && held.state == HeldState::Cancelled => {
            PositionStep::to(S::Closed).tell(line(event::CANCELLED, None))
        }
        (S::Parked { code }, F::ActErased) if code == code::PAID_ELSEWHERE => PositionStep::to(S::Closed),
        // The amount stays as it is, and a PT that asks is still told the prices that are known.
        (S::Unverified | S::Open | S::Changing { .. } | S::Parked { .. }, F::ActErased) => {
            let mut step = PositionStep::to(S::Unmanaged).tell(line(event::UNMANAGED, Some(code::ACT_ERASED)));
            step.flags.push(code::ACT_ERASED.to_owned());
            step
        }

        (S::Closed | S::Unmanaged, F::Joined { managed: true }) => PositionStep::to(S::Unverified).then(Do::Verify),
        (S::Closed | S::Unmanaged, F::Joined { managed: false }) => PositionStep::to(S::Unmanaged).tell(line(event::UNMANAGED, None)),
        (S::Unverified, F::Joined { .. }) => PositionStep::stay(state).then(Do::Verify),
        // Nothing of it has left, and its reason is over: nobody tells it while what is due is reckoned.
        (S::Changing { change }, F::Joined { .. } | F::Left { last: true })
            if change.stage == Stage::ToPush && change.last == matches!(fact, F::Joined { .. }) =>
        {
            PositionStep::to(S::Open).then(Do::Reckon)
        }
        (S::Open | S::Changing { .. }, F::Joined { .. }) => PositionStep::stay(state).then(Do::Reckon),

        (S::Unmanaged, F::Left { last: true }) => PositionStep::to(S::Closed),
        (_, F::Left { last: true }) if row.cancels && cancel::may_begin(state) => cancel::wanted(state),
        // A PT that asks keeps what it was told last, cost and all: it is to be told the sum without it.
        (_, F::Left { last: true }) if row.costs == CostChannel::Pull && row.notified && cancel::may_begin(state) => cancel::wanted(state),
        // What messo has put there goes away with the act: a last reckoning, then it is closed.
        (S::Unverified | S::Open | S::Changing { .. }, F::Left { last: true }) if row.touched || matches!(state, S::Changing { .. }) => {
            PositionStep::stay(state).then(Do::Reckon)
        }
        (S::Parked { .. }, F::Left { last: true }) if row.touched => PositionStep::stay(state),
        (_, F::Left { last: true }) => PositionStep::to(S::Closed),
        (S::Open | S::Changing { .. }, F::Left { .. } | F::Moved) => PositionStep::stay(state).then(Do::Reckon),

        (S::Parked { code }, F::Verified { held }) if !code::is_explained_by_state(code) => match held.state {
            HeldState::Paid => payment::untold(row),
            HeldState::PaidElsewhere => payment::elsewhere(state),
            _ => PositionStep::stay(state),
        },
        // SEND has it and its rule goes on: what is due says whether its PT is to be told another last day.
        (S::Unverified, F::Verified { held }) if held.state == HeldState::Expired && row.notified => {
            PositionStep::to(S::Open).then(Do::Reckon).at(Do::PollPayment, When::In(FIRST_POLL))
        }
        (S::Open, F::Verified { held }) if held.state == HeldState::Expired && row.notified => PositionStep::stay(state).then(Do::Reckon),
        (S::Unverified | S::Parked { .. }, F::Verified { held }) => match blocked(row, held) {
            Some(step) => step_unless_known(state, step),
            None => {
                let step = PositionStep::to(S::Open).then(Do::Reckon).at(Do::PollPayment, When::In(FIRST_POLL));
                if matches!(state, S::Parked { .. }) { step.tell(line(event::RESUMED, None)) } else { step }
            }
        },
        (S::Unverified | S::Parked { .. }, F::Unverifiable) => PositionStep::to(S::Open).then(Do::Reckon),
        (S::Open, F::Verified { held }) => match blocked(row, held) {
            Some(step) => step,
            // Somebody else has changed it.
            None if held.amount.is_some() && held.amount != row.wanted => PositionStep::stay(state).then(Do::Reckon),
            None => PositionStep::stay(state),
        },
        (S::Unverified | S::Parked { .. }, F::NotVerified { code }) => step_unless_known(state, PositionStep::park(code)),

        (S::Open, F::Reckoned(sum)) => reckoned(row, sum),
        (S::Changing { change }, F::Reckoned(sum)) if change.cancel && change.stage == Stage::ToPush && sum.cancels == Some(true) => {
            PositionStep::stay(state).then(Do::Push { raise: false })
        }
        // Nothing of it has left: it makes room for what is due now.
        (S::Changing { change }, F::Reckoned(sum)) if change.stage == Stage::ToPush => {
            let same = !change.cancel && sum.amount == change.amount && sum.cost == change.cost;
            if same && sum.may_push && !sum.last && dates::is_still_right(row, sum, change.due_date) {
                let raise = row.asked.or(sum.stated).is_some_and(|holds| sum.amount > holds);
                timed(PositionStep::stay(state).then(Do::Push { raise }), row, sum)
            } else {
                reckoned(row, sum)
            }
        }
        (S::Parked { code }, F::Reckoned(sum)) if code == code::EXPIRED && dates::reopens(row, sum) => {
            reckoned(row, sum).tell(line(event::RESUMED, None)).at(Do::PollPayment, When::In(FIRST_POLL))
        }
        // Compared again when what is under way is known.
        (S::Changing { .. } | S::Unverified | S::Parked { .. }, F::Reckoned(sum)) => timed(PositionStep::stay(state), row, sum),
        (S::Open, F::NoSum { code }) => PositionStep::park(code),
        (S::Changing { change }, F::NoSum { code }) if change.stage == Stage::ToPush => PositionStep::park(code),

        (S::Changing { change }, F::Offered) if change.stage == Stage::ToPush => {
            PositionStep::to(S::Changing { change: Pending { stage: Stage::Offered, ..change.clone() } })
        }
        // Nothing of this one has left: what is said is of the one before it.
        (S::Changing { change }, F::Pushed { .. } | F::ToldLater { undone: None, .. } | F::TakenInCharge { .. })
            if change.stage == Stage::ToPush =>
        {
            PositionStep::stay(state)
        }
        (S::Changing { change }, F::Pushed { reads: true } | F::ToldLater { undone: None, reads: true }) => {
            let change = Pending { stage: Stage::ToReadBack, tries: change.tries + 1, ..change.clone() };
            PositionStep::to(S::Changing { change }).then(Do::ReadBack)
        }
        (S::Changing { change }, F::Pushed { reads: false } | F::ToldLater { undone: None, reads: false }) => settled(change, row),
        // Open or closed: it was silent for so long that it was taken to have done it, and has not.
        (S::Changing { .. } | S::Open | S::Closed, F::ToldLater { undone: Some(undone), .. }) => later::undone(state, row, undone.why),
        (S::Changing { change }, F::TakenInCharge { ticket }) => {
            let change = Pending { stage: Stage::TakenInCharge { ticket: ticket.clone() }, ..change.clone() };
            PositionStep::to(S::Changing { change }).at(Do::ReadBack, When::In(SILENCE))
        }
        // A PT that removes what it cancels no longer finds it.
        (S::Changing { change }, F::PushRefused { code: code::NOT_FOUND }) if change.cancel => cancel::done(row),
        (S::Changing { change }, F::PushRefused { .. }) if change.cancel => PositionStep::park(code::NOT_CANCELLED),
        (S::Changing { .. }, F::PushRefused { code }) => PositionStep::park(code),
        (S::Changing { change }, F::ReadBack { held, told }) if change.stage != Stage::ToPush => read_back(row, change, held, *told),
        // A question of another kind, while a change is under way.
        (S::Changing { change }, F::Verified { .. } | F::ReadBack { .. }) if change.cancel => PositionStep::stay(state),
        (S::Changing { .. }, F::Verified { held } | F::ReadBack { held, .. }) if held.state == HeldState::Expired => {
            PositionStep::stay(state)
        }
        (S::Changing { .. }, F::Verified { held } | F::ReadBack { held, .. }) => {
            blocked(row, held).unwrap_or_else(|| PositionStep::stay(state))
        }

        (S::Unverified | S::Open | S::Changing { .. }, F::GaveUp { code }) => PositionStep::park(code),
        (S::Parked { code: known }, F::GaveUp { code }) if known != code => PositionStep::park(code),
        (S::Unverified | S::Open | S::Changing { .. }, F::Restored) => PositionStep::to(S::Unverified).then(Do::Verify),
        (S::Parked { .. }, F::Resumed) => PositionStep::to(S::Unverified).then(Do::Verify).tell(line(event::RESUMED, None)),
        (state, _) => PositionStep::stay(state),
    }
}

/// Told once: a position that is found as it was parked stays so, and is looked at again if time can mend it.
fn step_unless_known(state: &PositionState, step: PositionStep) -> PositionStep {
    if step.next == *state { PositionStep { lines: Vec::new(), flags: Vec::new(), ..step } } else { step }
}

/// What keeps a position from being touched, by what its PT says.
fn blocked(row: &PositionFacts, held: &Held) -> Option<PositionStep> {
    match held.state {
        // Looked at again by itself: whoever has the position may make it fit.
        HeldState::Payable | HeldState::NotActive => {
            held.unfit.map(|code| PositionStep::park(code).at(PositionEffect::PollPayment, When::In(FIRST_POLL)))
        }
        HeldState::BeingPaid => Some(PositionStep::park(code::BEING_PAID).at(PositionEffect::Verify, When::In(LOOK_AGAIN))),
        HeldState::Cancelled => Some(PositionStep::park(code::CANCELLED)),
        HeldState::Expired => Some(PositionStep::park(code::EXPIRED)),
        HeldState::PaidElsewhere => Some(payment::parked()),
        // Who reads it hands the payment over as a fact of its own; without one nothing is known of it but this.
        HeldState::Paid => Some(payment::untold(row)),
    }
}

/// The job of the next date: that of the amount, or that on which the PT's last day comes near.
fn timed(step: PositionStep, row: &PositionFacts, sum: &Reckoning) -> PositionStep {
    let near = match &step.next {
        PositionState::Changing { change } => dates::near_on(change.due_date.or(row.held_due), sum),
        PositionState::Open => dates::near_on(row.held_due, sum),
        _ => None,
    };
    match sum.next.into_iter().chain(near).min() {
        Some(day) => step.at(PositionEffect::Reckon, When::Day(day)),
        None => step,
    }
}

/// The key of a change that begins now: no other change of the position has had it.
fn new_key(row: &PositionFacts) -> String {
    format!("{}/{}", row.id, row.revision + 1)
}

fn reckoned(row: &PositionFacts, sum: &Reckoning) -> PositionStep {
    if let Some(step) = cancel::reckoned(row, sum) {
        return step;
    }
    let holds = row.asked.or(sum.stated);
    let due_date = dates::to_tell(row, sum);
    if row.expired && !sum.last && !dates::reopens(row, sum) {
        return timed(PositionStep::park(code::EXPIRED), row, sum);
    }
    let closes_early = !sum.last && dates::closes_early(row, sum);
    if sum.may_push && (row.unsure || holds != Some(sum.amount) || closes_early) {
        let raise = holds.is_some_and(|holds| sum.amount > holds);
        let (key, stage, last) = (new_key(row), Stage::ToPush, sum.last);
        let change = Pending { key, amount: sum.amount, cost: sum.cost, due_date, stage, tries: 0, cancel: false, last };
        return timed(PositionStep::to(PositionState::Changing { change }).then(PositionEffect::Push { raise }), row, sum);
    }
    if sum.last {
        return cancel::closed(sum);
    }
    timed(PositionStep::to(PositionState::Open), row, sum)
}

/// The PT holds the change, as far as can be known.
fn settled(change: &Pending, row: &PositionFacts) -> PositionStep {
    if change.cancel {
        return cancel::done(row);
    }
    let mut told = line(event::UPDATED, None);
    told.amount = Some(change.amount);
    told.cost = Some(change.cost);
    let step = PositionStep::to(PositionState::Open).tell(told);
    // What was reckoned meanwhile is compared with what the PT holds by now.
    if row.last || row.wanted != Some(change.amount) { step.then(PositionEffect::Reckon) } else { step }
}

/// Whether a change that was not made is no longer what is wanted, by what was reckoned or because its act is over, or another names the
/// position by now: it is not told again, what is due is reckoned.
fn is_stale(row: &PositionFacts, change: &Pending) -> bool {
    change.last != row.last || (!change.cancel && row.wanted.is_some_and(|wanted| wanted != change.amount))
}

fn read_back(row: &PositionFacts, change: &Pending, held: &Held, told: bool) -> PositionStep {
    if change.cancel && held.state == HeldState::Cancelled {
        return cancel::done(row);
    }
    // Of one that nobody names any more only the amount is taken back.
    let expired = held.state == HeldState::Expired && !row.last && !change.cancel;
    if held.state != HeldState::Expired
        && let Some(step) = blocked(row, held)
    {
        return step;
    }
    let next = |stage| Pending { stage, tries: change.tries + 1, ..change.clone() };
    let taken = matches!(change.stage, Stage::TakenInCharge { .. });
    match held.amount {
        _ if !expired && change.is_in(held, told, row.read_before) => settled(change, row),
        // Its last day passed meanwhile: reckoned anew, with another.
        _ if expired && change.due_date.is_none() && !taken => PositionStep::to(PositionState::Open).then(PositionEffect::Reckon),
        // It may still be working on it.
        _ if taken && change.tries < MOST_SILENCES => {
            let change = next(change.stage.clone());
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::ReadBack, When::In(SILENCE))
        }
        _ if taken || change.tries >= MOST_TRIES => PositionStep::park(match change.due_date {
            _ if change.cancel => code::NOT_CANCELLED,
            _ if !expired => code::NOT_CHANGED,
            Some(_) => code::NOT_REOPENED,
            None => code::EXPIRED,
        }),
        // It says that it did it: another look before it is told again.
        _ if told => {
            let change = next(Stage::ToReadBack);
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::ReadBack, When::In(A_MOMENT))
        }
        _ if is_stale(row, change) => PositionStep::to(PositionState::Open).then(PositionEffect::Reckon),
        // It was not done: the same amount again, by another key. A PT that has seen the old one may answer that it has it, and do nothing.
        held => {
            let raise = held.is_some_and(|held| change.amount > held);
            let wait = A_MOMENT << change.tries.min(8);
            let change = Pending { key: new_key(row), ..next(Stage::ToPush) };
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::Push { raise }, When::In(wait))
        }
    }
}

#[cfg(test)]
mod tests;
