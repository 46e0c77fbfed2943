//! The templates of a description: what goes out, with its values in place and escaped as the place wants.
//!
//! A template reads no file and asks no network; it ends within a number of steps and bytes. Each is rendered once with sample data
//! when it is loaded: with all that may be there, and with nothing of what may be missing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use minijinja::value::{Serde, Value, ValueKind};
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, UndefinedBehavior};
use reqwest::header::HeaderValue;
use serde::Serialize;

use super::answer::{Format, well_formed};
use super::definition::{Amounts, Dates, Definition, Operation};
use crate::batch::xml;
use crate::config::{DescriptionFault, TemplateProblem};
use crate::domain::money::Cents;

/// Bytes that one renders.
const MOST: usize = 256 << 10;
/// Steps of one rendering.
const FUEL: u64 = 100_000;
/// Names that minijinja itself brings.
const OWN_NAMES: &[&str] = &["range", "dict", "namespace", "debug", "loop", "super", "self", "caller"];
/// Detail of a value that may be missing: told apart from other failures by it.
const MISSING: &str = "no value";
const NOT_A_TEXT: &str = "not a text";

/// What every template may use. What is `None` may be missing.
#[derive(Debug, Clone, Default, Serialize)]
pub struct View {
    /// What the PT calls the ente.
    pub ente: String,
    pub codice_fiscale_ente: String,
    pub servizio: Option<String>,
    pub avviso: String,
    pub iuv: String,
    pub id_posizione: Option<String>,
    pub tipo_dovuto: Option<String>,
    pub causale: Option<String>,
    pub bilancio: Option<String>,
    pub pagatore: Option<PayerView>,
    pub accesso: AccessView,
    /// Repeats when the same change is repeated.
    pub chiave: String,
    #[serde(flatten)]
    pub cambio: Option<ChangeView>,
    /// What `[verify.answer]` found: the ready names and those of `keep`.
    pub letto: BTreeMap<String, serde_json::Value>,
}

/// A debtor.
#[derive(Debug, Clone, Default, Serialize)]
pub struct PayerView {
    /// `F` or `G`.
    pub tipo: String,
    pub codice_fiscale: String,
    pub denominazione: String,
}

/// Credentials, for PTs that want them in the body.
#[derive(Clone, Default, Serialize)]
pub struct AccessView {
    pub utente: Option<String>,
    pub password: Option<String>,
    pub chiave: Option<String>,
}

impl std::fmt::Debug for AccessView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AccessView(***)")
    }
}

/// Of updates only.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChangeView {
    pub importo: serde_json::Value,
    pub costo: serde_json::Value,
    pub importo_senza_costo: serde_json::Value,
    pub scadenza: Option<String>,
    pub voce_costo: Option<String>,
    pub motivo: String,
}

const ALWAYS: &[&str] = &[
    "ente",
    "codice_fiscale_ente",
    "servizio",
    "avviso",
    "iuv",
    "id_posizione",
    "tipo_dovuto",
    "causale",
    "bilancio",
    "pagatore",
    "accesso",
];
const OF_CHANGES: &[&str] = &["chiave", "letto"];
const OF_UPDATES: &[&str] = &["importo", "costo", "importo_senza_costo", "scadenza", "voce_costo", "motivo"];

/// A template of [`Templates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

/// All templates of a description.
pub struct Templates {
    environment: Environment<'static>,
}

impl std::fmt::Debug for Templates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Templates")
    }
}

impl Templates {
    pub fn new(format: Format) -> Templates {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        environment.set_debug(true);
        environment.set_recursion_limit(50);
        let body = match format {
            Format::Json => "json",
            Format::Xml => "xml",
        };
        environment.set_auto_escape_callback(move |name| {
            AutoEscape::Custom(match name.split('.').nth(1) {
                Some("path") => "url".into(),
                Some("body") => body.into(),
                _ => "plain".into(),
            })
        });
        environment.set_formatter(write_value);
        environment.add_filter("json", |value: Value| {
            // A name that does not exist must not become a null at the PT.
            if value.is_undefined() {
                return Err(Error::from(ErrorKind::UndefinedError));
            }
            let text = serde_json::to_string(&value).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            Ok::<Value, Error>(Value::from_safe_string(text))
        });
        Templates { environment }
    }

    /// Compiles one; `name` is its key. `Err`: the line in it, and what is wrong.
    pub fn add(&mut self, name: &str, text: String) -> Result<Template, (u32, DescriptionFault)> {
        self.environment.add_template_owned(name.to_owned(), text).map_err(|error| fault_of(&error))?;
        Ok(Template(name.to_owned()))
    }

