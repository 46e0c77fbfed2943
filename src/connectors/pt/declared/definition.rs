//! The description of a declared PT: one TOML, read as a whole, every problem with its line.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::answer::{Format, Meaning, Place};
use super::template::{self, Template, Templates};
use crate::config::{DescriptionFault, PtConfig};
use crate::domain::position::HeldState;
use crate::flow::shape::{Document, Key, Kind, Located, may, need};

/// How an amount is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Amounts {
    /// `1250`
    #[serde(rename = "centesimi")]
    Cents,
    /// `12.50`
    #[serde(rename = "punto")]
    Point,
    /// `12,50`
    #[serde(rename = "virgola")]
    Comma,
}

/// How a day is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum Dates {
    /// `2026-11-23`
    #[default]
    #[serde(rename = "iso")]
    Iso,
    /// `23/11/2026`
    #[serde(rename = "italiana")]
    Italian,
    /// `20261123`
    #[serde(rename = "compatta")]
    Compact,
}

/// How we are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum AccessKind {
    #[serde(rename = "basic")]
    Basic,
    #[serde(rename = "api_key")]
    ApiKey,
    #[serde(rename = "bearer")]
    Bearer,
    /// The client certificate of the block.
    #[serde(rename = "certificato")]
    Certificate,
    /// Nothing outside the body.
    #[serde(rename = "nessuno")]
    None,
}

/// How a token is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum GrantKind {
    /// Id and secret in the form.
    #[default]
    #[serde(rename = "modulo")]
    Form,
    /// By HTTP Basic.
    #[serde(rename = "basic")]
    Basic,
    /// In the address.
    #[serde(rename = "indirizzo")]
    Query,
}

