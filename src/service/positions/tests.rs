//! What is reckoned and answered, from positions made by hand.

use jiff::Timestamp;
use jiff::civil::{Date, date};
use serde_json::json;

use super::reckon::{PriceSheet, answer, breakdown, reckon};
use super::{Over, PriceAnswer, partners};
use crate::domain::act::Act;
use crate::domain::amount_rule::{
    AmountFacts, AmountFault, AmountRule, AmountStep, CostBearers, CostPolicy, FromEvent, HolidayPolicy, RecipientFacts, Suspension,
};
use crate::domain::calendar::Calendar;
use crate::domain::ids::{ActId, PositionId};
use crate::domain::money::Cents;
use crate::domain::position::{Capabilities, CostChannel};
use crate::flow::definition;
use crate::flow::position::{PositionState, code};
use crate::store::{PositionMaterial, Sheet};

const ENTE: &str = "01234567890";
const NOTICE: &str = "302000000000000184";
const TUESDAY: Date = date(2026, 12, 1);

/// A fine of 100 EUR: 70 % for five days after completion, whole up to the sixtieth, half as much again afterwards.
fn rule() -> AmountRule {
    let step = |days, percent| AmountStep::percent(FromEvent::Completion, days, percent);
    AmountRule {
        steps: vec![step(Some(5), 7_000), step(Some(60), 10_000), step(None, 15_000)],
        holidays: HolidayPolicy::Stays,
        ..AmountRule::flat(CostPolicy::Added)
    }
}

/// Seen by its recipient on TUESDAY, priced 8,47 by SEND.
fn material(costs: CostChannel) -> PositionMaterial {
    let content: Act = serde_json::from_value(json!({
        "sender_tax_id": ENTE, "reference": "V-1", "action": "inserisci", "amount": 10_000, "documents": [],
        "recipients": [{ "recipient_type": "PF", "tax_id": "RSSMRA80A01H501U", "denomination": "Mario Rossi", "payments": [
            { "kind": "pagopa", "notice_code": NOTICE, "creditor_tax_id": ENTE, "apply_cost": true }
        ] }],
        "amount_rule": rule(),
        "position": { "balance": "3.02" },
    }))
    .unwrap();
    let recipient = RecipientFacts { completed: Some(TUESDAY), price: Some(Cents(847)), ..RecipientFacts::default() };
    PositionMaterial {
        id: PositionId(uuid::Uuid::nil()),
        creditor: ENTE.to_owned(),
        notice: NOTICE.to_owned(),
        pt: "regione".to_owned(),
        costs,
        state: PositionState::Open,
        revision: 0,
        asked: None,
        wanted: None,
        pt_id: None,
        base: Some(Cents(4_000)),
        paid: None,
        notices: 1,
        touched: false,
        next_day: None,
        paid_on: None,
        created_at: Timestamp::UNIX_EPOCH,
        act: ActId(uuid::Uuid::nil()),
        sender: ENTE.to_owned(),
        live: true,
        cancels: false,
        iun: Some("IUN-1".to_owned()),
        flow: definition::shipped().into_iter().find(|flow| flow.name == "cds").unwrap(),
        facts: AmountFacts {
            amount: content.amount,
            recipients: vec![recipient],
            applies_cost: true,
            notified: true,
            pa_fee: 100,
            vat: 22,
            ..AmountFacts::default()
        },
        content,
        viewed: Some(TUESDAY),
    }
}

fn can() -> Option<Capabilities> {
    Some(Capabilities { verify: true, update: true, moves_date: true, tells_amount: true, ..Capabilities::NOTHING })
}

fn sheet(material: &PositionMaterial, state: &str) -> Sheet {
    let (_, sheet) = reckon(material, Calendar::default(), can(), TUESDAY).unwrap();
    Sheet {
        pt: "regione".to_owned(),
        costs: material.costs,
        state: state.to_owned(),
        park_code: None,
        cancelled: false,
        json: sheet.map(|sheet| serde_json::to_string(&sheet).unwrap()),
    }
}

