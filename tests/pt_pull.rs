//! Citizens who pay at PTs that ask messo for the amount: the simulators of GovPay and PU call the real binary, write its answer with
//! their own checks, and tell it of the payment; every exchange is held against the official specification.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[allow(dead_code, reason = "another test has the rest of the house")]
#[path = "rest/house.rs"]
mod house;

use std::time::Duration;

use common::office::{Row, Simulator, batch, shared_clock};
use common::{ContractProxy, shared_dir, wait_for};
use house::{AMOUNT, Answer, ENTE, PASSWORD, USER, World, notice};
use serde_json::{Value, json};

/// Places in [`house::NAMES`].
const UNITARIA: usize = 1;
const GOVPAY: usize = 3;
const LIMIT: Duration = Duration::from_secs(60);
/// SEND's own price of a digital recipient, with what the ente adds.
const COST: i64 = 200;
/// By the rule: reduced, whole, late.
const SUMS: [i64; 3] = [AMOUNT * 70 / 100, AMOUNT, AMOUNT * 150 / 100];

/// A debt at a PT.
fn debt(pt: usize, number: u64, state: &str, more: &Value) -> Value {
    json!({
        "creditor": ENTE, "notice": notice(pt, number), "position_id": format!("POS-{pt}-{number}"), "amount": AMOUNT, "state": state,
        "due_date": "2099-12-31", "payer_tax_id": "RSSMRA80A01H501U", "payer_name": "Mario Rossi", "remittance": "Verbale", "due_type": "CDS",
        "more": more,
    })
}

/// What GovPay holds beside the sums; its copy is no longer valid, so it asks.
fn held(voci: &[(&str, i64)]) -> Value {
    let voce = |(id, amount): &(&str, i64)| json!({ "idVocePendenza": id, "importo": *amount as f64 / 100.0, "descrizione": "Sanzione e spese", "codEntrata": "SANZIONI" });
    json!({
        "idTipoPendenza": "VERBALI", "causale": "Verbale 12/2026", "dataValidita": "2020-01-01", "annoRiferimento": 2026,
        "soggettoPagatore": { "tipo": "F", "identificativo": "RSSMRA80A01H501U", "anagrafica": "Mario Rossi", "email": "mario.rossi@example.it" },
        "voci": voci.iter().map(voce).collect::<Vec<_>>(),
    })
}

/// Where PU calls, and what it shows.
fn pu(price: &str, event: &str, token: &str) -> Value {
    json!({ "price_url": format!("{price}/amount-update"), "notification_url": format!("{event}/payment-notification"), "token": token,
        "signature": "non.verificata.qui" })
}

/// An act with one notice.
fn row(pt: usize, number: u64, due_type: &str) -> Row {
    Row::new(ENTE, &format!("ATTO-{pt}-{number}"))
        .with("pec", "visione@pec.it")
        .with("importo", "100,00")
        .with("avviso_numero_1", &notice(pt, number))
        .with("avviso_creditore_1", ENTE)
        .with("avviso_applica_costi_1", "SI")
        .with("posizione_id", &format!("POS-{pt}-{number}"))
        .with("tipo_dovuto", due_type)
}

trait Citizen {
    fn owes(&self, debt: &Value);
    fn deposits(&self, rows: &[Row]);
    fn told(&self, pt: &str, outward: &Value);
    fn pays(&self, pt: &str, notice: &str) -> Answer;
    fn holds(&self, notice: &str) -> Value;
    fn known(&self, notice: &str) -> Value;
}

impl Citizen for World {
    fn owes(&self, debt: &Value) {
        self.debts.put(serde_json::from_value(debt.clone()).unwrap());
    }

    fn deposits(&self, rows: &[Row]) {
        self.office.answered("polizia", "multe", "multe.zip", &batch(rows), "PRESA_IN_CARICO", &[]);
    }

    /// A simulator is told where messo answers.
    fn told(&self, pt: &str, outward: &Value) {
        assert_eq!(self.post(&self.pts(), &format!("/{pt}/_config"), None, outward).status, 204);
    }

    fn pays(&self, pt: &str, notice: &str) -> Answer {
        self.post(&self.pts(), &format!("/{pt}/_pay"), None, &json!({ "creditor": ENTE, "notice": notice }))
    }

    fn holds(&self, notice: &str) -> Value {
        serde_json::to_value(self.debts.get(ENTE, notice).unwrap()).unwrap()
    }

    fn known(&self, notice: &str) -> Value {
        self.office.ask(&["posizione", "show", ENTE, notice])
    }
}

