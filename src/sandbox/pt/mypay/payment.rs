//! A citizen pays at MyPay: the ente is asked the price first, and told of the payment after (`reference pt.md` 2.2, 2.3).

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Client;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{MyPay, documents, lock};
use crate::sandbox::pt::debts::{Debt, DebtChange, DebtState};

/// Connecting, and waiting for an answer: each of them, one attempt.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where the ente answers, and with which credentials. Nothing is asked of an ente that has no `price_url`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Outward {
    login_url: String,
    price_url: String,
    notification_url: String,
    username: String,
    password: String,
}

#[derive(Deserialize)]
pub(super) struct Pay {
    creditor: String,
    notice: String,
}

/// What the ente's answer means for the payment.
enum Price {
    /// 002, 003, no answer: the amount of the debt is in force.
    AsItIs(String),
    Now(i64),
    /// 004, or a bilancio that does not sum up.
    Refused(&'static str),
}

/// `POST _pay {creditor, notice}`: verify, price, payment. Answers `{outcome, amount, price}`; 409: refused, with its `code`.
pub(super) async fn pay(State(mypay): State<Arc<MyPay>>, Json(pay): Json<Pay>) -> (StatusCode, Json<Value>) {
    let refuse = |code: &str| (StatusCode::CONFLICT, Json(json!({ "outcome": "KO", "code": code })));
    let key = (pay.creditor.clone(), pay.notice.clone());
    let Some(debt) = mypay.shared.debts.get(&key.0, &key.1) else { return refuse("PAA_PAGAMENTO_SCONOSCIUTO") };
    match debt.state {
        DebtState::Unpaid => {}
        DebtState::Paid => return refuse("PAA_PAGAMENTO_DUPLICATO"),
        DebtState::BeingPaid => return refuse("PAA_PAGAMENTO_IN_CORSO"),
        DebtState::Cancelled | DebtState::Draft => return refuse("PAA_PAGAMENTO_ANNULLATO"),
        DebtState::Expired => return refuse("PAA_PAGAMENTO_SCADUTO"),
    }
    let outward = lock(&mypay.outward).clone();
    let client = client();
    let token = match (&client, outward.price_url.is_empty()) {
        (Some(client), false) => login(client, &outward).await,
        _ => None,
    };
    let price = match (&client, &token) {
        (Some(client), Some(token)) => ask(client, &outward, token, &debt).await,
        _ => Price::AsItIs("not asked".to_owned()),
    };
    let now = mypay.shared.clock.now().as_millisecond();
    let (amount, told) = match price {
        Price::Refused(code) => return refuse(code),
        Price::AsItIs(why) => (None, why),
        Price::Now(amount) => (Some(amount), "told".to_owned()),
    };
    let paid = {
        let mut debts = mypay.shared.debts.lock();
        let Some(debt) = debts.get_mut(&key).filter(|debt| debt.state == DebtState::Unpaid) else {
            return refuse("PAA_PAGAMENTO_IN_CORSO");
        };
        if let Some(amount) = amount.filter(|amount| *amount != debt.amount) {
            debt.amount = amount;
            debt.changes.push(DebtChange { at: now, amount, fee: debt.fee });
        }
        debt.state = DebtState::Paid;
        debt.paid_amount = Some(debt.amount);
        debt.paid_at = Some(now);
        debt.clone()
    };
    let pushed = match &client {
        Some(client) if !outward.notification_url.is_empty() => push(client, &outward, &paid).await,
        _ => None,
    };
    (StatusCode::OK, Json(json!({ "outcome": "OK", "amount": paid.amount, "price": told, "pushed": pushed })))
}

/// Simulators call this machine only: no certificates are read.
fn client() -> Option<Client> {
    Client::builder().no_proxy().tls_certs_only([]).connect_timeout(PATIENCE).timeout(PATIENCE).build().ok()
}

async fn login(client: &Client, outward: &Outward) -> Option<String> {
    let body = json!({ "username": outward.username, "password": outward.password });
    let answer = client.post(&outward.login_url).json(&body).send().await.ok()?;
    let said: Value = answer.json().await.ok()?;
    (said.get("esito")?.as_str()? == "OK").then(|| said.get("token")?.as_str().map(str::to_owned)).flatten()
}

async fn ask(client: &Client, outward: &Outward, token: &str, debt: &Debt) -> Price {
    let body = json!({ "cfEnteCreditore": debt.creditor, "numeroAvviso": debt.notice, "importoPosizione": "S" });
    let answer = match client.post(&outward.price_url).bearer_auth(token).json(&body).send().await {
        Ok(answer) if answer.status().is_success() => answer.json::<Value>().await.ok(),
        _ => None,
    };
    let Some(said) = answer else { return Price::AsItIs("no answer".to_owned()) };
    match said.get("codice").and_then(Value::as_str) {
        Some("004") => return Price::Refused("PAA_DOVUTO_NON_PAGABILE"),
        Some(code) if !code.is_empty() => return Price::AsItIs(code.to_owned()),
        _ => {}
    }
    let Some(amount) = said.get("importoPosizione").and_then(Value::as_i64).filter(|amount| *amount > 0) else {
        return Price::AsItIs("no amount".to_owned());
    };
    if said.get("numeroAvviso").and_then(Value::as_str).is_some_and(|notice| notice != debt.notice) {
        return Price::AsItIs("another notice".to_owned());
    }
    match said.get("bilancio").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        Some(text) if balance_sum(text) != Some(amount) => Price::Refused("PAA_IMPORTO_BILANCIO_NON_VALIDO"),
        _ => Price::Now(amount),
    }
}

/// Cents of a bilancio, which is a JSON array in a text; its amounts are in euro.
fn balance_sum(text: &str) -> Option<i64> {
    let lines: Vec<Value> = serde_json::from_str(text).ok()?;
    let mut sum = 0;
    for line in lines {
        line.get("capitolo")?.as_str()?;
        let euro = match line.get("importo")? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        sum += (euro * 100.0).round() as i64;
    }
    Some(sum)
}

/// Tells the ente of the payment; the status of its answer.
async fn push(client: &Client, outward: &Outward, debt: &Debt) -> Option<u16> {
    let token = login(client, outward).await?;
    let body = json!({
        "rt": STANDARD.encode(documents::receipt(debt)),
        "esito": STANDARD.encode(documents::paid(debt, false)),
    });
    let answer = client.post(&outward.notification_url).bearer_auth(token).json(&body).send().await.ok()?;
    Some(answer.status().as_u16())
}
