//! `manifesto`: what a copy consists of, one line a file, written last and ended by its own digest. Read and written line by line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::Path;

use jiff::Timestamp;

use crate::domain::digest::{Hasher, Sha256};
use crate::store::Copied;

/// Its name in the folder of a copy.
pub const NAME: &str = "manifesto";
/// First line.
const HEAD: &str = "# messo backup 1";
/// Bytes of one line at most.
const LONGEST: u64 = 4_096;

/// What a copy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// Version of the program that made it.
    pub version: String,
    /// The instant that the store is of.
    pub at: Timestamp,
    /// `installation` of the configuration.
    pub installation: String,
    pub holds: Copied,
    /// Archives or facts that the store names and that were not there: the retention of the ente had removed them.
    pub missing: u64,
    /// Facts whose bytes are not what the store says.
    pub damaged: u64,
}

/// One file of a copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub sha256: Sha256,
    /// Bytes.
    pub size: u64,
    /// `messo.db`, `configurazione/...`, `chiavi-ssh/...`, `archivi/<digest>`, `attestazioni/<day>/<digest>`.
    pub path: String,
}

impl Entry {
    /// Kept by content beside the copies; otherwise in the folder of its copy.
    pub fn is_shared(&self) -> bool {
        self.path.starts_with("archivi/") || self.path.starts_with("attestazioni/")
    }
}

/// A manifest being written.
pub struct Writer {
    out: BufWriter<File>,
    hasher: Hasher,
    files: u64,
}

impl Writer {
    pub fn begin(file: File) -> io::Result<Writer> {
        let mut writer = Writer { out: BufWriter::new(file), hasher: Hasher::new(), files: 0 };
        writer.line(HEAD)?;
        Ok(writer)
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        let text = format!("{text}\n");
        self.hasher.update(text.as_bytes());
        self.out.write_all(text.as_bytes())
    }

    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        if entry.path.contains(['\n', '\r']) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a name with a line end"));
        }
        self.files += 1;
        self.line(&format!("{} {} {}", entry.sha256, entry.size, entry.path))
    }

    /// Ends it, flushed to the disk.
    pub fn end(mut self, head: &Head) -> io::Result<()> {
        self.line(&format!("# {}", serde_json::to_string(head)?))?;
        let end = format!("# fine {} {}\n", self.files, self.hasher.finish());
        self.out.write_all(end.as_bytes())?;
        self.out.flush()?;
        self.out.get_ref().sync_all()
    }
}

/// Reads a manifest to its end, file by file. The head comes last, and only if every line is what was written.
pub fn read<E: From<io::Error>>(folder: &Path, mut take: impl FnMut(Entry) -> Result<(), E>) -> Result<Head, E> {
    let mut lines = BufReader::new(File::open(folder.join(NAME))?);
    let (mut hasher, mut files, mut head, mut first) = (Hasher::new(), 0u64, None, true);
    loop {
        let mut line = String::new();
        (&mut lines).take(LONGEST).read_line(&mut line)?;
        let Some(text) = line.strip_suffix('\n') else { return Err(broken().into()) };
        if first {
            if text != HEAD {
                return Err(broken().into());
            }
        } else if let Some(end) = text.strip_prefix("# fine ") {
            let good = end == format!("{files} {}", hasher.finish());
            return head.filter(|_| good).ok_or_else(|| broken().into());
        } else if let Some(json) = text.strip_prefix("# ") {
            head = Some(serde_json::from_str(json).map_err(|_| broken())?);
        } else {
            files += 1;
            take(parse(text).ok_or_else(broken)?)?;
        }
        first = false;
        hasher.update(line.as_bytes());
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the manifest is not whole")
}

/// A path that leads nowhere but below the folder.
fn parse(text: &str) -> Option<Entry> {
    let mut words = text.splitn(3, ' ');
    let (sha256, size, path) = (Sha256::parse(words.next()?)?, words.next()?.parse().ok()?, words.next()?);
    let below = !path.is_empty() && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    below.then(|| Entry { sha256, size, path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> Head {
        Head {
            version: "1.0.0".to_owned(),
            at: Timestamp::UNIX_EPOCH,
            installation: "prova".to_owned(),
            holds: Copied::default(),
            missing: 0,
            damaged: 0,
        }
    }

    #[test]
    fn a_manifest_is_read_whole_or_not_at_all() {
        let place = tempfile::tempdir().unwrap();
        let entries = [("messo.db", 5), ("archivi/aa", 6), ("configurazione/flussi/un flusso.toml", 7)].map(|(path, size)| Entry {
            sha256: Sha256::of(path.as_bytes()),
            size,
            path: path.to_owned(),
        });
        let mut writer = Writer::begin(File::create(place.path().join(NAME)).unwrap()).unwrap();
        for entry in &entries {
            writer.entry(entry).unwrap();
        }
        writer.end(&head()).unwrap();
        let read_back = || {
            let mut found = Vec::new();
            read(place.path(), |entry| {
                found.push(entry);
                io::Result::Ok(())
            })
            .map(|head| (head, found))
        };
        let (told, found) = read_back().unwrap();
        assert_eq!((told, found), (head(), entries.to_vec()));
        let whole = std::fs::read_to_string(place.path().join(NAME)).unwrap();
        let table = [
            ("cut", whole[..whole.len() - 40].to_owned()),
            ("a line less", whole.lines().filter(|line| !line.contains("archivi")).map(|line| format!("{line}\n")).collect()),
            ("another size", whole.replace(" 6 archivi", " 8 archivi")),
            ("out of the folder", whole.replace("archivi/aa", "../../../aa")),
            ("another file", "ciao\n".to_owned()),
            ("empty", String::new()),
        ];
        for (what, text) in table {
            std::fs::write(place.path().join(NAME), text).unwrap();
            assert!(read_back().is_err(), "{what}");
        }
    }
}
