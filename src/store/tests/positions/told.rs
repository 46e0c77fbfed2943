//! What PTs tell by themselves or late: expiry, revocations, outcomes of changes.

use super::*;

#[tokio::test]
async fn a_position_that_its_pt_says_has_expired_is_parked_and_told_once() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a", "b"]).await;
    for (job, id, _) in world.due(PT_CHANNEL, Lane::Afterwards).await {
        world.say(id, PositionFact::Unverifiable, Some(job)).await;
    }
    let (one, other) = (world.position("a").await, world.position("b").await);
    let told = |pt: &'static str, notices: Vec<Vec<String>>| world.store.told_expired(pt, ENTE, notices, world.now());
    // The IUV may stand for several notices; one is of nobody.
    let notices = || vec![vec!["999".to_owned(), one.notice.clone()], vec!["302999".to_owned()]];
    assert_eq!(told("altro", notices()).await.unwrap(), 0, "another PT's");
    assert_eq!(told(PT, notices()).await.unwrap(), 1);
    assert_eq!(told(PT, notices()).await.unwrap(), 1, "again");
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.park_code.as_deref(), view.held_state), ("FERMA", Some(code::EXPIRED), Some(HeldState::Expired)));
    assert_eq!(events(&world.lines().await, "a"), ["POSIZIONE_FERMA"], "told once");
    // Let go on, and its PT takes the next change: it is expired no more.
    assert!(world.store.resume_position(view.id, "anna", "prorogata", world.now()).await.unwrap());
    world.say(view.id, PositionFact::Unverifiable, None).await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_847, None)).await;
    world.say(view.id, PositionFact::Offered, None).await;
    world.say(view.id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None).await;
    assert!(world.store.change_told(PT, "M1", None, false, world.now()).await.unwrap());
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.held_state, view.asked), ("APERTA", None, Some(Cents(10_847))));
    // Paid is paid, whatever comes after it.
    world.store.take_payment(payment(&other.notice, 10_000, Some("IUR-1")), world.now()).await.unwrap();
    assert_eq!(told(PT, vec![vec![other.notice.clone()]]).await.unwrap(), 1);
    assert_eq!(world.position("b").await.state, "PAGATA");
}

#[tokio::test]
async fn a_payment_that_is_asked_back_stays_paid_and_a_person_is_told_once() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let view = world.position("a").await;
    world.store.take_payment(payment(&view.notice, 10_000, Some("IUR-1")), world.now()).await.unwrap();
    let ask = |notice: &str, request: &str| AskedBack {
        pt: PT.to_owned(),
        creditor: ENTE.to_owned(),
        iuv: notice[1..].to_owned(),
        notices: vec!["0".repeat(18), notice.to_owned()],
        amount: Some(Cents(10_000)),
        request: request.to_owned(),
    };
    let unknown = "302000000000099988";
    for (notice, request, new) in
        [(&*view.notice, "R1", true), (&view.notice, "R1", false), (&view.notice, "R2", true), (unknown, "R1", true)]
    {
        assert_eq!(world.store.payment_asked_back(ask(notice, request), world.now()).await.unwrap(), new, "{notice} {request}");
    }
    assert_eq!(world.position("a").await.state, "PAGATA");
    assert_eq!(world.count("SELECT count(*) FROM alert WHERE code = 'REVOCA_DI_PAGAMENTO'"), 3);
    assert_eq!(world.count("SELECT count(*) FROM history WHERE subject_kind = 'posizione' AND event = 'REVOCA_CHIESTA'"), 2);
}

/// A PT that answers later and cannot be read.
async fn offered(world: &World, reference: &str) -> PositionId {
    let id = world.position(reference).await.id;
    for (job, ..) in world.due(PT_CHANNEL, Lane::Afterwards).await {
        world.say(id, PositionFact::Unverifiable, Some(job)).await;
    }
    world.accepted(&[reference]).await;
    world.reckon(&sum(10_847, None)).await;
    assert_eq!(world.say(id, PositionFact::Offered, None).await, "IN_MODIFICA");
    id
}

