//! PU's API for gestionali `pu-sil` (`p4pa-pu-sil.openapi.json`) with the token of `p4pa-auth`: under `/pu/auth` and `/pu/sil`.
//!
//! A debt keeps in `more` the installment that was written with it. Citizens pay at `_pay` ([`ente`]).

mod ente;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde_json::{Map, Value, json};

use super::{Debt, DebtChange, DebtState, PtOptions};
use crate::clock::{monotonic, new_uuid};

struct Pu {
    shared: Arc<PtOptions>,
    /// Until when each token is good, real time.
    tokens: Mutex<HashMap<String, Instant>>,
}

type Shared = State<Arc<Pu>>;

/// Life of a token, seconds.
const LIFE: u64 = 120;
/// IPA code of every ente.
const IPA: &str = "c_x000";

pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let ente = ente::router(shared.clone());
    let pu = Pu { shared, tokens: Mutex::new(HashMap::new()) };
    Router::new()
        .route("/auth/oauth/token", post(token))
        .route("/sil/organization/{creditor}/payment/{kind}/{id}", get(status))
        .route("/sil/debtor/{tax_id}/payment/unpaid", get(unpaid))
        .route("/sil/organization/{creditor}/debt-position/{iud}", put(manage))
        .with_state(Arc::new(pu))
        .merge(ente)
}

fn error(status: u16, category: &str, code: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "category": category, "code": code, "message": code }))).into_response()
}

async fn token(State(pu): Shared, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let given = |name: &str| query.get(name).map(String::as_str).unwrap_or_default();
    let refuse = |status: StatusCode, why: &str| (status, Json(json!({ "error": why, "code": why }))).into_response();
    if given("grant_type") != "client_credentials" || given("scope") != "openid" {
        return refuse(StatusCode::BAD_REQUEST, "invalid_request");
    }
    if given("client_id") != pu.shared.username || given("client_secret") != pu.shared.password {
        return refuse(StatusCode::UNAUTHORIZED, "invalid_client");
    }
    let token = new_uuid().simple().to_string();
    let until = monotonic() + Duration::from_secs(LIFE);
    pu.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(token.clone(), until);
    Json(json!({ "access_token": token, "token_type": "Bearer", "expires_in": LIFE })).into_response()
}

#[expect(clippy::result_large_err, reason = "the refusal is the answer itself, made once a call")]
fn enter(pu: &Pu, headers: &HeaderMap) -> Result<(), Response> {
    let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let tokens = pu.tokens.lock().unwrap_or_else(PoisonError::into_inner);
    let good = given.and_then(|token| tokens.get(token)).is_some_and(|until| monotonic() < *until);
    if good { Ok(()) } else { Err(error(401, "UNAUTHORIZED", "UNAUTHORIZED")) }
}

fn state(debt: &Debt) -> &'static str {
    match debt.state {
        DebtState::Draft => "DRAFT",
        DebtState::Unpaid | DebtState::BeingPaid => "UNPAID",
        DebtState::Paid => "PAID",
        DebtState::Cancelled => "CANCELLED",
        DebtState::Expired => "EXPIRED",
    }
}

