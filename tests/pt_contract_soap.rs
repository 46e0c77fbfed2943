//! The partners that speak SOAP: connector, official contract in the middle, simulator. `soap_proxy.py` judges MyPay by
//! `pa-per-ente.wsdl` and PiemontePAY by its two WSDLs, one for each direction; `rest_proxy.py` judges epayapi; xmllint judges the
//! documents that MyPay hides in base64.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

mod common;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use common::{ContractProxy, require, shared_dir};
use jiff::civil::date;
use messo::clock::Clock;
use messo::config::secret::Secret;
use messo::config::{PaymentRoute, PtConfig};
use messo::connectors::ConnectorError;
use messo::connectors::http::{HttpSettings, client};
use messo::connectors::pt::{Partner, PtSettings, PtSetupError};
use messo::domain::act::PositionData;
use messo::domain::money::Cents;
use messo::domain::position::{Asked, Change, Changed, Held, HeldState, Payer};
use messo::sandbox::pt::{Debt, DebtState, Debts, PtOptions, PtRunning, start};
use serde_json::{Value, json};

const ENTE: &str = "01234567897";
const IPA: &str = "c_x999";
const PASSWORD: &str = "prova-2026";
const DEBTOR: &str = "RSSMRA80A01H501U";
const MYPAY: &str = "http://www.regione.veneto.it/pagamenti/ente/";

/// `3` + segregation 02 + number + check digits.
fn notice(number: u32) -> String {
    let base = format!("302{number:013}");
    let check = base.parse::<u64>().unwrap() % 93;
    format!("{base}{check:02}")
}

fn debt(number: u32, amount: i64) -> Debt {
    let value = json!({
        "creditor": ENTE, "notice": notice(number), "position_id": format!("IUD-{number:04}"), "amount": amount, "state": "unpaid",
        "due_date": "2027-01-31", "payer_tax_id": DEBTOR, "payer_name": "Mario Rossi", "remittance": "Verbale <12> & altro", "due_type": "0007",
        "more": { "codIpaEnte": IPA },
    });
    serde_json::from_value(value).unwrap()
}

fn asked(number: u32) -> Asked {
    let data = PositionData { position_id: Some(format!("IUD-{number:04}")), due_type: Some("0007".into()), ..PositionData::default() };
    let payer = |tax_id: &str| Payer { natural: true, tax_id: tax_id.into(), denomination: "Mario Rossi".into() };
    // The debtor of the position is the second of those who owe.
    Asked { creditor: ENTE.into(), notice: notice(number), data, payers: vec![payer("VRDLGU75B02F205K"), payer(DEBTOR)] }
}

fn change(amount: i64, cost: i64) -> Change {
    let due_date = Some(date(2027, 2, 28));
    Change {
        key: format!("{amount}/1"),
        amount: Cents(amount),
        cost: Cents(cost),
        due_date,
        cost_place: None,
        reason: "Spese di notifica".into(),
    }
}

fn route(pt: &str, ente: Option<&str>, service: Option<&str>, costs: &str) -> PaymentRoute {
    serde_json::from_value(json!({ "pt": pt, "ente": ente, "service": service, "costs": costs })).unwrap()
}

fn partner(kind: &str, profile: Option<&str>, url: &str) -> Result<Partner, PtSetupError> {
    let config: PtConfig =
        serde_json::from_value(json!({ "name": kind, "kind": kind, "url": url, "profile": profile, "username": "ente", "timeout_s": 5 }))
            .unwrap();
    Partner::new(PtSettings {
        config,
        password: Some(Secret::new(PASSWORD)),
        api_key: None,
        client_secret: None,
        http: client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).unwrap(),
        clock: Clock::REAL,
    })
}

struct World {
    pts: PtRunning,
    debts: Arc<Debts>,
    http: reqwest::Client,
}

impl World {
    /// The simulators, on a port of their own.
    async fn new() -> World {
        let debts = Arc::new(Debts::default());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (username, password) = ("ente".to_owned(), PASSWORD.to_owned());
        let pts = start(PtOptions { listen, clock: Clock::REAL, debts: debts.clone(), username, password }).await.unwrap();
        World { pts, debts, http: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap() }
    }

    async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.pts.url())).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    async fn look(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.pts.url())).send().await.unwrap().json().await.unwrap()
    }

    async fn fault(&self, pt: &str, operation: &str, kind: &str) {
        self.post("/_pt/faults", json!({ "pt": pt, "operation": operation, "kind": kind, "times": 1 })).await;
    }

    fn of(&self, number: u32) -> Debt {
        self.debts.get(ENTE, &notice(number)).unwrap()
    }

    fn put(&self, number: u32, state: DebtState) {
        self.debts.lock().get_mut(&(ENTE.to_owned(), notice(number))).unwrap().state = state;
    }

    /// What an update taken in charge has become, once it was worked off.
    async fn until(&self, what: &str, done: impl Fn() -> bool) {
        for _ in 0..200 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}");
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn state(held: Result<Held, ConnectorError>) -> HeldState {
    held.unwrap().state
}

