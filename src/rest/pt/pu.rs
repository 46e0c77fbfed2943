//! PU's own contract: `amount-update` asks what a notice costs, `payment-notification` tells that it was paid.
//! `p4pa-pu-sil.actualization.openapi.yaml`, `p4pa-pu-sil.payment-notification.openapi.yaml`.
//!
//! Bearer: a voucher that the configured key signed, else the password of `[pt.chiama]`. `Agid-JWT-Signature` is verified when the
//! configuration has the key of who signs it, and not looked at otherwise.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::access::Way;
use super::receipt::{NoReceipt, Outcome, Receipt, instant, receipt};
use super::{Desk, Paid, Refused, SMALL, Untaken, balance, day_begins, is_creditor, is_notice, json, told};
use crate::config::PtKind;
use crate::domain::money::Cents;
use crate::service::positions::{Price, PriceAnswer};

const KINDS: &[PtKind] = &[PtKind::Pu];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    org_fiscal_code: String,
    nav: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    nav: &'a str,
    amount_cents: i64,
    iun: &'a str,
    notification_fee_cents: i64,
    /// The completion from which the amount counts, whosever view came before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    notification_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<String>,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: &'a str,
}

fn fault(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &Fault { code, message })
}

fn code_of(why: Refused) -> &'static str {
    match why {
        Refused::NoSuchPath => "NOT_FOUND",
        Refused::Credentials | Refused::Signature => "UNAUTHORIZED",
        Refused::Slow { .. } => "TOO_MANY_REQUESTS",
        Refused::TooLarge | Refused::TooSlow => "BAD_REQUEST",
        Refused::NoRoom => "GENERIC_ERROR",
    }
}

/// `POST amount-update`
pub(super) async fn price(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Voucher, request, SMALL).await {
        Ok(heard) => heard,
        Err(why) => return why.answer(fault(why.status(), code_of(why), why.sentence())),
    };
    let asked = serde_json::from_slice::<Question>(&body).ok();
    let Some(asked) = asked.filter(|asked| is_creditor(&asked.org_fiscal_code) && is_notice(&asked.nav)) else {
        return fault(StatusCode::BAD_REQUEST, "BAD_REQUEST", "il messaggio non è quello del contratto");
    };
    let (creditor, notice) = (asked.org_fiscal_code.as_str(), asked.nav.as_str());
    let answer = match desk.price(&caller, creditor, notice) {
        Ok(answer) => answer,
        Err(error) => {
            desk.broken(&pt, &error);
            return fault(StatusCode::INTERNAL_SERVER_ERROR, "GENERIC_ERROR", "errore interno");
        }
    };
    let (status, code, message) = match &answer {
        PriceAnswer::Due(_) => (StatusCode::OK, "", ""),
        PriceAnswer::Unknown => (StatusCode::NOT_FOUND, "NOTICE_NOT_FOUND", "codice avviso sconosciuto"),
        PriceAnswer::NotYet => (StatusCode::CONFLICT, "NOTICE_NOT_NOTIFIED", "avviso non ancora notificato"),
        PriceAnswer::NotPayable(_) => (StatusCode::CONFLICT, "NOTICE_NOT_PAYABLE", "avviso non pagabile (pagato o ritirato)"),
    };
    told(&caller, creditor, notice, &answer, code);
    let PriceAnswer::Due(price) = &answer else { return fault(status, code, message) };
    json(StatusCode::OK, &due(notice, price))
}

