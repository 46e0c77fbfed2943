//! Debt positions in the store: made and left by acts, moved by facts, their jobs and their timers.

use jiff::civil::{Date, date};

use super::*;
use crate::domain::act::PagoPaIntMode;
use crate::domain::ids::PositionId;
use crate::domain::money::Cents;
use crate::domain::position::{CostChannel, Held, HeldState, PaymentEvent, PaymentSeen, Undone, WhyUndone};
use crate::flow::effect::Lane;
use crate::flow::event::OrderRefused;
use crate::flow::position::{PositionEffect, PositionFact, PositionState, Reckoning, code};
use crate::flow::retry::Next;

mod debts;
mod flagged;
mod model;
mod read;
mod told;

const PT: &str = "regione";
const PT_CHANNEL: &str = "pt/regione";

impl World {
    /// Every notice of the ente is at one PT.
    async fn routes(&self, costs: CostChannel, managed: bool) {
        let route = Route { creditor: ENTE.to_owned(), aux: Some(3), code: None, pt: PT.to_owned(), costs, managed };
        self.store.set_payment_routes(vec![route]).await.unwrap();
    }

    /// An act of 100 EUR, started; nothing asked yet.
    async fn started(&self, references: &[&str]) {
        self.listen().await;
        let acts = references.iter().map(|reference| Act { amount: Some(Cents(10_000)), ..act(reference) }).collect();
        self.accept(acts, flow(0)).await;
        self.settle().await;
    }

    async fn position(&self, reference: &str) -> PositionView {
        let act = self.act(reference).await.id;
        let mut all = self.store.positions_of_act(act).await.unwrap();
        assert_eq!(all.len(), 1, "positions of {reference}");
        all.remove(0)
    }

    /// Jobs of positions that are due on a channel and lane.
    async fn due(&self, channel: &str, lane: Lane) -> Vec<(JobRef, PositionId, PositionEffect)> {
        let wanted = vec![(channel.to_owned(), lane as u8, 100)];
        let leased = self.store.lease("prova", wanted, self.now() + SignedDuration::from_mins(30), self.now()).await.unwrap();
        let of = |leased: Leased| match leased.subject {
            Subject::Posizione { position, effect } => Some((leased.job, position, effect)),
            _ => None,
        };
        leased.into_iter().filter_map(of).collect()
    }

    /// The one job of positions that is due there.
    async fn only(&self, channel: &str, lane: Lane) -> (JobRef, PositionId, PositionEffect) {
        let mut due = self.due(channel, lane).await;
        assert_eq!(due.len(), 1, "{channel} {lane:?}: {due:?}");
        due.remove(0)
    }

    async fn say(&self, id: PositionId, fact: PositionFact, job: Option<JobRef>) -> String {
        let beside = Beside { job, ..Beside::default() };
        self.store.observe_position(id, fact, beside, self.now()).await.unwrap().name().to_owned()
    }

    /// The PT answers the first question.
    async fn verified(&self, reference: &str) -> PositionId {
        let id = self.position(reference).await.id;
        for (job, position, effect) in self.due(PT_CHANNEL, Lane::Afterwards).await {
            assert_eq!((position, &effect), (id, &PositionEffect::Verify));
            self.say(id, PositionFact::Verified { held: held(10_000) }, Some(job)).await;
        }
        id
    }

    /// Reckons what is due and says the same sum of each. Answers how many.
    async fn reckon(&self, sum: &Reckoning) -> usize {
        let due = self.due("", Lane::Afterwards).await;
        let count = due.len();
        for (job, id, effect) in due {
            assert_eq!(effect, PositionEffect::Reckon);
            self.say(id, PositionFact::Reckoned(Box::new(sum.clone())), Some(job)).await;
        }
        count
    }

    /// Makes the pending change and reads it back.
    async fn pushed(&self, lane: Lane, amount: i64) {
        let (job, id, effect) = self.only(PT_CHANNEL, lane).await;
        assert!(matches!(effect, PositionEffect::Push { .. }), "{effect:?}");
        let beside = Beside { held: Some(job), ..Beside::default() };
        self.store.observe_position(id, PositionFact::Offered, beside, self.now()).await.unwrap();
        self.say(id, PositionFact::ReadBack { held: held(amount), told: true }, Some(job)).await;
    }
}

fn held(amount: i64) -> Held {
    Held { amount: Some(Cents(amount)), position_id: Some("IUPD-1".to_owned()), ..Held::of(HeldState::Payable) }
}

fn sum(amount: i64, next: Option<Date>) -> Reckoning {
    Reckoning {
        day: date(2026, 11, 22),
        amount: Cents(amount),
        cost: Cents(0),
        whole_cost: Cents(0),
        due_date: None,
        open_until: None,
        stated_due: None,
        restates: false,
        next,
        stated: Some(Cents(10_000)),
        may_push: true,
        last: false,
        cancels: None,
    }
}

