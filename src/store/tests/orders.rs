//! Orders about known acts: changes, cancellations, replacements, before and after SEND has the act.

use super::*;
use crate::flow::event::{Order, OrderRefused};
use crate::flow::state::HoldReason;

async fn world_with(acts: Vec<Act>) -> World {
    let world = World::new();
    world.listen().await;
    world.accept(acts, flow(0)).await;
    world
}

fn changed(action: Action, reference: &str) -> Act {
    Act { subject: Some("Verbale rettificato".to_owned()), ..order(action, act(reference)) }
}

async fn submission(world: &World, reference: &str, number: u32) -> ActView {
    let found = world.store.find_acts(reference).await.unwrap();
    found.into_iter().find(|act| act.submission == number).unwrap()
}

async fn cancelled(world: &World, act: &ActView) {
    let token = world.material(act.id).await.token;
    assert_eq!(world.tell(vec![world.event_of(&token, "NOTIFICATION_CANCELLED", json!({}))]).await.new, 1);
}

#[tokio::test]
async fn a_change_fences_off_the_upload_under_way() {
    let world = world_with(vec![act("a")]).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let id = world.act("a").await.id;
    world.store.free_leases().await.unwrap();
    let old = world.lease_one(id, "CARICA").await;
    let before = world.material(id).await;
    let mut new = changed(Action::Modify, "a");
    let other = Sha256::of(b"altro documento");
    new.documents[0].stored = Some(StoredFile { entry: 7, sha256: other, size: 2_000 });
    let batch = world.accept(vec![new.clone()], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    assert_eq!(world.state("a").await, "IN_CARICAMENTO", "prepared anew");

    // The worker with the old document comes back: what it uploaded is not taken for the new one.
    let stale = vec![(id, 0, uploaded(&before.content.documents[0], world.now()))];
    world.store.save_uploads(stale).await.unwrap();
    let outcome = world.store.record(id, Fact::Uploaded, Some(old.job), world.now()).await;
    assert!(matches!(outcome, Err(StoreError::Stale)), "{outcome:?}");
    let material = world.material(id).await;
    assert_eq!(material.uploads, []);
    assert_eq!(material.content.subject, new.subject);
    assert_ne!(material.archive, before.archive, "its files are those of the batch that changed it");
    world.store.free_leases().await.unwrap();
    world.settle().await;
    assert_eq!(world.material(id).await.uploads[0].1.sha256, other);
    assert_eq!(world.state("a").await, "INVIATO");
    assert_eq!(words(&world.told("a").await), ["PRESO_IN_CARICO", "MODIFICATO", "INVIATO"]);
    assert!(world.store.jobs_of(batch.0).await.unwrap().is_empty());
    world.is_sound().await;
}

#[tokio::test]
async fn a_change_moves_keys_term_and_recipients() {
    let world = world_with(vec![act("a")]).await;
    let mut new = changed(Action::Modify, "a");
    new.recipients = vec![recipient("VRDLGI70A01H501X", Some("302000000000000001".to_owned())), recipient("X", None)];
    let (batch, _) = {
        let id = world.claim(false).await;
        world.begin(id, flow(0)).await;
        let mut rows = rows(vec![new.clone()]);
        rows[0].notify_by = Some(world.now() + SignedDuration::from_hours(240));
        rows[0].key_id = "secondaria".to_owned();
        let verdicts = world.store.stage(id, rows, world.now()).await.unwrap();
        (id, verdicts)
    };
    world.finish(batch, false).await;
    world.settle_but(|effect| *effect == Effect::Prepare).await;
    let act_now = world.act("a").await;
    assert_eq!((act_now.recipients, act_now.key_id.as_str()), (2, "secondaria"));
    assert_eq!(act_now.notify_by, Some(world.now() + SignedDuration::from_hours(240)));
    let old_notice = Act { reference: "b".to_owned(), protocol: None, documents: vec![], ..act("a") };
    let new_notice = Act { recipients: new.recipients.clone(), ..old_notice.clone() };
    let (_, verdicts) = world.stage(vec![new_notice, old_notice], flow(0)).await;
    let Verdict::Conflicts(conflicts) = &verdicts[0] else { panic!("{verdicts:?}") };
    assert!(conflicts.iter().all(|conflict| conflict.claim == Claim::Notice && conflict.other == "a"), "{conflicts:?}");
    assert_eq!(verdicts[1], Verdict::New);
    assert_eq!(world.stage(vec![Act { action: Action::Insert, ..new }], flow(0)).await.1, [Verdict::Duplicate], "known by its new content");
}

/// Between the reading of a change and its start the act may have gone, or its notice been taken.
#[tokio::test]
async fn a_change_that_comes_too_late_is_told_in_the_esito() {
    let world = world_with(vec![act("a"), act("b")]).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let taken = recipient("RSSMRA80A01H501U", Some("302000000000000009".to_owned()));
    let mut wants = changed(Action::Modify, "b");
    wants.recipients = vec![taken.clone()];
    let (late, verdicts) = world.stage(vec![changed(Action::Modify, "a"), wants], flow(0)).await;
    assert_eq!(verdicts, [Verdict::New, Verdict::New]);
    world.accept(vec![Act { recipients: vec![taken], ..act("c") }], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.store.free_leases().await.unwrap();
    let sent = world.act("a").await.id;
    for name in ["CARICA", "INVIA"] {
        let job = world.lease_one(sent, name).await;
        world.work(job).await;
    }
    assert_eq!((world.state("a").await.as_str(), world.state("b").await.as_str()), ("INVIATO", "IN_CARICAMENTO"));
    world.finish(late, false).await;
    world.settle().await;
    let told: Vec<(String, Option<String>)> =
        world.lines().await.into_iter().filter(|line| line.event == "ORDINE_RESPINTO").map(|line| (line.reference, line.code)).collect();
    let want = [("a", "ATTO_GIA_INVIATO"), ("b", "AVVISO_GIA_IN_CORSO")];
    assert_eq!(told, want.map(|(reference, code)| (reference.to_owned(), Some(code.to_owned()))));
    assert_eq!(world.count("SELECT count(*) FROM batch_order WHERE done = 0"), 0);
    world.is_sound().await;
}

#[tokio::test]
async fn a_cancel_before_anything_left_withdraws_the_act_and_frees_its_keys() {
    let world = world_with(vec![act("a")]).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    let id = world.act("a").await.id;
    assert_eq!(world.state("a").await, "IN_INVIO");
    world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await;
    world.settle().await;
    assert_eq!(world.state("a").await, "RITIRATO");
    assert!(world.store.jobs_of(id.0).await.unwrap().is_empty());
    // The worker that was about to POST is told not to.
    assert!(matches!(world.spend(id, None, "2026-11-22", 0).await, Err(StoreError::Stale)));
    assert!(world.posts.borrow().is_empty());
    assert_eq!(world.count("SELECT count(*) FROM live_key"), 0);
    world.accept(vec![act("a")], flow(0)).await;
    world.settle().await;
    assert_eq!((world.act("a").await.submission, world.state("a").await.as_str()), (2, "INVIATO"));
    world.is_sound().await;
}

#[tokio::test]
async fn a_cancel_waits_for_the_iun_and_then_for_the_cancellation() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    let id = world.act("a").await.id;
    let batch = world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await;
    world.settle().await;
    assert_eq!(world.state("a").await, "INVIATO");
    let jobs = world.store.jobs_of(batch.0).await.unwrap();
    assert_eq!((jobs[0].kind.as_str(), jobs[0].state.as_str()), ("AVVIA", "ATTESA"));
    world.is_sound().await;
    // Woken by the acceptance, not by the clock.
    world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
    world.settle_but(|effect| *effect == Effect::Cancel).await;
    assert_eq!(world.state("a").await, "IN_ANNULLAMENTO");
    assert!(world.store.jobs_of(batch.0).await.unwrap().is_empty());
    assert_eq!(world.store.jobs_of(id.0).await.unwrap()[0].kind, "ANNULLA");
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!(world.state("a").await, "ANNULLATO");
    assert_eq!(words(&world.told("a").await), ["PRESO_IN_CARICO", "INVIATO", "INFORMAZIONE", "ACCETTATO", "IN_ANNULLAMENTO", "ANNULLATO"]);
    world.is_sound().await;
}

#[tokio::test]
async fn a_cancel_of_an_act_that_send_then_refuses_is_told() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await;
    world.settle().await;
    world.hear("a", "REQUEST_REFUSED", json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]})).await;
    world.settle().await;
    let last = world.lines().await.pop().unwrap();
    assert_eq!((last.event.as_str(), last.code.as_deref()), ("ORDINE_RESPINTO", Some("ATTO_NON_ANNULLABILE")));
    world.is_sound().await;
}

