//! Calls that simulators make to the ente, as the PTs do when a citizen pays.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;

/// Connecting, and waiting for an answer: each of them, one attempt.
const PATIENCE: Duration = Duration::from_secs(5);

/// A citizen who pays a notice.
#[derive(Debug, Deserialize)]
pub(super) struct Pay {
    pub creditor: String,
    pub notice: String,
}

/// Simulators call this machine only: no certificates are read.
pub(super) fn client() -> Option<Client> {
    Client::builder().no_proxy().tls_certs_only([]).connect_timeout(PATIENCE).timeout(PATIENCE).build().ok()
}
