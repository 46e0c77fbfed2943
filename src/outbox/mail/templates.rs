//! The templates: shipped ones, each of which an operator may replace with a file of the same name.
//!
//! A template may use what [`View`] holds and the filters of minijinja; it reads no file, asks no network, and ends within a number
//! of steps and bytes. HTML is escaped. One that fails while the hub runs is passed over for the shipped one: a mail that looks
//! plain is better than none.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::Path;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use super::view::{NAMES, View};
use super::{Content, Letter, Rendered, sample};
use crate::domain::alert::AlertKind;

/// What is shipped: name and text.
const SHIPPED: &[(&str, &str)] = &[
    ("base.html", include_str!("templates/base.html")),
    ("avviso.txt", include_str!("templates/avviso.txt")),
    ("avviso.html", include_str!("templates/avviso.html")),
    ("riepilogo.txt", include_str!("templates/riepilogo.txt")),
    ("riepilogo.html", include_str!("templates/riepilogo.html")),
    ("rapporto.txt", include_str!("templates/rapporto.txt")),
    ("rapporto.html", include_str!("templates/rapporto.html")),
    ("prova.txt", include_str!("templates/prova.txt")),
    ("prova.html", include_str!("templates/prova.html")),
];

/// Bytes of a template.
const LONGEST: u64 = 64 << 10;
/// Bytes that one renders.
const MOST: usize = 256 << 10;
/// Steps of one rendering: the longest report takes a hundredth.
const FUEL: u64 = 1_000_000;
/// What the first line of a text template begins with.
const SUBJECT: &str = "Oggetto:";
/// Characters of a subject.
const LONGEST_SUBJECT: usize = 160;
/// Names that minijinja itself brings.
const OWN_NAMES: &[&str] = &["range", "dict", "namespace", "debug", "loop", "super", "self", "caller"];

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// Name of the file.
    pub name: String,
    /// From 1.
    pub line: u32,
    /// Italian.
    pub message: String,
}

/// Templates, ready.
pub struct Templates {
    shipped: Environment<'static>,
    /// With the operator's in their place; `None`: there are none.
    own: Option<Environment<'static>>,
}

impl Default for Templates {
    fn default() -> Self {
        Templates { shipped: environment(&BTreeMap::new()).0, own: None }
    }
}

impl Templates {
    /// The shipped ones, with those of the folder in their place. What is wrong there is told, and not used.
    #[must_use]
    pub fn load(folder: Option<&Path>) -> (Templates, Vec<TemplateFault>) {
        let mut templates = Templates::default();
        let Some(folder) = folder else { return (templates, Vec::new()) };
        let (sources, mut faults) = read_folder(folder);
        let (own, more) = environment(&sources);
        faults.extend(more);
        if !sources.is_empty() {
            faults.extend(judge(&own, &sources));
            templates.own = Some(own);
        }
        faults.sort_by(|a, b| (&a.name, a.line).cmp(&(&b.name, b.line)));
        faults.dedup();
        (templates, faults)
    }

    /// The letter in words. When the operator's template fails, what it says is the second answer.
    #[must_use]
    pub fn render(&self, letter: &Letter) -> (Rendered, Option<TemplateFault>) {
        let view = Value::from(Serde(View::of(letter)));
        let mut failed = None;
        if let Some(own) = &self.own {
            match render(own, letter, &view) {
                Ok(rendered) => return (rendered, None),
                Err(fault) => failed = Some(fault),
            }
        }
        // The shipped ones are tested with every kind; should one fail all the same, the title still goes.
        let rendered = render(&self.shipped, letter, &view).unwrap_or_else(|fault| {
            let title = View::of(letter).titolo;
            let rendered = Rendered { subject: format!("[messo] {title}"), text: format!("{title}\n"), html: String::new() };
            failed.get_or_insert(fault);
            rendered
        });
        (rendered, failed)
    }
}

/// The name of a letter's template, its own kind's first.
fn stems(letter: &Letter) -> Vec<String> {
    match letter.content {
        Content::One(_) => vec![format!("avviso-{}", letter.kind), "avviso".to_owned()],
        Content::Digest(_) => vec!["riepilogo".to_owned()],
        Content::Report(..) => vec!["rapporto".to_owned()],
        Content::Proof => vec!["prova".to_owned()],
    }
}

fn is_known(name: &str) -> bool {
    let own_kind = |name: &str| {
        let kind = name.strip_prefix("avviso-")?.strip_suffix(".txt").or(name.strip_prefix("avviso-")?.strip_suffix(".html"))?;
        AlertKind::ALL.iter().find(|known| known.as_str() == kind)
    };
    SHIPPED.iter().any(|(known, _)| *known == name) || own_kind(name).is_some()
}

/// The operator's files: name and text.
fn read_folder(folder: &Path) -> (BTreeMap<String, String>, Vec<TemplateFault>) {
    let (mut sources, mut faults) = (BTreeMap::new(), Vec::new());
    let mut fault = |name: &str, message: String| faults.push(TemplateFault { name: name.to_owned(), line: 1, message });
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => {
            fault("", format!("la cartella non si legge ({error})"));
            return (sources, faults);
        }
    };
    for entry in entries.flatten().take(1_000) {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') || !(name.ends_with(".txt") || name.ends_with(".html")) {
            continue;
        }
        if !is_known(&name) {
            let known: Vec<&str> = SHIPPED.iter().map(|(known, _)| *known).collect();
            fault(
                &name,
                format!("nessun modello ha questo nome (sono {}; avviso-GENERE.txt e .html per un solo genere)", known.join(", ")),
            );
            continue;
        }
        let mut text = String::new();
        let read = std::fs::File::open(entry.path()).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::InvalidData => fault(&name, "non è un testo UTF-8".to_owned()),
            Err(error) => fault(&name, format!("non si legge ({error})")),
            Ok(_) if text.len() as u64 > LONGEST => fault(&name, "è più grande di 64 KiB".to_owned()),
            Ok(_) => drop(sources.insert(name, text)),
        }
    }
    (sources, faults)
}

