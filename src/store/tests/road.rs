//! An act's way from SEND's taking it to its end, by what SEND tells: in order, out of order, twice, corrected.

use super::*;
use crate::domain::outcome::Perfection;
use crate::domain::send::RefusalReason;

fn refinement() -> serde_json::Value {
    json!({"recIndex": 0, "notificationCost": 100})
}

async fn world_with(acts: Vec<Act>) -> World {
    let world = World::new();
    world.listen().await;
    world.accept(acts, flow(20)).await;
    world.settle().await;
    world
}

#[tokio::test]
async fn the_good_road_with_its_lines() {
    let world = world_with(vec![act("a")]).await;
    let mut accepted = world.event("a", "REQUEST_ACCEPTED", json!({})).await;
    accepted.element.legal_facts_ids = vec![fact("presa-in-carico", "SENDER_ACK")];
    assert_eq!(world.tell(vec![accepted]).await, Recorded { new: 1, known: 0, foreign: 0 });
    let act = world.act("a").await;
    assert_eq!((act.state.as_str(), act.accepted_at), ("IN_CONSEGNA", Some(world.now())));
    let jobs: Vec<String> = world.store.jobs_of(act.id.0).await.unwrap().into_iter().map(|job| job.kind).collect();
    assert_eq!(jobs, ["SCARICA_ATTESTAZIONI"], "nobody asks any more whether it was accepted");
    world.pass(SignedDuration::from_hours(1));
    world.hear("a", "AAR_GENERATION", json!({"recIndex": 0})).await;
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530, "sentAttemptMade": 0})).await;
    world.pass(SignedDuration::from_hours(24 * 10));
    world.hear("a", "REFINEMENT", refinement()).await;
    world.settle().await;
    let lines = world.lines().await;
    let got: Vec<(OutcomeState, &str)> = lines.iter().map(|line| (line.state, line.event.as_str())).collect();
    let want = [
        (OutcomeState::Taken, "PRESO_IN_CARICO"),
        (OutcomeState::Sent, "INVIATO"),
        (OutcomeState::Accepted, "REQUEST_ACCEPTED"),
        (OutcomeState::Delivering, "SEND_ANALOG_DOMICILE"),
        (OutcomeState::Completed, "REFINEMENT"),
        (OutcomeState::Info, "ATTESTAZIONE"),
        (OutcomeState::Info, "COSTO"),
    ];
    assert_eq!(got, want);
    assert_eq!(lines[2].sender_completed_at, act.accepted_at);
    assert_eq!((lines[3].attempt, lines[3].institution_cost), (Some(1), Some(630)));
    assert_eq!((lines[4].recipient_completed_at, lines[4].perfection), (Some(world.now()), Some(Perfection::Refinement)));
    assert_eq!(lines[5].legal_facts.len(), 1);
    assert_eq!(lines[6].citizen_cost, Some(847));
    assert!(lines.iter().skip(2).all(|line| line.iun.is_some() && line.reference == "a"));
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    assert!(world.store.jobs_of(act.id.0).await.unwrap().is_empty());
    world.is_sound().await;
}

