//! `[salute]`: the page that monitoring reads (`/healthz`, `/readyz`, `/metrics`). Without the block nothing listens.
//!
//! It knows no password: loopback only, unless the operator says otherwise because a firewall or another machine's proxy
//! stands before it. Nothing on it is personal data.

use std::net::SocketAddr;

use serde::Deserialize;

use super::check::{Add, ConfigFault};
use crate::flow::shape::{Key, Kind, may, need};

/// `[salute]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthConfig {
    /// `address:port`, as `127.0.0.1:9464`.
    pub listen: String,
    /// The address may be one that other machines reach.
    #[serde(default)]
    pub beyond_loopback: bool,
}

pub(super) const SALUTE: &[Key] = &[need("listen", Kind::Text), may("beyond_loopback", Kind::Flag)];

impl HealthConfig {
    /// Where it listens; `None`: not an address (the check has said so).
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    pub(super) fn check(&self, add: Add<'_>) {
        match self.socket() {
            None => add("salute.listen", ConfigFault::Listen),
            Some(address) if !address.ip().is_loopback() && !self.beyond_loopback => add("salute.listen", ConfigFault::BeyondLoopback),
            Some(_) => {}
        }
    }
}
