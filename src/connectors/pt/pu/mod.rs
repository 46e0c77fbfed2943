//! PU, pagoPA's Piattaforma Unitaria: the API for gestionali `pu-sil`, by OAuth2 client credentials.
//!
//! By notice it tells only the state; the amount is among the unpaid positions of the debtor, by IUD. A change goes by IUD too.

mod wire;

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::AUTHORIZATION;

use super::call::Answer;
use super::rest::{self, Ask};
use super::token::{Grant, Tokens};
use super::{PtSettings, PtSetupError};
use crate::config::PaymentRoute;
use crate::connectors::ConnectorError;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held, HeldState};

/// PU of one block of the configuration.
#[derive(Clone)]
pub struct Pu(Arc<Parts>);

struct Parts {
    settings: PtSettings,
    base: Url,
    tokens: Tokens,
}

impl Pu {
    pub(super) fn new(settings: PtSettings) -> Result<Pu, PtSetupError> {
        if let Some(profile) = settings.config.profile.as_deref().filter(|profile| *profile != "sil") {
            return Err(PtSetupError::Profile(profile.to_owned()));
        }
        let base = rest::base(&settings)?;
        let tokens = Tokens::new(&settings, Grant::Query, Some("openid"))?;
        Ok(Pu(Arc::new(Parts { settings, base, tokens })))
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            verify: true,
            tells_amount: true,
            needs_position_id: false,
            changes_by_position_id: true,
            ties_position_id: false,
            update: true,
            moves_date: true,
            tells_date: false,
            answers_later: false,
            fee_apart: false,
            cancel: true,
        }
    }

    pub(super) async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        let mut held = self.status(asked).await?;
        if matches!(held.state, HeldState::Payable | HeldState::NotActive | HeldState::Expired)
            && let Some(unpaid) = self.unpaid(route, asked).await?
        {
            held.amount = Some(wire::amount(&unpaid)?);
        }
        Ok(held)
    }

    pub(super) async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        rest::sound(change)?;
        wire::iud(asked)?;
        rest::touchable(self.status(asked).await?.state)?;
        let unpaid = self.unpaid(route, asked).await?.ok_or_else(wire::not_listed)?;
        let answer = self.say(&wire::rewritten(&unpaid, asked, change)?).await?;
        wire::written(&answer.body, asked, Some(change.amount))?;
        Ok(Changed::Done)
    }

    pub(super) async fn cancel(&self, route: &PaymentRoute, asked: &Asked) -> Result<Changed, ConnectorError> {
        wire::iud(asked)?;
        let state = self.status(asked).await?.state;
        if state == HeldState::Cancelled {
            return Ok(Changed::Done);
        }
        rest::touchable(state)?;
        let unpaid = self.unpaid(route, asked).await?.ok_or_else(wire::not_listed)?;
        let answer = self.say(&wire::cancellation(&unpaid, asked)?).await?;
        wire::written(&answer.body, asked, None)?;
        Ok(Changed::Done)
    }

    async fn status(&self, asked: &Asked) -> Result<Held, ConnectorError> {
        wire::held(&self.say(&wire::status(asked)).await?.body, asked)
    }

    /// The position among the unpaid ones of who owes it; none when the batch does not say its IUD or nobody owes it there.
    async fn unpaid(&self, route: &PaymentRoute, asked: &Asked) -> Result<Option<wire::Object>, ConnectorError> {
        if wire::iud(asked).is_err() {
            return Ok(None);
        }
        for payer in &asked.payers {
            let answer = match self.say(&wire::unpaid(payer, route.ente.as_deref())).await {
                Err(ConnectorError::NotFound(_)) => continue,
                other => other?,
            };
            if let Some(found) = wire::of_iud(&answer.body, asked, route.ente.as_deref())? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn say(&self, ask: &Ask) -> Result<Answer, ConnectorError> {
        let parts = &self.0;
        let make = |token| ask.request(&parts.base, (AUTHORIZATION, token));
        let answer = parts.tokens.call(&parts.settings, make, ask.writes()).await?;
        rest::judged(answer, ask.writes(), wire::said)
    }
}
