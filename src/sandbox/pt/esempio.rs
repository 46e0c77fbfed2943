//! A PT as the example descriptions describe it (`config/pt/esempio-rest.toml`, `esempio-soap.toml`): no real one is like this.
//!
//! REST: `/enti/{ente}/avvisi/{avviso}`, GET, PUT, DELETE, with Basic. SOAP: `/PosizioniService`, with user and password in the body,
//! by IUV.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::PtOptions;
use super::debts::{Debt, DebtChange, DebtState};
use super::xml::{self, euro, leaf};
use crate::domain::calendar::in_rome;
use crate::domain::notice_code;

type Shared = State<Arc<PtOptions>>;

/// Its paths.
pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    Router::new()
        .route("/enti/{ente}/avvisi/{avviso}", get(show).put(change).delete(cancel))
        .route("/PosizioniService", post(soap))
        .with_state(shared)
}

fn may_enter(shared: &PtOptions, headers: &HeaderMap) -> bool {
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:{}", shared.username, shared.password)));
    headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) == Some(wanted.as_str())
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, Json(json!({ "errore": { "codice": code } }))).into_response()
}

fn unknown() -> Response {
    error(StatusCode::NOT_FOUND, "AVVISO_SCONOSCIUTO")
}

fn open(state: DebtState) -> bool {
    matches!(state, DebtState::Draft | DebtState::Unpaid | DebtState::Expired)
}

fn instant(debt: &Debt) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(debt.paid_at?).ok()
}

