//! XML as bytes: any admitted encoding to UTF-8, with line and offset, and a ceiling on what one event may weigh.
//!
//! [`Utf8Source`] stands between the drop and the XML parser. It refuses what no well-formed document holds (control
//! characters, broken UTF-16) and stops a tag, a text or a comment that never ends before it fills the memory.
//! UTF-8 passes unchanged, so [`Utf8Source::offset`] is an offset in the file as dropped (byte order mark counted); UTF-16
//! and the 8-bit encodings are transcoded, and the offset is one in the transcoded text.

use std::io::{self, BufRead, Read};

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// Most bytes that one tag, text, comment or CDATA section may take.
pub const EVENT_LIMIT: usize = 1 << 20;
/// Bytes read from below at a time.
const CHUNK: usize = 64 << 10;
/// Bytes looked at for a byte order mark and an XML declaration.
const HEAD: usize = 1024;

/// Why the source stopped, when it was not the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// One event is over [`EVENT_LIMIT`].
    TooLong,
    /// Bytes that the encoding does not have, or an encoding we do not read.
    Encoding,
    /// A control character that XML forbids.
    Control,
}

/// The bytes of an XML file as UTF-8.
pub struct Utf8Source<'r> {
    inner: &'r mut dyn Read,
    raw: Vec<u8>,
    raw_at: usize,
    decoder: Option<Decoder>,
    out: Vec<u8>,
    at: usize,
    ended: bool,
    started: bool,
    offset: u64,
    line: u64,
    spent: usize,
    fault: Option<Fault>,
}

impl<'r> Utf8Source<'r> {
    /// Nothing is read before the first use.
    pub fn new(inner: &'r mut dyn Read) -> Utf8Source<'r> {
        Utf8Source {
            inner,
            raw: Vec::new(),
            raw_at: 0,
            decoder: None,
            out: Vec::new(),
            at: 0,
            ended: false,
            started: false,
            offset: 0,
            line: 1,
            spent: 0,
            fault: None,
        }
    }

    /// Bytes consumed so far: the position of the next event.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Line of the next byte, from 1.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Why reading failed.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// A new event begins: its ceiling is whole again.
    pub fn begin_event(&mut self) {
        self.spent = 0;
    }

    fn fail(&mut self, fault: Fault) -> io::Error {
        self.fault = Some(fault);
        io::Error::new(io::ErrorKind::InvalidData, "refused")
    }

    /// Reads the head, finds the encoding and drops the byte order mark.
    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        let mut head = vec![0; HEAD];
        let mut filled = 0;
        while let Some(room) = head.get_mut(filled..).filter(|room| !room.is_empty()) {
            match self.inner.read(room) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        head.truncate(filled);
        let encoding = match Encoding::for_bom(&head) {
            Some((encoding, bom)) => {
                head.drain(..bom);
                if encoding == UTF_8 {
                    self.offset = bom as u64;
                }
                encoding
            }
            None => declared_encoding(&head).ok_or_else(|| self.fail(Fault::Encoding))?,
        };
        if encoding == UTF_8 {
            check_controls(&head).map_err(|fault| self.fail(fault))?;
            self.out = head;
        } else {
            self.decoder = Some(encoding.new_decoder_without_bom_handling());
            self.raw = head;
        }
        Ok(())
    }

    /// Fills `out` again; leaves it empty at the end of the input.
    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        if self.decoder.is_none() {
            self.out.resize(CHUNK, 0);
            let read = loop {
                match self.inner.read(&mut self.out) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => break other,
                }
            };
            self.out.truncate(*read.as_ref().unwrap_or(&0));
            read?;
        } else {
            self.transcode()?;
        }
        check_controls(&self.out).map_err(|fault| self.fail(fault))
    }

    fn transcode(&mut self) -> io::Result<()> {
        self.out.clear();
        while self.out.is_empty() && !self.ended {
            if self.raw_at >= self.raw.len() {
                self.raw.resize(CHUNK, 0);
                let read = self.inner.read(&mut self.raw);
                self.raw.truncate(*read.as_ref().unwrap_or(&0));
                self.raw_at = 0;
                match read {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    other => other?,
                };
            }
            let last = self.raw.is_empty();
            let Some(decoder) = &mut self.decoder else { return Ok(()) };
            self.out.resize(CHUNK, 0);
            let input = self.raw.get(self.raw_at..).unwrap_or_default();
            let (result, read, written, broken) = decoder.decode_to_utf8(input, &mut self.out, last);
            self.out.truncate(written);
            self.raw_at += read;
            if broken {
                return Err(self.fail(Fault::Encoding));
            }
            self.ended = last && result == encoding_rs::CoderResult::InputEmpty;
        }
        Ok(())
    }
}