fn name(error: &ConnectorError) -> &'static str {
    match error {
        ConnectorError::Temporary { .. } => "temporary",
        ConnectorError::Refused(_) => "refused",
        ConnectorError::Sender(_) => "sender",
        ConnectorError::Uncertain { .. } => "uncertain",
        ConnectorError::NotFound(_) => "not found",
        ConnectorError::Conflict(_) => "conflict",
        ConnectorError::Unclassified(_) => "unclassified",
        ConnectorError::Protocol { .. } => "protocol",
    }
}

#[test]
fn mypay_keeps_to_its_wsdl_on_both_sides() {
    let runtime = runtime();
    let Some(shared) = shared_dir() else { return };
    let world = runtime.block_on(World::new());
    let Some(proxy) = ContractProxy::soap(world.pts.addr, &shared.join("reference/pt/mypay/pa-per-ente.wsdl")) else { return };
    runtime.block_on(mypay(&world, &format!("{}/mypay", proxy.url())));
    let report = proxy.stop();
    report.assert_clean(&["paaSILChiediPosizioniAperte", "paaSILChiediPagatiConRicevuta", "paaSILVerificaAvviso", "paaSILImportaDovuto"]);
}

async fn mypay(world: &World, url: &str) {
    for number in 1..=8 {
        world.debts.put(debt(number, 10_000));
    }
    // What is there and must not be lost.
    let lines = json!([{"capitolo": "100", "ufficio": "PL", "accertamento": "A1", "importo": 6_000}, {"capitolo": "200", "ufficio": "", "accertamento": "", "importo": 4_000}]);
    if let Some(debt) = world.debts.lock().get_mut(&(ENTE.to_owned(), notice(1))) {
        debt.more["bilancio"] = lines;
        debt.more["tipoVersamento"] = json!("ALL");
        debt.more["datiSpecificiRiscossione"] = json!("9/0601120SP/");
        debt.more["commissioneCaricoPA"] = json!("0.50");
        debt.more["recapito"] =
            json!([["indirizzoPagatore", "Via Roma"], ["civicoPagatore", "1/A"], ["e-mailPagatore", "m.rossi@example.org"]]);
    }
    let before = world.of(1);
    let mypay = partner("mypay", Some("veneto"), url).unwrap();
    let way = route("mypay", Some(IPA), None, "push");
    let told = mypay.verify(&way, &asked(1)).await.unwrap();
    assert_eq!((told.state, told.amount, told.position_id.as_deref()), (HeldState::Payable, Some(Cents(10_000)), Some("IUD-0001")));

    // The whole debt is written back, with another amount and its cost in its place.
    let with_place = Change { cost_place: Some("900/N".into()), ..change(7_950, 950) };
    assert_eq!(mypay.change(&way, &asked(1), &with_place).await, Ok(Changed::Done));
    let after = world.of(1);
    assert_eq!((after.amount, after.due_date.as_deref(), after.changes.len()), (7_950, Some("2027-02-28"), 1));
    let kept = |debt: &Debt| {
        (debt.remittance.clone(), debt.due_type.clone(), debt.payer_tax_id.clone(), debt.payer_name.clone(), debt.position_id.clone())
    };
    assert_eq!(kept(&after), kept(&before));
    for key in ["tipoVersamento", "datiSpecificiRiscossione", "commissioneCaricoPA", "recapito"] {
        assert_eq!(after.more[key], before.more[key], "{key}");
    }
    let line = |chapter: &str, office: &str, code: &str, amount: i64| json!({"capitolo": chapter, "ufficio": office, "accertamento": code, "importo": amount});
    assert_eq!(after.more["bilancio"], json!([line("100", "PL", "A1", 4_200), line("200", "", "", 2_800), line("900", "", "N", 950)]));
    assert_eq!(mypay.verify(&way, &asked(1)).await.unwrap().amount, Some(Cents(7_950)));
    // The same again changes nothing; the batch's bilancio is not looked at when MyPay has one.
    let mut with_balance = asked(1);
    with_balance.data.balance = Some("non si legge".into());
    assert_eq!(mypay.change(&way, &with_balance, &with_place).await, Ok(Changed::Done));
    assert_eq!(world.of(1).amount, 7_950);
    // The batch's is, when it has none.
    let mut given = asked(2);
    given.data.balance = Some(r#"[{"capitolo": "7", "accertamento": "B", "importo": 1}]"#.into());
    assert_eq!(mypay.change(&way, &given, &change(5_000, 0)).await, Ok(Changed::Done));
    assert_eq!(world.of(2).more["bilancio"], json!([line("7", "", "B", 5_000)]));
    given.data.balance = Some("illeggibile".into());
    if let Some(debt) = world.debts.lock().get_mut(&(ENTE.to_owned(), notice(2))) {
        debt.more["bilancio"] = json!([]);
    }
    assert_eq!(name(&mypay.change(&way, &given, &change(6_000, 0)).await.unwrap_err()), "refused");
    assert_eq!(world.of(2).amount, 5_000);
    assert_eq!(world.look("/mypay/_seen").await["paaSILVerificaAvviso"], Value::Null, "no payment session was opened");

    // States, and what may not be touched any more.
    let states = [
        (DebtState::BeingPaid, HeldState::BeingPaid),
        (DebtState::Cancelled, HeldState::Cancelled),
        (DebtState::Expired, HeldState::Expired),
    ];
    for (there, here) in states {
        world.put(3, there);
        assert_eq!(state(mypay.verify(&way, &asked(3)).await), here);
        assert_eq!(name(&mypay.change(&way, &asked(3), &change(9_000, 0)).await.unwrap_err()), "conflict", "{there:?}");
    }
    assert_eq!(mypay.cancel(&way, &asked(4), "4/a").await, Ok(Changed::Done));
    assert_eq!(world.of(4).state, DebtState::Cancelled);
    assert_eq!(mypay.cancel(&way, &asked(4), "4/a").await, Ok(Changed::Done), "again");
    let (status, paid) = world.post("/mypay/_pay", json!({ "creditor": ENTE, "notice": notice(5) })).await;
    assert_eq!((status, &paid["amount"]), (200, &json!(10_000)), "{paid}");
    let told = mypay.verify(&way, &asked(5)).await.unwrap();
    let payment = told.payment.unwrap();
    assert_eq!((told.state, told.creditor.as_deref(), payment.amount), (HeldState::Paid, Some(ENTE), Cents(10_000)));
    assert_eq!(payment.receipt, Some(format!("IUR{}", &notice(5)[1..])));
    assert!((payment.paid_at.as_second() - Clock::REAL.now().as_second()).abs() < 60, "{}", payment.paid_at);
    for error in [mypay.change(&way, &asked(5), &change(9_000, 0)).await, mypay.cancel(&way, &asked(5), "5/a").await] {
        assert_eq!(name(&error.unwrap_err()), "conflict");
    }
    assert_eq!((world.of(5).amount, world.of(5).paid_amount), (10_000, Some(10_000)));

    // Unknown, and a debt that is not among those of who owes.
    assert_eq!(name(&mypay.verify(&way, &asked(99)).await.unwrap_err()), "not found");
    assert_eq!(name(&mypay.change(&way, &asked(99), &change(9_000, 0)).await.unwrap_err()), "not found");
    let mut stranger = asked(6);
    stranger.payers.truncate(1);
    let told = mypay.verify(&way, &stranger).await.unwrap();
    assert_eq!((told.state, told.amount), (HeldState::Payable, None));
    assert_eq!(name(&mypay.change(&way, &stranger, &change(9_000, 0)).await.unwrap_err()), "refused", "the batch does not tell enough");
    stranger.data.remittance_information = Some("Verbale".into());
    let with_service = route("mypay", Some(IPA), Some("9/0601120SP/"), "push");
    assert_eq!(mypay.change(&with_service, &stranger, &change(9_000, 0)).await, Ok(Changed::Done));
    assert_eq!(world.of(6).amount, 9_000);

    // Who asks.
    let other = route("mypay", Some("c_altro"), None, "push");
    assert_eq!(name(&mypay.verify(&other, &asked(1)).await.unwrap_err()), "not found", "another ente's debts");
    // An installation that tells no open positions.
    let blind = partner("mypay", Some("altro-senza-posizioni"), &format!("{url}/ws/pa/")).unwrap();
    let can = blind.capabilities();
    assert!(!can.tells_amount && can.needs_position_id && can.update);
    assert_eq!(state(blind.verify(&way, &asked(7)).await), HeldState::Payable);
}

#[test]
fn mypay_when_things_go_wrong() {
    runtime().block_on(async {
        let world = World::new().await;
        for number in 1..=4 {
            world.debts.put(debt(number, 10_000));
        }
        let mypay = partner("mypay", Some("trento"), &format!("{}/mypay", world.pts.url())).unwrap();
        let way = route("mypay", Some(IPA), None, "push");
        let table = [
            ("paaSILImportaDovuto", "lost", "uncertain", true),
            ("paaSILImportaDovuto", "garbage", "protocol", true),
            ("paaSILImportaDovuto", "500", "uncertain", false),
            ("paaSILImportaDovuto", "503", "temporary", false),
            ("paaSILImportaDovuto", "429", "temporary", false),
            ("paaSILImportaDovuto", "403", "sender", false),
            ("paaSILImportaDovuto", "404", "unclassified", false),
            ("paaSILChiediPosizioniAperte", "lost", "temporary", false),
            ("paaSILChiediPosizioniAperte", "garbage", "protocol", false),
            ("paaSILChiediPosizioniAperte", "500", "temporary", false),
        ];
        let mut amount = 10_000;
        for (operation, kind, want, done) in table {
            world.fault("mypay", operation, kind).await;
            let change = change(world.of(1).amount + 1, 0);
            let error = mypay.change(&way, &asked(1), &change).await.unwrap_err();
            assert_eq!(name(&error), want, "{operation} {kind}: {error}");
            amount += i64::from(done);
            assert_eq!(world.of(1).amount, amount, "{operation} {kind}");
        }
        // Read back, then not repeated: the amount is there.
        assert_eq!(mypay.verify(&way, &asked(1)).await.unwrap().amount, Some(Cents(amount)));
        for (amount, cost) in [(0, 0), (-1, 0), (100_000_000_000, 0), (100, 200)] {
            assert_eq!(name(&mypay.change(&way, &asked(1), &change(amount, cost)).await.unwrap_err()), "refused", "{amount}");
        }
        let wrong = PtSettings {
            password: Some(Secret::new("un'altra-pass")),
            config: serde_json::from_value(json!({ "name": "m", "kind": "mypay", "url": format!("{}/mypay", world.pts.url()) })).unwrap(),
            api_key: None,
            client_secret: None,
            http: client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).unwrap(),
            clock: Clock::REAL,
        };
        let wrong = Partner::new(wrong).unwrap();
        assert_eq!(name(&wrong.verify(&way, &asked(1)).await.unwrap_err()), "sender");
        assert!(matches!(partner("mypay", Some("marte"), "http://x.example"), Err(PtSetupError::Profile(_))));
        assert!(matches!(partner("mypay", None, "ftp://x.example"), Err(PtSetupError::BaseUrl(_))));
    });
}

