//! `[mail]` and `[[ente.avvisi]]`: the server that takes mails, and who is told of what.
//!
//! Without rules nothing is mailed for an ente; troubles of the whole installation go to `[mail].to`.

use std::path::PathBuf;

use jiff::civil::Time;
use lettre::Address;
use lettre::message::Mailbox;
use serde::Deserialize;

use super::SecretRef;
use super::address::{check_secret, is_loopback};
use super::check::{Add, ConfigFault};
use crate::domain::alert::AlertKind;
use crate::flow::shape::{Key, Kind, ShapeFault, may, need};

/// `[mail]`: without it nothing is mailed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailConfig {
    /// Name or address of the server.
    pub host: String,
    /// Default: 587 with `starttls`, 465 with `tls`, 25 with `nessuno`.
    #[serde(default)]
    pub port: Option<u16>,
    #[serde(default)]
    pub tls: MailTls,
    /// Lets `tls = "nessuno"` leave this machine.
    #[serde(default)]
    pub allow_cleartext: bool,
    #[serde(default)]
    pub user: Option<String>,
    #[serde(default)]
    pub password: Option<SecretRef>,
    /// PEM file of authorities trusted besides the system's.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// `messo <messo@comune.esempio.it>`.
    pub from: String,
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Who is told of troubles of the whole installation.
    #[serde(default)]
    pub to: Vec<String>,
    /// Longest wait for each answer of the server but the last (real seconds).
    #[serde(default = "default_timeout")]
    pub timeout_s: u64,
    /// Longest wait for the answer to the message itself (real seconds). Who gives up too soon repeats what was taken: RFC 5321,
    /// 4.5.3.2.6, wants ten minutes.
    #[serde(default = "default_message_timeout")]
    pub message_timeout_s: u64,
    /// How this machine calls itself (EHLO); default: the domain of `from`.
    #[serde(default)]
    pub hello: Option<String>,
    /// Folder of templates used in place of the shipped ones.
    #[serde(default)]
    pub templates: Option<PathBuf>,
    /// After a mail, what else happens within so many minutes is told in one.
    #[serde(default = "default_collect")]
    pub collect_minutes: u32,
}

fn default_timeout() -> u64 {
    30
}

fn default_message_timeout() -> u64 {
    600
}

fn default_collect() -> u32 {
    15
}

/// How the line to the server is protected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MailTls {
    /// Plain until STARTTLS, which the server must offer.
    #[default]
    Starttls,
    Tls,
    Nessuno,
}

impl MailTls {
    /// The port that goes with it.
    #[must_use]
    pub fn port(self) -> u16 {
        match self {
            MailTls::Starttls => 587,
            MailTls::Tls => 465,
            MailTls::Nessuno => 25,
        }
    }
}

/// `[[ente.avvisi]]`: who is told of what, and when.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoticeRule {
    /// Words of [`AlertKind`]; none: every kind.
    #[serde(default)]
    pub kinds: Vec<String>,
    /// Only what concerns these flows; none: everything, also what concerns no flow.
    #[serde(default)]
    pub flows: Vec<String>,
    #[serde(default)]
    pub to: Vec<String>,
    /// Once a day at that hour of Rome; without it, at once.
    #[serde(default)]
    pub at: Option<Time>,
    /// Nobody is told of these, whatever other rules say.
    #[serde(default)]
    pub off: bool,
}

impl NoticeRule {
    /// Whether the rule speaks of such alerts.
    #[must_use]
    pub fn covers(&self, kind: AlertKind, flow: Option<&str>) -> bool {
        let kinds = self.kinds.is_empty() || self.kinds.iter().any(|word| word == kind.as_str());
        kinds && (self.flows.is_empty() || flow.is_some_and(|flow| self.flows.iter().any(|own| own == flow)))
    }
}

/// An address or `Name <address>`; ASCII only, because servers that take others are rare.
#[must_use]
pub fn read_mailbox(text: &str) -> Option<Mailbox> {
    let mailbox = text.parse::<Mailbox>().ok()?;
    let plain = !text.contains(char::is_control) && text.len() <= 300;
    (plain && AsRef::<str>::as_ref(&mailbox.email).is_ascii()).then_some(mailbox)
}