async fn status(State(pu): Shared, Path((creditor, kind, id)): Path<(String, String, String)>, headers: HeaderMap) -> Response {
    if let Err(response) = enter(&pu, &headers) {
        return response;
    }
    let found = match kind.as_str() {
        "NOTICE_NUMBER" => pu.shared.debts.get(&creditor, &id),
        "IUD" => by_iud(&pu, &creditor, &id),
        "INSTALLMENT_ID" => None,
        _ => return error(400, "BAD_REQUEST", "INVALID_ID_TYPE"),
    };
    let Some(debt) = found else { return error(404, "NOT_FOUND", "INSTALLMENT_NOT_FOUND") };
    let mut out = Map::new();
    out.insert("paymentId".to_owned(), json!(id));
    out.insert("status".to_owned(), json!(state(&debt)));
    if let Some(paid_at) = debt.paid_at.filter(|_| debt.state == DebtState::Paid) {
        let at = instant(paid_at);
        out.insert("lastUpdateDateTime".to_owned(), json!(at));
        let transfers: Vec<Value> = transfers(&debt).into_iter().map(Value::Object).collect();
        out.insert(
            "receipt".to_owned(),
            json!({
                "paymentReceiptId": format!("ricevuta-{}", debt.notice), "noticeNumber": debt.notice, "orgFiscalCode": debt.creditor,
                "outcome": "OK", "creditorReferenceId": debt.notice.get(1..), "paymentAmountCents": debt.paid_amount.unwrap_or(debt.amount),
                "description": remittance(&debt), "companyName": "Comune di Esempio", "idPsp": "PSP", "pspCompanyName": "Banca di Esempio",
                "idChannel": "CANALE", "channelDescription": "sportello", "paymentDateTime": at, "debtor": debtor(&debt),
                "transfers": transfers,
            }),
        );
    }
    Json(Value::Object(out)).into_response()
}

fn by_iud(pu: &Pu, creditor: &str, iud: &str) -> Option<Debt> {
    pu.shared.debts.of_position(iud).into_iter().find(|debt| debt.creditor == creditor)
}

async fn unpaid(
    State(pu): Shared,
    Path(tax_id): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if let Err(response) = enter(&pu, &headers) {
        return response;
    }
    let owed = |debt: &&Debt| matches!(debt.state, DebtState::Unpaid | DebtState::BeingPaid);
    let wanted = query.get("ipaCode").is_none_or(|code| code == IPA);
    let list: Vec<Value> = pu.shared.debts.of_payer(&tax_id).iter().filter(owed).filter(|_| wanted).map(told).collect();
    Json(json!({ "debtPositions": list })).into_response()
}

fn told(debt: &Debt) -> Value {
    let transfers: Vec<Value> = transfers(debt).into_iter().map(Value::Object).collect();
    let mut position = json!({
        "debtPositionTypeOrgCode": if debt.due_type.is_empty() { "SANZIONI" } else { &debt.due_type }, "iud": debt.position_id,
        "totalAmountCents": debt.amount, "description": remittance(debt), "debtor": debtor(debt), "transfers": transfers,
    });
    if let (Some(balance), Some(position)) = (debt.more.get("balance").filter(|balance| balance.is_string()), position.as_object_mut()) {
        position.insert("balance".to_owned(), balance.clone());
    }
    json!({ "ipaCode": IPA, "orgName": "Comune di Esempio", "paymentTriggerUrl": "https://pu.example/paga", "unpaidDebtPosition": position })
}

fn remittance(debt: &Debt) -> &str {
    if debt.remittance.is_empty() { "Pagamento" } else { &debt.remittance }
}

fn debtor(debt: &Debt) -> Value {
    match debt.more.get("debtor") {
        Some(debtor) if debtor.is_object() => debtor.clone(),
        _ => {
            let kind = if debt.payer_tax_id.len() == 11 { "G" } else { "F" };
            json!({ "entityType": kind, "fiscalCode": debt.payer_tax_id, "fullName": debt.payer_name })
        }
    }
}

fn transfers(debt: &Debt) -> Vec<Map<String, Value>> {
    match debt.more.get("transfers").and_then(Value::as_array) {
        Some(list) => list.iter().filter_map(Value::as_object).cloned().collect(),
        None => {
            let only = json!({
                "orgFiscalCode": debt.creditor, "orgName": "Comune di Esempio", "amountCents": debt.amount, "transferIndex": 1,
                "remittanceInformation": remittance(debt), "category": "9/0301105TS/", "iban": "IT60X0542811101000000123456",
            });
            only.as_object().cloned().into_iter().collect()
        }
    }
}