/// An answer about something else is refused, never used.
#[test]
fn mypay_that_answers_about_another_notice() {
    let base64 = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    let dovuti = |iuv: &str| {
        base64(&format!(
            "<Dovuti><versioneOggetto>6.2.0</versioneOggetto><datiVersamento><identificativoUnivocoVersamento>{iuv}</identificativoUnivocoVersamento>\
             <datiSingoloVersamento><identificativoUnivocoDovuto>I</identificativoUnivocoDovuto><importoSingoloVersamento>5.00</importoSingoloVersamento>\
             <identificativoTipoDovuto>T</identificativoTipoDovuto><causaleVersamento>c</causaleVersamento>\
             <datiSpecificiRiscossione>9/xxx</datiSpecificiRiscossione></datiSingoloVersamento></datiVersamento></Dovuti>"
        ))
    };
    let open = |ente: &str, iuv: &str| {
        format!(
            "<paaSILPosizioniAperte><codIpaEnte>{ente}</codIpaEnte><deNomeEnte>x</deNomeEnte><dovuti>{}</dovuti></paaSILPosizioniAperte>",
            dovuti(iuv)
        )
    };
    let pagati = |creditor: &str, iuv: &str| {
        let text = format!(
            "<PagatiConRicevuta><dominio><identificativoDominio>{creditor}</identificativoDominio></dominio>\
             <dataOraMessaggioRicevuta>2026-11-23T10:00:00</dataOraMessaggioRicevuta><datiPagamento><codiceEsitoPagamento>0</codiceEsitoPagamento>\
             <importoTotalePagato>5.00</importoTotalePagato><identificativoUnivocoVersamento>{iuv}</identificativoUnivocoVersamento></datiPagamento></PagatiConRicevuta>"
        );
        format!("<pagati>{}</pagati>", base64(&text))
    };
    let (iuv, other) = (notice(1)[1..].to_owned(), notice(2)[1..].to_owned());
    let imported = |inside: &str| vec![open(IPA, &iuv), inside.to_owned()];
    runtime().block_on(async {
        // Answers one after the other; what comes of verify, what comes of change.
        let table: Vec<(Vec<String>, Option<&str>, Option<&str>)> = vec![
            (vec![open(IPA, &iuv)], Some("5.00"), None),
            (vec![open("c_altro", &iuv)], Some("protocol"), Some("protocol")),
            (vec![open(IPA, &iuv) + &open(IPA, &iuv)], Some("protocol"), Some("protocol")),
            (vec!["<paaSILPosizioniAperte><dovuti>***</dovuti></paaSILPosizioniAperte>".into()], Some("protocol"), Some("protocol")),
            (vec![open(IPA, &other), pagati(ENTE, &iuv)], Some("5.00"), Some("conflict")),
            (vec![open(IPA, &other), pagati(ENTE, &other)], Some("protocol"), Some("protocol")),
            (vec![open(IPA, &other), pagati("09876543217", &iuv)], Some("protocol"), Some("protocol")),
            (vec![open(IPA, &other), "<esito>KO</esito>".into()], Some("protocol"), Some("protocol")),
            (
                imported(&format!("<esito>OK</esito><identificativoUnivocoVersamento>{other}</identificativoUnivocoVersamento>")),
                None,
                Some("protocol"),
            ),
            (imported("<esito>KO</esito>"), None, Some("protocol")),
            (imported("<fault><faultCode>PAA_PAGAMENTO_IN_CORSO</faultCode></fault><esito>KO</esito>"), None, Some("conflict")),
            (imported("<fault><faultCode>PAA_IMPORTO_BILANCIO_NON_VALIDO</faultCode></fault><esito>KO</esito>"), None, Some("refused")),
            (imported("<fault><faultCode>PAA_SYSTEM_ERROR</faultCode></fault><esito>KO</esito>"), None, Some("uncertain")),
        ];
        for (answers, verified, changed) in table {
            let way = route("mypay", Some(IPA), None, "push");
            let about = Asked { payers: asked(1).payers.into_iter().take(1).collect(), ..asked(1) };
            if let Some(want) = verified {
                let server = canned(answers.clone());
                let mypay = partner("mypay", None, &server.url).unwrap();
                let got = match mypay.verify(&way, &about).await {
                    Ok(held) => format!("{}.{:02}", held.amount.unwrap().get() / 100, held.amount.unwrap().get() % 100),
                    Err(error) => name(&error).to_owned(),
                };
                assert_eq!(got, want, "verify with {answers:?}");
            }
            if let Some(want) = changed {
                let server = canned(answers.clone());
                let mypay = partner("mypay", None, &server.url).unwrap();
                assert_eq!(name(&mypay.change(&way, &about, &change(700, 0)).await.unwrap_err()), want, "change with {answers:?}");
            }
        }
    });
}

