//! The streaming reader: XML events against the [`grammar`](super::grammar), one act at a time.

use std::io::{self, Read};
use std::ops::ControlFlow;

use jiff::civil::Date;
use quick_xml::errors::{Error as XmlError, IllFormedError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

use super::grammar::{BATCH, Child, Group, HeaderSlot, Kind, NAMESPACE, What};
use super::locate::locate;
use crate::batch::fields::Field;
use crate::batch::layouts::draft::finish::Completeness;
use crate::batch::layouts::draft::{Dialect, Draft, Part, Slot, hundredths, iso_date};
use crate::batch::layouts::resolve::Names;
use crate::batch::layouts::{ReadContext, ReadError};
use crate::batch::problem::{Code, Finding, Problem, Severity};
use crate::batch::row::{BatchHeader, Parsed, ParsedAct, Place};
use crate::batch::xml::{Fault, Utf8Source, is_blank, trim};
use crate::domain::money::Cents;

/// Elements inside one another.
const MAX_DEPTH: usize = 12;
/// Attributes of one tag.
const MAX_ATTRIBUTES: usize = 64;
/// Bytes of a value that are kept: more than the longest field takes, so that what is over is seen to be over.
const VALUE_KEPT: usize = 16 << 10;

/// Reads a whole batch.
pub fn read(input: &mut dyn Read, context: &ReadContext<'_>, sink: &mut dyn FnMut(Parsed) -> ControlFlow<()>) -> Result<(), ReadError> {
    let mut xml = Reader::from_reader(Utf8Source::new(input));
    xml.config_mut().check_comments = true;
    let mut buffer = Vec::new();
    let mut machine = Machine::new(context);
    let mut first = true;
    loop {
        buffer.clear();
        xml.get_mut().begin_event();
        let (start, line) = (xml.get_ref().offset(), xml.get_ref().line());
        machine.line = line;
        let event = match xml.read_event_into(&mut buffer) {
            Ok(event) => event,
            Err(error) => return Err(stopped(&machine, xml.get_ref(), error)),
        };
        let parsed = match event {
            Event::Start(tag) => {
                machine.open(&tag, start)?;
                None
            }
            Event::Empty(tag) => {
                machine.open(&tag, start)?;
                machine.close(xml.get_ref().offset())?
            }
            Event::End(_) => machine.close(xml.get_ref().offset())?,
            Event::Text(text) => {
                if text.as_bytes().contains(&b'>') && text.contains("]]>") {
                    return Err(machine.refuse(Code::XmlMalformed));
                }
                machine.text(&text)?;
                None
            }
            Event::CData(text) => {
                if machine.frames.is_empty() {
                    return Err(machine.refuse(Code::XmlMalformed));
                }
                // Between elements even an empty section is text.
                if machine.leaf.is_none() && machine.skipped == 0 {
                    machine.stray(&text)?
                } else {
                    machine.text(&text)?
                }
                None
            }
            Event::GeneralRef(reference) => {
                let named = match &*reference {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "quot" => Some('"'),
                    "apos" => Some('\''),
                    _ => None,
                };
                let resolved = match named {
                    Some(c) => c,
                    None if reference.is_char_ref() => match reference.resolve_char_ref() {
                        Ok(Some(c)) if is_xml_char(c) => c,
                        _ => return Err(machine.refuse(Code::XmlMalformed)),
                    },
                    None => return Err(machine.refuse_with(Code::XmlForbidden, format!("&{};", &*reference))),
                };
                machine.text(resolved.encode_utf8(&mut [0; 4]))?;
                None
            }
            Event::Comment(_) => None,
            Event::Decl(_) if first => None,
            Event::Decl(_) => return Err(machine.refuse(Code::XmlMalformed)),
            Event::PI(_) => return Err(machine.refuse_with(Code::XmlForbidden, "<?…?>")),
            Event::DocType(_) => return Err(machine.refuse_with(Code::XmlForbidden, "<!DOCTYPE>")),
            Event::Eof if machine.done => return Ok(()),
            Event::Eof => return Err(machine.refuse(Code::XmlMalformed)),
        };
        first = false;
        if let Some(parsed) = parsed
            && sink(parsed).is_break()
        {
            return Ok(());
        }
    }
}

/// The refusal behind an error of the parser.
fn stopped(machine: &Machine<'_>, source: &Utf8Source<'_>, error: XmlError) -> ReadError {
    match (error, source.fault()) {
        (_, Some(Fault::TooLong)) => machine.refuse_with(Code::XmlForbidden, "un solo elemento o testo oltre 1 MiB"),
        (_, Some(Fault::Encoding)) | (XmlError::Encoding(_), _) => machine.refuse(Code::EncodingInvalid),
        (_, Some(Fault::Control)) => machine.refuse_with(Code::XmlMalformed, "carattere di controllo"),
        (XmlError::Io(error), None) => ReadError::Io(io::Error::new(error.kind(), error.to_string())),
        (XmlError::IllFormed(IllFormedError::MismatchedEndTag { expected, found }), None) => {
            let mut problem = machine.problem(Code::XmlMalformed).found(format!("</{found}>"));
            problem.expected = Some(format!("</{}>", crate::batch::problem::excerpt(&expected)));
            ReadError::Refused(Box::new(problem))
        }
        (_, None) => machine.refuse(Code::XmlMalformed),
    }
}

fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r') || (c >= ' ' && c != '\u{fffe}' && c != '\u{ffff}')
}

