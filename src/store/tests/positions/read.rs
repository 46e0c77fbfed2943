//! What the row keeps of a change: the last day that a PT holds, what it held before, what was made of its own amount in another life.

use super::*;
use crate::flow::definition::Payments;
use crate::flow::position::Stage as At;

const NEAR: Date = date(2026, 11, 26);
const FAR: Date = date(2027, 5, 22);

/// What is due when the PT's day comes near: the amount is right as it is.
fn keeps_open(amount: i64) -> Reckoning {
    Reckoning { open_until: Some(FAR), ..sum(amount, None) }
}

fn until(amount: i64, due_date: Option<Date>) -> Held {
    Held { due_date, ..held(amount) }
}

impl World {
    /// The position of `a`, accepted by SEND, at a PT that nobody can ask.
    async fn cannot_be_asked(&self) -> PositionId {
        let id = self.position("a").await.id;
        let (job, ..) = self.only(PT_CHANNEL, Lane::Afterwards).await;
        self.say(id, PositionFact::Unverifiable, Some(job)).await;
        self.accepted(&["a"]).await;
        id
    }

    /// The change that is under way.
    async fn change(&self, id: PositionId) -> Option<crate::flow::position::Pending> {
        let material = self.store.position_materials(vec![id]).await.unwrap().remove(0);
        if let PositionState::Changing { change } = material.state { Some(change) } else { None }
    }

    fn held_due(&self) -> String {
        self.text("SELECT coalesce(held_due, '') FROM position")
    }

