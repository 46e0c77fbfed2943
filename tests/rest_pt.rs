//! What partner tecnologici ask and tell, over HTTP, with the real binary: the price through the windows of its rule, payments, wrong
//! callers, hostile messages, TLS; and every exchange held against the official specification of its contract.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;
#[path = "rest/house.rs"]
mod house;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use common::office::{Simulator, shared_clock};
use common::{ContractProxy, require, shared_dir, wait_for};
use house::{
    AMOUNT, AUDIENCE, Answer, ENTE, NAMES, OTHER, PASSWORD, USER, World, asked_back_event, base64, expired_event, govpay_event,
    native_event, notice, older_receipt, piemonte_event, receipt, reference,
};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use messo::clock::monotonic;
use rustix::process::Signal;
use serde_json::{Value, json};

/// Places in [`NAMES`].
const VENETO: usize = 0;
const UNITARIA: usize = 1;
const PIEMONTE: usize = 2;
const GOVPAY: usize = 3;
const LIMIT: Duration = Duration::from_secs(180);

fn rome(at: Timestamp) -> Date {
    at.in_tz("Europe/Rome").unwrap().date()
}

/// What each PT is told to ask for its notice, cents, and the cost in it where it is told.
fn price(world: &World, token: &str, pt: usize, number: u64) -> Option<(i64, Option<i64>, Option<Date>)> {
    let code = notice(pt, number);
    let cents = |value: &Value| value.as_f64().map(|euro| (euro * 100.0).round() as i64);
    let day = |value: &Value| value.as_str().map(|text| text[..10].parse().unwrap());
    let url = world.url();
    match pt {
        VENETO => {
            let answer = world.legacy(&format!("{url}/pt/veneto/legacy"), token, ENTE, &code).json();
            let completed = day(&answer["dataPerfezionamentoDecorrenzaTermini"]);
            answer
                .get("codice")
                .is_none()
                .then(|| (answer["importoPosizione"].as_i64().unwrap(), answer["speseNotifica"].as_i64(), completed))
        }
        UNITARIA => {
            let answer = world.native(&format!("{url}/pt/unitaria"), ENTE, &code);
            let said = answer.json();
            (answer.status == 200)
                .then(|| (said["amountCents"].as_i64().unwrap(), said["notificationFeeCents"].as_i64(), day(&said["notificationDate"])))
        }
        PIEMONTE => {
            let answer = world.get(&url, &format!("/pt/piemonte/costo/{ENTE}/{}", &code[1..]));
            let said = answer.json();
            assert_eq!(said["code"], Value::Null, "{answer:?}");
            Some((cents(&said["importoTotale"]).unwrap(), None, None))
        }
        _ => {
            let answer = world.get(&url, &format!("/pt/govpay/avvisi/{ENTE}/{code}"));
            let said = answer.json();
            assert_eq!(said["stato"], "NON_ESEGUITA", "{answer:?}");
            let pending = &said["pendenza"];
            let lines: i64 = pending["voci"].as_array().unwrap().iter().map(|line| cents(&line["importo"]).unwrap()).sum();
            let total = cents(&pending["importo"]).unwrap();
            assert_eq!(lines, total, "the lines add up: {pending}");
            let cost = pending["voci"].get(1).and_then(|line| cents(&line["importo"]));
            Some((total, cost, None))
        }
    }
}

/// What the rule asks for on a day.
fn due(completed: Date, day: Date) -> i64 {
    let last = |days: i64| completed.checked_add(days.days()).unwrap();
    if day <= last(2) {
        AMOUNT * 70 / 100
    } else if day <= last(4) {
        AMOUNT
    } else {
        AMOUNT * 150 / 100
    }
}

