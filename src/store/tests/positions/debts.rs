//! One debt, several notices: whichever is paid, and whenever that is learnt.

use super::*;
use crate::domain::act::PositionData;

const CODES: [&str; 2] = ["302000000000000184", "302000000000000285"];

fn joint() -> Act {
    let mut joint = Act { amount: Some(Cents(10_000)), ..act("a") };
    joint.recipients = vec![recipient("RSSMRA80A01H501U", None), recipient("VRDLGU85M41F205X", None)];
    for (recipient_of, code) in joint.recipients.iter_mut().zip(CODES) {
        recipient_of.payments = recipient("", Some(code.to_owned())).payments;
    }
    joint.position = Some(PositionData::default());
    joint
}

impl World {
    async fn of(&self, notice: &str) -> PositionView {
        self.store.position_of_notice(ENTE, notice).await.unwrap().unwrap()
    }

    async fn owed_jointly() -> World {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        world
    }
}

fn verified(state: HeldState, amount: i64) -> PositionFact {
    PositionFact::Verified { held: Held { amount: Some(Cents(amount)), ..Held::of(state) } }
}

/// What is learnt, in which order: of the first notice its payment (with its amount) or what its PT says, of the second what its PT says.
enum Learnt {
    Paid(i64),
    First(HeldState, i64),
    Second(HeldState, i64),
}

#[tokio::test]
async fn a_payment_that_is_learnt_before_the_pts_have_spoken_stops_the_other_notice() {
    use HeldState as H;
    use Learnt as L;
    let table: [(&str, &[L], &str); 9] = [
        ("the payment, then both", &[L::Paid(10_000), L::First(H::Paid, 10_000), L::Second(H::Payable, 10_000)], "FERMA"),
        ("the payment, and the other alone", &[L::Paid(10_000), L::Second(H::Payable, 10_000)], "FERMA"),
        ("of another sum, then both", &[L::Paid(9_000), L::First(H::Paid, 10_000), L::Second(H::Payable, 10_000)], "FERMA"),
        (
            "the other first, then a payment of another sum",
            &[L::Second(H::Payable, 10_000), L::Paid(9_000), L::First(H::Paid, 10_000)],
            "FERMA",
        ),
        ("expired meanwhile", &[L::Paid(10_000), L::Second(H::Expired, 10_000)], "FERMA"),
        (
            "somebody is paying the other: later",
            &[L::Paid(10_000), L::Second(H::BeingPaid, 10_000), L::Second(H::Payable, 10_000)],
            "FERMA",
        ),
        ("a half each", &[L::Paid(5_000), L::First(H::Paid, 5_000), L::Second(H::Payable, 5_000)], "APERTA"),
        ("the other is a part", &[L::Paid(10_000), L::First(H::Paid, 10_000), L::Second(H::Payable, 5_000)], "APERTA"),
        ("both were paid", &[L::Paid(10_000), L::Second(H::Paid, 10_000)], "PAGATA"),
    ];
    for (what, learnt, want) in table {
        let world = World::owed_jointly().await;
        world.accept(vec![joint()], flow(0)).await;
        world.settle().await;
        let ids = [world.of(CODES[0]).await.id, world.of(CODES[1]).await.id];
        for one in learnt {
            match one {
                L::Paid(amount) => drop(world.store.take_payment(payment(CODES[0], *amount, Some("IUR-1")), world.now()).await.unwrap()),
                L::First(state, amount) => drop(world.say(ids[0], verified(*state, *amount), None).await),
                L::Second(state, amount) => drop(world.say(ids[1], verified(*state, *amount), None).await),
            }
        }
        let second = world.of(CODES[1]).await;
        let parked = (want == "FERMA").then_some(code::PAID_ELSEWHERE);
        assert_eq!((second.state.as_str(), second.park_code.as_deref()), (want, parked), "{what}: {second:?}");
        assert_eq!(world.of(CODES[0]).await.state, "PAGATA", "{what}");
    }
}

/// Paid before its act comes; then the act gets other content, which names the notices again.
#[tokio::test]
async fn an_act_that_comes_after_the_payment_finds_its_other_notice_paid_and_a_person_has_the_last_word() {
    let world = World::owed_jointly().await;
    world.store.take_payment(payment(CODES[0], 10_000, Some("IUR-1")), world.now()).await.unwrap();
    world.accept(vec![joint()], flow(0)).await;
    world.settle().await;
    assert_eq!(world.of(CODES[0]).await.state, "PAGATA");
    let second = world.of(CODES[1]).await.id;
    let payable = || verified(HeldState::Payable, 10_000);
    assert_eq!(world.say(second, payable(), None).await, "FERMA");
    assert_eq!(world.say(second, PositionFact::Left { last: true }, None).await, "CHIUSA");
    assert_eq!(world.say(second, PositionFact::Joined { managed: true }, None).await, "DA_VERIFICARE");
    assert_eq!(world.say(second, payable(), None).await, "FERMA", "another life, the same debt");
    assert!(world.store.resume_position(second, "ufficio", "dovuto a parte", world.now()).await.unwrap());
    for _ in 0..2 {
        assert_eq!(world.say(second, payable(), None).await, "APERTA", "a person said so");
    }
    assert_eq!(world.say(second, PositionFact::Left { last: true }, None).await, "CHIUSA");
    world.say(second, PositionFact::Joined { managed: true }, None).await;
    assert_eq!(world.say(second, payable(), None).await, "FERMA", "that was of the life before");
}

