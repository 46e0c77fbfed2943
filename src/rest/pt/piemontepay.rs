//! PiemontePAY: the GET of a price while somebody pays, and the SOAP callbacks (`EPaywso2EntiService.wsdl`, `reference pt.md` 3.3).
//!
//! The price is asked at the address configured for the payment type, with `{organization}` and `{iuv}` in it; an answer whose
//! `code` is not empty refuses the payment. Callbacks are acknowledged (`000`) when what they tell is durable.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::access::{Caller, Way};
use super::receipt::{Outcome, instant, receipt};
use super::xml::{Element, read};
use super::{Desk, Paid, SMALL, Untaken, euro, is_creditor, is_notice, json, told};
use crate::config::PtKind;
use crate::domain::money::Cents;
use crate::service::positions::balance::Line;
use crate::service::positions::{self, Price, PriceAnswer};
use crate::store::{AskedBack, StoreError};

const KINDS: &[PtKind] = &[PtKind::PiemontePay];
/// Payments of one message that are brought to the disk together.
const TOGETHER: usize = 64;

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    importo_totale: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importo: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importo_totale_ente_primario: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    importo_totale_enti_secondari: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requires_cost_update: Option<bool>,
    status: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    componenti_pagamento: Option<Vec<Component>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    #[serde(skip_serializing_if = "Option::is_none")]
    anno_accertamento: Option<u16>,
    causale: String,
    importo: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    numero_accertamento: Option<String>,
}

fn refusal(status: StatusCode, code: &str, detail: &str) -> Response {
    json(status, &Answer { status: status.as_str(), code: Some(code), detail: Some(detail), ..Answer::default() })
}

/// `lines`: those that add up to it, if there are any.
fn amount(total: Cents, lines: Option<Vec<Line>>) -> Response {
    let component = |line: &Line| Component {
        anno_accertamento: line.year,
        causale: line.causale().to_owned(),
        importo: euro(Cents(line.amount)),
        numero_accertamento: line.assessment.clone(),
    };
    let said = Answer {
        importo_totale: Some(euro(total)),
        importo: Some(euro(total)),
        importo_totale_ente_primario: Some(euro(total)),
        importo_totale_enti_secondari: Some(0.0),
        requires_cost_update: Some(true),
        status: "200",
        // A list of none beside an amount would not add up to it.
        componenti_pagamento: lines.map(|lines| lines.iter().map(component).collect()),
        ..Answer::default()
    };
    json(StatusCode::OK, &said)
}

