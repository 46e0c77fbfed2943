//! Rows of our CSV files: UTF-8 with BOM, `;` between cells, CRLF, quotes only where needed.
//!
//! Three kinds of cell. Ours never surprise anyone. Those of the gestionale come back byte for byte, for it matches on
//! them. Those of SEND, when they begin as a formula would, get an apostrophe in front, because offices open these
//! files with a spreadsheet.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

/// What every CSV file begins with, before the header: Excel takes UTF-8 for Windows-1252 without it.
pub(super) const BOM: &[u8] = "\u{feff}".as_bytes();

/// One row being written; the buffer serves all rows of a file.
#[derive(Default)]
pub(super) struct Row {
    text: String,
    begun: bool,
}

impl Row {
    /// An empty cell.
    pub(super) fn empty(&mut self) {
        if self.begun {
            self.text.push(';');
        }
        self.begun = true;
    }

    /// A value that never needs quotes: numbers, dates, codes of ours.
    pub(super) fn plain(&mut self, value: impl Display) {
        self.empty();
        // Writing to a String does not fail.
        let _ = write!(self.text, "{value}");
    }

    /// A plain value that may be missing.
    pub(super) fn optional(&mut self, value: Option<impl Display>) {
        match value {
            Some(value) => self.plain(value),
            None => self.empty(),
        }
    }

    /// `2026-11-22 18:01:02`, which spreadsheets take for a date.
    pub(super) fn local_time(&mut self, local: &jiff::Zoned) {
        let time = local.time();
        self.plain(format_args!("{} {:02}:{:02}:{:02}", local.date(), time.hour(), time.minute(), time.second()));
    }

    /// A text of ours or of the gestionale, as it is.
    pub(super) fn exact(&mut self, text: &str) {
        self.empty();
        self.quoted_if_needed("", text);
    }

    /// A text of SEND's.
    pub(super) fn foreign(&mut self, text: &str) {
        self.empty();
        let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
        self.quoted_if_needed(if formula { "'" } else { "" }, text);
    }

    fn quoted_if_needed(&mut self, prefix: &str, text: &str) {
        let special = |byte: u8| matches!(byte, b';' | b'"' | b'\r' | b'\n' | b'\t');
        if !text.bytes().any(special) && !text.starts_with(' ') && !text.ends_with(' ') {
            self.text.push_str(prefix);
            self.text.push_str(text);
            return;
        }
        self.text.push('"');
        self.text.push_str(prefix);
        for (index, piece) in text.split('"').enumerate() {
            if index > 0 {
                self.text.push_str("\"\"");
            }
            self.text.push_str(piece);
        }
        self.text.push('"');
    }

    /// Writes the row and begins the next.
    pub(super) fn end<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.text.push_str("\r\n");
        let written = out.write_all(self.text.as_bytes());
        self.text.clear();
        self.begun = false;
        written
    }

    /// A row of plain cells: the header.
    pub(super) fn header<W: Write + ?Sized>(&mut self, names: &[&str], out: &mut W) -> io::Result<()> {
        out.write_all(BOM)?;
        for name in names {
            self.plain(name);
        }
        self.end(out)
    }
}

/// Euro with two decimals after `point`, written without allocating.
pub(super) struct Euro(pub i64, pub char);

impl Display for Euro {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (sign, cents) = (if self.0 < 0 { "-" } else { "" }, self.0.unsigned_abs());
        write!(f, "{sign}{}{}{:02}", cents / 100, self.1, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_csv_crate_reads_back_every_cell() {
        let texts = ["", "x", "a;b", "a\"b\"", "\"", "a\r\nb", " a ", "=1+1", "-", "\ta", "è 🙂", "'", "a,b"];
        let (mut row, mut out) = (Row::default(), Vec::new());
        for text in texts {
            row.exact(text);
            row.foreign(text);
            row.plain(7);
            row.end(&mut out).unwrap();
        }
        let mut reader = csv::ReaderBuilder::new().delimiter(b';').has_headers(false).from_reader(out.as_slice());
        let rows: Vec<csv::StringRecord> = reader.records().map(|record| record.unwrap()).collect();
        assert_eq!(rows.len(), texts.len());
        for (text, record) in texts.iter().zip(&rows) {
            assert_eq!(&record[0], *text, "exact {text:?}");
            let guarded = matches!(*text, "=1+1" | "-" | "\ta");
            assert_eq!(record[1], if guarded { format!("'{text}") } else { (*text).to_owned() }, "foreign {text:?}");
            assert_eq!(&record[2], "7");
        }
    }

    #[test]
    fn euro_have_two_decimals() {
        let table = [(0, "0,00"), (5, "0,05"), (123_456, "1234,56"), (-7, "-0,07"), (i64::MIN, "-92233720368547758,08")];
        for (cents, want) in table {
            assert_eq!(Euro(cents, ',').to_string(), want, "{cents}");
        }
        assert_eq!(Euro(847, '.').to_string(), "8.47");
    }
}