/// `[access]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    pub kind: AccessKind,
    /// Of an API key.
    #[serde(default)]
    pub header: Option<String>,
    /// What stands before the key in its header.
    #[serde(default)]
    pub prefix: String,
    /// Of a bearer.
    #[serde(default)]
    pub scope: Option<String>,
    /// Of a bearer.
    #[serde(default)]
    pub grant: GrantKind,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format,
    amounts: Amounts,
    #[serde(default)]
    dates: Dates,
    access: Access,
    verify: RawOperation,
    #[serde(default)]
    update: Option<RawOperation>,
    #[serde(default)]
    cancel: Option<RawOperation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOperation {
    method: String,
    path: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    answer: RawAnswer,
    #[serde(default)]
    states: BTreeMap<String, String>,
    #[serde(default)]
    errors: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawAnswer {
    error: Vec<String>,
    fine: Vec<String>,
    state: Option<String>,
    found: Option<String>,
    no_echo: bool,
    notice: Option<String>,
    iuv: Option<String>,
    creditor: Option<String>,
    amount: Option<String>,
    position_id: Option<String>,
    due_date: Option<String>,
    paid_at: Option<String>,
    paid_amount: Option<String>,
    receipt: Option<String>,
    ticket: Option<String>,
    keep: BTreeMap<String, String>,
}

const STATES: &[&str] = &["PAGABILE", "NON_ATTIVA", "IN_PAGAMENTO", "PAGATA", "ANNULLATA", "SCADUTA"];

const KEYS: &[Key] = &[
    need("format", Kind::Word(&["json", "xml"])),
    need("amounts", Kind::Word(&["centesimi", "punto", "virgola"])),
    may("dates", Kind::Word(&["iso", "italiana", "compatta"])),
    need(
        "access",
        Kind::Table(&[
            need("kind", Kind::Word(&["basic", "api_key", "bearer", "certificato", "nessuno"])),
            may("header", Kind::Text),
            may("prefix", Kind::Text),
            may("scope", Kind::Text),
            may("grant", Kind::Word(&["modulo", "basic", "indirizzo"])),
        ]),
    ),
    need("verify", Kind::Table(VERIFY)),
    may("update", Kind::Table(CHANGE)),
    may("cancel", Kind::Table(CHANGE)),
];
const METHODS: Kind = Kind::Word(&["GET", "POST", "PUT", "PATCH", "DELETE"]);
const VERIFY: &[Key] = &[
    need("method", METHODS),
    need("path", Kind::Text),
    may("body", Kind::Text),
    may("content_type", Kind::Text),
    may("headers", Kind::TextMap),
    need(
        "answer",
        Kind::Table(&[
            may("error", Kind::Texts),
            may("fine", Kind::Texts),
            may("state", Kind::Text),
            may("found", Kind::Word(STATES)),
            may("no_echo", Kind::Flag),
            may("notice", Kind::Text),
            may("iuv", Kind::Text),
            may("creditor", Kind::Text),
            may("amount", Kind::Text),
            may("position_id", Kind::Text),
            may("due_date", Kind::Text),
            may("paid_at", Kind::Text),
            may("paid_amount", Kind::Text),
            may("receipt", Kind::Text),
            may("keep", Kind::TextMap),
        ]),
    ),
    may("states", Kind::TextMap),
    may("errors", Kind::TextMap),
];
const CHANGE: &[Key] = &[
    need("method", METHODS),
    need("path", Kind::Text),
    may("body", Kind::Text),
    may("content_type", Kind::Text),
    may("headers", Kind::TextMap),
    need(
        "answer",
        Kind::Table(&[
            may("error", Kind::Texts),
            may("fine", Kind::Texts),
            may("notice", Kind::Text),
            may("iuv", Kind::Text),
            may("ticket", Kind::Text),
        ]),
    ),
    may("errors", Kind::TextMap),
];

/// A description without problems.
#[derive(Debug)]
pub struct Definition {
    pub format: Format,
    pub amounts: Amounts,
    pub dates: Dates,
    pub access: Access,
    pub verify: Operation,
    pub update: Option<Operation>,
    pub cancel: Option<Operation>,
    pub templates: Templates,
}

/// One thing that can be asked of the PT.
#[derive(Debug)]
pub struct Operation {
    pub method: reqwest::Method,
    pub path: Template,
    pub body: Option<Template>,
    pub content_type: HeaderValue,
    pub headers: Vec<(HeaderName, Template)>,
    pub answer: Places,
    /// What the PT calls a state, and what it is.
    pub states: BTreeMap<String, HeldState>,
    /// The PT's own code, or `HTTP 404`.
    pub errors: BTreeMap<String, Meaning>,
}

/// Where things are in an answer.
#[derive(Debug, Default)]
pub struct Places {
    pub error: Vec<Place>,
    /// Codes that mean that all is well.
    pub fine: BTreeSet<String>,
    pub state: Option<Place>,
    /// What a position is that the PT tells of without a state.
    pub found: Option<HeldState>,
    pub notice: Option<Place>,
    pub iuv: Option<Place>,
    pub creditor: Option<Place>,
    pub amount: Option<Place>,
    pub position_id: Option<Place>,
    pub due_date: Option<Place>,
    pub paid_at: Option<Place>,
    pub paid_amount: Option<Place>,
    pub receipt: Option<Place>,
    pub ticket: Option<Place>,
    pub keep: BTreeMap<String, Place>,
}

/// Collects problems, each at the line of its key.
struct Reader<'t> {
    text: &'t str,
    file: &'t str,
    lines: Box<dyn Fn(&str) -> u32 + 't>,
    faults: Vec<Located<DescriptionFault>>,
}

impl Reader<'_> {
    fn add(&mut self, key: &str, fault: DescriptionFault) {
        self.add_at((self.lines)(key), key, fault);
    }

    fn add_at(&mut self, line: u32, key: &str, fault: DescriptionFault) {
        self.faults.push(Located { file: self.file.to_owned(), line, key: key.to_owned(), fault });
    }

    /// A line inside the text at `key`: texts in three quotes begin on the line after.
    fn add_inside(&mut self, key: &str, inside: u32, fault: DescriptionFault) {
        let line = (self.lines)(key);
        let own = self.text.lines().nth(usize::try_from(line.saturating_sub(1)).unwrap_or(0)).unwrap_or_default().trim_end();
        let below = u32::from(own.ends_with("\"\"\"") || own.ends_with("'''"));
        let many = below == 1 || own.contains("\"\"\"") || own.contains("'''");
        self.add_at(if many { line + below + inside.saturating_sub(1) } else { line }, key, fault);
    }
}

