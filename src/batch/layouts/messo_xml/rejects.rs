//! Refused acts, written again: same header, the `<atto>` elements as they came, each with its `<scarto>`.

use std::io::{self, BufRead, Read, Write};

use quick_xml::events::Event;
use quick_xml::reader::Reader;
use quick_xml::writer::Writer;

use super::grammar::NAMESPACE;
use super::read::root_prefix;
use crate::batch::layouts::{RejectRows, Rejected};
use crate::batch::xml::{Utf8Source, escape, is_blank, trim};

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
        copy_act(&mut source, length, prefix, &reject, out)?;
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

/// The act of the next `length` bytes without what an earlier reject said, and with what is said now. An act has no ceiling of
/// its own: it is copied event by event, each of which the source bounds.
fn copy_act(source: &mut Utf8Source<'_>, length: u64, prefix: &str, reject: &Rejected, out: &mut dyn Write) -> io::Result<()> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let scarto = format!("{prefix}scarto");
    let mut reader = Reader::from_reader(source.take(length));
    let mut copy = Writer::new(out);
    let mut buffer = Vec::new();
    // A text is kept until what follows it is known: the blanks before what is taken out, and before what is added, go with it.
    let mut text = String::new();
    let (mut depth, mut cutting) = (0usize, false);
    loop {
        buffer.clear();
        reader.get_mut().get_mut().begin_event();
        let event = reader.read_event_into(&mut buffer).map_err(|_| invalid("act not well formed"))?;
        let earlier = depth == 1 && matches!(&event, Event::Start(tag) | Event::Empty(tag) if tag.name().0 == scarto);
        let last = depth == 1 && !cutting && matches!(event, Event::End(_));
        let kept = if earlier || last { text.trim_end_matches(is_blank) } else { text.as_str() };
        copy.get_mut().write_all(kept.as_bytes())?;
        text.clear();
        match event {
            Event::Empty(tag) if depth == 0 => {
                copy.write_event(Event::Start(tag.borrow()))?;
                write_reasons(prefix, reject, copy.get_mut())?;
                copy.write_event(Event::End(tag.to_end()))?;
                return writeln!(copy.get_mut());
            }
            Event::Empty(_) if earlier => {}
            Event::Start(tag) => {
                depth += 1;
                cutting |= earlier;
                if !cutting {
                    copy.write_event(Event::Start(tag))?;
                }
            }
            Event::End(tag) => {
                depth = depth.saturating_sub(1);
                if last {
                    write_reasons(prefix, reject, copy.get_mut())?;
                }
                if !cutting {
                    copy.write_event(Event::End(tag))?;
                }
                cutting &= depth > 1;
                if depth == 0 {
                    return writeln!(copy.get_mut());
                }
            }
            Event::Eof => return Err(invalid("act not well formed")),
            _ if cutting => {}
            Event::Text(blanks) => text.push_str(&blanks),
            other => copy.write_event(other)?,
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