#[tokio::test]
async fn what_was_paid_with_another_notice_keeps_no_data_and_ends_when_its_pt_has_cancelled_it() {
    for cancelled in [false, true] {
        let world = World::owed_jointly().await;
        world.accept(vec![joint()], flow(0)).await;
        world.settle().await;
        let ids = [world.of(CODES[0]).await.id, world.of(CODES[1]).await.id];
        for id in ids {
            world.say(id, PositionFact::Verified { held: held(10_000) }, None).await;
        }
        world.accepted(&["a"]).await;
        for index in 0..2 {
            world.hear("a", "NOTIFICATION_VIEWED", json!({ "recIndex": index })).await;
        }
        world.settle().await;
        world.reckon(&Reckoning { may_push: false, ..sum(10_000, Some(date(2027, 3, 1))) }).await;
        let act = world.act("a").await.id;
        let after = world.now() + SignedDuration::from_hours(24 * 400);
        assert_eq!(world.store.acts_to_erase(ENTE, after, 10).await.unwrap(), [], "followed");
        world.store.take_payment(payment(CODES[0], 10_000, Some("IUR-1")), world.now()).await.unwrap();
        assert_eq!(world.of(CODES[1]).await.park_code.as_deref(), Some(code::PAID_ELSEWHERE));
        let polls = "SELECT count(*) FROM job WHERE subject_kind = 'posizione' AND kind = 'CHIEDI_PAGAMENTO'";
        assert_eq!(world.count(polls), 1, "its PT is asked whether the office has cancelled it");
        assert_eq!(world.store.acts_to_erase(ENTE, after, 10).await.unwrap(), [act], "the debt is paid");
        if cancelled {
            assert_eq!(world.say(ids[1], verified(HeldState::Cancelled, 10_000), None).await, "CHIUSA");
            assert!(events(&world.lines().await, "a").contains(&"POSIZIONE_ANNULLATA".to_owned()));
            assert_eq!(world.count(polls), 0);
        }
        assert_eq!(world.store.begin_erasing(vec![act], Cause::Request, world.now()).await.unwrap(), 1);
        world.store.end_erasing(vec![act], world.now()).await.unwrap();
        assert_eq!(world.of(CODES[1]).await.state, "CHIUSA", "{cancelled}");
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 50).await.unwrap();
        assert!(alerts.iter().all(|alert| alert.code != code::ACT_ERASED), "nobody is told that it is followed no more: {alerts:?}");
    }
}

/// What a PT asks of one that it called expired makes messo read it again: once at a time, and not what was read just now.
#[tokio::test]
async fn a_position_that_had_expired_is_read_again_when_its_pt_asks() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["b"]).await;
    let id = world.verified("b").await;
    let notice = world.position("b").await.notice;
    let lately = SignedDuration::from_secs(30);
    let asks = async || {
        world.store.read_expired_again(ENTE, &notice, lately, world.now()).await.unwrap();
        world.due(PT_CHANNEL, Lane::Afterwards).await.into_iter().filter(|(_, _, effect)| *effect == PositionEffect::PollPayment).count()
    };
    assert_eq!(asks().await, 0, "it can be paid");
    assert_eq!(world.say(id, verified(HeldState::Expired, 10_000), None).await, "FERMA");
    assert_eq!(asks().await, 0, "read just now");
    world.pass(SignedDuration::from_mins(5));
    assert_eq!(asks().await, 1);
    assert_eq!(asks().await, 0, "under way");
    assert_eq!(world.say(id, verified(HeldState::Payable, 10_000), None).await, "APERTA", "the office had moved its date");
}

/// Two enti with one PT, which numbers the positions of each apart.
#[tokio::test]
async fn positions_of_one_id_are_all_found() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["b", "c"]).await;
    for (job, id, _) in world.due(PT_CHANNEL, Lane::Afterwards).await {
        world.say(id, PositionFact::Verified { held: held(10_000) }, Some(job)).await;
    }
    let mut found = world.store.notices_of_pt_id(PT, "IUPD-1").await.unwrap();
    let mut want = Vec::new();
    for reference in ["b", "c"] {
        want.push((ENTE.to_owned(), world.position(reference).await.notice, None));
    }
    found.sort_unstable();
    want.sort_unstable();
    assert_eq!(found, want);
    assert_eq!(world.store.notices_of_pt_id("altro", "IUPD-1").await.unwrap(), []);
}

#[tokio::test]
async fn a_debt_that_is_paid_again_with_a_notice_that_was_over_by_then_is_told() {
    for closed in [true, false] {
        let world = World::owed_jointly().await;
        world.accept(vec![joint()], flow(0)).await;
        world.settle().await;
        for code in CODES {
            world.say(world.of(code).await.id, verified(HeldState::Payable, 10_000), None).await;
        }
        let [first, second] = CODES;
        world.store.take_payment(payment(first, 10_000, Some("IUR-1")), world.now()).await.unwrap();
        assert_eq!(world.of(second).await.state, "FERMA");
        if closed {
            world.say(world.of(second).await.id, verified(HeldState::Cancelled, 10_000), None).await;
            assert_eq!(world.of(second).await.state, "CHIUSA", "its PT cancelled it");
        }
        world.store.take_payment(payment(second, 10_000, Some("IUR-2")), world.now()).await.unwrap();
        assert_eq!(world.of(second).await.state, "PAGATA");
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
        let twice = alerts.iter().filter(|alert| alert.code == code::PAID_TWICE).count();
        assert_eq!(twice, 1, "closed: {closed}; {alerts:?}");
    }
}
