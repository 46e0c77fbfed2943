//! CSV as Italian offices write it, record by record, never losing the byte range and the physical line.
//!
//! `;`, `,` or tab found from the header line, quotes doubled inside quotes, newlines inside quotes, CRLF, LF or the lone CR of
//! old Macs, Excel's `sep=;` first line. UTF-8 with or without mark, else Windows-1252: the file is UTF-8 until a record is
//! not; if nothing but ASCII was seen before, it is Windows-1252 from there to the end, otherwise that record is broken.
//! One record may take 1 MiB; a quote that never closes ends there or at the end of the file, named by the line it began on.

use std::io::{self, Read};
use std::ops::Range;

use encoding_rs::WINDOWS_1252;

/// Most bytes of one record.
pub const RECORD_LIMIT: usize = 1 << 20;
/// Most columns of one record.
pub const MAX_COLUMNS: usize = 1024;
/// Bytes read from below at a time.
const CHUNK: usize = 64 << 10;
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Why reading cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    /// A record over [`RECORD_LIMIT`] or [`MAX_COLUMNS`].
    #[error("record at line {row} is too long")]
    TooLong { row: u64 },
    /// A quote opened in this record is never closed.
    #[error("quote opened at line {row} never closes")]
    OpenQuote { row: u64 },
    /// UTF-16.
    #[error("not an encoding we read")]
    Encoding,
    /// The bytes could not be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the bytes turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Only ASCII so far.
    Ascii,
    Utf8,
    Windows1252,
}

/// The records of a file.
pub struct Records<'r> {
    inner: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// Where the next record begins in `buffer`.
    at: usize,
    /// Offset in the file of `buffer[0]`.
    base: u64,
    line: u64,
    ended: bool,
    delimiter: u8,
    /// What stood before the header: byte order mark, `sep=` line.
    preamble: Vec<u8>,
    encoding: Encoding,
    spans: Vec<Span>,
    text: String,
    cells: Vec<Range<usize>>,
}

/// One field as it lies in the record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Span {
    /// With its quotes.
    raw: Range<usize>,
    quoted: bool,
}

/// One record. Blank lines are not records.
pub struct Record<'a> {
    /// Physical line on which it begins, from 1.
    pub row: u64,
    /// Byte range in the file, line end not included.
    pub start: u64,
    pub end: u64,
    /// Bytes after a closing quote, or bytes that the file's encoding does not have.
    pub defect: Option<Defect>,
    raw: &'a [u8],
    spans: &'a [Span],
    text: &'a str,
    cells: &'a [Range<usize>],
}

/// A record that can be cut in fields but not trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Defect {
    /// `"abc"def`: which of the two was meant?
    Quote,
    Encoding,
}

impl<'a> Record<'a> {
    /// Number of fields.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether all fields are blank (`;;;;`).
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// A field, decoded and trimmed; empty beyond the last. Excel's `="00123"` reads as `00123`.
    pub fn get(&self, index: usize) -> &'a str {
        let text = self.cells.get(index).and_then(|cell| self.text.get(cell.clone())).unwrap_or_default().trim();
        text.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"')).map_or(text, str::trim)
    }

    /// The bytes as they came, line end not included.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The bytes of a field as they came, quotes included.
    pub fn raw_field(&self, index: usize) -> Option<&'a [u8]> {
        self.spans.get(index).and_then(|span| self.raw.get(span.raw.clone()))
    }
}