    fn text(&self, sql: &'static str) -> String {
        let db = rusqlite::Connection::open(self.dir.path().join("messo.db")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

/// Killed before the call, or the answer lost: the PT is read with the right amount and the old day.
#[tokio::test]
async fn a_last_day_that_never_left_is_told_again() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.position("a").await.id;
    let (job, ..) = world.only(PT_CHANNEL, Lane::Afterwards).await;
    world.say(id, PositionFact::Verified { held: until(10_000, Some(NEAR)) }, Some(job)).await;
    world.accepted(&["a"]).await;
    world.reckon(&keeps_open(10_000)).await;
    let first = world.change(id).await.unwrap();
    assert_eq!((first.amount, first.due_date), (Cents(10_000), Some(FAR)));
    // Asked whether it is paid while nothing of it has left: the day is the PT's own.
    world.say(id, PositionFact::Verified { held: until(10_000, Some(NEAR)) }, None).await;
    assert_eq!(world.held_due(), NEAR.to_string());
    world.say(id, PositionFact::Offered, None).await;
    world.say(id, PositionFact::Verified { held: until(10_000, Some(NEAR)) }, None).await;
    assert_eq!(world.held_due(), NEAR.to_string());
    let unread = PositionFact::ReadBack { held: until(10_000, Some(NEAR)), told: false };
    assert_eq!(world.say(id, unread, None).await, "IN_MODIFICA");
    let again = world.change(id).await.unwrap();
    assert_eq!((again.due_date, &again.stage, again.key != first.key), (Some(FAR), &At::ToPush, true));
    assert_eq!((world.held_due(), events(&world.lines().await, "a")), (NEAR.to_string(), vec![]));
    world.say(id, PositionFact::Offered, None).await;
    assert_eq!(world.say(id, PositionFact::ReadBack { held: until(10_000, Some(FAR)), told: false }, None).await, "APERTA");
    assert_eq!((world.held_due(), events(&world.lines().await, "a")), (FAR.to_string(), vec!["IMPORTO_AGGIORNATO".to_owned()]));
}

/// Of a PT that nobody can ask: told once, it is not told again and comes near in its time; refused after all, it is as it was.
#[tokio::test]
async fn the_last_day_that_a_silent_pt_was_told_is_kept_until_it_says_otherwise() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.cannot_be_asked().await;
    let sum = |amount| Reckoning { stated_due: Some(NEAR), restates: true, ..keeps_open(amount) };
    world.reckon(&sum(10_847)).await;
    world.say(id, PositionFact::Offered, None).await;
    world.say(id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None).await;
    assert_eq!(world.say(id, PositionFact::Pushed { reads: false }, None).await, "APERTA");
    assert_eq!(world.held_due(), FAR.to_string());
    // Another amount, and the day with it.
    world.say(id, PositionFact::Moved, None).await;
    world.reckon(&sum(12_000)).await;
    assert_eq!(world.change(id).await.map(|change| (change.amount, change.due_date)), Some((Cents(12_000), Some(FAR))));
    world.say(id, PositionFact::Offered, None).await;
    world.say(id, PositionFact::TakenInCharge { ticket: "M2".to_owned() }, None).await;
    assert!(world.store.change_told(PT, "M2", None, false, world.now()).await.unwrap());
    // It comes near: told by itself, taken in charge, silent, refused.
    let later = Reckoning { day: date(2027, 5, 20), open_until: Some(date(2027, 11, 16)), ..sum(12_000) };
    world.say(id, PositionFact::Moved, None).await;
    world.reckon(&later).await;
    assert_eq!(world.change(id).await.and_then(|change| change.due_date), later.open_until);
    world.say(id, PositionFact::Offered, None).await;
    world.say(id, PositionFact::TakenInCharge { ticket: "M3".to_owned() }, None).await;
    world.say(id, PositionFact::Pushed { reads: false }, None).await;
    assert_eq!(world.held_due(), "2027-11-16");
    let refused = Some(Undone { why: WhyUndone::Refused, code: "184".to_owned() });
    assert!(world.store.change_told(PT, "M3", refused, false, world.now()).await.unwrap());
    assert_eq!(world.held_due(), FAR.to_string(), "as before it was told");
}

/// 178 "already paid" after a silence that was taken for a yes: what was paid is what it held before.
#[tokio::test]
async fn a_late_paid_is_of_the_sum_that_the_pt_still_had() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.cannot_be_asked().await;
    for (amount, ticket) in [(10_847, "M1"), (15_000, "M2")] {
        world.reckon(&sum(amount, None)).await;
        world.say(id, PositionFact::Offered, None).await;
        world.say(id, PositionFact::TakenInCharge { ticket: ticket.to_owned() }, None).await;
        world.say(id, PositionFact::Pushed { reads: false }, None).await;
        world.say(id, PositionFact::Moved, None).await;
    }
    let paid = Some(Undone { why: WhyUndone::Paid, code: "178".to_owned() });
    assert!(world.store.change_told(PT, "M2", paid, false, world.now()).await.unwrap());
    let line = world.lines().await.into_iter().find(|line| line.event == "PAGATO").unwrap();
    assert_eq!(line.position.unwrap().amount, Some(10_847));
}

#[tokio::test]
async fn only_a_change_that_leaves_makes_it_touched() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_000, None)).await;
    world.say(id, PositionFact::Offered, None).await;
    assert_eq!((world.position("a").await.state.as_str(), world.position("a").await.pushed_at), ("APERTA", None));
    world.say(id, PositionFact::Moved, None).await;
    world.reckon(&sum(10_847, None)).await;
    world.say(id, PositionFact::Pushed { reads: false }, None).await;
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.asked), ("IN_MODIFICA", Some(Cents(10_000))), "nothing of it has left");
    world.say(id, PositionFact::Offered, None).await;
    assert!(world.position("a").await.pushed_at.is_some());
}