#[tokio::test]
async fn a_replacement_goes_when_the_cancellation_is_complete() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    let batch = world.accept(vec![changed(Action::Replace, "a")], flow(20)).await;
    world.settle().await;
    let (old, new) = (submission(&world, "a", 1).await, submission(&world, "a", 2).await);
    assert_eq!((old.state.as_str(), new.state.as_str()), ("IN_ANNULLAMENTO", "IN_ATTESA"));
    assert_eq!(new.hold.as_deref(), Some("ANNULLAMENTO_DEL_PRECEDENTE"));
    let released = world.store.order(new.id, Order::Release, "op", "", world.now()).await;
    assert!(matches!(released, Err(StoreError::Order(OrderRefused::NotHeld))), "not before: the notice is still taken");
    world.is_sound().await;
    // The same order again is the same order.
    assert_eq!(world.stage(vec![changed(Action::Replace, "a")], flow(20)).await.1, [Verdict::Duplicate]);
    cancelled(&world, &old).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 2).await.state, "INVIATO");
    assert_eq!(world.posts.borrow().len(), 2);
    assert_eq!(world.states(batch).await, [("INVIATO".to_owned(), 1)]);
    world.is_sound().await;
}

#[tokio::test]
async fn a_replacement_of_what_has_not_left_goes_at_once() {
    let world = world_with(vec![act("a")]).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    world.accept(vec![changed(Action::Replace, "a")], flow(0)).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 1).await.state, "RITIRATO");
    assert_eq!(submission(&world, "a", 2).await.state, "INVIATO");
    world.is_sound().await;
}

