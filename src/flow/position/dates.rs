//! The last day on which a PT takes the payment: moved later, never earlier, so that what is due can be paid.
//!
//! As long as the rule knows its last term the PT is told that; where it knows none (before completion, while days stand still, in the
//! last step) the PT's own date is left as it is until it comes near, then a day far away is told ([`Reckoning::open_until`]).

use jiff::ToSpan;
use jiff::civil::Date;

use super::{PositionFacts, Reckoning};

/// Days before the PT's last day at which it is moved: a machine that was off for a week finds it still open.
const NEAR: i32 = 7;

/// The last day to be told with the next change, if one is to be told.
pub(super) fn to_tell(row: &PositionFacts, sum: &Reckoning) -> Option<Date> {
    match row.held_due {
        _ if row.expired => lacks(row.held_due, true, sum),
        Some(held) => lacks(Some(held), false, sum).or(Some(held).filter(|held| sum.restates && *held >= sum.day)),
        // A PT that never tells its last day may lose it by a change that does not state it.
        None => {
            let stated = sum.stated_due.map(|stated| sum.due_date.map_or(stated, |due| due.max(stated)))?;
            match sum.open_until {
                Some(far) if stated < soon(sum.day) => Some(far.max(stated)),
                _ => Some(stated).filter(|due| *due >= sum.day),
            }
        }
    }
}

/// Whether the last day that the PT holds, as far as is known, is by itself a reason to tell it another.
pub(super) fn closes_early(row: &PositionFacts, sum: &Reckoning) -> bool {
    (row.held_due.is_some() || row.expired) && lacks(row.held_due, row.expired, sum).is_some()
}

/// Whether a position whose PT takes no payments any more can be made payable again.
pub(super) fn reopens(row: &PositionFacts, sum: &Reckoning) -> bool {
    row.expired && sum.may_push && !sum.last && to_tell(row, sum).is_some()
}

/// Whether a change that states `told` still says what is to be said.
pub(super) fn is_still_right(row: &PositionFacts, sum: &Reckoning, told: Option<Date>) -> bool {
    to_tell(row, sum) == told || told.is_some_and(|told| lacks(Some(told), false, sum).is_none())
}

/// The day on which a last day that the PT holds comes near, when it will have to be moved.
pub(super) fn near_on(held: Option<Date>, sum: &Reckoning) -> Option<Date> {
    sum.open_until.filter(|_| sum.may_push && !sum.last)?;
    let near = held?.checked_sub((NEAR - 1).days()).ok()?;
    Some(near.max(sum.day.tomorrow().ok()?))
}

/// A last day later than the one that the PT holds, if it holds one that comes too early.
fn lacks(held: Option<Date>, expired: bool, sum: &Reckoning) -> Option<Date> {
    let later = |due: Date| held.is_none_or(|held| held < due);
    match (sum.due_date, sum.open_until) {
        // The rule's own term says more to the citizen than a day far away.
        (Some(term), Some(_)) if term >= soon(sum.day) => Some(term),
        (term, Some(far)) => {
            let comes_near = held.is_none_or(|held| held < soon(sum.day));
            Some(term.map_or(far, |term| term.max(far))).filter(|_| expired || comes_near)
        }
        (term, None) => term,
    }
    .filter(|due| later(*due))
}

fn soon(day: Date) -> Date {
    day.saturating_add(NEAR.days())
}
