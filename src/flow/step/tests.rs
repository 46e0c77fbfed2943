//! Facts and orders on acts, state by state.

use super::*;
use crate::domain::outcome::{Perfection, PositionTold};
use crate::flow::timeline::RecipientSummary;

const ACT: ActFacts = ActFacts {
    resubmissions: 0,
    has_replacement: false,
    cancel_wanted: false,
    resubmission_waits: false,
    applies_cost: true,
    posted: false,
    prepared: false,
};
const IUN: &str = "ADEG-HJKL-MNPQ-202611-A-1";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}
fn now() -> Timestamp {
    at("2026-11-22T08:00:00Z")
}
fn delivering() -> State {
    State::InDelivery { iun: IUN.to_owned() }
}
fn summary(completion: Option<(&str, Perfection)>) -> Summary {
    let completion = completion.map(|(when, how)| (at(when), how));
    Summary { recipients: vec![RecipientSummary { completion, ..RecipientSummary::default() }], ..Summary::default() }
}
fn element(category: &str, when: &str) -> Box<TimelineElement> {
    let details = serde_json::json!({"recIndex": 0});
    let happened = Some(at(when));
    Box::new(TimelineElement {
        element_id: format!("{category}.1"),
        timestamp: None,
        event_timestamp: happened,
        ingestion_timestamp: None,
        legal_facts_ids: vec![],
        category: category.to_owned(),
        details,
    })
}

#[test]
fn the_good_road() {
    let mut state = begin(None, false, now()).next;
    let road = [
        (Fact::Prepared, "IN_CARICAMENTO"),
        (Fact::Uploaded, "IN_INVIO"),
        (Fact::Taken { request_id: "r".into() }, "INVIATO"),
        (Fact::Accepted { request_id: Some("r".into()), iun: IUN.into(), at: Some(now()) }, "IN_CONSEGNA"),
    ];
    for (fact, want) in road {
        let step = observe(&state, ACT, &fact, now());
        assert_eq!(step.next.name(), want, "{fact:?}");
        assert!(step.flags.is_empty(), "{:?}", step.flags);
        state = step.next;
    }
    let viewed = "2026-11-23T10:00:00Z";
    let after = summary(Some((viewed, Perfection::Viewed)));
    let fact = Fact::Element { element: element("NOTIFICATION_VIEWED", viewed), before: summary(None), after };
    let step = observe(&state, ACT, &fact, now());
    assert_eq!(step.next, State::Completed { iun: IUN.into() });
    assert_eq!(step.effects, [Effect::AskPrice { recipient: 0 }]);
    assert_eq!(step.lines[0].state, OutcomeState::Completed);
    assert_eq!(step.lines[0].completion, Some((at(viewed), Perfection::Viewed)));
    assert_eq!(step.lines[0].corrects, None);
}

#[test]
fn a_view_after_the_term_is_only_information_and_an_earlier_one_corrects() {
    let done = State::Completed { iun: IUN.into() };
    let before = summary(Some(("2026-11-20T10:00:00Z", Perfection::Refinement)));
    let late =
        Fact::Element { element: element("NOTIFICATION_VIEWED", "2026-11-21T10:00:00Z"), before: before.clone(), after: before.clone() };
    let step = observe(&done, ACT, &late, now());
    assert_eq!((step.lines.len(), step.lines[0].state), (1, OutcomeState::Info));
    assert!(step.effects.is_empty());

    let early = "2026-11-19T10:00:00Z";
    let fact = Fact::Element { element: element("NOTIFICATION_VIEWED", early), before, after: summary(Some((early, Perfection::Viewed))) };
    let step = observe(&done, ACT, &fact, now());
    assert_eq!(step.lines[0].corrects, Some(Corrected::State(OutcomeState::Completed)));
    assert_eq!(step.lines[0].completion.unwrap().0, at(early));
}

