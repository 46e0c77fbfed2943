//! The money guard, operators' holds, and what comes out of them.

use super::*;
use crate::flow::event::Order;
use crate::flow::state::HoldReason;

fn many(count: usize) -> Vec<Act> {
    (0..count).map(|number| act(&format!("n{number:05}"))).collect()
}

fn pairs(pairs: &[(&str, u64)]) -> Vec<(String, u64)> {
    pairs.iter().map(|(state, count)| ((*state).to_owned(), *count)).collect()
}

/// SEND answers every request that waits for it: refuses `refuse` of them, accepts the others.
async fn answer(world: &World, mut refuse: usize) {
    let mut events = Vec::new();
    for number in 0..world.count("SELECT count(*) FROM act") {
        let reference = format!("n{number:05}");
        let Some(act) = world.store.find_acts(&reference).await.unwrap().into_iter().next() else { continue };
        if act.state != "INVIATO" {
            continue;
        }
        if refuse > 0 {
            refuse -= 1;
            let reasons = json!({"refusalReasons": [{"errorCode": "NOT_VALID_ADDRESS"}]});
            events.push(world.event(&reference, "REQUEST_REFUSED", reasons).await);
        } else {
            events.push(world.event(&reference, "REQUEST_ACCEPTED", json!({})).await);
        }
    }
    world.tell(events).await;
}

#[tokio::test]
async fn twenty_go_first_and_the_rest_when_send_has_taken_them() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(many(30), flow(20)).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 20), ("IN_ATTESA", 10)]));
    assert_eq!(world.store.held_for(batch).await.unwrap(), Some(HoldReason::Guard));
    world.is_sound().await;
    answer(&world, 2).await; // ten per cent is not over ten per cent
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 10), ("IN_CONSEGNA", 18), ("RIFIUTATO", 2)]));
    assert_eq!(world.store.held_for(batch).await.unwrap(), None);
    world.is_sound().await;
}

#[tokio::test]
async fn a_batch_no_larger_than_the_guard_goes_whole() {
    let world = World::new();
    let batch = world.accept(many(20), flow(20)).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 20)]));
    world.is_sound().await;
}

#[tokio::test]
async fn too_many_refusals_park_the_rest_until_an_operator_lets_it_go() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(many(55), flow(20)).await;
    world.settle().await;
    answer(&world, 3).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("IN_CONSEGNA", 17), ("RIFIUTATO", 3), ("SOSPESO", 35)]));
    let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
    let stops: Vec<&str> = alerts.iter().filter(|alert| alert.code == "TROPPI_RIFIUTI").map(|alert| alert.about.as_str()).collect();
    assert_eq!(stops, ["3/20"], "told once");
    world.is_sound().await;

    // One by hand, then all.
    let one = world.act("n00050").await;
    assert_eq!(world.store.retry(Some(one.id), None, "op", "prova", world.now()).await.unwrap(), 1);
    let one = world.act("n00050").await;
    assert_eq!((one.state.as_str(), one.park_code), ("IN_CARICAMENTO", None));
    let mut released = 0;
    loop {
        match world.store.release_batch(batch, HoldReason::Guard, "op", "corretti", world.now()).await.unwrap() {
            0 => break,
            count => released += count,
        }
    }
    assert_eq!(released, 34);
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 35), ("IN_CONSEGNA", 17), ("RIFIUTATO", 3)]));
    world.is_sound().await;
}

#[tokio::test]
async fn retry_by_code_lets_every_stopped_act_go() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(many(50), flow(20)).await;
    world.settle().await;
    answer(&world, 20).await;
    world.settle().await;
    assert_eq!(world.store.retry(None, Some("TROPPI_RIFIUTI"), "op", "", world.now()).await.unwrap(), 30);
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 30), ("RIFIUTATO", 20)]));
    world.is_sound().await;
}

