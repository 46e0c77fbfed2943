//! messo XML 1.0: `lotto.xml`, namespace `urn:messo:lotto:1.0`, published as `schemas/messo-lotto-1.0.xsd`.
//!
//! Read as a stream in constant memory. What is wrong inside an `<atto>` refuses that act; what is not well formed, a
//! forbidden construct (DOCTYPE, entities, processing instructions, depth, attribute floods, a tag or text without end) or a
//! broken header refuses the file. Elements use one prefix, the root's (usually none).

mod grammar;
mod locate;
mod read;
mod rejects;

use std::io::{self, Read};
use std::ops::ControlFlow;

use quick_xml::events::Event;
use quick_xml::reader::Reader;

use super::resolve::folder_of;
use super::{Layout, Peek, ReadContext, ReadError, RejectRows};
use crate::batch::fields::Field;
use crate::batch::row::{Parsed, Place};
use crate::batch::xml::Utf8Source;

/// messo XML 1.0.
pub struct MessoXml;

impl Layout for MessoXml {
    fn name(&self) -> &'static str {
        "messo-xml-1.0"
    }

    fn claims(&self, drop: &Peek<'_>) -> Option<usize> {
        let mine = |index: usize, head: &[u8]| {
            let name = drop.names.get(index).copied().unwrap_or_default();
            let shallow = folder_of(name).matches('/').count() <= 1;
            shallow && name.to_ascii_lowercase().ends_with(".xml") && is_batch(head)
        };
        drop.heads.iter().find(|(index, head)| mine(*index, head)).map(|(index, _)| *index)
    }

    fn read(
        &self,
        input: &mut dyn Read,
        context: &ReadContext<'_>,
        sink: &mut dyn FnMut(Parsed) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        read::read(input, context, sink)
    }

    fn locate(&self, field: Field, place: &Place) -> String {
        locate::locate(field, place.ordinal)
    }

    fn write_rejects(&self, original: &mut dyn Read, rejects: &mut RejectRows<'_>, out: &mut dyn io::Write) -> io::Result<()> {
        rejects::write(original, rejects, out)
    }

    fn reject_batch_file(&self) -> &'static str {
        "lotto.xml"
    }
}

/// Whether the root element is a `lotto` of our namespace.
fn is_batch(mut head: &[u8]) -> bool {
    let mut reader = Reader::from_reader(Utf8Source::new(&mut head));
    let mut buffer = Vec::new();
    // A prolog holds a declaration, comments, blanks; a hundred events are plenty.
    for _ in 0..100 {
        buffer.clear();
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(start) | Event::Empty(start)) => {
                return start.name().local_name().into_inner() == "lotto" && read::root_prefix(&start).is_some();
            }
            Ok(Event::Eof) | Err(_) => return false,
            Ok(_) => reader.get_mut().begin_event(),
        }
    }
    false
}

#[cfg(test)]
mod tests;