struct Canned {
    url: String,
    /// What was asked.
    asked: Arc<Mutex<Vec<String>>>,
}

/// A server that gives these answers, one for each call, inside the element that the operation wants.
fn canned(answers: Vec<String>) -> Canned {
    served(move |request, index| {
        let operation = request.split("<ppt:").nth(1).and_then(|rest| rest.split([' ', '>']).next()).unwrap_or("x").to_owned();
        let inside = answers.get(index).cloned().unwrap_or_default();
        format!("<p:{operation}Risposta xmlns:p=\"{MYPAY}\">{inside}</p:{operation}Risposta>")
    })
}

fn served(mut answer: impl FnMut(&str, usize) -> String + Send + 'static) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for (index, stream) in listener.incoming().enumerate() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut piece = [0u8; 4096];
            let whole = |request: &[u8]| {
                let text = String::from_utf8_lossy(request);
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length =
                    head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok())?;
                (body.len() >= length).then(|| body.to_owned())
            };
            let body = loop {
                match stream.read(&mut piece) {
                    Ok(0) | Err(_) => break None,
                    Ok(read) => request.extend_from_slice(&piece[..read]),
                }
                if let Some(body) = whole(&request) {
                    break Some(body);
                }
            };
            let Some(body) = body else { continue };
            let envelope = format!(
                "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{}</s:Body></s:Envelope>",
                answer(&body, index)
            );
            heard.lock().unwrap().push(body);
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", envelope.len());
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(envelope.as_bytes()));
        }
    });
    Canned { url, asked }
}

