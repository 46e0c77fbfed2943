//! Tests of `archive`: hostile input is refused by name, good input read to the byte.

use std::io::{self, Cursor, Read, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use proptest::prelude::*;

use super::sample::{Frame, Piece, framed, noise, piece, zip};
use super::*;
use crate::batch::problem::Code;
use crate::domain::digest::Sha256;

const CEILINGS: Ceilings = Ceilings { max_entries: 1_000, max_entry_bytes: 8 << 20, max_total_bytes: 16 << 20, max_ratio: 200 };

fn open(bytes: &[u8]) -> Result<Archive, ArchiveError> {
    Archive::open(&bytes, &CEILINGS)
}

fn names(archive: &Archive) -> Vec<&str> {
    archive.entries().iter().map(|entry| &*entry.name).collect()
}

fn content(bytes: &Vec<u8>, entry: &Entry) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    entry_reader(bytes, entry).read_to_end(&mut out).map(|_| out)
}

fn code_of(bytes: &[u8]) -> Option<Code> {
    open(bytes).err().map(|error| error.code())
}

#[test]
fn takes_what_honest_tools_write() {
    let text = b"riferimento;oggetto\n1;Avviso\n".repeat(40);
    let unicode_path = |raw: &[u8], name: &str| {
        let mut field = vec![0x75, 0x70, (5 + name.len()) as u8, 0, 1];
        field.extend(sample::crc(raw).to_le_bytes());
        field.extend(name.as_bytes());
        field
    };
    let base = piece("lotto.csv", &text);
    let frame = Frame::default();
    let table: Vec<(&str, Vec<u8>, &[&str])> = vec![
        ("deflate", zip(std::slice::from_ref(&base)), &["lotto.csv"]),
        ("stored", zip(&[Piece { stored: true, ..base.clone() }]), &["lotto.csv"]),
        ("empty entries", zip(&[piece("a", ""), Piece { stored: true, ..piece("b", "") }]), &["a", "b"]),
        ("empty archive", zip(&[]), &[]),
        ("data descriptor", zip(&[Piece { descriptor: true, ..base.clone() }, piece("b", "x")]), &["lotto.csv", "b"]),
        ("ZIP64 entry", zip(&[Piece { zip64: true, ..base.clone() }, piece("b", "x")]), &["lotto.csv", "b"]),
        ("ZIP64 with descriptor", zip(&[Piece { zip64: true, descriptor: true, ..base.clone() }]), &["lotto.csv"]),
        ("ZIP64 end", framed(std::slice::from_ref(&base), &Frame { zip64: true, ..frame.clone() }), &["lotto.csv"]),
        (
            "ZIP64 end, prefix",
            framed(std::slice::from_ref(&base), &Frame { zip64: true, prefix: b"MZ stub".to_vec(), ..frame.clone() }),
            &["lotto.csv"],
        ),
        ("prefix", framed(std::slice::from_ref(&base), &Frame { prefix: b"#!/bin/sh\n".to_vec(), ..frame.clone() }), &["lotto.csv"]),
        (
            "prefix, absolute",
            framed(std::slice::from_ref(&base), &Frame { prefix: b"xx".to_vec(), absolute: true, ..frame.clone() }),
            &["lotto.csv"],
        ),
        ("comment", framed(std::slice::from_ref(&base), &Frame { comment: b"Comune di Prova".to_vec(), ..frame.clone() }), &["lotto.csv"]),
        (
            "comment like an end",
            framed(std::slice::from_ref(&base), &Frame { comment: b"PK\x05\x06 x".to_vec(), ..frame.clone() }),
            &["lotto.csv"],
        ),
        ("folders", zip(&[piece("1/", ""), piece("1/a.pdf", "x"), Piece { attributes: 0x10, ..piece("2", "") }]), &["1/a.pdf"]),
        ("Windows", zip(&[piece(b"1\\citt\x85.pdf", "x")]), &["1/città.pdf"]),
        ("Windows, one header only", zip(&[Piece { local_name: Some(b"1/a.pdf".to_vec()), ..piece("1\\a.pdf", "x") }]), &["1/a.pdf"]),
        ("UTF-8", zip(&[Piece { flags: 1 << 11, ..piece("perché.pdf", "x") }]), &["perché.pdf"]),
        ("UTF-8, no flag, NFD", zip(&[piece("perche\u{301}.pdf", "x")]), &["perché.pdf"]),
        ("Unicode Path", zip(&[Piece { extra: unicode_path(b"?.pdf", "łódź.pdf"), ..piece("?.pdf", "x") }]), &["łódź.pdf"]),
        ("dot", zip(&[piece("./a.pdf", "x"), piece("./", "")]), &["a.pdf"]),
        ("left behind", zip(&[piece("__MACOSX/._a", "x"), piece("a", "x"), piece("x/.DS_Store", ""), piece("Thumbs.db", "")]), &["a"]),
        ("Unix file", zip(&[Piece { host: 3, attributes: 0o100_644 << 16, ..piece("a", "x") }]), &["a"]),
        ("same in other folders", zip(&[piece("1/a.pdf", "x"), piece("2/a.pdf", "x")]), &["1/a.pdf", "2/a.pdf"]),
    ];
    for (what, bytes, want) in table {
        let archive = open(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(names(&archive), want, "{what}");
        assert!(looks_whole(&bytes), "{what}");
        if let Some(entry) = archive.find("lotto.csv") {
            assert_eq!(content(&bytes, entry).unwrap(), text, "{what}");
        }
        for entry in archive.entries() {
            assert_eq!(content(&bytes, entry).unwrap().len() as u64, entry.size, "{what}: {}", entry.name);
            assert_eq!(archive.by_index(entry.index), Some(entry), "{what}");
            assert_eq!(archive.find(&entry.name), Some(entry), "{what}");
        }
        assert!(archive.sorted_names().is_sorted(), "{what}");
        assert_eq!(archive.find("non c'è"), None, "{what}");
    }
}

#[test]
fn reads_what_the_zip_crate_writes() {
    let mut bytes = Vec::new();
    let mut writer = zip::ZipWriter::new(Cursor::new(&mut bytes));
    let wide = zip::write::SimpleFileOptions::default().large_file(true);
    writer.start_file("lotto.xml", wide).unwrap();
    writer.write_all(b"<lotto/>").unwrap();
    writer.add_directory("allegati", zip::write::SimpleFileOptions::default()).unwrap();
    writer
        .start_file("allegati/è.pdf", zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored))
        .unwrap();
    writer.write_all(b"%PDF-1.7").unwrap();
    writer.set_comment("fine").unwrap();
    writer.finish().unwrap();
    let streamed = {
        let mut writer = zip::ZipWriter::new_stream(Vec::new());
        writer.start_file("a.pdf", zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(&noise(300_000, 7)).unwrap();
        writer.finish().unwrap().into_inner()
    };
    let archive = open(&bytes).unwrap();
    assert_eq!(names(&archive), ["lotto.xml", "allegati/è.pdf"]);
    assert_eq!(content(&bytes, archive.find("lotto.xml").unwrap()).unwrap(), b"<lotto/>");
    let archive = open(&streamed).unwrap();
    assert_eq!(content(&streamed, archive.find("a.pdf").unwrap()).unwrap(), noise(300_000, 7));
}

#[test]
fn refuses_each_hostile_archive_with_its_code() {
    let a = || piece("a.pdf", "contenuto");
    let unix = |mode: u32| Piece { host: 3, attributes: mode << 16, ..a() };
    let big = Piece { size: Some(9 << 20), local_size: Some(9 << 20), ..piece("a.pdf", noise(100_000, 1)) };
    let bomb = piece("a.pdf", vec![0; 2 << 20]);
    let many: Vec<Piece> = (0..1_001).map(|n| piece(format!("{n}"), "")).collect();
    let heavy: Vec<Piece> =
        (0..3).map(|n| Piece { size: Some(7 << 20), local_size: Some(7 << 20), ..piece(format!("{n}"), noise(100_000, 1)) }).collect();
    let frame = Frame::default();
    let next = 30 + 5 + sample::deflate(b"contenuto").len() as u32;
    let table: Vec<(&str, Vec<u8>, Code)> = vec![
        ("encrypted", zip(&[Piece { flags: 1, ..a() }]), Code::ArchiveEncrypted),
        ("strong encryption", zip(&[Piece { flags: 1 << 6, ..a() }]), Code::ArchiveEncrypted),
        ("masked headers", zip(&[Piece { flags: 1 << 13, ..a() }]), Code::ArchiveEncrypted),
        ("AES", zip(&[Piece { method: Some(99), ..a() }]), Code::ArchiveEncrypted),
        ("traversal", zip(&[piece("../a.pdf", "x")]), Code::ArchiveName),
        ("traversal of a folder", zip(&[piece("../", "")]), Code::ArchiveName),
        ("absolute", zip(&[piece("/a.pdf", "x")]), Code::ArchiveName),
        ("drive", zip(&[piece("C:\\a.pdf", "x")]), Code::ArchiveName),
        ("NUL", zip(&[piece("a.pdf\0.exe", "x")]), Code::ArchiveName),
        ("blank", zip(&[piece("x/ /aux.pdf", "x")]), Code::ArchiveName),
        ("one of them with a point", zip(&[a(), piece("x/a.pdf.", "x"), piece("x./A.pdf", "y")]), Code::ArchiveDuplicateName),
        ("not UTF-8", zip(&[Piece { flags: 1 << 11, ..piece(b"\xff.pdf", "x") }]), Code::ArchiveName),
        ("long name", zip(&[piece("a".repeat(60_000), "x")]), Code::ArchiveName),
        ("link", zip(&[unix(0o120_777)]), Code::ArchiveLink),
        ("link, said by DOS", zip(&[Piece { host: 0, ..unix(0o120_777) }]), Code::ArchiveLink),
        ("device", zip(&[unix(0o060_644)]), Code::ArchiveLink),
        ("pipe", zip(&[unix(0o010_644)]), Code::ArchiveLink),
        ("twice", zip(&[a(), a()]), Code::ArchiveDuplicateName),
        ("twice for Windows", zip(&[a(), piece("A.PDF", "x")]), Code::ArchiveDuplicateName),
        ("twice for a Mac", zip(&[piece("è.pdf", "x"), piece("e\u{300}.pdf", "y")]), Code::ArchiveDuplicateName),
        ("twice by slashes", zip(&[piece("x/a", "x"), piece("x\\a", "y")]), Code::ArchiveDuplicateName),
        ("twice by dots", zip(&[piece("a.pdf", "x"), piece("./a.pdf", "y")]), Code::ArchiveDuplicateName),
        ("file and folder", zip(&[piece("1/x/b.pdf", "x"), piece("1/X", "y")]), Code::ArchiveDuplicateName),
        ("entries", zip(&many), Code::ArchiveTooManyEntries),
        ("entry", zip(&[big]), Code::ArchiveEntryTooBig),
        ("total", zip(&heavy), Code::ArchiveTooBig),
        ("ratio", zip(&[bomb]), Code::ArchiveRatio),
        ("method", zip(&[Piece { method: Some(12), ..a() }]), Code::ArchiveMethod),
        ("patch", zip(&[Piece { flags: 1 << 5, ..a() }]), Code::ArchiveMethod),
        ("nothing", Vec::new(), Code::NotAnArchive),
        ("text", b"riferimento;oggetto\n".to_vec(), Code::NotAnArchive),
        ("half", zip(&[a()]).into_iter().take(60).collect(), Code::ArchiveTruncated),
        ("reserved space, not written yet", [zip(&[a()]), vec![0; 100]].concat(), Code::ArchiveTruncated),
        ("beginning lost", zip(&[a(), piece("b", "x")]).split_off(40), Code::ArchiveTruncated),
        ("offset past the end", zip(&[Piece { offset: Some(60_000), ..a() }]), Code::ArchiveTruncated),
        ("too long for the file", zip(&[Piece { compressed: Some(60_000), ..a() }]), Code::ArchiveTruncated),
        ("folder with content", zip(&[piece("x/", "y")]), Code::NotAnArchive),
        ("more declared", framed(&[a()], &Frame { more: 1, ..frame.clone() }), Code::NotAnArchive),
        ("fewer declared", framed(&[a(), piece("b", "")], &Frame { more: -1, ..frame.clone() }), Code::NotAnArchive),
        ("header inside the first", zip(&[piece("b", "x"), Piece { offset: Some(3), ..a() }]), Code::ArchiveOverlap),
        ("no header there", zip(&[a(), Piece { offset: Some(next + 3), ..piece("b", "x") }]), Code::NotAnArchive),
        ("other name inside", zip(&[Piece { local_name: Some(b"b.pdf".to_vec()), ..a() }]), Code::NotAnArchive),
        ("other method inside", zip(&[Piece { local_method: Some(0), ..a() }]), Code::NotAnArchive),
        ("encrypted inside", zip(&[Piece { local_flags: Some(1), ..a() }]), Code::NotAnArchive),
        ("other size inside", zip(&[Piece { local_size: Some(1), ..a() }]), Code::NotAnArchive),
        ("other CRC inside", zip(&[Piece { local_crc: Some(1), ..a() }]), Code::NotAnArchive),
        ("stored, two sizes", zip(&[Piece { stored: true, size: Some(5), ..a() }]), Code::NotAnArchive),
        ("same bytes twice", zip(&[a(), Piece { offset: Some(0), ..piece("b.pdf", "contenuto") }]), Code::ArchiveOverlap),
        (
            "one inside the other",
            zip(&[Piece { stored: true, compressed: Some(70), size: Some(70), ..a() }, piece("b.pdf", noise(99, 3))]),
            Code::ArchiveOverlap,
        ),
    ];
    for (what, bytes, want) in table {
        let error = open(&bytes).map(|archive| archive.entries().len()).expect_err(what);
        assert_eq!(error.code(), want, "{what}: {error}");
        assert!(!error.is_ours(), "{what}");
        let problem = error.problem("lotto.zip");
        assert_eq!(problem.code, want.as_str(), "{what}");
        assert!(!problem.file.contains(char::is_control) && problem.file.chars().count() <= 81, "{what}: {:?}", problem.file);
    }
}

#[test]
fn split_archives_are_refused() {
    let mut bytes = zip(&[piece("a.pdf", "x")]);
    let disk = bytes.len() - 18;
    bytes[disk] = 2;
    assert!(matches!(open(&bytes), Err(ArchiveError::Split)));
}

#[test]
fn content_that_is_not_what_was_declared_is_never_given_whole() {
    let text = noise(200_000, 5);
    let cut = |bytes: u32| Piece { size: Some(200_000 - bytes), ..piece("a", &text) };
    let longer = Piece { size: Some(200_001), ..piece("a", &text) };
    let mut broken = zip(&[piece("a", &text)]);
    broken[100] ^= 0xff;
    let table: Vec<(&str, Vec<u8>, EntryFault)> = vec![
        ("CRC, deflate", zip(&[Piece { crc: Some(1), ..piece("a", &text) }]), EntryFault::Crc),
        ("CRC, stored", zip(&[Piece { crc: Some(1), stored: true, ..piece("a", &text) }]), EntryFault::Crc),
        ("CRC, empty", zip(&[Piece { crc: Some(1), ..piece("a", "") }]), EntryFault::Crc),
        ("one byte more than declared", zip(&[cut(1)]), EntryFault::TooLong),
        ("much more than declared", zip(&[cut(150_000)]), EntryFault::TooLong),
        ("all more than declared", zip(&[cut(200_000)]), EntryFault::TooLong),
        ("less than declared", zip(&[longer]), EntryFault::TooShort),
        ("bytes behind the stream", zip(&[Piece { trailing: vec![1; 9], ..piece("a", &text) }]), EntryFault::TooLong),
        ("stream cut", zip(&[Piece { stored: false, compressed: Some(1_000), ..piece("a", &text) }]), EntryFault::Inflate),
        ("a byte changed", broken, EntryFault::Crc),
    ];
    for (what, bytes, want) in table {
        let archive = open(&bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
        let entry = &archive.entries()[0];
        let mut reader = entry_reader(&bytes, entry);
        let mut given = Vec::new();
        let error = reader.read_to_end(&mut given).expect_err(what);
        assert_eq!(EntryFault::of(&error), Some(want), "{what}");
        assert!(given.len() < text.len(), "{what}: all {} bytes given", given.len());
        assert!(reader.read(&mut [0; 8]).is_err(), "{what}: read again");
        let refused = hash_entries(&bytes, archive.entries(), &|_| false, &Hashing::default()).expect_err(what);
        assert_eq!((refused.code(), refused.entry()), (Code::ArchiveCrc, Some("a")), "{what}");
    }
}

#[test]
fn a_bomb_that_declares_little_gives_little() {
    let bomb = Piece { size: Some(1_000), local_size: Some(1_000), ..piece("a.pdf", vec![0; 32 << 20]) };
    let bytes = zip(&[bomb]);
    assert!(bytes.len() < 64 << 10);
    let archive = open(&bytes).unwrap();
    let mut given = Vec::new();
    let error = entry_reader(&bytes, &archive.entries()[0]).read_to_end(&mut given).unwrap_err();
    assert_eq!(EntryFault::of(&error), Some(EntryFault::TooLong));
    assert!(given.len() < 1_000, "{} bytes given", given.len());
}

/// Counts what is asked of it.
struct Counting<'a>(&'a Vec<u8>, AtomicU64, AtomicUsize);

impl ReadAt for Counting<'_> {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.1.fetch_add(1, Ordering::Relaxed);
        self.2.fetch_max(buffer.len(), Ordering::Relaxed);
        self.0.read_at(buffer, offset)
    }

    fn len(&self) -> io::Result<u64> {
        ReadAt::len(self.0)
    }
}

