//! The corpus of the ZIP and PDF fuzz targets, replayed by the ordinary tests. What a file must give is in its name:
//! `ok-*.zip` is read whole, `ko-<CODE>-*.zip` is refused with that code; `pagine-<N>-*.pdf` has N pages, `cifrato-*.pdf` is
//! encrypted (or may be: its structure cannot be read), `ignoto-*.pdf` is a PDF of unknown pages, `altro-*.pdf` is none.
//! `fuzz-*` is what a fuzzer found once: it must only not panic.

#![expect(clippy::unwrap_used, reason = "a corpus that cannot be listed is a failed test")]

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use messo::batch::archive::{Archive, ArchiveError, Ceilings, Hashing, entry_reader, hash_entries};
use messo::batch::pdf::{self, Sniffer};
use messo::domain::digest::Sha256;

const CEILINGS: Ceilings = Ceilings { max_entries: 1_000, max_entry_bytes: 8 << 20, max_total_bytes: 16 << 20, max_ratio: 200 };

fn corpus(kind: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(kind);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap())
        .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no corpus of {kind}");
    files
}

/// Everything a drop goes through: opened, hashed, every entry read again to the same digest.
fn read_whole(bytes: &Vec<u8>) -> Result<Archive, ArchiveError> {
    let archive = Archive::open(bytes, &CEILINGS)?;
    let how = Hashing { count_pages: true, ..Hashing::default() };
    let facts = hash_entries(bytes, archive.entries(), &|_| false, &how)?;
    for (entry, facts) in archive.entries().iter().zip(facts) {
        let mut content = Vec::new();
        entry_reader(bytes, entry).read_to_end(&mut content).map_err(ArchiveError::Io)?;
        assert_eq!(Sha256::of(&content), facts.sha256, "{}", entry.name);
    }
    Ok(archive)
}

#[test]
fn archives_of_the_corpus_give_what_their_name_says() {
    for (name, bytes) in corpus("zip") {
        let result = read_whole(&bytes);
        match name.split('-').collect::<Vec<_>>().as_slice() {
            ["ok", ..] => {
                let archive = result.unwrap_or_else(|error| panic!("{name}: {error}"));
                assert!(name.contains("vuoto") == archive.entries().is_empty(), "{name}");
            }
            ["ko", code, ..] => {
                let error = result.map(|archive| archive.entries().len()).expect_err(&name);
                assert_eq!(error.code().as_str(), *code, "{name}: {error}");
            }
            ["fuzz", ..] => {}
            _ => panic!("{name}: the name says nothing"),
        }
    }
}

/// Reads as unzip does, so that both are asked the same question.
#[test]
fn good_archives_are_good_for_unzip_too() -> io::Result<()> {
    let Ok(version) = std::process::Command::new("unzip").arg("-v").output() else { return Ok(()) };
    assert!(version.status.success());
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/zip");
    for (name, _) in corpus("zip").into_iter().filter(|(name, _)| name.starts_with("ok-") && !name.contains("vuoto")) {
        let tested = std::process::Command::new("unzip").arg("-tqq").arg(folder.join(&name)).output()?;
        // 1: a warning, as for bytes before the archive.
        assert!(matches!(tested.status.code(), Some(0 | 1)), "{name}: {tested:?}");
    }
    Ok(())
}

#[test]
fn pdfs_of_the_corpus_give_what_their_name_says() {
    for (name, bytes) in corpus("pdf") {
        let mut sniffer = Sniffer::new();
        bytes.chunks(64).for_each(|piece| sniffer.update(piece));
        let facts = pdf::inspect(&bytes, sniffer.mentions_encryption(), true);
        let found = (sniffer.is_pdf(), facts.encrypted, facts.pages);
        match name.split('-').collect::<Vec<_>>().as_slice() {
            ["pagine", pages, ..] => assert_eq!(found, (true, false, pages.parse().ok()), "{name}"),
            ["cifrato", ..] => assert_eq!(found, (true, true, None), "{name}"),
            ["ignoto", ..] => assert_eq!(found, (true, false, None), "{name}"),
            ["altro", ..] => assert!(!sniffer.is_pdf(), "{name}"),
            ["fuzz", ..] => {}
            _ => panic!("{name}: the name says nothing"),
        }
    }
}