/// The documents in base64 are of MyPay's schema too, on both sides.
#[test]
fn mypay_documents_are_of_their_schema() {
    let Some(shared) = shared_dir() else { return };
    if !require("xmllint") {
        return;
    }
    let xsd = shared.join("reference/pt/mypay/PagInf_Dovuti_Pagati_6_2_0.xsd");
    let folder = tempfile::tempdir().unwrap();
    let held = |envelope: &str, element: &str| {
        let inside = envelope
            .split(&format!("<{element}>"))
            .nth(1)
            .and_then(|rest| rest.split('<').next())
            .unwrap_or_else(|| panic!("{element}: {envelope}"));
        base64::engine::general_purpose::STANDARD.decode(inside).unwrap()
    };
    runtime().block_on(async {
        let world = World::new().await;
        let mut full = debt(1, 10_000);
        full.more["bilancio"] = json!([{"capitolo": "100", "ufficio": "PL", "accertamento": "A1", "importo": 10_000}]);
        full.more["recapito"] =
            json!([["indirizzoPagatore", "Via Roma"], ["nazionePagatore", "IT"], ["e-mailPagatore", "m.rossi@example.org"]]);
        world.debts.put(full);
        world.debts.put(debt(2, 5));
        world.debts.put(debt(3, 700));
        world.post("/mypay/_pay", json!({ "creditor": ENTE, "notice": notice(3) })).await;
        // A relay that hears both sides.
        let upstream = format!("{}/mypay/ws/pa/", world.pts.url());
        let told = Arc::new(Mutex::new(Vec::new()));
        let keep = told.clone();
        let runtime = tokio::runtime::Handle::current();
        let relay = served(move |request, _| {
            let (request, upstream) = (request.to_owned(), upstream.clone());
            let answer = runtime.block_on(async move {
                let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
                http.post(upstream).header("soapaction", "\"\"").body(request).send().await.unwrap().text().await.unwrap()
            });
            keep.lock().unwrap().push(answer.clone());
            answer.split("<SOAP-ENV:Body>").nth(1).unwrap().split("</SOAP-ENV:Body>").next().unwrap().to_owned()
        });
        let mypay = partner("mypay", Some("altro"), &relay.url).unwrap();
        let way = route("mypay", Some(IPA), Some("9/0601120SP/"), "push");
        let with_place = Change { cost_place: Some("900".into()), ..change(10_950, 950) };
        mypay.change(&way, &asked(1), &with_place).await.unwrap();
        mypay.cancel(&way, &asked(2), "x").await.unwrap();
        assert_eq!(state(mypay.verify(&way, &asked(3)).await), HeldState::Paid);
        // One whose debtor is another: written from what the batch says.
        world.debts.put(debt(4, 700));
        let mut stranger = asked(4);
        stranger.payers.truncate(1);
        stranger.data.remittance_information = Some("Verbale <4>".into());
        mypay.change(&way, &stranger, &change(800, 0)).await.unwrap();
        let mut documents = Vec::new();
        for envelope in relay.asked.lock().unwrap().iter().filter(|text| text.contains("<dovuto>")) {
            documents.push(held(envelope, "dovuto"));
        }
        for envelope in told.lock().unwrap().iter() {
            for element in ["dovuti", "pagati"] {
                if envelope.contains(&format!("<{element}>")) {
                    documents.push(held(envelope, element));
                }
            }
        }
        let kinds = |root: &str| documents.iter().filter(|bytes| String::from_utf8_lossy(bytes).contains(&format!("<{root} "))).count();
        assert!(kinds("Versamento") == 3 && kinds("Dovuti") >= 2 && kinds("PagatiConRicevuta") == 1, "{}", documents.len());
        for (index, bytes) in documents.iter().enumerate() {
            judge(&xsd, &folder.path().join(format!("{index}.xml")), bytes);
        }
    });
}

