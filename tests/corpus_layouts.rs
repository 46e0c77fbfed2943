//! The corpus of the fuzz targets `xml` and `csv`, replayed. A name tells what must come of it: `ok-…`, `scarto-CODICE-…`.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "common/reread.rs"]
mod reread;

use std::path::Path;

use messo::batch::layouts::Layout;
use messo::batch::layouts::messo_csv::MessoCsv;
use messo::batch::layouts::messo_xml::MessoXml;
use messo::batch::layouts::pu_send::PuSend;

fn replay(folder: &str, layout: &dyn Layout) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 8, "{} files in {}", files.len(), folder.display());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&file).unwrap();
        let refused = reread::check(layout, &bytes).refused;
        match name.strip_prefix("scarto-") {
            Some(rest) => assert_eq!(refused.as_deref(), rest.split('-').next(), "{name}"),
            None if name.starts_with("ok-") => assert_eq!(refused, None, "{name}"),
            None => {} // found by the fuzzer: it must only not panic
        }
        // Cut anywhere, the file is refused or read, never worse.
        for cut in (0..bytes.len()).step_by(bytes.len() / 40 + 1) {
            reread::check(layout, &bytes[..cut]);
        }
    }
}

#[test]
fn xml() {
    replay("xml", &MessoXml);
}

#[test]
fn csv() {
    replay("csv", &MessoCsv);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/csv");
    for entry in std::fs::read_dir(folder).unwrap() {
        reread::read(&PuSend, &std::fs::read(entry.unwrap().path()).unwrap(), &[]);
    }
}
