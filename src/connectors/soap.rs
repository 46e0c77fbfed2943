//! SOAP 1.1, document/literal: envelopes are written, answers are read; the call itself belongs to who makes it.
//!
//! What is written is escaped by quick-xml and cannot be ill formed. What is read may be hostile: no DTD, no entity but the five
//! of XML, no processing instruction, a ceiling on depth and elements. An answer is read child by child of its payload: no more
//! than one of them is in memory, however many there are. Names are compared without their prefix.

use std::io::Read;

use quick_xml::NsReader;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesEnd, BytesRef, BytesStart, BytesText, Event};
use quick_xml::name::{Namespace, ResolveResult};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};

use super::{ConnectorError, Problem, ProblemError};
use crate::batch::xml::Utf8Source;

/// The namespace of SOAP 1.1 envelopes.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
/// Elements inside one another, envelope included.
const DEPTH: usize = 32;
/// Elements of one child of the payload, or of one document.
const ELEMENTS: usize = 20_000;
/// Bytes of one element's text that are kept: a receipt in base64 fits, a notice PDF need not.
const KEPT: usize = 1 << 20;
const SOAP_ACTION: HeaderName = HeaderName::from_static("soapaction");

/// XML being written.
pub struct Xml(Writer<Vec<u8>>);

impl Xml {
    /// Writing to memory does not fail, and the names are ours.
    fn event<'e>(&mut self, event: impl Into<Event<'e>>) {
        let _ = self.0.write_event(event);
    }

    /// An element with what `content` writes in it. `namespaces`: (`xmlns` or `xmlns:p`, address).
    pub fn element(&mut self, name: &str, namespaces: &[(&str, &str)], content: impl FnOnce(&mut Xml)) {
        let mut start = BytesStart::new(name);
        namespaces.iter().for_each(|pair| start.push_attribute(*pair));
        self.event(Event::Start(start));
        content(self);
        self.event(Event::End(BytesEnd::new(name)));
    }

    /// An element that holds a text.
    pub fn leaf(&mut self, name: &str, text: &str) {
        let text = sayable(text);
        self.element(name, &[], |xml| xml.event(Event::Text(BytesText::new(&text))));
    }

    /// The same, when there is something to say.
    pub fn some(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.leaf(name, text);
        }
    }

    /// An element as it was read, under the namespace in force; its attributes are not kept.
    pub fn copy(&mut self, element: &Element) {
        match element.children.is_empty() {
            true => self.leaf(&element.name, &element.text),
            false => self.element(&element.name, &[], |xml| element.children.iter().for_each(|child| xml.copy(child))),
        }
    }
}

/// A document of its own: declaration, and a root that `content` fills.
pub fn document(root: &str, namespaces: &[(&str, &str)], content: impl FnOnce(&mut Xml)) -> Vec<u8> {
    let mut xml = Xml(Writer::new(Vec::new()));
    xml.event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)));
    xml.element(root, namespaces, content);
    xml.0.into_inner()
}

/// What `content` writes, and nothing around it.
pub fn fragment(content: impl FnOnce(&mut Xml)) -> Vec<u8> {
    let mut xml = Xml(Writer::new(Vec::new()));
    content(&mut xml);
    xml.0.into_inner()
}

/// An envelope. `header` may write nothing.
pub fn envelope(header: impl FnOnce(&mut Xml), body: impl FnOnce(&mut Xml)) -> Vec<u8> {
    document("soapenv:Envelope", &[("xmlns:soapenv", ENVELOPE)], |xml| {
        xml.element("soapenv:Header", &[], header);
        xml.element("soapenv:Body", &[], body);
    })
}

/// The request that carries an envelope to the operation of that `SOAPAction`.
pub fn request(url: &Url, action: &str, envelope: Vec<u8>) -> Result<Request, ConnectorError> {
    let action = HeaderValue::from_str(&format!("\"{action}\"")).map_err(|_| protocol("SOAPAction"))?;
    let mut request = Request::new(Method::POST, url.clone());
    let headers = request.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/xml; charset=utf-8"));
    headers.insert(ACCEPT, HeaderValue::from_static("text/xml"));
    headers.insert(SOAP_ACTION, action);
    *request.body_mut() = Some(envelope.into());
    Ok(request)
}