#[tokio::test]
async fn the_same_page_again_changes_nothing_and_the_position_never_goes_back() {
    let world = world_with(vec![act("a")]).await;
    let events =
        vec![world.event("a", "REQUEST_ACCEPTED", json!({})).await, world.event("a", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await];
    assert_eq!(world.tell(events.clone()).await.new, 2);
    world.settle().await;
    let before = (world.lines().await, world.act("a").await.state);
    assert_eq!(world.tell(events.clone()).await, Recorded { new: 0, known: 2, foreign: 0 });
    assert_eq!(world.tell(events[..1].to_vec()).await.known, 1);
    assert_eq!((world.lines().await, world.act("a").await.state), before);
    let stream = world.store.stream(CHANNEL).await.unwrap().unwrap();
    assert_eq!(stream.last_event_id.as_deref(), Some(events[1].event_id.as_str()));
    // Another stream's page is stored all the same, and moves no position.
    let late = world.event("a", "REFINEMENT", refinement()).await;
    assert_eq!(world.store.record_events(CHANNEL, "un-altro", vec![late], world.now()).await.unwrap().new, 1);
    assert_eq!(world.store.stream(CHANNEL).await.unwrap().unwrap(), stream);
    world.is_sound().await;
}

#[tokio::test]
async fn events_of_other_software_are_ignored() {
    let world = world_with(vec![act("a")]).await;
    let foreign = world.event_of("00112233445566778899", "REQUEST_ACCEPTED", json!({}));
    let id = foreign.event_id.clone();
    assert_eq!(world.tell(vec![foreign]).await, Recorded { new: 0, known: 0, foreign: 1 });
    assert_eq!(world.store.stream(CHANNEL).await.unwrap().unwrap().last_event_id, Some(id));
    assert_eq!(world.count("SELECT count(*) FROM orphan_event"), 0, "nobody waits for an answer: not ours, not kept");
    assert_eq!(world.store.record_events(CHANNEL, "flusso", vec![], world.now()).await.unwrap(), Recorded::default());
}

/// The POST's answer is lost, or slower than the stream.
#[tokio::test]
async fn events_that_come_before_the_answer_are_kept_for_it() {
    let world = World::new();
    world.listen().await;
    world.lost.borrow_mut().insert("a".to_owned());
    world.accept(vec![act("a")], flow(20)).await;
    world.settle().await;
    let act = world.act("a").await;
    assert_eq!(act.state, "IN_INVIO");
    let token = world.material(act.id).await.token;
    let events = vec![
        world.event_of(&token, "SENDER_ACK_CREATION_REQUEST", json!({})),
        world.event_of(&token, "REQUEST_ACCEPTED", json!({})),
        world.event_of(&token, "SEND_DIGITAL_DOMICILE", json!({"recIndex": 0})),
    ];
    assert_eq!(world.tell(events).await.foreign, 3);
    assert_eq!(world.tell(vec![world.event_of("altrui", "REQUEST_ACCEPTED", json!({}))]).await.foreign, 1);
    assert_eq!(world.count("SELECT count(*) FROM orphan_event"), 4);
    // The lease ends, the next worker asks by token and learns the request id.
    world.pass(SignedDuration::from_hours(1));
    let job = world.lease_one(act.id, "INVIA").await.job;
    world.store.record(act.id, Fact::Taken { request_id: request_id(&token) }, Some(job), world.now()).await.unwrap();
    assert_eq!(world.state("a").await, "IN_CONSEGNA");
    assert_eq!(words(&world.told("a").await), ["PRESO_IN_CARICO", "INVIATO", "ACCETTATO", "IN_CONSEGNA"]);
    assert_eq!(world.count("SELECT count(*) FROM timeline"), 3);
    world.store.purge_orphans(world.now()).await.unwrap();
    assert_eq!(world.count("SELECT count(*) FROM orphan_event"), 0);
    world.is_sound().await;
}

#[tokio::test]
async fn an_event_with_our_token_is_ours_before_any_answer_and_brings_what_came_before_it() {
    for refused in [false, true] {
        let world = World::new();
        world.listen().await;
        world.lost.borrow_mut().insert("a".to_owned());
        world.accept(vec![act("a")], flow(20)).await;
        world.settle().await;
        let act = world.act("a").await;
        let token = world.material(act.id).await.token;
        let first = world.event_of(&token, "SENDER_ACK_CREATION_REQUEST", json!({}));
        let category = if refused { "REQUEST_REFUSED" } else { "REQUEST_ACCEPTED" };
        let reasons = json!([{"errorCode": "FILE_PDF_INVALID_ERROR"}]);
        let second = world.event_of(&token, category, json!({"idempotenceToken": token, "refusalReasons": reasons}));
        assert_eq!(world.tell(vec![first, second]).await, Recorded { new: 1, known: 0, foreign: 1 });
        assert_eq!(world.count("SELECT count(*) FROM timeline"), 2, "{category}");
        assert_eq!(world.count("SELECT count(*) FROM orphan_event"), 0);
        let after = world.act("a").await;
        assert_eq!(after.state, if refused { "RIFIUTATO" } else { "IN_CONSEGNA" });
        assert_eq!(after.request_id, Some(request_id(&token)));
        // The worker that still has the job comes back: its fact is neither an error nor a second line.
        world.pass(SignedDuration::from_hours(1));
        world.settle().await;
        let lines = words(&world.told("a").await).len();
        assert_eq!(lines, 2, "{category}: {:?}", world.told("a").await);
        world.is_sound().await;
    }
}

#[tokio::test]
async fn completion_is_per_recipient() {
    let mut two = act("a");
    two.recipients.push(recipient("VRDLGI70A01H501X", None));
    let world = world_with(vec![two]).await;
    world.accepted(&["a"]).await;
    world.hear("a", "NOTIFICATION_VIEWED", json!({"recIndex": 1})).await;
    assert_eq!(world.state("a").await, "IN_CONSEGNA");
    world.hear("a", "REFINEMENT", refinement()).await;
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    world.settle().await;
    let completed: Vec<Option<u32>> =
        world.lines().await.iter().filter(|line| line.state == OutcomeState::Completed).map(|line| line.recipient).collect();
    assert_eq!(completed, [Some(1), Some(0)]);
    world.is_sound().await;
}

#[tokio::test]
async fn the_earlier_of_view_and_term_counts_whatever_comes_first() {
    let world = world_with(vec![act("a"), act("b")]).await;
    world.accepted(&["a", "b"]).await;
    let early = world.now();
    world.pass(SignedDuration::from_hours(24));
    for (reference, first, second) in [("a", "NOTIFICATION_VIEWED", "REFINEMENT"), ("b", "REFINEMENT", "NOTIFICATION_VIEWED")] {
        world.hear(reference, first, refinement()).await;
        let mut late = world.event(reference, second, refinement()).await;
        late.element.event_timestamp = Some(early);
        world.tell(vec![late]).await;
        let lines = world.lines().await;
        let about: Vec<&OutcomeLine> =
            lines.iter().filter(|line| line.reference == reference && line.state == OutcomeState::Completed).collect();
        assert_eq!(about.len(), 2, "{reference}");
        assert_eq!((about[1].corrects, about[1].recipient_completed_at), (Some(about[0].line), Some(early)), "{reference}");
        // A view after the term is only told.
        world.pass(SignedDuration::from_hours(24));
        world.hear(reference, "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
        assert_eq!(world.told(reference).await.last().unwrap(), &(OutcomeState::Info, "NOTIFICATION_VIEWED".to_owned()));
    }
    world.settle().await;
    world.is_sound().await;
}

#[tokio::test]
async fn a_recipient_who_died_closes_the_act() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    world.hear("a", "ANALOG_WORKFLOW_RECIPIENT_DECEASED", json!({"recIndex": 0})).await;
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    assert_eq!(words(&world.told("a").await).last(), Some(&"RESO_AL_MITTENTE"));
    assert!(world.act("a").await.closed_at.is_some());
    world.is_sound().await;
}

fn rework(voids: &[&str]) -> serde_json::Value {
    let elements: Vec<serde_json::Value> = voids.iter().map(|id| json!({"elementId": id})).collect();
    json!({"recIndex": 0, "invalidatedTimelineAndStatusHistory": [{"status": "EFFECTIVE_DATE", "relatedTimelineElements": elements}]})
}

#[tokio::test]
async fn a_rework_reopens_the_act_and_corrects_its_line() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    let paper = world.event("a", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530})).await;
    let end = world.event("a", "REFINEMENT", refinement()).await;
    world.tell(vec![paper.clone(), end.clone()]).await;
    world.settle().await;
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", rework(&[&paper.element.element_id, &end.element.element_id])).await;
    let act = world.act("a").await;
    assert_eq!((act.state.as_str(), act.closed_at, act.flag_code.as_deref()), ("IN_CONSEGNA", None, Some("TIMELINE_RETTIFICATA")));
    let lines = world.lines().await;
    let completed = lines.iter().find(|line| line.state == OutcomeState::Completed).unwrap().line;
    let correction = lines.last().unwrap();
    assert_eq!((correction.event.as_str(), correction.corrects), ("RETTIFICA", Some(completed)));
    assert_eq!((correction.recipient_completed_at, correction.institution_cost), (None, Some(100)));
    world.pass(SignedDuration::from_hours(24));
    world.hear("a", "REFINEMENT", refinement()).await;
    world.settle().await;
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    world.is_sound().await;
}

