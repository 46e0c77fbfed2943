//! `rendicontazioni/`: where acts stand, as CSV and as XML, one row per act and recipient, with totals that add up.
//!
//! One list of columns, [`visit`], feeds both formats. Rows are written one by one: a million need the memory of one. Each file
//! holds the digest of the one before it, so that a missing or altered one is seen ([`verify`](super::verify)).

use std::io::{self, Write};

use jiff::Timestamp;
use jiff::civil::Date;

use super::cells::{Euro, Row};
use super::names::{rome, sanitised};
use super::outcomes::LIST_SEPARATOR;
use super::xml;
use crate::domain::digest::Sha256;
use crate::domain::standing::{ExportKind, Statement, Totals};

/// Namespace of `schemas/messo-rendicontazione-1.0.xsd`.
pub const NAMESPACE: &str = "urn:messo:rendicontazione:1.0";
/// First cell of the last row of a CSV; the others say [`ROW`].
pub const TOTAL: &str = "TOTALE";
/// First cell of a row.
pub const ROW: &str = "RIGA";

/// What a file says of itself. Nothing here is read from a clock: the same header and rows give the same bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportHeader {
    /// Name of the gestionale.
    pub source: String,
    /// From 1, per gestionale, without gaps.
    pub number: u64,
    pub kind: ExportKind,
    /// The night it was due, as Rome counts days.
    pub day: Date,
    /// Ledger lines after `after`, up to `to`.
    pub after: u64,
    pub to: u64,
    pub created_at: Timestamp,
    /// SHA-256 of the file of the same format before it.
    pub previous: Option<Sha256>,
}

/// Characters of a gestionale in the name of an export.
pub(super) const EXPORT_SOURCE: usize = 48;

/// `rendicontazione_<gestionale>_000012.csv`; the list of open acts says so in its name.
pub fn export_name(header: &ExportHeader, extension: &str) -> String {
    let kind = match header.kind {
        ExportKind::Changed => "",
        ExportKind::Open => "_aperti",
    };
    format!("rendicontazione_{}_{:06}{kind}.{extension}", sanitised(&header.source, EXPORT_SOURCE), header.number)
}

/// Columns of the CSV, in order. Names are for ever; new ones are added at the end, in a new version.
pub const COLUMNS: &[&str] = &[
    "tipo",
    "riga",
    "aggiornato_utc",
    "ente",
    "flusso",
    "atto",
    "riferimento",
    "invio",
    "protocollo",
    "iun",
    "destinatario",
    "destinatari",
    "avvisi",
    "stato",
    "chiuso",
    "sospeso",
    "codice",
    "importo",
    "costo_base",
    "costo_carta",
    "costo_ente",
    "iva_percentuale",
    "diritti_ente",
    "costo_cittadino",
    "dovuto",
    "perfezionamento_mittente_utc",
    "perfezionamento_mittente_data",
    "perfezionamento_destinatario_utc",
    "perfezionamento_destinatario_data",
    "perfezionamento_modo",
    "attestazioni",
    "pagato",
    "pagato_utc",
];

/// Columns that only the row of totals fills.
pub const CONTROL: &[&str] =
    &["numero", "genere", "giorno", "dopo_riga", "fino_a_riga", "creato_utc", "righe", "atti", "importo_atti", "precedente_sha256"];

/// Takes the values of a row, column by column.
trait Columns {
    /// A word of ours.
    fn own(&mut self, name: &str, text: Option<&str>);
    /// A text of the gestionale.
    fn given(&mut self, name: &str, text: Option<&str>);
    /// A text of SEND's.
    fn foreign(&mut self, name: &str, text: Option<&str>);
    fn number(&mut self, name: &str, number: Option<u64>);
    fn id(&mut self, name: &str, id: uuid::Uuid);
    fn utc(&mut self, name: &str, at: Option<Timestamp>);
    fn date(&mut self, name: &str, at: Option<Timestamp>);
    fn euro(&mut self, name: &str, cents: Option<i64>);
    fn flag(&mut self, name: &str, flag: bool);
    /// Several texts between [`LIST_SEPARATOR`]; `item` is what each is called.
    fn list(&mut self, name: &str, item: &str, texts: Option<&str>);
}

