//! The folder watcher on real directories: every way in which gestionali, people and copy tools drop files.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messo::clock::{Clock, monotonic};
use messo::domain::digest::Sha256;
use messo::intake::claim::{self, WORK};
use messo::intake::settle::Incomplete;
use messo::intake::watch::{self, FOLDERS, Root, Trouble, WatchEvent, WatchHandle, WatchSettings, Watcher, Wholeness};
use messo::intake::{Claimed, Companion};
use tokio::sync::mpsc::{Receiver, channel};

const SETTLE: Duration = Duration::from_millis(60);
/// Long enough that a test which waits this long has seen that nothing comes.
const QUIET: Duration = Duration::from_millis(300);
/// For what must come, however busy the machine is.
const PATIENCE: Duration = Duration::from_secs(60);
/// Not within the time of a test.
const NEVER: Duration = Duration::from_secs(3_600);

/// A ZIP without entries: only the end of its central directory.
const ZIP: &[u8] = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Whole: ends with an end of central directory.
fn whole(path: &Path) -> Wholeness {
    let bytes = fs::read(path).unwrap_or_default();
    if bytes.len() >= 22 && bytes[bytes.len() - 22..].starts_with(b"PK\x05\x06") { Wholeness::Whole } else { Wholeness::NotYet }
}

fn zip(text: &str) -> Vec<u8> {
    [text.as_bytes(), ZIP].concat()
}

struct Home {
    place: tempfile::TempDir,
    settings: WatchSettings,
}

impl Home {
    fn new() -> Home {
        let place = tempfile::tempdir().unwrap();
        let settings = WatchSettings {
            roots: vec![Root { source: "polizia".into(), path: place.path().to_path_buf(), arrivals: None }],
            settle: SETTLE,
            // Hints alone must do, unless a test says otherwise.
            scan: NEVER,
            incomplete_after: NEVER,
            clock: Clock::REAL,
            whole: Arc::new(whole),
            events: true,
        };
        Home { place, settings }
    }

    fn polling() -> Home {
        let mut home = Home::new();
        home.settings.events = false;
        home.settings.scan = Duration::from_millis(30);
        home
    }

    fn start(&self) -> (WatchHandle, Receiver<WatchEvent>) {
        let (tx, rx) = channel(16);
        let handle = Watcher::start(self.settings.clone(), tx).unwrap();
        let ready = self.place.path().join(".messo/lavoro");
        wait(|| ready.exists());
        (handle, rx)
    }

    fn inbox(&self, name: &str) -> PathBuf {
        self.place.path().join("in").join(name)
    }

    fn drop_file(&self, name: &str, bytes: &[u8]) {
        fs::create_dir_all(self.inbox(name).parent().unwrap()).unwrap();
        fs::write(self.inbox(name), bytes).unwrap();
    }

    fn work(&self) -> Vec<String> {
        fs::read_dir(self.place.path().join(WORK)).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }
}

