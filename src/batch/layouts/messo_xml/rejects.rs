//! Refused acts, written again: same header, the `<atto>` elements as they came, each with its `<scarto>`.

use std::io::{self, BufRead, Read, Write};

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::grammar::NAMESPACE;
use super::read::root_prefix;
use crate::batch::layouts::{RejectRows, Rejected};
use crate::batch::xml::{Utf8Source, escape, trim};

/// Bytes of one act that are taken apart to drop an earlier `<scarto>`; a longer one (blanks, comments) is copied as it is.
const ACT_KEPT: u64 = 4 << 20;

/// Copies the rejected acts in one pass. Ranges must grow, as the acts came. What is written is UTF-8.
pub fn write(original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn Write) -> io::Result<()> {
    let mut reader = Reader::from_reader(Utf8Source::new(original));
    let head = Head::read(&mut reader)?;
    let prefix = head.prefix.as_str();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "{}", head.root)?;
    writeln!(out, "  <{prefix}intestazione>")?;
    for (name, value) in &head.values {
        writeln!(out, "    <{prefix}{name}>{}</{prefix}{name}>", escape(value))?;
    }
    writeln!(out, "    <{prefix}numeroAtti>{}</{prefix}numeroAtti>", rejects.count)?;
    writeln!(out, "  </{prefix}intestazione>")?;
    let mut source = reader.into_inner();
    while let Some(reject) = rejects.next_row()? {
        skip_to(&mut source, reject.place.start)?;
        let length = reject.place.end.saturating_sub(reject.place.start);
        out.write_all(b"  ")?;
        if length > ACT_KEPT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "act too long to be written again"));
        }
        let mut bytes = Vec::new();
        (&mut source).take(length).read_to_end(&mut bytes)?;
        let text = String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "act not in UTF-8"))?;
        write_act(&text, prefix, &reject, out)?;
    }
    writeln!(out, "</{prefix}lotto>")
}

fn skip_to(source: &mut Utf8Source<'_>, offset: u64) -> io::Result<()> {
    loop {
        source.begin_event();
        let left = offset.saturating_sub(source.offset());
        if left == 0 {
            return Ok(());
        }
        let available = source.fill_buf()?.len();
        if available == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        source.consume(available.min(usize::try_from(left).unwrap_or(usize::MAX)));
    }
}

/// The act without what an earlier reject said, and with what is said now.
fn write_act(text: &str, prefix: &str, reject: &Rejected, out: &mut dyn Write) -> io::Result<()> {
    let scarto = format!("{prefix}scarto");
    let mut reader = Reader::from_str(text);
    let (mut depth, mut copied, mut cut_from) = (0usize, 0usize, None);
    let piece = |from: usize, to: usize, out: &mut dyn Write| {
        out.write_all(text.get(from..to).unwrap_or_default().trim_end_matches([' ', '\t', '\r', '\n']).as_bytes())
    };
    loop {
        let start = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        let event = reader.read_event();
        let end = usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX);
        match event {
            Ok(Event::Start(tag)) => {
                if depth == 1 && tag.name().0 == scarto {
                    cut_from = Some(start);
                }
                depth += 1;
            }
            Ok(Event::Empty(tag)) if depth == 0 => {
                let name = tag.name().0.to_owned();
                write!(out, "<{}>", tag.trim_end())?;
                write_reasons(prefix, reject, out)?;
                return writeln!(out, "</{name}>");
            }
            Ok(Event::Empty(tag)) if depth == 1 && tag.name().0 == scarto => {
                piece(copied, start, out)?;
                copied = end;
            }
            Ok(Event::End(_)) => {
                depth = depth.saturating_sub(1);
                if depth == 1
                    && let Some(from) = cut_from.take()
                {
                    piece(copied, from, out)?;
                    copied = end;
                } else if depth == 0 {
                    piece(copied, start, out)?;
                    write_reasons(prefix, reject, out)?;
                    out.write_all(text.get(start..).unwrap_or_default().as_bytes())?;
                    return out.write_all(b"\n");
                }
            }
            Ok(Event::Eof) | Err(_) => return Err(io::Error::new(io::ErrorKind::InvalidData, "act not well formed")),
            Ok(_) => {}
        }
    }
}

fn write_reasons(prefix: &str, reject: &Rejected, out: &mut dyn Write) -> io::Result<()> {
    for (code, reason) in &reject.reasons {
        write!(out, "\n    <{prefix}scarto><{prefix}codice>{}</{prefix}codice>", escape(code))?;
        write!(out, "<{prefix}motivo>{}</{prefix}motivo></{prefix}scarto>", escape(reason))?;
    }
    out.write_all(b"\n  ")
}

/// What stands before the first act.
struct Head {
    prefix: String,
    /// The root's start tag, with every namespace it declares.
    root: String,
    /// Header values but the number of acts, which changes.
    values: Vec<(&'static str, String)>,
}

impl Head {
    fn read(reader: &mut Reader<Utf8Source<'_>>) -> io::Result<Head> {
        let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let mut head = Head { prefix: String::new(), root: format!("<lotto xmlns=\"{NAMESPACE}\">"), values: Vec::new() };
        let mut buffer = Vec::new();
        let (mut depth, mut open): (usize, Option<(&'static str, String)>) = (0, None);
        loop {
            buffer.clear();
            reader.get_mut().begin_event();
            match reader.read_event_into(&mut buffer).map_err(|_| invalid("batch not well formed"))? {
                Event::Start(tag) => {
                    depth += 1;
                    if depth == 1 {
                        head.prefix = root_prefix(&tag).ok_or_else(|| invalid("not a messo batch"))?;
                        head.root = format!("<{}>", &*tag);
                    }
                    let local = tag.name().local_name().into_inner().to_owned();
                    open = ["ente", "flusso", "riferimento"].into_iter().find(|name| *name == local).map(|name| (name, String::new()));
                }
                Event::Text(text) => {
                    if let Some((_, value)) = &mut open {
                        value.push_str(&text);
                    }
                }
                Event::CData(text) => {
                    if let Some((_, value)) = &mut open {
                        value.push_str(&text);
                    }
                }
                Event::GeneralRef(reference) => {
                    let resolved = quick_xml::escape::resolve_xml_entity(&reference).map(str::to_owned);
                    let resolved = resolved.or_else(|| reference.resolve_char_ref().ok().flatten().map(String::from));
                    if let (Some((_, value)), Some(resolved)) = (&mut open, resolved) {
                        value.push_str(&resolved);
                    }
                }
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    match open.take() {
                        Some((name, value)) if !trim(&value).is_empty() => head.values.push((name, trim(&value).to_owned())),
                        _ if depth == 1 => return Ok(head),
                        _ => {}
                    }
                }
                Event::Eof => return Err(invalid("batch without header")),
                _ => {}
            }
        }
    }
}
