//! Every transition that matters, as tables; and what may never happen, over random stories.

use jiff::Timestamp;
use jiff::civil::{Date, date};

use super::dice::Dice;
use super::*;
use crate::domain::position::WhyUndone;

mod made;

const FIRST: Date = date(2026, 11, 23);

fn row() -> PositionFacts {
    PositionFacts {
        id: "p".to_owned(),
        revision: 4,
        costs: CostChannel::Push,
        asked: Some(Cents(10_000)),
        read_before: Some(Cents(10_000)),
        unsure: false,
        held_due: None,
        expired: false,
        wanted: None,
        wanted_cost: None,
        apart: None,
        before: None,
        due_then: None,
        next_day: None,
        touched: false,
        notified: false,
        paid_known: false,
        paid_elsewhere: false,
        again: 0,
        being_paid: false,
        last: false,
        tells_payment: false,
        cancels: false,
    }
}

fn held(state: HeldState, amount: Option<i64>) -> Held {
    Held { amount: amount.map(Cents), ..Held::of(state) }
}

fn sum(amount: i64) -> Reckoning {
    Reckoning {
        day: FIRST,
        amount: Cents(amount),
        cost: Cents(847),
        whole_cost: Cents(847),
        due_date: None,
        open_until: None,
        stated_due: None,
        restates: false,
        next: None,
        stated: Some(Cents(10_000)),
        may_push: true,
        last: false,
        cancels: None,
    }
}

fn reckoned_fact(sum: Reckoning) -> PositionFact {
    PositionFact::Reckoned(Box::new(sum))
}

fn changing(amount: i64, stage: Stage) -> PositionState {
    let (key, amount, cost) = ("p/5".to_owned(), Cents(amount), Cents(847));
    let change = Pending { key, amount, cost, due_date: None, stage, tries: 0, cancel: false, last: false };
    PositionState::Changing { change }
}

fn parked(code: &str) -> PositionState {
    PositionState::Parked { code: code.to_owned() }
}

fn payment(amount: i64) -> PaymentSeen {
    PaymentSeen { paid_at: Timestamp::UNIX_EPOCH, amount: Cents(amount), receipt: Some("r1".to_owned()) }
}

fn later(why: WhyUndone) -> PositionFact {
    PositionFact::ToldLater { undone: Some(Undone { why, code: "X".to_owned() }), reads: false }
}

/// Names of what follows, in order.
fn effects(step: &PositionStep) -> Vec<&'static str> {
    step.effects.iter().map(|(effect, _)| effect.name()).collect()
}

