//! What a PT says of a change long after it took it in charge.

use super::{LOOK_AGAIN, Pending, PositionEffect, PositionFacts, PositionState, PositionStep, Stage, When};
use super::{cancel, code, is_stale, new_key, payment};
use crate::domain::position::WhyUndone;

/// It has not made it.
pub(super) fn undone(state: &PositionState, row: &PositionFacts, why: WhyUndone) -> PositionStep {
    let change = if let PositionState::Changing { change } = state { Some(change) } else { None };
    let over = *state == PositionState::Closed;
    let cancels = change.is_some_and(|change| change.cancel) || (over && row.cancels);
    let refused = if cancels { code::NOT_CANCELLED } else { code::REFUSED };
    match why {
        WhyUndone::Again if row.again > super::MOST_AGAIN => PositionStep::park(refused),
        WhyUndone::Again => {
            let wait = When::In((super::NOT_NOW << row.again.saturating_sub(1).min(6)).min(LOOK_AGAIN));
            match change {
                // The same, by another key: of the old one it would say that it has it.
                Some(change) if !is_stale(row, change) => {
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
        WhyUndone::Paid => payment::untold(row),
        // Nobody names it any more: that is as good.
        WhyUndone::Cancelled if over => PositionStep::stay(state),
        WhyUndone::Cancelled if cancels => cancel::done(row),
        WhyUndone::Cancelled => PositionStep::park(code::CANCELLED),
        WhyUndone::Expired | WhyUndone::NotFound | WhyUndone::Refused if cancels => PositionStep::park(refused),
        // With another day it takes no payments all the same.
        WhyUndone::Expired if change.is_some_and(|change| change.due_date.is_some()) => PositionStep::park(code::NOT_REOPENED),
        WhyUndone::Expired => PositionStep::park(code::EXPIRED),
        WhyUndone::NotFound => PositionStep::park(code::NOT_FOUND),
        WhyUndone::Refused => PositionStep::park(code::REFUSED),
    }
}
