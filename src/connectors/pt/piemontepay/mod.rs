//! PiemontePAY (CSI Piemonte): SOAP `Enti2EPaywsoService`, which only takes requests in charge and tells their outcome later
//! (`profile = "soap"`), or REST epayapi v1.1, which answers at once (`profile = "rest"`).
//!
//! SOAP cannot be asked about a position; REST tells its state and never the amount of one that is not paid. Both are told only what
//! changes: nobody gives back the whole position, so nothing of it is written again but the amount and what belongs to it.

mod codes;
mod wire;

use std::sync::Arc;

use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::balance::Line;
use super::call::{Answer, broken, call, problem};
use super::rest::{Ask, base, basic, code, protocol, sound};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::connectors::soap;
use crate::domain::money::Cents;
use crate::domain::notice_code;
use crate::domain::position::{Asked, Capabilities, Change, Changed, CostChannel, Held, HeldState, PaymentSeen, WhyUndone};
use wire::{Header, PaymentData, ResultBody, StatusBody};

/// PiemontePAY.
#[derive(Clone)]
pub struct PiemontePay {
    inner: Arc<Inner>,
}

struct Inner {
    settings: PtSettings,
    /// The service itself (SOAP), or what is before `organizations` (REST).
    url: Url,
    rest: bool,
    /// HTTP Basic; SOAP may be behind a door of its own.
    credentials: Option<(HeaderName, HeaderValue)>,
}

/// Why a change was not made, by the code of the outcome that PiemontePAY tells later.
#[must_use]
pub fn told(code: &str) -> WhyUndone {
    codes::undone(code.trim())
}

/// The components that an amount has (`ComponenteImporto`, `componentiPagamento`): those of a batch's bilancio in their proportions,
/// the cost in the place that the flow names. Empty: none are told, PiemontePAY keeps what it has. `None`: it cannot be done.
#[must_use]
pub fn components(balance: Option<&str>, remittance: Option<&str>, amount: Cents, cost: Cents, place: Option<&str>) -> Option<Vec<Line>> {
    wire::components(balance, remittance, amount.get(), cost.get(), place)
}

impl PiemontePay {
    /// Checks the settings; calls nobody.
    pub fn new(settings: PtSettings) -> Result<PiemontePay, PtSetupError> {
        let rest = match settings.config.profile.as_deref() {
            None | Some("soap") => false,
            Some("rest") => true,
            Some(other) => return Err(PtSetupError::Profile(other.to_owned())),
        };
        let url = base(&settings)?;
        let credentials = if rest || settings.config.username.is_some() { Some(basic(&settings)?) } else { None };
        Ok(PiemontePay { inner: Arc::new(Inner { settings, url, rest, credentials }) })
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        let rest = self.inner.rest;
        Capabilities {
            verify: rest,
            tells_amount: false,
            needs_position_id: !rest,
            changes_by_position_id: !rest,
            ties_position_id: false,
            update: true,
            moves_date: true,
            tells_date: false,
            answers_later: !rest,
            fee_apart: false,
            cancel: true,
        }
    }