/// Without the characters that XML 1.0 cannot hold.
fn sayable(text: &str) -> String {
    let held = |c: char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().map(|c| if held(c) { c } else { '\u{fffd}' }).collect()
}

/// An element that was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    /// Without its prefix.
    pub name: String,
    /// Its own text, trimmed when it is asked for by [`Element::value`].
    pub text: String,
    pub children: Vec<Element>,
    /// Longer than what is kept: `text` is cut.
    pub cut: bool,
}

impl Element {
    /// Its first child of that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// Its children of that name.
    pub fn all<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// Its text without blanks around, when there is any and the whole of it was kept.
    pub fn own(&self) -> Option<&str> {
        let text = self.text.trim();
        (!text.is_empty() && !self.cut).then_some(text)
    }

    /// The text at the end of a path of names.
    pub fn value(&self, path: &[&str]) -> Option<&str> {
        path.iter().try_fold(self, |element, name| element.child(name))?.own()
    }

    /// Reads a document whose root has that name.
    pub fn parse(bytes: &[u8], root: &str) -> Result<Element, SoapError> {
        let mut found = None;
        let mut builder = Builder::default();
        walk(bytes, |piece, _| {
            if let Some(element) = builder.take(piece)? {
                found = Some(element);
            }
            Ok(())
        })?;
        found.filter(|element| element.name == root).ok_or(SoapError::Malformed("another document"))
    }
}

/// Why an answer is not the payload that was waited for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SoapError {
    /// A `soap:Fault`: its text is not kept, it may quote what was sent.
    #[error("SOAP Fault {}", .0.word())]
    Fault(FaultCode),
    #[error("not the XML of an answer: {0}")]
    Malformed(&'static str),
}

/// `faultcode`, SOAP 1.1 4.4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultCode {
    VersionMismatch,
    MustUnderstand,
    /// The call is wrong: repeated unchanged it fails again.
    Client,
    /// Who calls is not let in: `Client.Authentication`, or `FailedAuthentication` of WS-Security 1.1 (12).
    Authentication,
    /// The remote could not do it.
    Server,
    Other,
}

impl FaultCode {
    fn read(text: &str) -> FaultCode {
        let local = text.rsplit(':').next().unwrap_or_default();
        if matches!(local, "Client.Authentication" | "FailedAuthentication") {
            return FaultCode::Authentication;
        }
        match local.split('.').next().unwrap_or_default() {
            "VersionMismatch" => FaultCode::VersionMismatch,
            "MustUnderstand" => FaultCode::MustUnderstand,
            "Client" => FaultCode::Client,
            "Server" => FaultCode::Server,
            _ => FaultCode::Other,
        }
    }

    fn word(self) -> &'static str {
        match self {
            FaultCode::VersionMismatch => "VersionMismatch",
            FaultCode::MustUnderstand => "MustUnderstand",
            FaultCode::Client => "Client",
            FaultCode::Authentication => "Authentication",
            FaultCode::Server => "Server",
            FaultCode::Other => "other",
        }
    }
}

impl SoapError {
    /// What messo does next. `status`: of HTTP. Of a call that `writes`, a fault of the server and an answer that cannot be read
    /// leave open whether it took effect.
    pub fn verdict(self, status: u16, writes: bool) -> ConnectorError {
        let said = |code: &str| {
            let error = ProblemError { code: code.to_owned(), ..ProblemError::default() };
            Problem { status, trace_id: None, errors: vec![error] }
        };
        match self {
            SoapError::Fault(FaultCode::Server | FaultCode::Other) => unsure(self.to_string(), writes),
            SoapError::Fault(FaultCode::Authentication) => ConnectorError::Sender(said("SOAP-Authentication")),
            SoapError::Fault(code) => ConnectorError::Unclassified(said(&format!("SOAP-{}", code.word()))),
            SoapError::Malformed(_) if status >= 500 => unsure(format!("HTTP {status}"), writes),
            SoapError::Malformed(_) if status == 403 => ConnectorError::Refused(said("HTTP-403")),
            SoapError::Malformed(_) if status >= 300 => ConnectorError::Unclassified(said(&format!("HTTP-{status}"))),
            SoapError::Malformed(_) if writes => ConnectorError::Uncertain { what: self.to_string() },
            SoapError::Malformed(_) => ConnectorError::Protocol { what: self.to_string() },
        }
    }
}