/// The old act is refused while its cancellation waits for the IUN: nothing is left to cancel, the new one goes.
#[tokio::test]
async fn a_replacement_of_what_send_refuses_goes() {
    for code in ["NOT_VALID_ADDRESS", "FILE_NOTFOUND"] {
        let world = world_with(vec![act("a")]).await;
        world.settle().await;
        world.accept(vec![changed(Action::Replace, "a")], flow(0)).await;
        world.settle().await;
        assert_eq!(submission(&world, "a", 2).await.state, "IN_ATTESA");
        world.is_sound().await;
        let token = world.material(submission(&world, "a", 1).await.id).await.token;
        let refusal = json!({"refusalReasons": [{"errorCode": code}]});
        world.tell(vec![world.event_of(&token, "REQUEST_REFUSED", refusal)]).await;
        world.settle().await;
        assert_eq!(submission(&world, "a", 1).await.state, "RIFIUTATO", "{code}");
        assert_eq!(submission(&world, "a", 2).await.state, "INVIATO", "{code}");
        assert_eq!(world.count("SELECT count(*) FROM act"), 2, "{code}: the old one is not sent again");
        assert!(!world.lines().await.iter().any(|line| line.event == "ORDINE_RESPINTO"), "{code}");
        world.is_sound().await;
    }
}

/// The old act ends between the reading of the replacement and its start.
#[tokio::test]
async fn a_replacement_of_what_ended_meanwhile_goes() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    let (batch, _) = world.stage(vec![changed(Action::Replace, "a")], flow(0)).await;
    world.hear("a", "REQUEST_REFUSED", json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]})).await;
    world.settle().await;
    world.finish(batch, false).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 2).await.state, "INVIATO");
    world.is_sound().await;
}

