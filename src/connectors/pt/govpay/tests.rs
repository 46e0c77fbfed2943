//! Exchanges with GovPay, as its interface shows them; the people are invented.

use super::*;
use crate::connectors::pt::call::problem;
use crate::domain::act::PositionData;
use crate::domain::position::Payer;

const NAV: &str = "302000000000000184";

fn asked() -> Asked {
    Asked { creditor: "01234567890".to_owned(), notice: NAV.to_owned(), data: PositionData::default(), payers: Vec::new() }
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

fn pendenza_told() -> Value {
    json!({
        "idA2A": "VERBALI", "idPendenza": "P-1", "idTipoPendenza": "CDS", "tipo": "dovuto", "UUID": "x", "stato": "NON_ESEGUITA",
        "dominio": { "idDominio": "01234567890", "ragioneSociale": "Comune di Esempio" },
        "unitaOperativa": { "idUnita": "UO1", "ragioneSociale": "Polizia locale" },
        "causale": "Verbale 12/2026", "soggettoPagatore": { "tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Rossi Mario" },
        "importo": 173.1, "numeroAvviso": NAV, "iuvAvviso": "02000000000000184", "dataCaricamento": "2026-01-07", "dataScadenza": "2026-12-31",
        "annoRiferimento": 2026, "datiAllegati": { "targa": "AA000AA" }, "rpp": [],
        "voci": [{
            "idVocePendenza": "V1", "importo": 173.1, "descrizione": "Sanzione", "indice": 1, "stato": "Non eseguito", "codEntrata": "CDS",
            "contabilita": { "quote": [{ "capitolo": "3010", "annoEsercizio": 2026, "importo": 173.1 }] },
        }],
    })
}

fn two_voci() -> Value {
    let mut value = pendenza_told();
    value["importo"] = json!(178.1);
    let second = json!({ "idVocePendenza": "SPESE", "importo": 5, "descrizione": "Spese", "indice": 2, "stato": "Non eseguito", "codEntrata": "SPESE" });
    value["voci"].as_array_mut().unwrap().push(second);
    value
}

fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, new) in changes {
        *value.pointer_mut(pointer).unwrap_or_else(|| panic!("{pointer}")) = new.clone();
    }
    value
}

fn read(value: &Value) -> Result<Held, ConnectorError> {
    held(value.to_string().as_bytes(), &asked())
}

fn write(value: &Value, change: &Change) -> Result<Ask, ConnectorError> {
    rewritten(value.to_string().as_bytes(), &asked(), change)
}

#[test]
fn asks_by_notice() {
    let ask = pendenza(&asked());
    assert_eq!((ask.method.as_str(), ask.path.join("/")), ("GET", format!("pendenze/byAvviso/01234567890/{NAV}")));
}

#[test]
fn knows_every_state() {
    use HeldState as H;
    let table = [
        ("NON_ESEGUITA", Some(H::Payable)),
        ("ESEGUITA", Some(H::Paid)),
        ("INCASSATA", Some(H::Paid)),
        ("ESEGUITA_PARZIALE", Some(H::BeingPaid)),
        ("ANOMALA", Some(H::BeingPaid)),
        ("ANNULLATA", Some(H::Cancelled)),
        ("SCADUTA", Some(H::Expired)),
        ("DUPLICATA", None),
        ("", None),
    ];
    for (word, want) in table {
        let got = read(&with(pendenza_told(), &[("/stato", json!(word))])).map(|held| held.state);
        match want {
            Some(state) => assert_eq!(got, Ok(state), "{word}"),
            None => assert!(matches!(got, Err(ConnectorError::Protocol { .. })), "{word}: {got:?}"),
        }
    }
    let held = read(&pendenza_told()).unwrap();
    assert_eq!((held.amount, held.fee, held.position_id.as_deref()), (Some(Cents(17_310)), None, Some("P-1")));
    assert_eq!(held.due_date.unwrap().to_string(), "2026-12-31");
}