async fn show(State(shared): Shared, Path((ente, avviso)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if !may_enter(&shared, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Some(debt) = shared.debts.get(&ente, &avviso) else { return unknown() };
    let state = match debt.state {
        DebtState::Draft => "BOZZA",
        DebtState::Unpaid => "DA_PAGARE",
        DebtState::BeingPaid => "IN_CORSO",
        DebtState::Paid => "PAGATO",
        DebtState::Cancelled => "ANNULLATO",
        DebtState::Expired => "SCADUTO",
    };
    let mut body = json!({
        "avviso": debt.notice,
        "codiceFiscaleEnte": debt.creditor,
        "idPosizione": debt.position_id,
        "stato": state,
        "importo": euro(debt.amount),
        "scadenza": debt.due_date,
        "causale": debt.remittance,
        "debitore": { "codiceFiscale": debt.payer_tax_id, "nome": debt.payer_name },
    });
    if let (Some(paid), Some(at), Some(body)) = (debt.paid_amount, instant(&debt), body.as_object_mut()) {
        let payment = json!({ "data": at.to_string(), "importo": euro(paid), "iur": format!("IUR{}", debt.notice) });
        body.insert("pagamento".to_owned(), payment);
    }
    Json(body).into_response()
}

async fn change(
    State(shared): Shared,
    Path((ente, avviso)): Path<(String, String)>,
    headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    if !may_enter(&shared, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let at = shared.clock.now().as_millisecond();
    let amount = body.get("importo").and_then(|value| decimal(&value.to_string()));
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut debts = shared.debts.lock();
    let Some(debt) = debts.get_mut(&(ente, avviso)) else { return unknown() };
    let (Some(amount), Some(remittance), true) = (amount, text("causale"), text("avviso").as_deref() == Some(&debt.notice)) else {
        return error(StatusCode::BAD_REQUEST, "DATI_NON_VALIDI");
    };
    if !headers.contains_key("idempotency-key") {
        return error(StatusCode::BAD_REQUEST, "CHIAVE_MANCANTE");
    }
    if !open(debt.state) {
        return error(StatusCode::CONFLICT, "NON_MODIFICABILE");
    }
    // The whole of it is written: what is not said is gone.
    debt.remittance = remittance;
    debt.payer_name = body.pointer("/debitore/nome").and_then(Value::as_str).unwrap_or_default().to_owned();
    debt.due_date = text("scadenza").or(debt.due_date.take());
    changed(debt, at, amount);
    Json(json!({ "avviso": debt.notice, "esito": "OK" })).into_response()
}

fn changed(debt: &mut Debt, at: i64, amount: i64) {
    debt.amount = amount;
    debt.changes.push(DebtChange { at, amount, fee: 0 });
}

async fn cancel(State(shared): Shared, Path((ente, avviso)): Path<(String, String)>, headers: HeaderMap) -> Response {
    if !may_enter(&shared, &headers) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match shared.debts.lock().get_mut(&(ente, avviso)) {
        None => unknown(),
        Some(debt) if !open(debt.state) => error(StatusCode::CONFLICT, "NON_MODIFICABILE"),
        Some(debt) => {
            debt.state = DebtState::Cancelled;
            StatusCode::NO_CONTENT.into_response()
        }
    }
}

/// Cents of a JSON number with decimals.
fn decimal(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let decimals = format!("{decimals:0<2}");
    if decimals.len() != 2 {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(decimals.parse().ok()?)
}

async fn soap(State(shared): Shared, body: Bytes) -> Response {
    let answer = |status: StatusCode, text: String| (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response();
    let Some((payload, _)) = xml::envelope(&body) else {
        return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "Busta SOAP non valida"));
    };
    let operation = payload.name.clone();
    let reply = |inside: &str| {
        answer(
            StatusCode::OK,
            xml::wrap(&format!("<e:{operation}Risposta xmlns:e=\"urn:esempio:posizioni\">{inside}</e:{operation}Risposta>")),
        )
    };
    let mut out = String::new();
    if payload.at(&["utente"]) != Some(shared.username.as_str()) || payload.at(&["password"]) != Some(shared.password.as_str()) {
        leaf(&mut out, "esito", "KO-401");
        return reply(&out);
    }
    let (ente, iuv) = (payload.at(&["ente"]).unwrap_or_default(), payload.at(&["iuv"]).unwrap_or_default());
    let at = shared.clock.now().as_millisecond();
    let mut debts = shared.debts.lock();
    let debt = debts.values_mut().find(|debt| debt.creditor == ente && notice_code::iuv(&debt.notice) == Some(iuv));
    let Some(debt) = debt else {
        leaf(&mut out, "esito", "KO-404");
        return reply(&out);
    };
    match operation.as_str() {
        "cercaPosizione" => {
            leaf(&mut out, "esito", "OK");
            out.push_str("<posizione>");
            leaf(&mut out, "id", &debt.position_id);
            leaf(&mut out, "iuv", iuv);
            let state = match debt.state {
                DebtState::Draft => "B",
                DebtState::Unpaid => "A",
                DebtState::BeingPaid => "I",
                DebtState::Paid => "P",
                DebtState::Cancelled => "X",
                DebtState::Expired => "S",
            };
            leaf(&mut out, "stato", state);
            leaf(&mut out, "importo", &euro(debt.amount).replace('.', ","));
            let italian = |text: &str| text.split('-').rev().collect::<Vec<_>>().join("/");
            if let Some(day) = &debt.due_date {
                leaf(&mut out, "scadenza", &italian(day));
            }
            if let (Some(paid), Some(at)) = (debt.paid_amount, instant(debt)) {
                leaf(&mut out, "dataPagamento", &italian(&in_rome(at).date().to_string()));
                leaf(&mut out, "importoPagato", &euro(paid).replace('.', ","));
            }
            out.push_str("</posizione>");
        }
        "aggiornaImporto" => {
            let amount = payload.at(&["importo"]).and_then(|text| xml::cents(&text.replace(',', ".")));
            match amount {
                _ if !open(debt.state) => leaf(&mut out, "esito", "KO-409"),
                None => leaf(&mut out, "esito", "KO-400"),
                Some(amount) => {
                    if let Some(day) = payload.at(&["scadenza"]) {
                        debt.due_date = Some(day.split('/').rev().collect::<Vec<_>>().join("-"));
                    }
                    changed(debt, at, amount);
                    leaf(&mut out, "esito", "OK");
                    leaf(&mut out, "iuv", iuv);
                }
            }
        }
        _ => return answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault("Client", "Operazione sconosciuta")),
    }
    reply(&out)
}
