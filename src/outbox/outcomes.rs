//! `esiti/`: a range of ledger lines as CSV and as XML, one line per change.
//!
//! One list of columns, [`visit`], feeds both formats. A file is written line by line: a million lines need the memory
//! of one. The writers refuse a range with a hole, because a file once published is never corrected, only followed.

use std::io::{self, Write};

use jiff::Timestamp;

use super::cells::{Euro, Row};
use super::names::{rome, sanitised};
use super::xml;
use crate::domain::digest::Sha256;
use crate::domain::outcome::OutcomeLine;
use crate::domain::send::RefusalReason;
use crate::text::it::{outcomes as it, parking};

/// Namespace of `schemas/messo-esito-1.0.xsd`.
pub const NAMESPACE: &str = "urn:messo:esito:1.0";
/// Echo columns of the CSV.
pub const ECHO_COLUMNS: usize = 10;
/// Between the names of several attestations in one cell, and between the reasons of a refusal.
pub const LIST_SEPARATOR: char = '|';

/// What a file says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutcomeHeader {
    /// Name of the gestionale.
    pub source: String,
    /// Number of the file, from 1, per gestionale, without gaps.
    pub number: u64,
    /// First and last line of the range.
    pub first: u64,
    pub last: u64,
    /// When the range was closed: part of the record, so that every rendering of it says the same.
    pub created_at: Timestamp,
    /// SHA-256 of the XML of the file before this one, as it was published. `None` for the first.
    pub previous: Option<Sha256>,
    /// Written again on request: the original was published before.
    pub copy: bool,
}

/// A ledger line with what lives in deletable rows and in the configuration.
#[derive(Debug, Clone, Copy)]
pub struct RenderedLine<'a> {
    pub line: &'a OutcomeLine,
    /// Echo fields of the act, (name, value), in the order they came. Empty once erased.
    pub echo: &'a [(String, String)],
    /// `COLLAUDO` or `PRODUZIONE`.
    pub environment: &'a str,
    /// Sentence for `line.code` when it is a code of messo; SEND's are known here.
    pub reason: Option<&'a str>,
    /// All that SEND said when it refused the act. Empty once erased.
    pub reasons: &'a [RefusalReason],
}

/// `esito_<gestionale>_000123.csv`; a copy says so in its name.
pub fn outcome_name(header: &OutcomeHeader, extension: &str) -> String {
    let copy = if header.copy { "_copia" } else { "" };
    format!("esito_{}_{:06}{copy}.{extension}", sanitised(&header.source, 48), header.number)
}

/// Columns of the CSV, in order. Names are for ever; new ones are added at the end, before `eco_1`, in a new version.
pub const COLUMNS: &[&str] = &[
    "riga",
    "corregge",
    "ambiente",
    "ente",
    "flusso",
    "lotto",
    "atto",
    "riferimento",
    "invio",
    "protocollo",
    "iun",
    "destinatario",
    "stato",
    "stato_descrizione",
    "evento",
    "evento_descrizione",
    "quando_utc",
    "quando_roma",
    "scritto_utc",
    "tentativo",
    "raccomandata",
    "consegna",
    "consegna_descrizione",
    "causa",
    "causa_descrizione",
    "perfezionamento_mittente_utc",
    "perfezionamento_mittente_data",
    "perfezionamento_destinatario_utc",
    "perfezionamento_destinatario_data",
    "perfezionamento_modo",
    "costo_ente",
    "costo_cittadino",
    "codice",
    "motivo",
    "attestazioni",
    "motivi",
    "avviso",
    "creditore",
    "importo_dovuto",
    "importo_costi",
    "importo_pagato",
    "ricevuta_pagamento",
];

/// Takes the values of a line, column by column.
trait Columns {
    /// A word of ours.
    fn own(&mut self, name: &str, text: Option<&str>);
    /// A text of the gestionale.
    fn given(&mut self, name: &str, text: Option<&str>);
    /// A text of SEND's.
    fn foreign(&mut self, name: &str, text: Option<&str>);
    fn number(&mut self, name: &str, number: Option<u64>);
    fn id(&mut self, name: &str, id: impl std::fmt::Display);
    fn utc(&mut self, name: &str, at: Option<Timestamp>);
    fn local(&mut self, name: &str, at: Timestamp);
    fn local_date(&mut self, name: &str, at: Option<Timestamp>);
    fn euro(&mut self, name: &str, cents: Option<i64>);
    fn files(&mut self, name: &str, files: &[String]);
    fn reasons(&mut self, name: &str, reasons: &[RefusalReason]);
    fn echo(&mut self, echo: &[(String, String)]);
}