/// messo's answer to GovPay: sum of the voci by id, once it has the price of SEND in it.
fn price(world: &World, notice: &str) -> Option<i64> {
    let answer = world.get(&world.url(), &format!("/pt/govpay/avvisi/{ENTE}/{notice}"));
    let total = (answer.json()["pendenza"]["importo"].as_f64()? * 100.0).round() as i64;
    (!SUMS.contains(&total)).then_some(total)
}

fn ids(held: &Value) -> Vec<String> {
    held["more"]["voci"].as_array().unwrap().iter().map(|voce| voce["idVocePendenza"].as_str().unwrap().to_owned()).collect()
}

/// Where the simulators call: messo, behind the judge of a specification when it is here.
fn door(world: &World, specification: &str, base: &'static str) -> (String, Option<ContractProxy>) {
    let spec = shared_dir().map(|shared| shared.join("reference/pt").join(specification));
    let proxy = spec.and_then(|spec| ContractProxy::start_with(world.rest, Some((spec, base))));
    (format!("{}{base}", proxy.as_ref().map_or_else(|| world.url(), ContractProxy::url)), proxy)
}

#[test]
fn what_govpay_holds_is_given_back_with_the_cost_and_the_citizen_pays() {
    // A day in eight seconds.
    let clock = shared_clock(10_800);
    let send = Simulator::start(&clock, "");
    let mut world = World::new(&clock, &send.url(), "");
    let code = |number| notice(GOVPAY, number);
    let two = |second: &str, amount: i64| held(&[("VERB-12", AMOUNT - amount), (second, amount)]);
    world.owes(&debt(GOVPAY, 1, "unpaid", &held(&[("VERB-12", AMOUNT)])));
    world.owes(&debt(GOVPAY, 2, "unpaid", &two("SPESE", 0)));
    world.owes(&debt(GOVPAY, 3, "unpaid", &two("V2", 4_000)));
    world.office.start();
    // The last two are in messo alone, and only one says of which kind it is.
    world.deposits(&[row(GOVPAY, 1, ""), row(GOVPAY, 2, ""), row(GOVPAY, 3, ""), row(GOVPAY, 4, "CDS"), row(GOVPAY, 5, "")]);
    let (url, proxy) = door(&world, "govpay/ec-v2/govpay-api-ec.yaml", "/pt/govpay");
    world.told("govpay", &json!({ "url": url, "username": USER, "password": PASSWORD }));
    // Found out on arrival, before any citizen pays.
    for (number, want) in [(3, "IMPORTO_NON_RIPARTIBILE"), (5, "POSIZIONE_NON_DESCRITTA")] {
        let line = world.office.wait_line("polizia", &format!("ATTO-{GOVPAY}-{number}"), want, |line| line["evento"] == "POSIZIONE_FERMA");
        assert_eq!(line["codice"], want, "{line:?}");
    }
    for number in [1, 2, 4] {
        wait_for("the price of SEND", LIMIT, || price(&world, &code(number)));
        let answer = world.pays("govpay", &code(number));
        let said = answer.json();
        assert_eq!((answer.status, &said["asked"], &said["pushed"]), (200, &json!(true), &json!(201)), "{number}: {said}");
        let amount = said["amount"].as_i64().unwrap();
        assert!(SUMS.contains(&(amount - COST)), "{number}: {amount}");
        let holds = world.holds(&code(number));
        let (voci, more) = (ids(&holds), &holds["more"]);
        let voce = |index: usize| (more["voci"][index]["importo"].as_f64().unwrap() * 100.0).round() as i64;
        match number {
            1 => assert_eq!((voci.as_slice(), voce(0)), (&["VERB-12".to_owned()][..], amount)),
            2 => assert_eq!((voci.as_slice(), voce(0), voce(1)), (&["VERB-12".to_owned(), "SPESE".to_owned()][..], amount - COST, COST)),
            _ => assert_eq!((voci.as_slice(), voce(0), &holds["position_id"]), (&["1".to_owned()][..], amount, &json!("POS-3-4"))),
        }
        if number != 4 {
            // Nothing else of it is lost.
            assert_eq!(
                (&more["idTipoPendenza"], &more["causale"], &more["annoRiferimento"]),
                (&json!("VERBALI"), &json!("Verbale 12/2026"), &json!(2026))
            );
            assert_eq!(more["soggettoPagatore"]["email"], "mario.rossi@example.it");
            assert_eq!(holds["due_date"], "2099-12-31");
        }
        let known = world.known(&code(number));
        assert_eq!((&known["position"]["state"], known["payments"].as_array().unwrap().len()), (&json!("PAGATA"), 1), "{known}");
        let again = world.pays("govpay", &code(number));
        assert_eq!((again.status, &again.json()["code"]), (409, &json!("PAA_PAGAMENTO_DUPLICATO")));
    }
    // What nobody can share out, or describe, is not asked wrongly.
    for number in [3, 5] {
        let answer = world.pays("govpay", &code(number));
        assert_eq!((answer.status, &answer.json()["code"]), (409, &json!("PAA_SYSTEM_ERROR")), "{number}");
    }
    assert!(!world.office.alerted("PAGATO_DUE_VOLTE"));
    assert!(!world.office.alerted("PAGATO_IMPORTO_DIVERSO"));
    if let Some(proxy) = proxy {
        proxy.stop().assert_clean(&["getAvviso", "notificaRicevuta"]);
    }
    world.office.stop();
}