fn payment(notice: &str, amount: i64, receipt: Option<&str>) -> PaymentEvent {
    let paid_at = "2026-11-23T10:00:00Z".parse().unwrap();
    PaymentEvent {
        pt: PT.to_owned(),
        creditor: ENTE.to_owned(),
        notice: notice.to_owned(),
        payment: PaymentSeen { paid_at, amount: Cents(amount), receipt: receipt.map(str::to_owned) },
        whole: true,
        polled: false,
    }
}

fn events(lines: &[OutcomeLine], reference: &str) -> Vec<String> {
    lines.iter().filter(|line| line.reference == reference && line.position.is_some()).map(|line| line.event.clone()).collect()
}

#[tokio::test]
async fn an_amount_goes_from_the_act_to_the_pt_and_back_into_the_esito() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    assert_eq!(world.position("a").await.state, "DA_VERIFICARE");
    world.verified("a").await;
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.asked, view.costs), ("APERTA", Some(Cents(10_000)), CostChannel::Push));
    assert_eq!(world.reckon(&sum(10_000, None)).await, 1, "reckoned once it is known");
    assert!(world.due(PT_CHANNEL, Lane::NewSend).await.is_empty(), "the PT holds it already");
    // Acceptance moves the amount.
    world.accepted(&["a"]).await;
    assert_eq!(world.reckon(&sum(10_847, None)).await, 1);
    assert_eq!(world.position("a").await.state, "IN_MODIFICA");
    world.pushed(Lane::NewSend, 10_847).await;
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.asked, view.wanted), ("APERTA", Some(Cents(10_847)), Some(Cents(10_847))));
    let line = world.lines().await.into_iter().find(|line| line.event == "IMPORTO_AGGIORNATO").unwrap();
    let told = line.position.unwrap();
    assert_eq!((line.recipient, told.amount, told.pt.as_str()), (Some(0), Some(10_847), PT));
    assert_eq!(world.reckon(&sum(10_847, None)).await, 0, "nothing is left to do");
    world.is_sound().await;
}

#[tokio::test]
async fn an_act_that_no_route_fits_costs_nothing() {
    let world = World::new();
    world.started(&["a"]).await;
    assert_eq!(world.count("SELECT count(*) FROM position") + world.count("SELECT sum(positions) FROM act"), 0);
    // A route of another ente.
    let route =
        Route { creditor: "99999999999".to_owned(), aux: None, code: None, pt: PT.to_owned(), costs: CostChannel::Push, managed: true };
    world.store.set_payment_routes(vec![route]).await.unwrap();
    world.accept(vec![act("b")], flow(0)).await;
    world.accepted(&["b"]).await;
    assert_eq!(world.count("SELECT count(*) FROM position") + world.count("SELECT sum(positions) FROM act"), 0);
    assert_eq!(world.count("SELECT count(*) FROM job WHERE subject_kind = 'posizione'"), 0);
}

#[tokio::test]
async fn an_unmanaged_pt_is_told_in_the_esito_and_never_called() {
    let world = World::new();
    world.routes(CostChannel::None, false).await;
    world.started(&["a"]).await;
    world.accepted(&["a"]).await;
    assert_eq!(world.position("a").await.state, "NON_GESTITA");
    assert_eq!(events(&world.lines().await, "a"), ["POSIZIONE_NON_GESTITA"]);
    assert_eq!(world.count("SELECT count(*) FROM job WHERE subject_kind = 'posizione'"), 0);
}

#[tokio::test]
async fn what_was_pushed_goes_away_with_a_cancellation_and_a_new_submission_joins_the_same_position() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    world.verified("a").await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_847, None)).await;
    world.pushed(Lane::NewSend, 10_847).await;
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!(world.state("a").await, "ANNULLATO");
    assert_eq!(world.reckon(&Reckoning { last: true, ..sum(10_000, None) }).await, 1);
    world.pushed(Lane::FollowUp, 10_000).await;
    assert_eq!(world.reckon(&Reckoning { last: true, ..sum(10_000, None) }).await, 1, "the last word");
    let before = world.position("a").await;
    assert_eq!((before.state.as_str(), before.asked), ("CHIUSA", Some(Cents(10_000))));
    world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow(0)).await;
    world.settle().await;
    let after = world.position("a").await;
    assert_eq!((after.id, after.state.as_str()), (before.id, "DA_VERIFICARE"));
    assert_ne!(after.act, before.act, "it follows the new submission");
    assert_eq!((after.asked, after.pushed_at, after.reckoned_on, after.wanted), (None, None, None, None), "another life");
    assert_eq!(world.count("SELECT count(*) FROM position"), 1);
}

/// What was pushed for the act before is still to be taken back when the next one comes, and SEND will write the cost for that one.
#[tokio::test]
async fn the_cost_takes_the_way_of_the_act_that_is_left() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    world.verified("a").await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_847, None)).await;
    world.pushed(Lane::NewSend, 10_847).await;
    world.hear("a", "NOTIFICATION_CANCELLED", json!({})).await;
    assert_eq!((world.position("a").await.state.as_str(), world.position("a").await.costs), ("APERTA", CostChannel::Push));
    let next = Act { amount: Some(Cents(10_000)), pago_pa_int_mode: Some(PagoPaIntMode::Async), ..act("a") };
    world.accept(vec![next], flow(0)).await;
    world.settle().await;
    assert_eq!(world.position("a").await.costs, CostChannel::Async, "asked twice, were it pushed too");
}