/// The shipped templates with `sources` in their place.
fn environment(sources: &BTreeMap<String, String>) -> (Environment<'static>, Vec<TemplateFault>) {
    let mut environment = Environment::new();
    let mut faults = Vec::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_debug(true);
    environment.set_recursion_limit(100);
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    for (name, text) in SHIPPED {
        if let Err(error) = environment.add_template(name, text) {
            faults.push(fault_of(name, &error));
        }
    }
    for (name, text) in sources {
        if let Err(error) = environment.add_template_owned(name.clone(), text.clone()) {
            faults.push(fault_of(name, &error));
        }
    }
    (environment, faults)
}

/// Names that are not there, and what the samples of every kind bring to light.
fn judge(environment: &Environment<'_>, sources: &BTreeMap<String, String>) -> Vec<TemplateFault> {
    let mut faults = Vec::new();
    for name in sources.keys() {
        let Ok(template) = environment.get_template(name) else { continue };
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|word| !NAMES.contains(&word.as_str()) && !OWN_NAMES.contains(&word.as_str()));
        unknown.sort();
        for word in unknown {
            let line = line_of(template.source(), &word);
            faults.push(TemplateFault { name: name.clone(), line, message: format!("«{word}» non è un nome conosciuto") });
        }
    }
    let named: Vec<String> = faults.iter().map(|fault| fault.name.clone()).collect();
    for letter in sample::letters() {
        let view = Value::from(Serde(View::of(&letter)));
        if let Err(fault) = render(environment, &letter, &view)
            && sources.contains_key(&fault.name)
            && !named.contains(&fault.name)
            && !faults.iter().any(|known| known.name == fault.name && known.line == fault.line)
        {
            faults.push(fault);
        }
    }
    faults
}

fn render(environment: &Environment<'_>, letter: &Letter, view: &Value) -> Result<Rendered, TemplateFault> {
    let one = |ending: &str| {
        let names: Vec<String> = stems(letter).into_iter().map(|stem| format!("{stem}.{ending}")).collect();
        let template = names.iter().find_map(|name| environment.get_template(name).ok());
        let name = names.last().cloned().unwrap_or_default();
        let template = template.ok_or_else(|| TemplateFault { name, line: 1, message: "il modello manca".to_owned() })?;
        let mut out = Bounded(Vec::new());
        template.render_captured_to(view.clone(), &mut out).map_err(|error| fault_of(template.name(), &error))?;
        let text = String::from_utf8_lossy(&out.0).into_owned();
        Ok((template.name().to_owned(), text))
    };
    let (name, written) = one("txt")?;
    let (_, html) = one("html")?;
    let (first, rest) = written.split_once('\n').unwrap_or((&written, ""));
    let Some(subject) = first.strip_prefix(SUBJECT) else {
        return Err(TemplateFault { name, line: 1, message: format!("la prima riga deve cominciare con «{SUBJECT}»") });
    };
    let subject = subject.trim().chars().take(LONGEST_SUBJECT).collect();
    Ok(Rendered { subject, text: squeezed(rest), html })
}

/// Without blanks at the end of lines, and never two empty lines together: a template need not count them.
fn squeezed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut empty = true;
    for line in text.lines().map(str::trim_end) {
        if !(line.is_empty() && empty) {
            out.push_str(line);
            out.push('\n');
        }
        empty = line.is_empty();
    }
    out
}

/// The error in Italian, where it is.
fn fault_of(name: &str, error: &Error) -> TemplateFault {
    // What happens in an included template is there; a template that is included by it is named by the innermost cause.
    let mut innermost = error;
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        if let Some(inner) = inner.downcast_ref::<Error>() {
            innermost = inner;
        }
        cause = inner.source();
    }
    let what = match innermost.kind() {
        ErrorKind::SyntaxError => "errore di sintassi",
        ErrorKind::UndefinedError => "un nome non esiste, o non ha valore",
        ErrorKind::UnknownFilter => "filtro sconosciuto",
        ErrorKind::UnknownFunction => "funzione sconosciuta",
        ErrorKind::UnknownMethod => "metodo sconosciuto",
        ErrorKind::UnknownTest => "prova («is») sconosciuta",
        ErrorKind::TemplateNotFound => "modello incluso che non esiste",
        ErrorKind::OutOfFuel => "troppi passi: un ciclo che non finisce?",
        ErrorKind::WriteFailure => "scrive più di 256 KiB",
        _ => "errore",
    };
    let detail = innermost.detail().map(|detail| format!(" ({})", detail.replace(char::is_control, " "))).unwrap_or_default();
    TemplateFault {
        name: innermost.name().unwrap_or(name).to_owned(),
        line: innermost.line().and_then(|line| u32::try_from(line).ok()).unwrap_or(1).max(1),
        message: format!("{what}{detail}"),
    }
}

/// The first line that has that word.
fn line_of(source: &str, word: &str) -> u32 {
    let found = source.lines().position(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_').any(|own| own == word));
    found.and_then(|index| u32::try_from(index + 1).ok()).unwrap_or(1)
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
