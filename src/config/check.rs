//! What a configuration must be beyond its form: names, tax ids, who refers to whom, addresses, folders, clock.

use std::path::{Path, PathBuf};

use reqwest::Url;

use super::address::{check_secret, check_send_url, check_token_url, is_loopback};
use super::folders;
use super::{
    Config, Environment, HealthConfig, Institution, Limits, MailConfig, MailFault, PtConfig, PtFault, RestConfig, Retention, SftpConfig,
    SourceSystem,
};
use crate::clock::Clock;
use crate::domain::calendar::MonthDay;
use crate::flow::definition::{DefinitionFault, is_name};
use crate::flow::shape::ShapeFault;

/// What may be wrong. Sentences are in `text::it::config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigFault {
    Shape(ShapeFault),
    Flow(DefinitionFault),
    /// A file that cannot be read at all.
    Unreadable {
        reason: String,
    },
    /// Not `[a-z0-9-]{1,32}`.
    Name,
    /// Not `[a-z0-9-]{1,40}`.
    Installation,
    /// The value must be unique and is also on that line.
    Twice {
        line: u32,
    },
    /// A list that must hold something.
    Empty,
    TaxId,
    Denomination,
    UnknownInstitution {
        tax_id: String,
    },
    UnknownFlow {
        name: String,
    },
    /// Ente or flow used by a gestionale that it is not granted.
    NotGranted {
        what: String,
    },
    SameFolder {
        other: String,
    },
    NestedFolder {
        other: String,
    },
    FolderNotUsable {
        path: String,
        user: String,
        reason: String,
    },
    Url,
    UrlNotSecure {
        host: String,
    },
    EnvironmentAndUrl {
        host: String,
        wanted: Environment,
    },
    Secret,
    NoKey,
    /// Larger than another limit that bounds it.
    Order {
        other: &'static str,
    },
    Burst,
    SocketPath,
    /// Not `address:port`.
    Listen,
    /// Other machines would reach what only this one should.
    BeyondLoopback,
    /// Another listener has that address.
    ListenTwice,
    /// Not `[A-Za-z0-9._-]{1,64}`.
    User,
    /// Not a line of `authorized_keys`, or a key that is too weak.
    PublicKey,
    /// Neither a hash of argon2id nor the place of one.
    PasswordHash,
    /// Neither keys nor password.
    NoLogin,
    /// Not an address or `address/bits`.
    Network,
    /// Not `YYYY-MM-DD`.
    Date,
    /// Not `MM-DD`, or a day that most years do not have.
    DayOfYear,
    /// Not `lun` ... `dom`.
    Weekday,
    /// An account, and no `[sftp]`.
    NoListener,
    /// User names and passwords would travel in clear.
    ListenPlain,
    /// A certificate without its key, or the other way round.
    HalfTls,
    /// `[pt.chiama]`, and no `[rest]`.
    NoRest,
    ClockNotReal {
        host: String,
    },
    /// `[mail]` and the rules of enti.
    Mail(MailFault),
    /// `[[pt]]` and the routes of enti.
    Pt(PtFault),
}

