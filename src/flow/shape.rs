//! TOML read against a list of keys: every problem of the file, with its line, not only the first.
//!
//! serde stops at the first error and speaks English; whoever installs messo corrects the file once. The lists of keys stand beside
//! the structs they describe, and a test holds the two together. What passes here is then read by serde as usual.
//! Values are never quoted, save words of a closed list: a secret pasted into the wrong key must not come back in a message.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A problem and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<F> {
    /// The file as it was named to messo.
    pub file: String,
    /// From 1.
    pub line: u32,
    /// `ente[0].key[1].id`; empty for the whole file.
    pub key: String,
    pub fault: F,
}

/// What may be wrong with the form of a TOML file. Sentences are in `text::it::config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShapeFault {
    /// Not TOML, as the parser says it (English).
    Syntax {
        message: String,
    },
    KeyTwice,
    /// `near`: the known key that looks like it.
    UnknownKey {
        near: Option<&'static str>,
    },
    MissingKey,
    WrongType {
        expected: Expected,
        found: &'static str,
    },
    NotOneOf {
        found: String,
        allowed: Vec<&'static str>,
    },
    OutOfRange {
        min: i64,
        max: i64,
    },
    NotATime,
    /// A table that must hold exactly one of these keys.
    NotExactlyOne {
        of: Vec<&'static str>,
    },
    /// The form is right and yet it cannot be read; the reader's own words (English).
    Unreadable {
        message: String,
    },
}

/// The type wanted where another one stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expected {
    Text,
    Whole,
    Flag,
    ListOfTexts,
    ListOfTables,
    Table,
    TableOfTexts,
}

impl ShapeFault {
    /// The code printed by `messo check`: never renamed once released.
    pub fn code(&self) -> &'static str {
        match self {
            ShapeFault::Syntax { .. } => "TOML_NON_VALIDO",
            ShapeFault::KeyTwice => "CHIAVE_DOPPIA",
            ShapeFault::UnknownKey { .. } => "CHIAVE_SCONOSCIUTA",
            ShapeFault::MissingKey => "CHIAVE_MANCANTE",
            ShapeFault::WrongType { .. } => "TIPO_ERRATO",
            ShapeFault::NotOneOf { .. } => "PAROLA_NON_AMMESSA",
            ShapeFault::OutOfRange { .. } => "NUMERO_FUORI_LIMITE",
            ShapeFault::NotATime => "ORA_NON_VALIDA",
            ShapeFault::NotExactlyOne { .. } => "UNA_SOLA_CHIAVE",
            ShapeFault::Unreadable { .. } => "VALORE_NON_VALIDO",
        }
    }
}

/// One key of a table.
pub struct Key {
    pub name: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// What a key may hold.
pub enum Kind {
    Text,
    /// Inclusive limits.
    Whole(i64, i64),
    Flag,
    Word(&'static [&'static str]),
    /// `"HH:MM"`.
    TimeOfDay,
    Texts,
    /// A table of free keys and texts.
    TextMap,
    Table(&'static [Key]),
    Tables(&'static [Key]),
    /// A table with exactly one of these keys.
    Either(&'static [Key]),
    /// A table whose first key names which other keys it holds.
    Tagged(&'static str, &'static [(&'static str, &'static [Key])]),
}

/// A required key.
pub const fn need(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: true }
}

/// An optional key.
pub const fn may(name: &'static str, kind: Kind) -> Key {
    Key { name, kind, required: false }
}

/// A file read against its keys.
pub struct Document<'t> {
    root: Spanned<DeValue<'t>>,
    lines: BTreeMap<String, u32>,
    /// (line, key, fault), in the order found.
    pub faults: Vec<(u32, String, ShapeFault)>,
}

impl<'t> Document<'t> {
    /// Reads `text` and compares it with `keys`. Never fails: what is wrong is in `faults`.
    pub fn read(text: &'t str, keys: &'static [Key]) -> Document<'t> {
        let starts = line_starts(text);
        let (table, errors) = DeTable::parse_recoverable(text);
        let span = table.span();
        let root = Spanned::new(span, DeValue::Table(table.into_inner()));
        let mut walk = Walk { starts: &starts, lines: BTreeMap::new(), faults: Vec::new() };
        for error in errors {
            let line = error.span().map_or(1, |span| walk.line(span.start));
            let twice = error.message().contains("duplicate key");
            let fault = if twice { ShapeFault::KeyTwice } else { ShapeFault::Syntax { message: one_line(error.message()) } };
            walk.faults.push((line, String::new(), fault));
        }
        let broken = !walk.faults.is_empty();
        if let DeValue::Table(table) = root.get_ref() {
            walk.table(table, 1, keys, "");
        }
        let Walk { lines, mut faults, .. } = walk;
        if broken {
            // What a broken line took away is not missing, and what was made of its pieces is not unknown.
            let own = |fault: &ShapeFault| matches!(fault, ShapeFault::Syntax { .. } | ShapeFault::KeyTwice);
            let lines: Vec<u32> = faults.iter().filter(|(.., fault)| own(fault)).map(|(line, ..)| *line).collect();
            faults.retain(|(line, _, fault)| own(fault) || (*fault != ShapeFault::MissingKey && !lines.contains(line)));
        }
        Document { root, lines, faults }
    }