/// Every column of a line, in the order of [`COLUMNS`].
fn visit(rendered: &RenderedLine<'_>, to: &mut impl Columns) {
    let line = rendered.line;
    let code = line.code.as_deref();
    let reason = rendered.reason.or_else(|| code.map(|code| it::refusal(code).unwrap_or(it::REASON_UNKNOWN)));
    to.number("riga", Some(line.line));
    to.number("corregge", line.corrects);
    to.own("ambiente", Some(rendered.environment));
    to.own("ente", Some(&line.sender_tax_id));
    to.own("flusso", Some(&line.flow));
    to.id("lotto", line.batch);
    to.id("atto", line.act);
    to.given("riferimento", Some(&line.reference));
    to.number("invio", Some(line.submission.into()));
    to.given("protocollo", line.protocol.as_deref());
    to.foreign("iun", line.iun.as_deref());
    // People count from 1; SEND and the ledger from 0.
    to.number("destinatario", line.recipient.map(|index| u64::from(index) + 1));
    to.own("stato", Some(line.state.as_str()));
    to.own("stato_descrizione", Some(it::state(line.state)));
    to.foreign("evento", Some(&line.event));
    to.own("evento_descrizione", Some(it::event(&line.event)));
    to.utc("quando_utc", Some(line.happened_at));
    to.local("quando_roma", line.happened_at);
    to.utc("scritto_utc", Some(line.written_at));
    to.number("tentativo", line.attempt.map(u64::from));
    to.foreign("raccomandata", line.registered_letter.as_deref());
    to.foreign("consegna", line.delivery_detail.as_deref());
    to.own("consegna_descrizione", line.delivery_detail.as_deref().map(it::delivery_detail));
    to.foreign("causa", line.failure_cause.as_deref());
    to.own("causa_descrizione", line.failure_cause.as_deref().map(it::failure_cause));
    to.utc("perfezionamento_mittente_utc", line.sender_completed_at);
    to.local_date("perfezionamento_mittente_data", line.sender_completed_at);
    to.utc("perfezionamento_destinatario_utc", line.recipient_completed_at);
    to.local_date("perfezionamento_destinatario_data", line.recipient_completed_at);
    to.own("perfezionamento_modo", line.perfection.map(|perfection| perfection.as_str()));
    to.euro("costo_ente", line.institution_cost);
    to.euro("costo_cittadino", line.citizen_cost);
    to.foreign("codice", code);
    to.own("motivo", reason);
    to.files("attestazioni", &line.legal_facts);
    to.reasons("motivi", rendered.reasons);
    let told = line.position.as_ref();
    let due = told.and_then(|told| told.due(&line.event));
    to.given("avviso", told.map(|told| told.notice.as_str()));
    to.given("creditore", told.map(|told| told.creditor.as_str()));
    to.euro("importo_dovuto", due);
    to.euro("importo_costi", told.and_then(|told| told.cost).filter(|_| due.is_some()));
    to.euro("importo_pagato", told.and_then(|told| told.paid(&line.event)));
    to.foreign("ricevuta_pagamento", told.and_then(|told| told.receipt.as_deref()));
    to.echo(rendered.echo);
}

/// The sentence of a refusal: SEND's codes, and those under which messo itself does not send.
fn of_code(code: &str) -> Option<&'static str> {
    it::refusal(code).or_else(|| parking::sentence(code))
}

/// Sees to it that the lines are those of the header, each once, in order.
struct Range {
    next: u64,
    last: u64,
}

impl Range {
    fn of(header: &OutcomeHeader) -> Range {
        Range { next: header.first, last: header.last }
    }

    fn take(&mut self, line: u64) -> io::Result<()> {
        if line != self.next || line > self.last {
            return Err(hole(format!("outcome line {line} where {} was due (last {})", self.next, self.last)));
        }
        self.next += 1;
        Ok(())
    }