#[tokio::test]
async fn an_outcome_told_before_its_ticket_is_applied_with_it() {
    // code, can be read back, state after
    let undone = |why| Some(Undone { why, code: "X".to_owned() });
    let table = [
        (None, false, "APERTA"),
        (None, true, "IN_MODIFICA"),
        (undone(WhyUndone::Expired), true, "FERMA"),
        (undone(WhyUndone::Again), false, "IN_MODIFICA"),
        (undone(WhyUndone::Paid), false, "PAGATA"),
    ];
    for (code, reads, want) in table {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.started(&["a"]).await;
        let id = offered(&world, "a").await;
        let tell = |ticket: &'static str| world.store.change_told(PT, ticket, code.clone(), reads, world.now());
        let record = || world.say(id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None);
        assert!(!tell("M1").await.unwrap() && !tell("M1").await.unwrap() && !tell("M2").await.unwrap(), "nobody waits yet");
        assert!(!world.store.change_told("altro", "M1", undone(WhyUndone::Refused), false, world.now()).await.unwrap());
        assert_eq!(record().await, want, "{code:?} {reads}");
        let left: Vec<String> = world.store.early_outcomes().await.unwrap().into_iter().map(|(ticket, _)| ticket).collect();
        assert_eq!(left, ["M1", "M2"], "the other PT's, and what nobody has");
        world.store.forget_early_outcomes(world.now()).await.unwrap();
        assert_eq!(world.store.early_outcomes().await.unwrap().len(), 2, "not old yet");
        world.pass(SignedDuration::from_hours(1));
        world.store.forget_early_outcomes(world.now()).await.unwrap();
        assert!(world.store.early_outcomes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_refusal_after_a_silence_that_was_taken_for_a_yes_is_heard() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = offered(&world, "a").await;
    let key = || async {
        let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
        if let PositionState::Changing { change } = material.state { Some(change.key) } else { None }
    };
    let old = key().await;
    world.say(id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None).await;
    assert_eq!(world.say(id, PositionFact::Pushed { reads: false }, None).await, "APERTA");
    assert_eq!(world.position("a").await.asked, Some(Cents(10_847)));
    assert!(world.store.change_told(PT, "M1", None, false, world.now()).await.unwrap());
    assert_eq!(world.position("a").await.state, "APERTA", "as it was taken to be");
    assert!(
        world
            .store
            .change_told(PT, "M1", Some(Undone { why: WhyUndone::Refused, code: "184".to_owned() }), false, world.now())
            .await
            .unwrap()
    );
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.park_code.as_deref(), view.asked), ("FERMA", Some(code::REFUSED), None));
    // Let go on by a person it is told again, by another key.
    assert!(world.store.resume_position(id, "anna", "corretto al PT", world.now()).await.unwrap());
    world.say(id, PositionFact::Unverifiable, None).await;
    world.reckon(&sum(10_847, None)).await;
    let new = key().await;
    assert!(new.is_some() && new != old, "{old:?} {new:?}");
}

#[tokio::test]
async fn what_a_pt_could_not_do_now_is_told_again_by_another_key_and_not_for_ever() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = offered(&world, "a").await;
    let change = || async {
        let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
        if let PositionState::Changing { change } = material.state { Some((change.key, change.amount)) } else { None }
    };
    let not_now = || Some(Undone { why: WhyUndone::Again, code: "200".to_owned() });
    let mut keys = std::collections::BTreeSet::new();
    let mut times = 0;
    while let Some((key, amount)) = change().await {
        assert_eq!(amount, Cents(10_847), "the same amount");
        assert!(keys.insert(key), "the same key: the PT would say that it has it");
        times += 1;
        let ticket = format!("M{times}");
        world.say(id, PositionFact::TakenInCharge { ticket: ticket.clone() }, None).await;
        assert!(world.store.change_told(PT, &ticket, not_now(), false, world.now()).await.unwrap());
        // Told again, it changes nothing: nobody has that ticket any more.
        assert!(!world.store.change_told(PT, &ticket, not_now(), false, world.now()).await.unwrap());
        if change().await.is_none() {
            break;
        }
        assert!(world.due(PT_CHANNEL, Lane::NewSend).await.is_empty(), "not at once");
        world.pass(SignedDuration::from_hours(1));
        let (_, position, effect) = world.only(PT_CHANNEL, Lane::NewSend).await;
        assert_eq!((position, effect), (id, PositionEffect::Push { raise: true }));
        world.say(id, PositionFact::Offered, None).await;
    }
    let view = world.position("a").await;
    assert_eq!((times, view.park_code.as_deref()), (25, Some(code::REFUSED)));
    assert_eq!(events(&world.lines().await, "a"), ["POSIZIONE_FERMA"], "told once, at the end");
    // A person lets it go on: the count begins anew.
    assert!(world.store.resume_position(id, "anna", "il PT risponde", world.now()).await.unwrap());
    assert_eq!(world.count("SELECT again FROM position"), 0);
}