    /// The line of a key, or of the nearest table that would hold it.
    pub fn line_of(&self, key: &str) -> u32 {
        let mut key = key;
        loop {
            if let Some(line) = self.lines.get(key) {
                return *line;
            }
            match key.rfind(['.', '[']) {
                Some(cut) => key = key.get(..cut).unwrap_or_default(),
                None => return 1,
            }
        }
    }

    /// Whether nothing is wrong at `key` or under it (the empty key: anywhere).
    pub fn is_clean(&self, key: &str) -> bool {
        !self
            .faults
            .iter()
            .any(|(_, at, _)| key.is_empty() || at.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '['])))
    }

    /// How many tables `[[name]]` there are.
    pub fn count(&self, name: &str) -> usize {
        self.array(name).map_or(0, |array| array.len())
    }

    /// The text at `name` of the table `[[list]]` number `index`, whatever else is wrong there.
    pub fn text_in(&self, list: &str, index: usize, name: &str) -> Option<&str> {
        let table = self.array(list)?.get(index)?.get_ref().as_table()?;
        table.get(name)?.get_ref().as_str()
    }

    /// The text at `name` of the file itself, whatever else is wrong.
    pub fn text_of(&self, name: &str) -> Option<&str> {
        self.root.get_ref().as_table()?.get(name)?.get_ref().as_str()
    }

    /// The whole file as a `T`, when its form is right.
    pub fn whole<T: Deserialize<'t>>(&mut self) -> Option<T> {
        if !self.faults.is_empty() {
            return None;
        }
        self.value("", self.root.clone())
    }

    /// The whole file as a `T` without the keys that are wrong, when the rest is enough: only to look for more problems.
    pub fn rest<T: Deserialize<'t>>(&mut self) -> Option<T> {
        self.value("", self.root.clone())
    }

    /// The table at `name`, or number `index` of `[[name]]`, as a `T` without the keys that are wrong, when the rest is enough.
    /// `None` also when it is absent.
    pub fn part<T: Deserialize<'t>>(&mut self, name: &str, index: Option<usize>) -> Option<T> {
        let (key, node) = match index {
            Some(index) => (format!("{name}[{index}]"), self.array(name)?.get(index)?.clone()),
            None => (name.to_string(), self.root.get_ref().as_table()?.get(name)?.clone()),
        };
        self.value(&key, node)
    }

    /// Whether something is wrong with the form of that very key.
    pub fn is_wrong(&self, key: &str) -> bool {
        self.faults.iter().any(|(_, at, _)| at == key)
    }

    fn value<T: Deserialize<'t>>(&mut self, key: &str, mut node: Spanned<DeValue<'t>>) -> Option<T> {
        let clean = self.is_clean(key);
        if !clean {
            self.prune(node.get_mut(), key);
        }
        match T::deserialize(ValueDeserializer::from(node)) {
            Ok(value) => Some(value),
            Err(error) => {
                // Of an unclean table the reason was already told.
                if clean {
                    let fault = ShapeFault::Unreadable { message: one_line(error.message()) };
                    self.faults.push((self.line_of(key), key.to_string(), fault));
                }
                None
            }
        }
    }

    /// Takes out what is wrong.
    fn prune(&self, value: &mut DeValue<'t>, at: &str) {
        match value {
            DeValue::Table(table) => {
                let names: Vec<String> = table.keys().map(|name| name.get_ref().to_string()).collect();
                for name in names {
                    let at = join(at, &name);
                    if self.is_wrong(&at) {
                        table.remove(name.as_str());
                    }
                }
                for (name, value) in table.iter_mut() {
                    self.prune(value.get_mut(), &join(at, name.get_ref()));
                }
            }
            DeValue::Array(array) => {
                for (index, item) in array.iter_mut().enumerate() {
                    self.prune(item.get_mut(), &format!("{at}[{index}]"));
                }
            }
            _ => {}
        }
    }

    fn array(&self, name: &str) -> Option<&toml::de::DeArray<'t>> {
        self.root.get_ref().as_table()?.get(name)?.get_ref().as_array()
    }
}

