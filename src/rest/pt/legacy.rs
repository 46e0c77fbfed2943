//! The contract of MyPay 4, which PU still speaks: a login, then the price of one notice (`notification-price`) or the push of a
//! paid one (`payment-notification`). `reference pt.md` 2.2 and 2.3, `p4pa-pu-sil.*-legacy.openapi.yaml`.
//!
//! Codes of a price: 002 unknown, 003 not notified yet (the amount of the position stays), 004 not payable (refuses the payment).

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::access::Way;
use super::receipt::{NoReceipt, Outcome, Receipt, receipt};
use super::{Desk, Paid, Refused, SMALL, Untaken, balance, day_begins, is_creditor, is_notice, json, told};
use crate::clock::Clock;
use crate::config::PtKind;
use crate::service::positions::{Price, PriceAnswer};

/// Others too speak it, or nearly (Maggioli JPPA): a declared PT may be told to ask in this way.
const KINDS: &[PtKind] = &[PtKind::MyPay, PtKind::Pu, PtKind::Declared];

#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

#[derive(Serialize)]
struct Token<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    esito: &'a str,
    #[serde(rename = "descrizioneErrore", skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

fn ko(status: StatusCode, error: &str) -> Response {
    json(status, &Token { token: None, esito: "KO", error: Some(error) })
}

/// `POST login`
pub(super) async fn login(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let refused = |why: Refused| why.answer(ko(why.status(), why.sentence()));
    let (parts, body) = request.into_parts();
    let address = desk.address(&parts);
    let caller = match desk.caller(&pt, KINDS).and_then(|caller| desk.may_try(&pt, address).map(|()| caller)) {
        Ok(caller) => caller,
        Err(why) => return refused(why),
    };
    let body = match desk.body(body, SMALL).await {
        Ok(body) => body,
        Err(why) => return refused(why),
    };
    let Ok(shown) = serde_json::from_slice::<Credentials>(&body) else {
        return ko(StatusCode::BAD_REQUEST, "il messaggio non è quello del contratto");
    };
    if !caller.knows(&shown.username, &shown.password) {
        return refused(desk.wrong_password(&pt, address));
    }
    desk.guard.admitted(address, &pt);
    json(StatusCode::OK, &Token { token: Some(caller.token(Clock::REAL.now())), esito: "OK", error: None })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Question {
    cf_ente_creditore: String,
    numero_avviso: String,
    importo_posizione: String,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    numero_avviso: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    iun: Option<&'a str>,
    /// Cents.
    #[serde(skip_serializing_if = "Option::is_none")]
    spese_notifica: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_visualizzazione: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_perfezionamento_decorrenza_termini: Option<String>,
    /// Cents, costs included.
    #[serde(skip_serializing_if = "Option::is_none")]
    importo_posizione: Option<i64>,
    /// JSON inside the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    bilancio: Option<String>,
    stato: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    codice: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dettaglio: Option<&'a str>,
}

/// Not an answer about a notice.
fn bad(status: StatusCode, detail: &str) -> Response {
    json(status, &Answer { stato: status.as_str(), dettaglio: Some(detail), ..Answer::default() })
}

/// `POST notification-price`
pub(super) async fn price(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Token, request, SMALL).await {
        Ok(heard) => heard,
        Err(why) => return why.answer(bad(why.status(), why.sentence())),
    };
    let asked = serde_json::from_slice::<Question>(&body).ok();
    let well = |asked: &Question| {
        is_creditor(&asked.cf_ente_creditore) && is_notice(&asked.numero_avviso) && matches!(&*asked.importo_posizione, "S" | "N")
    };
    let Some(asked) = asked.filter(well) else {
        return bad(StatusCode::BAD_REQUEST, "il messaggio non è quello del contratto");
    };
    let (creditor, notice) = (asked.cf_ente_creditore.as_str(), asked.numero_avviso.as_str());
    let answer = match desk.price(&caller, creditor, notice) {
        Ok(answer) => answer,
        Err(error) => {
            desk.broken(&pt, &error);
            return bad(StatusCode::INTERNAL_SERVER_ERROR, "errore interno");
        }
    };
    let (code, detail) = match &answer {
        PriceAnswer::Unknown => ("002", "codice avviso sconosciuto"),
        PriceAnswer::NotYet => ("003", "avviso non ancora notificato"),
        PriceAnswer::NotPayable(_) => ("004", "avviso non pagabile (pagato o ritirato)"),
        PriceAnswer::Due(_) => ("", ""),
    };
    told(&caller, creditor, notice, &answer, code);
    let known = Answer { numero_avviso: Some(notice), stato: "200", ..Answer::default() };
    let said = match &answer {
        PriceAnswer::Due(price) => due(price, known, asked.importo_posizione == "S"),
        _ => Answer { codice: Some(code), dettaglio: Some(detail), ..known },
    };
    json(StatusCode::OK, &said)
}

