//! The XML that the SOAP simulators read and write. Of their own: a mistake of the connectors' is not made here too.

use std::fmt::Write;

use quick_xml::Reader;
use quick_xml::events::Event;

/// Namespace of SOAP 1.1 envelopes.
const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// An element, names without prefix.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub name: String,
    pub text: String,
    pub nodes: Vec<Node>,
}

impl Node {
    /// Reads a whole document; nothing when it is not one.
    pub fn read(text: &str) -> Option<Node> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().expand_empty_elements = true;
        let mut open: Vec<Node> = Vec::new();
        loop {
            match reader.read_event().ok()? {
                Event::Start(tag) if open.len() < 64 => {
                    open.push(Node { name: tag.local_name().as_ref().to_owned(), ..Node::default() });
                }
                Event::End(_) => {
                    let node = open.pop()?;
                    match open.last_mut() {
                        Some(parent) => parent.nodes.push(node),
                        None => return Some(node),
                    }
                }
                Event::Text(part) => {
                    if let Some(node) = open.last_mut() {
                        node.text.push_str(&part);
                    }
                }
                Event::CData(part) => open.last_mut()?.text.push_str(&part),
                Event::GeneralRef(reference) => {
                    let c = match reference.as_ref() {
                        "lt" => '<',
                        "gt" => '>',
                        "amp" => '&',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => reference.resolve_char_ref().ok()??,
                    };
                    open.last_mut()?.text.push(c);
                }
                Event::Decl(_) | Event::Comment(_) => {}
                _ => return None,
            }
        }
    }

    pub fn get(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// Text at the end of a path; empty counts as absent.
    pub fn at(&self, path: &[&str]) -> Option<&str> {
        let node = path.iter().try_fold(self, |node, name| node.get(name))?;
        Some(node.text.trim()).filter(|text| !text.is_empty())
    }
}

/// The operation and the header of an envelope.
pub(super) fn envelope(body: &[u8]) -> Option<(Node, Option<Node>)> {
    let root = Node::read(std::str::from_utf8(body).ok()?)?;
    if root.name != "Envelope" || !std::str::from_utf8(body).ok()?.contains(ENVELOPE) {
        return None;
    }
    let payload = root.get("Body")?.nodes.first()?.clone();
    Some((payload, root.get("Header").cloned()))
}

/// An envelope around a payload.
pub(super) fn wrap(payload: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><SOAP-ENV:Envelope xmlns:SOAP-ENV=\"{ENVELOPE}\"><SOAP-ENV:Header/>\
         <SOAP-ENV:Body>{payload}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
    )
}

/// A `Fault`.
pub(super) fn fault(code: &str, text: &str) -> String {
    wrap(&format!(
        "<SOAP-ENV:Fault><faultcode>SOAP-ENV:{code}</faultcode><faultstring xml:lang=\"it\">{}</faultstring></SOAP-ENV:Fault>",
        escape(text)
    ))
}

/// `<name>text</name>`
pub(super) fn leaf(out: &mut String, name: &str, text: &str) {
    let _ = write!(out, "<{name}>{}</{name}>", escape(text));
}

pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `12.50`
pub(super) fn euro(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

/// Cents of `12.50`: two decimals, as the schemas of these services want them.
pub(super) fn cents(text: &str) -> Option<i64> {
    let (whole, decimals) = text.split_once('.')?;
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || decimals.len() != 2 || !digits(decimals) {
        return None;
    }
    whole.parse::<i64>().ok()?.checked_mul(100)?.checked_add(decimals.parse().ok()?)
}