#[tokio::test]
async fn a_refused_act_leaves_its_position_as_it_was() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    world.verified("a").await;
    world.hear("a", "REQUEST_REFUSED", json!({ "refusalReasons": [{ "errorCode": "TAXID_NOT_VALID" }] })).await;
    assert_eq!(world.position("a").await.state, "CHIUSA");
    assert!(world.due("", Lane::Afterwards).await.is_empty(), "nothing was pushed: nothing is taken back");
}

#[tokio::test]
async fn a_date_is_a_job_at_midnight_in_rome_and_a_week_off_is_caught_up() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a", "b"]).await;
    for (job, id, _) in world.due(PT_CHANNEL, Lane::Afterwards).await {
        world.say(id, PositionFact::Verified { held: held(7_000) }, Some(job)).await;
    }
    let days = [date(2026, 11, 28), date(2026, 11, 29)];
    for (index, (job, id, _)) in world.due("", Lane::Afterwards).await.into_iter().enumerate() {
        world.say(id, PositionFact::Reckoned(Box::new(sum(7_000, Some(days[index])))), Some(job)).await;
    }
    // 22:59:59 and 23:00 UTC: a second before and the first of the 28th in Rome.
    world.now.set("2026-11-27T22:59:59Z".parse().unwrap());
    assert!(world.due("", Lane::Afterwards).await.is_empty());
    world.now.set("2026-11-27T23:00:00Z".parse().unwrap());
    let (job, first, _) = world.only("", Lane::Afterwards).await;
    world.store.give_back_job(job, "").await.unwrap();
    // Nobody looked for a week: both are due, the earlier day first.
    world.pass(SignedDuration::from_hours(24 * 7));
    let due = world.due("", Lane::Afterwards).await;
    assert_eq!(due.iter().map(|(_, id, _)| *id == first).collect::<Vec<_>>(), [true, false]);
}

#[tokio::test]
async fn a_payment_is_told_once_and_one_of_nobody_waits_for_its_act() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    let notice = world.position("a").await.notice;
    let take = |event: PaymentEvent| world.store.take_payment(event, world.now());
    assert_eq!(take(payment(&notice, 10_000, None)).await.unwrap(), Taken::New(id));
    // The same, now with its receipt; then again.
    assert_eq!(take(payment(&notice, 10_000, Some("IUR-1"))).await.unwrap(), Taken::Repeated);
    assert_eq!(take(payment(&notice, 10_000, Some("IUR-1"))).await.unwrap(), Taken::Repeated);
    assert_eq!(take(payment(&notice, 10_000, None)).await.unwrap(), Taken::Repeated);
    assert_eq!(world.position("a").await.state, "PAGATA");
    assert_eq!(events(&world.lines().await, "a"), ["PAGATO"]);
    assert_eq!(world.store.payments_of(ENTE, &notice).await.unwrap().len(), 1);
    // A second receipt is a second payment.
    assert_eq!(take(payment(&notice, 10_000, Some("IUR-2"))).await.unwrap(), Taken::New(id));
    let alerts: Vec<String> = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap().into_iter().map(|alert| alert.code).collect();
    assert!(alerts.contains(&"PAGATO_DUE_VOLTE".to_owned()), "{alerts:?}");
    assert!(world.due("", Lane::Afterwards).await.is_empty(), "its timers are gone");

    // Learnt by asking, under another name than the PT then tells: one payment, by the name that is told.
    world.accept(vec![act("d")], flow(0)).await;
    world.settle().await;
    let asked = world.position("d").await.notice;
    let alerts = || async {
        let told = world.store.alerts(Timestamp::UNIX_EPOCH, 100).await.unwrap();
        told.into_iter().filter(|alert| alert.code == "PAGATO_DUE_VOLTE").count()
    };
    let before = alerts().await;
    let polled = |receipt| PaymentEvent { polled: true, ..payment(&asked, 10_000, receipt) };
    assert!(matches!(take(polled(Some("IUR-9"))).await.unwrap(), Taken::New(_)));
    assert_eq!(take(payment(&asked, 10_000, Some("CCP-9"))).await.unwrap(), Taken::Repeated);
    assert_eq!(take(polled(Some("IUR-9"))).await.unwrap(), Taken::Repeated);
    assert_eq!(take(payment(&asked, 10_000, Some("CCP-9"))).await.unwrap(), Taken::Repeated);
    let names = || async {
        let known = world.store.payments_of(ENTE, &asked).await.unwrap();
        known.into_iter().map(|known| (known.payment.receipt.unwrap_or_default(), known.polled)).collect::<Vec<_>>()
    };
    assert_eq!((names().await, alerts().await), (vec![("CCP-9".to_owned(), false)], before));
    // Another receipt that is told is another payment, all the same.
    assert!(matches!(take(payment(&asked, 10_000, Some("CCP-10"))).await.unwrap(), Taken::New(_)));
    assert_eq!((names().await.len(), alerts().await), (2, before + 1));
    // Equal parts at two instants are two, each told again is not.
    world.accept(vec![act("e")], flow(0)).await;
    world.settle().await;
    let parts = world.position("e").await.notice;
    let part = |hour: u32| {
        let mut event = PaymentEvent { whole: false, ..payment(&parts, 4_000, None) };
        event.payment.paid_at = format!("2026-11-23T{hour}:00:00Z").parse().unwrap();
        event
    };
    for (hour, new) in [(10, true), (11, true), (10, false), (11, false)] {
        assert_eq!(matches!(take(part(hour)).await.unwrap(), Taken::New(_)), new, "{hour}");
    }
    let sum: i64 = world.store.payments_of(ENTE, &parts).await.unwrap().iter().map(|part| part.payment.amount.get()).sum();
    assert_eq!(sum, 8_000);

    // Paid before its act comes.
    let act_b = act("b");
    let (_, _, early) = act_b.notices().next().map(|(index, creditor, notice)| (index, creditor.to_owned(), notice.to_owned())).unwrap();
    assert_eq!(take(payment(&early, 10_000, Some("IUR-3"))).await.unwrap(), Taken::Unknown);
    world.accept(vec![act_b], flow(0)).await;
    world.settle().await;
    assert_eq!(world.position("b").await.state, "PAGATA");
    // Told by a PT that does not have it.
    world.accept(vec![act("c")], flow(0)).await;
    world.settle().await;
    let view = world.position("c").await;
    let stranger = PaymentEvent { pt: "altro".to_owned(), ..payment(&view.notice, 10_000, Some("IUR-4")) };
    assert_eq!(take(stranger).await.unwrap(), Taken::Unknown);
    assert_eq!(world.position("c").await.state, "DA_VERIFICARE");
}

