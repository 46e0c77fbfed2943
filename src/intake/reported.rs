//! Which unfinished files were already told of: a restart must not write their receipts again.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::settle::Stamp;
use crate::domain::digest::{Hasher, Sha256};

/// Most lines that are kept: one a file.
const MAX: usize = 10_000;

/// `<root>/.messo/incompleti`: one digest a line, no names.
pub struct Reported {
    path: PathBuf,
    known: BTreeSet<Sha256>,
}

impl Reported {
    /// Reads what earlier runs told; a file that cannot be read counts as empty.
    pub fn open(root: &Path) -> Reported {
        let path = root.join(".messo/incompleti");
        let mut text = String::new();
        if let Ok(file) = std::fs::File::open(&path) {
            let _ = file.take(MAX as u64 * 2 * 65).read_to_string(&mut text);
        }
        let mut lines: Vec<&str> = text.lines().collect();
        if lines.len() > MAX {
            lines = lines.split_off(lines.len() - MAX / 2);
            let _ = std::fs::write(&path, lines.join("\n") + "\n");
        }
        let known = lines.into_iter().filter_map(Sha256::parse).collect();
        Reported { path, known }
    }

    /// Whether this file, as it is now, was already told of.
    pub fn knows(&self, file: &Path, stamp: Stamp) -> bool {
        self.known.contains(&digest(file, stamp))
    }

    /// It was told of.
    pub fn remember(&mut self, file: &Path, stamp: Stamp) {
        let digest = digest(file, stamp);
        if self.known.insert(digest)
            && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(&self.path)
        {
            // Without it the receipt would only be written once more after a restart.
            let _ = writeln!(file, "{digest}");
        }
    }
}

fn digest(file: &Path, stamp: Stamp) -> Sha256 {
    let mut digest = Hasher::new();
    digest.update(file.as_os_str().as_bytes());
    digest.update(format!("\0{}\0{}", stamp.size, stamp.mtime).as_bytes());
    digest.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_told_of_once_over_restarts_until_it_changes() {
        let place = tempfile::tempdir().unwrap();
        std::fs::create_dir(place.path().join(".messo")).unwrap();
        let stamp = |size| Stamp { size, mtime: 7 };
        let mut first = Reported::open(place.path());
        assert!(!first.knows(Path::new("a.zip"), stamp(1)));
        first.remember(Path::new("a.zip"), stamp(1));
        first.remember(Path::new("a.zip"), stamp(1));
        for reported in [first, Reported::open(place.path())] {
            assert!(reported.knows(Path::new("a.zip"), stamp(1)));
            assert!(!reported.knows(Path::new("a.zip"), stamp(2)));
            assert!(!reported.knows(Path::new("b.zip"), stamp(1)));
        }
        assert_eq!(std::fs::read_to_string(place.path().join(".messo/incompleti")).unwrap().len(), 65);
    }
}
