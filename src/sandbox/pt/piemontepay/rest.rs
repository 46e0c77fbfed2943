//! epayapi v1.1: state, payment data, update and cancellation of a position (`epayapi_v1.1.yaml`).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{PiemontePay, Update, iuv};
use crate::domain::calendar::in_rome;
use crate::sandbox::pt::debts::{Debt, DebtState};

const POSITION: &str = "/organizations/{organization}/paymenttypes/{type}/debtpositions/{iuv}";

pub(super) fn router() -> Router<Arc<PiemontePay>> {
    Router::new()
        .route(POSITION, axum::routing::put(put).delete(delete))
        .route(&format!("{POSITION}/status"), get(status))
        .route(&format!("{POSITION}/paymentdata"), get(payment_data))
}

type Answer = (StatusCode, Json<Value>);
/// organization, paymentType, iuv
type Place = Path<(String, String, String)>;

fn result(code: &str) -> Answer {
    let status = match code {
        "000" => StatusCode::OK,
        "176" => StatusCode::NOT_FOUND,
        "401" => StatusCode::UNAUTHORIZED,
        _ => StatusCode::BAD_REQUEST,
    };
    (status, Json(json!({ "code": code, "description": if code == "000" { "Operazione eseguita" } else { "Operazione non eseguita" } })))
}

impl PiemontePay {
    fn found(&self, (organization, service, wanted): &(String, String, String)) -> Option<Debt> {
        let is =
            |debt: &&Debt| debt.creditor == *organization && (debt.due_type.is_empty() || debt.due_type == *service) && iuv(debt) == wanted;
        self.shared.debts.lock().values().find(is).cloned()
    }
}

async fn status(State(ppay): State<Arc<PiemontePay>>, Path(place): Place, headers: HeaderMap) -> Answer {
    if !ppay.admits(&headers) {
        return result("401");
    }
    let Some(debt) = ppay.found(&place) else { return result("176") };
    let (code, description) = match debt.state {
        DebtState::Paid => ("0", "Pagato"),
        DebtState::Unpaid | DebtState::BeingPaid => ("1", "Non Pagato"),
        DebtState::Cancelled => ("2", "Annullato dall'Ente"),
        DebtState::Draft => ("3", "Non ancora attiva"),
        DebtState::Expired => ("4", "Non piu' attiva"),
    };
    let told = json!({ "code": code, "description": description, "result": { "code": "000", "description": "Operazione eseguita" } });
    (StatusCode::OK, Json(told))
}

async fn payment_data(State(ppay): State<Arc<PiemontePay>>, Path(place): Place, headers: HeaderMap) -> Answer {
    if !ppay.admits(&headers) {
        return result("401");
    }
    let Some(debt) = ppay.found(&place) else { return result("176") };
    let (DebtState::Paid, Some(amount)) = (debt.state, debt.paid_amount) else { return result("188") };
    let at = in_rome(Timestamp::from_millisecond(debt.paid_at.unwrap_or_default()).unwrap_or(Timestamp::UNIX_EPOCH));
    let instant = at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string();
    let told = json!({
        "importoPagato": amount as f64 / 100.0,
        "importoPagatoTotale": amount as f64 / 100.0,
        "codiceFiscaleEnteBeneficiario": debt.creditor,
        "codiceAvviso": debt.notice,
        "identificativoUnicoVersamento": iuv(&debt),
        "identificativoUnicoRiscossione": format!("IUR{}", iuv(&debt)),
        "dataEOraOperazione": instant,
        "dataEsitoPagamento": instant,
        "result": { "code": "000", "description": "Operazione eseguita" },
    });
    (StatusCode::OK, Json(told))
}

async fn put(State(ppay): State<Arc<PiemontePay>>, Path(place): Place, headers: HeaderMap, Json(body): Json<Value>) -> Answer {
    if !ppay.admits(&headers) {
        return result("401");
    }
    let cents = |value: Option<&Value>| value.and_then(Value::as_f64).map(|euro| (euro * 100.0).round() as i64);
    let day = |name: &str| body.get(name).and_then(Value::as_str).and_then(|text| text.get(..10)).map(str::to_owned);
    let text = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    let parts = body.get("componentiImporto").and_then(Value::as_array);
    if body.get("importo").is_some_and(|amount| !amount.is_number()) {
        return result("155");
    }
    let told: Option<Vec<Value>> = parts.map(|list| {
        list.iter().map(|part| json!({ "importo": cents(part.get("importo")), "causale": part.get("causaleDescrittiva") })).collect()
    });
    // Left out, the flag is false: the default of the specification.
    let asks = body.get("requiresCostUpdate").and_then(Value::as_bool).unwrap_or(false);
    let mut kept = json!({ "requiresCostUpdate": asks });
    if let (Some(told), Some(kept)) = (told, kept.as_object_mut()) {
        kept.insert("componenti".to_owned(), Value::Array(told));
    }
    let payer = text("codiceFiscalePartitaIVAPagatore").map(|tax_id| {
        let name = text("ragioneSociale")
            .unwrap_or_else(|| format!("{} {}", text("nome").unwrap_or_default(), text("cognome").unwrap_or_default()));
        (tax_id, name)
    });
    let update = Update {
        position: String::new(),
        cancels: false,
        due_date: day("dataScadenza"),
        from: day("dataInizioValidita"),
        until: day("dataFineValidita"),
        amount: cents(body.get("importo")),
        components: parts.map(|list| list.iter().filter_map(|part| cents(part.get("importo"))).collect()),
        kept,
        remittance: text("causale"),
        reason: true,
        payer,
    };
    let (organization, service, wanted) = place;
    result(ppay.update(&organization, &service, &update, |debt| iuv(debt) == wanted).0)
}

async fn delete(State(ppay): State<Arc<PiemontePay>>, Path(place): Place, headers: HeaderMap) -> Answer {
    if !ppay.admits(&headers) {
        return result("401");
    }
    let update = Update {
        position: String::new(),
        cancels: true,
        due_date: None,
        from: None,
        until: None,
        amount: None,
        components: None,
        kept: json!({}),
        remittance: None,
        reason: true,
        payer: None,
    };
    let (organization, service, wanted) = place;
    result(ppay.update(&organization, &service, &update, |debt| iuv(debt) == wanted).0)
}
