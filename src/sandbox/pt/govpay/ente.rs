//! GovPay asks the ente when a citizen pays and tells it of the payment (`ec-v2/govpay-api-ec.yaml`, version 2.1.1).
//!
//! It asks about a pendenza that it does not have, or whose `dataValidita` has passed, and replaces its own by the answer with the
//! checks of a PUT. The payment is refused when the ente says so, does not answer, or answers what cannot be written. A receipt that
//! is not taken is sent again. `POST _config` ([`Outward`]) tells where the ente answers; without it nobody is asked or told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use jiff::civil::Date;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Debt, DebtState, a2a, cents, euro, instant, put, text};
use crate::domain::calendar::in_rome;
use crate::sandbox::pt::PtOptions;
use crate::sandbox::pt::outward::{Pay, client};

/// Times that a receipt is sent, and the pause between them.
const SENT: (u32, Duration) = (3, Duration::from_secs(1));

/// The API of the ente: its address ends before `/avvisi`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Outward {
    url: String,
    username: String,
    password: String,
}

struct Ente {
    shared: Arc<PtOptions>,
    outward: Mutex<Outward>,
}

pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    let ente = Ente { shared, outward: Mutex::default() };
    Router::new().route("/_config", post(configure)).route("/_pay", post(pay)).with_state(Arc::new(ente))
}

async fn configure(State(ente): State<Arc<Ente>>, Json(outward): Json<Outward>) -> StatusCode {
    *ente.outward.lock().unwrap_or_else(PoisonError::into_inner) = outward;
    StatusCode::NO_CONTENT
}

/// `POST _pay {creditor, notice}`: verification, payment, receipt. Answers `{outcome, amount, asked, pushed}`; 409: refused, with its
/// `code` (of pagoPA's node, or the `VER_` of the check that the answer of the ente did not pass).
async fn pay(State(ente): State<Arc<Ente>>, Json(pay): Json<Pay>) -> (StatusCode, Json<Value>) {
    let refuse = |code: &str| (StatusCode::CONFLICT, Json(json!({ "outcome": "KO", "code": code })));
    let outward = ente.outward.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let Some(client) = client() else { return refuse("PAA_SYSTEM_ERROR") };
    let debts = &ente.shared.debts;
    let held = debts.get(&pay.creditor, &pay.notice);
    match held.as_ref().map(|debt| debt.state) {
        Some(DebtState::Paid) => return refuse("PAA_PAGAMENTO_DUPLICATO"),
        Some(DebtState::BeingPaid) => return refuse("PAA_PAGAMENTO_IN_CORSO"),
        _ => {}
    }
    let today = in_rome(ente.shared.clock.now()).date();
    let valid = |debt: &Debt| debt.more.get("dataValidita").and_then(Value::as_str).and_then(|day| day.parse::<Date>().ok());
    let asks = !outward.url.is_empty() && held.as_ref().is_none_or(|debt| valid(debt).is_some_and(|day| day < today));
    if asks {
        let given = match ask(&client, &outward, &pay).await {
            Ok(given) => given,
            Err(code) => return refuse(code),
        };
        if let Err(code) = written(&ente.shared, &pay, held.as_ref(), given) {
            return refuse(code);
        }
    }
    let now = ente.shared.clock.now().as_millisecond();
    let paid = {
        let mut debts = debts.lock();
        let Some(debt) = debts.get_mut(&(pay.creditor.clone(), pay.notice.clone())) else { return refuse("PAA_PAGAMENTO_SCONOSCIUTO") };
        let late = debt.due_date.as_deref().and_then(|day| day.parse::<Date>().ok()).is_some_and(|due| due < today);
        match debt.state {
            DebtState::Unpaid if late => return refuse("PAA_PAGAMENTO_SCADUTO"),
            DebtState::Unpaid => {}
            DebtState::Expired => return refuse("PAA_PAGAMENTO_SCADUTO"),
            DebtState::Cancelled | DebtState::Draft => return refuse("PAA_PAGAMENTO_ANNULLATO"),
            DebtState::Paid | DebtState::BeingPaid => return refuse("PAA_PAGAMENTO_DUPLICATO"),
        }
        debt.state = DebtState::Paid;
        debt.paid_amount = Some(debt.amount);
        debt.paid_at = Some(now);
        debt.clone()
    };
    let pushed = if outward.url.is_empty() { None } else { push(&client, &outward, &paid).await };
    (StatusCode::OK, Json(json!({ "outcome": "OK", "amount": paid.amount, "asked": asks, "pushed": pushed })))
}

/// `GET /avvisi/{idDominio}/{numeroAvviso}`: the pendenza, or why the payment ends here.
async fn ask(client: &Client, outward: &Outward, pay: &Pay) -> Result<Map<String, Value>, &'static str> {
    let url = format!("{}/avvisi/{}/{}", outward.url, pay.creditor, pay.notice);
    let answer = client.get(url).basic_auth(&outward.username, Some(&outward.password)).send().await.map_err(|_| "PAA_SYSTEM_ERROR")?;
    if answer.status() != StatusCode::OK {
        return Err("PAA_SYSTEM_ERROR");
    }
    let said: Value = answer.json().await.map_err(|_| "PAA_SYSTEM_ERROR")?;
    match said.get("stato").and_then(Value::as_str) {
        Some("NON_ESEGUITA") => said.get("pendenza").and_then(Value::as_object).cloned().ok_or("PAA_SYSTEM_ERROR"),
        Some("ANNULLATA") => Err("PAA_PAGAMENTO_ANNULLATO"),
        Some("SCADUTA") => Err("PAA_PAGAMENTO_SCADUTO"),
        Some("SCONOSCIUTA") => Err("PAA_PAGAMENTO_SCONOSCIUTO"),
        _ => Err("PAA_SYSTEM_ERROR"),
    }
}

