//! Deletions that persons asked for, kept beside the folders of each gestionale (`.messo/cancellati`) and not in the data folder.
//!
//! A data folder may be lost, and with it the register of orders: what was put back from an older copy reads here whose data must go
//! again. A line each, only ever added, flushed before it counts: instant, kind, id. No name, no tax id, no reason.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::place::{ensure_folder, sync_folder};
use crate::domain::erasure::{Asked, Subject};

const FOLDER: &str = ".messo";
const FILE: &str = "cancellati";
/// Bytes of a line: an instant, a word, an id, and a margin.
const LONGEST: u64 = 256;

/// Every deletion of a gestionale, oldest first; none when there is no file. What cannot be read is an error: nothing may be assumed.
/// A last line without an end was being written when the process died, and never counted.
pub fn read(root: &Path) -> io::Result<Vec<Asked>> {
    let mut reader = match File::open(root.join(FOLDER).join(FILE)) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    loop {
        let mut line = String::new();
        reader.by_ref().take(LONGEST).read_line(&mut line)?;
        match line.strip_suffix('\n') {
            Some(line) => found.push(parse(line).ok_or_else(broken)?),
            None if line.len() as u64 == LONGEST => return Err(broken()),
            None => return Ok(found),
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "`.messo/cancellati` is not readable")
}

fn parse(line: &str) -> Option<Asked> {
    let mut words = line.split(' ');
    let (at, kind, id) = (words.next()?.parse().ok()?, words.next()?, words.next()?.parse().ok()?);
    if words.next().is_some() {
        return None;
    }
    Some(Asked { at, subject: Subject::of(kind, id)? })
}

/// Two orders about one gestionale at the same time write one after the other. A share that hangs keeps only its own waiting.
static TURNS: Mutex<BTreeMap<PathBuf, Arc<Mutex<()>>>> = Mutex::new(BTreeMap::new());

/// Adds deletions; on the disk when it returns. One that is there already is there twice, which does no harm.
///
/// # Errors
/// `NotFound` when the folders of the gestionale are not there: a share that is away is not written beneath.
pub fn add(root: &Path, asked: &[Asked]) -> io::Result<()> {
    if !root.join("in").is_dir() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let own = TURNS.lock().unwrap_or_else(PoisonError::into_inner).entry(root.to_owned()).or_default().clone();
    let _turn = own.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = root.join(FOLDER);
    ensure_folder(&folder)?;
    let path = folder.join(FILE);
    let new = !path.try_exists()?;
    let mut file = OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(&path)?;
    let mut text = String::new();
    if !ends_a_line(&mut file)? {
        cut(&path, &file)?;
    }
    for Asked { at, subject } in asked {
        text.push_str(&format!("{at} {} {}\n", subject.kind(), subject.id()));
    }
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    if new { sync_folder(&folder) } else { Ok(()) }
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Takes away what a process that died had begun to write behind the last whole line.
fn cut(path: &Path, file: &File) -> io::Result<()> {
    let bytes = fs::read(path)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    file.set_len(whole as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn asked(second: i64, number: u128, kind: &str) -> Asked {
        let at = jiff::Timestamp::from_second(second).unwrap();
        Asked { at, subject: Subject::of(kind, Uuid::from_u128(number)).unwrap() }
    }

    #[test]
    fn what_was_added_is_read_in_order_whatever_was_cut() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(read(root.path()).unwrap(), []);
        assert_eq!(add(root.path(), &[asked(1, 1, "lotto")]).unwrap_err().kind(), io::ErrorKind::NotFound, "the share is away");
        assert!(!root.path().join(FOLDER).exists());
        fs::create_dir(root.path().join("in")).unwrap();
        let path = root.path().join(FOLDER).join(FILE);
        let mut want = Vec::new();
        for round in 0..5 {
            let more = [asked(round, 2 * round as u128, "notifica"), asked(round, 2 * round as u128 + 1, "lotto")];
            add(root.path(), &more).unwrap();
            want.extend(more);
            assert_eq!(read(root.path()).unwrap(), want);
            // The process dies while it writes the next line.
            let mut bytes = fs::read(&path).unwrap();
            bytes.extend(&b"2026-11-23T09:00:00Z notifica 0191"[..6 * round as usize]);
            fs::write(&path, bytes).unwrap();
            assert_eq!(read(root.path()).unwrap(), want, "a half line");
        }
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_none() {
        let id = Uuid::from_u128(7);
        let table = [
            "\n".to_owned(),
            "ieri notifica 7\n".to_owned(),
            format!("2026-11-23T09:00:00Z persona {id}\n"),
            format!("2026-11-23T09:00:00Z lotto {id} altro\n"),
            "x".repeat(70_000),
        ];
        for text in table {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(FOLDER)).unwrap();
            fs::write(root.path().join(FOLDER).join(FILE), &text).unwrap();
            assert!(read(root.path()).is_err(), "{:?}", text.get(..60));
        }
    }
}
