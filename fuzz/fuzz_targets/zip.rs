//! Any bytes as an archive: never a panic, never more bytes than declared, and the same digest by both ways of reading.
#![no_main]

use std::io::Read;

use libfuzzer_sys::fuzz_target;
use messo::batch::archive::{Archive, Ceilings, Hashing, entry_reader, hash_entries, looks_whole};
use messo::domain::digest::Sha256;

const CEILINGS: Ceilings = Ceilings { max_entries: 1_000, max_entry_bytes: 4 << 20, max_total_bytes: 8 << 20, max_ratio: 200 };

fuzz_target!(|data: &[u8]| {
    let whole = looks_whole(&data);
    let Ok(archive) = Archive::open(&data, &CEILINGS) else { return };
    assert!(whole, "opened and yet not whole");
    let how = Hashing { count_pages: true, threads: 1, ..Hashing::default() };
    let facts = hash_entries(&data, archive.entries(), &|_| false, &how);
    let mut all_read = true;
    for (position, entry) in archive.entries().iter().enumerate() {
        assert!(!entry.name.contains("..") || entry.name.split('/').all(|part| part != ".."));
        let mut content = Vec::new();
        let read = entry_reader(data, entry).read_to_end(&mut content);
        assert!(content.len() as u64 <= entry.size);
        all_read &= read.is_ok();
        if let (Ok(_), Some(facts)) = (read, facts.as_ref().ok().and_then(|facts| facts.get(position))) {
            assert_eq!(facts.sha256, Sha256::of(&content));
        }
    }
    assert_eq!(facts.is_ok(), all_read);
});