#[tokio::test]
async fn a_silence_taken_for_a_yes_that_was_a_not_now_is_reckoned_and_told_again() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = offered(&world, "a").await;
    world.say(id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None).await;
    assert_eq!(world.say(id, PositionFact::Pushed { reads: false }, None).await, "APERTA");
    world.reckon(&sum(10_847, None)).await;
    let not_now = Some(Undone { why: WhyUndone::Again, code: "399".to_owned() });
    assert!(world.store.change_told(PT, "M1", not_now, false, world.now()).await.unwrap());
    assert_eq!((world.position("a").await.state.as_str(), world.position("a").await.asked), ("APERTA", None), "as before it was told");
    world.pass(SignedDuration::from_mins(2));
    assert_eq!(world.reckon(&sum(10_847, None)).await, 1);
    assert_eq!(world.position("a").await.state, "IN_MODIFICA");
    assert_eq!(world.due(PT_CHANNEL, Lane::NewSend).await.len(), 1);
}

#[tokio::test]
async fn a_pt_that_asks_the_price_is_answered_although_the_position_could_not_be_verified() {
    let world = World::new();
    world.routes(CostChannel::Pull, true).await;
    world.started(&["a"]).await;
    let (job, id, _) = world.only(PT_CHANNEL, Lane::Afterwards).await;
    world.say(id, PositionFact::NotVerified { code: "VERIFICA_RESPINTA_DAL_PT" }, Some(job)).await;
    let asks = Reckoning { may_push: false, ..sum(10_000, None) };
    assert_eq!((world.position("a").await.state.as_str(), world.reckon(&asks).await), ("FERMA", 1));
    world.accepted(&["a"]).await;
    let (job, ..) = world.only("", Lane::Afterwards).await;
    let beside = Beside { sheet: Some("{}".to_owned()), ..Beside::job(job) };
    world.store.observe_position(id, PositionFact::Reckoned(Box::new(asks)), beside, world.now()).await.unwrap();
    let view = world.position("a").await;
    let sheet = world.store.price_sheet(&view.creditor, &view.notice).unwrap().unwrap();
    assert_eq!((view.state.as_str(), sheet.json.as_deref()), ("FERMA", Some("{}")));
}

#[tokio::test]
async fn parts_paid_before_their_act_came_are_told_once_to_each_act() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.listen().await;
    let early = act("a");
    let (_, _, notice) = early.notices().next().map(|(index, creditor, notice)| (index, creditor.to_owned(), notice.to_owned())).unwrap();
    let part = |day: u32, receipt: Option<&str>| {
        let mut event = PaymentEvent { whole: false, ..payment(&notice, 2_000, receipt) };
        event.payment.paid_at = format!("2026-11-{day}T10:00:00Z").parse().unwrap();
        event
    };
    for event in [part(16, Some("IUR-1")), part(17, None), PaymentEvent { pt: "altro".to_owned(), ..part(18, None) }] {
        assert_eq!(world.store.take_payment(event, world.now()).await.unwrap(), Taken::Unknown);
    }
    world.accept(vec![Act { amount: Some(Cents(10_000)), ..early }], flow(0)).await;
    world.settle().await;
    let told = |lines: Vec<OutcomeLine>| -> Vec<(u32, Option<i64>, Option<String>)> {
        let paid = lines.into_iter().filter(|line| line.event == "PAGATO" && line.code.as_deref() == Some("PAGATO_IN_PARTE"));
        paid.map(|line| (line.submission, line.position.as_ref().and_then(|told| told.amount), line.position.and_then(|told| told.receipt)))
            .collect()
    };
    let first = vec![(1, Some(2_000), Some("IUR-1".to_owned())), (1, Some(2_000), None)];
    assert_eq!(told(world.lines().await), first, "and nothing of another PT's");
    assert_eq!(world.position("a").await.state, "DA_VERIFICARE");
    let paid = world.count("SELECT paid FROM standing ORDER BY line DESC LIMIT 1");
    assert_eq!(paid, 4_000);
    // It is told as it comes, like before; a new submission of the act begins with all that was paid.
    world.verified("a").await;
    assert!(matches!(world.store.take_payment(part(19, None), world.now()).await.unwrap(), Taken::New(_)));
    let third = [first.clone(), vec![(1, Some(2_000), None)]].concat();
    assert_eq!(told(world.lines().await), third);
    world.accepted(&["a"]).await;
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!(world.position("a").await.state, "CHIUSA");
    world.accept(vec![Act { amount: Some(Cents(9_000)), ..act("a") }], flow(0)).await;
    world.settle().await;
    let again: Vec<_> = third.iter().map(|(_, amount, receipt)| (2, *amount, receipt.clone())).collect();
    assert_eq!(told(world.lines().await), [third, again].concat());
}

