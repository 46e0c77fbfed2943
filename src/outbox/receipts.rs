//! `ricevute/`: what became of a drop, in XML for the gestionale and in plain text for the office.
//!
//! Problems come as a stream and leave as one: a hundred thousand of them need the memory of one. Their sentences are
//! the caller's ([`Sentences`]).

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;

use super::names::{readable, short, stamp, stem};
use super::{wrap, xml};
use crate::batch::problem::{Problem, Severity};
use crate::domain::digest::Sha256;
use crate::domain::ids::BatchId;
use crate::domain::outcome::ReceiptState;
use crate::text::it::receipts as it;

/// Namespace of `schemas/messo-ricevuta-1.0.xsd`.
pub const NAMESPACE: &str = "urn:messo:ricevuta:1.0";
/// Problems that the text names; the XML names all.
pub const PROBLEMS_IN_TEXT: u64 = 1_000;
/// What became of a drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub state: ReceiptState,
    pub drop: BatchId,
    /// The name it was dropped under.
    pub original_name: String,
    /// Name of the gestionale.
    pub source: String,
    pub received_at: Timestamp,
    pub finished_at: Timestamp,
    /// Digest of the drop. `None`: it could not be read whole.
    pub sha256: Option<Sha256>,
    /// Bytes.
    pub size: u64,
    /// Layout recognised.
    pub layout: Option<String>,
    /// The enti that its acts name, as far as they are known.
    pub institutions: Vec<ReceiptInstitution>,
    /// Flow: name and title.
    pub flow: Option<(String, String)>,
    /// Dropped in `in/prova/`: nothing is sent.
    pub dry_run: bool,
    /// Acts found = accepted + refused + duplicates.
    pub acts: u64,
    pub accepted: u64,
    pub refused: u64,
    /// Acts known already with the same content: neither taken again nor refused.
    pub duplicates: u64,
    /// Warnings among the problems.
    pub warnings: u64,
    pub duplicate_of: Option<DuplicateOf>,
    /// One for each ente of the accepted acts, when they leave by themselves.
    pub forecasts: Vec<Forecast>,
    /// Why accepted acts do not leave at once, in Italian.
    pub held: Option<String>,
    /// How many problems the stream holds.
    pub problems_total: u64,
    /// Name of the file in `scarti/`, when there is one.
    pub rejects_file: Option<String>,
}

/// An ente, with the world its acts go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceiptInstitution {
    pub tax_id: String,
    pub denomination: String,
    /// `COLLAUDO` or `PRODUZIONE`.
    pub environment: String,
}

/// The drop that had the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DuplicateOf {
    pub drop: BatchId,
    pub original_name: String,
    pub received_at: Timestamp,
}

/// When the last act of an ente is expected to leave for SEND.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forecast {
    /// Tax id of the ente.
    pub tax_id: String,
    /// Rome date; `None`: its limits never let it.
    pub last_send: Option<Date>,
}

/// Sentences for problems: `text::it::problems` in the product.
pub trait Sentences {
    /// What is wrong.
    fn sentence(&self, problem: &Problem) -> String;
    /// What to do about it.
    fn remedy(&self, code: &str) -> String;
}

impl<S: Fn(&Problem) -> String, R: Fn(&str) -> String> Sentences for (S, R) {
    fn sentence(&self, problem: &Problem) -> String {
        (self.0)(problem)
    }

    fn remedy(&self, code: &str) -> String {
        (self.1)(code)
    }
}

/// `20261122T180102_b302099a8057_tari-novembre_PARZIALE.xml`: Rome time of arrival, drop, its name, what became of it.
/// At most 120 bytes, safe on Windows shares.
pub fn receipt_name(received_at: Timestamp, drop: BatchId, original_name: &str, state: ReceiptState, extension: &str) -> String {
    format!("{}_{}_{}_{}.{extension}", stamp(received_at), short(drop), stem(original_name, 64), state)
}

/// The word that receipts print for a severity.
pub fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "ERRORE",
        Severity::Warning => "AVVISO",
    }
}