#[test]
fn a_hundred_thousand_entries_are_cheap_and_checked() {
    let pieces: Vec<Piece> = (0..100_000).map(|n| Piece { stored: true, ..piece(format!("documenti/{n:06}.pdf"), "%PDF-") }).collect();
    let mut bytes = zip(&pieces);
    let source = Counting(&bytes, AtomicU64::new(0), AtomicUsize::new(0));
    // Old writers keep the lower 16 bits of the number and no ZIP64 record.
    let archive = Archive::open(&source, &Ceilings { max_entries: 200_000, ..CEILINGS }).unwrap();
    assert_eq!(archive.entries().len(), 100_000);
    assert!(source.1.load(Ordering::Relaxed) < 5_000, "{} reads", source.1.load(Ordering::Relaxed));
    assert!(source.2.load(Ordering::Relaxed) < 100 << 10, "a read of {} bytes", source.2.load(Ordering::Relaxed));
    assert!(size_of::<Entry>() <= 72, "{} bytes an entry", size_of::<Entry>());
    assert!(matches!(open(&bytes), Err(ArchiveError::TooManyEntries { max: 1_000, .. })));
    assert_eq!(archive.find("documenti/031415.pdf").map(|entry| entry.index), Some(31_415));
    let last = bytes.len() - 30;
    bytes[last] ^= 1;
    assert!(Archive::open(&bytes, &Ceilings { max_entries: 200_000, ..CEILINGS }).is_err());
}