#[test]
fn the_cost_is_in_the_amount_only_where_it_is_pushed() {
    let table = [
        // channel, amount on the first day, of which cost, may push
        (CostChannel::Push, 7_847, 847, true),
        (CostChannel::Async, 7_000, 0, true),
        (CostChannel::None, 7_000, 0, true),
        (CostChannel::Pull, 7_000, 0, false),
    ];
    for (costs, amount, cost, may_push) in table {
        let (sum, _) = reckon(&material(costs), Calendar::default(), can(), TUESDAY).unwrap();
        assert_eq!((sum.amount, sum.cost, sum.may_push), (Cents(amount), Cents(cost), may_push), "{costs}");
        assert_eq!(sum.next, Some(date(2026, 12, 7)), "{costs}: the sixth day after");
    }
}

#[test]
fn nothing_is_told_before_send_has_it_nor_to_a_pt_that_takes_nothing() {
    let push = material(CostChannel::Push);
    let told = |material: &PositionMaterial, can| reckon(material, Calendar::default(), can, TUESDAY).unwrap().0.may_push;
    assert!(told(&push, can()));
    assert!(!told(&push, None), "the PT is gone from the configuration");
    assert!(!told(&push, Some(Capabilities::NOTHING)));
    let by_id = Some(Capabilities { changes_by_position_id: true, ..can().unwrap() });
    assert!(!told(&push, by_id), "its own id is not known");
    assert!(told(&PositionMaterial { pt_id: Some("IUPD-1".to_owned()), ..push.clone() }, by_id));
    let unheard = PositionMaterial { facts: AmountFacts { notified: false, ..push.facts.clone() }, ..push.clone() };
    assert!(!told(&unheard, can()));
    assert!(reckon(&unheard, Calendar::default(), can(), TUESDAY).unwrap().1.is_none(), "no price either");
    // What was pushed before is taken back after a cancellation.
    let touched = PositionMaterial { touched: true, live: false, ..unheard };
    let (sum, _) = reckon(&touched, Calendar::default(), can(), TUESDAY).unwrap();
    assert!(sum.may_push && sum.last && sum.cost == Cents(0), "{sum:?}");
}

#[test]
fn what_is_to_be_cancelled_with_its_act_needs_no_sum() {
    let mut material = PositionMaterial { live: false, cancels: true, asked: Some(Cents(4_200)), ..material(CostChannel::Push) };
    material.facts.amount = None;
    material.base = None;
    let cancels = |can| reckon(&material, Calendar::default(), can, TUESDAY).map(|(sum, _)| (sum.cancels, sum.last, sum.amount));
    let can_cancel = Capabilities { cancel: true, ..can().unwrap() };
    assert_eq!(cancels(Some(can_cancel)), Ok((Some(true), true, Cents(4_200))));
    let by_id = Some(Capabilities { changes_by_position_id: true, ..can_cancel });
    assert_eq!(cancels(by_id), Ok((Some(false), true, Cents(4_200))), "the PT could not be told which, and was never told anything");
    let mut several = PositionMaterial { asked: None, notices: 2, ..material.clone() };
    let ending = |material: &PositionMaterial| reckon(material, Calendar::default(), can(), TUESDAY).map(|(sum, _)| sum);
    assert_eq!(
        ending(&several).map(|sum| (sum.cancels, sum.last, sum.may_push)),
        Ok((Some(false), true, false)),
        "nobody tells its amount"
    );
    several.touched = true;
    assert!(ending(&several).is_err(), "what messo put there is to be taken back, and there is no sum");
    let left = PositionMaterial { live: false, cancels: true, ..self::material(CostChannel::Push) };
    assert_eq!(reckon(&left, Calendar::default(), can(), TUESDAY).unwrap().0.cancels, Some(false), "a PT that cannot");
}