fn unsure(what: String, writes: bool) -> ConnectorError {
    if writes { ConnectorError::Uncertain { what } } else { ConnectorError::Temporary { what, retry_after: None } }
}

fn protocol(what: &str) -> ConnectorError {
    ConnectorError::Protocol { what: what.to_owned() }
}

/// Reads an answer whose payload has that name: `each` is given its children, one after the other.
pub fn answer(body: &[u8], payload: &str, mut each: impl FnMut(Element)) -> Result<(), SoapError> {
    let mut builder = Builder::default();
    let mut depth = 0usize;
    let (mut in_body, mut payloads, mut fault) = (false, 0u32, None);
    walk(body, |piece, soap| {
        match piece {
            Piece::Open(name) => {
                depth += 1;
                match depth {
                    1 if name != "Envelope" || !soap => return Err(SoapError::Malformed("no SOAP 1.1 envelope")),
                    2 => in_body = name == "Body" && soap,
                    3 if in_body => {
                        payloads += 1;
                        if name == "Fault" && soap {
                            fault = Some(FaultCode::Other);
                        } else if name != payload || payloads > 1 {
                            return Err(SoapError::Malformed("another payload"));
                        }
                    }
                    _ => {}
                }
            }
            Piece::Close => depth = depth.saturating_sub(1),
            Piece::Text(_) => {}
        }
        let inside = match piece {
            Piece::Close => depth >= 3,
            _ => depth >= 4,
        };
        if in_body
            && inside
            && let Some(child) = builder.take(piece)?
        {
            match (&mut fault, child.name.as_str()) {
                (None, _) => each(child),
                (Some(code), "faultcode") => *code = FaultCode::read(child.own().unwrap_or_default()),
                (Some(_), _) => {}
            }
        }
        Ok(())
    })?;
    match (fault, payloads) {
        (Some(code), _) => Err(SoapError::Fault(code)),
        (None, 0) => Err(SoapError::Malformed("no payload")),
        (None, _) => Ok(()),
    }
}