#[tokio::test]
async fn a_replacement_that_is_replaced_hands_its_place_on() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    world.accept(vec![changed(Action::Replace, "a")], flow(0)).await;
    world.settle().await;
    let third = Act { subject: Some("Ancora".to_owned()), ..order(Action::Replace, act("a")) };
    world.accept(vec![third], flow(0)).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 2).await.state, "RITIRATO");
    assert_eq!(submission(&world, "a", 3).await.state, "IN_ATTESA", "the first one still has the notice");
    world.is_sound().await;
    let first = submission(&world, "a", 1).await;
    let token = world.material(first.id).await.token;
    world.tell(vec![world.event_of(&token, "REQUEST_ACCEPTED", json!({}))]).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 1).await.state, "IN_ANNULLAMENTO");
    cancelled(&world, &first).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 3).await.state, "INVIATO");
    assert_eq!(world.posts.borrow().len(), 2, "the second was never sent");
    world.is_sound().await;
}

/// Cancelled only when the new act may go: an operator who never releases it leaves the old one in force.
#[tokio::test]
async fn a_replacement_in_a_held_batch_cancels_nothing_before_its_release() {
    for one_by_one in [false, true] {
        let world = world_with(vec![act("a")]).await;
        world.accepted(&["a"]).await;
        let (batch, _) = world.stage(vec![changed(Action::Replace, "a")], flow(20)).await;
        world.finish(batch, true).await;
        world.settle().await;
        world.pass(SignedDuration::from_hours(1));
        world.settle().await;
        assert_eq!(submission(&world, "a", 1).await.state, "IN_CONSEGNA");
        assert_eq!(world.store.held_for(batch).await.unwrap(), Some(HoldReason::Operator));
        world.is_sound().await;
        let new = submission(&world, "a", 2).await;
        if one_by_one {
            world.store.order(new.id, Order::Release, "op", "", world.now()).await.unwrap();
        } else {
            assert_eq!(world.store.release_batch(batch, HoldReason::Operator, "op", "", world.now()).await.unwrap(), 1);
        }
        world.settle().await;
        let old = submission(&world, "a", 1).await;
        assert_eq!(old.state, "IN_ANNULLAMENTO", "one by one: {one_by_one}");
        cancelled(&world, &old).await;
        world.settle().await;
        assert_eq!(submission(&world, "a", 2).await.state, "INVIATO");
        world.is_sound().await;
    }
}

#[tokio::test]
async fn an_act_cancelled_at_send_by_someone_else_lets_its_replacement_go() {
    let world = world_with(vec![act("a")]).await;
    world.accepted(&["a"]).await;
    let id = world.act("a").await.id;
    world.hear("a", "NOTIFICATION_CANCELLATION_REQUEST", json!({})).await;
    assert_eq!(world.state("a").await, "IN_ANNULLAMENTO");
    assert!(world.store.jobs_of(id.0).await.unwrap().is_empty(), "nothing to ask: it is under way");
    world.accept(vec![changed(Action::Replace, "a")], flow(0)).await;
    world.settle().await;
    let old = submission(&world, "a", 1).await;
    cancelled(&world, &old).await;
    world.settle().await;
    assert_eq!(submission(&world, "a", 2).await.state, "INVIATO");
    world.is_sound().await;
}

/// The work of an act that is not done yet, by its names.
async fn kinds(world: &World, id: ActId) -> Vec<String> {
    world.store.jobs_of(id.0).await.unwrap().into_iter().map(|job| job.kind).collect()
}

const LATER: &str = "ANNULLA_APPENA_POSSIBILE";

