//! The samples of `inbox-examples/<gestionale>/<case>/{in,expected}`, zipped on the fly as a gestionale would.

use std::fs;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// One sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    /// Folder of the gestionale or layout: `messo-xml`.
    pub source: String,
    pub case: String,
    /// What the archive holds.
    pub input: PathBuf,
    /// What must come back.
    pub expected: PathBuf,
}

/// Every sample of the repository, sorted. One without `in/` or `expected/` fails the test: it would be skipped in silence.
pub fn example_cases() -> Vec<Example> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("inbox-examples");
    let mut found = Vec::new();
    for source in folders(&root) {
        for case in folders(&source) {
            let example = Example { source: name(&source), case: name(&case), input: case.join("in"), expected: case.join("expected") };
            assert!(example.input.is_dir() && example.expected.is_dir(), "{}: needs in/ and expected/", case.display());
            found.push(example);
        }
    }
    found
}

fn folders(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap_or_else(|error| panic!("{}: {error}", parent.display()));
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

/// A ZIP of everything under `folder`, names relative to it, in sorted order: the same folder gives the same bytes.
pub fn zip_dir(folder: &Path) -> Vec<u8> {
    let mut entries = Vec::new();
    gather(folder, "", &mut entries);
    assert!(!entries.is_empty(), "{}: nothing to zip", folder.display());
    zip_entries(entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())))
}

fn gather(folder: &Path, prefix: &str, entries: &mut Vec<(String, Vec<u8>)>) {
    let listed = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let inside = format!("{prefix}{}", name(&path));
        if path.is_dir() {
            gather(&path, &format!("{inside}/"), entries);
        } else {
            entries.push((inside, fs::read(&path).unwrap()));
        }
    }
}

/// A ZIP of these entries, deflated, in this order, all dated 1980-01-01.
pub fn zip_entries<'a>(entries: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(zip::DateTime::default())
        .unix_permissions(0o644);
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in entries {
        archive.start_file(name, options).unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}