    /// What it holds for a notice; only by REST.
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        if !self.inner.rest {
            return Err(protocol("PiemontePAY tells nothing of a position by SOAP"));
        }
        let (status, body): (u16, StatusBody) = self.get(route, asked, "status").await?;
        let code = body.code.map(|code| code.text());
        let Some(state) = code.as_deref().and_then(wire::state) else {
            let said = body.result.and_then(|result| result.code).map(|code| code.text());
            return Err(said.and_then(|code| codes::verdict(&code, status).err()).unwrap_or_else(|| protocol("a state that is none")));
        };
        let payment = if state == HeldState::Paid { self.payment(route, asked).await? } else { None };
        Ok(Held {
            state,
            amount: payment.as_ref().map(|payment| payment.amount),
            fee: None,
            creditor: None,
            notice: None,
            position_id: None,
            due_date: None,
            payment,
            whole: None,
            unfit: None,
        })
    }

    /// Makes a position ask for another amount.
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        sound(change)?;
        let (balance, remittance) = (asked.data.balance.as_deref(), asked.data.remittance_information.as_deref());
        let shares = components(balance, remittance, change.amount, change.cost, change.cost_place.as_deref());
        let shares = shares.ok_or_else(|| super::rest::refused(code::PARTS))?;
        if !self.inner.rest {
            let message = wire::message_id(asked, &change.key, Some(change));
            return self.update(route, asked, message, Some((change, &shares))).await;
        }
        let body = wire::put(asked, change, &shares, route.costs == CostChannel::Pull);
        let request = self.request(Method::PUT, route, asked, Some(body))?;
        written(&call(&self.inner.settings, request, true).await?)
    }

    /// Makes a position no longer payable; one that is cancelled already stays so.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, key: &str) -> Result<Changed, ConnectorError> {
        let done = if self.inner.rest {
            let request = self.request(Method::DELETE, route, asked, None)?;
            written(&call(&self.inner.settings, request, true).await?)
        } else {
            self.update(route, asked, wire::message_id(asked, key, None), None).await
        };
        match done {
            Err(ConnectorError::Conflict(problem)) if problem.has(codes::CANCELLED) => Ok(Changed::Done),
            done => done,
        }
    }

    /// `AggiornaPosizioniDebitorie`
    async fn update(
        &self,
        route: &PaymentRoute,
        asked: &Asked,
        message: String,
        change: Option<(&Change, &[Line])>,
    ) -> Result<Changed, ConnectorError> {
        let position = asked.data.position_id.as_deref().filter(|id| (1..=50).contains(&id.chars().count()));
        let position = position.ok_or_else(|| super::rest::refused(code::POSITION_ID))?;
        let service = service(route)?;
        let header = Header { message: &message, ente: ente(route, asked), service };
        let mut request = soap::request(&self.inner.url, wire::UPDATE, wire::update(header, position, change))?;
        if let Some((name, value)) = &self.inner.credentials {
            request.headers_mut().insert(name, value.clone());
        }
        let answer = call(&self.inner.settings, request, true).await?;
        let mut code = None;
        soap::answer(&answer.body, "EPaywsoServiceResponse", |element| {
            if element.name == "Result" {
                code = element.value(&["Codice"]).map(str::to_owned);
            }
        })
        .map_err(|error| error.verdict(answer.status, true))?;
        match code.as_deref() {
            Some(codes::OK | codes::REPEATED) => Ok(Changed::TakenInCharge { ticket: message }),
            Some(code) => Err(codes::verdict(code, answer.status).err().unwrap_or_else(|| protocol("an outcome that is none"))),
            None => Err(broken("an answer without an outcome", true)),
        }
    }

    /// What was paid, when PiemontePAY tells it and it is about this notice.
    async fn payment(&self, route: &PaymentRoute, asked: &Asked) -> Result<Option<PaymentSeen>, ConnectorError> {
        let (_, data): (u16, PaymentData) = match self.get(route, asked, "paymentdata").await {
            Err(ConnectorError::NotFound(_)) => return Ok(None),
            other => other?,
        };
        if data.codice_fiscale_ente_beneficiario.as_deref().is_some_and(|creditor| creditor != asked.creditor) {
            return Err(protocol("a payment to another creditor"));
        }
        let iuv = notice_code::iuv(&asked.notice);
        if data.codice_avviso.as_deref().is_some_and(|notice| notice != asked.notice)
            || data.identificativo_unico_versamento.as_deref().is_some_and(|told| Some(told) != iuv)
        {
            return Err(protocol("a payment of another notice"));
        }
        let (Some(amount), Some(paid_at)) = (data.amount(), data.paid_at()) else { return Ok(None) };
        Ok(Some(PaymentSeen { paid_at, amount, receipt: data.identificativo_unico_riscossione }))
    }

    async fn get<T: DeserializeOwned>(&self, route: &PaymentRoute, asked: &Asked, what: &str) -> Result<(u16, T), ConnectorError> {
        let mut ask = self.ask(Method::GET, route, asked, None)?;
        ask.path.push(what.to_owned());
        let request = self.with_credentials(&ask)?;
        let answer = call(&self.inner.settings, request, false).await?;
        match answer.status {
            200 => {
                let body = serde_json::from_slice(&answer.body).map_err(|_| protocol("an answer that is not the JSON of the contract"))?;
                Ok((answer.status, body))
            }
            _ => Err(refused(&answer, false)),
        }
    }

    /// `/organizations/{organization}/paymenttypes/{paymentType}/debtpositions/{iuv}`
    fn ask(&self, method: Method, route: &PaymentRoute, asked: &Asked, body: Option<Value>) -> Result<Ask, ConnectorError> {
        let iuv = notice_code::iuv(&asked.notice).ok_or_else(|| protocol("not a notice number"))?;
        Ok(Ask::with(method, ["organizations", ente(route, asked), "paymenttypes", service(route)?, "debtpositions", iuv], body))
    }

    fn request(&self, method: Method, route: &PaymentRoute, asked: &Asked, body: Option<Value>) -> Result<Request, ConnectorError> {
        self.with_credentials(&self.ask(method, route, asked, body)?)
    }

    fn with_credentials(&self, ask: &Ask) -> Result<Request, ConnectorError> {
        let credentials = self.inner.credentials.clone().ok_or_else(|| protocol("no credentials"))?;
        ask.request(&self.inner.url, credentials)
    }
}