    /// Renders one. `Err`: the line in it, and what is wrong.
    pub fn render(&self, template: &Template, view: &View) -> Result<String, (u32, DescriptionFault)> {
        let template = self.environment.get_template(&template.0).map_err(|error| fault_of(&error))?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(Value::from(Serde(view)), &mut out).map_err(|error| fault_of(&error))?;
        Ok(String::from_utf8_lossy(&out.0).into_owned())
    }

    /// Whether a template of the operation names this.
    pub fn names(&self, operation: &Operation, name: &str) -> bool {
        operation.templates().any(|template| self.named(template).contains(name))
    }

    /// Whether the text of a template has those words.
    pub fn says(&self, operation: &Operation, words: &str) -> bool {
        let text = |template: &Template| self.environment.get_template(&template.0).is_ok_and(|found| found.source().contains(words));
        operation.templates().any(text)
    }

    fn named(&self, template: &Template) -> BTreeSet<String> {
        let found = self.environment.get_template(&template.0);
        found.map(|template| template.undeclared_variables(false).into_iter().collect()).unwrap_or_default()
    }

    /// The first line of a template that has that word.
    fn line_of(&self, template: &Template, word: &str) -> u32 {
        let Ok(template) = self.environment.get_template(&template.0) else { return 1 };
        let own = |line: &str| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|own| own == word);
        template.source().lines().position(own).and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(1)
    }
}

impl Operation {
    fn templates(&self) -> impl Iterator<Item = &Template> {
        std::iter::once(&self.path).chain(&self.body).chain(self.headers.iter().map(|(_, template)| template))
    }
}

/// Writes a value as its place wants it.
fn write_value(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let text = match value.kind() {
        ValueKind::String => value.as_str().unwrap_or_default().to_owned(),
        ValueKind::Number | ValueKind::Bool => value.to_string(),
        ValueKind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        ValueKind::None => return Err(Error::new(ErrorKind::InvalidOperation, MISSING)),
        _ => return Err(Error::new(ErrorKind::InvalidOperation, NOT_A_TEXT)),
    };
    let place = match state.auto_escape() {
        AutoEscape::Custom(place) => place.to_string(),
        _ => String::new(),
    };
    let written = match place.as_str() {
        _ if value.is_safe() => text,
        "json" => {
            let quoted = serde_json::to_string(&text).map_err(|error| Error::new(ErrorKind::BadSerialization, error.to_string()))?;
            quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
        }
        "xml" => xml::escape(&text),
        "url" => percent(&text),
        _ => text,
    };
    out.write_str(&written).map_err(|_| Error::from(ErrorKind::WriteFailure))
}