impl ConfigFault {
    /// The code printed by `messo check`: never renamed once released.
    pub fn code(&self) -> &'static str {
        match self {
            ConfigFault::Shape(fault) => fault.code(),
            ConfigFault::Flow(fault) => fault.code(),
            ConfigFault::Unreadable { .. } => "FILE_NON_LEGGIBILE",
            ConfigFault::Name | ConfigFault::Installation => "NOME_NON_VALIDO",
            ConfigFault::Twice { .. } => "VALORE_DOPPIO",
            ConfigFault::Empty => "ELENCO_VUOTO",
            ConfigFault::TaxId => "CODICE_FISCALE_ENTE_NON_VALIDO",
            ConfigFault::Denomination => "DENOMINAZIONE_NON_VALIDA",
            ConfigFault::UnknownInstitution { .. } => "ENTE_NON_CONFIGURATO",
            ConfigFault::UnknownFlow { .. } => "FLUSSO_SCONOSCIUTO",
            ConfigFault::NotGranted { .. } => "NON_CONCESSO",
            ConfigFault::SameFolder { .. } => "CARTELLA_DOPPIA",
            ConfigFault::NestedFolder { .. } => "CARTELLE_ANNIDATE",
            ConfigFault::FolderNotUsable { .. } => "CARTELLA_NON_UTILIZZABILE",
            ConfigFault::Url => "INDIRIZZO_NON_VALIDO",
            ConfigFault::UrlNotSecure { .. } => "INDIRIZZO_NON_SICURO",
            ConfigFault::EnvironmentAndUrl { .. } => "AMBIENTE_E_INDIRIZZO",
            ConfigFault::Secret => "SEGRETO_NON_VALIDO",
            ConfigFault::NoKey => "CHIAVE_API_MANCANTE",
            ConfigFault::Order { .. } => "LIMITI_INCOERENTI",
            ConfigFault::Burst => "RAFFICA_TROPPO_PICCOLA",
            ConfigFault::SocketPath => "SOCKET_TROPPO_LUNGO",
            ConfigFault::Listen | ConfigFault::ListenTwice => "ASCOLTO_NON_VALIDO",
            ConfigFault::BeyondLoopback => "ASCOLTO_FUORI_DALLA_MACCHINA",
            ConfigFault::User => "UTENTE_NON_VALIDO",
            ConfigFault::PublicKey => "CHIAVE_PUBBLICA_NON_VALIDA",
            ConfigFault::PasswordHash => "PASSWORD_NON_VALIDA",
            ConfigFault::NoLogin => "ACCESSO_MANCANTE",
            ConfigFault::Network => "RETE_NON_VALIDA",
            ConfigFault::Date | ConfigFault::DayOfYear => "DATA_NON_VALIDA",
            ConfigFault::Weekday => "GIORNO_NON_VALIDO",
            ConfigFault::NoListener => "SFTP_NON_CONFIGURATO",
            ConfigFault::ListenPlain => "ASCOLTO_IN_CHIARO",
            ConfigFault::HalfTls => "TLS_INCOMPLETO",
            ConfigFault::NoRest => "REST_NON_CONFIGURATO",
            ConfigFault::ClockNotReal { .. } => "OROLOGIO_NON_REALE",
            ConfigFault::Mail(fault) => fault.code(),
            ConfigFault::Pt(fault) => fault.code(),
        }
    }
}

/// Refuses a clock that is not real time as soon as one remote is not on this machine: dates would be invented on real acts.
pub fn check_clock(clock: &Clock, config: &Config) -> Result<(), ConfigFault> {
    if clock.is_real() {
        return Ok(());
    }
    let pdnd = |institution: &Institution| {
        institution.keys.iter().filter_map(|key| key.pdnd.as_ref().map(|pdnd| pdnd.token_url.clone())).collect::<Vec<_>>()
    };
    if let Some(mail) = config.mail.as_ref().filter(|mail| !mail.is_local()) {
        return Err(ConfigFault::ClockNotReal { host: mail.host.clone() });
    }
    if let Some(host) = config.pts.iter().find_map(PtConfig::strange_host) {
        return Err(ConfigFault::ClockNotReal { host });
    }
    for institution in &config.institutions {
        for url in std::iter::once(institution.send_url.clone()).chain(pdnd(institution)) {
            let host = Url::parse(&url).ok().and_then(|url| url.host_str().map(str::to_string));
            match host {
                Some(host) if is_loopback(&host) => {}
                host => return Err(ConfigFault::ClockNotReal { host: host.unwrap_or_default() }),
            }
        }
    }
    Ok(())
}

/// The parts of the file whose form is right, each with its number, so that one slip does not hide the rest.
#[derive(Default)]
pub(super) struct Parts {
    pub data: Option<PathBuf>,
    pub control: Option<PathBuf>,
    pub installation: Option<String>,
    pub limits: Option<Limits>,
    pub retention: Option<Retention>,
    pub sftp: Option<SftpConfig>,
    pub health: Option<HealthConfig>,
    pub rest: Option<RestConfig>,
    /// `[rest]` is there, broken or not.
    pub has_rest: bool,
    /// `[sftp]` is there, broken or not.
    pub has_sftp: bool,
    pub mail: Option<MailConfig>,
    /// `[mail]` is there, broken or not.
    pub has_mail: bool,
    pub pts: Vec<(usize, PtConfig)>,
    /// Of all PTs, broken ones too.
    pub pt_names: Vec<String>,
    pub institutions: Vec<(usize, Institution)>,
    pub sources: Vec<(usize, SourceSystem)>,
    /// Of all enti, broken ones too.
    pub tax_ids: Vec<String>,
    /// Of all flows, broken ones too.
    pub flows: Vec<String>,
}

/// Takes a key and what is wrong there.
pub(super) type Add<'a> = &'a mut dyn FnMut(&str, ConfigFault);
pub(super) type LineOf<'a> = &'a dyn Fn(&str) -> u32;