#[tokio::test]
async fn an_operators_cancel_before_the_iun_is_remembered_and_carried_out_when_send_accepts() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    let id = world.act("a").await.id;
    for _ in 0..2 {
        assert_eq!(world.store.order(id, Order::Cancel, "op", "pagato", world.now()).await.unwrap(), Ordered::Remembered);
    }
    world.settle().await;
    assert_eq!(world.state("a").await, "INVIATO");
    let waiting = world.store.jobs_of(id.0).await.unwrap().into_iter().find(|job| job.kind == LATER).unwrap();
    assert!(waiting.state == "ATTESA" && waiting.due_at > world.now(), "{waiting:?}");
    let before = world.store.history(id.0).await.unwrap().pop().unwrap();
    assert_eq!((before.event.as_str(), before.data.unwrap().contains("pagato")), ("ORDINE_ANNULLA", true));
    // The net below: looked at again, and it waits on.
    world.pass(SignedDuration::from_hours(2));
    world.settle().await;
    assert_eq!(world.state("a").await, "INVIATO");
    world.is_sound().await;
    // Woken by the acceptance, not by the clock.
    world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
    world.settle_but(|effect| *effect == Effect::Cancel).await;
    assert_eq!((world.state("a").await.as_str(), kinds(&world, id).await.as_slice()), ("IN_ANNULLAMENTO", &["ANNULLA".to_owned()][..]));
    let orders = world.store.history(id.0).await.unwrap().into_iter().filter(|row| row.event == "ORDINE_ANNULLA").count();
    assert_eq!(orders, 3, "given twice, carried out once");
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!(words(&world.told("a").await), ["PRESO_IN_CARICO", "INVIATO", "INFORMAZIONE", "ACCETTATO", "IN_ANNULLAMENTO", "ANNULLATO"]);
    world.is_sound().await;
}

#[tokio::test]
async fn a_remembered_cancel_ends_with_an_act_that_send_refuses() {
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    let id = world.act("a").await.id;
    world.store.order(id, Order::Cancel, "op", "", world.now()).await.unwrap();
    world.hear("a", "REQUEST_REFUSED", json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]})).await;
    assert_eq!(kinds(&world, id).await, ["SCRIVI_SCARTO"]);
    world.settle().await;
    assert_eq!(world.state("a").await, "RIFIUTATO");
    assert!(matches!(world.store.order(id, Order::Cancel, "op", "", world.now()).await, Err(StoreError::Order(OrderRefused::Closed))));
    world.is_sound().await;
}

/// A refusal that messo mends by sending again is final for an act that somebody wants gone.
#[tokio::test]
async fn what_was_to_be_cancelled_is_not_sent_again_by_itself() {
    let again = |effect: &Effect| *effect == Effect::Resubmit;
    let gone = json!({"refusalReasons": [{"errorCode": "FILE_GONE"}]});
    for who in ["operator", "gestionale"] {
        let world = world_with(vec![act("a")]).await;
        world.settle().await;
        let id = world.act("a").await.id;
        match who {
            "operator" => drop(world.store.order(id, Order::Cancel, "op", "", world.now()).await.unwrap()),
            _ => drop(world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await),
        }
        world.hear("a", "REQUEST_REFUSED", gone.clone()).await;
        assert!(!kinds(&world, id).await.contains(&"REINVIA".to_owned()), "{who}");
        world.pass(SignedDuration::from_hours(2));
        world.settle().await;
        let act = world.act("a").await;
        assert_eq!((act.submission, act.state.as_str()), (1, "RIFIUTATO"), "{who}");
        world.is_sound().await;
    }
    // Ordered while it waits to be sent again: a pause, a restore, a channel that is stopped.
    for who in ["operator", "gestionale"] {
        let world = world_with(vec![act("a")]).await;
        world.settle().await;
        let id = world.act("a").await.id;
        world.hear("a", "REQUEST_REFUSED", gone.clone()).await;
        assert_eq!(kinds(&world, id).await, ["REINVIA"]);
        match who {
            "operator" => assert_eq!(world.store.order(id, Order::Cancel, "op", "", world.now()).await.unwrap(), Ordered::Done),
            _ => {
                world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await;
                world.settle_but(again).await;
            }
        }
        world.settle().await;
        let now = world.act("a").await;
        assert_eq!((now.submission, now.state.as_str()), (1, "RIFIUTATO"), "{who}");
        assert_eq!(world.lines().await.iter().filter(|line| line.event == "REINVIO_ANNULLATO").count(), 1, "{who}");
        assert!(matches!(world.store.order(id, Order::Cancel, "op", "", world.now()).await, Err(StoreError::Order(OrderRefused::Closed))));
        world.is_sound().await;
    }
    // Read while the act was refused and sent again: the order is for what stands now.
    let world = world_with(vec![act("a")]).await;
    world.settle().await;
    let (batch, verdicts) = world.stage(vec![order(Action::Cancel, act("a"))], flow(0)).await;
    assert_eq!(verdicts, [Verdict::New]);
    world.hear("a", "REQUEST_REFUSED", gone).await;
    world.settle().await;
    assert_eq!(world.act("a").await.submission, 2);
    world.finish(batch, false).await;
    world.settle().await;
    world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
    world.settle().await;
    assert_eq!(world.state("a").await, "IN_ANNULLAMENTO");
    world.is_sound().await;
}