/// With every byte that is not unreserved (RFC 3986 2.3) as `%XX`.
fn percent(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// An amount as the PT writes it.
pub fn amount(form: Amounts, cents: Cents) -> serde_json::Value {
    match form {
        Amounts::Cents => cents.get().into(),
        Amounts::Point => cents.to_it().replace(',', ".").into(),
        Amounts::Comma => cents.to_it().into(),
    }
}

/// A day as the PT writes it.
pub fn day(form: Dates, day: jiff::civil::Date) -> String {
    let (year, month, number) = (day.year(), day.month(), day.day());
    match form {
        Dates::Iso => format!("{year:04}-{month:02}-{number:02}"),
        Dates::Italian => format!("{number:02}/{month:02}/{year:04}"),
        Dates::Compact => format!("{year:04}{month:02}{number:02}"),
    }
}

/// Sample data: `whole` has all that may be there.
fn sample(definition: &Definition, kept: &BTreeSet<String>, changes: bool, updates: bool, whole: bool) -> View {
    let some = |text: &str| whole.then(|| text.to_owned());
    // With what an escape must not forget.
    let nasty = "Sanzione \"A&B\" <1>\\ c'è";
    let mut letto = BTreeMap::new();
    if changes {
        let ready = ["importo", "id_posizione", "scadenza"].iter().map(ToString::to_string);
        for name in ready.chain(kept.iter().cloned()) {
            letto.insert(name, if whole { serde_json::Value::from("1250") } else { serde_json::Value::Null });
        }
    }
    View {
        ente: "c_esempio".to_owned(),
        codice_fiscale_ente: "02438750586".to_owned(),
        servizio: some("MULTE"),
        avviso: "347250123456789084".to_owned(),
        iuv: "47250123456789084".to_owned(),
        id_posizione: some("A/1 2"),
        tipo_dovuto: some("MULTE"),
        causale: some(nasty),
        bilancio: some(nasty),
        pagatore: whole.then(|| PayerView {
            tipo: "F".to_owned(),
            codice_fiscale: "RSSMRA80A01H501U".to_owned(),
            denominazione: nasty.to_owned(),
        }),
        // Asked of the block: `Definition::missing`.
        accesso: AccessView { utente: Some("messo".to_owned()), password: Some("prova".to_owned()), chiave: Some("prova".to_owned()) },
        chiave: "esempio/1".to_owned(),
        cambio: updates.then(|| ChangeView {
            importo: amount(definition.amounts, Cents(1_250)),
            costo: amount(definition.amounts, Cents(250)),
            importo_senza_costo: amount(definition.amounts, Cents(1_000)),
            scadenza: whole.then(|| day(definition.dates, jiff::civil::date(2026, 11, 23))),
            voce_costo: some("SPESE"),
            motivo: nasty.to_owned(),
        }),
        letto,
    }
}

/// What sample data bring to light: (key, line in its text, fault).
pub fn judge(definition: &Definition, kept: &BTreeSet<String>) -> Vec<(String, u32, DescriptionFault)> {
    let mut faults: Vec<(String, u32, DescriptionFault)> = Vec::new();
    let operations =
        [(Some(&definition.verify), false, false), (definition.update.as_ref(), true, true), (definition.cancel.as_ref(), true, false)];
    for (operation, changes, updates) in operations {
        let Some(operation) = operation else { continue };
        let templates = &definition.templates;
        for template in operation.templates() {
            let known = |name: &str| {
                ALWAYS.contains(&name)
                    || OWN_NAMES.contains(&name)
                    || (changes && OF_CHANGES.contains(&name))
                    || (updates && OF_UPDATES.contains(&name))
            };
            let unknown: Vec<String> = templates.named(template).into_iter().filter(|name| !known(name)).collect();
            for name in &unknown {
                let fault = DescriptionFault::Template { problem: TemplateProblem::UnknownName, detail: name.clone() };
                faults.push((template.0.clone(), templates.line_of(template, name), fault));
            }
            if !unknown.is_empty() {
                continue;
            }
            for whole in [true, false] {
                let view = sample(definition, kept, changes, updates, whole);
                let judged = templates.render(template, &view).and_then(|text| judge_text(definition.format, template, &text));
                if let Err((line, fault)) = judged {
                    let found = (template.0.clone(), line, fault);
                    if !faults.contains(&found) {
                        faults.push(found);
                    }
                }
            }
        }
    }
    faults
}

fn judge_text(format: Format, template: &Template, text: &str) -> Result<(), (u32, DescriptionFault)> {
    match template.0.split('.').nth(1) {
        Some("path") if !text.starts_with('/') || text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
            Err((1, DescriptionFault::Path))
        }
        Some("path") => Ok(()),
        Some("body") => well_formed(format, text).map_err(|(line, detail)| (line, DescriptionFault::Body { detail })),
        _ => HeaderValue::from_str(text).map(|_| ()).map_err(|_| (1, DescriptionFault::Header)),
    }
}

/// The error, where it is in the template.
fn fault_of(error: &Error) -> (u32, DescriptionFault) {
    let detail = error.detail().unwrap_or_default();
    let problem = match error.kind() {
        ErrorKind::SyntaxError => TemplateProblem::Syntax,
        ErrorKind::UndefinedError => TemplateProblem::UnknownName,
        ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction | ErrorKind::UnknownMethod => {
            TemplateProblem::UnknownFilter
        }
        ErrorKind::InvalidOperation if detail == MISSING => TemplateProblem::MayBeMissing,
        ErrorKind::InvalidOperation if detail == NOT_A_TEXT => TemplateProblem::NotAText,
        ErrorKind::TemplateNotFound | ErrorKind::BadInclude => TemplateProblem::Include,
        ErrorKind::OutOfFuel => TemplateProblem::TooManySteps,
        ErrorKind::WriteFailure => TemplateProblem::TooLong,
        _ => TemplateProblem::Other,
    };
    let detail = match problem {
        TemplateProblem::MayBeMissing | TemplateProblem::NotAText => String::new(),
        _ => detail.replace(char::is_control, " ").chars().take(200).collect(),
    };
    let line = error.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1).max(1);
    (line, DescriptionFault::Template { problem, detail })
}

/// Takes so many bytes and no more.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MOST {
            return Err(io::Error::other("too long"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
