//! What the tests of the SOAP partners share: simulators, partners, debts, a server that says what it is told to.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::civil::date;
use messo::clock::Clock;
use messo::config::secret::Secret;
use messo::config::{PaymentRoute, PtConfig};
use messo::connectors::ConnectorError;
use messo::connectors::http::{HttpSettings, client};
use messo::connectors::pt::{Partner, PtSettings, PtSetupError};
use messo::domain::act::PositionData;
use messo::domain::money::Cents;
use messo::domain::position::{Asked, Change, Held, HeldState, Payer};
use messo::sandbox::pt::{Debt, DebtState, Debts, PtOptions, PtRunning, start};
use serde_json::{Value, json};

pub const ENTE: &str = "01234567897";
pub const IPA: &str = "c_x999";
pub const PASSWORD: &str = "prova-2026";
pub const DEBTOR: &str = "RSSMRA80A01H501U";
pub const MYPAY: &str = "http://www.regione.veneto.it/pagamenti/ente/";

/// `3` + segregation 02 + number + check digits.
pub fn notice(number: u32) -> String {
    let base = format!("302{number:013}");
    let check = base.parse::<u64>().unwrap() % 93;
    format!("{base}{check:02}")
}

pub fn debt(number: u32, amount: i64) -> Debt {
    let value = json!({
        "creditor": ENTE, "notice": notice(number), "position_id": format!("IUD-{number:04}"), "amount": amount, "state": "unpaid",
        "due_date": "2027-01-31", "payer_tax_id": DEBTOR, "payer_name": "Mario Rossi", "remittance": "Verbale <12> & altro", "due_type": "0007",
        "more": { "codIpaEnte": IPA },
    });
    serde_json::from_value(value).unwrap()
}

pub fn asked(number: u32) -> Asked {
    let data = PositionData { position_id: Some(format!("IUD-{number:04}")), due_type: Some("0007".into()), ..PositionData::default() };
    let payer = |tax_id: &str| Payer { natural: true, tax_id: tax_id.into(), denomination: "Mario Rossi".into() };
    // The debtor of the position is the second of those who owe.
    Asked { creditor: ENTE.into(), notice: notice(number), data, payers: vec![payer("VRDLGU75B02F205K"), payer(DEBTOR)] }
}

pub fn change(amount: i64, cost: i64) -> Change {
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

pub fn route(pt: &str, ente: Option<&str>, service: Option<&str>, costs: &str) -> PaymentRoute {
    serde_json::from_value(json!({ "pt": pt, "ente": ente, "service": service, "costs": costs })).unwrap()
}

pub fn partner(kind: &str, profile: Option<&str>, url: &str) -> Result<Partner, PtSetupError> {
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
        calls: Arc::default(),
    })
}

pub struct World {
    pub pts: PtRunning,
    pub debts: Arc<Debts>,
    pub http: reqwest::Client,
}

impl World {
    /// The simulators, on a port of their own.
    pub async fn new() -> World {
        let debts = Arc::new(Debts::default());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let (username, password) = ("ente".to_owned(), PASSWORD.to_owned());
        let pts = start(PtOptions { listen, clock: Clock::REAL, debts: debts.clone(), username, password }).await.unwrap();
        World { pts, debts, http: reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap() }
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        let answer = self.http.post(format!("{}{path}", self.pts.url())).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }

    pub async fn look(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.pts.url())).send().await.unwrap().json().await.unwrap()
    }

    pub async fn fault(&self, pt: &str, operation: &str, kind: &str) {
        self.post("/_pt/faults", json!({ "pt": pt, "operation": operation, "kind": kind, "times": 1 })).await;
    }

    pub fn of(&self, number: u32) -> Debt {
        self.debts.get(ENTE, &notice(number)).unwrap()
    }

    pub fn put(&self, number: u32, state: DebtState) {
        self.debts.lock().get_mut(&(ENTE.to_owned(), notice(number))).unwrap().state = state;
    }

    /// What an update taken in charge has become, once it was worked off.
    pub async fn until(&self, what: &str, done: impl Fn() -> bool) {
        // A minute.
        for _ in 0..2_400 {
            if done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("never: {what}");
    }
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

pub fn state(held: Result<Held, ConnectorError>) -> HeldState {
    held.unwrap().state
}

pub fn name(error: &ConnectorError) -> &'static str {
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

pub struct Canned {
    pub url: String,
    /// What was asked.
    pub asked: Arc<Mutex<Vec<String>>>,
}

/// A server that gives these answers, one for each call, inside the element that the operation wants.
pub fn canned(answers: Vec<String>) -> Canned {
    served(move |request, index| {
        let operation = request.split("<ppt:").nth(1).and_then(|rest| rest.split([' ', '>']).next()).unwrap_or("x").to_owned();
        let inside = answers.get(index).cloned().unwrap_or_default();
        format!("<p:{operation}Risposta xmlns:p=\"{MYPAY}\">{inside}</p:{operation}Risposta>")
    })
}

pub fn served(mut answer: impl FnMut(&str, usize) -> String + Send + 'static) -> Canned {
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
