//! Payments of a position: told with their amount, or only called paid by its PT.

use jiff::civil::Date;

use super::{FIRST_POLL, PositionEffect, PositionFacts, PositionState, PositionStep, When, code, event, line};
use crate::domain::calendar::in_rome;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, PaymentSeen};

/// What the citizen had to pay on a day of Rome, cost of notification included, as far as the row remembers it: where the rule cannot be
/// asked about that day any more. A payment is often learnt after the amount has moved.
fn due_on(row: &PositionFacts, day: Date) -> Option<Cents> {
    match row.before {
        Some((amount, since)) if day < since => Some(amount),
        // It has changed since, and was not reckoned yet.
        _ if row.next_day.is_some_and(|next| next <= day) => None,
        _ => due(row),
    }
}

/// What the citizen is asked for now, cost of notification included, whoever adds it.
fn due(row: &PositionFacts) -> Option<Cents> {
    with_cost(row, row.wanted.or(row.asked)?)
}

fn with_cost(row: &PositionFacts, amount: Cents) -> Option<Cents> {
    amount.get().checked_add(row.apart.map_or(0, Cents::get)).map(Cents)
}

/// A payment, whatever its amount. `whole`: nothing is left to pay.
pub(super) fn told(state: &PositionState, row: &PositionFacts, payment: &PaymentSeen, whole: bool) -> PositionStep {
    let mut told = line(event::PAID, None);
    told.amount = Some(payment.amount);
    told.payment = Some(payment.clone());
    if !whole {
        told.code = Some(code::PARTIAL.to_owned());
        return PositionStep::stay(state).tell(told);
    }
    let due = row.due_then.or_else(|| due_on(row, in_rome(payment.paid_at).date()));
    if due.is_some_and(|due| due != payment.amount) {
        told.code = Some(code::OTHER_AMOUNT.to_owned());
    }
    // A PT may call it paid before anybody tells the payment.
    let again = matches!(state, PositionState::Paid) && row.paid_known;
    let elsewhere = row.paid_elsewhere || matches!(state, PositionState::Parked { code } if code == code::PAID_ELSEWHERE);
    let stale = told.code.clone();
    let mut step = PositionStep::to(PositionState::Paid).tell(told);
    // Accepted, and told: the office decides about the difference.
    step.flags.extend(stale);
    if again || elsewhere {
        // Two receipts for one debt: a person gives one back.
        step.flags.push(code::PAID_TWICE.to_owned());
    }
    if row.tells_payment && !again { step.then(PositionEffect::TellPayment) } else { step }
}

/// The debt was paid with another notice: nothing was received on this one, and nothing more is asked for with it.
pub(super) fn elsewhere(state: &PositionState) -> PositionStep {
    match state {
        PositionState::Unverified | PositionState::Open | PositionState::Changing { .. } => parked(),
        PositionState::Parked { code } if code != code::PAID_ELSEWHERE => parked(),
        state => PositionStep::stay(state),
    }
}

/// Looked at again: the office cancels it at its PT, or somebody pays it too.
pub(super) fn parked() -> PositionStep {
    PositionStep::park(code::PAID_ELSEWHERE).at(PositionEffect::PollPayment, When::In(FIRST_POLL))
}

/// Its PT calls it paid and tells no payment: it is taken to be of what that PT asked for, and said to be so.
pub(super) fn untold(row: &PositionFacts) -> PositionStep {
    // A PT that asks messo has asked for what messo answered; another for what it held, which may not be what is due by now.
    let asked = if row.costs == CostChannel::Pull { row.wanted.or(row.asked) } else { row.asked.or(row.wanted) };
    let mut told = line(event::PAID, Some(code::UNTOLD));
    told.amount = asked.and_then(|asked| with_cost(row, asked));
    let step = PositionStep::to(PositionState::Paid).tell(told);
    if row.tells_payment { step.then(PositionEffect::TellPayment) } else { step }
}
