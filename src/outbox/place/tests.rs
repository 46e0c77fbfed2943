//! Tests of `place`.

use std::os::unix::fs::PermissionsExt;
use std::sync::Barrier;

use super::*;

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn places_whole_files_and_makes_folders() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("attestazioni/2026/IUN");
    let placed = place(&dir, "a.pdf", |out| {
        out.write_all(b"%PDF-")?;
        assert!(!dir.join("a.pdf").exists(), "seen before it is whole");
        out.write_all(&vec![b'x'; 200_000])
    })
    .unwrap();
    let bytes = fs::read(dir.join("a.pdf")).unwrap();
    assert_eq!((placed.len, placed.already_there), (200_005, false));
    assert_eq!(placed.sha256, Sha256::of(&bytes));
    assert_eq!(names(&dir), ["a.pdf"]);
}

#[test]
fn same_content_twice_is_already_there_other_content_is_an_error() {
    for ways in [&WAYS[..], &WAYS[1..], &WAYS[2..]] {
        let root = tempfile::tempdir().unwrap();
        let put = |bytes: &[u8]| {
            let mut pending = Pending::begin(root.path()).unwrap();
            pending.write_all(bytes).unwrap();
            pending.commit_by(ways, root.path(), "esito.csv")
        };
        assert!(!put(b"uno").unwrap().already_there, "{ways:?}");
        assert!(put(b"uno").unwrap().already_there, "{ways:?}");
        for other in [&b"due"[..], b"", b"uno "] {
            assert_eq!(put(other).unwrap_err().kind(), io::ErrorKind::AlreadyExists, "{ways:?} {other:?}");
        }
        assert_eq!(fs::read(root.path().join("esito.csv")).unwrap(), b"uno", "{ways:?}");
        assert_eq!(names(root.path()), ["esito.csv"], "{ways:?}");
    }
}

#[test]
fn what_stands_under_the_name_is_never_followed_or_replaced() {
    let root = tempfile::tempdir().unwrap();
    let secret = root.path().join("altro");
    fs::write(&secret, b"uno").unwrap();
    std::os::unix::fs::symlink(&secret, root.path().join("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", root.path().join("dangling")).unwrap();
    fs::create_dir(root.path().join("folder")).unwrap();
    for name in ["link", "dangling", "folder"] {
        let error = place_bytes(root.path(), name, b"uno").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "{name}: {error}");
    }
    assert_eq!(names(root.path()), ["altro", "dangling", "folder", "link"]);
}

#[test]
fn refuses_names_that_are_paths_or_hidden() {
    let root = tempfile::tempdir().unwrap();
    for name in ["", ".", "..", ".nascosto", "a/b", "../a", "a\\b", "a\0b", "x".repeat(256).as_str()] {
        let error = place_bytes(root.path(), name, b"").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "name {name:?}");
    }
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_failed_writer_leaves_nothing() {
    let root = tempfile::tempdir().unwrap();
    let error = place(root.path(), "a", |out| {
        out.write_all(b"half")?;
        Err(io::Error::other("the store went away"))
    })
    .unwrap_err();
    assert_eq!(error.to_string(), "the store went away");
    assert!(names(root.path()).is_empty());
}

#[test]
fn leftovers_of_a_crash_are_swept_and_nothing_else() {
    let root = tempfile::tempdir().unwrap();
    let mut killed = Pending::begin(root.path()).unwrap();
    killed.write_all(b"half").unwrap();
    killed.file.flush().unwrap();
    killed.named = false; // as after SIGKILL: nobody removes it
    drop(killed);
    let at_work = Pending::begin(root.path()).unwrap();
    for name in ["esito.csv", ".messo-x", "x.part", ".altro.part"] {
        fs::write(root.path().join(name), b"").unwrap();
    }
    fs::create_dir(root.path().join(".messo-cartella.part")).unwrap();
    assert_eq!(sweep(root.path()).unwrap(), 1);
    assert_eq!(sweep(root.path()).unwrap(), 0, "the one at work stays");
    let placed = at_work.commit("vuoto").unwrap();
    assert_eq!(placed.sha256, Sha256::of(b""));
    assert_eq!(names(root.path()), [".altro.part", ".messo-cartella.part", ".messo-x", "esito.csv", "vuoto", "x.part"]);
    assert_eq!(sweep(&root.path().join("mai creata")).unwrap(), 0);
}

