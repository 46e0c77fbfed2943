//! Which unfinished files were already told of: a restart must not write their receipts again.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::settle::Stamp;
use crate::domain::digest::{Hasher, Sha256};

/// Most lines that are kept: one a file.
const MAX: usize = 10_000;

/// One digest a line, no names.
const FILE: &str = ".messo/incompleti";

/// What `<root>/.messo/incompleti` said at the start.
pub struct Reported {
    known: BTreeSet<Sha256>,
}

impl Reported {
    /// Reads what earlier runs told; a file that cannot be read counts as empty.
    pub fn open(root: &Path) -> Reported {
        let path = root.join(FILE);
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
        Reported { known }
    }

    /// Whether this file, as it is now, was already told of.
    pub fn knows(&self, file: &Path, stamp: Stamp) -> bool {
        self.known.contains(&mark(file, stamp))
    }
}

/// It was told of, and its receipt is safe: no later run tells it again.
pub fn remember(root: &Path, mark: Sha256) {
    if let Ok(mut file) = OpenOptions::new().create(true).append(true).open(root.join(FILE)) {
        // Without it the file would only be told of once more after a restart.
        let _ = writeln!(file, "{mark}");
    }
}

/// Names this file, as it is now, without saying its name.
pub fn mark(file: &Path, stamp: Stamp) -> Sha256 {
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
        assert!(!Reported::open(place.path()).knows(Path::new("a.zip"), stamp(1)));
        remember(place.path(), mark(Path::new("a.zip"), stamp(1)));
        let reported = Reported::open(place.path());
        assert!(reported.knows(Path::new("a.zip"), stamp(1)));
        assert!(!reported.knows(Path::new("a.zip"), stamp(2)));
        assert!(!reported.knows(Path::new("b.zip"), stamp(1)));
        assert_eq!(std::fs::read_to_string(place.path().join(".messo/incompleti")).unwrap().len(), 65);
    }
}
