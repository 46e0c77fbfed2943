//! The configuration: one TOML, typed, closed, checked as a whole. `messo check` prints every problem with file and line.

mod address;
pub mod alerts;
pub mod check;
mod export;
pub mod folders;
pub mod load;
pub mod mail;
pub mod pt;
pub mod pt_check;
mod public_key;
pub mod rest;
pub mod retention;
pub mod salute;
pub mod secret;
pub mod sftp;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::domain::calendar::Calendar;

pub use alerts::{Alerts, Expected};
pub use check::{ConfigFault, check_clock};
pub use export::ExportConfig;
pub use load::{LoadedConfig, Problems, load};
pub use mail::{MailConfig, MailFault, MailTls, NoticeRule};
pub use pt::{PaymentRoute, PtCalls, PtConfig, PtKind};
pub use pt_check::{DescriptionFault, PtFault, TemplateProblem};
pub use public_key::PublicKey;
pub use rest::RestConfig;
pub use retention::{InstitutionRetention, Retention, SourceRetention};
pub use salute::HealthConfig;
pub use sftp::{Compat, Network, SftpAccount, SftpConfig, SftpLimits, SftpListener};

/// The whole configuration file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where messo keeps its store and archives. One process at a time.
    pub data: PathBuf,
    /// Folder of the flow files; without it the twelve shipped in the binary are used.
    #[serde(default)]
    pub flows: Option<PathBuf>,
    /// Names this installation in the titles of its streams: two installations of one ente must differ. `[a-z0-9-]{1,40}`.
    pub installation: String,
    /// Unix socket of the commands; default `<data>/messo.sock`.
    #[serde(default)]
    pub control: Option<PathBuf>,
    #[serde(default)]
    pub watch: WatchConfig,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub alerts: Alerts,
    /// `[conservazione]`
    #[serde(default)]
    pub conservazione: Retention,
    /// `[sftp]`: without it nothing listens.
    #[serde(default)]
    pub sftp: Option<SftpConfig>,
    /// `[mail]`: without it nobody is mailed.
    #[serde(default)]
    pub mail: Option<MailConfig>,
    /// `[salute]`: without it nothing listens.
    #[serde(rename = "salute", default)]
    pub health: Option<HealthConfig>,
    /// `[rest]`: without it no PT can call.
    #[serde(default)]
    pub rest: Option<RestConfig>,
    /// `[[pt]]`
    #[serde(rename = "pt", default)]
    pub pts: Vec<PtConfig>,
    /// `[[ente]]`
    #[serde(rename = "ente", default)]
    pub institutions: Vec<Institution>,
    /// `[[gestionale]]`
    #[serde(rename = "gestionale", default)]
    pub sources: Vec<SourceSystem>,
}

/// `[watch]`: seconds are real time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WatchConfig {
    /// A file is whole when its size and mtime have not changed for this long (milliseconds).
    pub settle_ms: u64,
    /// Every folder is listed again this often (milliseconds): SMB and NFS tell nothing.
    pub scan_ms: u64,
    /// A file that never completes gets a receipt after this long (seconds).
    pub incomplete_after_s: u64,
}

impl Default for WatchConfig {
    fn default() -> Self {
        WatchConfig { settle_ms: 2_000, scan_ms: 5_000, incomplete_after_s: 3_600 }
    }
}

/// `[limits]`: ceilings of a drop.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Entries of an archive.
    pub max_entries: u64,
    /// Bytes of one entry, uncompressed.
    pub max_entry_bytes: u64,
    /// Bytes of all entries, uncompressed.
    pub max_total_bytes: u64,
    /// Uncompressed : compressed, of one entry over 1 MiB and of the whole.
    pub max_ratio: u64,
    /// Acts of a batch.
    pub max_acts: u64,
    /// Bytes that stay free on the data disk: under them no drop is taken.
    pub disk_reserve_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_entries: 200_000,
            max_entry_bytes: 200 << 20,
            max_total_bytes: 64 << 30,
            max_ratio: 200,
            max_acts: 200_000,
            disk_reserve_bytes: 512 << 20,
        }
    }
}

/// Where an ente's notifications go; must agree with the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Environment {
    Collaudo,
    Produzione,
}

impl Environment {
    /// The word printed in receipts and esiti.
    pub fn as_str(self) -> &'static str {
        match self {
            Environment::Collaudo => "COLLAUDO",
            Environment::Produzione => "PRODUZIONE",
        }
    }
}

