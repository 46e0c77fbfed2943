//! The end of a position whose act was cancelled by an order, where its flow wants the debt to end too: told to its PT like a change
//! of its amount, durably, read back when nobody knows, never of one that is paid or being paid.

use super::{Pending, PositionEffect, PositionFacts, PositionState, PositionStep, Reckoning, Stage, code, event, line, new_key};
use crate::domain::money::Cents;

/// Whether a position in `state` can still be cancelled. One that is being paid is looked at again by itself; one that its PT has
/// cancelled, does not know or says to be somebody else's, and one whose debt is paid, is left alone.
pub(super) fn may_begin(state: &PositionState) -> bool {
    match state {
        PositionState::Unverified | PositionState::Open | PositionState::Changing { .. } => true,
        PositionState::Parked { code } => ![code::CANCELLED, code::NOT_FOUND, code::OTHER, code::PAID_ELSEWHERE].contains(&code.as_str()),
        PositionState::Unmanaged | PositionState::Paid | PositionState::Closed => false,
    }
}

/// Its last act was cancelled: what its PT can do is found out with the last reckoning, after what is under way.
pub(super) fn wanted(state: &PositionState) -> PositionStep {
    let step = match state {
        PositionState::Parked { code } if code == code::BEING_PAID => return PositionStep::stay(state),
        PositionState::Changing { .. } => PositionStep::stay(state),
        _ => PositionStep::to(PositionState::Open),
    };
    step.then(PositionEffect::Reckon)
}

/// The last reckoning of one that is to be cancelled, and can be.
pub(super) fn reckoned(row: &PositionFacts, sum: &Reckoning) -> Option<PositionStep> {
    if !sum.last || sum.cancels != Some(true) {
        return None;
    }
    let amount = row.asked.or(sum.stated).unwrap_or(sum.amount);
    let (key, stage) = (new_key(row), Stage::ToPush);
    let change = Pending { key, amount, cost: Cents(0), due_date: None, stage, tries: 0, cancel: true, last: true };
    Some(PositionStep::to(PositionState::Changing { change }).then(PositionEffect::Push { raise: false }))
}

/// Nobody names it any more. One that was to be cancelled, at a PT that cannot, is told to a person.
pub(super) fn closed(sum: &Reckoning) -> PositionStep {
    let step = PositionStep::to(PositionState::Closed);
    if sum.cancels != Some(false) {
        return step;
    }
    let mut step = step.tell(line(event::PARKED, Some(code::NOT_CANCELLED)));
    step.flags.push(code::NOT_CANCELLED.to_owned());
    step
}

/// Its PT has cancelled it. An act that names it by now has a notice that cannot be paid.
pub(super) fn done(row: &PositionFacts) -> PositionStep {
    if row.last { PositionStep::to(PositionState::Closed).tell(line(event::CANCELLED, None)) } else { PositionStep::park(code::CANCELLED) }
}