#[test]
fn hashes_every_entry_whatever_the_threads() {
    let mut pieces: Vec<Piece> = (0..200).map(|n| piece(format!("{n}.txt"), noise(n * 37, n as u64))).collect();
    // Around the size of the buffers, and well over.
    for (n, len) in [(256 << 10) - 1, 256 << 10, (256 << 10) + 1, 512 << 10, 1_500_000].into_iter().enumerate() {
        pieces.push(Piece { stored: n % 2 == 0, ..piece(format!("grande{n}"), noise(len, n as u64)) });
    }
    let bytes = zip(&pieces);
    let archive = open(&bytes).unwrap();
    for threads in [0, 1, 2, 7] {
        let how = Hashing { threads, ..Hashing::default() };
        let facts = hash_entries(&bytes, archive.entries(), &|entry| &*entry.name == "3.txt", &how).unwrap();
        assert_eq!(facts.len(), pieces.len() - 1, "{threads} threads");
        let wanted = pieces.iter().enumerate().filter(|(n, _)| *n != 3);
        for (found, (n, piece)) in facts.iter().zip(wanted) {
            assert_eq!(found.name.as_bytes(), piece.name, "{threads} threads");
            assert_eq!(found.entry, n as u32);
            assert_eq!(found.size, piece.data.len() as u64);
            assert_eq!(found.sha256, Sha256::of(&piece.data), "{}", found.name);
            assert_eq!(found.pdf, None);
        }
    }
    assert_eq!(hash_whole(&bytes).unwrap(), (Sha256::of(&bytes), bytes.len() as u64));
}

