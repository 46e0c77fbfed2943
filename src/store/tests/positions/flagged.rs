//! Every code with which a position calls a person is an alert that operators read, about that position, told once.

use super::*;

/// A position of an act that SEND has, and the change of its amount that is due.
async fn changing(due_date: Option<Date>) -> (World, PositionId) {
    let (world, id) = open().await;
    world.reckon(&Reckoning { due_date, stated_due: due_date, ..sum(10_847, None) }).await;
    assert_eq!(world.say(id, PositionFact::Offered, None).await, "IN_MODIFICA");
    (world, id)
}

/// A position that can be paid, of an act that SEND has.
async fn open() -> (World, PositionId) {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    (world, id)
}

/// A position that its PT has still to speak of, of an act that SEND has.
async fn unverified() -> (World, PositionId) {
    let (world, id) = open().await;
    assert_eq!(world.say(id, PositionFact::Restored, None).await, "DA_VERIFICARE");
    (world, id)
}

fn undone(why: WhyUndone) -> PositionFact {
    PositionFact::ToldLater { undone: Some(Undone { why, code: "X".to_owned() }), reads: false }
}

/// Codes of the alerts about a position.
async fn alerts(world: &World, id: PositionId) -> Vec<String> {
    let all = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
    let about = id.to_string();
    all.into_iter().filter(|alert| alert.about == about).map(|alert| alert.code).collect()
}

#[tokio::test]
async fn every_flag_of_a_position_is_an_alert_told_once() {
    enum From {
        Unverified,
        Open,
        Changing(Option<Date>),
    }
    let seen = |state| PositionFact::Verified { held: Held { state, amount: None, ..held(10_000) } };
    let not = |code| PositionFact::NotVerified { code };
    let day = Some(date(2026, 12, 31));
    let table: Vec<(&str, From, PositionFact)> = vec![
        (code::BEING_PAID, From::Open, seen(HeldState::BeingPaid)),
        (code::CANCELLED, From::Open, seen(HeldState::Cancelled)),
        (code::EXPIRED, From::Changing(None), undone(WhyUndone::Expired)),
        (code::NOT_REOPENED, From::Changing(day), undone(WhyUndone::Expired)),
        (code::NOT_FOUND, From::Unverified, not(code::NOT_FOUND)),
        (code::OTHER, From::Unverified, not(code::OTHER)),
        ("ID_POSIZIONE_MANCANTE", From::Unverified, not("ID_POSIZIONE_MANCANTE")),
        ("POSIZIONE_NON_DESCRITTA", From::Unverified, not("POSIZIONE_NON_DESCRITTA")),
        ("VERIFICA_RESPINTA_DAL_PT", From::Unverified, not("VERIFICA_RESPINTA_DAL_PT")),
        ("PT_NON_CONFIGURATO", From::Open, PositionFact::GaveUp { code: "PT_NON_CONFIGURATO".to_owned() }),
        (code::NO_SUM, From::Open, PositionFact::NoSum { code: code::NO_SUM }),
        ("IMPORTO_NON_RIPARTIBILE", From::Changing(None), PositionFact::PushRefused { code: "IMPORTO_NON_RIPARTIBILE" }),
        (code::REFUSED, From::Changing(None), PositionFact::PushRefused { code: code::REFUSED }),
        (code::ACT_ERASED, From::Open, PositionFact::ActErased),
    ];
    for (want, from, fact) in table {
        let (world, id) = match from {
            From::Unverified => unverified().await,
            From::Open => open().await,
            From::Changing(due_date) => changing(due_date).await,
        };
        assert_eq!(alerts(&world, id).await, Vec::<String>::new(), "{want}: before");
        world.say(id, fact.clone(), None).await;
        assert_eq!(alerts(&world, id).await, [want], "{want}");
        world.say(id, fact, None).await;
        assert_eq!(alerts(&world, id).await, [want], "{want}: said again");
    }
}

#[tokio::test]
async fn an_amount_that_is_never_seen_changed_is_an_alert() {
    let (world, id) = changing(None).await;
    for _ in 0..100 {
        if world.position("a").await.state == "FERMA" {
            break;
        }
        world.say(id, PositionFact::Offered, None).await;
        world.say(id, PositionFact::ReadBack { held: held(10_000), told: true }, None).await;
    }
    assert_eq!(alerts(&world, id).await, [code::NOT_CHANGED]);
}

#[tokio::test]
async fn a_position_that_its_pt_cannot_cancel_is_an_alert() {
    let (world, id) = open().await;
    world.reckon(&sum(10_847, None)).await;
    world.pushed(Lane::NewSend, 10_847).await;
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    let last = Reckoning { last: true, cancels: Some(false), ..sum(10_000, None) };
    world.reckon(&last).await;
    world.pushed(Lane::FollowUp, 10_000).await;
    assert_eq!(alerts(&world, id).await, Vec::<String>::new());
    world.reckon(&last).await;
    assert_eq!((world.position("a").await.state.as_str(), alerts(&world, id).await), ("CHIUSA", vec![code::NOT_CANCELLED.to_owned()]));
}

/// SEND said no and not why: nobody but SEND can tell.
#[tokio::test]
async fn a_refusal_without_a_reason_is_an_alert_and_one_with_a_reason_is_not() {
    use crate::domain::send::{NO_REASON, RefusalReason};
    let table = [
        (Vec::new(), 1),
        (vec![RefusalReason::of(NO_REASON)], 1),
        (vec![RefusalReason::of("TAXID_NOT_VALID")], 0),
        (vec![RefusalReason::of(NO_REASON), RefusalReason::of("TAXID_NOT_VALID")], 0),
    ];
    for (reasons, want) in table {
        let world = World::new();
        world.started(&["a"]).await;
        let id = world.act("a").await.id;
        assert_eq!(world.state("a").await, "INVIATO");
        let refused = Fact::Refused { reasons: reasons.clone(), at: world.now(), cost: None };
        world.store.record(id, refused.clone(), None, world.now()).await.unwrap();
        world.store.record(id, refused, None, world.now()).await.unwrap();
        let told = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        assert_eq!(told.iter().filter(|alert| alert.code == NO_REASON).count(), want, "{reasons:?}");
        assert_eq!(world.state("a").await, "RIFIUTATO", "{reasons:?}");
    }
}