#[test]
fn a_payment_is_told_by_either_receipt_or_by_its_day() {
    let mut paid = with(pendenza_told(), &[("/stato", json!("ESEGUITA"))]);
    paid["dataPagamento"] = json!("2026-02-03");
    paid["iuvPagamento"] = json!("02000000000000184");
    let seen = |value: &Value| {
        let seen = read(value).unwrap().payment.unwrap();
        (seen.paid_at.to_string(), seen.amount.get(), seen.receipt.unwrap_or_default())
    };
    assert_eq!(seen(&paid), ("2026-02-02T23:00:00Z".to_owned(), 17_310, String::new()), "the IUV names no payment");
    let new = json!([{ "stato": "RT_ACCETTATA_PA", "rt": { "receipt": { "receiptId": "r1", "paymentAmount": "173.10", "paymentDateTime": "2026-02-03T10:00:00Z" } } }]);
    assert_eq!(seen(&with(paid.clone(), &[("/rpp", new)])), ("2026-02-03T10:00:00Z".to_owned(), 17_310, "r1".to_owned()));
    let old = json!([{ "rt": {
        "dataOraMessaggioRicevuta": "2026-02-03T11:00:00",
        "datiPagamento": { "importoTotalePagato": "100.00", "datiSingoloPagamento": [{ "identificativoUnivocoRiscossione": "iur" }] },
    } }]);
    assert_eq!(seen(&with(paid.clone(), &[("/rpp", old.clone())])), ("2026-02-03T11:00:00Z".to_owned(), 10_000, "iur".to_owned()));
    // As `PUT /ricevute` names it, and never by a word for nothing.
    for (ccp, want) in [("840596274", "840596274"), ("n/a", "iur")] {
        let mut old = old.clone();
        old[0]["rt"]["datiPagamento"]["CodiceContestoPagamento"] = json!(ccp);
        assert_eq!(seen(&with(paid.clone(), &[("/rpp", old)])).2, want, "{ccp}");
    }
}

