//! The states of a `posizione`: one notice of one creditor, whichever acts and recipients name it. Pure, like [`super::step`].
//!
//! A PT is told an absolute amount, so a change can be repeated; yet one whose outcome nobody knows is read back before. A paid
//! position, one that is being paid and one that its PT has cancelled are never touched. What the PT said last is in the row
//! ([`PositionFacts`]), what is being changed in the state.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::effect::Lane;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, Held, HeldState, PaymentSeen, Undone, WhyUndone};

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
            PositionState::Parked { code: why } => costs == CostChannel::Pull && why != code::CANCELLED && why != code::OTHER,
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
    pub held_due: Option<Date>,
    /// What the last reckoning wanted.
    pub wanted: Option<Cents>,
    pub wanted_cost: Option<Cents>,
    /// messo has changed it at its PT.
    pub touched: bool,
    /// A payment of the whole was told, with its amount.
    pub paid_known: bool,
    /// Times in a row that its PT told later that it had not made the change and may be told it again, this one too.
    pub again: u32,
    /// The last outcome told later said that it was being paid.
    pub being_paid: bool,
    /// No act that lives names it.
    pub last: bool,
    /// SEND wants to know of payments, by the flow of its act.
    pub tells_payment: bool,
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
    /// Last day of payment as the act states it: what a PT that does not tell its own is taken to hold.
    pub stated_due: Option<Date>,
    /// Rome day on which it changes by time alone.
    pub next: Option<Date>,
    /// The act's own amount: what a PT that does not tell is taken to hold at first.
    pub stated: Option<Cents>,
    /// The PT takes changes, does not ask by itself, and SEND has (or had) the notification.
    pub may_push: bool,
    /// No act that lives names it: once the PT holds this, it is over.
    pub last: bool,
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
            PositionFact::Offered => "INVIO_IMPORTO",
            PositionFact::Pushed { .. } => "IMPORTO_INVIATO",
            PositionFact::TakenInCharge { .. } => "PRESA_IN_CARICO_DAL_PT",
            PositionFact::ToldLater { .. } => "ESITO_DEL_PT",
            PositionFact::PushRefused { .. } => "IMPORTO_RESPINTO",
            PositionFact::ReadBack { .. } => "RILETTA",
            PositionFact::Moved => "FATTO_DELL_ATTO",
            PositionFact::Paid { .. } => "PAGATA",
            PositionFact::GaveUp { .. } => "SOSPESA",
            PositionFact::Resumed => "RIPRESA",
            PositionFact::Restored => "RIPRISTINO",
        }
    }
}

/// Codes under which a position is parked by what its PT says. Listed in `docs/codici.md`.
pub mod code {
    /// A payment is under way: looked at again by itself.
    pub const BEING_PAID: &str = "POSIZIONE_IN_PAGAMENTO";
    pub const CANCELLED: &str = "POSIZIONE_ANNULLATA_DAL_PT";
    pub const EXPIRED: &str = "POSIZIONE_SCADUTA";
    /// Told to the PT again and again, and read back without it.
    pub const NOT_CHANGED: &str = "IMPORTO_NON_CAMBIATO";
    pub const REFUSED: &str = "IMPORTO_RESPINTO_DAL_PT";
    /// The PT does not know the notice.
    pub const NOT_FOUND: &str = "POSIZIONE_NON_TROVATA";
    /// It answered about another notice or creditor.
    pub const OTHER: &str = "POSIZIONE_DI_ALTRI";
    /// There is no sum: rule and data of the act do not go together.
    pub const NO_SUM: &str = "IMPORTO_NON_CALCOLABILE";
    /// The payment is not of the amount that was due.
    pub const OTHER_AMOUNT: &str = "PAGATO_IMPORTO_DIVERSO";
    pub const PARTIAL: &str = "PAGATO_IN_PARTE";
}