#[test]
fn a_rework_that_takes_the_completion_away_reopens_the_act_and_corrects_the_line() {
    let before = summary(Some(("2026-11-20T10:00:00Z", Perfection::Refinement)));
    let fact = Fact::Element { element: element("NOTIFICATION_TIMELINE_REWORKED", "2026-11-22T07:00:00Z"), before, after: summary(None) };
    let step = observe(&State::Completed { iun: IUN.into() }, ACT, &fact, now());
    assert_eq!(step.next, delivering());
    let line = &step.lines[1];
    let completed = Some(Corrected::State(OutcomeState::Completed));
    assert_eq!((line.event.as_str(), line.state, line.corrects, line.completion), ("RETTIFICA", OutcomeState::Info, completed, None));
    assert_eq!(step.flags[0].code, "TIMELINE_RETTIFICATA");
}

#[test]
fn a_completion_that_is_taken_away_leaves_what_stands_of_the_delivery() {
    use OutcomeState as S;
    // Dead, unreachable, delivered: before and after.
    let table = [
        ((false, false, true), (false, false, true), vec![S::Delivered]),
        ((false, true, false), (false, true, false), vec![S::Unreachable]),
        ((true, false, false), (true, false, false), vec![S::ReturnedToSender]),
        ((false, false, true), (false, false, false), vec![S::Info, S::Info]),
        ((false, false, false), (false, false, false), vec![S::Info]),
    ];
    for (was, is, want) in table {
        let of = |completion, (deceased, unreachable, delivered)| {
            let mut summary = summary(completion);
            let one = summary.recipients[0].clone();
            summary.recipients[0] = RecipientSummary { deceased, unreachable, delivered, ..one };
            summary
        };
        let before = of(Some(("2026-11-20T10:00:00Z", Perfection::Refinement)), was);
        let element = element("NOTIFICATION_TIMELINE_REWORKED", "2026-11-22T07:00:00Z");
        let step = observe(&State::Completed { iun: IUN.into() }, ACT, &Fact::Element { element, before, after: of(None, is) }, now());
        let told: Vec<_> = step.lines.iter().filter(|line| line.event == "RETTIFICA").map(|line| (line.state, line.completion)).collect();
        assert_eq!(told, want.into_iter().map(|state| (state, None)).collect::<Vec<_>>(), "{was:?} {is:?}");
    }
}

#[test]
fn a_rework_that_takes_back_a_death_a_delivery_or_an_unreachable_address_corrects_its_line() {
    // Dead, unreachable, delivered.
    let of = |(deceased, unreachable, delivered): (bool, bool, bool)| {
        let mut summary = summary(None);
        summary.recipients[0] = RecipientSummary { deceased, unreachable, delivered, ..RecipientSummary::default() };
        summary
    };
    let table = [
        ((true, false, false), (false, false, false), vec![OutcomeState::ReturnedToSender]),
        ((false, true, false), (false, false, false), vec![OutcomeState::Unreachable]),
        ((true, true, false), (false, false, false), vec![OutcomeState::ReturnedToSender, OutcomeState::Unreachable]),
        ((false, false, true), (false, false, false), vec![OutcomeState::Delivered]),
        ((true, false, false), (true, true, false), vec![]),
        ((false, true, false), (false, true, false), vec![]),
        ((false, false, true), (false, false, true), vec![]),
        ((false, false, false), (false, false, true), vec![]),
    ];
    for (was, is, want) in table {
        let fact =
            Fact::Element { element: element("NOTIFICATION_TIMELINE_REWORKED", "2026-11-23T10:00:00Z"), before: of(was), after: of(is) };
        let step = observe(&State::Completed { iun: IUN.into() }, ACT, &fact, now());
        let corrections: Vec<_> = step.lines.iter().filter(|line| line.event == "RETTIFICA").collect();
        let told: Vec<_> = corrections.iter().map(|line| (line.state, line.recipient, line.corrects)).collect();
        let want: Vec<_> = want.into_iter().map(|state| (OutcomeState::Info, Some(0), Some(Corrected::State(state)))).collect();
        assert_eq!(told, want, "{was:?} {is:?}");
    }
}