/// `[[ente]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Institution {
    /// 11 digits.
    pub tax_id: String,
    /// `senderDenomination`, 1..=88 Latin-1 characters.
    pub denomination: String,
    pub ambiente: Environment,
    /// Base URL of SEND, without a path.
    pub send_url: String,
    /// At least one; acts with a `group` use the key that has it, the others the key without groups (else the first).
    #[serde(rename = "key", default)]
    pub keys: Vec<ApiKey>,
    /// The ente may send mail over 20 grams; otherwise the page rule applies.
    #[serde(default)]
    pub heavy_mail: bool,
    /// The ente may leave physical addresses out (look-up service of SEND).
    #[serde(default)]
    pub address_lookup: bool,
    #[serde(default)]
    pub quota: Quota,
    /// The patron saint's day, `MM-DD`: a holiday of this ente.
    #[serde(default)]
    pub patron: Option<String>,
    /// `[[ente.avvisi]]`: who is mailed what; without rules nobody.
    #[serde(rename = "avvisi", default)]
    pub notices: Vec<NoticeRule>,
    /// `[[ente.pagamenti]]`: which PT has which notices.
    #[serde(rename = "pagamenti", default)]
    pub payments: Vec<PaymentRoute>,
    /// `[ente.conservazione]`
    #[serde(default)]
    pub conservazione: InstitutionRetention,
}

/// `[[ente.key]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Name used in logs, streams and circuits. `[a-z0-9-]{1,32}`.
    pub id: String,
    pub secret: SecretRef,
    /// Ids of SEND groups bound to the key.
    #[serde(default)]
    pub groups: Vec<String>,
    /// Only for keys created with the PDND flag.
    #[serde(default)]
    pub pdnd: Option<PdndClient>,
}

/// `[ente.key.pdnd]`: the client that obtains vouchers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PdndClient {
    pub token_url: String,
    pub client_id: String,
    /// Key id registered at PDND.
    pub kid: String,
    pub purpose_id: String,
    /// Audience of the client assertion.
    pub audience: String,
    /// RSA 2048 private key, PEM (PKCS#8).
    pub private_key: SecretRef,
}

/// `[ente.quota]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Quota {
    /// Requests per second (0: no limit).
    pub per_second: u32,
    pub burst: u32,
    /// Requests per Rome day (0: no limit).
    pub per_day: u32,
    /// Most that may be spent in a Rome day on base fees, euro cents (0: no ceiling).
    pub spend_cents_per_day: u64,
}

impl Default for Quota {
    fn default() -> Self {
        Quota { per_second: 50, burst: 100, per_day: 100_000, spend_cents_per_day: 0 }
    }
}

/// Where a secret is: `file:PATH`, `env:NAME`, `credential:NAME` (systemd). Never the secret itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct SecretRef(pub String);

/// `[[gestionale]]`: one account, one home.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSystem {
    /// Name in receipts and logs; part of every act's identity. `[a-z0-9-]{1,32}`, never changed.
    pub name: String,
    /// The folder that holds `in/`, `ricevute/`, ...
    pub root: PathBuf,
    /// Tax ids of the enti it may send for.
    pub enti: Vec<String>,
    /// Flows it may use.
    pub flows: Vec<String>,
    /// Flow of drops in `in/` itself when the batch names none.
    #[serde(default)]
    pub default_flow: Option<String>,
    /// Ente behind each `organizationId` of Piattaforma Unitaria files.
    #[serde(default)]
    pub organization_ids: BTreeMap<String, String>,
    /// How it comes in over SFTP; without it, only through its folder.
    #[serde(default)]
    pub sftp: Option<SftpAccount>,
    /// `[[gestionale.atteso]]`: drops that always come.
    #[serde(rename = "atteso", default)]
    pub expected: Vec<Expected>,
    /// When it gets its reconciliation files.
    #[serde(rename = "rendicontazione", default)]
    pub export: ExportConfig,
    /// `[gestionale.conservazione]`
    #[serde(default)]
    pub conservazione: SourceRetention,
}

impl Config {
    /// The socket of the commands.
    pub fn control_path(&self) -> PathBuf {
        self.control.clone().unwrap_or_else(|| self.data.join("messo.sock"))
    }
    /// The folder of the SSH host keys.
    pub fn host_keys(&self) -> PathBuf {
        self.sftp.as_ref().and_then(|sftp| sftp.host_keys.clone()).unwrap_or_else(|| self.data.join("chiavi-ssh"))
    }
    /// The ente with that tax id.
    pub fn institution(&self, tax_id: &str) -> Option<&Institution> {
        self.institutions.iter().find(|institution| institution.tax_id == tax_id)
    }
    /// The gestionale with that name.
    pub fn source(&self, name: &str) -> Option<&SourceSystem> {
        self.sources.iter().find(|source| source.name == name)
    }
}

impl Institution {
    /// Its holidays and working days.
    pub fn calendar(&self) -> Calendar {
        Calendar { patron: self.patron.as_ref().and_then(|day| day.parse().ok()), ..Calendar::default() }
    }
    /// The key that must be used for an act of that group.
    pub fn key_for(&self, group: Option<&str>) -> Option<&ApiKey> {
        match group {
            Some(group) => self.keys.iter().find(|key| key.groups.iter().any(|own| own == group)),
            None => self.keys.iter().find(|key| key.groups.is_empty()).or_else(|| self.keys.first()),
        }
    }
}
