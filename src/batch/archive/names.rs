//! Names of entries: decoded, made one with `/`, and judged.
//!
//! Nothing is ever unpacked here, so what only Windows could not write (`S.R.L./`, `verbale 10:30.pdf`, `con.pdf`) is taken as it is.
//! Two names that Windows would write alike are one ([`same`]), and what we write ourselves is a [`safe_name`].
//!
//! Without the UTF-8 flag a name that is valid UTF-8 is taken as such (macOS writes so); the rest is CP850, the code page of
//! Italian Windows. CP437 differs only where file names have no business (its frames and Greek) and in the capital accented
//! letters, which CP437 does not have at all: so CP850 is never the worse guess.

use std::borrow::Cow;
use std::hash::{BuildHasher, Hasher, RandomState};

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// Bytes of a name, at most.
const MAX_NAME: usize = 1024;
/// Folders of a name, at most.
const MAX_DEPTH: usize = 16;
/// Characters that Windows refuses in names.
const REFUSED: &[char] = &['<', '>', ':', '"', '|', '?', '*'];

/// Why a name is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    #[error("empty")]
    Empty,
    #[error("declared UTF-8 and is not")]
    NotUtf8,
    #[error("control or text-direction character")]
    Control,
    #[error("`..` leads out of the archive")]
    Parent,
    #[error("absolute path")]
    Absolute,
    #[error("drive letter")]
    Drive,
    #[error("nothing but points and spaces")]
    Blank,
    #[error("longer than 1024 bytes")]
    TooLong,
    #[error("more than 16 folders deep")]
    TooDeep,
}

/// A judged name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    File(String),
    Folder,
    /// `__MACOSX`, `.DS_Store`, `Thumbs.db`, `desktop.ini`, AppleDouble `._*`.
    Ignored,
}

/// The upper half of CP850.
const CP850: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜø£Ø×ƒáíóúñÑªº¿®¬½¼¡«»░▒▓│┤ÁÂÀ©╣║╗╝¢¥┐└┴┬├─┼ãÃ╚╔╩╦╠═╬¤\
     ðÐÊËÈıÍÎÏ┘┌█▄¦Ì▀ÓßÔÒõÕµþÞÚÛÙýÝ¯´\u{ad}±‗¾¶§÷¸°¨·¹³²■\u{a0}";

/// Text of a name as it stands in a header.
pub(super) fn decode(raw: &[u8], utf8_flag: bool) -> Result<String, NameFault> {
    match std::str::from_utf8(raw) {
        Ok(text) if text.is_ascii() || is_nfc(text) => Ok(text.to_owned()),
        Ok(text) => Ok(text.nfc().collect()),
        Err(_) if utf8_flag => Err(NameFault::NotUtf8),
        Err(_) => {
            let upper: Vec<char> = CP850.chars().collect();
            let letter = |byte: &u8| match byte.checked_sub(128) {
                Some(high) => upper.get(usize::from(high)).copied().unwrap_or('\u{fffd}'),
                None => char::from(*byte),
            };
            Ok(raw.iter().map(letter).collect())
        }
    }
}

/// Makes `text` a name with `/` and without `./`, or says why not.
pub(super) fn judge(text: &str) -> Result<Named, NameFault> {
    let text = if text.contains('\\') { Cow::Owned(text.replace('\\', "/")) } else { text.into() };
    if ignored(&text) {
        return Ok(Named::Ignored);
    }
    if text.len() > MAX_NAME {
        return Err(NameFault::TooLong);
    }
    if text.chars().any(|c| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')) {
        return Err(NameFault::Control);
    }
    if text.starts_with('/') {
        return Err(NameFault::Absolute);
    }
    if matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic()) {
        return Err(NameFault::Drive);
    }
    let mut name = String::with_capacity(text.len());
    let mut depth = 0;
    for part in text.split('/').filter(|part| !part.is_empty() && *part != ".") {
        judge_part(part)?;
        if depth > 0 {
            name.push('/');
        }
        depth += 1;
        name.push_str(part);
    }
    match (depth, text.ends_with('/')) {
        (0, false) if text != "." => Err(NameFault::Empty),
        (0, _) | (_, true) => Ok(Named::Folder),
        (depth, false) if depth > MAX_DEPTH => Err(NameFault::TooDeep),
        (_, false) => Ok(Named::File(name)),
    }
}

fn judge_part(part: &str) -> Result<(), NameFault> {
    if part.chars().all(|c| c == '.' || c == ' ') {
        return Err(if part.contains("..") { NameFault::Parent } else { NameFault::Blank });
    }
    Ok(())
}

