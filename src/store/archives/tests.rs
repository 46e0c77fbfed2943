//! Tests of `archives`.

use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::*;
use crate::batch::archive::sample::{Piece, noise, piece, zip};
use crate::batch::archive::{Archive, Ceilings};

const CEILINGS: Ceilings = Ceilings { max_entries: 1_000, max_entry_bytes: 8 << 20, max_total_bytes: 16 << 20, max_ratio: 200 };

struct House {
    folder: TempDir,
    archives: FolderArchives,
}

fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("lavoro")).unwrap();
    let archives = FolderArchives::open(folder.path().join("archivi")).unwrap();
    House { folder, archives }
}

impl House {
    fn claimed(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("lavoro").join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    fn kept_path(&self, digest: &Sha256) -> PathBuf {
        let hex = digest.to_hex();
        self.folder.path().join("archivi").join(&hex[..2]).join(&hex[2..4]).join(format!("{hex}.zip"))
    }

    fn whole(&self, digest: &Sha256) -> Vec<u8> {
        let len = self.archives.open(digest).unwrap().len().unwrap();
        let mut out = Vec::new();
        self.archives.open_range(digest, 0, len).unwrap().read_to_end(&mut out).unwrap();
        out
    }

    fn unfinished(&self) -> usize {
        fs::read_dir(self.folder.path().join("archivi/incompleti")).unwrap().count()
    }
}

#[test]
fn keeps_by_content_and_consumes_the_claim() {
    let house = house();
    let bytes = noise(300_000, 1);
    let digest = Sha256::of(&bytes);
    let first = house.claimed("a", &bytes);
    assert_eq!(house.archives.put(&first, &digest).unwrap(), Kept { len: 300_000, already: false });
    assert!(!first.exists());
    assert_eq!(fs::read(house.kept_path(&digest)).unwrap(), bytes);
    // Same content again, and the same call again after a crash that followed it.
    let second = house.claimed("b", &bytes);
    assert_eq!(house.archives.put(&second, &digest).unwrap(), Kept { len: 300_000, already: true });
    assert!(!second.exists());
    assert_eq!(house.archives.put(&second, &digest).unwrap(), Kept { len: 300_000, already: true });
    assert_eq!(house.whole(&digest), bytes);
    let mut range = Vec::new();
    house.archives.open_range(&digest, 1_000, 50).unwrap().read_to_end(&mut range).unwrap();
    assert_eq!(range, bytes[1_000..1_050]);
    let past = house.archives.open_range(&digest, 299_999, 2).unwrap().read_to_end(&mut range);
    assert_eq!(past.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    assert!(house.archives.remove(&digest).unwrap());
    assert!(!house.archives.remove(&digest).unwrap());
    assert_eq!(house.archives.open(&digest).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(house.archives.put(&second, &digest).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn keeping_can_leave_the_claim_until_it_is_recorded() {
    let house = house();
    let bytes = noise(5_000, 2);
    let digest = Sha256::of(&bytes);
    let claimed = house.claimed("a", &bytes);
    assert_eq!(house.archives.keep(&claimed, &digest).unwrap(), Kept { len: 5_000, already: false });
    assert!(claimed.exists());
    assert_eq!(house.archives.keep(&claimed, &digest).unwrap(), Kept { len: 5_000, already: true });
    assert_eq!(house.archives.put(&claimed, &digest).unwrap(), Kept { len: 5_000, already: true });
    assert!(!claimed.exists());
    assert_eq!(house.whole(&digest), bytes);
}

#[test]
fn copies_across_file_systems_and_checks_what_it_copied() {
    let house = house();
    // The memory file system stands for a share; where it is missing or the same, there is nothing to cross.
    let Ok(elsewhere) = tempfile::tempdir_in("/dev/shm") else { return };
    if fs::metadata(elsewhere.path()).unwrap().dev() == fs::metadata(house.folder.path()).unwrap().dev() {
        return;
    }
    let bytes = noise(700_000, 3);
    let digest = Sha256::of(&bytes);
    let claimed = elsewhere.path().join("lotto.zip");
    fs::write(&claimed, &bytes).unwrap();
    let other = Sha256::of(b"altro");
    let error = house.archives.put(&claimed, &other).unwrap_err();
    assert!(is_changed(&error), "{error}");
    assert!(claimed.exists() && !house.kept_path(&other).exists(), "nothing lost, nothing kept");
    assert_eq!(house.unfinished(), 0);
    assert_eq!(house.archives.keep(&claimed, &digest).unwrap(), Kept { len: 700_000, already: false });
    assert!(claimed.exists());
    house.archives.remove(&digest).unwrap();
    assert_eq!(house.archives.put(&claimed, &digest).unwrap(), Kept { len: 700_000, already: false });
    assert!(!claimed.exists());
    assert_eq!(house.whole(&digest), bytes);
    assert_eq!(house.unfinished(), 0);
}

#[test]
fn a_copy_appears_only_when_it_is_the_digest() {
    let house = house();
    let bytes = noise(100_000, 4);
    let digest = Sha256::of(&bytes);
    let claimed = house.claimed("a", &bytes);
    let to = house.folder.path().join("copia");
    assert!(is_changed(&super::folder::copy_checked(&claimed, &to, &Sha256::of(b"altro"), &|| {}).unwrap_err()));
    fs::remove_file(&to).unwrap();
    assert_eq!(super::folder::copy_checked(&claimed, &to, &digest, &|| {}).unwrap(), 100_000);
    assert_eq!(fs::read(&to).unwrap(), bytes);
}

#[test]
fn survives_what_a_crash_leaves() {
    let house = house();
    let bytes = noise(9_000, 5);
    let digest = Sha256::of(&bytes);
    // Half a copy, and a kept file that something else cut.
    fs::write(house.folder.path().join("archivi/incompleti").join(format!("{digest}-0")), &bytes[..10]).unwrap();
    fs::create_dir_all(house.kept_path(&digest).parent().unwrap()).unwrap();
    fs::write(house.kept_path(&digest), &bytes[..10]).unwrap();
    let again = FolderArchives::open(house.folder.path().join("archivi")).unwrap();
    assert_eq!(house.unfinished(), 0);
    let claimed = house.claimed("a", &bytes);
    assert_eq!(again.put(&claimed, &digest).unwrap(), Kept { len: 9_000, already: false });
    assert_eq!(house.whole(&digest), bytes);
    assert!(!claimed.exists());
}

#[test]
fn many_puts_of_one_content_at_once() {
    let house = house();
    let bytes = noise(200_000, 6);
    let digest = Sha256::of(&bytes);
    let claims: Vec<PathBuf> = (0..16).map(|n| house.claimed(&format!("{n}"), &bytes)).collect();
    let kept: Vec<Kept> = std::thread::scope(|scope| {
        let puts: Vec<_> = claims.iter().map(|claim| scope.spawn(|| house.archives.put(claim, &digest).unwrap())).collect();
        puts.into_iter().map(|put| put.join().unwrap()).collect()
    });
    assert_eq!(kept.iter().filter(|kept| !kept.already).count(), 1, "{kept:?}");
    assert!(kept.iter().all(|kept| kept.len == 200_000));
    assert!(claims.iter().all(|claim| !claim.exists()));
    assert_eq!(house.whole(&digest), bytes);
}

#[test]
fn keeps_only_regular_files() {
    let house = house();
    let target = house.claimed("a", b"x");
    let link = house.folder.path().join("lavoro/link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert_eq!(house.archives.put(&link, &Sha256::of(b"x")).unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert!(target.exists());
}

/// Keeps an archive of a few entries and reads one back through the verified reader.
struct Stored {
    house: House,
    digest: Sha256,
    archive: Archive,
    pieces: Vec<Piece>,
}

fn stored() -> Stored {
    let pieces = vec![
        piece("lotto.csv", b"riferimento\n1\n".repeat(100)),
        piece("a.pdf", noise(300_000, 1)),
        Piece { stored: true, ..piece("b.pdf", noise(150_000, 2)) },
        piece("vuoto.pdf", ""),
    ];
    let bytes = zip(&pieces);
    let (house, digest) = (house(), Sha256::of(&bytes));
    house.archives.put(&house.claimed("a", &bytes), &digest).unwrap();
    let archive = Archive::open(&house.archives.open(&digest).unwrap(), &CEILINGS).unwrap();
    Stored { house, digest, archive, pieces }
}

impl Stored {
    fn read(&self, position: usize) -> (Vec<u8>, io::Result<usize>) {
        let expected = Sha256::of(&self.pieces[position].data);
        let mut out = Vec::new();
        let mut reader = self.house.archives.verified_entry(&self.digest, &self.archive.entries()[position], expected).unwrap();
        assert_eq!(reader.size(), self.pieces[position].data.len() as u64);
        let result = reader.read_to_end(&mut out);
        if result.is_err() {
            assert!(is_changed(&reader.read(&mut [0; 10]).unwrap_err()), "the second read fails as the first");
        }
        (out, result)
    }

    fn assert_changed(&self, position: usize, what: &str) {
        let (out, result) = self.read(position);
        assert!(is_changed(&result.expect_err(what)), "{what}");
        assert!(out.len() < self.pieces[position].data.len(), "{what}: all {} bytes given", out.len());
    }

    fn overwrite(&self, at: u64, bytes: &[u8]) {
        use std::os::unix::fs::FileExt;
        let file = fs::OpenOptions::new().write(true).open(self.house.kept_path(&self.digest)).unwrap();
        file.write_all_at(bytes, at).unwrap();
    }
}

#[test]
fn verified_entries_read_whole_when_nothing_changed() {
    let stored = stored();
    for position in 0..stored.pieces.len() {
        let (out, result) = stored.read(position);
        assert_eq!(result.unwrap(), out.len());
        assert_eq!(out, stored.pieces[position].data);
    }
}

#[test]
fn a_changed_entry_is_never_read_to_its_end() {
    for position in [0, 1, 2] {
        let (at, len) = stored().archive.entries()[position].span();
        for part in [0, len / 2, len - 1] {
            let stored = stored();
            let mut byte = [0];
            stored.house.archives.open(&stored.digest).unwrap().read_exact_at(&mut byte, at + part).unwrap();
            stored.overwrite(at + part, &[byte[0] ^ 0x55]);
            stored.assert_changed(position, &format!("entry {position}, byte {part} of {len}"));
        }
    }
    // Same CRC and size in the catalogue, other bytes: only the digest tells.
    let stored = stored();
    let entry = &stored.archive.entries()[2];
    let mut reader = stored.house.archives.verified_entry(&stored.digest, entry, Sha256::of(b"altro")).unwrap();
    let mut out = Vec::new();
    assert!(is_changed(&reader.read_to_end(&mut out).unwrap_err()));
    assert!(out.len() < 150_000);
    let empty = &stored.archive.entries()[3];
    let mut reader = stored.house.archives.verified_entry(&stored.digest, empty, Sha256::of(b"altro")).unwrap();
    assert!(is_changed(&reader.read(&mut [0; 4]).unwrap_err()));
    let file = fs::OpenOptions::new().write(true).open(stored.house.kept_path(&stored.digest)).unwrap();
    file.set_len(stored.archive.entries()[2].data_start + 10).unwrap();
    stored.assert_changed(2, "shortened file");
}

#[test]
fn one_entry_is_erased_and_the_others_stay() {
    let stored = stored();
    let before = stored.house.whole(&stored.digest);
    for position in [0, 1, 2] {
        let (at, len) = stored.archive.entries()[position].span();
        stored.house.archives.erase(&stored.digest, at, len).unwrap();
        let now = stored.house.whole(&stored.digest);
        assert_eq!(now.len(), before.len());
        assert!(now[at as usize..(at + len) as usize].iter().all(|byte| *byte == 0));
        stored.assert_changed(position, "erased");
        for later in position + 1..stored.pieces.len() {
            assert_eq!(stored.read(later).0, stored.pieces[later].data, "entry {later} after {position} was erased");
        }
    }
    let past = stored.house.archives.erase(&stored.digest, before.len() as u64 - 1, 2);
    assert_eq!(past.unwrap_err().kind(), io::ErrorKind::InvalidInput);
    assert_eq!(stored.house.archives.erase(&Sha256::of(b""), 0, 1).unwrap_err().kind(), io::ErrorKind::NotFound);
}

#[test]
fn a_bare_file_is_kept_and_verified_too() {
    let house = house();
    let text = b"<lotto/>".repeat(20_000);
    let digest = Sha256::of(&text);
    house.archives.put(&house.claimed("lotto.xml", &text), &digest).unwrap();
    let entry = Entry::bare("lotto.xml", text.len() as u64);
    let mut out = Vec::new();
    house.archives.verified_entry(&digest, &entry, digest).unwrap().read_to_end(&mut out).unwrap();
    assert_eq!(out, text);
    house.archives.erase(&digest, 8, 8).unwrap();
    let error = house.archives.verified_entry(&digest, &entry, digest).unwrap().read_to_end(&mut out).unwrap_err();
    assert!(is_changed(&error));
}
