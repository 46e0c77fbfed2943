//! What is known of an act before SEND knows it, whose rule it follows, and what SEND's price is made of.

use messo::domain::act::{Act, FeePolicy};
use messo::domain::amount_rule::{
    AmountFacts, AmountPreset, AmountRule, CostBearers, CostPolicy, RecipientFacts, amount_due, lacks, price_from_parts, rule_of,
};
use messo::domain::calendar::Calendar;
use messo::domain::money::Cents;

use super::day;

/// Two people who owe together: the first has no notice, the second has two, one of them without costs.
fn act() -> Act {
    let notice = |code: &str, apply_cost: bool| serde_json::json!({ "kind": "pagopa", "notice_code": code, "creditor_tax_id": "01234567897", "apply_cost": apply_cost });
    let person = |tax_id: &str, payments: Vec<serde_json::Value>| serde_json::json!({ "recipient_type": "PF", "tax_id": tax_id, "denomination": "Mario Rossi", "payments": payments });
    serde_json::from_value(serde_json::json!({
        "sender_tax_id": "01234567897", "reference": "A1", "action": "inserisci", "fee_policy": "DELIVERY_MODE", "pa_fee": 50, "amount": 4200,
        "recipients": [
            person("RSSMRA80A01H501U", vec![]),
            person("BNCLRA85D41F205X", vec![notice("302000000000000184", true), notice("347250123456789084", false)]),
        ],
        "documents": [],
        "position": { "minimum": 4200, "maximum": 17300, "violation_date": "2026-09-14", "assessment_date": "2026-09-15", "contestation_date": "2026-09-16" },
    }))
    .unwrap()
}

#[test]
fn an_act_tells_what_it_knows() {
    let act = act();
    let facts = AmountFacts::of_act(&act, "302000000000000184", Calendar::default());
    assert_eq!((facts.amount, facts.minimum, facts.maximum), (Some(Cents(4_200)), Some(Cents(4_200)), Some(Cents(17_300))));
    assert_eq!(
        (facts.violation, facts.act_date, facts.contestation),
        (Some(day("2026-09-14")), Some(day("2026-09-15")), Some(day("2026-09-16")))
    );
    assert_eq!((facts.holder, facts.recipients.len(), facts.notified), (1, 2, false));
    // The fee as the row says it, VAT as SEND takes it when nobody says.
    assert_eq!((facts.applies_cost, facts.pa_fee, facts.vat), (true, 50, 22));
    let applies = |act: &Act, notice| AmountFacts::of_act(act, notice, Calendar::default()).applies_cost;
    assert!(!applies(&act, "347250123456789084"), "the notice without costs");
    assert!(!applies(&act, "300000000000000003"), "a notice of nobody");
    assert!(!applies(&Act { fee_policy: Some(FeePolicy::FlatRate), ..act.clone() }, "302000000000000184"), "the ente pays");
    assert!(lacks(&AmountPreset::Cds.rule(), &facts).is_empty());
}

#[test]
fn the_row_s_rule_wins_over_the_flow_s() {
    let (own, flow) = (AmountPreset::CdsContested.rule(), AmountPreset::Cds.rule());
    let bare = act();
    let ruled = Act { amount_rule: Some(own.clone()), ..bare.clone() };
    let table = [
        (&ruled, Some(&flow), own.clone()),
        (&ruled, None, own.clone()),
        (&bare, Some(&flow), flow.clone()),
        (&bare, None, AmountRule::flat(CostPolicy::Added)),
    ];
    for (act, of_flow, want) in table {
        assert_eq!(rule_of(act, of_flow), want);
    }
    // What is stored is read back the same.
    let stored: Act = serde_json::from_str(&serde_json::to_string(&ruled).unwrap()).unwrap();
    assert_eq!(stored, ruled);
}

#[test]
fn a_rule_stored_before_presets_reads_the_same() {
    let old = r#"{"base":4200,"steps":[{"from":"perfezionamento","days":5,"due":{"percent":7000}},{"from":"perfezionamento","days":null,"due":{"fixed":8650}}],"costs":"aggiunti"}"#;
    let rule: AmountRule = serde_json::from_str(old).unwrap();
    assert_eq!((rule.base, rule.steps.len(), rule.costs, rule.preset), (Some(Cents(4_200)), 2, CostPolicy::Added, None));
    assert_eq!(rule.check(), Ok(()));
}

#[test]
fn a_price_from_its_parts() {
    // (paper, VAT, fee of the ente, price, why): SEND's documentation, 100 + round(paper with VAT) + fee.
    let table = [
        (530, 22, 100, 847, "l'esempio di SEND: 646,6 va a 647"),
        (0, 22, 100, 200, "nessuna spedizione"),
        (0, 0, 0, 100, "la sola tariffa di base"),
        (250, 22, 0, 405, "305 esatti"),
        (25, 22, 0, 131, "30,5: mezzo centesimo in su"),
        (1_060, 22, 100, 1_493, "due spedizioni da 530: un arrotondamento solo, 1293,2"),
        (530, 10, 100, 783, "583"),
        (i64::MAX, u32::MAX, u32::MAX, i64::MAX, "nessun numero fa male"),
        (i64::MIN, u32::MAX, 0, i64::MIN, "nemmeno uno negativo"),
    ];
    for (paper, vat, fee, want, why) in table {
        assert_eq!(price_from_parts(Cents(paper), vat, fee), Cents(want), "{paper} {vat} {fee}: {why}");
    }
}

#[test]
fn each_recipient_s_cost_is_asked_for_once() {
    let known = RecipientFacts { price: Some(Cents(847)), priced_paper: Cents(530), analog_cost: Cents(530), ..RecipientFacts::default() };
    let reckoned = RecipientFacts { analog_cost: Cents(1_060), ..RecipientFacts::default() };
    let facts = AmountFacts {
        recipients: vec![known, reckoned],
        applies_cost: true,
        notified: true,
        ..AmountFacts::of_act(&act(), "302000000000000184", Calendar::default())
    };
    // (bearers, holder, notified, applies, cost): the fee of this ente is 50.
    let table = [
        (CostBearers::Holder, 0, true, true, 847),
        (CostBearers::Holder, 1, true, true, 100 + 1_293 + 50),
        (CostBearers::All, 0, true, true, 847 + 100 + 1_293 + 50),
        (CostBearers::All, 1, true, true, 847 + 100 + 1_293 + 50),
        (CostBearers::Holder, 9, true, true, 0),
        (CostBearers::All, 0, false, true, 0),
        (CostBearers::All, 0, true, false, 0),
    ];
    for (bearers, holder, notified, applies_cost, want) in table {
        let rule = AmountRule { bearers, ..AmountPreset::Cds.rule() };
        let facts = AmountFacts { holder, notified, applies_cost, ..facts.clone() };
        let got = amount_due(&rule, &facts, day("2026-11-23")).unwrap();
        assert_eq!((got.cost.0, got.total.0), (want, 2_940 + want), "{bearers} {holder} {notified} {applies_cost}");
    }
}