#[test]
fn the_first_fault_is_told_whatever_the_threads() {
    let pieces: Vec<Piece> = (0..300).map(|n| Piece { crc: (n % 50 == 20).then_some(1), ..piece(format!("{n}"), noise(500, n)) }).collect();
    let bytes = zip(&pieces);
    let archive = open(&bytes).unwrap();
    for threads in [1, 2, 8] {
        let error = hash_entries(&bytes, archive.entries(), &|_| false, &Hashing { threads, ..Hashing::default() }).unwrap_err();
        assert_eq!(error.entry(), Some("20"), "{threads} threads");
    }
}

#[test]
fn tells_pdfs_of_any_size_apart() {
    let pdf = |size: usize, trailer: &str| {
        let mut bytes = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Count 3/Kids[]>>endobj\n".to_vec();
        let (one, two) = (9, bytes.windows(7).position(|w| w == b"2 0 obj").unwrap());
        bytes.extend(b"%");
        bytes.extend(noise(size, 9).into_iter().map(|byte| b'a' + byte % 26));
        bytes.extend(b"\n");
        let at = bytes.len();
        let table =
            format!("xref\n0 3\n0000000000 65535 f \n{one:010} 00000 n \n{two:010} 00000 n \ntrailer<</Size 3/Root 1 0 R{trailer}>>");
        bytes.extend(format!("{table}\nstartxref\n{at}\n%%EOF\n").as_bytes());
        bytes
    };
    for size in [10, 100_000, (256 << 10) - 400, 256 << 10, 700_000] {
        let text = format!("nota su /Encrypt {}", "x".repeat(size));
        let pieces = [piece("a.pdf", pdf(size, "")), piece("b.pdf", pdf(size, "/Encrypt 9 0 R")), piece("c.pdf", text)];
        let bytes = zip(&pieces);
        let archive = open(&bytes).unwrap();
        for (count_pages, max_pdf_bytes, want) in [
            (false, 1 << 20, [(false, None), (true, None)]),
            (true, 1 << 20, [(false, Some(3)), (true, None)]),
            (true, 5, [(false, None), (true, None)]),
        ] {
            let how = Hashing { count_pages, max_pdf_bytes, threads: 2 };
            let facts = hash_entries(&bytes, archive.entries(), &|_| false, &how).unwrap();
            let found: Vec<_> = facts.iter().filter_map(|facts| facts.pdf).map(|pdf| (pdf.encrypted, pdf.pages)).collect();
            assert_eq!(found, want, "{size} bytes, pages {count_pages}, at most {max_pdf_bytes}");
        }
    }
}