impl Definition {
    /// Reads a description; `file` is what it is called in problems.
    pub fn read(text: &str, file: &str) -> Result<Definition, Vec<Located<DescriptionFault>>> {
        let mut document = Document::read(text, KEYS);
        let whole = document.whole::<File>();
        let shape: Vec<_> = document.faults.clone();
        let mut reader = Reader { text, file, lines: Box::new(move |key| document.line_of(key)), faults: Vec::new() };
        for (line, key, fault) in shape {
            reader.add_at(line, &key, DescriptionFault::Shape(fault));
        }
        let definition = whole.and_then(|file| file.check(&mut reader));
        match definition {
            Some(definition) if reader.faults.is_empty() => Ok(definition),
            _ => {
                reader.faults.sort_by_key(|fault| fault.line);
                Err(reader.faults)
            }
        }
    }

    /// Credentials that the description uses and the block does not have.
    #[must_use]
    pub fn missing(&self, config: &PtConfig) -> Option<&'static str> {
        let wanted: &[(&'static str, bool)] = match self.access.kind {
            AccessKind::Basic => &[("username", config.username.is_some()), ("password", config.password.is_some())],
            AccessKind::ApiKey => &[("api_key", config.api_key.is_some())],
            AccessKind::Bearer => &[("token_url", config.token_url.is_some())],
            AccessKind::Certificate => &[("identity", config.identity.is_some())],
            AccessKind::None => &[],
        };
        let in_body = [
            ("accesso.utente", "username", config.username.is_some()),
            ("accesso.password", "password", config.password.is_some()),
            ("accesso.chiave", "api_key", config.api_key.is_some()),
        ];
        let operations = || std::iter::once(&self.verify).chain(&self.update).chain(&self.cancel);
        let said = |words: &str| operations().any(|operation| self.templates.says(operation, words));
        let outside = wanted.iter().find(|(_, there)| !there).map(|(key, _)| *key);
        outside.or_else(|| in_body.into_iter().find(|(words, _, there)| !there && said(words)).map(|(_, key, _)| key))
    }
}

impl File {
    fn check(self, reader: &mut Reader<'_>) -> Option<Definition> {
        let access = &self.access;
        match (access.kind, &access.header) {
            (AccessKind::ApiKey, None) => reader.add("access", DescriptionFault::Wanted { key: "header" }),
            (AccessKind::ApiKey, Some(header)) if HeaderName::from_bytes(header.as_bytes()).is_err() => {
                reader.add("access.header", DescriptionFault::Header);
            }
            _ => {}
        }
        if HeaderValue::from_str(&access.prefix).is_err() {
            reader.add("access.prefix", DescriptionFault::Header);
        }
        let mut templates = Templates::new(self.format);
        let answer = &self.verify.answer;
        let kept: BTreeSet<String> = answer.keep.keys().cloned().collect();
        if answer.state.is_none() && answer.found.is_none() {
            reader.add("verify.answer", DescriptionFault::Wanted { key: "state" });
        }
        if answer.state.is_some() && self.verify.states.is_empty() {
            reader.add("verify", DescriptionFault::Wanted { key: "[verify.states]" });
        }
        if answer.notice.is_none() && answer.iuv.is_none() && !answer.no_echo {
            reader.add("verify.answer", DescriptionFault::NoEcho);
        }
        let mut operation =
            |raw: Option<RawOperation>, name: &'static str| raw.map(|raw| raw.check(name, self.format, &mut templates, reader));
        let verify = operation(Some(self.verify), "verify");
        let update = operation(self.update, "update");
        let cancel = operation(self.cancel, "cancel");
        let (verify, update, cancel) = (verify??, flat(update)?, flat(cancel)?);
        let definition = Definition {
            format: self.format,
            amounts: self.amounts,
            dates: self.dates,
            access: self.access,
            verify,
            update,
            cancel,
            templates,
        };
        for (key, line, fault) in template::judge(&definition, &kept) {
            reader.add_inside(&key, line, fault);
        }
        Some(definition)
    }
}

