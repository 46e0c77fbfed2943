//! Partner tecnologici: who asks the citizen for the money. One folder per partner, one contract for all.
//!
//! A method is a call (or the few calls that its protocol needs); nothing here stores, repeats or decides. `Uncertain` says that
//! a change may have taken effect: the caller reads back before it repeats. What a partner cannot do it declares in
//! [`Capabilities`]; the flow asks those, never which partner it is.

pub mod balance;
mod call;
pub mod declared;
pub mod efil;
pub mod file;
pub mod govpay;
pub mod gpd;
pub mod mypay;
mod parts;
pub mod piemontepay;
pub mod pu;
mod rest;
mod shares;
mod token;

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use super::ConnectorError;
use super::http::{self, HttpSettings, HttpSetupError, Trust};
use crate::clock::{Clock, monotonic};
use crate::config::secret::{Secret, SecretError};
use crate::config::{PaymentRoute, PtConfig, PtKind, SecretRef};
use crate::domain::position::{Asked, Capabilities, Change, Changed, Held, WhyUndone};
use crate::telemetry::metrics::{Calls, Outcome};

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
    /// Where its calls are counted.
    pub calls: Arc<Calls>,
}

/// Code of a `NotFound`: the PT has a position of the id that it was asked by, and it is of another notice.
pub const OTHER_NOTICE: &str = "ID_DI_ALTRO_AVVISO";

/// Bytes of a file of authorities.
const MOST_CA: u64 = 4 << 20;

