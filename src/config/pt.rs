//! `[[pt]]` and `[[ente.pagamenti]]`: the partner tecnologici, how they are called, and which notices of an ente are theirs.
//!
//! The routing key is (creditor, aux digit, application or segregation code), `reference pt.md` 5.1. Checks: `pt_check`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::check::{Add, ConfigFault};
use super::{Config, Institution, PtFault, PublicKey, SecretRef};
use crate::domain::act::vocabulary;
use crate::domain::notice_code;
use crate::domain::position::CostChannel;
use crate::flow::definition::DefinitionFault;
use crate::flow::shape::{Key, Kind, may, need};

vocabulary!(
    /// Which connector speaks to it.
    PtKind {
        Gpd = "gpd",
        GovPay = "govpay",
        MyPay = "mypay",
        Pu = "pu",
        PiemontePay = "piemontepay",
        EFil = "efil",
        /// Described by a TOML file of its own.
        Declared = "dichiarativo",
        /// Update files that a person or a program imports.
        File = "file",
        /// Verify nothing, change nothing.
        Unmanaged = "non_gestito",
    }
);

/// `[[pt]]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PtConfig {
    /// Name in routes, logs, esiti and commands. `[a-z0-9-]{1,32}`.
    pub name: String,
    pub kind: PtKind,
    /// Base address of its services; not for `file` and `non_gestito`.
    #[serde(default)]
    pub url: Option<String>,
    /// What the installation is like, where a connector knows several: `v1` or `v3` (GPD), `veneto`, `trento`, ... (MyPay).
    #[serde(default)]
    pub profile: Option<String>,
    #[serde(default)]
    pub username: Option<String>,
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// Subscription key, or the API key of a declared PT.
    #[serde(default)]
    pub api_key: Option<SecretRef>,
    /// OAuth2 client credentials.
    #[serde(default)]
    pub token_url: Option<String>,
    #[serde(default)]
    pub client_id: Option<String>,
    #[serde(default)]
    pub client_secret: Option<SecretRef>,
    /// Client certificate and key in one PEM file (mTLS).
    #[serde(default)]
    pub identity: Option<SecretRef>,
    /// Certificates of a private authority, PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Description of a declared PT.
    #[serde(default)]
    pub definition: Option<PathBuf>,
    /// Where update files of a `file` PT are written (`uscita/`) and their outcomes read (`entrata/`).
    #[serde(default)]
    pub folder: Option<PathBuf>,
    /// Calls per second, at most.
    #[serde(default = "ten")]
    pub per_second: u32,
    /// Calls under way at a time, at most.
    #[serde(default = "eight")]
    pub at_a_time: u32,
    /// Seconds for one call, answer included.
    #[serde(default = "thirty")]
    pub timeout_s: u32,
    /// Hours for which an act waits when the PT does not answer about its notice; then it is parked.
    #[serde(default = "two_days")]
    pub wait_hours: u32,
    /// `[pt.chiama]`: what the PT may ask messo, and with which credentials.
    #[serde(default)]
    pub chiama: Option<PtCalls>,
}

fn ten() -> u32 {
    10
}
fn eight() -> u32 {
    8
}
fn thirty() -> u32 {
    30
}
fn two_days() -> u32 {
    48
}

/// `[pt.chiama]`: credentials with which the PT calls messo.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PtCalls {
    pub username: String,
    pub password: SecretRef,
    /// Public key (PEM) of who issues the vouchers that the PT shows (PDND): without it only the password is a bearer token.
    #[serde(default)]
    pub voucher_key: Option<PathBuf>,
    /// Audience (`aud`) that a voucher must name: that of the e-service. Goes with `voucher_key`, whose owner signs vouchers for the
    /// e-services of everybody.
    #[serde(default)]
    pub voucher_audience: Option<String>,
    /// `client_id` that a voucher must name; absent: any that has a voucher for that audience.
    #[serde(default)]
    pub voucher_client: Option<String>,
    /// `purposeId` that a voucher must name; absent: any.
    #[serde(default)]
    pub voucher_purpose: Option<String>,
    /// Public key (PEM) with which the PT signs its messages (`Agid-JWT-Signature`): without it a signature is not looked at.
    #[serde(default)]
    pub signature_key: Option<PathBuf>,
}

/// `[[ente.pagamenti]]`: which notices of the ente are whose. The first that fits is taken.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PaymentRoute {
    /// Name of a `[[pt]]`.
    pub pt: String,
    /// Aux digit of its notices; absent: any.
    #[serde(default)]
    pub aux: Option<u8>,
    /// Application or segregation code of its notices, two digits; absent: any.
    #[serde(default)]
    pub code: Option<String>,
    /// What the PT calls the ente: `codIpaEnte`, broker code, `CodiceEnte`; absent: its tax id.
    #[serde(default)]
    pub ente: Option<String>,
    /// `idA2A`, `CodiceVersamento`, payment type, ...: what else the PT wants to know of the service.
    #[serde(default)]
    pub service: Option<String>,
    /// How the cost of notification reaches the citizen's payment.
    pub costs: CostChannel,
}