fn judge(xsd: &Path, file: &Path, bytes: &[u8]) {
    std::fs::write(file, bytes).unwrap();
    let output = Command::new("xmllint").args(["--noout", "--nonet", "--schema"]).arg(xsd).arg(file).output().unwrap();
    assert!(output.status.success(), "{}\n{}", String::from_utf8_lossy(bytes), String::from_utf8_lossy(&output.stderr));
}

#[test]
fn piemontepay_keeps_to_its_wsdls_in_both_directions() {
    let runtime = runtime();
    let Some(shared) = shared_dir() else { return };
    let folder = shared.join("reference/pt/piemontepay");
    let world = runtime.block_on(World::new());
    // The ente, as the WSDL of the callbacks has it.
    let ente = served(|request, _| {
        let bad = request.contains("IUD-0099");
        let code = if bad { "200" } else { "000" };
        format!(
            "<c:EPaywsoServiceResponse xmlns:c=\"http://www.csi.it/epay/epaywso/types\"><c:Result><c:Codice>{code}</c:Codice></c:Result></c:EPaywsoServiceResponse>"
        )
    });
    let at: SocketAddr = ente.url.strip_prefix("http://").unwrap().parse().unwrap();
    let Some(out) = ContractProxy::soap(world.pts.addr, &folder.join("Enti2EPaywsoService.wsdl")) else { return };
    let Some(back) = ContractProxy::soap(at, &folder.join("EPaywso2EntiService.wsdl")) else { return };
    runtime.block_on(piemontepay(&world, &format!("{}/piemontepay/soap", out.url()), &format!("{}/pt/piemontepay", back.url())));
    let asked = out.stop();
    asked.assert_clean(&["AggiornaPosizioniDebitorieRequest"]);
    let told = back.stop();
    told.assert_clean(&[
        "EsitoAggiornaPosizioniDebitorieRequest",
        "TrasmettiNotifichePagamentoRequest",
        "TrasmettiRTRequest",
        "TrasmettiAvvisiScadutiRequest",
    ]);
    drop(ente.asked);
}