struct Walk<'s> {
    starts: &'s [usize],
    lines: BTreeMap<String, u32>,
    faults: Vec<(u32, String, ShapeFault)>,
}

impl Walk<'_> {
    fn line(&self, offset: usize) -> u32 {
        u32::try_from(self.starts.partition_point(|start| *start <= offset)).unwrap_or(u32::MAX)
    }

    fn table(&mut self, table: &DeTable<'_>, line: u32, keys: &'static [Key], path: &str) {
        for (name, value) in table {
            let at = join(path, name.get_ref());
            let line = self.line(name.span().start);
            self.lines.insert(at.clone(), line);
            match keys.iter().find(|key| key.name == name.get_ref()) {
                Some(key) => self.value(value, line, &key.kind, &at),
                None => self.faults.push((line, at, ShapeFault::UnknownKey { near: nearest(name.get_ref(), keys) })),
            }
        }
        for key in keys.iter().filter(|key| key.required && !table.contains_key(key.name)) {
            self.faults.push((line, join(path, key.name), ShapeFault::MissingKey));
        }
    }

    fn value(&mut self, node: &Spanned<DeValue<'_>>, line: u32, kind: &Kind, at: &str) {
        let value = node.get_ref();
        let mut fault = None;
        let wrong = |expected| Some(ShapeFault::WrongType { expected, found: value.type_str() });
        match kind {
            Kind::Text => {
                if !value.is_str() {
                    fault = wrong(Expected::Text);
                }
            }
            Kind::Whole(min, max) => match value.as_integer().map(|whole| i64::from_str_radix(whole.as_str(), whole.radix())) {
                None => fault = wrong(Expected::Whole),
                Some(Ok(whole)) if (*min..=*max).contains(&whole) => {}
                Some(_) => fault = Some(ShapeFault::OutOfRange { min: *min, max: *max }),
            },
            Kind::Flag => {
                if !value.is_bool() {
                    fault = wrong(Expected::Flag);
                }
            }
            Kind::Word(allowed) => match value.as_str() {
                None => fault = wrong(Expected::Text),
                Some(word) if allowed.contains(&word) => {}
                Some(word) => fault = Some(ShapeFault::NotOneOf { found: short(word), allowed: allowed.to_vec() }),
            },
            Kind::TimeOfDay => match value.as_str() {
                None => fault = wrong(Expected::Text),
                Some(text) if text.parse::<jiff::civil::Time>().is_ok() => {}
                Some(_) => fault = Some(ShapeFault::NotATime),
            },
            Kind::Texts => match value.as_array() {
                Some(items) if items.iter().all(|item| item.get_ref().is_str()) => {
                    for (index, item) in items.iter().enumerate() {
                        self.lines.insert(format!("{at}[{index}]"), self.line(item.span().start));
                    }
                }
                _ => fault = wrong(Expected::ListOfTexts),
            },
            Kind::TextMap => match value.as_table() {
                Some(table) if table.iter().all(|(_, item)| item.get_ref().is_str()) => {
                    for (name, _) in table {
                        self.lines.insert(join(at, name.get_ref()), self.line(name.span().start));
                    }
                }
                _ => fault = wrong(Expected::TableOfTexts),
            },
            Kind::Table(keys) => match value.as_table() {
                Some(table) => self.table(table, line, keys, at),
                None => fault = wrong(Expected::Table),
            },
            Kind::Tables(keys) => match value.as_array() {
                Some(items) if items.iter().all(|item| item.get_ref().is_table()) => {
                    for (index, item) in items.iter().enumerate() {
                        let at = format!("{at}[{index}]");
                        let line = self.line(item.span().start);
                        self.lines.insert(at.clone(), line);
                        if let Some(table) = item.get_ref().as_table() {
                            self.table(table, line, keys, &at);
                        }
                    }
                }
                _ => fault = wrong(Expected::ListOfTables),
            },
            Kind::Either(keys) => match value.as_table() {
                Some(table) => {
                    self.table(table, line, keys, at);
                    if table.len() != 1 {
                        fault = Some(ShapeFault::NotExactlyOne { of: keys.iter().map(|key| key.name).collect() });
                    }
                }
                None => fault = wrong(Expected::Table),
            },
            Kind::Tagged(tag, variants) => match value.as_table() {
                None => fault = wrong(Expected::Table),
                Some(table) => self.tagged(table, line, tag, variants, at),
            },
        }
        if let Some(fault) = fault {
            self.faults.push((self.line(node.span().start), at.to_string(), fault));
        }
    }

    fn tagged(&mut self, table: &DeTable<'_>, line: u32, tag: &'static str, variants: &'static [(&'static str, &'static [Key])], at: &str) {
        let Some(word) = table.get(tag) else {
            self.faults.push((line, join(at, tag), ShapeFault::MissingKey));
            return;
        };
        let tag_line = self.line(word.span().start);
        let found = word.get_ref().as_str().unwrap_or_default();
        match variants.iter().find(|(name, _)| *name == found) {
            Some((_, keys)) => {
                let mut rest = table.clone();
                rest.remove(tag);
                self.lines.insert(join(at, tag), tag_line);
                self.table(&rest, line, keys, at);
            }
            None => {
                let allowed = variants.iter().map(|(name, _)| *name).collect();
                self.faults.push((tag_line, join(at, tag), ShapeFault::NotOneOf { found: short(found), allowed }));
            }
        }
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0).chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1)).collect()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { short(name) } else { format!("{path}.{}", short(name)) }
}

