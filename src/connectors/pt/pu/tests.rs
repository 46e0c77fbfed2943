//! Exchanges with PU, as its interface shows them; the people are invented.

use super::*;
use crate::domain::act::PositionData;

const NAV: &str = "302000000000000184";

fn asked() -> Asked {
    Asked {
        creditor: "01234567890".to_owned(),
        notice: NAV.to_owned(),
        data: PositionData { position_id: Some("IUD-1".to_owned()), ..PositionData::default() },
        payers: vec![Payer { natural: true, tax_id: "RSSMRA80A01H501U".to_owned(), denomination: "Rossi Mario".to_owned() }],
    }
}

fn change(amount: i64, cost: i64, place: Option<&str>) -> Change {
    Change {
        key: "1/2".to_owned(),
        amount: Cents(amount),
        cost: Cents(cost),
        due_date: None,
        cost_place: place.map(str::to_owned),
        reason: "Importo del 6 giugno".to_owned(),
    }
}

fn unpaid_told() -> Value {
    json!({ "debtPositions": [
        { "ipaCode": "c_x000", "orgName": "Comune di Esempio", "paymentTriggerUrl": "https://pu.example",
          "unpaidDebtPosition": { "iud": "IUD-0", "debtPositionTypeOrgCode": "TARI", "totalAmountCents": 5, "debtor": {}, "transfers": [] } },
        { "ipaCode": "c_x000", "orgName": "Comune di Esempio", "paymentTriggerUrl": "https://pu.example",
          "unpaidDebtPosition": {
            "iud": "IUD-1", "debtPositionTypeOrgCode": "CDS", "totalAmountCents": 10_000, "description": "Verbale 12/2026", "notificationFeeCents": null,
            "balance": "<bilancio><capitolo><codCapitolo>3010</codCapitolo><accertamento><importo>100.00</importo></accertamento></capitolo></bilancio>",
            "debtor": { "entityType": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Mario", "email": null },
            "transfers": [{ "orgFiscalCode": "01234567890", "orgName": "Comune di Esempio", "amountCents": 10_000, "remittanceInformation": "Verbale",
                "iban": "IT60X0542811101000000123456", "postalIban": null, "category": "9/0301105TS/", "transferIndex": 1 }],
          } },
    ] })
}

fn ours() -> Object {
    of_iud(unpaid_told().to_string().as_bytes(), &asked(), Some("C_X000")).unwrap().unwrap()
}

#[test]
fn asks_state_by_notice_and_amount_by_debtor() {
    assert_eq!(status(&asked()).path.join("/"), format!("organization/01234567890/payment/NOTICE_NUMBER/{NAV}"));
    let ask = unpaid(&asked().payers[0], Some("c_x000"));
    assert_eq!(ask.path.join("/"), "debtor/RSSMRA80A01H501U/payment/unpaid");
    assert_eq!(ask.query, [("debtorEntityType", "F".to_owned()), ("ipaCode", "c_x000".to_owned())]);
}

#[test]
fn knows_every_state() {
    use HeldState as H;
    let table = [
        ("UNPAID", Some(H::Payable)),
        ("DRAFT", Some(H::NotActive)),
        ("UNPAYABLE", Some(H::NotActive)),
        ("TO_SYNC", Some(H::NotActive)),
        ("PAID", Some(H::Paid)),
        ("REPORTED", Some(H::Paid)),
        ("CANCELLED", Some(H::Cancelled)),
        ("INVALID", Some(H::Cancelled)),
        ("EXPIRED", Some(H::Expired)),
        ("PARTIALLY_PAID", None),
        ("", None),
    ];
    for (word, want) in table {
        let body = json!({ "paymentId": "12", "status": word }).to_string();
        let got = held(body.as_bytes(), &asked()).map(|held| held.state);
        match want {
            Some(state) => assert_eq!(got, Ok(state), "{word}"),
            None => assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{word}: {got:?}"),
        }
    }
}

#[test]
fn a_receipt_is_of_this_notice_or_not_used() {
    let body = |notice: &str, creditor: &str| {
        json!({ "paymentId": "12", "status": "PAID", "receipt": { "paymentReceiptId": "r1", "noticeNumber": notice, "orgFiscalCode": creditor,
            "paymentAmountCents": 10_747, "paymentDateTime": "2026-02-03T11:00:00+01:00" } })
        .to_string()
    };
    let seen = held(body(NAV, "01234567890").as_bytes(), &asked()).unwrap().payment.unwrap();
    assert_eq!(
        (seen.paid_at.to_string().as_str(), seen.amount, seen.receipt.as_deref()),
        ("2026-02-03T10:00:00Z", Cents(10_747), Some("r1"))
    );
    for (notice, creditor) in [("302000000000000285", "01234567890"), (NAV, "09876543210")] {
        let got = held(body(notice, creditor).as_bytes(), &asked());
        assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{notice} {creditor}");
    }
    let other = json!({ "paymentId": "302000000000000285", "status": "UNPAID" }).to_string();
    assert!(matches!(held(other.as_bytes(), &asked()), Err(ConnectorError::Protocol { .. })));
}

#[test]
fn finds_its_own_among_what_is_unpaid() {
    assert_eq!(amount(&ours()), Ok(Cents(10_000)));
    let find = |asked: &Asked, ente| of_iud(unpaid_told().to_string().as_bytes(), asked, ente).map(|found| found.is_some());
    assert_eq!(find(&asked(), Some("c_y111")), Ok(false), "of another ente");
    let mut other = asked();
    other.data.position_id = Some("IUD-9".to_owned());
    assert_eq!(find(&other, None), Ok(false));
    let mut stranger = asked();
    stranger.creditor = "09876543210".to_owned();
    assert!(matches!(find(&stranger, None), Err(ConnectorError::Protocol { .. })));
}

#[test]
fn writes_the_whole_installment() {
    let changed = Change { due_date: Some("2027-01-15".parse().unwrap()), ..change(10_747, 747, Some("2")) };
    let ask = rewritten(&ours(), &asked(), &changed).unwrap();
    assert_eq!((ask.method.as_str(), ask.path.join("/")), ("PUT", "organization/01234567890/debt-position/IUD-1".to_owned()));
    let transfer = |index: i64, amount: i64, text: &str| {
        json!({ "orgFiscalCode": "01234567890", "orgName": "Comune di Esempio", "amountCents": amount, "remittanceInformation": text,
            "iban": "IT60X0542811101000000123456", "category": "9/0301105TS/", "transferIndex": index })
    };
    let want = json!({ "installments": [{ "action": "M", "installment": {
        "iud": "IUD-1", "nav": NAV, "amountCents": 10_747, "remittanceInformation": "Verbale 12/2026", "dueDate": "2027-01-15",
        "debtor": { "entityType": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Mario" },
        "balance": "<bilancio><capitolo><codCapitolo>3010</codCapitolo><accertamento><importo>107.47</importo></accertamento></capitolo></bilancio>",
        "transfers": [transfer(1, 10_000, "Verbale"), transfer(2, 747, "Spese di notifica")],
    } }] });
    assert_eq!(ask.body, Some(("application/json", want)));
    let ask = cancellation(&ours(), &asked()).unwrap();
    assert_eq!(ask.body.unwrap().1["installments"][0]["action"], "A");
}

#[test]
fn what_cannot_be_shared_is_refused() {
    let with = |name: &str, value: Value| {
        let mut unpaid = ours();
        unpaid.insert(name.to_owned(), value);
        unpaid
    };
    let two = "<importo>60.00</importo><importo>40.00</importo>";
    let table = [
        ("two chapters", with("balance", json!(two)), change(10_747, 0, None), code::PARTS),
        ("a bilancio of another form", with("balance", json!("{}")), change(10_747, 0, None), code::PARTS),
        ("a cost of its own", with("notificationFeeCents", json!(747)), change(10_747, 747, None), code::COST_TWICE),
        ("a place that is no index", ours(), change(10_747, 747, Some("SPESE")), code::PARTS),
        ("nobody owes it", with("debtor", Value::Null), change(10_747, 747, None), code::DEBTOR),
    ];
    for (what, unpaid, change, code) in table {
        assert_eq!(rewritten(&unpaid, &asked(), &change), Err(refused(code)), "{what}");
    }
    let short = with("totalAmountCents", json!(9_999));
    assert!(matches!(rewritten(&short, &asked(), &change(1, 0, None)), Err(ConnectorError::Protocol { .. })));
}

#[test]
fn believes_an_answer_that_has_the_amount() {
    let body = |iud: &str, nav: &str, amount: i64| {
        json!({ "paymentOptions": [{ "installments": [{ "iud": iud, "nav": nav, "amountCents": amount }] }] }).to_string()
    };
    let read = |body: String| written(body.as_bytes(), &asked(), Some(Cents(10_747)));
    assert_eq!(read(body("IUD-1", NAV, 10_747)), Ok(()));
    assert!(matches!(read(body("IUD-1", NAV, 10_000)), Err(ConnectorError::Uncertain { .. })));
    assert!(matches!(read(body("IUD-2", NAV, 10_747)), Err(ConnectorError::Uncertain { .. })));
    assert!(matches!(read("<".to_owned()), Err(ConnectorError::Uncertain { .. })));
    assert!(matches!(read(body("IUD-1", "302000000000000285", 10_747)), Err(ConnectorError::Protocol { .. })));
}