/// A cancellation that its PT was silent about, and refuses or finds done after all.
#[tokio::test]
async fn a_cancellation_taken_for_done_is_heard_of_again() {
    for (why, code) in [(WhyUndone::Cancelled, None), (WhyUndone::Refused, Some(code::NOT_CANCELLED))] {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        let mut flow = flow(0);
        flow.payments.on_cancel = crate::flow::definition::OnCancel::Cancel;
        world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow).await;
        world.settle().await;
        let id = world.cannot_be_asked().await;
        world.reckon(&sum(10_000, None)).await;
        world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
        world.reckon(&Reckoning { last: true, cancels: Some(true), ..sum(10_000, None) }).await;
        world.say(id, PositionFact::Offered, None).await;
        world.say(id, PositionFact::TakenInCharge { ticket: "M1".to_owned() }, None).await;
        assert_eq!(world.say(id, PositionFact::Pushed { reads: false }, None).await, "CHIUSA");
        let undone = Some(Undone { why, code: "X".to_owned() });
        assert!(world.store.change_told(PT, "M1", undone, false, world.now()).await.unwrap());
        let view = world.position("a").await;
        assert_eq!((view.state.as_str(), view.park_code.as_deref()), (if code.is_some() { "FERMA" } else { "CHIUSA" }, code), "{why}");
    }
}

/// A PT that asks the price keeps what it was answered, and holds it still when the act is sent again.
#[tokio::test]
async fn the_cost_that_a_pt_was_answered_is_not_its_own_amount_in_another_life() {
    // What the PT holds at the second life; its own amount then.
    for (holds, base) in [(10_950, 10_000), (10_000, 10_000), (12_000, 12_000)] {
        let world = World::new();
        world.routes(CostChannel::Pull, true).await;
        world.started(&["a"]).await;
        let id = world.verified("a").await;
        world.accepted(&["a"]).await;
        let asks = Reckoning { whole_cost: Cents(950), may_push: false, ..sum(10_000, None) };
        world.reckon(&asks).await;
        world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
        assert_eq!(world.position("a").await.state, "CHIUSA");
        world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Prepare).await;
        // What was left alone there is free again when its lease ends.
        world.pass(SignedDuration::from_mins(31));
        let (job, ..) = world.only(PT_CHANNEL, Lane::Afterwards).await;
        world.say(id, PositionFact::Verified { held: held(holds) }, Some(job)).await;
        let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
        assert_eq!((material.base, material.asked), (Some(Cents(base)), Some(Cents(holds))), "{holds}");
        world.reckon(&Reckoning { may_push: false, ..sum(10_000, None) }).await;
        let its = world.act("a").await.id;
        let job = world.lease_one(its, "PREPARA").await.job;
        let around = crate::store::Around { printed: Some(Vec::new()), ..crate::store::Around::default() };
        let policy = Payments { verify: crate::flow::definition::PaymentCheck::Refuse, ..Payments::default() };
        world.store.prepare_act(its, job, policy, Some(Cents(10_000)), around, world.now()).await.unwrap();
        let want = if base == 10_000 { "IN_CARICAMENTO" } else { "RIFIUTATO" };
        assert_eq!(world.state("a").await, want, "{holds}");
        if want == "RIFIUTATO" {
            continue;
        }
        // Another content before it is sent: nothing moved in that life, and the PT holds what the first one made.
        let changed = Act { amount: Some(Cents(10_000)), vat: Some(22), ..act("a") };
        let (batch, verdicts) = world.stage(vec![order(Action::Modify, changed)], flow(0)).await;
        assert_eq!(verdicts, [Verdict::New]);
        world.finish(batch, false).await;
        world.settle_but(|effect| *effect == Effect::Prepare).await;
        world.pass(SignedDuration::from_mins(31));
        let (job, ..) = world.only(PT_CHANNEL, Lane::Afterwards).await;
        world.say(id, PositionFact::Verified { held: held(holds) }, Some(job)).await;
        let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
        assert_eq!((material.base, material.asked), (Some(Cents(10_000)), Some(Cents(holds))), "third life, {holds}");
    }
}

