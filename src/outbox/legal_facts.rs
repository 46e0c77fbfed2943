//! `attestazioni/`: how legal facts are named and listed. They are kept as they came; only the names are ours.
//!
//! `<year>/<IUN>/<category>_<recipient>_<time>[_n].<extension>`: never a person's name, always the same name for the
//! same fact, because the esito told it before the file was there.

use std::io::{self, Write};

use jiff::Timestamp;

use super::cells::Row;
use super::names::{rome, sanitised, stamp};
use super::xml;
use crate::domain::digest::Sha256;
use crate::text::it::outcomes as it;

/// Namespace of `schemas/messo-attestazioni-1.0.xsd`.
pub const NAMESPACE: &str = "urn:messo:attestazioni:1.0";

/// Category of SEND and the words of file names. Names of files: never changed.
const CATEGORIES: &[(&str, &str)] = &[
    ("SENDER_ACK", "presa-in-carico"),
    ("PEC_RECEIPT", "ricevuta-pec"),
    ("DIGITAL_DELIVERY", "notifica-digitale"),
    ("ANALOG_DELIVERY", "consegna-cartacea"),
    ("RECIPIENT_ACCESS", "accesso-destinatario"),
    ("ANALOG_FAILURE_DELIVERY", "deposito-irreperibile"),
    ("NOTIFICATION_CANCELLED", "annullamento"),
];

/// `2026/ABCD-EFGH-IJKL-202611-M-1`: the year is the notification's own, so that all its facts lie together.
pub fn folder(iun: &str, happened_at: Timestamp) -> String {
    let year = iun.split('-').nth(3).and_then(|month| month.get(..4)).and_then(|year| year.parse::<i16>().ok());
    let year = year.filter(|year| (2020..2100).contains(year)).unwrap_or_else(|| rome(happened_at).year());
    let iun = sanitised(iun, 64);
    format!("{year}/{}", if iun.is_empty() { "senza-iun" } else { &iun })
}

/// `consegna-cartacea_dest-1_20261122T180102`: what two facts of one notification may share.
/// `recipient` from 0 as SEND counts; written from 1 as the esito does. The time is Rome's.
pub fn name_stem(category: &str, recipient: Option<u32>, happened_at: Timestamp) -> String {
    let words = match CATEGORIES.iter().find(|(known, _)| *known == category) {
        Some((_, words)) => (*words).to_owned(),
        None => format!("altro-{}", sanitised(category, 40).to_ascii_lowercase().replace(['_', '.'], "-")),
    };
    let whom = recipient.map_or_else(|| "atto".to_owned(), |index| format!("dest-{}", u64::from(index) + 1));
    format!("{words}_{whom}_{}", stamp(happened_at))
}

/// The file name of the `ordinal`-th fact of its act, from 1.
pub fn file_name(stem: &str, ordinal: u32, extension: &str) -> String {
    if ordinal > 1 { format!("{stem}_{ordinal}.{extension}") } else { format!("{stem}.{extension}") }
}

/// A legal fact as far as its name goes.
#[derive(Debug, Clone, Copy)]
pub struct Announced<'a> {
    pub iun: &'a str,
    /// SEND's category.
    pub category: &'a str,
    /// From 0.
    pub recipient: Option<u32>,
    pub happened_at: Timestamp,
    /// SEND's key, or the file name of the download.
    pub hint: Option<&'a str>,
    /// From 1: which it is among the facts of its act.
    pub ordinal: u32,
}

/// Its path under `attestazioni/`, with `/`. Made once, when the fact is announced, and kept: the esito has told it.
pub fn path(fact: &Announced<'_>) -> String {
    let stem = name_stem(fact.category, fact.recipient, fact.happened_at);
    let name = file_name(&stem, fact.ordinal, extension(fact.hint, b"", fact.category));
    format!("{}/{name}", folder(fact.iun, fact.happened_at))
}

/// `pdf`, `eml`, `xml`, `zip` or `bin`: from SEND's key or file name, else from the first bytes, else from the category.
///
/// Given no bytes it says what the esito may announce before the file is there.
pub fn extension(hint: Option<&str>, head: &[u8], category: &str) -> &'static str {
    const KNOWN: [&str; 5] = ["pdf", "eml", "xml", "zip", "bin"];
    let hinted = hint.and_then(|hint| hint.rsplit_once('.')).map(|(_, extension)| extension);
    if let Some(known) = hinted.and_then(|hinted| KNOWN.into_iter().find(|known| known.eq_ignore_ascii_case(hinted))) {
        return known;
    }
    if head.is_empty() {
        return if category == "PEC_RECEIPT" { "eml" } else { "pdf" };
    }
    sniff(head)
}