/// SEND's status goes back to the delivery; so do the esito and the export.
#[tokio::test]
async fn a_rework_of_the_completion_alone_leaves_the_delivery() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    let delivery = world.event("a", "ANALOG_SUCCESS_WORKFLOW", json!({"recIndex": 0})).await;
    let end = world.event("a", "REFINEMENT", refinement()).await;
    world.tell(vec![delivery.clone(), end.clone()]).await;
    world.settle().await;
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", rework(&[&end.element.element_id])).await;
    assert_eq!(world.state("a").await, "IN_CONSEGNA");
    assert_eq!(world.told("a").await.last().unwrap(), &(OutcomeState::Delivered, "RETTIFICA".to_owned()));
    let states =
        "SELECT count(*) FROM standing WHERE state = 'CONSEGNATO' AND completed_at IS NULL AND line = (SELECT max(line) FROM standing)";
    assert_eq!(world.count(states), 1);
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", rework(&[&delivery.element.element_id])).await;
    let correction = world.lines().await.pop().unwrap();
    assert_eq!((correction.state, correction.event.as_str()), (OutcomeState::Info, "RETTIFICA"));
    assert!(correction.corrects.is_some());
    assert_eq!(world.count(&states.replace("CONSEGNATO", "IN_CONSEGNA")), 1);
    world.is_sound().await;
}