pub(super) const PT: &[Key] = &[
    need("name", Kind::Text),
    need("kind", Kind::Word(&["gpd", "govpay", "mypay", "pu", "piemontepay", "efil", "dichiarativo", "file", "non_gestito"])),
    may("url", Kind::Text),
    may("profile", Kind::Text),
    may("username", Kind::Text),
    may("password", Kind::Text),
    may("api_key", Kind::Text),
    may("token_url", Kind::Text),
    may("client_id", Kind::Text),
    may("client_secret", Kind::Text),
    may("identity", Kind::Text),
    may("ca", Kind::Text),
    may("definition", Kind::Text),
    may("folder", Kind::Text),
    may("per_second", Kind::Whole(1, 10_000)),
    may("at_a_time", Kind::Whole(1, 256)),
    may("timeout_s", Kind::Whole(1, 300)),
    may("wait_hours", Kind::Whole(1, 720)),
    may("chiama", Kind::Table(CALLS)),
];
const CALLS: &[Key] = &[
    need("username", Kind::Text),
    need("password", Kind::Text),
    may("voucher_key", Kind::Text),
    may("voucher_audience", Kind::Text),
    may("voucher_client", Kind::Text),
    may("voucher_purpose", Kind::Text),
    may("signature_key", Kind::Text),
];
pub(super) const ROUTE: &[Key] = &[
    need("pt", Kind::Text),
    may("aux", Kind::Whole(0, 3)),
    may("code", Kind::Text),
    may("ente", Kind::Text),
    may("service", Kind::Text),
    need("costs", Kind::Word(&["async", "push", "pull", "nessuno"])),
];

impl PaymentRoute {
    /// Whether a notice of the ente goes this way.
    #[must_use]
    pub fn fits(&self, notice: &str) -> bool {
        let (aux, code) = (notice_code::aux(notice), notice_code::route_code(notice));
        self.aux.is_none_or(|wanted| aux == Some(wanted)) && self.code.as_deref().is_none_or(|wanted| code == Some(wanted))
    }
}

impl Institution {
    /// The way of a notice of this ente.
    #[must_use]
    pub fn route(&self, notice: &str) -> Option<&PaymentRoute> {
        self.payments.iter().find(|route| route.fits(notice))
    }
}

impl Config {
    /// The PT with that name.
    #[must_use]
    pub fn pt(&self, name: &str) -> Option<&PtConfig> {
        self.pts.iter().find(|pt| pt.name == name)
    }

    /// Which PT has a notice, and how the cost gets there. `None`: nobody knows, the position is not managed.
    #[must_use]
    pub fn route(&self, creditor: &str, notice: &str) -> Option<(&PaymentRoute, &PtConfig)> {
        let route = self.institution(creditor)?.route(notice)?;
        Some((route, self.pt(&route.pt)?))
    }
}

impl PtConfig {
    /// Whether messo speaks to it at all.
    #[must_use]
    pub fn is_managed(&self) -> bool {
        self.kind != PtKind::Unmanaged
    }
}

impl PtCalls {
    /// Who may call needs a door, and a name that Basic, JSON and addresses leave as it is.
    pub(super) fn check(&self, key: &str, has_rest: bool, add: Add<'_>) {
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let empty = self.username.trim().is_empty();
        if !empty && (self.username.len() > 64 || !self.username.chars().all(plain)) {
            add(&format!("{key}.username"), ConfigFault::User);
        }
        if !has_rest {
            add(key, ConfigFault::NoRest);
        }
        let bound = [
            ("voucher_audience", &self.voucher_audience),
            ("voucher_client", &self.voucher_client),
            ("voucher_purpose", &self.voucher_purpose),
        ];
        for (name, value) in bound {
            let at = format!("{key}.{name}");
            match value {
                Some(value) if value.trim().is_empty() => add(&at, ConfigFault::Flow(DefinitionFault::Text { max: 256 })),
                Some(_) if self.voucher_key.is_none() => add(&at, ConfigFault::Pt(PtFault::HalfLogin { with: "voucher_key" })),
                _ => {}
            }
        }
        // Whoever signs vouchers (PDND) signs them for everybody: the key alone would let in who has one for any e-service.
        if self.voucher_key.is_some() && self.voucher_audience.is_none() {
            add(&format!("{key}.voucher_key"), ConfigFault::Pt(PtFault::HalfLogin { with: "voucher_audience" }));
        }
        for (name, path) in [("voucher_key", &self.voucher_key), ("signature_key", &self.signature_key)] {
            if let Some(Err(reason)) = path.as_deref().map(PublicKey::read) {
                let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
                add(&format!("{key}.{name}"), ConfigFault::Pt(PtFault::File { path, reason }));
            }
        }
    }
}