#[tokio::test]
async fn other_content_of_an_act_tells_no_part_again_and_its_export_keeps_it() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.listen().await;
    world.accept(vec![act("a")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let notice = world.position("a").await.notice;
    let part = PaymentEvent { whole: false, ..payment(&notice, 2_000, Some("IUR-1")) };
    assert!(matches!(world.store.take_payment(part, world.now()).await.unwrap(), Taken::New(_)));
    let change = Act { subject: Some("Oggetto corretto".to_owned()), amount: Some(Cents(9_000)), ..act("a") };
    let (batch, _) = world.stage(vec![order(Action::Modify, change)], flow(0)).await;
    world.finish(batch, false).await;
    world.settle().await;
    let lines = world.lines().await;
    assert!(lines.iter().any(|line| line.event == "MODIFICATO"), "{:?}", events(&lines, "a"));
    assert_eq!(lines.iter().filter(|line| line.event == "PAGATO").count(), 1);
    assert_eq!(world.count("SELECT paid FROM standing ORDER BY line DESC LIMIT 1"), 2_000);
}

/// A notification that was cancelled takes its stopped days along: the next one with the same notice would never go on.
#[tokio::test]
async fn days_stopped_for_a_notification_that_is_over_do_not_stop_the_next_one() {
    // How the next one comes, whether its days stand still.
    for (how, stands) in [("anew", false), ("refused", true), ("instead", true), ("changed", true)] {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow(0)).await;
        if how == "changed" {
            world.settle_but(|effect| *effect == Effect::Upload).await;
        } else {
            world.settle().await;
        }
        let id = world.verified("a").await;
        let stop = DaysOrder::Stop { from: date(2026, 12, 1), until: None };
        world.store.order_days(id, stop, "anna", "ricorso", world.now()).await.unwrap();
        let next = Act { amount: Some(Cents(10_000)), vat: Some(10), ..act("a") };
        match how {
            "anew" | "refused" => {
                if how == "anew" {
                    world.accepted(&["a"]).await;
                    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
                } else {
                    world.hear("a", "REQUEST_REFUSED", json!({ "refusalReasons": [{ "errorCode": "TAXID_NOT_VALID" }] })).await;
                }
                world.accept(vec![next], flow(0)).await;
            }
            "instead" => {
                world.accepted(&["a"]).await;
                world.hear_cancelled_for(order(Action::Replace, next)).await;
            }
            _ => {
                let (batch, verdicts) = world.stage(vec![order(Action::Modify, next)], flow(0)).await;
                assert_eq!(verdicts, [Verdict::New]);
                world.finish(batch, false).await;
            }
        }
        world.settle().await;
        let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
        assert!(material.live, "{how}");
        assert_eq!(!material.facts.suspensions.is_empty(), stands, "{how}");
        let told = world.lines().await.iter().filter(|line| line.event == "TERMINI_RIPRESI").count();
        assert_eq!(told, usize::from(!stands), "{how}: the gestionale is told that days count again");
    }
}