/// Absent is fine, broken is not.
fn flat<T>(found: Option<Option<T>>) -> Option<Option<T>> {
    match found {
        None => Some(None),
        Some(None) => None,
        Some(some) => Some(some),
    }
}

impl RawOperation {
    fn check(self, name: &'static str, format: Format, templates: &mut Templates, reader: &mut Reader<'_>) -> Option<Operation> {
        let before = reader.faults.len();
        let key = |rest: &str| format!("{name}.{rest}");
        let mut template = |rest: &str, text: String, reader: &mut Reader<'_>| {
            templates.add(&key(rest), text).map_err(|(line, fault)| reader.add_inside(&key(rest), line, fault)).ok()
        };
        let path = template("path", self.path, reader);
        let body = self.body.map(|text| template("body", text, reader));
        let mut headers = Vec::new();
        for (header, text) in self.headers {
            let at = format!("headers.{header}");
            match HeaderName::from_bytes(header.as_bytes()) {
                Ok(header) => headers.extend(template(&at, text, reader).map(|template| (header, template))),
                Err(_) => reader.add(&key(&at), DescriptionFault::Header),
            }
        }
        let usual = match format {
            Format::Json => "application/json",
            Format::Xml => "text/xml; charset=utf-8",
        };
        let content_type = HeaderValue::from_str(self.content_type.as_deref().unwrap_or(usual));
        if content_type.is_err() {
            reader.add(&key("content_type"), DescriptionFault::Header);
        }
        let mut states = BTreeMap::new();
        for (word, state) in self.states {
            match state.parse::<HeldState>() {
                Ok(state) => drop(states.insert(word, state)),
                Err(_) => reader.add(&key(&format!("states.{word}")), DescriptionFault::Word { allowed: STATES.to_vec() }),
            }
        }
        let mut errors = BTreeMap::new();
        for (code, meaning) in self.errors {
            match Meaning::read(&meaning) {
                Some(meaning) => drop(errors.insert(code, meaning)),
                None => {
                    let allowed = Meaning::WORDS.iter().chain(STATES).copied().collect();
                    reader.add(&key(&format!("errors.{code}")), DescriptionFault::Word { allowed });
                }
            }
        }
        let answer = self.answer.check(name, format, reader);
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).ok()?;
        if reader.faults.len() > before {
            return None;
        }
        Some(Operation { method, path: path?, body: body.flatten(), content_type: content_type.ok()?, headers, answer, states, errors })
    }
}

impl RawAnswer {
    fn check(self, name: &str, format: Format, reader: &mut Reader<'_>) -> Places {
        let mut place = |rest: &str, text: Option<String>| {
            let text = text?;
            let place = Place::read(format, &text);
            if place.is_none() {
                reader.add(&format!("{name}.answer.{rest}"), DescriptionFault::Place);
            }
            place
        };
        Places {
            state: place("state", self.state),
            notice: place("notice", self.notice),
            iuv: place("iuv", self.iuv),
            creditor: place("creditor", self.creditor),
            amount: place("amount", self.amount),
            position_id: place("position_id", self.position_id),
            due_date: place("due_date", self.due_date),
            paid_at: place("paid_at", self.paid_at),
            paid_amount: place("paid_amount", self.paid_amount),
            receipt: place("receipt", self.receipt),
            ticket: place("ticket", self.ticket),
            error: self.error.into_iter().enumerate().filter_map(|(number, text)| place(&format!("error[{number}]"), Some(text))).collect(),
            keep: self
                .keep
                .into_iter()
                .filter_map(|(name, text)| place(&format!("keep.{name}"), Some(text)).map(|place| (name, place)))
                .collect(),
            found: self.found.and_then(|word| word.parse().ok()),
            fine: self.fine.into_iter().collect(),
        }
    }
}