/// The prefix of the root with its colon (empty when it has none), if our namespace is bound to it.
pub fn root_prefix(root: &BytesStart<'_>) -> Option<String> {
    let name = root.name();
    let (prefix, attribute) = match name.0.split_once(':') {
        Some((prefix, _)) => (format!("{prefix}:"), format!("xmlns:{prefix}")),
        None => (String::new(), "xmlns".to_owned()),
    };
    let value = root.try_get_attribute(attribute.as_str()).ok()??;
    (value.value.trim() == NAMESPACE).then_some(prefix)
}

/// One open group.
struct Frame {
    group: &'static Group,
    /// Index of the child last opened.
    at: usize,
    /// Children opened so far, one bit each.
    seen: u64,
    /// Occurrences of the child at `at`; of all children in a group of any order.
    count: usize,
}

/// Where a child stands in its group.
enum Found {
    Here(&'static Child),
    OneTooMany(&'static Child),
    OutOfOrder(&'static Child),
    Unknown,
}

/// Whether `child` has that name: most differ in length or in the first letter, and comparing those is no call.
fn is_named(child: &Child, name: &str) -> bool {
    let own = child.name;
    own.len() == name.len() && own.as_bytes().first() == name.as_bytes().first() && own == name
}

impl Frame {
    fn enter(&mut self, name: &str) -> Found {
        let children = self.group.children;
        if let Some(max) = self.group.any_of {
            let Some((index, child)) = children.iter().enumerate().find(|(_, child)| is_named(child, name)) else { return Found::Unknown };
            self.seen |= 1 << index;
            self.count += 1;
            return if self.count > max { Found::OneTooMany(child) } else { Found::Here(child) };
        }
        let ahead = children.iter().enumerate().skip(self.at).find(|(_, child)| is_named(child, name));
        if let Some((index, child)) = ahead {
            let again = index == self.at && self.seen & (1 << index) != 0;
            self.count = if again { self.count + 1 } else { 1 };
            self.at = index;
            self.seen |= 1 << index;
            return if self.count > child.max { Found::OneTooMany(child) } else { Found::Here(child) };
        }
        match children.iter().enumerate().find(|(_, child)| is_named(child, name)) {
            Some((index, child)) if self.seen & (1 << index) != 0 && child.max == 1 => Found::OneTooMany(child),
            Some((index, child)) => {
                self.seen |= 1 << index;
                Found::OutOfOrder(child)
            }
            None => Found::Unknown,
        }
    }

    fn has_seen(&self, index: usize) -> bool {
        self.seen & (1 << index) != 0
    }
}

/// What is open, and the act being read.
struct Machine<'c> {
    context: &'c ReadContext<'c>,
    names: Names<'c>,
    /// Prefix of our elements, with its colon.
    prefix: String,
    frames: Vec<Frame>,
    /// The value being read.
    leaf: Option<&'static Child>,
    value: String,
    /// Blanks came, and count as one space if something follows.
    gap: bool,
    /// Elements open inside one that is not read.
    skipped: usize,
    /// The name of a file inside one: its act is refused, and the file is that act's.
    passed: Option<String>,
    depth: usize,
    done: bool,
    line: u64,
    header: BatchHeader,
    draft: Draft,
    in_act: bool,
    place: Place,
    /// Number of the current payment, document, step or echo field.
    item: usize,
}

impl<'c> Machine<'c> {
    fn new(context: &'c ReadContext<'c>) -> Machine<'c> {
        Machine {
            context,
            names: Names::new(context.names, context.file),
            prefix: String::new(),
            frames: Vec::new(),
            leaf: None,
            value: String::new(),
            gap: false,
            skipped: 0,
            passed: None,
            depth: 0,
            done: false,
            line: 1,
            header: BatchHeader::default(),
            draft: Draft::new(),
            in_act: false,
            place: Place::default(),
            item: 0,
        }
    }

    fn problem(&self, code: Code) -> Problem {
        let mut problem = Problem::of_drop(self.context.file, code);
        problem.row = Some(self.line);
        if self.in_act {
            problem.column = Some(format!("/lotto/atto[{}]", self.place.ordinal));
        }
        problem
    }

    fn refuse(&self, code: Code) -> ReadError {
        ReadError::Refused(Box::new(self.problem(code)))
    }

    fn refuse_with(&self, code: Code, found: impl AsRef<str>) -> ReadError {
        ReadError::Refused(Box::new(self.problem(code).found(found)))
    }

    /// Where a finding about the element itself stands.
    fn here(&self, path: &'static str) -> Field {
        let of_recipient = matches!(path, "/destinatario" | "/indirizzo" | "/pagamenti" | "/avviso" | "/f24" | "/allegato" | "/metadati");
        let recipient = of_recipient.then(|| self.draft.recipients().saturating_sub(1));
        Field { name: path, recipient, item: Some(self.item) }
    }

    /// A finding inside an act; outside, the file is refused.
    fn report(&mut self, field: Field, code: Code, found: Option<&str>, expected: Option<String>) -> Result<(), ReadError> {
        if self.in_act {
            let finding = Finding { field, code, severity: Severity::Error, found: None, expected };
            self.draft.find(match found {
                Some(found) => finding.found(found),
                None => finding,
            });
            return Ok(());
        }
        let mut problem = self.problem(code);
        problem.column = Some(field.name.to_owned());
        problem.expected = expected;
        Err(ReadError::Refused(Box::new(match found {
            Some(found) => problem.found(found),
            None => problem,
        })))
    }

    fn open(&mut self, tag: &BytesStart<'_>, start: u64) -> Result<(), ReadError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.refuse(Code::XmlTooDeep));
        }
        let strange = if tag.attributes_raw().trim().is_empty() { None } else { self.attributes(tag)? };
        let name = tag.name().0;
        if self.skipped > 0 {
            self.skip(name);
            return Ok(());
        }
        let Some(frame) = self.frames.last_mut() else {
            return self.open_root(tag, strange);
        };
        if let Some(leaf) = self.leaf {
            self.skip(name);
            let field = self.leaf_field(leaf);
            return self.report(field, Code::XmlUnknownElement, Some(name), None);
        }
        let foreign = matches!(strange, Some(Strange::Namespace));
        let local = match self.prefix.as_str() {
            _ if foreign => None,
            "" => Some(name),
            prefix => name.strip_prefix(prefix),
        };
        let path = frame.group.path;
        let child = match local.map_or(Found::Unknown, |local| frame.enter(local)) {
            Found::Here(child) => child,
            Found::OneTooMany(child) => {
                self.skip(name);
                let expected = (child.max > 1).then(|| format!("al massimo {}", child.max));
                let field = self.child_field(child, path);
                return self.report(field, child.too_many, Some(child.name), expected);
            }
            Found::OutOfOrder(child) => {
                let field = self.child_field(child, path);
                self.report(field, Code::FieldNotAllowed, Some(child.name), Some("elementi nell'ordine dello schema".into()))?;
                child
            }
            Found::Unknown => {
                self.skip(name);
                let field = self.here(path);
                return self.report(field, Code::XmlUnknownElement, Some(name), None);
            }
        };
        match child.what {
            What::Group(group) => self.open_group(group, start)?,
            _ => {
                self.leaf = Some(child);
                self.value.clear();
                self.gap = false;
            }
        }
        match strange {
            Some(Strange::Attribute(attribute)) => {
                let field = self.child_field(child, path);
                self.report(field, Code::FieldNotAllowed, Some(&attribute), None)
            }
            _ => Ok(()),
        }
    }