#[test]
fn a_bare_file_is_one_entry() {
    let text = b"<lotto/>".to_vec();
    let archive = Archive::bare("lotto.xml", 8);
    let entry = archive.find("lotto.xml").unwrap();
    assert_eq!(content(&text, entry).unwrap(), text);
    let facts = hash_entries(&text, archive.entries(), &|_| false, &Hashing::default()).unwrap();
    assert_eq!((facts[0].sha256, facts[0].size), (Sha256::of(&text), 8));
    assert_eq!(Method::from_number(entry.method.number()), Some(Method::Bare));
    let error = hash_entries(&&text[..5], archive.entries(), &|_| false, &Hashing::default()).unwrap_err();
    assert_eq!(error.code(), Code::ArchiveTruncated);
}

#[test]
fn half_a_file_is_never_whole() {
    let pieces = [piece("lotto.xml", noise(3_000, 1)), Piece { descriptor: true, ..piece("a.pdf", noise(500, 2)) }];
    for frame in [Frame::default(), Frame { zip64: true, comment: b"fine".to_vec(), ..Frame::default() }] {
        let bytes = framed(&pieces, &frame);
        assert!(looks_whole(&bytes));
        for len in 0..bytes.len() {
            let half = bytes[..len].to_vec();
            assert!(!looks_whole(&half), "{len} of {} bytes", bytes.len());
            let want = if len < 4 { Code::NotAnArchive } else { Code::ArchiveTruncated };
            assert_eq!(code_of(&half), Some(want), "{len} of {} bytes", bytes.len());
            // As a share shows a file whose space was reserved.
            let mut reserved = half;
            reserved.resize(bytes.len(), 0);
            let records = bytes.len() - frame.comment.len();
            if reserved[..records] != bytes[..records] {
                assert!(!looks_whole(&reserved), "{len} written of {} bytes", bytes.len());
            }
        }
    }
}