impl Parts {
    /// Adds every problem; `line_of` tells where a key is.
    pub fn check(&self, add: Add<'_>, line_of: LineOf<'_>) {
        if self.installation.as_deref().is_some_and(|name| name.len() > 40 || !name.split('-').all(is_word) || name.is_empty()) {
            add("installation", ConfigFault::Installation);
        }
        if self.control.as_ref().is_some_and(|path| path.as_os_str().len() > 107) {
            add("control", ConfigFault::SocketPath);
        }
        if let Some(data) = &self.data {
            folders::usable_data("data", data, add);
        }
        if let Some(limits) = &self.limits
            && limits.max_entry_bytes > limits.max_total_bytes
        {
            add("limits.max_entry_bytes", ConfigFault::Order { other: "max_total_bytes" });
        }
        if let Some(retention) = &self.retention {
            retention.check(add);
        }
        if let Some(sftp) = &self.sftp {
            sftp.check(add);
        }
        if let Some(mail) = &self.mail {
            mail.check(add);
        }
        if let Some(health) = &self.health {
            health.check(add);
        }
        if let Some(rest) = &self.rest {
            rest.check(add);
        }
        let mut names = Unique::default();
        for (index, pt) in &self.pts {
            names.add(&pt.name, &format!("pt[{index}].name"), add, line_of);
            pt.check(&format!("pt[{index}]"), add);
            if let Some(calls) = &pt.chiama {
                calls.check(&format!("pt[{index}].chiama"), self.has_rest, add);
            }
        }
        self.check_institutions(add, line_of);
        self.check_sources(add, line_of);
        self.check_folders(add);
    }

    fn check_institutions(&self, add: Add<'_>, line_of: LineOf<'_>) {
        let mut tax_ids = Unique::default();
        for (index, institution) in &self.institutions {
            let at = format!("ente[{index}]");
            let key = |name: &str| format!("{at}.{name}");
            if !is_tax_id(&institution.tax_id) {
                add(&key("tax_id"), ConfigFault::TaxId);
            }
            tax_ids.add(&institution.tax_id, &key("tax_id"), add, line_of);
            if !is_denomination(&institution.denomination) {
                add(&key("denomination"), ConfigFault::Denomination);
            }
            check_send_url(&institution.send_url, institution.ambiente, &key("send_url"), add);
            let quota = &institution.quota;
            if quota.per_second > 0 && quota.burst < quota.per_second {
                add(&key("quota.burst"), ConfigFault::Burst);
            }
            if institution.patron.as_ref().is_some_and(|day| day.parse::<MonthDay>().is_err()) {
                add(&key("patron"), ConfigFault::DayOfYear);
            }
            super::pt_check::check_routes(&at, &institution.payments, &self.pts, &self.pt_names, add, line_of);
            super::mail::check_rules(&at, &institution.notices, &self.flows, self.has_mail, add);
            institution.conservazione.check(&at, add);
            if institution.keys.is_empty() {
                add(&key("key"), ConfigFault::NoKey);
            }
            let mut ids = Unique::default();
            let mut groups = Unique::default();
            for (number, api_key) in institution.keys.iter().enumerate() {
                let key = |name: &str| format!("{at}.key[{number}].{name}");
                if !is_name(&api_key.id) {
                    add(&key("id"), ConfigFault::Name);
                }
                ids.add(&api_key.id, &key("id"), add, line_of);
                for (position, group) in api_key.groups.iter().enumerate() {
                    groups.add(group, &key(&format!("groups[{position}]")), add, line_of);
                }
                check_secret(&api_key.secret, &key("secret"), add);
                if let Some(pdnd) = &api_key.pdnd {
                    check_secret(&pdnd.private_key, &key("pdnd.private_key"), add);
                    check_token_url(&pdnd.token_url, &key("pdnd.token_url"), add);
                    for (name, value) in
                        [("client_id", &pdnd.client_id), ("kid", &pdnd.kid), ("purpose_id", &pdnd.purpose_id), ("audience", &pdnd.audience)]
                    {
                        if value.trim().is_empty() {
                            add(&key(&format!("pdnd.{name}")), ConfigFault::Flow(DefinitionFault::Text { max: 256 }));
                        }
                    }
                }
            }
        }
    }

