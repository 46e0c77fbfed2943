//! e-Fil Plug&Pay: SOAP `DigitBusDeliver` (asked) and `DigitBusFeed` (written).
//!
//! **To be confirmed**: e-Fil publishes nothing; names and namespaces are those of two public clients (`reference pt.md` 3.7). What they
//! do not show (how a refusal is told, whether a rectified position keeps its notice) is read with suspicion: what is not a plain
//! yes is no yes, and a change is always read back.

mod wire;

use std::sync::Arc;

use reqwest::Url;

use super::call::{call, problem};
use super::rest::{protocol, sound, touchable};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::config::secret::Secret;
use crate::connectors::{ConnectorError, soap};
use crate::domain::notice_code;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held};
use wire::{Request, Service};

/// e-Fil.
#[derive(Clone)]
pub struct EFil {
    inner: Arc<Inner>,
}

struct Inner {
    settings: PtSettings,
    deliver: Url,
    feed: Url,
    application: Secret,
}

impl EFil {
    /// Checks the settings; calls nobody.
    pub fn new(settings: PtSettings) -> Result<EFil, PtSetupError> {
        let base = settings.config.url.clone().ok_or(PtSetupError::Missing { key: "url" })?;
        let address = |path: &str| {
            let url = Url::parse(&format!("{}{path}", base.trim_end_matches('/'))).ok();
            url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()).ok_or_else(|| PtSetupError::BaseUrl(base.clone()))
        };
        let application = settings.api_key.clone().ok_or(PtSetupError::Missing { key: "api_key" })?;
        let (deliver, feed) = (address(Service::Deliver.path())?, address(Service::Feed.path())?);
        tracing::warn!(
            pt = %settings.config.name,
            "e-Fil publishes no specification: this connector is to be confirmed with e-Fil before it changes amounts (docs/pt/efil.md)"
        );
        Ok(EFil { inner: Arc::new(Inner { settings, deliver, feed, application }) })
    }

    /// What it is believed to do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            verify: true,
            tells_amount: true,
            needs_position_id: false,
            changes_by_position_id: false,
            ties_position_id: false,
            update: true,
            moves_date: true,
            tells_date: true,
            answers_later: false,
            fee_apart: false,
            cancel: true,
        }
    }

    /// `RicercaPosizionePerIdentificavo` (sic).
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        let body = self.ask(Service::Deliver, wire::SEARCH, route, asked, &[], false).await?;
        match wire::read_position(&body.1).map_err(|error| error.verdict(body.0, false))? {
            None => Err(ConnectorError::NotFound(problem(body.0, "POSIZIONE_ASSENTE"))),
            Some(position) => wire::held(&position, asked),
        }
    }

    /// `RettificaPosizione`, once the position is seen to be one that may be touched.
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        sound(change)?;
        touchable(self.verify(route, asked).await?.state)?;
        let mut fields = Vec::new();
        if let Some(day) = change.due_date {
            fields.push(("DataScandenza", format!("{day}T00:00:00")));
        }
        fields.push(("ImportoInCentesimi", change.amount.get().to_string()));
        self.write(wire::RECTIFY, route, asked, &fields).await
    }

    /// `RimuoviPosizione`
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, _key: &str) -> Result<Changed, ConnectorError> {
        touchable(self.verify(route, asked).await?.state)?;
        self.write(wire::REMOVE, route, asked, &[]).await
    }

    async fn write(
        &self,
        operation: &str,
        route: &PaymentRoute,
        asked: &Asked,
        fields: &[(&str, String)],
    ) -> Result<Changed, ConnectorError> {
        let (status, body) = self.ask(Service::Feed, operation, route, asked, fields, true).await?;
        let outcome = wire::read_outcome(&body, operation).map_err(|error| error.verdict(status, true))?;
        match outcome.as_deref() {
            Some("Ok") => Ok(Changed::Done),
            Some("Nok") => Err(ConnectorError::Refused(problem(status, "Nok"))),
            // Neither yes nor no: what the position holds tells.
            _ => Err(ConnectorError::Uncertain { what: "an outcome that is neither Ok nor Nok".to_owned() }),
        }
    }

    /// Status and body of an answer.
    async fn ask(
        &self,
        service: Service,
        operation: &str,
        route: &PaymentRoute,
        asked: &Asked,
        fields: &[(&str, String)],
        writes: bool,
    ) -> Result<(u16, bytes::Bytes), ConnectorError> {
        let Inner { settings, deliver, feed, application } = &*self.inner;
        let ente = route.ente.as_deref().ok_or_else(|| protocol("the route has no `ente` (CodiceEnte)"))?;
        let iuv = notice_code::iuv(&asked.notice).ok_or_else(|| protocol("a notice without IUV"))?;
        let envelope = wire::envelope(service, operation, &Request { application: application.expose(), ente, iuv, fields });
        let url = match service {
            Service::Deliver => deliver,
            Service::Feed => feed,
        };
        let request = soap::request(url, &service.action(operation), envelope)?;
        let answer = call(settings, request, writes).await?;
        Ok((answer.status, answer.body))
    }
}
