//! GovPay (link-it): API Pendenze v2, HTTP Basic. A pendenza is found by its notice.

mod wire;

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::Value;

use super::call::{Answer, call};
use super::rest::{self, Ask};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held};

/// GovPay of one block of the configuration.
#[derive(Clone)]
pub struct GovPay(Arc<Parts>);

struct Parts {
    settings: PtSettings,
    base: Url,
    credential: (HeaderName, HeaderValue),
}

impl GovPay {
    pub(super) fn new(settings: PtSettings) -> Result<GovPay, PtSetupError> {
        if let Some(profile) = settings.config.profile.as_deref().filter(|profile| *profile != "v2") {
            return Err(PtSetupError::Profile(profile.to_owned()));
        }
        let (base, credential) = (rest::base(&settings)?, rest::basic(&settings)?);
        Ok(GovPay(Arc::new(Parts { settings, base, credential })))
    }

    pub(super) fn capabilities(&self) -> Capabilities {
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

    pub(super) async fn verify(&self, asked: &Asked) -> Result<Held, ConnectorError> {
        wire::held(&self.say(&wire::pendenza(asked)).await?.body, asked)
    }

    pub(super) async fn change(&self, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        rest::sound(change)?;
        let pendenza = self.say(&wire::pendenza(asked)).await?;
        let answer = self.say(&wire::rewritten(&pendenza.body, asked, change)?).await?;
        wire::written(&answer.body, asked)?;
        Ok(Changed::Done)
    }

    pub(super) async fn cancel(&self, asked: &Asked) -> Result<Changed, ConnectorError> {
        let pendenza = self.say(&wire::pendenza(asked)).await?;
        if let Some(ask) = wire::cancellation(&pendenza.body, asked)? {
            self.say(&ask).await?;
        }
        Ok(Changed::Done)
    }

    /// The whole of a pendenza, for GovPay that asks for it.
    pub(super) fn whole(&self, route: &PaymentRoute, asked: &Asked, kept: Option<&str>, change: &Change) -> Result<Value, &'static str> {
        wire::whole(kept, asked, route.service.as_deref(), change)
    }

    async fn say(&self, ask: &Ask) -> Result<Answer, ConnectorError> {
        let parts = &self.0;
        let request = ask.request(&parts.base, parts.credential.clone())?;
        let answer = call(&parts.settings, request, ask.writes()).await?;
        rest::judged(answer, ask.writes(), wire::said)
    }
}