    fn check_sources(&self, add: Add<'_>, line_of: LineOf<'_>) {
        let mut names = Unique::default();
        let mut users = Unique::default();
        for (index, source) in &self.sources {
            let key = |name: &str| format!("gestionale[{index}].{name}");
            if !is_name(&source.name) {
                add(&key("name"), ConfigFault::Name);
            }
            names.add(&source.name, &key("name"), add, line_of);
            if let Some(account) = &source.sftp {
                let key = |name: &str| key(&format!("sftp.{name}"));
                users.add(&account.user, &key("user"), add, line_of);
                account.check(&key, add);
                if !self.has_sftp {
                    add(&format!("gestionale[{index}].sftp"), ConfigFault::NoListener);
                }
            }
            let mut enti = Unique::default();
            for (number, tax_id) in source.enti.iter().enumerate() {
                let at = key(&format!("enti[{number}]"));
                enti.add(tax_id, &at, add, line_of);
                if !self.tax_ids.contains(tax_id) {
                    add(&at, ConfigFault::UnknownInstitution { tax_id: shown(tax_id) });
                }
            }
            let mut flows = Unique::default();
            for (number, flow) in source.flows.iter().enumerate() {
                let at = key(&format!("flows[{number}]"));
                flows.add(flow, &at, add, line_of);
                if !self.flows.contains(flow) {
                    add(&at, ConfigFault::UnknownFlow { name: shown(flow) });
                }
            }
            for (name, empty) in [("enti", source.enti.is_empty()), ("flows", source.flows.is_empty())] {
                if empty {
                    add(&key(name), ConfigFault::Empty);
                }
            }
            if let Some(flow) = source.default_flow.as_ref().filter(|flow| !source.flows.contains(flow)) {
                add(&key("default_flow"), ConfigFault::NotGranted { what: shown(flow) });
            }
            for (number, expected) in source.expected.iter().enumerate() {
                expected.check(&source.flows, &|name| key(&format!("atteso[{number}].{name}")), add);
                if let Some(before) = source.expected.iter().take(number).position(|before| before.flow == expected.flow) {
                    add(&key(&format!("atteso[{number}]")), ConfigFault::Twice { line: line_of(&key(&format!("atteso[{before}]"))) });
                }
            }
            for (id, tax_id) in source.organization_ids.iter().filter(|(_, tax_id)| !source.enti.contains(tax_id)) {
                add(&key(&format!("organization_ids.{id}")), ConfigFault::NotGranted { what: shown(tax_id) });
            }
        }
    }

    /// No folder may hold another: one sender would see another's files, or messo's own.
    fn check_folders(&self, add: Add<'_>) {
        let data = self.data.iter().map(|data| ("data".to_string(), "data".to_string(), data.as_path()));
        let roots =
            self.sources.iter().map(|(index, source)| (format!("gestionale[{index}].root"), source.name.clone(), source.root.as_path()));
        let exchanges =
            self.pts.iter().filter_map(|(index, pt)| Some((format!("pt[{index}].folder"), pt.name.clone(), pt.folder.as_deref()?)));
        let named: Vec<(String, String, &Path)> = data.chain(roots).chain(exchanges).collect();
        let real = folders::all_real(&named.iter().map(|(_, _, path)| *path).collect::<Vec<_>>());
        let folders: Vec<(String, String, PathBuf)> = named.into_iter().zip(real).map(|((key, name, _), real)| (key, name, real)).collect();
        for (number, (key, _, path)) in folders.iter().enumerate() {
            for (_, other, before) in folders.iter().take(number) {
                if path == before {
                    add(key, ConfigFault::SameFolder { other: shown(other) });
                    break;
                } else if path.starts_with(before) || before.starts_with(path) {
                    add(key, ConfigFault::NestedFolder { other: shown(other) });
                    break;
                }
            }
        }
        let homes: Vec<_> =
            self.sources.iter().map(|(index, source)| (format!("gestionale[{index}].root"), source.root.as_path())).collect();
        folders::usable_homes(&homes, add);
    }
}

/// Values that must differ: (value, line of the first).
#[derive(Default)]
struct Unique(std::collections::BTreeMap<String, u32>);

impl Unique {
    fn add(&mut self, value: &str, key: &str, add: Add<'_>, line_of: LineOf<'_>) {
        match self.0.get(value) {
            Some(line) => add(key, ConfigFault::Twice { line: *line }),
            None => {
                self.0.insert(value.to_string(), line_of(key));
            }
        }
    }
}

pub(super) fn shown(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn is_word(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// 1..=88 printable Latin-1 characters without `|` (`reference send.md` 3).
fn is_denomination(text: &str) -> bool {
    let allowed = |c: char| matches!(c, '\u{20}'..='\u{7e}' | '\u{a0}'..='\u{ff}') && c != '|';
    (1..=88).contains(&text.chars().count()) && !text.trim().is_empty() && text.chars().all(allowed)
}

/// 11 digits whose last one is the check digit (`reference pt.md` 5.3).
fn is_tax_id(text: &str) -> bool {
    if text.len() != 11 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    let sum: u32 = text.bytes().map(|byte| u32::from(byte - b'0')).enumerate().fold(0, |sum, (place, digit)| {
        let value = if place % 2 == 1 { digit * 2 } else { digit };
        sum + if value > 9 { value - 9 } else { value }
    });
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tax_ids_of_enti() {
        let table = [
            ("00907501001", true),
            ("15376371009", true),
            ("02438750586", true),
            ("02438750587", false),
            ("2438750586", false),
            ("0243875058A", false),
            ("", false),
        ];
        for (text, want) in table {
            assert_eq!(is_tax_id(text), want, "{text}");
        }
    }
}