#[test]
fn pu_asks_the_price_and_tells_the_payment() {
    let clock = shared_clock(10_800);
    let send = Simulator::start(&clock, "");
    let mut world = World::new(&clock, &send.url(), "");
    world.owes(&debt(UNITARIA, 1, "unpaid", &Value::Null));
    world.owes(&debt(UNITARIA, 2, "unpaid", &Value::Null));
    world.office.start();
    world.deposits(&[row(UNITARIA, 1, "CDS"), row(UNITARIA, 2, "CDS")]);
    for number in [1, 2] {
        wait_for("the price of SEND", LIMIT, || {
            let answer = world.native(&format!("{}/pt/unitaria", world.url()), ENTE, &notice(UNITARIA, number));
            (answer.status == 200).then_some(())
        });
    }
    let (price, asked) = door(&world, "p4pa/p4pa-pu-sil.actualization.openapi.yaml", "/pt/unitaria");
    let (event, told) = door(&world, "p4pa/p4pa-pu-sil.payment-notification.openapi.yaml", "/pt/unitaria");
    world.told("pu", &pu(&price, &event, PASSWORD));
    let mut paid = Value::Null;
    for number in [1, 2] {
        paid = world.pays("pu", &notice(UNITARIA, number)).json();
        assert_eq!((&paid["outcome"], &paid["price"], &paid["pushed"]), (&json!("OK"), &json!("told"), &json!(200)), "{paid}");
        let amount = paid["amount"].as_i64().unwrap();
        assert!(SUMS.contains(&(amount - COST)), "{number}: {amount}");
    }
    for (proxy, operation) in [(asked, "actualization"), (told, "payment-notification")] {
        if let Some(proxy) = proxy {
            proxy.stop().assert_clean(&[operation]);
        }
    }
    let known = world.known(&notice(UNITARIA, 2));
    assert_eq!((&known["position"]["state"], &known["position"]["paid"]), (&json!("PAGATA"), &paid["amount"]), "{known}");
    world.office.stop();
}

/// PU's own ZIP has no IUD: the act goes to SEND all the same, and PU, which asks, is told the price.
#[test]
fn an_act_of_pu_without_the_id_of_its_position_is_served_and_priced() {
    let clock = shared_clock(10_800);
    let send = Simulator::start(&clock, "");
    let mut world = World::new(&clock, &send.url(), "");
    let flow = world.office.dir().join("flussi/multe.toml");
    let text = std::fs::read_to_string(&flow).unwrap();
    assert!(text.contains("verify = \"ignore\""));
    std::fs::write(&flow, text.replace("verify = \"ignore\"", "verify = \"refuse\"")).unwrap();
    world.owes(&debt(UNITARIA, 1, "unpaid", &Value::Null));
    world.office.start();
    world.deposits(&[row(UNITARIA, 1, "CDS").with("posizione_id", ""), row(UNITARIA, 2, "CDS").with("posizione_id", "")]);
    let refused = world.office.wait_state("polizia", "ATTO-1-2", "RIFIUTATO");
    assert_eq!(refused["codice"], "IUV_SCONOSCIUTO", "the notice itself is still looked for");
    wait_for("the price of SEND", LIMIT, || {
        let answer = world.native(&format!("{}/pt/unitaria", world.url()), ENTE, &notice(UNITARIA, 1));
        (answer.status == 200).then_some(())
    });
    world.told("pu", &pu(&format!("{}/pt/unitaria", world.url()), &format!("{}/pt/unitaria", world.url()), PASSWORD));
    let paid = world.pays("pu", &notice(UNITARIA, 1)).json();
    assert_eq!((&paid["outcome"], &paid["price"]), (&json!("OK"), &json!("told")), "{paid}");
    let amount = paid["amount"].as_i64().unwrap();
    assert!(SUMS.contains(&(amount - COST)), "{amount}");
    assert!(!world.office.alerted("ID_POSIZIONE_MANCANTE"));
    world.office.stop();
}

