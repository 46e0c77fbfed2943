//! e-Fil Plug&Pay as two public clients of it show it (`reference pt.md` 3.7): nothing official is published, so this is a
//! simulator of what is believed. `Deliver` is asked, `Feed` is written; `IdApplicazione` is the simulators' password, `CodiceEnte`
//! is the creditor's tax id or what a debt says in `more.codiceEnte`. A position that is removed is not there any more.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use super::PtOptions;
use super::debts::{Debt, DebtChange, DebtState};
use super::xml::{self, Node, leaf};
use crate::domain::notice_code;

const DELIVER: &str = "http://e-fil.eu/PnP/PlugAndPayDeliver";
const FEED: &str = "http://e-fil.eu/PnP/PlugAndPayFeed";

/// Its paths.
pub(super) fn router(shared: Arc<PtOptions>) -> Router {
    Router::new().route("/Deliver/DigitBusDeliver.svc", post(deliver)).route("/Feed/DigitBusFeed.svc", post(feed)).with_state(shared)
}

fn answer(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

fn fault(code: &str) -> Response {
    answer(StatusCode::INTERNAL_SERVER_ERROR, xml::fault(code, "Operazione non eseguita"))
}

/// The request of an operation, when service and action agree and the application is known.
fn enter(shared: &PtOptions, headers: &HeaderMap, body: &Bytes, prefix: &str) -> Result<(String, Node), Box<Response>> {
    let action = headers.get("soapaction").and_then(|value| value.to_str().ok()).unwrap_or_default().trim_matches('"');
    let (payload, _) = xml::envelope(body).ok_or_else(|| Box::new(fault("Client")))?;
    let request = payload.get("request").cloned();
    let known = request.as_ref().and_then(|request| request.at(&["IdApplicazione"])) == Some(shared.password.as_str());
    match request {
        Some(request) if known && action == format!("{prefix}{}", payload.name) => Ok((payload.name, request)),
        _ => Err(Box::new(fault("Client"))),
    }
}

fn fits(debt: &Debt, request: &Node) -> bool {
    let ente = debt.more.get("codiceEnte").and_then(Value::as_str).unwrap_or(&debt.creditor);
    request.at(&["CodiceEnte"]) == Some(ente)
        && request.at(&["CodiceIdentificativo"]) == notice_code::iuv(&debt.notice)
        && debt.state != DebtState::Cancelled
}

fn reply(namespace: &str, operation: &str, inside: &str) -> Response {
    answer(
        StatusCode::OK,
        xml::wrap(&format!(
            "<{operation}Response xmlns=\"{namespace}\"><{operation}Result>{inside}</{operation}Result></{operation}Response>"
        )),
    )
}

async fn deliver(State(shared): State<Arc<PtOptions>>, headers: HeaderMap, body: Bytes) -> Response {
    let (operation, request) = match enter(&shared, &headers, &body, "http://e-fil.eu/PnP/PlugAndPayDeliver/IPlugAndPayDeliver/") {
        Ok(entered) => entered,
        Err(response) => return *response,
    };
    if operation != "RicercaPosizionePerIdentificavo" {
        return fault("Client");
    }
    let debts = shared.debts.lock();
    let Some(debt) = debts.values().find(|debt| fits(debt, &request)) else { return reply(DELIVER, &operation, "") };
    let mut out = String::from("<Posizione>");
    leaf(&mut out, "Causale", &debt.remittance);
    if let Some(day) = &debt.due_date {
        leaf(&mut out, "DataScadenza", &format!("{day}T00:00:00"));
    }
    leaf(&mut out, "IdentificativoPosizione", &debt.position_id);
    leaf(&mut out, "ImportoInCentesimi", &debt.amount.to_string());
    leaf(&mut out, "NumeroAvviso", debt.more.get("rispondi").and_then(Value::as_str).unwrap_or(&debt.notice));
    let state = match debt.state {
        DebtState::Paid => "Pagata",
        DebtState::BeingPaid => "PagataParzialmente",
        _ => "NonPagata",
    };
    leaf(&mut out, "StatoPosizione", state);
    out.push_str("</Posizione>");
    reply(DELIVER, &operation, &out)
}

async fn feed(State(shared): State<Arc<PtOptions>>, headers: HeaderMap, body: Bytes) -> Response {
    let (operation, request) = match enter(&shared, &headers, &body, "http://e-fil.eu/PnP/PlugAndPayFeed/IPlugAndPayFeed/") {
        Ok(entered) => entered,
        Err(response) => return *response,
    };
    let at = shared.clock.now().as_millisecond();
    let mut debts = shared.debts.lock();
    let found = debts.values_mut().find(|debt| fits(debt, &request) && !matches!(debt.state, DebtState::Paid | DebtState::BeingPaid));
    let mut out = String::new();
    match (found, operation.as_str()) {
        (None, "RettificaPosizione" | "RimuoviPosizione") => leaf(&mut out, "Esito", "Nok"),
        (Some(debt), "RettificaPosizione") => {
            if let Some(amount) = request.at(&["ImportoInCentesimi"]).and_then(|text| text.parse().ok()) {
                debt.amount = amount;
                debt.changes.push(DebtChange { at, amount, fee: 0 });
            }
            if let Some(day) = request.at(&["DataScandenza"]).and_then(|text| text.get(..10)) {
                debt.due_date = Some(day.to_owned());
            }
            leaf(&mut out, "Esito", "Ok");
        }
        (Some(debt), "RimuoviPosizione") => {
            debt.state = DebtState::Cancelled;
            leaf(&mut out, "Esito", "Ok");
        }
        _ => return fault("Client"),
    }
    reply(FEED, &operation, &out)
}
