//! XML that a PT sends, as a small tree: local names, texts, children. Bounded in depth and number; no DTD, no entity but the five.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Elements inside each other.
const DEEPEST: usize = 40;
/// Elements in all: a thousand notices of payment have fifty each.
const MOST: usize = 200_000;

/// Why it was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    #[error("non è XML")]
    Malformed,
    #[error("troppi elementi, o troppo annidati")]
    TooMuch,
    #[error("DTD ed entità non sono ammesse")]
    Forbidden,
}

/// One element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Without its prefix.
    pub name: String,
    /// Its own text, trimmed.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child with that name.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// What lies at the end of these names.
    pub fn at(&self, names: &[&str]) -> Option<&Element> {
        names.iter().try_fold(self, |element, name| element.child(name))
    }

    /// Its text, when there is some.
    pub fn text_at(&self, names: &[&str]) -> Option<&str> {
        self.at(names).map(|element| element.text.as_str()).filter(|text| !text.is_empty())
    }

    /// Itself or the first element below with that name.
    pub fn find(&self, name: &str) -> Option<&Element> {
        if self.name == name { Some(self) } else { self.children.iter().find_map(|child| child.find(name)) }
    }
}

/// Reads a whole document.
pub(super) fn read(bytes: &[u8]) -> Result<Element, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Malformed)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = vec![Element::default()];
    let mut seen = 0;
    loop {
        match reader.read_event().map_err(|_| Unreadable::Malformed)? {
            Event::Start(start) => {
                seen += 1;
                if open.len() > DEEPEST || seen > MOST {
                    return Err(Unreadable::TooMuch);
                }
                open.push(Element { name: start.local_name().as_ref().to_owned(), ..Element::default() });
            }
            Event::Empty(start) => {
                seen += 1;
                if seen > MOST {
                    return Err(Unreadable::TooMuch);
                }
                let name = start.local_name().as_ref().to_owned();
                if let Some(parent) = open.last_mut() {
                    parent.children.push(Element { name, ..Element::default() });
                }
            }
            Event::Text(text) => push(&mut open, &text),
            Event::CData(text) => push(&mut open, &text),
            Event::GeneralRef(entity) => {
                let letter = match &*entity {
                    "amp" => '&',
                    "lt" => '<',
                    "gt" => '>',
                    "quot" => '"',
                    "apos" => '\'',
                    _ => entity.resolve_char_ref().ok().flatten().ok_or(Unreadable::Forbidden)?,
                };
                push(&mut open, letter.encode_utf8(&mut [0; 4]));
            }
            Event::End(_) => {
                let Some(mut done) = open.pop() else { return Err(Unreadable::Malformed) };
                if done.text.trim().len() != done.text.len() {
                    done.text = done.text.trim().to_owned();
                }
                match open.last_mut() {
                    Some(parent) => parent.children.push(done),
                    None => return Err(Unreadable::Malformed),
                }
            }
            Event::DocType(_) => return Err(Unreadable::Forbidden),
            Event::Decl(_) | Event::Comment(_) | Event::PI(_) => {}
            Event::Eof => break,
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(mut document), true) if document.children.len() == 1 => document.children.pop().ok_or(Unreadable::Malformed),
        _ => Err(Unreadable::Malformed),
    }
}

fn push(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_xml_and_nothing_that_grows() {
        let read_text = |text: &str| read(text.as_bytes());
        let tree = read_text("<?xml version=\"1.0\"?><a:x xmlns:a=\"u\"><y> 1 &amp; <![CDATA[<2>]]> &#51;</y><z/><y>no</y></a:x>").unwrap();
        assert_eq!((tree.name.as_str(), tree.text_at(&["y"]), tree.text_at(&["z"])), ("x", Some("1 & <2> 3"), None));
        assert_eq!(tree.find("y").map(|found| found.text.as_str()), Some("1 & <2> 3"));
        let deep = |levels: usize| "<a>".repeat(levels) + &"</a>".repeat(levels);
        let table = [
            (deep(40), None),
            (deep(41), Some(Unreadable::TooMuch)),
            (format!("<a>{}</a>", "<b/>".repeat(MOST)), Some(Unreadable::TooMuch)),
            ("<!DOCTYPE a [<!ENTITY x \"y\">]><a>&x;</a>".into(), Some(Unreadable::Forbidden)),
            ("<a>&x;</a>".into(), Some(Unreadable::Forbidden)),
            ("<a><b></a>".into(), Some(Unreadable::Malformed)),
            ("<a>".into(), Some(Unreadable::Malformed)),
            ("</a>".into(), Some(Unreadable::Malformed)),
            ("<a/><b/>".into(), Some(Unreadable::Malformed)),
            ("{}".into(), Some(Unreadable::Malformed)),
            (String::new(), Some(Unreadable::Malformed)),
        ];
        for (text, want) in table {
            assert_eq!(read_text(&text).err(), want, "{}", text.chars().take(60).collect::<String>());
        }
        assert_eq!(read(&[b'<', b'a', b'>', 0xff, b'<', b'/', b'a', b'>']).err(), Some(Unreadable::Malformed));
    }
}