/// `name` as Windows too can write it: no part ends with points or spaces, is a device or holds a character it refuses. Two names of one
/// archive never become one: they were refused as such ([`same`]).
pub fn safe_name(name: &str) -> Cow<'_, str> {
    if name.split('/').all(|part| !part.ends_with(['.', ' ']) && !part.contains(REFUSED) && !is_device(part)) {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len() + 1);
    for (at, part) in name.split('/').enumerate() {
        if at > 0 {
            out.push('/');
        }
        let part = part.trim_end_matches(['.', ' ']);
        if is_device(part) {
            out.push('_');
        }
        out.extend(part.chars().map(|c| if REFUSED.contains(&c) { '_' } else { c }));
    }
    Cow::Owned(out)
}

/// Whether Windows opens a device under this name, whatever follows its first point.
fn is_device(part: &str) -> bool {
    let stem = part.split('.').next().unwrap_or_default().trim_end();
    let numbered = |prefix: &str| {
        let number = stem.get(..prefix.len()).filter(|head| head.eq_ignore_ascii_case(prefix)).and_then(|head| stem.get(head.len()..));
        number.is_some_and(|number| matches!(number, "¹" | "²" | "³") || matches!(number.as_bytes(), [b'0'..=b'9']))
    };
    ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$"].iter().any(|name| stem.eq_ignore_ascii_case(name))
        || numbered("COM")
        || numbered("LPT")
}

/// What operating systems leave in archives without being asked.
fn ignored(text: &str) -> bool {
    let mut parts = text.split('/').filter(|part| !part.is_empty() && *part != ".");
    let Some(first) = parts.next() else { return false };
    let last = parts.next_back().unwrap_or(first);
    first.eq_ignore_ascii_case("__MACOSX")
        || last.starts_with("._")
        || [".DS_Store", "Thumbs.db", "desktop.ini"].iter().any(|name| last.eq_ignore_ascii_case(name))
}

/// Tells names that Windows (case, and what [`safe_name`] takes away) or a Mac (composition; names here are NFC already) takes for one.
pub(super) struct Folding {
    seed: RandomState,
    buffer: String,
}

impl Folding {
    pub(super) fn new() -> Folding {
        Folding { seed: RandomState::new(), buffer: String::new() }
    }

    /// A number that is equal for names that fold to one; seeded, so that nobody can prepare collisions.
    pub(super) fn hash(&mut self, name: &str) -> u64 {
        fold_into(name, &mut self.buffer);
        hash_bytes(&self.seed, self.buffer.as_bytes())
    }
}

/// Whether two names fold to one.
pub(super) fn same(a: &str, b: &str) -> bool {
    let (mut left, mut right) = (String::new(), String::new());
    fold_into(a, &mut left);
    fold_into(b, &mut right);
    left == right
}

fn fold_into(name: &str, buffer: &mut String) {
    buffer.clear();
    let name = safe_name(name);
    if name.is_ascii() {
        buffer.push_str(&name);
        buffer.make_ascii_lowercase();
    } else {
        buffer.extend(name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase));
    }
}