#[tokio::test]
async fn one_of_several_notices_of_a_debt_is_paid_and_the_others_stand_still() {
    // (who has the notices, what each PT holds at first, alternatives) -> whether the second stands still once the first is paid.
    let table = [
        ("a notice each, of the whole", [0, 1], [10_000, 10_000], false, true),
        ("a half each", [0, 1], [5_000, 5_000], false, false),
        ("the whole and a part", [0, 1], [10_000, 5_000], false, false),
        ("instalments", [0, 0], [5_000, 5_000], false, false),
        ("instalments that a whole one may take the place of", [0, 0], [5_000, 10_000], true, false),
        ("the whole, and instalments in its place", [0, 0], [10_000, 5_000], true, true),
        ("two of the whole that nobody says to be one debt", [0, 0], [10_000, 10_000], false, false),
    ];
    for (what, holders, amounts, grouped, want) in table {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        let codes = ["302000000000000184", "302000000000000285"];
        let mut joint = Act { amount: Some(Cents(10_000)), ..act("a") };
        joint.recipients = vec![recipient("RSSMRA80A01H501U", None), recipient("VRDLGU85M41F205X", None)];
        for (holder, code) in holders.into_iter().zip(codes) {
            let payments = recipient("", Some(code.to_owned())).payments;
            joint.recipients[holder].payments.extend(payments);
        }
        joint.position = Some(crate::domain::act::PositionData { notice_group: grouped.then(|| "G-1".to_owned()), ..Default::default() });
        world.accept(vec![joint], flow(0)).await;
        world.settle().await;
        let mut ids = Vec::new();
        for (code, amount) in codes.into_iter().zip(amounts) {
            let id = world.store.position_of_notice(ENTE, code).await.unwrap().unwrap().id;
            assert_eq!(world.say(id, PositionFact::Verified { held: held(amount) }, None).await, "APERTA", "{what}");
            ids.push(id);
        }
        let second = || async { world.store.position(ids[1]).await.unwrap().unwrap() };
        world.store.take_payment(payment(codes[0], amounts[0], Some("IUR-1")), world.now()).await.unwrap();
        let stands = second().await;
        let parked = want.then_some(code::PAID_ELSEWHERE);
        assert_eq!((stands.park_code.as_deref(), stands.paid), (parked, None), "{what}: {stands:?}");
        let lines = world.lines().await;
        assert_eq!(events(&lines, "a").contains(&"POSIZIONE_FERMA".to_owned()), want, "{what}");
        assert_eq!(lines.iter().filter(|line| line.event == "PAGATO").count(), 1, "{what}: one payment");
        let alerts = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap();
        assert_eq!(alerts.iter().any(|alert| alert.code == code::PAID_ELSEWHERE), want, "{what}");
        // Nothing more is asked for with it, whatever happens to the act, until a person says so.
        world.say(ids[1], PositionFact::Moved, None).await;
        world.reckon(&sum(15_000, None)).await;
        assert_eq!(second().await.state == "FERMA", want, "{what}");
        if want {
            assert!(world.store.resume_position(ids[1], "ufficio", "dovuto a parte", world.now()).await.unwrap());
            assert_eq!(second().await.state, "DA_VERIFICARE");
            assert_eq!(world.say(ids[1], PositionFact::Verified { held: held(amounts[1]) }, None).await, "APERTA", "it goes on");
        }
    }
}