impl World {
    /// Replaces `a`, whose cancellation SEND completes.
    async fn hear_cancelled_for(&self, next: Act) {
        let old = self.event("a", "NOTIFICATION_CANCELLED", json!({})).await;
        self.accept(vec![next], flow(0)).await;
        self.settle().await;
        assert_eq!(self.tell(vec![old]).await.new, 1);
    }
}

/// A payment is often learnt days after it was made, and so is the completion from which its day counts.
#[tokio::test]
async fn a_payment_is_compared_with_what_was_due_on_its_day_as_it_is_known_now() {
    // What the rule says of its day by now (none: it cannot be asked), what was paid, whether it is said to be another sum.
    let table = [
        // Asked for 7.000 and 847 then: its completion was learnt late, and the reduction was over.
        (Some(10_000), 7_847, true),
        (Some(7_000), 7_847, false),
        // Two changes between the payment and the question: the cost is that of its day.
        (Some(7_000), 8_147, true),
        (Some(10_000), 10_847, false),
        // The row alone: what was asked for last.
        (None, 15_300, false),
        (None, 7_847, true),
    ];
    for (due, paid, other) in table {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.started(&["a"]).await;
        let id = world.verified("a").await;
        world.accepted(&["a"]).await;
        let view = world.position("a").await;
        // The payment is of the 23rd.
        for (day, whole, cost) in [(date(2026, 11, 22), 7_847, 847), (date(2026, 11, 24), 10_847, 847), (date(2026, 11, 25), 15_300, 300)] {
            let sum = Reckoning { day, cost: Cents(cost), whole_cost: Cents(cost), ..sum(whole, None) };
            world.say(id, PositionFact::Reckoned(Box::new(sum)), None).await;
        }
        if due.is_none() {
            let sum = Reckoning { day: date(2026, 11, 23), cost: Cents(300), whole_cost: Cents(300), ..sum(15_299, None) };
            world.say(id, PositionFact::Reckoned(Box::new(sum.clone())), None).await;
            world.say(id, PositionFact::Reckoned(Box::new(Reckoning { amount: Cents(15_300), ..sum })), None).await;
        }
        let event = payment(&view.notice, paid, Some("IUR-1"));
        world.store.take_payment_by(event, move |_| due.map(Cents), world.now()).await.unwrap();
        let line = world.lines().await.into_iter().find(|line| line.event == "PAGATO").unwrap();
        assert_eq!(line.code.as_deref(), other.then_some(code::OTHER_AMOUNT), "{due:?} {paid}");
    }
}

/// Paid while nobody knew that its reduction was over: told once, when the completion is.
#[tokio::test]
async fn a_payment_heard_before_the_completion_is_looked_at_again() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    let sum = Reckoning { cost: Cents(847), whole_cost: Cents(847), ..sum(7_847, None) };
    assert_eq!(world.reckon(&sum).await, 1);
    let view = world.position("a").await;
    let event = payment(&view.notice, 7_847, Some("IUR-1"));
    world.store.take_payment_by(event, |_| Some(Cents(7_000)), world.now()).await.unwrap();
    let alerts = async || {
        let all = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        all.into_iter().filter(|alert| alert.code == code::OTHER_AMOUNT).count()
    };
    assert_eq!(alerts().await, 0);
    assert!(world.due("", Lane::Afterwards).await.is_empty(), "nothing to do for one that is paid");
    world.hear("a", "REFINEMENT", json!({ "recIndex": 0 })).await;
    let (job, paid, effect) = world.only("", Lane::Afterwards).await;
    assert_eq!((paid, effect), (id, PositionEffect::Reckon));
    let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
    assert_eq!(material.paid_on, Some(date(2026, 11, 23)));
    for (due, want) in [(7_000, 0), (10_000, 1), (10_000, 1)] {
        let beside = Beside { due: Some(Cents(due)), ..Beside::default() };
        let state = world.store.observe_position(id, PositionFact::Compared, beside, world.now()).await.unwrap();
        assert_eq!((state, alerts().await), (PositionState::Paid, want), "{due}");
    }
    world.say(id, PositionFact::Compared, Some(job)).await;
}