#[test]
fn what_is_about_something_else_is_never_used() {
    let table = [
        ("/numeroAvviso", json!("302000000000000285")),
        ("/dominio/idDominio", json!("09876543210")),
        ("/dominio", json!(null)),
        ("/importo", json!("173,10")),
    ];
    for (pointer, new) in table {
        let value = with(pendenza_told(), &[(pointer, new)]);
        assert!(matches!(read(&value), Err(ConnectorError::Protocol { .. })), "{pointer}");
    }
    assert_eq!(written(format!(r#"{{"idDominio":"01234567890","numeroAvviso":"{NAV}"}}"#).as_bytes(), &asked()), Ok(()));
    let other = br#"{"idDominio":"01234567890","numeroAvviso":"302000000000000285"}"#;
    assert!(matches!(written(other, &asked()), Err(ConnectorError::Protocol { .. })));
    assert!(matches!(written(b"<html>", &asked()), Err(ConnectorError::Uncertain { .. })));
}

#[test]
fn the_whole_pendenza_goes_back() {
    let changed = Change { due_date: Some("2027-01-15".parse().unwrap()), ..change(25_450, 747, None) };
    let ask = write(&pendenza_told(), &changed).unwrap();
    assert_eq!((ask.method.as_str(), ask.path.join("/"), ask.query.len()), ("PUT", "pendenze/VERBALI/P-1".to_owned(), 0));
    let want = json!({
        "idTipoPendenza": "CDS", "idDominio": "01234567890", "idUnitaOperativa": "UO1", "causale": "Verbale 12/2026",
        "soggettoPagatore": { "tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Rossi Mario" }, "importo": 254.5,
        "numeroAvviso": NAV, "dataScadenza": "2027-01-15", "annoRiferimento": 2026, "datiAllegati": { "targa": "AA000AA" },
        "voci": [{
            "idVocePendenza": "V1", "importo": 254.5, "descrizione": "Sanzione", "codEntrata": "CDS",
            "contabilita": { "quote": [{ "capitolo": "3010", "annoEsercizio": 2026, "importo": 254.5 }] },
        }],
    });
    assert_eq!(ask.body, Some(("application/json", want)));
}

#[test]
fn voci_sum_up_or_nothing_is_written() {
    let amounts = |value: &Value, change: &Change| {
        write(value, change).map(|ask| {
            let body = ask.body.unwrap().1;
            let voci: Vec<f64> = body["voci"].as_array().unwrap().iter().map(|voce| voce["importo"].as_f64().unwrap()).collect();
            (body["importo"].as_f64().unwrap(), voci)
        })
    };
    let elsewhere = {
        let mut value = two_voci();
        value["voci"][1]["dominio"] = json!({ "idDominio": "09876543210", "ragioneSociale": "Provincia" });
        value
    };
    let chapters = {
        let mut value = pendenza_told();
        value["voci"][0]["contabilita"]["quote"]
            .as_array_mut()
            .unwrap()
            .push(json!({ "capitolo": "3020", "annoEsercizio": 2026, "importo": 0 }));
        value
    };
    let parts = || Err(refused(code::PARTS));
    let table = [
        ("one voce", pendenza_told(), change(18_057, 747, None), Ok((180.57, vec![180.57]))),
        ("the voce of the cost", two_voci(), change(18_057, 747, Some("SPESE")), Ok((180.57, vec![173.1, 7.47]))),
        ("no cost any more", two_voci(), change(17_310, 0, Some("SPESE")), Ok((173.1, vec![173.1, 0.0]))),
        ("a voce that is not there", pendenza_told(), change(18_057, 747, Some("SPESE")), parts()),
        ("two voci and no place", two_voci(), change(18_057, 747, None), parts()),
        ("a raise beside another ente", elsewhere, change(20_000, 0, None), parts()),
        ("chapters that nobody can share", chapters, change(18_057, 747, None), parts()),
    ];
    for (what, value, change, want) in table {
        assert_eq!(amounts(&value, &change), want, "{what}");
    }
}

#[test]
fn what_may_not_be_touched_is_not() {
    for (word, code) in [("ESEGUITA", "PAGATA"), ("ANOMALA", "IN_PAGAMENTO"), ("ANNULLATA", "ANNULLATA")] {
        let value = with(pendenza_told(), &[("/stato", json!(word))]);
        let want = ConnectorError::Conflict(problem(0, code));
        assert_eq!(write(&value, &change(1_000, 0, None)), Err(want.clone()), "{word}");
        let cancelled = cancellation(value.to_string().as_bytes(), &asked());
        assert_eq!(cancelled, if word == "ANNULLATA" { Ok(None) } else { Err(want) }, "{word}");
    }
    let mut value = pendenza_told();
    value["allegati"] = json!([{ "nome": "a.pdf", "contenuto": "/allegati/1" }]);
    assert_eq!(write(&value, &change(1_000, 0, None)), Err(refused(code::NOT_REWRITABLE)));
}

#[test]
fn cancels_by_patch() {
    let ask = cancellation(pendenza_told().to_string().as_bytes(), &asked()).unwrap().unwrap();
    assert_eq!((ask.method.as_str(), ask.path.join("/")), ("PATCH", "pendenze/VERBALI/P-1".to_owned()));
    let want = json!([{ "op": "REPLACE", "path": "/stato", "value": "ANNULLATA" }]);
    assert_eq!(ask.body, Some(("application/json-patch+json", want)));
}

fn given(kept: Option<&Value>, asked: &Asked, change: &Change) -> Result<Value, &'static str> {
    let kept = kept.map(|value| held(value.to_string().as_bytes(), asked).unwrap().whole.unwrap());
    whole(kept.as_deref(), asked, Some("VERBALI"), change)
}

#[test]
fn what_it_held_is_given_back_when_it_asks() {
    let mut told = pendenza_told();
    told["dataValidita"] = json!("2026-01-31");
    told["tassonomiaAvviso"] = json!("Sanzioni");
    let due = |day: &str| Change { due_date: Some(day.parse().unwrap()), ..change(25_450, 747, Some("SPESE")) };
    let want = json!({
        "idA2A": "VERBALI", "idPendenza": "P-1", "idTipoPendenza": "CDS", "idDominio": "01234567890", "idUnitaOperativa": "UO1",
        "causale": "Verbale 12/2026", "soggettoPagatore": { "tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Rossi Mario" },
        "importo": 254.5, "numeroAvviso": NAV, "dataScadenza": "2027-01-15", "annoRiferimento": 2026, "datiAllegati": { "targa": "AA000AA" },
        "voci": [{
            "idVocePendenza": "V1", "importo": 254.5, "descrizione": "Sanzione", "codEntrata": "CDS",
            "contabilita": { "quote": [{ "capitolo": "3010", "annoEsercizio": 2026, "importo": 254.5 }] },
        }],
    });
    assert_eq!(given(Some(&told), &asked(), &due("2027-01-15")), Ok(want));
    let closes = |kept: &Value| given(Some(kept), &asked(), &due("2026-06-30")).unwrap()["dataScadenza"].clone();
    assert_eq!(closes(&told), "2026-12-31", "a term that ends before it closes changes nothing");
    told.as_object_mut().unwrap().remove("dataScadenza");
    assert_eq!(closes(&told), Value::Null, "it never closes");
    let iban = json!({ "idVocePendenza": "V1", "importo": 173.1, "descrizione": "Sanzione", "ibanAccredito": "IT60X0542811101000000123456",
        "tipoContabilita": "ALTRO", "codiceContabilita": "0101101IM/" });
    let answer = given(Some(&with(pendenza_told(), &[("/voci/0", iban)])), &asked(), &change(18_000, 0, None)).unwrap();
    let voce = answer["voci"][0].as_object().unwrap();
    assert_eq!((&voce["codiceTassonomicoPagoPA"], &voce["importo"]), (&json!("9/0101101IM/"), &json!(180.0)));
    assert!(!voce.contains_key("tipoContabilita") && !voce.contains_key("codiceContabilita"), "{voce:?}");
}

#[test]
fn its_voci_are_never_others_and_one_that_it_does_not_hold_has_always_the_same() {
    let voci = |kept: Option<&Value>, change: &Change| {
        let data = PositionData { due_type: Some("CDS".to_owned()), ..PositionData::default() };
        let payers = vec![Payer { natural: false, tax_id: "01234567897".to_owned(), denomination: "Ditta".to_owned() }];
        given(kept, &Asked { data, payers, ..asked() }, change).map(|answer| {
            let list = answer["voci"].as_array().unwrap().iter();
            list.map(|voce| (voce["idVocePendenza"].as_str().unwrap().to_owned(), voce["importo"].as_f64().unwrap())).collect::<Vec<_>>()
        })
    };
    let own = |list: &[(&str, f64)]| Ok(list.iter().map(|(id, amount)| ((*id).to_owned(), *amount)).collect());
    let table = [
        ("one voce", Some(pendenza_told()), change(18_057, 747, None), own(&[("V1", 180.57)])),
        ("the cost has no voce", Some(pendenza_told()), change(18_057, 747, Some("SPESE")), own(&[("V1", 180.57)])),
        ("the voce of the cost", Some(two_voci()), change(18_057, 747, Some("SPESE")), own(&[("V1", 173.1), ("SPESE", 7.47)])),
        ("nothing changes", Some(two_voci()), change(17_810, 0, None), own(&[("V1", 173.1), ("SPESE", 5.0)])),
        ("two voci and no place", Some(two_voci()), change(18_057, 747, None), Err(code::PARTS)),
        ("not held, before SEND has it", None, change(17_310, 0, Some("SPESE")), own(&[("1", 173.1)])),
        ("not held, with the cost", None, change(18_057, 747, Some("SPESE")), own(&[("1", 180.57)])),
    ];
    for (what, kept, change, want) in table {
        assert_eq!(voci(kept.as_ref(), &change), want, "{what}");
    }
}

#[test]
fn a_row_that_does_not_say_enough_is_found_out() {
    let payer = || vec![Payer { natural: true, tax_id: "RSSMRA80A01H501U".to_owned(), denomination: "Rossi Mario".to_owned() }];
    let with_type = |kind: Option<&str>, payers: Vec<Payer>| Asked {
        data: PositionData { due_type: kind.map(str::to_owned), ..PositionData::default() },
        payers,
        ..asked()
    };
    let long = "C".repeat(36);
    let table = [
        (with_type(Some("CDS"), payer()), true),
        (with_type(None, payer()), false),
        (with_type(Some("Codice della strada"), payer()), false),
        (with_type(Some(&long), payer()), false),
        (with_type(Some("CDS"), vec![]), false),
    ];
    for (asked, good) in table {
        let got = given(None, &asked, &change(17_310, 0, None));
        assert_eq!(got.as_ref().err(), (!good).then_some(&code::NOT_DESCRIBED), "{:?}", asked.data.due_type);
        // GovPay has it: the row need not say anything.
        assert!(given(Some(&pendenza_told()), &asked, &change(17_310, 0, None)).is_ok());
    }
}