/// `GET costo/{organization}/{iuv}`
pub(super) async fn price(
    State(desk): State<Arc<Desk>>,
    Path((pt, organization, iuv)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    let (caller, _) = match desk.heard(&pt, KINDS, Way::Basic, request, SMALL).await {
        Ok(heard) => heard,
        Err(why) => return why.answer(refusal(why.status(), why.status().as_str(), why.sentence())),
    };
    let short = (1..=35).contains(&iuv.len()) && iuv.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_creditor(&organization) || !short {
        return refusal(StatusCode::BAD_REQUEST, "400", "organizzazione o IUV non validi");
    }
    let internal = |error| {
        desk.broken(&pt, &error);
        refusal(StatusCode::INTERNAL_SERVER_ERROR, "500", "errore interno")
    };
    let (notice, answer) = match desk.price_of_iuv(&caller, &organization, &iuv) {
        Ok(found) => found,
        Err(error) => return internal(error),
    };
    let (code, detail) = match &answer {
        PriceAnswer::Due(_) => ("", ""),
        PriceAnswer::Unknown => ("002", "codice avviso sconosciuto"),
        PriceAnswer::NotYet => ("003", "avviso non ancora notificato"),
        PriceAnswer::NotPayable(_) => ("004", "avviso non pagabile (pagato o ritirato)"),
    };
    told(&caller, &organization, &notice, &answer, code);
    match &answer {
        PriceAnswer::Due(price) => match lines(&desk, &organization, &notice, price).await {
            Ok(lines) => amount(price.day.total, lines),
            Err(error) => internal(error),
        },
        // A code would refuse the payment: what the position itself asks is asked, and asked about again next time.
        PriceAnswer::NotYet => match positions::inbound::standing(&desk.hub, &organization, &notice).await {
            Ok(Some((standing, _))) => amount(standing, None),
            Ok(None) => refusal(StatusCode::OK, code, detail),
            Err(error) => internal(error),
        },
        PriceAnswer::Unknown | PriceAnswer::NotPayable(_) => refusal(StatusCode::OK, code, detail),
    }
}

/// The components of a price. Without a bilancio and with a place for the cost, what is due is called as the act calls it.
async fn lines(desk: &Desk, creditor: &str, notice: &str, price: &Price) -> Result<Option<Vec<Line>>, StoreError> {
    let unnamed = price.balance.is_none() && price.cost_place.is_some();
    let remittance = if unnamed { positions::balance::remittance(&desk.hub, creditor, notice).await? } else { None };
    Ok(positions::balance::components(price, remittance.as_deref()))
}

fn envelope(status: StatusCode, body: &str) -> Response {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soapenv:Envelope xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\">\
         <soapenv:Body>{body}</soapenv:Body></soapenv:Envelope>"
    );
    (status, [(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response()
}

/// `code` of `codici-esito.csv`; the message is ours, without characters that XML would mind.
fn result(code: &str, message: &str) -> Response {
    let body = format!(
        "<c:EPaywsoServiceResponse xmlns:c=\"http://www.csi.it/epay/epaywso/types\"><c:Result><c:Codice>{code}</c:Codice>\
         <c:Messaggio>{message}</c:Messaggio></c:Result></c:EPaywsoServiceResponse>"
    );
    envelope(StatusCode::OK, &body)
}

fn fault(status: StatusCode, who: &str, message: &str) -> Response {
    envelope(status, &format!("<soapenv:Fault><faultcode>soapenv:{who}</faultcode><faultstring>{message}</faultstring></soapenv:Fault>"))
}

/// `POST soap`
pub(super) async fn soap(State(desk): State<Arc<Desk>>, Path(pt): Path<String>, request: Request) -> Response {
    let (caller, body) = match desk.heard(&pt, KINDS, Way::Basic, request, desk.large).await {
        Ok(heard) => heard,
        Err(why) => return why.answer(fault(why.status(), "Client", why.sentence())),
    };
    let large = body.held.is_some();
    let work = move || (read(&body), body);
    // The other connections of this thread do not wait for a large one.
    let (tree, body) = match if large { tokio::task::spawn_blocking(work).await } else { Ok(work()) } {
        Ok(done) => done,
        Err(error) => {
            tracing::error!(pt, %error, "un messaggio SOAP del partner tecnologico non è stato letto");
            return fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", "errore interno: riprovare");
        }
    };
    let tree = match tree {
        Ok(tree) => tree,
        Err(error) => {
            tracing::warn!(pt, %error, "un messaggio SOAP del partner tecnologico non si può leggere");
            return fault(StatusCode::BAD_REQUEST, "Client", "il messaggio non si può leggere");
        }
    };
    // The tree is as large as the text it was read from.
    let _held = body.spent();
    let message = tree.child("Body").filter(|_| tree.name == "Envelope").and_then(|body| body.children.first());
    let Some(message) = message else { return fault(StatusCode::BAD_REQUEST, "Client", "il messaggio non è SOAP") };
    let head = message.child("Testata").or_else(|| message.child("TestataEsito"));
    let Some(creditor) = head.and_then(|head| head.text_at(&["CFEnteCreditore"])) else {
        return fault(StatusCode::BAD_REQUEST, "Client", "il messaggio non dice di quale ente parla");
    };
    if !desk.hub.settings().institution(creditor).is_some_and(|ente| ente.payments.iter().any(|route| route.pt == pt)) {
        tracing::warn!(pt, operation = message.name, "un messaggio del partner tecnologico è di un ente che non è suo");
        return result("151", "ente creditore sconosciuto");
    }
    let id = head.and_then(|head| head.text_at(&["IdMessaggio"])).unwrap_or_default();
    match message.name.as_str() {
        "TrasmettiNotifichePagamentoRequest" => {
            let all = message.at(&["CorpoNotifichePagamento", "ElencoNotifichePagamento"]);
            let payments = all.into_iter().flat_map(|all| &all.children).map(|one| notified(creditor, one));
            take(&desk, &caller, payments.collect()).await
        }
        "TrasmettiRTRequest" => {
            let all = message.at(&["CorpoRT", "ElencoRT"]);
            take(&desk, &caller, all.into_iter().flat_map(|all| &all.children).map(|one| of_rt(creditor, one)).collect()).await
        }
        "EsitoAggiornaPosizioniDebitorieRequest" => outcome(&desk, &pt, id, message).await,
        "TrasmettiAvvisiScadutiRequest" => {
            let all = message.at(&["CorpoAvvisiScaduti", "ElencoAvvisiScaduti"]);
            let iuvs = all.into_iter().flat_map(|all| &all.children).filter_map(|one| one.text_at(&["IUV"]));
            expired(&desk, &pt, creditor, iuvs.collect()).await
        }
        "TrasmettiRichiesteDiRevocaRequest" => {
            let all = message.at(&["CorpoRichiesteDiRevoca", "ElencoRichiesteDiRevoca"]);
            asked_back(&desk, &pt, creditor, all.into_iter().flat_map(|all| &all.children)).await
        }
        // messo inserts no positions: told, and nothing follows.
        "EsitoInserimentoListaDiCaricoRequest" => {
            tracing::warn!(pt, creditor, operation = message.name, message = id, "messaggio del partner tecnologico senza seguito");
            result("000", "ricevuto")
        }
        _ => fault(StatusCode::BAD_REQUEST, "Client", "operazione sconosciuta"),
    }
}

/// What one entry of a message tells.
enum Told {
    Paid(Paid),
    /// A receipt of a payment that was not made: nothing follows.
    NotPaid,
}

/// One `NotificaPagamento`; `None`: it does not say what was paid.
fn notified(creditor: &str, one: &Element) -> Option<Told> {
    let text = |names: &[&str]| one.text_at(names);
    let when = text(&["DatiTransazionePSP", "DataOraAutorizzazione"]).or(text(&["DataEsitoPagamento"]));
    Some(Told::Paid(Paid {
        creditor: creditor.to_owned(),
        notice: text(&["CodiceAvviso"]).filter(|notice| is_notice(notice)).map(str::to_owned),
        iuv: text(&["IUV"])?.to_owned(),
        amount: Cents::parse_point(text(&["ImportoPagato"])?).ok()?,
        paid_at: when.and_then(instant),
        receipt: text(&["DatiTransazionePSP", "IUR"]).map(str::to_owned),
        whole: true,
    }))
}

/// One `RT`.
fn of_rt(creditor: &str, one: &Element) -> Option<Told> {
    // Base64 in XML may be folded.
    let text: String = one.text_at(&["XML"])?.split_ascii_whitespace().collect();
    let found = receipt(&STANDARD.decode(text).ok()?).ok().filter(|found| found.creditor == creditor)?;
    if found.outcome == Outcome::NotDone {
        return Some(Told::NotPaid);
    }
    Some(Told::Paid(Paid {
        creditor: found.creditor,
        notice: found.notice,
        iuv: found.iuv,
        amount: found.amount,
        paid_at: found.paid_at,
        receipt: found.id,
        whole: found.outcome == Outcome::Done,
    }))
}

/// Brings them to the disk, then answers for all.
async fn take(desk: &Desk, caller: &Caller, payments: Vec<Option<Told>>) -> Response {
    let all = payments.len();
    if all == 0 {
        return fault(StatusCode::BAD_REQUEST, "Client", "il messaggio non contiene pagamenti");
    }
    let taken: Vec<_> = stream::iter(payments)
        .map(|paid| async move {
            match paid {
                Some(Told::NotPaid) => Ok(()),
                Some(Told::Paid(paid)) => desk.paid(caller, paid).await.map(drop),
                None => Err(Untaken::Amount),
            }
        })
        .buffer_unordered(TOGETHER)
        .collect()
        .await;
    if taken.contains(&Err(Untaken::Broken)) {
        return fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", "errore interno: riprovare");
    }
    match taken.iter().filter(|taken| taken.is_err()).count() {
        0 => result("000", "ricevuto"),
        wrong if wrong < all => result("050", "alcuni pagamenti non sono di questo ente o non si possono leggere"),
        _ => result("051", "nessun pagamento di questo ente"),
    }
}

/// Positions past the last day on which they can be paid. Those of notices that nobody follows are nobody's trouble.
async fn expired(desk: &Desk, pt: &str, creditor: &str, iuvs: Vec<&str>) -> Response {
    let told = iuvs.len();
    let mut known = 0;
    for some in iuvs.chunks(TOGETHER) {
        let some: Vec<_> = some.iter().map(|iuv| desk.notices_of(pt, creditor, iuv)).filter(|notices| !notices.is_empty()).collect();
        if some.is_empty() {
            tokio::task::yield_now().await;
            continue;
        }
        match positions::told_expired(&desk.hub, pt, creditor, some).await {
            Ok(count) => known += count,
            Err(error) => {
                desk.broken(pt, &error);
                return fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", "errore interno: riprovare");
            }
        }
    }
    tracing::info!(pt, creditor, told, known, "il partner tecnologico dà avvisi per scaduti");
    result("000", "ricevuto")
}

/// Payments that are asked back (`RichiestaDiRevoca`).
async fn asked_back<'e>(desk: &Desk, pt: &str, creditor: &str, requests: impl Iterator<Item = &'e Element>) -> Response {
    for one in requests {
        let text = |name: &str| one.text_at(&[name]);
        let Some(iuv) = text("IUV").filter(|iuv| iuv.len() <= 35 && iuv.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
            return fault(StatusCode::BAD_REQUEST, "Client", "una richiesta di revoca è senza IUV");
        };
        // It goes into alerts and the history: an id, and nothing else.
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let id: String = text("IdentificativoMessaggioRevoca").unwrap_or_default().chars().filter(plain).take(50).collect();
        let request = AskedBack {
            pt: pt.to_owned(),
            creditor: creditor.to_owned(),
            iuv: iuv.to_owned(),
            notices: desk.notices_of(pt, creditor, iuv),
            amount: text("ImportoPagato").and_then(|amount| Cents::parse_point(amount).ok()),
            request: id,
        };
        match positions::asked_back(&desk.hub, request).await {
            Ok(new) => tracing::info!(pt, creditor, iuv, new, "richiesta di revoca di un pagamento"),
            Err(error) => {
                desk.broken(pt, &error);
                return fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", "errore interno: riprovare");
            }
        }
    }
    result("000", "ricevuto")
}

/// What became of an `AggiornaPosizioniDebitorie`: its message id is the ticket that the change was given.
async fn outcome(desk: &Desk, pt: &str, id: &str, message: &Element) -> Response {
    if id.is_empty() {
        return fault(StatusCode::BAD_REQUEST, "Client", "manca IdMessaggio");
    }
    let whole = message.text_at(&["Result", "Codice"]).unwrap_or("000");
    let positions = message.at(&["EsitoAggiornamento", "ElencoPosizioniDebitorieAggiornate"]);
    let of_position = positions.into_iter().flat_map(|all| &all.children).filter_map(|one| one.text_at(&["CodiceEsito"]));
    // messo changes one position a message: the first code that is not good is its own.
    let code = of_position.chain([whole]).find(|code| *code != "000");
    match positions::change_told(&desk.hub, pt, id, code).await {
        Ok(()) => {
            tracing::info!(pt, message = id, code = code.unwrap_or("000"), "esito di un aggiornamento comunicato");
            result("000", "ricevuto")
        }
        Err(error) => {
            desk.broken(pt, &error);
            fault(StatusCode::INTERNAL_SERVER_ERROR, "Server", "errore interno: riprovare")
        }
    }
}
