//! GPD, pagoPA's own archive of debt positions: v3, and v1 where an ente still has it (`profile = "v1"`).
//!
//! It finds a position by IUPD alone and keeps the cost that SEND writes (ASYNC) apart; a change never carries it.

mod wire;

use std::sync::Arc;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};

use super::call::{Answer, call};
use super::rest::{self, Ask};
use super::{PtSettings, PtSetupError};
use crate::connectors::ConnectorError;
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held};
use wire::Edition;

/// GPD of one block of the configuration.
#[derive(Clone)]
pub struct Gpd(Arc<Parts>);

struct Parts {
    settings: PtSettings,
    base: Url,
    key: (HeaderName, HeaderValue),
    edition: Edition,
}

impl Gpd {
    pub(super) fn new(settings: PtSettings) -> Result<Gpd, PtSetupError> {
        let edition = match settings.config.profile.as_deref() {
            None | Some("v3") => Edition::V3,
            Some("v1") => Edition::V1,
            Some(other) => return Err(PtSetupError::Profile(other.to_owned())),
        };
        let mut base = rest::base(&settings)?;
        let written = base.path().trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        match (written.as_str(), edition.word()) {
            ("v1" | "v3", word) if word != written => return Err(PtSetupError::Profile(written)),
            ("v1" | "v3", _) => {}
            (_, word) => {
                base.path_segments_mut().map_err(|()| PtSetupError::Missing { key: "url" })?.pop_if_empty().push(word);
            }
        }
        let missing = PtSetupError::Missing { key: "api_key" };
        let key = settings.api_key.as_ref().ok_or(missing.clone())?;
        let key = rest::secret_header(HeaderName::from_static("ocp-apim-subscription-key"), key.expose()).ok_or(missing)?;
        Ok(Gpd(Arc::new(Parts { settings, base, key, edition })))
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        Capabilities {
            verify: true,
            tells_amount: true,
            needs_position_id: true,
            changes_by_position_id: true,
            ties_position_id: true,
            update: true,
            moves_date: true,
            tells_date: true,
            answers_later: false,
            fee_apart: true,
            cancel: true,
        }
    }

    pub(super) async fn verify(&self, asked: &Asked) -> Result<Held, ConnectorError> {
        wire::held(self.0.edition, &self.position(asked).await?.body, asked)
    }

    pub(super) async fn change(&self, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        rest::sound(change)?;
        let position = self.position(asked).await?;
        let answer = self.say(&wire::rewritten(self.0.edition, &position.body, asked, change)?).await?;
        wire::written(&answer.body, asked)?;
        Ok(Changed::Done)
    }

    /// v1 makes the position invalid; v3 has no such call, there it is deleted.
    pub(super) async fn cancel(&self, asked: &Asked) -> Result<Changed, ConnectorError> {
        let position = self.position(asked).await?;
        if let Some(ask) = wire::cancellation(self.0.edition, &position.body, asked)? {
            self.say(&ask).await?;
        }
        Ok(Changed::Done)
    }

    async fn position(&self, asked: &Asked) -> Result<Answer, ConnectorError> {
        self.say(&wire::position(asked)?).await
    }

    async fn say(&self, ask: &Ask) -> Result<Answer, ConnectorError> {
        let parts = &self.0;
        let request = ask.request(&parts.base, parts.key.clone())?;
        let answer = call(&parts.settings, request, ask.writes()).await?;
        rest::judged(answer, ask.writes(), wire::said)
    }
}