async fn manage(State(pu): Shared, Path((creditor, iud)): Path<(String, String)>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(response) = enter(&pu, &headers) {
        return response;
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else { return error(400, "BAD_REQUEST", "INVALID_BODY") };
    let Some(installments) = asked.get("installments").and_then(Value::as_array).filter(|list| !list.is_empty()) else {
        return error(400, "BAD_REQUEST", "INSTALLMENTS_MISSING");
    };
    let Some(mut debt) = by_iud(&pu, &creditor, &iud) else { return error(404, "NOT_FOUND", "DEBT_POSITION_NOT_FOUND") };
    if matches!(debt.state, DebtState::Paid | DebtState::BeingPaid | DebtState::Cancelled) {
        return error(409, "CONFLICT", "INSTALLMENT_STATUS_NOT_VALID");
    }
    let was = debt.state;
    for entry in installments {
        let action = entry.get("action").and_then(Value::as_str).unwrap_or_default();
        let Some(given) = entry.get("installment").and_then(Value::as_object) else {
            return error(400, "BAD_REQUEST", "INSTALLMENT_MISSING");
        };
        let filled = |name: &str| given.get(name).is_some_and(|value| !value.is_null());
        if !(filled("amountCents") && filled("debtor") && filled("remittanceInformation")) {
            return error(400, "BAD_REQUEST", "INSTALLMENT_INCOMPLETE");
        }
        if given.get("iud").and_then(Value::as_str).is_some_and(|given| given != iud)
            || given.get("nav").and_then(Value::as_str).is_some_and(|nav| nav != debt.notice)
        {
            return error(404, "NOT_FOUND", "INSTALLMENT_NOT_FOUND");
        }
        match action {
            "M" => {
                if let Err(code) = modify(&mut debt, given) {
                    return error(400, "BAD_REQUEST", code);
                }
                debt.changes.push(DebtChange { at: pu.shared.clock.now().as_millisecond(), amount: debt.amount, fee: 0 });
            }
            "A" => debt.state = DebtState::Cancelled,
            _ => return error(400, "BAD_REQUEST", "ACTION_NOT_SUPPORTED"),
        }
    }
    let answer = position(&debt);
    if pu.shared.debts.replace(was, debt) { Json(answer).into_response() } else { error(409, "CONFLICT", "INSTALLMENT_STATUS_NOT_VALID") }
}

fn modify(debt: &mut Debt, given: &Map<String, Value>) -> Result<(), &'static str> {
    let amount = given.get("amountCents").and_then(Value::as_i64).filter(|amount| *amount > 0).ok_or("INVALID_AMOUNT")?;
    if let Some(transfers) = given.get("transfers").and_then(Value::as_array) {
        let sum: i64 = transfers.iter().filter_map(|transfer| transfer.get("amountCents")?.as_i64()).sum();
        if sum != amount || transfers.len() > 5 {
            return Err("INVALID_TRANSFERS");
        }
    }
    debt.amount = amount;
    if let Some(due) = given.get("dueDate").and_then(Value::as_str) {
        debt.due_date = Some(due.to_owned());
    }
    debt.more = Value::Object(given.clone());
    Ok(())
}

fn position(debt: &Debt) -> Value {
    let transfers: Vec<Value> = transfers(debt).into_iter().map(Value::Object).collect();
    let installment = json!({
        "installmentId": 1, "status": state(debt), "iud": debt.position_id, "nav": debt.notice, "iuv": debt.notice.get(1..),
        "dueDate": debt.due_date, "amountCents": debt.amount, "remittanceInformation": remittance(debt), "debtor": debtor(debt),
        "transfers": transfers,
    });
    json!({
        "debtPositionId": 1, "debtPositionOrigin": "ORDINARY_SIL", "debtPositionTypeOrgId": 1, "flagPuPagoPaPayment": true,
        "organizationId": 1, "status": state(debt),
        "paymentOptions": [{
            "paymentOptionType": "SINGLE_INSTALLMENT", "totalAmountCents": debt.amount, "status": state(debt), "installments": [installment],
        }],
    })
}

fn instant(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).unwrap_or_default().to_string()
}
