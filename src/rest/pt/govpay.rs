//! GovPay's API of the ente (`govpay/ec-v2`): what is asked for a notice whose copy at GovPay is past its validity, and receipts.
//!
//! GovPay replaces its position with the answer, so the whole of it is given, as it held it (`inbound::whole`). `dataValidita` is today: tomorrow, or as soon as the
//! amount may change, it asks again.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json as object;

use super::access::{Caller, Way};
use super::receipt::instant;
use super::{Desk, Paid, Refused, SMALL, Untaken, cents, is_creditor, is_notice, json, told};
use crate::config::PtKind;
use crate::service::positions::inbound::{self, ByPtId};
use crate::service::positions::{self, Over, PriceAnswer};
use crate::service::rome;
use crate::store::StoreError;

const KINDS: &[PtKind] = &[PtKind::GovPay];

#[derive(Serialize)]
struct FaultBean<'a> {
    categoria: &'a str,
    codice: &'a str,
    descrizione: &'a str,
}

fn fault(status: StatusCode, categoria: &str, codice: &str, descrizione: &str) -> Response {
    json(status, &FaultBean { categoria, codice, descrizione })
}

fn refused(why: Refused) -> Response {
    let category = if matches!(why, Refused::Credentials | Refused::Slow { .. }) { "AUTORIZZAZIONE" } else { "RICHIESTA" };
    why.answer(fault(why.status(), category, why.status().as_str(), why.sentence()))
}

fn internal() -> Response {
    fault(StatusCode::INTERNAL_SERVER_ERROR, "INTERNO", "INTERNO", "Servizio non disponibile")
}

fn malformed(detail: &str) -> Response {
    fault(StatusCode::BAD_REQUEST, "RICHIESTA", "RICHIESTA", detail)
}

fn state(stato: &str, description: &str) -> Response {
    json(StatusCode::OK, &object!({"stato": stato, "descrizioneStato": description}))
}

/// `[\w\-.]{1,35}`
fn is_id(text: &str) -> bool {
    (1..=35).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
}