#[tokio::test]
async fn a_change_keeps_the_flow_and_the_term_of_its_act() {
    let world = world_with(vec![act("a")]).await;
    let other = FlowDefinition { name: "scuola".to_owned(), ..flow(0) };
    assert_eq!(world.stage(vec![changed(Action::Modify, "a")], other).await.1, [Verdict::OtherFlow("cds".to_owned())]);
    let days = |days: i64| world.now() + SignedDuration::from_hours(24 * days);
    let of_row = (days(40).to_zoned(jiff::tz::TimeZone::UTC)).date();
    // Counted by the flow from each drop; stated by the row.
    for (term, stated, want) in [(30, None, days(30)), (60, None, days(30)), (20, None, days(20)), (40, Some(of_row), days(40))] {
        let batch = world.claim(false).await;
        world.begin(batch, flow(0)).await;
        let mut rows = rows(vec![Act { notify_by: stated, ..changed(Action::Modify, "a") }]);
        rows[0].notify_by = Some(days(term));
        world.store.stage(batch, rows, world.now()).await.unwrap();
        world.finish(batch, false).await;
        world.settle_but(|effect| effect.lane() == crate::flow::effect::Lane::NewSend).await;
        world.store.free_leases().await.unwrap();
        assert_eq!(world.act("a").await.notify_by, Some(want), "{term} {stated:?}");
    }
}

/// A POST left and was answered with a refusal that nobody knows: the act is parked, and SEND has nothing of it.
#[tokio::test]
async fn what_send_provably_never_had_is_withdrawn() {
    let world = world_with(vec![act("a")]).await;
    world.settle_but(|effect| *effect == Effect::Send).await;
    world.store.free_leases().await.unwrap();
    let id = world.act("a").await.id;
    let job = world.lease_one(id, "INVIA").await.job;
    let spend = world.spend(id, Some(job), "2026-11-22", 0).await.unwrap();
    assert_eq!(spend, crate::store::Spend::Reserved);

    // While the POST is under way nothing can be proved.
    assert_eq!(world.store.order(id, Order::Cancel, "op", "errato", world.now()).await.unwrap(), Ordered::Remembered);
    let waiting = world.lease_one(id, LATER).await.job;
    let outcome = world.store.cancel_later(id, waiting, "op", "errato", world.now()).await.unwrap();
    assert_eq!(outcome, Cancelling::Waits);
    world.store.fail_job(job, crate::flow::retry::Next::Park { code: "RIFIUTO_SCONOSCIUTO" }, "X", world.now()).await.unwrap();
    assert_eq!(world.act("a").await.park_code.as_deref(), Some("RIFIUTO_SCONOSCIUTO"));

    // From the question on nothing is sent any more, whoever holds a job.
    world.pass(SignedDuration::from_mins(1));
    let waiting = world.lease_one(id, LATER).await.job;
    let old = JobRef { fence: waiting.fence - 1, ..waiting };
    assert!(matches!(world.store.cancel_later(id, old, "op", "errato", world.now()).await, Err(StoreError::Stale)));
    assert!(kinds(&world, id).await.contains(&"INVIA".to_owned()), "who comes too late stops nothing");
    let outcome = world.store.cancel_later(id, waiting, "op", "errato", world.now()).await.unwrap();
    assert!(matches!(outcome, Cancelling::Ask { .. }), "{outcome:?}");
    assert_eq!((kinds(&world, id).await.as_slice(), world.act("a").await.park_code), (&[LATER.to_owned()][..], None));
    assert!(matches!(world.spend(id, Some(job), "2026-11-22", 0).await, Err(StoreError::Stale)));
    world.is_sound().await;

    world.store.postpone_job(waiting, world.now(), "").await.unwrap();
    world.settle().await;
    assert_eq!((world.state("a").await.as_str(), kinds(&world, id).await.len()), ("RITIRATO", 0));
    assert_eq!(words(&world.told("a").await), ["PRESO_IN_CARICO", "INFORMAZIONE", "SOSPESO", "ANNULLATO"]);
    assert_eq!(world.count("SELECT count(*) FROM live_key"), 0, "its notice and protocol are free");
    assert_eq!(world.count("SELECT spent FROM quota"), 0, "and so is its fee");
    world.is_sound().await;
}

