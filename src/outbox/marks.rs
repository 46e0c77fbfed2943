//! The last numbers that were given to a gestionale, kept beside its folders (`.messo/numeri`) and not in the data folder.
//!
//! A gestionale may take its files away, and a data folder may be lost: what was put back from a copy reads here which numbers
//! are spent. Raised before a file can be read; never lowered.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::place::{ensure_folder, sync_folder};
use crate::domain::digest::Sha256;

const FOLDER: &str = ".messo";
const FILE: &str = "numeri";
const FRESH: &str = ".numeri-nuovo";
/// Bytes: a line per kind of file, and a margin.
const LONGEST: u64 = 64 << 10;

/// The last number of one kind of file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// As publications name it: `ESITO`, `INDICE`.
    pub kind: String,
    pub number: u64,
    /// Last line in it; 0: it has none.
    pub line: u64,
    /// Digest of its XML, once that is known: the next file names it.
    pub xml: Option<Sha256>,
    /// The same of its CSV, where that names the one before it too (exports).
    pub csv: Option<Sha256>,
}

/// Every mark of a gestionale; none when there is no file. What cannot be read is an error: nothing may be assumed.
pub fn read(root: &Path) -> io::Result<Vec<Mark>> {
    let path = root.join(FOLDER).join(FILE);
    let text = match fs::metadata(&path) {
        Ok(meta) if meta.len() <= LONGEST => fs::read_to_string(&path)?,
        Ok(_) => return Err(broken()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    text.lines().map(|line| parse(line).ok_or_else(broken)).collect()
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "`.messo/numeri` is not readable")
}

fn parse(line: &str) -> Option<Mark> {
    let mut words = line.split(' ');
    let (kind, number, last, xml) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let digest = |word: &str| if word == "-" { Some(None) } else { Sha256::parse(word).map(Some) };
    let (xml, csv) = (digest(xml)?, words.next().map_or(Some(None), digest)?);
    Some(Mark { kind: kind.to_owned(), number: number.parse().ok()?, line: last.parse().ok()?, xml, csv })
}

/// Outcome files and exports raise marks of one gestionale at the same time: each reads what the other has written. A share that hangs
/// keeps only its own waiting.
static TURNS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

/// Raises a mark, flushed before it returns. One that is as high already is only completed.
pub fn raise(root: &Path, mark: Mark) -> io::Result<()> {
    let own = TURNS.lock().unwrap_or_else(PoisonError::into_inner).entry(root.to_owned()).or_default().clone();
    let _turn = own.lock().unwrap_or_else(PoisonError::into_inner);
    let mut marks = read(root)?;
    match marks.iter_mut().find(|known| known.kind == mark.kind) {
        Some(known) if known.number > mark.number => return Ok(()),
        Some(known) if known.number == mark.number => {
            let completed =
                Mark { xml: mark.xml.or(known.xml), csv: mark.csv.or(known.csv), line: mark.line.max(known.line), ..known.clone() };
            if *known == completed {
                return Ok(());
            }
            *known = completed;
        }
        Some(known) => *known = mark,
        None => marks.push(mark),
    }
    let folder = root.join(FOLDER);
    ensure_folder(&folder)?;
    let fresh = folder.join(FRESH);
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
    let word = |digest: Option<Sha256>| digest.map_or_else(|| "-".to_owned(), |digest| digest.to_hex());
    for Mark { kind, number, line, xml, csv } in &marks {
        let csv = csv.map(|csv| format!(" {}", csv.to_hex())).unwrap_or_default();
        writeln!(file, "{kind} {number} {line} {}{csv}", word(*xml))?;
    }
    file.sync_all()?;
    fs::rename(&fresh, folder.join(FILE))?;
    sync_folder(&folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(kind: &str, number: u64, line: u64, xml: Option<Sha256>) -> Mark {
        Mark { kind: kind.to_owned(), number, line, xml, csv: None }
    }

    #[test]
    fn marks_only_rise_and_are_completed() {
        let root = tempfile::tempdir().unwrap();
        let digest = Sha256::of(b"a");
        assert_eq!(read(root.path()).unwrap(), []);
        let table = [
            (mark("ESITO", 1, 10, None), vec![mark("ESITO", 1, 10, None)]),
            (mark("ESITO", 1, 10, Some(digest)), vec![mark("ESITO", 1, 10, Some(digest))]),
            (mark("ESITO", 1, 10, None), vec![mark("ESITO", 1, 10, Some(digest))]),
            (mark("INDICE", 4, 0, None), vec![mark("ESITO", 1, 10, Some(digest)), mark("INDICE", 4, 0, None)]),
            (mark("ESITO", 3, 40, None), vec![mark("ESITO", 3, 40, None), mark("INDICE", 4, 0, None)]),
            (mark("ESITO", 2, 20, Some(digest)), vec![mark("ESITO", 3, 40, None), mark("INDICE", 4, 0, None)]),
            (
                Mark { csv: Some(digest), ..mark("INDICE", 5, 0, None) },
                vec![mark("ESITO", 3, 40, None), Mark { csv: Some(digest), ..mark("INDICE", 5, 0, None) }],
            ),
            (
                mark("INDICE", 5, 0, Some(digest)),
                vec![mark("ESITO", 3, 40, None), Mark { csv: Some(digest), ..mark("INDICE", 5, 0, Some(digest)) }],
            ),
        ];
        for (raised, want) in table {
            raise(root.path(), raised.clone()).unwrap();
            assert_eq!(read(root.path()).unwrap(), want, "after {raised:?}");
        }
    }

    #[test]
    fn marks_raised_together_are_all_kept() {
        let root = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for kind in ["ESITO", "RENDICONTAZIONE"] {
                let path = root.path();
                scope.spawn(move || (1..=50).for_each(|number| raise(path, mark(kind, number, number, None)).unwrap()));
            }
        });
        let mut kept = read(root.path()).unwrap();
        kept.sort_by(|a, b| a.kind.cmp(&b.kind));
        assert_eq!(kept, [mark("ESITO", 50, 50, None), mark("RENDICONTAZIONE", 50, 50, None)]);
    }

    #[test]
    fn marks_that_cannot_be_read_are_not_taken_for_none() {
        for text in ["ESITO", "ESITO uno 2 -\n", "ESITO 1 2 abc\n", "ESITO 1 2 - abc\n", "\n", &"x".repeat(70_000)] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(".messo")).unwrap();
            fs::write(root.path().join(".messo/numeri"), text).unwrap();
            assert!(read(root.path()).is_err(), "{}", text.len());
        }
    }
}
