//! Refused rows of a CSV, written again: original header and records byte by byte, with code and reason in two columns.

use std::io::{self, Read, Write};

use encoding_rs::WINDOWS_1252;

use super::{RejectRows, Rejected};
use crate::batch::csv::{CsvError, Encoding, Record, Records};

/// Columns of the reasons: ignored when the file is dropped again.
pub const CODE_COLUMN: &str = "esito_codice";
/// See [`CODE_COLUMN`].
pub const REASON_COLUMN: &str = "esito_motivo";
const LINE_END: &[u8] = b"\r\n";

/// Copies the rejected records in one pass, in the bytes they came in. Ranges must grow, as the rows came.
pub fn write(original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut records = Records::new(original).map_err(io_error)?;
    let delimiter = records.delimiter();
    out.write_all(records.preamble())?;
    let header = records.next_record().map_err(io_error)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let width = header.len();
    let find = |name: &str| (0..width).find(|index| header.get(*index).eq_ignore_ascii_case(name));
    let old = find(CODE_COLUMN).zip(find(REASON_COLUMN));
    out.write_all(header.raw())?;
    if old.is_none() {
        for name in [CODE_COLUMN, REASON_COLUMN] {
            out.write_all(&[delimiter])?;
            out.write_all(name.as_bytes())?;
        }
    }
    out.write_all(LINE_END)?;
    let mut next = rejects.next_row()?;
    while let Some(reject) = &next {
        let Some(record) = records.next_record().map_err(io_error)? else { return Err(io::ErrorKind::UnexpectedEof.into()) };
        if record.start >= reject.place.end {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "rejects out of order"));
        }
        let (inside, last) = (record.start >= reject.place.start, record.end >= reject.place.end);
        if inside && !record.is_empty() {
            let fields = fields(&record);
            write_row(&fields, width, old, delimiter, &reasons(reject), records.encoding(), out)?;
        }
        if inside && last {
            next = rejects.next_row()?;
        }
    }
    Ok(())
}

fn io_error(error: CsvError) -> io::Error {
    match error {
        CsvError::Io(error) => error,
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

fn fields(record: &Record<'_>) -> Vec<Vec<u8>> {
    (0..record.len()).filter_map(|index| record.raw_field(index)).map(<[u8]>::to_vec).collect()
}

/// Code and reason of a reject, each in one cell.
fn reasons(reject: &Rejected) -> [String; 2] {
    let mut codes: Vec<&str> = Vec::new();
    for (code, _) in &reject.reasons {
        if !codes.contains(&code.as_str()) {
            codes.push(code);
        }
    }
    let texts: Vec<&str> = reject.reasons.iter().map(|(_, text)| text.as_str()).collect();
    [codes.join(" "), texts.join(" | ")]
}

fn write_row(
    fields: &[Vec<u8>],
    width: usize,
    old: Option<(usize, usize)>,
    delimiter: u8,
    reasons: &[String; 2],
    encoding: Encoding,
    out: &mut dyn Write,
) -> io::Result<()> {
    let [code, reason] = reasons.each_ref().map(|text| quoted(text, encoding));
    let mut cells: Vec<&[u8]> = (0..width.max(fields.len())).map(|index| fields.get(index).map_or(&b""[..], Vec::as_slice)).collect();
    match old {
        Some((code_at, reason_at)) => {
            for (at, value) in [(code_at, &code), (reason_at, &reason)] {
                if let Some(cell) = cells.get_mut(at) {
                    *cell = value;
                }
            }
        }
        None => {
            cells.insert(width, &reason);
            cells.insert(width, &code);
        }
    }
    out.write_all(&cells.join(&delimiter))?;
    out.write_all(LINE_END)
}

/// A quoted cell in the encoding of the file; plain ASCII while nobody knows which it is.
fn quoted(text: &str, encoding: Encoding) -> Vec<u8> {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let cell = format!("\"{}\"", line.replace('"', "\"\""));
    match encoding {
        Encoding::Utf8 => cell.into_bytes(),
        // What Windows-1252 lacks would become a character reference: letters without marks read better.
        Encoding::Windows1252 => match WINDOWS_1252.encode(&cell) {
            (bytes, _, false) => bytes.into_owned(),
            _ => ascii(&cell).into_bytes(),
        },
        Encoding::Ascii => ascii(&cell).into_bytes(),
    }
}

/// `è` as `e'`, as on keyboards without accents.
fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            'à' | 'á' => out.push_str("a'"),
            'è' | 'é' => out.push_str("e'"),
            'ì' | 'í' => out.push_str("i'"),
            'ò' | 'ó' => out.push_str("o'"),
            'ù' | 'ú' => out.push_str("u'"),
            '«' | '»' | '“' | '”' => out.push('\''),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(deunicode::deunicode_char(c).unwrap_or("?")),
        }
    }
    out
}