#[test]
fn technical_refusals_are_submitted_again_once_and_data_refusals_come_back_as_rejects() {
    let sent = State::AwaitingAcceptance { request_id: "r".into() };
    let reason = |code: &str| RefusalReason::of(code);
    let table = [
        (vec![reason("FILE_NOTFOUND")], 0, Effect::Resubmit),
        (vec![reason("FILE_NOTFOUND")], 1, Effect::WriteReject),
        (vec![reason("FILE_NOTFOUND"), reason("NOT_VALID_ADDRESS")], 0, Effect::WriteReject),
        (vec![], 0, Effect::WriteReject),
    ];
    for (reasons, resubmissions, want) in table {
        let act = ActFacts { resubmissions, ..ACT };
        let step = observe(&sent, act, &Fact::Refused { reasons: reasons.clone(), at: now(), cost: None }, now());
        assert_eq!(step.effects, [want], "{reasons:?} after {resubmissions}");
        assert_eq!((step.lines[0].institution_cost, &step.lines[0].reasons), (None, &reasons), "a cost is not guessed");
    }
    let gone = ActFacts { cancel_wanted: true, ..ACT };
    let step = observe(&sent, gone, &Fact::Refused { reasons: vec![reason("FILE_GONE")], at: now(), cost: None }, now());
    assert_eq!(step.effects, [Effect::WriteReject], "somebody wants it gone: not sent again");
    // Ordered when it is about to be sent again.
    let refused = State::Refused { code: "FILE_GONE".into() };
    assert_eq!(command(&refused, ACT, Order::Cancel, now()), Err(OrderRefused::Closed));
    let step = command(&refused, ActFacts { resubmission_waits: true, ..ACT }, Order::Cancel, now()).unwrap();
    assert_eq!((&step.next, step.effects, step.lines[0].event.as_str()), (&refused, vec![Effect::WriteReject], "REINVIO_ANNULLATO"));
}

#[test]
fn a_notice_that_cannot_be_paid_ends_the_act_before_anything_of_it_is_sent() {
    let notice = "302010000000000019".to_owned();
    let refused = Fact::NotPayable { recipient: 1, notice: notice.clone(), code: "IUV_SCONOSCIUTO", at: now() };
    for (has_replacement, effect) in [(false, Effect::WriteReject), (true, Effect::StartReplacement)] {
        let step = observe(&State::Preparing, ActFacts { has_replacement, ..ACT }, &refused, now());
        assert_eq!((step.next, step.effects), (State::Refused { code: "IUV_SCONOSCIUTO".into() }, vec![effect]));
        let line = &step.lines[0];
        assert_eq!(
            (line.state, line.event.as_str(), line.code.as_deref()),
            (OutcomeState::Refused, "AVVISO_NON_PAGABILE", Some("IUV_SCONOSCIUTO"))
        );
        // The whole act is refused; the reason says for which recipient and notice.
        assert_eq!((line.recipient, line.reasons[0].rec_index, line.institution_cost), (None, Some(1), None));
        assert!(line.reasons[0].element.as_deref().unwrap().ends_with(&notice));
    }
    // It came too late: what was sent is followed.
    for state in [State::Uploading, State::Sending, delivering(), State::Withdrawn] {
        assert_eq!(observe(&state, ACT, &refused, now()), Step::stay(&state), "{state:?}");
    }
    let (creditor, pt) = ("77777777777".to_owned(), "regione".to_owned());
    let told = PositionTold { creditor, notice, pt, amount: None, cost: None, receipt: None };
    let remark = Fact::Remarked { recipient: 0, told: told.clone(), code: "IMPORTO_DIVERSO_DAL_PT" };
    let step = observe(&State::Preparing, ACT, &remark, now());
    assert_eq!((step.next, step.effects.len(), step.lines[0].state), (State::Preparing, 0, OutcomeState::Info));
    assert_eq!((step.lines[0].position.as_ref(), step.lines[0].code.as_deref()), (Some(&told), Some("IMPORTO_DIVERSO_DAL_PT")));
}