/// Cancelled after its late step was told, or answered: what was served is as if it never had been.
#[test]
fn of_an_act_that_is_over_the_late_step_does_not_stay() {
    let late = date(2027, 2, 15);
    let served = |costs| material(costs);
    assert_eq!(breakdown(&served(CostChannel::Push), Calendar::default(), late).unwrap().total, Cents(15_847), "while it lives");
    // What its PT held before messo, what is asked again: without it, the first step of the rule.
    for (base, want) in [(Some(4_000), 4_000), (None, 7_000), (Some(0), 7_000)] {
        for costs in [CostChannel::Push, CostChannel::Pull, CostChannel::Async, CostChannel::None] {
            let facts = AmountFacts { notified: false, ..served(costs).facts };
            let over = PositionMaterial { live: false, touched: true, base: base.map(Cents), facts, ..served(costs) };
            let (sum, sheet) = reckon(&over, Calendar::default(), can(), late).unwrap();
            assert_eq!((sum.amount, sum.cost, sum.whole_cost), (Cents(want), Cents(0), Cents(0)), "{costs} {base:?}");
            assert_eq!((sum.next, sum.due_date, sum.open_until, sum.last), (None, None, None, true), "{costs} {base:?}");
            let price = sheet.and_then(|sheet| sheet.on(late)).unwrap();
            assert_eq!((price.day.total, price.day.cost), (Cents(want), Cents(0)), "{costs} {base:?}");
            assert_eq!((price.viewed, price.completed), (None, None), "{costs} {base:?}");
            assert_eq!(breakdown(&over, Calendar::default(), late).unwrap().total, Cents(want), "{costs} {base:?}");
        }
    }
    // Nobody knows a sum, and messo put none there: it is over all the same.
    let mut unknown = PositionMaterial { live: false, base: None, ..served(CostChannel::Pull) };
    unknown.facts.amount = None;
    let (sum, sheet) = reckon(&unknown, Calendar::default(), can(), late).unwrap();
    assert!(sum.last && !sum.may_push && sheet.is_none(), "{sum:?}");
}

#[test]
fn of_one_among_several_notices_the_amount_is_the_pts_own() {
    let several = PositionMaterial { notices: 2, ..material(CostChannel::Push) };
    let (sum, _) = reckon(&several, Calendar::default(), can(), TUESDAY).unwrap();
    assert_eq!((sum.amount, sum.next, sum.stated), (Cents(4_847), None, Some(Cents(4_000))));
    let unknown = PositionMaterial { base: None, ..several };
    let fault = reckon(&unknown, Calendar::default(), can(), TUESDAY).unwrap_err();
    assert_eq!(fault, AmountFault::NoBase, "nobody knows what it asks for");
}

/// Several who owe jointly, each with a notice of their own: whoever pays first pays all, so each is of the whole and follows the rule.
#[test]
fn a_notice_of_the_whole_follows_the_rule_although_there_are_others() {
    let other = |recipient: usize, base: Option<i64>| {
        let mut material = PositionMaterial { notices: 2, base: base.map(Cents), ..material(CostChannel::Push) };
        let second: crate::domain::act::Payment = serde_json::from_value(
            json!({ "kind": "pagopa", "notice_code": "001000000000000141", "creditor_tax_id": ENTE, "apply_cost": true }),
        )
        .unwrap();
        if recipient == 1 {
            let mut another = material.content.recipients[0].clone();
            another.payments.clear();
            material.content.recipients.push(another);
            material.facts.recipients.push(RecipientFacts::default());
        }
        material.content.recipients[recipient].payments.push(second);
        material
    };
    let table = [
        // who has the second notice, what its PT held at first, what is asked for, when it changes
        (1, Some(10_000), 7_847, Some(date(2026, 12, 7))),
        (1, Some(7_000), 7_847, Some(date(2026, 12, 7))),
        // A half each: parts of the whole.
        (1, Some(5_000), 5_847, None),
        // Two of one recipient: reduced and full, or instalments.
        (0, Some(10_000), 10_847, None),
        (0, Some(7_000), 7_847, None),
    ];
    for (recipient, base, want, next) in table {
        let (sum, _) = reckon(&other(recipient, base), Calendar::default(), can(), TUESDAY).unwrap();
        assert_eq!((sum.amount, sum.next), (Cents(want), next), "{recipient} {base:?}");
    }
    for recipient in [0, 1] {
        let fault = reckon(&other(recipient, None), Calendar::default(), can(), TUESDAY).unwrap_err();
        assert_eq!(fault, AmountFault::NoBase, "{recipient}: nobody tells");
    }
}