/// Streams have no order of business time, and a reading of the whole timeline may bring the correction first.
#[tokio::test]
async fn an_element_voided_before_it_came_counts_for_nothing() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    let end = world.event("a", "REFINEMENT", refinement()).await;
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", rework(&[&end.element.element_id])).await;
    assert_eq!(world.tell(vec![end.clone()]).await.new, 1, "it is stored");
    assert_eq!(world.state("a").await, "IN_CONSEGNA");
    assert_eq!(world.told("a").await.last().unwrap(), &(OutcomeState::Info, "REFINEMENT".to_owned()));
    assert_eq!(world.tell(vec![end]).await.known, 1, "and known from then on");
    assert_eq!(world.count("SELECT count(*) FROM timeline WHERE category = ''"), 0);
    world.is_sound().await;
}

#[tokio::test]
async fn the_legal_date_of_acceptance_is_the_elements() {
    let world = world_with(vec![act("a")]).await;
    let accepted = world.event("a", "REQUEST_ACCEPTED", json!({})).await;
    world.pass(SignedDuration::from_hours(2));
    world.hear("a", "SEND_DIGITAL_DOMICILE", json!({"recIndex": 0})).await;
    let date = accepted.element.event_timestamp;
    world.tell(vec![accepted]).await;
    assert_eq!(world.act("a").await.accepted_at, date);
    assert_eq!(world.lines().await.last().unwrap().sender_completed_at, date);
}

#[tokio::test]
async fn a_technical_refusal_is_sent_again_once_with_a_token_of_its_own() {
    let world = world_with(vec![act("a")]).await;
    let first = world.act("a").await;
    let refusal = json!({"refusalReasons": [{"errorCode": "FILE_NOTFOUND"}], "notificationCost": 100});
    world.hear("a", "REQUEST_REFUSED", refusal.clone()).await;
    assert_eq!(world.state("a").await, "RIFIUTATO");
    world.settle().await;
    let second = world.act("a").await;
    assert_eq!((second.submission, second.state.as_str(), second.batch), (2, "INVIATO", first.batch));
    assert_eq!(second.protocol, first.protocol);
    assert_ne!(world.material(second.id).await.token, world.material(first.id).await.token);
    assert_eq!(world.states(first.batch).await, [("INVIATO".to_owned(), 1)], "only the newest submission counts");
    world.hear("a", "REQUEST_REFUSED", refusal).await;
    let jobs: Vec<String> = world.store.jobs_of(second.id.0).await.unwrap().into_iter().map(|job| job.kind).collect();
    assert_eq!(jobs, ["SCRIVI_SCARTO"], "never twice by itself");
    let refused = world.store.refused_act(second.id).await.unwrap();
    assert_eq!((refused.batch, refused.place.ordinal, refused.content.reference.as_str()), (first.batch, 1, "a"));
    assert_eq!(refused.reasons, [RefusalReason::of("FILE_NOTFOUND")]);
    world.settle().await;
    world.is_sound().await;
}