    /// An element that is not read, or one inside it. Of its content only the names of files are kept.
    fn skip(&mut self, name: &str) {
        self.skipped += 1;
        let local = name.rsplit(':').next().unwrap_or(name);
        self.passed = (self.in_act && local == "file").then(String::new);
    }

    fn open_root(&mut self, tag: &BytesStart<'_>, strange: Option<Strange>) -> Result<(), ReadError> {
        if self.done {
            return Err(self.refuse(Code::XmlMalformed));
        }
        let Some(prefix) = root_prefix(tag).filter(|prefix| tag.name().0.strip_prefix(prefix.as_str()) == Some("lotto")) else {
            return Err(self.refuse_with(Code::XmlUnknownElement, tag.name().0));
        };
        self.prefix = prefix;
        if let Some(Strange::Attribute(attribute)) = strange {
            return Err(self.refuse_with(Code::FieldNotAllowed, attribute));
        }
        self.frames.push(Frame { group: &BATCH, at: 0, seen: 0, count: 0 });
        Ok(())
    }

    fn open_group(&mut self, group: &'static Group, start: u64) -> Result<(), ReadError> {
        match group.kind {
            Kind::Act => {
                if self.frames.first().is_some_and(|batch| !batch.has_seen(0)) {
                    return self.report(Field::act("/lotto/intestazione"), Code::FieldMissing, None, None);
                }
                self.in_act = true;
                self.draft = Draft::new();
                let ordinal = self.place.ordinal + 1;
                self.place = Place { row: self.line, start, ordinal, ..Place::default() };
            }
            Kind::Recipient => {
                self.draft.begin_recipient();
                self.place.recipient_rows.push(self.line);
            }
            Kind::Address => self.draft.begin_address(),
            Kind::Notice => self.item = self.draft.count(Part::Notice),
            Kind::F24 => self.item = self.draft.count(Part::F24),
            Kind::Document => self.item = self.draft.count(Part::Document),
            Kind::Rule => self.draft.begin_rule(),
            Kind::Step => self.item = self.draft.count(Part::Step),
            Kind::Echo => self.item = self.draft.count(Part::Echo),
            Kind::Batch | Kind::Header | Kind::Plain => {}
        }
        self.frames.push(Frame { group, at: 0, seen: 0, count: 0 });
        Ok(())
    }

