//! GovPay's API Pendenze v2 (`govpay-api-pendenze-v2.yaml`), with HTTP Basic: what a gestionale calls.
//!
//! As link-it's own source has it: a PUT must have the voci that are there, by the same ids; one that is not `NON_ESEGUITA` or
//! `ANNULLATA` takes none; who writes on an annulled one revives it. A debt keeps in `more` what was written with it. Citizens pay
//! at `_pay` ([`ente`]).

mod ente;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::{Debt, DebtChange, DebtState, PtOptions};

type Shared = State<Arc<PtOptions>>;

/// `idA2A` of a debt that nobody wrote through GovPay.
const A2A: &str = "GESTIONALE";

pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let ente = ente::router(shared.clone());
    let base = "/backend/api/pendenze/rs/basic/v2/pendenze";
    Router::new()
        .route(&format!("{base}/byAvviso/{{domain}}/{{notice}}"), get(by_notice))
        .route(&format!("{base}/{{a2a}}/{{id}}"), get(by_id).put(write).patch(patch))
        .with_state(shared)
        .merge(ente)
}

#[expect(clippy::result_large_err, reason = "the refusal is the answer itself, made once a call")]
fn enter(shared: &PtOptions, headers: &HeaderMap) -> Result<(), Response> {
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:{}", shared.username, shared.password)));
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if given == Some(wanted.as_str()) { Ok(()) } else { Err(StatusCode::UNAUTHORIZED.into_response()) }
}

/// `FaultBean`.
struct Wrong {
    status: StatusCode,
    category: &'static str,
    code: &'static str,
    text: String,
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let Wrong { status, category, code, text } = self;
        (status, Json(json!({ "categoria": category, "codice": code, "descrizione": text }))).into_response()
    }
}

fn bad(text: &str) -> Wrong {
    Wrong { status: StatusCode::BAD_REQUEST, category: "RICHIESTA", code: "SINTASSI", text: text.to_owned() }
}

fn refused(code: &'static str, text: &str) -> Wrong {
    Wrong { status: StatusCode::UNPROCESSABLE_ENTITY, category: "OPERAZIONE", code, text: text.to_owned() }
}

fn not_found() -> Wrong {
    Wrong { status: StatusCode::NOT_FOUND, category: "OPERAZIONE", code: "NOT_FOUND", text: "Risorsa non trovata".to_owned() }
}

fn a2a(debt: &Debt) -> &str {
    debt.more.get("idA2A").and_then(Value::as_str).unwrap_or(A2A)
}