#[tokio::test]
async fn the_automatic_submission_steps_back_for_the_gestionale() {
    let refusal = json!({"refusalReasons": [{"errorCode": "FILE_NOTFOUND"}]});
    // Dropped again before the job ran: the new one stands, nothing is sent twice.
    let world = world_with(vec![act("a")]).await;
    world.hear("a", "REQUEST_REFUSED", refusal.clone()).await;
    let (batch, verdicts) = world.stage(vec![act("a")], flow(20)).await;
    assert_eq!(verdicts, [Verdict::New]);
    world.settle().await;
    assert_eq!(world.count("SELECT count(*) FROM act"), 2);
    world.finish(batch, false).await;
    world.pass(SignedDuration::from_mins(2));
    world.settle().await;
    assert_eq!((world.act("a").await.submission, world.count("SELECT count(*) FROM act")), (2, 2));
    world.is_sound().await;

    // That batch is refused as a whole: then it goes by itself after all.
    let world = world_with(vec![act("a")]).await;
    world.hear("a", "REQUEST_REFUSED", refusal.clone()).await;
    let (batch, _) = world.stage(vec![act("a")], flow(20)).await;
    world.settle().await;
    world.store.discard_staged(batch).await.unwrap();
    world.pass(SignedDuration::from_mins(2));
    world.settle().await;
    assert_eq!((world.act("a").await.submission, world.state("a").await.as_str()), (2, "INVIATO"));

    // Another act has taken its notice meanwhile: it comes back as a reject.
    let world = world_with(vec![act("a")]).await;
    world.hear("a", "REQUEST_REFUSED", refusal).await;
    world.accept(vec![Act { reference: "b".to_owned(), ..act("a") }], flow(20)).await;
    world.settle_but(|effect| *effect == Effect::WriteReject).await;
    let first = world.act("a").await;
    assert_eq!(first.submission, 1);
    assert_eq!(world.store.jobs_of(first.id.0).await.unwrap()[0].kind, "SCRIVI_SCARTO");
}

#[tokio::test]
async fn a_request_refused_at_once_comes_back_as_a_reject() {
    let world = World::new();
    world.accept(vec![act("a")], flow(20)).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    world.store.free_leases().await.unwrap();
    let id = world.act("a").await.id;
    let job = world.lease_one(id, "INVIA").await.job;
    let reasons = vec![RefusalReason::of("PN_GENERIC_INVALIDPARAMETER")];
    world.store.record(id, Fact::NotTaken { reasons, at: world.now() }, Some(job), world.now()).await.unwrap();
    assert_eq!(world.told("a").await.last().unwrap().0, OutcomeState::Refused);
    assert_eq!(world.store.jobs_of(id.0).await.unwrap()[0].kind, "SCRIVI_SCARTO");
    // Its keys are free again.
    assert_eq!(world.stage(vec![Act { reference: "b".to_owned(), ..act("a") }], flow(20)).await.1, [Verdict::New]);
}

/// We took it for refused (a misread answer, a store restored from a copy) and SEND has it: what SEND says counts.
#[tokio::test]
async fn what_send_accepted_after_all_is_followed_and_holds_its_keys_again() {
    let world = world_with(vec![act("a")]).await;
    world.hear("a", "REQUEST_REFUSED", json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]})).await;
    assert_eq!(world.count("SELECT count(*) FROM live_key"), 0);
    world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
    let after = world.act("a").await;
    assert_eq!((after.state.as_str(), after.flag_code.as_deref()), ("IN_CONSEGNA", Some("FATTO_INATTESO")));
    assert_eq!(world.count("SELECT count(*) FROM live_key"), 3);
    let lines = world.lines().await;
    let refused = lines.iter().find(|line| line.state == OutcomeState::Refused).unwrap().line;
    assert!(lines.iter().any(|line| line.corrects == Some(refused)));
    assert!(world.store.jobs_of(after.id.0).await.unwrap().is_empty(), "no reject is written of it");
    assert_eq!(world.stage(vec![act("a")], flow(20)).await.1, [Verdict::Duplicate]);
    world.is_sound().await;
}

#[tokio::test]
async fn an_unknown_element_flags_and_alerts_and_blocks_nothing() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    world.hear("a", "SOMETHING_NEW_OF_2027", json!({"recIndex": 0})).await;
    world.hear("a", "REFINEMENT", refinement()).await;
    let act = world.act("a").await;
    assert_eq!((act.state.as_str(), act.flag_code.as_deref()), ("PERFEZIONATO", Some("EVENTO_SCONOSCIUTO")));
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
    assert_eq!(alerts[0].code, "EVENTO_SCONOSCIUTO");
}