/// The gestionale takes back an act whose POST got no clear answer, parked or tried again: no operator has to resume it first.
/// SEND is asked, and the gestionale is told at once that its order is kept, and then what became of it.
#[tokio::test]
async fn a_gestionale_cancels_what_nobody_knows_send_to_have() {
    let parked = crate::flow::retry::Next::Park { code: "RIFIUTO_SCONOSCIUTO" };
    let table = [
        ("parked", parked, false),
        ("parked, at SEND", parked, true),
        ("tried again", crate::flow::retry::Next::At(Timestamp::MAX), false),
    ];
    for (what, next, at_send) in table {
        let world = world_with(vec![act("a")]).await;
        world.settle_but(|effect| *effect == Effect::Send).await;
        world.store.free_leases().await.unwrap();
        let id = world.act("a").await.id;
        let job = world.lease_one(id, "INVIA").await.job;
        world.spend(id, Some(job), "2026-11-22", 0).await.unwrap();
        if at_send {
            let token = world.material(id).await.token;
            world.posts.borrow_mut().insert(token, 1);
        }
        world.store.fail_job(job, next, "X", world.now()).await.unwrap();
        let batch = world.accept(vec![order(Action::Cancel, act("a"))], flow(0)).await;
        world.settle().await;
        let events = || async { world.lines().await.into_iter().map(|line| line.event).collect::<Vec<_>>() };
        let mut want = vec!["PRESO_IN_CARICO"];
        want.extend((next == parked).then_some("SOSPESO"));
        want.push("ANNULLAMENTO_IN_ATTESA");
        if at_send {
            assert_eq!((world.state("a").await.as_str(), world.act("a").await.park_code), ("INVIATO", None), "{what}");
            world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
            world.settle().await;
            assert_eq!(world.state("a").await, "IN_ANNULLAMENTO", "{what}");
            want.extend(["INVIATO", "REQUEST_ACCEPTED", "ANNULLAMENTO_CHIESTO"]);
        } else {
            assert_eq!(world.state("a").await, "RITIRATO", "{what}");
            want.push("RITIRATO");
        }
        assert_eq!(events().await, want, "{what}");
        world.pass(SignedDuration::from_hours(1));
        world.settle().await;
        assert_eq!(world.count("SELECT count(*) FROM batch_order WHERE done = 0"), 0, "{what}");
        assert_eq!(
            (events().await, world.store.jobs_of(batch.0).await.unwrap().len()),
            (want.into_iter().map(str::to_owned).collect(), 0),
            "{what}"
        );
        world.is_sound().await;
    }
}