/// The encoding that the XML declaration names. `None`: one we do not read. A file of single bytes that calls itself
/// UTF-16 (as some .NET writers do) is UTF-8.
fn declared_encoding(head: &[u8]) -> Option<&'static Encoding> {
    if head.starts_with(b"<\0") || head.starts_with(b"\0<") {
        return None; // UTF-16 must begin with its mark
    }
    let Some(declaration) = head.strip_prefix(b"<?xml") else { return Some(UTF_8) };
    let end = declaration.iter().position(|byte| *byte == b'>').unwrap_or(declaration.len());
    let text = String::from_utf8_lossy(declaration.get(..end).unwrap_or_default()).into_owned();
    let Some((_, after)) = text.split_once("encoding") else { return Some(UTF_8) };
    let label = after.trim_start().strip_prefix('=').map(str::trim_start).unwrap_or_default();
    let label = match label.chars().next() {
        Some(quote @ ('"' | '\'')) => label.get(1..).and_then(|rest| rest.split(quote).next()).unwrap_or_default(),
        _ => return Some(UTF_8), // not well formed: the parser says so
    };
    let encoding = Encoding::for_label(label.as_bytes())?;
    if encoding == UTF_16LE || encoding == UTF_16BE {
        return Some(UTF_8);
    }
    (encoding == UTF_8 || encoding.is_single_byte()).then_some(encoding)
}

/// `Err` when a control character other than tab, newline and carriage return is there.
fn check_controls(bytes: &[u8]) -> Result<(), Fault> {
    // Without a branch in the loop, so that it runs on whole vectors.
    let bad = bytes.iter().fold(false, |bad, byte| bad | ((*byte < 0x20) & (*byte != b'\t') & (*byte != b'\n') & (*byte != b'\r')));
    if bad { Err(Fault::Control) } else { Ok(()) }
}

impl BufRead for Utf8Source<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if let Some(fault) = self.fault {
            return Err(self.fail(fault));
        }
        if self.spent >= EVENT_LIMIT {
            return Err(self.fail(Fault::TooLong));
        }
        if !self.started {
            self.start()?;
        }
        if self.at >= self.out.len() {
            self.refill()?;
        }
        Ok(self.out.get(self.at..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let end = (self.at + count).min(self.out.len());
        let bytes = self.out.get(self.at..end).unwrap_or_default();
        self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.offset += bytes.len() as u64;
        self.spent += bytes.len();
        self.at = end;
    }
}

impl Read for Utf8Source<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let available = self.fill_buf()?;
        let count = available.len().min(into.len());
        if let (Some(to), Some(from)) = (into.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.consume(count);
        self.begin_event();
        Ok(count)
    }
}

/// Removes the blanks of XML (space, tab, newline, carriage return) at both ends, and no others.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_blank)
}

/// A blank of XML.
pub fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// `text` with the five entities in place of the characters that need them.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            '\t' | '\n' | '\r' => out.push(c),
            c if c < ' ' || c == '\u{fffe}' || c == '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(text: &str, little: bool) -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    }

    #[test]
    fn every_admitted_encoding_becomes_utf8() {
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>citt\xe0</a>".to_vec();
        let table = [
            ("UTF-8", "<a>città</a>".as_bytes().to_vec(), Ok("<a>città</a>")),
            ("UTF-8 with mark", "\u{feff}<a>città</a>".as_bytes().to_vec(), Ok("<a>città</a>")),
            ("UTF-16LE", utf16("<a>città</a>", true), Ok("<a>città</a>")),
            ("UTF-16BE", utf16("<a>città</a>", false), Ok("<a>città</a>")),
            ("Latin-1", latin, Ok("<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>città</a>")),
            (
                "says UTF-16, is not",
                b"<?xml version='1.0' encoding='utf-16'?><a/>".to_vec(),
                Ok("<?xml version='1.0' encoding='utf-16'?><a/>"),
            ),
            ("UTF-16 without mark", utf16("<a/>", true).split_off(2), Err(Fault::Encoding)),
            ("half a surrogate", [utf16("<a>", true), vec![0x00, 0xd8, b'<', 0]].concat(), Err(Fault::Encoding)),
            ("unknown", b"<?xml version='1.0' encoding='EBCDIC'?><a/>".to_vec(), Err(Fault::Encoding)),
            ("Shift JIS", b"<?xml version='1.0' encoding='Shift_JIS'?><a/>".to_vec(), Err(Fault::Encoding)),
            ("NUL", b"<a>\0</a>".to_vec(), Err(Fault::Control)),
        ];
        for (name, bytes, want) in table {
            let mut input = bytes.as_slice();
            let mut source = Utf8Source::new(&mut input);
            let mut text = String::new();
            let read = source.read_to_string(&mut text);
            match want {
                Ok(want) => assert_eq!((read.is_ok(), text.as_str()), (true, want), "{name}"),
                Err(fault) => assert_eq!((read.is_err(), source.fault()), (true, Some(fault)), "{name}"),
            }
        }
    }

    #[test]
    fn an_event_without_end_is_stopped_and_lines_are_counted() {
        let mut endless = io::repeat(b'a');
        let mut source = Utf8Source::new(&mut endless);
        let mut taken = 0;
        let stopped = loop {
            match source.fill_buf() {
                Ok(bytes) => {
                    let count = bytes.len();
                    taken += count;
                    source.consume(count);
                }
                Err(_) => break source.fault(),
            }
        };
        assert_eq!(stopped, Some(Fault::TooLong));
        assert!(taken <= EVENT_LIMIT + CHUNK, "{taken}");

        let mut input = "\u{feff}a\r\nb\nc".as_bytes();
        let mut source = Utf8Source::new(&mut input);
        std::io::copy(&mut source, &mut io::sink()).unwrap();
        assert_eq!((source.line(), source.offset()), (3, 9));
    }
}
