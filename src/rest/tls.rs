//! The certificate with which the door shows itself: read at the start and at each reload, the connections of before keep theirs.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::RestConfig;

/// What speaks TLS for the door; `None`: it does not. The error is a sentence for whoever wrote the configuration.
pub(super) fn acceptor(config: &RestConfig) -> Result<Option<TlsAcceptor>, String> {
    let (Some(certificate), Some(key)) = (&config.certificate, &config.key) else { return Ok(None) };
    let chain = chain(certificate).map_err(|reason| format!("rest.certificate: {reason}"))?;
    let key = key.resolve().map_err(|error| format!("rest.key: {error}"))?;
    let key =
        PrivateKeyDer::from_pem_slice(key.expose().as_bytes()).map_err(|_| "rest.key: non contiene una chiave privata PEM".to_owned())?;
    let server = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("rest: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| format!("rest.certificate: certificato e chiave non vanno insieme ({error})"))?;
    Ok(Some(TlsAcceptor::from(Arc::new(server))))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let text = std::fs::read(path).map_err(|error| format!("{} non si può leggere ({})", path.display(), error.kind()))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(format!("{} non contiene certificati PEM", path.display())),
    }
}