/// The same for a replacement: the new act goes as soon as SEND has said that the old one is not there, or is cancelled.
#[tokio::test]
async fn a_gestionale_replaces_what_nobody_knows_send_to_have() {
    for at_send in [false, true] {
        let world = world_with(vec![act("a")]).await;
        world.settle_but(|effect| *effect == Effect::Send).await;
        world.store.free_leases().await.unwrap();
        let id = world.act("a").await.id;
        let job = world.lease_one(id, "INVIA").await.job;
        world.spend(id, Some(job), "2026-11-22", 0).await.unwrap();
        if at_send {
            let token = world.material(id).await.token;
            world.posts.borrow_mut().insert(token, 1);
        }
        world.store.fail_job(job, crate::flow::retry::Next::Park { code: "RIFIUTO_SCONOSCIUTO" }, "X", world.now()).await.unwrap();
        world.accept(vec![changed(Action::Replace, "a")], flow(0)).await;
        world.settle().await;
        if at_send {
            assert_eq!(submission(&world, "a", 1).await.state, "INVIATO");
            assert_eq!(submission(&world, "a", 2).await.state, "IN_ATTESA", "its notice is still taken");
            let token = world.material(id).await.token;
            world.tell(vec![world.event_of(&token, "REQUEST_ACCEPTED", json!({"idempotenceToken": token}))]).await;
            world.settle().await;
            assert_eq!(submission(&world, "a", 1).await.state, "IN_ANNULLAMENTO");
            cancelled(&world, &submission(&world, "a", 1).await).await;
            world.settle().await;
        } else {
            assert_eq!(submission(&world, "a", 1).await.state, "RITIRATO");
        }
        world.pass(SignedDuration::from_hours(1));
        world.settle().await;
        assert_eq!(submission(&world, "a", 2).await.state, "INVIATO", "at SEND: {at_send}");
        assert_eq!(world.count("SELECT count(*) FROM batch_order WHERE done = 0"), 0, "at SEND: {at_send}");
        assert!(world.lines().await.iter().any(|line| line.event == "ANNULLAMENTO_IN_ATTESA"), "the gestionale is told at once");
        world.is_sound().await;
    }
}

/// The answer to the POST was lost, and SEND has the request: it is cancelled when it has an IUN, never forgotten.
#[tokio::test]
async fn what_send_had_after_all_is_cancelled_with_its_iun() {
    for told_meanwhile in [false, true] {
        let world = World::new();
        world.listen().await;
        world.lost.borrow_mut().insert("a".to_owned());
        world.accept(vec![act("a")], flow(0)).await;
        world.settle().await;
        let id = world.act("a").await.id;
        assert_eq!(world.state("a").await, "IN_INVIO");
        world.store.order(id, Order::Cancel, "op", "", world.now()).await.unwrap();
        world.store.free_leases().await.unwrap();
        if told_meanwhile {
            let job = world.lease_one(id, LATER).await.job;
            assert!(matches!(world.store.cancel_later(id, job, "op", "", world.now()).await.unwrap(), Cancelling::Ask { .. }));
            let token = world.material(id).await.token;
            world.tell(vec![world.event_of(&token, "REQUEST_ACCEPTED", json!({"idempotenceToken": token}))]).await;
            // The answer is of before: it withdraws nothing.
            world.store.record(id, Fact::NeverArrived, None, world.now()).await.unwrap();
            world.store.postpone_job(job, world.now(), "").await.unwrap();
        } else {
            let job = world.lease_one(id, LATER).await;
            world.work(job).await;
            world.settle().await;
            assert_eq!(world.state("a").await, "INVIATO");
            world.is_sound().await;
            world.hear("a", "REQUEST_ACCEPTED", json!({})).await;
        }
        world.settle_but(|effect| *effect == Effect::Cancel).await;
        assert_eq!((world.state("a").await.as_str(), kinds(&world, id).await.as_slice()), ("IN_ANNULLAMENTO", &["ANNULLA".to_owned()][..]));
        world.is_sound().await;
    }
}
