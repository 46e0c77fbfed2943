//! PiemontePAY: SOAP `Enti2EPaywsoService` at `/soap`, REST epayapi v1.1 at `/api/v1`, what it calls at the ente, and citizens who
//! pay (`_pay`).
//!
//! An update by SOAP is only taken in charge: it is worked off later and told by `EsitoAggiornaPosizioniDebitorie`. `POST _config`
//! tells where the ente answers ([`Outward`]); `GET _told` what it was told and how it answered; `POST _tell` tells a payment again;
//! `POST _expire` lets a position expire, and tells it. A debt with `more.requiresCostUpdate` asks the ente its cost when it is paid.

mod callbacks;
mod rest;

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::PtOptions;
use super::debts::{Debt, DebtChange, DebtState};
use super::xml::{self, Node};
use crate::domain::calendar::in_rome;
use crate::domain::notice_code;

const COMMON: &str = "http://www.csi.it/epay/epaywso/types";

/// Where the ente answers, and with which credentials (Basic). An empty address is not called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Outward {
    /// `EPaywso2EntiService`
    callback_url: String,
    /// `{organization}` and `{iuv}` in it are filled in.
    cost_url: String,
    username: String,
    password: String,
    /// Real milliseconds before an update that was taken in charge is worked off.
    delay_ms: u64,
    /// The outcome of an update is told before the answer to it has gone out.
    hasty: bool,
    /// Codes (`codici-esito.csv`) that the next updates by SOAP end with, one each, instead of being made.
    outcomes: VecDeque<String>,
}

impl Default for Outward {
    fn default() -> Self {
        let empty = String::new;
        Outward {
            callback_url: empty(),
            cost_url: empty(),
            username: empty(),
            password: empty(),
            delay_ms: 50,
            hasty: false,
            outcomes: VecDeque::new(),
        }
    }
}

/// Something that the ente was told.
#[derive(Debug, Clone, Serialize)]
struct Told {
    operation: &'static str,
    /// `Codice` of the ente's answer; `None`: there was none.
    answer: Option<String>,
}

/// The simulator.
pub(super) struct PiemontePay {
    shared: Arc<PtOptions>,
    outward: Mutex<Outward>,
    /// (creditor, IdMessaggio) of the updates that were taken in charge.
    messages: Mutex<BTreeSet<(String, String)>>,
    told: Mutex<Vec<Told>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Its paths.
pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let ppay = PiemontePay { shared, outward: Mutex::default(), messages: Mutex::default(), told: Mutex::default() };
    Router::new()
        .route("/soap", post(soap))
        .route("/_config", post(configure))
        .route("/_told", get(told))
        .route("/_pay", post(callbacks::pay))
        .route("/_tell", post(callbacks::tell))
        .route("/_expire", post(callbacks::expire))
        .nest("/api/v1", rest::router())
        .with_state(Arc::new(ppay))
}

async fn configure(State(ppay): State<Arc<PiemontePay>>, Json(outward): Json<Outward>) -> StatusCode {
    *lock(&ppay.outward) = outward;
    StatusCode::NO_CONTENT
}

async fn told(State(ppay): State<Arc<PiemontePay>>) -> Json<Value> {
    Json(json!(*lock(&ppay.told)))
}

/// The creditor and notice of a debt.
type Key = (String, String);

fn iuv(debt: &Debt) -> &str {
    notice_code::iuv(&debt.notice).unwrap_or_default()
}

/// An update of one position.
struct Update {
    position: String,
    cancels: bool,
    due_date: Option<String>,
    from: Option<String>,
    until: Option<String>,
    amount: Option<i64>,
    /// Cents of each component; `None`: none were told.
    components: Option<Vec<i64>>,
    kept: Value,
    remittance: Option<String>,
    reason: bool,
    payer: Option<(String, String)>,
}

impl PiemontePay {
    fn admits(&self, headers: &HeaderMap) -> bool {
        let told = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        told == format!("Basic {}", STANDARD.encode(format!("{}:{}", self.shared.username, self.shared.password)))
    }

    /// Applies an update: its outcome code, and the debt that it is about.
    fn update(&self, creditor: &str, service: &str, update: &Update, find: impl Fn(&Debt) -> bool) -> (&'static str, Option<Key>) {
        let now = self.shared.clock.now();
        let today = in_rome(now).date().to_string();
        let mut debts = self.shared.debts.lock();
        let ours = |debt: &&mut Debt| debt.creditor == creditor && (debt.due_type.is_empty() || debt.due_type == service) && find(debt);
        let Some(debt) = debts.values_mut().find(ours) else { return ("176", None) };
        let key = Some((debt.creditor.clone(), debt.notice.clone()));
        let code = match debt.state {
            DebtState::BeingPaid => "177",
            DebtState::Paid => "178",
            DebtState::Cancelled => "179",
            DebtState::Expired if !update.cancels && update.due_date.as_deref().is_none_or(|day| day < today.as_str()) => "187",
            _ if update.cancels && !update.reason => "172",
            _ if update.cancels => {
                debt.state = DebtState::Cancelled;
                "000"
            }
            _ if update.amount == Some(0) => "163",
            _ if update.components.as_ref().is_some_and(|parts| parts.len() > 5) => "183",
            _ if update.components.as_ref().is_some_and(|parts| parts.iter().sum::<i64>() != update.amount.unwrap_or(debt.amount)) => "184",
            _ if update.from.as_ref().zip(update.until.as_ref()).is_some_and(|(from, until)| from > until) => "185",
            _ if update.payer.is_some() && debt.amount != 0 => "196",
            _ if update.payer.is_some() && debt.payer_tax_id != "ANONIMO" => "218",
            _ => {
                apply(debt, update);
                debt.changes.push(DebtChange { at: now.as_millisecond(), amount: debt.amount, fee: debt.fee });
                "000"
            }
        };
        (code, key)
    }
}