fn wait(done: impl Fn() -> bool) {
    let begin = monotonic();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "nothing happened");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn next_within(rx: &mut Receiver<WatchEvent>, patience: Duration) -> Option<WatchEvent> {
    let begin = monotonic();
    loop {
        match rx.try_recv() {
            Ok(event) => return Some(event),
            Err(_) if begin.elapsed() > patience => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

#[track_caller]
fn claimed(rx: &mut Receiver<WatchEvent>) -> Claimed {
    match next_within(rx, PATIENCE) {
        Some(WatchEvent::Claimed(claimed)) => claimed,
        other => panic!("not a claimed file: {other:?}"),
    }
}

#[track_caller]
fn nothing(rx: &mut Receiver<WatchEvent>) {
    let event = next_within(rx, QUIET);
    assert_eq!(event, None);
}

/// Until all that lies in the folder has been looked at: what comes after it is taken.
#[track_caller]
fn seen(home: &Home, rx: &mut Receiver<WatchEvent>) {
    home.drop_file("segno.zip", &zip("segno"));
    assert_eq!(claimed(rx).original_name, "segno.zip");
}

#[test]
fn the_folders_are_made_and_a_drop_is_claimed_by_event() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    for folder in FOLDERS {
        assert!(home.place.path().join(folder).is_dir(), "{folder}");
    }
    std::thread::sleep(SETTLE);
    let before = Clock::REAL.now();
    home.drop_file("lotto.zip", &zip("uno"));
    let drop = claimed(&mut rx);
    assert_eq!((drop.source.as_str(), drop.original_name.as_str()), ("polizia", "lotto.zip"));
    assert_eq!((drop.flow_hint.as_deref(), drop.dry_run, &drop.companion), (None, false, &None));
    assert!(drop.received_at >= before);
    assert_eq!(fs::read(&drop.path).unwrap(), zip("uno"));
    assert_eq!(drop.path.parent().unwrap(), home.place.path().join(WORK));
    assert!(!home.inbox("lotto.zip").exists(), "the name is free at once");
    nothing(&mut rx);
}

#[test]
fn a_drop_is_claimed_by_listing_alone() {
    let home = Home::polling();
    let (_handle, mut rx) = home.start();
    home.drop_file("lotto.zip", &zip("uno"));
    assert_eq!(claimed(&mut rx).original_name, "lotto.zip");
    nothing(&mut rx);
}

#[test]
fn a_half_file_is_taken_only_when_completed() {
    for home in [Home::new(), Home::polling()] {
        let (_handle, mut rx) = home.start();
        home.drop_file("lotto.zip", b"PK\x03\x04 the first half");
        nothing(&mut rx);
        OpenOptions::new().append(true).open(home.inbox("lotto.zip")).unwrap().write_all(ZIP).unwrap();
        let drop = claimed(&mut rx);
        assert!(fs::read(&drop.path).unwrap().ends_with(ZIP));
    }
}

#[test]
fn a_slow_writer_is_waited_for() {
    let mut home = Home::new();
    home.settings.settle = Duration::from_secs(2);
    let (_handle, mut rx) = home.start();
    let mut file = fs::File::create(home.inbox("lotto.csv")).unwrap();
    // Bare CSV: nothing tells where it ends, only that nobody writes any more.
    for line in 0..20 {
        writeln!(file, "riga {line}").unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
    let drop = claimed(&mut rx);
    assert_eq!(fs::read_to_string(&drop.path).unwrap().lines().count(), 20);
}

#[test]
fn companions_tell_at_once_and_are_consumed() {
    let mut home = Home::new();
    // Without a companion nothing would be taken in the time of the test.
    home.settings.settle = NEVER;
    let (_handle, mut rx) = home.start();
    let bytes = zip("uno");
    let sha = Sha256::of(&bytes);
    let wrong = Sha256::of(b"altro");
    let md5: [u8; 16] = [0xab; 16];
    let table = [
        ("a.zip", "a.zip.sha256", format!("{sha}  a.zip\n"), Companion::Sha256(sha)),
        ("b.zip", "b.sha256", sha.to_hex(), Companion::Sha256(sha)),
        // Whether the digest is right is judged by whoever reads the bytes.
        ("c.zip", "c.zip.sha256", wrong.to_hex(), Companion::Sha256(wrong)),
        ("d.zip", "d.zip.md5", "ab".repeat(16), Companion::Md5(md5)),
        ("e.zip", "e.ok", String::new(), Companion::Ok),
        ("f.csv", "f.csv.ok", String::new(), Companion::Ok),
    ];
    for (file, companion, text, want) in table {
        home.drop_file(file, &bytes);
        home.drop_file(companion, text.as_bytes());
        let drop = claimed(&mut rx);
        assert_eq!((drop.original_name.as_str(), drop.companion.as_ref()), (file, Some(&want)), "{companion}");
        wait(|| !home.inbox(companion).exists());
        claim::done(&drop).unwrap();
    }
    assert_eq!(home.work(), Vec::<String>::new());
    // `.ok` is the sender's word, even for half an archive: the receipt will say that it is broken.
    home.drop_file("g.zip", b"half");
    home.drop_file("g.zip.ok", b"");
    assert_eq!(claimed(&mut rx).original_name, "g.zip");
}

#[test]
fn a_companion_that_comes_late_is_not_taken_for_the_next_file() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    // `.ok` says nothing against what was taken: it goes.
    home.drop_file("a.zip", &zip("uno"));
    assert_eq!(claimed(&mut rx).companion, None);
    home.drop_file("a.zip.ok", b"");
    wait(|| !home.inbox("a.zip.ok").exists());
    // What came by the share has no digest to compare with: it stays, and is not the next one's.
    home.drop_file("b.zip", &zip("uno"));
    assert_eq!(claimed(&mut rx).companion, None);
    home.drop_file("b.zip.sha256", Sha256::of(&zip("uno")).to_hex().as_bytes());
    seen(&home, &mut rx);
    home.drop_file("b.zip", &zip("due"));
    assert_eq!(claimed(&mut rx).companion, None);
    assert!(home.inbox("b.zip.sha256").exists());
}

#[test]
fn a_companion_that_comes_late_is_not_taken_for_the_next_file_after_a_restart_either() {
    // (whether the companion comes before the restart or after it)
    for before in [true, false] {
        let home = Home::new();
        let (handle, mut rx) = home.start();
        home.drop_file("b.zip", &zip("uno"));
        assert_eq!(claimed(&mut rx).companion, None);
        let late = || home.drop_file("b.zip.sha256", Sha256::of(&zip("uno")).to_hex().as_bytes());
        if before {
            late();
        }
        handle.stop();
        let (_handle, mut rx) = home.start();
        if !before {
            late();
        }
        seen(&home, &mut rx);
        home.drop_file("b.zip", &zip("due"));
        assert_eq!(claimed(&mut rx).companion, None, "{before}: refused for a digest of another");
    }
}

/// What was taken is no longer here: who has it is asked, and the companion waits for the answer.
#[test]
fn a_digest_that_comes_late_is_handed_over_with_what_its_file_became() {
    let mut home = Home::polling();
    home.settings.incomplete_after = Duration::from_millis(500);
    let (_handle, mut rx) = home.start();
    for (file, companion) in [("a.zip", "a.zip.md5"), ("b.zip", "b.sha256")] {
        home.drop_file(file, &zip("uno"));
        let taken = claimed(&mut rx);
        assert_eq!(taken.companion, None);
        let (digest, told) = if companion.ends_with("md5") {
            ("ab".repeat(16), Companion::Md5([0xab; 16]))
        } else {
            (Sha256::of(&zip("uno")).to_hex(), Companion::Sha256(Sha256::of(&zip("uno"))))
        };
        home.drop_file(companion, digest.as_bytes());
        match next_within(&mut rx, PATIENCE) {
            Some(WatchEvent::LateDigest { source, late }) => {
                assert_eq!((source.as_str(), late.name.as_str(), late.batch), ("polizia", companion, taken.id));
                assert_eq!((late.told, late.file.as_path()), (told, std::path::Path::new(companion)));
            }
            other => panic!("{companion}: {other:?}"),
        }
        assert!(home.inbox(companion).exists());
    }
    nothing(&mut rx);
}

#[test]
fn a_companion_waits_for_its_file_and_for_its_digest() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    home.drop_file("lotto.zip.sha256", b"");
    nothing(&mut rx);
    home.drop_file("lotto.zip", &zip("uno"));
    // The digest is not written yet: without it the file would lose the check that its sender asked for.
    nothing(&mut rx);
    let sha = Sha256::of(&zip("uno"));
    home.drop_file("lotto.zip.sha256", sha.to_hex().as_bytes());
    assert_eq!(claimed(&mut rx).companion, Some(Companion::Sha256(sha)));
    nothing(&mut rx);
}

#[test]
fn the_same_name_again_while_the_first_is_in_work() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    home.drop_file("lotto.zip", &zip("uno"));
    let first = claimed(&mut rx);
    home.drop_file("lotto.zip", &zip("due"));
    let second = claimed(&mut rx);
    assert_ne!(first.id, second.id);
    assert_eq!(fs::read(&first.path).unwrap(), zip("uno"), "the bytes in work are untouched");
    assert_eq!(fs::read(&second.path).unwrap(), zip("due"));
}