#[tokio::test]
async fn a_price_is_told_when_it_changes() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    world.hear("a", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    world.settle().await;
    let costs = |lines: Vec<OutcomeLine>| lines.into_iter().filter(|line| line.event == "COSTO").count();
    assert_eq!(costs(world.lines().await), 1);
    // A letter that was on its way is charged later: the price is asked again, and is the same here.
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({"recIndex": 0, "analogCost": 530})).await;
    let id = world.act("a").await.id;
    assert_eq!(world.store.jobs_of(id.0).await.unwrap()[0].kind, "CHIEDI_COSTO");
    world.settle().await;
    assert_eq!(costs(world.lines().await), 1);
    assert_eq!(world.store.notices(id, 0).await.unwrap().len(), 1);
    assert!(world.store.notices(id, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_whole_timeline_tells_only_what_was_missed() {
    let world = world_with(vec![act("a")]).await;
    let accepted = world.event("a", "REQUEST_ACCEPTED", json!({})).await;
    let viewed = world.event("a", "NOTIFICATION_VIEWED", json!({"recIndex": 0})).await;
    world.tell(vec![accepted.clone()]).await;
    let act = world.act("a").await;
    let iun = act.iun.unwrap();
    let elements = vec![accepted.element, viewed.element];
    assert_eq!(world.store.record_timeline(act.id, &iun, elements.clone(), None, world.now()).await.unwrap(), 1);
    assert_eq!(world.store.record_timeline(act.id, &iun, elements, None, world.now()).await.unwrap(), 0);
    world.settle().await;
    assert_eq!(world.state("a").await, "PERFEZIONATO");
    world.is_sound().await;
}

/// The stream was silent and the request is asked: the answer brings the timeline of an act that has no IUN yet.
#[tokio::test]
async fn a_timeline_read_before_any_event_accepts_the_act() {
    let world = world_with(vec![act("a")]).await;
    let id = world.act("a").await.id;
    world.pass(SignedDuration::from_hours(27));
    let job = world.lease_one(id, "CHIEDI_ESITO").await.job;
    let accepted = world.event("a", "REQUEST_ACCEPTED", json!({})).await;
    let iun = accepted.iun.clone().unwrap();
    world.store.record_timeline(id, &iun, vec![accepted.element], Some(job), world.now()).await.unwrap();
    let act = world.act("a").await;
    assert_eq!((act.state.as_str(), act.iun), ("IN_CONSEGNA", Some(iun)));
    world.is_sound().await;
}

/// All that SEND said is kept where it can be deleted, and nowhere else.
#[tokio::test]
async fn every_reason_of_a_refusal_is_kept_in_rows_that_can_be_deleted() {
    let world = world_with(vec![act("a")]).await;
    let said = "Mario Rossi, via ignota";
    let refusal = json!({"refusalReasons": [
        {"errorCode": "NOT_VALID_ADDRESS", "detail": said, "recIndex": 0},
        {"errorCode": "TAXID_NOT_VALID", "detail": "RSSMRA80A01H501U non risulta", "recIndex": 0},
    ], "notificationCost": 100});
    world.hear("a", "REQUEST_REFUSED", refusal).await;
    let last = || async { world.store.lines(SOURCE, 1, 1_000, 1_000).await.unwrap().pop().unwrap() };
    let line = last().await;
    assert_eq!(
        (line.line.state, line.line.code.as_deref(), line.line.institution_cost),
        (OutcomeState::Refused, Some("NOT_VALID_ADDRESS"), Some(100))
    );
    let want = [("NOT_VALID_ADDRESS", said), ("TAXID_NOT_VALID", "RSSMRA80A01H501U non risulta")].map(|(code, detail)| RefusalReason {
        detail: Some(detail.to_owned()),
        rec_index: Some(0),
        ..RefusalReason::of(code)
    });
    assert_eq!(line.reasons, want);
    let id = world.act("a").await.id;
    assert_eq!(world.store.refused_act(id).await.unwrap().reasons, want);
    let history = world.store.history(id.0).await.unwrap();
    assert_eq!(history.last().unwrap().data.as_deref(), Some("{\"codes\":[\"NOT_VALID_ADDRESS\",\"TAXID_NOT_VALID\"]}"));
    for words in ["ignota", "RSSMRA80A01H501U"] {
        for (table, column) in [("line", "data"), ("history", "data"), ("act", "state_data"), ("job", "payload"), ("alert", "about")] {
            assert_eq!(world.count(&format!("SELECT count(*) FROM {table} WHERE {column} LIKE '%{words}%'")), 0, "{words} in {table}");
        }
    }
    rusqlite::Connection::open(world.dir.path().join("messo.db")).unwrap().execute("DELETE FROM refusal", []).unwrap();
    assert_eq!((last().await.reasons, last().await.line), (vec![], line.line), "the ledger stands");
    assert_eq!(world.store.refused_act(id).await.unwrap().reasons, [RefusalReason::of("NOT_VALID_ADDRESS")]);
    world.is_sound().await;
}

/// The stream was silent, so SEND was asked: it does not say what the refusal cost. The element does, later.
#[tokio::test]
async fn the_cost_of_a_refusal_learnt_by_asking_corrects_its_line() {
    let world = world_with(vec![act("a")]).await;
    let id = world.act("a").await.id;
    world.pass(SignedDuration::from_hours(27));
    let job = world.lease_one(id, "CHIEDI_ESITO").await.job;
    let reasons = vec![RefusalReason::of("NOT_VALID_ADDRESS")];
    let fact = Fact::Refused { reasons: reasons.clone(), at: world.now(), cost: None };
    world.store.record(id, fact, Some(job), world.now()).await.unwrap();
    let asked = world.lines().await.pop().unwrap();
    assert_eq!((asked.event.as_str(), asked.institution_cost), ("REQUEST_REFUSED", None));
    let refusal = json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}], "notificationCost": 100});
    world.hear("a", "REQUEST_REFUSED", refusal).await;
    let told = world.store.lines(SOURCE, 1, 1_000, 1_000).await.unwrap().pop().unwrap();
    let line = &told.line;
    assert_eq!((line.state, line.event.as_str(), line.code.as_deref()), (OutcomeState::Refused, "RETTIFICA", Some("NOT_VALID_ADDRESS")));
    assert_eq!((line.corrects, line.institution_cost, &told.reasons), (Some(asked.line), Some(100), &reasons));
    assert_eq!(world.state("a").await, "RIFIUTATO");
    world.settle().await;
    world.is_sound().await;
}