pub(super) fn hash_bytes(seed: &RandomState, bytes: &[u8]) -> u64 {
    let mut hasher = seed.build_hasher();
    hasher.write(bytes);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_italian_senders_write() {
        let table: [(&[u8], bool, Result<&str, NameFault>); 7] = [
            (b"atto.pdf", false, Ok("atto.pdf")),
            ("perché.pdf".as_bytes(), true, Ok("perché.pdf")),
            ("perche\u{301}.pdf".as_bytes(), false, Ok("perché.pdf")), // macOS: NFD, no flag
            (b"citt\x85 \x8a\x82\x8d\x95\x97.pdf", false, Ok("città èéìòù.pdf")), // CP850 and CP437 alike
            (b"CITT\xb7 \xd4\xde\xe3\xeb.pdf", false, Ok("CITTÀ ÈÌÒÙ.pdf")), // CP850 only
            (b"n\xf8 1.pdf", false, Ok("n° 1.pdf")),
            (b"citt\x85.pdf", true, Err(NameFault::NotUtf8)),
        ];
        for (raw, flag, want) in table {
            assert_eq!(decode(raw, flag), want.map(str::to_owned), "{raw:?} {flag}");
        }
        assert_eq!(CP850.chars().count(), 128);
    }

    #[test]
    fn judges_names() {
        let file = |name: &str| Ok(Named::File(name.to_owned()));
        let long = "a".repeat(1025);
        let deep = "a/".repeat(16) + "b.pdf";
        let table = [
            ("a.pdf", file("a.pdf")),
            ("./a.pdf", file("a.pdf")),
            ("././x/./a.pdf", file("x/a.pdf")),
            ("x//a.pdf", file("x/a.pdf")),
            ("x\\1\\a.pdf", file("x/1/a.pdf")),
            (".\\a.pdf", file("a.pdf")),
            ("...a.pdf", file("...a.pdf")),
            ("a..b.pdf", file("a..b.pdf")),
            ("COM10.pdf", file("COM10.pdf")),
            ("console.pdf", file("console.pdf")),
            ("x/", Ok(Named::Folder)),
            ("x\\", Ok(Named::Folder)),
            ("./", Ok(Named::Folder)),
            (".", Ok(Named::Folder)),
            ("", Err(NameFault::Empty)),
            ("../a.pdf", Err(NameFault::Parent)),
            ("x/../a.pdf", Err(NameFault::Parent)),
            ("x\\..\\a.pdf", Err(NameFault::Parent)),
            ("x/.. /a.pdf", Err(NameFault::Parent)),
            ("../", Err(NameFault::Parent)),
            ("..", Err(NameFault::Parent)),
            ("/etc/passwd", Err(NameFault::Absolute)),
            ("\\\\server\\share\\a.pdf", Err(NameFault::Absolute)),
            ("C:\\a.pdf", Err(NameFault::Drive)),
            ("c:a.pdf", Err(NameFault::Drive)),
            ("a:b.pdf", Err(NameFault::Drive)),
            ("x/a.pdf:flusso", file("x/a.pdf:flusso")),
            ("verbale 10:30.pdf", file("verbale 10:30.pdf")),
            ("a?.pdf", file("a?.pdf")),
            ("a\0.pdf", Err(NameFault::Control)),
            ("a\n.pdf", Err(NameFault::Control)),
            ("a\u{85}.pdf", Err(NameFault::Control)),
            ("a\u{202e}fdp.exe", Err(NameFault::Control)),
            ("NUL", file("NUL")),
            ("x/con.pdf", file("x/con.pdf")),
            ("OFFICINA ESEMPIO S.R.L./atto.pdf", file("OFFICINA ESEMPIO S.R.L./atto.pdf")),
            ("x /a.pdf", file("x /a.pdf")),
            ("ACME S.p.A./", Ok(Named::Folder)),
            ("x/ /a.pdf", Err(NameFault::Blank)),
            ("x/. /a.pdf", Err(NameFault::Blank)),
            ("x/...", Err(NameFault::Parent)),
            (long.as_str(), Err(NameFault::TooLong)),
            (deep.as_str(), Err(NameFault::TooDeep)),
            ("__MACOSX/x/._a.pdf", Ok(Named::Ignored)),
            ("__MACOSX/", Ok(Named::Ignored)),
            ("__macosx\\._Icon\r", Ok(Named::Ignored)),
            ("x/.DS_Store", Ok(Named::Ignored)),
            ("x/Thumbs.db", Ok(Named::Ignored)),
            ("THUMBS.DB", Ok(Named::Ignored)),
            ("Desktop.ini", Ok(Named::Ignored)),
            ("x/._a.pdf", Ok(Named::Ignored)),
            ("Thumbs.db/a.pdf", file("Thumbs.db/a.pdf")),
        ];
        for (text, want) in table {
            assert_eq!(judge(text), want, "name {text:?}");
        }
    }

    #[test]
    fn what_is_written_can_be_written_by_windows() {
        let table = [
            ("x/a.pdf", "x/a.pdf"),
            ("perché (1).pdf", "perché (1).pdf"),
            ("OFFICINA S.R.L./atto.pdf.", "OFFICINA S.R.L/atto.pdf"),
            ("x . ./a.pdf ", "x/a.pdf"),
            ("verbale 10:30.pdf", "verbale 10_30.pdf"),
            ("x/a\"<b>|c?*.pdf", "x/a__b__c__.pdf"),
            ("NUL", "_NUL"),
            ("x/con.pdf", "x/_con.pdf"),
            ("con./a.pdf", "_con/a.pdf"),
            ("Lpt1.tar.gz", "_Lpt1.tar.gz"),
            ("com².pdf", "_com².pdf"),
            ("aux .pdf", "_aux .pdf"),
            ("COM10.pdf", "COM10.pdf"),
            ("comè", "comè"),
            ("console.pdf", "console.pdf"),
        ];
        for (name, want) in table {
            let safe = safe_name(name);
            assert_eq!(safe, want, "name {name:?}");
            assert_eq!(safe_name(&safe), safe, "again {name:?}");
            assert!(matches!(safe, Cow::Borrowed(_)) == (name == want), "copied {name:?}");
        }
    }

    #[test]
    fn folds_as_windows_and_macs_do() {
        let table = [
            ("a.pdf", "A.PDF", true),
            ("perché.pdf", "PERCHÉ.pdf", true),
            ("a.pdf", "b.pdf", false),
            ("e.pdf", "è.pdf", false),
            ("straße", "STRASSE", true),
            ("a.pdf", "a.pdf.", true),
            ("S.R.L./a.pdf", "s.r.l/A.pdf ", true),
            ("a:b.pdf", "a_b.pdf", true),
            ("con.pdf", "_CON.pdf", true),
            ("S.R.L./a.pdf", "S.R.L./b.pdf", false),
        ];
        let mut folding = Folding::new();
        for (a, b, want) in table {
            assert_eq!(same(a, b), want, "{a} {b}");
            assert_eq!(folding.hash(a) == folding.hash(b), want, "{a} {b}");
        }
    }
}