async fn piemontepay(world: &World, url: &str, callbacks: &str) {
    for number in 1..=6 {
        world.debts.put(debt(number, 10_000));
    }
    world.post("/piemontepay/_config", json!({ "callback_url": callbacks, "username": "ppay", "password": "segreta" })).await;
    let ppay = partner("piemontepay", Some("soap"), url).unwrap();
    let can = ppay.capabilities();
    assert!(!can.verify && can.answers_later && can.needs_position_id && can.update && can.cancel && !can.tells_amount);
    let way = route("piemontepay", None, Some("0007"), "push");
    assert_eq!(name(&ppay.verify(&way, &asked(1)).await.unwrap_err()), "protocol");

    let with_place = Change { cost_place: Some("Spese di notifica".into()), ..change(10_950, 950) };
    let Changed::TakenInCharge { ticket } = ppay.change(&way, &asked(1), &with_place).await.unwrap() else { panic!("done at once") };
    assert_eq!(ticket.len(), 35);
    world.until("the update is worked off", || world.of(1).amount == 10_950).await;
    assert_eq!(world.of(1).due_date.as_deref(), Some("2027-02-28"));
    assert_eq!(world.of(1).more["componenti"][1], json!({ "importo": 950, "causale": "Spese di notifica" }));
    // The same request again: taken in charge before, and done once.
    let again = ppay.change(&way, &asked(1), &with_place).await.unwrap();
    assert_eq!(again, Changed::TakenInCharge { ticket: ticket.clone() });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(world.of(1).changes.len(), 1);
    // An answer that is lost, then the same request.
    world.fault("piemontepay", "soap", "lost").await;
    assert_eq!(name(&ppay.change(&way, &asked(2), &change(9_000, 0)).await.unwrap_err()), "uncertain");
    assert!(matches!(ppay.change(&way, &asked(2), &change(9_000, 0)).await, Ok(Changed::TakenInCharge { .. })));
    world.until("once", || world.of(2).changes.len() == 1).await;

    assert!(matches!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::TakenInCharge { .. })));
    world.until("the cancellation is worked off", || world.of(3).state == DebtState::Cancelled).await;
    // One that cannot be changed any more is told later: 178.
    world.put(4, DebtState::Paid);
    assert!(ppay.change(&way, &asked(4), &change(1, 0)).await.is_ok());
    // Sender and data.
    let table = [
        (route("piemontepay", Some("123"), Some("0007"), "push"), "sender"),
        (route("piemontepay", None, None, "push"), "sender"),
        (route("piemontepay", None, Some("0007"), "push"), "refused"),
    ];
    for (way, want) in table {
        let mut about = asked(5);
        if want == "refused" {
            about.data.position_id = None;
        }
        assert_eq!(name(&ppay.change(&way, &about, &change(500, 0)).await.unwrap_err()), want, "{way:?}");
    }
    assert_eq!(world.post("/piemontepay/_pay", json!({ "creditor": ENTE, "notice": notice(1) })).await.0, 200);
    assert_eq!(world.post("/piemontepay/_tell", json!({ "creditor": ENTE, "notice": notice(1) })).await.0, 204);
    assert_eq!(world.post("/piemontepay/_expire", json!({ "creditor": ENTE, "notice": notice(6) })).await.0, 204);
    let mut told = world.look("/piemontepay/_told").await;
    for _ in 0..100 {
        if told.as_array().unwrap().iter().filter(|told| told["operation"] == "EsitoAggiornaPosizioniDebitorie").count() >= 4 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        told = world.look("/piemontepay/_told").await;
    }
    let operations: Vec<&str> = told.as_array().unwrap().iter().map(|told| told["operation"].as_str().unwrap()).collect();
    let count = |wanted: &str| operations.iter().filter(|operation| **operation == wanted).count();
    let seen = ["EsitoAggiornaPosizioniDebitorie", "TrasmettiNotifichePagamento", "TrasmettiRT", "TrasmettiAvvisiScaduti"].map(count);
    assert_eq!(seen, [4, 2, 2, 1], "{told}");
    assert!(told.as_array().unwrap().iter().all(|told| told["answer"] == "000"), "{told}");
}