    fn leaf_field(&self, leaf: &Child) -> Field {
        self.child_field(leaf, self.frames.last().map_or("/lotto", |frame| frame.group.path))
    }

    fn child_field(&self, child: &Child, parent: &'static str) -> Field {
        match child.what {
            What::Value { slot, .. } => self.draft.field(slot, self.item),
            What::Header(HeaderSlot::Sender) => Field::act("/lotto/intestazione/ente"),
            What::Header(HeaderSlot::Flow) => Field::act("/lotto/intestazione/flusso"),
            What::Header(HeaderSlot::Reference) => Field::act("/lotto/intestazione/riferimento"),
            What::Header(HeaderSlot::Count) => Field::act("/lotto/intestazione/numeroAtti"),
            What::Ignored => self.here(parent),
            What::Group(group) => self.here(group.path),
        }
    }

    /// Text where only elements may stand.
    fn stray(&mut self, text: &str) -> Result<(), ReadError> {
        let Some(frame) = self.frames.last() else { return Err(self.refuse(Code::XmlMalformed)) };
        let field = self.here(frame.group.path);
        self.report(field, Code::FieldNotAllowed, Some(trim(text)), None)
    }

    /// Text, or the character behind a reference.
    fn text(&mut self, text: &str) -> Result<(), ReadError> {
        let Some(leaf) = self.leaf.filter(|_| self.skipped == 0) else {
            if self.skipped > 0 {
                if let Some(passed) = self.passed.as_mut().filter(|passed| passed.len() <= VALUE_KEPT) {
                    passed.push_str(text);
                }
                return Ok(());
            }
            if text.bytes().all(|byte| is_blank(char::from(byte))) {
                return Ok(());
            }
            return self.stray(text);
        };
        if self.value.len() > VALUE_KEPT {
            return Ok(());
        }
        if matches!(leaf.what, What::Value { exact: true, .. } | What::Header(HeaderSlot::Reference)) {
            if text.len() > 1 && text.contains('\r') {
                self.value.push_str(&text.replace("\r\n", "\n").replace('\r', "\n"));
            } else {
                self.value.push_str(text);
            }
            return Ok(());
        }
        let bytes = text.as_bytes();
        let plain = !self.gap && !bytes.iter().any(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        if plain {
            self.value.push_str(text);
            return Ok(());
        }
        for c in text.chars() {
            if is_blank(c) {
                self.gap = true;
                continue;
            }
            if self.gap && !self.value.is_empty() {
                self.value.push(' ');
            }
            self.gap = false;
            self.value.push(c);
        }
        Ok(())
    }

    fn close(&mut self, end: u64) -> Result<Option<Parsed>, ReadError> {
        self.depth = self.depth.saturating_sub(1);
        if self.skipped > 0 {
            self.skipped -= 1;
            if let Some(file) = self.passed.take() {
                self.draft.name_file(trim(&file));
            }
            return Ok(None);
        }
        if let Some(leaf) = self.leaf.take() {
            let value = std::mem::take(&mut self.value);
            let closed = self.close_leaf(leaf, &value);
            self.value = value;
            return closed.map(|()| None);
        }
        let Some(frame) = self.frames.pop() else { return Ok(None) };
        for (index, child) in frame.group.children.iter().enumerate() {
            if child.required && !frame.has_seen(index) {
                let code = if frame.group.kind == Kind::Batch && index == 1 { Code::EmptyBatch } else { Code::FieldMissing };
                let field = self.child_field(child, frame.group.path);
                self.report(field, code, None, Some(child.name.to_owned()))?;
            }
        }
        match frame.group.kind {
            Kind::Batch => self.done = true,
            Kind::Header => return Ok(Some(Parsed::Header(self.header.clone()))),
            Kind::Act => return Ok(Some(self.close_act(end))),
            _ => {}
        }
        Ok(None)
    }

    fn close_leaf(&mut self, leaf: &'static Child, raw: &str) -> Result<(), ReadError> {
        let text = trim(raw);
        if text.is_empty() {
            let field = self.leaf_field(leaf);
            return if leaf.filled { self.report(field, Code::FieldMissing, None, None) } else { Ok(()) };
        }
        match leaf.what {
            What::Value { slot, exact } => {
                // The schema counts the blanks around an exact value too.
                let limit = slot.limit();
                if exact && raw.len() > limit && raw.chars().count() > limit && text.chars().count() <= limit {
                    let field = self.leaf_field(leaf);
                    self.draft.find(Finding::error(field, Code::FieldTooLong).found(text).expected(format!("{limit} caratteri")));
                }
                self.draft.set(slot, self.item, text, &Schema);
                Ok(())
            }
            What::Header(slot) => self.close_header_value(slot, raw, text),
            What::Ignored | What::Group(_) => Ok(()),
        }
    }

    fn close_header_value(&mut self, slot: HeaderSlot, raw: &str, text: &str) -> Result<(), ReadError> {
        let digits = |most: usize| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
        let (good, name, code) = match slot {
            HeaderSlot::Sender => (digits(11) && text.len() == 11, "/lotto/intestazione/ente", Code::SenderTaxIdInvalid),
            HeaderSlot::Flow => {
                let shaped = text.len() <= 32 && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
                (shaped, "/lotto/intestazione/flusso", Code::ValueUnknown)
            }
            HeaderSlot::Reference => (raw.chars().count() <= 128, "/lotto/intestazione/riferimento", Code::FieldTooLong),
            HeaderSlot::Count => (digits(7), "/lotto/intestazione/numeroAtti", Code::NumberInvalid),
        };
        if !good {
            return self.report(Field::act(name), code, Some(text), None);
        }
        match slot {
            HeaderSlot::Sender => self.header.sender_tax_id = Some(text.to_owned()),
            HeaderSlot::Flow => self.header.flow = Some(text.to_owned()),
            HeaderSlot::Reference => self.header.reference = Some(text.to_owned()),
            HeaderSlot::Count => self.header.count = text.parse().ok(),
        }
        Ok(())
    }

    fn close_act(&mut self, end: u64) -> Parsed {
        self.in_act = false;
        self.place.end = end;
        let next = Place { ordinal: self.place.ordinal, ..Place::default() };
        let place = std::mem::replace(&mut self.place, next);
        let mut draft = std::mem::take(&mut self.draft);
        draft.default_sender(self.header.sender_tax_id.as_deref().unwrap_or_default());
        let readable = !draft.reference().is_empty();
        let mut done = draft.finish(&self.names, Completeness::Checked);
        if readable {
            return Parsed::Act(Box::new(ParsedAct { act: done.act, findings: done.findings, place, surplus: done.surplus }));
        }
        let problems = std::mem::take(&mut done.findings).into_iter().map(|finding| Problem {
            file: self.context.file.to_owned(),
            row: Some(place.row_of(finding.field)),
            column: Some(locate(finding.field, place.ordinal)),
            code: std::borrow::Cow::Borrowed(finding.code.as_str()),
            severity: finding.severity,
            found: finding.found,
            expected: finding.expected,
            act: None,
        });
        Parsed::Unreadable { problems: problems.collect(), place, reference: None, files: done.into_files() }
    }

    /// Refuses floods and broken attributes. Ours have none but namespaces and schema locations.
    fn attributes(&self, tag: &BytesStart<'_>) -> Result<Option<Strange>, ReadError> {
        let own = self.prefix.strip_suffix(':');
        let mut strange = None;
        for (index, attribute) in tag.attributes().enumerate() {
            let Ok(attribute) = attribute else { return Err(self.refuse(Code::XmlMalformed)) };
            if index >= MAX_ATTRIBUTES {
                return Err(self.refuse_with(Code::XmlForbidden, format!("oltre {MAX_ATTRIBUTES} attributi")));
            }
            if attribute.value.contains('<') {
                return Err(self.refuse(Code::XmlMalformed));
            }
            if attribute.value.contains('&') && quick_xml::escape::unescape(&attribute.value).is_err() {
                return Err(self.refuse_with(Code::XmlForbidden, &attribute.value));
            }
            let key = attribute.key.0;
            let declares = key.strip_prefix("xmlns").and_then(|rest| if rest.is_empty() { Some("") } else { rest.strip_prefix(':') });
            match declares {
                Some(prefix) if Some(prefix) == own || (prefix.is_empty() && own.is_none()) => {
                    if !self.frames.is_empty() && attribute.value.trim() != NAMESPACE {
                        strange = Some(Strange::Namespace);
                    }
                }
                Some(_) => {}
                None if matches!(key, "xsi:schemaLocation" | "xsi:noNamespaceSchemaLocation") => {}
                None => strange = strange.or_else(|| Some(Strange::Attribute(key.to_owned()))),
            }
        }
        Ok(strange)
    }
}

/// What a tag has that ours have not.
enum Strange {
    /// An attribute.
    Attribute(String),
    /// Our prefix bound to another namespace.
    Namespace,
}

/// Values as the XSD writes them.
struct Schema;

impl Dialect for Schema {
    fn amount(&self, text: &str) -> Option<Cents> {
        let whole = text.split_once('.').map_or(text, |(whole, _)| whole);
        if whole.len() > 9 { None } else { Cents::parse_point(text).ok() }
    }