#[test]
fn the_cost_of_a_refusal_that_was_learnt_by_asking_comes_as_a_correction() {
    let sent = State::AwaitingAcceptance { request_id: "r".into() };
    let reasons = vec![RefusalReason::of("NOT_VALID_ADDRESS"), RefusalReason::of("TAXID_NOT_VALID")];
    let asked = observe(&sent, ACT, &Fact::Refused { reasons: reasons.clone(), at: now(), cost: None }, now());
    let again = observe(&asked.next, ACT, &Fact::Refused { reasons: reasons.clone(), at: now(), cost: None }, now());
    assert_eq!((&again.next, again.lines.len()), (&asked.next, 0), "asked again, nothing is told");
    for told in [reasons, vec![]] {
        let step = observe(&asked.next, ACT, &Fact::Refused { reasons: told.clone(), at: now(), cost: Some(200) }, now());
        assert_eq!((&step.next, step.effects.len()), (&asked.next, 0));
        let line = &step.lines[0];
        assert_eq!((line.state, line.event.as_str(), line.institution_cost), (OutcomeState::Refused, "RETTIFICA", Some(200)));
        assert_eq!((line.code.as_deref(), &line.reasons), (Some("NOT_VALID_ADDRESS"), &told));
        assert_eq!(line.corrects, Some(Corrected::State(OutcomeState::Refused)));
    }
}

#[test]
fn what_send_never_had_is_withdrawn_and_what_it_has_is_not() {
    let posted = ActFacts { posted: true, ..ACT };
    for state in [State::Preparing, State::Uploading, State::Sending] {
        let never = observe(&state, posted, &Fact::NeverArrived, now());
        assert_eq!((never.next, never.lines[0].event.as_str()), (State::Withdrawn, "RITIRATO"), "{state:?}");
        let taken = observe(&state, posted, &Fact::Taken { request_id: "r".into() }, now());
        assert_eq!((taken.next.name(), taken.effects.as_slice()), ("INVIATO", &[Effect::AskRequest][..]), "{state:?}");
    }
    for state in [State::AwaitingAcceptance { request_id: "r".into() }, delivering()] {
        assert_eq!(observe(&state, posted, &Fact::NeverArrived, now()), Step::stay(&state), "SEND has said otherwise meanwhile");
    }
}

#[test]
fn orders_are_taken_or_refused_by_state() {
    let awaiting = State::AwaitingAcceptance { request_id: "r".into() };
    let held = State::Held { reason: HoldReason::Operator };
    let table = [
        (State::Uploading, Order::Modify, Ok("IN_PREPARAZIONE")),
        (held.clone(), Order::Modify, Ok("IN_ATTESA")),
        (State::Sending, Order::Modify, Ok("IN_PREPARAZIONE")),
        (State::Sending, Order::Cancel, Ok("RITIRATO")),
        (delivering(), Order::Modify, Err(OrderRefused::AlreadySent)),
        (State::Preparing, Order::Cancel, Ok("RITIRATO")),
        (awaiting, Order::Cancel, Err(OrderRefused::NoIunYet)),
        (delivering(), Order::Cancel, Ok("IN_ANNULLAMENTO")),
        (State::Completed { iun: IUN.into() }, Order::Cancel, Ok("IN_ANNULLAMENTO")),
        (State::Withdrawn, Order::Cancel, Err(OrderRefused::Closed)),
        (held, Order::Release, Ok("IN_PREPARAZIONE")),
        (State::Held { reason: HoldReason::Cancellation }, Order::Release, Err(OrderRefused::NotHeld)),
        (delivering(), Order::Release, Err(OrderRefused::NotHeld)),
    ];
    for (state, order, want) in table {
        assert_eq!(command(&state, ACT, order, now()).map(|step| step.next.name()), want, "{order:?} in {state:?}");
    }
    let posted = ActFacts { posted: true, ..ACT };
    for state in [State::Preparing, State::Uploading, State::Sending] {
        assert_eq!(command(&state, posted, Order::Modify, now()), Err(OrderRefused::AlreadySent), "{state:?} after a POST");
        assert_eq!(command(&state, posted, Order::Cancel, now()), Err(OrderRefused::NoIunYet), "{state:?} after a POST");
    }
}