impl PtSettings {
    /// Reads the secrets and the certificates of a block, and makes its HTTP client. `loopback_only`: all that it calls is on this
    /// machine ([`PtConfig::is_local`]), so the authorities of the system are not read. Touches files, never the network.
    pub fn read(config: &PtConfig, clock: Clock, loopback_only: bool) -> Result<PtSettings, PtSetupError> {
        let secret = |key: &'static str, reference: &Option<SecretRef>| match reference {
            Some(reference) => reference.resolve().map(Some).map_err(|error| PtSetupError::Secret { key, error }),
            None => Ok(None),
        };
        let wrong = |key: &'static str| move |error: HttpSetupError| PtSetupError::Certificate { key, what: error.0 };
        let mut trust = Trust::default();
        if let Some(identity) = secret("identity", &config.identity)? {
            trust.identity = Some(Trust::identity(identity.expose().as_bytes()).map_err(wrong("identity"))?);
        }
        if let Some(path) = &config.ca {
            let mut pem = Vec::new();
            let read = std::fs::File::open(path).and_then(|file| file.take(MOST_CA).read_to_end(&mut pem));
            read.map_err(|error| PtSetupError::Certificate { key: "ca", what: error.kind().to_string() })?;
            trust.authorities = Trust::authorities(&pem).map_err(wrong("ca"))?;
        }
        let connect_timeout = Duration::from_secs(u64::from(config.timeout_s).clamp(1, 10));
        let idle_connections = usize::try_from(config.at_a_time).unwrap_or(8);
        let settings = HttpSettings { connect_timeout, idle_connections, loopback_only, ..HttpSettings::default() };
        Ok(PtSettings {
            password: secret("password", &config.password)?,
            api_key: secret("api_key", &config.api_key)?,
            client_secret: secret("client_secret", &config.client_secret)?,
            http: http::client_with(&settings, trust).map_err(|error| PtSetupError::Http(error.0))?,
            config: config.clone(),
            clock,
            calls: Arc::default(),
        })
    }

    /// Counts its calls there, as of the remote `pt/name`.
    #[must_use]
    pub fn measured(self, calls: Arc<Calls>) -> PtSettings {
        PtSettings { calls, ..self }
    }

    /// Counts a call that has ended. `status`: of a whole answer.
    fn note(&self, operation: &'static str, started: Instant, status: Option<u16>) {
        let took = monotonic().saturating_duration_since(started);
        let outcome = status.map_or(Outcome::NoAnswer, Outcome::of_status);
        self.calls.note(format!("pt/{}", self.config.name), operation, took, outcome);
    }

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
    #[error("`{key}`: {error}")]
    Secret { key: &'static str, error: SecretError },
    #[error("`{key}`: {what}")]
    Certificate { key: &'static str, what: String },
    #[error("HTTP client: {0}")]
    Http(String),
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
    MyPay(mypay::MyPay),
    PiemontePay(piemontepay::PiemontePay),
    Declared(declared::Declared),
    EFil(efil::EFil),
    File(file::Exchange),
    Pu(pu::Pu),
}

impl Partner {
    /// The partner of a block of the configuration.
    pub fn new(settings: PtSettings) -> Result<Partner, PtSetupError> {
        match settings.config.kind {
            PtKind::Unmanaged => Ok(Partner::Unmanaged),
            PtKind::Gpd => Ok(Partner::Gpd(gpd::Gpd::new(settings)?)),
            PtKind::GovPay => Ok(Partner::GovPay(govpay::GovPay::new(settings)?)),
            PtKind::MyPay => mypay::MyPay::new(settings).map(Partner::MyPay),
            PtKind::PiemontePay => piemontepay::PiemontePay::new(settings).map(Partner::PiemontePay),
            PtKind::Declared => declared::Declared::new(settings).map(Partner::Declared),
            PtKind::EFil => efil::EFil::new(settings).map(Partner::EFil),
            PtKind::File => file::Exchange::new(&settings).map(Partner::File),
            PtKind::Pu => Ok(Partner::Pu(pu::Pu::new(settings)?)),
        }
    }

    /// What it can do.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        match self {
            Partner::Unmanaged => Capabilities::NOTHING,
            Partner::Gpd(gpd) => gpd.capabilities(),
            Partner::GovPay(govpay) => govpay.capabilities(),
            Partner::MyPay(partner) => partner.capabilities(),
            Partner::PiemontePay(partner) => partner.capabilities(),
            Partner::Declared(partner) => partner.capabilities(),
            Partner::EFil(partner) => partner.capabilities(),
            Partner::File(exchange) => exchange.capabilities(),
            Partner::Pu(pu) => pu.capabilities(),
        }
    }

    /// The folder that it is, when it is one: its answers come there ([`file::outcomes`]).
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Partner::File(exchange) => Some(exchange.folder()),
            _ => None,
        }
    }

    /// What it holds for a notice. [`ConnectorError::NotFound`]: it does not know it.
    pub async fn verify(&self, route: &PaymentRoute, asked: &Asked) -> Result<Held, ConnectorError> {
        match self {
            Partner::Unmanaged | Partner::File(_) => Err(ConnectorError::Protocol { what: "this PT tells nothing".to_owned() }),
            Partner::Gpd(gpd) => gpd.verify(asked).await,
            Partner::GovPay(govpay) => govpay.verify(asked).await,
            Partner::MyPay(partner) => partner.verify(route, asked).await,
            Partner::PiemontePay(partner) => partner.verify(route, asked).await,
            Partner::Declared(partner) => partner.verify(route, asked).await,
            Partner::EFil(partner) => partner.verify(route, asked).await,
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
            Partner::MyPay(partner) => partner.change(route, asked, change).await,
            Partner::PiemontePay(partner) => partner.change(route, asked, change).await,
            Partner::Declared(partner) => partner.change(route, asked, change).await,
            Partner::EFil(partner) => partner.change(route, asked, change).await,
            Partner::File(exchange) => exchange.change(route, asked, change).await,
            Partner::Pu(pu) => pu.change(route, asked, change).await,
        }
    }

    /// The whole of a position with what `change` asks, in the words of a PT that asks for it and replaces what it holds by the answer;
    /// `kept`: what it held ([`Held::whole`]). `None`: this PT asks for the price alone. Error: the code of why it would not be taken.
    #[must_use]
    pub fn whole(&self, route: &PaymentRoute, asked: &Asked, kept: Option<&str>, change: &Change) -> Option<Result<Value, &'static str>> {
        match self {
            Partner::GovPay(govpay) => Some(govpay.whole(route, asked, kept, change)),
            _ => None,
        }
    }

    /// Why it has not made a change that it had taken in charge, by the code that it tells later.
    #[must_use]
    pub fn undone(&self, code: &str) -> WhyUndone {
        match self {
            Partner::PiemontePay(_) => piemontepay::told(code),
            _ => WhyUndone::Refused,
        }
    }

    /// Makes the position no longer payable.
    pub async fn cancel(&self, route: &PaymentRoute, asked: &Asked, key: &str) -> Result<Changed, ConnectorError> {
        match self {
            Partner::Unmanaged => Err(ConnectorError::Protocol { what: "this PT cancels nothing".to_owned() }),
            Partner::Gpd(gpd) => gpd.cancel(asked).await,
            Partner::GovPay(govpay) => govpay.cancel(asked).await,
            Partner::MyPay(partner) => partner.cancel(route, asked, key).await,
            Partner::PiemontePay(partner) => partner.cancel(route, asked, key).await,
            Partner::Declared(partner) => partner.cancel(route, asked, key).await,
            Partner::EFil(partner) => partner.cancel(route, asked, key).await,
            Partner::File(exchange) => exchange.cancel(route, asked, key).await,
            Partner::Pu(pu) => pu.cancel(route, asked).await,
        }
    }
}

#[cfg(test)]
mod tests;
