//! When a change counts as made, and what becomes of one that was not.

use super::*;

const OLD: Date = date(2026, 11, 26);
const NEW: Date = date(2027, 5, 22);

/// A change of the last day; `amount`: what the PT held was 100 EUR.
fn moving(amount: i64, stage: Stage) -> PositionState {
    let (key, amount, cost) = ("p/5".to_owned(), Cents(amount), Cents(0));
    let change = Pending { key, amount, cost, due_date: Some(NEW), stage, tries: 0, cancel: false, last: false };
    PositionState::Changing { change }
}

fn read(amount: Option<i64>, due_date: Option<Date>, told: bool) -> PositionFact {
    PositionFact::ReadBack { held: Held { due_date, ..held(HeldState::Payable, amount) }, told }
}

#[test]
fn a_change_of_the_last_day_alone_is_made_when_the_pt_holds_the_day_or_says_so() {
    let taken = || Stage::TakenInCharge { ticket: "t".to_owned() };
    let wanted = |amount| PositionFacts { wanted: Some(Cents(amount)), held_due: Some(OLD), ..row() };
    let table = [
        // amount, stage; held: amount, day; told; what follows
        (10_000, Stage::Offered, Some(10_000), Some(OLD), false, "AGGIORNA_IMPORTO"),
        (10_000, Stage::Offered, Some(10_000), None, false, "AGGIORNA_IMPORTO"),
        (10_000, Stage::Offered, Some(10_000), Some(NEW), false, ""),
        // It says that it did it: a day that it does not keep is not told for ever.
        (10_000, Stage::Offered, Some(10_000), Some(OLD), true, ""),
        (10_000, Stage::ToReadBack, Some(10_000), Some(OLD), false, ""),
        (10_000, taken(), Some(10_000), Some(OLD), false, "RILEGGI_POSIZIONE"),
        (10_000, taken(), Some(10_000), Some(NEW), false, ""),
        (10_000, taken(), Some(10_000), None, false, ""),
        (10_000, taken(), None, None, false, ""),
        // The amount moved too: of a PT that does not tell its day that says it.
        (10_847, Stage::Offered, Some(10_847), None, false, ""),
        (10_847, Stage::Offered, Some(10_847), Some(OLD), false, "AGGIORNA_IMPORTO"),
        (10_847, Stage::Offered, Some(10_000), Some(NEW), false, "AGGIORNA_IMPORTO"),
        (10_000, Stage::Offered, None, None, false, "AGGIORNA_IMPORTO"),
        (10_000, Stage::Offered, None, None, true, ""),
    ];
    for (amount, stage, holds, day, told, want) in table {
        let case = format!("{amount} {stage:?}, holds {holds:?} until {day:?}, told {told}");
        let step = observe(&moving(amount, stage), &wanted(amount), &read(holds, day, told));
        assert_eq!(step.next.name(), if want.is_empty() { "APERTA" } else { "IN_MODIFICA" }, "{case}");
        assert_eq!(effects(&step).join(" "), want, "{case}");
        assert_eq!(step.lines.iter().any(|line| line.event == event::UPDATED), want.is_empty(), "{case}");
        if let PositionState::Changing { change } = step.next {
            assert_eq!(change.due_date, Some(NEW), "{case}");
        }
    }
}

#[test]
fn what_is_said_before_a_change_has_left_is_of_another() {
    use PositionFact as F;
    let state = changing(10_847, Stage::ToPush);
    let facts = [
        F::Pushed { reads: false },
        F::Pushed { reads: true },
        F::ToldLater { undone: None, reads: false },
        F::ToldLater { undone: None, reads: true },
        F::TakenInCharge { ticket: "t".to_owned() },
        read(Some(10_847), None, false),
        read(Some(10_000), None, true),
        read(None, None, true),
    ];
    for fact in facts {
        assert_eq!(observe(&state, &row(), &fact), PositionStep::stay(&state), "{fact:?}");
    }
    // What stops everything stops it.
    let paid = F::ReadBack { held: held(HeldState::Paid, None), told: false };
    assert_eq!(observe(&state, &row(), &paid).next, PositionState::Paid);
}