#[tokio::test]
async fn a_job_that_gives_up_parks_the_position_and_a_person_lets_it_go_on() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let (job, id, _) = world.only(PT_CHANNEL, Lane::Afterwards).await;
    let park = Next::Park { code: "TENTATIVI_ESAURITI" };
    world.store.fail_job(job, park, "PT_NON_RISPONDE", world.now()).await.unwrap();
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.park_code.as_deref()), ("FERMA", Some("TENTATIVI_ESAURITI")));
    assert_eq!(world.store.parked_positions(Some(ENTE), None, 10).await.unwrap().len(), 1);
    assert_eq!(world.store.parked_positions(None, Some(code::EXPIRED), 10).await.unwrap().len(), 0);
    assert!(world.store.resume_position(id, "anna", "il PT risponde", world.now()).await.unwrap());
    assert!(!world.store.resume_position(id, "anna", "di nuovo", world.now()).await.unwrap());
    world.verified("a").await;
    assert_eq!(events(&world.lines().await, "a"), ["POSIZIONE_FERMA", "POSIZIONE_RIPRESA"]);
    // A question about a payment that goes wrong stops nothing.
    world.reckon(&sum(10_000, None)).await;
    world.pass(SignedDuration::from_hours(25));
    let (job, _, effect) = world.only(PT_CHANNEL, Lane::Afterwards).await;
    assert_eq!(effect, PositionEffect::PollPayment);
    world.store.fail_job(job, park, "PT_NON_RISPONDE", world.now()).await.unwrap();
    assert_eq!(world.position("a").await.state, "APERTA");
}

#[tokio::test]
async fn a_pt_that_refuses_us_stops_alone() {
    let table = [
        ("PT_RIFIUTA_LE_CREDENZIALI", "PT_ACCETTA_LE_CREDENZIALI"),
        // Its certificate expired: no waiting mends it.
        ("PT_CERTIFICATO_NON_VALIDO", "PT_CERTIFICATO_DA_RIPROVARE"),
    ];
    for (began, ends) in table {
        stops_alone(began, ends).await;
    }
}

async fn stops_alone(began: &str, ends: &str) {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    world.store.stop_channel(PT_CHANNEL, began, world.now()).await.unwrap();
    while world.store.follow_stops(world.now()).await.unwrap() {}
    assert!(world.due(PT_CHANNEL, Lane::Afterwards).await.is_empty());
    // The ente goes on, and another PT too.
    world.accept(vec![act("b")], flow(0)).await;
    world.accepted(&["a", "b"]).await;
    assert_eq!(world.state("b").await, "IN_CONSEGNA");
    assert!(world.store.resume_channel_by(PT_CHANNEL, "anna", "password nuova", world.now()).await.unwrap());
    while world.store.follow_stops(world.now()).await.unwrap() {}
    assert_eq!(world.due(PT_CHANNEL, Lane::Afterwards).await.len(), 2);
    let alerts: Vec<String> = world.store.alerts(Timestamp::UNIX_EPOCH, 10).await.unwrap().into_iter().map(|alert| alert.code).collect();
    assert_eq!(alerts, [ends, began]);
}

#[tokio::test]
async fn a_change_that_was_offered_twice_belongs_to_one_worker() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_847, None)).await;
    let (job, ..) = world.only(PT_CHANNEL, Lane::NewSend).await;
    // Meanwhile the same sum is reckoned again: the job is another's by now.
    world.say(id, PositionFact::Moved, None).await;
    world.reckon(&sum(10_847, None)).await;
    let offered = |job| {
        let beside = Beside { held: Some(job), ..Beside::default() };
        world.store.observe_position(id, PositionFact::Offered, beside, world.now())
    };
    assert!(matches!(offered(job).await, Err(StoreError::Stale)));
    let (job, ..) = world.only(PT_CHANNEL, Lane::NewSend).await;
    offered(job).await.unwrap();
    // The process dies here: whoever comes next finds that it may have left.
    world.store.free_leases().await.unwrap();
    let material = world.store.position_materials(vec![id]).await.unwrap().remove(0);
    assert!(format!("{:?}", material.state).contains("Offered") && material.touched, "{:?}", material.state);
}

#[tokio::test]
async fn after_a_restore_no_pt_is_told_anything_before_it_was_read_and_a_person_agrees() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    world.reckon(&sum(10_847, None)).await;
    assert_eq!(world.position("a").await.state, "IN_MODIFICA");
    world.store.begin_restore("copia", world.now(), world.now()).await.unwrap();
    assert_eq!(world.position("a").await.state, "DA_VERIFICARE");
    for lane in [Lane::FollowUp, Lane::NewSend, Lane::Afterwards] {
        assert!(world.due(PT_CHANNEL, lane).await.is_empty(), "held: {lane:?}");
    }
    assert_eq!(world.count("SELECT count(*) FROM job WHERE kind = 'AGGIORNA_IMPORTO'"), 0, "the change is forgotten");
    // The PT was told after the copy: what it holds counts.
    world.say(id, PositionFact::Verified { held: held(10_847) }, None).await;
    world.reckon(&sum(10_847, None)).await;
    assert_eq!(world.position("a").await.state, "APERTA");
}

