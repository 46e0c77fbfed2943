//! What a declared PT answered: where things are in it, and what they mean.

use serde::Deserialize;

use super::definition::{Amounts, Dates, Operation};
use crate::connectors::ConnectorError;
use crate::connectors::pt::call::{Answer, problem, temporary};
use crate::connectors::soap::Element;
use crate::domain::money::Cents;
use crate::domain::position::HeldState;

/// What goes out and comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum Format {
    #[serde(rename = "json")]
    Json,
    #[serde(rename = "xml")]
    Xml,
}

/// A place in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// JSON pointer, RFC 6901.
    Pointer(String),
    /// Local names from the root.
    Names(Vec<String>),
}

impl Place {
    /// `/dati/0/importo`, or `Envelope/Body/Stato`.
    pub fn read(format: Format, text: &str) -> Option<Place> {
        match format {
            Format::Json => (text.starts_with('/') && text.len() <= 256).then(|| Place::Pointer(text.to_owned())),
            Format::Xml => {
                let names: Vec<String> = text.split('/').map(str::to_owned).collect();
                let name = |name: &String| {
                    let mut chars = name.chars();
                    chars.next().is_some_and(|c| c.is_alphabetic() || c == '_') && chars.all(|c| c.is_alphanumeric() || "._-".contains(c))
                };
                (names.len() <= 32 && names.iter().all(name)).then_some(Place::Names(names))
            }
        }
    }
}

/// What a code of the PT means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// It does not know the notice.
    Unknown,
    /// It refuses the data.
    Refused,
    /// The position can no longer be changed.
    Conflict,
    /// It refuses us.
    Sender,
    /// Nothing was done: later.
    Retry,
    /// It may have been done.
    Uncertain,
    /// What the position is.
    State(HeldState),
}

impl Meaning {
    pub const WORDS: &[&'static str] = &["sconosciuto", "rifiutato", "conflitto", "mittente", "riprova", "incerto"];

    pub fn read(word: &str) -> Option<Meaning> {
        Some(match word {
            "sconosciuto" => Meaning::Unknown,
            "rifiutato" => Meaning::Refused,
            "conflitto" => Meaning::Conflict,
            "mittente" => Meaning::Sender,
            "riprova" => Meaning::Retry,
            "incerto" => Meaning::Uncertain,
            word => Meaning::State(HeldState::ALL.iter().copied().find(|state| state.as_str() == word)?),
        })
    }
}

/// An answer, read.
pub enum Tree {
    Json(serde_json::Value),
    Xml(Element),
    /// No body.
    Nothing,
}

impl Tree {
    /// `None`: not what `format` says.
    fn read(format: Format, body: &[u8], root: Option<&str>) -> Option<Tree> {
        if body.iter().all(u8::is_ascii_whitespace) {
            return Some(Tree::Nothing);
        }
        match format {
            Format::Json => serde_json::from_slice(body).ok().map(Tree::Json),
            Format::Xml => Element::parse(body, root?).ok().map(Tree::Xml),
        }
    }

    /// What stands there, as a text; blanks around it are not part of it.
    pub fn text(&self, place: &Place) -> Option<String> {
        let text = match (self, place) {
            (Tree::Json(value), Place::Pointer(pointer)) => match value.pointer(pointer)? {
                serde_json::Value::String(text) => text.trim().to_owned(),
                value @ (serde_json::Value::Number(_) | serde_json::Value::Bool(_)) => value.to_string(),
                _ => return None,
            },
            (Tree::Xml(element), Place::Names(names)) => {
                let inner: Vec<&str> = names.iter().skip(1).map(String::as_str).collect();
                element.value(&inner)?.to_owned()
            }
            _ => return None,
        };
        (!text.is_empty()).then_some(text)
    }

