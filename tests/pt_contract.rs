//! One suite over all partners tecnologici, each with its simulator (`rest_proxy` and `soap_proxy` judge their calls elsewhere:
//! `pt_contract_rest.rs`, `pt_contract_soap.rs`). What a partner cannot do it declares in its capabilities; what its interface
//! cannot tell stands in the table below, and nowhere else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a failed step ends the test")]

#[path = "pt_contract/access.rs"]
mod access;
mod common;
#[path = "pt_contract/mirror.rs"]
mod mirror;

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messo::clock::{Clock, monotonic};
use messo::config::{PaymentRoute, PtConfig};
use messo::connectors::ConnectorError;
use messo::connectors::pt::file;
use messo::connectors::pt::{Partner, PtSettings};
use messo::domain::act::PositionData;
use messo::domain::money::Cents;
use messo::domain::position::{Asked, Capabilities, Change, Changed, Held, Payer};
use messo::sandbox::pt::{Debt, DebtState, Debts, PtOptions, PtRunning, start};
use serde_json::json;

const CREDITOR: &str = "01234567897";
const DEBTOR: &str = "RSSMRA80A01H501U";
const USER: &str = "comune";
const PASSWORD: &str = "prova-2026";
const AMOUNT: i64 = 10_000;

/// A partner and what is particular to it.
#[derive(Clone, Copy)]
struct Subject {
    kind: &'static str,
    profile: Option<&'static str>,
    /// Its place among the simulators: also what faults call it.
    at: &'static str,
    /// Behind that, what the configuration calls its address.
    path: &'static str,
    /// More keys of the block; `{base}` is the address of the simulators, `{here}` the repository.
    more: &'static str,
    ente: Option<&'static str>,
    service: Option<&'static str>,
    /// How faults tell its calls that ask from those that change.
    asks: &'static str,
    writes: &'static str,
    /// What it says of a state, where its interface cannot say it in full.
    says: &'static [(DebtState, &'static str)],
    /// States in which its interface lets a position be changed that another would not: nobody there knows.
    blind: &'static [DebtState],
}

const NOTHING: Subject = Subject {
    kind: "",
    profile: None,
    at: "",
    path: "",
    more: "",
    ente: None,
    service: None,
    asks: "GET",
    writes: "PUT",
    says: &[],
    blind: &[],
};
const GPD_V3: Subject = Subject {
    kind: "gpd",
    profile: Some("v3"),
    at: "gpd",
    path: "/debt-positions-service",
    more: "api_key = \"file:{secret}\"",
    // A payment under way is known to SEND's door only, and when somebody writes.
    says: &[(DebtState::BeingPaid, "PAGABILE")],
    ..NOTHING
};
const GPD_V1: Subject = Subject { profile: Some("v1"), ..GPD_V3 };
const GOVPAY: Subject = Subject {
    kind: "govpay",
    at: "govpay",
    path: "/backend/api/pendenze/rs/basic/v2",
    more: "username = \"comune\"\npassword = \"file:{secret}\"",
    // No drafts; a payment under way is known when somebody writes.
    says: &[(DebtState::Draft, "PAGABILE"), (DebtState::BeingPaid, "PAGABILE")],
    ..NOTHING
};
const PU: Subject = Subject {
    kind: "pu",
    at: "pu",
    path: "/sil",
    more: "token_url = \"{base}/pu/auth/oauth/token\"\nclient_id = \"comune\"\nclient_secret = \"file:{secret}\"",
    ente: Some("c_x000"),
    says: &[(DebtState::BeingPaid, "PAGABILE")],
    blind: &[DebtState::BeingPaid],
    ..NOTHING
};
const MYPAY: Subject = Subject {
    kind: "mypay",
    profile: Some("veneto"),
    at: "mypay",
    more: "password = \"file:{secret}\"",
    ente: Some("c_x999"),
    // No drafts either.
    says: &[(DebtState::Draft, "PAGABILE")],
    asks: "paaSILChiediPosizioniAperte",
    writes: "paaSILImportaDovuto",
    ..NOTHING
};
const PPAY_REST: Subject = Subject {
    kind: "piemontepay",
    profile: Some("rest"),
    at: "piemontepay",
    path: "/api/v1",
    more: "username = \"comune\"\npassword = \"file:{secret}\"",
    service: Some("0007"),
    says: &[(DebtState::BeingPaid, "PAGABILE")],
    ..NOTHING
};
const PPAY_SOAP: Subject = Subject { profile: Some("soap"), path: "/soap", writes: "soap", ..PPAY_REST };
const EFIL: Subject = Subject {
    kind: "efil",
    at: "efil",
    more: "api_key = \"file:{secret}\"",
    ente: Some("0001234"),
    asks: "RicercaPosizionePerIdentificavo",
    writes: "RettificaPosizione",
    // Three states in all: what is removed is not there, and nobody tells drafts and terms.
    says: &[(DebtState::Cancelled, "not found"), (DebtState::Draft, "PAGABILE"), (DebtState::Expired, "PAGABILE")],
    ..NOTHING
};
const DECLARED_REST: Subject = Subject {
    kind: "dichiarativo",
    at: "esempio",
    more: "definition = \"{here}/config/pt/esempio-rest.toml\"\nusername = \"comune\"\npassword = \"file:{secret}\"",
    ..NOTHING
};
const DECLARED_SOAP: Subject = Subject {
    more: "definition = \"{here}/config/pt/esempio-soap.toml\"\nusername = \"comune\"\npassword = \"file:{secret}\"",
    asks: "cercaPosizione",
    writes: "aggiornaImporto",
    ..DECLARED_REST
};