#[tokio::test]
async fn new_content_leaves_the_old_notice_and_joins_the_new_one() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.listen().await;
    let batch = world.accept(vec![act("a")], flow(0)).await;
    world.settle_but(|effect| *effect == Effect::Upload).await;
    let old = world.position("a").await;
    let changed = Act { recipients: vec![recipient("RSSMRA80A01H501U", Some("302000000000000184".to_owned()))], ..act("a") };
    let (order_batch, verdicts) = world.stage(vec![order(Action::Modify, changed)], flow(0)).await;
    assert_eq!((verdicts, batch == order_batch), (vec![Verdict::New], false));
    world.finish(order_batch, false).await;
    world.settle().await;
    assert_eq!(world.position("a").await.notice, "302000000000000184");
    assert_eq!(world.store.position(old.id).await.unwrap().unwrap().state, "CHIUSA");
}

#[tokio::test]
async fn suspended_days_are_facts_of_the_position() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.reckon(&sum(10_000, None)).await;
    let (from, last) = (date(2026, 12, 1), date(2027, 1, 15));
    world.store.order_days(id, DaysOrder::Stop { from, until: None }, "anna", "ricorso", world.now()).await.unwrap();
    assert_eq!(world.reckon(&sum(10_000, None)).await, 1, "reckoned anew");
    let suspensions = || async { world.store.position_materials(vec![id]).await.unwrap().remove(0).facts.suspensions };
    assert_eq!(suspensions().await.iter().map(|one| (one.from, one.until)).collect::<Vec<_>>(), [(from, None)]);
    world.store.order_days(id, DaysOrder::Go { last }, "anna", "respinto", world.now()).await.unwrap();
    assert_eq!(suspensions().await.iter().map(|one| (one.from, one.until)).collect::<Vec<_>>(), [(from, Some(last))]);
    let again = world.store.order_days(id, DaysOrder::Go { last }, "anna", "di nuovo", world.now()).await;
    assert!(matches!(again, Err(StoreError::Order(OrderRefused::NotStopped))), "{again:?}");
    let stop = DaysOrder::Stop { from: last, until: Some(from) };
    let backwards = world.store.order_days(id, stop, "anna", "al contrario", world.now()).await;
    assert!(matches!(backwards, Err(StoreError::Order(OrderRefused::Days))), "{backwards:?}");
    let told = world.lines().await;
    let events: Vec<&str> = told.iter().map(|line| line.event.as_str()).filter(|event| event.starts_with("TERMINI_")).collect();
    assert_eq!(events, ["TERMINI_SOSPESI", "TERMINI_RIPRESI"]);
}

#[tokio::test]
async fn the_facts_of_an_amount_come_from_the_rows_of_the_act() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    let facts = || async { world.store.position_materials(vec![id]).await.unwrap().remove(0) };
    assert!(!facts().await.facts.notified);
    world.accepted(&["a"]).await;
    let material = facts().await;
    assert!(material.facts.notified && material.facts.applies_cost && material.iun.is_some());
    assert_eq!((material.facts.amount, material.facts.recipients[0].completed), (Some(Cents(10_000)), None));
    // 23:30 UTC: the day after in Rome.
    world.now.set("2026-11-25T23:30:00Z".parse().unwrap());
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({ "recIndex": 0, "analogCost": 530 })).await;
    world.hear("a", "NOTIFICATION_VIEWED", json!({ "recIndex": 0 })).await;
    world.settle().await;
    let recipient = facts().await.facts.recipients[0];
    assert_eq!(recipient.completed, Some(date(2026, 11, 26)));
    assert_eq!((recipient.analog_cost, recipient.price), (Cents(530), Some(Cents(847))));
    assert_eq!(facts().await.viewed, Some(date(2026, 11, 26)));
}

/// A second letter after a rework that took the completion away: nobody asks SEND again before the notification is complete anew.
#[tokio::test]
async fn a_price_that_was_told_for_other_paper_is_not_the_price_of_today() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a"]).await;
    let id = world.verified("a").await;
    world.accepted(&["a"]).await;
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({ "recIndex": 0, "analogCost": 530 })).await;
    let end = world.event("a", "REFINEMENT", json!({ "recIndex": 0 })).await;
    world.tell(vec![end.clone()]).await;
    world.settle().await;
    let price = || async {
        let one = world.store.position_materials(vec![id]).await.unwrap().remove(0).facts;
        (one.recipients[0].completed.is_some(), one.recipients[0].price, one.recipients[0].price(one.vat, one.pa_fee).0)
    };
    assert_eq!(price().await, (true, Some(Cents(847)), 847));
    let reckoned = |world: &World| world.count("SELECT count(*) FROM job WHERE kind = 'RICALCOLA' AND state = 'PRONTO'");
    let done = |world: &World| world.count("SELECT count(*) FROM job WHERE kind = 'CHIEDI_COSTO'");
    let voids =
        json!({ "invalidatedTimelineAndStatusHistory": [{ "relatedTimelineElements": [{ "elementId": end.element.element_id }] }] });
    world.hear("a", "NOTIFICATION_TIMELINE_REWORKED", voids).await;
    assert_eq!(price().await, (false, Some(Cents(847)), 847), "the same paper");
    world.hear("a", "SEND_ANALOG_DOMICILE", json!({ "recIndex": 0, "analogCost": 530 })).await;
    assert_eq!((price().await, done(&world)), ((false, Some(Cents(847)), 100 + 1_293 + 100), 0), "two letters, whoever was asked before");
    assert_eq!(reckoned(&world), 1);
    // An answer that SEND gave before it knew of the second letter; then the same sum as of today's paper.
    let act = world.act("a").await.id;
    let tell = |total, paper| world.store.record(act, Fact::PriceKnown { recipient: 0, total, paper }, None, world.now());
    tell(860, Some(530)).await.unwrap();
    assert_eq!(price().await.2, 1_493);
    tell(860, None).await.unwrap();
    assert_eq!(price().await.2, 860, "as SEND tells it");
}