fn sniff(head: &[u8]) -> &'static str {
    if head.starts_with(b"%PDF-") {
        return "pdf";
    }
    if head.starts_with(b"PK\x03\x04") {
        return "zip";
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    if text.starts_with(b"<") {
        return "xml";
    }
    // The first line of a message is a header: a token, then a colon.
    let line = text.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
    let token = !name.is_empty() && name.len() < line.len() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    if token { "eml" } else { "bin" }
}

/// What an index says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexHeader {
    /// Name of the gestionale.
    pub source: String,
    /// Number of the publication, from 1, per gestionale, without gaps.
    pub number: u64,
    pub created_at: Timestamp,
    /// Written again on request.
    pub copy: bool,
}

/// One published legal fact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexEntry {
    /// Path under `attestazioni/`, with `/`.
    pub file: String,
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// Tax id of the ente.
    pub sender_tax_id: String,
    /// The gestionale's own reference of the act.
    pub reference: String,
    pub iun: String,
    /// SEND's category.
    pub category: String,
    /// From 0.
    pub recipient: Option<u32>,
    /// Element of the timeline that announced it.
    pub element_id: String,
    pub happened_at: Timestamp,
}

/// `indice_000012.csv`; a copy says so in its name.
pub fn index_name(header: &IndexHeader, extension: &str) -> String {
    format!("indice_{:06}{}.{extension}", header.number, if header.copy { "_copia" } else { "" })
}

/// Columns of the index, in order.
pub const INDEX_COLUMNS: &[&str] = &[
    "file",
    "sha256",
    "dimensione",
    "ente",
    "riferimento",
    "iun",
    "categoria",
    "categoria_descrizione",
    "destinatario",
    "elemento",
    "quando_utc",
    "quando_roma",
];

/// The index as CSV.
pub fn write_index_csv(entries: &mut dyn Iterator<Item = IndexEntry>, out: &mut dyn Write) -> io::Result<()> {
    let mut row = Row::default();
    row.header(INDEX_COLUMNS, out)?;
    for entry in entries {
        row.exact(&entry.file);
        row.plain(entry.sha256);
        row.plain(entry.size);
        row.exact(&entry.sender_tax_id);
        row.exact(&entry.reference);
        row.foreign(&entry.iun);
        row.foreign(&entry.category);
        row.exact(it::legal_fact(&entry.category));
        row.optional(entry.recipient.map(|index| u64::from(index) + 1));
        row.foreign(&entry.element_id);
        row.plain(entry.happened_at);
        row.local_time(&rome(entry.happened_at));
        row.end(out)?;
    }
    Ok(())
}

/// The index as XML.
pub fn write_index_xml(header: &IndexHeader, entries: &mut dyn Iterator<Item = IndexEntry>, out: &mut dyn Write) -> io::Result<()> {
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<attestazioni");
    xml::attribute(&mut text, "xmlns", NAMESPACE);
    xml::attribute(&mut text, "versione", "1.0");
    text.push_str(">\n<testata>");
    xml::element(&mut text, "gestionale", &header.source);
    xml::plain(&mut text, "numero", header.number);
    xml::plain(&mut text, "copia", header.copy);
    xml::plain(&mut text, "creato_utc", header.created_at);
    text.push_str("</testata>\n");
    for entry in entries {
        text.push_str("<attestazione>");
        xml::element(&mut text, "file", &entry.file);
        xml::plain(&mut text, "sha256", entry.sha256);
        xml::plain(&mut text, "dimensione", entry.size);
        xml::element(&mut text, "ente", &entry.sender_tax_id);
        xml::element(&mut text, "riferimento", &entry.reference);
        xml::element(&mut text, "iun", &entry.iun);
        xml::element(&mut text, "categoria", &entry.category);
        xml::element(&mut text, "categoria_descrizione", it::legal_fact(&entry.category));
        if let Some(index) = entry.recipient {
            xml::plain(&mut text, "destinatario", u64::from(index) + 1);
        }
        xml::element(&mut text, "elemento", &entry.element_id);
        xml::plain(&mut text, "quando_utc", entry.happened_at);
        xml::local_time(&mut text, "quando_roma", &rome(entry.happened_at));
        text.push_str("</attestazione>\n");
        out.write_all(text.as_bytes())?;
        text.clear();
    }
    text.push_str("</attestazioni>\n");
    out.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests;