/// What an update says is written, what it does not say stays.
fn apply(debt: &mut Debt, update: &Update) {
    debt.amount = update.amount.unwrap_or(debt.amount);
    if update.due_date.is_some() {
        debt.due_date.clone_from(&update.due_date);
    }
    if let Some(text) = &update.remittance {
        debt.remittance.clone_from(text);
    }
    if let Some((tax_id, name)) = &update.payer {
        debt.payer_tax_id.clone_from(tax_id);
        debt.payer_name.clone_from(name);
    }
    if !debt.more.is_object() {
        debt.more = json!({});
    }
    if let (Some(more), Some(kept)) = (debt.more.as_object_mut(), update.kept.as_object()) {
        more.extend(kept.clone());
    }
    // A position of the inactive pool becomes payable with its amount.
    if debt.amount > 0 {
        debt.state = DebtState::Unpaid;
    }
}

async fn soap(State(ppay): State<Arc<PiemontePay>>, headers: HeaderMap, body: Bytes) -> Response {
    let answer = |status: StatusCode, text: String| (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response();
    if !ppay.admits(&headers) {
        return answer(StatusCode::UNAUTHORIZED, xml::fault("Client", "Non autorizzato"));
    }
    let request = xml::envelope(&body).map(|(payload, _)| payload).filter(|payload| payload.name == "AggiornaPosizioniDebitorieRequest");
    let (Some(request), true) = (request, headers.contains_key("soapaction")) else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "Richiesta non valida"));
    };
    let code = take_in_charge(&ppay, &request).await;
    let mut result = String::new();
    xml::leaf(&mut result, "c:Codice", code);
    xml::leaf(&mut result, "c:Messaggio", if code == "000" { "Richiesta presa in carico" } else { "Richiesta non acquisita" });
    let payload = format!("<c:EPaywsoServiceResponse xmlns:c=\"{COMMON}\"><c:Result>{result}</c:Result></c:EPaywsoServiceResponse>");
    answer(StatusCode::OK, xml::wrap(&payload))
}

/// The checks of the header; what passes them is worked off later.
async fn take_in_charge(ppay: &Arc<PiemontePay>, request: &Node) -> &'static str {
    let header = |name: &str| request.at(&["Testata", name]).unwrap_or_default().to_owned();
    let (message, creditor, service) = (header("IdMessaggio"), header("CFEnteCreditore"), header("CodiceVersamento"));
    let list = request.get("ElencoPosizioniDaAggiornare").and_then(|list| list.get("PosizioniDaAggiornare"));
    let updates: Vec<Update> = list.into_iter().flat_map(|list| &list.nodes).map(read_update).collect();
    if creditor.len() != 11 || !creditor.bytes().all(|byte| byte.is_ascii_digit()) {
        return "151";
    }
    if service.is_empty() || service.len() > 4 {
        return "152";
    }
    if header("NumeroPosizioniDebitorie").parse() != Ok(updates.len()) || updates.is_empty() {
        return "154";
    }
    if message.is_empty() || message.len() > 35 || !lock(&ppay.messages).insert((creditor.clone(), message.clone())) {
        return "150";
    }
    let outward = lock(&ppay.outward).clone();
    let later = ppay.clone();
    let work = async move {
        let done: Vec<_> = updates
            .iter()
            .map(|update| {
                if let Some(code) = lock(&later.outward).outcomes.pop_front() {
                    return (update.position.clone(), code, None);
                }
                let (code, key) = later.update(&creditor, &service, update, |debt| debt.position_id == update.position);
                (update.position.clone(), code.to_owned(), key)
            })
            .collect();
        callbacks::outcome(&later, &message, &creditor, &service, &done).await;
    };
    if outward.hasty {
        work.await;
    } else {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(outward.delay_ms)).await;
            work.await;
        });
    }
    "000"
}

fn read_update(node: &Node) -> Update {
    let text = |name: &str| node.at(&[name]).map(str::to_owned);
    let components = node.get("ComponentiImporto");
    let parts = components.map(|list| list.nodes.iter().filter_map(|part| part.at(&["Importo"]).and_then(xml::cents)).collect());
    let told: Vec<Value> = components
        .into_iter()
        .flat_map(|list| &list.nodes)
        .map(|part| json!({ "importo": part.at(&["Importo"]).and_then(xml::cents), "causale": part.at(&["CausaleDescrittiva"]) }))
        .collect();
    let payer = node.get("SoggettoPagatore").and_then(|payer| {
        let name = payer
            .at(&["PersonaGiuridica", "RagioneSociale"])
            .map(str::to_owned)
            .or_else(|| Some(format!("{} {}", payer.at(&["PersonaFisica", "Nome"])?, payer.at(&["PersonaFisica", "Cognome"])?)))?;
        Some((payer.at(&["IdentificativoUnivocoFiscale"])?.to_owned(), name))
    });
    Update {
        position: text("IdPosizioneDebitoria").unwrap_or_default(),
        cancels: text("TipoAggiornamento").as_deref() == Some("ANNULLAMENTO"),
        due_date: text("DataScadenza"),
        from: text("DataInizioValidita"),
        until: text("DataFineValidita"),
        amount: text("ImportoTotale").as_deref().and_then(xml::cents),
        components: parts,
        kept: if told.is_empty() { json!({}) } else { json!({ "componenti": told }) },
        remittance: text("DescrizioneCausaleVersamento"),
        reason: text("Motivazione").is_some(),
        payer,
    }
}