/// The simulators, and one partner that talks to one of them.
struct World {
    subject: &'static Subject,
    pts: PtRunning,
    debts: Arc<Debts>,
    http: reqwest::Client,
    folder: tempfile::TempDir,
    partner: Partner,
    route: PaymentRoute,
    last: AtomicU32,
}

fn notice(number: u32) -> String {
    let base = format!("302{number:013}");
    format!("{base}{:02}", base.parse::<u64>().unwrap() % 93)
}

impl World {
    async fn new(subject: &'static Subject) -> World {
        let debts = Arc::new(Debts::default());
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let options =
            PtOptions { listen, clock: Clock::REAL, debts: debts.clone(), username: USER.to_owned(), password: PASSWORD.to_owned() };
        let pts = start(options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("segreto"), PASSWORD).unwrap();
        let partner = partner(subject, &pts.url(), folder.path(), 60).unwrap();
        let route = json!({ "pt": "prova", "costs": "push", "ente": subject.ente, "service": subject.service });
        let route = serde_json::from_value(route).unwrap();
        let http = reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap();
        World { subject, pts, debts, http, folder, partner, route, last: AtomicU32::new(0) }
    }

    fn can(&self) -> Capabilities {
        self.partner.capabilities()
    }

    /// A new debt of 100 euro.
    fn owe(&self, state: DebtState) -> u32 {
        let number = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let debt = json!({
            "creditor": CREDITOR, "notice": notice(number), "position_id": position(number), "amount": AMOUNT, "state": "unpaid",
            "due_date": "2099-01-31", "payer_tax_id": DEBTOR, "payer_name": "Mario Rossi", "remittance": "Verbale <12> & altro",
            "due_type": "0007", "more": { "codIpaEnte": "c_x999", "codiceEnte": "0001234" },
        });
        self.debts.put(serde_json::from_value(debt).unwrap());
        match state {
            DebtState::Unpaid => {}
            state => self.put(number, state),
        }
        number
    }

    fn put(&self, number: u32, state: DebtState) {
        let mut debts = self.debts.lock();
        let debt = debts.get_mut(&(CREDITOR.to_owned(), notice(number))).unwrap();
        debt.state = state;
        if state == DebtState::Paid {
            debt.paid_amount = Some(debt.amount);
            debt.paid_at = Some(1_790_000_000_000);
        }
    }

    fn of(&self, number: u32) -> Debt {
        self.debts.get(CREDITOR, &notice(number)).unwrap()
    }

    async fn verify(&self, number: u32) -> Result<Held, ConnectorError> {
        self.partner.verify(&self.route, &asked(number)).await
    }

    async fn push(&self, number: u32, change: &Change) -> Result<Changed, ConnectorError> {
        self.partner.change(&self.route, &asked(number), change).await
    }

