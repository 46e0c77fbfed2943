//! PU asks the ente what a notice costs when a citizen pays, and tells it of the payment (`p4pa-pu-sil.actualization.openapi.yaml`,
//! `p4pa-pu-sil.payment-notification.openapi.yaml`, version 1.0.0).
//!
//! A bilancio that does not sum up blocks the payment, as the contract says. What follows an answer other than 200 the contract does
//! not say: here a notice that the ente calls not payable is refused, and in any other case the amount that PU holds stays in force.
//! `POST _config` ([`Outward`]) tells where the ente answers; without it nobody is asked or told.

use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Client, RequestBuilder};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Debt, DebtChange, DebtState, debtor, instant, remittance};
use crate::sandbox::pt::PtOptions;
use crate::sandbox::pt::outward::{Pay, client};

/// The ente's services, and what PU shows to it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Outward {
    price_url: String,
    notification_url: String,
    /// Bearer.
    token: String,
    /// `Agid-JWT-Signature`.
    signature: String,
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

/// What the ente's answer means for the payment.
enum Price {
    AsItIs(String),
    /// Amount, and how much of it is cost of notification.
    Now(i64, Option<i64>),
    Refused(&'static str),
}

/// `POST _pay {creditor, notice}`: price, payment, notification. Answers `{outcome, amount, price, pushed}`; 409: refused, with its `code`.
async fn pay(State(ente): State<Arc<Ente>>, Json(pay): Json<Pay>) -> (StatusCode, Json<Value>) {
    let refuse = |code: &str| (StatusCode::CONFLICT, Json(json!({ "outcome": "KO", "code": code })));
    let key = (pay.creditor.clone(), pay.notice.clone());
    let Some(debt) = ente.shared.debts.get(&key.0, &key.1) else { return refuse("PAA_PAGAMENTO_SCONOSCIUTO") };
    match debt.state {
        DebtState::Unpaid => {}
        DebtState::Paid => return refuse("PAA_PAGAMENTO_DUPLICATO"),
        DebtState::BeingPaid => return refuse("PAA_PAGAMENTO_IN_CORSO"),
        DebtState::Cancelled | DebtState::Draft => return refuse("PAA_PAGAMENTO_ANNULLATO"),
        DebtState::Expired => return refuse("PAA_PAGAMENTO_SCADUTO"),
    }
    let outward = ente.outward.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let client = client();
    let price = match &client {
        Some(client) if !outward.price_url.is_empty() => ask(client, &outward, &debt).await,
        _ => Price::AsItIs("not asked".to_owned()),
    };
    let now = ente.shared.clock.now().as_millisecond();
    let (amount, fee, told) = match price {
        Price::Refused(code) => return refuse(code),
        Price::AsItIs(why) => (debt.amount, None, why),
        Price::Now(amount, fee) => (amount, fee, "told".to_owned()),
    };
    let paid = {
        let mut debts = ente.shared.debts.lock();
        let Some(debt) = debts.get_mut(&key).filter(|debt| debt.state == DebtState::Unpaid) else {
            return refuse("PAA_PAGAMENTO_IN_CORSO");
        };
        if amount != debt.amount {
            debt.amount = amount;
            debt.changes.push(DebtChange { at: now, amount, fee: 0 });
            if let Some([only]) = debt.more.get_mut("transfers").and_then(Value::as_array_mut).map(Vec::as_mut_slice)
                && let Some(only) = only.as_object_mut()
            {
                only.insert("amountCents".to_owned(), json!(amount));
            }
        }
        debt.state = DebtState::Paid;
        debt.paid_amount = Some(amount);
        debt.paid_at = Some(now);
        debt.clone()
    };
    let pushed = match &client {
        Some(client) if !outward.notification_url.is_empty() => push(client, &outward, &paid, fee).await,
        _ => None,
    };
    (StatusCode::OK, Json(json!({ "outcome": "OK", "amount": paid.amount, "price": told, "pushed": pushed })))
}

fn call(client: &Client, outward: &Outward, url: &str, body: &Value) -> RequestBuilder {
    let call = client.post(url).bearer_auth(&outward.token).json(body);
    call.header("Agid-JWT-Signature", &outward.signature)
}

async fn ask(client: &Client, outward: &Outward, debt: &Debt) -> Price {
    let body = json!({ "orgFiscalCode": debt.creditor, "nav": debt.notice });
    let Ok(answer) = call(client, outward, &outward.price_url, &body).send().await else { return Price::AsItIs("no answer".to_owned()) };
    let good = answer.status() == StatusCode::OK;
    let Ok(said) = answer.json::<Value>().await else { return Price::AsItIs("no JSON".to_owned()) };
    if !good {
        let code = said.get("code").and_then(Value::as_str).unwrap_or_default();
        return if code == "NOTICE_NOT_PAYABLE" { Price::Refused("NOTICE_NOT_PAYABLE") } else { Price::AsItIs(code.to_owned()) };
    }
    let cents = |name: &str| said.get(name).and_then(Value::as_i64);
    let Some(amount) = cents("amountCents").filter(|amount| *amount > 0) else { return Price::AsItIs("no amount".to_owned()) };
    if said.get("nav").and_then(Value::as_str) != Some(&debt.notice) {
        return Price::AsItIs("another notice".to_owned());
    }
    match said.get("balance").and_then(Value::as_str) {
        Some(text) if balance_sum(text) != Some(amount) => Price::Refused("BALANCE_NOT_VALID"),
        _ => Price::Now(amount, cents("notificationFeeCents")),
    }
}

/// Cents of a bilancio, which is a JSON array in a text; its amounts are in euro.
fn balance_sum(text: &str) -> Option<i64> {
    let lines: Vec<Value> = serde_json::from_str(text).ok()?;
    lines.iter().try_fold(0, |sum, line| {
        line.get("capitolo")?.as_str()?;
        let euro = match line.get("importo")? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.parse().ok()?,
            _ => return None,
        };
        Some(sum + (euro * 100.0).round() as i64)
    })
}

/// Tells the ente of the payment: the status of its answer.
async fn push(client: &Client, outward: &Outward, debt: &Debt, fee: Option<i64>) -> Option<u16> {
    let at = instant(debt.paid_at.unwrap_or_default());
    let amount = debt.paid_amount.unwrap_or(debt.amount);
    let receipt = format!(
        "<receipt><receiptId>ricevuta-{0}</receiptId><noticeNumber>{0}</noticeNumber><fiscalCode>{1}</fiscalCode><outcome>OK</outcome>\
         <creditorReferenceId>{2}</creditorReferenceId><paymentAmount>{3}.{4:02}</paymentAmount><paymentDateTime>{at}</paymentDateTime></receipt>",
        debt.notice,
        debt.creditor,
        debt.notice.get(1..).unwrap_or_default(),
        amount / 100,
        amount % 100
    );
    let mut data = json!({
        "orgFiscalCode": debt.creditor, "nav": debt.notice, "iuv": debt.notice.get(1..), "iud": debt.position_id, "amountCents": amount,
        "debtPositionTypeOrgCode": if debt.due_type.is_empty() { "SANZIONI" } else { &debt.due_type }, "debtor": debtor(debt),
        "paymentDate": at, "remittanceInformation": remittance(debt),
    });
    if let (Some(fee), Some(data)) = (fee, data.as_object_mut()) {
        data.insert("notificationFeeCents".to_owned(), json!(fee));
    }
    let body = json!({ "encodedReceipt": STANDARD.encode(receipt), "paymentData": data });
    let answer = call(client, outward, &outward.notification_url, &body).send().await.ok()?;
    Some(answer.status().as_u16())
}