/// What an act may do does not depend on which job comes first.
#[tokio::test]
async fn an_act_waits_until_its_amount_was_reckoned_or_could_not_be() {
    for lost in [false, true] {
        let world = World::new();
        world.routes(CostChannel::Push, true).await;
        world.listen().await;
        world.accept(vec![Act { amount: Some(Cents(10_000)), ..act("a") }], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Prepare).await;
        // What was left alone there is free again when its lease ends.
        world.pass(SignedDuration::from_mins(31));
        let id = world.position("a").await.id;
        let prepare = async || {
            let act = world.act("a").await.id;
            let job = world.lease_one(act, "PREPARA").await.job;
            let policy = crate::flow::definition::Payments::default();
            let around = crate::store::Around { printed: Some(Vec::new()), ..crate::store::Around::default() };
            world.store.prepare_act(act, job, policy, Some(Cents(10_000)), around, world.now()).await.unwrap()
        };
        assert_eq!(prepare().await, crate::store::Stage::Waits, "not verified");
        for (job, ..) in world.due(PT_CHANNEL, Lane::Afterwards).await {
            world.say(id, PositionFact::Unverifiable, Some(job)).await;
        }
        assert_eq!(prepare().await, crate::store::Stage::Waits, "not reckoned");
        let day = date(2026, 11, 22);
        let (job, ..) = world.only("", Lane::Afterwards).await;
        world.say(id, PositionFact::AmountUnknown { day, cost_lost: lost }, Some(job)).await;
        assert_eq!(prepare().await, crate::store::Stage::Over, "whatever it is");
        assert_eq!(world.position("a").await.state, "APERTA", "nothing is parked");
        let told: Vec<Option<String>> =
            world.lines().await.into_iter().filter(|line| line.event == "VERIFICA_AVVISO").map(|line| line.code).collect();
        assert_eq!(told, if lost { vec![Some("COSTO_NON_RICHIESTO".to_owned())] } else { vec![] });
        assert_eq!(world.state("a").await, "IN_CARICAMENTO");
    }
}

#[tokio::test]
async fn a_notice_that_no_route_takes_is_said_to_be_followed_by_nobody() {
    let world = World::new();
    let route = Route { creditor: ENTE.to_owned(), aux: Some(0), code: None, pt: PT.to_owned(), costs: CostChannel::Push, managed: true };
    world.store.set_payment_routes(vec![route]).await.unwrap();
    world.started(&["a"]).await;
    let view = world.position("a").await;
    assert_eq!((view.state.as_str(), view.pt.as_str(), view.costs), ("NON_GESTITA", "nessuno", CostChannel::None));
    assert_eq!(events(&world.lines().await, "a"), ["POSIZIONE_NON_GESTITA"]);
    assert!(world.due(PT_CHANNEL, Lane::Afterwards).await.is_empty());
}

#[tokio::test]
async fn an_act_and_a_way_that_do_not_go_together_are_told() {
    let table = [
        // way, mode, whether the PT is GPD; how the cost goes, what is told
        (CostChannel::Async, None, true, CostChannel::None, Some("COSTO_NON_RICHIESTO")),
        (CostChannel::Async, Some(PagoPaIntMode::Async), true, CostChannel::Async, None),
        (CostChannel::Push, Some(PagoPaIntMode::Async), true, CostChannel::Async, None),
        (CostChannel::Push, Some(PagoPaIntMode::Async), false, CostChannel::Async, Some("AVVISO_ASYNC_FUORI_DA_GPD")),
        (CostChannel::Push, Some(PagoPaIntMode::Sync), false, CostChannel::Push, None),
        (CostChannel::None, Some(PagoPaIntMode::Sync), true, CostChannel::None, None),
    ];
    for (route, mode, gpd, costs, code) in table {
        let world = World::new();
        world.routes(route, true).await;
        world.listen().await;
        world.accept(vec![Act { amount: Some(Cents(10_000)), pago_pa_int_mode: mode, ..act("a") }], flow(0)).await;
        world.settle_but(|effect| *effect == Effect::Prepare).await;
        // What was left alone there is free again when its lease ends.
        world.pass(SignedDuration::from_mins(31));
        world.verified("a").await;
        world.reckon(&sum(10_000, None)).await;
        let of = |yes: bool| if yes { [PT.to_owned()].into() } else { std::collections::BTreeSet::new() };
        let around = crate::store::Around {
            gpd: of(gpd),
            asynchronous: of(route == CostChannel::Async),
            printed: Some(Vec::new()),
            ..crate::store::Around::default()
        };
        let act = world.act("a").await.id;
        let job = world.lease_one(act, "PREPARA").await.job;
        let policy = crate::flow::definition::Payments::default();
        let stage = world.store.prepare_act(act, job, policy, Some(Cents(10_000)), around, world.now()).await.unwrap();
        assert_eq!((stage, world.position("a").await.costs), (crate::store::Stage::Over, costs), "{route} {mode:?}");
        let lines = world.lines().await;
        let told: Vec<&str> = lines.iter().filter(|line| line.event == "VERIFICA_AVVISO").filter_map(|line| line.code.as_deref()).collect();
        assert_eq!(told, code.into_iter().collect::<Vec<_>>(), "{route} {mode:?} {gpd}");
    }
}