/// Every column of a row, in the order of [`COLUMNS`].
fn visit(row: &Statement<'_>, to: &mut impl Columns) {
    to.number("riga", Some(row.line));
    to.utc("aggiornato_utc", Some(row.at));
    to.own("ente", Some(row.sender));
    to.own("flusso", Some(row.flow));
    to.id("atto", row.act);
    to.given("riferimento", Some(row.reference));
    to.number("invio", Some(row.submission.into()));
    to.given("protocollo", row.protocol);
    to.foreign("iun", row.iun);
    // People count from 1.
    to.number("destinatario", Some(u64::from(row.recipient) + 1));
    to.number("destinatari", Some(row.recipients.into()));
    to.list("avvisi", "avviso", Some(row.notices).filter(|notices| !notices.is_empty()));
    to.own("stato", Some(row.state));
    to.flag("chiuso", row.closed);
    to.own("sospeso", row.suspended);
    to.foreign("codice", row.code);
    to.euro("importo", row.amount);
    to.euro("costo_base", row.base_fee);
    to.euro("costo_carta", row.paper);
    to.euro("costo_ente", row.institution_cost());
    to.number("iva_percentuale", row.vat.map(u64::from));
    to.euro("diritti_ente", row.pa_fee.map(i64::from));
    to.euro("costo_cittadino", row.citizen_cost);
    to.euro("dovuto", row.due);
    to.utc("perfezionamento_mittente_utc", row.accepted_at);
    to.date("perfezionamento_mittente_data", row.accepted_at);
    to.utc("perfezionamento_destinatario_utc", row.completed_at);
    to.date("perfezionamento_destinatario_data", row.completed_at);
    to.own("perfezionamento_modo", row.perfection);
    to.list("attestazioni", "file", row.attestations);
    to.euro("pagato", row.paid);
    to.utc("pagato_utc", row.paid_at);
}

/// An export in CSV, being written.
pub struct CsvFile<W: Write> {
    row: Row,
    header: ExportHeader,
    totals: Totals,
    out: W,
}

impl<W: Write> CsvFile<W> {
    /// Writes BOM and header.
    pub fn begin(header: ExportHeader, mut out: W) -> io::Result<CsvFile<W>> {
        let mut row = Row::default();
        let names: Vec<&str> = COLUMNS.iter().chain(CONTROL).copied().collect();
        row.header(&names, &mut out)?;
        Ok(CsvFile { row, header, totals: Totals::default(), out })
    }

    /// Writes one row.
    pub fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
        self.totals.add(row);
        self.row.exact(ROW);
        visit(row, &mut self.row);
        CONTROL.iter().for_each(|_| self.row.empty());
        self.row.end(&mut self.out)
    }

    /// Where it is written to.
    pub fn out(&self) -> &W {
        &self.out
    }

    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the totals.
    pub fn end(mut self) -> io::Result<W> {
        let (row, header, totals) = (&mut self.row, &self.header, &self.totals);
        row.exact(TOTAL);
        for column in COLUMNS.iter().skip(1) {
            match *column {
                "importo" => row.plain(Euro(totals.amount, ',')),
                "costo_base" => row.plain(Euro(totals.base_fee, ',')),
                "costo_carta" => row.plain(Euro(totals.paper, ',')),
                "costo_ente" => row.plain(Euro(totals.institution_cost, ',')),
                "costo_cittadino" => row.plain(Euro(totals.citizen_cost, ',')),
                "dovuto" => row.plain(Euro(totals.due, ',')),
                "pagato" => row.plain(Euro(totals.paid, ',')),
                _ => row.empty(),
            }
        }
        row.plain(header.number);
        row.exact(header.kind.as_str());
        row.plain(header.day);
        row.plain(header.after);
        row.plain(header.to);
        row.plain(header.created_at);
        row.plain(totals.rows);
        row.plain(totals.acts);
        row.plain(Euro(totals.amount_of_acts, ','));
        row.optional(header.previous);
        row.end(&mut self.out)?;
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

    fn id(&mut self, _: &str, id: uuid::Uuid) {
        self.exact(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer()));
    }

    fn utc(&mut self, _: &str, at: Option<Timestamp>) {
        self.optional(at);
    }

    fn date(&mut self, _: &str, at: Option<Timestamp>) {
        self.optional(at.map(|at| rome(at).date()));
    }

    fn euro(&mut self, _: &str, cents: Option<i64>) {
        self.optional(cents.map(|cents| Euro(cents, ',')));
    }

    fn flag(&mut self, _: &str, flag: bool) {
        self.exact(if flag { "SI" } else { "NO" });
    }

    fn list(&mut self, _: &str, _: &str, texts: Option<&str>) {
        self.exact(texts.unwrap_or_default());
    }
}