fn short(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect()
}

/// The key that was meant, if one differs by two slips at most.
fn nearest(name: &str, keys: &'static [Key]) -> Option<&'static str> {
    let name: String = name.chars().take(40).collect();
    let best = keys.iter().map(|key| (distance(&name, key.name), key.name)).min()?;
    (best.0 <= 2 && best.0 < name.chars().count()).then_some(best.1)
}

/// Levenshtein distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut diagonal = i;
        let mut before = i + 1;
        let mut next = vec![before];
        for (b, above) in right.iter().zip(row.iter().skip(1)) {
            before = (diagonal + usize::from(a != *b)).min(above + 1).min(before + 1);
            diagonal = *above;
            next.push(before);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INNER: &[Key] = &[need("id", Kind::Text), may("n", Kind::Whole(1, 9))];
    const KEYS: &[Key] = &[
        need("name", Kind::Text),
        may("word", Kind::Word(&["yes", "no"])),
        may("flag", Kind::Flag),
        may("at", Kind::TimeOfDay),
        may("list", Kind::Texts),
        may("map", Kind::TextMap),
        may("item", Kind::Tables(INNER)),
        may("one", Kind::Either(&[may("a", Kind::Whole(0, 9)), may("b", Kind::Text)])),
        may("how", Kind::Tagged("when", &[("now", &[]), ("later", &[need("from", Kind::TimeOfDay)])])),
    ];

    #[test]
    fn every_problem_has_its_line_and_its_key() {
        type Found<'a> = (u32, &'a str, &'a str);
        let table: &[(&str, &[Found<'_>])] = &[
            ("name = 'x'\nflag = true\nlist = ['a']\nmap = { a = 'b' }\nhow = { when = 'now' }\none = { a = 1 }", &[]),
            ("flag = 1\nnam = 'x'", &[(1, "flag", "TIPO_ERRATO"), (2, "nam", "CHIAVE_SCONOSCIUTA"), (1, "name", "CHIAVE_MANCANTE")]),
            ("name = 'x'\nword = 'maybe'\nat = '25:00'", &[(3, "at", "ORA_NON_VALIDA"), (2, "word", "PAROLA_NON_AMMESSA")]),
            (
                "name = 'x'\n[[item]]\nid = 'a'\n\n[[item]]\nn = 10",
                &[(6, "item[1].n", "NUMERO_FUORI_LIMITE"), (5, "item[1].id", "CHIAVE_MANCANTE")],
            ),
            ("name = 'x'\nname = 'y'", &[(2, "", "CHIAVE_DOPPIA")]),
            ("name = \n[", &[(1, "", "TOML_NON_VALIDO"), (2, "", "TOML_NON_VALIDO")]),
            ("name = 'x'\none = { a = 1, b = 'c' }", &[(2, "one", "UNA_SOLA_CHIAVE")]),
            ("name = 'x'\n[how]\nwhen = 'later'", &[(2, "how.from", "CHIAVE_MANCANTE")]),
            ("name = 'x'\n[how]\nwhen = 'never'", &[(3, "how.when", "PAROLA_NON_AMMESSA")]),
            ("name = 'x'\nlist = ['a', 3]\nmap = []", &[(2, "list", "TIPO_ERRATO"), (3, "map", "TIPO_ERRATO")]),
        ];
        for (text, want) in table {
            let document = Document::read(text, KEYS);
            let got: Vec<(u32, &str, &str)> =
                document.faults.iter().map(|(line, key, fault)| (*line, key.as_str(), fault.code())).collect();
            assert_eq!(&got, want, "{text}");
        }
    }

    #[test]
    fn suggests_the_key_that_was_meant() {
        for (name, want) in [("nam", Some("name")), ("wrd", Some("word")), ("zzzzzz", None), ("x", None)] {
            assert_eq!(nearest(name, KEYS), want, "{name}");
        }
    }
}