/// Events of the lines of the esito. Written in files: never renamed.
pub mod event {
    /// Its PT now asks for this amount.
    pub const UPDATED: &str = "IMPORTO_AGGIORNATO";
    pub const PARKED: &str = "POSIZIONE_FERMA";
    pub const RESUMED: &str = "POSIZIONE_RIPRESA";
    pub const PAID: &str = "PAGATO";
    pub const UNMANAGED: &str = "POSIZIONE_NON_GESTITA";
    /// The days in which it can be paid stand still (appeal), or count again.
    pub const DAYS_STOPPED: &str = "TERMINI_SOSPESI";
    pub const DAYS_GO: &str = "TERMINI_RIPRESI";
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
    let of_a_sum = matches!(fact, PositionFact::Reckoned(_) | PositionFact::NoSum { .. });
    // Parked, and its PT may ask the price all the same.
    if matches!(step.next, PositionState::Parked { .. }) && step.next.is_reckoned(row.costs) && !of_a_sum {
        return step.then(PositionEffect::Reckon);
    }
    step
}

fn follow(state: &PositionState, row: &PositionFacts, fact: &PositionFact) -> PositionStep {
    use {PositionEffect as Do, PositionFact as F, PositionState as S};
    match (state, fact) {
        (_, F::Paid { payment, whole }) => paid(state, row, payment, *whole),
        (S::Paid, _) => PositionStep::stay(state),

        (S::Closed | S::Unmanaged, F::Joined { managed: true }) => PositionStep::to(S::Unverified).then(Do::Verify),
        (S::Closed | S::Unmanaged, F::Joined { managed: false }) => PositionStep::to(S::Unmanaged).tell(line(event::UNMANAGED, None)),
        (S::Unverified, F::Joined { .. }) => PositionStep::stay(state).then(Do::Verify),
        (S::Open | S::Changing { .. }, F::Joined { .. }) => PositionStep::stay(state).then(Do::Reckon),

        (S::Unmanaged, F::Left { last: true }) => PositionStep::to(S::Closed),
        // What messo has put there goes away with the act: a last reckoning, then it is closed.
        (S::Unverified | S::Open | S::Changing { .. }, F::Left { last: true }) if row.touched || matches!(state, S::Changing { .. }) => {
            PositionStep::stay(state).then(Do::Reckon)
        }
        (S::Parked { .. }, F::Left { last: true }) if row.touched => PositionStep::stay(state),
        (_, F::Left { last: true }) => PositionStep::to(S::Closed),
        (S::Open | S::Changing { .. }, F::Left { .. } | F::Moved) => PositionStep::stay(state).then(Do::Reckon),

        (S::Unverified | S::Parked { .. }, F::Verified { held }) => match blocked(held) {
            Some(step) => step_unless_known(state, step),
            None => {
                let step = PositionStep::to(S::Open).then(Do::Reckon).at(Do::PollPayment, When::In(FIRST_POLL));
                if matches!(state, S::Parked { .. }) { step.tell(line(event::RESUMED, None)) } else { step }
            }
        },
        (S::Unverified | S::Parked { .. }, F::Unverifiable) => PositionStep::to(S::Open).then(Do::Reckon),
        (S::Open, F::Verified { held }) => match blocked(held) {
            Some(step) => step,
            // Somebody else has changed it.
            None if held.amount.is_some() && held.amount != row.wanted => PositionStep::stay(state).then(Do::Reckon),
            None => PositionStep::stay(state),
        },
        (S::Unverified | S::Parked { .. }, F::NotVerified { code }) => step_unless_known(state, PositionStep::park(code)),

        (S::Open, F::Reckoned(sum)) => reckoned(row, sum),
        // Nothing of it has left: it makes room for what is due now.
        (S::Changing { change }, F::Reckoned(sum)) if change.stage == Stage::ToPush => {
            if sum.amount == change.amount && sum.cost == change.cost {
                let raise = row.asked.or(sum.stated).is_some_and(|holds| sum.amount > holds);
                timed(PositionStep::stay(state).then(Do::Push { raise }), sum)
            } else {
                reckoned(row, sum)
            }
        }
        // Compared again when what is under way is known.
        (S::Changing { .. } | S::Unverified | S::Parked { .. }, F::Reckoned(sum)) => timed(PositionStep::stay(state), sum),
        (S::Open, F::NoSum { code }) => PositionStep::park(code),
        (S::Changing { change }, F::NoSum { code }) if change.stage == Stage::ToPush => PositionStep::park(code),

        (S::Changing { change }, F::Offered) if change.stage == Stage::ToPush => {
            PositionStep::to(S::Changing { change: Pending { stage: Stage::Offered, ..change.clone() } })
        }
        (S::Changing { change }, F::Pushed { reads: true } | F::ToldLater { undone: None, reads: true }) => {
            let change = Pending { stage: Stage::ToReadBack, tries: change.tries + 1, ..change.clone() };
            PositionStep::to(S::Changing { change }).then(Do::ReadBack)
        }
        (S::Changing { change }, F::Pushed { reads: false } | F::ToldLater { undone: None, reads: false }) => settled(change, row),
        // Open or closed: it was silent for so long that it was taken to have done it, and has not.
        (S::Changing { .. } | S::Open | S::Closed, F::ToldLater { undone: Some(undone), .. }) => undone_later(state, row, undone.why),
        (S::Changing { change }, F::TakenInCharge { ticket }) => {
            let change = Pending { stage: Stage::TakenInCharge { ticket: ticket.clone() }, ..change.clone() };
            PositionStep::to(S::Changing { change }).at(Do::ReadBack, When::In(SILENCE))
        }
        (S::Changing { .. }, F::PushRefused { code }) => PositionStep::park(code),
        (S::Changing { change }, F::ReadBack { held, told }) => read_back(row, change, held, *told),
        // A question of another kind, while a change is under way.
        (S::Changing { .. }, F::Verified { held }) => blocked(held).unwrap_or_else(|| PositionStep::stay(state)),

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
fn blocked(held: &Held) -> Option<PositionStep> {
    match held.state {
        HeldState::Payable | HeldState::NotActive => None,
        HeldState::BeingPaid => Some(PositionStep::park(code::BEING_PAID).at(PositionEffect::Verify, When::In(LOOK_AGAIN))),
        HeldState::Cancelled => Some(PositionStep::park(code::CANCELLED)),
        HeldState::Expired => Some(PositionStep::park(code::EXPIRED)),
        // Who reads it hands the payment over as a fact of its own; without one nothing is known of it but this.
        HeldState::Paid => Some(PositionStep::to(PositionState::Paid).tell(line(event::PAID, None))),
    }
}

/// The job of the next date.
fn timed(step: PositionStep, sum: &Reckoning) -> PositionStep {
    match sum.next {
        Some(day) => step.at(PositionEffect::Reckon, When::Day(day)),
        None => step,
    }
}

/// The key of a change that begins now: no other change of the position has had it.
fn new_key(row: &PositionFacts) -> String {
    format!("{}/{}", row.id, row.revision + 1)
}

fn reckoned(row: &PositionFacts, sum: &Reckoning) -> PositionStep {
    let holds = row.asked.or(sum.stated);
    let due_date = match row.held_due {
        Some(held) => sum.due_date.filter(|due| held < *due),
        // A PT that never tells its last day may lose it by a change that does not state it.
        None => sum.stated_due.map(|stated| sum.due_date.map_or(stated, |due| due.max(stated))).filter(|due| *due >= sum.day),
    };
    let closes_early = !sum.last && row.held_due.is_some() && due_date.is_some();
    if sum.may_push && (holds != Some(sum.amount) || closes_early) {
        let raise = holds.is_some_and(|holds| sum.amount > holds);
        let change = Pending { key: new_key(row), amount: sum.amount, cost: sum.cost, due_date, stage: Stage::ToPush, tries: 0 };
        return timed(PositionStep::to(PositionState::Changing { change }).then(PositionEffect::Push { raise }), sum);
    }
    if sum.last {
        return PositionStep::to(PositionState::Closed);
    }
    timed(PositionStep::to(PositionState::Open), sum)
}

/// The PT holds the change, as far as can be known.
fn settled(change: &Pending, row: &PositionFacts) -> PositionStep {
    let mut told = line(event::UPDATED, None);
    told.amount = Some(change.amount);
    told.cost = Some(change.cost);
    let step = PositionStep::to(PositionState::Open).tell(told);
    // What was reckoned meanwhile is compared with what the PT holds by now.
    if row.last || row.wanted != Some(change.amount) { step.then(PositionEffect::Reckon) } else { step }
}

fn read_back(row: &PositionFacts, change: &Pending, held: &Held, told: bool) -> PositionStep {
    if let Some(step) = blocked(held) {
        return step;
    }
    let next = |stage| Pending { stage, tries: change.tries + 1, ..change.clone() };
    match held.amount {
        // A PT that does not tell amounts cannot deny it.
        None if told || change.stage != Stage::Offered => settled(change, row),
        Some(amount) if amount == change.amount => settled(change, row),
        // It may still be working on it.
        _ if matches!(change.stage, Stage::TakenInCharge { .. }) && change.tries < MOST_SILENCES => {
            let change = next(change.stage.clone());
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::ReadBack, When::In(SILENCE))
        }
        _ if matches!(change.stage, Stage::TakenInCharge { .. }) || change.tries >= MOST_TRIES => PositionStep::park(code::NOT_CHANGED),
        // It says that it did it: another look before it is told again.
        _ if told => {
            let change = next(Stage::ToReadBack);
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::ReadBack, When::In(A_MOMENT))
        }
        // It was not done: the same amount again, by another key. A PT that has seen the old one may answer that it has it, and do nothing.
        held => {
            let raise = held.is_some_and(|held| change.amount > held);
            let wait = A_MOMENT << change.tries.min(8);
            let change = Pending { key: new_key(row), ..next(Stage::ToPush) };
            PositionStep::to(PositionState::Changing { change }).at(PositionEffect::Push { raise }, When::In(wait))
        }
    }
}