#[tokio::test]
async fn an_act_that_an_unpaid_position_follows_keeps_its_data_for_a_while_and_then_the_ente_is_told() {
    let world = World::new();
    world.routes(CostChannel::Push, true).await;
    world.started(&["a", "b"]).await;
    let days = |days: i64| world.now() + SignedDuration::from_hours(24 * days);
    let mut ids = Vec::new();
    for reference in ["a", "b"] {
        ids.push(world.position(reference).await.id);
    }
    for (job, id, _) in world.due(PT_CHANNEL, Lane::Afterwards).await {
        world.say(id, PositionFact::Verified { held: held(10_000) }, Some(job)).await;
    }
    world.accepted(&["a", "b"]).await;
    for reference in ["a", "b"] {
        world.hear(reference, "NOTIFICATION_VIEWED", json!({ "recIndex": 0 })).await;
    }
    world.settle().await;
    world.reckon(&Reckoning { may_push: false, ..sum(10_000, Some(date(2027, 3, 1))) }).await;
    let (first, second) = (world.act("a").await.id, world.act("b").await.id);
    let due = async |at: Timestamp| world.store.acts_to_erase(ENTE, at, 10).await.unwrap();
    assert_eq!(due(days(400)).await, [], "both are followed");
    let seen = PaymentSeen { paid_at: world.now(), amount: Cents(10_000), receipt: Some("r1".to_owned()) };
    world.say(ids[1], PositionFact::Paid { payment: seen, whole: true }, None).await;
    assert_eq!(due(days(400)).await, [second], "a paid one keeps nothing");
    assert_eq!(due(days(731)).await.len(), 2, "not for ever");
    for act in [first, second] {
        assert_eq!(world.store.begin_erasing(vec![act], Cause::Request, world.now()).await.unwrap(), 1, "who asks is heard");
        world.store.end_erasing(vec![act], world.now()).await.unwrap();
    }
    let (left, paid) = (world.position("a").await, world.position("b").await);
    assert_eq!((left.state.as_str(), paid.state.as_str()), ("NON_GESTITA", "PAGATA"));
    let told = world.lines().await;
    let told: Vec<_> = told.iter().filter(|line| line.event == "POSIZIONE_NON_GESTITA").map(|line| line.code.as_deref()).collect();
    assert_eq!(told, [Some("POSIZIONE_NON_PIU_SEGUITA")]);
    let alerts: Vec<String> = world.store.alerts(Timestamp::UNIX_EPOCH, 50).await.unwrap().into_iter().map(|alert| alert.code).collect();
    assert_eq!(alerts.iter().filter(|code| *code == "POSIZIONE_NON_PIU_SEGUITA").count(), 1, "{alerts:?}");
    let jobs = world.store.read(|db| {
        let sql = "SELECT coalesce(group_concat(kind || ' ' || state), '') FROM job WHERE subject_kind = 'posizione'";
        Ok(db.query_row(sql, [], |row| row.get::<_, String>(0))?)
    });
    assert_eq!(jobs.await.unwrap(), "COMUNICA_PAGAMENTO PRONTO", "SEND is told of the paid one; of the other nothing is left to do");
}

#[test]
fn the_cost_has_one_way() {
    use crate::domain::act::PagoPaIntMode as M;
    use CostChannel as C;
    let table = [
        (C::Push, None, C::Push),
        (C::Push, Some(M::Sync), C::Push),
        (C::Push, Some(M::Async), C::Async),
        (C::Pull, Some(M::Async), C::Async),
        (C::None, Some(M::Async), C::Async),
        (C::Async, Some(M::Async), C::Async),
        (C::Async, Some(M::Sync), C::None),
        (C::Async, None, C::None),
        (C::Pull, Some(M::Sync), C::Pull),
    ];
    for (route, mode, want) in table {
        assert_eq!(crate::store::position_acts::costs_of(route, mode), want, "{route} {mode:?}");
    }
}