/// The answer takes the place of what is held.
fn written(shared: &PtOptions, pay: &Pay, held: Option<&Debt>, mut given: Map<String, Value>) -> Result<(), &'static str> {
    if text(&given, "idDominio") != pay.creditor || text(&given, "numeroAvviso") != pay.notice {
        return Err("PAA_SYSTEM_ERROR");
    }
    let own = |name: &str| Some(text(&given, name)).filter(|id| !id.is_empty());
    let (application, id) = match held {
        Some(held) => (a2a(held).to_owned(), held.position_id.clone()),
        None => own("idA2A").zip(own("idPendenza")).ok_or("PAA_SYSTEM_ERROR")?,
    };
    // Who answers may leave them out, not say others.
    if own("idA2A").is_some_and(|told| told != application) || own("idPendenza").is_some_and(|told| told != id) {
        return Err("PAA_SYSTEM_ERROR");
    }
    for voce in given.get_mut("voci").and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut) {
        let has = |name: &str| voce.get(name).is_some_and(|value| value.as_str().is_some_and(|text| !text.is_empty()));
        let ways = [has("codEntrata"), has("ibanAccredito"), has("tipoBollo")];
        if ways.iter().filter(|way| **way).count() != 1 || !has("idVocePendenza") || !(has("codEntrata") || has("codiceTassonomicoPagoPA"))
        {
            return Err("SINTASSI");
        }
        // Kept as gestionali read it.
        if let Some((kind, code)) =
            voce.remove("codiceTassonomicoPagoPA").as_ref().and_then(Value::as_str).and_then(|code| code.split_once('/'))
        {
            let kind = match kind {
                "0" => "CAPITOLO",
                "1" => "SPECIALE",
                "2" => "SIOPE",
                _ => "ALTRO",
            };
            voce.insert("tipoContabilita".to_owned(), json!(kind));
            voce.insert("codiceContabilita".to_owned(), json!(code));
        }
    }
    put(shared, &application, id, given, held.cloned()).map(drop).map_err(|wrong| wrong.code)
}

/// `PUT /ricevute/{idDominio}/{iuv}/{idRicevuta}`: the status of the last answer.
async fn push(client: &Client, outward: &Outward, debt: &Debt) -> Option<u16> {
    let iuv = debt.notice.get(1..).unwrap_or_default();
    let id = format!("ricevuta-{}", debt.notice);
    let url = format!("{}/ricevute/{}/{iuv}/{id}", outward.url, debt.creditor);
    let body = receipt(debt, iuv, &id);
    let mut last = None;
    for attempt in 0..SENT.0 {
        if attempt > 0 {
            tokio::time::sleep(SENT.1).await;
        }
        let call = client.put(&url).basic_auth(&outward.username, Some(&outward.password)).json(&body);
        last = call.send().await.ok().map(|answer| answer.status().as_u16());
        if last.is_some_and(|status| (200..300).contains(&status)) {
            break;
        }
    }
    last
}

/// `Ricevuta`.
fn receipt(debt: &Debt, iuv: &str, id: &str) -> Value {
    let empty = Map::new();
    let held = debt.more.as_object().unwrap_or(&empty);
    let (amount, at) = (euro(debt.paid_amount.unwrap_or(debt.amount)), instant(debt.paid_at.unwrap_or_default()));
    let kind = held.get("idTipoPendenza").cloned().unwrap_or(json!(debt.due_type));
    let known = json!({ "idA2A": a2a(debt), "idPendenza": debt.position_id, "dataCaricamento": at });
    let voci: Vec<Value> = super::voci_of(debt)
        .into_iter()
        .enumerate()
        .map(|(index, voce)| {
            let part = cents(voce.get("importo")).map_or(Value::Null, euro);
            json!({
                "codEntrata": voce.get("codEntrata").cloned().unwrap_or(kind.clone()), "idVocePendenza": voce.get("idVocePendenza"),
                "descrizione": voce.get("descrizione"), "pendenza": known,
                "riscossione": { "iuv": iuv, "iur": id, "indice": index + 1, "tipo": "ENTRATA", "importo": part, "data": at },
            })
        })
        .collect();
    let payer = held.get("soggettoPagatore").cloned();
    json!({
        "dominio": { "idDominio": debt.creditor, "ragioneSociale": "Comune di Esempio" }, "iuv": iuv, "idRicevuta": id, "importo": amount,
        "esito": "ESEGUITO", "stato": "RT_ACCETTATA_PA", "istitutoAttestante": { "idPSP": "99999", "denominazione": "Banca di Esempio" },
        "modello": "Pagamento ad iniziativa PSP", "dataPagamento": at, "data": at,
        "pendenza": {
            "idA2A": a2a(debt), "idPendenza": debt.position_id, "dataCaricamento": at, "idTipoPendenza": kind,
            "dominio": { "idDominio": debt.creditor }, "causale": held.get("causale").cloned().unwrap_or(json!(debt.remittance)),
            "importo": amount, "numeroAvviso": debt.notice,
            "soggettoPagatore": payer.unwrap_or_else(|| json!({ "tipo": "F", "identificativo": debt.payer_tax_id, "anagrafica": debt.payer_name })),
            "voci": voci,
        },
    })
}
