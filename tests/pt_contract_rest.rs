//! The REST partners (GPD, GovPay, PU) against their simulators: every exchange judged by the contract proxy against the official
//! specification, and what a partner that is slow, lost, closed or confused means to messo.
//!
//! The proxy lies beside the repository, and wants Python: `tests/common/mod.rs` says where they are looked for.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests")]

mod common;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use common::contract::ContractProxy;
use common::shared_dir;
use messo::clock::Clock;
use messo::config::secret::Secret;
use messo::config::{PaymentRoute, PtConfig};
use messo::connectors::ConnectorError;
use messo::connectors::http::{HttpSettings, client};
use messo::connectors::pt::{Partner, PtSettings};
use messo::domain::act::PositionData;
use messo::domain::money::Cents;
use messo::domain::position::{Asked, Change, Changed, Held, HeldState, Payer};
use messo::sandbox::pt::{self, Debt, DebtState, Debts, PtOptions, PtRunning};
use serde_json::{Value, json};

const CREDITOR: &str = "01234567890";
const NAV: &str = "302000000000000184";
const USER: &str = "comune";
const PASSWORD: &str = "prova-prova";

struct World {
    running: PtRunning,
    debts: Arc<Debts>,
    http: reqwest::Client,
}

impl World {
    async fn start() -> World {
        let debts = Arc::new(Debts::default());
        let options = PtOptions {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            clock: Clock::REAL,
            debts: debts.clone(),
            username: USER.to_owned(),
            password: PASSWORD.to_owned(),
        };
        let http = client(&HttpSettings { loopback_only: true, ..HttpSettings::default() }).unwrap();
        World { running: pt::start(options).await.unwrap(), debts, http }
    }

    /// A partner of this kind; `block` is what its configuration says beside, `base` where the simulators are called.
    fn partner(&self, kind: &str, base: &str, block: Value) -> Partner {
        let mut config =
            json!({ "name": "prova", "kind": kind, "url": format!("{base}{}", block["path"].as_str().unwrap()), "timeout_s": 5 });
        for (name, value) in block.as_object().unwrap() {
            if name != "path" {
                config[name] = value.clone();
            }
        }
        let config: PtConfig = serde_json::from_value(config).unwrap();
        let secret = Some(Secret::new(PASSWORD));
        let settings = PtSettings {
            config,
            password: secret.clone(),
            api_key: secret.clone(),
            client_secret: secret,
            http: self.http.clone(),
            clock: Clock::REAL,
            calls: Arc::default(),
        };
        Partner::new(settings).unwrap()
    }

    fn gpd(&self, base: &str, profile: &str) -> Partner {
        self.partner("gpd", base, json!({ "path": "/gpd/debt-positions-service", "profile": profile }))
    }

    fn govpay(&self, base: &str) -> Partner {
        self.partner("govpay", base, json!({ "path": "/govpay/backend/api/pendenze/rs/basic/v2", "username": USER }))
    }

    fn pu(&self, base: &str, token_base: &str) -> Partner {
        let token = format!("{token_base}/pu/auth/oauth/token");
        self.partner("pu", base, json!({ "path": "/pu/sil", "token_url": token, "client_id": USER }))
    }

    fn all(&self) -> Vec<(&'static str, Partner)> {
        let base = self.running.url();
        vec![("gpd", self.gpd(&base, "v3")), ("gpd", self.gpd(&base, "v1")), ("govpay", self.govpay(&base)), ("pu", self.pu(&base, &base))]
    }

    fn owe(&self, amount: i64) {
        self.debts.put(Debt {
            creditor: CREDITOR.to_owned(),
            notice: NAV.to_owned(),
            position_id: "POS-1".to_owned(),
            amount,
            fee: 0,
            state: DebtState::Unpaid,
            due_date: Some("2099-12-31".to_owned()),
            payer_tax_id: "RSSMRA80A01H501U".to_owned(),
            payer_name: "Rossi Mario".to_owned(),
            remittance: "Verbale 12/2026".to_owned(),
            due_type: String::new(),
            more: Value::Null,
            changes: Vec::new(),
            paid_amount: None,
            paid_at: None,
        });
    }

    fn debt(&self) -> Debt {
        self.debts.get(CREDITOR, NAV).unwrap()
    }

    fn put(&self, state: DebtState) {
        self.debts.put(Debt { state, ..self.debt() });
    }