#[test]
fn temporary_names_wait_for_their_rename() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    for name in ["a.zip.filepart", "b.zip.part", ".in.c.zip.", "d.zip.tmp", "~$e.zip", ".f.zip", "g.zip.crdownload", "h.zip.1a2b.partial"] {
        home.drop_file(name, &zip("uno"));
    }
    nothing(&mut rx);
    fs::rename(home.inbox("a.zip.filepart"), home.inbox("a.zip")).unwrap();
    assert_eq!(claimed(&mut rx).original_name, "a.zip");
    fs::rename(home.inbox(".in.c.zip."), home.inbox("c.zip")).unwrap();
    assert_eq!(claimed(&mut rx).original_name, "c.zip");
    nothing(&mut rx);
}

#[test]
fn of_two_processes_exactly_one_takes_each_file() {
    let home = Home::polling();
    let ((_one, mut first), (_two, mut second)) = (home.start(), home.start());
    for number in 0..100 {
        // Before its file: one that comes after it may come too late, and stay.
        if number % 10 == 0 {
            home.drop_file(&format!("{number}.zip.sha256"), Sha256::of(&zip(&number.to_string())).to_hex().as_bytes());
        }
        home.drop_file(&format!("{number}.zip"), &zip(&number.to_string()));
    }
    let (mut names, mut ids, mut wins) = (Vec::new(), BTreeSet::new(), [0, 0]);
    let begin = monotonic();
    while names.len() < 100 && begin.elapsed() < PATIENCE {
        for (rx, win) in [&mut first, &mut second].into_iter().zip(&mut wins) {
            match next_within(rx, Duration::from_millis(5)) {
                Some(WatchEvent::Claimed(drop)) => {
                    assert!(drop.path.exists());
                    ids.insert(drop.id);
                    names.push(drop.original_name);
                    *win += 1;
                }
                Some(other) => panic!("{other:?}"),
                None => {}
            }
        }
    }
    nothing(&mut first);
    nothing(&mut second);
    assert_eq!((names.len(), ids.len()), (100, 100), "{wins:?}");
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 100);
    let left = fs::read_dir(home.inbox("")).unwrap().map(|entry| entry.unwrap().file_name()).collect::<Vec<_>>();
    assert_eq!(left, ["prova"]);
}