impl<'r> Records<'r> {
    /// Reads as far as the header line, to know the delimiter.
    pub fn new(inner: &'r mut dyn Read) -> Result<Records<'r>, CsvError> {
        let mut records = Records {
            inner,
            buffer: Vec::new(),
            at: 0,
            base: 0,
            line: 1,
            ended: false,
            delimiter: b';',
            preamble: Vec::new(),
            encoding: Encoding::Ascii,
            spans: Vec::new(),
            text: String::new(),
            cells: Vec::new(),
        };
        while !records.ended && records.buffer.len() < CHUNK && !line_ends(&records.buffer) {
            records.fill()?;
        }
        if records.buffer.starts_with(b"\xff\xfe") || records.buffer.starts_with(b"\xfe\xff") {
            return Err(CsvError::Encoding);
        }
        // Programs that add a mark to a file that has one.
        while records.pending().starts_with(BOM) {
            records.at += BOM.len();
            records.encoding = Encoding::Utf8;
        }
        let consumed = records.buffer.get(..records.at).unwrap_or_default().to_vec();
        records.preamble = consumed;
        records.find_delimiter()?;
        Ok(records)
    }

    /// The delimiter.
    pub fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// What stood before the header: byte order mark, `sep=` line.
    pub fn preamble(&self) -> &[u8] {
        &self.preamble
    }

    /// What the bytes are, as far as they were read.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    fn pending(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// `sep=;` says it; otherwise the header line has more of one than of the others outside quotes.
    fn find_delimiter(&mut self) -> Result<(), CsvError> {
        let first = first_line(self.pending());
        let text = String::from_utf8_lossy(first).trim_matches([' ', '"']).to_ascii_lowercase();
        if let Some(named) =
            text.strip_prefix("sep=").and_then(|rest| rest.bytes().next()).filter(|byte| matches!(byte, b';' | b',' | b'|' | b'\t'))
        {
            let line = first.to_vec();
            self.delimiter = named;
            self.at += line.len();
            self.preamble.extend_from_slice(&line);
            self.preamble.extend_from_slice(b"\r\n");
            self.skip_line_end()?;
            return Ok(());
        }
        let (mut quoted, mut semicolons, mut commas, mut tabs) = (false, 0, 0, 0);
        for byte in first {
            match byte {
                b'"' => quoted = !quoted,
                b';' if !quoted => semicolons += 1,
                b',' if !quoted => commas += 1,
                b'\t' if !quoted => tabs += 1,
                _ => {}
            }
        }
        self.delimiter = match commas > semicolons {
            _ if tabs > commas.max(semicolons) => b'\t',
            true => b',',
            false => b';',
        };
        Ok(())
    }

    /// Passes one line end (CRLF, LF or CR), reading on when the CR is the last byte at hand.
    fn skip_line_end(&mut self) -> Result<bool, CsvError> {
        while self.pending().len() < 2 && !self.ended {
            self.fill()?;
        }
        let step = match self.pending() {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => return Ok(false),
        };
        self.at += step;
        self.line += 1;
        Ok(true)
    }

    /// Reads more, forgetting what is behind the current record.
    fn fill(&mut self) -> io::Result<()> {
        if self.at > 0 {
            self.base += self.at as u64;
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let filled = self.buffer.len();
        // Doubles for a long record, so that scanning it again costs no more than reading it.
        self.buffer.resize(filled + CHUNK.max(filled).min(RECORD_LIMIT), 0);
        let read = loop {
            let room = self.buffer.get_mut(filled..).unwrap_or_default();
            match self.inner.read(room) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.buffer.truncate(filled + *read.as_ref().unwrap_or(&0));
        self.ended = read? == 0;
        Ok(())
    }

    /// The next record.
    pub fn next_record(&mut self) -> Result<Option<Record<'_>>, CsvError> {
        loop {
            // Blank lines.
            while self.skip_line_end()? {}
            if self.pending().is_empty() {
                if self.ended {
                    return Ok(None);
                }
                self.fill()?;
                continue;
            }
            break;
        }
        let row = self.line;
        let (length, stray) = loop {
            self.spans.clear();
            match split(self.buffer.get(self.at..).unwrap_or_default(), self.delimiter, self.ended, &mut self.spans) {
                Cut::Whole { length, stray } => break (length, stray),
                Cut::TooManyFields => return Err(CsvError::TooLong { row }),
                Cut::OpenQuote => return Err(CsvError::OpenQuote { row }),
                Cut::More if self.pending().len() > RECORD_LIMIT => return Err(CsvError::TooLong { row }),
                Cut::More => self.fill()?,
            }
        };
        if length > RECORD_LIMIT {
            return Err(CsvError::TooLong { row });
        }
        let from = self.at;
        let start = self.base + from as u64;
        self.at += length;
        let raw = self.buffer.get(from..from + length).unwrap_or_default();
        self.line += newlines(raw);
        let broken = decode(raw, &self.spans, &mut self.encoding, &mut self.text, &mut self.cells);
        let defect = if broken {
            Some(Defect::Encoding)
        } else if stray {
            Some(Defect::Quote)
        } else {
            None
        };
        let record =
            Record { row, start, end: start + length as u64, defect, raw, spans: &self.spans, text: &self.text, cells: &self.cells };
        Ok(Some(record))
    }
}

/// How far a record goes.
enum Cut {
    /// Its length without the line end; `stray`: bytes after a closing quote.
    Whole {
        length: usize,
        stray: bool,
    },
    /// It goes on beyond what is at hand.
    More,
    OpenQuote,
    TooManyFields,
}

/// Cuts the record at the head of `bytes`.
fn split(bytes: &[u8], delimiter: u8, ended: bool, spans: &mut Vec<Span>) -> Cut {
    let (mut at, mut stray) = (0, false);
    loop {
        if spans.len() >= MAX_COLUMNS {
            return Cut::TooManyFields;
        }
        let start = at;
        let quoted = bytes.get(at) == Some(&b'"');
        if quoted {
            at += 1;
            loop {
                let Some(quote) = bytes.get(at..).and_then(|rest| rest.iter().position(|byte| *byte == b'"')) else {
                    return if ended { Cut::OpenQuote } else { Cut::More };
                };
                at += quote + 1;
                match bytes.get(at) {
                    Some(b'"') => at += 1,
                    None if !ended => return Cut::More,
                    _ => break,
                }
            }
        }
        let rest = bytes.get(at..).unwrap_or_default();
        let stop = rest.iter().position(|byte| *byte == delimiter || *byte == b'\n' || *byte == b'\r');
        let tail = rest.get(..stop.unwrap_or(rest.len())).unwrap_or_default();
        stray |= quoted && !tail.iter().all(|byte| *byte == b' ');
        at += tail.len();
        spans.push(Span { raw: start..at, quoted });
        match bytes.get(at) {
            Some(byte) if *byte == delimiter => at += 1,
            Some(_) => return Cut::Whole { length: at, stray },
            None if ended => return Cut::Whole { length: at, stray },
            None => return Cut::More,
        }
    }
}

/// Fills `text` and `cells` with the decoded fields. `true`: the bytes are not of the file's encoding.
fn decode(raw: &[u8], spans: &[Span], encoding: &mut Encoding, text: &mut String, cells: &mut Vec<Range<usize>>) -> bool {
    text.clear();
    cells.clear();
    let mut broken = false;
    if *encoding != Encoding::Windows1252 && !raw.is_ascii() {
        match (std::str::from_utf8(raw).is_ok(), *encoding) {
            (true, _) => *encoding = Encoding::Utf8,
            (false, Encoding::Ascii) => *encoding = Encoding::Windows1252,
            (false, _) => broken = true,
        }
    }
    for span in spans {
        let mut bytes = raw.get(span.raw.clone()).unwrap_or_default();
        if span.quoted {
            let inner = bytes.strip_prefix(b"\"").unwrap_or(bytes);
            let close = inner.iter().rposition(|byte| *byte == b'"').unwrap_or(inner.len());
            bytes = inner.get(..close).unwrap_or_default();
        }
        let from = text.len();
        let decoded = match *encoding {
            Encoding::Windows1252 => WINDOWS_1252.decode_without_bom_handling(bytes).0,
            _ => String::from_utf8_lossy(bytes),
        };
        if span.quoted && decoded.contains("\"\"") {
            text.push_str(&decoded.replace("\"\"", "\""));
        } else {
            text.push_str(&decoded);
        }
        cells.push(from..text.len());
    }
    broken
}

/// The bytes of the first line, line end not included.
pub fn first_line(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().position(|byte| *byte == b'\n' || *byte == b'\r').unwrap_or(bytes.len());
    bytes.get(..end).unwrap_or_default()
}

fn line_ends(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte == b'\n' || *byte == b'\r')
}

/// Line ends inside a record: LF, and CR that no LF follows.
fn newlines(raw: &[u8]) -> u64 {
    let lone = raw.iter().zip(raw.iter().skip(1).chain(Some(&b' '))).filter(|(byte, next)| **byte == b'\r' && **next != b'\n').count();
    (raw.iter().filter(|byte| **byte == b'\n').count() + lone) as u64
}

/// Column names of the header in the head of a file, lower case: what recognition looks at.
pub fn peek_header(head: &[u8]) -> Vec<String> {
    let mut input = head;
    let Ok(mut records) = Records::new(&mut input) else { return Vec::new() };
    match records.next_record() {
        Ok(Some(record)) => (0..record.len()).map(|index| record.get(index).to_ascii_lowercase()).collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(bytes: &[u8]) -> Vec<(u64, u64, u64, Vec<String>)> {
        let mut input = bytes;
        let mut records = Records::new(&mut input).unwrap();
        let mut out = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            let cells = (0..record.len()).map(|index| record.get(index).to_owned()).collect();
            out.push((record.row, record.start, record.end, cells));
        }
        out
    }

    #[test]
    fn cells_lines_and_ranges_whatever_the_writer() {
        let cells = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        type Want<'a> = Vec<(u64, u64, u64, Vec<String>)>;
        let table: Vec<(&str, &[u8], Want<'_>)> = vec![
            ("LF", b"a;b\n1;2\n", vec![(1, 0, 3, cells(&["a", "b"])), (2, 4, 7, cells(&["1", "2"]))]),
            ("CRLF, no last line end", b"a,b\r\n1,2", vec![(1, 0, 3, cells(&["a", "b"])), (2, 5, 8, cells(&["1", "2"]))]),
            ("CR", b"a;b\r1;2\r", vec![(1, 0, 3, cells(&["a", "b"])), (2, 4, 7, cells(&["1", "2"]))]),
            ("mark", b"\xef\xbb\xbfa;b\n", vec![(1, 3, 6, cells(&["a", "b"]))]),
            ("sep", b"sep=,\r\na,b;c\r\n", vec![(2, 7, 12, cells(&["a", "b;c"]))]),
            ("quoted sep after a mark", b"\xef\xbb\xbf\"sep=;\";;\r\na;b,c\r\n", vec![(2, 14, 19, cells(&["a", "b,c"]))]),
            ("sep of tabs", b"sep=\t\na\tb;c\n", vec![(2, 6, 11, cells(&["a", "b;c"]))]),
            ("tabs", b"a\tb,c\td\n1\t\t\"2\t;\"\n", vec![(1, 0, 7, cells(&["a", "b,c", "d"])), (2, 8, 16, cells(&["1", "", "2\t;"]))]),
            ("two marks", b"\xef\xbb\xbf\xef\xbb\xbfa;b\n", vec![(1, 6, 9, cells(&["a", "b"]))]),
            (
                "quotes",
                b"a;b\n\"x;\"\"y\"\"\r\nz\"; c \n3;4",
                vec![(1, 0, 3, cells(&["a", "b"])), (2, 4, 20, cells(&["x;\"y\"\r\nz", "c"])), (4, 21, 24, cells(&["3", "4"]))],
            ),
            ("blank lines", b"a;b\n\n\r\n1;\n", vec![(1, 0, 3, cells(&["a", "b"])), (4, 7, 9, cells(&["1", ""]))]),
            (
                "Excel formula",
                b"a;b\n=\"00123\";\"=\"\"00184\"\"\"",
                vec![(1, 0, 3, cells(&["a", "b"])), (2, 4, 25, cells(&["00123", "00184"]))],
            ),
            (
                "Windows-1252",
                b"a\ncitt\xe0\n\xc3\xa8",
                vec![(1, 0, 1, cells(&["a"])), (2, 2, 7, cells(&["città"])), (3, 8, 10, cells(&["Ã¨"]))],
            ),
            ("UTF-8", "a\ncittà".as_bytes(), vec![(1, 0, 1, cells(&["a"])), (2, 2, 8, cells(&["città"]))]),
        ];
        for (name, bytes, want) in table {
            assert_eq!(rows(bytes), want, "{name}");
        }
    }

    #[test]
    fn a_record_across_reads_is_the_same_record() {
        struct Drip<'a>(&'a [u8]);
        impl Read for Drip<'_> {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
                into[0] = *first;
                self.0 = rest;
                Ok(1)
            }
        }
        let text = b"a;b\r\n\"x\r\n\"\"y\";2\r\n\r\n3;\"4\"\r\n";
        let mut drip = Drip(text);
        let mut records = Records::new(&mut drip).unwrap();
        let mut out = Vec::new();
        while let Some(record) = records.next_record().unwrap() {
            let cells = (0..record.len()).map(|index| record.get(index).to_owned()).collect();
            out.push((record.row, record.start, record.end, cells));
        }
        assert_eq!(out, rows(text));
        assert_eq!(out.len(), 3);
    }

    #[test]
    fn what_cannot_be_trusted_is_told_with_its_line() {
        let error = |bytes: &[u8]| {
            let mut input = bytes;
            let mut records = match Records::new(&mut input) {
                Ok(records) => records,
                Err(error) => return error.to_string(),
            };
            loop {
                match records.next_record() {
                    Ok(Some(record)) if record.defect.is_some() => return format!("{:?} at {}", record.defect.unwrap(), record.row),
                    Ok(Some(_)) => {}
                    Ok(None) => return "none".to_owned(),
                    Err(error) => return error.to_string(),
                }
            }
        };
        let long = [b"a;b\n1;".as_slice(), &vec![b'x'; RECORD_LIMIT + 10]].concat();
        let wide = [b"a;b\n".as_slice(), &vec![b';'; MAX_COLUMNS + 10]].concat();
        let table: [(&str, &[u8], &str); 7] = [
            ("open quote", b"a;b\n1;2\n3;\"4\n5;6\n", "quote opened at line 3 never closes"),
            ("stray", b"a;b\n1;\"2\"x\n", "Quote at 2"),
            ("Latin-1 inside UTF-8", b"a;\xc3\xa8\n1;\xe8\n", "Encoding at 2"),
            ("UTF-16", b"\xff\xfea\0", "not an encoding we read"),
            ("long", &long, "record at line 2 is too long"),
            ("wide", &wide, "record at line 2 is too long"),
            ("fine", b"a;b\n1;2", "none"),
        ];
        for (name, bytes, want) in table {
            assert_eq!(error(bytes), want, "{name}");
        }
        let mut endless = io::repeat(b'"');
        assert!(matches!(Records::new(&mut endless).unwrap().next_record(), Err(CsvError::TooLong { row: 1 })));
    }
}