/// A parked file has no lock any more, and no name yet.
#[test]
fn what_is_swept_beside_the_work_is_of_an_earlier_run_and_nobody_knows_of_it() {
    let root = tempfile::tempdir().unwrap();
    let now = Pending::begin(root.path()).unwrap().park().unwrap().temporary;
    for name in [".messo-noto.part", ".messo-resto.part"] {
        fs::write(root.path().join(name), b"").unwrap();
    }
    let known = BTreeSet::from([".messo-noto.part".to_owned()]);
    assert_eq!(sweep_but(root.path(), &known).unwrap(), 1);
    let mut want = vec![now, ".messo-noto.part".to_owned()];
    want.sort();
    assert_eq!(names(root.path()), want);
}

#[test]
fn after_a_crash_between_rename_and_record_the_second_run_finds_it() {
    let root = tempfile::tempdir().unwrap();
    let first = place_bytes(root.path(), "esito.csv", b"riga").unwrap();
    // The record of `first` is lost; the run is repeated.
    let again = place_bytes(root.path(), "esito.csv", b"riga").unwrap();
    assert_eq!(again, Placed { already_there: true, ..first });
}

#[test]
fn of_many_that_place_one_name_one_wins_and_all_agree() {
    let root = tempfile::tempdir().unwrap();
    let barrier = Barrier::new(8);
    let results: Vec<io::Result<Placed>> = std::thread::scope(|scope| {
        let run = |index: u32| {
            let (root, barrier) = (root.path(), &barrier);
            scope.spawn(move || {
                barrier.wait();
                place_bytes(root, "esito.csv", if index.is_multiple_of(2) { b"pari" } else { b"dispari" })
            })
        };
        let threads: Vec<_> = (0..8).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let kept = fs::read(root.path().join("esito.csv")).unwrap();
    let fresh = results.iter().flatten().filter(|placed| !placed.already_there).count();
    assert_eq!(fresh, 1);
    for result in &results {
        match result {
            Ok(placed) => assert_eq!(placed.sha256, Sha256::of(&kept)),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::AlreadyExists),
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 4);
    assert_eq!(names(root.path()), ["esito.csv"]);
}

#[test]
fn a_folder_deleted_meanwhile_is_an_error_now_and_made_again_next_time() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("esiti");
    let mut pending = Pending::begin(&dir).unwrap();
    pending.write_all(b"riga").unwrap();
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(pending.commit("esito.csv").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(!place_bytes(&dir, "esito.csv", b"riga").unwrap().already_there);
}

#[test]
fn a_staging_folder_serves_many_final_ones() {
    let root = tempfile::tempdir().unwrap();
    let (staging, dir) = (root.path().join("attestazioni"), root.path().join("attestazioni/2026/IUN"));
    let mut pending = Pending::begin(&staging).unwrap();
    pending.write_all(b"x").unwrap();
    let placed = pending.commit_in(&dir, "a.pdf").unwrap();
    assert_eq!(placed.path, dir.join("a.pdf"));
    assert_eq!(names(&staging), ["2026"]);
}

#[test]
fn a_read_only_folder_is_an_error_and_stays_as_it_was() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("esiti");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(dir.join("prova"), b"").is_ok() {
        // Root writes everywhere: a file in the place of the folder is as final.
        fs::remove_file(dir.join("prova")).unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        place_bytes(&root.path().join("file"), "a", b"x").unwrap_err();
        place_bytes(&root.path().join("file/esiti"), "a", b"x").unwrap_err();
    } else {
        assert_eq!(place_bytes(&dir, "a", b"x").unwrap_err().kind(), io::ErrorKind::PermissionDenied);
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
    assert!(names(&dir).is_empty());
}

#[test]
fn scratch_has_no_name() {
    use std::io::Seek;
    let root = tempfile::tempdir().unwrap();
    let mut file = scratch(root.path()).unwrap();
    file.write_all(b"abc").unwrap();
    file.rewind().unwrap();
    let mut back = String::new();
    file.read_to_string(&mut back).unwrap();
    assert_eq!(back, "abc");
    assert!(names(root.path()).is_empty());
}

#[test]
fn a_pending_file_may_move_between_threads() {
    let root = tempfile::tempdir().unwrap();
    let mut pending = Pending::begin(root.path()).unwrap();
    pending.write_all(b"uno ").unwrap();
    let placed = std::thread::spawn(move || {
        pending.write_all(b"due")?;
        pending.commit("a")
    });
    assert_eq!(placed.join().unwrap().unwrap().sha256, Sha256::of(b"uno due"));
}
