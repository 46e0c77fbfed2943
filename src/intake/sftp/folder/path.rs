//! What the path of a client means: which of the account's folders, and which name in it. Pure; no path that it gives leads out.
//!
//! Names are UTF-8, composed (NFC). Bytes that are no UTF-8 are read as Windows-1252, as the watcher reads them: an old program that
//! sends `citt\xe0.zip` finds its file again under the same bytes. `..` is reckoned on the names alone: there are no links.

use std::path::Path;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::intake::names::{self, NameKind};
use crate::intake::sftp::home::Refused;

/// Longest path, in bytes.
const MAX_PATH: usize = 4096;
/// Longest name, in bytes: what file systems take.
const MAX_NAME: usize = 255;
/// What is ours begins so, and is never seen.
const OURS: &str = ".messo";
/// The folder of dry runs.
pub const DRY_RUN: &str = "prova";
/// The folder of drops.
pub const INBOX: &str = "in";
const ATTESTATIONS: &str = "attestazioni";
/// The folders that are only read.
pub const PUBLISHED: [&str; 5] = ["ricevute", "scarti", "esiti", ATTESTATIONS, "rendicontazioni"];

/// Names separated by `/`, none of them empty, `.` or `..`; `""` is the folder itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Rel(String);

impl Rel {
    /// From names that were checked, or read from the disk.
    pub fn new(text: impl Into<String>) -> Rel {
        Rel(text.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `""` for a name at the top.
    pub fn parent(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(parent, _)| parent)
    }

    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    pub fn in_folder(folder: &str, name: &str) -> Rel {
        Rel(if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") })
    }

    pub fn depth(&self) -> usize {
        if self.0.is_empty() { 0 } else { self.0.split('/').count() }
    }
}

/// What a path means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// `/`: the list of the folders.
    Root,
    /// `in/` and what is below it.
    Inbox(Rel),
    /// A published folder and what is below it.
    Published(&'static str, Rel),
    /// No folder of the account's: nothing is there, nothing can be put there.
    Nowhere(Rel),
}

impl Place {
    /// As the client shall see it.
    pub fn shown(&self) -> String {
        let (top, rel) = match self {
            Place::Root => return "/".to_owned(),
            Place::Inbox(rel) => (INBOX, rel),
            Place::Published(top, rel) => (*top, rel),
            Place::Nowhere(rel) => return format!("/{}", rel.as_str()),
        };
        if rel.is_empty() { format!("/{top}") } else { format!("/{top}/{}", rel.as_str()) }
    }
}

/// Reads a path.
pub fn parse(path: &[u8]) -> Result<Place, Refused> {
    if path.len() > MAX_PATH {
        return Err(Refused::NameRefused);
    }
    let mut parts: Vec<String> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                parts.pop();
            }
            part => parts.push(name(part)?),
        }
    }
    let mut parts = parts.into_iter();
    let Some(top) = parts.next() else { return Ok(Place::Root) };
    let mut rest: Vec<String> = parts.collect();
    if top.eq_ignore_ascii_case(INBOX) {
        if let Some(first) = rest.first_mut()
            && first.trim().eq_ignore_ascii_case(DRY_RUN)
        {
            // Letter case and blanks must never turn a dry run into a real one.
            *first = DRY_RUN.to_owned();
        }
        let dry_run = rest.first().is_some_and(|first| first == DRY_RUN);
        if rest.len() > if dry_run { 3 } else { 2 } {
            return Err(Refused::Outside);
        }
        return Ok(Place::Inbox(Rel(rest.join("/"))));
    }
    match PUBLISHED.into_iter().find(|folder| folder.eq_ignore_ascii_case(&top)) {
        // Below a published folder: sub-folders into which the gestionale moves what it has read; attestations lie in a folder of their
        // year, in one of their notification.
        Some(folder) if rest.len() > if folder == ATTESTATIONS { 3 } else { 2 } => Err(Refused::Outside),
        Some(folder) => Ok(Place::Published(folder, Rel(rest.join("/")))),
        None => {
            rest.insert(0, top);
            Ok(Place::Nowhere(Rel(rest.join("/"))))
        }
    }
}

/// Whether a path can only mean a folder: `in/cds/`, `in/cds/.`.
pub fn means_a_folder(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next().is_some_and(|last| matches!(last, b"" | b"." | b".."))
}

/// One name as it is kept.
fn name(bytes: &[u8]) -> Result<String, Refused> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => composed(text),
        Err(_) => composed(&encoding_rs::WINDOWS_1252.decode_without_bom_handling(bytes).0),
    };
    if text.len() > MAX_NAME || text.chars().any(unusable) {
        return Err(Refused::NameRefused);
    }
    if is_ours(&text) {
        return Err(Refused::Outside);
    }
    Ok(text)
}

/// What begins like the names that we give: never listed, never opened.
pub fn is_ours(name: &str) -> bool {
    name.get(..OURS.len()).is_some_and(|start| start.eq_ignore_ascii_case(OURS))
}

/// Control characters, and those that make a name look like another (direction of writing).
fn unusable(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
}

fn composed(text: &str) -> String {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes { text.to_owned() } else { text.nfc().collect() }
}