/// An export in XML, being written.
pub struct XmlFile<W: Write> {
    text: XmlText,
    totals: Totals,
    out: W,
}

/// One element being written.
struct XmlText(String);

impl<W: Write> XmlFile<W> {
    /// Writes the header.
    pub fn begin(header: &ExportHeader, mut out: W) -> io::Result<XmlFile<W>> {
        let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rendicontazione");
        xml::attribute(&mut text, "xmlns", NAMESPACE);
        xml::attribute(&mut text, "versione", "1.0");
        text.push_str(">\n<testata>");
        xml::element(&mut text, "gestionale", &header.source);
        xml::plain(&mut text, "numero", header.number);
        xml::plain(&mut text, "genere", header.kind);
        xml::plain(&mut text, "giorno", header.day);
        xml::plain(&mut text, "dopo_riga", header.after);
        xml::plain(&mut text, "fino_a_riga", header.to);
        xml::plain(&mut text, "creato_utc", header.created_at);
        if let Some(previous) = header.previous {
            xml::plain(&mut text, "precedente_sha256", previous);
        }
        text.push_str("</testata>\n");
        out.write_all(text.as_bytes())?;
        Ok(XmlFile { text: XmlText(text), totals: Totals::default(), out })
    }

    /// Writes one row.
    pub fn row(&mut self, row: &Statement<'_>) -> io::Result<()> {
        self.totals.add(row);
        self.text.0.clear();
        self.text.0.push_str("<posizione>");
        visit(row, &mut self.text);
        self.text.0.push_str("</posizione>\n");
        self.out.write_all(self.text.0.as_bytes())
    }

    /// Where it is written to.
    pub fn out(&self) -> &W {
        &self.out
    }

    pub fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes the totals and the end.
    pub fn end(mut self) -> io::Result<W> {
        let (text, totals) = (&mut self.text.0, &self.totals);
        text.clear();
        text.push_str("<totali>");
        xml::plain(text, "righe", totals.rows);
        xml::plain(text, "atti", totals.acts);
        let sums = [
            ("importo", totals.amount),
            ("importo_atti", totals.amount_of_acts),
            ("costo_base", totals.base_fee),
            ("costo_carta", totals.paper),
            ("costo_ente", totals.institution_cost),
            ("costo_cittadino", totals.citizen_cost),
            ("dovuto", totals.due),
            ("pagato", totals.paid),
        ];
        for (name, cents) in sums {
            xml::plain(text, name, Euro(cents, '.'));
        }
        text.push_str("</totali>\n</rendicontazione>\n");
        self.out.write_all(text.as_bytes())?;
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

    fn id(&mut self, name: &str, id: uuid::Uuid) {
        self.own(name, Some(id.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer())));
    }

    fn utc(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            xml::plain(&mut self.0, name, at);
        }
    }

    fn date(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            xml::plain(&mut self.0, name, rome(at).date());
        }
    }

    fn euro(&mut self, name: &str, cents: Option<i64>) {
        if let Some(cents) = cents {
            xml::plain(&mut self.0, name, Euro(cents, '.'));
        }
    }

    fn flag(&mut self, name: &str, flag: bool) {
        xml::plain(&mut self.0, name, flag);
    }

    fn list(&mut self, name: &str, item: &str, texts: Option<&str>) {
        if let Some(texts) = texts {
            xml::open(&mut self.0, name);
            texts.split(LIST_SEPARATOR).for_each(|text| xml::element(&mut self.0, item, text));
            xml::close(&mut self.0, name);
        }
    }
}

#[cfg(test)]
mod tests;