fn due<'a>(notice: &'a str, price: &'a Price) -> Answer<'a> {
    Answer {
        nav: notice,
        amount_cents: price.day.total.0,
        iun: &price.iun,
        notification_fee_cents: price.day.cost.0,
        notification_date: price.completed.and_then(day_begins),
        balance: balance::parts(price).and_then(|lines| serde_json::to_string(&lines).ok()),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pushed {
    encoded_receipt: String,
    payment_data: PaymentData,
}

/// The debtor is there too, and is not read.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PaymentData {
    org_fiscal_code: String,
    nav: String,
    #[serde(default)]
    iuv: Option<String>,
    payment_date: String,
    amount_cents: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PushFault<'a> {
    fault_code: &'a str,
    fault_description: &'a str,
}

fn push_fault(status: StatusCode, code: &str, description: &str) -> Response {
    json(status, &PushFault { fault_code: code, fault_description: description })
}

/// `POST payment-notification`
pub(super) async fn paid(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Voucher, request, desk.large).await {
        Ok(heard) => heard,
        Err(why) => return why.answer(push_fault(why.status(), code_of(why), why.sentence())),
    };
    let wrong = |reason: &str| push_fault(StatusCode::BAD_REQUEST, "BAD_REQUEST", reason);
    let Ok(pushed) = serde_json::from_slice::<Pushed>(&body) else { return wrong("il messaggio non è quello del contratto") };
    let known = match agreed(&pushed) {
        Ok(known) => known,
        Err(reason) => {
            tracing::warn!(pt, reason, "una comunicazione di pagamento non si può leggere");
            return wrong(reason);
        }
    };
    let data = pushed.payment_data;
    let Some(paid_at) = instant(&data.payment_date) else { return wrong("paymentDate non è una data") };
    if known.as_ref().is_some_and(|receipt| receipt.outcome == Outcome::NotDone) {
        tracing::info!(pt, "comunicato un pagamento non eseguito");
        return StatusCode::OK.into_response();
    }
    let whole = known.as_ref().is_none_or(|receipt| receipt.outcome == Outcome::Done);
    let paid = Paid {
        creditor: data.org_fiscal_code,
        notice: Some(data.nav),
        iuv: data.iuv.unwrap_or_default(),
        amount: Cents(data.amount_cents),
        paid_at: Some(paid_at),
        receipt: known.and_then(|receipt| receipt.id),
        whole,
    };
    match desk.paid(&caller, paid).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(Untaken::NotOurs) => push_fault(StatusCode::NOT_FOUND, "NOT_FOUND", "l'avviso non è fra quelli di questo partner"),
        Err(Untaken::Amount) => wrong("l'importo non è valido"),
        Err(Untaken::Broken) => push_fault(StatusCode::INTERNAL_SERVER_ERROR, "GENERIC_ERROR", "errore interno"),
    }
}

/// The receipt must be about the payment it comes with; one of a kind that we do not know is passed over.
fn agreed(pushed: &Pushed) -> Result<Option<Receipt>, &'static str> {
    let bytes = STANDARD.decode(pushed.encoded_receipt.trim()).map_err(|_| "encodedReceipt non è in base64")?;
    let data = &pushed.payment_data;
    match receipt(&bytes) {
        Ok(found) => {
            let other_notice = found.notice.as_ref().is_some_and(|notice| *notice != data.nav);
            let other_iuv = !found.iuv.is_empty() && !data.nav.ends_with(&found.iuv);
            let other = found.creditor != data.org_fiscal_code || other_notice || other_iuv || found.amount.0 != data.amount_cents;
            if other { Err("encodedReceipt e paymentData parlano di pagamenti diversi") } else { Ok(Some(found)) }
        }
        Err(NoReceipt::Unknown) => Ok(None),
        Err(NoReceipt::Unreadable(_)) => Err("encodedReceipt non è XML leggibile"),
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, date};

    use super::*;
    use crate::service::positions::PriceDay;

    #[test]
    fn the_date_told_is_the_one_from_which_the_amount_counts() {
        let (seen, last) = (date(2026, 12, 1), date(2026, 12, 10));
        let told = |viewed: Option<Date>, completed: Option<Date>| {
            let day = PriceDay { from: seen, total: Cents(7_847), due: Cents(7_000), cost: Cents(847), step: 0, until: None };
            let price = Price { iun: "IUN-1".to_owned(), day, viewed, completed, balance: None, cost_place: None };
            due("302000000000000184", &price).notification_date
        };
        let at = |day: &str| Some(format!("{day}T00:00:00+01:00"));
        // With `completion = ultimo` the view of one says nothing until everybody is served.
        assert_eq!(told(Some(seen), Some(last)), at("2026-12-10"));
        assert_eq!(told(Some(seen), None), None);
        assert_eq!(told(Some(seen), Some(seen)), at("2026-12-01"));
        assert_eq!(told(None, Some(last)), at("2026-12-10"));
    }
}