/// A bare address.
#[must_use]
pub fn read_address(text: &str) -> Option<Address> {
    read_mailbox(text).filter(|mailbox| mailbox.name.is_none() && AsRef::<str>::as_ref(&mailbox.email) == text).map(|mailbox| mailbox.email)
}

/// What may be wrong with them. Sentences are in `text::it::mail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailFault {
    /// Neither a name nor an address of a machine.
    Host,
    Mailbox,
    /// A bare address is wanted.
    Address,
    /// Passwords and references would cross the network unprotected.
    Cleartext {
        host: String,
    },
    /// `user` without `password`, or the other way round.
    HalfLogin,
    /// Rules, and no `[mail]`.
    NoServer,
    /// A rule that is off has neither addresses nor hour.
    Off,
    /// A file that is not there.
    File {
        path: String,
        reason: String,
    },
    /// A template that does not do.
    Template {
        message: String,
    },
}

impl MailFault {
    /// The code printed by `messo check`: never renamed once released.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            MailFault::Host => "SERVER_POSTA_NON_VALIDO",
            MailFault::Mailbox | MailFault::Address => "INDIRIZZO_POSTA_NON_VALIDO",
            MailFault::Cleartext { .. } => "POSTA_IN_CHIARO",
            MailFault::HalfLogin => "ACCESSO_POSTA_INCOMPLETO",
            MailFault::NoServer => "POSTA_NON_CONFIGURATA",
            MailFault::Off => "REGOLA_SPENTA",
            MailFault::File { .. } => "FILE_NON_LEGGIBILE",
            MailFault::Template { .. } => "MODELLO_NON_VALIDO",
        }
    }
}

impl MailConfig {
    /// The port, told or usual.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.tls.port())
    }

    /// Whether the server is this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_loopback(&self.host)
    }

    pub(super) fn check(&self, add: Add<'_>) {
        let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        let name = |host: &str| (1..=253).contains(&host.len()) && host.chars().all(good) && !host.starts_with(['-', '.']);
        if !name(&self.host) && self.host.parse::<std::net::IpAddr>().is_err() {
            add("mail.host", ConfigFault::Mail(MailFault::Host));
        }
        if self.hello.as_ref().is_some_and(|hello| !name(hello)) {
            add("mail.hello", ConfigFault::Mail(MailFault::Host));
        }
        if self.tls == MailTls::Nessuno && !self.is_local() && !self.allow_cleartext {
            add("mail.tls", ConfigFault::Mail(MailFault::Cleartext { host: self.host.chars().take(60).collect() }));
        }
        if let Some(password) = &self.password {
            check_secret(password, "mail.password", add);
        }
        match (&self.user, &self.password) {
            (Some(_), None) => add("mail.user", ConfigFault::Mail(MailFault::HalfLogin)),
            (None, Some(_)) => add("mail.password", ConfigFault::Mail(MailFault::HalfLogin)),
            _ => {}
        }
        for (key, text) in [("mail.from", Some(&self.from)), ("mail.reply_to", self.reply_to.as_ref())] {
            if text.is_some_and(|text| read_mailbox(text).is_none()) {
                add(key, ConfigFault::Mail(MailFault::Mailbox));
            }
        }
        check_addresses("mail.to", &self.to, add);
        for (key, path, folder) in [("mail.ca", &self.ca, false), ("mail.templates", &self.templates, true)] {
            let Some(path) = path else { continue };
            let reason = match std::fs::metadata(path) {
                Err(error) => super::folders::reason(&error),
                Ok(found) if folder && !found.is_dir() => "non è una cartella".to_owned(),
                Ok(found) if !folder && !found.is_file() => "non è un file".to_owned(),
                Ok(_) => continue,
            };
            add(key, ConfigFault::Mail(MailFault::File { path: path.display().to_string(), reason }));
        }
    }
}

fn check_addresses(key: &str, list: &[String], add: Add<'_>) {
    for (number, address) in list.iter().enumerate() {
        if read_address(address).is_none() {
            add(&format!("{key}[{number}]"), ConfigFault::Mail(MailFault::Address));
        }
    }
}