    /// What stands there, whatever it is.
    pub fn value(&self, place: &Place) -> serde_json::Value {
        match (self, place) {
            (Tree::Json(value), Place::Pointer(pointer)) => value.pointer(pointer).cloned().unwrap_or_default(),
            _ => self.text(place).map(serde_json::Value::from).unwrap_or_default(),
        }
    }
}

/// What an answer comes to.
pub enum Told {
    Fine(Tree),
    /// The code itself says what the position is.
    State(HeldState),
}

/// Judges an answer of an operation that `writes` or does not.
pub fn judge(operation: &Operation, format: Format, answer: &Answer, writes: bool) -> Result<Told, ConnectorError> {
    let success = (200..300).contains(&answer.status);
    let root = operation.answer.all().find_map(|place| match place {
        Place::Names(names) => names.first().map(String::as_str),
        Place::Pointer(_) => None,
    });
    let tree = Tree::read(format, &answer.body, root);
    let own = tree.as_ref().and_then(|tree| operation.answer.error.iter().find_map(|place| tree.text(place)));
    let code = own.filter(|code| !operation.answer.fine.contains(code));
    let http = format!("HTTP {}", answer.status);
    let Some(code) = code.or_else(|| (!success).then(|| http.clone())) else {
        return match tree {
            Some(tree) => Ok(Told::Fine(tree)),
            None if writes => Err(ConnectorError::Uncertain { what: "an answer that cannot be read".to_owned() }),
            None => Err(ConnectorError::Protocol { what: "an answer that cannot be read".to_owned() }),
        };
    };
    // Codes end in logs and esiti: what is not one is not repeated.
    let shown: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || "._- :".contains(*c)).take(60).collect();
    let said = problem(answer.status, &shown);
    let meaning = operation.errors.get(&code).or_else(|| operation.errors.get(&http).filter(|_| !success));
    Err(match meaning {
        Some(Meaning::Unknown) => ConnectorError::NotFound(said),
        Some(Meaning::Refused) => ConnectorError::Refused(said),
        Some(Meaning::Conflict) => ConnectorError::Conflict(said),
        Some(Meaning::Sender) => ConnectorError::Sender(said),
        Some(Meaning::Retry) => temporary(shown, None),
        Some(Meaning::Uncertain) if writes => ConnectorError::Uncertain { what: shown },
        Some(Meaning::Uncertain) => temporary(shown, None),
        Some(Meaning::State(state)) if !writes => return Ok(Told::State(*state)),
        Some(Meaning::State(HeldState::Paid | HeldState::PaidElsewhere | HeldState::BeingPaid | HeldState::Cancelled)) => {
            ConnectorError::Conflict(said)
        }
        Some(Meaning::State(_)) => ConnectorError::Unclassified(said),
        None if answer.status >= 500 && writes => ConnectorError::Uncertain { what: shown },
        None if answer.status >= 500 => temporary(shown, None),
        None if answer.status == 409 => ConnectorError::Conflict(said),
        None if answer.status == 403 => ConnectorError::Refused(said),
        None => ConnectorError::Unclassified(said),
    })
}

impl super::definition::Places {
    /// All of them.
    fn all(&self) -> impl Iterator<Item = &Place> {
        let single = [
            &self.state,
            &self.notice,
            &self.iuv,
            &self.creditor,
            &self.amount,
            &self.position_id,
            &self.due_date,
            &self.paid_at,
            &self.paid_amount,
            &self.receipt,
            &self.ticket,
        ];
        single.into_iter().flatten().chain(&self.error).chain(self.keep.values())
    }
}

/// An amount as the PT writes it. Nothing is rounded; a JSON number with decimals is read by its digits.
pub fn amount(form: Amounts, text: &str) -> Option<Cents> {
    let read = match form {
        Amounts::Cents => {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            return text.parse().ok().filter(|cents| digits && *cents <= 99_999_999_999).map(Cents);
        }
        Amounts::Point => Cents::parse_point(text),
        Amounts::Comma => Cents::parse_it(text),
    };
    read.ok()
}

/// A day as the PT writes it; of a date with an hour, the day.
pub fn day(form: Dates, text: &str) -> Option<jiff::civil::Date> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |range| number(range).and_then(|number| i8::try_from(number).ok());
    let part = |at: usize, mark: u8| text.as_bytes().get(at) == Some(&mark);
    let (year, month, day) = match form {
        Dates::Iso if part(4, b'-') && part(7, b'-') => (number(0..4)?, small(5..7)?, small(8..10)?),
        Dates::Italian if part(2, b'/') && part(5, b'/') => (number(6..10)?, small(3..5)?, small(0..2)?),
        Dates::Compact => (number(0..4)?, small(4..6)?, small(6..8)?),
        _ => return None,
    };
    jiff::civil::Date::new(year, month, day).ok()
}

/// When a payment was made: an instant, an hour of Rome, or the beginning of a day of Rome.
pub fn instant(form: Dates, text: &str) -> Option<jiff::Timestamp> {
    if let Ok(instant) = text.parse::<jiff::Timestamp>() {
        return Some(instant);
    }
    let local = match text.parse::<jiff::civil::DateTime>() {
        Ok(local) => local,
        Err(_) => day(form, text)?.at(0, 0, 0, 0),
    };
    Some(local.in_tz("Europe/Rome").ok()?.timestamp())
}

/// `Err`: line and reason, in the parser's words.
pub fn well_formed(format: Format, text: &str) -> Result<(), (u32, String)> {
    match format {
        Format::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(()),
            Err(error) => Err((u32::try_from(error.line()).unwrap_or(1).max(1), error.to_string())),
        },
        Format::Xml => {
            let mut reader = quick_xml::Reader::from_str(text);
            let (mut depth, mut roots) = (0u32, 0u32);
            let wrong = loop {
                match reader.read_event() {
                    Ok(quick_xml::events::Event::Start(_)) => {
                        roots += u32::from(depth == 0);
                        depth += 1;
                    }
                    Ok(quick_xml::events::Event::Empty(_)) => roots += u32::from(depth == 0),
                    Ok(quick_xml::events::Event::End(_)) => depth = depth.saturating_sub(1),
                    Ok(quick_xml::events::Event::Eof) if depth > 0 => break "an element is not closed".to_owned(),
                    Ok(quick_xml::events::Event::Eof) if roots != 1 => break "one root element is wanted".to_owned(),
                    Ok(quick_xml::events::Event::Eof) => return Ok(()),
                    Ok(_) => {}
                    Err(error) => break error.to_string(),
                }
            };
            let at = usize::try_from(reader.buffer_position()).unwrap_or(0).min(text.len());
            let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
            Err((u32::try_from(line).unwrap_or(1), wrong))
        }
    }
}