async fn by_notice(State(shared): Shared, Path((domain, notice)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if let Err(response) = enter(&shared, &headers) {
        return response;
    }
    match shared.debts.get(&domain, &notice) {
        Some(debt) => Json(render(&debt, &shared)).into_response(),
        None => not_found().into_response(),
    }
}

async fn by_id(State(shared): Shared, Path((application, id)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if let Err(response) = enter(&shared, &headers) {
        return response;
    }
    match find(&shared, &application, &id) {
        Some(debt) => Json(render(&debt, &shared)).into_response(),
        None => not_found().into_response(),
    }
}

fn find(shared: &PtOptions, application: &str, id: &str) -> Option<Debt> {
    shared.debts.of_position(id).into_iter().find(|debt| a2a(debt) == application)
}

async fn write(
    State(shared): Shared,
    Path((application, id)): Path<(String, String)>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Err(response) = enter(&shared, &headers) {
        return response;
    }
    let Ok(Value::Object(given)) = serde_json::from_slice::<Value>(&body) else { return bad("corpo non valido").into_response() };
    let old = find(&shared, &application, &id);
    let debt = match put(&shared, &application, id, given, old) {
        Ok(debt) => debt,
        Err(wrong) => return wrong.into_response(),
    };
    let mut answer = json!({ "idDominio": debt.creditor, "numeroAvviso": debt.notice });
    if query.get("stampaAvviso").is_some_and(|value| value == "true")
        && let Some(answer) = answer.as_object_mut()
    {
        answer.insert("pdf".to_owned(), json!(STANDARD.encode("%PDF-1.4")));
    }
    Json(answer).into_response()
}

/// Makes a pendenza, or puts it in the place of the `old` one.
fn put(shared: &PtOptions, application: &str, id: String, mut given: Map<String, Value>, old: Option<Debt>) -> Result<Debt, Wrong> {
    for name in ["idTipoPendenza", "idDominio", "causale", "soggettoPagatore", "importo", "voci"] {
        if given.get(name).is_none_or(Value::is_null) {
            return Err(bad(&format!("manca {name}")));
        }
    }
    acceptable(&given, old.as_ref())?;
    let creditor = text(&given, "idDominio");
    let held_notice = old.as_ref().map(|debt| debt.notice.clone());
    let was = old.as_ref().map(|debt| debt.state);
    let notice = match (text(&given, "numeroAvviso"), held_notice) {
        (asked, Some(held)) if asked.is_empty() || asked == held => held,
        (_, Some(_)) => return Err(refused("VER_024", "numero avviso diverso da quello assegnato")),
        (asked, None) if !asked.is_empty() => asked,
        (_, None) => next_notice(shared),
    };
    let amount = cents(given.get("importo")).unwrap_or(0);
    let payer = given.get("soggettoPagatore").cloned().unwrap_or_default();
    let payer = |name: &str| payer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut debt = old.unwrap_or_else(|| Debt {
        creditor: creditor.clone(),
        notice: notice.clone(),
        position_id: id,
        amount,
        fee: 0,
        state: DebtState::Unpaid,
        due_date: None,
        payer_tax_id: payer("identificativo"),
        payer_name: payer("anagrafica"),
        remittance: text(&given, "causale"),
        due_type: text(&given, "idTipoPendenza"),
        more: Value::Null,
        changes: Vec::new(),
        paid_amount: None,
        paid_at: None,
    });
    debt.state = DebtState::Unpaid;
    debt.amount = amount;
    debt.due_date = given.get("dataScadenza").and_then(Value::as_str).map(str::to_owned);
    debt.changes.push(DebtChange { at: shared.clock.now().as_millisecond(), amount, fee: 0 });
    given.insert("idA2A".to_owned(), json!(application));
    given.remove("idPendenza");
    debt.more = Value::Object(given);
    match was {
        None => shared.debts.put(debt.clone()),
        Some(was) if shared.debts.replace(was, debt.clone()) => {}
        Some(_) => return Err(refused("VER_003", "la pendenza e' in uno stato che non consente l'aggiornamento")),
    }
    Ok(debt)
}

/// What GovPay looks at before it writes.
fn acceptable(given: &Map<String, Value>, old: Option<&Debt>) -> Result<(), Wrong> {
    let empty = Vec::new();
    let voci = given.get("voci").and_then(Value::as_array).unwrap_or(&empty);
    if voci.is_empty() || voci.len() > 5 {
        return Err(bad("da 1 a 5 voci"));
    }
    let mut total = 0;
    for voce in voci {
        let (Some(amount), true) = (cents(voce.get("importo")), voce.get("descrizione").is_some()) else {
            return Err(bad("voce incompleta"));
        };
        total += amount;
        let quote = voce.pointer("/contabilita/quote").and_then(Value::as_array);
        if let Some(quote) = quote.filter(|quote| !quote.is_empty())
            && quote.iter().filter_map(|quota| cents(quota.get("importo"))).sum::<i64>() != amount
        {
            return Err(refused("VER_035", "la somma delle quote non corrisponde all'importo della voce"));
        }
    }
    if cents(given.get("importo")) != Some(total) {
        return Err(refused("VER_002", "la somma delle voci non corrisponde all'importo della pendenza"));
    }
    let Some(old) = old else { return Ok(()) };
    if !matches!(old.state, DebtState::Unpaid | DebtState::Draft | DebtState::Cancelled) {
        return Err(refused("VER_003", "la pendenza e' in uno stato che non consente l'aggiornamento"));
    }
    let held = voci_of(old);
    if held.len() != voci.len() {
        return Err(refused("VER_005", "numero di voci diverso"));
    }
    let ids = |list: &[Value]| {
        let mut ids: Vec<String> =
            list.iter().map(|voce| voce.get("idVocePendenza").and_then(Value::as_str).unwrap_or_default().to_owned()).collect();
        ids.sort();
        ids
    };
    if ids(&held) == ids(voci) { Ok(()) } else { Err(refused("VER_006", "identificativi delle voci diversi")) }
}

async fn patch(State(shared): Shared, Path((application, id)): Path<(String, String)>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(response) = enter(&shared, &headers) {
        return response;
    }
    let Some(mut debt) = find(&shared, &application, &id) else { return not_found().into_response() };
    let was = debt.state;
    let Ok(Value::Array(operations)) = serde_json::from_slice::<Value>(&body) else { return bad("corpo non valido").into_response() };
    for operation in &operations {
        let part = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
        match (part("op"), part("path"), part("value")) {
            ("REPLACE", "/stato", "ANNULLATA") => match debt.state {
                DebtState::Unpaid | DebtState::Draft | DebtState::Expired | DebtState::Cancelled => debt.state = DebtState::Cancelled,
                DebtState::BeingPaid | DebtState::Paid => {
                    return refused("VER_009", "la pendenza non puo' essere annullata").into_response();
                }
            },
            ("REPLACE", "/stato", "NON_ESEGUITA") if debt.state == DebtState::Cancelled => debt.state = DebtState::Unpaid,
            _ => return bad("operazione non prevista").into_response(),
        }
    }
    if shared.debts.replace(was, debt) {
        StatusCode::OK.into_response()
    } else {
        refused("VER_009", "la pendenza non puo' essere annullata").into_response()
    }
}

// --------------------------------------------------------------------------------------------------------------- what is shown

fn render(debt: &Debt, shared: &PtOptions) -> Value {
    let empty = Map::new();
    let held = debt.more.as_object().unwrap_or(&empty);
    let today = shared.clock.now().to_zoned(TimeZone::get("Europe/Rome").unwrap_or(TimeZone::UTC)).date();
    let late = debt.due_date.as_deref().and_then(|text| text.parse::<Date>().ok()).is_some_and(|due| due < today);
    let state = match debt.state {
        DebtState::Unpaid if late => "SCADUTA",
        DebtState::Unpaid | DebtState::Draft | DebtState::BeingPaid => "NON_ESEGUITA",
        DebtState::Paid => "ESEGUITA",
        DebtState::Cancelled => "ANNULLATA",
        DebtState::Expired => "SCADUTA",
    };
    let mut out = Map::new();
    const SAME: &[&str] = &[
        "tassonomia",
        "tassonomiaAvviso",
        "direzione",
        "divisione",
        "dataValidita",
        "annoRiferimento",
        "cartellaPagamento",
        "datiAllegati",
        "documento",
        "proprieta",
    ];
    for name in SAME {
        if let Some(value) = held.get(*name).filter(|value| !value.is_null()) {
            out.insert((*name).to_owned(), value.clone());
        }
    }
    let domain = json!({ "idDominio": debt.creditor, "ragioneSociale": "Comune di Esempio" });
    let done = debt.state == DebtState::Paid;
    let voci = voci_of(debt).into_iter().enumerate().map(|(index, voce)| {
        let mut voce = voce.as_object().cloned().unwrap_or_default();
        if let Some(other) = voce.remove("idDominio") {
            voce.insert("dominio".to_owned(), json!({ "idDominio": other, "ragioneSociale": "Provincia di Esempio" }));
        }
        voce.insert("indice".to_owned(), json!(index + 1));
        voce.insert("stato".to_owned(), json!(if done { "Eseguito" } else { "Non eseguito" }));
        Value::Object(voce)
    });
    out.insert("voci".to_owned(), voci.collect());
    let payer = held.get("soggettoPagatore").cloned().unwrap_or_else(|| {
        let kind = if debt.payer_tax_id.len() == 11 { "G" } else { "F" };
        json!({ "tipo": kind, "identificativo": debt.payer_tax_id, "anagrafica": debt.payer_name })
    });
    let due_type = if debt.due_type.is_empty() { "SANZIONI" } else { &debt.due_type };
    let fields = [
        ("idA2A", json!(a2a(debt))),
        ("idPendenza", json!(debt.position_id)),
        ("idTipoPendenza", held.get("idTipoPendenza").cloned().unwrap_or(json!(due_type))),
        ("dominio", domain),
        ("stato", json!(state)),
        ("causale", held.get("causale").cloned().unwrap_or(json!(debt.remittance))),
        ("soggettoPagatore", payer),
        ("importo", euro(debt.amount)),
        ("numeroAvviso", json!(debt.notice)),
        ("iuvAvviso", json!(debt.notice.get(1..))),
        ("dataCaricamento", json!("2026-01-07")),
        ("tipo", json!("dovuto")),
        ("rpp", json!([])),
    ];
    for (name, value) in fields {
        out.insert(name.to_owned(), value);
    }
    if let Some(due) = &debt.due_date {
        out.insert("dataScadenza".to_owned(), json!(due));
    }
    if let Some(unit) = held.get("idUnitaOperativa") {
        out.insert("unitaOperativa".to_owned(), json!({ "idUnita": unit, "ragioneSociale": "Ufficio di Esempio" }));
    }
    if let (Some(at), true) = (debt.paid_at, done) {
        let day = jiff::Timestamp::from_millisecond(at).unwrap_or_default().to_zoned(TimeZone::UTC).date();
        out.insert("dataPagamento".to_owned(), json!(day.to_string()));
        out.insert("iuvPagamento".to_owned(), json!(debt.notice.get(1..)));
        let paid = euro(debt.paid_amount.unwrap_or(debt.amount));
        let receipt = json!({ "receiptId": format!("ricevuta-{}", debt.notice), "paymentAmount": paid, "paymentDateTime": instant(at) });
        let mut about = out.clone();
        about.remove("voci");
        about.insert("rpp".to_owned(), json!("/rpp?idPendenza=1"));
        about.insert("pagamenti".to_owned(), json!("/pagamenti?idPendenza=1"));
        out.insert("rpp".to_owned(), json!([{ "stato": "RT_ACCETTATA_PA", "rpt": {}, "rt": { "receipt": receipt }, "pendenza": about }]));
    }
    Value::Object(out)
}

fn voci_of(debt: &Debt) -> Vec<Value> {
    match debt.more.get("voci").and_then(Value::as_array) {
        Some(voci) => voci.clone(),
        None => vec![json!({
            "idVocePendenza": "1", "importo": euro(debt.amount), "descrizione": if debt.remittance.is_empty() { "Pagamento" } else { &debt.remittance },
            "codEntrata": "SANZIONI",
        })],
    }
}

fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}

fn text(map: &Map<String, Value>, name: &str) -> String {
    map.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn cents(value: Option<&Value>) -> Option<i64> {
    let euro = value?.as_f64()?;
    let cents = (euro * 100.0).round();
    ((0.0..=1e15).contains(&cents) && (euro * 100.0 - cents).abs() < 1e-4).then_some(cents as i64)
}

fn euro(cents: i64) -> Value {
    json!(cents as f64 / 100.0)
}

/// Notices that GovPay gives by itself: aux digit 3, segregation code 00.
fn next_notice(shared: &PtOptions) -> String {
    let number = shared.debts.lock().len() + 1;
    let head = format!("300{number:013}");
    let check = head.parse::<u64>().unwrap_or(0) % 93;
    format!("{head}{check:02}")
}