    fn date(&self, text: &str) -> Option<Date> {
        iso_date(text)
    }

    fn flag(&self, text: &str) -> Option<bool> {
        match text {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        }
    }

    fn is_word(&self, text: &str, word: &str) -> bool {
        text == word
    }

    fn percent(&self, text: &str) -> Option<u32> {
        hundredths(text, '.')
    }

    fn check(&self, slot: Slot, text: &str) -> Option<Code> {
        let digits = |count: usize| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
        let (good, code) = match slot {
            Slot::Sender => (digits(11), Code::SenderTaxIdInvalid),
            Slot::NoticeCreditor => (digits(11), Code::CreditorInvalid),
            Slot::Notice => (digits(18), Code::NoticeInvalid),
            Slot::TaxId => ((11..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric()), Code::TaxIdInvalid),
            Slot::Taxonomy => (shaped(text, b"000000A"), Code::TaxonomyUnknown),
            Slot::CancelledIun => (shaped(text, b"AAAA-AAAA-AAAA-000000-A-0"), Code::IunInvalid),
            _ => return None,
        };
        (!good).then_some(code)
    }

    fn wanted(&self) -> [&'static str; 3] {
        ["1234.56", "aaaa-mm-gg", "true, false"]
    }
}

/// Whether `text` has a digit for each `0`, a capital for each `A` and the same character elsewhere.
fn shaped(text: &str, shape: &[u8]) -> bool {
    text.len() == shape.len()
        && text.bytes().zip(shape).all(|(byte, wanted)| match wanted {
            b'0' => byte.is_ascii_digit(),
            b'A' => byte.is_ascii_uppercase(),
            other => byte == *other,
        })
}
