//! A process that is killed leaves what was acknowledged, and of the rest what is surely there.

use std::process::Command;

use super::*;
use crate::clock::Clock;

/// Names the folder of a process that kills itself.
const PLACE: &str = "MESSO_TEST_SFTP_KILLED";

/// Not a test of its own: what the process that dies does.
#[test]
fn child() {
    let Ok(place) = std::env::var(PLACE) else { return };
    let arrivals = Arc::new(Arrivals::new(Duration::from_millis(50)));
    let shared = Shared::open(settings(Path::new(&place), &arrivals)).unwrap();
    let home = FolderHome::new(shared, None);
    put(&home, "in/intero.zip", b"intero").unwrap();
    put(&home, "in/da-rinominare.zip.filepart", b"intero").unwrap();
    let mut files: Vec<_> = ["in/senza-buchi.zip", "in/buco.zip", "in/prova/buco-chiuso.zip", "in/dichiarato.zip", "in/intero.zip"]
        .iter()
        .map(|path| open(&home, path, OpenFlags { truncate: false, ..WRITE }).unwrap())
        .collect();
    files[0].write_at(&[(0, b"abcdef")]).unwrap();
    files[1].write_at(&[(0, b"abc"), (5, b"fgh")]).unwrap();
    files[2].write_at(&[(0, b"abc"), (5, b"fgh"), (3, b"de"), (8, b"i")]).unwrap();
    files[3].set_attributes(&Attributes { size: Some(1_000_000), ..Attributes::default() }).unwrap();
    files[3].write_at(&[(0, b"abc")]).unwrap();
    files[4].write_at(&[(6, b" e poi")]).unwrap();
    std::process::abort();
}

#[test]
fn a_killed_process_leaves_whole_files_and_prefixes() {
    let place = tempfile::tempdir().unwrap();
    let child = "intake::sftp::folder::tests::restart::child";
    let run =
        Command::new(std::env::current_exe().unwrap()).args([child, "--exact", "--nocapture"]).env(PLACE, place.path()).output().unwrap();
    assert!(!run.status.success(), "it was to die");
    assert_eq!(tree(&place.path().join(".messo/lacune")).len(), 2, "{}", String::from_utf8_lossy(&run.stderr));
    let arrivals = Arc::new(Arrivals::new(Duration::from_millis(50)));
    let shared = Shared::open(settings(place.path(), &arrivals)).unwrap();
    let show = |folder: &str| {
        let tree = tree(&place.path().join(folder)).into_iter();
        tree.filter(|(name, _)| !name.ends_with('/'))
            .map(|(name, bytes)| format!("{name} {}", String::from_utf8(bytes).unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(show("in"), ["da-rinominare.zip.filepart intero"]);
    assert_eq!(
        show(".messo/arrivo"),
        ["buco.zip abc", "intero.zip intero e poi", "prova/buco-chiuso.zip abcdefghi", "senza-buchi.zip abcdef"]
    );
    assert!(show(".messo/lacune").is_empty());
    let home = FolderHome::new(shared, None);
    assert_eq!(size(&home, "in/dichiarato.zip"), Err(Refused::NotFound), "a size without bytes is nothing");
    let mut file = open(&home, "in/buco.zip", RESUME).unwrap();
    file.write_at(&[(3, b"defgh")]).unwrap();
    file.finish(Ending::Closed).unwrap();
    assert_eq!(show("in"), ["buco.zip abcdefgh", "da-rinominare.zip.filepart intero"]);
}

#[test]
fn sessions_that_vanish_without_a_word_leave_nothing_behind_a_restart() {
    let mut house = House::new();
    let home = house.home();
    let mut file = open(&home, "in/lotto.zip", WRITE).unwrap();
    file.write_at(&[(0, b"abc"), (9, b"x")]).unwrap();
    std::mem::forget(file);
    house.again();
    assert_eq!(house.tree(".messo/arrivo")["lotto.zip"], b"abc");
    // A hole of the file system alone, as a power cut leaves it.
    let file = std::fs::File::create(house.path(".messo/arrivo/corrente.zip")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 8192], 0).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[b'x'; 8192], 1 << 20).unwrap();
    house.again();
    assert_eq!(house.tree(".messo/arrivo")["corrente.zip"].len(), 8192);
    assert_eq!(house.shared.usage(), Usage { bytes: 8195, files: 2 });
}

#[test]
fn partial_uploads_that_nobody_resumes_are_removed_in_the_end() {
    let house = House::with(|settings| settings.partials_kept = Duration::from_secs(3600));
    let home = house.home();
    for name in ["in/vecchio.zip", "in/aperto.zip"] {
        let mut file = open(&home, name, WRITE).unwrap();
        file.write_at(&[(0, b"abc")]).unwrap();
        if name == "in/aperto.zip" { std::mem::forget(file) } else { drop(file) }
    }
    put(&home, "in/intero.zip", b"abc").unwrap();
    let now = Clock::REAL.now();
    house.shared.tidy(now + jiff::SignedDuration::from_mins(50)).unwrap();
    assert_eq!(names(&home, "in"), ["aperto.zip", "intero.zip", "prova", "vecchio.zip"]);
    house.shared.tidy(now + jiff::SignedDuration::from_mins(70)).unwrap();
    assert_eq!(names(&home, "in"), ["aperto.zip", "intero.zip", "prova"]);
    assert_eq!(house.shared.usage(), Usage { bytes: 6, files: 2 });
}