/// Whether a new file or folder may have that name: what Windows can show, and what the hub can name in a receipt.
pub fn check_new(name: &str) -> Result<(), Refused> {
    const RESERVED: [&str; 4] = ["con", "prn", "aux", "nul"];
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_lowercase();
    let numbered = ["com", "lpt"].iter().filter_map(|port| stem.strip_prefix(port));
    let is_port = numbered.into_iter().any(|rest| matches!(rest, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³"));
    // lftp sends `.in.NAME.` and renames.
    let bad_end = name.ends_with([' ', '.']) && names::kind(name) != NameKind::Temporary;
    if name.is_empty() || bad_end || name.contains('\\') || RESERVED.contains(&stem.as_str()) || is_port {
        return Err(Refused::NameRefused);
    }
    Ok(())
}

/// Equal for two names that a Windows sender takes for one.
pub fn fold(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    name.nfc().flat_map(char::to_lowercase).nfc().collect()
}

/// The decomposed spelling, when there is one: files that a Mac put on the share have it.
pub fn decomposed(name: &str) -> Option<String> {
    if name.is_ascii() {
        return None;
    }
    let other: String = name.nfd().collect();
    (other != name).then_some(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_means_a_folder_of_the_account_or_nothing() {
        let inbox = |rel: &str| Ok(Place::Inbox(Rel::new(rel)));
        let table: [(&[u8], Result<Place, Refused>); 42] = [
            (b"", Ok(Place::Root)),
            (b"/", Ok(Place::Root)),
            (b".", Ok(Place::Root)),
            (b"..", Ok(Place::Root)),
            (b"/../../..", Ok(Place::Root)),
            (b"in/../..", Ok(Place::Root)),
            (b"/in", inbox("")),
            (b"in/", inbox("")),
            (b"//in//./lotto.zip", inbox("lotto.zip")),
            (b"IN/lotto.zip", inbox("lotto.zip")),
            (b"in/cds/../lotto.zip", inbox("lotto.zip")),
            (b"/in/lotto.zip/", inbox("lotto.zip")),
            (b"in/cds/lotto.zip", inbox("cds/lotto.zip")),
            (b"in/PROVA/lotto.zip", inbox("prova/lotto.zip")),
            (b"in/Prova /cds/lotto.zip", inbox("prova/cds/lotto.zip")),
            (b"in/cds/a/lotto.zip", Err(Refused::Outside)),
            (b"in/prova/a/b/lotto.zip", Err(Refused::Outside)),
            (b"/Esiti/e.csv", Ok(Place::Published("esiti", Rel::new("e.csv")))),
            (b"esiti/letti/e.csv", Ok(Place::Published("esiti", Rel::new("letti/e.csv")))),
            (b"esiti/a/b/e.csv", Err(Refused::Outside)),
            (b"attestazioni/2026/IUN/a.pdf", Ok(Place::Published("attestazioni", Rel::new("2026/IUN/a.pdf")))),
            (b"attestazioni/2026/IUN/a/b.pdf", Err(Refused::Outside)),
            (b"/etc/passwd", Ok(Place::Nowhere(Rel::new("etc/passwd")))),
            (b"/../etc/passwd", Ok(Place::Nowhere(Rel::new("etc/passwd")))),
            (b"in/../../etc/passwd", Ok(Place::Nowhere(Rel::new("etc/passwd")))),
            (b".messo", Err(Refused::Outside)),
            (b"/.messo/lavoro", Err(Refused::Outside)),
            (b"/.MESSO/lavoro", Err(Refused::Outside)),
            (b"in/.messo-x.part", Err(Refused::Outside)),
            (b"in/../.messo/arrivo/a", Err(Refused::Outside)),
            (b"in/a\0.zip", Err(Refused::NameRefused)),
            (b"in/a\nb.zip", Err(Refused::NameRefused)),
            (b"in/a\x7f.zip", Err(Refused::NameRefused)),
            ("in/a\u{202e}piz.exe".as_bytes(), Err(Refused::NameRefused)),
            ("in/a\u{85}.zip".as_bytes(), Err(Refused::NameRefused)),
            ("in/citta\u{300}.zip".as_bytes(), inbox("città.zip")),
            (b"in/citt\xe0.zip", inbox("città.zip")),
            ("in/città.zip".as_bytes(), inbox("città.zip")),
            (b"in/\x81.zip", Err(Refused::NameRefused)),
            // No dots at all, only signs that look like them: names like others.
            ("in/\u{ff0e}\u{ff0e}".as_bytes(), inbox("\u{ff0e}\u{ff0e}")),
            ("in/\u{2025}".as_bytes(), inbox("\u{2025}")),
            // An over-long encoding of `/` is no UTF-8: two strange letters.
            (b"in/..\xc0\xaf", inbox("..À¯")),
        ];
        for (path, want) in table {
            assert_eq!(parse(path), want, "{:?}", String::from_utf8_lossy(path));
        }
        assert_eq!(parse(&[b"in/", "a".repeat(256).as_bytes()].concat()), Err(Refused::NameRefused));
        assert_eq!(parse("a/".repeat(3000).as_bytes()), Err(Refused::NameRefused));
        assert_eq!(parse(b"IN/Prova/x").map(|place| place.shown()), Ok("/in/prova/x".to_owned()));
    }

    #[test]
    fn new_names_are_names_that_windows_can_show() {
        let fine = ["lotto.zip", "è.zip", ".in.lotto.zip.", "a:b.zip", "console.zip", "com.zip", "com10.zip", "nulla", "a b.zip"];
        for name in fine {
            assert_eq!(check_new(name), Ok(()), "{name}");
        }
        for name in ["", "a.", "a ", "CON", "con.zip", "Nul.tar.gz", "aux .zip", "COM1", "lpt9.zip", "a\\b.zip", "com¹.zip"] {
            assert_eq!(check_new(name), Err(Refused::NameRefused), "{name}");
        }
        assert_eq!(fold("CITTÀ.Zip"), fold("citta\u{300}.zip"));
        assert_ne!(fold("citta.zip"), fold("città.zip"));
    }
}
