//! Exchanges with GPD, as its interface shows them; the people are invented.

use super::*;
use crate::connectors::pt::call::problem;
use crate::domain::act::PositionData;
use crate::domain::position::Payer;
use Edition::{V1, V3};

const NAV: &str = "302000000000000184";

fn asked() -> Asked {
    Asked {
        creditor: "01234567890".to_owned(),
        notice: NAV.to_owned(),
        data: PositionData { position_id: Some("IUPD-1".to_owned()), ..PositionData::default() },
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

/// A fine of 100.00 EUR, 7.47 of which SEND added to it.
fn v3() -> Value {
    let transfer = json!({
        "organizationFiscalCode": "01234567890", "companyName": "Comune di Esempio", "idTransfer": "1", "amount": 10_747,
        "remittanceInformation": "Verbale 12/2026", "category": "9/0301105TS/", "iban": "IT60X0542811101000000123456",
        "postalIban": null, "status": "T_UNREPORTED", "insertedDate": "2026-01-07T08:00:00Z", "transferMetadata": [],
    });
    let installment = json!({
        "nav": NAV, "iuv": "02000000000000184", "organizationFiscalCode": "01234567890", "amount": 10_747, "fee": 0,
        "notificationFee": 747, "description": "Verbale 12/2026", "dueDate": "2026-12-31T22:59:59Z", "status": "UNPAID",
        "lastUpdatedDate": "2026-01-09T08:00:00Z", "transfer": [transfer],
        "installmentMetadata": [{ "key": "targa", "value": "AA000AA" }, { "key": "NOTIFICATION_FEE", "value": "747" }],
    });
    json!({
        "iupd": "IUPD-1", "organizationFiscalCode": "01234567890", "companyName": "Comune di Esempio", "officeName": "Tributi",
        "insertedDate": "2026-01-07T08:00:00Z", "publishDate": "2026-01-07T08:00:00Z", "status": "VALID",
        "paymentOption": [{
            "switchToExpired": false, "validityDate": "2026-01-07T08:00:00Z", "insertedDate": "2026-01-07T08:00:00Z", "retentionDate": null,
            "debtor": { "type": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Mario", "email": null, "city": "Esempio" },
            "installments": [installment],
        }],
    })
}

fn v1() -> Value {
    json!({
        "iupd": "IUPD-1", "organizationFiscalCode": "01234567890", "companyName": "Comune di Esempio", "type": "F", "status": "VALID",
        "paymentOption": [{
            "nav": NAV, "iuv": "02000000000000184", "organizationFiscalCode": "01234567890", "amount": 10_000, "notificationFee": 0,
            "description": "Verbale 12/2026", "isPartialPayment": false, "dueDate": "2026-12-31T22:59:59", "retentionDate": "2026-12-31T22:59:59",
            "status": "PO_UNPAID",
            "transfer": [{
                "organizationFiscalCode": "01234567890", "idTransfer": "1", "amount": 10_000, "remittanceInformation": "Verbale 12/2026",
                "category": "9/0301105TS/", "iban": "IT60X0542811101000000123456", "status": "T_UNREPORTED",
            }],
        }],
    })
}

/// The same with some values changed.
fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, new) in changes {
        *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = new.clone();
    }
    value
}

const UNIT: &str = "/paymentOption/0/installments/0";

fn at(name: &str) -> String {
    format!("{UNIT}/{name}")
}

fn read(edition: Edition, value: &Value) -> Result<Held, ConnectorError> {
    held(edition, value.to_string().as_bytes(), &asked())
}

#[test]
fn asks_by_iupd() {
    let ask = position(&asked()).unwrap();
    assert_eq!((ask.method.as_str(), ask.path.join("/")), ("GET", "organizations/01234567890/debtpositions/IUPD-1".to_owned()));
    let nameless = Asked { data: PositionData::default(), ..asked() };
    assert_eq!(position(&nameless), Err(refused(code::POSITION_ID)));
}

#[test]
fn tells_amount_and_cost_apart() {
    let held = read(V3, &v3()).unwrap();
    assert_eq!((held.state, held.amount, held.fee), (HeldState::Payable, Some(Cents(10_000)), Some(Cents(747))));
    assert_eq!(held.due_date.unwrap().to_string(), "2026-12-31");
    assert_eq!((held.payment, held.position_id.as_deref()), (None, Some("IUPD-1")));
    let held = read(V1, &v1()).unwrap();
    assert_eq!((held.state, held.amount, held.fee), (HeldState::Payable, Some(Cents(10_000)), Some(Cents(0))));
}

#[test]
fn knows_every_state() {
    use HeldState as H;
    let v3_table = [
        ("DRAFT", "UNPAID", Some(H::NotActive)),
        ("PUBLISHED", "UNPAID", Some(H::NotActive)),
        ("VALID", "UNPAID", Some(H::Payable)),
        ("PARTIALLY_PAID", "UNPAID", Some(H::Payable)),
        ("PARTIALLY_PAID", "PAID", Some(H::Paid)),
        ("PAID", "PAID", Some(H::Paid)),
        ("PAID", "PARTIALLY_REPORTED", Some(H::Paid)),
        ("PAID", "REPORTED", Some(H::Paid)),
        ("PAID", "UNPAID", Some(H::PaidElsewhere)),
        ("PAID", "UNPAYABLE", Some(H::PaidElsewhere)),
        ("PAID", "EXPIRED", Some(H::PaidElsewhere)),
        ("UNPAYABLE", "UNPAYABLE", Some(H::Cancelled)),
        ("UNPAYABLE", "UNPAID", Some(H::Cancelled)),
        ("UNPAYABLE", "EXPIRED", Some(H::Expired)),
        ("VALID", "EXPIRED", Some(H::Expired)),
        ("VALID", "NEW", None),
        ("ARCHIVED", "UNPAID", None),
        ("", "UNPAID", None),
    ];
    for (position, unit, want) in v3_table {
        let value = with(v3(), &[("/status", json!(position)), (&at("status"), json!(unit))]);
        let got = read(V3, &value).map(|held| held.state);
        match want {
            Some(state) => assert_eq!(got, Ok(state), "{position} {unit}"),
            None => assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{position} {unit}: {got:?}"),
        }
    }
    let v1_table = [
        ("DRAFT", "PO_UNPAID", Some(H::NotActive)),
        ("PUBLISHED", "PO_UNPAID", Some(H::NotActive)),
        ("VALID", "PO_UNPAID", Some(H::Payable)),
        ("PARTIALLY_PAID", "PO_UNPAID", Some(H::Payable)),
        ("INVALID", "PO_UNPAID", Some(H::Cancelled)),
        ("EXPIRED", "PO_UNPAID", Some(H::Expired)),
        ("PAID", "PO_UNPAID", Some(H::PaidElsewhere)),
        ("REPORTED", "PO_UNPAID", Some(H::PaidElsewhere)),
        ("REPORTED", "PO_REPORTED", Some(H::Paid)),
        ("PAID", "PO_PAID", Some(H::Paid)),
        ("PAID", "PO_PARTIALLY_REPORTED", Some(H::Paid)),
        ("VALID", "UNPAID", None),
        ("UNPAYABLE", "PO_UNPAID", None),
    ];
    for (position, unit, want) in v1_table {
        let value = with(v1(), &[("/status", json!(position)), ("/paymentOption/0/status", json!(unit))]);
        let got = read(V1, &value).map(|held| held.state);
        match want {
            Some(state) => assert_eq!(got, Ok(state), "{position} {unit}"),
            None => assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{position} {unit}: {got:?}"),
        }
    }
}

#[test]
fn a_payment_is_told_with_its_receipt() {
    let mut value = with(v3(), &[("/status", json!("PAID")), (&at("status"), json!("PAID"))]);
    let unit = value.pointer_mut(UNIT).unwrap().as_object_mut().unwrap();
    unit.insert("paymentDate".to_owned(), json!("2026-02-03T10:11:12"));
    unit.insert("idReceipt".to_owned(), json!("abc"));
    let seen = read(V3, &value).unwrap().payment.unwrap();
    assert_eq!(
        (seen.paid_at.to_string().as_str(), seen.amount, seen.receipt.as_deref()),
        ("2026-02-03T10:11:12Z", Cents(10_747), Some("abc"))
    );
}

#[test]
fn what_is_about_something_else_is_never_used() {
    let table = [
        ("another position", "/iupd".to_owned(), json!("IUPD-2")),
        ("another creditor", "/organizationFiscalCode".to_owned(), json!("09876543210")),
        ("another creditor inside", at("organizationFiscalCode"), json!("09876543210")),
        ("no amount", at("amount"), json!(null)),
        ("an amount of words", at("amount"), json!("100")),
        ("a negative amount", at("amount"), json!(-1)),
        ("less than its cost", at("amount"), json!(747)),
        ("a cost of words", at("notificationFee"), json!("x")),
        ("no options", "/paymentOption".to_owned(), json!({})),
    ];
    for (what, pointer, new) in table {
        let value = with(v3(), &[(&pointer, new)]);
        for got in [read(V3, &value).map(drop), rewritten(V3, value.to_string().as_bytes(), &asked(), &change(9_000, 0, None)).map(drop)] {
            assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{what}: {got:?}");
        }
    }
    for body in ["", "[]", "{\"iupd\"", "<html></html>", "null"] {
        assert!(matches!(held(V3, body.as_bytes(), &asked()), Err(ConnectorError::Protocol { .. })), "{body:?}");
    }
    // Without NAV the IUV tells whose it is.
    let value = with(v3(), &[(&at("nav"), Value::Null)]);
    assert!(read(V3, &value).is_ok());
    // Transfers that do not add up are nobody's to correct.
    let value = with(v3(), &[(&at("transfer/0/amount"), json!(10_746))]);
    let got = rewritten(V3, value.to_string().as_bytes(), &asked(), &change(9_000, 0, None));
    assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{got:?}");
}

#[test]
fn the_whole_position_goes_back_without_the_cost_of_send() {
    let changed = Change { due_date: Some("2027-01-15".parse().unwrap()), ..change(17_300, 0, None) };
    let ask = rewritten(V3, v3().to_string().as_bytes(), &asked(), &changed).unwrap();
    assert_eq!(ask.query, [("toPublish", "true".to_owned())], "or GPD would make it a draft");
    let want = json!({
        "iupd": "IUPD-1", "companyName": "Comune di Esempio", "officeName": "Tributi",
        "paymentOption": [{
            "switchToExpired": false, "validityDate": "2026-01-07T08:00:00Z",
            "debtor": { "type": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Mario", "city": "Esempio" },
            "installments": [{
                "nav": NAV, "iuv": "02000000000000184", "amount": 17_300, "description": "Verbale 12/2026", "dueDate": "2027-01-15T22:59:59Z",
                "installmentMetadata": [{ "key": "targa", "value": "AA000AA" }],
                "transfer": [{
                    "organizationFiscalCode": "01234567890", "companyName": "Comune di Esempio", "idTransfer": "1", "amount": 17_300,
                    "remittanceInformation": "Verbale 12/2026", "category": "9/0301105TS/", "iban": "IT60X0542811101000000123456",
                    "transferMetadata": [],
                }],
            }],
        }],
    });
    assert_eq!(ask.body, Some(("application/json", want)));
    let draft = with(v3(), &[("/status", json!("DRAFT"))]);
    assert!(rewritten(V3, draft.to_string().as_bytes(), &asked(), &change(1, 0, None)).unwrap().query.is_empty(), "a draft stays one");
}

#[test]
fn the_last_day_of_retention_follows() {
    let day = Some("2027-01-15".parse().unwrap());
    let value = with(v3(), &[("/paymentOption/0/retentionDate", json!("2026-12-31T22:59:59Z"))]);
    let ask = rewritten(V3, value.to_string().as_bytes(), &asked(), &Change { due_date: day, ..change(9_000, 0, None) }).unwrap();
    assert_eq!(ask.body.unwrap().1["paymentOption"][0]["retentionDate"], "2027-01-15T22:59:59Z");
    let ask = rewritten(V1, v1().to_string().as_bytes(), &asked(), &Change { due_date: day, ..change(9_000, 0, None) }).unwrap();
    assert_eq!(ask.body.unwrap().1["paymentOption"][0]["retentionDate"], "2027-01-15T22:59:59Z");
}

#[test]
fn v1_wants_the_debtor_of_the_act() {
    let ask = rewritten(V1, v1().to_string().as_bytes(), &asked(), &change(9_000, 0, None)).unwrap();
    let body = ask.body.unwrap().1;
    for (name, want) in
        [("type", "F"), ("fiscalCode", "RSSMRA80A01H501U"), ("fullName", "Rossi Mario"), ("companyName", "Comune di Esempio")]
    {
        assert_eq!(body[name], want, "{name}");
    }
    assert_eq!((&body["switchToExpired"], &body["paymentOption"][0]["amount"]), (&json!(false), &json!(9_000)));
    assert_eq!(body["paymentOption"][0]["transfer"][0]["amount"], 9_000);
    let nobody = Asked { payers: Vec::new(), ..asked() };
    assert_eq!(rewritten(V1, v1().to_string().as_bytes(), &nobody, &change(9_000, 0, None)), Err(refused(code::DEBTOR)));
    let firm = with(v1(), &[("/type", json!("G"))]);
    assert_eq!(rewritten(V1, firm.to_string().as_bytes(), &asked(), &change(9_000, 0, None)), Err(refused(code::DEBTOR)));
}

#[test]
fn transfers_sum_up_or_nothing_is_written() {
    let province = json!({
        "organizationFiscalCode": "09876543210", "idTransfer": "2", "amount": 500, "remittanceInformation": "TEFA", "category": "9/0101100IM/",
        "iban": "IT60X0542811101000000654321",
    });
    let plain =
        with(v3(), &[(&at("notificationFee"), json!(0)), (&at("amount"), json!(10_000)), (&at("transfer/0/amount"), json!(10_000))]);
    let mut shared = with(plain.clone(), &[(&at("amount"), json!(10_500))]);
    shared.pointer_mut(&at("transfer")).unwrap().as_array_mut().unwrap().push(province);
    let parts = |value: &Value, change: &Change| {
        rewritten(V3, value.to_string().as_bytes(), &asked(), change).map(|ask| {
            let list = ask.body.unwrap().1.pointer(&at("transfer")).unwrap().as_array().unwrap().clone();
            list.iter().map(|t| (t["idTransfer"].as_str().unwrap().to_owned(), t["amount"].as_i64().unwrap())).collect::<Vec<_>>()
        })
    };
    let is = |list: &[(&str, i64)]| Ok(list.iter().map(|(name, amount)| ((*name).to_owned(), *amount)).collect::<Vec<_>>());
    let table = [
        ("no place", &plain, change(10_747, 747, None), is(&[("1", 10_747)])),
        ("a place of its own", &plain, change(10_747, 747, Some("2")), is(&[("1", 10_000), ("2", 747)])),
        ("no such place in GPD", &plain, change(10_747, 747, Some("SPESE")), Err(refused(code::PARTS))),
        ("beside the province", &shared, change(11_247, 747, Some("3")), is(&[("1", 10_000), ("2", 500), ("3", 747)])),
        ("a raise beside the province", &shared, change(12_247, 747, Some("3")), Err(refused(code::PARTS))),
        ("twice the cost", &v3(), change(10_747, 747, None), Err(refused(code::COST_TWICE))),
    ];
    for (what, value, change, want) in table {
        assert_eq!(parts(value, &change), want, "{what}");
    }
    let table = [("PAID", "PAID", "PAGATA"), ("PAID", "UNPAID", "PAGATA_CON_ALTRO_AVVISO"), ("UNPAYABLE", "UNPAYABLE", "ANNULLATA")];
    for (position, unit, code) in table {
        let value = with(v3(), &[("/status", json!(position)), (&at("status"), json!(unit))]);
        assert_eq!(parts(&value, &change(9_000, 0, None)), Err(ConnectorError::Conflict(problem(0, code))), "{position}");
    }
}

#[test]
fn paid_with_another_notice_there_is_no_payment_and_a_position_without_the_notice_is_of_another() {
    let mut paid = with(v3(), &[("/status", json!("PAID"))]);
    paid["paymentDate"] = json!("2026-06-06T10:00:00Z");
    assert_eq!(read(V3, &paid).unwrap().payment, None, "whoever paid did not pay with this one");
    let other = with(v3(), &[(&at("nav"), json!("302000000000000285"))]);
    assert_eq!(read(V3, &other), Err(rest::other_notice()));
    assert_eq!(rewritten(V3, other.to_string().as_bytes(), &asked(), &change(9_000, 0, None)).map(drop), Err(rest::other_notice()));
}

#[test]
fn the_other_notices_of_a_position_stay_as_they_are() {
    let mut value = v3();
    let mut second = value.pointer(UNIT).unwrap().clone();
    second["nav"] = json!("302000000000000285");
    second["iuv"] = json!("02000000000000285");
    value.pointer_mut("/paymentOption/0/installments").unwrap().as_array_mut().unwrap().push(second);
    let body = rewritten(V3, value.to_string().as_bytes(), &asked(), &change(9_000, 0, None)).unwrap().body.unwrap().1;
    let amounts: Vec<i64> = (0..2).map(|i| body["paymentOption"][0]["installments"][i]["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [9_000, 10_000]);
    assert_eq!(cancellation(V3, value.to_string().as_bytes(), &asked()), Err(refused(code::OTHER_NOTICES)), "cancel");
    let both = with(value, &[("/paymentOption/0/installments/1/nav", json!(NAV))]);
    assert!(matches!(read(V3, &both), Err(ConnectorError::Protocol { .. })));
}

#[test]
fn cancels_as_each_edition_does() {
    let say = |edition, value: &Value| {
        let ask = cancellation(edition, value.to_string().as_bytes(), &asked());
        ask.map(|ask| ask.map_or("nothing".to_owned(), |ask| format!("{} {}", ask.method, ask.path.join("/"))))
    };
    let path = "organizations/01234567890/debtpositions/IUPD-1";
    assert_eq!(say(V3, &v3()), Ok(format!("DELETE {path}")));
    assert_eq!(say(V1, &v1()), Ok(format!("POST {path}/invalidate")));
    assert_eq!(say(V1, &with(v1(), &[("/status", json!("DRAFT"))])), Ok(format!("DELETE {path}")));
    assert_eq!(say(V1, &with(v1(), &[("/status", json!("INVALID"))])), Ok("nothing".to_owned()), "it is already");
    let paid = with(v1(), &[("/paymentOption/0/status", json!("PO_PAID"))]);
    assert_eq!(say(V1, &paid), Err(ConnectorError::Conflict(problem(0, "PAGATA"))));
}

#[test]
fn an_answer_of_a_write_that_says_nothing_leaves_a_doubt() {
    assert_eq!(written(br#"{"iupd":"IUPD-1"}"#, &asked()), Ok(()));
    for body in [&b"{}"[..], b"<html>", b"{\"iupd\":\"IUPD-2\"}"] {
        assert!(matches!(written(body, &asked()), Err(ConnectorError::Uncertain { .. })), "{body:?}");
    }
}