#[test]
fn each_fact_moves_each_state_as_written() {
    use {PositionFact as F, PositionState as S, WhyUndone as W};
    let taken = Stage::TakenInCharge { ticket: "t".to_owned() };
    let verified = |state, amount| F::Verified { held: held(state, amount) };
    let read = |state, amount, told| F::ReadBack { held: held(state, amount), told };
    let payable = HeldState::Payable;
    let table: Vec<(S, F, &str, Vec<&str>)> = vec![
        (S::Closed, F::Joined { managed: true }, "DA_VERIFICARE", vec!["VERIFICA_POSIZIONE"]),
        (S::Closed, F::Joined { managed: false }, "NON_GESTITA", vec![]),
        (S::Open, F::Joined { managed: true }, "APERTA", vec!["RICALCOLA"]),
        (S::Paid, F::Joined { managed: true }, "PAGATA", vec![]),
        (S::Unverified, verified(payable, Some(10_000)), "APERTA", vec!["RICALCOLA", "CHIEDI_PAGAMENTO"]),
        (S::Unverified, verified(HeldState::NotActive, None), "APERTA", vec!["RICALCOLA", "CHIEDI_PAGAMENTO"]),
        (S::Unverified, verified(HeldState::BeingPaid, None), "FERMA", vec!["VERIFICA_POSIZIONE"]),
        (S::Unverified, verified(HeldState::Cancelled, None), "FERMA", vec![]),
        (S::Unverified, verified(HeldState::Paid, None), "PAGATA", vec![]),
        // Nothing was received on it: no payment is told to anybody, and nothing else makes it be asked for again but a person.
        (S::Unverified, verified(HeldState::PaidElsewhere, None), "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (S::Open, verified(HeldState::PaidElsewhere, None), "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (changing(10_847, Stage::Offered), read(HeldState::PaidElsewhere, None, false), "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (S::Open, F::PaidElsewhere, "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (changing(10_847, Stage::ToPush), F::PaidElsewhere, "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (parked(code::EXPIRED), F::PaidElsewhere, "FERMA", vec!["CHIEDI_PAGAMENTO"]),
        (S::Paid, F::PaidElsewhere, "PAGATA", vec![]),
        (S::Unmanaged, F::PaidElsewhere, "NON_GESTITA", vec![]),
        (S::Closed, F::PaidElsewhere, "CHIUSA", vec![]),
        (parked(code::PAID_ELSEWHERE), verified(payable, Some(10_000)), "FERMA", vec![]),
        (parked(code::PAID_ELSEWHERE), reckoned_fact(sum(20_000)), "FERMA", vec![]),
        (parked(code::PAID_ELSEWHERE), F::Moved, "FERMA", vec![]),
        (parked(code::PAID_ELSEWHERE), F::Unverifiable, "FERMA", vec![]),
        (parked(code::PAID_ELSEWHERE), F::Resumed, "DA_VERIFICARE", vec!["VERIFICA_POSIZIONE"]),
        (parked(code::PAID_ELSEWHERE), verified(HeldState::Paid, None), "PAGATA", vec![]),
        (parked(code::PAID_ELSEWHERE), verified(HeldState::Cancelled, None), "CHIUSA", vec![]),
        (parked(code::PAID_ELSEWHERE), verified(HeldState::Expired, None), "FERMA", vec![]),
        (parked(code::PAID_ELSEWHERE), F::ActErased, "CHIUSA", vec![]),
        (S::Unverified, F::Unverifiable, "APERTA", vec!["RICALCOLA"]),
        (S::Unverified, F::NotVerified { code: code::NOT_FOUND }, "FERMA", vec![]),
        (S::Open, reckoned_fact(sum(10_000)), "APERTA", vec![]),
        (S::Open, reckoned_fact(sum(10_847)), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (S::Open, reckoned_fact(Reckoning { may_push: false, ..sum(10_847) }), "APERTA", vec![]),
        (S::Open, reckoned_fact(Reckoning { next: Some(FIRST), ..sum(10_000) }), "APERTA", vec!["RICALCOLA"]),
        (S::Open, reckoned_fact(Reckoning { last: true, ..sum(10_000) }), "CHIUSA", vec![]),
        (S::Open, F::NoSum { code: code::NO_SUM }, "FERMA", vec![]),
        (S::Open, F::Left { last: true }, "CHIUSA", vec![]),
        (S::Open, F::Left { last: false }, "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::ToPush), reckoned_fact(sum(10_847)), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (changing(10_847, Stage::ToPush), reckoned_fact(sum(10_000)), "APERTA", vec![]),
        (changing(10_847, Stage::Offered), reckoned_fact(sum(10_000)), "IN_MODIFICA", vec![]),
        (changing(10_847, Stage::ToPush), F::Offered, "IN_MODIFICA", vec![]),
        (changing(10_847, Stage::Offered), F::Pushed { reads: true }, "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (changing(10_847, Stage::Offered), F::Pushed { reads: false }, "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::Offered), F::TakenInCharge { ticket: "t".to_owned() }, "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (changing(10_847, taken.clone()), F::ToldLater { undone: None, reads: true }, "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (changing(10_847, taken.clone()), later(W::Refused), "FERMA", vec![]),
        (changing(10_847, taken.clone()), later(W::Again), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (changing(10_847, taken.clone()), later(W::BeingPaid), "FERMA", vec!["VERIFICA_POSIZIONE"]),
        (changing(10_847, taken.clone()), later(W::Paid), "PAGATA", vec![]),
        (S::Open, later(W::Refused), "FERMA", vec![]),
        (S::Open, later(W::Again), "APERTA", vec!["RICALCOLA"]),
        (S::Closed, later(W::Refused), "FERMA", vec![]),
        (S::Closed, later(W::Again), "APERTA", vec!["RICALCOLA"]),
        (S::Paid, later(W::Cancelled), "PAGATA", vec![]),
        (parked(code::CANCELLED), later(W::Again), "FERMA", vec![]),
        (S::Open, F::ToldLater { undone: None, reads: false }, "APERTA", vec![]),
        (changing(10_847, taken.clone()), read(payable, Some(10_000), false), "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (changing(10_847, taken), read(payable, Some(10_847), false), "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::Offered), read(payable, Some(10_847), false), "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::Offered), read(payable, Some(10_000), false), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (changing(10_847, Stage::Offered), read(payable, None, false), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (changing(10_847, Stage::Offered), read(payable, None, true), "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::Offered), read(payable, Some(10_000), true), "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (changing(10_847, Stage::ToReadBack), read(payable, Some(10_000), false), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (changing(10_847, Stage::ToReadBack), read(HeldState::BeingPaid, Some(10_000), false), "FERMA", vec!["VERIFICA_POSIZIONE"]),
        (changing(10_847, Stage::ToPush), F::PushRefused { code: code::REFUSED }, "FERMA", vec![]),
        (changing(10_847, Stage::ToPush), F::Paid { payment: payment(10_000), whole: true }, "PAGATA", vec![]),
        (parked(code::CANCELLED), reckoned_fact(sum(10_847)), "FERMA", vec![]),
        (parked(code::CANCELLED), F::Resumed, "DA_VERIFICARE", vec!["VERIFICA_POSIZIONE"]),
        (parked(code::BEING_PAID), verified(payable, Some(10_000)), "APERTA", vec!["RICALCOLA", "CHIEDI_PAGAMENTO"]),
        (parked(code::BEING_PAID), verified(HeldState::BeingPaid, None), "FERMA", vec!["VERIFICA_POSIZIONE"]),
        (parked(code::BEING_PAID), F::Left { last: true }, "CHIUSA", vec![]),
        (S::Unmanaged, F::Paid { payment: payment(10_000), whole: true }, "PAGATA", vec![]),
        (S::Unmanaged, F::Moved, "NON_GESTITA", vec![]),
        (S::Open, F::Paid { payment: payment(100), whole: false }, "APERTA", vec![]),
        (S::Paid, reckoned_fact(sum(10_847)), "PAGATA", vec![]),
        (S::Paid, F::Resumed, "PAGATA", vec![]),
    ];
    for (state, fact, name, want) in table {
        let step = observe(&state, &row(), &fact);
        assert_eq!((step.next.name(), effects(&step)), (name, want), "{state:?} + {fact:?}");
        for (effect, _) in &step.effects {
            assert!(effect.is_wanted(&step.next), "{state:?} + {fact:?}: {effect:?} would be dropped in {:?}", step.next);
        }
    }
}

#[test]
fn reductions_go_before_raises_and_dates_before_nothing() {
    for (asked, wanted, lane) in [(10_000, 10_847, Lane::NewSend), (10_847, 7_000, Lane::FollowUp)] {
        let row = PositionFacts { asked: Some(Cents(asked)), ..row() };
        let step = observe(&PositionState::Open, &row, &reckoned_fact(sum(wanted)));
        assert_eq!(step.effects[0].0.lane(), lane, "from {asked} to {wanted}");
    }
    // A PT that does not tell is taken to hold what the act says.
    let silent = PositionFacts { asked: None, ..row() };
    assert_eq!(observe(&PositionState::Open, &silent, &reckoned_fact(sum(10_000))).next, PositionState::Open);
    assert_eq!(observe(&PositionState::Open, &silent, &reckoned_fact(sum(10_847))).next.name(), "IN_MODIFICA");
}

#[test]
fn what_was_pushed_goes_away_with_the_act_that_wanted_it() {
    let touched = PositionFacts { touched: true, asked: Some(Cents(10_847)), last: true, ..row() };
    let left = observe(&PositionState::Open, &touched, &PositionFact::Left { last: true });
    assert_eq!((left.next.name(), effects(&left)), ("APERTA", vec!["RICALCOLA"]));
    let back = observe(&left.next, &touched, &reckoned_fact(Reckoning { last: true, ..sum(10_000) }));
    assert_eq!((back.next.name(), effects(&back)), ("IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]));
    let PositionState::Changing { change } = &back.next else { panic!("{back:?}") };
    let offered = PositionState::Changing { change: Pending { stage: Stage::Offered, ..change.clone() } };
    let done = observe(&offered, &touched, &PositionFact::ReadBack { held: held(HeldState::Payable, Some(10_000)), told: true });
    assert_eq!((done.next.name(), effects(&done)), ("APERTA", vec!["RICALCOLA"]));
    let closed = PositionFacts { asked: Some(Cents(10_000)), ..touched };
    assert_eq!(observe(&done.next, &closed, &reckoned_fact(Reckoning { last: true, ..sum(10_000) })).next, PositionState::Closed);
}

#[test]
fn a_position_ends_with_its_act_where_the_flow_wants_it() {
    let row = PositionFacts { last: true, cancels: true, ..row() };
    let left = PositionFact::Left { last: true };
    let starts = [
        (PositionState::Unverified, "APERTA", vec!["RICALCOLA"]),
        (PositionState::Open, "APERTA", vec!["RICALCOLA"]),
        (changing(10_847, Stage::Offered), "IN_MODIFICA", vec!["RICALCOLA"]),
        (parked(code::REFUSED), "APERTA", vec!["RICALCOLA"]),
        (parked(code::BEING_PAID), "FERMA", vec![]),
        (parked(code::CANCELLED), "CHIUSA", vec![]),
        (parked(code::NOT_FOUND), "CHIUSA", vec![]),
        (PositionState::Unmanaged, "CHIUSA", vec![]),
        (PositionState::Paid, "PAGATA", vec![]),
    ];
    for (state, name, want) in starts {
        let step = observe(&state, &row, &left);
        assert_eq!((step.next.name(), effects(&step)), (name, want), "{state:?}");
    }
    let ends = |cancels| reckoned_fact(Reckoning { last: true, cancels, ..sum(10_000) });
    let begun = observe(&PositionState::Open, &row, &ends(Some(true)));
    assert_eq!(effects(&begun), ["AGGIORNA_IMPORTO"]);
    let PositionState::Changing { change } = begun.next else { panic!("{begun:?}") };
    assert!(change.cancel && change.amount == Cents(10_000), "{change:?}");
    // A PT that cannot: a person is told.
    let cannot = observe(&PositionState::Open, &row, &ends(Some(false)));
    assert_eq!((cannot.next, cannot.flags), (PositionState::Closed, vec![code::NOT_CANCELLED.to_owned()]));
    let plain = observe(&PositionState::Open, &row, &ends(None));
    assert_eq!((plain.next, plain.lines.len()), (PositionState::Closed, 0));

    let at = |stage| PositionState::Changing { change: Pending { stage, ..change.clone() } };
    let read = |state, told| PositionFact::ReadBack { held: held(state, Some(10_000)), told };
    let refused = |code| PositionFact::PushRefused { code };
    let table = [
        (at(Stage::Offered), read(HeldState::Cancelled, false), "CHIUSA", vec![]),
        (at(Stage::Offered), read(HeldState::Cancelled, true), "CHIUSA", vec![]),
        // Nobody knew, and it did not arrive; or it says that it did it: once more.
        (at(Stage::Offered), read(HeldState::Payable, false), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (at(Stage::Offered), read(HeldState::Expired, false), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
        (at(Stage::Offered), read(HeldState::Payable, true), "IN_MODIFICA", vec!["RILEGGI_POSIZIONE"]),
        (at(Stage::Offered), read(HeldState::BeingPaid, false), "FERMA", vec!["VERIFICA_POSIZIONE"]),
        (at(Stage::Offered), read(HeldState::Paid, false), "PAGATA", vec![]),
        (at(Stage::Offered), refused(code::NOT_FOUND), "CHIUSA", vec![]),
        (at(Stage::Offered), refused(code::REFUSED), "FERMA", vec![]),
        (at(Stage::Offered), PositionFact::Pushed { reads: false }, "CHIUSA", vec![]),
        (at(Stage::TakenInCharge { ticket: "t".to_owned() }), PositionFact::ToldLater { undone: None, reads: false }, "CHIUSA", vec![]),
        (at(Stage::ToPush), ends(Some(true)), "IN_MODIFICA", vec!["AGGIORNA_IMPORTO"]),
    ];
    for (state, fact, name, want) in table {
        let step = observe(&state, &row, &fact);
        assert_eq!((step.next.name(), effects(&step)), (name, want), "{state:?} + {fact:?}");
        assert_eq!(step.lines.iter().any(|line| line.event == event::CANCELLED), name == "CHIUSA", "{state:?} + {fact:?}");
    }
    // Another act names it by now: before anything left it is reckoned for that one; afterwards a person is told.
    let joined = PositionFacts { last: false, cancels: false, ..row };
    assert_eq!(observe(&at(Stage::ToPush), &joined, &reckoned_fact(sum(10_000))).next, PositionState::Open);
    assert_eq!(observe(&at(Stage::Offered), &joined, &read(HeldState::Cancelled, false)).next, parked(code::CANCELLED));
}

#[test]
fn a_payment_is_accepted_whatever_its_amount_and_said_to_be_another() {
    let told = |row: PositionFacts, state: PositionState, amount| {
        let step = observe(&state, &row, &PositionFact::Paid { payment: payment(amount), whole: true });
        (step.next.name(), step.lines[0].code.clone(), step.flags)
    };
    let wanted = PositionFacts { wanted: Some(Cents(10_847)), ..row() };
    assert_eq!(told(wanted.clone(), PositionState::Open, 10_847), ("PAGATA", None, vec![]));
    assert_eq!(
        told(wanted.clone(), PositionState::Open, 10_000),
        ("PAGATA", Some(code::OTHER_AMOUNT.to_owned()), vec![code::OTHER_AMOUNT.to_owned()])
    );
    // A PT called it paid, then the payment itself is told: that is not a second one.
    assert_eq!(told(wanted.clone(), PositionState::Paid, 10_847), ("PAGATA", None, vec![]));
    let known = PositionFacts { paid_known: true, ..wanted };
    assert_eq!(told(known, PositionState::Paid, 10_847), ("PAGATA", None, vec!["PAGATO_DUE_VOLTE".to_owned()]));
    // The debt was paid with another of its notices before.
    assert_eq!(told(row(), parked(code::PAID_ELSEWHERE), 10_000), ("PAGATA", None, vec!["PAGATO_DUE_VOLTE".to_owned()]));
    let elsewhere = PositionFacts { paid_elsewhere: true, ..row() };
    assert_eq!(told(elsewhere, PositionState::Closed, 10_000), ("PAGATA", None, vec!["PAGATO_DUE_VOLTE".to_owned()]));
    let tells = PositionFacts { tells_payment: true, ..row() };
    let step = observe(&PositionState::Open, &tells, &PositionFact::Paid { payment: payment(1), whole: true });
    assert_eq!(effects(&step), ["COMUNICA_PAGAMENTO"]);
}

#[test]
fn what_was_paid_with_another_notice_has_no_amount_and_stays_so_until_a_person_says_otherwise() {
    let tells = PositionFacts { tells_payment: true, ..row() };
    for fact in [PositionFact::PaidElsewhere, PositionFact::Verified { held: held(HeldState::PaidElsewhere, Some(10_000)) }] {
        let step = observe(&PositionState::Open, &tells, &fact);
        assert_eq!(step.next, parked(code::PAID_ELSEWHERE), "{fact:?}");
        assert_eq!(
            (step.flags.as_slice(), effects(&step).as_slice()),
            (&[code::PAID_ELSEWHERE.to_owned()][..], &["CHIEDI_PAGAMENTO"][..]),
            "{fact:?}"
        );
        let told = &step.lines[0];
        assert_eq!(
            (told.event, told.code.as_deref(), told.amount, &told.payment),
            (event::PARKED, Some(code::PAID_ELSEWHERE), None, &None)
        );
        let again = observe(&step.next, &tells, &fact);
        assert!(again.next == step.next && again.lines.is_empty() && again.flags.is_empty(), "told once: {again:?}");
    }
    for fact in [PositionFact::GaveUp { code: "TENTATIVI_ESAURITI".to_owned() }, PositionFact::NotVerified { code: code::NOT_FOUND }] {
        assert_eq!(observe(&parked(code::PAID_ELSEWHERE), &row(), &fact).next, parked(code::PAID_ELSEWHERE), "{fact:?}");
    }
}

#[test]
fn what_was_due_has_the_cost_once_by_whichever_way() {
    use CostChannel as C;
    // Channel, told to the PT, kept apart; paid; whether it is what was due.
    let table = [
        (C::Push, 3_787, None, 3_787, true),
        (C::Push, 3_787, None, 2_940, false),
        (C::Pull, 2_940, Some(847), 3_787, true),
        // The cost was not asked for.
        (C::Pull, 2_940, Some(847), 2_940, false),
        (C::Pull, 2_940, Some(0), 2_940, true),
        (C::Pull, 2_940, None, 2_940, true),
        (C::Async, 2_940, Some(847), 3_787, true),
        (C::Async, 2_940, Some(847), 2_940, false),
        // In the amount of before.
        (C::Async, 4_200, Some(847), 3_787, false),
        (C::Async, 2_940, None, 2_940, true),
        (C::None, 2_940, None, 2_940, true),
        (C::None, 2_940, None, 3_787, false),
    ];
    for (costs, wanted, apart, paid, right) in table {
        let row = PositionFacts { costs, wanted: Some(Cents(wanted)), apart: apart.map(Cents), ..row() };
        let step = observe(&PositionState::Open, &row, &PositionFact::Paid { payment: payment(paid), whole: true });
        let codes = if right { vec![] } else { vec![code::OTHER_AMOUNT] };
        assert_eq!(step.flags, codes, "{costs}: {wanted} and {apart:?}, paid {paid}");
        assert_eq!(step.lines[0].code.as_deref(), codes.first().copied(), "{costs}: {wanted} and {apart:?}, paid {paid}");
        // The same of a PT that says no more than that it is paid; by one that does not ask messo what it held, changed or not.
        let row = PositionFacts {
            asked: (costs != C::Pull).then_some(Cents(wanted)),
            wanted: (costs == C::Pull).then_some(Cents(wanted)),
            ..row
        };
        let only = PositionFact::Verified { held: held(HeldState::Paid, None) };
        let untold = observe(&PositionState::Open, &PositionFacts { tells_payment: true, ..row }, &only);
        let [line] = untold.lines.as_slice() else { panic!("{untold:?}") };
        assert_eq!((line.code.as_deref(), line.amount), (Some(code::UNTOLD), Some(Cents(wanted + apart.unwrap_or(0)))), "{costs}");
        assert_eq!((untold.next.name(), effects(&untold), untold.flags), ("PAGATA", vec!["COMUNICA_PAGAMENTO"], vec![]), "{costs}");
    }
}

#[test]
fn a_payment_learnt_after_the_amount_moved_is_of_the_day_on_which_it_was_made() {
    let row = PositionFacts {
        wanted: Some(Cents(5_047)),
        before: Some((Cents(3_787), date(2027, 1, 13))),
        next_day: Some(date(2027, 3, 9)),
        ..row()
    };
    let table = [
        ("2027-01-12T20:00:00Z", 3_787, true),
        // Already the 13th in Rome.
        ("2027-01-12T23:30:00Z", 3_787, false),
        ("2027-01-12T23:30:00Z", 5_047, true),
        ("2027-01-12T20:00:00Z", 5_047, false),
        // The next sum is due from the 9th of March on, and was not reckoned yet.
        ("2027-03-08T20:00:00Z", 9_497, false),
        ("2027-03-09T08:00:00Z", 9_497, true),
    ];
    for (at, paid, right) in table {
        let payment = PaymentSeen { paid_at: at.parse().unwrap(), ..payment(paid) };
        let step = observe(&PositionState::Open, &row, &PositionFact::Paid { payment, whole: true });
        assert_eq!(step.flags.is_empty(), right, "{paid} at {at}: {:?}", step.flags);
    }
}

#[test]
fn a_pt_that_says_payable_ends_only_what_its_state_explained() {
    let payable = PositionFact::Verified { held: held(HeldState::Payable, Some(10_000)) };
    let ended =
        [code::BEING_PAID, code::CANCELLED, code::EXPIRED, code::NOT_FOUND, code::OTHER, "ID_POSIZIONE_MANCANTE", "TENTATIVI_ESAURITI"];
    for code in ended {
        let step = observe(&parked(code), &row(), &payable);
        assert_eq!((step.next.name(), effects(&step)), ("APERTA", vec!["RICALCOLA", "CHIEDI_PAGAMENTO"]), "{code}");
    }
    for code in [code::REFUSED, code::NOT_CHANGED, code::NO_SUM, "RISPOSTA_NON_CONFORME"] {
        for state in [HeldState::Payable, HeldState::NotActive, HeldState::BeingPaid, HeldState::Cancelled, HeldState::Expired] {
            let step = observe(&parked(code), &row(), &PositionFact::Verified { held: held(state, Some(10_000)) });
            assert_eq!(step, PositionStep::stay(&parked(code)), "{code} {state}");
        }
        let paid = observe(&parked(code), &row(), &PositionFact::Verified { held: held(HeldState::Paid, None) });
        assert_eq!(paid.next, PositionState::Paid, "{code}");
        assert_eq!(observe(&parked(code), &row(), &PositionFact::Resumed).next, PositionState::Unverified, "{code}: a person may");
    }
}

#[test]
fn a_change_without_effect_is_tried_less_and_less_often_then_waits_for_a_person() {
    let mut state = changing(10_847, Stage::Offered);
    let mut waited = 0;
    for tried in 0..20 {
        let step = observe(&state, &row(), &PositionFact::ReadBack { held: held(HeldState::Payable, Some(10_000)), told: false });
        match step.next {
            PositionState::Changing { change } => {
                let Some((PositionEffect::Push { raise: true }, When::In(wait))) = step.effects.first() else {
                    panic!("{:?}", step.effects)
                };
                waited += wait;
                state = PositionState::Changing { change: Pending { stage: Stage::Offered, ..change } };
            }
            next => {
                assert_eq!((next, tried, waited), (parked(code::NOT_CHANGED), 8, 15 * 255));
                return;
            }
        }
    }
    panic!("tried for ever");
}

#[test]
fn a_change_that_the_pt_was_read_without_or_refused_is_told_by_another_key() {
    let newer = PositionFacts { revision: 9, ..row() };
    let key = |step: &PositionStep| match &step.next {
        PositionState::Changing { change } => change.key.clone(),
        other => panic!("{other:?}"),
    };
    let unheard = PositionFact::ReadBack { held: held(HeldState::Payable, Some(10_000)), told: false };
    for stage in [Stage::Offered, Stage::ToReadBack] {
        assert_eq!(key(&observe(&changing(10_847, stage.clone()), &newer, &unheard)), "p/10", "{stage:?}");
    }
    // Nobody knows whether it arrived: the same.
    for fact in [PositionFact::Offered, PositionFact::TakenInCharge { ticket: "t".to_owned() }] {
        let stage = if fact == PositionFact::Offered { Stage::ToPush } else { Stage::Offered };
        assert_eq!(key(&observe(&changing(10_847, stage), &newer, &fact)), "p/5", "{fact:?}");
    }
    let taken = changing(10_847, Stage::TakenInCharge { ticket: "t".to_owned() });
    let refused = observe(&taken, &newer, &later(WhyUndone::Refused));
    let resumed = observe(&refused.next, &newer, &PositionFact::Resumed);
    let open = observe(&resumed.next, &newer, &PositionFact::Unverifiable);
    assert_eq!(key(&observe(&open.next, &newer, &reckoned_fact(sum(10_847)))), "p/10");
}

#[test]
fn not_now_is_told_again_less_and_less_often_for_a_day_then_a_person_is_told() {
    let taken = changing(10_847, Stage::TakenInCharge { ticket: "t".to_owned() });
    let mut waits = Vec::new();
    let parked_at = (1..100).find(|again| {
        let facts = PositionFacts { again: *again, revision: 4 + i64::from(*again), ..row() };
        let step = observe(&taken, &facts, &later(WhyUndone::Again));
        match step.effects.first() {
            Some((PositionEffect::Push { raise: true }, When::In(wait))) => {
                let PositionState::Changing { change } = &step.next else { panic!("{step:?}") };
                assert_eq!((change.amount, &change.stage, change.key.clone()), (Cents(10_847), &Stage::ToPush, format!("p/{}", 5 + again)));
                assert!(step.lines.is_empty() && step.flags.is_empty(), "nobody is told: {step:?}");
                waits.push(*wait);
                false
            }
            _ => {
                assert_eq!((step.next, step.flags), (parked(code::REFUSED), vec![code::REFUSED.to_owned()]));
                true
            }
        }
    });
    assert_eq!((parked_at, &waits[..8]), (Some(25), &[60, 120, 240, 480, 960, 1_920, 3_600, 3_600][..]));
    let all: i64 = waits.iter().sum();
    assert!((60_000..86_400).contains(&all), "{all} seconds");
}

#[test]
fn an_outcome_told_later_parks_by_what_it_says_and_a_payment_under_way_once() {
    let taken = changing(10_847, Stage::TakenInCharge { ticket: "t".to_owned() });
    let table = [
        (WhyUndone::BeingPaid, code::BEING_PAID),
        (WhyUndone::Cancelled, code::CANCELLED),
        (WhyUndone::Expired, code::EXPIRED),
        (WhyUndone::NotFound, code::NOT_FOUND),
        (WhyUndone::Refused, code::REFUSED),
    ];
    for (why, code) in table {
        for state in [taken.clone(), PositionState::Open, PositionState::Closed] {
            let step = observe(&state, &row(), &later(why));
            if (why, &state) == (WhyUndone::Cancelled, &PositionState::Closed) {
                assert_eq!(step, PositionStep::stay(&state), "nobody names it any more");
                continue;
            }
            assert_eq!((step.next, step.flags, step.lines.len()), (parked(code), vec![code.to_owned()], 1), "{why} {state:?}");
        }
    }
    let told = PositionFacts { being_paid: true, ..row() };
    let step = observe(&taken, &told, &later(WhyUndone::BeingPaid));
    assert_eq!((&step.next, effects(&step)), (&parked(code::BEING_PAID), vec!["VERIFICA_POSIZIONE"]));
    assert!(step.flags.is_empty() && step.lines.is_empty(), "{step:?}");
    let paid = observe(&taken, &row(), &later(WhyUndone::Paid));
    assert_eq!((paid.next, paid.lines[0].event), (PositionState::Paid, event::PAID));
}

#[test]
fn the_last_day_is_stated_to_a_pt_that_does_not_tell_its_own() {
    let day = |add: i32| FIRST.checked_add(jiff::Span::new().days(add)).unwrap();
    let table = [
        // held, by the rule, by the act, told
        (None, None, None, None),
        (None, Some(30), None, None),
        (None, None, Some(20), Some(20)),
        (None, Some(30), Some(20), Some(30)),
        (None, Some(10), Some(20), Some(20)),
        (None, None, Some(0), Some(0)),
        (None, None, Some(-1), None),
        (None, Some(5), Some(-1), Some(5)),
        (Some(20), None, Some(25), None),
        (Some(20), Some(20), Some(25), None),
        (Some(20), Some(30), None, Some(30)),
    ];
    for (held, due, stated, want) in table {
        let row = PositionFacts { held_due: held.map(day), ..row() };
        let sum = Reckoning { due_date: due.map(day), stated_due: stated.map(day), ..sum(10_847) };
        let PositionState::Changing { change } = observe(&PositionState::Open, &row, &reckoned_fact(sum.clone())).next else {
            panic!("nothing is told")
        };
        assert_eq!(change.due_date, want.map(day), "held {held:?}, rule {due:?}, act {stated:?}");
        // By itself only a last day that would come too early is a reason to tell it.
        let same = observe(&PositionState::Open, &row, &reckoned_fact(Reckoning { amount: Cents(10_000), ..sum }));
        assert_eq!(same.next == PositionState::Open, held.is_none() || want.is_none(), "held {held:?}, rule {due:?}, act {stated:?}");
    }
}

#[test]
fn the_last_day_is_moved_when_it_comes_near_and_nobody_knows_until_when() {
    let day = |add: i32| FIRST.checked_add(jiff::Span::new().days(add)).unwrap();
    let table = [
        // held, expired; by the rule, far; told, looked at again on
        (Some(30), false, None, Some(180), None, Some(24)),
        (Some(7), false, None, Some(180), None, Some(1)),
        (Some(6), false, None, Some(180), Some(180), Some(174)),
        (Some(-1), false, None, Some(180), Some(180), Some(174)),
        (Some(-1), true, None, Some(180), Some(180), Some(174)),
        // A PT that closes without a date, or before it.
        (None, true, None, Some(180), Some(180), Some(174)),
        (Some(90), true, None, Some(180), Some(180), Some(174)),
        // Already far: it says no to something else.
        (Some(400), true, None, Some(180), None, None),
        (None, false, None, Some(180), None, None),
        // The term of the rule, as long as it is not near itself.
        (Some(30), false, Some(60), Some(180), Some(60), Some(54)),
        (Some(60), false, Some(60), Some(180), None, Some(54)),
        (Some(6), false, Some(6), Some(180), Some(180), Some(174)),
        (Some(-2), true, Some(60), Some(180), Some(60), Some(54)),
        // The rule ends.
        (Some(6), false, Some(6), None, None, None),
        (Some(-1), true, Some(6), None, Some(6), None),
        (Some(-1), true, None, None, None, None),
    ];
    for (held, expired, due, far, want, look) in table {
        let row = PositionFacts { held_due: held.map(day), expired, ..row() };
        // The amount is right as it is.
        let sum = Reckoning { due_date: due.map(day), open_until: far.map(day), ..sum(10_000) };
        let step = observe(&PositionState::Open, &row, &reckoned_fact(sum.clone()));
        let case = format!("held {held:?}, expired {expired}, rule {due:?}, far {far:?}: {step:?}");
        match (&step.next, want) {
            (PositionState::Changing { change }, Some(want)) => assert_eq!(change.due_date, Some(day(want)), "{case}"),
            (PositionState::Open, None) => assert!(!expired, "{case}"),
            (PositionState::Parked { code }, None) => assert!(expired && code == code::EXPIRED, "{case}"),
            _ => panic!("{case}"),
        }
        let timed = step.effects.iter().find_map(|(effect, when)| match when {
            When::Day(day) if *effect == PositionEffect::Reckon => Some(*day),
            _ => None,
        });
        assert_eq!(timed, look.map(day), "{case}");
        // A PT that takes no changes is told nothing, and parked when it is past its day.
        let silent = observe(&PositionState::Open, &row, &reckoned_fact(Reckoning { may_push: false, ..sum }));
        let stays = if expired { parked(code::EXPIRED) } else { PositionState::Open };
        assert_eq!(silent.next, stays, "{case}");
    }
}

#[test]
fn what_is_found_expired_is_opened_again_where_it_may_be_paid() {
    let is_expired = |held_amount| PositionFact::Verified { held: held(HeldState::Expired, held_amount) };
    let notified = PositionFacts { notified: true, expired: true, ..row() };
    let goes_on = Reckoning { open_until: FIRST.checked_add(jiff::Span::new().days(180)).ok(), ..sum(15_000) };
    // Before SEND has it: as it is.
    let untouched = observe(&PositionState::Unverified, &row(), &is_expired(Some(10_000)));
    assert_eq!(untouched.next, parked(code::EXPIRED));
    for state in [PositionState::Unverified, PositionState::Open] {
        let step = observe(&state, &notified, &is_expired(Some(10_000)));
        assert_eq!((step.next.name(), step.lines.len(), step.flags.len()), ("APERTA", 0, 0), "{state:?}");
        assert!(effects(&step).contains(&"RICALCOLA"), "{state:?}");
    }
    let step = observe(&PositionState::Open, &notified, &reckoned_fact(goes_on.clone()));
    let PositionState::Changing { change } = &step.next else { panic!("{step:?}") };
    assert_eq!((change.amount, change.due_date), (Cents(15_000), goes_on.open_until));
    // Parked under that code, as soon as something moves: SEND has it now, or its days count again.
    let woken = observe(&parked(code::EXPIRED), &notified, &PositionFact::Moved);
    assert_eq!(effects(&woken), ["RICALCOLA"]);
    let step = observe(&parked(code::EXPIRED), &notified, &reckoned_fact(goes_on.clone()));
    assert_eq!((step.next.name(), step.lines[0].event), ("IN_MODIFICA", event::RESUMED));
    // Not while nothing may be told, not once nobody names it, not by a rule that has ended, not when the PT refused it already.
    for sum in [Reckoning { may_push: false, ..goes_on.clone() }, Reckoning { last: true, ..goes_on.clone() }, sum(15_000)] {
        assert_eq!(observe(&parked(code::EXPIRED), &notified, &reckoned_fact(sum.clone())).next, parked(code::EXPIRED), "{sum:?}");
    }
    assert_eq!(observe(&parked(code::NOT_REOPENED), &notified, &reckoned_fact(goes_on.clone())).next, parked(code::NOT_REOPENED));
    assert!(effects(&observe(&parked(code::NOT_REOPENED), &notified, &PositionFact::Moved)).is_empty());

    // Read after the change: open; or expired still, which is told again, then parked.
    let offered = PositionState::Changing { change: Pending { stage: Stage::Offered, ..change.clone() } };
    let read = |state, told| PositionFact::ReadBack { held: held(state, Some(15_000)), told };
    assert_eq!(observe(&offered, &notified, &read(HeldState::Payable, true)).next, PositionState::Open);
    let mut state = offered;
    for turn in 0.. {
        assert!(turn < 30, "for ever: {state:?}");
        let step = observe(&state, &notified, &read(HeldState::Expired, turn % 2 == 0));
        state = match step.next {
            PositionState::Changing { change } => PositionState::Changing { change: Pending { stage: Stage::Offered, ..change } },
            next => {
                assert_eq!((next, step.flags), (parked(code::NOT_REOPENED), vec![code::NOT_REOPENED.to_owned()]));
                break;
            }
        };
    }
    // A change without a date meets one that has passed: reckoned anew, with another.
    let step = observe(&changing(15_000, Stage::Offered), &notified, &read(HeldState::Expired, true));
    assert_eq!((step.next.name(), effects(&step)), ("APERTA", vec!["RICALCOLA"]));
    // Nobody names it any more: what was pushed is taken back, and that is all.
    let last = PositionFacts { last: true, ..notified };
    let step = observe(&changing(15_000, Stage::Offered), &last, &read(HeldState::Expired, true));
    assert_eq!((step.next.name(), effects(&step)), ("APERTA", vec!["RICALCOLA"]));
    assert_eq!(observe(&PositionState::Open, &last, &reckoned_fact(Reckoning { last: true, ..sum(10_000) })).next, PositionState::Closed);
}

#[test]
fn of_a_pt_that_asks_the_price_what_is_parked_is_reckoned() {
    let pull = PositionFacts { costs: CostChannel::Pull, ..row() };
    let not = |code| PositionFact::NotVerified { code };
    let is = |state| PositionFact::Verified { held: held(state, None) };
    let table = [
        (PositionState::Unverified, not(code::NOT_FOUND), true),
        (PositionState::Unverified, not("RISPOSTA_NON_CONFORME"), true),
        (PositionState::Unverified, is(HeldState::Expired), true),
        (PositionState::Unverified, is(HeldState::BeingPaid), true),
        (PositionState::Unverified, PositionFact::GaveUp { code: "TENTATIVI_ESAURITI".to_owned() }, true),
        (parked(code::NOT_FOUND), PositionFact::Moved, true),
        (parked(code::NOT_FOUND), reckoned_fact(sum(10_000)), false),
        (PositionState::Open, PositionFact::NoSum { code: code::NO_SUM }, false),
        (PositionState::Unverified, not(code::OTHER), false),
        (PositionState::Unverified, is(HeldState::Cancelled), false),
        (PositionState::Unverified, is(HeldState::Paid), false),
        (parked(code::CANCELLED), PositionFact::Moved, false),
        (PositionState::Open, PositionFact::PaidElsewhere, false),
        (parked(code::PAID_ELSEWHERE), PositionFact::Moved, false),
    ];
    for (state, fact, want) in table {
        let reckons = |row| effects(&observe(&state, row, &fact)).contains(&"RICALCOLA");
        assert_eq!(reckons(&pull), want, "{state:?} + {fact:?}");
        // One that has expired may be opened again.
        assert_eq!(reckons(&row()), fact == is(HeldState::Expired), "pushed, {state:?} + {fact:?}");
    }
}

/// Whatever the facts and their order: nothing pushes at a position that is paid, cancelled, unmanaged or that only pulls; a park is
/// told once; and every position that is being changed has a job that ends it.
#[test]
fn over_random_stories_nothing_is_pushed_that_must_not_be() {
    let mut dice = Dice(7);
    for story in 0..20_000 {
        let may_push = dice.roll(4) > 0;
        let mut state = if dice.roll(8) == 0 { PositionState::Unmanaged } else { PositionState::Unverified };
        let mut row = PositionFacts { touched: false, ..row() };
        let mut jobs: Vec<PositionEffect> = vec![PositionEffect::Verify];
        for turn in 0..40 {
            let amount = [7_000, 10_000, 10_847][dice.roll(3) as usize];
            let of = [HeldState::Payable, HeldState::Payable, HeldState::Expired, HeldState::BeingPaid, HeldState::Cancelled]
                [dice.roll(5) as usize];
            let open_until = FIRST.checked_add(jiff::Span::new().days(180)).ok().filter(|_| dice.roll(2) == 0);
            let fact = match dice.roll(14) {
                0 => PositionFact::Verified { held: held(of, Some(amount)) },
                1 => PositionFact::Unverifiable,
                2 => PositionFact::NotVerified { code: code::NOT_FOUND },
                3 | 4 => reckoned_fact(Reckoning { may_push, open_until, last: row.last, ..sum(amount) }),
                5 | 6 => PositionFact::Offered,
                7 => PositionFact::Pushed { reads: dice.roll(2) == 0 },
                8 => PositionFact::ReadBack { held: held(of, (dice.roll(4) > 0).then_some(amount)), told: dice.roll(2) == 0 },
                9 => PositionFact::TakenInCharge { ticket: "t".to_owned() },
                10 => PositionFact::Moved,
                11 => PositionFact::Left { last: true },
                12 => PositionFact::Resumed,
                _ if dice.roll(6) == 0 => PositionFact::Paid { payment: payment(amount), whole: true },
                _ => PositionFact::Joined { managed: true },
            };
            row.last = match &fact {
                PositionFact::Left { .. } => true,
                PositionFact::Joined { .. } => false,
                _ => row.last,
            };
            if let PositionFact::Verified { held } | PositionFact::ReadBack { held, .. } = &fact {
                row.expired = held.state == HeldState::Expired;
            }
            row.notified = may_push;
            let step = observe(&state, &row, &fact);
            let tale = format!("story {story}, turn {turn}: {state:?} + {fact:?} -> {step:?}");
            if matches!(state, PositionState::Paid) {
                assert_eq!(step.next, PositionState::Paid, "{tale}");
            }
            let pushes = step.effects.iter().any(|(effect, _)| matches!(effect, PositionEffect::Push { .. }));
            assert!(!pushes || matches!(step.next, PositionState::Changing { .. }), "{tale}");
            assert!(may_push || !pushes, "{tale}");
            if step.next == state && matches!(state, PositionState::Parked { .. }) {
                assert!(step.flags.is_empty(), "told twice: {tale}");
            }
            jobs.retain(|job| job.is_wanted(&step.next));
            for (effect, _) in &step.effects {
                jobs.retain(|job| job.name() != effect.name());
                jobs.push(effect.clone());
            }
            if matches!(fact, PositionFact::Offered) && matches!(step.next, PositionState::Changing { .. }) {
                row.touched = true;
            }
            if let PositionState::Changing { change } = &step.next {
                let ends = jobs.iter().any(|job| matches!(job, PositionEffect::Push { .. } | PositionEffect::ReadBack));
                assert!(ends || change.stage == Stage::Offered, "nothing ends it: {tale}");
            }
            if let PositionFact::Reckoned(sum) = &fact {
                row.wanted = Some(sum.amount);
            }
            row.revision += 1;
            state = step.next;
        }
    }
}

#[test]
fn an_amount_that_nobody_tells_changes_nothing_and_an_erased_act_is_followed_no_more() {
    use {PositionFact as F, PositionState as S};
    let unknown = F::AmountUnknown { day: FIRST, cost_lost: true };
    let states = [S::Unverified, S::Open, changing(10_847, Stage::ToPush), parked(code::NOT_FOUND), S::Unmanaged, S::Paid, S::Closed];
    for state in states {
        // Of a PT that asks the price what is parked is reckoned: once, not again because of what was reckoned.
        for costs in [CostChannel::Push, CostChannel::Pull] {
            let step = observe(&state, &PositionFacts { costs, ..row() }, &unknown);
            assert_eq!(step, PositionStep::stay(&state), "{state:?} {costs}");
        }
        let step = observe(&state, &row(), &F::ActErased);
        if state.is_under_way() {
            let line = (step.lines[0].event, step.lines[0].code.as_deref());
            assert_eq!((&step.next, line), (&S::Unmanaged, (event::UNMANAGED, Some(code::ACT_ERASED))), "{state:?}");
            assert_eq!((step.flags.as_slice(), step.effects.len()), ([code::ACT_ERASED.to_owned()].as_slice(), 0), "{state:?}");
        } else {
            assert_eq!(step, PositionStep::stay(&state), "{state:?}");
        }
    }
}