/// A PT that asks holds what it was answered when somebody last asked: any sum of the life before.
#[tokio::test]
async fn every_sum_of_a_life_is_known_in_the_next() {
    let world = World::new();
    world.routes(CostChannel::Pull, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    for amount in [7_000, 10_000, 15_000] {
        let asks = Reckoning { whole_cost: Cents(847), may_push: false, ..sum(amount, None) };
        world.say(id, PositionFact::Reckoned(Box::new(asks)), None).await;
    }
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!(world.position("a").await.state, "CHIUSA");
    world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Prepare).await;
    world.say(id, PositionFact::Verified { held: held(7_847) }, None).await;
    let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
    assert_eq!((material.base, material.asked), (Some(Cents(10_000)), Some(Cents(7_847))));
}

/// A PT that asks has the cost in what it was answered, and asks again only when somebody pays: it is told the sum without it.
#[tokio::test]
async fn a_price_is_told_without_the_cost_when_its_act_is_over() {
    for ends_debt in [false, true] {
        let world = World::new();
        world.routes(CostChannel::Pull, true).await;
        world.listen().await;
        let mut flow = flow(0);
        if ends_debt {
            flow.payments.on_cancel = crate::flow::definition::OnCancel::Cancel;
        }
        world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow).await;
        world.settle().await;
        let id = world.verified("a").await;
        world.accepted(&["a"]).await;
        let reckoned = async |sum: Reckoning, sheet: &str| {
            let (job, ..) = world.only("", Lane::Afterwards).await;
            let beside = Beside { sheet: Some(sheet.to_owned()), ..Beside::job(job) };
            world.store.observe_position(id, PositionFact::Reckoned(Box::new(sum)), beside, world.now()).await.unwrap();
        };
        let view = world.position("a").await;
        let known = || {
            let sheet = world.store.price_sheet(&view.creditor, &view.notice).unwrap().unwrap();
            (sheet.state, sheet.json, sheet.cancelled)
        };
        let asks = Reckoning { may_push: false, ..sum(10_000, None) };
        reckoned(Reckoning { whole_cost: Cents(950), ..asks.clone() }, "with").await;
        assert_eq!(known(), ("APERTA".to_owned(), Some("with".to_owned()), false));
        world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
        assert_eq!(known(), ("APERTA".to_owned(), None, ends_debt), "not with the cost any more");
        reckoned(Reckoning { last: true, ..asks }, "without").await;
        assert_eq!(known(), ("CHIUSA".to_owned(), Some("without".to_owned()), ends_debt));
        let told: Vec<Option<i64>> = world.lines().await.into_iter().filter_map(|line| line.position).map(|told| told.amount).collect();
        assert_eq!(told, [Some(10_950), Some(10_000)], "and the gestionale reads it");
    }
}

/// Enti number their notices each for itself: two may have one number, and each is answered its own.
#[tokio::test]
async fn a_notice_that_two_enti_have_is_found_for_each() {
    let world = World::new();
    world.routes(CostChannel::Pull, true).await;
    world.started(&["a", "b"]).await;
    let (view, other) = (world.position("a").await, world.position("b").await);
    let notice = view.notice.clone();
    world
        .store
        .write(move |db| {
            // As if the other ente had used the same number: it came second.
            let free = super::super::super::position_acts::free_number(db, &notice)?;
            let sql = "UPDATE position SET n = ?1, notice = ?2, creditor = '09876543210', sheet = 'its own' WHERE id = ?3";
            db.execute(sql, rusqlite::params![free, notice, other.id.0.as_bytes()])?;
            let (first, second): (i64, i64) =
                db.query_row("SELECT min(n), max(n) FROM position", [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            assert_eq!((first, second), (notice.parse().unwrap(), 1_000_000_000_000_000_000));
            assert_eq!(super::super::super::position_acts::free_number(db, &notice)?, second + 1);
            Ok(())
        })
        .await
        .unwrap();
    let sheet = |creditor: &str| world.store.price_sheet(creditor, &view.notice).unwrap().map(|sheet| sheet.json);
    assert_eq!((sheet(&view.creditor), sheet("09876543210")), (Some(None), Some(Some("its own".to_owned()))));
    assert_eq!(sheet("11111111111"), None);
    assert_eq!(world.store.price_sheet(&view.creditor, "non-numerico").unwrap(), None);
}