/// Instalments of one who owes with another: the one that bears the cost bears that of both, where the rule says so.
#[test]
fn instalments_of_one_recipient_bear_the_cost_of_everybody() {
    let second = |holder: usize, bearers: CostBearers| {
        let mut material = PositionMaterial { notices: 2, base: Some(Cents(5_000)), ..material(CostChannel::Push) };
        material.content.amount_rule.as_mut().unwrap().bearers = bearers;
        let mut another = material.content.recipients[0].clone();
        another.payments.clear();
        material.content.recipients.push(another);
        let analog_cost = Cents(1_060);
        material.facts.recipients.push(RecipientFacts { analog_cost, priced_paper: analog_cost, ..RecipientFacts::default() });
        material.content.recipients[holder].payments.push(
            serde_json::from_value(
                json!({ "kind": "pagopa", "notice_code": "001000000000000141", "creditor_tax_id": ENTE, "apply_cost": false }),
            )
            .unwrap(),
        );
        material
    };
    let table = [
        // who has the second notice, whose cost the rule asks for, what is asked for with the first
        (0, CostBearers::Holder, 5_000 + 847),
        (0, CostBearers::All, 5_000 + 847 + 1_493),
        // A half each: each bears its own.
        (1, CostBearers::All, 5_000 + 847),
    ];
    for (holder, bearers, want) in table {
        let (sum, _) = reckon(&second(holder, bearers), Calendar::default(), can(), TUESDAY).unwrap();
        assert_eq!(sum.amount, Cents(want), "{holder} {bearers:?}");
    }
}

/// PU and others find a debt by its id alone and do not say whose it is: with the id of the act the debt of the other debtor would be
/// rewritten.
#[test]
fn the_id_of_an_act_with_several_notices_is_of_none_of_them() {
    const SECOND: &str = "001000000000000141";
    let by_id = Capabilities { changes_by_position_id: true, cancel: true, ..can().unwrap() };
    let ties = Capabilities { ties_position_id: true, ..by_id };
    let joint = |own: Option<&str>, pt_id: Option<&str>| {
        let mut material = PositionMaterial { notices: 2, base: Some(Cents(10_000)), ..material(CostChannel::Push) };
        material.content.position.as_mut().unwrap().position_id = Some("IUD-A".to_owned());
        let mut other = material.content.recipients[0].clone();
        other.payments = vec![
            serde_json::from_value(json!({
                "kind": "pagopa", "notice_code": SECOND, "creditor_tax_id": ENTE, "apply_cost": true, "position_id": own,
            }))
            .unwrap(),
        ];
        material.content.recipients.push(other);
        material.facts.recipients.push(RecipientFacts::default());
        (material.facts.holder, material.notice, material.pt_id) = (1, SECOND.to_owned(), pt_id.map(str::to_owned));
        material
    };
    let table = [
        // own id, id that the PT has told, whether the PT ties; the id it is asked by, whether it may be changed
        (None, None, by_id, None, false),
        (None, None, ties, Some("IUD-A"), true),
        (Some("IUD-B"), None, by_id, Some("IUD-B"), true),
        (Some("IUD-B"), Some("IUD-C"), ties, Some("IUD-B"), true),
        (None, Some("IUD-B"), by_id, Some("IUD-B"), true),
        (None, Some("IUD-B"), ties, Some("IUD-B"), true),
    ];
    for (own, told, can, want, changes) in table {
        let material = joint(own, told);
        let data = material.data(can.ties_position_id);
        assert_eq!(data.position_id.as_deref(), want, "{own:?} {told:?} {can:?}");
        assert_eq!(material.asks_by_shared_id(&data), want == Some("IUD-A"), "{own:?} {told:?} {can:?}");
        let (sum, _) = reckon(&material, Calendar::default(), Some(can), TUESDAY).unwrap();
        assert_eq!(sum.may_push, changes, "{own:?} {told:?} {can:?}");
        let ended = PositionMaterial { live: false, cancels: true, ..material };
        let (sum, _) = reckon(&ended, Calendar::default(), Some(can), TUESDAY).unwrap();
        assert_eq!(sum.cancels, Some(changes), "cancelled no more than changed: {own:?} {told:?} {can:?}");
    }
}

#[test]
fn the_last_day_is_that_of_the_steps_whatever_comes_after_them() {
    let day_60 = date(2027, 1, 30);
    let with = |change: fn(&mut PositionMaterial)| {
        let mut material = material(CostChannel::Push);
        change(&mut material);
        let (sum, _) = reckon(&material, Calendar::default(), can(), TUESDAY).unwrap();
        (sum.due_date, sum.stated_due)
    };
    let expires = date(2026, 12, 31);
    // It goes on for ever after its last term: only the act says a last day.
    assert_eq!(with(|_| ()), (Some(day_60), None));
    assert_eq!(with(|material| material.content.payment_expiration_date = Some(date(2026, 12, 31))), (Some(day_60), Some(expires)));
    assert_eq!(
        with(|material| material.content.amount_rule = Some(AmountRule { semester: Some(1_000), ..rule() })),
        (Some(day_60), None),
        "semesters go on for years"
    );
    assert_eq!(
        with(|material| {
            let steps = rule().steps.into_iter().take(2).collect();
            material.content.amount_rule = Some(AmountRule { steps, ..rule() });
        }),
        (Some(day_60), Some(day_60)),
        "a rule that ends"
    );
    assert_eq!(with(|material| material.facts.recipients[0].completed = None), (None, None), "not completed");
    let instalment = with(|material| {
        material.notices = 2;
        material.content.payment_expiration_date = Some(date(2026, 12, 31));
    });
    assert_eq!(instalment, (None, None));
}