/// The receipt as XML, with every problem. Fails when the stream does not hold `problems_total` of them.
pub fn write_xml(
    receipt: &Receipt,
    problems: &mut dyn Iterator<Item = Problem>,
    sentences: &dyn Sentences,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ricevuta");
    xml::attribute(&mut text, "xmlns", NAMESPACE);
    xml::attribute(&mut text, "versione", "1.0");
    text.push_str(">\n");
    let element = |text: &mut String, name: &str, value: &str| {
        xml::element(text, name, value);
        text.push('\n');
    };
    element(&mut text, "stato", receipt.state.as_str());
    element(&mut text, "descrizione", it::receipt_state(receipt.state));
    element(&mut text, "avvertenza", it::NOT_SERVICE);
    element(&mut text, "prova", if receipt.dry_run { "true" } else { "false" });
    text.push_str("<deposito>");
    xml::plain(&mut text, "lotto", receipt.drop);
    xml::element(&mut text, "nome", &receipt.original_name);
    xml::element(&mut text, "gestionale", &receipt.source);
    xml::plain(&mut text, "ricevuto_utc", receipt.received_at);
    xml::plain(&mut text, "elaborato_utc", receipt.finished_at);
    if let Some(sha256) = receipt.sha256 {
        xml::plain(&mut text, "sha256", sha256);
    }
    xml::plain(&mut text, "dimensione", receipt.size);
    if let Some(layout) = &receipt.layout {
        xml::element(&mut text, "tracciato", layout);
    }
    if let Some((name, title)) = &receipt.flow {
        text.push_str("<flusso");
        xml::attribute(&mut text, "nome", name);
        text.push('>');
        xml::escape(&mut text, title);
        xml::close(&mut text, "flusso");
    }
    text.push_str("</deposito>\n");
    for institution in &receipt.institutions {
        text.push_str("<ente");
        xml::attribute(&mut text, "codice_fiscale", &institution.tax_id);
        xml::attribute(&mut text, "ambiente", &institution.environment);
        text.push('>');
        xml::escape(&mut text, &institution.denomination);
        text.push_str("</ente>\n");
    }
    text.push_str("<conteggi>");
    for (name, count) in [
        ("atti", receipt.acts),
        ("accettati", receipt.accepted),
        ("scartati", receipt.refused),
        ("duplicati", receipt.duplicates),
        ("avvisi", receipt.warnings),
    ] {
        xml::plain(&mut text, name, count);
    }
    text.push_str("</conteggi>\n");
    if let Some(earlier) = &receipt.duplicate_of {
        text.push_str("<duplicato_di>");
        xml::plain(&mut text, "lotto", earlier.drop);
        xml::element(&mut text, "nome", &earlier.original_name);
        xml::plain(&mut text, "ricevuto_utc", earlier.received_at);
        text.push_str("</duplicato_di>\n");
    }
    for forecast in &receipt.forecasts {
        text.push_str("<previsione");
        xml::attribute(&mut text, "ente", &forecast.tax_id);
        if let Some(day) = forecast.last_send {
            xml::attribute(&mut text, "ultimo_invio", &day.to_string());
        }
        text.push('>');
        xml::escape(&mut text, if forecast.last_send.is_some() { it::FORECAST } else { it::NEVER_SENT });
        text.push_str("</previsione>\n");
    }
    if let Some(held) = &receipt.held {
        element(&mut text, "in_attesa", held);
    }
    if let Some(file) = &receipt.rejects_file {
        element(&mut text, "file_scarti", file);
    }
    text.push_str("<problemi");
    xml::attribute(&mut text, "totale", &receipt.problems_total.to_string());
    text.push_str(">\n");
    let mut seen = 0;
    for problem in problems {
        seen += 1;
        write_problem(&mut text, &problem, sentences);
        if text.len() > 1 << 15 {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    text.push_str("</problemi>\n</ricevuta>\n");
    out.write_all(text.as_bytes())?;
    all_seen(seen, receipt.problems_total)
}

fn write_problem(text: &mut String, problem: &Problem, sentences: &dyn Sentences) {
    text.push_str("<problema");
    xml::attribute(text, "gravita", severity_word(problem.severity));
    xml::attribute(text, "codice", &problem.code);
    text.push('>');
    xml::element(text, "file", &problem.file);
    if let Some(row) = problem.row {
        xml::plain(text, "riga", row);
    }
    for (name, value) in [("colonna", &problem.column), ("atto", &problem.act)] {
        if let Some(value) = value {
            xml::element(text, name, value);
        }
    }
    xml::element(text, "frase", &sentences.sentence(problem));
    for (name, value) in [("trovato", &problem.found), ("atteso", &problem.expected)] {
        if let Some(value) = value {
            xml::element(text, name, value);
        }
    }
    xml::element(text, "cosa_fare", &sentences.remedy(&problem.code));
    text.push_str("</problema>\n");
}

/// The receipt as text of 80 columns, with the first [`PROBLEMS_IN_TEXT`] problems, grouped by act.
pub fn write_text(
    receipt: &Receipt,
    problems: &mut dyn Iterator<Item = Problem>,
    sentences: &dyn Sentences,
    out: &mut dyn Write,
) -> io::Result<()> {
    let mut text = String::from("\u{feff}");
    write_summary(&mut text, receipt);
    if receipt.problems_total > 0 {
        text.push_str("\r\n");
        wrap::heading(&mut text, &format!("PROBLEMI TROVATI: {}", receipt.problems_total), '-');
    }
    let (mut seen, mut told) = (0, 0);
    let mut group: Option<Option<String>> = None;
    for problem in problems {
        seen += 1;
        // What refuses the whole file comes last and is always named.
        let whole = problem.row.is_none() && problem.act.is_none() && problem.severity == Severity::Error;
        if told >= PROBLEMS_IN_TEXT && !whole {
            continue; // counted only
        }
        told += 1;
        if group.as_ref() != Some(&problem.act) {
            text.push_str("\r\n");
            match &problem.act {
                Some(act) => wrap::paragraph(&mut text, "Atto ", 5, act),
                None => wrap::paragraph(&mut text, "", 0, "Intero file"),
            }
            group = Some(problem.act.clone());
        }
        wrap::paragraph(&mut text, "  ", 4, &format!("{} {}", severity_word(problem.severity), problem.code));
        wrap::labelled(&mut text, 4, "Dove:", 11, &place_of(&problem));
        wrap::labelled(&mut text, 4, "Problema:", 11, &sentences.sentence(&problem));
        wrap::labelled(&mut text, 4, "Cosa fare:", 11, &sentences.remedy(&problem.code));
        if text.len() > 1 << 15 {
            out.write_all(text.as_bytes())?;
            text.clear();
        }
    }
    if seen > told {
        text.push_str(&format!("\r\n…e altri {} nell'XML.\r\n", seen - told));
    }
    out.write_all(text.as_bytes())?;
    all_seen(seen, receipt.problems_total)
}

fn write_summary(text: &mut String, receipt: &Receipt) {
    wrap::heading(text, "RICEVUTA DI DEPOSITO", '=');
    text.push_str("\r\n");
    let line = |text: &mut String, label: &str, value: &str| wrap::labelled(text, 0, label, 20, value);
    line(text, "Stato:", receipt.state.as_str());
    line(text, "", it::receipt_state(receipt.state));
    if receipt.dry_run {
        line(text, "PROVA:", it::DRY_RUN);
    }
    for institution in &receipt.institutions {
        line(text, "Ente:", &format!("{} ({}), ambiente {}", institution.denomination, institution.tax_id, institution.environment));
    }
    text.push_str("\r\n");
    line(text, "File:", &receipt.original_name);
    line(text, "Gestionale:", &receipt.source);
    if let Some((name, title)) = &receipt.flow {
        line(text, "Flusso:", &format!("{title} ({name})"));
    }
    if let Some(layout) = &receipt.layout {
        line(text, "Tracciato:", layout);
    }
    line(text, "Ricevuto il:", &readable(receipt.received_at));
    line(text, "Esaminato il:", &readable(receipt.finished_at));
    line(text, "Lotto:", &receipt.drop.to_string());
    line(text, "Dimensione:", &format!("{} byte", receipt.size));
    if let Some(sha256) = receipt.sha256 {
        // On a line of its own: cut in two it could not be compared.
        text.push_str(&format!("Impronta SHA-256:\r\n  {sha256}\r\n"));
    }
    text.push_str("\r\n");
    for (label, count) in [
        ("Atti nel file:", receipt.acts),
        ("Presi in carico:", receipt.accepted),
        ("Scartati:", receipt.refused),
        ("Già ricevuti:", receipt.duplicates),
        ("Avvisi:", receipt.warnings),
    ] {
        line(text, label, &count.to_string());
    }
    if let Some(file) = &receipt.rejects_file {
        line(text, "Atti scartati in:", &format!("scarti/{file}"));
    }
    if let Some(earlier) = &receipt.duplicate_of {
        let when = readable(earlier.received_at);
        line(text, "Già ricevuto come:", &format!("{} il {when}, lotto {}", earlier.original_name, earlier.drop));
    }
    if let Some(held) = &receipt.held {
        line(text, "In attesa:", held);
    }
    for forecast in &receipt.forecasts {
        let denomination = receipt.institutions.iter().find(|ente| ente.tax_id == forecast.tax_id).map(|ente| ente.denomination.as_str());
        // One ente needs no name.
        let ente = if receipt.forecasts.len() > 1 { format!("{}: ", denomination.unwrap_or(&forecast.tax_id)) } else { String::new() };
        let said = match forecast.last_send {
            Some(day) => format!("previsto entro il {:02}/{:02}/{:04}.", day.day(), day.month(), day.year()),
            None => it::NEVER_SENT.to_owned(),
        };
        line(text, "Ultimo invio:", &format!("{ente}{said}"));
    }
    if receipt.forecasts.iter().any(|forecast| forecast.last_send.is_some()) {
        line(text, "", it::FORECAST);
    }
    text.push_str("\r\n");
    wrap::paragraph(text, "", 0, it::NOT_SERVICE);
}

fn place_of(problem: &Problem) -> String {
    let mut place = problem.file.clone();
    if let Some(row) = problem.row {
        place.push_str(&format!(", riga {row}"));
    }
    if let Some(column) = &problem.column {
        // An XPath begins with `/`, the name of a column does not.
        let label = if column.starts_with('/') { "elemento" } else { "colonna" };
        place.push_str(&format!(", {label} «{column}»"));
    }
    place
}

fn all_seen(seen: u64, total: u64) -> io::Result<()> {
    if seen == total {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{seen} problems where the receipt counts {total}")))
}

#[cfg(test)]
mod tests;