/// Reads all that can be read of `bytes`; what comes out whole must be the content that was put in under that name.
fn never_wrong(bytes: &Vec<u8>, pieces: &[Piece]) -> Result<(), TestCaseError> {
    let Ok(archive) = open(bytes) else { return Ok(()) };
    let facts = hash_entries(bytes, archive.entries(), &|_| false, &Hashing { count_pages: true, ..Hashing::default() }).ok();
    for (position, entry) in archive.entries().iter().enumerate() {
        let Ok(read) = content(bytes, entry) else { continue };
        prop_assert!(pieces.iter().any(|piece| piece.data == read), "entry {:?} of {} bytes", entry.name, read.len());
        if let Some(facts) = &facts {
            prop_assert_eq!(facts[position].sha256, Sha256::of(&read));
        }
    }
    Ok(())
}

fn some_pieces() -> Vec<Piece> {
    vec![
        piece("lotto.csv", b"riferimento;oggetto\n".repeat(50)),
        Piece { descriptor: true, ..piece("1/a.pdf", [b"%PDF-1.7 /Encrypt ".to_vec(), noise(400, 4)].concat()) },
        Piece { stored: true, ..piece("2/b.pdf", noise(300, 5)) },
        Piece { zip64: true, ..piece("3/c.pdf", noise(200, 6)) },
    ]
}