#[test]
fn a_change_that_was_not_made_and_is_no_longer_wanted_is_reckoned_anew() {
    let taken = |cancel, last| {
        let PositionState::Changing { change } = changing(10_847, Stage::TakenInCharge { ticket: "t".to_owned() }) else { panic!() };
        PositionState::Changing { change: Pending { cancel, last, ..change } }
    };
    let offered = |cancel, last| {
        let PositionState::Changing { change } = taken(cancel, last) else { panic!() };
        PositionState::Changing { change: Pending { stage: Stage::Offered, ..change } }
    };
    let not_made = read(Some(10_000), None, false);
    let table = [
        // cancels, begun after the last act; wanted by now; nobody names it; told again
        (false, false, 10_847, false, true),
        (false, false, 10_000, false, false),
        // Its act is over, and that was not reckoned yet.
        (false, false, 10_847, true, false),
        // The last word of an act that is over.
        (false, true, 10_847, true, true),
        (true, true, 10_000, true, true),
        // Another act names it by now: nothing is taken back, nor cancelled.
        (false, true, 10_847, false, false),
        (true, true, 10_000, false, false),
    ];
    for (cancel, begun, wanted, last, again) in table {
        let row = PositionFacts { wanted: Some(Cents(wanted)), last, again: 1, ..row() };
        for (state, fact) in [(offered(cancel, begun), not_made.clone()), (taken(cancel, begun), later(WhyUndone::Again))] {
            let step = observe(&state, &row, &fact);
            let want = if again { ("IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]) } else { ("APERTA", vec!["RICALCOLA"]) };
            assert_eq!((step.next.name(), effects(&step)), want, "cancel {cancel}, wanted {wanted}, last {last}: {fact:?}");
        }
        // "Not now" is waited for all the same.
        let step = observe(&taken(cancel, begun), &row, &later(WhyUndone::Again));
        assert_eq!(step.effects[0].1, When::In(60), "cancel {cancel}, wanted {wanted}, last {last}");
    }
}

#[test]
fn what_may_have_arrived_at_a_pt_that_does_not_tell_is_told_again_before_it_is_over() {
    for last in [false, true] {
        let sum = Reckoning { last, ..sum(10_000) };
        let settled = observe(&PositionState::Open, &row(), &reckoned_fact(sum.clone()));
        assert_eq!(settled.next, if last { PositionState::Closed } else { PositionState::Open });
        let unsure = PositionFacts { unsure: true, ..row() };
        assert_eq!(effects(&observe(&PositionState::Open, &unsure, &reckoned_fact(sum))), ["AGGIORNA_IMPORTO"], "last {last}");
    }
}

#[test]
fn a_late_word_about_a_position_that_is_over() {
    let table = [
        // What the PT says; its act was cancelled, and the debt with it; where that leads
        (WhyUndone::Cancelled, true, None),
        (WhyUndone::Cancelled, false, None),
        (WhyUndone::Refused, true, Some(code::NOT_CANCELLED)),
        (WhyUndone::Refused, false, Some(code::REFUSED)),
        (WhyUndone::Expired, true, Some(code::NOT_CANCELLED)),
        (WhyUndone::Expired, false, Some(code::EXPIRED)),
        (WhyUndone::BeingPaid, true, Some(code::BEING_PAID)),
    ];
    for (why, cancels, want) in table {
        let row = PositionFacts { last: true, cancels, ..row() };
        let step = observe(&PositionState::Closed, &row, &later(why));
        assert_eq!(step.next, want.map_or(PositionState::Closed, parked), "{why}, cancelled {cancels}");
        assert_eq!(step.lines.len(), usize::from(want.is_some()), "{why}, cancelled {cancels}");
    }
}

#[test]
fn a_pt_that_never_tells_its_day_is_told_it_with_every_change() {
    let day = |add: i32| FIRST.checked_add(jiff::Span::new().days(add)).unwrap();
    let table = [
        // told before, by the rule, far; restates; told with another amount, by itself
        (20, None, None, true, Some(20), None),
        (20, None, None, false, None, None),
        (20, Some(30), None, true, Some(30), Some(30)),
        (20, Some(10), None, true, Some(20), None),
        (20, None, Some(180), true, Some(20), None),
        (5, None, Some(180), true, Some(180), Some(180)),
        (0, None, None, true, Some(0), None),
        // Over: it would be refused.
        (-1, None, None, true, None, None),
    ];
    for (told, due, far, restates, want, alone) in table {
        let case = format!("told {told}, rule {due:?}, far {far:?}, restates {restates}");
        let row = PositionFacts { held_due: Some(day(told)), ..row() };
        let sum = |amount| Reckoning { due_date: due.map(day), open_until: far.map(day), restates, ..sum(amount) };
        let due_of = |amount: i64| match observe(&PositionState::Open, &row, &reckoned_fact(sum(amount))).next {
            PositionState::Changing { change } => Some(change.due_date),
            _ => None,
        };
        assert_eq!(due_of(10_847), Some(want.map(day)), "{case}");
        assert_eq!(due_of(10_000), alone.map(|alone| Some(day(alone))), "{case}: the amount is right");
    }
    // One that it calls expired although its day is far is not told that day again.
    let row = PositionFacts { held_due: Some(day(400)), expired: true, ..row() };
    let sum = Reckoning { open_until: Some(day(180)), restates: true, ..sum(10_847) };
    assert_eq!(observe(&PositionState::Open, &row, &reckoned_fact(sum)).next, parked(code::EXPIRED));
}

#[test]
fn a_change_that_has_not_left_ends_with_its_act() {
    let table = [
        // cancels or takes back, stage; what happens; whether the change is there still
        (false, Stage::ToPush, PositionFact::Left { last: true }, false),
        (false, Stage::Offered, PositionFact::Left { last: true }, true),
        (false, Stage::ToPush, PositionFact::Left { last: false }, true),
        (false, Stage::ToPush, PositionFact::Joined { managed: true }, true),
        (true, Stage::ToPush, PositionFact::Joined { managed: true }, false),
        (true, Stage::Offered, PositionFact::Joined { managed: true }, true),
    ];
    for (last, stage, fact, stays) in table {
        let PositionState::Changing { change } = changing(10_847, stage) else { panic!() };
        for (cancel, cancels) in [(false, false), (last, false), (last, true)] {
            let state = PositionState::Changing { change: Pending { cancel, last, ..change.clone() } };
            let step = observe(&state, &PositionFacts { last: fact == (PositionFact::Left { last: true }), cancels, ..row() }, &fact);
            let want = if stays { state.clone() } else { PositionState::Open };
            assert_eq!((step.next.clone(), effects(&step)), (want, vec!["RICALCOLA"]), "{state:?} + {fact:?}");
        }
    }
    // Only its day was to be moved; nobody names it any more.
    let state = moving(10_000, Stage::ToPush);
    let row = PositionFacts { held_due: Some(OLD), last: true, ..row() };
    for may_push in [true, false] {
        let sum = Reckoning { cost: Cents(0), last: true, may_push, ..sum(10_000) };
        assert_eq!(observe(&state, &row, &reckoned_fact(sum)).next, PositionState::Closed, "may push {may_push}");
    }
}
