//! Partner tecnologici: who asks the citizen for the money. One folder per partner, one contract for all.
//!
//! A method is a call (or the few calls that its protocol needs); nothing here stores, repeats or decides. `Uncertain` says that
//! a change may have taken effect: the caller reads back before it repeats. What a partner cannot do it declares in
//! [`Capabilities`]; the flow asks those, never which partner it is.

mod call;
pub mod govpay;
pub mod gpd;
mod parts;
pub mod pu;
mod rest;
mod token;

use std::time::Duration;

use reqwest::Client;

use super::ConnectorError;
use crate::clock::Clock;
use crate::config::secret::Secret;
use crate::config::{PaymentRoute, PtConfig, PtKind};
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held};

/// What every partner is made of: its block of the configuration with the secrets read.
#[derive(Clone)]
pub struct PtSettings {
    pub config: PtConfig,
    pub password: Option<Secret>,
    pub api_key: Option<Secret>,
    pub client_secret: Option<Secret>,
    /// With the client certificate and the authority of the block, if it has them.
    pub http: Client,
    pub clock: Clock,
}

impl PtSettings {
    /// How long one call may take, answer included. Real time.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(u64::from(self.config.timeout_s))
    }
}

/// Why a partner cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PtSetupError {
    #[error("`{key}` is missing")]
    Missing { key: &'static str },
    #[error("`{0}` is not the address of a server")]
    BaseUrl(String),
    #[error("profile `{0}` is unknown")]
    Profile(String),
    #[error("the description of the PT, line {line}: {fault}")]
    Definition { line: u32, fault: String },
}

/// One partner, as the flow sees it. Cheap to clone.
#[derive(Clone)]
pub enum Partner {
    Unmanaged,
    Gpd(gpd::Gpd),
    GovPay(govpay::GovPay),
    Pu(pu::Pu),
}

impl Partner {
    /// The partner of a block of the configuration.
    pub fn new(settings: PtSettings) -> Result<Partner, PtSetupError> {
        match settings.config.kind {
            PtKind::Unmanaged => Ok(Partner::Unmanaged),
            PtKind::Gpd => Ok(Partner::Gpd(gpd::Gpd::new(settings)?)),
            PtKind::GovPay => Ok(Partner::GovPay(govpay::GovPay::new(settings)?)),
            PtKind::Pu => Ok(Partner::Pu(pu::Pu::new(settings)?)),
            kind => Err(PtSetupError::Profile(kind.to_string())),
        }
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Partner::Unmanaged => Capabilities::NOTHING,
            Partner::Gpd(gpd) => gpd.capabilities(),
            Partner::GovPay(govpay) => govpay.capabilities(),
            Partner::Pu(pu) => pu.capabilities(),
        }
    }

    /// What it holds for a notice. [`ConnectorError::NotFound`]: it does not know it.
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        match self {
            Partner::Unmanaged => Err(ConnectorError::Protocol { what: "this PT tells nothing".to_owned() }),
            Partner::Gpd(gpd) => gpd.verify(asked).await,
            Partner::GovPay(govpay) => govpay.verify(asked).await,
            Partner::Pu(pu) => pu.verify(route, asked).await,
        }
    }

    /// Makes the position ask for another amount: reads the whole of it, changes that, writes it back.
    ///
    /// [`ConnectorError::Conflict`]: it can no longer be changed (paid, being paid, cancelled).
    pub async fn change(&self, route: &PaymentRoute, asked: &Asked, change: &Change) -> Result<Changed, ConnectorError> {
        match self {
            Partner::Unmanaged => Err(ConnectorError::Protocol { what: "this PT changes nothing".to_owned() }),
            Partner::Gpd(gpd) => gpd.change(asked, change).await,
            Partner::GovPay(govpay) => govpay.change(asked, change).await,
            Partner::Pu(pu) => pu.change(route, asked, change).await,
        }
    }

    /// Makes the position no longer payable.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, _key: &str) -> Result<Changed, ConnectorError> {
        match self {
            Partner::Unmanaged => Err(ConnectorError::Protocol { what: "this PT cancels nothing".to_owned() }),
            Partner::Gpd(gpd) => gpd.cancel(asked).await,
            Partner::GovPay(govpay) => govpay.cancel(asked).await,
            Partner::Pu(pu) => pu.cancel(route, asked).await,
        }
    }
}