/// The PT says, later, that it has not made a change.
fn undone_later(state: &PositionState, row: &PositionFacts, why: WhyUndone) -> PositionStep {
    match why {
        WhyUndone::Again if row.again > MOST_AGAIN => PositionStep::park(code::REFUSED),
        WhyUndone::Again => {
            let wait = When::In((NOT_NOW << row.again.saturating_sub(1).min(6)).min(LOOK_AGAIN));
            match state {
                // The same amount, by another key: of the old one it would say that it has it.
                PositionState::Changing { change } => {
                    let raise = row.asked.is_none_or(|asked| change.amount > asked);
                    let change = Pending { key: new_key(row), stage: Stage::ToPush, ..change.clone() };
                    PositionStep::to(PositionState::Changing { change }).at(PositionEffect::Push { raise }, wait)
                }
                _ => PositionStep::to(PositionState::Open).at(PositionEffect::Reckon, wait),
            }
        }
        WhyUndone::BeingPaid => {
            let step = PositionStep::park(code::BEING_PAID).at(PositionEffect::Verify, When::In(LOOK_AGAIN));
            // Told once: a PT that cannot be asked says it each time that it is told the amount again.
            if row.being_paid { PositionStep { lines: Vec::new(), flags: Vec::new(), ..step } } else { step }
        }
        WhyUndone::Paid => PositionStep::to(PositionState::Paid).tell(line(event::PAID, None)),
        WhyUndone::Cancelled => PositionStep::park(code::CANCELLED),
        WhyUndone::Expired => PositionStep::park(code::EXPIRED),
        WhyUndone::NotFound => PositionStep::park(code::NOT_FOUND),
        WhyUndone::Refused => PositionStep::park(code::REFUSED),
    }
}

fn paid(state: &PositionState, row: &PositionFacts, payment: &PaymentSeen, whole: bool) -> PositionStep {
    let mut told = line(event::PAID, None);
    told.amount = Some(payment.amount);
    told.payment = Some(payment.clone());
    let expected = row.wanted.or(row.asked);
    if !whole {
        told.code = Some(code::PARTIAL.to_owned());
        return PositionStep::stay(state).tell(told);
    }
    if row.costs != CostChannel::Async && expected.is_some_and(|wanted| wanted != payment.amount) {
        told.code = Some(code::OTHER_AMOUNT.to_owned());
    }
    // A PT may call it paid before anybody tells the payment.
    let again = matches!(state, PositionState::Paid) && row.paid_known;
    let stale = told.code.clone();
    let mut step = PositionStep::to(PositionState::Paid).tell(told);
    // Accepted, and told: the office decides about the difference.
    step.flags.extend(stale);
    if again {
        // Two receipts for one debt: a person gives one back.
        step.flags.push("PAGATO_DUE_VOLTE".to_owned());
    }
    if row.tells_payment && !again { step.then(PositionEffect::TellPayment) } else { step }
}

#[cfg(test)]
mod tests;