#[tokio::test]
async fn a_new_price_corrects_the_line_of_the_one_before() {
    let mut two = act("a");
    two.recipients.push(recipient("VRDLGI70A01H501X", None));
    let world = world_with(vec![two]).await;
    world.accepted(&["a"]).await;
    let id = world.act("a").await.id;
    for (recipient, total) in [(0, 847), (1, 500), (0, 1_200), (0, 1_300)] {
        world.store.record(id, Fact::PriceKnown { recipient, total, paper: None }, None, world.now()).await.unwrap();
    }
    let costs: Vec<OutcomeLine> = world.lines().await.into_iter().filter(|line| line.event == "COSTO").collect();
    let got: Vec<(Option<u32>, Option<i64>, Option<u64>)> =
        costs.iter().map(|line| (line.recipient, line.citizen_cost, line.corrects)).collect();
    let want = [(0, 847, None), (1, 500, None), (0, 1_200, Some(costs[0].line)), (0, 1_300, Some(costs[2].line))];
    assert_eq!(got, want.map(|(recipient, total, corrects)| (Some(recipient), Some(total), corrects)));
}

#[tokio::test]
async fn an_element_without_category_is_told_and_flagged() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    for blank in ["", " "] {
        world.hear("a", blank, json!({"recIndex": 0})).await;
    }
    let id = world.act("a").await.id;
    assert_eq!(world.act("a").await.flag_code.as_deref(), Some("EVENTO_SCONOSCIUTO"));
    assert_eq!(world.told("a").await.last().unwrap(), &(OutcomeState::Info, "SENZA_CATEGORIA".to_owned()));
    assert_eq!(world.store.history(id.0).await.unwrap().last().unwrap().event, "SENZA_CATEGORIA");
    assert_eq!(world.store.alerts(Timestamp::UNIX_EPOCH, 1).await.unwrap()[0].about, "SENZA_CATEGORIA");
    assert_eq!(world.count("SELECT count(*) FROM timeline WHERE category = 'SENZA_CATEGORIA'"), 2);
}
