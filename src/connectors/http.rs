//! The HTTP client that every connector shares, and what its errors mean before any remote has answered.
//!
//! Addresses never enter an error or a log: a presigned one is a secret.

use std::error::Error;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Certificate, Client, Identity, Response};
use tokio_rustls::rustls;

use super::what;

/// How the shared client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpSettings {
    /// TCP and TLS together.
    pub connect_timeout: Duration,
    /// Idle connections kept for each host.
    pub idle_connections: usize,
    /// Idle connections are dropped after this: less than the 60 s after which SEND's own edge drops them.
    pub idle_timeout: Duration,
    /// No remote outside this machine will be called: system certificates are not read (there may be none).
    pub loopback_only: bool,
}

impl Default for HttpSettings {
    fn default() -> Self {
        HttpSettings {
            connect_timeout: Duration::from_secs(10),
            idle_connections: 128,
            idle_timeout: Duration::from_secs(50),
            loopback_only: false,
        }
    }
}

/// The client cannot be made (no system certificates, usually).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("HTTP client: {0}")]
pub struct HttpSetupError(pub String);

/// Who is believed besides the authorities of the system, and who we say we are.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub authorities: Vec<Certificate>,
    /// Client certificate and key (mTLS).
    pub identity: Option<Identity>,
}

impl Trust {
    /// Certificates of authorities, PEM, one after the other.
    pub fn authorities(pem: &[u8]) -> Result<Vec<Certificate>, HttpSetupError> {
        let found = Certificate::from_pem_bundle(pem).map_err(|error| HttpSetupError(root_cause(&error)))?;
        if found.is_empty() { Err(HttpSetupError("no certificate in it".to_owned())) } else { Ok(found) }
    }

    /// Client certificate, with those that sign it, and its key: one PEM.
    pub fn identity(pem: &[u8]) -> Result<Identity, HttpSetupError> {
        Identity::from_pem(pem).map_err(|_| HttpSetupError("certificate and key in PEM are wanted".to_owned()))
    }
}

/// The client: rustls with the certificates of the system, no proxy from the environment, no redirect, no retry of its own.
pub fn client(settings: &HttpSettings) -> Result<Client, HttpSetupError> {
    client_with(settings, Trust::default())
}

/// The same, for a remote with an authority of its own or that wants to know us by a certificate.
pub fn client_with(settings: &HttpSettings, trust: Trust) -> Result<Client, HttpSetupError> {
    let mut builder = Client::builder()
        .user_agent(concat!("messo/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .referer(false)
        .connect_timeout(settings.connect_timeout)
        .pool_max_idle_per_host(settings.idle_connections)
        .pool_idle_timeout(settings.idle_timeout);
    if settings.loopback_only {
        builder = builder.tls_certs_only(trust.authorities);
    } else if !trust.authorities.is_empty() {
        builder = builder.tls_certs_merge(trust.authorities);
    }
    if let Some(identity) = trust.identity {
        builder = builder.identity(identity);
    }
    builder.build().map_err(|error| HttpSetupError(root_cause(&error)))
}

/// A call that got no (whole) answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// No byte of the request can have reached the remote.
    pub unsent: bool,
    /// For logs and alerts: no address in it.
    pub what: String,
}

impl From<reqwest::Error> for Transport {
    fn from(error: reqwest::Error) -> Self {
        let unsent = error.is_connect() || error.is_builder();
        if let Some(what) = certificate(&error) {
            return Transport { unsent, what };
        }
        let what = match (error.is_connect(), error.is_timeout()) {
            (true, true) => "connect: timeout".to_owned(),
            (true, false) => format!("connect: {}", root_cause(&error)),
            (false, true) => "timeout".to_owned(),
            (false, false) => root_cause(&error),
        };
        Transport { unsent, what }
    }
}

/// What TLS does not believe, if that is why: whose certificate, and what of it.
fn certificate(error: &reqwest::Error) -> Option<String> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        // What an I/O error wraps is not among its sources.
        let mut wrapped = inner;
        while let Some(held) = wrapped.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
            wrapped = held;
        }
        if let Some(tls) = wrapped.downcast_ref::<rustls::Error>() {
            return distrusted(tls);
        }
        cause = inner.source();
    }
    None
}

fn distrusted(error: &rustls::Error) -> Option<String> {
    use rustls::{AlertDescription as Alert, CertificateError as Fault};
    match error {
        rustls::Error::InvalidCertificate(fault) => {
            let why = match fault {
                Fault::Expired | Fault::ExpiredContext { .. } => "expired",
                Fault::NotValidYet | Fault::NotValidYetContext { .. } => "not valid yet",
                Fault::UnknownIssuer => "unknown issuer",
                Fault::NotValidForName | Fault::NotValidForNameContext { .. } => "of another name",
                Fault::Revoked => "revoked",
                _ => "not valid",
            };
            Some(format!("{}{why}", what::ITS_CERTIFICATE))
        }
        rustls::Error::AlertReceived(alert) => {
            let why = match alert {
                Alert::CertificateExpired => "expired",
                Alert::CertificateRevoked => "revoked",
                Alert::UnknownCA => "unknown issuer",
                Alert::CertificateRequired => "wanted",
                Alert::BadCertificate | Alert::UnsupportedCertificate | Alert::CertificateUnknown => "not accepted",
                _ => return None,
            };
            Some(format!("{}{why}", what::OUR_CERTIFICATE))
        }
        _ => None,
    }
}

/// The innermost cause, which names no address.
fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    // A reqwest error without a source would print its address.
    let text = if cause.is::<reqwest::Error>() { "no answer".to_owned() } else { cause.to_string() };
    text.chars().take(200).collect()
}

/// The whole body, at most `limit` bytes; one that arrives in one piece is not copied.
pub async fn read_body(mut response: Response, limit: usize) -> Result<Bytes, Transport> {
    let Some(first) = response.chunk().await? else { return Ok(Bytes::new()) };
    let mut joined: Option<BytesMut> = None;
    let too_long = || Transport { unsent: false, what: format!("answer over {limit} bytes") };
    if first.len() > limit {
        return Err(too_long());
    }
    while let Some(next) = response.chunk().await? {
        let all = joined.get_or_insert_with(|| {
            let expected = response.content_length().and_then(|length| usize::try_from(length).ok()).unwrap_or(0);
            let mut all = BytesMut::with_capacity(expected.min(limit).max(first.len()));
            all.extend_from_slice(&first);
            all
        });
        if all.len() + next.len() > limit {
            return Err(too_long());
        }
        all.extend_from_slice(&next);
    }
    Ok(joined.map_or(first, BytesMut::freeze))
}