fn due<'a>(price: &'a Price, known: Answer<'a>, with_amount: bool) -> Answer<'a> {
    let lines = if with_amount { balance::parts(price) } else { None };
    Answer {
        iun: Some(&price.iun),
        spese_notifica: Some(price.day.cost.0),
        data_visualizzazione: price.viewed.and_then(day_begins),
        data_perfezionamento_decorrenza_termini: price.completed.and_then(day_begins),
        importo_posizione: with_amount.then_some(price.day.total.0),
        bilancio: lines.and_then(|lines| serde_json::to_string(&lines).ok()),
        ..known
    }
}

#[derive(Deserialize)]
struct Pushed {
    rt: String,
    esito: String,
}

#[derive(Serialize)]
struct Fault<'a> {
    code: &'a str,
    message: &'a str,
}

fn fault(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &Fault { code, message })
}

/// `POST payment-notification`
pub(super) async fn paid(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Token, request, desk.large).await {
        Ok(heard) => heard,
        Err(why) => {
            let code = match why {
                Refused::NoSuchPath => "NOT_FOUND",
                Refused::NoRoom => "GENERIC_ERROR",
                _ => "BAD_REQUEST",
            };
            return why.answer(fault(why.status(), code, why.sentence()));
        }
    };
    let wrong = |message: &str| fault(StatusCode::BAD_REQUEST, "BAD_REQUEST", message);
    let Ok(pushed) = serde_json::from_slice::<Pushed>(&body) else { return wrong("il messaggio non è quello del contratto") };
    let told = match agreed(&pushed) {
        Ok(told) => told,
        Err(reason) => {
            tracing::warn!(pt, reason, "una comunicazione di pagamento non si può leggere");
            return wrong(reason);
        }
    };
    if told.outcome == Outcome::NotDone {
        tracing::info!(pt, "comunicato un pagamento non eseguito");
        return StatusCode::OK.into_response();
    }
    let paid = Paid {
        creditor: told.creditor,
        notice: told.notice,
        iuv: told.iuv,
        amount: told.amount,
        paid_at: told.paid_at,
        receipt: told.id,
        whole: told.outcome == Outcome::Done,
    };
    match desk.paid(&caller, paid).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(Untaken::NotOurs) => fault(StatusCode::NOT_FOUND, "NOT_FOUND", "l'avviso non è fra quelli di questo partner"),
        Err(Untaken::Amount) => wrong("l'importo non è valido"),
        Err(Untaken::Broken) => fault(StatusCode::INTERNAL_SERVER_ERROR, "GENERIC_ERROR", "errore interno"),
    }
}

/// The two documents must tell of the same payment; one of a kind that we do not know is passed over.
fn agreed(pushed: &Pushed) -> Result<Receipt, &'static str> {
    let read = |text: &str| {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| "la ricevuta non è in base64")?;
        match receipt(&bytes) {
            Ok(found) => Ok(Some(found)),
            Err(NoReceipt::Unknown) => Ok(None),
            Err(NoReceipt::Unreadable(_)) => Err("la ricevuta non è XML leggibile"),
        }
    };
    match (read(&pushed.rt)?, read(&pushed.esito)?) {
        (Some(rt), Some(told)) if (&rt.creditor, &rt.iuv, rt.amount) != (&told.creditor, &told.iuv, told.amount) => {
            Err("rt ed esito parlano di pagamenti diversi")
        }
        (Some(found), _) | (None, Some(found)) => Ok(found),
        (None, None) => Err("né rt né esito sono ricevute conosciute"),
    }
}