#[test]
fn epayapi_keeps_to_its_specification() {
    let runtime = runtime();
    let Some(shared) = shared_dir() else { return };
    let folder = tempfile::tempdir().unwrap();
    let specification = readable_epayapi(&shared.join("reference/pt/piemontepay/epayapi_v1.1.yaml"), folder.path());
    let world = runtime.block_on(World::new());
    let Some(proxy) = ContractProxy::start_with(world.pts.addr, Some((specification, "/piemontepay/api/v1"))) else { return };
    runtime.block_on(epayapi(&world, &format!("{}/piemontepay/api/v1", proxy.url())));
    proxy.stop().assert_clean(&["getDebtPositionStatus", "getDebtPositionData", "updateDebtPositions", "deleteDebtPositions"]);
}

/// The codes of `Status` are listed as numbers under `type: string`, so that no value at all is allowed: here they are the texts
/// that they are meant to be.
fn readable_epayapi(file: &Path, folder: &Path) -> std::path::PathBuf {
    let text = std::fs::read_to_string(file).unwrap();
    let codes = "enum: [0,1,2,3,4]";
    assert_eq!(text.matches(codes).count(), 1, "the specification has changed");
    let copy = folder.join("epayapi.yaml");
    std::fs::write(&copy, text.replace(codes, "enum: ['0','1','2','3','4']")).unwrap();
    copy
}

async fn epayapi(world: &World, url: &str) {
    for number in 1..=4 {
        world.debts.put(debt(number, 10_000));
    }
    let ppay = partner("piemontepay", Some("rest"), url).unwrap();
    let can = ppay.capabilities();
    assert!(can.verify && !can.answers_later && !can.tells_amount && can.update && can.cancel);
    let way = route("piemontepay", None, Some("0007"), "push");
    let states = [
        (DebtState::Unpaid, HeldState::Payable),
        (DebtState::Cancelled, HeldState::Cancelled),
        (DebtState::Draft, HeldState::NotActive),
        (DebtState::Expired, HeldState::Expired),
    ];
    for (there, here) in states {
        world.put(1, there);
        let told = ppay.verify(&way, &asked(1)).await.unwrap();
        assert_eq!((told.state, told.amount), (here, None));
    }
    world.put(1, DebtState::Unpaid);
    let with_place = Change { cost_place: Some("Notifica".into()), ..change(10_995, 995) };
    assert_eq!(ppay.change(&way, &asked(1), &with_place).await, Ok(Changed::Done));
    let after = world.of(1);
    assert_eq!((after.amount, after.due_date.as_deref(), &after.more["requiresCostUpdate"]), (10_995, Some("2027-02-28"), &json!(false)));
    // Asked when it is paid: the flag must survive an update.
    let pull = route("piemontepay", None, Some("0007"), "pull");
    assert_eq!(ppay.change(&pull, &asked(1), &change(10_000, 0)).await, Ok(Changed::Done));
    assert_eq!(world.of(1).more["requiresCostUpdate"], json!(true));

    world.fault("piemontepay", "PUT", "lost").await;
    assert_eq!(name(&ppay.change(&way, &asked(2), &change(9_000, 0)).await.unwrap_err()), "uncertain");
    for (there, want) in [(DebtState::BeingPaid, "conflict"), (DebtState::Paid, "conflict"), (DebtState::Cancelled, "conflict")] {
        world.put(2, there);
        assert_eq!(name(&ppay.change(&way, &asked(2), &change(1, 0)).await.unwrap_err()), want, "{there:?}");
    }
    assert_eq!(world.of(2).amount, 9_000);
    assert_eq!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::Done));
    assert_eq!(ppay.cancel(&way, &asked(3), "3/a").await, Ok(Changed::Done), "again");
    assert_eq!(name(&ppay.verify(&way, &asked(99)).await.unwrap_err()), "not found");

    let (status, paid) = world.post("/piemontepay/_pay", json!({ "creditor": ENTE, "notice": notice(4) })).await;
    assert_eq!(status, 200, "{paid}");
    let told = ppay.verify(&way, &asked(4)).await.unwrap();
    let payment = told.payment.unwrap();
    assert_eq!((told.state, told.amount, payment.amount), (HeldState::Paid, Some(Cents(10_000)), Cents(10_000)));
    assert_eq!(payment.receipt, Some(format!("IUR{}", &notice(4)[1..])));
    assert_eq!(name(&ppay.cancel(&way, &asked(4), "4/a").await.unwrap_err()), "conflict");
    for (amount, cost) in [(0, 0), (-5, 0), (100_000_000_000, 0)] {
        assert_eq!(name(&ppay.change(&way, &asked(1), &change(amount, cost)).await.unwrap_err()), "refused", "{amount}");
    }
}