    async fn fault(&self, operation: &str, kind: &str, times: u32) {
        let body = json!({ "pt": self.subject.at, "operation": operation, "kind": kind, "times": times, "ms": 6_000 });
        let answer = self.http.post(format!("{}/_pt/faults", self.pts.url())).json(&body).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    async fn heal(&self) {
        let answer = self.http.delete(format!("{}/_pt/faults", self.pts.url())).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    /// An amount that its PT holds, once whatever was taken in charge is worked off.
    async fn holds(&self, number: u32, amount: i64) {
        // A minute.
        for _ in 0..2_400 {
            if self.of(number).amount == amount {
                return;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        panic!("{}: {} and never {amount}", self.subject.kind, self.of(number).amount);
    }
}

fn partner(subject: &Subject, base: &str, folder: &Path, timeout_s: u32) -> Result<Partner, String> {
    let profile = subject.profile.map(|profile| format!("profile = \"{profile}\"")).unwrap_or_default();
    let more = subject
        .more
        .replace("{base}", base)
        .replace("{here}", env!("CARGO_MANIFEST_DIR"))
        .replace("{secret}", &folder.join("segreto").display().to_string());
    let text = format!(
        "name = \"prova\"\nkind = \"{}\"\nurl = \"{base}/{}{}\"\ntimeout_s = {timeout_s}\n{profile}\n{more}\n",
        subject.kind, subject.at, subject.path
    );
    let config: PtConfig = toml::from_str(&text).map_err(|error| error.to_string())?;
    let settings = PtSettings::read(&config, Clock::REAL, config.is_local()).map_err(|error| error.to_string())?;
    Partner::new(settings).map_err(|error| error.to_string())
}

fn position(number: u32) -> String {
    format!("POS-{number:04}")
}

fn asked(number: u32) -> Asked {
    let data = PositionData {
        position_id: Some(position(number)),
        due_type: Some("0007".to_owned()),
        remittance_information: Some("Verbale 12".to_owned()),
        ..PositionData::default()
    };
    let payer = Payer { natural: true, tax_id: DEBTOR.to_owned(), denomination: "Mario Rossi".to_owned() };
    Asked { creditor: CREDITOR.to_owned(), notice: notice(number), data, payers: vec![payer] }
}

fn change(key: &str, amount: i64) -> Change {
    Change {
        key: key.to_owned(),
        amount: Cents(amount),
        cost: Cents(0),
        due_date: None,
        cost_place: None,
        reason: "Importo aggiornato".to_owned(),
    }
}

fn name<T>(result: &Result<T, ConnectorError>) -> &'static str {
    match result {
        Ok(_) => "fine",
        Err(ConnectorError::Temporary { .. }) => "temporary",
        Err(ConnectorError::Refused(_)) => "refused",
        Err(ConnectorError::Sender(_)) => "sender",
        Err(ConnectorError::Uncertain { .. }) => "uncertain",
        Err(ConnectorError::NotFound(_)) => "not found",
        Err(ConnectorError::Conflict(_)) => "conflict",
        Err(ConnectorError::Unclassified(_)) => "unclassified",
        Err(ConnectorError::Protocol { .. }) => "protocol",
    }
}

fn state(result: &Result<Held, ConnectorError>) -> &'static str {
    match result {
        Ok(held) => held.state.as_str(),
        _ => name(result),
    }
}

const STATES: [(DebtState, &str); 6] = [
    (DebtState::Draft, "NON_ATTIVA"),
    (DebtState::Unpaid, "PAGABILE"),
    (DebtState::BeingPaid, "IN_PAGAMENTO"),
    (DebtState::Paid, "PAGATA"),
    (DebtState::Cancelled, "ANNULLATA"),
    (DebtState::Expired, "SCADUTA"),
];

/// The whole of it.
async fn suite(subject: &'static Subject) {
    let world = World::new(subject).await;
    let can = world.can();
    assert!(can.verify || !can.tells_amount, "an amount is told by who can be asked");
    assert!(can.update || !can.answers_later);
    if can.verify {
        asks(&world).await;
        asks_in_trouble(&world).await;
        mirror::answers_about_another(&world).await;
    } else {
        assert_eq!(name(&world.verify(1).await), "protocol");
    }
    if can.update {
        changes(&world).await;
        never_does_harm(&world).await;
        changes_in_trouble(&world).await;
    } else {
        assert_eq!(name(&world.push(1, &change("1/1", 1)).await), "protocol");
    }
    cancels(&world).await;
}

/// Known and unknown notices, and every state.
async fn asks(world: &World) {
    let can = world.can();
    let mut wrong = Vec::new();
    for (there, usual) in STATES {
        let want = world.subject.says.iter().find(|(state, _)| *state == there).map_or(usual, |(_, said)| *said);
        let number = world.owe(there);
        let held = world.verify(number).await;
        if state(&held) != want {
            wrong.push(format!("{there:?}: {held:?}, not {want}"));
        }
        let Ok(held) = held else { continue };
        if there == DebtState::Unpaid {
            assert_eq!(held.amount.map(Cents::get), can.tells_amount.then_some(AMOUNT), "{held:?}");
            assert_eq!(held.fee.is_some(), can.fee_apart, "{held:?}");
            assert_eq!(held.due_date.is_some(), can.tells_date, "{held:?}");
        }
        assert!(held.notice.is_none_or(|told| told == notice(number)) && held.creditor.is_none_or(|told| told == CREDITOR));
        if let Some(payment) = held.payment {
            assert_eq!((there, payment.amount.get()), (DebtState::Paid, AMOUNT));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(name(&world.verify(999).await), "not found");
}

/// Answers that are none.
async fn asks_in_trouble(world: &World) {
    let number = world.owe(DebtState::Unpaid);
    let asks = world.subject.asks;
    for (kind, want) in [
        ("503", "temporary"),
        ("429", "temporary"),
        ("500", "temporary"),
        ("lost", "temporary"),
        ("401", "sender"),
        ("403", "refused"),
        ("garbage", "protocol"),
    ] {
        world.fault(asks, kind, 20).await;
        assert_eq!(name(&world.verify(number).await), want, "{kind}");
        world.heal().await;
    }
    let hasty = partner(world.subject, &world.pts.url(), world.folder.path(), 3).unwrap();
    world.fault(asks, "slow", 20).await;
    assert_eq!(name(&hasty.verify(&world.route, &asked(number)).await), "temporary", "slow");
    world.heal().await;
    assert_eq!(state(&world.verify(number).await), "PAGABILE");
    let closed = partner(world.subject, "http://127.0.0.1:9", world.folder.path(), 3).unwrap();
    assert_eq!(name(&closed.verify(&world.route, &asked(number)).await), "temporary", "nobody listens");
}

/// A change is made once, however often it is asked for, and can be read back.
async fn changes(world: &World) {
    let can = world.can();
    let number = world.owe(DebtState::Unpaid);
    let raised = change("1/1", 14_300);
    let first = world.push(number, &raised).await;
    match (&first, can.answers_later) {
        (Ok(Changed::Done), false) | (Ok(Changed::TakenInCharge { .. }), true) => {}
        other => panic!("{other:?}"),
    }
    world.holds(number, 14_300).await;
    let again = world.push(number, &raised).await;
    assert_eq!(again, first, "the same again");
    tokio::time::sleep(Duration::from_millis(if can.answers_later { 300 } else { 0 })).await;
    assert_eq!(world.of(number).amount, 14_300);
    let before = world.of(number);
    assert_eq!((before.payer_tax_id.as_str(), before.fee), (DEBTOR, 0), "the rest stays");
    if can.verify {
        let held = world.verify(number).await.unwrap();
        assert_eq!(held.amount.map(Cents::get), can.tells_amount.then_some(14_300));
    }
    let moved = Change { due_date: Some("2099-06-30".parse().unwrap()), ..change("1/2", 9_900) };
    assert!(world.push(number, &moved).await.is_ok());
    world.holds(number, 9_900).await;
    assert_eq!(world.of(number).due_date.as_deref(), Some("2099-06-30"));
}

/// What is paid, being paid or cancelled is left alone, and so is what nobody may ask.
async fn never_does_harm(world: &World) {
    for there in [DebtState::Paid, DebtState::BeingPaid, DebtState::Cancelled] {
        if world.subject.blind.contains(&there) {
            continue;
        }
        let number = world.owe(there);
        let pushed = world.push(number, &change("1/1", 14_300)).await;
        if world.can().answers_later {
            tokio::time::sleep(Duration::from_millis(300)).await;
        } else {
            let seen = world.subject.says.iter().all(|(state, said)| *state != there || *said == "not found");
            let want: &[&str] = if seen { &["conflict", "not found"] } else { &["conflict", "refused", "unclassified"] };
            assert!(want.contains(&name(&pushed)), "{there:?}: {pushed:?}");
        }
        let left = world.of(number);
        assert_eq!((left.amount, left.state), (AMOUNT, there), "{there:?}");
    }
    let number = world.owe(DebtState::Unpaid);
    for amount in [0, -1, 100_000_000_000] {
        let pushed = world.push(number, &change("1/1", amount)).await;
        assert!(matches!(name(&pushed), "refused" | "protocol"), "{amount}: {pushed:?}");
    }
    let more_cost_than_amount = Change { cost: Cents(300), ..change("1/2", 200) };
    assert!(world.push(number, &more_cost_than_amount).await.is_err());
    assert_eq!(world.of(number).amount, AMOUNT);
    if world.can().verify {
        assert_eq!(name(&world.push(998, &change("1/1", 100)).await), "not found");
    }
}

/// Whatever happens to an answer, the change ends as it should when it is asked for again.
async fn changes_in_trouble(world: &World) {
    let writes = world.subject.writes;
    for (kind, want) in [
        ("lost", "uncertain"),
        ("garbage", "uncertain"),
        ("500", "uncertain"),
        ("503", "temporary uncertain"),
        ("401", "sender"),
        ("403", "refused"),
    ] {
        let number = world.owe(DebtState::Unpaid);
        world.fault(writes, kind, 20).await;
        let raised = change("1/1", 14_300);
        let pushed = world.push(number, &raised).await;
        assert!(want.split(' ').any(|want| want == name(&pushed)), "{kind}: {pushed:?}");
        world.heal().await;
        if world.can().tells_amount {
            // What a person, and the flow, look at before they repeat.
            let held = world.verify(number).await.unwrap();
            assert_eq!(held.amount.map(Cents::get), Some(world.of(number).amount), "{kind}");
        }
        assert!(world.push(number, &raised).await.is_ok(), "{kind}");
        world.holds(number, 14_300).await;
    }
    let number = world.owe(DebtState::Unpaid);
    let hasty = partner(world.subject, &world.pts.url(), world.folder.path(), 3).unwrap();
    world.fault(writes, "slow", 20).await;
    let pushed = hasty.change(&world.route, &asked(number), &change("1/1", 14_300)).await;
    assert_eq!(name(&pushed), "uncertain", "slow");
    world.heal().await;
    assert!(world.push(number, &change("1/1", 14_300)).await.is_ok());
    world.holds(number, 14_300).await;
}

async fn cancels(world: &World) {
    let number = world.owe(DebtState::Unpaid);
    let cancelled = world.partner.cancel(&world.route, &asked(number), "1/a").await;
    if !world.can().cancel {
        assert_eq!(name(&cancelled), "protocol");
        assert_eq!(world.of(number).state, DebtState::Unpaid);
        return;
    }
    assert!(cancelled.is_ok(), "{cancelled:?}");
    let gone = || world.debts.get(CREDITOR, &notice(number)).is_none_or(|debt| debt.state == DebtState::Cancelled);
    let asked_at = monotonic();
    while world.can().answers_later && !gone() && asked_at.elapsed() < Duration::from_secs(60) {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(gone(), "{:?}", world.of(number));
    let paid = world.owe(DebtState::Paid);
    let refused = world.partner.cancel(&world.route, &asked(paid), "2/a").await;
    assert!(refused.is_err() || world.can().answers_later, "{refused:?}");
    assert_eq!(world.of(paid).state, DebtState::Paid);
}

#[tokio::test]
async fn gpd_v3() {
    suite(&GPD_V3).await;
}

#[tokio::test]
async fn gpd_v1() {
    suite(&GPD_V1).await;
}

#[tokio::test]
async fn govpay() {
    suite(&GOVPAY).await;
}

#[tokio::test]
async fn pu() {
    suite(&PU).await;
}

#[tokio::test]
async fn mypay() {
    suite(&MYPAY).await;
}

#[tokio::test]
async fn piemontepay_rest() {
    suite(&PPAY_REST).await;
}

#[tokio::test]
async fn piemontepay_soap() {
    suite(&PPAY_SOAP).await;
}

#[tokio::test]
async fn efil() {
    suite(&EFIL).await;
}

#[tokio::test]
async fn declared_rest() {
    suite(&DECLARED_REST).await;
}

#[tokio::test]
async fn declared_soap() {
    suite(&DECLARED_SOAP).await;
}

/// Verify nothing, change nothing, say so.
#[tokio::test]
async fn unmanaged() {
    let config: PtConfig = toml::from_str("name = \"altro\"\nkind = \"non_gestito\"").unwrap();
    let partner = Partner::new(PtSettings::read(&config, Clock::REAL, config.is_local()).unwrap()).unwrap();
    let route: PaymentRoute = serde_json::from_value(json!({ "pt": "altro", "costs": "nessuno" })).unwrap();
    assert_eq!(partner.capabilities(), Capabilities::NOTHING);
    assert_eq!(name(&partner.verify(&route, &asked(1)).await), "protocol");
    assert_eq!(name(&partner.change(&route, &asked(1), &change("1/1", 1)).await), "protocol");
    assert_eq!(name(&partner.cancel(&route, &asked(1), "1/a").await), "protocol");
}

/// What a PT does with the files that it imports: MyPay's rules, as far as these tests go.
fn import(folder: &Path, debts: &mut BTreeMap<String, i64>) {
    for entry in std::fs::read_dir(folder.join(file::OUT)).unwrap() {
        let path = entry.unwrap().path();
        let mut text = String::new();
        let mut zip = zip::ZipArchive::new(std::fs::File::open(&path).unwrap()).unwrap();
        zip.by_index(0).unwrap().read_to_string(&mut text).unwrap();
        let mut lines = text.lines();
        let (header, row) = (lines.next().unwrap(), lines.next().unwrap());
        let fields: BTreeMap<&str, &str> = header.split(';').zip(row.split(';')).collect();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let answer = |end: &str, text: String| std::fs::write(folder.join(file::IN).join(format!("{stem}{end}")), text).unwrap();
        match (debts.get_mut(fields["IUD"]), fields["azione"]) {
            (Some(amount), "M") => {
                *amount = fields["importoDovuto"].replace('.', "").parse().unwrap();
                answer("_IUV.csv", format!("{header}\n{row}\n"));
            }
            _ => answer(
                "_SCARTI.csv",
                format!("{header};num_riga_flusso;cod_rifiuto;de_rifiuto\n{row};2;PAA_IMPORT_IUD_NON_TROVATO;Non trovato\n"),
            ),
        }
        std::fs::remove_file(path).unwrap();
    }
}

#[tokio::test]
async fn a_folder_of_files() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!("name = \"cartella\"\nkind = \"file\"\nfolder = \"{}\"", folder.path().display());
    let config: PtConfig = toml::from_str(&text).unwrap();
    let partner = Partner::new(PtSettings::read(&config, Clock::REAL, config.is_local()).unwrap()).unwrap();
    let route = json!({ "pt": "cartella", "costs": "push", "ente": "C_ESEMPIO", "service": "0007 9/0101101IM/" });
    let route: PaymentRoute = serde_json::from_value::<PaymentRoute>(route).unwrap();
    let can = partner.capabilities();
    assert!(!can.verify && can.update && can.answers_later && can.needs_position_id);
    assert_eq!(name(&partner.verify(&route, &asked(1)).await), "protocol");
    let ticket = |done: Result<Changed, ConnectorError>| match done {
        Ok(Changed::TakenInCharge { ticket }) => ticket,
        other => panic!("{other:?}"),
    };
    let known = ticket(partner.change(&route, &asked(1), &change("1/1", 14_300)).await);
    let unknown = ticket(partner.change(&route, &asked(2), &change("2/1", 14_300)).await);
    assert_eq!(ticket(partner.change(&route, &asked(1), &change("1/1", 14_300)).await), known, "the same again");
    let mut debts = BTreeMap::from([(position(1), AMOUNT)]);
    assert_eq!(file::outcomes(folder.path()).unwrap(), []);
    import(folder.path(), &mut debts);
    assert_eq!(debts[&position(1)], 14_300);
    let mut want = vec![(known.clone(), Ok(())), (unknown, Err("PAA_IMPORT_IUD_NON_TROVATO".to_owned()))];
    want.sort();
    assert_eq!(file::outcomes(folder.path()).unwrap(), want);
    file::told(folder.path(), &known).unwrap();
    assert_eq!(file::outcomes(folder.path()).unwrap().len(), 1);
    // Imported already: a repetition writes nothing.
    assert_eq!(ticket(partner.change(&route, &asked(1), &change("1/1", 14_300)).await), known);
    assert_eq!(std::fs::read_dir(folder.path().join(file::OUT)).unwrap().count(), 0);
    for amount in [0, -1, 100_000_000_000] {
        assert_eq!(name(&partner.change(&route, &asked(1), &change("1/9", amount)).await), "refused");
    }
}

/// `messo pt` and `messo check`, as a person runs them.
#[tokio::test(flavor = "multi_thread")]
async fn a_person_tries_a_partner() {
    let world = World::new(&DECLARED_REST).await;
    let (number, at) = (world.owe(DebtState::Unpaid), world.folder.path());
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/pt/esempio-rest.toml"), at.join("pt.toml")).unwrap();
    let config = format!(
        "data = \"dati\"\ninstallation = \"prova\"\n[[pt]]\nname = \"locale\"\nkind = \"dichiarativo\"\nurl = \"{}/esempio\"\n\
         definition = \"pt.toml\"\nusername = \"comune\"\npassword = \"file:segreto\"\n\
         [[pt]]\nname = \"altro\"\nkind = \"non_gestito\"\n\
         [[ente]]\ntax_id = \"{CREDITOR}\"\ndenomination = \"Comune\"\nambiente = \"collaudo\"\nsend_url = \"http://127.0.0.1:9\"\n\
         [[ente.key]]\nid = \"a\"\nsecret = \"env:X\"\n[[ente.pagamenti]]\npt = \"locale\"\naux = 3\ncosts = \"push\"\n\
         [[gestionale]]\nname = \"g\"\nroot = \"case\"\nenti = [\"{CREDITOR}\"]\nflows = [\"cds\"]\n",
        world.pts.url()
    );
    std::fs::write(at.join("messo.toml"), config).unwrap();
    let run = |words: &[&str]| {
        let program =
            std::process::Command::new(env!("CARGO_BIN_EXE_messo")).args(words).arg("--config").arg(at.join("messo.toml")).output();
        let output = tokio::task::block_in_place(|| program).unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains(PASSWORD) && !said.contains("Rossi") && !said.contains(DEBTOR), "{said}");
        (output.status.code().unwrap(), said)
    };
    let (own, unknown) = (notice(number), notice(999));
    let table: [(&[&str], i32, &str); 12] = [
        (&["check"], 0, "configurazione valida"),
        (
            &["pt", "list"],
            0,
            "locale (un PT dichiarativo)\n  dice stato e importo di un avviso; cambia l'importo; annulla\n  ente 01234567897",
        ),
        (&["pt", "try", "locale", "--notice", &own], 0, "Stato presso il PT: pagabile\n  Importo: 100,00 euro\n  Scadenza: 31/01/2099"),
        (&["pt", "try", "locale", "--notice", &own, "--amount", "100,00"], 0, "pagabile"),
        (&["pt", "try", "locale", "--notice", &own, "--amount", "99,00"], 1, "NON COINCIDE: ci si aspettava 99,00 euro"),
        (&["pt", "try", "locale", "--notice", &unknown], 1, "IL PT NON CONOSCE QUESTO AVVISO (404 AVVISO_SCONOSCIUTO)"),
        (&["pt", "try", "locale", "--notice", "123"], 2, "18 cifre"),
        (&["pt", "try", "nessuno", "--notice", &own], 2, "«nessuno» non è nella configurazione"),
        (&["pt", "try", "altro", "--notice", &own], 2, "nessun ente affida avvisi"),
        (&["pt", "try", "locale", "--notice", &own, "--change", "120,00"], 2, "aggiungere --yes"),
        (&["pt", "try", "locale", "--notice", &own, "--change", "0", "--yes", "--reason", "prova"], 1, "RIFIUTATO"),
        (&["pt", "try", "locale", "--notice", &own, "--change", "120,00", "--yes"], 2, "manca il motivo"),
    ];
    for (words, code, want) in table {
        let (got, said) = run(words);
        assert!(got == code && said.contains(want), "{words:?}: {got}\n{said}");
        assert_eq!(world.of(number).amount, AMOUNT, "{words:?}");
    }
    let (code, said) = run(&["pt", "try", "locale", "--notice", &own, "--change", "120,50", "--yes", "--reason", "concordato con il PT"]);
    assert!(code == 0 && said.contains("non c'è un registro degli ordini") && said.contains("Importo: 120,50 euro"), "{code}\n{said}");
    assert_eq!(world.of(number).amount, 12_050);
    // The password is where systemd puts it for the service alone.
    let config = std::fs::read_to_string(at.join("messo.toml")).unwrap();
    std::fs::write(at.join("messo.toml"), config.replace("file:segreto", "credential:segreti_pt-locale")).unwrap();
    std::fs::create_dir(at.join("credenziali")).unwrap();
    std::fs::create_dir_all(at.join("case")).unwrap();
    std::fs::copy(at.join("segreto"), at.join("credenziali/segreti_pt-locale")).unwrap();
    for words in [&["pt", "list"][..], &["pt", "try", "locale", "--notice", &own]] {
        let (code, said) = run(words);
        assert!(
            code == 1 && said.contains("LoadCredential=segreti:/etc/messo/credenziali messo pt try locale"),
            "{words:?}: {code}\n{said}"
        );
    }
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_messo"));
    command.args(["run", "--config"]).arg(at.join("messo.toml")).env("X", "chiave").env("CREDENTIALS_DIRECTORY", at.join("credenziali"));
    let mut hub = common::Child::spawn("messo run", &mut command);
    tokio::task::block_in_place(|| hub.wait_line("messo è in servizio", std::time::Duration::from_secs(60)));
    let change = |amount: &'static str| ["pt", "try", "locale", "--notice", &*own, "--change", amount, "--yes", "--reason", "prova del PT"];
    for (words, code, want) in [
        (&["pt", "list"][..], 0, "locale (un PT dichiarativo)"),
        (&["pt", "try", "locale", "--notice", &own][..], 0, "Prova fatta dal servizio acceso"),
        (
            &["pt", "try", "locale", "--notice", &unknown, "--debtor", DEBTOR, "--debtor-name", "Mario Rossi"][..],
            1,
            "NON CONOSCE QUESTO AVVISO",
        ),
        (&change("130,00")[..], 0, "Importo: 130,00 euro"),
        (&change("0")[..], 1, "RIFIUTATO"),
    ] {
        let (got, said) = run(words);
        assert!(got == code && said.contains(want), "{words:?}: {got}\n{said}");
    }
    assert_eq!(world.of(number).amount, 13_000);
    assert!(tokio::task::block_in_place(|| hub.terminate(std::time::Duration::from_secs(90))).success());
    // With the hub off the store's books are opened for it.
    assert_eq!(run(&change("131,00")).0, 1, "no credentials");
    let (_, said) = run(&["audit", "--orders", "--json"]);
    let books: serde_json::Value = serde_json::from_str(&said).unwrap();
    let orders: Vec<_> =
        books["orders"].as_array().unwrap().iter().map(|order| (&order["command"], &order["why"], &order["outcome"])).collect();
    let one = |outcome: &str| (json!("pt_try"), json!("prova del PT"), json!(outcome));
    let want = [one("PROVA_NON_RIUSCITA"), one("PROVA_NON_RIUSCITA"), one("OK")];
    assert_eq!(orders, want.iter().map(|(command, why, outcome)| (command, why, outcome)).collect::<Vec<_>>(), "{books}");
    let text = std::fs::read_to_string(at.join("pt.toml")).unwrap();
    std::fs::write(at.join("pt.toml"), text.replacen("{{ importo }}", "{{ importi }}", 1)).unwrap();
    let line = 1 + text.lines().position(|line| line.contains("{{ importo }}")).unwrap();
    let (code, said) = run(&["check"]);
    assert!(code == 1 && said.contains(&format!("pt.toml:{line}: [DESCRIZIONE_PT_NON_VALIDA] update.body: ")), "{said}");
    let (code, said) = run(&["pt", "list"]);
    assert!(code == 1 && said.contains("non utilizzabile"), "{said}");
}

#[test]
fn a_partner_that_lacks_something_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("segreto"), PASSWORD).unwrap();
    for subject in [&GPD_V3, &GOVPAY, &PU, &MYPAY, &PPAY_REST, &EFIL, &DECLARED_REST] {
        let bare = Subject { more: "", ..*subject };
        assert!(partner(&bare, "http://127.0.0.1:9", folder.path(), 1).is_err(), "{}", subject.kind);
        assert!(partner(subject, "non un indirizzo", folder.path(), 1).is_err(), "{}", subject.kind);
        assert!(partner(subject, "http://127.0.0.1:9", folder.path(), 1).is_ok(), "{}", subject.kind);
    }
    let other = Subject { profile: Some("lunare"), ..MYPAY };
    assert!(partner(&other, "http://127.0.0.1:9", folder.path(), 1).is_err());
}