    fn end(&self) -> io::Result<()> {
        if self.next <= self.last { Err(hole(format!("outcome lines end before {} (last {})", self.next, self.last))) } else { Ok(()) }
    }
}

fn hole(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// An esito in CSV, being written.
pub struct CsvFile<W: Write> {
    row: Row,
    range: Range,
    out: W,
}

impl<W: Write> CsvFile<W> {
    /// Writes BOM and header.
    pub fn begin(header: &OutcomeHeader, mut out: W) -> io::Result<CsvFile<W>> {
        let mut row = Row::default();
        let echo: Vec<String> = (1..=ECHO_COLUMNS).map(|n| format!("eco_{n}")).collect();
        let names: Vec<&str> = COLUMNS.iter().copied().chain(echo.iter().map(String::as_str)).collect();
        row.header(&names, &mut out)?;
        Ok(CsvFile { row, range: Range::of(header), out })
    }

    /// Writes one line.
    pub fn line(&mut self, rendered: &RenderedLine<'_>) -> io::Result<()> {
        self.range.take(rendered.line.line)?;
        visit(rendered, &mut self.row);
        self.row.end(&mut self.out)
    }

    /// Says that all lines were written.
    pub fn end(self) -> io::Result<W> {
        self.range.end()?;
        Ok(self.out)
    }
}

impl Columns for Row {
    fn own(&mut self, _: &str, text: Option<&str>) {
        self.exact(text.unwrap_or_default());
    }

    fn given(&mut self, _: &str, text: Option<&str>) {
        self.exact(text.unwrap_or_default());
    }

    fn foreign(&mut self, _: &str, text: Option<&str>) {
        Row::foreign(self, text.unwrap_or_default());
    }

    fn number(&mut self, _: &str, number: Option<u64>) {
        self.optional(number);
    }

    fn id(&mut self, _: &str, id: impl std::fmt::Display) {
        self.plain(id);
    }

    fn utc(&mut self, _: &str, at: Option<Timestamp>) {
        self.optional(at);
    }

    fn local(&mut self, _: &str, at: Timestamp) {
        self.local_time(&rome(at));
    }

    fn local_date(&mut self, _: &str, at: Option<Timestamp>) {
        self.optional(at.map(|at| rome(at).date()));
    }

    fn euro(&mut self, _: &str, cents: Option<i64>) {
        self.optional(cents.map(|cents| Euro(cents, ',')));
    }

    fn files(&mut self, _: &str, files: &[String]) {
        match files {
            [] => self.empty(),
            [one] => self.exact(one),
            many => self.exact(&many.join(LIST_SEPARATOR.encode_utf8(&mut [0; 4]))),
        }
    }

    fn reasons(&mut self, _: &str, reasons: &[RefusalReason]) {
        // The separator means one thing only.
        let told = reasons.iter().map(|reason| {
            let words = it::refusal_words(reason, of_code(&reason.code));
            format!("{}: {words}", reason.code).replace(LIST_SEPARATOR, "/")
        });
        self.foreign(&told.collect::<Vec<_>>().join(" | "));
    }

    fn echo(&mut self, echo: &[(String, String)]) {
        for index in 0..ECHO_COLUMNS {
            self.exact(echo.get(index).map_or("", |(_, value)| value.as_str()));
        }
    }
}

/// An esito in XML, being written.
pub struct XmlFile<W: Write> {
    text: XmlText,
    range: Range,
    out: W,
}

/// One element being written.
struct XmlText(String);

impl<W: Write> XmlFile<W> {
    /// Writes the header.
    pub fn begin(header: &OutcomeHeader, mut out: W) -> io::Result<XmlFile<W>> {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<esito");
        xml::attribute(&mut text, "xmlns", NAMESPACE);
        xml::attribute(&mut text, "versione", "1.0");
        text.push_str(">\n<testata>");
        xml::element(&mut text, "gestionale", &header.source);
        xml::plain(&mut text, "numero", header.number);
        xml::plain(&mut text, "copia", header.copy);
        xml::plain(&mut text, "prima_riga", header.first);
        xml::plain(&mut text, "ultima_riga", header.last);
        xml::plain(&mut text, "creato_utc", header.created_at);
        if let Some(previous) = header.previous {
            xml::plain(&mut text, "precedente_sha256", previous);
        }
        text.push_str("</testata>\n");
        out.write_all(text.as_bytes())?;
        Ok(XmlFile { text: XmlText(text), range: Range::of(header), out })
    }

    /// Writes one line.
    pub fn line(&mut self, rendered: &RenderedLine<'_>) -> io::Result<()> {
        self.range.take(rendered.line.line)?;
        let XmlText(text) = &mut self.text;
        text.clear();
        text.push_str("<esito_atto>");
        visit(rendered, &mut self.text);
        self.text.0.push_str("</esito_atto>\n");
        self.out.write_all(self.text.0.as_bytes())
    }

    /// Writes the end.
    pub fn end(mut self) -> io::Result<W> {
        self.range.end()?;
        self.out.write_all(b"</esito>\n")?;
        Ok(self.out)
    }
}

impl Columns for XmlText {
    fn own(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            xml::element(&mut self.0, name, text);
        }
    }

    fn given(&mut self, name: &str, text: Option<&str>) {
        self.own(name, text);
    }

    fn foreign(&mut self, name: &str, text: Option<&str>) {
        self.own(name, text);
    }

    fn number(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            xml::plain(&mut self.0, name, number);
        }
    }

    fn id(&mut self, name: &str, id: impl std::fmt::Display) {
        xml::plain(&mut self.0, name, id);
    }

    fn utc(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            xml::plain(&mut self.0, name, at);
        }
    }

    fn local(&mut self, name: &str, at: Timestamp) {
        xml::local_time(&mut self.0, name, &rome(at));
    }

    fn local_date(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            xml::plain(&mut self.0, name, rome(at).date());
        }
    }

    fn euro(&mut self, name: &str, cents: Option<i64>) {
        if let Some(cents) = cents {
            xml::plain(&mut self.0, name, Euro(cents, '.'));
        }
    }

    fn files(&mut self, name: &str, files: &[String]) {
        if !files.is_empty() {
            xml::open(&mut self.0, name);
            for file in files {
                xml::element(&mut self.0, "file", file);
            }
            xml::close(&mut self.0, name);
        }
    }

    fn reasons(&mut self, name: &str, reasons: &[RefusalReason]) {
        if reasons.is_empty() {
            return;
        }
        xml::open(&mut self.0, name);
        for reason in reasons {
            // Attributes: who looks for the elements of a line by name alone finds each once.
            self.0.push_str("<rifiuto");
            xml::attribute(&mut self.0, "codice", &reason.code);
            if let Some(index) = reason.rec_index {
                xml::attribute(&mut self.0, "destinatario", &(u64::from(index) + 1).to_string());
            }
            if let Some(element) = &reason.element {
                xml::attribute(&mut self.0, "campo", element);
            }
            self.0.push('>');
            xml::element(&mut self.0, "frase", of_code(&reason.code).unwrap_or(it::REFUSAL_UNKNOWN));
            self.own("dettaglio", reason.detail.as_deref());
            xml::close(&mut self.0, "rifiuto");
        }
        xml::close(&mut self.0, name);
    }

    fn echo(&mut self, echo: &[(String, String)]) {
        for (name, value) in echo.iter().take(ECHO_COLUMNS) {
            self.0.push_str("<eco");
            xml::attribute(&mut self.0, "nome", name);
            self.0.push('>');
            xml::escape(&mut self.0, value);
            xml::close(&mut self.0, "eco");
        }
    }
}

/// A whole esito in CSV.
pub fn write_csv<'a>(header: &OutcomeHeader, lines: &mut dyn Iterator<Item = RenderedLine<'a>>, out: &mut dyn Write) -> io::Result<()> {
    let mut file = CsvFile::begin(header, out)?;
    for line in lines {
        file.line(&line)?;
    }
    file.end().map(|_| ())
}

/// A whole esito in XML.
pub fn write_xml<'a>(header: &OutcomeHeader, lines: &mut dyn Iterator<Item = RenderedLine<'a>>, out: &mut dyn Write) -> io::Result<()> {
    let mut file = XmlFile::begin(header, out)?;
    for line in lines {
        file.line(&line)?;
    }
    file.end().map(|_| ())
}

#[cfg(test)]
mod tests;