#[test]
fn what_send_accepted_is_followed_whatever_we_thought() {
    let accepted = Fact::Accepted { request_id: None, iun: IUN.into(), at: Some(now()) };
    let table = [
        (State::Held { reason: HoldReason::Guard }, "IN_CONSEGNA", vec![]),
        (State::Uploading, "IN_CONSEGNA", vec![]),
        (State::Refused { code: "X".into() }, "IN_CONSEGNA", vec![]),
        (State::Withdrawn, "IN_ANNULLAMENTO", vec![Effect::Cancel]),
    ];
    for (state, want, effects) in table {
        let step = observe(&state, ACT, &accepted, now());
        assert_eq!((step.next.name(), step.effects), (want, effects), "{state:?}");
        assert_eq!(step.flags[0].code, "FATTO_INATTESO", "{state:?}");
    }
}

#[test]
fn a_refusal_lets_the_replacement_go_instead_of_sending_the_old_act_again() {
    let act = ActFacts { has_replacement: true, ..ACT };
    let technical = RefusalReason::of("FILE_NOTFOUND");
    let sent = State::AwaitingAcceptance { request_id: "r".into() };
    let cancelling = State::Cancelling { iun: IUN.to_owned() };
    let table = [
        (sent, Fact::Refused { reasons: vec![technical], at: now(), cost: None }),
        (State::Sending, Fact::NotTaken { reasons: vec![RefusalReason::of("X")], at: now() }),
        (cancelling, Fact::NothingToCancel),
    ];
    for (state, fact) in table {
        let step = observe(&state, act, &fact, now());
        assert_eq!(step.effects, [Effect::StartReplacement], "{fact:?}");
        assert_eq!(step.lines[0].state, OutcomeState::Refused, "{fact:?}");
    }
}

#[test]
fn paper_charged_after_the_completion_asks_the_price_again() {
    let done = Some((at("2026-11-20T10:00:00Z"), Perfection::Viewed));
    let with_paper = |analog_cost| Summary {
        recipients: vec![RecipientSummary { completion: done, analog_cost, ..RecipientSummary::default() }],
        ..Summary::default()
    };
    let element = element("SEND_ANALOG_DOMICILE", "2026-11-19T10:00:00Z");
    let fact = Fact::Element { element, before: with_paper(0), after: with_paper(530) };
    let step = observe(&State::Completed { iun: IUN.into() }, ACT, &fact, now());
    assert_eq!(step.effects, [Effect::AskPrice { recipient: 0 }]);
    assert_eq!(step.lines[0].institution_cost, Some(630));
}

#[test]
fn facts_are_never_illegal() {
    let states = [
        State::Held { reason: HoldReason::Guard },
        State::Preparing,
        State::Uploading,
        State::Sending,
        State::AwaitingAcceptance { request_id: "r".into() },
        delivering(),
        State::Completed { iun: IUN.into() },
        State::Cancelling { iun: IUN.into() },
        State::Cancelled { iun: IUN.into() },
        State::Refused { code: "X".into() },
        State::Withdrawn,
    ];
    let facts = [
        Fact::Accepted { request_id: None, iun: "ADEG-HJKL-MNPQ-202611-B-1".into(), at: Some(now()) },
        Fact::Refused { reasons: vec![], at: now(), cost: None },
        Fact::PredecessorCancelled,
        Fact::NothingToCancel,
        Fact::NotTaken { reasons: vec![], at: now() },
        Fact::Element { element: element("NEVER_HEARD_OF", "2026-11-22T07:00:00Z"), before: summary(None), after: summary(None) },
    ];
    for state in &states {
        for fact in &facts {
            let step = observe(state, ACT, fact, now());
            let quiet = matches!(fact, Fact::Element { .. }) || step.next != *state || !step.flags.is_empty();
            assert!(quiet || matches!(state, State::Refused { .. }), "{fact:?} in {state:?} vanished");
        }
    }
}

#[test]
fn the_replacement_starts_when_the_cancellation_is_complete_not_before() {
    let act = ActFacts { has_replacement: true, ..ACT };
    let cancelling = State::Cancelling { iun: IUN.into() };
    let element = element("NOTIFICATION_CANCELLED", "2026-11-22T07:00:00Z");
    let after = Summary { cancelled_at: Some(now()), ..summary(None) };
    let step = observe(&cancelling, act, &Fact::Element { element, before: summary(None), after }, now());
    assert_eq!(step.next, State::Cancelled { iun: IUN.into() });
    assert!(step.effects.contains(&Effect::StartReplacement));
}
