//! `[rest]`: the door that partner tecnologici call over HTTP. Without the block nothing listens.
//!
//! Who calls is known by user and password (`[pt.chiama]`): beyond this machine they travel under TLS, ours or that of a proxy that
//! stands before messo.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;

use super::SecretRef;
use super::address::check_secret;
use super::check::{Add, ConfigFault};
use crate::flow::shape::{Key, Kind, may, need};

/// `[rest]`. Seconds are real time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestConfig {
    /// `address:port`, as `0.0.0.0:8443`.
    pub listen: String,
    /// Chain of the server, PEM. With `key`: TLS.
    #[serde(default)]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(default)]
    pub key: Option<SecretRef>,
    /// A proxy of the ente speaks TLS and hands over the caller's address (`X-Forwarded-For`, its last one).
    #[serde(default)]
    pub behind_proxy: bool,
    /// Connections at one time; others wait to be accepted.
    #[serde(default = "connections")]
    pub max_connections: u32,
    /// Largest message that is read, of who has shown its credentials; to ask a price far less will do.
    #[serde(default = "body_bytes")]
    pub max_body_bytes: u64,
    /// Bytes of messages longer than a question of price, all together, that are read and worked on at one time; beyond it who sends is
    /// asked to come again. At least `max_body_bytes`.
    #[serde(default = "bodies_bytes")]
    pub max_bodies_bytes: u64,
    /// For the head of a request, and for TLS to begin; also how long a connection may do nothing.
    #[serde(default = "head_s")]
    pub head_s: u32,
    /// For the body of a request.
    #[serde(default = "body_s")]
    pub body_s: u32,
    /// At the stop of the service, for what is being answered.
    #[serde(default = "stop_grace_s")]
    pub stop_grace_s: u32,
}

fn connections() -> u32 {
    500
}
fn body_bytes() -> u64 {
    16 << 20
}
fn bodies_bytes() -> u64 {
    128 << 20
}
fn head_s() -> u32 {
    15
}
fn body_s() -> u32 {
    30
}
fn stop_grace_s() -> u32 {
    10
}

pub(super) const REST: &[Key] = &[
    need("listen", Kind::Text),
    may("certificate", Kind::Text),
    may("key", Kind::Text),
    may("behind_proxy", Kind::Flag),
    may("max_connections", Kind::Whole(1, 20_000)),
    may("max_body_bytes", Kind::Whole(65_536, 256 << 20)),
    may("max_bodies_bytes", Kind::Whole(65_536, 4 << 30)),
    may("head_s", Kind::Whole(1, 300)),
    may("body_s", Kind::Whole(1, 600)),
    may("stop_grace_s", Kind::Whole(0, 300)),
];

impl RestConfig {
    /// Where it listens; `None`: not an address (the check has said so).
    #[must_use]
    pub fn socket(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    pub(super) fn check(&self, add: Add<'_>) {
        let tls = self.certificate.is_some() && self.key.is_some();
        match self.socket() {
            None => add("rest.listen", ConfigFault::Listen),
            Some(address) if !address.ip().is_loopback() && !tls && !self.behind_proxy => add("rest.listen", ConfigFault::ListenPlain),
            Some(_) => {}
        }
        match (&self.certificate, &self.key) {
            (Some(_), None) => add("rest.certificate", ConfigFault::HalfTls),
            (None, Some(_)) => add("rest.key", ConfigFault::HalfTls),
            _ => {}
        }
        if let Some(key) = &self.key {
            check_secret(key, "rest.key", add);
        }
    }
}