/// The answer to a `PUT` or `DELETE`.
fn written(answer: &Answer) -> Result<Changed, ConnectorError> {
    if answer.status != 200 {
        return Err(refused(answer, true));
    }
    let said: ResultBody =
        serde_json::from_slice(&answer.body).map_err(|_| broken("an answer that is not the JSON of the contract", true))?;
    match said.code.map(|code| code.text()).as_deref() {
        // The specification does not say which code goes with HTTP 200; code 200 is a failure (CARICAMENTO_ERRORE).
        None | Some("" | "0" | "000" | "OK") => Ok(Changed::Done),
        Some(code) => codes::verdict(code, answer.status).map(|()| Changed::Done),
    }
}

/// An answer that is not 200.
fn refused(answer: &Answer, writes: bool) -> ConnectorError {
    let said: ResultBody = serde_json::from_slice(&answer.body).unwrap_or_default();
    let code = said.code.map(|code| code.text()).filter(|code| code.len() == 3);
    match (answer.status, code) {
        (status @ (400..=499), Some(code)) if code != codes::OK => {
            codes::verdict(&code, status).err().unwrap_or_else(|| protocol("an outcome that is none"))
        }
        (403, _) => ConnectorError::Refused(problem(403, super::rest::FORBIDDEN)),
        (404, _) => ConnectorError::NotFound(problem(404, "")),
        (status @ 500.., _) if writes => ConnectorError::Uncertain { what: format!("HTTP {status}") },
        (status @ 500.., _) => super::call::temporary(format!("HTTP {status}"), None),
        (status, _) => ConnectorError::Unclassified(problem(status, "")),
    }
}

/// What PiemontePAY calls the ente: its tax id, unless the route says otherwise.
fn ente<'a>(route: &'a PaymentRoute, asked: &'a Asked) -> &'a str {
    route.ente.as_deref().unwrap_or(&asked.creditor)
}

/// `CodiceVersamento`, `paymentType`.
fn service(route: &PaymentRoute) -> Result<&str, ConnectorError> {
    route.service.as_deref().filter(|code| !code.is_empty()).ok_or_else(|| super::rest::refused("152"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_a_write_says_done_not_done_or_nothing() {
        let table = [
            (200, "{}", "done"),
            (200, r#"{"code": "000"}"#, "done"),
            (200, r#"{"code": 0}"#, "done"),
            (200, r#"{"code": "OK"}"#, "done"),
            (200, r#"{"code": "200"}"#, "temporary (PiemontePAY 200)"),
            (200, r#"{"code": 200}"#, "temporary (PiemontePAY 200)"),
            (200, r#"{"code": "178"}"#, "conflict: 200 178"),
            (200, "<html>", "uncertain (an answer that is not the JSON of the contract)"),
            (200, r#"{"code": []}"#, "uncertain (an answer that is not the JSON of the contract)"),
            (400, r#"{"code": "152"}"#, "refused: 400 152"),
            (403, "{}", "refused: 403 HTTP-403"),
            (403, r#"{"code": "158"}"#, "refused: 403 158"),
            (404, "", "not found"),
            (500, "", "uncertain (HTTP 500)"),
        ];
        for (status, body, want) in table {
            let said = written(&Answer { status, body: body.into() }).map_or_else(|error| error.to_string(), |_| "done".to_owned());
            assert_eq!(said, want, "{status} {body}");
        }
    }
}