#[test]
fn the_pts_last_day_is_kept_open_while_nobody_knows_until_when_it_can_be_paid() {
    let far = Some(TUESDAY.checked_add(jiff::Span::new().days(180)).unwrap());
    let later = date(2027, 2, 15);
    let open = |change: fn(&mut PositionMaterial), can, day| {
        let mut material = material(CostChannel::Push);
        change(&mut material);
        reckon(&material, Calendar::default(), can, day).unwrap().0.open_until
    };
    let finite: fn(&mut PositionMaterial) = |material| {
        let steps = rule().steps.into_iter().take(2).collect();
        material.content.amount_rule = Some(AmountRule { steps, ..rule() });
    };
    let unserved: fn(&mut PositionMaterial) = |material| material.facts.recipients[0].completed = None;
    let flat: fn(&mut PositionMaterial) = |material| material.content.amount_rule = Some(AmountRule::flat(CostPolicy::Added));
    assert_eq!(open(|_| (), can(), TUESDAY), far, "its last step has no end");
    assert_eq!(open(|_| (), can(), later).map(|far| far > later), Some(true), "and is in force");
    assert_eq!(open(unserved, can(), TUESDAY), far, "the paper is on its way");
    assert_eq!(open(finite, can(), TUESDAY), None, "it ends");
    assert_eq!(
        open(
            |material| {
                let steps = rule().steps.into_iter().take(2).collect();
                material.content.amount_rule = Some(AmountRule { steps, ..rule() });
                material.facts.recipients[0].completed = None;
            },
            can(),
            TUESDAY
        ),
        far,
        "it ends so many days after a completion that is still to come"
    );
    assert_eq!(open(flat, can(), TUESDAY), None, "no terms: the PT's own date");
    let stopped: fn(&mut PositionMaterial) = |material| {
        material.content.amount_rule = Some(AmountRule::flat(CostPolicy::Added));
        material.facts.suspensions = vec![Suspension { from: TUESDAY, until: None }];
    };
    assert_eq!(open(stopped, can(), TUESDAY), far, "its days stand still");
    let until: fn(&mut PositionMaterial) = |material| {
        material.content.amount_rule = Some(AmountRule::flat(CostPolicy::Added));
        material.facts.suspensions = vec![Suspension { from: TUESDAY, until: Some(TUESDAY) }];
    };
    assert_eq!(open(until, can(), TUESDAY), None, "until a day that is known");
    assert_eq!(open(|material| material.flow.payments.keep_open_days = 0, can(), TUESDAY), None, "the flow leaves it to the PT");
    let fixed = Some(Capabilities { moves_date: false, ..can().unwrap() });
    assert_eq!(open(|_| (), fixed, TUESDAY), None, "its PT moves no dates");
    assert_eq!(reckon(&material(CostChannel::Push), Calendar::default(), fixed, TUESDAY).unwrap().0.due_date, None);
}

#[test]
fn the_price_of_each_day_to_come_is_known_at_once() {
    let pull = material(CostChannel::Pull);
    let table = [
        (TUESDAY, 7_847),
        (date(2026, 12, 6), 7_847),
        (date(2026, 12, 7), 10_847),
        (date(2027, 1, 30), 10_847),
        (date(2027, 1, 31), 15_847),
        (date(2036, 1, 1), 15_847),
        // A PT whose clock is behind.
        (date(2026, 11, 30), 7_847),
    ];
    for (day, total) in table {
        let PriceAnswer::Due(price) = answer("regione", Some(sheet(&pull, "APERTA")), day) else { panic!("{day}: no price") };
        assert_eq!((price.day.total, price.iun.as_str(), price.completed), (Cents(total), "IUN-1", Some(TUESDAY)), "{day}");
        assert_eq!(price.balance.as_deref(), Some("3.02"));
    }
}