/// The first acts may have answered before a large batch is started whole: what starts later must not wait for them.
#[tokio::test]
async fn answers_that_come_before_the_batch_is_started_whole_hold_nothing_back() {
    for (refused, want) in [(0, pairs(&[("INVIATO", 25), ("IN_CONSEGNA", 20)])), (20, pairs(&[("RIFIUTATO", 20), ("SOSPESO", 25)]))] {
        let world = World::new();
        world.listen().await;
        let batch = world.accept(many(45), flow(20)).await;
        let mut start = None;
        for leased in world.lease(10).await {
            match leased.subject {
                Subject::Lotto { work: BatchWork::Start, .. } => start = Some(leased.job),
                _ => world.work(leased).await,
            }
        }
        for _ in 0..3 {
            assert!(world.store.start_acts(batch, start.unwrap(), world.now()).await.unwrap(), "more is left");
        }
        world.settle().await;
        answer(&world, refused).await;
        world.settle().await;
        assert_eq!(world.count("SELECT count(*) FROM act WHERE staged = 1"), 15, "the rest is not started");
        while world.store.start_acts(batch, start.unwrap(), world.now()).await.unwrap() {}
        world.settle().await;
        assert_eq!(world.states(batch).await, want, "{refused} refused");
        world.is_sound().await;
    }
}

#[tokio::test]
async fn a_first_act_that_is_withdrawn_has_answered_too() {
    let world = World::new();
    world.listen().await;
    let batch = world.accept(many(3), flow(2)).await;
    world.settle_but(|effect| matches!(effect, Effect::Upload)).await;
    let first = world.act("n00000").await.id;
    world.store.order(first, Order::Cancel, "op", "", world.now()).await.unwrap();
    world.store.free_leases().await.unwrap();
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 1), ("IN_ATTESA", 1), ("RITIRATO", 1)]));
    answer(&world, 0).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 1), ("IN_CONSEGNA", 1), ("RITIRATO", 1)]));
    world.is_sound().await;
}

#[tokio::test]
async fn a_held_batch_waits_for_its_operator_and_then_for_its_first_acts() {
    let world = World::new();
    world.listen().await;
    let (batch, _) = world.stage(many(45), flow(20)).await;
    world.finish(batch, true).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("IN_ATTESA", 45)]));
    assert_eq!(world.store.held_for(batch).await.unwrap(), Some(HoldReason::Operator));
    assert!(world.posts.borrow().is_empty());
    world.is_sound().await;
    for want in [10, 10, 10, 10, 5, 0] {
        let released = world.store.release_batch(batch, HoldReason::Operator, "op", "", world.now()).await.unwrap();
        assert_eq!(released, want);
        world.settle().await;
    }
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 20), ("IN_ATTESA", 25)]));
    assert_eq!(world.store.held_for(batch).await.unwrap(), Some(HoldReason::Guard));
    answer(&world, 0).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 25), ("IN_CONSEGNA", 20)]));
    world.is_sound().await;
}

#[tokio::test]
async fn one_held_act_can_be_let_go_alone() {
    let world = World::new();
    let (batch, _) = world.stage(many(2), flow(20)).await;
    world.finish(batch, true).await;
    world.settle().await;
    let act = world.act("n00001").await.id;
    world.store.order(act, Order::Release, "op", "urgente", world.now()).await.unwrap();
    assert!(matches!(world.store.order(act, Order::Release, "op", "", world.now()).await, Err(StoreError::Order(_))));
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 1), ("IN_ATTESA", 1)]));
    let history = world.store.history(act.0).await.unwrap();
    assert!(history.iter().any(|row| row.data.as_deref().is_some_and(|data| data.contains("urgente"))), "{history:?}");
    world.is_sound().await;
}

/// Replacements wait for a cancellation each; once it is there they are subject to the guard like any act.
#[tokio::test]
async fn replacements_pass_the_guard_of_their_batch() {
    let world = World::new();
    world.listen().await;
    world.accept(many(4), flow(0)).await;
    world.settle().await;
    answer(&world, 0).await;
    let new = |number: usize| Act { subject: Some("Rettifica".to_owned()), ..order(Action::Replace, act(&format!("n{number:05}"))) };
    let batch = world.accept((0..4).map(new).collect(), flow(2)).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("IN_ATTESA", 4)]));
    world.is_sound().await;
    for number in 0..4 {
        let old = world.store.find_acts(&format!("n{number:05}")).await.unwrap().into_iter().find(|act| act.submission == 1).unwrap();
        assert_eq!(old.state, "IN_ANNULLAMENTO");
        let token = world.material(old.id).await.token;
        world.tell(vec![world.event_of(&token, "NOTIFICATION_CANCELLED", json!({}))]).await;
    }
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 2), ("IN_ATTESA", 2)]));
    world.is_sound().await;
    answer(&world, 0).await;
    world.settle().await;
    assert_eq!(world.states(batch).await, pairs(&[("INVIATO", 2), ("IN_CONSEGNA", 2)]));
    world.is_sound().await;
}