    async fn order(&self, path: &str, body: Value) {
        let answer = self.http.post(format!("{}/_pt/{path}", self.running.url())).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
}

fn route() -> PaymentRoute {
    serde_json::from_value(json!({ "pt": "prova", "costs": "push", "ente": "c_x000" })).unwrap()
}

fn asked() -> Asked {
    Asked {
        creditor: CREDITOR.to_owned(),
        notice: NAV.to_owned(),
        data: PositionData { position_id: Some("POS-1".to_owned()), ..PositionData::default() },
        payers: vec![Payer { natural: true, tax_id: "RSSMRA80A01H501U".to_owned(), denomination: "Rossi Mario".to_owned() }],
    }
}

fn change(amount: i64, cost: i64) -> Change {
    Change {
        key: format!("1/{amount}"),
        amount: Cents(amount),
        cost: Cents(cost),
        due_date: None,
        cost_place: None,
        reason: "importo aggiornato".to_owned(),
    }
}

async fn verify(partner: &Partner) -> Result<Held, ConnectorError> {
    partner.verify(&route(), &asked()).await
}

async fn push(partner: &Partner, change: &Change) -> Result<Changed, ConnectorError> {
    partner.change(&route(), &asked(), change).await
}

/// Verify, change, change with another last day and a place for the cost, verify, cancel.
async fn life(world: &World, partner: &Partner, place: Option<&str>) {
    let held = verify(partner).await.unwrap();
    assert_eq!((held.state, held.amount), (HeldState::Payable, Some(Cents(10_000))));
    assert_eq!(push(partner, &change(14_300, 0)).await, Ok(Changed::Done));
    let day = "2099-11-30".parse().unwrap();
    let again = Change { due_date: Some(day), cost_place: place.map(str::to_owned), ..change(15_047, 747) };
    assert_eq!(push(partner, &again).await, Ok(Changed::Done));
    assert_eq!(push(partner, &again).await, Ok(Changed::Done), "the same again does no harm");
    let held = verify(partner).await.unwrap();
    assert_eq!((held.state, held.amount), (HeldState::Payable, Some(Cents(15_047))));
    assert!(held.due_date.is_none_or(|due| due == day), "{held:?}");
    assert_eq!(world.debt().due_date.as_deref(), Some("2099-11-30"));
    assert_eq!(world.debt().changes.iter().map(|change| change.amount).collect::<Vec<_>>(), [14_300, 15_047, 15_047]);
}

fn specification(path: &str) -> Option<PathBuf> {
    shared_dir().map(|shared| shared.join("reference/pt").join(path))
}

#[tokio::test(flavor = "multi_thread")]
async fn gpd_v3_keeps_to_its_contract() {
    let world = World::start().await;
    let Some(file) = specification("gpd/gpd_v3.json") else { return };
    let base = "/gpd/debt-positions-service/v3";
    let Some(proxy) = tokio::task::block_in_place(|| ContractProxy::start_with(world.running.addr, Some((file, base)))) else { return };
    let partner = world.gpd(&proxy.url(), "v3");
    // The ente's own gestionale makes the position, a draft first.
    let positions = format!("{}{base}/organizations/{CREDITOR}/debtpositions", proxy.url());
    let body = json!({
        "iupd": "POS-1", "companyName": "Comune di Esempio", "paymentOption": [{
            "switchToExpired": false, "debtor": { "type": "F", "fiscalCode": "RSSMRA80A01H501U", "fullName": "Rossi Mario" },
            "installments": [{
                "nav": NAV, "iuv": &NAV[1..], "amount": 10_000, "description": "Verbale 12/2026", "dueDate": "2099-12-31T22:59:59Z",
                "transfer": [{ "idTransfer": "1", "amount": 10_000, "remittanceInformation": "Verbale", "category": "9/0301105TS/",
                    "iban": "IT60X0542811101000000123456", "organizationFiscalCode": CREDITOR }],
            }],
        }],
    });
    let call = |url: String, body: Option<Value>| {
        let request = world.http.post(url).header("ocp-apim-subscription-key", PASSWORD);
        body.map_or_else(|| request.try_clone().unwrap(), |body| request.try_clone().unwrap().json(&body)).send()
    };
    assert_eq!(call(positions.clone(), Some(body.clone())).await.unwrap().status(), 201);
    assert_eq!(call(positions.clone(), Some(body)).await.unwrap().status(), 409);
    assert_eq!(verify(&partner).await.unwrap().state, HeldState::NotActive);
    assert_eq!(push(&partner, &change(10_000, 0)).await, Ok(Changed::Done));
    assert_eq!(verify(&partner).await.unwrap().state, HeldState::NotActive, "a draft stays one");
    assert_eq!(call(format!("{positions}/POS-1/publish"), None).await.unwrap().status(), 200);
    world.debts.put(Debt { changes: Vec::new(), ..world.debt() });
    life(&world, &partner, Some("2")).await;
    // SEND adds its cost: it is told apart, and a change leaves it where it is.
    world.debts.put(Debt { fee: 747, ..world.debt() });
    let held = verify(&partner).await.unwrap();
    assert_eq!((held.amount, held.fee), (Some(Cents(15_047)), Some(Cents(747))));
    let twice = Change { cost_place: Some("2".to_owned()), ..change(15_047, 747) };
    assert!(matches!(push(&partner, &twice).await, Err(ConnectorError::Refused(_))));
    assert_eq!(push(&partner, &Change { cost_place: Some("2".to_owned()), ..change(9_000, 0) }).await, Ok(Changed::Done));
    let held = verify(&partner).await.unwrap();
    assert_eq!((held.state, held.amount, held.fee), (HeldState::Payable, Some(Cents(9_000)), Some(Cents(747))));
    assert_eq!(partner.cancel(&route(), &asked(), "1/annulla").await, Ok(Changed::Done));
    assert!(matches!(verify(&partner).await, Err(ConnectorError::NotFound(_))));
    world.owe(5_000);
    world.order("pay", json!({ "creditor": CREDITOR, "notice": NAV })).await;
    let held = verify(&partner).await.unwrap();
    assert_eq!((held.state, held.payment.unwrap().amount), (HeldState::Paid, Cents(5_000)));
    let report = tokio::task::block_in_place(|| proxy.stop());
    report.assert_clean(&["createPosition", "publishPosition", "getOrganizationDebtPositionByIUPD", "updatePosition", "deletePosition"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gpd_v1_keeps_to_its_contract() {
    let world = World::start().await;
    world.owe(10_000);
    let Some(file) = specification("gpd/gpd.json") else { return };
    let base = "/gpd/debt-positions-service/v1";
    let Some(proxy) = tokio::task::block_in_place(|| ContractProxy::start_with(world.running.addr, Some((file, base)))) else { return };
    let partner = world.gpd(&proxy.url(), "v1");
    life(&world, &partner, Some("2")).await;
    assert_eq!(partner.cancel(&route(), &asked(), "1/annulla").await, Ok(Changed::Done));
    assert_eq!(verify(&partner).await.unwrap().state, HeldState::Cancelled);
    let report = tokio::task::block_in_place(|| proxy.stop());
    report.assert_clean(&["getOrganizationDebtPositionByIUPD", "updatePosition", "invalidatePosition"]);
}

/// GovPay's specification says that the value of a PATCH is an object, and its own example is none: read as anything.
fn govpay_specification(folder: &std::path::Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(specification("govpay/govpay-api-pendenze-v2.yaml")?).unwrap();
    let slip = "        value:\n          type: object\n          description: valore del'oggetto dell'operazione\n";
    assert_eq!(text.matches(slip).count(), 1, "the specification has changed");
    let file = folder.join("govpay.yaml");
    std::fs::write(&file, text.replace(slip, "        value:\n          description: valore del'oggetto dell'operazione\n")).unwrap();
    Some(file)
}

#[tokio::test(flavor = "multi_thread")]
async fn govpay_keeps_to_its_contract() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let Some(file) = govpay_specification(folder.path()) else { return };
    let base = "/govpay/backend/api/pendenze/rs/basic/v2";
    let Some(proxy) = tokio::task::block_in_place(|| ContractProxy::start_with(world.running.addr, Some((file, base)))) else { return };
    let partner = world.govpay(&proxy.url());
    assert!(matches!(verify(&partner).await, Err(ConnectorError::NotFound(_))));
    world.owe(10_000);
    life(&world, &partner, None).await;
    world.order("pay", json!({ "creditor": CREDITOR, "notice": NAV, "amount": 15_047 })).await;
    let held = verify(&partner).await.unwrap();
    assert_eq!((held.state, held.payment.unwrap().receipt.unwrap()), (HeldState::Paid, format!("ricevuta-{NAV}")));
    world.put(DebtState::Unpaid);
    assert_eq!(partner.cancel(&route(), &asked(), "1/annulla").await, Ok(Changed::Done));
    assert_eq!(verify(&partner).await.unwrap().state, HeldState::Cancelled);
    assert!(matches!(push(&partner, &change(9_000, 0)).await, Err(ConnectorError::Conflict(_))), "or GovPay would revive it");
    let report = tokio::task::block_in_place(|| proxy.stop());
    report.assert_clean(&["getPendenzaByAvviso", "addPendenza", "updatePendenza"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pu_keeps_to_its_contract() {
    let world = World::start().await;
    let (Some(sil), Some(auth)) = (specification("p4pa/p4pa-pu-sil.openapi.json"), specification("p4pa/p4pa-auth.openapi.yaml")) else {
        return;
    };
    let start =
        |file, base: &'static str| tokio::task::block_in_place(|| ContractProxy::start_with(world.running.addr, Some((file, base))));
    let (Some(sil), Some(auth)) = (start(sil, "/pu/sil"), start(auth, "/pu/auth")) else { return };
    let partner = world.pu(&sil.url(), &auth.url());
    assert!(matches!(verify(&partner).await, Err(ConnectorError::NotFound(_))));
    world.owe(10_000);
    life(&world, &partner, Some("2")).await;
    world.order("pay", json!({ "creditor": CREDITOR, "notice": NAV })).await;
    let held = verify(&partner).await.unwrap();
    assert_eq!((held.state, held.payment.unwrap().amount), (HeldState::Paid, Cents(15_047)));
    world.put(DebtState::Unpaid);
    assert_eq!(partner.cancel(&route(), &asked(), "1/annulla").await, Ok(Changed::Done));
    assert_eq!(verify(&partner).await.unwrap().state, HeldState::Cancelled);
    assert_eq!(partner.cancel(&route(), &asked(), "1/annulla").await, Ok(Changed::Done), "the same again does no harm");
    let (sil, auth) = tokio::task::block_in_place(|| (sil.stop(), auth.stop()));
    sil.assert_clean(&["paymentStatus", "getUnpaidDebtPositions", "manageDebtPositionInstallments"]);
    auth.assert_clean(&["postToken"]);
    assert_eq!(auth.exchanges.len(), 1, "one token serves many calls");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_says_what_to_do() {
    let world = World::start().await;
    for (name, partner) in world.all() {
        let fault = async |operation: &str, kind: &str| {
            world.order("faults", json!({ "pt": name, "operation": operation, "kind": kind })).await;
        };
        world.owe(10_000);
        // Asking.
        for (kind, wait) in [("503", None), ("429", Some(1)), ("500", None), ("lost", None)] {
            fault("GET", kind).await;
            let got = verify(&partner).await;
            let Err(ConnectorError::Temporary { retry_after, .. }) = got else { panic!("{name} {kind}: {got:?}") };
            assert_eq!(retry_after.map(|wait| wait.as_secs()), wait, "{name} {kind}");
        }
        fault("GET", "garbage").await;
        assert!(matches!(verify(&partner).await, Err(ConnectorError::Protocol { .. })), "{name}");
        // One organisation that is not this subscription's: no reason to stop the others.
        fault("GET", "403").await;
        let got = verify(&partner).await;
        assert!(matches!(&got, Err(ConnectorError::Refused(problem)) if problem.has("HTTP-403")), "{name}: {got:?}");
        assert_eq!(verify(&partner).await.unwrap().amount, Some(Cents(10_000)), "{name}: all faults are used up");
        // Writing: done and not told, told badly, not done.
        for (number, kind, done) in [(1, "lost", true), (2, "garbage", true), (3, "504", false), (4, "500", false)] {
            let amount = 11_000 + number;
            fault("PUT", kind).await;
            let got = push(&partner, &change(amount, 0)).await;
            assert!(matches!(got, Err(ConnectorError::Uncertain { .. })), "{name} {kind}: {got:?}");
            assert_eq!(verify(&partner).await.unwrap().amount == Some(Cents(amount)), done, "{name} {kind}");
            assert_eq!(push(&partner, &change(amount, 0)).await, Ok(Changed::Done), "{name} {kind}: the same again does no harm");
        }
        // A gateway that repeats a change by itself does no harm.
        fault("PUT", "twice").await;
        let before = world.debt().changes.len();
        assert_eq!(push(&partner, &change(11_003, 0)).await, Ok(Changed::Done), "{name}");
        assert_eq!((world.debt().changes.len(), world.debt().amount), (before + 2, 11_003), "{name}");
        for (kind, want) in [("503", "temporary"), ("409", "conflict"), ("422", "conflict"), ("400", "refused")] {
            fault("PUT", kind).await;
            let got = push(&partner, &change(12_000, 0)).await.unwrap_err();
            assert!(got.to_string().starts_with(want), "{name} {kind}: {got}");
            assert_eq!(verify(&partner).await.unwrap().amount, Some(Cents(11_003)), "{name} {kind}");
        }
        // Amounts that nobody may be asked for.
        for amount in [0, -1, 100_000_000_000] {
            assert!(matches!(push(&partner, &change(amount, 0)).await, Err(ConnectorError::Refused(_))), "{name} {amount}");
        }
        // What may not be touched.
        for state in [DebtState::Paid, DebtState::Cancelled, DebtState::BeingPaid] {
            world.put(state);
            let before = world.debt();
            let got = push(&partner, &change(12_000, 0)).await;
            assert!(matches!(got, Err(ConnectorError::Conflict(_))), "{name} {state:?}: {got:?}");
            assert_eq!(world.debt(), before, "{name} {state:?}");
        }
        // Unknown there.
        world.debts.lock().clear();
        assert!(matches!(verify(&partner).await, Err(ConnectorError::NotFound(_))), "{name}");
        assert!(matches!(push(&partner, &change(12_000, 0)).await, Err(ConnectorError::NotFound(_))), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_a_lost_one() {
    let world = World::start().await;
    let base = world.running.url();
    let partner = world.partner("gpd", &base, json!({ "path": "/gpd/debt-positions-service/v3", "timeout_s": 1 }));
    world.owe(10_000);
    let slow = |operation: &str| json!({ "operation": operation, "kind": "slow", "ms": 1_500 });
    world.order("faults", slow("GET")).await;
    assert!(matches!(verify(&partner).await, Err(ConnectorError::Temporary { .. })));
    world.order("faults", slow("PUT")).await;
    assert!(matches!(push(&partner, &change(12_000, 0)).await, Err(ConnectorError::Uncertain { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_is_asked_again_once() {
    let world = World::start().await;
    let base = world.running.url();
    let partner = world.pu(&base, &base);
    world.owe(10_000);
    for times in [1, 2] {
        world.order("faults", json!({ "operation": "NOTICE_NUMBER", "kind": "401", "times": times })).await;
        let got = verify(&partner).await;
        match times {
            1 => assert_eq!(got.unwrap().amount, Some(Cents(10_000))),
            _ => assert!(matches!(got, Err(ConnectorError::Sender(_))), "{got:?}"),
        }
    }
    // A wrong secret is the ente's to mend; a door that is shut for a while is not.
    let token = format!("{base}/pu/auth/oauth/token");
    let wrong = world.partner("pu", &base, json!({ "path": "/pu/sil", "token_url": token, "client_id": "altri" }));
    assert!(matches!(verify(&wrong).await, Err(ConnectorError::Sender(problem)) if problem.has("INVALID_CLIENT")));
    let fresh = world.pu(&base, &base);
    world.order("faults", json!({ "operation": "oauth", "kind": "503" })).await;
    assert!(matches!(verify(&fresh).await, Err(ConnectorError::Temporary { .. })));
    assert!(verify(&fresh).await.is_ok());
    // Many at once ask for one token.
    let many = world.pu(&base, &base);
    world.order("faults", json!({ "operation": "oauth", "kind": "slow", "ms": 100 })).await;
    let answers = futures_util::future::join_all((0..8).map(|_| verify(&many))).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_stops_the_ente() {
    let world = World::start().await;
    world.owe(10_000);
    let base = world.running.url();
    let wrong = json!({ "path": "/govpay/backend/api/pendenze/rs/basic/v2", "username": "altri" });
    assert!(matches!(verify(&world.partner("govpay", &base, wrong)).await, Err(ConnectorError::Sender(_))));
    let nobody = World::start().await;
    let shut = nobody.running.url();
    drop(nobody);
    tokio::task::yield_now().await;
    let got = push(&world.gpd(&shut, "v3"), &change(11_000, 0)).await;
    assert!(matches!(got, Err(ConnectorError::Temporary { .. })), "{got:?}");
}