#[test]
fn a_price_is_told_to_its_own_pt_and_only_where_the_pt_adds_it() {
    let pull = material(CostChannel::Pull);
    let of = |pt: &str, sheet: Option<Sheet>| match answer(pt, sheet, TUESDAY) {
        PriceAnswer::Unknown => "unknown",
        PriceAnswer::NotYet => "not yet",
        PriceAnswer::NotPayable(Over::Paid) => "paid",
        PriceAnswer::NotPayable(Over::Withdrawn) => "withdrawn",
        PriceAnswer::NotPayable(Over::Expired) => "expired",
        PriceAnswer::Due(_) => "due",
    };
    assert_eq!(of("regione", None), "unknown");
    assert_eq!(of("altro", Some(sheet(&pull, "APERTA"))), "unknown");
    // Of an act whose personal data was deleted the prices that were known are told on.
    for (state, want) in [("APERTA", "due"), ("FERMA", "due"), ("NON_GESTITA", "due"), ("PAGATA", "paid"), ("CHIUSA", "due")] {
        assert_eq!(of("regione", Some(sheet(&pull, state))), want, "{state}");
    }
    // The debt goes on when its act is over, refused or withdrawn before SEND had it, unless the flow ends it too.
    for state in ["CHIUSA", "APERTA", "FERMA"] {
        assert_eq!(of("regione", Some(Sheet { cancelled: true, ..sheet(&pull, state) })), "withdrawn", "{state}");
    }
    assert_eq!(of("regione", Some(Sheet { json: None, ..sheet(&pull, "CHIUSA") })), "not yet");
    assert_eq!(of("regione", Some(sheet(&material(CostChannel::Push), "CHIUSA"))), "not yet", "the PT holds the right amount");
    for (code, want) in [(code::CANCELLED, "withdrawn"), (code::EXPIRED, "expired"), (code::NOT_FOUND, "due")] {
        assert_eq!(of("regione", Some(Sheet { park_code: Some(code.to_owned()), ..sheet(&pull, "FERMA") })), want, "{code}");
    }
    assert_eq!(of("regione", Some(Sheet { json: None, ..sheet(&pull, "APERTA") })), "not yet");
    assert_eq!(of("regione", Some(Sheet { json: Some("{".to_owned()), ..sheet(&pull, "APERTA") })), "not yet");
    for costs in [CostChannel::Push, CostChannel::Async, CostChannel::None] {
        assert_eq!(of("regione", Some(sheet(&material(costs), "APERTA"))), "not yet", "{costs}: the cost would be asked twice");
    }
    assert!(serde_json::from_str::<PriceSheet>("{}").is_err());
}

#[test]
fn what_cannot_be_asked_is_a_fault() {
    let mut zero = material(CostChannel::Push);
    zero.facts.amount = Some(Cents(0));
    zero.base = None;
    assert!(reckon(&zero, Calendar::default(), can(), TUESDAY).is_err());
    let mut large = material(CostChannel::Push);
    large.facts.amount = Some(Cents(200_000_000_000));
    assert!(reckon(&large, Calendar::default(), can(), TUESDAY).is_err());
}

#[test]
fn routes_are_those_whose_pt_is_configured() {
    let text = format!(
        "data = \"d\"\ninstallation = \"i\"\n[[pt]]\nname = \"a\"\nkind = \"non_gestito\"\n[[ente]]\ntax_id = \"{ENTE}\"\n\
         denomination = \"E\"\nambiente = \"collaudo\"\nsend_url = \"http://127.0.0.1:9\"\n\
         [[ente.pagamenti]]\npt = \"a\"\naux = 3\ncode = \"02\"\ncosts = \"nessuno\"\n[[ente.pagamenti]]\npt = \"manca\"\ncosts = \"push\"\n"
    );
    let config: crate::config::Config = toml::from_str(&text).unwrap();
    let routes = partners::routes(&config);
    assert_eq!(routes.len(), 1);
    assert_eq!((routes[0].pt.as_str(), routes[0].managed, routes[0].aux, routes[0].code.as_deref()), ("a", false, Some(3), Some("02")));
    assert!(partners::route(&config, ENTE, NOTICE, "a").is_some() && partners::route(&config, ENTE, NOTICE, "manca").is_some());
    assert!(partners::route(&config, ENTE, "001000000000000141", "a").is_none());
}