/// A piece of a document.
#[derive(Clone, Copy)]
enum Piece<'p> {
    /// Name without prefix.
    Open(&'p str),
    Text(&'p str),
    Close,
}

/// Reads a document piece by piece; `on` is also told whether a name is of SOAP's own namespace.
fn walk(bytes: &[u8], mut on: impl FnMut(Piece<'_>, bool) -> Result<(), SoapError>) -> Result<(), SoapError> {
    let mut text = String::new();
    let mut input = bytes;
    Utf8Source::new(&mut input).read_to_string(&mut text).map_err(|_| SoapError::Malformed("encoding"))?;
    let mut reader = NsReader::from_str(&text);
    reader.config_mut().expand_empty_elements = true;
    let (mut depth, mut roots, mut begun) = (0usize, 0u32, false);
    loop {
        let (space, event) = reader.read_resolved_event().map_err(|_| SoapError::Malformed("not well formed"))?;
        let soap = matches!(space, ResolveResult::Bound(Namespace(ENVELOPE)));
        match event {
            Event::Start(tag) => {
                roots += u32::from(depth == 0);
                depth += 1;
                if depth > DEPTH || roots > 1 {
                    return Err(SoapError::Malformed("too deep, or two roots"));
                }
                on(Piece::Open(tag.local_name().as_ref()), soap)?;
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                on(Piece::Close, false)?;
            }
            Event::Text(part) if depth > 0 => on(Piece::Text(&part), false)?,
            Event::Text(part) if part.trim().is_empty() => {}
            Event::CData(part) if depth > 0 => on(Piece::Text(&part), false)?,
            Event::GeneralRef(reference) if depth > 0 => {
                let c = resolve(&reference).ok_or(SoapError::Malformed("an entity"))?;
                on(Piece::Text(c.encode_utf8(&mut [0; 4])), false)?;
            }
            Event::Decl(_) if !begun => {}
            Event::Comment(_) => {}
            Event::Eof if depth == 0 && roots == 1 => return Ok(()),
            Event::DocType(_) => return Err(SoapError::Malformed("a DTD")),
            _ => return Err(SoapError::Malformed("not well formed")),
        }
        begun = true;
    }
}

/// The character that a reference stands for: the five of XML, and numbers.
fn resolve(reference: &BytesRef<'_>) -> Option<char> {
    match reference.as_ref() {
        "lt" => Some('<'),
        "gt" => Some('>'),
        "amp" => Some('&'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => reference.resolve_char_ref().ok().flatten(),
    }
}

/// Pieces to an element; full again with each one.
#[derive(Default)]
struct Builder {
    open: Vec<Element>,
    elements: usize,
}

impl Builder {
    /// The element that has just ended, when it is the outermost.
    fn take(&mut self, piece: Piece<'_>) -> Result<Option<Element>, SoapError> {
        match piece {
            Piece::Open(name) => {
                self.elements += 1;
                if self.elements > ELEMENTS {
                    return Err(SoapError::Malformed("too many elements"));
                }
                self.open.push(Element { name: name.to_owned(), ..Element::default() });
            }
            Piece::Text(text) => {
                if let Some(element) = self.open.last_mut() {
                    if element.text.len() + text.len() <= KEPT {
                        element.text.push_str(text);
                    } else {
                        element.cut = true;
                    }
                }
            }
            Piece::Close => {
                let Some(mut element) = self.open.pop() else { return Ok(None) };
                if !element.children.is_empty() {
                    // Between elements there are only blanks in what these services say.
                    element.text.clear();
                }
                match self.open.last_mut() {
                    Some(parent) => parent.children.push(element),
                    None => {
                        self.elements = 0;
                        return Ok(Some(element));
                    }
                }
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soap(inside: &str) -> String {
        format!("<s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Header><x>1</x></s:Header><s:Body>{inside}</s:Body></s:Envelope>")
    }

    fn read(text: &str) -> Result<Vec<(String, String)>, SoapError> {
        let mut found = Vec::new();
        answer(text.as_bytes(), "risposta", |element| found.push((element.name.clone(), element.own().unwrap_or_default().to_owned())))?;
        Ok(found)
    }

    #[test]
    fn an_answer_is_its_payload_or_says_why_not() {
        let fault = |code: &str| soap(&format!("<s:Fault><faultcode>{code}</faultcode><faultstring>Rossi Mario</faultstring></s:Fault>"));
        let pairs = |list: &[(&str, &str)]| Ok(list.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect());
        let malformed = |why| Err(SoapError::Malformed(why));
        let bomb = format!("<!DOCTYPE a [<!ENTITY b \"c\">]>{}", soap("<risposta/>"));
        let table = [
            (soap("<p:risposta xmlns:p='urn:x'><esito> OK </esito></p:risposta>"), pairs(&[("esito", "OK")])),
            (soap("<risposta><a>1 &lt; 2 &#38; <![CDATA[<3>]]></a><b/></risposta>"), pairs(&[("a", "1 < 2 & <3>"), ("b", "")])),
            (soap("<risposta/>"), pairs(&[])),
            (fault("s:Server"), Err(SoapError::Fault(FaultCode::Server))),
            (fault("s:Client.Other"), Err(SoapError::Fault(FaultCode::Client))),
            (fault("Client.Authentication"), Err(SoapError::Fault(FaultCode::Authentication))),
            (fault("wsse:FailedAuthentication"), Err(SoapError::Fault(FaultCode::Authentication))),
            (fault(""), Err(SoapError::Fault(FaultCode::Other))),
            (soap(""), malformed("no payload")),
            (soap("<altro/>"), malformed("another payload")),
            (soap("<risposta/><risposta/>"), malformed("another payload")),
            (soap("<risposta><a></b></risposta>"), malformed("not well formed")),
            (soap("<risposta>&nbsp;</risposta>"), malformed("an entity")),
            (soap("<risposta/>").replace(ENVELOPE, "http://www.w3.org/2003/05/soap-envelope"), malformed("no SOAP 1.1 envelope")),
            (bomb, malformed("a DTD")),
            ("<html><body>502</body></html>".to_owned(), malformed("no SOAP 1.1 envelope")),
            (String::new(), malformed("not well formed")),
            ("{}".to_owned(), malformed("not well formed")),
            (soap("<risposta>").replace("</s:Body>", ""), malformed("not well formed")),
            (soap(&format!("<risposta>{}{}</risposta>", "<a>".repeat(40), "</a>".repeat(40))), malformed("too deep, or two roots")),
            (soap(&format!("<risposta><a>{}</a></risposta>", "<b/>".repeat(20_001))), malformed("too many elements")),
        ];
        for (text, want) in table {
            assert_eq!(read(&text), want, "{}", &text[..text.len().min(300)]);
        }
    }

    #[test]
    fn many_children_and_long_texts_do_not_pile_up() {
        let many = soap(&format!("<risposta>{}</risposta>", "<a><b>1</b></a>".repeat(30_000)));
        let mut count = 0;
        answer(many.as_bytes(), "risposta", |_| count += 1).unwrap();
        assert_eq!(count, 30_000);
        let long = soap(&format!("<risposta><zip>{}</zip><esito>OK</esito></risposta>", "A".repeat(KEPT + 1)));
        assert_eq!(read(&long).unwrap(), [("zip".to_owned(), String::new()), ("esito".to_owned(), "OK".to_owned())]);
    }

    #[test]
    fn what_is_written_is_escaped_and_read_again() {
        let hostile = "a<b>&\"'\u{1}</b>]]>è";
        let written = envelope(|_| {}, |xml| xml.element("p:risposta", &[("xmlns:p", "urn:a&b")], |xml| xml.leaf("causale", hostile)));
        let mut seen = None;
        answer(&written, "risposta", |element| seen = element.own().map(str::to_owned)).unwrap();
        assert_eq!(seen.as_deref(), Some("a<b>&\"'\u{fffd}</b>]]>è"));
        let element = Element::parse("<r><a>1</a><b><c>&amp;</c></b></r>".as_bytes(), "r").unwrap();
        assert_eq!((element.value(&["b", "c"]), element.value(&["a"]), element.value(&["z"])), (Some("&"), Some("1"), None));
        let copied = document("r", &[], |xml| element.children.iter().for_each(|child| xml.copy(child)));
        assert_eq!(Element::parse(&copied, "r").unwrap(), element);
        assert_eq!(Element::parse(&copied, "q"), Err(SoapError::Malformed("another document")));
    }

    #[test]
    fn whatever_comes_is_an_answer_or_a_refusal() {
        let whole = soap("<risposta xmlns:p='urn:x'><a p:k='1'>x &amp; y<b/><![CDATA[z]]></a><!-- c --></risposta>").into_bytes();
        let mut seed = 42u64;
        let mut roll = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below
        };
        let (mut good, mut bad) = (0, 0);
        for _ in 0..20_000 {
            let mut bytes = whole.clone();
            for _ in 0..=roll(3) {
                let at = roll(bytes.len());
                match roll(3) {
                    0 => bytes[at] = u8::try_from(roll(256)).unwrap(),
                    1 => drop(bytes.drain(at..(at + roll(20)).min(bytes.len()))),
                    _ => bytes.insert(at, b"<>&\"/![]x"[roll(9)]),
                }
            }
            match answer(&bytes, "risposta", |_| {}) {
                Ok(()) => good += 1,
                Err(_) => bad += 1,
            }
        }
        assert!(good > 1_000 && bad > 1_000, "{good} good, {bad} bad");
    }

    #[test]
    fn a_fault_says_what_is_next() {
        let name = |error: ConnectorError| match error {
            ConnectorError::Temporary { .. } => "temporary",
            ConnectorError::Uncertain { .. } => "uncertain",
            ConnectorError::Unclassified(_) => "unclassified",
            ConnectorError::Protocol { .. } => "protocol",
            ConnectorError::Sender(_) => "sender",
            ConnectorError::Refused(_) => "refused",
            _ => "other",
        };
        let table = [
            (SoapError::Fault(FaultCode::Server), 500, false, "temporary"),
            (SoapError::Fault(FaultCode::Server), 500, true, "uncertain"),
            (SoapError::Fault(FaultCode::Client), 500, true, "unclassified"),
            (SoapError::Malformed("x"), 500, true, "uncertain"),
            (SoapError::Malformed("x"), 500, false, "temporary"),
            (SoapError::Malformed("x"), 404, true, "unclassified"),
            (SoapError::Malformed("x"), 403, true, "refused"),
            (SoapError::Fault(FaultCode::Client), 403, false, "unclassified"),
            (SoapError::Fault(FaultCode::Authentication), 500, true, "sender"),
            (SoapError::Malformed("x"), 200, true, "uncertain"),
            (SoapError::Malformed("x"), 200, false, "protocol"),
        ];
        for (error, status, writes, want) in table {
            assert_eq!(name(error.clone().verdict(status, writes)), want, "{error:?} {status} {writes}");
        }
    }
}