/// `GET avvisi/{idDominio}/{numeroAvviso}`
pub(super) async fn by_notice(
    State(desk): State<Arc<Desk>>,
    Path((pt, creditor, notice)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (caller, _) = match desk.heard(&pt, KINDS, Way::Basic, request, SMALL).await {
        Ok(heard) => heard,
        Err(why) => return refused(why),
    };
    if !is_creditor(&creditor) || !is_notice(&notice) {
        return malformed("Dominio o numero avviso non conforme alle specifiche pagoPA");
    }
    verified(&desk, &caller, &creditor, &notice).await.unwrap_or_else(|error| {
        desk.broken(&pt, &error);
        internal()
    })
}

/// `GET pendenze/{idA2A}/{idPendenza}`
pub(super) async fn by_position(
    State(desk): State<Arc<Desk>>,
    Path((pt, a2a, position)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (caller, _) = match desk.heard(&pt, KINDS, Way::Basic, request, SMALL).await {
        Ok(heard) => heard,
        Err(why) => return refused(why),
    };
    if !is_id(&a2a) || !is_id(&position) {
        return malformed("Identificativi non conformi");
    }
    let found = async {
        let all = inbound::by_position_id(&desk.hub, &pt, &position).await?;
        let Some(one) = only(all, &a2a, || inbound::is_of_one_ente(&desk.hub, &pt)) else { return Ok(None) };
        verified(&desk, &caller, &one.creditor, &one.notice).await.map(Some)
    };
    match found.await {
        Ok(Some(answer)) => answer,
        Ok(None) => state("SCONOSCIUTA", "Pendenza sconosciuta"),
        Err(error) => {
            desk.broken(&pt, &error);
            internal()
        }
    }
}

/// The position of the application `a2a` among those with one `idPendenza`, which is its own only inside an application: first by what
/// GovPay itself said of it, else by the `service` of its route. One of which nobody knows the application is given only where GovPay has
/// no other ente. Between two nobody is told anything: the wrong one would be paid by somebody else, or name them.
fn only(all: Vec<ByPtId>, a2a: &str, of_one_ente: impl FnOnce() -> bool) -> Option<ByPtId> {
    #[derive(Deserialize)]
    struct Kept {
        #[serde(rename = "idA2A")]
        application: Option<String>,
    }
    let (mut said, mut routed, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for one in all {
        let kept = one.kept.as_deref().and_then(|kept| serde_json::from_str::<Kept>(kept).ok()?.application);
        match (kept.as_deref(), one.service.as_deref()) {
            (Some(application), _) if application == a2a => said.push(one),
            (None, Some(application)) if application == a2a => routed.push(one),
            (Some(_), _) | (None, Some(_)) => {}
            (None, None) => unknown.push(one),
        }
    }
    let mut found = if !said.is_empty() {
        said
    } else if !routed.is_empty() {
        routed
    } else if of_one_ente() {
        unknown
    } else {
        return None;
    };
    if found.len() == 1 { found.pop() } else { None }
}

async fn verified(desk: &Desk, caller: &Caller, creditor: &str, notice: &str) -> Result<Response, StoreError> {
    // It replaces its pendenza by the answer, last day and all, and messo knows only the one that was over when it read it: it is told so,
    // in its own word, and the next time, a moment later, messo has read it again.
    let answer = if desk.is_of(&caller.pt, creditor, notice) {
        positions::price_unless_expired(&desk.hub, &caller.pt, creditor, notice)?
    } else {
        PriceAnswer::Unknown
    };
    let code = match &answer {
        PriceAnswer::Unknown => "SCONOSCIUTA",
        PriceAnswer::NotPayable(Over::Paid | Over::Withdrawn) => "ANNULLATA",
        PriceAnswer::NotPayable(Over::Expired) => "SCADUTA",
        PriceAnswer::Due(_) | PriceAnswer::NotYet => "NON_ESEGUITA",
    };
    told(caller, creditor, notice, &answer, code);
    let today = rome(desk.hub.clock.now()).date();
    let (total, cost, valid) = match &answer {
        PriceAnswer::Unknown => return Ok(state(code, "Pendenza sconosciuta")),
        PriceAnswer::NotPayable(over) => {
            let why = match over {
                Over::Paid => "Pendenza pagata",
                Over::Withdrawn => "Pendenza annullata o ritirata",
                Over::Expired => "Pendenza scaduta",
            };
            return Ok(state(code, why));
        }
        PriceAnswer::Due(price) => (price.day.total, price.day.cost, price.day.until.map_or(today, |until| until.min(today))),
        // GovPay has no word for it: what the position itself asks is asked.
        PriceAnswer::NotYet => match inbound::standing(&desk.hub, creditor, notice).await? {
            Some((total, cost)) => (total, cost, today),
            None => return Ok(internal()),
        },
    };
    match inbound::whole(&desk.hub, creditor, notice, total, cost).await? {
        Some(Ok(mut pending)) => {
            if let Some(fields) = pending.as_object_mut() {
                fields.insert("dataValidita".into(), valid.to_string().into());
            }
            Ok(json(StatusCode::OK, &object!({"stato": code, "pendenza": pending})))
        }
        Some(Err(why)) => {
            tracing::error!(pt = caller.pt, creditor, notice, why, "a GovPay non si può rispondere: il cittadino non può pagare");
            Ok(fault(StatusCode::INTERNAL_SERVER_ERROR, "OPERAZIONE", "OPERAZIONE", "La pendenza non è descritta per intero"))
        }
        None => Ok(state("SCONOSCIUTA", "Pendenza sconosciuta")),
    }
}

/// What of a `Ricevuta` tells of the payment.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Receipt {
    dominio: Domain,
    iuv: String,
    id_ricevuta: String,
    importo: f64,
    #[serde(default)]
    esito: Option<String>,
    #[serde(default)]
    data_pagamento: Option<String>,
    #[serde(default)]
    data: Option<String>,
    #[serde(default)]
    pendenza: Option<Pending>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Domain {
    id_dominio: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Pending {
    #[serde(default)]
    numero_avviso: Option<String>,
}

/// `PUT ricevute/{idDominio}/{iuv}/{idRicevuta}`
pub(super) async fn paid(
    State(desk): State<Arc<Desk>>,
    Path((pt, creditor, iuv, id)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Basic, request, desk.large).await {
        Ok(heard) => heard,
        Err(why) => return refused(why),
    };
    let Ok(receipt) = serde_json::from_slice::<Receipt>(&body) else { return malformed("Messaggio di richiesta non valido") };
    if (&receipt.dominio.id_dominio, &receipt.iuv, &receipt.id_ricevuta) != (&creditor, &iuv, &id) {
        return malformed("La ricevuta non è quella dell'indirizzo");
    }
    let whole = match receipt.esito.as_deref() {
        None | Some("ESEGUITO") => true,
        Some("ESEGUITO_PARZIALE" | "DECORRENZA_PARZIALE") => false,
        // Nothing was paid.
        Some(_) => return StatusCode::CREATED.into_response(),
    };
    let Some(amount) = cents(receipt.importo) else { return malformed("Importo non valido") };
    let notice = receipt.pendenza.and_then(|pending| pending.numero_avviso).filter(|notice| is_notice(notice));
    if notice.as_ref().is_some_and(|notice| !notice.ends_with(&iuv)) {
        return malformed("Numero avviso e IUV non vanno insieme");
    }
    let paid_at = receipt.data_pagamento.or(receipt.data).as_deref().and_then(instant);
    let paid = Paid { creditor, notice, iuv, amount, paid_at, receipt: Some(id), whole };
    match desk.paid(&caller, paid).await {
        Ok(_) => StatusCode::CREATED.into_response(),
        Err(Untaken::NotOurs) => StatusCode::NOT_FOUND.into_response(),
        Err(Untaken::Amount) => malformed("Importo non valido"),
        Err(Untaken::Broken) => internal(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_a_pendenza_is_of_one_application() {
        let one = |notice: &str, kept: Option<&str>, service: Option<&str>| ByPtId {
            creditor: "01234567897".to_owned(),
            notice: notice.to_owned(),
            kept: kept.map(|application| format!("{{\"idA2A\":\"{application}\",\"idPendenza\":\"P-1\"}}")),
            service: service.map(str::to_owned),
        };
        let table: Vec<(&str, Vec<ByPtId>, bool, Option<&str>)> = vec![
            ("none", vec![], true, None),
            ("as GovPay said", vec![one("a", Some("A"), None), one("b", Some("B"), None)], false, Some("b")),
            ("the other's alone", vec![one("a", Some("A"), None)], false, None),
            ("GovPay says another than the route", vec![one("a", Some("A"), Some("B"))], false, None),
            ("by the routes", vec![one("a", None, Some("A")), one("b", None, Some("B"))], false, Some("b")),
            ("GovPay is believed before a route", vec![one("a", None, Some("B")), one("b", Some("B"), None)], false, Some("b")),
            ("two by the routes", vec![one("a", None, Some("B")), one("b", None, Some("B"))], false, None),
            ("nobody knows, GovPay is shared", vec![one("a", None, None)], false, None),
            ("nobody knows, GovPay has one ente", vec![one("a", None, None)], true, Some("a")),
            ("nobody knows of two", vec![one("a", None, None), one("b", None, None)], true, None),
            ("known before unknown", vec![one("a", None, None), one("b", Some("B"), None)], true, Some("b")),
            ("what is kept cannot be read", vec![ByPtId { kept: Some("{".to_owned()), ..one("b", None, Some("B")) }], false, Some("b")),
        ];
        for (what, all, alone, want) in table {
            assert_eq!(only(all, "B", || alone).map(|one| one.notice).as_deref(), want, "{what}");
        }
    }
}