#[test]
fn every_single_byte_changed_never_gives_wrong_bytes() {
    let pieces = some_pieces();
    let bytes = framed(&pieces, &Frame { zip64: true, ..Frame::default() });
    for at in 0..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            never_wrong(&changed, &pieces).unwrap_or_else(|error| panic!("byte {at} ^ {flip:#x}: {error}"));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_never_panics_nor_gives_wrong_bytes(
        cut in 0usize..4_000,
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 0..6),
        zip64 in any::<bool>(),
        prefix in proptest::collection::vec(any::<u8>(), 0..30),
    ) {
        let pieces = some_pieces();
        let mut bytes = framed(&pieces, &Frame { zip64, prefix, ..Frame::default() });
        if cut < bytes.len() && cut % 3 == 0 {
            bytes.drain(cut..(cut + 7).min(bytes.len()));
        }
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        never_wrong(&bytes, &pieces)?;
    }

    #[test]
    fn any_bytes_between_headers_never_panic(middle in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut bytes = b"PK\x03\x04".to_vec();
        bytes.extend(&middle);
        bytes.extend(b"PK\x01\x02");
        bytes.extend(&middle);
        let (at, len) = (4 + middle.len() as u32, 4 + middle.len() as u32);
        bytes.extend(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
        bytes.extend(len.to_le_bytes());
        bytes.extend(at.to_le_bytes());
        bytes.extend([0, 0]);
        prop_assert!(open(&bytes).is_err());
        prop_assert!(!looks_whole(&bytes));
    }
}

#[test]
fn names_are_found_wherever_they_stand_and_can_be_erased_twice() {
    let mut path = vec![0x75, 0x70, 5 + 9, 0, 1];
    path.extend(sample::crc(b"rossi.pdf").to_le_bytes());
    path.extend(b"rossi.pdf");
    let rossi = Piece { extra: path, ..piece("rossi.pdf", "uno") };
    let verdi = piece("verdi.pdf", "due");
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("plain", zip(&[rossi.clone(), verdi.clone()])),
        (
            "ZIP64",
            framed(
                &[Piece { zip64: true, ..rossi.clone() }, Piece { zip64: true, ..verdi.clone() }],
                &Frame { zip64: true, ..Frame::default() },
            ),
        ),
        ("prefix", framed(&[rossi, verdi], &Frame { prefix: b"#!/bin/sh\n".to_vec(), ..Frame::default() })),
    ];
    let holds = |bytes: &[u8], part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    for (what, mut bytes) in table {
        let before = open(&bytes).unwrap();
        let header = before.find("rossi.pdf").unwrap().header_offset;
        for _ in 0..2 {
            for (at, len) in names_of(&bytes, &|offset| offset == header).unwrap() {
                bytes[at as usize..(at + len) as usize].fill(0);
            }
        }
        assert!(!holds(&bytes, b"rossi") && holds(&bytes, b"verdi"), "{what}");
        assert_eq!(content(&bytes, before.find("verdi.pdf").unwrap()).unwrap(), b"due", "{what}: the others are read where they lie");
        assert!(open(&bytes).is_err(), "{what}: never taken for a whole archive again");
    }
}