#[test]
fn a_restart_finds_what_was_claimed_and_what_arrived_meanwhile() {
    let home = Home::new();
    let (handle, mut rx) = home.start();
    home.drop_file("cds/primo.zip", &zip("uno"));
    let first = claimed(&mut rx);
    handle.stop();
    home.drop_file("prova/cds/secondo.zip", &zip("due"));

    let root = home.place.path();
    let left = claim::leftovers("polizia", root, &Clock::REAL).unwrap();
    let [again] = left.as_slice() else { panic!("{left:?}") };
    assert_eq!((again.id, &again.path, again.flow_hint.as_deref()), (first.id, &first.path, Some("cds")));
    let (_handle, mut rx) = home.start();
    let second = claimed(&mut rx);
    assert_eq!((second.original_name.as_str(), second.flow_hint.as_deref(), second.dry_run), ("secondo.zip", Some("cds"), true));
    nothing(&mut rx);
}

#[test]
fn a_file_that_never_completes_is_told_once_and_left_where_it_is() {
    let mut home = Home::polling();
    home.settings.incomplete_after = Duration::from_millis(200);
    let (handle, mut rx) = home.start();
    let table: [(&str, &[u8], Incomplete); 5] = [
        ("half.zip", b"PK\x03\x04", Incomplete::Unfinished),
        ("vuoto.csv", b"", Incomplete::Empty),
        ("lungo.zip.filepart", b"x", Incomplete::TemporaryName),
        ("solo.zip.ok", b"", Incomplete::OrphanCompanion),
        ("doppio.sha256", b"non una impronta", Incomplete::OrphanCompanion),
    ];
    for (name, bytes, _) in table {
        home.drop_file(name, bytes);
    }
    let mut told = BTreeSet::new();
    for _ in table {
        match next_within(&mut rx, PATIENCE) {
            Some(WatchEvent::NeverCompleted { source, name, reason, size, since, mark }) => {
                watch::told(home.place.path(), mark);
                assert_eq!(source, "polizia");
                let (_, bytes, want) = table.iter().find(|(file, ..)| *file == name).unwrap();
                assert_eq!((size, &reason), (bytes.len() as u64, want), "{name}");
                assert!((150..60_000).contains(&Clock::REAL.now().duration_since(since).as_millis()), "{name}");
                told.insert(name);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(told.len(), 5);
    nothing(&mut rx);
    handle.stop();
    let (_handle, mut rx) = home.start();
    nothing(&mut rx);
    assert!(home.inbox("half.zip").exists());
    OpenOptions::new().append(true).open(home.inbox("half.zip")).unwrap().write_all(ZIP).unwrap();
    assert_eq!(claimed(&mut rx).original_name, "half.zip");
}

#[test]
fn links_devices_and_deep_folders_are_not_read() {
    let home = Home::polling();
    let (_handle, mut rx) = home.start();
    let secret = home.place.path().join("segreto.zip");
    fs::write(&secret, zip("segreto")).unwrap();
    std::os::unix::fs::symlink(&secret, home.inbox("link.zip")).unwrap();
    std::os::unix::fs::symlink(home.place.path(), home.inbox("cartella")).unwrap();
    let user = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, home.inbox("pipe.zip"), rustix::fs::FileType::Fifo, user, 0).unwrap();
    nothing(&mut rx);
    assert!(secret.exists() && home.inbox("link.zip").exists());
    home.drop_file("cds/altro/lotto.zip", &zip("uno"));
    let deep = WatchEvent::Trouble { source: "polizia".into(), trouble: Trouble::TooDeep { name: "cds/altro".into() } };
    assert_eq!(next_within(&mut rx, PATIENCE), Some(deep));
    nothing(&mut rx);
}

#[test]
fn sub_folders_made_after_the_start_are_flows() {
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    std::thread::sleep(SETTLE);
    home.drop_file("TARI/lotto.zip", &zip("uno"));
    let drop = claimed(&mut rx);
    assert_eq!((drop.flow_hint.as_deref(), drop.dry_run), (Some("tari"), false));
    home.drop_file("prova/lotto.zip", &zip("due"));
    let drop = claimed(&mut rx);
    assert_eq!((drop.flow_hint.as_deref(), drop.dry_run), (None, true));
    // Removed and made again: the new folder is watched like the first.
    fs::remove_dir(home.inbox("TARI")).unwrap();
    std::thread::sleep(SETTLE);
    home.drop_file("TARI/lotto.zip", &zip("tre"));
    assert_eq!(claimed(&mut rx).flow_hint.as_deref(), Some("tari"));
}

#[test]
fn a_writer_that_keeps_the_file_open_over_the_claim_is_waited_for() {
    let mut home = Home::new();
    home.settings.settle = Duration::from_millis(200);
    home.drop_file("lotto.zip", &zip("prima"));
    let file = Arc::new(Mutex::new(Some(OpenOptions::new().append(true).open(home.inbox("lotto.zip")).unwrap())));
    let (writer, looks) = (file.clone(), Arc::new(AtomicUsize::new(0)));
    let counted = looks.clone();
    home.settings.whole = Arc::new(move |path| {
        counted.fetch_add(1, Ordering::Relaxed);
        // Between the look and the claim the sender goes on, through the file that it never closed.
        if let Some(mut file) = writer.lock().unwrap().take() {
            file.write_all(b"ancora").unwrap();
            std::thread::spawn(move || {
                for _ in 0..30 {
                    file.write_all(b"riga").unwrap();
                    std::thread::sleep(Duration::from_millis(10));
                }
                file.write_all(ZIP).unwrap();
            });
            return Wholeness::Whole;
        }
        whole(path)
    });
    let (_handle, mut rx) = home.start();
    let drop = claimed(&mut rx);
    assert_eq!(fs::read(&drop.path).unwrap(), [zip("prima"), b"ancora".to_vec(), b"riga".repeat(30), ZIP.to_vec()].concat());
    assert!(looks.load(Ordering::Relaxed) >= 2, "looked at again before it was handed over");
}

#[test]
fn a_share_that_goes_away_is_told_once_and_comes_back() {
    let home = Home::polling();
    let (_handle, mut rx) = home.start();
    home.drop_file("half.zip", b"PK");
    nothing(&mut rx);
    let away = home.place.path().join("via");
    fs::rename(home.inbox(""), &away).unwrap();
    let trouble = WatchEvent::Trouble { source: "polizia".into(), trouble: Trouble::Folder(std::io::ErrorKind::NotFound) };
    assert_eq!(next_within(&mut rx, PATIENCE), Some(trouble));
    nothing(&mut rx);
    assert!(!home.place.path().join("in").exists(), "no folder is made in the place of a share");
    fs::rename(&away, home.place.path().join("in")).unwrap();
    assert_eq!(next_within(&mut rx, PATIENCE), Some(WatchEvent::Recovered { source: "polizia".into() }));
    home.drop_file("half.zip", &zip("tutto"));
    assert_eq!(claimed(&mut rx).original_name, "half.zip");
}

#[test]
fn names_that_are_not_utf8_or_very_long_are_taken() {
    use std::os::unix::ffi::OsStrExt;
    let home = Home::new();
    let (_handle, mut rx) = home.start();
    let name = std::ffi::OsStr::from_bytes(b"citt\xe0.zip");
    fs::write(home.inbox("").join(name), zip("uno")).unwrap();
    let drop = claimed(&mut rx);
    assert_eq!(drop.original_name, "città.zip");
    assert!(drop.path.to_str().is_some());
    let long = "è".repeat(125) + ".zip";
    home.drop_file(&long, &zip("due"));
    let drop = claimed(&mut rx);
    assert_eq!(drop.original_name, long);
    assert!(drop.path.exists() && drop.path.to_str().unwrap().ends_with(".zip"));
}

#[test]
fn a_slow_reader_holds_the_watcher_back_and_loses_nothing() {
    let home = Home::polling();
    let (tx, mut rx) = channel(1);
    let handle = Watcher::start(home.settings.clone(), tx).unwrap();
    wait(|| home.place.path().join(WORK).exists());
    for number in 0..10 {
        home.drop_file(&format!("{number}.zip"), &zip("uno"));
    }
    let first = claimed(&mut rx);
    std::thread::sleep(QUIET);
    // Stopping does not wait for a reader that never comes; what was claimed and not handed over is found again.
    handle.stop();
    let mut handed: Vec<Claimed> = vec![first];
    while let Some(WatchEvent::Claimed(drop)) = next_within(&mut rx, Duration::from_millis(20)) {
        handed.push(drop);
    }
    let left = claim::leftovers("polizia", home.place.path(), &Clock::REAL).unwrap();
    let waiting = fs::read_dir(home.inbox("")).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(left.len() + waiting, 10);
    assert!(handed.iter().all(|drop| left.iter().any(|left| left.id == drop.id)));
}