#[test]
fn before_send_has_it_what_the_position_asks_is_paid_and_what_is_over_is_not() {
    // Nobody is there: acts wait for SEND.
    let mut world = World::new("1", "http://127.0.0.1:9", "");
    world.owes(&debt(GOVPAY, 1, "unpaid", &held(&[("VERB-12", AMOUNT)])));
    world.owes(&debt(GOVPAY, 2, "expired", &held(&[("VERB-12", AMOUNT)])));
    world.owes(&debt(GOVPAY, 3, "cancelled", &held(&[("VERB-12", AMOUNT)])));
    world.owes(&debt(UNITARIA, 1, "unpaid", &Value::Null));
    world.owes(&debt(UNITARIA, 2, "unpaid", &Value::Null));
    world.owes(&debt(UNITARIA, 3, "expired", &Value::Null));
    world.office.start();
    world.deposits(&[
        row(UNITARIA, 3, "CDS"),
        row(GOVPAY, 1, "CDS"),
        row(GOVPAY, 2, "CDS"),
        row(GOVPAY, 3, "CDS"),
        row(UNITARIA, 1, "CDS"),
        row(UNITARIA, 2, "CDS"),
    ]);
    let url = |pt: &str| format!("{}/pt/{pt}", world.url());
    world.told("govpay", &json!({ "url": url("govpay"), "username": USER, "password": PASSWORD }));
    // Expired is not cancelled.
    for (number, stato, code) in [(2, "SCADUTA", "PAA_PAGAMENTO_SCADUTO"), (3, "ANNULLATA", "PAA_PAGAMENTO_ANNULLATO")] {
        let answer = wait_for("the PT was asked", LIMIT, || {
            let said = world.get(&world.url(), &format!("/pt/govpay/avvisi/{ENTE}/{}", notice(GOVPAY, number))).json();
            // Until the position was asked for it is unknown, or cannot be told yet (no `stato` at all).
            said["stato"].as_str().is_some_and(|stato| !matches!(stato, "NON_ESEGUITA" | "SCONOSCIUTA")).then_some(said)
        });
        assert_eq!((&answer["stato"], &answer["pendenza"]), (&json!(stato), &Value::Null), "{answer}");
        let refused = world.pays("govpay", &notice(GOVPAY, number));
        assert_eq!((refused.status, &refused.json()["code"]), (409, &json!(code)), "{number}");
    }
    // PU asks while somebody pays: that it had expired when it was read refuses nothing.
    world.office.wait_line("polizia", &format!("ATTO-{UNITARIA}-3"), "it had expired", |line| line["codice"] == "POSIZIONE_SCADUTA");
    let said = world.native(&url("unitaria"), ENTE, &notice(UNITARIA, 3));
    assert_eq!((said.status, &said.json()["code"]), (409, &json!("NOTICE_NOT_NOTIFIED")));
    wait_for("the first step of its rule", LIMIT, || {
        let said = world.get(&world.url(), &format!("/pt/govpay/avvisi/{ENTE}/{}", notice(GOVPAY, 1))).json();
        (said["pendenza"]["importo"] == 70.0).then_some(())
    });
    let paid = world.pays("govpay", &notice(GOVPAY, 1)).json();
    assert_eq!((&paid["amount"], &paid["pushed"]), (&json!(SUMS[0]), &json!(201)), "{paid}");
    assert_eq!(ids(&world.holds(&notice(GOVPAY, 1))), ["VERB-12"]);
    // PU goes on with its own amount, whatever the reason: not notified, not let in.
    for (number, token, why, pushed) in [(1, PASSWORD, "NOTICE_NOT_NOTIFIED", 200), (2, "sbagliata", "UNAUTHORIZED", 401)] {
        world.told("pu", &pu(&url("unitaria"), &url("unitaria"), token));
        let paid = world.pays("pu", &notice(UNITARIA, number)).json();
        assert_eq!((&paid["amount"], &paid["price"], &paid["pushed"]), (&json!(AMOUNT), &json!(why), &json!(pushed)), "{paid}");
    }
    world.office.stop();
}