/// The rules of one ente; `at` is its key.
pub(super) fn check_rules(at: &str, rules: &[NoticeRule], flows: &[String], has_server: bool, add: Add<'_>) {
    for (index, rule) in rules.iter().enumerate() {
        let at = format!("{at}.avvisi[{index}]");
        for (number, word) in rule.kinds.iter().enumerate() {
            if !AlertKind::ALL.iter().any(|kind| kind.as_str() == word) {
                let found = word.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                let allowed = AlertKind::ALL.iter().map(|kind| kind.as_str()).collect();
                add(&format!("{at}.kinds[{number}]"), ConfigFault::Shape(ShapeFault::NotOneOf { found, allowed }));
            }
        }
        for (number, flow) in rule.flows.iter().enumerate() {
            if !flows.contains(flow) {
                let name = flow.chars().take(40).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
                add(&format!("{at}.flows[{number}]"), ConfigFault::UnknownFlow { name });
            }
        }
        check_addresses(&format!("{at}.to"), &rule.to, add);
        match rule.off {
            true if !rule.to.is_empty() || rule.at.is_some() => add(&format!("{at}.off"), ConfigFault::Mail(MailFault::Off)),
            false if rule.to.is_empty() => add(&format!("{at}.to"), ConfigFault::Empty),
            _ => {}
        }
        if !has_server {
            add(&at, ConfigFault::Mail(MailFault::NoServer));
        }
    }
}

/// The keys of `[mail]`.
pub(super) const MAIL: &[Key] = &[
    need("host", Kind::Text),
    may("port", Kind::Whole(1, 65_535)),
    may("tls", Kind::Word(&["starttls", "tls", "nessuno"])),
    may("allow_cleartext", Kind::Flag),
    may("user", Kind::Text),
    may("password", Kind::Text),
    may("ca", Kind::Text),
    need("from", Kind::Text),
    may("reply_to", Kind::Text),
    may("to", Kind::Texts),
    may("timeout_s", Kind::Whole(1, 600)),
    may("message_timeout_s", Kind::Whole(1, 1_200)),
    may("hello", Kind::Text),
    may("templates", Kind::Text),
    may("collect_minutes", Kind::Whole(1, 1_440)),
];

/// The keys of `[[ente.avvisi]]`.
pub(super) const RULE: &[Key] =
    &[may("kinds", Kind::Texts), may("flows", Kind::Texts), may("to", Kind::Texts), may("at", Kind::TimeOfDay), may("off", Kind::Flag)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain_and_mailboxes_may_have_a_name() {
        let table = [
            ("ced@comune.esempio.it", true, true),
            ("messo <messo@comune.esempio.it>", true, false),
            ("\"Comune di Esempio\" <messo@comune.esempio.it>", true, false),
            ("ced@localhost", true, true),
            ("ced", false, false),
            ("ced@", false, false),
            ("ced@comune.esempio.it, altro@comune.esempio.it", false, false),
            ("ced@comune.esempio.it\r\nBcc: x@y.it", false, false),
            ("città@comune.esempio.it", false, false),
            ("<ced@comune.esempio.it>", true, false),
            ("", false, false),
        ];
        for (text, mailbox, address) in table {
            assert_eq!((read_mailbox(text).is_some(), read_address(text).is_some()), (mailbox, address), "{text:?}");
        }
    }

    #[test]
    fn a_rule_covers_kinds_and_flows() {
        let rule = |kinds: &[&str], flows: &[&str]| NoticeRule {
            kinds: kinds.iter().map(ToString::to_string).collect(),
            flows: flows.iter().map(ToString::to_string).collect(),
            to: vec!["a@b.it".into()],
            at: None,
            off: false,
        };
        let table = [
            (rule(&[], &[]), AlertKind::Disk, None, true),
            (rule(&["lotti"], &[]), AlertKind::Batch, Some("cds"), true),
            (rule(&["lotti"], &[]), AlertKind::Person, Some("cds"), false),
            (rule(&[], &["cds"]), AlertKind::Person, Some("cds"), true),
            (rule(&[], &["cds"]), AlertKind::Person, Some("tari"), false),
            (rule(&[], &["cds"]), AlertKind::Remote, None, false),
        ];
        for (rule, kind, flow, want) in table {
            assert_eq!(rule.covers(kind, flow), want, "{rule:?} {kind} {flow:?}");
        }
    }
}
