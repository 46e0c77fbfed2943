//! Reads a copy again: every file against the manifest, and the store for its own soundness. Changes nothing.

use std::fs::File;
use std::io;
use std::path::Path;

use super::manifest::{self, Entry};
use super::{BackupError, STORE, at, file_of, find, pool};
use crate::service::report::VerifyReport;
use crate::store::CopyLook;

/// Faults named at most; all are counted.
const NAMED: usize = 20;

/// Verifies one copy; without a name, the newest.
pub fn verify(dir: &Path, name: Option<&str>) -> Result<VerifyReport, BackupError> {
    let (dir, name) = find(dir, name)?;
    let folder = dir.join(&name);
    let (mut files, mut bytes, mut faults, mut named) = (0u64, 0u64, 0u64, Vec::new());
    let mut fault = |path: &str, why: &str| {
        faults += 1;
        if named.len() < NAMED {
            named.push(format!("{path}: {why}"));
        }
    };
    let head = manifest::read(&folder, |entry: Entry| {
        files += 1;
        bytes += entry.size;
        match File::open(file_of(&dir, &name, &entry)).and_then(|mut file| pool::copy_hashed(&mut file, &mut io::sink())) {
            Ok((sha256, size)) if (sha256, size) == (entry.sha256, entry.size) => {}
            Ok(_) => fault(&entry.path, "contenuto diverso"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => fault(&entry.path, "manca"),
            Err(error) => fault(&entry.path, &error.to_string()),
        }
        io::Result::Ok(())
    })
    .map_err(at(&folder))?;
    let store = CopyLook::open(&folder.join(STORE)).and_then(|look| look.fault());
    match store {
        Ok(None) => {}
        Ok(Some(why)) => fault(STORE, &why),
        Err(error) => fault(STORE, &error.to_string()),
    }
    Ok(VerifyReport {
        dir: dir.display().to_string(),
        name,
        at: head.at,
        version: head.version,
        files,
        bytes,
        missing: head.missing,
        damaged: head.damaged,
        batches: head.holds.batches,
        acts: head.holds.acts,
        open_acts: head.holds.open,
        faults,
        named,
    })
}