#[test]
fn the_price_moves_with_its_windows_and_every_contract_is_kept() {
    // A day in four seconds: each window lasts eight.
    let clock = shared_clock(21_600);
    let send = Simulator::start(&clock, "");
    let mut world = World::new(&clock, &send.url(), "");
    world.office.start();
    world.deposit("multe.zip", 1);
    world.deposit("altre.zip", 2);
    world.deposit("ancora.zip", 3);
    let token = world.login(&format!("{}/pt/veneto/legacy", world.url()));
    wait_for("the positions are reckoned", LIMIT, || {
        let piemonte = world.get(&world.url(), &format!("/pt/piemonte/costo/{ENTE}/{}", &notice(PIEMONTE, 1)[1..])).json();
        let govpay = world.get(&world.url(), &format!("/pt/govpay/avvisi/{ENTE}/{}", notice(GOVPAY, 1)));
        (piemonte["code"] == Value::Null && govpay.status == 200 && govpay.json()["stato"] == "NON_ESEGUITA").then_some(())
    });

    // SEND's own price of a digital recipient, with what the ente adds.
    let cost = 200;
    let end = monotonic() + LIMIT;
    let mut seen: [BTreeSet<i64>; 4] = Default::default();
    let all = [AMOUNT * 70 / 100, AMOUNT, AMOUNT * 150 / 100];
    while seen.iter().any(|seen| seen.len() < all.len()) {
        assert!(monotonic() < end, "windows seen: {seen:?}\n{}", world.office.log());
        for pt in 0..NAMES.len() {
            let before = rome(world.office.now());
            let Some((total, told, completed)) = price(&world, &token, pt, 1) else { continue };
            let after = rome(world.office.now());
            if pt >= PIEMONTE && told.is_none() && [all[0], AMOUNT].contains(&total) {
                // Before SEND has accepted the act: what its PT holds, then the first step of its rule; without costs.
                assert!(seen[pt].is_empty(), "{}: the cost is gone", NAMES[pt]);
                continue;
            }
            assert!(told.is_none_or(|told| told == cost), "{}: {told:?}", NAMES[pt]);
            match completed {
                // The day may change while it is asked.
                Some(completed) => {
                    let allowed = [due(completed, before) + cost, due(completed, after) + cost];
                    assert!(allowed.contains(&total), "{} on {before}, completed {completed}: {total}, not of {allowed:?}", NAMES[pt]);
                }
                // These contracts have no place for the day.
                None if pt >= PIEMONTE => {
                    assert!(all.contains(&(total - cost)), "{}: {total}", NAMES[pt]);
                    assert!(seen[pt].last().is_none_or(|last| *last <= total - cost), "{}: {total} after {seen:?}", NAMES[pt]);
                }
                None => assert_eq!(total, all[0] + cost, "{} before completion", NAMES[pt]),
            }
            seen[pt].insert(total - cost);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let answer = world.legacy(&format!("{}/pt/veneto/legacy", world.url()), &token, ENTE, &notice(VENETO, 1)).json();
    let balance: Value = serde_json::from_str(answer["bilancio"].as_str().unwrap()).unwrap();
    let lines: Vec<(&str, f64)> =
        balance.as_array().unwrap().iter().map(|line| (line["capitolo"].as_str().unwrap(), line["importo"].as_f64().unwrap())).collect();
    assert_eq!(lines, [("MULTE", 150.0), ("SPESE", 2.0)], "{answer}");
    payments(&world, all[2], cost);
    contracts(&world);
    world.office.stop();
    let log = world.office.last_log();
    let line = log.lines().find(|line| line.contains("prezzo comunicato") && line.contains("veneto")).unwrap_or_default();
    for part in [ENTE, &notice(VENETO, 1), "total=", "cost=200", "iun="] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// What is paid is compared with what was due, cost and all: the price that the PT asked messo for.
fn payments(world: &World, due: i64, cost: i64) {
    let bearer = format!("Bearer {PASSWORD}");
    for (number, amount, code) in [(2, due + cost, ""), (3, due, "PAGATO_IMPORTO_DIVERSO")] {
        let asked = notice(UNITARIA, number);
        wait_for("the last step is reckoned", LIMIT, || {
            let shown = world.office.ask(&["posizione", "show", ENTE, &asked]);
            (shown["position"]["wanted"] == due && shown["position"]["cost"] == cost).then_some(())
        });
        let now = world.office.now().in_tz("Europe/Rome").unwrap();
        let local = now.strftime("%Y-%m-%dT%H:%M:%S").to_string();
        let id = format!("dovuto-{number}");
        let mut paid = native_event(&asked, amount, &id);
        paid["encodedReceipt"] = json!(base64(&receipt(&asked, amount, &id).replace("2026-11-23T10:00:00", &local)));
        paid["paymentData"]["paymentDate"] = json!(now.timestamp().to_string());
        let answer = world.post(&format!("{}/pt/unitaria", world.url()), "/payment-notification", Some(&bearer), &paid);
        assert_eq!(answer.status, 200, "{answer:?}");
        let line = world.office.wait_line("polizia", &reference(UNITARIA, number), "paid", |line| line["evento"] == "PAGATO");
        assert_eq!(line["codice"], code, "{amount} of {due} and {cost}: {line:?}");
    }
}

/// Everything that the contracts have, through the judges of their specifications.
fn contracts(world: &World) {
    let Some(shared) = shared_dir() else { return };
    let spec = |name: &str| shared.join("reference/pt").join(name);
    let rest = |name: &str, base: &'static str| ContractProxy::start_with(world.rest, Some((spec(name), base)));
    let unknown = notice(VENETO, 999);
    let last = 15_200;

    let Some(proxy) = rest("p4pa/p4pa-pu-sil.actualization-legacy.openapi.yaml", "/pt/veneto/legacy") else { return };
    let base = format!("{}/pt/veneto/legacy", proxy.url());
    let token = world.login(&base);
    assert_eq!(world.legacy(&base, &token, ENTE, &notice(VENETO, 1)).json()["importoPosizione"], last);
    assert_eq!(world.legacy(&base, &token, ENTE, &unknown).json()["codice"], "002");
    let wrong = world.post(&base, "/login", None, &json!({"username": USER, "password": "sbagliata"}));
    assert_eq!((wrong.status, &wrong.json()["esito"]), (401, &json!("KO")));
    proxy.stop().assert_clean(&["login", "attualizzazione"]);

    let Some(proxy) = rest("p4pa/p4pa-pu-sil.actualization.openapi.yaml", "/pt/unitaria") else { return };
    let base = format!("{}/pt/unitaria", proxy.url());
    assert_eq!(world.native(&base, ENTE, &notice(UNITARIA, 1)).json()["amountCents"], last);
    assert_eq!(world.native(&base, ENTE, &notice(UNITARIA, 999)).status, 404);
    proxy.stop().assert_clean(&["actualization"]);

    let Some(proxy) = rest("govpay/ec-v2/govpay-api-ec.yaml", "/pt/govpay") else { return };
    let (base, code) = (format!("{}/pt/govpay", proxy.url()), notice(GOVPAY, 1));
    assert_eq!(world.get(&base, &format!("/avvisi/{ENTE}/{code}")).json()["pendenza"]["importo"], 152.0);
    assert_eq!(world.get(&base, &format!("/pendenze/GESTIONALE/POS-{GOVPAY}-1")).json()["pendenza"]["numeroAvviso"], code.as_str());
    assert_eq!(world.get(&base, "/pendenze/ALTRO/POS-3-1").json()["stato"], "SCONOSCIUTA", "of another application");
    assert_eq!(world.get(&base, &format!("/avvisi/{ENTE}/{}", notice(GOVPAY, 999))).json()["stato"], "SCONOSCIUTA");
    let event = |id: &str| {
        let path = format!("/ricevute/{ENTE}/{}/{id}", &code[1..]);
        let headers = [("authorization", &*World::basic()), ("content-type", "application/json")];
        world.call(&base, "PUT", &path, &headers, Some(govpay_event(&code, last, id).to_string().into_bytes()))
    };
    assert_eq!((event("r1").status, event("r1").status), (201, 201), "the second time it is known");
    assert_eq!(world.get(&base, &format!("/avvisi/{ENTE}/{code}")).json()["stato"], "ANNULLATA", "paid");
    proxy.stop().assert_clean(&["getAvviso", "verifyPendenza", "notificaRicevuta"]);

    let Some(proxy) = rest("p4pa/p4pa-pu-sil.payment-notification.openapi.yaml", "/pt/unitaria") else { return };
    let (base, bearer) = (format!("{}/pt/unitaria", proxy.url()), format!("Bearer {PASSWORD}"));
    let paid = native_event(&notice(UNITARIA, 1), last, "u1");
    assert_eq!(world.post(&base, "/payment-notification", Some(&bearer), &paid).status, 200);
    proxy.stop().assert_clean(&["payment-notification"]);
    assert_eq!(world.native(&format!("{}/pt/unitaria", world.url()), ENTE, &notice(UNITARIA, 1)).json()["code"], "NOTICE_NOT_PAYABLE");

    let Some(proxy) = rest("p4pa/p4pa-pu-sil.payment-notification-legacy.openapi.yaml", "/pt/veneto/legacy") else { return };
    let base = format!("{}/pt/veneto/legacy", proxy.url());
    let code = notice(VENETO, 1);
    let pushed = json!({"rt": base64(&receipt(&code, last, "v1")), "esito": base64(&older_receipt("Pagati", &code, last, "v1"))});
    assert_eq!(world.post(&base, "/payment-notification", Some(&token), &pushed).status, 200);
    proxy.stop().assert_clean(&["payment-notification"]);
    let direct = format!("{}/pt/veneto/legacy", world.url());
    assert_eq!(world.legacy(&direct, &token, ENTE, &code).json()["codice"], "004");

    let Some(proxy) = ContractProxy::soap(world.rest, &spec("piemontepay/EPaywso2EntiService.wsdl")) else { return };
    let base = proxy.url();
    let told = |body: &str| world.soap(&base, "/pt/piemonte/soap", body).code();
    let code = notice(PIEMONTE, 1);
    assert_eq!(told(&piemonte_event(ENTE, &[(&code, last, "p1")])), "000");
    assert_eq!(told(&piemonte_event(ENTE, &[(&code, last, "p1"), (&notice(VENETO, 1), last, "p2")])), "050", "one is another PT's");
    let head = |rest: &str| {
        format!(
            "<t:IdMessaggio>M2</t:IdMessaggio><t:CFEnteCreditore>{ENTE}</t:CFEnteCreditore><t:CodiceVersamento>0007</t:CodiceVersamento>{rest}"
        )
    };
    let rt = base64(&older_receipt("RT", &code, last, "p1"));
    assert_eq!(
        told(&format!(
            "<t:TrasmettiRTRequest><t:Testata>{}</t:Testata><t:CorpoRT><t:ElencoRT><t:RT><t:Id>1</t:Id><t:XML>{rt}</t:XML></t:RT></t:ElencoRT>\
             </t:CorpoRT></t:TrasmettiRTRequest>",
            head("<t:NumeroRT>1</t:NumeroRT>")
        )),
        "000"
    );
    assert_eq!(
        told(&format!(
            "<t:EsitoAggiornaPosizioniDebitorieRequest><c:Result><c:Codice>000</c:Codice></c:Result><t:TestataEsito>{}</t:TestataEsito>\
             <t:EsitoAggiornamento><c:ElencoPosizioniDebitorieAggiornate><c:PosizioneDebitoriaAggiornata><c:IdPosizioneDebitoria>POS-2-1\
             </c:IdPosizioneDebitoria><c:CodiceEsito>000</c:CodiceEsito></c:PosizioneDebitoriaAggiornata></c:ElencoPosizioniDebitorieAggiornate>\
             </t:EsitoAggiornamento></t:EsitoAggiornaPosizioniDebitorieRequest>",
            head("")
        )),
        "000",
        "a ticket that nobody waits for"
    );
    assert_eq!(told(&asked_back_event(&code, last)), "000");
    world.wait_alert("REVOCA_DI_PAGAMENTO");
    assert_eq!(told(&expired_event(&[&code[1..]])), "000", "paid, and past its day");
    proxy.stop().assert_clean(&[
        "TrasmettiNotifichePagamentoRequest",
        "TrasmettiRTRequest",
        "EsitoAggiornaPosizioniDebitorieRequest",
        "TrasmettiRichiesteDiRevocaRequest",
        "TrasmettiAvvisiScadutiRequest",
    ]);
    let refused = world.get(&world.url(), &format!("/pt/piemonte/costo/{ENTE}/{}", &code[1..])).json();
    assert_eq!(refused["code"], "004", "{refused}");
}

#[test]
fn before_send_has_it_the_positions_own_amount_holds_and_payments_count_once() {
    // Nobody is there: acts wait for SEND.
    let mut world = World::new("1", "http://127.0.0.1:9", "");
    world.office.start();
    world.deposit("multe.zip", 1);
    let url = world.url();
    let legacy = format!("{url}/pt/veneto/legacy");
    let token = world.login(&legacy);
    let asked = |pt: usize| notice(pt, 1);
    wait_for("the positions are reckoned", LIMIT, || {
        let known = world.get(&url, &format!("/pt/govpay/avvisi/{ENTE}/{}", asked(GOVPAY)));
        (known.status == 200 && known.json()["stato"] == "NON_ESEGUITA").then_some(())
    });
    let told = |answer: Answer, key: &str| answer.json()[key].clone();
    assert_eq!(told(world.legacy(&legacy, &token, ENTE, &asked(VENETO)), "codice"), "003");
    assert_eq!(told(world.native(&format!("{url}/pt/unitaria"), ENTE, &asked(UNITARIA)), "code"), "NOTICE_NOT_NOTIFIED");
    let iuv = asked(PIEMONTE)[1..].to_owned();
    wait_for("PiemontePAY is told the act's own amount, first step", LIMIT, || {
        let answer = world.get(&url, &format!("/pt/piemonte/costo/{ENTE}/{iuv}")).json();
        (answer["importoTotale"] == 70.0 && answer["requiresCostUpdate"] == true).then_some(())
    });
    // Only its own: of another PT, of another ente, of nobody.
    for (creditor, code) in [(ENTE, asked(UNITARIA)), (OTHER, asked(VENETO)), ("02438750586", asked(VENETO))] {
        assert_eq!(told(world.legacy(&legacy, &token, creditor, &code), "codice"), "002", "{creditor} {code}");
    }

    // Paid, twice; then in another way, of an ente that is not its own, of a notice that nobody knows.
    let native =
        |body: &Value| world.post(&format!("{url}/pt/unitaria"), "/payment-notification", Some(&format!("Bearer {PASSWORD}")), body);
    for _ in 0..2 {
        assert_eq!(native(&native_event(&asked(UNITARIA), 7_000, "u1")).status, 200);
    }
    assert_eq!(told(world.native(&format!("{url}/pt/unitaria"), ENTE, &asked(UNITARIA)), "code"), "NOTICE_NOT_PAYABLE");
    world.office.wait_line("polizia", &reference(UNITARIA, 1), "the payment is told", |line| line["evento"].contains("PAGA"));
    assert_eq!(native(&native_event(&notice(UNITARIA, 77), 7_000, "u2")).status, 200);
    world.wait_alert("PAGAMENTO_SCONOSCIUTO");
    assert_eq!(native(&native_event(&asked(VENETO), 7_000, "u3")).status, 404, "another PT's");
    assert_eq!(native(&native_event(&asked(UNITARIA), 0, "u4")).status, 400, "nothing is no payment");
    let mut two = native_event(&asked(UNITARIA), 7_000, "u5");
    two["paymentData"]["amountCents"] = json!(6_000);
    assert_eq!(native(&two).status, 400, "two sums");
    let piemonte = world.soap(&url, "/pt/piemonte/soap", &piemonte_event("02438750586", &[(&asked(PIEMONTE), 7_000, "p")]));
    assert_eq!(piemonte.code(), "151", "an ente of nobody");
    // Expired: parked and told once; whoever asks its price all the same is answered.
    for _ in 0..2 {
        assert_eq!(world.soap(&url, "/pt/piemonte/soap", &expired_event(&[&asked(PIEMONTE)[1..], "99999999999999999"])).code(), "000");
    }
    world.wait_alert("POSIZIONE_SCADUTA");
    world.office.wait_line("polizia", &reference(PIEMONTE, 1), "the end is told", |line| {
        line["evento"] == "POSIZIONE_FERMA" && line["codice"] == "POSIZIONE_SCADUTA"
    });
    let price = world.get(&url, &format!("/pt/piemonte/costo/{ENTE}/{iuv}")).json();
    assert_eq!((&price["importoTotale"], &price["code"]), (&json!(70.0), &Value::Null), "{price}");
    // Asked back: it stays paid.
    assert_eq!(world.soap(&url, "/pt/piemonte/soap", &piemonte_event(ENTE, &[(&asked(PIEMONTE), 7_000, "p1")])).code(), "000");
    for _ in 0..2 {
        assert_eq!(world.soap(&url, "/pt/piemonte/soap", &asked_back_event(&asked(PIEMONTE), 7_000)).code(), "000");
    }
    world.wait_alert("REVOCA_DI_PAGAMENTO");
    assert_eq!(world.get(&url, &format!("/pt/piemonte/costo/{ENTE}/{iuv}")).json()["code"], "004");
    let told = world.office.story("polizia", &reference(PIEMONTE, 1));
    assert_eq!(told.iter().filter(|line| line["evento"] == "POSIZIONE_FERMA").count(), 1, "{told:?}");

    let lines = world.office.story("polizia", &reference(UNITARIA, 1));
    let paid = lines.iter().filter(|line| line["evento"].contains("PAGA")).count();
    assert_eq!(paid, 1, "told once: {lines:?}");
    world.office.stop();
}

#[test]
fn a_pt_is_heard_of_its_notices_when_their_way_has_become_another() {
    let mut world = World::new("1", "http://127.0.0.1:9", "");
    let config = world.office.dir().join("messo.toml");
    let edit = |from: &str, to: &str| {
        let text = fs::read_to_string(&config).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&config, text.replacen(from, to, 1)).unwrap();
    };
    edit("pt = \"unitaria\"\naux = 3\ncode", "pt = \"unitaria\"\ncode");
    world.office.start();
    world.deposit("multe.zip", 1);
    let (url, code) = (world.url(), notice(UNITARIA, 1));
    let base = format!("{url}/pt/unitaria");
    let why = |world: &World| world.native(&base, ENTE, &code).json()["code"].clone();
    wait_for("its PT may ask", LIMIT, || (why(&world) == "NOTICE_NOT_NOTIFIED").then_some(()));
    world.office.stop();
    // From now on GovPay has the notices of that code with aux 3: what lives stays where it is.
    let first = "[[ente.pagamenti]]\npt = \"veneto\"";
    let route = "[[ente.pagamenti]]\npt = \"govpay\"\naux = 3\ncode = \"03\"\nservice = \"GESTIONALE\"\ncosts = \"pull\"\n";
    edit(first, &format!("{route}{first}"));
    world.office.start();
    assert_eq!(why(&world), "NOTICE_NOT_NOTIFIED", "the old PT asks");
    let bearer = format!("Bearer {PASSWORD}");
    let native = |body: &Value| world.post(&base, "/payment-notification", Some(&bearer), body);
    assert_eq!(native(&native_event(&code, 7_000, "u1")).status, 200, "the old PT tells a payment");
    world.office.wait_line("polizia", &reference(UNITARIA, 1), "the payment is told", |line| line["evento"] == "PAGATO");
    assert!(!world.office.alerted("PAGAMENTO_SCONOSCIUTO"));
    // Of a notice that no route gives to it nothing is kept, and somebody is told.
    for _ in 0..2 {
        assert_eq!(native(&native_event(&notice(VENETO, 1), 7_000, "u2")).status, 404);
    }
    world.wait_alert("PAGAMENTO_SCONOSCIUTO");
    world.office.stop();
}

#[test]
fn hostile_callers_get_nothing_and_cost_little() {
    let mut world = World::new("1", "http://127.0.0.1:9", "head_s = 2\nbody_s = 2\nmax_body_bytes = 65536\nmax_connections = 20\n");
    world.office.start();
    let url = world.url();
    let bearer = format!("Bearer {PASSWORD}");
    let json_headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
    let post = |path: &str, headers: &[(&str, &str)], body: &[u8]| world.call(&url, "POST", path, headers, Some(body.to_vec()));

    // Paths that are not there, or not of that PT.
    for path in ["/", "/pt/nessuno/legacy/login", "/pt/govpay/legacy/login", "/pt/veneto/amount-update", "/pt/veneto/soap", "/metrics"] {
        assert_eq!(post(path, &json_headers, b"{}").status, 404, "{path}");
    }
    // Garbage.
    let token = world.login(&format!("{url}/pt/veneto/legacy"));
    let with_token = [("content-type", "application/json"), ("authorization", token.as_str())];
    let price = "/pt/veneto/legacy/notification-price";
    for body in [
        &b""[..],
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        br#"{"cfEnteCreditore":"1","numeroAvviso":"2","importoPosizione":"S"}"#,
        br#"{"cfEnteCreditore":"01234567897","numeroAvviso":"30200000000000018'","importoPosizione":"S"}"#,
    ] {
        assert_eq!(post(price, &with_token, body).status, 400, "{}", String::from_utf8_lossy(body));
    }
    let nested = "[".repeat(4_000);
    assert_eq!(post(price, &with_token, nested.as_bytes()).status, 400);
    let push = "/pt/unitaria/payment-notification";
    let mut event = native_event(&notice(UNITARIA, 1), 100, "x");
    for receipt in ["non base64!", &base64("<a>"), &base64("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>"), &base64(&"<a>".repeat(9_000))] {
        event["encodedReceipt"] = json!(receipt);
        assert_eq!(post(push, &json_headers, event.to_string().as_bytes()).status, 400, "{}", &receipt[..10]);
    }
    let basic = World::basic();
    let xml = [("authorization", basic.as_str()), ("content-type", "text/xml")];
    for body in ["", "{}", "<a>", "<a/>", "<!DOCTYPE x><Envelope><Body/></Envelope>", "<Envelope><Body><X/></Body></Envelope>"] {
        let answer = post("/pt/piemonte/soap", &xml, body.as_bytes());
        assert!(answer.status == 400 && answer.text.contains("soapenv:Fault"), "{body}: {answer:?}");
    }
    // Too large: told before it is read, to who has no credentials too.
    let large = vec![b' '; 70_000];
    assert_eq!(post("/pt/veneto/legacy/login", &[], &large).status, 413);
    assert_eq!(post(price, &with_token, &large).status, 413);
    assert_eq!(post(push, &json_headers, &large).status, 413);
    assert_eq!(post("/pt/piemonte/soap", &xml, &large).status, 413);

    // Slow heads, and bodies that never end, are cut; meanwhile others are answered.
    let mut slow: Vec<TcpStream> = (0..15)
        .map(|number| {
            let mut stream = TcpStream::connect(world.rest).unwrap();
            let text = if number % 2 == 0 { "POST /pt/veneto/legacy/login HTTP/1.1\r\nHost: x\r\nX-" } else { "" };
            stream.write_all(text.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
            stream
        })
        .collect();
    let mut endless = TcpStream::connect(world.rest).unwrap();
    endless.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    endless.write_all(b"POST /pt/veneto/legacy/login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{").unwrap();
    world.login(&format!("{url}/pt/veneto/legacy"));
    let start = monotonic();
    for stream in &mut slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
    }
    let mut told = String::new();
    endless.read_to_string(&mut told).unwrap();
    assert!(told.starts_with("HTTP/1.1 408"), "{told}");
    assert!(start.elapsed() < Duration::from_secs(45), "{:?}", start.elapsed());

    // A voucher that has run out, or is for another e-service, lets nobody in and is no guess: the next good one is heard.
    let shows = |bearer: &str| {
        world.post(&url, "/pt/unitaria/amount-update", Some(bearer), &json!({"orgFiscalCode": ENTE, "nav": notice(UNITARIA, 999)})).status
    };
    for _ in 0..8 {
        assert_eq!((shows(&world.voucher(AUDIENCE, -3_600)), shows(&world.voucher("https://altro.example/anagrafe", 600))), (401, 401));
    }
    assert_eq!(shows(&world.voucher(AUDIENCE, 600)), 404, "heard: the notice is unknown");
    // What nobody signed is a guess; meanwhile a voucher goes on.
    wait_for("who guesses waits", LIMIT, || (shows("Bearer a.b.c") == 429).then_some(()));
    assert_eq!(shows(&world.voucher(AUDIENCE, 600)), 404);

    // Wrong passwords: a few are free, then the address waits. A token that was given goes on.
    let wrong = || world.post(&url, "/pt/veneto/legacy/login", None, &json!({"username": USER, "password": "sbagliata"}));
    let first: Vec<u16> = (0..6).map(|_| wrong().status).collect();
    assert_eq!(first, [401; 6]);
    wait_for("a wait of seconds", LIMIT, || {
        std::thread::sleep(Duration::from_millis(100));
        let answer = wrong();
        let wait = answer.headers.get("retry-after").and_then(|wait| wait.to_str().unwrap().parse::<u64>().ok());
        (answer.status == 429 && wait.is_some_and(|wait| wait >= 4)).then_some(())
    });
    let waiting = world.post(&url, "/pt/veneto/legacy/login", None, &json!({"username": USER, "password": PASSWORD}));
    assert_eq!(waiting.status, 429, "even who knows it waits: {waiting:?}");
    assert!(waiting.headers.contains_key("retry-after") && waiting.json()["esito"] == "KO");
    assert_eq!(world.legacy(&format!("{url}/pt/veneto/legacy"), &token, ENTE, &notice(VENETO, 1)).json()["codice"], "002");
    assert_eq!(world.native(&format!("{url}/pt/unitaria"), ENTE, &notice(UNITARIA, 1)).status, 404, "another PT from there is heard");
    assert_eq!(world.legacy(&format!("{url}/pt/veneto/legacy"), "Bearer a.b.c", ENTE, &notice(VENETO, 1)).status, 401);
    assert_eq!(world.call(&url, "GET", &format!("/pt/govpay/avvisi/{ENTE}/{}", notice(GOVPAY, 1)), &[], None).status, 401);
    world.office.stop();
    let log = world.office.last_log();
    assert!(!log.contains("panic") && !log.contains(PASSWORD) && !log.contains("sbagliata"), "{log}");
}

fn certificate(dir: &std::path::Path, name: &str) {
    let ran = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout"])
        .arg(dir.join("rest.key"))
        .arg("-out")
        .arg(dir.join("rest.pem"))
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    fs::copy(dir.join("rest.pem"), dir.join(name)).unwrap();
}

#[test]
fn tls_and_credentials_are_read_again_all_or_nothing() {
    if !require("openssl") || !require("curl") {
        return;
    }
    let mut world = World::new("1", "http://127.0.0.1:9", "certificate = \"rest.pem\"\nkey = \"file:rest.key\"\n");
    let dir = world.office.dir().to_owned();
    certificate(&dir, "prima.pem");
    world.office.start();
    let port = world.rest.port();
    let login = |authority: &str, password: &str| {
        let body = json!({"username": USER, "password": password}).to_string();
        let url = format!("https://localhost:{port}/pt/veneto/legacy/login");
        let ran = Command::new("curl")
            .args(["--silent", "--noproxy", "*", "--tlsv1.2", "--max-time", "10", "--cacert"])
            .arg(dir.join(authority))
            .args(["--header", "content-type: application/json", "--data", &body, &url])
            .output()
            .unwrap();
        (ran.status.code().unwrap(), String::from_utf8(ran.stdout).unwrap())
    };
    let is_let_in = |(code, text): &(i32, String)| *code == 0 && text.contains("\"esito\":\"OK\"");
    let first = login("prima.pem", PASSWORD);
    assert!(is_let_in(&first), "{first:?}");
    let plain = TcpStream::connect(world.rest).and_then(|mut stream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut told = Vec::new();
        stream.read_to_end(&mut told).map(|_| told)
    });
    assert!(!plain.unwrap_or_default().starts_with(b"HTTP/"), "nothing in clear");

    // Another certificate and another password at once, without losing the door.
    certificate(&dir, "seconda.pem");
    fs::write(dir.join("password-chiama"), "un'altra-password-lunga").unwrap();
    world.office.signal(Signal::HUP);
    world.office.wait_log("credenziali e certificato dei partner tecnologici riletti");
    assert!(!is_let_in(&login("prima.pem", "un'altra-password-lunga")), "the old authority does not know it");
    assert!(!is_let_in(&login("seconda.pem", PASSWORD)), "the old password");
    let second = login("seconda.pem", "un'altra-password-lunga");
    assert!(is_let_in(&second), "{second:?}");

    // What cannot be read leaves everything as it was.
    fs::write(dir.join("rest.pem"), "niente").unwrap();
    fs::write(dir.join("password-chiama"), "terza").unwrap();
    world.office.signal(Signal::HUP);
    world.office.wait_log("la configurazione non si può usare");
    let still = login("seconda.pem", "un'altra-password-lunga");
    assert!(is_let_in(&still), "{still:?}");
    world.office.stop();
}
